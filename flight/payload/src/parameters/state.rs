//! What is kept of the parameters, and what was done to it: plain data without a rule.

use std::collections::VecDeque;

use super::record::MAX_REMEMBERED;
use super::set::{OrderId, Set};

/// All that must survive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Both copies were damaged, and nothing was committed since.
    pub(super) lost: bool,
    /// The version of the set in force; 0: nothing was ever committed.
    pub(super) version: u32,
    /// The highest version that there was.
    pub(super) last_version: u32,
    pub(super) in_force: Set,
    pub(super) staged: Set,
    pub(super) trial: Option<Trial>,
    /// The orders that changed something, the newest last.
    pub(super) orders: VecDeque<Remembered>,
}

/// What is put back unless the set in force is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    /// When, by the wall clock.
    pub(super) deadline_unix_ms: u64,
    /// The time that was left when this was written, ms.
    pub(super) left_ms: u64,
    /// The time that there was in all, ms.
    pub(super) within_ms: u64,
    pub(super) version_before: u32,
    pub(super) before: Set,
}

/// An order that changed something, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) id: OrderId,
    pub(super) done: Done,
}

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A value is staged.
    Staged,
    /// Nothing is staged any more.
    Discarded,
    /// What was staged is in force, on trial.
    Committed {
        /// The version that it is.
        version: u32,
        /// Whether the daemon has to be started anew for all of it to count.
        restart: bool,
    },
    /// What was on trial stays.
    Confirmed {
        /// The version that it is.
        version: u32,
    },
    /// What was before the trial is in force again.
    RolledBack {
        /// The version that it is.
        version: u32,
        /// Whether the daemon has to be started anew for all of it to count.
        restart: bool,
    },
}

impl State {
    /// What came of an order before, if it is remembered.
    pub(super) fn recall(&self, id: OrderId) -> Option<Done> {
        self.orders.iter().rev().find(|order| order.id == id).map(|order| order.done)
    }

    /// The orders that are remembered.
    pub(super) fn remembered(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.orders.iter().map(|order| order.id)
    }

    /// Keeps in mind what came of an order.
    pub(super) fn remember(&mut self, id: OrderId, done: Done) -> Done {
        while self.orders.len() >= MAX_REMEMBERED {
            self.orders.pop_front();
        }
        self.orders.push_back(Remembered { id, done });
        done
    }
}
