//! Records of a pcap file (draft-ietf-opsawg-pcap): microsecond and nanosecond magic, both byte orders.
//!
//! A record says its own length and nothing marks its end, so one flipped byte in a length would lose
//! the rest of the file. Each record is therefore believed only if another plausible one, or the end of
//! the file, follows it; otherwise the next one is searched for byte by byte, and all bytes up to there
//! are handed on as a suspect record.

use std::io;
use std::time::Duration;

use super::record::{MAX_PACKET_BYTES, Record, SEARCH_BYTES, SEARCH_STEP_BYTES, take_stretch};
use super::stats::CaptureStats;
use super::window::Window;

/// Length of the file's header.
pub(super) const FILE_HEADER_BYTES: usize = 24;
const HEADER_BYTES: usize = 16;
const MAGIC_MICRO: u32 = 0xA1B2_C3D4;
const MAGIC_NANO: u32 = 0xA1B2_3C4D;
/// A search stops at no shorter packet, lest it take a run of zeros for a record.
const MIN_PACKET_BYTES: usize = 20;
/// Largest length on the wire that is believed.
const MAX_WIRE_BYTES: u32 = 1 << 20;
/// Records of one capture lie no further apart in time than this; passes joined to one file do.
const MAX_GAP_S: u32 = 400 * 86_400;

#[derive(Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    ticks_per_s: u32,
    link_type: u32,
    snap_bytes: usize,
    last_s: Option<u32>,
    lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    seconds: u32,
    ticks: u32,
    captured: usize,
    wire: u32,
}

