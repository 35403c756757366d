//! The report: what the ground has, told to the satellite over the slow link.
//!
//! Absolute, never a delta: for each block it names, how many symbols more it needs. So any subset of the
//! reports, in any order, any number of times, leaves the satellite no worse off than none at all. Each
//! frame of at most [`MAX_REPORT_BYTES`] stands by itself, has a number of its own and is sealed:
//!
//! ```text
//! 0  magic "PR"   2  version = 1   3  kind = 1   4  spacecraft u16   6  key epoch u16
//! 8  nonce [12]   20  sealed body (AES-256-GCM, 16-byte tag; bytes 0–7 authenticated)
//!
//! body:  0  station u16    2  number u64      link:  10  first_seq u64   18  span u32   22  heard u32
//!       26  items: 1 | bundle id [12]                                              the whole bundle is there
//!                  2 | bundle id [12] | first block u32 | as_of u24 | n u8 | codes [n]
//! ```
//!
//! `number` rises from report to report of a station. `first_seq`, `span` and `heard` tell what was heard of
//! the present pass: the first datagram's link sequence number, how many were sent from it to the last one
//! heard, and how many of these were heard; a span of 0 says nothing. `as_of`: symbols of these blocks with
//! ids below it were taken into account. The codes give the blocks from the first on; see [`codes`].
//!
//! Beside reports stand [`Acknowledgement`]s, frames of kind 2, which say what alerts the ground has.

mod acknowledgement;
mod build;
pub mod codes;
mod gate;
mod sealed;

pub use acknowledgement::{
    Acknowledgement, AlertMark, MAX_ACKNOWLEDGED, open_acknowledgement, seal_acknowledgement,
};
pub use build::{BlockState, BundleState, build};
pub use gate::{Frame, Gate, GateCounts, Refused};
pub use sealed::addressee;

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::BundleId;
use crate::keys::EpochKey;
use crate::transfer::belief::Observation;
use crate::wire::Reader;

/// The longest frame, bytes: what the slow link carries in one piece.
pub const MAX_REPORT_BYTES: usize = 256;
/// Most blocks that one frame may speak of.
pub const MAX_REPORT_BLOCKS: usize = 65_536;

/// Bytes of a body in front of its items.
const FIXED_BYTES: usize = 26;
/// Most bytes of items.
const MAX_ITEM_BYTES: usize = sealed::MAX_BODY_BYTES - FIXED_BYTES;
const ITEM_WHOLE: u8 = 1;
const ITEM_BLOCKS: u8 = 2;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who says it.
    pub station: u16,
    /// Its number: higher ones are later.
    pub number: u64,
    /// What was heard of the present pass; `None` if nothing is said of that.
    pub link: Option<Observation>,
    /// What it says of bundles.
    pub items: Vec<Item>,
}

/// What a report says of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// All of it is there.
    Whole(BundleId),
    /// Of some of its blocks, how much is missing.
    Blocks {
        /// The bundle.
        id: BundleId,
        /// The first of the blocks.
        first_block: u32,
        /// Symbols with ids below this were taken into account.
        as_of: u32,
        /// For each block, symbols it still needs, rounded up by 3 % at most; 0: it is whole.
        missing: Vec<u32>,
    },
}

/// Seals a report into a frame. `nonce` must be fresh from a cryptographic random source.
///
/// # Errors
/// [`ReportError::TooLong`]: more items than fit; [`build`] makes reports that do.
pub fn seal_report(
    key: &EpochKey,
    nonce: [u8; sealed::NONCE_BYTES],
    report: &Report,
) -> Result<Vec<u8>, ReportError> {
    sealed::seal(key, sealed::KIND_REPORT, nonce, encode_body(report)?)
}

/// Opens a frame.
///
/// # Errors
/// Not a report, not under this key, damaged or forged, or of a shape this version doesn't know.
pub fn open_report(key: &EpochKey, frame: &[u8]) -> Result<Report, ReportError> {
    decode_body(&sealed::open(key, sealed::KIND_REPORT, frame)?)
}

fn encode_body(report: &Report) -> Result<Vec<u8>, ReportError> {
    let mut body = Vec::with_capacity(FIXED_BYTES + MAX_ITEM_BYTES);
    let link = report.link.unwrap_or(Observation { station: 0, first_seq: 0, span: 0, heard: 0 });
    body.extend_from_slice(&report.station.to_be_bytes());
    body.extend_from_slice(&report.number.to_be_bytes());
    body.extend_from_slice(&link.first_seq.to_be_bytes());
    body.extend_from_slice(&link.span.to_be_bytes());
    body.extend_from_slice(&link.heard.to_be_bytes());
    for item in &report.items {
        encode_item(item, &mut body)?;
    }
    if body.len() > FIXED_BYTES + MAX_ITEM_BYTES { Err(ReportError::TooLong) } else { Ok(body) }
}

