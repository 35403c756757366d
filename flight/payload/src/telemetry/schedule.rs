//! What goes down the slow link next, and when.
//!
//! In this order: answers to orders, events, what was asked for, the beacon, housekeeping, the clock. Every fourth
//! packet goes to whichever of these has waited longest instead, so that nothing starves, however much comes of the
//! others. The rate is kept by a token bucket of one second. Every queue is bounded, and what finds no room is counted:
//! a full link holds nobody up.
//!
//! An answer is sent at once and then again at growing distances until the ground has said that it has it. Of events
//! that come faster than they can be sent the most severe go first, of these the newest. Each has its number, so that
//! the ground sees what it lacks and can ask for it.
//!
//! Handed times of a steady clock; never reads one, makes no packet around the data and sends nothing.

use std::collections::{BTreeMap, VecDeque};

use passband_proto::dict::{
    Answer, Beacon, Event, EventCode, Housekeeping, MAX_DATA_BYTES, Packet, PacketDef, Time,
};
use passband_proto::packet::MIN_PACKET_BYTES;

use super::Settings;

/// Most orders whose answers are kept.
pub const MAX_ANSWERS: usize = 512;
/// Most packets that were asked for and wait.
pub const MAX_ASKED: usize = 128;
/// Most events that wait.
const MAX_EVENTS: usize = 64;
/// Most events of one code that are taken in [`CODE_MS`].
const MAX_OF_CODE: u32 = 12;
const CODE_MS: u64 = 60_000;
/// An answer's distances grow up to so many times the first.
const MAX_DOUBLINGS: u32 = 6;
/// How often the clock is told, ms.
const TIME_MS: u64 = 60_000;
/// Every packet of this number goes to whoever waited longest.
const FAIR: u64 = 4;

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// A packet of this APID, with this user data.
    Packet {
        /// Application process identifier.
        apid: u16,
        /// User data.
        data: Vec<u8>,
    },
    /// A beacon, of how things are now.
    Beacon,
    /// Housekeeping, of how things are now.
    Housekeeping,
    /// The clock.
    Time,
}

impl Due {
    /// A packet of the dictionary.
    pub fn of<P: Packet>(packet: &P) -> Self {
        let mut data = vec![0; P::DEF.data_bytes().min(MAX_DATA_BYTES)];
        // It is of this length by its definition.
        let written = packet.write(&mut data);
        debug_assert_eq!(written, Some(data.len()));
        Self::Packet { apid: P::DEF.apid, data }
    }

    fn bits(&self) -> u64 {
        let of = |def: &PacketDef| def.data_bytes();
        let data = match self {
            Self::Packet { data, .. } => data.len(),
            Self::Beacon => of(Beacon::DEF),
            Self::Housekeeping => of(Housekeeping::DEF),
            Self::Time => of(Time::DEF),
        };
        (data.saturating_add(MIN_PACKET_BYTES) as u64).saturating_mul(8)
    }
}

/// There is no room for what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The kinds of packets, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Answers,
    Events,
    Asked,
    Beacon,
    Housekeeping,
    Time,
}

impl Lane {
    const ALL: [Self; 6] =
        [Self::Answers, Self::Events, Self::Asked, Self::Beacon, Self::Housekeeping, Self::Time];
}

/// Decides what goes next.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// Thousandths of a bit; below zero while the last packet is paid off.
    credit: i64,
    refilled_ms: u64,
    answers: BTreeMap<(u16, u32), Kept>,
    /// What the count of packets was when a giver's answer went last.
    turns: BTreeMap<u16, u64>,
    events: Vec<Event>,
    /// When a code's minute began, and how many of it were taken since.
    codes: BTreeMap<EventCode, (u64, u32)>,
    asked: VecDeque<Due>,
    beacon_ms: u64,
    housekeeping_ms: u64,
    time_ms: u64,
    /// Packets so far, and what the count was when each lane was served last.
    sent: u64,
    served: BTreeMap<Lane, u64>,
    left_out: u64,
}

