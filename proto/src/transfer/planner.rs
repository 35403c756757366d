//! The planner: which run of symbols of which block of which bundle goes next.
//!
//! Two tiers. First every bundle, in the order of its rank, up to the probability its class asks for
//! ([`base_target`]). Then, with what is left of the pass, the bundle whose next rung on the ladder of
//! probabilities gains most value for its cost. Within one pass no block gets more than
//! [`pass_limit`] symbols: past that, another symbol in the same pass adds nothing that counts.
//!
//! Within a bundle the head goes first; content blocks follow in windows. The order inside a window is
//! a permutation drawn anew for each round from the bundle's id: a fixed rotation would starve a block
//! when losses are periodic.
//!
//! A head, and so a small bundle as a whole, is short enough to vanish in a single burst of losses. Its
//! extra redundancy is therefore not sent at once but dripped: a few symbols now and then between the
//! runs of other blocks, until it is down with [`HEAD_TARGET`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::belief::LossBelief;
use crate::bundle::Geometry;
use crate::datagram::ESI_LIMIT;
use crate::ids::{BundleId, Class};

/// Most symbols of one run.
pub const MAX_RUN_SYMBOLS: u32 = 16;

/// The probability of being down that every head is brought to, whatever its bundle's class.
pub const HEAD_TARGET: f64 = 0.9999;
/// One run in so many may be a drip.
const DRIP_EVERY: u32 = 4;
/// Most symbols of a drip.
const DRIP_SYMBOLS: u32 = 4;

/// Probabilities above a class's own target that left-over capacity climbs to, rung by rung.
const LADDER: [f64; 6] = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];

/// The probability of being down, without any report, at which a bundle of a class is *presumed* down.
#[must_use]
pub fn base_target(class: Class) -> f64 {
    match class {
        Class::Alert => 0.95,
        Class::Suspect => 0.9,
        Class::Routine => 0.8,
        Class::DiscardCandidate => 0.7,
    }
}

/// What having a bundle down is worth, relative to a discard candidate.
fn value(class: Class) -> f64 {
    match class {
        Class::Alert => 1000.0,
        Class::Suspect => 100.0,
        Class::Routine => 10.0,
        Class::DiscardCandidate => 1.0,
    }
}

/// Most symbols of a block of K source symbols in one pass.
fn pass_limit(k: u32) -> u32 {
    k.saturating_mul(4).saturating_add(256)
}

/// One block's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The next encoding symbol id.
    pub(super) next_esi: u32,
    /// Symbols known to have been sent, over all passes.
    pub(super) sent: u32,
    /// Symbols sent in this pass.
    in_pass: u32,
}

/// A run of symbols to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedRun {
    pub(super) id: BundleId,
    pub(super) block: u32,
    pub(super) first_esi: u32,
    pub(super) count: u32,
}

/// A bundle in the plan.
#[derive(Debug)]
pub(super) struct Plan {
    class: Class,
    rank: u64,
    geometry: Geometry,
    blocks: Vec<Block>,
    target: f64,
    /// Symbols wanted at the present target: of the head, of a segment, of the tail.
    wanted: [u32; 3],
    /// Symbols that the head gets by dripping.
    head_wanted: u32,
    rounds: u64,
    round: Vec<u32>,
}

/// All bundles that are offered.
#[derive(Debug)]
pub(super) struct Planner {
    belief: LossBelief,
    window: usize,
    plans: BTreeMap<BundleId, Plan>,
    /// Bundles below their class's target, by rank.
    first_tier: BTreeSet<(u64, BundleId)>,
    /// The bundle that climbs the ladder at present.
    climbing: Option<BundleId>,
    /// Bundles whose heads want more symbols, now and then.
    dripping: VecDeque<BundleId>,
    runs: u32,
}

impl Planner {
    pub(super) fn new(belief: LossBelief, window_blocks: usize) -> Self {
        Self {
            belief,
            window: window_blocks.max(1),
            plans: BTreeMap::new(),
            first_tier: BTreeSet::new(),
            climbing: None,
            dripping: VecDeque::new(),
            runs: 0,
        }
    }

    /// Adds a bundle; `marks` are `(block, next esi, sent)` of earlier sessions.
    pub(super) fn insert(
        &mut self,
        id: BundleId,
        class: Class,
        rank: u64,
        geometry: Geometry,
        marks: &[(u32, u32, u32)],
    ) {
        self.remove(&id);
        let fresh = Block { next_esi: 0, sent: 0, in_pass: 0 };
        let mut blocks = vec![fresh; geometry.block_count as usize];
        for &(block, next_esi, sent) in marks {
            if let Some(b) = blocks.get_mut(block as usize) {
                *b = Block { next_esi, sent, in_pass: 0 };
            }
        }
        let target = base_target(class);
        let wanted = wanted(&self.belief, &geometry, target);
        let head_wanted = self.belief.symbols_for(geometry.source_symbols(0).unwrap_or(1), 1, HEAD_TARGET);
        let (rounds, round) = (0, Vec::new());
        let plan = Plan { class, rank, geometry, blocks, target, wanted, head_wanted, rounds, round };
        self.dripping.push_back(id);
        if plan.cost() > 0 {
            self.first_tier.insert((rank, id));
        }
        self.plans.insert(id, plan);
    }

