//! An order of ours, and what is known of it. Plain data and its JSON; decides nothing about the link.

mod document;

use std::fmt;

use passband_proto::crc32c::checksum;
use passband_proto::dict::{Answer, Order, Reason, Stage};
use passband_proto::packet::Mode;
use serde::{Deserialize, Serialize};

use crate::station::hex;

/// What to do about an order that is armed no more.
const ARM_AGAIN: &str = "arm it again if it is still to be done";

/// What the satellite answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Where the order stands.
    pub stage: Stage,
    /// Why it was refused or failed.
    pub reason: Reason,
    /// Since when, by the board's clock, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// More about it.
    pub text: String,
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        Self { stage: answer.stage, reason: answer.reason, unix_ms: answer.unix, text: plain(&answer.text.0) }
    }
}

/// Text of telemetry for a terminal: what would steer one is blank. A packet without a tag may come from anybody.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Told {
    /// Whether nothing more will become of the order. An order that was refused because too many wait is sent again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.stage {
            Stage::Accepted | Stage::Started => false,
            Stage::Refused => self.reason != Reason::Busy,
            Stage::Armed | Stage::Done | Stage::Failed => true,
        }
    }

    /// Whether it did what was asked.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.stage, Stage::Armed | Stage::Done)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stage)?;
        if self.reason != Reason::None {
            write!(f, " ({})", self.reason)?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

/// Why what was armed is so no more, though no order of ours ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disarmed {
    /// The satellite's software started anew, which keeps nothing armed.
    Restart,
    /// Its time was over before it was fired.
    TimeOver,
    /// The satellite said so, by an event.
    Told,
}

impl fmt::Display for Disarmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "the satellite's software has started anew since",
            Self::TimeOver => "its time was over before it was fired",
            Self::Told => "the satellite says that it is armed no more",
        })
    }
}

/// An order of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: no other order of this holder ever has it.
    pub number: u32,
    /// What is to be done with it.
    pub step: Mode,
    /// Opcode and arguments.
    pub bytes: Vec<u8>,
    /// When it was queued, ms since 1970-01-01 UTC.
    pub queued_unix_ms: u64,
    /// How often it was sent.
    pub sent: u32,
    /// When it was sent last, ms since 1970-01-01 UTC.
    pub sent_unix_ms: Option<u64>,
    /// What the satellite said of it last.
    pub told: Option<Told>,
    /// Whether it was taken back here: it is sent no more, and may have been done.
    pub dropped: bool,
    /// Whether it is a step of a hazardous order that was not answered in its time: it is sent no more, and may have been
    /// done.
    pub expired: bool,
    /// The number under which it goes on: its own was another order's.
    pub goes_on_as: Option<u32>,
    /// Until when it is armed, once the satellite has said so, ms since 1970-01-01 UTC.
    pub armed_until_unix_ms: Option<u64>,
    /// The order of ours that ended that before its time, by firing it; 0: another holder's.
    pub fired_by: Option<u32>,
    /// The order of ours that was to fire it and was refused, which disarms.
    pub disarmed_by: Option<u32>,
    /// Why it is armed no more, if that is known otherwise.
    pub disarmed: Option<Disarmed>,
    /// The start of the satellite's software in which it was armed, as beacons count them.
    pub armed_in_boot: Option<u32>,
}

impl Entry {
    /// One that was just queued.
    #[must_use]
    pub fn new(number: u32, step: Mode, order: &Order, queued_unix_ms: u64) -> Self {
        let bytes = order.encode().to_vec();
        Self {
            number,
            step,
            bytes,
            queued_unix_ms,
            sent: 0,
            sent_unix_ms: None,
            told: None,
            dropped: false,
            expired: false,
            goes_on_as: None,
            armed_until_unix_ms: None,
            fired_by: None,
            disarmed_by: None,
            disarmed: None,
            armed_in_boot: None,
        }
    }

    /// The same under the number of [`Self::goes_on_as`]; none: it goes on under none.
    #[must_use]
    pub fn renumbered(&self) -> Option<Self> {
        let number = self.goes_on_as?;
        Some(Self { number, sent: 0, sent_unix_ms: None, told: None, goes_on_as: None, ..self.clone() })
    }

