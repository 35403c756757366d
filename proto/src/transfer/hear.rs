//! What a report does to the plan.
//!
//! Only what can be true is taken: a block can't have got more symbols than may have been sent of it, and
//! nothing can be known of symbols that were never sent. Whatever else a report says of its bundle is then
//! passed over too, and counted.

use super::belief::Observation;
use super::plan::{Heard, Plan};
use super::planner::Planner;
use crate::ids::BundleId;
use crate::report::{Item, Report};

/// What a report changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Bundles of which it told something new.
    pub news: Vec<BundleId>,
    /// Items about bundles that aren't in the plan.
    pub unknown: usize,
    /// What of it can't be true: so many items, and what was heard of the link.
    pub contradictory: usize,
    /// Which items those are, by their places in the report.
    pub odd_items: Vec<usize>,
}

pub(super) fn hear(
    planner: &mut Planner,
    report: &Report,
    may_be: impl FnOnce(&Observation) -> bool,
) -> Effect {
    let mut effect = Effect::default();
    for (place, item) in report.items.iter().enumerate() {
        let id = match item {
            Item::Whole(id) | Item::Blocks { id, .. } => *id,
        };
        let Some(plan) = planner.get(&id) else {
            effect.unknown += 1;
            continue;
        };
        let odd = contradicts_itself(item, &report.items);
        let Some(words) = words(plan, report, item).filter(|_| !odd) else {
            effect.contradictory += 1;
            effect.odd_items.push(place);
            continue;
        };
        if planner.hear(&id, words.into_iter()) && !effect.news.contains(&id) {
            effect.news.push(id);
        }
    }
    match &report.link {
        Some(seen) if may_be(seen) => planner.observe(seen),
        Some(_) => effect.contradictory += 1,
        None => {}
    }
    effect
}

/// Whether another item of the same report says something else of the same blocks.
fn contradicts_itself(item: &Item, all: &[Item]) -> bool {
    all.iter().filter(|other| *other != item).any(|other| match (item, other) {
        (Item::Whole(a), Item::Blocks { id: b, .. }) | (Item::Blocks { id: a, .. }, Item::Whole(b)) => a == b,
        (
            Item::Blocks { id: a, first_block: first_a, missing: missing_a, .. },
            Item::Blocks { id: b, first_block: first_b, missing: missing_b, .. },
        ) => {
            let end = |first: u32, missing: &[u32]| u64::from(first) + missing.len() as u64;
            a == b
                && u64::from(*first_a) < end(*first_b, missing_b)
                && u64::from(*first_b) < end(*first_a, missing_a)
        }
        (Item::Whole(_), Item::Whole(_)) => false,
    })
}

/// What an item says of each of its blocks, or `None` if it can't be true.
fn words(plan: &Plan, report: &Report, item: &Item) -> Option<Vec<(u32, Heard)>> {
    let (station, number) = (report.station, report.number);
    let (first_block, as_of, missing) = match item {
        Item::Whole(_) => (0, 0, vec![0; plan.blocks().len()]),
        Item::Blocks { first_block, as_of, missing, .. } => (*first_block, *as_of, missing.clone()),
    };
    let blocks = plan.blocks().get(first_block as usize..)?;
    if missing.len() > blocks.len() || missing.is_empty() {
        return None;
    }
    let may_have_been_sent = blocks.iter().take(missing.len()).map(|block| block.next_esi).max()?;
    if as_of > may_have_been_sent {
        return None;
    }
    let mut words = Vec::with_capacity(missing.len());
    for ((block, missing), b) in (first_block..).zip(missing).zip(blocks) {
        // Of K symbols that it takes at least, no more can have come than were sent.
        let k = plan.geometry.source_symbols(block)?;
        if k.saturating_sub(missing) > b.next_esi {
            return None;
        }
        words.push((block, Heard { station, number, as_of, need: missing.min(k.saturating_add(64)) }));
    }
    Some(words)
}
