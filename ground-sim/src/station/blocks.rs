//! One block in the symbol store: the symbols that came, until it is decoded.
//!
//! `<block>.sym` begins with 16 bytes (magic `PBSYM1\0\0`, sealed block size u32, CRC-32C u32 of those
//! twelve) and goes on with records of T + 8 bytes: encoding symbol id u32, symbol, CRC-32C u32 of
//! both. Records are only appended; one that was torn by a crash is found by its CRC and cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use passband_proto::crc32c;
use passband_proto::datagram::{ESI_LIMIT, MAX_BLOCK_SYMBOLS};

use super::symbols::SymbolSet;

const HEAD_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"PBSYM1\0\0";

/// A block that is being received.
#[derive(Debug)]
pub(super) struct OpenBlock {
    path: PathBuf,
    block_bytes: u32,
    symbol_bytes: u16,
    known: SymbolSet,
    /// Records that are not in the file yet.
    pending: Vec<u8>,
    /// Distinct symbols at which decoding is tried next.
    try_at: u32,
    in_file: bool,
}

impl OpenBlock {
    pub(super) fn new(dir: &Path, block: u32, block_bytes: u32, symbol_bytes: u16) -> Self {
        let path = symbols_path(dir, block);
        let try_at = source_symbols(block_bytes, symbol_bytes);
        let (known, pending, in_file) = (SymbolSet::default(), Vec::new(), false);
        Self { path, block_bytes, symbol_bytes, known, pending, try_at, in_file }
    }

    /// Takes up the symbols in a file. One in which something is torn or damaged is written anew, without it.
    pub(super) fn resume(dir: &Path, block: u32, symbol_bytes: u16) -> Result<Self> {
        let path = symbols_path(dir, block);
        let mut records = Records::open(&path, symbol_bytes)?;
        let mut this = Self::new(dir, block, records.block_bytes, symbol_bytes);
        let mut sound_bytes = HEAD_BYTES as u64;
        while let Some((esi, symbol)) = records.next()? {
            sound_bytes += symbol.len() as u64 + 8;
            this.known.insert(esi);
        }
        let bytes = fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
        if bytes != sound_bytes {
            rewrite(&path, symbol_bytes)?;
        }
        this.in_file = true;
        Ok(this)
    }

    pub(super) fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    pub(super) fn symbol_bytes(&self) -> u16 {
        self.symbol_bytes
    }

    pub(super) fn received(&self) -> u32 {
        self.known.count()
    }

    /// One more than the highest id that was heard.
    pub(super) fn end(&self) -> u32 {
        self.known.end()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a symbol whose tag was verified; how many bytes it takes in memory, 0 if it was known.
    pub(super) fn push(&mut self, esi: u32, symbol: &[u8]) -> usize {
        if symbol.len() != usize::from(self.symbol_bytes) || !self.known.insert(esi) {
            return 0;
        }
        let start = self.pending.len();
        self.pending.extend_from_slice(&esi.to_be_bytes());
        self.pending.extend_from_slice(symbol);
        let crc = crc32c::checksum(self.pending.get(start..).unwrap_or_default());
        self.pending.extend_from_slice(&crc.to_be_bytes());
        self.pending.len() - start
    }

    /// Appends what is in memory to the file.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let append = || -> std::io::Result<()> {
            // Its symbols may be put aside by another thread at any moment: then it begins again.
            let mut file = if self.in_file {
                OpenOptions::new().create(true).append(true).open(&self.path)?
            } else {
                File::create(&self.path)?
            };
            if file.metadata()?.len() == 0 {
                file.write_all(&head(self.block_bytes))?;
            }
            file.write_all(&self.pending)
        };
        append().with_context(|| format!("writing {}", self.path.display()))?;
        self.in_file = true;
        self.pending = Vec::new();
        Ok(())
    }

    /// Whether decoding may succeed with what came since the last attempt.
    pub(super) fn ready(&self) -> bool {
        self.known.count() >= self.try_at
    }

    /// Notes that decoding is being tried with what there is.
    pub(super) fn tried(&mut self) {
        self.try_at = self.known.count() + 1;
    }
}

/// Reads the symbols of a file, as far as they are sound.
pub(super) struct Records {
    reader: BufReader<File>,
    record: Vec<u8>,
    /// Sealed size of the block they are of.
    pub(super) block_bytes: u32,
}

impl Records {
    pub(super) fn open(path: &Path, symbol_bytes: u16) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut head = [0; HEAD_BYTES];
        let block_bytes = read_exactly(&mut reader, &mut head)?.then(|| read_head(&head)).flatten();
        let Some(block_bytes) = block_bytes else {
            bail!("{} does not begin with a sound header", path.display());
        };
        if !(1..=MAX_BLOCK_SYMBOLS).contains(&source_symbols(block_bytes, symbol_bytes)) {
            bail!("{}: a block of {block_bytes} bytes is out of range", path.display());
        }
        Ok(Self { reader, record: vec![0; usize::from(symbol_bytes) + 8], block_bytes })
    }

    /// The next sound symbol; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, &mut [u8])>> {
        while read_exactly(&mut self.reader, &mut self.record)? {
            if is_sound(&self.record) {
                return Ok(split_record(&mut self.record));
            }
        }
        Ok(None)
    }
}

