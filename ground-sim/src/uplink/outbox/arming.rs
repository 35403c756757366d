//! What is armed: who fires it, and for how long it stays so.

use anyhow::Result;
use passband_proto::dict::{Answer, Stage};

use super::super::entry::Entry;
use super::super::hold::ARM_S;
use super::super::shelf::Shelf;
use super::{Noticed, Outbox};

impl Outbox {
    /// What an order of ours armed may be fired by the holder of another key.
    pub(super) fn others_fire(
        &mut self,
        answer: &Answer,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        if matches!(answer.stage, Stage::Armed | Stage::Refused) {
            return Ok(());
        }
        // An answer that is repeated may be of an earlier time.
        let fires = |armed: &Entry| {
            armed.check() == answer.check
                && armed.told.as_ref().is_some_and(|told| told.unix_ms <= answer.unix)
        };
        let ended = self.end_armed(0, fires, shelf)?;
        noticed.extend(ended.into_iter().map(Noticed::Order));
        Ok(())
    }

    /// What of ours is armed is so no more, since `by` came: the numbers of those orders.
    pub(super) fn end_armed(
        &mut self,
        by: u32,
        which: impl Fn(&Entry) -> bool,
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u32>> {
        let mut ended = Vec::new();
        for live in self.orders.values_mut() {
            if live.entry.armed_until().is_some() && which(&live.entry) {
                live.entry.fired_by = Some(by);
                live.armed_until_ms = None;
                shelf.keep_order(&live.entry)?;
                ended.push(live.entry.number);
            }
        }
        Ok(ended)
    }

    /// For how long orders stay armed, as the satellite says, unless it was said here.
    pub(super) fn learn_arm(
        &mut self,
        seconds: Option<u64>,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let known = seconds.filter(|s| ARM_S.contains(s)).map(|s| s * 1000);
        if let Some(arm_ms) = known.filter(|arm_ms| self.learns_arm && *arm_ms != self.arm_ms) {
            self.arm_ms = arm_ms;
            shelf.keep_arm(arm_ms)?;
            noticed.push(Noticed::ArmedFor(arm_ms));
        }
        Ok(())
    }
}
