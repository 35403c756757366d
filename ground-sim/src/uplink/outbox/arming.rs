//! What is armed: who fires it, and for how long it stays so.

use anyhow::Result;
use passband_proto::dict::{Answer, Reason, Stage};

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
        let ended = self.end_armed(fires, |armed| armed.fired_by = Some(0), shelf)?;
        noticed.extend(ended.into_iter().map(Noticed::Order));
        Ok(())
    }

    /// What of ours is armed is so no more when one of ours comes to fire it, also if that is refused: unless the board looks no
    /// further than at its number, or has no room for it.
    pub(super) fn came_to_fire(&mut self, answer: &Answer, shelf: &mut dyn Shelf) -> Result<()> {
        let by = answer.number;
        let before = |armed: &Entry| armed.number < by;
        match (answer.stage, answer.reason) {
            (Stage::Refused, Reason::NumberTaken | Reason::TooOld | Reason::Busy) => Ok(()),
            (Stage::Refused, _) => {
                self.end_armed(before, |armed| armed.disarmed_by = Some(by), shelf).map(drop)
            }
            _ => self.end_armed(before, |armed| armed.fired_by = Some(by), shelf).map(drop),
        }
    }

    /// What of ours is armed is so no more, which `note` writes down: the numbers of those orders.
    fn end_armed(
        &mut self,
        which: impl Fn(&Entry) -> bool,
        note: impl Fn(&mut Entry),
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u32>> {
        let mut ended = Vec::new();
        for live in self.orders.values_mut() {
            if live.entry.armed_until().is_some() && which(&live.entry) {
                note(&mut live.entry);
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
