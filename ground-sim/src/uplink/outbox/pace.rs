//! When something that was not answered goes again.

/// The first distance, ms: an answer takes a second or two on a slow line.
const FIRST_MS: u64 = 4_000;
/// The longest distance, ms.
const LONGEST_MS: u64 = 120_000;

/// Growing distances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    due_ms: u64,
    distance_ms: u64,
}

impl Pace {
    /// For something that goes now.
    pub(super) fn at(now_ms: u64) -> Self {
        Self { due_ms: now_ms, distance_ms: FIRST_MS }
    }

    /// When it goes next.
    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// It went.
    pub(super) fn went(&mut self, now_ms: u64) {
        self.due_ms = now_ms + self.distance_ms;
        self.distance_ms = (self.distance_ms * 2).min(LONGEST_MS);
    }
}
