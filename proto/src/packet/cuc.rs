//! Packet time: CCSDS Unsegmented Time Code, CUC (CCSDS 301.0-B-4, 3.2), agency epoch 1970-01-01T00:00:00 UTC.
//!
//! Four octets of seconds and two of 1/65,536 s, in front of them the P-field that says so: 0x2E = no extension,
//! time code 2 (agency-defined epoch), four coarse octets, two fine. The seconds are those of Unix time: a leap second
//! is counted as its neighbour is.
//!
//! | | |
//! | --- | --- |
//! | first | 1970-01-01T00:00:00.000 UTC |
//! | last ms | 2106-02-07T06:28:15.999 UTC: [`Cuc::MAX_UNIX_MS`] |
//! | beyond | [`Cuc::from_unix_ms`] refuses, [`Cuc::saturating_from_unix_ms`] stays at the last ms: it never wraps to 1970 |
//!
//! A whole number of ms survives exactly: it is written as the next tick at or behind it, so a reader finds it again
//! whether it cuts the fraction to ms or rounds it.

use core::fmt;

use crate::wire::Writer;

/// The P-field of every packet time (CCSDS 301.0-B-4, 3.2.2).
pub const P_FIELD: u8 = 0x2E;

/// Ticks of the fine octets in a second.
const TICKS: u64 = 1 << 16;

/// A time of a packet; ordered as time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cuc {
    seconds: u32,
    fine: u16,
}

impl Cuc {
    /// Bytes of P-field and T-field.
    pub const BYTES: usize = 7;
    /// The last time that can be said, ms since 1970-01-01 UTC.
    pub const MAX_UNIX_MS: u64 = (1 << 32) * 1000 - 1;

    /// A time of its fields: seconds since 1970-01-01 UTC, and 1/65,536 s.
    #[must_use]
    pub const fn new(seconds: u32, fine: u16) -> Self {
        Self { seconds, fine }
    }

    /// The time `unix_ms` after 1970-01-01 UTC.
    ///
    /// # Errors
    /// It lies beyond [`Cuc::MAX_UNIX_MS`].
    pub fn from_unix_ms(unix_ms: u64) -> Result<Self, CucError> {
        let beyond = |_| CucError::Beyond { unix_ms };
        let seconds = u32::try_from(unix_ms / 1000).map_err(beyond)?;
        let fine = u16::try_from((unix_ms % 1000 * TICKS).div_ceil(1000)).map_err(beyond)?;
        Ok(Self { seconds, fine })
    }

    /// The time `unix_ms` after 1970-01-01 UTC, or the last that can be said: for a sender that goes on sending
    /// whatever its clock says.
    #[must_use]
    pub fn saturating_from_unix_ms(unix_ms: u64) -> Self {
        Self::from_unix_ms(unix_ms.min(Self::MAX_UNIX_MS))
            .unwrap_or(Self { seconds: u32::MAX, fine: u16::MAX })
    }

    /// Whole ms since 1970-01-01 UTC.
    #[must_use]
    pub fn to_unix_ms(self) -> u64 {
        u64::from(self.seconds) * 1000 + u64::from(self.fine) * 1000 / TICKS
    }

    /// Whole seconds since 1970-01-01 UTC: the coarse octets.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// What is left, in 1/65,536 s: the fine octets.
    #[must_use]
    pub fn fine(self) -> u16 {
        self.fine
    }

    /// P-field and T-field.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [P_FIELD; Self::BYTES];
        let mut w = Writer::new(&mut bytes);
        w.put(&[P_FIELD]).put(&self.seconds.to_be_bytes()).put(&self.fine.to_be_bytes());
        debug_assert!(w.fitted());
        bytes
    }

    /// Reads P-field and T-field.
    ///
    /// # Errors
    /// The P-field is another one.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Result<Self, CucError> {
        let [p_field, coarse @ .., fine_high, fine_low] = bytes;
        if p_field != P_FIELD {
            return Err(CucError::PField { p_field });
        }
        let fine = u16::from_be_bytes([fine_high, fine_low]);
        Ok(Self { seconds: u32::from_be_bytes(coarse), fine })
    }
}

/// Why something is no packet time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CucError {
    /// Beyond what four octets of seconds can say.
    Beyond {
        /// The time that was to be said, ms since 1970-01-01 UTC.
        unix_ms: u64,
    },
    /// Another P-field: another epoch or other widths.
    PField {
        /// What it says.
        p_field: u8,
    },
}

impl fmt::Display for CucError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beyond { unix_ms } => {
                write!(f, "{unix_ms} ms since 1970 lie beyond 2106-02-07T06:28:15.999Z, the last CUC time")
            }
            Self::PField { p_field } => write!(f, "P-field 0x{p_field:02X} where 0x{P_FIELD:02X} should be"),
        }
    }
}

impl core::error::Error for CucError {}
