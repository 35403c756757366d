//! What the configuration says of new software.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Fault, within};
use crate::update::contract::Contract;
use crate::update::updater::Policy;

/// Who confirms an image that is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// An order.
    Order,
    /// It itself, once it has kept its health contract.
    Healthy,
}

/// `[update]`: new software.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// The type of this board, which releases name; default `jetson`.
    pub board: String,
    /// The first root, if it isn't in the image.
    pub root: Option<PathBuf>,
    /// Failures by its own doing that end a trial, 1 to 100; default 3.
    pub attempts: u8,
    /// A trial that isn't confirmed in so much time of running ends, 600 to 31,536,000 s; default three days.
    pub deadline_s: u32,
    /// Who confirms it; default `order`.
    pub confirm: Confirm,
    /// Passes that have to end in order before an image on trial counts as healthy, 0 to 1,000; default 2.
    pub passes: u16,
    /// How long it has to run for that without a restart, 0 to 2,592,000 s; default 600.
    pub up_s: u32,
    /// If the power goes time after time during a trial, the version before it runs for so long before the next try,
    /// 60 to 604,800 s; default 6,000.
    pub interlude_s: u32,
}

impl Default for Update {
    fn default() -> Self {
        let Policy { attempts, deadline_s, contract: Contract { passes, up_s }, interlude_s, .. } =
            Policy::default();
        let board = "jetson".to_owned();
        Self { board, root: None, attempts, deadline_s, confirm: Confirm::Order, passes, up_s, interlude_s }
    }
}

impl Update {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let update = |field| ("update", field);
        if !(1..=24).contains(&self.board.len()) || !self.board.bytes().all(|b| b.is_ascii_graphic()) {
            let what = format!("{:?}: 1 to 24 letters, digits and signs are wanted", self.board);
            return Err(Fault { section: "update", field: "board", what });
        }
        within(update("attempts"), self.attempts, 1..=100)?;
        within(update("deadline_s"), self.deadline_s, 600..=31_536_000)?;
        within(update("passes"), self.passes, 0..=1_000)?;
        within(update("up_s"), self.up_s, 0..=2_592_000)?;
        within(update("interlude_s"), self.interlude_s, 60..=604_800)
    }

    /// That as the updater wants it.
    pub fn policy(&self) -> Policy {
        Policy {
            board: self.board.clone(),
            attempts: self.attempts,
            deadline_s: self.deadline_s,
            by_itself: self.confirm == Confirm::Healthy,
            contract: Contract { passes: self.passes, up_s: self.up_s },
            interlude_s: self.interlude_s,
        }
    }
}
