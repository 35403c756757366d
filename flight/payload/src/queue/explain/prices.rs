//! What it costs to bring bundles down over a link, as the sender would reckon it.

use std::collections::BTreeMap;

use passband_proto::datagram::MAX_BLOCK_SYMBOLS;
use passband_proto::ids::Class;
use passband_proto::transfer::belief::{Aim, LossBelief};

use super::{Cost, LinkBelief};
use crate::queue::entry::Entry;

/// Prices by the sender's own aims, found once for bundles about alike.
pub(super) struct Prices {
    belief: LossBelief,
    targets: [f64; 4],
    /// By class, need of a block, and number of blocks, the last two powers of two.
    aims: BTreeMap<(Class, u32, u32), Aim>,
    overhead_bytes: u32,
}

impl Prices {
    pub(super) fn new(link: &LinkBelief) -> Self {
        let usable = |target: f64| if target.is_finite() { target.clamp(0.0, 0.999_999) } else { 0.5 };
        let belief = LossBelief::expecting(link.expected_loss);
        let targets = link.targets.map(usable);
        Self { belief, targets, aims: BTreeMap::new(), overhead_bytes: link.overhead_bytes }
    }

    /// What is left to be sent of a bundle: what its blocks, taken to be as large as each other, want under
    /// the sender's aim, less what was sent.
    pub(super) fn cost(&mut self, entry: &Entry) -> Cost {
        let blocks = entry.source_symbols.div_ceil(MAX_BLOCK_SYMBOLS).max(1);
        let need = entry.source_symbols.div_ceil(blocks).saturating_add(1);
        let all =
            u64::from(self.aim(entry.class, need, blocks).symbols(need)).saturating_mul(u64::from(blocks));
        let symbols = all.saturating_sub(u64::from(entry.sent_symbols));
        let datagram = entry.bytes_of(1).saturating_add(u64::from(self.overhead_bytes));
        Cost { bundles: 1, symbols, link_bytes: symbols.saturating_mul(datagram) }
    }

    /// The aim for needs and blocks up to the next powers of two: it asks for a little more.
    fn aim(&mut self, class: Class, need: u32, blocks: u32) -> Aim {
        let (belief, target) = (&self.belief, self.targets.get(class as usize).copied().unwrap_or_default());
        let above = |n: u32| n.checked_next_power_of_two().unwrap_or(1 << 31);
        let (need, blocks) = (above(need), above(blocks));
        let found = self.aims.entry((class, need, blocks));
        *found.or_insert_with(|| belief.aim(&[(need, blocks)], target))
    }
}
