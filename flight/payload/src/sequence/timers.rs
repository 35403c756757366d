//! What is due next, on the steady clock and on the wall clock.

use std::collections::BTreeSet;

use super::clock::Instants;
use super::instance::Place;

/// Times on both clocks, each with the entry that it is for. An entry has at most one on each, and its cell knows it.
#[derive(Debug, Default)]
pub(super) struct Timers {
    steady: BTreeSet<(u64, Place)>,
    wall: BTreeSet<(u64, Place)>,
}

/// The times that an entry has in [`Timers`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) steady_ms: Option<u64>,
    pub(super) unix_ms: Option<u64>,
}

impl Timers {
    /// Has an entry woken at these times and at no others.
    pub(super) fn set(&mut self, place: Place, old: &mut Set, new: Set) {
        if old.steady_ms != new.steady_ms {
            old.steady_ms.map(|at| self.steady.remove(&(at, place)));
            new.steady_ms.map(|at| self.steady.insert((at, place)));
        }
        if old.unix_ms != new.unix_ms {
            old.unix_ms.map(|at| self.wall.remove(&(at, place)));
            new.unix_ms.map(|at| self.wall.insert((at, place)));
        }
        *old = new;
    }

    /// An entry that is due; what it has to be woken at later has to be set anew.
    pub(super) fn pop_due(&mut self, now: Instants) -> Option<Place> {
        let due = |set: &BTreeSet<(u64, Place)>, now| set.first().copied().filter(|(at, _)| *at <= now);
        if let Some(first) = due(&self.steady, now.steady_ms) {
            self.steady.remove(&first);
            return Some(first.1);
        }
        let first = due(&self.wall, now.unix_ms)?;
        self.wall.remove(&first);
        Some(first.1)
    }

    /// When the next one is due, on the steady clock if the wall clock runs as it does.
    pub(super) fn next_ms(&self, now: Instants) -> Option<u64> {
        let steady = self.steady.first().map(|(at, _)| (*at).max(now.steady_ms));
        let wall =
            self.wall.first().map(|(at, _)| now.steady_ms.saturating_add(at.saturating_sub(now.unix_ms)));
        [steady, wall].into_iter().flatten().min()
    }
}
