//! The outbox of one holder: which frame goes next, and what telemetry says of what went before.
//!
//! A state machine without clock, socket or disk: [`Outbox::poll`] gives the frames that the line has room for now,
//! [`Outbox::hear`] takes a packet of telemetry, and what has to outlive it goes to a [`Shelf`] before it counts. It never
//! opens a packet's tag: whoever hands one in has checked it, or does without. It never gives an order a number.
//!
//! - Frames go in this order: a re-synchronisation, acknowledgements, questions, orders by their numbers, pieces of files.
//! - An order goes again after 4, 8, 16 … 120 s until a final answer came; at once when telemetry is heard again after a
//!   silence. One that is known to be there is not sent again: its answer comes by itself.
//! - While a hazardous order is between its two steps, orders behind it wait, since each would disarm it: two minutes at
//!   most for it to be armed, and a minute, if it is armed, for it to be fired.
//! - Frames keep to the uplink's rate, and to fewer a second than the satellite takes of one holder.
//! - A step of a hazardous order that isn't answered in the time that an order stays armed is sent no more: fired by
//!   surprise hours later it would do harm.
//! - The counter goes ahead, and the board is asked to go along, when it says that its counters are lost or higher than
//!   ours, or when telemetry is heard and no order is answered: after twelve seconds, once more after twice that, and anew
//!   in each contact. It is asked how our key stands before that.

mod acknowledge;
mod hear;
mod line;
mod pace;
#[cfg(test)]
mod tests;

pub use hear::Noticed;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use passband_proto::dict::{Order, Wanted};
use passband_proto::packet::{CommandPacket, Mode, next_count};
use passband_proto::sdls::{RoleKey, Sender};

use self::acknowledge::Acknowledge;
use self::line::Line;
use self::pace::Pace;
use super::entry::Entry;
use super::shelf::Shelf;
use super::upload::Upload;

/// Orders behind a hazardous one wait so long at most for it to be armed or fired, ms.
const HOLD_MS: u64 = 120_000;
/// An order stays armed so long on board unless it is configured otherwise, ms: the default of `command.arm`.
pub const ARM_MS: u64 = 60_000;
/// So many orders are to go unanswered before the counters are suspected.
const SUSPICIOUS: u32 = 3;
/// And for so long, ms: an answer takes a second or two on a slow line.
const PATIENCE_MS: u64 = 12_000;
/// How often the state of uploads is asked for, ms.
const ASK_EVERY_MS: u64 = 20_000;
/// Telemetry is heard as long as the last packet isn't older, ms. The beacon comes each 30 s unless it is set otherwise.
const CONTACT_MS: u64 = 90_000;

/// A moment on both clocks of the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// A clock that never jumps, ms.
    pub steady_ms: u64,
    /// The clock of the day, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// What an outbox begins with.
#[derive(Debug)]
pub struct Begin<'a> {
    /// The holder's key.
    pub key: &'a RoleKey,
    /// The virtual channel of the frames.
    pub vcid: u8,
    /// What the uplink carries, bit/s.
    pub rate_bps: u64,
    /// Fresh from a cryptographic random source, and not the one of re-synchronisations.
    pub salt: [u8; 4],
    /// All counters up to this one count as used.
    pub mark: u64,
    /// All numbers of orders up to this one are used.
    pub number: u32,
    /// For how long an order stays armed on board, ms.
    pub arm_ms: u64,
}

/// Sends orders and files until they are there.
#[derive(Debug)]
pub struct Outbox {
    spacecraft: u16,
    spi: u16,
    sender: Sender,
    line: Line,
    orders: BTreeMap<u32, Live>,
    uploads: Vec<Upload>,
    acknowledge: Acknowledge,
    resync: Resync,
    ask_at_ms: u64,
    heard_ms: Option<u64>,
    /// Numbers up to this one count as used, by the board's word.
    numbers_from: u32,
    retired: bool,
    count: u16,
    arm_ms: u64,
    /// Orders whose number was found to be another's, and which are not renumbered yet.
    taken_numbers: BTreeSet<u32>,
}

/// An order, and when it goes next.
#[derive(Debug)]
struct Live {
    entry: Entry,
    pace: Pace,
    since_ms: u64,
    /// When it was heard to be armed.
    armed_ms: Option<u64>,
}

/// What may go while a hazardous order is between its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// Orders up to this number.
    Behind(u32),
    /// These, and what fires.
    Armed(u32),
}

