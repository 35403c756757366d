//! The sealed file while it is put together: `<id>.part`, each block at its place as soon as it is decoded,
//! and `blocks.log`, which says which blocks are there.
//!
//! The log is records of 12 bytes: block u32, sealed size u32, CRC-32C u32 of both. A record is appended
//! once its block is written; a torn one is cut off. One of size 0 takes back what was said of its block.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::bundle::{FileHeader, Geometry};
use passband_proto::crc32c;

use super::folder::About;

const RECORD_BYTES: usize = 12;

/// The sealed file of a bundle, block by block.
#[derive(Debug)]
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    log: File,
    log_path: PathBuf,
}

impl PartFile {
    /// Opens it, made if it isn't there.
    pub(super) fn open(dir: &Path, about: &About) -> Result<Self> {
        let path = path(dir, about);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let log_path = dir.join("blocks.log");
        let log = OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("opening {}", log_path.display()))?;
        Ok(Self { path, file, log, log_path })
    }

    /// Writes a block at its place.
    pub(super) fn place(&self, geometry: &Geometry, block: u32, sealed: &[u8]) -> Result<()> {
        let offset = geometry.block_offset(block).context("no such block")?;
        self.file.write_all_at(sealed, offset).with_context(|| format!("writing {}", self.path.display()))
    }

    /// Notes that a block of so many bytes is at its place.
    pub(super) fn note(&mut self, block: u32, bytes: usize) -> Result<()> {
        let record = record(block, u32::try_from(bytes).context("a block of 4 GiB or more")?);
        self.log.write_all(&record).with_context(|| format!("writing {}", self.log_path.display()))
    }

    /// Notes that a block isn't what was written: a crash of the system has taken it.
    pub(super) fn lost(&mut self, block: u32) -> Result<()> {
        let noted = self.log.write_all(&record(block, 0));
        noted.with_context(|| format!("writing {}", self.log_path.display()))
    }

    /// Reads a block.
    pub(super) fn read(&self, geometry: &Geometry, block: u32) -> Result<Vec<u8>> {
        let place = geometry.block_offset(block).zip(geometry.block_bytes(block));
        let (offset, bytes) = place.context("no such block")?;
        let mut sealed = vec![0; bytes as usize];
        self.file
            .read_exact_at(&mut sealed, offset)
            .with_context(|| format!("reading {}", self.path.display()))?;
        Ok(sealed)
    }

    /// All blocks are there: writes the header and gives the file its name.
    pub(super) fn finish(self, about: &About, geometry: Geometry, path: &Path) -> Result<()> {
        let header = FileHeader {
            spacecraft: about.spacecraft,
            epoch: about.epoch,
            id: about.id,
            class: about.class,
            geometry,
        };
        let write = || {
            self.file.write_all_at(&header.encode(), 0)?;
            self.file.set_len(geometry.sealed_bytes())?;
            fs::rename(&self.path, path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }
}

/// Where the sealed file is while it is put together.
pub(super) fn path(dir: &Path, about: &About) -> PathBuf {
    dir.join(format!("{}.part", about.id))
}

/// Notes that all blocks are there.
pub(super) fn note_all(dir: &Path, geometry: &Geometry) -> Result<()> {
    let blocks = (0..geometry.block_count).filter_map(|block| Some((block, geometry.block_bytes(block)?)));
    let log: Vec<u8> = blocks.flat_map(|(block, bytes)| record(block, bytes)).collect();
    super::products::write_aside(&dir.join("blocks.log"), &log)
}

/// The blocks that the log says are there, with their sealed sizes; cuts off what a crash has torn.
pub(super) fn blocks_of(dir: &Path) -> Result<Vec<(u32, u32)>> {
    let path = dir.join("blocks.log");
    let (blocks, sound_bytes) = read_log(&path);
    if fs::metadata(&path).is_ok_and(|log| log.len() != sound_bytes) {
        let file = OpenOptions::new().write(true).open(&path);
        let cut = file.and_then(|file| file.set_len(sound_bytes));
        cut.with_context(|| format!("cutting {}", path.display()))?;
    }
    Ok(blocks)
}

/// The blocks that the log says are there, with their sealed sizes.
pub(super) fn noted(dir: &Path) -> Vec<(u32, u32)> {
    read_log(&dir.join("blocks.log")).0
}

/// What a log says, and how much of it is sound, bytes.
fn read_log(path: &Path) -> (Vec<(u32, u32)>, u64) {
    let bytes = fs::read(path).unwrap_or_default();
    let (mut blocks, mut sound_bytes) = (BTreeMap::new(), 0);
    for part in bytes.chunks_exact(RECORD_BYTES) {
        let mut words = part.chunks_exact(4).filter_map(|w| w.try_into().ok().map(u32::from_be_bytes));
        let (Some(block), Some(size)) = (words.next(), words.next()) else { break };
        if record(block, size) != part {
            break;
        }
        sound_bytes += RECORD_BYTES as u64;
        if size == 0 {
            blocks.remove(&block);
        } else {
            blocks.insert(block, size);
        }
    }
    (blocks.into_iter().collect(), sound_bytes)
}

fn record(block: u32, size: u32) -> [u8; RECORD_BYTES] {
    let mut out = [0; RECORD_BYTES];
    out[..4].copy_from_slice(&block.to_be_bytes());
    out[4..8].copy_from_slice(&size.to_be_bytes());
    let crc = crc32c::checksum(&out[..8]);
    out[8..].copy_from_slice(&crc.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_log_keeps_what_stands_before() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(blocks_of(dir.path()).unwrap(), []);
        let all = [record(0, 70), record(2, 90), record(5, 90), record(2, 0), record(2, 90)].concat();
        let whole: [&[_]; 6] = [
            &[],
            &[(0, 70)],
            &[(0, 70), (2, 90)],
            &[(0, 70), (2, 90), (5, 90)],
            &[(0, 70), (5, 90)],
            &[(0, 70), (2, 90), (5, 90)],
        ];
        for cut in 0..=all.len() {
            fs::write(dir.path().join("blocks.log"), &all[..cut]).unwrap();
            assert_eq!(noted(dir.path()), whole[cut / RECORD_BYTES]);
            assert_eq!(blocks_of(dir.path()).unwrap(), whole[cut / RECORD_BYTES]);
            let left = fs::metadata(dir.path().join("blocks.log")).unwrap().len();
            assert_eq!(left, (cut / RECORD_BYTES * RECORD_BYTES) as u64);
        }
    }
}
