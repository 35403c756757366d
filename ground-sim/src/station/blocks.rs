//! One block in the symbol store: the symbols that came, or the decoded block.
//!
//! `<block>.sym` begins with 16 bytes (magic `PBSYM1\0\0`, sealed block size u32, CRC-32C u32 of those
//! twelve) and goes on with records of T + 8 bytes: encoding symbol id u32, symbol, CRC-32C u32 of
//! both. Records are only appended; one that was torn by a crash is found by its CRC and cut off.
//! `<block>.blk` is the decoded sealed block, written aside and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use passband_proto::crc32c;
use passband_proto::datagram::{ESI_LIMIT, MAX_BLOCK_SYMBOLS};
use passband_proto::fountain::BlockDecoder;

const HEAD_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"PBSYM1\0\0";
/// Symbols beyond K with which decoding is first tried: it fails once in a million times then.
const EXTRA_SYMBOLS: u32 = 2;
/// Up to this K an attempt with just K symbols is so cheap that it is always made.
const SMALL_K: u32 = 256;

/// A block that is being received.
#[derive(Debug)]
pub(super) struct OpenBlock {
    path: PathBuf,
    block_bytes: u32,
    symbol_bytes: u16,
    source_symbols: u32,
    known: Bitmap,
    /// Records that are not in the file yet.
    pending: Vec<u8>,
    /// Distinct symbols at which decoding is tried next.
    try_at: u32,
    in_file: bool,
}

impl OpenBlock {
    pub(super) fn new(dir: &Path, block: u32, block_bytes: u32, symbol_bytes: u16) -> Self {
        let source_symbols = block_bytes.div_ceil(u32::from(symbol_bytes.max(1)));
        let extra = if source_symbols <= SMALL_K { 0 } else { EXTRA_SYMBOLS };
        Self {
            path: symbols_path(dir, block),
            block_bytes,
            symbol_bytes,
            source_symbols,
            known: Bitmap::default(),
            pending: Vec::new(),
            try_at: source_symbols + extra,
            in_file: false,
        }
    }

    /// Takes up the symbols in a file; cuts off what a crash has torn.
    pub(super) fn resume(dir: &Path, block: u32, symbol_bytes: u16) -> Result<Self> {
        let path = symbols_path(dir, block);
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut head = [0; HEAD_BYTES];
        let block_bytes = read_exactly(&mut reader, &mut head)?.then(|| read_head(&head)).flatten();
        let Some(block_bytes) = block_bytes else {
            bail!("{} does not begin with a sound header", path.display());
        };
        let mut this = Self::new(dir, block, block_bytes, symbol_bytes);
        if this.source_symbols == 0 || this.source_symbols > MAX_BLOCK_SYMBOLS {
            bail!("{}: a block of {block_bytes} bytes is out of range", path.display());
        }
        let mut record = vec![0; this.record_bytes()];
        let mut sound_bytes = HEAD_BYTES as u64;
        while read_exactly(&mut reader, &mut record)? {
            let Some((esi, _)) = read_record(&record) else { break };
            this.known.insert(esi);
            sound_bytes += record.len() as u64;
        }
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        file.set_len(sound_bytes).with_context(|| format!("cutting {}", path.display()))?;
        this.in_file = true;
        Ok(this)
    }

    pub(super) fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    pub(super) fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    pub(super) fn received(&self) -> u32 {
        self.known.count
    }

    /// Takes a symbol whose tag was verified; false if it was known.
    pub(super) fn push(&mut self, esi: u32, symbol: &[u8]) -> bool {
        if symbol.len() != usize::from(self.symbol_bytes) || !self.known.insert(esi) {
            return false;
        }
        let start = self.pending.len();
        self.pending.extend_from_slice(&esi.to_be_bytes());
        self.pending.extend_from_slice(symbol);
        let crc = crc32c::checksum(self.pending.get(start..).unwrap_or_default());
        self.pending.extend_from_slice(&crc.to_be_bytes());
        true
    }

    /// Appends what is in memory to the file.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let append = || -> std::io::Result<()> {
            if !self.in_file {
                fs::write(&self.path, head(self.block_bytes))?;
            }
            OpenOptions::new().append(true).open(&self.path)?.write_all(&self.pending)
        };
        append().with_context(|| format!("writing {}", self.path.display()))?;
        self.in_file = true;
        self.pending = Vec::new();
        Ok(())
    }

    /// Whether decoding is likely to succeed with what came since the last attempt.
    pub(super) fn ready(&self) -> bool {
        self.known.count >= self.try_at
            || (self.known.count == self.source_symbols && self.known.all_below(self.source_symbols))
    }

    /// Whether decoding may succeed at all.
    pub(super) fn possible(&self) -> bool {
        self.known.count >= self.source_symbols
    }

    /// Tries to decode; `None` if more symbols are needed.
    pub(super) fn decode(&mut self) -> Result<Option<Vec<u8>>> {
        self.try_at = self.known.count + 1;
        self.flush()?;
        let mut decoder = BlockDecoder::new(self.block_bytes, self.symbol_bytes)?;
        let file = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        read_exactly(&mut reader, &mut [0; HEAD_BYTES])?;
        // More than K + 16 symbols add nothing to a decoder but memory.
        let most = self.source_symbols as usize + 16;
        let mut symbols = Vec::with_capacity(most.min(self.known.count as usize));
        let mut record = vec![0; self.record_bytes()];
        while symbols.len() < most && read_exactly(&mut reader, &mut record)? {
            symbols.extend(read_record(&record).map(|(esi, symbol)| (esi, symbol.to_vec())));
        }
        Ok(decoder.decode(symbols))
    }

    /// Puts the symbols aside, as evidence, and begins again.
    pub(super) fn quarantine(&mut self) -> Result<PathBuf> {
        let aside = (0..1000).map(|n| self.path.with_extension(format!("bad{n}"))).find(|p| !p.exists());
        let aside = aside.unwrap_or_else(|| self.path.with_extension("bad"));
        fs::rename(&self.path, &aside).with_context(|| format!("renaming {}", self.path.display()))?;
        self.known = Bitmap::default();
        self.pending = Vec::new();
        self.in_file = false;
        self.try_at = self.source_symbols + EXTRA_SYMBOLS;
        Ok(aside)
    }

    /// Removes the symbols of a block that is decoded.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).with_context(|| format!("removing {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    fn record_bytes(&self) -> usize {
        usize::from(self.symbol_bytes) + 8
    }
}

