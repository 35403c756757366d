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

use super::entry::{Entry, Told, times};
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
    /// Too late: it was to be armed, was sent so often, and isn't answered.
    Arming {
        /// How often it was sent.
        sent: u32,
        /// The order that disarms it on board.
        by: u32,
    },
    /// It was armed. The order of this number disarms it on board.
    Armed {
        /// That order.
        by: u32,
    },
    /// Too late: it was armed, and what fires it was sent and isn't known to be refused.
    Firing {
        /// The number of what fires it.
        fire: u32,
        /// How often that was sent.
        sent: u32,
        /// The order that disarms it on board, unless it is fired.
        by: u32,
    },
    /// Too late: it is settled so.
    Settled(String),
    /// Whoever works the outbox hasn't done it yet.
    Asked,
}

impl TakenBack {
    /// Whether nothing is done of it on board, for sure.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        matches!(self, Self::Unsent | Self::Armed { .. })
    }
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent => f.write_str("taken back: it was never sent"),
            Self::Sent(sent) => {
                let times = times(*sent);
                write!(f, "too late: it was sent {times}, and is done if it arrived; it is sent no more")
            }
            Self::Arming { sent, by } => {
                let times = times(*sent);
                write!(f, "too late: it was sent {times}, and is armed if it arrived: #{by} disarms it on board")
            }
            Self::Armed { by } => write!(f, "given up: the others go on, and #{by} disarms it on board"),
            Self::Firing { fire, sent, by } => write!(
                f,
                "too late: #{fire}, which fires it, was sent {}, and is done if it arrived; it is sent no more, and #{by} disarms it \
                 on board if it did not",
                times(*sent)
            ),
            Self::Settled(state) => write!(f, "too late: {state}"),
            Self::Asked => f.write_str(
                "not taken back yet: whoever works the outbox does it in a moment, and `passband-ground uplink list --all` shows it",
            ),
        }
    }
}

/// Takes an order back, and waits so long at most for whoever works the outbox to do it.
///
/// # Errors
/// There is no such order, or those of the disk.
pub fn take_back(folder: &mut Folder, number: u32, patience: Duration) -> Result<TakenBack> {
    let mut entry = latest(folder, number)?;
    if !entry.is_open() && !is_armed(&entry) {
        return Ok(TakenBack::Settled(entry.state()));
    }
    // It may be given another number meanwhile.
    while let Some(done) = drop_it(folder, entry.number, patience)? {
        match done.goes_on_as {
            Some(next) if !done.dropped => entry = latest(folder, next)?,
            _ => return outcome(folder, &done),
        }
    }
    // Whatever becomes of it, what is armed must not stay so. That waits behind it.
    let entry = latest(folder, entry.number)?;
    if entry.step == Mode::Arm && (entry.may_be_done() || is_armed(&entry)) {
        disarm(folder)?;
    }
    Ok(TakenBack::Asked)
}

/// An order, under the number by which it goes now.
fn latest(folder: &Folder, number: u32) -> Result<Entry> {
    let mut number = number;
    loop {
        let entry = folder.order(number)?;
        let entry = entry.with_context(|| format!("there is no order {number} in the outbox"))?;
        match entry.goes_on_as {
            Some(next) => number = next,
            None => return Ok(entry),
        }
    }
}

fn is_armed(entry: &Entry) -> bool {
    entry.armed_until().is_some_and(|until| until > unix_ms())
}

/// What became of it, by how it stands now; what may be armed on board is disarmed.
fn outcome(folder: &Folder, entry: &Entry) -> Result<TakenBack> {
    if !entry.dropped {
        return Ok(TakenBack::Settled(entry.state()));
    }
    let was_armed = entry.was_armed_until().is_some_and(|until| until > unix_ms());
    if was_armed {
        let by = disarm(folder)?;
        return Ok(match fires(folder, entry)? {
            Some(Entry { number: fire, sent, .. }) => TakenBack::Firing { fire, sent, by },
            None => TakenBack::Armed { by },
        });
    }
    let is_settled = entry.told.as_ref().is_some_and(Told::is_final);
    Ok(match entry.sent {
        0 => TakenBack::Unsent,
        _ if is_settled => TakenBack::Settled(entry.state()),
        sent if entry.step == Mode::Arm => TakenBack::Arming { sent, by: disarm(folder)? },
        sent => TakenBack::Sent(sent),
    })
}

/// What was sent to fire an order that was armed, and may have done so.
fn fires(folder: &Folder, armed: &Entry) -> Result<Option<Entry>> {
    let later = folder.numbers()?.into_iter().filter(|number| *number > armed.number);
    let mut entries = later.filter_map(|number| folder.order(number).ok().flatten());
    let check = armed.check();
    Ok(entries.find(|entry| entry.step == Mode::Fire && entry.check() == check && entry.may_be_done()))
}

/// The order once it is dropped or settled; none: neither came in time.
fn drop_it(folder: &mut Folder, number: u32, patience: Duration) -> Result<Option<Entry>> {
    folder.drop_later(Drop::Order(number))?;
    let until = Instant::now() + patience;
    loop {
        if let Some(lock) = folder.lock()? {
            // Unless who worked it did so just before it ended.
            if folder.drops()?.contains(&Drop::Order(number)) {
                drop_here(folder, number)?;
            }
            drop(lock);
        }
        let asked = folder.drops()?.contains(&Drop::Order(number));
        // Read once it is known to be done.
        let entry = folder.order(number)?;
        if !asked || Instant::now() >= until {
            return Ok(entry.filter(|_| !asked));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Drops an order of an outbox that nobody works, and with what is armed what would fire it.
fn drop_here(folder: &mut Folder, number: u32) -> Result<()> {
    let entries = folder.numbers()?.into_iter().filter_map(|number| folder.order(number).ok().flatten());
    let entries: Vec<_> = entries.collect();
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

/// The order that disarms: one that waits and never left, else a ping that is queued for it. One that was sent may be there
/// already, and coming again does nothing.
fn disarm(folder: &Folder) -> Result<u32> {
    let waits = |number: &u32| {
        let entry = folder.order(*number).ok().flatten();
        entry.is_some_and(|entry| entry.step == Mode::Run && entry.is_open() && entry.sent == 0)
    };
    match folder.numbers()?.into_iter().rev().take(64).find(waits) {
        Some(number) => Ok(number),
        None => Ok(folder.queue(Mode::Run, &Order::Ping {}, unix_ms())?.number),
    }
}

#[cfg(test)]
mod tests;