/// How the counters of both ends come together again.
#[derive(Debug)]
struct Resync {
    challenge: Option<[u8; 8]>,
    /// When the board is asked to go on from our counter; none: all is well.
    pace: Option<Pace>,
    /// Orders sent since the last sign that any arrives, while telemetry is heard.
    unanswered: u32,
    /// When the first of them was, ms.
    since_ms: Option<u64>,
    /// So long without an answer is suspicious, ms.
    patience_ms: u64,
    /// Whether the board was asked in this contact how our key stands, or said so.
    asked: bool,
    /// Whether the board has said that its counters are lost.
    lost: bool,
}

impl Default for Resync {
    fn default() -> Self {
        Self {
            challenge: None,
            pace: None,
            unanswered: 0,
            since_ms: None,
            patience_ms: PATIENCE_MS,
            asked: false,
            lost: false,
        }
    }
}

/// What may be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Resync,
    Acknowledge,
    AskKeys,
    Ask,
    Order(u32),
    Upload(usize),
}

impl Outbox {
    /// An empty outbox.
    ///
    /// # Errors
    /// The salt is reserved: draw another one.
    pub fn new(begin: &Begin<'_>) -> Result<Self> {
        let sender = Sender::new(begin.key, begin.vcid, begin.salt, begin.mark)?;
        Ok(Self {
            spacecraft: begin.key.spacecraft(),
            spi: begin.key.spi(),
            sender,
            line: Line::new(begin.rate_bps),
            orders: BTreeMap::new(),
            uploads: Vec::new(),
            acknowledge: Acknowledge::default(),
            resync: Resync::default(),
            ask_at_ms: 0,
            heard_ms: None,
            numbers_from: begin.number,
            retired: false,
            count: 0,
            arm_ms: begin.arm_ms,
            taken_numbers: BTreeSet::new(),
        })
    }

    /// Takes an order that is kept. One that it has already stays as it is.
    pub fn add(&mut self, now: Moment, entry: Entry) {
        let live = Live { entry, pace: Pace::at(now.steady_ms), since_ms: now.steady_ms, armed_ms: None };
        self.orders.entry(live.entry.number).or_insert(live);
    }

    /// Takes a file that is kept, unless it has it already.
    pub fn add_upload(&mut self, upload: Upload) {
        let same = |other: &Upload| other.about.id == upload.about.id;
        if self.uploads.iter().any(|other| same(other) && other.about.is_open()) {
            return;
        }
        self.uploads.retain(|other| !same(other));
        self.uploads.push(upload);
    }

    /// Takes an order back: it is sent no more. Whether there was one that wasn't settled.
    ///
    /// # Errors
    /// Those of the shelf.
    pub fn drop_order(&mut self, number: u32, shelf: &mut dyn Shelf) -> Result<bool> {
        let Some(live) = self.orders.get_mut(&number).filter(|live| live.entry.is_open()) else {
            return Ok(false);
        };
        live.entry.dropped = true;
        shelf.keep_order(&live.entry)?;
        Ok(true)
    }

    /// Takes a file back: whether there was one.
    ///
    /// # Errors
    /// Those of the shelf.
    pub fn drop_upload(&mut self, id: [u8; 4], shelf: &mut dyn Shelf) -> Result<bool> {
        let Some(place) = self.uploads.iter().position(|upload| upload.about.id == id) else {
            return Ok(false);
        };
        let mut upload = self.uploads.remove(place);
        upload.about.dropped = true;
        shelf.keep_upload(&upload.about)?;
        Ok(true)
    }

    /// The frames that the line has room for now, to be sent at once.
    ///
    /// # Errors
    /// Those of the shelf, and of the sender: nothing is lost by it but counters.
    pub fn poll(
        &mut self,
        now: Moment,
        fresh: &mut dyn FnMut() -> Result<[u8; 8]>,
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<Vec<u8>>> {
        self.expire(now, shelf)?;
        let mut frames = Vec::new();
        while self.line.is_free(now.steady_ms) {
            let Some(job) = self.next_job(now) else { break };
            let frame = self.carry_out(now, job, fresh, shelf)?;
            self.line.send(now.steady_ms, frame.len());
            frames.push(frame);
        }
        Ok(frames)
    }

    /// When [`Self::poll`] has something to send next, on the steady clock; none: nothing waits.
    #[must_use]
    pub fn next_ms(&self, now: Moment) -> Option<u64> {
        let orders = self.orders.values().filter(|live| live.is_to_go()).map(|live| live.pace.due_ms());
        let others = [self.resync_due_ms(), self.acknowledge.due_ms()].into_iter().flatten();
        let pieces = self.uploads.iter().any(Upload::has_pieces).then_some(0);
        let asked = self.uploads.iter().any(|upload| upload.about.is_open()).then_some(self.ask_at_ms);
        let pieces = pieces.into_iter().chain(asked);
        orders.chain(others).chain(pieces).min().map(|due| self.line.free_ms(due.max(now.steady_ms)))
    }

    /// An order that it has.
    #[must_use]
    pub fn order(&self, number: u32) -> Option<&Entry> {
        self.orders.get(&number).map(|live| &live.entry)
    }

    /// All orders that it has, by their numbers.
    pub fn orders(&self) -> impl Iterator<Item = &Entry> {
        self.orders.values().map(|live| &live.entry)
    }

    /// All files that it has.
    pub fn uploads(&self) -> &[Upload] {
        &self.uploads
    }

    /// Whether nothing is left to be sent or answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let orders = self.orders().all(|entry| !entry.is_open());
        orders
            && self.uploads.iter().all(|upload| !upload.about.is_open())
            && self.acknowledge.due_ms().is_none()
    }

