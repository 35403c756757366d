//! The outbox of one holder: which frame goes next, and what telemetry says of what went before.
//!
//! A state machine without clock, socket or disk: [`Outbox::poll`] gives the frames that the line has room for now,
//! [`Outbox::hear`] takes a packet of telemetry, and what has to outlive it goes to a [`Shelf`] before it counts. It never
//! opens a packet's tag: whoever hands one in has checked it, or does without. It never gives an order a number.
//!
//! - Frames go in this order: a re-synchronisation, acknowledgements, questions, orders by their numbers, pieces of files.
//! - An order goes again after 4, 8, 16 … 120 s until a final answer came; at once when telemetry is heard again after a
//!   silence. One that is known to be there is not sent again: its answer comes by itself.
//! - While a hazardous order is between its two steps, other orders wait, since each would disarm it ([`Hold`](super::hold::Hold)): those behind
//!   it two minutes at most for it to be armed, and those before it, too, once that was sent; all, once it is armed, until it
//!   is fired, given up, or armed no more.
//! - For how long an order stays armed telemetry says: the parameter `command.arm`, and the answer to what was armed.
//! - Frames keep to the uplink's rate, and to fewer a second than the satellite takes of one holder.
//! - A step of a hazardous order that isn't answered in the time that an order stays armed is sent no more: fired by
//!   surprise hours later it would do harm.
//! - The counter goes ahead, and the board is asked to go along, when it says that its counters are lost or higher than
//!   ours, or when telemetry is heard and no order is answered: after twelve seconds, once more after twice that, and anew
//!   in each contact. It is asked how our key stands before that.

mod acknowledge;
mod arming;
mod choose;
mod files;
mod hear;
mod keys;
mod line;
mod live;
mod pace;
mod resync;
mod send;
#[cfg(test)]
mod tests;

pub use hear::Noticed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::Result;
use passband_proto::packet::Mode;
use passband_proto::sdls::{RoleKey, Sender};

use self::acknowledge::Acknowledge;
use self::arming::Firing;
use self::keys::SpacecraftHeard;
use self::line::Line;
use self::live::Live;
use self::pace::Pace;
use self::resync::Resync;
use super::entry::Entry;
use super::shelf::Shelf;
use super::upload::Upload;

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
    /// Whether telemetry may say otherwise: the parameter `command.arm`, and the answers to what was armed.
    pub learns_arm: bool,
}

/// Sends orders and files until they are there.
#[derive(Debug)]
pub struct Outbox {
    spacecraft: u16,
    spi: u16,
    fingerprint: [u8; 4],
    /// Whether it was said that the board holds another key.
    foreign_told: bool,
    spacecraft_heard: SpacecraftHeard,
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
    learns_arm: bool,
    /// Orders whose number was found to be another's, and which are not renumbered yet.
    taken_numbers: BTreeSet<u32>,
    /// What holders of other keys had taken up lately: it may have fired what is armed here.
    firings: VecDeque<Firing>,
    /// The last start of the satellite's software that beacons told of.
    boot: Option<u32>,
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
            fingerprint: begin.key.fingerprint(),
            foreign_told: false,
            spacecraft_heard: SpacecraftHeard::default(),
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
            learns_arm: begin.learns_arm,
            taken_numbers: BTreeSet::new(),
            firings: VecDeque::new(),
            boot: None,
        })
    }

    /// Takes an order that is kept. One that it has already stays as it is.
    pub fn add(&mut self, now: Moment, entry: Entry) {
        let left_ms = entry.armed_until().map(|until| until.saturating_sub(now.unix_ms).min(self.arm_ms));
        let armed_until_ms = left_ms.map(|left| now.steady_ms + left);
        let live = Live { entry, pace: Pace::at(now.steady_ms), since_ms: now.steady_ms, armed_until_ms };
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

    /// Takes an order back: it is sent no more, and if it is armed others wait for it no more. What would fire it is taken back
    /// with it. Whether there was one that wasn't settled.
    ///
    /// # Errors
    /// Those of the shelf.
    pub fn drop_order(&mut self, number: u32, shelf: &mut dyn Shelf) -> Result<bool> {
        let is_open = |live: &&mut Live| live.entry.is_open() || live.entry.armed_until().is_some();
        let Some(live) = self.orders.get_mut(&number).filter(is_open) else {
            return Ok(false);
        };
        live.entry.dropped = true;
        shelf.keep_order(&live.entry)?;
        if live.entry.step == Mode::Arm {
            let check = live.entry.check();
            for live in self.orders.values_mut() {
                if live.entry.step == Mode::Fire && live.entry.check() == check && live.entry.is_open() {
                    live.entry.dropped = true;
                    shelf.keep_order(&live.entry)?;
                }
            }
        }
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
        self.armed_no_longer(now, shelf)?;
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

    /// The spacecraft of its key.
    #[must_use]
    pub fn spacecraft(&self) -> u16 {
        self.spacecraft
    }

    /// The association of its key, and what tells that from others.
    #[must_use]
    pub fn key(&self) -> (u16, [u8; 4]) {
        (self.spi, self.fingerprint)
    }

    /// Whether telemetry is heard.
    #[must_use]
    pub fn hears(&self, now: Moment) -> bool {
        self.heard_ms.is_some_and(|heard| now.steady_ms.saturating_sub(heard) <= CONTACT_MS)
    }

    /// For how long an order stays armed on board, as far as is known, ms.
    #[must_use]
    pub fn arm_ms(&self) -> u64 {
        self.arm_ms
    }
}
