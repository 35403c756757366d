//! Taking an order back, and what could still be done about it.
//!
//! Whoever works the outbox does it; where nobody does, it is done at once here, under the lock that keeps others from working
//! it meanwhile. What is armed and given up is disarmed on board by the order that comes next; where none waits, a ping is
//! queued for that. Waits no longer than it is told to.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use passband_proto::dict::Order;
use passband_proto::packet::Mode;

use super::entry::Entry;
use super::folder::{Drop, Folder};
use super::shelf::Shelf;
use crate::telemetry::feed::unix_ms;

/// How often it is looked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What became of an order that was to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenBack {
    /// It never left.
    Unsent,
    /// Too late: it was sent so often, and is sent no more. What has arrived is done all the same.
    Sent(u32),
    /// It was armed. The order of this number disarms it on board.
    Armed {
        /// That order; 0: none could be queued.
        by: u32,
    },
    /// Too late: it is settled so.
    Settled(String),
    /// Whoever works the outbox hasn't done it yet.
    Asked,
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent => f.write_str("taken back: it was never sent"),
            Self::Sent(times) => {
                let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
                write!(f, "too late: it was sent {times}, and is done if it arrived; it is sent no more")
            }
            Self::Armed { by: 0 } => {
                f.write_str("given up: the others go on, and the next of them disarms it on board")
            }
            Self::Armed { by } => write!(f, "given up: the others go on, and #{by} disarms it on board"),
            Self::Settled(state) => write!(f, "too late: {state}"),
            Self::Asked => f.write_str("it is taken back as soon as the outbox is worked"),
        }
    }
}

/// Takes an order back, and waits so long at most for whoever works the outbox to do it.
///
/// # Errors
/// There is no such order, or those of the disk.
pub fn take_back(folder: &mut Folder, number: u32, patience: Duration) -> Result<TakenBack> {
    let gone = || format!("there is no order {number} in the outbox");
    let mut entry = folder.order(number)?.with_context(gone)?;
    while let Some(next) = entry.goes_on_as {
        entry = folder.order(next)?.with_context(gone)?;
    }
    let now = unix_ms();
    let was_armed = entry.armed_until().is_some_and(|until| until > now);
    if !entry.is_open() && !was_armed {
        return Ok(TakenBack::Settled(entry.state()));
    }
    let Some(entry) = drop_it(folder, entry.number, patience)? else { return Ok(TakenBack::Asked) };
    Ok(match (was_armed, entry.dropped, entry.sent) {
        (true, true, _) => TakenBack::Armed { by: disarm(folder)? },
        (false, true, 0) => TakenBack::Unsent,
        (false, true, sent) if entry.told.is_none() || entry.is_there() => TakenBack::Sent(sent),
        _ => TakenBack::Settled(entry.state()),
    })
}

/// The order once it is dropped or settled; none: neither came in time.
fn drop_it(folder: &mut Folder, number: u32, patience: Duration) -> Result<Option<Entry>> {
    folder.drop_later(Drop::Order(number))?;
    let until = Instant::now() + patience;
    loop {
        if let Some(lock) = folder.lock()? {
            drop_here(folder, number)?;
            drop(lock);
        }
        let entry = folder.order(number)?;
        let asked = folder.drops()?.contains(&Drop::Order(number));
        if !asked || Instant::now() >= until {
            return Ok(entry.filter(|_| !asked));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Drops an order of an outbox that nobody works, and with what is armed what would fire it.
fn drop_here(folder: &mut Folder, number: u32) -> Result<()> {
    let later = folder.numbers()?.into_iter().filter(|other| *other >= number);
    let entries: Vec<_> = later.filter_map(|number| folder.order(number).ok().flatten()).collect();
    let armed = entries.iter().find(|entry| entry.number == number && entry.step == Mode::Arm);
    let check = armed.map(Entry::check);
    for entry in entries {
        let fires = entry.step == Mode::Fire && Some(entry.check()) == check && entry.is_open();
        let is_it = entry.number == number && (entry.is_open() || entry.armed_until().is_some());
        if fires || is_it {
            folder.keep_order(&Entry { dropped: true, ..entry })?;
        }
    }
    folder.dropped(Drop::Order(number))
}

/// The order that disarms: one that waits, else a ping that is queued for it.
fn disarm(folder: &Folder) -> Result<u32> {
    let waits = |number: &u32| {
        let entry = folder.order(*number).ok().flatten();
        entry.is_some_and(|entry| entry.step == Mode::Run && entry.is_open() && !entry.is_there())
    };
    match folder.numbers()?.into_iter().rev().take(64).find(waits) {
        Some(number) => Ok(number),
        None => Ok(folder.queue(Mode::Run, &Order::Ping {}, unix_ms())?.number),
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Told;
    use super::*;
    use passband_proto::dict::{Reason, Stage};
    use passband_proto::sdls::{Role, RoleKey};

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn what_nobody_works_is_taken_back_at_once_and_what_is_armed_with_what_would_fire_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
        let mut folder = Folder::open(dir.path(), &key).unwrap();
        let queue = |folder: &Folder, step| folder.queue(step, &Order::BoardReboot {}, unix_ms()).unwrap();
        let unsent = queue(&folder, Mode::Arm).number;
        assert_eq!(take_back(&mut folder, unsent, NO_TIME).unwrap(), TakenBack::Unsent);
        assert!(matches!(take_back(&mut folder, unsent, NO_TIME).unwrap(), TakenBack::Settled(_)));
        let mut sent = queue(&folder, Mode::Arm);
        sent.sent = 2;
        folder.keep_order(&sent).unwrap();
        let said = take_back(&mut folder, sent.number, NO_TIME).unwrap().to_string();
        assert!(said.starts_with("too late: it was sent 2 times"), "{said}");
        let (mut armed, fire) = (queue(&folder, Mode::Arm), queue(&folder, Mode::Fire));
        let text = "for 60 s".to_owned();
        armed.told = Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text });
        armed.armed_until_unix_ms = Some(unix_ms() + 60_000);
        folder.keep_order(&armed).unwrap();
        let by = fire.number + 1;
        assert_eq!(take_back(&mut folder, armed.number, NO_TIME).unwrap(), TakenBack::Armed { by });
        let state = |number| folder.order(number).unwrap().unwrap().state();
        assert_eq!(
            (state(armed.number), state(fire.number)),
            ("armed, then given up".into(), "dropped".into())
        );
        assert_eq!(folder.order(by).unwrap().unwrap().words(), "ping");
        assert!(take_back(&mut folder, 1, NO_TIME).is_err());
    }

    #[test]
    fn who_works_it_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
        let mut folder = Folder::open(dir.path(), &key).unwrap();
        let _works = folder.lock().unwrap().unwrap();
        let number = folder.queue(Mode::Run, &Order::Ping {}, unix_ms()).unwrap().number;
        assert_eq!(take_back(&mut folder, number, NO_TIME).unwrap(), TakenBack::Asked);
        assert_eq!(folder.drops().unwrap(), [Drop::Order(number)]);
    }
}
