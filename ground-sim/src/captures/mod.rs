//! Captures, a first-class input: what tcpdump wrote is as good as what a socket heard.
//!
//! | file | what |
//! | --- | --- |
//! | `records` | records out of pcap and pcapng, plain or compressed, also where the file is damaged |
//! | `packets` | the UDP payload out of a record: link layers, IP, fragments |
//! | `writer` | a capture of what a station received |
//!
//! A capture may be cut anywhere, damaged anywhere, glued together from several. Checksums of IP and UDP
//! are never asked for: on the loopback they are left to hardware that isn't there, and whoever damages a
//! packet may mend them. What counts is the datagram's own CRC and tag, so whatever might be a datagram is
//! offered as a [`Packet`], and [`Packet::candidates`] says where in it one may lie.

mod packets;
mod records;
mod writer;

pub use packets::{Packet, Radio};
pub use records::CaptureError;
pub use writer::CaptureWriter;

use std::path::Path;

use serde::Serialize;

use packets::Packets;
use records::Records;

/// What was found in a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CaptureStats {
    /// Records read.
    pub records: u64,
    /// Bytes of the file that were read (unpacked).
    pub bytes: u64,
    /// Records with a UDP payload, fragments put together among them.
    pub udp: u64,
    /// Records without one.
    pub other: u64,
    /// IP fragments.
    pub fragments: u64,
    /// Records that the snap length cut.
    pub cut_records: u64,
    /// Times the reader lost its place in a damaged file and found it again.
    pub resyncs: u64,
    /// Whether the file ends in the middle of a record.
    pub cut_short: bool,
}

/// Reads a capture from front to back.
pub struct CaptureReader {
    records: Records,
    packets: Packets,
    stats: CaptureStats,
}

impl CaptureReader {
    /// Opens a capture file.
    ///
    /// # Errors
    /// It can't be read or is not a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Ok(Self {
            records: Records::open(path)?,
            packets: Packets::default(),
            stats: CaptureStats::default(),
        })
    }

    /// The next packet that may hold a datagram; `None` at the end.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        let Some(record) = self.records.next()? else {
            self.stats.bytes = self.records.bytes();
            self.stats.resyncs = self.records.resyncs();
            self.stats.cut_short = self.records.cut_short();
            return Ok(None);
        };
        self.stats.records += 1;
        self.stats.cut_records += u64::from(record.cut);
        let packet = self.packets.read(&record, &mut self.stats);
        match &packet.udp {
            Some(_) => self.stats.udp += 1,
            None => self.stats.other += 1,
        }
        Ok(Some(packet))
    }

    /// What was found so far; all of it once [`CaptureReader::next_packet`] has given `None`.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.stats
    }

    /// Bytes of the file read so far, as they lie on disk.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.records.position()
    }
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaptureReader({:?})", self.stats)
    }
}

#[cfg(test)]
mod tests;
