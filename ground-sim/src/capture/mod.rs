//! Captures as input, and as a record of what the station received.
//!
//! [`CaptureReader`] streams over a pcap or pcapng file, plain or compressed with gzip or zstd, and
//! gives every UDP payload in it and every Passband datagram that can still be found where the layers
//! around it are damaged. It never holds more of a capture than a window, and never fails for what
//! stands in a capture: a damaged record costs that record at most, a capture that is cut ends early,
//! and [`CaptureStats`] says so. [`CaptureWriter`] writes what the station receives.
//!
//! A candidate's keyed tag is never checked here; whoever takes it does that.

mod error;
mod fragments;
mod layers;
mod pcap;
mod pcapng;
mod record;
mod salvage;
mod stats;
mod unpack;
mod window;
mod writer;

#[cfg(test)]
mod forge;
#[cfg(test)]
mod tests;

pub use error::CaptureError;
pub use stats::CaptureStats;
pub use writer::CaptureWriter;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use fragments::Fragments;
use layers::{Fragment, Layers, Udp};
use pcap::Pcap;
use pcapng::Pcapng;
use record::Record;
use window::Window;

/// Bytes that have to hold a datagram for a file that is no capture to be read as bare datagrams.
const BARE_BYTES: usize = 1 << 20;

/// Something in a capture that may be a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// A UDP payload, or a salvaged datagram.
    pub bytes: &'a [u8],
    /// How it was found.
    pub how: Found,
    /// When it was captured, since the Unix epoch; of a salvaged one, about when.
    pub time: Duration,
}

/// How a [`Candidate`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By the headers around it.
    Udp {
        /// Who sent it.
        from: SocketAddr,
        /// To whom.
        to: SocketAddr,
    },
    /// By its own magic and CRC, headers or lengths around it being of no use.
    Salvaged,
}

/// Reads a capture, candidate after candidate.
pub struct CaptureReader {
    name: String,
    window: Window,
    format: Format,
    fragments: Fragments,
    stats: CaptureStats,
    /// The bytes that `queue` points into: a record's, or a packet's put together from fragments.
    data: Vec<u8>,
    queue: VecDeque<(Range<usize>, Found)>,
    time: Duration,
}

enum Format {
    Empty,
    Pcap(Pcap),
    Pcapng(Pcapng),
    /// No capture format, but datagrams stand in it.
    Bare,
}

