//! What the readers of the file formats hand on: one record of a capture, or a stretch of its bytes in
//! which the formats' own lengths can't be trusted.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::stats::CaptureStats;
use super::window::Window;

/// Longest packet of a record: tcpdump's largest snapshot length. A longer one is damage.
pub(super) const MAX_PACKET_BYTES: usize = 256 << 10;
/// How far ahead a search for the next sound record looks.
pub(super) const SEARCH_BYTES: usize = 1 << 20;
/// How far a fruitless search goes on; the rest of what it looked at stays ahead, so that a record
/// found late in it can still be checked against what follows.
pub(super) const SEARCH_STEP_BYTES: usize = SEARCH_BYTES / 2;
/// What two stretches share, so that no datagram is cut where they meet.
const OVERLAP_BYTES: usize = 16 << 10;

/// A record; its bytes are in the buffer it was read to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Since the Unix epoch.
    pub(super) time: Duration,
    /// LINKTYPE of the packet, if there is a packet to be taken apart.
    pub(super) link_type: Option<u32>,
    /// The packet within the buffer.
    pub(super) packet: Range<usize>,
    /// Whether the record's lengths are doubtful: all of the buffer is to be searched then.
    pub(super) suspect: bool,
}

/// Takes the next half search as a stretch without records.
pub(super) fn take_stretch(
    window: &mut Window,
    time: Duration,
    stats: &mut CaptureStats,
    data: &mut Vec<u8>,
) -> io::Result<Option<Record>> {
    let ahead = window.look(SEARCH_BYTES)?;
    let (taken, shared) =
        if ahead.len() < SEARCH_BYTES { (ahead.len(), 0) } else { (SEARCH_STEP_BYTES, OVERLAP_BYTES) };
    if taken == 0 {
        return Ok(None);
    }
    data.clear();
    data.extend_from_slice(ahead.get(..taken + shared).unwrap_or_default());
    window.skip(taken);
    stats.stray_bytes += taken as u64;
    Ok(Some(Record { time, link_type: None, packet: 0..0, suspect: true }))
}
