//! CCSDS Space Packets (CCSDS 133.0-B-2): telemetry down, and the clear form of a command up.
//!
//! ```text
//! telemetry                                         command (clear: it travels inside a protected frame)
//!   0  primary header [6]   type 0, secondary 1       0  primary header [6]   type 1, secondary 0, APID 0x0FF
//!   6  P-field = 0x2E                                 6  flags u8             0 run, 1 arm, 2 fire
//!   7  T-field, coarse u32 | fine u16                 7  order number u32
//!  13  data [N], N fixed for an APID                 11  order [M], M from 2 to 800
//! 13+N tag u64          21+N crc u32
//!
//! primary header: version u3 = 0 | type u1 | secondary u1 | APID u11 | sequence flags u2 = 3 | count u14
//!                 | length u16 = bytes behind the primary header, less one
//! ```
//!
//! Integers are big endian. The tag is the first eight bytes of AES-128-CMAC under the telemetry key over everything
//! before it, zero if the sender holds no key; the CRC-32C covers everything before it, the tag too. The CRC is for
//! everyone and tells damage; the tag is for whoever holds the key and tells forgery.
//!
//! The primary header is read and written by the crate `spacepackets`. Its CUC time is not used: that knows the CCSDS
//! epoch only (time code 1), takes 2¹⁶ − 1 for the fractions of a second where CCSDS 301.0-B-4 has 2¹⁶, and asserts on
//! values from outside. [`Cuc`] is ours. The checksum of its packets is a CRC-16, too weak to find packets by in
//! noise: hence the CRC-32C.
//!
//! This module keeps no state and reads no clock: counts and times are handed in. It never segments a packet, knows
//! nothing of what the data mean, and never decides whether a command may run.

mod command;
#[cfg(feature = "std")]
pub mod correlation;
mod cuc;
mod error;
mod primary;
mod telemetry;

#[cfg(test)]
mod tests;

pub use command::{CommandPacket, MAX_ORDER_BYTES, MIN_ORDER_BYTES, Mode};
pub use cuc::{Cuc, CucError, P_FIELD};
pub use error::PacketError;
pub use primary::{COMMAND_APID, PRIMARY_BYTES, SEQUENCE_COUNTS, TELEMETRY_APIDS, next_count};
pub use telemetry::{
    CRC_BYTES, MAX_DATA_BYTES, MAX_PACKET_BYTES, MIN_PACKET_BYTES, TAG_BYTES, TelemetryPacket,
    may_begin_telemetry, seal_telemetry,
};