    /// Whether an answer that came is still to be acknowledged.
    #[must_use]
    pub fn owes_acknowledgement(&self) -> bool {
        self.acknowledge.due_ms().is_some()
    }

    /// Whether telemetry is heard.
    #[must_use]
    pub fn hears(&self, now: Moment) -> bool {
        self.heard_ms.is_some_and(|heard| now.steady_ms.saturating_sub(heard) <= CONTACT_MS)
    }

    fn next_job(&self, now: Moment) -> Option<Job> {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.steady_ms);
        let hold = self.hold(now);
        let free = hold == Hold::Nothing;
        let upload = self.uploads.iter().position(|upload| upload.has_pieces() && free);
        let begun =
            self.uploads.iter().any(|upload| upload.about.is_open() && upload.about.told.is_some() && free);
        if due(self.resync_due_ms()) {
            Some(Job::Resync)
        } else if due(self.acknowledge.due_ms()) {
            Some(Job::Acknowledge)
        } else if self.resync.unanswered > 1 && !self.resync.asked {
            Some(Job::AskKeys)
        } else if begun && self.ask_at_ms <= now.steady_ms {
            Some(Job::Ask)
        } else {
            self.next_order(now, hold).map(Job::Order).or(upload.map(Job::Upload))
        }
    }

    fn next_order(&self, now: Moment, hold: Hold) -> Option<u32> {
        let may = |live: &&Live| match hold {
            Hold::Nothing => true,
            Hold::Behind(last) => live.entry.number <= last,
            Hold::Armed(last) => live.entry.number <= last || live.entry.step == Mode::Fire,
        };
        let mut to_go = self.orders.values().filter(|live| live.is_to_go()).filter(may);
        to_go.find(|live| live.pace.due_ms() <= now.steady_ms).map(|live| live.entry.number)
    }

    /// Whether a hazardous order is between its steps.
    fn hold(&self, now: Moment) -> Hold {
        let orders = || self.orders.values();
        let is_armed =
            |live: &&Live| live.armed_ms.is_some_and(|at| now.steady_ms.saturating_sub(at) < self.arm_ms);
        if let Some(armed) = orders().rev().find(is_armed).map(|live| live.entry.number) {
            let fires = |live: &Live| live.entry.number > armed && live.entry.step == Mode::Fire;
            if !orders().any(|live| fires(live) && !live.entry.is_open()) {
                return Hold::Armed(armed);
            }
        }
        let hold = orders().find(|live| live.holds_others(now));
        hold.map_or(Hold::Nothing, |live| Hold::Behind(live.entry.number))
    }

    fn carry_out(
        &mut self,
        now: Moment,
        job: Job,
        fresh: &mut dyn FnMut() -> Result<[u8; 8]>,
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u8>> {
        match job {
            Job::Resync => self.send_resync(now, fresh()?),
            Job::Acknowledge => {
                let lowest = self.open_numbers().min();
                let order = self.acknowledge.order(lowest);
                self.acknowledge.sent();
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::AskKeys => {
                self.resync.asked = true;
                let order = Order::TelemetrySend { packet: Wanted::Associations };
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::Ask => {
                self.ask_at_ms = now.steady_ms + ASK_EVERY_MS;
                let heard = self.hears(now);
                self.uploads.iter_mut().for_each(|upload| upload.asked += u32::from(heard));
                let order = Order::TelemetrySend { packet: Wanted::Uploads };
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::Order(number) => self.send_order(now, number, shelf),
            Job::Upload(place) => self.send_piece(place, shelf),
        }
    }

    fn send_order(&mut self, now: Moment, number: u32, shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        self.suspect(now);
        let gone = || anyhow!("order {number} is gone");
        let live = self.orders.get_mut(&number).ok_or_else(gone)?;
        live.entry.sent = live.entry.sent.saturating_add(1);
        live.entry.sent_unix_ms = Some(now.unix_ms);
        live.pace.went(now.steady_ms);
        // That it was sent is known before it is: a kill in between says too much, never too little.
        shelf.keep_order(&live.entry)?;
        let (step, bytes) = (live.entry.step, live.entry.bytes.clone());
        self.seal(step, number, &bytes, shelf)
    }

    fn send_piece(&mut self, place: usize, shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        let upload = self.uploads.get_mut(place).ok_or_else(|| anyhow!("the upload is gone"))?;
        let order = upload.sender.next_order().ok_or_else(|| anyhow!("nothing is missing"))?;
        let number = if matches!(order, Order::UploadBegin { .. }) { upload.about.begin } else { 0 };
        self.seal(Mode::Run, number, &order.encode(), shelf)
    }

    fn send_resync(&mut self, now: Moment, fresh: [u8; 8]) -> Result<Vec<u8>> {
        if let Some(pace) = &mut self.resync.pace {
            pace.went(now.steady_ms);
        }
        let challenge = self.resync.challenge.ok_or_else(|| anyhow!("no challenge was heard"))?;
        Ok(self.sender.resynchronise(challenge, fresh)?)
    }

    /// Seals a command packet under a counter that is kept as used before.
    fn seal(&mut self, mode: Mode, number: u32, order: &[u8], shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        if let Some(mark) = self.sender.must_persist() {
            shelf.keep_mark(mark)?;
            self.sender.persisted(mark);
        }
        let mut packet = [0; CommandPacket::MAX_BYTES];
        let command = CommandPacket { sequence_count: self.count, mode, number, order };
        let bytes = command.write(&mut packet)?;
        self.count = next_count(self.count);
        Ok(self.sender.seal(&packet[..bytes])?)
    }

    fn resync_due_ms(&self) -> Option<u64> {
        self.resync.challenge.and(self.resync.pace.as_ref()).map(Pace::due_ms)
    }

    /// Telemetry is heard and nothing is answered: perhaps the counters have come apart. To go ahead by the time, and to
    /// have the board go along, does no harm if they haven't.
    fn suspect(&mut self, now: Moment) {
        if !self.hears(now) {
            return;
        }
        let resync = &mut self.resync;
        resync.unanswered = resync.unanswered.saturating_add(1);
        let since_ms = *resync.since_ms.get_or_insert(now.steady_ms);
        if resync.unanswered >= SUSPICIOUS && now.steady_ms.saturating_sub(since_ms) >= resync.patience_ms {
            (resync.unanswered, resync.since_ms) = (0, None);
            resync.patience_ms = resync.patience_ms.saturating_mul(2);
            self.go_ahead(now);
        }
    }

    /// Has the board go on from a counter that is above all that can have been used.
    fn go_ahead(&mut self, now: Moment) {
        self.sender.skip_to(now.unix_ms);
        self.resync.pace = Some(Pace::at(now.steady_ms));
    }

    /// Sends steps of hazardous orders no more whose time is over.
    fn expire(&mut self, now: Moment, shelf: &mut dyn Shelf) -> Result<()> {
        for live in self.orders.values_mut().filter(|live| live.is_to_go() && live.entry.step != Mode::Run) {
            let age_ms = now.unix_ms.saturating_sub(live.entry.queued_unix_ms);
            // Whatever the clock of the day does.
            if age_ms.max(now.steady_ms.saturating_sub(live.since_ms)) >= self.arm_ms {
                live.entry.expired = true;
                shelf.keep_order(&live.entry)?;
            }
        }
        Ok(())
    }

    /// The numbers of what is not settled.
    fn open_numbers(&self) -> impl Iterator<Item = u32> {
        let orders = self.orders.values().filter(|live| live.entry.is_open()).map(|live| live.entry.number);
        let begins =
            self.uploads.iter().filter(|upload| upload.about.is_open() && upload.about.told.is_none());
        orders.chain(begins.map(|upload| upload.about.begin))
    }
}

impl Live {
    /// Whether it is to be sent now or later.
    fn is_to_go(&self) -> bool {
        self.entry.is_open() && !self.entry.is_there()
    }

    /// Whether others wait for it: each that comes in between disarms.
    fn holds_others(&self, now: Moment) -> bool {
        self.entry.step != Mode::Run
            && self.entry.is_open()
            && now.steady_ms.saturating_sub(self.since_ms) < HOLD_MS
    }
}