/// An answer that the ground may lack.
#[derive(Debug, Clone)]
struct Kept {
    answer: Answer,
    next_ms: u64,
    sends: u32,
}

impl Schedule {
    /// Takes an answer; one of the same order that is kept gives way to it. Of too many one of the giver with the most
    /// goes, that which was sent most often.
    pub fn answer(&mut self, now_ms: u64, answer: Answer) {
        let key = (answer.source, answer.number);
        self.answers.insert(key, Kept { answer, next_ms: now_ms, sends: 0 });
        if self.answers.len() > MAX_ANSWERS {
            let mut of: BTreeMap<u16, u32> = BTreeMap::new();
            self.answers.keys().for_each(|(source, _)| *of.entry(*source).or_default() += 1);
            let others = self.answers.iter().filter(|(k, _)| **k != key);
            let most = others.max_by_key(|((source, _), kept)| (of.get(source).copied(), kept.sends));
            if let Some(most) = most.map(|(key, _)| *key) {
                self.answers.remove(&most);
            }
        }
    }

    /// The ground has the answers to orders of a source: all numbers below `below`, and of the 32 from there on those
    /// whose bit is set, the lowest first.
    pub fn seen(&mut self, source: u16, below: u32, bits: u32) {
        self.answers.retain(|(of, number), _| {
            let seen = number.checked_sub(below).is_none_or(|n| n < 32 && bits >> n & 1 == 1);
            *of != source || !seen
        });
    }

    /// All answers that are kept are due now.
    pub fn repeat_answers(&mut self, now_ms: u64) {
        self.answers.values_mut().for_each(|kept| kept.next_ms = kept.next_ms.min(now_ms));
    }

    /// Answers that the ground may lack.
    pub fn answers_open(&self) -> u64 {
        self.answers.len() as u64
    }

