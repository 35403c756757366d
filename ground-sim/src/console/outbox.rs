//! How orders leave by an outbox that `passband-ground uplink run` works: each is put into its folder as a whole.

use std::cell::Cell;
use std::time::{Duration, Instant};

use passband_proto::dict::Order;
use passband_proto::packet::Mode;
use passband_proto::sdls::{Role, RoleKey};

use super::commanding::{Commanding, Outgoing, StepState};
use crate::commands::order::{check_agenda, check_role};
use crate::commands::unix_ms;
use crate::uplink::names::check_order;
use crate::uplink::{Entry, Folder, Hold, take_back};

/// An order that has waited for so long with nothing in its way isn't worked, ms.
const UNWORKED_MS: u64 = 10_000;
/// Most orders that are listed.
const MOST: usize = 40;
/// How often it is looked up what orders wait for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a key that takes an order back waits for who works the outbox.
const PATIENCE: Duration = Duration::from_millis(700);

/// The outbox of a key's holder.
#[derive(Debug)]
pub struct Outbox {
    folder: Folder,
    spacecraft: u16,
    spi: u16,
    role: Role,
    /// What orders wait for, and when that was looked up.
    hold: Cell<Option<(Instant, Hold)>>,
}

impl Outbox {
    /// The one in a folder, of the holder of a key.
    #[must_use]
    pub fn new(folder: Folder, key: &RoleKey) -> Self {
        let (spacecraft, spi, role) = (key.spacecraft(), key.spi(), key.role());
        Self { folder, spacecraft, spi, role, hold: Cell::new(None) }
    }

    /// What orders wait for. The screen is drawn more often than that changes.
    fn hold(&self) -> Hold {
        if let Some((_, hold)) = self.hold.get().filter(|(at, _)| at.elapsed() < LOOK_EVERY) {
            return hold;
        }
        let hold = Hold::in_folder(&self.folder, unix_ms()).unwrap_or(Hold::Nothing);
        self.hold.set(Some((Instant::now(), hold)));
        hold
    }

    /// An order, under the number by which it goes now.
    fn entry(&self, number: u32) -> Result<Entry, String> {
        let look = |number| self.folder.order(number).map_err(|e| format!("{e:#}"));
        let mut entry = look(number)?.ok_or("the order is gone from the outbox")?;
        while let Some(next) = entry.goes_on_as {
            entry = look(next)?.ok_or("the order is gone from the outbox")?;
        }
        Ok(entry.at(unix_ms()))
    }
}

impl Commanding for Outbox {
    fn source(&self) -> u16 {
        self.spi
    }

    fn key(&self) -> Option<(u16, String)> {
        Some((self.spacecraft, format!("{}, SPI {}", self.role, self.spi)))
    }

    fn send(&mut self, step: Mode, order: &Order) -> Result<u32, String> {
        let def = order.def().ok_or("the dictionary has no such order")?;
        check_role(def, self.role).map_err(|e| format!("{e:#}"))?;
        check_agenda(order, self.role).map_err(|e| format!("{e:#}"))?;
        check_order(order).map_err(|e| format!("{e:#}"))?;
        self.hold.set(None);
        self.folder.queue(step, order, unix_ms()).map(|entry| entry.number).map_err(|e| format!("{e:#}"))
    }

    fn step(&self, number: u32) -> StepState {
        let entry = match self.entry(number) {
            Ok(entry) => entry,
            Err(why) => return StepState::Over(why),
        };
        let hold = self.hold();
        if let Some(until) = entry.armed_until() {
            StepState::Armed(Some(until.saturating_sub(unix_ms())))
        } else if !entry.is_open() {
            StepState::Over(entry.state())
        } else if entry.sent == 0 {
            StepState::Waits(state_of(&hold, &entry))
        } else {
            StepState::Sent(hold.state(&entry))
        }
    }

    fn take_back(&mut self, number: u32) -> Result<String, String> {
        self.hold.set(None);
        let done = take_back(&mut self.folder, number, PATIENCE).map_err(|e| format!("{e:#}"))?;
        Ok(done.to_string())
    }

    fn arm_ms(&self) -> Option<u64> {
        self.folder.arm_ms().ok()
    }

    fn outgoing(&self) -> Vec<Outgoing> {
        let numbers = self.folder.numbers().unwrap_or_default();
        let entries =
            numbers.into_iter().rev().take(MOST).filter_map(|n| self.folder.order(n).ok().flatten());
        let hold = self.hold();
        let shown = |entry: Entry| {
            let entry = entry.at(unix_ms());
            let (number, step, words) = (entry.number, entry.step, entry.words());
            Outgoing { number, step, words, state: state_of(&hold, &entry) }
        };
        entries.map(shown).collect()
    }
}

/// Where an order stands. One that nothing keeps back is sent within seconds, if the outbox is worked.
fn state_of(hold: &Hold, entry: &Entry) -> String {
    let waited_ms = unix_ms().saturating_sub(entry.queued_unix_ms);
    if entry.is_open() && entry.sent == 0 && !hold.keeps(entry) && waited_ms > UNWORKED_MS {
        return "not sent: nobody works this outbox? `passband-ground uplink run` does".to_owned();
    }
    hold.state(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::entry::Disarmed;
    use crate::uplink::{Shelf, Told};
    use passband_proto::dict::{Reason, Stage};

    #[test]
    fn a_step_is_shown_as_it_stands_and_taken_back_as_long_as_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
        let folder = || Folder::open(dir.path(), &key).unwrap();
        let mut outbox = Outbox::new(folder(), &key);
        let reboot = Order::BoardReboot {};
        let first = outbox.send(Mode::Arm, &reboot).unwrap();
        assert_eq!(outbox.step(first), StepState::Waits("waiting".to_owned()));
        assert!(outbox.take_back(first).unwrap().contains("never sent"));
        assert_eq!(outbox.step(first), StepState::Over("dropped".to_owned()));
        let second = outbox.send(Mode::Arm, &reboot).unwrap();
        let mut entry = folder().order(second).unwrap().unwrap();
        entry.sent = 1;
        folder().keep_order(&entry).unwrap();
        assert_eq!(outbox.step(second), StepState::Sent("sent once".to_owned()));
        entry.told =
            Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text: String::new() });
        entry.armed_until_unix_ms = Some(unix_ms() + 60_000);
        folder().keep_order(&entry).unwrap();
        assert!(matches!(outbox.step(second), StepState::Armed(Some(1..=60_000))));
        folder().keep_order(&Entry { disarmed: Some(Disarmed::Restart), ..entry.clone() }).unwrap();
        let says = "has started anew since; arm it again";
        assert!(matches!(outbox.step(second), StepState::Over(why) if why.contains(says)));
        assert!(outbox.outgoing()[0].state.starts_with("disarmed: "));
        folder().keep_order(&entry).unwrap();
        outbox.hold.set(None);
        outbox.send(Mode::Run, &Order::Ping {}).unwrap();
        let shown = outbox.outgoing();
        assert!(shown[0].state.starts_with(&format!("waits: #{second} is armed until ")), "{shown:?}");
        assert!(outbox.take_back(second).unwrap().contains("disarms it on board"));
        assert_eq!(outbox.outgoing()[0].state, "waiting");
        let number = outbox.outgoing()[0].number;
        let old = Entry { queued_unix_ms: unix_ms() - 60_000, ..folder().order(number).unwrap().unwrap() };
        folder().keep_order(&old).unwrap();
        assert!(outbox.outgoing()[0].state.starts_with("not sent: nobody works this outbox?"));
    }
}
