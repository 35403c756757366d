//! What is armed: who fires it, what disarms it, and for how long it stays so.
//!
//! Telemetry may be lost, late, or of a time in which nobody worked the outbox: so whatever tells of a firing or of a disarming
//! counts, in any order, and what is known of a firing goes before what was believed meanwhile.

use anyhow::Result;
use passband_proto::dict::{Answer, Beacon, Event, EventCode, Reason, Stage};
use passband_proto::packet::Mode;

use super::super::entry::{Disarmed, Entry};
use super::super::hold::{ARM_S, HOLD_MS};
use super::super::shelf::Shelf;
use super::{Moment, Noticed, Outbox};

/// So many firings by holders of other keys are remembered.
const MOST_FIRINGS: usize = 16;
/// A beacon tells the time since its start in whole seconds, ms.
const UPTIME_STEP_MS: u64 = 1_000;

/// An order of the holder of another key was taken up: what it was, and when by the board's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Firing {
    check: u32,
    unix_ms: u64,
}

impl Firing {
    /// Whether it can have fired an order: an answer that is repeated may be of an earlier time, and one of a time when the
    /// order was armed no more fired another.
    fn fires(&self, armed: &Entry, arm_ms: u64) -> bool {
        let Some(told) = armed.told.as_ref().filter(|_| armed.check() == self.check) else { return false };
        let after_ms = self.unix_ms.checked_sub(told.unix_ms);
        after_ms.is_some_and(|after| armed.armed_until().is_some() || after <= arm_ms + HOLD_MS)
    }
}

impl Outbox {
    /// What an order of ours armed may be fired by the holder of another key, and that be told before the arming is.
    pub(super) fn others_fire(
        &mut self,
        answer: &Answer,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        if matches!(answer.stage, Stage::Armed | Stage::Refused) {
            return Ok(());
        }
        let firing = Firing { check: answer.check, unix_ms: answer.unix };
        self.firings.retain(|known| known.check != firing.check || known.unix_ms > firing.unix_ms);
        self.firings.push_back(firing);
        if self.firings.len() > MOST_FIRINGS {
            self.firings.pop_front();
        }
        self.fired_by_others(shelf, noticed)
    }

    /// Ends what was armed and is known to be fired by the holder of another key.
    pub(super) fn fired_by_others(
        &mut self,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let (firings, arm_ms) = (std::mem::take(&mut self.firings), self.arm_ms);
        let fires = |armed: &Entry| firings.iter().any(|firing| firing.fires(armed, arm_ms));
        let ended = self.end_armed(fires, by(0), shelf);
        self.firings = firings;
        noticed.extend(ended?.into_iter().map(Noticed::Order));
        Ok(())
    }

    /// What of ours is armed is so no more when one of ours comes to fire it, also if that is refused: unless the board looks no
    /// further than at its number, or has no room for it.
    pub(super) fn came_to_fire(&mut self, answer: &Answer, shelf: &mut dyn Shelf) -> Result<()> {
        let number = answer.number;
        let armed_before = |armed: &Entry| armed.number < number && armed.armed_until().is_some();
        match (answer.stage, answer.reason) {
            (Stage::Refused, Reason::NumberTaken | Reason::TooOld | Reason::Busy) => Ok(()),
            (Stage::Refused, _) => {
                self.end_armed(armed_before, |armed| armed.disarmed_by = Some(number), shelf).map(drop)
            }
            _ => {
                // Its time may have seemed over while the answer was on its way.
                let last = self.last_armed(answer.check, number);
                let which = |armed: &Entry| armed_before(armed) || Some(armed.number) == last;
                self.end_armed(which, by(number), shelf).map(drop)
            }
        }
    }

    /// The last order of these bytes that was armed before a number.
    fn last_armed(&self, check: u32, before: u32) -> Option<u32> {
        let mut earlier = self.orders.range(..before).rev().map(|(_, live)| &live.entry);
        earlier.find(|entry| entry.step == Mode::Arm && entry.check() == check).map(|entry| entry.number)
    }

