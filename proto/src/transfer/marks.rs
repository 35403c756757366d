//! Marks: what of each block survives a crash.
//!
//! Ids are reserved durably before they are used, some way ahead and for many blocks in one go, so that
//! the store is written a few times a second at most. What was *sent* is credited later, once so many symbols
//! more have been encoded as may wait between encoder and radio: a crash then never credits symbols that had
//! not left yet. So it costs the knowledge of what was sent within two such spans at most, and never an id that
//! is used twice.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::datagram::ESI_LIMIT;
use crate::ids::BundleId;

/// How far a block has got: what has to survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlockMark {
    /// Which block.
    pub block: u32,
    /// Encoding symbol ids below this may have been sent and are never used again.
    pub esi: u32,
    /// Symbols known to have been sent.
    pub sent: u32,
}

/// A block's mark as stored, and how much had been encoded of it when credit was given last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stored {
    esi: u32,
    sent: u32,
    encoded: u32,
}

/// A block of a bundle that isn't offered any more, of which more was sent than is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    stored: Stored,
    sent: u32,
}

/// The marks of all bundles that are offered.
#[derive(Debug, Default)]
pub(super) struct Marks {
    bundles: BTreeMap<BundleId, Vec<Stored>>,
    /// What is still to be credited of bundles that were withdrawn.
    left: BTreeMap<(BundleId, u32), Left>,
    /// Blocks of which more was sent than is stored.
    dirty: BTreeSet<(BundleId, u32)>,
    /// Symbols since the last write.
    pub(super) since_write: u32,
    /// Symbols since credit was given last, before those of the present run.
    since_credit: u32,
    /// Those of the present run.
    present: u32,
}

impl Marks {
    /// Takes the marks of a bundle that is offered, as they are stored. Gives them with what is known better: what was
    /// sent when it was offered before, and isn't credited yet.
    pub(super) fn insert(&mut self, id: BundleId, blocks: u32, marks: &[BlockMark]) -> Vec<BlockMark> {
        let mut stored = vec![Stored::default(); blocks as usize];
        for mark in marks {
            if let Some(place) = stored.get_mut(mark.block as usize) {
                *place = Stored { esi: mark.esi, sent: mark.sent, encoded: mark.sent };
            }
        }
        let mut known = Vec::new();
        for (block, place) in (0..).zip(&mut stored) {
            let mut sent = place.sent;
            if let Some(left) = self.left.remove(&(id, block)) {
                place.esi = place.esi.max(left.stored.esi);
                place.encoded = place.encoded.max(left.stored.encoded);
                sent = sent.max(left.sent);
                self.dirty.insert((id, block));
            }
            if place.esi > 0 || sent > 0 {
                known.push(BlockMark { block, esi: place.esi, sent });
            }
        }
        self.bundles.insert(id, stored);
        known
    }

    /// A bundle is withdrawn for a fault: what was sent of it last isn't known.
    pub(super) fn forget(&mut self, id: &BundleId) {
        self.withdraw(id, |_, _| None);
    }

    /// A bundle is withdrawn. `at` gives `(next esi, sent)` of a block; what was sent is credited once it has left.
    pub(super) fn withdraw(&mut self, id: &BundleId, at: impl Fn(&BundleId, u32) -> Option<(u32, u32)>) {
        let Some(blocks) = self.bundles.remove(id) else { return };
        let gone: Vec<_> = self.dirty.range((*id, 0)..=(*id, u32::MAX)).copied().collect();
        for key in gone {
            self.dirty.remove(&key);
            let (Some((next_esi, sent)), Some(stored)) = (at(id, key.1), blocks.get(key.1 as usize)) else {
                continue;
            };
            let stored = Stored { esi: stored.esi.max(next_esi), ..*stored };
            if stored.sent != sent {
                self.left.insert(key, Left { stored, sent });
            }
        }
    }

    /// Notes that symbols of a block are being sent; whether the ids below `end` are reserved.
    pub(super) fn uses(&mut self, id: BundleId, block: u32, end: u32, count: u32) -> bool {
        self.since_write = self.since_write.saturating_add(count);
        self.since_credit = self.since_credit.saturating_add(self.present);
        self.present = count;
        self.dirty.insert((id, block));
        self.get(&id, block).is_some_and(|stored| stored.esi >= end)
    }