fn encode_item(item: &Item, body: &mut Vec<u8>) -> Result<(), ReportError> {
    match item {
        Item::Whole(id) => {
            body.push(ITEM_WHOLE);
            body.extend_from_slice(&id.0);
        }
        Item::Blocks { id, first_block, as_of, missing } => {
            let codes = codes::encode(missing);
            let count = u8::try_from(codes.len()).map_err(|_| ReportError::TooLong)?;
            let [high, as_of @ ..] = as_of.to_be_bytes();
            if high != 0 {
                return Err(ReportError::Shape("as_of"));
            }
            body.push(ITEM_BLOCKS);
            body.extend_from_slice(&id.0);
            body.extend_from_slice(&first_block.to_be_bytes());
            body.extend_from_slice(&as_of);
            body.push(count);
            body.extend_from_slice(&codes);
        }
    }
    Ok(())
}

fn decode_body(body: &[u8]) -> Result<Report, ReportError> {
    let (fixed, mut rest) = body.split_first_chunk::<FIXED_BYTES>().ok_or(ReportError::Shape("body"))?;
    let mut r = Reader::new(fixed);
    let mut fields = || Some((r.u16()?, r.u64()?, r.u64()?, r.u32()?, r.u32()?));
    let (station, number, first_seq, span, heard) = fields().ok_or(ReportError::Shape("body"))?;
    if heard > span {
        return Err(ReportError::Shape("heard"));
    }
    let link = (span > 0).then_some(Observation { station, first_seq, span, heard });
    let mut items = Vec::new();
    let mut blocks = 0;
    while let Some((kind, after)) = rest.split_first() {
        let (item, left) = decode_item(*kind, after)?;
        if let Item::Blocks { missing, .. } = &item {
            blocks += missing.len();
        }
        if blocks > MAX_REPORT_BLOCKS {
            return Err(ReportError::Shape("codes"));
        }
        items.push(item);
        rest = left;
    }
    Ok(Report { station, number, link, items })
}

fn decode_item(kind: u8, bytes: &[u8]) -> Result<(Item, &[u8]), ReportError> {
    let (id, rest) = bytes.split_first_chunk::<12>().ok_or(ReportError::Shape("bundle id"))?;
    let id = BundleId(*id);
    match kind {
        ITEM_WHOLE => Ok((Item::Whole(id), rest)),
        ITEM_BLOCKS => {
            let (fixed, rest) = rest.split_first_chunk::<8>().ok_or(ReportError::Shape("blocks"))?;
            let [b0, b1, b2, b3, a0, a1, a2, count] = *fixed;
            let (codes, rest) =
                rest.split_at_checked(usize::from(count)).ok_or(ReportError::Shape("codes"))?;
            let missing = codes::decode(codes, MAX_REPORT_BLOCKS).ok_or(ReportError::Shape("codes"))?;
            let first_block = u32::from_be_bytes([b0, b1, b2, b3]);
            let as_of = u32::from_be_bytes([0, a0, a1, a2]);
            Ok((Item::Blocks { id, first_block, as_of, missing }, rest))
        }
        _ => Err(ReportError::Shape("item kind")),
    }
}

/// Why a frame is not a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportError {
    /// It doesn't begin as one of this version, or is too short.
    NotAReport,
    /// Longer than [`MAX_REPORT_BYTES`].
    TooLong,
    /// Sealed for another spacecraft or key epoch.
    OtherKey,
    /// The seal doesn't hold: damaged or forged.
    Seal,
    /// The seal holds, but the named field is not of this version.
    Shape(&'static str),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReport => f.write_str("not a report of version 1, of this kind"),
            Self::TooLong => write!(f, "a report frame is longer than {MAX_REPORT_BYTES} bytes"),
            Self::OtherKey => f.write_str("the report is for another spacecraft or key epoch"),
            Self::Seal => f.write_str("the report's seal does not hold: damaged or forged"),
            Self::Shape(field) => write!(f, "the report's field '{field}' is not of this version"),
        }
    }
}

impl core::error::Error for ReportError {}

#[cfg(test)]
mod tests;
