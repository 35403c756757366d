//! The clear form of a command: what a protected frame of the slow link carries.
//!
//! It has no checksum and no tag of its own: the frame around it has both, and nothing of it may be looked at before
//! the frame is authentic.

use super::PacketError;
use super::primary::{self, COMMAND_APID, Kind, PRIMARY_BYTES};
use crate::wire::{Reader, Writer};

/// The smallest order: an opcode.
pub const MIN_ORDER_BYTES: usize = 2;
pub use crate::dict::MAX_ORDER_BYTES;

/// Bytes in front of the order: primary header, flags, order number.
const HEADER_BYTES: usize = PRIMARY_BYTES + 1 + 4;

/// What is to be done with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is to be run.
    Run = 0,
    /// It is hazardous, and is to be held ready.
    Arm = 1,
    /// It was armed, and is to be run.
    Fire = 2,
}

impl Mode {
    /// The name used in every output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Arm => "arm",
            Self::Fire => "fire",
        }
    }

    /// The mode of the flags of a packet; `None` if any other bit is set.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Run),
            1 => Some(Self::Arm),
            2 => Some(Self::Fire),
            _ => None,
        }
    }
}

/// A command packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandPacket<'a> {
    /// Sequence count of the packets, below [`super::SEQUENCE_COUNTS`]: for the links, not what an order is known by.
    pub sequence_count: u16,
    /// What is to be done with the order.
    pub mode: Mode,
    /// Its number, by which the board runs it once.
    pub number: u32,
    /// Opcode and arguments, [`MIN_ORDER_BYTES`] to [`MAX_ORDER_BYTES`].
    pub order: &'a [u8],
}

impl<'a> CommandPacket<'a> {
    /// The largest packet, bytes.
    pub const MAX_BYTES: usize = HEADER_BYTES + MAX_ORDER_BYTES;

    /// Writes it to the front of `out` and returns its length.
    ///
    /// # Errors
    /// A count or an order out of range, or `out` too short.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, PacketError> {
        let total = HEADER_BYTES + check_order(self.order)?;
        let short = PacketError::Length { bytes: out.len() };
        let out = out.get_mut(..total).ok_or(short)?;
        primary::write(Kind::Command, COMMAND_APID, self.sequence_count, total, out)?;
        let mut w = Writer::new(out.get_mut(PRIMARY_BYTES..).ok_or(short)?);
        w.put(&[self.mode as u8]).put(&self.number.to_be_bytes()).put(self.order);
        debug_assert!(w.fitted());
        Ok(total)
    }

    /// Reads exactly the bytes of one packet.
    ///
    /// # Errors
    /// What keeps them from being one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let length = PacketError::Length { bytes: bytes.len() };
        let (head, order) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(length)?;
        let (apid, sequence_count) = primary::read(Kind::Command, bytes)?;
        if apid != COMMAND_APID {
            return Err(PacketError::Range { field: "apid" });
        }
        check_order(order)?;
        let mut r = Reader::new(head);
        let _primary: [u8; PRIMARY_BYTES] = r.array().ok_or(length)?;
        let mode = Mode::from_code(r.u8().ok_or(length)?).ok_or(PacketError::Range { field: "flags" })?;
        Ok(Self { sequence_count, mode, number: r.u32().ok_or(length)?, order })
    }
}

/// The length of an order, if it may have it.
fn check_order(order: &[u8]) -> Result<usize, PacketError> {
    let bytes = order.len();
    let may = (MIN_ORDER_BYTES..=MAX_ORDER_BYTES).contains(&bytes);
    if may { Ok(bytes) } else { Err(PacketError::Length { bytes: bytes.saturating_add(HEADER_BYTES) }) }
}
