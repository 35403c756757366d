//! Takes the compression off a capture: gzip and zstd, told by their magic bytes.
//!
//! A compressed file that is cut or damaged gives what can be unpacked before the damage, then ends;
//! what was wrong is kept for the statistics. Never holds more than the format's window (≤ 128 MiB for
//! zstd, 32 KiB for gzip).

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// RFC 8878 §3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// RFC 8878 §3.1.2: 0x184D2A50 to 0x184D2A5F, little endian.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];
const BUFFER_BYTES: usize = 256 << 10;

/// The bytes of a capture, compression taken off.
pub(super) struct Unpacked {
    inner: Packing,
    /// Set when the file itself failed, which is not to be taken for damage of its content.
    source_failed: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    damage: Option<String>,
}

enum Packing {
    Plain(BufReader<Source>),
    Gzip(MultiGzDecoder<BufReader<Source>>),
    Zstd(Box<Zstd>),
}

impl Unpacked {
    /// Looks at the first bytes and chooses.
    pub(super) fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        let source_failed = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicU64::new(0));
        let source = Source { inner: source, failed: Arc::clone(&source_failed), taken: Arc::clone(&taken) };
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
        let head = reader.fill_buf()?;
        let zstd = head.starts_with(&ZSTD_MAGIC) || head.get(1..4) == Some(&ZSTD_SKIPPABLE);
        let inner = if head.starts_with(&GZIP_MAGIC) {
            Packing::Gzip(MultiGzDecoder::new(reader))
        } else if zstd {
            Packing::Zstd(Box::new(Zstd::new(reader)))
        } else {
            Packing::Plain(reader)
        };
        Ok(Self { inner, source_failed, taken, damage: None })
    }

    /// Bytes read of the source.
    pub(super) fn position(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What was wrong with the compressed stream, once it has been met.
    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.damage.is_some() {
            return Ok(0);
        }
        let (read, kind) = match &mut self.inner {
            Packing::Plain(plain) => return plain.read(buf),
            Packing::Gzip(gzip) => (gzip.read(buf), "gzip"),
            Packing::Zstd(zstd) => (zstd.read(buf), "zstd"),
        };
        match read {
            Err(e)
                if e.kind() != io::ErrorKind::Interrupted && !self.source_failed.load(Ordering::Relaxed) =>
            {
                self.damage = Some(format!("{kind}: {e}"));
                Ok(0)
            }
            other => other,
        }
    }
}

/// The file, remembering how much was read and whether it ever failed.
struct Source {
    inner: Box<dyn Read + Send>,
    failed: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf);
        if read.as_ref().is_err_and(|e| e.kind() != io::ErrorKind::Interrupted) {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.taken.fetch_add(read.as_ref().map_or(0, |n| *n as u64), Ordering::Relaxed);
        read
    }
}

/// Frame after frame of zstd. (`ruzstd`'s own streaming decoder stops after the first.)
struct Zstd {
    source: BufReader<Source>,
    frames: FrameDecoder,
    /// Met in the middle of a frame; told once what was unpacked before it has been handed out.
    error: Option<FrameDecoderError>,
    in_frame: bool,
}

impl Zstd {
    fn new(source: BufReader<Source>) -> Self {
        Self { source, frames: FrameDecoder::new(), error: None, in_frame: false }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.frames.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                }
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        }
    }

    /// Unpacks a block. At damage it ends the frame as if it were whole, so that the decoder gives
    /// out what it still holds: up to a window of megabytes.
    fn unpack_block(&mut self) {
        /// An empty raw block marked last, and room for a checksum nobody compares.
        const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
        let one = || BlockDecodingStrategy::UptoBlocks(1);
        if let Err(e) = self.frames.decode_blocks(&mut self.source, one()) {
            self.error = Some(e);
            if !self.frames.is_finished() && self.frames.decode_blocks(&LAST_BLOCK[..], one()).is_err() {
                self.in_frame = false;
            }
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame && self.frames.can_collect() > 0 {
                return self.frames.read(buf);
            }
            if self.in_frame && !self.frames.is_finished() {
                self.unpack_block();
                continue;
            }
            self.in_frame = false;
            if let Some(e) = self.error.take() {
                return Err(io::Error::other(e.to_string()));
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}