    /// The marks to write: of the blocks in `ahead`, `(bundle, block, ids to reserve from the next on)`, and
    /// of all that was sent since it was written last. `waiting` symbols may not have left yet. `at` gives
    /// `(next esi, sent)` of a block.
    pub(super) fn write(
        &mut self,
        ahead: &[(BundleId, u32, u32)],
        waiting: u32,
        at: impl Fn(&BundleId, u32) -> Option<(u32, u32)>,
    ) -> Vec<(BundleId, BlockMark)> {
        self.since_write = 0;
        let credit = self.since_credit >= waiting;
        if credit {
            self.since_credit = 0;
        }
        for &(id, block, count) in ahead {
            let Some((next_esi, _)) = at(&id, block) else { continue };
            if let Some(stored) = self.bundles.get_mut(&id).and_then(|b| b.get_mut(block as usize)) {
                stored.esi = next_esi.saturating_add(count).min(ESI_LIMIT).max(stored.esi);
                self.dirty.insert((id, block));
            }
        }
        let mut marks = Vec::new();
        let mut clean = Vec::new();
        for &(id, block) in &self.dirty {
            let (Some((next_esi, sent)), Some(stored)) =
                (at(&id, block), self.bundles.get_mut(&id).and_then(|b| b.get_mut(block as usize)))
            else {
                clean.push((id, block));
                continue;
            };
            if credit {
                (stored.sent, stored.encoded) = (stored.encoded, sent);
            }
            // After a write that failed: never less than what may have been used.
            stored.esi = stored.esi.max(next_esi);
            marks.push((id, BlockMark { block, esi: stored.esi, sent: stored.sent }));
            if stored.sent == sent {
                clean.push((id, block));
            }
        }
        for key in clean {
            self.dirty.remove(&key);
        }
        if credit {
            self.left.retain(|(id, block), Left { stored, sent }| {
                (stored.sent, stored.encoded) = (stored.encoded, *sent);
                marks.push((*id, BlockMark { block: *block, esi: stored.esi, sent: stored.sent }));
                stored.sent != *sent
            });
        }
        marks
    }

    /// The exact marks of all blocks whose stored marks aren't.
    pub(super) fn exact(
        &mut self,
        at: impl Fn(&BundleId, u32) -> Option<(u32, u32)>,
    ) -> Vec<(BundleId, BlockMark)> {
        (self.since_write, self.since_credit, self.present) = (0, 0, 0);
        self.dirty.clear();
        let left = std::mem::take(&mut self.left).into_iter();
        let mut marks: Vec<_> = left
            .map(|((id, block), left)| (id, BlockMark { block, esi: left.stored.esi, sent: left.sent }))
            .collect();
        for (id, blocks) in &mut self.bundles {
            for (block, stored) in (0..).zip(blocks.iter_mut()) {
                let Some((esi, sent)) = at(id, block) else { continue };
                if (stored.esi, stored.sent) != (esi, sent) {
                    marks.push((*id, BlockMark { block, esi, sent }));
                }
                *stored = Stored { esi, sent, encoded: sent };
            }
        }
        marks
    }

    /// A write failed: nothing of it may be taken to be stored.
    pub(super) fn failed(&mut self, marks: &[(BundleId, BlockMark)]) {
        for (id, mark) in marks {
            let BlockMark { block, esi, sent } = *mark;
            if let Some(blocks) = self.bundles.get_mut(id) {
                if let Some(stored) = blocks.get_mut(block as usize) {
                    stored.esi = 0;
                    self.dirty.insert((*id, block));
                }
            } else if let Entry::Vacant(place) = self.left.entry((*id, block)) {
                place.insert(Left { stored: Stored { esi, sent: 0, encoded: sent }, sent });
            }
        }
    }

    fn get(&self, id: &BundleId, block: u32) -> Option<&Stored> {
        self.bundles.get(id)?.get(block as usize)
    }
}