/// Where the symbols of a block are.
pub(super) fn symbols_path(dir: &Path, block: u32) -> PathBuf {
    dir.join(format!("{block:08}.sym"))
}

/// Where a decoded block is.
pub(super) fn block_path(dir: &Path, block: u32) -> PathBuf {
    dir.join(format!("{block:08}.blk"))
}

fn head(block_bytes: u32) -> [u8; HEAD_BYTES] {
    let mut out = [0; HEAD_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&block_bytes.to_be_bytes());
    let crc = crc32c::checksum(&out[..12]);
    out[12..].copy_from_slice(&crc.to_be_bytes());
    out
}

fn read_head(bytes: &[u8; HEAD_BYTES]) -> Option<u32> {
    let block_bytes = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    (head(block_bytes) == *bytes).then_some(block_bytes)
}

fn read_record(record: &[u8]) -> Option<(u32, &[u8])> {
    let (body, crc) = record.split_last_chunk::<4>()?;
    let (esi, symbol) = body.split_first_chunk::<4>()?;
    let esi = u32::from_be_bytes(*esi);
    (crc32c::checksum(body) == u32::from_be_bytes(*crc) && esi < ESI_LIMIT).then_some((esi, symbol))
}

/// Fills `buf`; false at the end of the file, also when it ends in the middle.
fn read_exactly(reader: &mut impl Read, buf: &mut [u8]) -> Result<bool> {
    match reader.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e).context("reading the symbol store"),
    }
}

/// A set of encoding symbol ids.
#[derive(Debug, Default)]
struct Bitmap {
    words: Vec<u64>,
    count: u32,
}

impl Bitmap {
    /// Adds an id below 2²⁴; false if it was there.
    fn insert(&mut self, esi: u32) -> bool {
        let (word, bit) = (esi as usize / 64, 1_u64 << (esi % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(new);
        new
    }

    fn all_below(&self, n: u32) -> bool {
        let full = self.words.iter().take(n as usize / 64).filter(|w| **w == u64::MAX).count();
        let rest = (1_u64 << (n % 64)) - 1;
        full == n as usize / 64 && (rest == 0 || self.words.get(full).is_some_and(|w| w & rest == rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::fountain::BlockEncoder;

    #[test]
    fn a_torn_record_is_cut_off_and_the_block_still_decodes() {
        let dir = tempfile::tempdir().unwrap();
        let sealed: Vec<u8> = (0..20_000_u32).map(|i| u8::try_from(i % 249).unwrap()).collect();
        let mut encoder = BlockEncoder::new(&sealed, 64).unwrap();
        let k = encoder.source_symbols();
        let mut block = OpenBlock::new(dir.path(), 3, 20_000, 64);
        encoder.symbols(0, 200, |esi, symbol| assert!(block.push(esi, symbol))).unwrap();
        assert!(!block.push(7, &[0; 64]), "known");
        block.flush().unwrap();
        let path = symbols_path(dir.path(), 3);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let mut block = OpenBlock::resume(dir.path(), 3, 64).unwrap();
        assert_eq!(block.received(), 199);
        assert_eq!(fs::metadata(&path).unwrap().len(), 16 + 199 * 72);
        encoder.symbols(k + 50, k - 198, |esi, symbol| assert!(block.push(esi, symbol))).unwrap();
        assert!(!block.ready() && block.possible());
        encoder.symbols(2 * k + 50, 2, |esi, symbol| assert!(block.push(esi, symbol))).unwrap();
        assert!(block.ready());
        assert_eq!(block.decode().unwrap(), Some(sealed));
    }

    #[test]
    fn all_source_symbols_are_enough_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut block = OpenBlock::new(dir.path(), 0, 64 * 300, 64);
        for esi in (0..300).rev() {
            assert!(!block.ready());
            block.push(esi, &[1; 64]);
        }
        assert!(block.ready());
        assert_eq!(block.decode().unwrap(), Some(vec![1; 64 * 300]));
    }

    #[test]
    fn a_file_with_a_damaged_head_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"PBSYM1\0\0\0\0\0\x40\0\0\0\0", &[0; 40]] {
            fs::write(symbols_path(dir.path(), 0), content).unwrap();
            assert!(OpenBlock::resume(dir.path(), 0, 64).is_err());
        }
    }
}
