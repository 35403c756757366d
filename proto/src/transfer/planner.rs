//! The planner: which symbols of which block of which bundle go next.
//!
//! Two tiers. First every bundle, in the order of its rank, up to the probability its class asks for
//! ([`base_target`]); neighbours of one class and band are sent interleaved, so that no burst of losses takes all of a
//! small bundle. Then, with what is left of the pass, the bundle whose next rung on the ladder of
//! probabilities gains most value for its cost. Within one pass no block gets more than a few times its
//! own size: past that, another symbol in the same pass adds nothing that counts.
//!
//! Reports move bundles: what the ground says it has of a block replaces what was only presumed. None is
//! ever waited for, and any of them, in any order, leaves a plan that goes on.
//!
//! A head, and so a small bundle as a whole, is short enough to vanish in a single burst of losses. Its
//! extra redundancy is therefore not sent at once but dripped: a few symbols now and then between those
//! of other blocks, until it is down with [`HEAD_TARGET`]; and some more as long as content is sent, for who
//! begins to listen later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::belief::{LossBelief, Observation};
use super::plan::{Heard, Plan, shuffle, split_mix};
use crate::bundle::Geometry;
use crate::ids::{BundleId, Class};

/// The probability of being down that every head is brought to, whatever its bundle's class.
pub const HEAD_TARGET: f64 = 0.9999;
/// After so many other symbols some may be dripped, and up to as many more at random: drips in step with
/// periodic losses would all be lost.
const DRIP_AFTER_SYMBOLS: u32 = 30;
/// Most symbols of a drip.
const DRIP_SYMBOLS: u32 = 4;

/// Bundles are sent interleaved until together they want so many symbols: long against any burst.
const GROUP_SYMBOLS: u64 = 8192;
/// The bits of a rank from this one on are its band: bundles of different bands are never interleaved.
const BAND_SHIFT: u32 = 60;
/// Most bundles that are sent interleaved.
const GROUP_BUNDLES: usize = 256;

/// Symbols to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedRun {
    pub(super) id: BundleId,
    pub(super) block: u32,
    pub(super) first_esi: u32,
    pub(super) count: u32,
}

/// All bundles that are offered.
#[derive(Debug)]
pub(super) struct Planner {
    belief: LossBelief,
    /// Counts the changes of the belief, from 1.
    generation: u64,
    seed: u64,
    plans: BTreeMap<BundleId, Plan>,
    /// Bundles below their class's target, by rank.
    first_tier: BTreeSet<(u64, BundleId)>,
    /// Those of the first tier that are sent interleaved, and what is left of the present round.
    group: Vec<BundleId>,
    round: Vec<BundleId>,
    rounds: u64,
    /// The bundle that climbs the ladder at present.
    climbing: Option<BundleId>,
    /// Bundles whose heads want more symbols, now and then.
    dripping: VecDeque<BundleId>,
    since_drip: u32,
    drip_after: u32,
    drip_state: u64,
    /// Symbols that a head of so great a need is brought to, under the present belief.
    head_targets: BTreeMap<u32, u32>,
    always_open: bool,
}

impl Planner {
    /// `seed` keys the order in which blocks are sent.
    pub(super) fn new(belief: LossBelief, seed: u64) -> Self {
        Self {
            belief,
            generation: 1,
            seed,
            plans: BTreeMap::new(),
            first_tier: BTreeSet::new(),
            group: Vec::new(),
            round: Vec::new(),
            rounds: 0,
            climbing: None,
            dripping: VecDeque::new(),
            since_drip: 0,
            drip_after: DRIP_AFTER_SYMBOLS,
            drip_state: !seed,
            head_targets: BTreeMap::new(),
            always_open: false,
        }
    }

    /// Whether the link is always open.
    pub(super) fn always_open(self, always_open: bool) -> Self {
        Self { always_open, ..self }
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
        let of_id = id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let mut plan = Plan::new(class, rank, geometry, self.seed ^ of_id, self.always_open);
        marks.iter().for_each(|&(block, next_esi, sent)| plan.resume(block, next_esi, sent));
        self.first_tier.insert((rank, id));
        self.regroup();
        self.dripping.push_back(id);
        plan.drips = true;
        self.plans.insert(id, plan);
    }

