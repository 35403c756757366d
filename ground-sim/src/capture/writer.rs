//! Writes a capture of what the station received.
//!
//! pcap with nanoseconds and LINKTYPE_RAW; IP and UDP headers are made from the socket's addresses. The
//! file always grows by whole records, so that a reader of a file still being written, or left by a
//! station that was killed, meets no record cut in two.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use etherparse::PacketBuilder;

use super::error::CaptureError;

const MAGIC_NANO: u32 = 0xA1B2_3C4D;
const SNAP_BYTES: u32 = 256 << 10;
const LINKTYPE_RAW: u32 = 101;
const RECORD_HEADER_BYTES: usize = 16;
const TIME_TO_LIVE: u8 = 64;
/// What is gathered before it goes to the file, bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes a pcap file, record after record.
#[derive(Debug)]
pub struct CaptureWriter {
    name: String,
    file: File,
    /// Whole records that are not in the file yet.
    buffer: Vec<u8>,
    /// Whole records in the file, its header too, bytes.
    written: u64,
    records: u64,
}

impl CaptureWriter {
    /// Makes a capture file, which must not exist yet.
    ///
    /// # Errors
    /// It exists, or can't be made.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => file,
            Err(source) => return Err(CaptureError::Io { name, offset: 0, source }),
        };
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + (64 << 10));
        for field in [MAGIC_NANO, 4 << 16 | 2, 0, 0, SNAP_BYTES, LINKTYPE_RAW] {
            buffer.extend_from_slice(&field.to_le_bytes());
        }
        let mut this = Self { name, file, buffer, written: 0, records: 0 };
        this.flush()?;
        Ok(this)
    }

    /// Writes a UDP packet received at `time`. It is buffered: see [`CaptureWriter::flush`].
    ///
    /// # Errors
    /// The payload fits no IP packet, or the disk fails.
    pub fn write(
        &mut self,
        time: SystemTime,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), CaptureError> {
        let start = self.buffer.len();
        let too_long = || CaptureError::TooLong { name: self.name.clone(), bytes: payload.len() };
        let packet = match (from.ip().to_canonical(), to.ip().to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), TIME_TO_LIVE),
            (a, b) => PacketBuilder::ipv6(v6(a), v6(b), TIME_TO_LIVE),
        }
        .udp(from.port(), to.port());
        let bytes = u32::try_from(packet.size(payload.len())).map_err(|_| too_long())?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        for field in [seconds, since.subsec_nanos(), bytes, bytes] {
            self.buffer.extend_from_slice(&field.to_le_bytes());
        }
        if packet.write(&mut self.buffer, payload).is_err() {
            let error = too_long();
            self.buffer.truncate(start);
            return Err(error);
        }
        debug_assert_eq!(self.buffer.len(), start + RECORD_HEADER_BYTES + bytes as usize);
        self.records += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Gives what is buffered to the system.
    ///
    /// # Errors
    /// The disk fails. The file ends with a whole record even then, and what was buffered is dropped.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        let result = self.file.write_all(&self.buffer);
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        match result {
            Ok(()) => {
                self.written += bytes;
                Ok(())
            }
            Err(source) => {
                let _ = self.cut_back();
                Err(CaptureError::Io { name: self.name.clone(), offset: self.written, source })
            }
        }
    }

    /// Packets written so far, those buffered too.
    pub fn records(&self) -> u64 {
        self.records
    }

    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.written)?;
        self.file.seek(io::SeekFrom::Start(self.written)).map(drop)
    }
}

impl Drop for CaptureWriter {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
