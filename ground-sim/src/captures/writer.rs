//! Writes what a station received as a capture that tcpdump and Wireshark read: pcap with nanoseconds,
//! link type raw IP, the IP and UDP headers made up from the socket's addresses.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;

const LINKTYPE_RAW: u32 = 101;
const SNAP_BYTES: u32 = 262_144;

/// Writes a capture.
#[derive(Debug)]
pub struct CaptureWriter {
    path: PathBuf,
    out: BufWriter<File>,
    packet: Vec<u8>,
}

impl CaptureWriter {
    /// Makes a capture file; one that is there already is never overwritten.
    ///
    /// # Errors
    /// The file exists or can't be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .with_context(|| format!("making the capture {}", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        let mut head = Vec::new();
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, SNAP_BYTES, LINKTYPE_RAW] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        out.write_all(&head).with_context(|| format!("writing the capture {}", path.display()))?;
        Ok(Self { path: path.to_owned(), out, packet: Vec::new() })
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(
        &mut self,
        time: SystemTime,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<()> {
        const HOPS: u8 = 64;
        self.packet.clear();
        let builder = match (from.ip(), to.ip()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), HOPS),
            (a, b) => PacketBuilder::ipv6(v6(a), v6(b), HOPS),
        };
        builder
            .udp(from.port(), to.port())
            .write(&mut self.packet, payload)
            .context("a payload too long for UDP")?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = u32::try_from(self.packet.len()).context("a packet of 4 GiB")?;
        // The field has 32 bits: it wraps in 2106, as everybody's does.
        let seconds = u32::try_from(since.as_secs() & 0xffff_ffff).unwrap_or_default();
        let mut head = [0; 16];
        let fields = [seconds, since.subsec_nanos(), bytes, bytes];
        for (place, field) in head.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let written = self.out.write_all(&head).and_then(|()| self.out.write_all(&self.packet));
        written.with_context(|| format!("writing the capture {}", self.path.display()))
    }

    /// Hands what is buffered to the system.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().with_context(|| format!("writing the capture {}", self.path.display()))
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
