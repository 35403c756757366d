//! Why orders of an outbox wait: one of them is between the two steps of a hazardous order, and any other would disarm it.
//!
//! The outbox asks by its steady clock, listings by the clock of the day; both are handed in, with the orders. Decides
//! nothing else, and never sends anything.

use anyhow::Result;
use passband_proto::packet::Mode;

use super::entry::{Entry, clock};
use super::folder::Folder;

/// Orders behind a step of a hazardous one wait so long at most for that to be answered, ms.
pub const HOLD_MS: u64 = 120_000;
/// An order stays armed so long on board unless it is configured otherwise, ms: the default of `command.arm`.
pub const ARM_MS: u64 = 60_000;
/// What `command.arm` can be, s.
pub const ARM_S: core::ops::RangeInclusive<u64> = 5..=3_600;
/// Nothing holds longer than an order can stay armed (`command.arm`, an hour at most), ms.
const MOST_MS: u64 = 3_600_000 + HOLD_MS;
/// How long an order stays armed, in the words of every place that says so.
pub const STAYS_ARMED: &str = "until it is fired, until its time is over, until the satellite's software starts anew, or until any other order \
     under the same key reaches the satellite";
/// After so many orders that are older a folder is looked through no further.
const MOST_OLD: usize = 256;

/// For how long the answer to what was armed says that it is, s: `for 60 s`.
#[must_use]
pub fn seconds_armed(text: &str) -> Option<u64> {
    text.strip_prefix("for ")?.strip_suffix(" s")?.parse().ok().filter(|s| ARM_S.contains(s))
}

/// What may go while a hazardous order is between its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Everything.
    Nothing,
    /// A step of a hazardous order isn't answered: orders behind it wait, and once it was sent all others.
    Step {
        /// Its number.
        number: u32,
        /// Which step.
        step: Mode,
        /// Whether it has left: then those before it wait, too, since what was lost of them would disarm it.
        sent: bool,
        /// Until then at most, ms since 1970-01-01 UTC.
        until_unix_ms: u64,
    },
    /// An order is armed: all wait but what fires it.
    Armed {
        /// Its number.
        number: u32,
        /// [`Entry::check`] of it.
        check: u32,
        /// Until then, ms since 1970-01-01 UTC.
        until_unix_ms: u64,
    },
}

/// An order, and how long it can keep others.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The order.
    pub entry: &'a Entry,
    /// How long others wait for its answer still, ms.
    pub step_ms: u64,
    /// How long it stays armed still, ms.
    pub armed_ms: u64,
}

impl<'a> Seen<'a> {
    /// By the clock of the day.
    #[must_use]
    pub fn at(entry: &'a Entry, now_unix_ms: u64) -> Self {
        let step_ms = entry.queued_unix_ms.saturating_add(HOLD_MS).saturating_sub(now_unix_ms).min(HOLD_MS);
        let armed_ms = entry.armed_until().map_or(0, |until| until.saturating_sub(now_unix_ms));
        Self { entry, step_ms, armed_ms }
    }
}

impl Hold {
    /// What holds others of these orders, which come by their numbers: what was armed last, else the first step without an
    /// answer.
    #[must_use]
    pub fn of<'a>(seen: impl Iterator<Item = Seen<'a>>, now_unix_ms: u64) -> Self {
        let mut hold = Self::Nothing;
        for Seen { entry, step_ms, armed_ms } in seen {
            let number = entry.number;
            if entry.armed_until().is_some() && armed_ms > 0 {
                let until_unix_ms = now_unix_ms.saturating_add(armed_ms);
                hold = Self::Armed { number, check: entry.check(), until_unix_ms };
            } else if hold == Self::Nothing && is_step_to_go(entry) && step_ms > 0 {
                let until_unix_ms = now_unix_ms.saturating_add(step_ms);
                hold = Self::Step { number, step: entry.step, sent: entry.sent > 0, until_unix_ms };
            }
        }
        hold
    }

    /// What holds others of the orders in a folder.
    ///
    /// # Errors
    /// Those of the disk. An order that can't be read holds nothing.
    pub fn in_folder(folder: &Folder, now_unix_ms: u64) -> Result<Self> {
        let (mut entries, mut old) = (Vec::new(), 0);
        for number in folder.numbers()?.into_iter().rev() {
            let Ok(Some(entry)) = folder.order(number) else { continue };
            if now_unix_ms.saturating_sub(entry.queued_unix_ms) <= MOST_MS {
                entries.push(entry);
                continue;
            }
            // Numbers rise with the time, but for orders that were given new ones.
            old += 1;
            if old >= MOST_OLD {
                break;
            }
        }
        Ok(Self::of(entries.iter().rev().map(|entry| Seen::at(entry, now_unix_ms)), now_unix_ms))
    }

    /// Whether an order has to wait.
    #[must_use]
    pub fn keeps(&self, entry: &Entry) -> bool {
        let is_to_go = entry.is_open() && !entry.is_there();
        let keeps = match self {
            Self::Nothing => false,
            Self::Step { number, sent, .. } => entry.number > *number || (*sent && entry.number < *number),
            Self::Armed { check, .. } => entry.step != Mode::Fire || entry.check() != *check,
        };
        is_to_go && keeps
    }

    /// What others wait for, in words; none: nothing.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Armed { number, until_unix_ms, .. } => {
                Some(format!("waits: #{number} is armed until {}", clock(*until_unix_ms)))
            }
            Self::Step { number, step, until_unix_ms, .. } => {
                let to = if *step == Mode::Arm { "armed" } else { "fired" };
                Some(format!("waits: #{number} is to be {to} first, until {} at most", clock(*until_unix_ms)))
            }
        }
    }

    /// Where an order stands, with what it waits for.
    #[must_use]
    pub fn state(&self, entry: &Entry) -> String {
        match self.words().filter(|_| self.keeps(entry)) {
            Some(words) if entry.sent == 0 => words,
            Some(words) => format!("{}; {words}", entry.state()),
            None => entry.state(),
        }
    }
}

