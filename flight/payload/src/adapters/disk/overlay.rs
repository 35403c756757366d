//! A database of which nothing more is written: what changes is kept in memory, over the file as it is.
//!
//! For a disk that can only be read: the payload goes on, and knows nothing of it after a restart.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::DiskFile;

const PAGE: usize = 4096;
/// Most memory that changes may take, bytes.
const MAX_BYTES: u64 = 256 << 20;

/// A file, and what is changed of it in memory.
#[derive(Debug)]
pub struct Overlay {
    base: Option<Box<dyn DiskFile>>,
    changed: Mutex<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    len: u64,
    /// Of the file no more than this counts: it was cut to this length once.
    base_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    /// Over a file; over nothing: an empty database.
    pub fn over(base: Option<Box<dyn DiskFile>>) -> Self {
        let len = base.as_ref().map_or(0, |file| file.bytes());
        Self { base, changed: Mutex::new(Changed { len, base_len: len, pages: BTreeMap::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as it is in the file, zero where that ends.
    fn in_base(&self, base_len: u64, page: u64) -> io::Result<Box<[u8; PAGE]>> {
        let mut out = Box::new([0; PAGE]);
        let start = page.saturating_mul(PAGE as u64);
        let there = usize::try_from(base_len.saturating_sub(start)).unwrap_or(PAGE).min(PAGE);
        if let (Some(base), Some(part)) = (&self.base, out.get_mut(..there))
            && !part.is_empty()
        {
            base.read_at(start, part)?;
        }
        Ok(out)
    }
}

/// The pages of a range: the page, where in it, and how much of the range.
fn pages(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = offset.saturating_add(at as u64);
        let within = usize::try_from(place % PAGE as u64).unwrap_or_default();
        let part = (bytes - at).min(PAGE - within);
        at += part;
        (part > 0).then_some((place / PAGE as u64, within, part))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.lock();
        if offset.saturating_add(out.len() as u64) > changed.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &mut *out;
        for (page, within, part) in pages(offset, rest.len()) {
            let (to, after) = rest.split_at_mut(part.min(rest.len()));
            rest = after;
            let base;
            let bytes = if let Some(bytes) = changed.pages.get(&page) {
                bytes
            } else {
                base = self.in_base(changed.base_len, page)?;
                &base
            };
            to.copy_from_slice(bytes.get(within..within + part).unwrap_or_default());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changed = self.lock();
        if len < changed.len {
            changed.base_len = changed.base_len.min(len);
            changed.pages.retain(|page, _| page.saturating_mul(PAGE as u64) < len);
            let within = usize::try_from(len % PAGE as u64).unwrap_or_default();
            if let Some(last) = changed.pages.get_mut(&(len / PAGE as u64)) {
                last.iter_mut().skip(within).for_each(|byte| *byte = 0);
            }
        }
        changed.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.lock();
        let mut rest = data;
        for (page, within, part) in pages(offset, data.len()) {
            let (from, after) = rest.split_at(part.min(rest.len()));
            rest = after;
            if !changed.pages.contains_key(&page) {
                if changed.pages.len() as u64 * PAGE as u64 >= MAX_BYTES {
                    return Err(ErrorKind::StorageFull.into());
                }
                let base = self.in_base(changed.base_len, page)?;
                changed.pages.insert(page, base);
            }
            if let Some(to) =
                changed.pages.get_mut(&page).and_then(|bytes| bytes.get_mut(within..within + part))
            {
                to.copy_from_slice(from);
            }
        }
        changed.len = changed.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::disk::{Disk, write_file};
    use crate::faults::SimDisk;
    use std::path::Path;

    /// The next of a row of odd numbers below `most`.
    fn next(state: &mut u64, most: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % most
    }

    #[test]
    fn it_reads_as_a_file_would_that_was_written_and_leaves_the_file_alone() {
        let disk = SimDisk::default();
        let path = Path::new("/f");
        let before: Vec<u8> = (0..20_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        write_file(&disk, path, &before).unwrap();
        let overlay = Overlay::over(Some(disk.open(path).unwrap()));
        let (mut model, mut state) = (before.clone(), 7);
        for _ in 0..3_000 {
            match next(&mut state, 10) {
                0 => {
                    let len = next(&mut state, 40_000);
                    overlay.set_len(len).unwrap();
                    model.resize(usize::try_from(len).unwrap(), 0);
                }
                1..4 => {
                    let (at, bytes) =
                        (next(&mut state, 30_000), vec![u8::try_from(next(&mut state, 256)).unwrap(); 5_000]);
                    overlay.write(at, &bytes).unwrap();
                    let end = usize::try_from(at).unwrap() + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[end - bytes.len()..end].copy_from_slice(&bytes);
                }
                _ => {
                    let at = next(&mut state, 1 + model.len() as u64);
                    let most = model.len() as u64 - at;
                    let mut out = vec![9; usize::try_from(next(&mut state, 1 + most.min(9_000))).unwrap()];
                    overlay.read(at, &mut out).unwrap();
                    let at = usize::try_from(at).unwrap();
                    assert!(out == model[at..at + out.len()]);
                }
            }
            assert_eq!(overlay.len().unwrap(), model.len() as u64);
        }
        assert!(overlay.read(overlay.len().unwrap(), &mut [0]).is_err());
        assert!(disk.files()[path] == before);
    }
}
