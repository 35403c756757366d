//! One bundle in the plan: what of it was sent, what the ground said of it, and what it gets next.
//!
//! The head goes first, by itself. Content blocks follow in windows of at most [`WINDOW_BLOCKS`]: each
//! round gives every block of the window that still wants symbols the same few, so that all blocks of a
//! bundle progress alike, whatever the loss is. The order in a round is a permutation drawn anew for each:
//! a fixed rotation would starve a block when losses are periodic.

use std::collections::BTreeMap;

use super::belief::{Aim, DECODE_OVERHEAD, Group, LossBelief};
use crate::bundle::Geometry;
use crate::datagram::ESI_LIMIT;
use crate::ids::Class;

/// Most blocks that are sent interleaved.
pub const WINDOW_BLOCKS: usize = 128;
/// Symbols of a round, about, when a window has fewer blocks.
const ROUND_SYMBOLS: u32 = 4;

/// Probabilities above a class's own target that left-over capacity climbs to, rung by rung.
const LADDER: [f64; 11] = [0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999, 0.999_999];

/// The probability of being down, without any report, at which a bundle of a class is *presumed* down.
///
/// About where one more symbol of the bundle gains as much as one of the class below would: with what is believed of a
/// loss by itself (a spread of some 8 % of K) and the values that classes have, the last symbols of a suspect pay up to
/// 0.998, those of an alert up to 0.9998.
#[must_use]
pub fn base_target(class: Class) -> f64 {
    match class {
        Class::Alert => 0.9995,
        Class::Suspect => 0.998,
        Class::Routine => 0.8,
        Class::DiscardCandidate => 0.7,
    }
}

/// What having a bundle down is worth, relative to a discard candidate.
pub(super) fn value(class: Class) -> f64 {
    match class {
        Class::Alert => 1000.0,
        Class::Suspect => 100.0,
        Class::Routine => 10.0,
        Class::DiscardCandidate => 1.0,
    }
}

/// While a bundle's own symbols are sent once, its head is sent this often beyond what it wants …
const HEAD_AGAIN: u64 = 2;
/// … but with one symbol in so many of the content at most.
const HEAD_MOST: u64 = 200;

/// On a link that is always open a block that has had its share gets this part of the ids left in a pass.
const ALWAYS_SHARE: u32 = 4096;

/// Most symbols of a block of K source symbols in one pass: enough to outlast the longest burst of losses.
pub(super) fn pass_limit(k: u32) -> u32 {
    k.saturating_mul(4).saturating_add(4096)
}

/// What a station said of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) station: u16,
    /// The number of its report.
    pub(super) number: u64,
    /// Symbols with ids below this were taken into account.
    pub(super) as_of: u32,
    /// How many symbols more it needs; 0: the block is whole.
    pub(super) need: u32,
}

/// What the ground said last of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    heard: Heard,
    /// Of the symbols that had been sent when it was heard, those that were taken into account.
    accounted: u32,
    /// How often other stations have said that they lack more since.
    passed_over: u8,
}

/// A station's word stands no more once others have spoken so often and it has not.
const SILENT_AFTER: u8 = 8;

/// One block's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The next encoding symbol id.
    pub(super) next_esi: u32,
    /// Symbols known to have been sent, over all passes.
    pub(super) sent: u32,
    /// Symbols sent in this pass.
    pub(super) in_pass: u32,
    /// Symbols it is to have, of those that count towards its need.
    wanted: u32,
    /// What the ground said last, if anything.
    word: Option<Word>,
    /// The next id when this session began, and how many below it were never sent.
    resumed: (u32, u32),
    /// K.
    k: u32,
    /// Whether the link is always open.
    always_open: bool,
}

impl Block {
    /// Symbols it needs from here on; 0: it is known to be whole.
    pub(super) fn need(&self) -> u32 {
        self.word.map_or(self.k + DECODE_OVERHEAD, |word| word.heard.need)
    }

    /// Symbols known to have been sent that count towards that need.
    pub(super) fn counted(&self) -> u32 {
        self.word.map_or(self.sent, |word| self.sent.saturating_sub(word.accounted))
    }

    /// Symbols known to have been sent with ids from `as_of` on. Those that a crash left unused lay just below
    /// where it resumed, as far as is known.
    fn sent_since(&self, as_of: u32) -> u32 {
        let (resumed, unused) = self.resumed;
        let before = resumed.saturating_sub(as_of).saturating_sub(unused);
        (self.next_esi - resumed.max(as_of).min(self.next_esi) + before).min(self.sent)
    }

