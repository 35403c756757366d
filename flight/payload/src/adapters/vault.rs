//! The vault: sealed bundles on disk, `<state>/bundles/<id>.pbb`.
//!
//! A bundle is written in `tmp/`, synced, and renamed into place; what lies in `tmp/`, or in place
//! without the catalogue knowing it, was interrupted and is removed at the next start.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;
use sha2::{Digest, Sha256};

use super::disk::{Disk, DiskFile};
use crate::camera::{Entry, Kind};
use crate::ordered;
use crate::store::StoreError;

/// Most files that are looked at when sweeping.
const MAX_FILES: usize = 4_000_000;
/// Bytes read at a time when a digest is checked.
const CHUNK_BYTES: usize = 1 << 18;

/// The folder of sealed bundles.
#[derive(Debug)]
pub struct Vault {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

/// A bundle that is being sealed: a stream that is written, and the digest of what was.
#[derive(Debug)]
pub struct Draft {
    file: Box<dyn DiskFile>,
    hash: Sha256,
}

/// What a sweep came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files were removed: unknown ones, and interrupted ones.
    pub removed: u64,
    /// Known bundles whose file isn't there or has another size.
    pub missing: Vec<BundleId>,
    /// Known bundles whose file couldn't be looked at: whether it is there isn't known.
    pub doubtful: Troubles,
    /// Files that should have been removed, and couldn't be.
    pub stuck: Troubles,
}

/// How many times something failed, and how for the first time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// How many times.
    pub count: u64,
    /// The first, in words.
    pub first: String,
}

impl Troubles {
    fn note(&mut self, what: &dyn core::fmt::Display) {
        if self.count == 0 {
            self.first = what.to_string();
        }
        self.count += 1;
    }
}

/// A known bundle while it is looked for.
struct Expected {
    bytes: u64,
    found: bool,
}