/// Writes a file anew with the records of it that are sound.
fn rewrite(path: &Path, symbol_bytes: u16) -> Result<()> {
    let mut records = Records::open(path, symbol_bytes)?;
    let aside = path.with_extension("tmp");
    let failed = || format!("writing {}", aside.display());
    let mut out = BufWriter::new(File::create(&aside).with_context(failed)?);
    out.write_all(&head(records.block_bytes)).with_context(failed)?;
    while records.next()?.is_some() {
        out.write_all(&records.record).with_context(failed)?;
    }
    out.flush().with_context(failed)?;
    fs::rename(&aside, path).with_context(|| format!("renaming {}", aside.display()))
}

/// K.
pub(super) fn source_symbols(block_bytes: u32, symbol_bytes: u16) -> u32 {
    block_bytes.div_ceil(u32::from(symbol_bytes.max(1)))
}

/// The number of symbols in a file, by its size.
pub(super) fn symbols_in(path: &Path, symbol_bytes: u16) -> u64 {
    let bytes = fs::metadata(path).map_or(0, |m| m.len());
    bytes.saturating_sub(HEAD_BYTES as u64) / (u64::from(symbol_bytes) + 8)
}

/// Where the symbols of a block are.
pub(super) fn symbols_path(dir: &Path, block: u32) -> PathBuf {
    dir.join(format!("{block:08}.sym"))
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
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

fn is_sound(record: &[u8]) -> bool {
    record.split_last_chunk::<4>().is_some_and(|(body, crc)| {
        let esi = body.first_chunk().map_or(ESI_LIMIT, |esi| u32::from_be_bytes(*esi));
        crc32c::checksum(body) == u32::from_be_bytes(*crc) && esi < ESI_LIMIT
    })
}

fn split_record(record: &mut [u8]) -> Option<(u32, &mut [u8])> {
    let (body, _) = record.split_last_chunk_mut::<4>()?;
    let (esi, symbol) = body.split_first_chunk_mut::<4>()?;
    Some((u32::from_be_bytes(*esi), symbol))
}

/// Fills `buf`; false at the end of the file, also when it ends in the middle.
pub(super) fn read_exactly(reader: &mut impl Read, buf: &mut [u8]) -> Result<bool> {
    match reader.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e).context("reading the symbol store"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_a_crash_cuts_the_file_the_whole_records_before_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut block = OpenBlock::new(dir.path(), 3, 6400, 64);
        for esi in 0..5 {
            assert_eq!(block.push(esi * 7, &[3; 64]), 72);
        }
        assert_eq!(block.push(7, &[0; 64]), 0, "known");
        block.flush().unwrap();
        let path = symbols_path(dir.path(), 3);
        let bytes = fs::read(&path).unwrap();
        for cut in HEAD_BYTES..=bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let mut block = OpenBlock::resume(dir.path(), 3, 64).unwrap();
            let whole = (cut - HEAD_BYTES) / 72;
            assert_eq!((block.received() as usize, block.block_bytes()), (whole, 6400), "cut to {cut}");
            assert_eq!(fs::metadata(&path).unwrap().len(), (HEAD_BYTES + whole * 72) as u64);
            assert!(block.push(99, &[1; 64]) > 0);
            block.flush().unwrap();
            assert_eq!(OpenBlock::resume(dir.path(), 3, 64).unwrap().received() as usize, whole + 1);
        }
    }

    #[test]
    fn a_damaged_record_costs_itself_and_none_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut block = OpenBlock::new(dir.path(), 3, 6400, 64);
        for esi in 0..5 {
            block.push(esi, &[3; 64]);
        }
        block.flush().unwrap();
        let path = symbols_path(dir.path(), 3);
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEAD_BYTES + 72 + 9] ^= 4;
        fs::write(&path, bytes).unwrap();
        let mut block = OpenBlock::resume(dir.path(), 3, 64).unwrap();
        assert_eq!(block.received(), 4);
        assert!(block.push(1, &[3; 64]) > 0, "the damaged one is not known any more");
        block.flush().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), (HEAD_BYTES + 5 * 72) as u64);
        assert_eq!(OpenBlock::resume(dir.path(), 3, 64).unwrap().received(), 5);
    }

    #[test]
    fn a_block_whose_symbols_were_put_aside_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut block = OpenBlock::new(dir.path(), 0, 6400, 64);
        block.push(1, &[1; 64]);
        block.flush().unwrap();
        fs::rename(block.path(), dir.path().join("aside")).unwrap();
        block.push(2, &[2; 64]);
        block.flush().unwrap();
        assert_eq!(OpenBlock::resume(dir.path(), 0, 64).unwrap().received(), 1);
    }

    #[test]
    fn it_is_ready_with_k_symbols_and_after_an_attempt_with_one_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut block = OpenBlock::new(dir.path(), 0, 64 * 30, 64);
        (0..30).for_each(|esi| {
            assert!(!block.ready());
            block.push(esi, &[1; 64]);
        });
        assert!(block.ready());
        block.tried();
        assert!(!block.ready());
        block.push(77, &[1; 64]);
        assert!(block.ready() && block.end() == 78);
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