    /// Symbols of a pass at most.
    fn pass_limit(&self) -> u32 {
        let usual = pass_limit(self.k);
        if self.always_open && self.sent >= usual {
            // Nobody knows when somebody will listen: there have to be ids left then.
            return ESI_LIMIT.saturating_sub(self.next_esi) / ALWAYS_SHARE;
        }
        usual
    }

    /// Symbols still to send in this pass to have `wanted`.
    fn room(&self, wanted: u32) -> u32 {
        wanted
            .saturating_sub(self.counted())
            .min(self.pass_limit().saturating_sub(self.in_pass))
            .min(ESI_LIMIT.saturating_sub(self.next_esi))
    }
}

/// A bundle in the plan.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) class: Class,
    pub(super) rank: u64,
    pub(super) geometry: Geometry,
    blocks: Vec<Block>,
    target: f64,
    aim: Aim,
    /// The belief that `aim` was worked out with; 0: none yet.
    generation: u64,
    /// Symbols that the head gets by dripping.
    head_wanted: u32,
    /// What the head gets beyond that for each content symbol that is sent, in parts of 2³².
    head_share: u64,
    /// Content symbols sent.
    content_sent: u64,
    /// Whether it waits for its turn to drip.
    pub(super) drips: bool,
    /// What the next rung gains for each symbol it costs; `None` when it has to be worked out.
    pub(super) density: Option<f64>,
    seed: u64,
    rounds: u64,
    window: Vec<u32>,
    round: Vec<u32>,
}

impl Plan {
    /// A bundle of which nothing was sent.
    pub(super) fn new(class: Class, rank: u64, geometry: Geometry, seed: u64, always_open: bool) -> Self {
        let block = |block| {
            let k = geometry.source_symbols(block).unwrap_or(1);
            Block { next_esi: 0, sent: 0, in_pass: 0, wanted: 0, word: None, resumed: (0, 0), k, always_open }
        };
        Self {
            class,
            rank,
            geometry,
            blocks: (0..geometry.block_count).map(block).collect(),
            target: base_target(class),
            aim: Aim::default(),
            generation: 0,
            head_wanted: 0,
            head_share: 0,
            content_sent: 0,
            drips: false,
            density: None,
            seed,
            rounds: 0,
            window: Vec::new(),
            round: Vec::new(),
        }
    }

