//! Entries in slots, in chunks of a fixed size, so that growing moves none of them.
//!
//! Knows nothing of order: that is kept in [`super::lanes`].

use super::entry::Entry;

/// Entries of a chunk.
const CHUNK: usize = 1024;

/// Slots for entries.
#[derive(Debug, Default)]
pub(super) struct Slab {
    chunks: Vec<Vec<Option<Entry>>>,
    free: Vec<u32>,
    used: u32,
}

impl Slab {
    /// Takes an entry in; the number of its slot.
    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        let slot = self.free.pop().unwrap_or(self.used);
        if let Some(place) = self.cell(slot) {
            *place = Some(entry);
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Some(entry));
        }
        self.used = self.used.saturating_add(1);
        slot
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.cell(slot)?.take()?;
        self.free.push(slot);
        Some(entry)
    }

    /// The entry of a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        let (chunk, at) = (slot as usize / CHUNK, slot as usize % CHUNK);
        self.chunks.get(chunk)?.get(at)?.as_ref()
    }

    /// The entry of a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.cell(slot)?.as_mut()
    }

    /// All entries, with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let slots = (0_u32..).zip(self.chunks.iter().flatten());
        slots.filter_map(|(slot, entry)| entry.as_ref().map(|entry| (slot, entry)))
    }

    fn cell(&mut self, slot: u32) -> Option<&mut Option<Entry>> {
        let (chunk, at) = (slot as usize / CHUNK, slot as usize % CHUNK);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }
}