    pub(super) fn remove(&mut self, id: &BundleId) {
        if let Some(plan) = self.plans.remove(id) {
            self.first_tier.remove(&(plan.rank, *id));
            self.dripping.retain(|dripping| dripping != id);
        }
        self.climbing.take_if(|climbing| climbing == id);
    }

    pub(super) fn get(&self, id: &BundleId) -> Option<&Plan> {
        self.plans.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.plans.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &BundleId> {
        self.plans.keys()
    }

    /// A new pass begins: every block may be sent again.
    pub(super) fn begin_pass(&mut self) {
        for plan in self.plans.values_mut() {
            plan.blocks.iter_mut().for_each(|b| b.in_pass = 0);
        }
        let below = self.plans.iter().filter(|(_, p)| p.target <= base_target(p.class) && p.cost() > 0);
        self.first_tier = below.map(|(id, p)| (p.rank, *id)).collect();
        let drips = self.plans.iter().filter(|(_, p)| p.drip_room() > 0);
        let mut drips: Vec<_> = drips.map(|(id, p)| (p.rank, *id)).collect();
        drips.sort_unstable();
        self.dripping = drips.into_iter().map(|(_, id)| id).collect();
    }

    /// The next run, and counts it as sent; `None` when no symbol would add anything in this pass.
    pub(super) fn next_run(&mut self) -> Option<PlannedRun> {
        self.runs = self.runs.wrapping_add(1);
        if self.runs.is_multiple_of(DRIP_EVERY)
            && let Some(run) = self.drip()
        {
            return Some(run);
        }
        while let Some((rank, id)) = self.first_tier.first().copied() {
            if let Some(run) = self.run_of(id) {
                return Some(run);
            }
            self.first_tier.remove(&(rank, id));
        }
        loop {
            let id = match self.climbing {
                Some(id) => id,
                None => self.climb()?,
            };
            if let Some(run) = self.run_of(id) {
                return Some(run);
            }
            self.climbing = None;
        }
    }

    /// A few more symbols of the next head that wants some, if its bundle has had its first turn.
    fn drip(&mut self) -> Option<PlannedRun> {
        for _ in 0..self.dripping.len() {
            let id = self.dripping.pop_front()?;
            let Some(plan) = self.plans.get_mut(&id) else { continue };
            if plan.room(0, &plan.wanted) > 0 {
                self.dripping.push_back(id);
                continue;
            }
            if let Some((first_esi, count)) = plan.drip() {
                self.dripping.push_back(id);
                return Some(PlannedRun { id, block: 0, first_esi, count });
            }
        }
        None
    }

    fn run_of(&mut self, id: BundleId) -> Option<PlannedRun> {
        let window = self.window;
        let (block, first_esi, count) = self.plans.get_mut(&id)?.next_run(&id, window)?;
        Some(PlannedRun { id, block, first_esi, count })
    }

    /// Chooses the bundle whose next rung gains most for its cost, and lifts it there.
    fn climb(&mut self) -> Option<BundleId> {
        let belief = &self.belief;
        let rungs = self.plans.iter().filter_map(|(id, plan)| {
            let (target, wanted) = plan.next_rung(belief)?;
            let cost = plan.cost_to(&wanted);
            (cost > 0).then(|| {
                let gain = value(plan.class) * (target - plan.target).max(1e-9);
                (gain / cost as f64, *id, target, wanted)
            })
        });
        let (_, id, target, wanted) = rungs.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let plan = self.plans.get_mut(&id)?;
        plan.target = target;
        plan.wanted = wanted;
        plan.round.clear();
        self.climbing = Some(id);
        Some(id)
    }

    /// Probability that a bundle is down, from what was sent of it.
    pub(super) fn presumed(&self, plan: &Plan) -> f64 {
        let mut groups: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for (block, b) in (0..).zip(&plan.blocks) {
            let k = plan.geometry.source_symbols(block).unwrap_or(1);
            *groups.entry((k, b.sent)).or_default() += 1;
        }
        let groups: Vec<_> = groups.into_iter().map(|((k, sent), count)| (k, sent, count)).collect();
        self.belief.all_down(&groups)
    }
}

impl Plan {
    pub(super) fn class(&self) -> Class {
        self.class
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The next run of this bundle towards its target: `(block, first esi, count)`.
    fn next_run(&mut self, id: &BundleId, window: usize) -> Option<(u32, u32, u32)> {
        if self.round.is_empty() {
            self.refill(id, window);
        }
        // A drip may have served a block since the round was drawn.
        while let Some(block) = self.round.pop() {
            let count = self.room(block, &self.wanted).min(MAX_RUN_SYMBOLS);
            if count > 0 {
                return Some((block, self.take(block, count)?, count));
            }
        }
        self.refill(id, window);
        let block = self.round.pop()?;
        let count = self.room(block, &self.wanted).min(MAX_RUN_SYMBOLS);
        Some((block, self.take(block, count)?, count))
    }

    /// A drip of the head: `(first esi, count)`.
    fn drip(&mut self) -> Option<(u32, u32)> {
        let count = self.drip_room().min(DRIP_SYMBOLS);
        if count == 0 {
            return None;
        }
        Some((self.take(0, count)?, count))
    }

    /// Symbols that may still be dripped in this pass.
    fn drip_room(&self) -> u32 {
        let [_, segment, tail] = self.wanted;
        self.room(0, &[self.head_wanted, segment, tail])
    }

    /// Takes the next ids of a block; gives the first of them.
    fn take(&mut self, block: u32, count: u32) -> Option<u32> {
        let b = self.blocks.get_mut(block as usize)?;
        let first = b.next_esi;
        b.next_esi += count;
        b.sent = b.sent.saturating_add(count);
        b.in_pass = b.in_pass.saturating_add(count);
        Some(first)
    }

    /// Draws the next round: the head alone while it is wanting, then a window of wanting blocks.
    fn refill(&mut self, id: &BundleId, window: usize) {
        let wanting = |block: &u32| self.room(*block, &self.wanted) > 0;
        self.round = if wanting(&0) {
            vec![0]
        } else {
            (1..self.geometry.block_count).filter(wanting).take(window).collect()
        };
        let seed = id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let mut state = seed ^ self.rounds;
        self.rounds += 1;
        shuffle(&mut self.round, &mut state);
    }

    /// Symbols of a block still to send in this pass to have `wanted`.
    fn room(&self, block: u32, wanted: &[u32; 3]) -> u32 {
        let Some(b) = self.blocks.get(block as usize) else { return 0 };
        let [head, segment, tail] = *wanted;
        let wanted = match block {
            0 => head,
            _ if block + 1 == self.geometry.block_count => tail,
            _ => segment,
        };
        let limit = pass_limit(self.geometry.source_symbols(block).unwrap_or_default());
        wanted
            .saturating_sub(b.sent)
            .min(limit.saturating_sub(b.in_pass))
            .min(ESI_LIMIT.saturating_sub(b.next_esi))
    }

    fn cost(&self) -> u64 {
        self.cost_to(&self.wanted)
    }

    fn cost_to(&self, wanted: &[u32; 3]) -> u64 {
        (0..self.geometry.block_count).map(|block| u64::from(self.room(block, wanted))).sum()
    }

    /// The next target and what it takes: the next rung of the ladder that costs anything, beyond the
    /// ladder ever more symbols. `None` when this pass can take no more of the bundle.
    fn next_rung(&self, belief: &LossBelief) -> Option<(f64, [u32; 3])> {
        if self.cost_to(&[u32::MAX; 3]) == 0 {
            return None;
        }
        let rungs = LADDER.into_iter().filter(|rung| *rung > self.target);
        let rungs = rungs.map(|rung| (rung, wanted(belief, &self.geometry, rung)));
        let beyond = std::iter::successors(Some(self.wanted), |[head, segment, tail]| {
            let more = |n: &u32| n.checked_add((n / 16).max(8));
            Some([more(head)?, more(segment)?, more(tail)?])
        });
        let beyond = beyond.map(|wanted| (self.target, wanted));
        rungs.chain(beyond).find(|(_, wanted)| self.cost_to(wanted) > 0)
    }
}

/// Symbols wanted of the head, of a segment and of the tail, so that all of a bundle is down with
/// probability `target`.
fn wanted(belief: &LossBelief, geometry: &Geometry, target: f64) -> [u32; 3] {
    let k = |block| geometry.source_symbols(block).unwrap_or(1);
    let last = geometry.block_count.saturating_sub(1);
    let content = geometry.block_count.saturating_sub(1).max(1);
    let head = belief.symbols_for(k(0), 1, target);
    let tail = belief.symbols_for(k(last), content, target);
    let segment = if last > 1 { belief.symbols_for(k(1), content, target) } else { tail };
    [head, segment, tail]
}

/// Fisher–Yates with SplitMix64.
fn shuffle(items: &mut [u32], state: &mut u64) {
    for i in (1..items.len()).rev() {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let j = usize::try_from((z ^ (z >> 31)) % (i as u64 + 1)).unwrap_or(i);
        items.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(block_count: u32) -> Geometry {
        let tail_bytes = if block_count == 1 { 640 } else { 3200 };
        Geometry { symbol_bytes: 64, block_count, head_bytes: 640, segment_bytes: 6400, tail_bytes }
    }

    fn planner() -> Planner {
        Planner::new(LossBelief::expecting(0.2), 4)
    }

    const A: BundleId = BundleId([1; 12]);
    const B: BundleId = BundleId([2; 12]);

    #[test]
    fn a_better_rank_goes_first_also_when_it_comes_later() {
        let mut p = planner();
        p.insert(A, Class::Routine, 20, geometry(5), &[]);
        assert!((0..3).all(|_| p.next_run().unwrap().id == A));
        p.insert(B, Class::Alert, 10, geometry(1), &[]);
        assert!((0..2).any(|_| p.next_run().unwrap().id == B), "at once, or after one drip");
    }

    #[test]
    fn ids_are_consecutive_and_the_head_comes_first() {
        let mut p = planner();
        p.insert(A, Class::Routine, 1, geometry(6), &[]);
        let mut next = [0; 6];
        let mut blocks = Vec::new();
        while let Some(run) = p.next_run() {
            assert_eq!(run.first_esi, next[run.block as usize]);
            next[run.block as usize] += run.count;
            blocks.push(run.block);
        }
        let first_other = blocks.iter().position(|b| *b != 0).unwrap();
        let head_sent: usize = first_other * MAX_RUN_SYMBOLS as usize;
        assert!(head_sent >= 10, "the head's base target comes first");
        assert_eq!(next, [10 * 4 + 256, 656, 656, 656, 656, 50 * 4 + 256], "until the pass's limit");
    }

    #[test]
    fn what_was_sent_in_earlier_sessions_counts_and_is_not_sent_again() {
        let mut p = planner();
        p.insert(A, Class::Routine, 1, geometry(1), &[(0, 500, 100)]);
        assert!(p.first_tier.is_empty(), "100 symbols for K = 10 are enough");
        let run = p.next_run().unwrap();
        assert_eq!(run.first_esi, 500);
    }

    #[test]
    fn left_over_capacity_prefers_value_and_a_new_pass_opens_everything_again() {
        let mut p = planner();
        p.insert(A, Class::DiscardCandidate, 1, geometry(1), &[]);
        p.insert(B, Class::Alert, 2, geometry(1), &[]);
        let mut sent = BTreeMap::new();
        while !p.first_tier.is_empty() {
            *sent.entry(p.next_run().unwrap().id).or_insert(0) += 1;
        }
        assert!(sent.len() == 2);
        while p.next_run().is_some() {}
        p.begin_pass();
        assert!(p.next_run().is_some());
    }

    #[test]
    fn periodic_loss_starves_no_block() {
        for period in 2..40_u64 {
            let mut p = planner();
            p.insert(A, Class::Routine, 1, geometry(9), &[]);
            let mut got = [0_u32; 9];
            let mut datagram = 0_u64;
            while let Some(run) = p.next_run() {
                for _ in 0..run.count {
                    datagram += 1;
                    // Loses the first half of every period of runs.
                    if (datagram / u64::from(MAX_RUN_SYMBOLS)) % period >= period / 2 {
                        got[run.block as usize] += 1;
                    }
                }
            }
            for (block, n) in got.iter().enumerate() {
                let k = geometry(9).source_symbols(u32::try_from(block).unwrap()).unwrap();
                assert!(*n >= k + 2, "period {period}, block {block}: {n} of {k}");
            }
        }
    }

    #[test]
    fn a_small_bundle_is_spread_out_so_that_one_burst_does_not_take_all_of_it() {
        let mut p = planner();
        p.insert(A, Class::Routine, 1, geometry(1), &[]);
        p.insert(B, Class::Routine, 2, geometry(30), &[]);
        let mut at = Vec::new();
        let mut datagram: u32 = 0;
        while let Some(run) = p.next_run().filter(|_| datagram < 3000) {
            at.extend((0..run.count).filter(|_| run.id == A).map(|i| datagram + i));
            datagram += run.count;
        }
        for start in 0..2000 {
            let left = at.iter().filter(|t| !(start..start + 50).contains(*t)).count();
            assert!(left >= 12, "a burst of 50 at {start} leaves {left} of K = 10");
        }
    }

    #[test]
    fn presumed_rises_with_what_is_sent() {
        let mut p = planner();
        p.insert(A, Class::Routine, 1, geometry(4), &[]);
        let mut last = p.presumed(p.get(&A).unwrap());
        assert!(last < 1e-3);
        while p.next_run().is_some() {
            let now = p.presumed(p.get(&A).unwrap());
            assert!(now >= last - 1e-12);
            last = now;
        }
        assert!(last > 0.9999);
    }
}
