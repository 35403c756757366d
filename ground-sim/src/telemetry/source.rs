//! Telemetry out of files: plain streams as a serial line, TCP or a recorder leaves them, and captures.
//!
//! A capture (pcap, pcapng, also compressed) is told by its first bytes; anything else is read as one stream. The UDP
//! payloads of a capture are streams too, one for each pair of addresses: a datagram may hold several packets, or a part
//! of one. TCP connections in a capture are not put together.
//!
//! Streams are read to their end; nothing is remembered between files.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use passband_proto::packet::TelemetryPacket;
use serde::Serialize;

use super::reader::{Reader, ReaderStats};
use super::routes::{MAX_ROUTES, Routes};
use crate::capture::{CaptureReader, CaptureStats, Found};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// How captures begin: pcap (either order of bytes, µs or ns), pcapng, gzip, zstd.
const CAPTURES: [&[u8]; 7] = [
    &[0xA1, 0xB2, 0xC3, 0xD4],
    &[0xD4, 0xC3, 0xB2, 0xA1],
    &[0xA1, 0xB2, 0x3C, 0x4D],
    &[0x4D, 0x3C, 0xB2, 0xA1],
    &[0x0A, 0x0D, 0x0D, 0x0A],
    &[0x1F, 0x8B],
    &[0x28, 0xB5, 0x2F, 0xFD],
];

/// What was met in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceStats {
    /// Of all streams together.
    pub reader: ReaderStats,
    /// Streams that were read.
    pub streams: u64,
    /// What was met in the capture, if it is one.
    pub capture: Option<CaptureStats>,
}

/// Reads a file to its end. `lengths` says how long the packets of an APID are; `sink` takes each packet, with the time
/// at which it was captured (since 1970-01-01 UTC) where the file says one.
///
/// # Errors
/// The file can't be read. What stands in it is no error, but for a compressed file that holds no capture.
pub fn read_file(
    path: &Path,
    lengths: impl Fn(u16) -> Option<usize>,
    mut sink: impl FnMut(&TelemetryPacket<'_>, Option<Duration>),
) -> Result<SourceStats> {
    let reading = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).with_context(reading)?;
    file.rewind().with_context(reading)?;
    if CAPTURES.iter().any(|magic| head.starts_with(magic)) {
        let capture = CaptureReader::from_reader(path.display().to_string(), file)?;
        read_capture(capture, &lengths, &mut sink)
    } else {
        let stats = read_stream(file, &lengths, |packet| sink(packet, None)).with_context(reading)?;
        Ok(SourceStats { reader: stats, streams: 1, capture: None })
    }
}

/// Reads one stream to its end.
///
/// # Errors
/// Those of `source`.
pub fn read_stream(
    mut source: impl Read,
    lengths: impl Fn(u16) -> Option<usize>,
    mut sink: impl FnMut(&TelemetryPacket<'_>),
) -> std::io::Result<ReaderStats> {
    let mut reader = Reader::new(lengths);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => reader.push(chunk.get(..read).unwrap_or_default(), &mut sink),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    reader.finish(sink);
    Ok(*reader.stats())
}

/// Reads a capture to its end.
fn read_capture<L: Fn(u16) -> Option<usize>>(
    mut capture: CaptureReader,
    lengths: &L,
    sink: &mut impl FnMut(&TelemetryPacket<'_>, Option<Duration>),
) -> Result<SourceStats> {
    let mut routes = Routes::new(lengths, MAX_ROUTES);
    while let Some(candidate) = capture.next_candidate()? {
        let (time, salvaged) = (Some(candidate.time), candidate.how == Found::Salvaged);
        let route = match candidate.how {
            Found::Udp { from, to } => Some((from, to)),
            Found::Salvaged => None,
        };
        routes.push(&route, candidate.bytes, time, &mut *sink);
        if salvaged {
            // Nobody knows of which stream it is a part.
            routes.close(&route, &mut *sink);
        }
    }
    routes.finish(sink);
    let capture = Some(capture.stats().clone());
    Ok(SourceStats { reader: routes.stats(), streams: routes.opened(), capture })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CaptureWriter;
    use passband_proto::packet::{Cuc, seal_telemetry};
    use std::net::SocketAddr;
    use std::time::UNIX_EPOCH;

    fn lengths(apid: u16) -> Option<usize> {
        (apid == 0x101).then_some(60)
    }

    fn packets(count: u16) -> Vec<Vec<u8>> {
        let packet = |count| {
            let mut out = vec![0; 60];
            seal_telemetry(&mut out, 0x101, count, Cuc::new(1, 2), &[7; 35], None).unwrap();
            out
        };
        (0..count).map(packet).collect()
    }

    fn read(path: &Path) -> (Vec<Vec<u8>>, Vec<Option<Duration>>, SourceStats) {
        let (mut out, mut times) = (Vec::new(), Vec::new());
        let stats = read_file(path, lengths, |packet, time| {
            out.push(packet.bytes().to_vec());
            times.push(time);
        });
        (out, times, stats.unwrap())
    }

    #[test]
    fn a_plain_file_is_a_stream_whatever_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recorded.bin");
        let packets = packets(2000);
        let mut stream = packets.concat();
        stream.drain(100..150);
        stream.splice(3000..3000, [0xAA; 33]);
        std::fs::write(&path, &stream).unwrap();
        let (out, times, stats) = read(&path);
        assert_eq!(out.len(), 1997, "three are damaged");
        assert!(out.iter().all(|packet| packets.contains(packet)) && times.iter().all(Option::is_none));
        assert_eq!((stats.reader.packets, stats.streams, stats.capture), (1997, 1, None));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(read(&path).2.reader, ReaderStats::default());
        assert!(read_file(&dir.path().join("none"), lengths, |_, _| ()).is_err());
    }

    #[test]
    fn datagrams_of_a_capture_may_hold_parts_of_packets_of_several_streams() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("telemetry.pcap");
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let mut writer = CaptureWriter::create(&path).unwrap();
        let packets = packets(200);
        let (odd, even): (Vec<_>, Vec<_>) =
            packets.chunks(1).map(<[_]>::concat).zip(0..).partition(|p| p.1 % 2 == 1);
        let stream = |packets: Vec<(Vec<u8>, i32)>| packets.into_iter().flat_map(|p| p.0).collect::<Vec<_>>();
        let (odd, even) = (stream(odd), stream(even));
        for (second, (a, b)) in (0..).zip(odd.chunks(100).zip(even.chunks(100))) {
            let at = UNIX_EPOCH + Duration::from_secs(second);
            writer.write(at, address(1), address(9), a).unwrap();
            writer.write(at, address(2), address(9), b).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        let (mut out, times, stats) = read(&path);
        out.sort();
        assert_eq!(out, packets);
        assert_eq!((stats.streams, stats.reader.skipped_bytes), (2, 0));
        assert_eq!(stats.capture.unwrap().udp, 120);
        assert!(times.iter().all(|time| time.is_some_and(|time| time.as_secs() < 60)));
    }
}