impl Expected {
    fn fits(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && entry.bytes == self.bytes
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft {
    /// Makes the bytes durable; their SHA-256.
    pub fn finish(self) -> io::Result<[u8; 32]> {
        self.file.sync()?;
        Ok(self.hash.finalize().into())
    }
}

impl Vault {
    /// Opens the vault in a state folder, making its folders.
    pub fn open(disk: Arc<dyn Disk>, state: &Path) -> Result<Self, StoreError> {
        let folder = state.join("bundles");
        let tmp = folder.join("tmp");
        let made = disk.make_folder(&tmp).map_err(|e| StoreError::file("making", &tmp, e));
        // The folders' own names: those above are the mission's to make.
        let sync = |path: &Path| disk.sync_folder(path).map_err(|e| StoreError::file("syncing", path, e));
        let made = made.and_then(|()| sync(&folder)).and_then(|()| sync(state));
        match made {
            // What can't be written may be read still.
            Err(e) if !e.is_fault_of_disk() => Err(e),
            _ => Ok(Self { disk, folder }),
        }
    }

    /// The vault of a state folder, nothing looked at or made: for safe mode.
    pub fn untouched(disk: Arc<dyn Disk>, state: &Path) -> Self {
        Self { disk, folder: state.join("bundles") }
    }

    /// A new file to seal a bundle into.
    pub fn create(&self, id: &BundleId) -> Result<Draft, StoreError> {
        let path = self.tmp(id);
        let file = self.disk.create(&path).map_err(|e| StoreError::file("making", &path, e))?;
        Ok(Draft { file, hash: Sha256::new() })
    }

    /// Puts finished drafts in place, durably.
    pub fn publish(&self, ids: &[BundleId]) -> Result<(), StoreError> {
        for id in ids {
            let tmp = self.tmp(id);
            self.disk.rename(&tmp, &self.path(id)).map_err(|e| StoreError::file("renaming", &tmp, e))?;
        }
        self.disk.sync_folder(&self.folder).map_err(|e| StoreError::file("syncing", &self.folder, e))
    }

    /// Removes a bundle, in place or not yet; one that isn't there is no error.
    pub fn remove(&self, id: &BundleId) -> Result<(), StoreError> {
        for path in [self.tmp(id), self.path(id)] {
            if let Err(e) = self.disk.remove(&path)
                && e.kind() != ErrorKind::NotFound
            {
                return Err(StoreError::file("removing", &path, e));
            }
        }
        Ok(())
    }

    /// Opens a sealed bundle.
    pub fn read(&self, id: &BundleId) -> Result<Box<dyn DiskFile>, StoreError> {
        let path = self.path(id);
        self.disk.open(&path).map_err(|e| StoreError::file("opening", &path, e))
    }

    /// Opens a sealed bundle; `None` if there is none.
    pub fn read_if_there(&self, id: &BundleId) -> Result<Option<Box<dyn DiskFile>>, StoreError> {
        match self.disk.open(&self.path(id)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(|e| StoreError::file("opening", self.path(id), e)),
        }
    }

    /// Fills `out` with the sealed bytes of a block from `offset` on.
    pub fn read_block(
        &self,
        id: &BundleId,
        file: &dyn DiskFile,
        geometry: &Geometry,
        (block, offset): (u32, u32),
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let fail = |e| StoreError::file("reading", self.path(id), e);
        let start = geometry.block_offset(block);
        let start = start.ok_or_else(|| fail(io::Error::other("there is no such block")))?;
        self.read_at(id, file, start + u64::from(offset), out)
    }

    /// Fills `out` with the bytes of a bundle's file from `offset` on.
    pub fn read_at(
        &self,
        id: &BundleId,
        file: &dyn DiskFile,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        file.read_at(offset, out).map_err(|e| StoreError::file("reading", self.path(id), e))
    }

    /// Whether a bundle's file has this size and SHA-256. `pause` is called between pieces, with their size: it
    /// may sleep, and ends the check by `false`: `None` then.
    pub fn is_sound(
        &self,
        id: &BundleId,
        (bytes, sha256): (u64, &[u8; 32]),
        pause: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<bool>, StoreError> {
        let Some(file) = self.read_if_there(id)?.filter(|file| file.bytes() == bytes) else {
            return Ok(Some(false));
        };
        Ok(self.hash(id, file.as_ref(), bytes, pause)?.map(|digest| digest == *sha256))
    }

    /// The SHA-256 of a file's first bytes; `None` if `pause` ended it.
    fn hash(
        &self,
        id: &BundleId,
        file: &dyn DiskFile,
        bytes: u64,
        pause: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let (mut hash, mut at, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
        while at < bytes {
            let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
            let part = chunk.get_mut(..left.min(CHUNK_BYTES)).unwrap_or_default();
            self.read_at(id, file, at, part)?;
            hash.update(&*part);
            at += part.len() as u64;
            if !pause(part.len()) {
                return Ok(None);
            }
        }
        Ok(Some(hash.finalize().into()))
    }

    /// The bundles whose files are in place, and their sizes.
    pub fn files(&self) -> Result<Vec<(BundleId, u64)>, StoreError> {
        let entries = self.disk.list(&self.folder, MAX_FILES);
        let entries = entries.map_err(|e| StoreError::file("listing", &self.folder, e))?;
        let id = |entry: &Entry| entry.name.to_str()?.strip_suffix(".pbb")?.parse().ok();
        Ok(entries.into_iter().filter_map(|entry| Some((id(&entry)?, entry.bytes))).collect())
    }

    /// Removes what the catalogue doesn't know and all that was interrupted; `known` gives the size of each known
    /// bundle, bytes. A file that can't be looked at or removed is told of, and ends nothing.
    pub fn sweep(&self, known: impl IntoIterator<Item = (BundleId, u64)>) -> Result<Swept, StoreError> {
        let expected = known.into_iter().map(|(id, bytes)| (id, Expected { bytes, found: false }));
        let mut known: BTreeMap<_, _> = ordered::gathered(expected);
        let mut swept = Swept::default();
        for folder in [self.folder.join("tmp"), self.folder.clone()] {
            let entries = self.disk.list(&folder, MAX_FILES);
            for entry in entries.map_err(|e| StoreError::file("listing", &folder, e))? {
                let in_place = folder == self.folder;
                let id = entry.name.to_str().and_then(|n| n.strip_suffix(".pbb")?.parse().ok());
                if let Some(expected) = id.filter(|_| in_place).and_then(|id| known.get_mut(&id)) {
                    expected.found |= expected.fits(&entry);
                } else if !entry.is_folder() {
                    self.remove_stranger(&folder.join(&entry.name), &mut swept);
                }
            }
        }
        for (id, expected) in known.iter().filter(|(_, expected)| !expected.found) {
            self.confirm(id, expected, &mut swept);
        }
        Ok(swept)
    }

    fn remove_stranger(&self, path: &Path, swept: &mut Swept) {
        match self.disk.remove(path) {
            Ok(()) => swept.removed += 1,
            Err(e) => swept.stuck.note(&StoreError::file("removing", path, e)),
        }
    }

    /// Asks the disk about the file of a known bundle that the listing didn't show as it should be.
    fn confirm(&self, id: &BundleId, expected: &Expected, swept: &mut Swept) {
        let path = self.path(id);
        match self.disk.about(&path) {
            Ok(about) if expected.fits(&about) => {}
            Ok(about) if about.kind == Kind::Unknown => {
                swept.doubtful.note(&format!("{}: the disk can't tell what it is", path.display()));
            }
            Ok(_) => swept.missing.push(*id),
            Err(e) if e.kind() == ErrorKind::NotFound => swept.missing.push(*id),
            Err(e) => swept.doubtful.note(&StoreError::file("looking at", &path, e)),
        }
    }

    fn tmp(&self, id: &BundleId) -> PathBuf {
        self.folder.join("tmp").join(format!("{id}.pbb"))
    }

    fn path(&self, id: &BundleId) -> PathBuf {
        self.folder.join(format!("{id}.pbb"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{LinuxDisk, SickDisk};
    use super::*;

    #[test]
    fn a_bundle_is_published_read_swept_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(Arc::new(LinuxDisk), dir.path()).unwrap();
        let ids = [1, 2, 3].map(|n| BundleId([n; 12]));
        for id in &ids[..2] {
            let mut file = vault.create(id).unwrap();
            file.write_all(&[id.0[0]; 264]).unwrap();
            let sha256 = file.finish().unwrap();
            vault.publish(&[*id]).unwrap();
            let look = |sha256| vault.is_sound(id, (264, sha256), &mut |_| true).unwrap();
            assert_eq!((look(&sha256), look(&[0; 32])), (Some(true), Some(false)));
            assert_eq!(vault.is_sound(id, (264, &sha256), &mut |_| false).unwrap(), None);
            assert_eq!(vault.is_sound(id, (265, &sha256), &mut |_| true).unwrap(), Some(false));
        }
        assert_eq!(vault.is_sound(&ids[2], (1, &[0; 32]), &mut |_| true).unwrap(), Some(false), "not there");
        vault.create(&ids[2]).unwrap();
        let geometry = Geometry {
            symbol_bytes: 64,
            block_count: 2,
            head_bytes: 100,
            segment_bytes: 640,
            tail_bytes: 100,
        };
        let mut out = [9; 60];
        let file = vault.read(&ids[0]).unwrap();
        vault.read_block(&ids[0], file.as_ref(), &geometry, (1, 40), &mut out).unwrap();
        assert_eq!(out, [1; 60]);
        assert!(
            vault.read_block(&ids[0], file.as_ref(), &geometry, (1, 41), &mut out).is_err(),
            "beyond the end"
        );
        assert!(vault.read_block(&ids[0], file.as_ref(), &geometry, (2, 0), &mut out).is_err());

        let swept = vault.sweep([(ids[0], 264), (BundleId([9; 12]), 1)]).unwrap();
        assert_eq!(
            (swept.removed, swept.missing),
            (2, vec![BundleId([9; 12])]),
            "one unknown, one interrupted"
        );
        let short = vault.sweep([(ids[0], 265)]).unwrap();
        assert_eq!((short.removed, short.missing), (0, vec![ids[0]]), "of another size");
        assert!(vault.read(&ids[0]).is_ok() && vault.read(&ids[1]).is_err());
        vault.remove(&ids[0]).unwrap();
        vault.remove(&ids[0]).unwrap();
        assert!(vault.read(&ids[0]).is_err());
    }
    #[test]
    fn a_bundle_whose_file_cannot_be_looked_at_stays_known_and_the_sweep_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let ids = [1, 2, 3, 4].map(|n| BundleId([n; 12]));
        let name = |id: &BundleId| format!("{id}.pbb");
        let (sick, stuck) = (name(&ids[0]), name(&ids[2]));
        let disk = SickDisk::over(Arc::new(LinuxDisk), move |operation, path| {
            let fails = match operation {
                "about" => path.ends_with(&sick),
                "remove" => path.ends_with(&stuck),
                _ => false,
            };
            fails.then(|| rustix::io::Errno::IO.into())
        });
        let vault = Vault::open(disk, dir.path()).unwrap();
        for id in &ids[..3] {
            vault.create(id).unwrap().finish().unwrap();
        }
        vault.publish(&ids[..3]).unwrap();
        let swept = vault.sweep([(ids[0], 0), (ids[1], 0), (ids[3], 0)]).unwrap();
        assert_eq!((swept.removed, swept.missing), (0, vec![ids[3]]), "just one isn't there");
        assert!(
            swept.doubtful.count == 1 && swept.doubtful.first.contains("looking at"),
            "{:?}",
            swept.doubtful
        );
        assert!(swept.stuck.count == 1 && swept.stuck.first.contains("removing"), "{:?}", swept.stuck);
        let there = |id: &BundleId| dir.path().join("bundles").join(name(id)).exists();
        assert!(there(&ids[0]) && there(&ids[1]));
    }
}