    pub(super) fn remove(&mut self, id: &BundleId) {
        if let Some(plan) = self.plans.remove(id) {
            self.first_tier.remove(&(plan.rank, *id));
            self.regroup();
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

    /// Whether a bundle is still to be brought to the probability its class asks for, in this pass.
    pub(super) fn wants(&self, id: &BundleId) -> bool {
        self.plans.get(id).is_some_and(|plan| self.first_tier.contains(&(plan.rank, *id)))
    }

    /// Symbols that all bundles together still want for that, about.
    pub(super) fn backlog(&self) -> u64 {
        let plans = self.first_tier.iter().filter_map(|(_, id)| self.plans.get(id));
        plans.fold(0, |sum, plan| sum.saturating_add(plan.backlog()))
    }

    /// The bundles in the plan.
    pub(super) fn ids(&self) -> impl Iterator<Item = BundleId> + '_ {
        self.plans.keys().copied()
    }

    /// The bundles that are sent interleaved at present.
    pub(super) fn group(&self) -> &[BundleId] {
        &self.group
    }

    pub(super) fn presumed(&self, plan: &Plan) -> f64 {
        plan.presumed(&self.belief)
    }

    /// The loss to be expected, as believed at present.
    pub(super) fn expected_loss(&self) -> f64 {
        self.belief.mean()
    }

    /// A new pass begins: every block may be sent again.
    pub(super) fn begin_pass(&mut self) {
        self.first_tier.clear();
        self.regroup();
        let mut drips = Vec::new();
        for (id, plan) in &mut self.plans {
            plan.begin_pass();
            if plan.is_at_base() && !plan.is_whole() {
                self.first_tier.insert((plan.rank, *id));
            }
            plan.drips = !plan.is_whole();
            if plan.drips {
                drips.push((plan.rank, *id));
            }
        }
        drips.sort_unstable();
        self.dripping = drips.into_iter().map(|(_, id)| id).collect();
    }

    /// Takes what a station heard of a pass.
    pub(super) fn observe(&mut self, seen: &Observation) {
        if self.belief.observe(seen) {
            self.generation += 1;
            self.head_targets.clear();
        }
    }

    /// Takes what a station says of blocks of a bundle; whether any of it was news.
    pub(super) fn hear(&mut self, id: &BundleId, words: impl Iterator<Item = (u32, Heard)>) -> bool {
        let Some(plan) = self.plans.get_mut(id) else { return false };
        let mut news = false;
        for (block, heard) in words {
            news |= plan.hear(block, heard);
        }
        if news {
            plan.reconsider();
            self.climbing.take_if(|climbing| climbing == id);
            if plan.is_whole() {
                self.first_tier.remove(&(plan.rank, *id));
            } else {
                self.first_tier.insert((plan.rank, *id));
            }
            self.regroup();
        }
        news
    }

    /// The next run, and counts it as sent; `None` when no symbol would add anything in this pass.
    pub(super) fn next_run(&mut self) -> Option<PlannedRun> {
        let run = self.choose()?;
        self.since_drip = self.since_drip.saturating_add(run.count);
        Some(run)
    }

    fn choose(&mut self) -> Option<PlannedRun> {
        if self.since_drip >= self.drip_after {
            self.since_drip = 0;
            let random = u32::try_from(split_mix(&mut self.drip_state) >> 32).unwrap_or_default();
            self.drip_after = DRIP_AFTER_SYMBOLS + random % DRIP_AFTER_SYMBOLS;
            if let Some(run) = self.drip() {
                return Some(run);
            }
        }
        while let Some(id) = self.next_in_group() {
            if let Some(run) = self.run_of(id) {
                return Some(run);
            }
            let rank = self.plans.get(&id).map(|plan| plan.rank);
            rank.map(|rank| self.first_tier.remove(&(rank, id)));
            self.regroup();
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

    /// The bundle of the first tier whose turn it is.
    fn next_in_group(&mut self) -> Option<BundleId> {
        if let Some(id) = self.round.pop() {
            return Some(id);
        }
        if self.group.is_empty() {
            self.form_group();
        }
        self.round.clone_from(&self.group);
        let mut state = self.seed ^ self.rounds;
        self.rounds = self.rounds.wrapping_add(1);
        shuffle(&mut self.round, &mut state);
        self.round.pop()
    }

    /// Has the group formed anew: the first tier is another.
    fn regroup(&mut self) {
        self.group.clear();
        self.round.clear();
    }

    /// The first of the first tier, and those behind it of its class and band, until they want enough
    /// together.
    fn form_group(&mut self) {
        let first: Vec<_> = self.first_tier.iter().take(GROUP_BUNDLES).map(|(_, id)| *id).collect();
        let mut kind = None;
        let mut wanted = 0;
        for id in first {
            let Some(plan) = self.refreshed(id) else { continue };
            let its = (plan.class, plan.rank >> BAND_SHIFT);
            if wanted >= GROUP_SYMBOLS || *kind.get_or_insert(its) != its {
                break;
            }
            wanted += plan.cost_now();
            self.group.push(id);
        }
    }

    /// A plan, with what is wanted under the present belief.
    fn refreshed(&mut self, id: BundleId) -> Option<&mut Plan> {
        let plan = self.plans.get_mut(&id)?;
        let (belief, targets) = (&self.belief, &mut self.head_targets);
        plan.refresh(belief, self.generation, |need| {
            *targets.entry(need).or_insert_with(|| belief.symbols_for(need, 1, HEAD_TARGET))
        });
        Some(plan)
    }

    /// A few more symbols of the next head that wants some, if its bundle has had its first turn.
    fn drip(&mut self) -> Option<PlannedRun> {
        for _ in 0..self.dripping.len() {
            let id = self.dripping.pop_front()?;
            let Some(plan) = self.plans.get_mut(&id) else { continue };
            if !plan.head_had_its_turn() {
                self.dripping.push_back(id);
                continue;
            }
            if let Some((first_esi, count)) = plan.drip(DRIP_SYMBOLS) {
                self.dripping.push_back(id);
                return Some(PlannedRun { id, block: 0, first_esi, count });
            }
            plan.drips = false;
        }
        None
    }

    fn run_of(&mut self, id: BundleId) -> Option<PlannedRun> {
        let plan = self.refreshed(id)?;
        let (block, first_esi, count) = plan.next_run()?;
        // While content goes out the head is due again now and then.
        if block > 0 && !plan.drips && plan.drip_room() > 0 {
            plan.drips = true;
            self.dripping.push_back(id);
        }
        Some(PlannedRun { id, block, first_esi, count })
    }

    /// Chooses the bundle whose next rung gains most for its cost, and lifts it there.
    fn climb(&mut self) -> Option<BundleId> {
        loop {
            let belief = &self.belief;
            let gains = self.plans.iter_mut().map(|(id, plan)| (plan.density(belief), *id));
            let (density, id) = gains.max_by(|a, b| a.0.total_cmp(&b.0))?;
            if density <= 0.0 {
                return None;
            }
            let plan = self.plans.get_mut(&id)?;
            if plan.climb(&self.belief) {
                self.climbing = Some(id);
                return Some(id);
            }
            plan.density = Some(0.0);
        }
    }
}

#[cfg(test)]
mod tests;