    /// An event may tell what no answer does any more: those are repeated until their own holder has them.
    pub(super) fn event_of_armed(
        &mut self,
        event: &Event,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let text = event.text.0.as_str();
        let Some((id, words)) = text.split_once(' ') else { return Ok(()) };
        let of_ours = id.strip_prefix(&format!("{}/", self.spi)).map(str::parse::<u32>);
        let since = |armed: &Entry| armed.told.as_ref().is_some_and(|told| told.unix_ms <= event.unix);
        let ended = match (event.code, of_ours) {
            (EventCode::OrderDisarmed, Some(Ok(number))) => {
                let which =
                    |armed: &Entry| armed.number == number && armed.armed_until().is_some() && since(armed);
                self.end_armed(which, |armed| armed.disarmed = Some(Disarmed::Told), shelf)?
            }
            (EventCode::OrderDone | EventCode::OrderFailed, None) => {
                // It names no arguments: what has some can't be told from another.
                let words = words.split(':').next().unwrap_or_default();
                let which =
                    |armed: &Entry| armed.armed_until().is_some() && armed.words() == words && since(armed);
                self.end_armed(which, by(0), shelf)?
            }
            _ => Vec::new(),
        };
        noticed.extend(ended.into_iter().map(Noticed::Order));
        Ok(())
    }

    /// A beacon, made at a time by the board's clock, tells which start of the satellite's software it is of. What was armed
    /// before that start is armed no more; unless what fires it is under way, which may be why there was one.
    pub(super) fn started(
        &mut self,
        beacon: &Beacon,
        unix_ms: u64,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        self.boot = Some(self.boot.unwrap_or_default().max(beacon.boot_count));
        let since_ms = unix_ms.saturating_sub(u64::from(beacon.uptime) * 1_000 + UPTIME_STEP_MS);
        let underway: Vec<u32> = self.firing().map(Entry::check).collect();
        let mut ended = Vec::new();
        for live in self.orders.values_mut().filter(|live| live.entry.armed_until().is_some()) {
            let armed = &mut live.entry;
            let armed_ms = armed.told.as_ref().map_or(0, |told| told.unix_ms);
            let is_newer = match armed.armed_in_boot {
                Some(known) => beacon.boot_count > known,
                None => unix_ms >= armed_ms,
            };
            if !is_newer || underway.contains(&armed.check()) {
                continue;
            }
            if (since_ms..=unix_ms).contains(&armed_ms) {
                armed.armed_in_boot = Some(beacon.boot_count);
            } else {
                armed.disarmed = Some(Disarmed::Restart);
                live.armed_until_ms = None;
                ended.push(Noticed::Order(live.entry.number));
            }
            shelf.keep_order(&live.entry)?;
        }
        noticed.extend(ended);
        Ok(())
    }

    /// What of ours was sent to fire something, and isn't answered.
    fn firing(&self) -> impl Iterator<Item = &Entry> {
        self.orders().filter(|entry| entry.step == Mode::Fire && entry.sent > 0 && entry.is_open())
    }

    /// What is armed is so no more once its time is over.
    pub(super) fn armed_no_longer(&mut self, now: Moment, shelf: &mut dyn Shelf) -> Result<()> {
        let over = |until: u64| until <= now.steady_ms;
        let due: Vec<u32> = self
            .orders
            .values()
            .filter(|live| live.armed_until_ms.is_some_and(over))
            .map(|live| live.entry.number)
            .collect();
        let which = |armed: &Entry| due.contains(&armed.number) && armed.armed_until().is_some();
        if due.is_empty() {
            return Ok(());
        }
        self.end_armed(which, |armed| armed.disarmed = Some(Disarmed::TimeOver), shelf).map(drop)
    }

    /// What of ours was armed is so no more, which `note` writes down: the numbers of those orders.
    fn end_armed(
        &mut self,
        which: impl Fn(&Entry) -> bool,
        note: impl Fn(&mut Entry),
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u32>> {
        let mut ended = Vec::new();
        for live in self.orders.values_mut() {
            if live.entry.may_have_been_fired() && !live.entry.dropped && which(&live.entry) {
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

/// Notes that an order fired what was armed; 0: another holder's.
fn by(number: u32) -> impl Fn(&mut Entry) {
    move |armed| (armed.fired_by, armed.disarmed) = (Some(number), None)
}