impl CaptureReader {
    /// Opens a capture file.
    ///
    /// # Errors
    /// It can't be read, or is no capture. An empty file is a capture without packets.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_reader(name, file),
            Err(source) => Err(CaptureError::Io { name, offset: 0, source }),
        }
    }

    /// Reads a capture from `source`; `name` is what errors call it.
    ///
    /// # Errors
    /// It can't be read, or is no capture.
    pub fn from_reader(
        name: impl Into<String>,
        source: impl Read + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let name = name.into();
        let mut stats = CaptureStats::default();
        let opened = unpack::Unpacked::new(Box::new(source)).map(Window::new).and_then(|mut window| {
            let format = detect(&mut window, &mut stats)?;
            Ok((window, format))
        });
        let (window, format) = match opened {
            Ok((window, Some(format))) => (window, format),
            Ok((window, None)) => {
                let head = window.ahead().iter().take(8);
                let found = head.map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
                return Err(CaptureError::NotACapture { name, offset: 0, found });
            }
            Err(source) => return Err(CaptureError::Io { name, offset: 0, source }),
        };
        Ok(Self {
            name,
            window,
            format,
            fragments: Fragments::default(),
            stats,
            data: Vec::new(),
            queue: VecDeque::new(),
            time: Duration::ZERO,
        })
    }

    /// The next candidate; `None` at the end of the capture. A capture may hold the same datagram more
    /// than once, and so may what this gives.
    ///
    /// # Errors
    /// The file can't be read on.
    pub fn next_candidate(&mut self) -> Result<Option<Candidate<'_>>, CaptureError> {
        let (range, how) = loop {
            if let Some(next) = self.queue.pop_front() {
                break next;
            }
            let record = self.next_record().map_err(|source| CaptureError::Io {
                name: self.name.clone(),
                offset: self.window.offset(),
                source,
            })?;
            let Some(record) = record else { return Ok(None) };
            self.examine(&record);
        };
        let bytes = self.data.get(range).unwrap_or_default();
        Ok(Some(Candidate { bytes, how, time: self.time }))
    }

    /// What was met so far.
    pub fn stats(&self) -> &CaptureStats {
        &self.stats
    }

    /// Bytes of the file read so far, as they lie on disk: for a progress bar.
    pub fn position(&self) -> u64 {
        self.window.position()
    }

    /// The name that errors call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn next_record(&mut self) -> io::Result<Option<Record>> {
        let (window, stats, data) = (&mut self.window, &mut self.stats, &mut self.data);
        let record = match &mut self.format {
            Format::Empty => None,
            Format::Pcap(pcap) => pcap.next(window, stats, data)?,
            Format::Pcapng(pcapng) => pcapng.next(window, stats, data)?,
            Format::Bare => record::take_stretch(window, Duration::ZERO, stats, data)?,
        };
        if self.stats.damaged_compression.is_none() {
            self.stats.damaged_compression = self.window.damage().map(str::to_owned);
        }
        Ok(record)
    }

    /// Queues the candidates of a record.
    fn examine(&mut self, record: &Record) {
        self.time = record.time;
        let data = std::mem::take(&mut self.data);
        let packet = data.get(record.packet.clone()).unwrap_or_default();
        let mut put_together = None;
        match record.link_type.map(|link_type| layers::take_apart(link_type, packet)) {
            Some(Layers::Udp(udp)) => self.queue_udp(&data, &record.packet, &udp, record.suspect),
            Some(Layers::Fragment(fragment)) => {
                self.stats.fragments += 1;
                // A flipped bit makes a whole packet look like a fragment.
                if !self.queue_salvaged(&data) && !self.queue_alert(&data, &record.packet, &(0..0)) {
                    put_together = self.put_together(&fragment).map(|whole| (fragment.key, whole));
                }
            }
            Some(other @ (Layers::OtherIp | Layers::NonIp)) => {
                self.stats.non_ip += u64::from(other == Layers::NonIp);
                self.stats.other_ip += u64::from(other == Layers::OtherIp);
                if !self.queue_salvaged(&data) {
                    self.queue_damaged(&data, &record.packet, record.suspect);
                }
            }
            None => {
                self.queue_salvaged(&data);
            }
        }
        self.data = data;
        if let Some((key, whole)) = put_together {
            if let Some(udp) = layers::take_apart_udp(&key, &whole) {
                self.queue_udp(&whole, &(0..whole.len()), &udp, false);
            }
            self.data = whole;
        }
    }

    fn put_together(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let whole = self.fragments.push(self.stats.records, fragment);
        self.stats.reassembled += u64::from(whole.is_some());
        self.stats.incomplete = self.fragments.incomplete();
        whole
    }

    /// Queues a UDP payload: as it is if it is a datagram or has nothing of one; otherwise whatever
    /// datagrams are found in the record, and the payload only if none of them lies in it.
    fn queue_udp(&mut self, data: &[u8], packet: &Range<usize>, udp: &Udp<'_>, suspect: bool) {
        self.stats.udp += 1;
        let start = udp.payload.as_ptr() as usize - data.as_ptr() as usize;
        let payload = start..start + udp.payload.len();
        let by_headers = Found::Udp { from: udp.from, to: udp.to };
        if !suspect && salvage::is_datagram(udp.payload) {
            self.queue.push_back((payload, by_headers));
            return;
        }
        let mut found = Vec::new();
        salvage::find_datagrams(data, &mut found);
        let touching = found.iter().filter(|f| f.start < payload.end && payload.start < f.end).count();
        if touching == 0 {
            self.queue.push_back((payload.clone(), by_headers));
            self.queue_alert(data, packet, &payload);
        }
        self.stats.joined += u64::from(touching > 1 && !suspect);
        for range in found {
            let inside = payload.start <= range.start && range.end <= payload.end;
            self.stats.salvaged += u64::from(!inside);
            self.queue.push_back((range, if inside { by_headers } else { Found::Salvaged }));
        }
    }

    /// Queues the datagrams found in a record by themselves; whether there were any.
    fn queue_salvaged(&mut self, data: &[u8]) -> bool {
        let mut found = Vec::new();
        salvage::find_datagrams(data, &mut found);
        self.stats.salvaged += found.len() as u64;
        let any = !found.is_empty();
        self.queue.extend(found.into_iter().map(|range| (range, Found::Salvaged)));
        any
    }

    /// Queues what begins with the magic though no datagram does: damaged twice, but to be counted.
    fn queue_damaged(&mut self, data: &[u8], packet: &Range<usize>, suspect: bool) {
        self.queue_alert(data, packet, &(0..0));
        if let Some(at) = salvage::find_magic(data).filter(|_| !suspect) {
            self.queue.push_back((at..data.len(), Found::Salvaged));
        }
    }

    /// Queues what begins as an alert does, up to the packet's end, if it isn't queued as `payload`;
    /// whether there was any.
    fn queue_alert(&mut self, data: &[u8], packet: &Range<usize>, payload: &Range<usize>) -> bool {
        let at = data.get(packet.clone()).and_then(salvage::find_alert);
        let alert = at.map(|at| packet.start + at..packet.end).filter(|alert| alert != payload);
        self.queue.extend(alert.clone().map(|alert| (alert, Found::Salvaged)));
        alert.is_some()
    }
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offset = self.window.offset();
        f.debug_struct("CaptureReader")
            .field("name", &self.name)
            .field("offset", &offset)
            .finish_non_exhaustive()
    }
}

/// Tells the format by the first bytes; `None` if there is none and no datagram either.
fn detect(window: &mut Window, stats: &mut CaptureStats) -> io::Result<Option<Format>> {
    let head = window.look(64)?;
    if head.is_empty() {
        stats.damaged_compression = window.damage().map(str::to_owned);
        return Ok(Some(Format::Empty));
    }
    if let Some(pcap) = Pcap::detect(head) {
        window.skip(pcap::FILE_HEADER_BYTES);
        return Ok(Some(Format::Pcap(pcap)));
    }
    if let Some(pcapng) = Pcapng::detect(head) {
        return Ok(Some(Format::Pcapng(pcapng)));
    }
    if Pcap::is_beginning(head) {
        stats.truncated = true;
        return Ok(Some(Format::Empty));
    }
    stats.damaged_header = true;
    if let Some(pcap) = Pcap::detect_damaged(head) {
        window.skip(pcap::FILE_HEADER_BYTES);
        return Ok(Some(Format::Pcap(pcap)));
    }
    if let Some(pcapng) = Pcapng::detect_damaged(head) {
        return Ok(Some(Format::Pcapng(pcapng)));
    }
    let mut found = Vec::new();
    salvage::find_datagrams(window.look(BARE_BYTES)?, &mut found);
    Ok((!found.is_empty()).then_some(Format::Bare))
}
