//! The vault: sealed bundles on disk, `<state>/bundles/<id>.pbb`.
//!
//! A bundle is written in `tmp/`, synced, and renamed into place; what lies in `tmp/`, or in place
//! without the catalogue knowing it, was interrupted and is removed at the next start.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;

use super::os::sync_folder;
use crate::store::StoreError;

/// The folder of sealed bundles.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
}

impl Vault {
    /// Opens the vault in a state folder, making its folders.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let folder = state.join("bundles");
        let tmp = folder.join("tmp");
        fs::create_dir_all(&tmp).map_err(|e| StoreError::file("making", &tmp, e))?;
        Ok(Self { folder })
    }

    /// A new file to seal a bundle into.
    pub fn create(&self, id: &BundleId) -> Result<File, StoreError> {
        let path = self.tmp(id);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(|e| StoreError::file("making", &path, e))
    }

    /// Puts a sealed file in place, durably.
    pub fn publish(&self, id: &BundleId, file: &File) -> Result<(), StoreError> {
        let (tmp, path) = (self.tmp(id), self.path(id));
        file.sync_all().map_err(|e| StoreError::file("syncing", &tmp, e))?;
        fs::rename(&tmp, &path).map_err(|e| StoreError::file("renaming", &tmp, e))?;
        sync_folder(&self.folder).map_err(|e| StoreError::file("syncing", &self.folder, e))
    }

    /// Removes a bundle, in place or not yet; one that isn't there is no error.
    pub fn remove(&self, id: &BundleId) -> Result<(), StoreError> {
        for path in [self.tmp(id), self.path(id)] {
            if let Err(e) = fs::remove_file(&path)
                && e.kind() != ErrorKind::NotFound
            {
                return Err(StoreError::file("removing", &path, e));
            }
        }
        Ok(())
    }

    /// Opens a sealed bundle.
    pub fn read(&self, id: &BundleId) -> Result<File, StoreError> {
        let path = self.path(id);
        File::open(&path).map_err(|e| StoreError::file("opening", &path, e))
    }

    /// Fills `out` with the sealed bytes of a block from `offset` on.
    pub fn read_block(
        &self,
        id: &BundleId,
        file: &File,
        geometry: &Geometry,
        (block, offset): (u32, u32),
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let fail = |e| StoreError::file("reading", self.path(id), e);
        let start = geometry.block_offset(block);
        let start = start.ok_or_else(|| fail(io::Error::other("there is no such block")))?;
        file.read_exact_at(out, start + u64::from(offset)).map_err(fail)
    }

    /// Removes what the catalogue doesn't know and all that was interrupted; `known` gives the size of
    /// each known bundle. Returns how many files were removed, and the known bundles whose file isn't
    /// there or has another size.
    pub fn sweep(&self, known: &BTreeMap<BundleId, u64>) -> Result<(u64, Vec<BundleId>), StoreError> {
        let mut removed = 0;
        let mut missing: BTreeMap<_, _> = known.clone();
        for folder in [self.folder.join("tmp"), self.folder.clone()] {
            let fail = |e| StoreError::file("listing", &folder, e);
            for entry in fs::read_dir(&folder).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                let metadata = entry.metadata().map_err(fail)?;
                if metadata.is_dir() {
                    continue;
                }
                let in_place = folder == self.folder;
                let id = entry.file_name().to_str().and_then(|n| n.strip_suffix(".pbb")?.parse().ok());
                if let Some(id) = id.filter(|id| in_place && known.contains_key(id)) {
                    if missing.get(&id) == Some(&metadata.len()) {
                        missing.remove(&id);
                    }
                    continue;
                }
                fs::remove_file(entry.path()).map_err(|e| StoreError::file("removing", entry.path(), e))?;
                removed += 1;
            }
        }
        Ok((removed, missing.into_keys().collect()))
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
    use super::*;
    use std::io::Write;

    #[test]
    fn a_bundle_is_published_read_swept_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let ids = [1, 2, 3].map(|n| BundleId([n; 12]));
        for id in &ids[..2] {
            let mut file = vault.create(id).unwrap();
            file.write_all(&[id.0[0]; 264]).unwrap();
            vault.publish(id, &file).unwrap();
        }
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
        vault.read_block(&ids[0], &file, &geometry, (1, 40), &mut out).unwrap();
        assert_eq!(out, [1; 60]);
        assert!(vault.read_block(&ids[0], &file, &geometry, (1, 41), &mut out).is_err(), "beyond the end");
        assert!(vault.read_block(&ids[0], &file, &geometry, (2, 0), &mut out).is_err());

        let known = BTreeMap::from([(ids[0], 264), (BundleId([9; 12]), 1)]);
        let (removed, missing) = vault.sweep(&known).unwrap();
        assert_eq!((removed, missing), (2, vec![BundleId([9; 12])]), "one unknown, one interrupted");
        let short = BTreeMap::from([(ids[0], 265)]);
        assert_eq!(vault.sweep(&short).unwrap(), (0, vec![ids[0]]), "of another size");
        assert!(vault.read(&ids[0]).is_ok() && vault.read(&ids[1]).is_err());
        vault.remove(&ids[0]).unwrap();
        vault.remove(&ids[0]).unwrap();
        assert!(vault.read(&ids[0]).is_err());
    }
}