    /// Whether something may still become of it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.dropped && !self.expired && !self.told.as_ref().is_some_and(Told::is_final)
    }

    /// Whether the satellite is known to have it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.stage != Stage::Refused)
    }

    /// Until when it is armed, ms since 1970-01-01 UTC; none: it isn't, was fired or given up.
    #[must_use]
    pub fn armed_until(&self) -> Option<u64> {
        self.was_armed_until().filter(|_| !self.dropped)
    }

    /// The same, whether or not it was given up.
    #[must_use]
    pub fn was_armed_until(&self) -> Option<u64> {
        self.armed_until_unix_ms.filter(|_| self.may_have_been_fired() && self.disarmed.is_none())
    }

    /// Whether it was armed, and no order is known that ended that: one that is heard of late may have fired it, whatever was
    /// believed meanwhile.
    #[must_use]
    pub fn may_have_been_fired(&self) -> bool {
        let was_armed = self.told.as_ref().is_some_and(|told| told.stage == Stage::Armed);
        was_armed && self.fired_by.or(self.disarmed_by).is_none()
    }

    /// The same as it stands at a time of the clock of the day, ms since 1970-01-01 UTC: what is armed is so no more once its time
    /// is over.
    #[must_use]
    pub fn at(self, now_unix_ms: u64) -> Self {
        match self.armed_until() {
            Some(until) if until <= now_unix_ms => Self { disarmed: Some(Disarmed::TimeOver), ..self },
            _ => self,
        }
    }

    /// Whether it has left, and may be done however often it was taken back: nothing says that it was refused.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        self.sent > 0 && (self.told.is_none() || self.is_there())
    }

    /// Its opcode.
    #[must_use]
    pub fn opcode(&self) -> u16 {
        self.bytes.first_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    /// CRC-32C of its bytes: the answer to it names it.
    #[must_use]
    pub fn check(&self) -> u32 {
        checksum(&self.bytes)
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> String {
        Order::decode(&self.bytes).map_or_else(|_| hex(&self.bytes), |order| order.to_string())
    }

    /// Where it stands, for people.
    #[must_use]
    pub fn state(&self) -> String {
        match (&self.told, self.dropped, self.sent) {
            (Some(told), _, _) if told.stage == Stage::Armed => self.armed_state(told),
            (Some(told), _, _) if told.is_final() => match self.goes_on_as {
                Some(number) => format!("{told}; it goes on as #{number}"),
                None => told.to_string(),
            },
            (_, true, 0) => "dropped".to_owned(),
            (Some(told), true, _) if self.is_there() => format!("{told}; dropped too late"),
            (_, true, sent) => format!("dropped; sent {}, may have been done", times(sent)),
            (_, false, 0) if self.expired => {
                "expired: there was no contact in the time that an order stays armed; it was never sent".to_owned()
            }
            (_, false, _) if self.expired => {
                "expired: not answered in the time that an order stays armed; it is sent no more, and may have arrived"
                    .to_owned()
            }
            (Some(told), false, _) => told.to_string(),
            (None, false, 0) => "waiting".to_owned(),
            (None, false, sent) => format!("sent {}", times(sent)),
        }
    }

    fn armed_state(&self, told: &Told) -> String {
        if let Some(number) = self.disarmed_by {
            return format!("disarmed: #{number} came to fire it and was refused; {ARM_AGAIN}");
        }
        match (self.dropped, self.fired_by, self.disarmed, self.armed_until_unix_ms) {
            (true, ..) => "armed, then given up".to_owned(),
            (_, Some(0), ..) => "armed, then fired by the holder of another key".to_owned(),
            (_, Some(number), ..) => format!("armed, until #{number} came to fire it"),
            (_, None, Some(why), _) => format!("disarmed: {why}; {ARM_AGAIN}"),
            (_, None, None, Some(until)) => format!("armed until {}", clock(until)),
            (_, None, None, None) => told.to_string(),
        }
    }
}

/// How often, in words: `once`, `3 times`.
#[must_use]
pub fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The time of the day, UTC: `12:34:56`.
#[must_use]
pub fn clock(unix_ms: u64) -> String {
    let s = unix_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests;