    /// Notes what was sent of a block in earlier sessions.
    pub(super) fn resume(&mut self, block: u32, next_esi: u32, sent: u32) {
        if let Some(b) = self.blocks.get_mut(block as usize) {
            (b.next_esi, b.sent) = (next_esi.min(ESI_LIMIT), sent.min(next_esi));
            self.content_sent += if block > 0 { u64::from(b.sent) } else { 0 };
            b.resumed = (b.next_esi, b.next_esi - b.sent.min(b.next_esi));
        }
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks that are sent interleaved at present.
    pub(super) fn window(&self) -> &[u32] {
        &self.window
    }

    /// Symbols that the present target still asks of a block in this pass.
    pub(super) fn wants(&self, block: u32) -> u32 {
        self.blocks.get(block as usize).map_or(0, |b| b.room(b.wanted))
    }

    /// Whether a report said that all of it is down.
    pub(super) fn is_whole(&self) -> bool {
        self.blocks.iter().all(|b| b.need() == 0)
    }

    /// Whether no more is asked for than what the class asks for.
    pub(super) fn is_at_base(&self) -> bool {
        self.target <= base_target(self.class)
    }

    /// Probability that it is down, from what was sent and heard of it.
    pub(super) fn presumed(&self, belief: &LossBelief) -> f64 {
        let mut groups: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for b in self.blocks.iter().filter(|b| b.need() > 0) {
            *groups.entry((b.need(), b.counted())).or_default() += 1;
        }
        let groups: Vec<_> =
            groups.into_iter().map(|((need, sent), count)| Group { need, sent, count }).collect();
        belief.all_down(&groups)
    }

    /// A new pass begins: every block may be sent again.
    pub(super) fn begin_pass(&mut self) {
        self.blocks.iter_mut().for_each(|b| b.in_pass = 0);
        self.density = None;
    }

    /// Takes what a station says of a block; whether it is news.
    pub(super) fn hear(&mut self, block: u32, heard: Heard) -> bool {
        let Some(b) = self.blocks.get_mut(block as usize) else { return false };
        let better = match b.word.as_mut() {
            None => true,
            Some(old) if old.heard.station == heard.station => heard.number > old.heard.number,
            // What one station has as a whole is down, whatever others lack.
            Some(old) if old.heard.need == 0 => false,
            // Otherwise it matters what who listens lacks; of several the one that lacks least. What one said
            // that has fallen silent stands for nobody.
            Some(old) => {
                old.passed_over = old.passed_over.saturating_add(1);
                heard.need < old.heard.need || old.passed_over >= SILENT_AFTER
            }
        };
        if better {
            let accounted = b.sent - b.sent_since(heard.as_of);
            b.word = Some(Word { heard, accounted, passed_over: 0 });
        }
        better
    }

    /// Starts again from what the class asks for, after a report.
    pub(super) fn reconsider(&mut self) {
        self.target = base_target(self.class);
        self.generation = 0;
        self.density = None;
        self.window.clear();
        self.round.clear();
    }

    /// Works out what is wanted of each block, if the belief (its number is `generation`) is another than
    /// before. `head_target` gives the symbols a head of so great a need is brought to by dripping.
    pub(super) fn refresh(
        &mut self,
        belief: &LossBelief,
        generation: u64,
        head_target: impl FnOnce(u32) -> u32,
    ) {
        if self.generation == generation {
            return;
        }
        self.generation = generation;
        self.density = None;
        self.take_aim(belief.aim(&self.needs(), self.target));
        let Some(head) = self.blocks.first() else { return };
        let target = head_target(head.need());
        // A head goes out in one go before its content, and one burst may take all of that.
        let first_turn = if self.geometry.block_count > 1 { head.wanted } else { 0 };
        self.head_wanted = target.saturating_add(first_turn);
        // Whoever begins to listen later gets it too, from what is sent of it as long as there is content.
        let content: u64 = self.blocks.iter().skip(1).map(|b| u64::from(b.k)).sum();
        let share = if head.need() == 0 { 0 } else { HEAD_AGAIN * u64::from(target) };
        let most = (1 << 32) / HEAD_MOST;
        self.head_share = (share << 32).checked_div(content).map_or(0, |share| share.min(most));
    }

    /// The next symbols: `(block, first esi, count)`; `None` when the target is reached.
    pub(super) fn next_run(&mut self) -> Option<(u32, u32, u32)> {
        for _ in 0..2 {
            while let Some(block) = self.round.pop() {
                let each = ROUND_SYMBOLS / u32::try_from(self.window.len()).unwrap_or(u32::MAX).max(1);
                let count = self.wants(block).min(each.max(1));
                if count > 0 {
                    return Some((block, self.take(block, count)?, count));
                }
            }
            self.draw_round();
        }
        None
    }

    /// The next symbols that the head gets beyond the bundle's target: `(first esi, count)`.
    pub(super) fn drip(&mut self, most: u32) -> Option<(u32, u32)> {
        let count = self.drip_room().min(most);
        if count == 0 {
            return None;
        }
        Some((self.take(0, count)?, count))
    }

    /// Symbols of the head that may still be dripped in this pass.
    pub(super) fn drip_room(&self) -> u32 {
        let again = (u128::from(self.content_sent) * u128::from(self.head_share)) >> 32;
        let again = u32::try_from(again).unwrap_or(u32::MAX);
        self.blocks.first().map_or(0, |b| b.room(b.wanted.max(self.head_wanted).saturating_add(again)))
    }

    /// Whether the head wants no more symbols for the bundle's target.
    pub(super) fn head_had_its_turn(&self) -> bool {
        self.generation > 0 && self.wants(0) == 0
    }

    /// What the next rung gains for each symbol it costs, about; 0 when this pass can take no more.
    pub(super) fn density(&mut self, belief: &LossBelief) -> f64 {
        if let Some(density) = self.density {
            return density;
        }
        let density = if self.cost(|_| u32::MAX) == 0 {
            0.0
        } else {
            let target = self.rungs().next().unwrap_or(1.0);
            let (quick, beyond) = (belief.quick_aim(target, self.geometry.block_count), self.aim.beyond());
            let cost = self.cost(|need| quick.symbols(need)).max(1);
            let ladder = (target - self.target) / cost as f64;
            let cost = self.cost(|need| beyond.symbols(need)).max(1);
            value(self.class) * if ladder > 0.0 { ladder } else { 1e-9 / cost as f64 }
        };
        self.density = Some(density);
        density
    }

    /// Lifts the target by a rung that costs something; beyond the ladder ever more symbols are wanted.
    /// `false` when this pass can take no more.
    pub(super) fn climb(&mut self, belief: &LossBelief) -> bool {
        self.density = None;
        if self.cost(|_| u32::MAX) == 0 {
            return false;
        }
        // A rung that a pass was too short for, or that a new belief has made longer, comes first.
        if self.cost_now() > 0 {
            return true;
        }
        let needs = self.needs();
        for target in self.rungs().collect::<Vec<_>>() {
            self.target = target;
            self.take_aim(belief.aim(&needs, target));
            if self.cost_now() > 0 {
                return true;
            }
        }
        // Each step asks for a few percent more: the limits of pass or block end it soon.
        for _ in 0..1000 {
            self.take_aim(self.aim.beyond());
            if self.cost_now() > 0 {
                return true;
            }
        }
        false
    }

    fn rungs(&self) -> impl Iterator<Item = f64> + use<> {
        let target = self.target;
        LADDER.into_iter().filter(move |rung| *rung > target)
    }

    /// Needs of the blocks that are not known to be whole, and how many need so much.
    fn needs(&self) -> Vec<(u32, u32)> {
        let mut needs: BTreeMap<u32, u32> = BTreeMap::new();
        for b in self.blocks.iter().filter(|b| b.need() > 0) {
            *needs.entry(b.need()).or_default() += 1;
        }
        needs.into_iter().collect()
    }

    fn take_aim(&mut self, aim: Aim) {
        self.aim = aim;
        self.round.clear();
        self.window.clear();
        let mut last = (0, 0);
        for b in &mut self.blocks {
            let need = b.need();
            if need != last.0 {
                last = (need, aim.symbols(need));
            }
            b.wanted = last.1;
        }
    }

    /// Symbols still to send in this pass to reach the target.
    pub(super) fn cost_now(&self) -> u64 {
        self.blocks.iter().map(|b| u64::from(b.room(b.wanted))).sum()
    }

    /// Symbols still to send in this pass to reach the target, about: as many as it has before that is worked out.
    pub(super) fn backlog(&self) -> u64 {
        if self.generation > 0 {
            return self.cost_now();
        }
        self.blocks.iter().map(|b| u64::from(b.need().saturating_sub(b.counted().min(b.need())))).sum()
    }

    /// Symbols still to send in this pass if each block gets what `wanted` says for its need.
    fn cost(&self, wanted: impl Fn(u32) -> u32) -> u64 {
        let mut last = (0, 0);
        let mut cost = 0;
        for b in self.blocks.iter().filter(|b| b.need() > 0) {
            if b.need() != last.0 {
                last = (b.need(), wanted(b.need()));
            }
            cost += u64::from(b.room(last.1));
        }
        cost
    }

    /// Draws the next round: the head alone while it is wanting, then a window of wanting blocks.
    fn draw_round(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        let wanting = |block: &u32| blocks.get(*block as usize).is_some_and(|b| b.room(b.wanted) > 0);
        self.window.retain(wanting);
        if wanting(&0) {
            self.window = vec![0];
        } else if self.window.len() <= WINDOW_BLOCKS / 2 {
            self.window = (1..self.geometry.block_count).filter(wanting).take(WINDOW_BLOCKS).collect();
        }
        self.blocks = blocks;
        self.round.clone_from(&self.window);
        let mut state = self.seed ^ self.rounds;
        self.rounds += 1;
        shuffle(&mut self.round, &mut state);
    }

    /// Takes the next ids of a block; gives the first of them.
    fn take(&mut self, block: u32, count: u32) -> Option<u32> {
        let b = self.blocks.get_mut(block as usize)?;
        let first = b.next_esi;
        b.next_esi += count;
        b.sent = b.sent.saturating_add(count);
        b.in_pass = b.in_pass.saturating_add(count);
        self.content_sent += if block > 0 { u64::from(count) } else { 0 };
        Some(first)
    }
}

/// Fisher–Yates with [`split_mix`].
pub(super) fn shuffle<T>(items: &mut [T], state: &mut u64) {
    for i in (1..items.len()).rev() {
        let j = usize::try_from(split_mix(state) % (i as u64 + 1)).unwrap_or(i);
        items.swap(i, j);
    }
}

/// The next number of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