/// Whether it is a step of a hazardous order that the satellite isn't known to have.
fn is_step_to_go(entry: &Entry) -> bool {
    entry.step != Mode::Run && entry.is_open() && !entry.is_there()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_disarms_is_named_by_one_wording() {
        use clap::CommandFactory;
        #[derive(clap::Parser)]
        struct Order {
            #[command(flatten)]
            args: crate::commands::order::OrderArgs,
        }
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (readme, console) = (include_str!("../../../README.md"), include_str!("../../CONSOLE.md"));
        let help = Order::command().render_long_help().to_string();
        for text in [readme, console, &help, include_str!("../commands/uplink/mod.rs")] {
            let text = plain(&text.replace("///", ""));
            assert!(text.contains(STAYS_ARMED), "{}", text.get(..300).unwrap_or_default());
        }
    }

    use super::super::entry::Told;
    use super::*;
    use passband_proto::dict::{Order, Reason, Stage};

    /// 2026-12-01T10:00:00Z.
    const NOW: u64 = 1_796_119_200_000;

    fn entry(number: u32, step: Mode, line: &str) -> Entry {
        Entry::new(number, step, &Order::from_line(line).unwrap(), NOW)
    }

    fn hold(entries: &[&Entry], now: u64) -> Hold {
        Hold::of(entries.iter().map(|entry| Seen::at(entry, now)), now)
    }

    #[test]
    fn others_wait_for_what_is_armed_and_are_told_for_how_long() {
        let (mut arm, ping) = (entry(5, Mode::Arm, "board reboot"), entry(6, Mode::Run, "ping"));
        let [fire, other] = ["board reboot", "daemon restart"].map(|line| entry(7, Mode::Fire, line));
        assert_eq!(
            hold(&[&arm, &ping], NOW).state(&ping),
            "waits: #5 is to be armed first, until 10:02:00 at most"
        );
        arm.told = Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text: String::new() });
        arm.armed_until_unix_ms = Some(NOW + 60_000);
        let armed = hold(&[&arm, &ping], NOW + 1);
        assert_eq!(armed.state(&ping), "waits: #5 is armed until 10:01:00");
        assert!(!armed.keeps(&fire) && armed.keeps(&other) && !armed.keeps(&arm));
        assert_eq!(armed.state(&arm), "armed until 10:01:00");
        assert_eq!(hold(&[&arm, &ping], NOW + 60_000), Hold::Nothing);
        for over in [Entry { dropped: true, ..arm.clone() }, Entry { fired_by: Some(7), ..arm.clone() }] {
            assert_eq!(hold(&[&over, &ping], NOW + 1), Hold::Nothing, "{}", over.state());
        }
    }

    #[test]
    fn a_step_that_the_satellite_has_keeps_nothing() {
        let (mut fire, ping) = (entry(5, Mode::Fire, "board reboot"), entry(6, Mode::Run, "ping"));
        assert!(hold(&[&fire, &ping], NOW).state(&ping).contains("#5 is to be fired first"));
        fire.told =
            Some(Told { stage: Stage::Started, reason: Reason::None, unix_ms: 0, text: String::new() });
        assert_eq!(hold(&[&fire, &ping], NOW), Hold::Nothing);
    }

    #[test]
    fn an_old_order_with_a_new_number_hides_no_hold() {
        let dir = tempfile::tempdir().unwrap();
        let key = passband_proto::sdls::RoleKey::new(1, 2, passband_proto::sdls::Role::Operator, [5; 32]);
        let folder = Folder::open(dir.path(), &key.unwrap()).unwrap();
        let arm = folder.queue(Mode::Arm, &Order::BoardReboot {}, NOW).unwrap().number;
        let old = folder.queue(Mode::Run, &Order::Ping {}, NOW - MOST_MS - 1).unwrap().number;
        assert!(old > arm);
        let hold = Hold::in_folder(&folder, NOW).unwrap();
        assert!(matches!(hold, Hold::Step { number, .. } if number == arm), "{hold:?}");
    }
}