    /// Takes an event; one below the least severity isn't sent.
    pub fn event(&mut self, now_ms: u64, event: Event, settings: &Settings) {
        if event.severity < settings.least_severity {
            return;
        }
        let (begun_ms, taken) = self.codes.entry(event.code).or_insert((now_ms, 0));
        if now_ms.saturating_sub(*begun_ms) >= CODE_MS {
            (*begun_ms, *taken) = (now_ms, 0);
        }
        *taken = taken.saturating_add(1);
        if *taken > MAX_OF_CODE {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.events.push(event);
        if self.events.len() > MAX_EVENTS {
            // The least severe goes, of these the oldest.
            let least = (0..).zip(&self.events).min_by_key(|(_, e)| (e.severity, e.number)).map(|(i, _)| i);
            if let Some(least) = least {
                self.events.swap_remove(least);
            }
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Events that were to be sent and were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes what somebody asked for.
    ///
    /// # Errors
    /// [`MAX_ASKED`] packets wait.
    pub fn ask(&mut self, due: Due) -> Result<(), Refused> {
        if self.asked.len() >= MAX_ASKED {
            return Err(Refused);
        }
        self.asked.push_back(due);
        Ok(())
    }

    /// What is to be sent now; to be called again until there is nothing.
    pub fn poll(&mut self, now_ms: u64, settings: &Settings) -> Option<Due> {
        self.refill(now_ms, settings);
        if self.credit < 0 {
            return None;
        }
        let lane = self.choose(now_ms, settings)?;
        let due = self.take(lane, now_ms, settings)?;
        self.sent = self.sent.saturating_add(1);
        self.served.insert(lane, self.sent);
        let cost = i64::try_from(due.bits().saturating_mul(1000)).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_sub(cost);
        Some(due)
    }

    /// When to poll next: then there may be something.
    pub fn next_ms(&self, now_ms: u64, settings: &Settings) -> u64 {
        let owed = u64::try_from(self.credit.saturating_neg()).unwrap_or(0);
        let paid_ms = self.refilled_ms.saturating_add(owed.div_ceil(u64::from(settings.rate_bps.max(1))));
        let due_ms = Lane::ALL.iter().filter_map(|lane| self.due_ms(*lane, settings)).min();
        due_ms.map_or(u64::MAX, |due_ms| due_ms.max(paid_ms).max(now_ms))
    }

    fn refill(&mut self, now_ms: u64, settings: &Settings) {
        let passed_ms = now_ms.saturating_sub(self.refilled_ms);
        self.refilled_ms = self.refilled_ms.max(now_ms);
        let rate = u64::from(settings.rate_bps);
        // bit/s × ms = thousandths of a bit
        let more = i64::try_from(rate.saturating_mul(passed_ms)).unwrap_or(i64::MAX);
        let most = i64::try_from(rate.saturating_mul(1000)).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(more).min(most);
    }

    fn choose(&self, now_ms: u64, settings: &Settings) -> Option<Lane> {
        let mut ready = Lane::ALL
            .into_iter()
            .filter(|lane| self.due_ms(*lane, settings).is_some_and(|due| due <= now_ms));
        if self.sent % FAIR == FAIR - 1 {
            return ready.min_by_key(|lane| (self.served.get(lane).copied().unwrap_or(0), *lane));
        }
        ready.next()
    }

    /// Since or from when a lane has something; none: it has nothing.
    fn due_ms(&self, lane: Lane, settings: &Settings) -> Option<u64> {
        match lane {
            Lane::Answers => self.answers.values().map(|kept| kept.next_ms).min(),
            Lane::Events => (!self.events.is_empty()).then_some(0),
            Lane::Asked => (!self.asked.is_empty()).then_some(0),
            Lane::Beacon => (settings.beacon_s > 0).then_some(self.beacon_ms),
            Lane::Housekeeping => (settings.housekeeping_s > 0).then_some(self.housekeeping_ms),
            Lane::Time => Some(self.time_ms),
        }
    }

    fn take(&mut self, lane: Lane, now_ms: u64, settings: &Settings) -> Option<Due> {
        let after = |seconds: u32| now_ms.saturating_add(u64::from(seconds).saturating_mul(1000));
        match lane {
            Lane::Answers => self.take_answer(now_ms, settings),
            Lane::Events => {
                let worst = (0..).zip(&self.events).max_by_key(|(_, e)| (e.severity, e.number));
                let worst = worst.map(|(i, _)| i)?;
                Some(Due::of(&self.events.swap_remove(worst)))
            }
            Lane::Asked => self.asked.pop_front(),
            Lane::Beacon => {
                self.beacon_ms = after(settings.beacon_s);
                Some(Due::Beacon)
            }
            Lane::Housekeeping => {
                self.housekeeping_ms = after(settings.housekeeping_s);
                Some(Due::Housekeeping)
            }
            Lane::Time => {
                self.time_ms = now_ms.saturating_add(TIME_MS);
                Some(Due::Time)
            }
        }
    }

    /// Of what is due the answer that was sent least often, to the giver who has waited longest: one who gives many orders
    /// holds up nobody else's answers.
    fn take_answer(&mut self, now_ms: u64, settings: &Settings) -> Option<Due> {
        let due = self.answers.iter_mut().filter(|(_, kept)| kept.next_ms <= now_ms);
        let turns = &self.turns;
        let ((source, _), kept) = due.min_by_key(|((source, _), kept)| {
            (turns.get(source).copied().unwrap_or(0), kept.sends, kept.next_ms)
        })?;
        let gap_s = u64::from(settings.answer_s.max(1)) << kept.sends.min(MAX_DOUBLINGS);
        kept.sends = kept.sends.saturating_add(1);
        kept.next_ms = now_ms.saturating_add(gap_s.saturating_mul(1000));
        self.turns.insert(*source, self.sent.saturating_add(1));
        Some(Due::of(&kept.answer))
    }
}

#[cfg(test)]
mod tests;
