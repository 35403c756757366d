//! Records out of capture files: pcap (µs and ns, both byte orders; also several glued together) and
//! pcapng, plain, gzip or zstd.
//!
//! A damaged length field throws a reader off its path. This one looks ahead: when what should be the
//! next record header can't be one, it goes back to the last record and scans byte by byte for the next
//! place where two headers in a row make sense. Memory is bounded by [`MAX_RECORD_BYTES`].

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest record that is believed.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// How far the clock may run between two records for a header to be believed while searching, s.
const MAX_STEP_S: u64 = 30 * 86_400;
/// Most bytes searched for the next sound header before the reader gives up for good.
const MAX_SEARCH_BYTES: u64 = 64 << 20;

/// A record of a capture.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The libpcap link type.
    pub(super) link_type: u32,
    /// Whether the snap length cut it.
    pub(super) cut: bool,
    /// What was captured.
    pub(super) bytes: Vec<u8>,
}

/// A file that can't be read as a capture.
#[derive(Debug)]
pub enum CaptureError {
    /// Reading failed.
    Io(PathBuf, io::Error),
    /// The file begins with none of the magics of pcap, pcapng, gzip and zstd.
    NotACapture(PathBuf, [u8; 4]),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, e) => write!(f, "capture {}: {e}", path.display()),
            Self::NotACapture(path, magic) => write!(
                f,
                "{} is not a capture: it begins with the bytes {magic:02x?}, not as pcap or pcapng does",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Reads records.
pub(super) struct Records {
    path: PathBuf,
    source: Box<dyn Read + Send>,
    position: Arc<AtomicU64>,
    buf: Vec<u8>,
    /// Where in `buf` the next record begins.
    at: usize,
    read: u64,
    ended: bool,
    unpack_failed: bool,
    format: Format,
    last_s: Option<u64>,
    resyncs: u64,
    cut_short: bool,
}

/// How the records at this place are laid out.
#[derive(Debug, Clone)]
enum Format {
    Pcap { big: bool, nanos: bool, link_type: u32 },
    Ng { big: bool, interfaces: Vec<u32> },
}

/// What the bytes at a place may be.
enum Found {
    /// Something of this length; a record if it has data at that place.
    Item {
        bytes: usize,
        data: Option<Data>,
    },
    /// A header of another file or section, of this length.
    Start {
        bytes: usize,
        format: Format,
    },
    /// Not enough bytes to tell.
    Short,
    Nothing,
}

#[derive(Clone, Copy)]
struct Data {
    start: usize,
    bytes: usize,
    original: u64,
    link_type: u32,
    seconds: Option<u64>,
}

impl Records {
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        let io = |e| CaptureError::Io(path.to_owned(), e);
        let position = Arc::new(AtomicU64::new(0));
        let file = File::open(path).map_err(io)?;
        let mut source = Counted { file, count: Arc::clone(&position) };
        let mut magic = Vec::new();
        (&mut source).take(4).read_to_end(&mut magic).map_err(io)?;
        let whole = io::Cursor::new(magic.clone()).chain(source);
        let source: Box<dyn Read + Send> = match magic.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(whole))),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(Zstd::new(Box::new(whole)).map_err(io)?),
            _ => Box::new(whole),
        };
        let mut this = Self {
            path: path.to_owned(),
            source,
            position,
            buf: Vec::new(),
            at: 0,
            read: 0,
            ended: false,
            unpack_failed: false,
            format: Format::Ng { big: false, interfaces: Vec::new() },
            last_s: None,
            resyncs: 0,
            cut_short: false,
        };
        this.begin()?;
        Ok(this)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.read
    }

    pub(super) fn resyncs(&self) -> u64 {
        self.resyncs
    }

    pub(super) fn cut_short(&self) -> bool {
        self.cut_short
    }

    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>, CaptureError> {
        loop {
            self.fill(MAX_RECORD_BYTES * 2)?;
            match self.found(self.at, false) {
                Found::Nothing => {
                    if !self.resync(self.at + 1)? {
                        return Ok(None);
                    }
                }
                Found::Short => {
                    self.cut_short |= self.at < self.buf.len();
                    return Ok(self.last_words());
                }
                Found::Start { bytes, format } => {
                    self.format = format;
                    self.at += bytes;
                }
                Found::Item { bytes, data } => {
                    let record = data.and_then(|d| self.record(d));
                    self.last_s = data.and_then(|d| d.seconds).or(self.last_s);
                    self.step(bytes)?;
                    if record.is_some() {
                        return Ok(record);
                    }
                }
            }
        }
    }

    /// Goes past an item, unless what follows it makes no sense: then its length may be what is wrong.
    fn step(&mut self, bytes: usize) -> Result<(), CaptureError> {
        let next = self.at + bytes;
        if next < self.buf.len() && matches!(self.found(next, false), Found::Nothing) {
            self.resync(self.at + 1)?;
        } else {
            self.at = next;
        }
        Ok(())
    }

    /// Reads the file's first header.
    fn begin(&mut self) -> Result<(), CaptureError> {
        self.fill(64)?;
        match self.start(0) {
            Found::Start { bytes, format } => {
                self.format = format;
                self.at = bytes;
                Ok(())
            }
            // Empty, or cut off within its very header: nothing in it, but no lie either.
            Found::Short => {
                (self.at, self.cut_short) = (self.buf.len(), !self.buf.is_empty());
                Ok(())
            }
            _ => {
                let mut magic = [0; 4];
                magic.iter_mut().zip(&self.buf).for_each(|(to, from)| *to = *from);
                Err(CaptureError::NotACapture(self.path.clone(), magic))
            }
        }
    }

    /// Searches for the next place where two headers in a row make sense; false at the end of the file.
    fn resync(&mut self, from: usize) -> Result<bool, CaptureError> {
        self.resyncs += 1;
        let mut at = from;
        let limit = self.read + MAX_SEARCH_BYTES;
        loop {
            if at + 2 * MAX_RECORD_BYTES > self.buf.len() && !self.ended {
                self.at = at;
                self.fill(3 * MAX_RECORD_BYTES)?;
                at = self.at;
            }
            if at >= self.buf.len() || self.read > limit {
                self.at = self.buf.len();
                self.cut_short = true;
                return Ok(false);
            }
            let sound = match self.found(at, true) {
                Found::Start { .. } => true,
                Found::Item { bytes, data } => {
                    data.is_some()
                        && (at + bytes == self.buf.len()
                            || !matches!(self.found(at + bytes, true), Found::Nothing))
                }
                Found::Short | Found::Nothing => false,
            };
            if sound {
                self.at = at;
                return Ok(true);
            }
            at += 1;
        }
    }

    /// At a torn end: what is there of the last record, in case the datagram in it is whole.
    fn last_words(&mut self) -> Option<Record> {
        let rest = self.buf.get(self.at..).unwrap_or_default();
        let (skip, link_type) = match &self.format {
            Format::Pcap { link_type, .. } => (16, *link_type),
            Format::Ng { interfaces, .. } => (28, *interfaces.first()?),
        };
        let bytes = rest.get(skip..).filter(|b| !b.is_empty())?.to_vec();
        self.at = self.buf.len();
        Some(Record { link_type, cut: true, bytes })
    }

    fn record(&self, data: Data) -> Option<Record> {
        let bytes = self.buf.get(data.start..data.start + data.bytes)?.to_vec();
        Some(Record { link_type: data.link_type, cut: data.original > data.bytes as u64, bytes })
    }

    /// What lies at a place; `strictly`: while searching, when chance hits are likely.
    fn found(&self, at: usize, strictly: bool) -> Found {
        if let start @ Found::Start { .. } = self.start(at) {
            return start;
        }
        match &self.format {
            Format::Pcap { big, nanos, link_type } => {
                self.pcap_record(at, *big, *nanos, *link_type, strictly)
            }
            Format::Ng { big, interfaces } => self.ng_block(at, *big, interfaces),
        }
    }

    /// The header of a pcap file or the section header block of a pcapng file.
    fn start(&self, at: usize) -> Found {
        let Some(magic) = self.u32(at, false) else { return Found::Short };
        let (big, nanos) = match magic {
            0xa1b2_c3d4 => (false, false),
            0xa1b2_3c4d => (false, true),
            0xd4c3_b2a1 => (true, false),
            0x4d3c_b2a1 => (true, true),
            0x0a0d_0d0a => return self.section(at),
            _ => return Found::Nothing,
        };
        match (self.u32(at + 4, big), self.u32(at + 20, big)) {
            // Version 2.4, major and minor.
            (Some(version), Some(link)) if version == if big { 0x0002_0004 } else { 0x0004_0002 } => {
                Found::Start { bytes: 24, format: Format::Pcap { big, nanos, link_type: link & 0x0fff_ffff } }
            }
            (Some(_), None) | (None, _) => Found::Short,
            _ => Found::Nothing,
        }
    }

    fn section(&self, at: usize) -> Found {
        let Some(order) = self.u32(at + 8, false) else { return Found::Short };
        let big = match order {
            0x1a2b_3c4d => false,
            0x4d3c_2b1a => true,
            _ => return Found::Nothing,
        };
        let bytes = match self.u32(at + 4, big) {
            Some(bytes) if (28..4096).contains(&bytes) => bytes as usize,
            _ => return Found::Nothing,
        };
        match self.u32(at + bytes - 4, big) {
            Some(trailer) if trailer as usize == bytes => {
                Found::Start { bytes, format: Format::Ng { big, interfaces: Vec::new() } }
            }
            Some(_) => Found::Nothing,
            None => Found::Short,
        }
    }

    fn pcap_record(&self, at: usize, big: bool, nanos: bool, link_type: u32, strictly: bool) -> Found {
        let fields = [0, 4, 8, 12].map(|o| self.u32(at + o, big));
        let [Some(seconds), Some(fraction), Some(captured), Some(original)] = fields else {
            return Found::Short;
        };
        let captured = captured as usize;
        let near = self.last_s.is_none_or(|last| last.abs_diff(u64::from(seconds)) < MAX_STEP_S);
        let sound = captured <= MAX_RECORD_BYTES
            && original as usize >= captured
            && original as usize <= MAX_RECORD_BYTES
            && fraction < if nanos { 1_000_000_000 } else { 1_000_000 }
            && (!strictly || (near && captured > 0));
        if !sound {
            return Found::Nothing;
        }
        if at + 16 + captured > self.buf.len() {
            return if strictly { Found::Nothing } else { Found::Short };
        }
        let data = Data {
            start: at + 16,
            bytes: captured,
            original: u64::from(original),
            link_type,
            seconds: Some(u64::from(seconds)),
        };
        Found::Item { bytes: 16 + captured, data: Some(data) }
    }

    fn ng_block(&self, at: usize, big: bool, interfaces: &[u32]) -> Found {
        let (Some(kind), Some(bytes)) = (self.u32(at, big), self.u32(at + 4, big)) else {
            return Found::Short;
        };
        let bytes = bytes as usize;
        if bytes < 12 || !bytes.is_multiple_of(4) || bytes > MAX_RECORD_BYTES {
            return Found::Nothing;
        }
        let Some(trailer) = self.u32(at + bytes - 4, big) else { return Found::Short };
        if trailer as usize != bytes {
            return Found::Nothing;
        }
        let link_of = |n: u32| interfaces.get(n as usize).copied();
        let data = |start: usize, captured: Option<u32>, original: Option<u32>, link: Option<u32>| {
            let captured = captured? as usize;
            (start + captured <= at + bytes - 4).then_some(Data {
                start,
                bytes: captured,
                original: u64::from(original?),
                link_type: link?,
                seconds: None,
            })
        };
        match kind {
            1 => {
                let link = self.u32(at + 8, big).map(|v| if big { v >> 16 } else { v & 0xffff });
                let mut interfaces = interfaces.to_vec();
                interfaces.extend(link.filter(|_| interfaces.len() < 4096));
                Found::Start { bytes, format: Format::Ng { big, interfaces } }
            }
            6 => {
                let link = self.u32(at + 8, big).and_then(link_of);
                Found::Item {
                    bytes,
                    data: data(at + 28, self.u32(at + 20, big), self.u32(at + 24, big), link),
                }
            }
            2 => {
                let interface = self.u32(at + 8, big).map(|v| if big { v >> 16 } else { v & 0xffff });
                let link = interface.and_then(link_of);
                Found::Item {
                    bytes,
                    data: data(at + 28, self.u32(at + 20, big), self.u32(at + 24, big), link),
                }
            }
            3 => {
                let original = self.u32(at + 8, big);
                let room = u32::try_from(bytes - 16).ok();
                let captured = original.zip(room).map(|(original, room)| original.min(room));
                Found::Item { bytes, data: data(at + 12, captured, original, link_of(0)) }
            }
            _ => Found::Item { bytes, data: None },
        }
    }

    fn u32(&self, at: usize, big: bool) -> Option<u32> {
        let bytes: [u8; 4] = self.buf.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Sees to it that `ahead` bytes from the present place on are in memory, if the file has them.
    fn fill(&mut self, ahead: usize) -> Result<(), CaptureError> {
        if self.ended || self.buf.len() - self.at >= ahead.min(MAX_RECORD_BYTES) {
            return Ok(());
        }
        self.buf.drain(..self.at);
        self.at = 0;
        let want = (2 * ahead - self.buf.len()) as u64;
        let before = self.buf.len();
        let got = (&mut self.source).take(want).read_to_end(&mut self.buf);
        self.read += (self.buf.len() - before) as u64;
        match got {
            Ok(n) => self.ended = (n as u64) < want,
            // A compressed file that is cut off or damaged: what came before is still good.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::Other
                ) =>
            {
                (self.ended, self.unpack_failed, self.cut_short) = (true, true, true);
            }
            Err(e) => return Err(CaptureError::Io(self.path.clone(), e)),
        }
        Ok(())
    }
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

type ZstdFrame =
    ruzstd::decoding::StreamingDecoder<BufReader<Box<dyn Read + Send>>, ruzstd::decoding::FrameDecoder>;

/// All frames of a zstd file, one after another.
struct Zstd(Option<ZstdFrame>);

impl Zstd {
    fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        ZstdFrame::new(BufReader::new(source)).map(|frame| Self(Some(frame))).map_err(io::Error::other)
    }
}

impl Read for Zstd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        use std::io::BufRead;
        while let Some(frame) = &mut self.0 {
            let n = frame.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let mut source = self.0.take().map(ZstdFrame::into_inner).ok_or(io::ErrorKind::UnexpectedEof)?;
            if !source.fill_buf()?.is_empty() {
                self.0 = Some(ZstdFrame::new(source).map_err(io::Error::other)?);
            }
        }
        Ok(0)
    }
}