impl Pcap {
    /// Reads a file header.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let magic = head.first_chunk().map(|m| u32::from_le_bytes(*m))?;
        let (big_endian, ticks_per_s) = match (magic, magic.swap_bytes()) {
            (MAGIC_MICRO, _) => (false, 1_000_000),
            (MAGIC_NANO, _) => (false, 1_000_000_000),
            (_, MAGIC_MICRO) => (true, 1_000_000),
            (_, MAGIC_NANO) => (true, 1_000_000_000),
            _ => return None,
        };
        Self::with(head, big_endian, ticks_per_s)
    }

    /// Reads a file header whose magic is damaged, by its version (2.4) alone.
    pub(super) fn detect_damaged(head: &[u8]) -> Option<Self> {
        let big_endian = match head.get(4..8)? {
            [2, 0, 4, 0] => false,
            [0, 2, 0, 4] => true,
            _ => return None,
        };
        Self::with(head, big_endian, 1_000_000_000)
    }

    /// Whether a file this short is the beginning of a file header.
    pub(super) fn is_beginning(head: &[u8]) -> bool {
        let magics = [MAGIC_MICRO, MAGIC_NANO];
        head.len() < FILE_HEADER_BYTES
            && magics.iter().any(|m| {
                let beside = |magic: [u8; 4]| head.iter().zip(magic).all(|(a, b)| *a == b);
                beside(m.to_le_bytes()) || beside(m.to_be_bytes())
            })
    }

    fn with(head: &[u8], big_endian: bool, ticks_per_s: u32) -> Option<Self> {
        let mut this =
            Self { big_endian, ticks_per_s, link_type: 0, snap_bytes: 0, last_s: None, lost: false };
        this.snap_bytes = this.u32(head, 16)? as usize;
        // The upper bits tell the length of a frame check sequence, which lies behind everything.
        this.link_type = this.u32(head.get(..FILE_HEADER_BYTES)?, 20)? & 0xFFFF;
        Some(this)
    }

    /// The next record, its bytes in `data`; `None` at the end.
    pub(super) fn next(
        &mut self,
        window: &mut Window,
        stats: &mut CaptureStats,
        data: &mut Vec<u8>,
    ) -> io::Result<Option<Record>> {
        // Captures joined by `cat`.
        if let Some(another) = Self::detect(window.look(FILE_HEADER_BYTES)?) {
            *self = Self { last_s: self.last_s, ..another };
            window.skip(FILE_HEADER_BYTES);
        }
        let Some(header) = self.header(window.look(HEADER_BYTES)?) else {
            stats.truncated |= !window.ahead().is_empty();
            return Ok(None);
        };
        if self.plausible(header) && self.last_s.is_none_or(|last_s| near(last_s, header.seconds)) {
            let end = HEADER_BYTES + header.captured;
            let behind = window.look(end + FILE_HEADER_BYTES)?.get(end..);
            if behind.is_some_and(|behind| self.follows(behind, header)) {
                self.lost = false;
                return Ok(Some(self.take(header, end, false, window, stats, data)));
            }
        }
        self.recover(header, window, stats, data)
    }

    /// Finds the way behind a record that nothing plausible follows.
    fn recover(
        &mut self,
        header: Header,
        window: &mut Window,
        stats: &mut CaptureStats,
        data: &mut Vec<u8>,
    ) -> io::Result<Option<Record>> {
        let ahead = window.look(SEARCH_BYTES)?;
        let reach = if ahead.len() < SEARCH_BYTES { ahead.len() } else { SEARCH_STEP_BYTES };
        if let Some(at) = self.find_sound(ahead, reach) {
            self.last_s =
                ahead.get(at..).and_then(|a| self.likely(a)).map(|(h, _)| h.seconds).or(self.last_s);
            stats.resyncs += u64::from(!self.lost);
            self.lost = false;
            return Ok(Some(self.take(header, at, true, window, stats, data)));
        }
        let cut = self.plausible(header) && HEADER_BYTES + header.captured > ahead.len();
        if cut && !self.lost {
            stats.truncated = true;
            let end = ahead.len();
            return Ok(Some(self.take(header, end, true, window, stats, data)));
        }
        stats.resyncs += u64::from(!self.lost);
        self.lost = true;
        let time = Duration::from_secs(self.last_s.unwrap_or_default().into());
        take_stretch(window, time, stats, data)
    }

    /// Hands on the bytes up to `end` as one record.
    fn take(
        &mut self,
        header: Header,
        end: usize,
        suspect: bool,
        window: &mut Window,
        stats: &mut CaptureStats,
        data: &mut Vec<u8>,
    ) -> Record {
        data.clear();
        data.extend_from_slice(window.ahead().get(..end).unwrap_or_default());
        window.skip(end);
        let start = HEADER_BYTES.min(data.len());
        let packet = start..data.len().min(start.saturating_add(header.captured));
        stats.records += 1;
        stats.bytes += packet.len() as u64;
        stats.truncated_records +=
            u64::from(header.wire <= MAX_WIRE_BYTES && header.wire as usize > header.captured);
        if !suspect {
            self.last_s = Some(header.seconds);
        }
        let seconds = if suspect { self.last_s.unwrap_or(header.seconds) } else { header.seconds };
        let nanos = u64::from(header.ticks) * (1_000_000_000 / u64::from(self.ticks_per_s));
        let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos.min(999_999_999));
        Record { time, link_type: Some(self.link_type), packet, suspect }
    }

    /// Whether what lies behind a record lets it be believed.
    fn follows(&self, behind: &[u8], before: Header) -> bool {
        if Self::detect(behind).is_some() {
            return true;
        }
        let Some(next) = self.header(behind) else {
            return true; // the capture ends here, or is cut in the header
        };
        let timely = near(next.seconds, before.seconds) || self.timely(next);
        self.plausible(next) && timely
    }

    /// Where behind the first byte sound records begin again: best at one of about the time of the last
    /// sound one; failing that, behind a jump of the clock, where two others of about its own time follow.
    fn find_sound(&self, ahead: &[u8], reach: usize) -> Option<usize> {
        let rests = || (1..reach).map(|at| (at, ahead.get(at..).unwrap_or_default()));
        let timely = rests().find(|(_, rest)| self.resumes_timely(rest) || Self::detect(rest).is_some());
        timely.or_else(|| rests().find(|(_, rest)| self.resumes_elsewhen(rest))).map(|(at, _)| at)
    }

    fn resumes_timely(&self, rest: &[u8]) -> bool {
        let Some((first, behind)) = self.likely(rest).filter(|(first, _)| self.timely(*first)) else {
            return false;
        };
        behind.is_none_or(|behind| self.follows(behind, first))
    }

    fn resumes_elsewhen(&self, rest: &[u8]) -> bool {
        let Some((first, Some(behind))) = self.likely(rest) else { return false };
        let Some((second, Some(behind))) = self.likely(behind) else { return false };
        near(first.seconds, second.seconds)
            && (behind.is_empty()
                || self.header(behind).is_some_and(|h| self.plausible(h) && near(h.seconds, second.seconds)))
    }

    /// A header that a search may stop at, and what lies behind its packet unless that is cut.
    fn likely<'a>(&self, rest: &'a [u8]) -> Option<(Header, Option<&'a [u8]>)> {
        let header = self.header(rest).filter(|h| self.plausible(*h))?;
        let sized = header.captured == header.wire as usize || header.captured == self.snap_bytes;
        let behind = rest.get(HEADER_BYTES + header.captured..);
        (sized && header.captured >= MIN_PACKET_BYTES).then_some((header, behind))
    }

    fn plausible(&self, header: Header) -> bool {
        header.captured <= MAX_PACKET_BYTES
            && header.captured <= header.wire as usize
            && header.wire <= MAX_WIRE_BYTES
            && header.ticks < self.ticks_per_s
    }

    fn timely(&self, header: Header) -> bool {
        self.last_s.is_some_and(|last_s| near(last_s, header.seconds))
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        Some(Header {
            seconds: self.u32(bytes, 0)?,
            ticks: self.u32(bytes, 4)?,
            captured: self.u32(bytes, 8)? as usize,
            wire: self.u32(bytes, 12)?,
        })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(*field) } else { u32::from_le_bytes(*field) })
    }
}

fn near(a_s: u32, b_s: u32) -> bool {
    a_s.abs_diff(b_s) <= MAX_GAP_S
}
