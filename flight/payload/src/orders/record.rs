//! An order as it is remembered.

use core::fmt;

use passband_proto::crc32c::checksum;
use passband_proto::dict::{Answer, OrderDef, Reason, Stage};
use serde::{Deserialize, Serialize};

use super::{Step, answer_text};
use crate::sequence::SOURCE;

/// The source of orders given in a shell on board.
pub const SHELL: u16 = 0xFFFF;
/// Longest text that is kept with an order, bytes.
const MAX_TEXT_BYTES: usize = 480;

/// Names an order: by whom it was given, and that giver's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderId {
    /// A security association, [`SHELL`] or [`SOURCE`]: a plan.
    pub source: u16,
    /// The number.
    pub number: u32,
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            SHELL => write!(f, "shell/{}", self.number),
            SOURCE => write!(f, "plan/{}", self.number),
            source => write!(f, "{source}/{}", self.number),
        }
    }
}

/// An order, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was to be done with it.
    pub step: Step,
    /// It, as it came.
    pub bytes: Vec<u8>,
    /// When it was taken, ms since 1970-01-01 UTC.
    pub taken_unix_ms: u64,
    /// Since when it stands as it does, ms since 1970-01-01 UTC.
    pub changed_unix_ms: u64,
    /// Where it stands.
    pub stage: Stage,
    /// Why it was refused or failed.
    pub reason: Reason,
    /// More about it.
    pub text: String,
    /// Whether the ground has the answer.
    pub seen: bool,
    /// How often it was begun again at a start of the daemon.
    pub resumed: u8,
}

impl Record {
    /// An order that was just accepted.
    pub(super) fn new(unix_ms: u64, step: Step, bytes: &[u8]) -> Self {
        // What is longer is no order, and is refused.
        let bytes = bytes.get(..passband_proto::dict::MAX_ORDER_BYTES).unwrap_or(bytes).to_vec();
        Self {
            step,
            bytes,
            taken_unix_ms: unix_ms,
            changed_unix_ms: unix_ms,
            stage: Stage::Accepted,
            reason: Reason::None,
            text: String::new(),
            seen: false,
            resumed: 0,
        }
    }

    /// Where it stands from now on.
    pub(super) fn settle(&mut self, unix_ms: u64, stage: Stage, reason: Reason, text: &str) {
        (self.stage, self.reason, self.changed_unix_ms, self.seen) = (stage, reason, unix_ms, false);
        self.text.clear();
        for c in text.chars() {
            if self.text.len() + c.len_utf8() > MAX_TEXT_BYTES {
                break;
            }
            self.text.push(if c.is_control() { ' ' } else { c });
        }
    }

    /// Whether it is to be done, or being done.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Started)
    }

    /// Whether nothing more will become of it.
    pub fn is_settled(&self) -> bool {
        !self.is_open()
    }

    /// The answer in telemetry.
    pub fn answer(&self, id: OrderId) -> Answer {
        let opcode = self.bytes.first_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        Answer {
            source: id.source,
            number: id.number,
            opcode,
            check: checksum(&self.bytes),
            stage: self.stage,
            reason: self.reason,
            unix: self.changed_unix_ms,
            text: answer_text(&self.text),
        }
    }

    /// Its words, as far as they are known.
    pub fn words(&self) -> String {
        match passband_proto::dict::Order::decode(&self.bytes) {
            Ok(order) => order.to_string(),
            Err(_) => OrderDef::read(&self.bytes).map_or("an order", |(def, _)| def.words).to_owned(),
        }
    }
}
