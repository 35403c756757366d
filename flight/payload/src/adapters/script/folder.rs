//! The folder of a run, `<state>/scripts/work-SOURCE-NUMBER`: where a script stands when it begins, its home, and where
//! its temporary files go. On the disk, so that what lies there is no memory; watched, so that it is no more than is
//! allowed; removed with the run, or at the next start.
//!
//! What a script writes elsewhere, by a path that it names itself, is neither counted nor removed. Nothing here follows
//! a symbolic link.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::script::RunId;

const PREFIX: &str = "work-";
/// Most files and folders that are counted; of one with more it is not known how much it holds.
const MAX_ENTRIES: usize = 4_096;
/// What a file takes at least, bytes, be it empty.
const LEAST_BYTES: u64 = 4_096;
/// The unit of `st_blocks`, bytes: POSIX leaves it open, Linux has it at 512 (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// It is there as long as this is.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, empty, in the folder of scripts.
    pub(super) fn make(scripts: &Path, id: RunId) -> io::Result<Self> {
        let path = scripts.join(format!("{PREFIX}{id}"));
        remove(&path)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies there takes so much of the disk; of what can't be looked at, or is too many, all there can be.
    pub(super) fn bytes(&self) -> u64 {
        let mut bytes = 0_u64;
        let counted = walk(&self.path, MAX_ENTRIES, &mut |_, about| {
            let taken = about.blocks().saturating_mul(BLOCK_BYTES).max(LEAST_BYTES);
            bytes = bytes.saturating_add(taken);
        });
        counted.map_or(u64::MAX, |()| bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(e) = remove(&self.path) {
            tracing::warn!("{} can't be removed, and is at the next start: {e}", self.path.display());
        }
    }
}

/// Removes what runs of an earlier daemon left.
pub(super) fn remove_left(scripts: &Path) -> io::Result<()> {
    for entry in fs::read_dir(scripts)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it, whatever a script has forbidden in there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(path) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            drop(walk(path, usize::MAX, &mut |path, about| {
                if about.is_dir() {
                    drop(fs::set_permissions(path, Permissions::from_mode(0o700)));
                }
            }));
            fs::remove_dir_all(path)
        }
        other => other,
    };
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Shows all that lies in a folder, each folder before what is in it. What is removed meanwhile is passed over.
fn walk(folder: &Path, most: usize, see: &mut dyn FnMut(&Path, &fs::Metadata)) -> io::Result<()> {
    let (mut folders, mut seen) = (vec![folder.to_owned()], 0_usize);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let about = match fs::symlink_metadata(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => other?,
            };
            seen = seen.saturating_add(1);
            if seen > most {
                return Err(io::Error::other("too many entries"));
            }
            see(&path, &about);
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> RunId {
        RunId { source: 9, number }
    }

    #[test]
    fn what_lies_there_is_counted_and_removed_with_the_run_or_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path(), id(1)).unwrap();
        assert_eq!(folder.bytes(), 0);
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), vec![1; 100_000]).unwrap();
        fs::write(dir.path().join("other"), "stays").unwrap();
        std::os::unix::fs::symlink(dir.path(), folder.path().join("link")).unwrap();
        let bytes = folder.bytes();
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        assert!(folder.bytes() < 300_000, "what isn't written takes nothing");
        fs::set_permissions(folder.path().join("a/b"), Permissions::from_mode(0o000)).unwrap();
        let left = std::mem::ManuallyDrop::new(folder);
        assert!(left.path().exists());
        remove_left(dir.path()).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["other"]);
        let folder = Folder::make(dir.path(), id(2)).unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("x"), "y").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn empty_files_count_and_too_many_are_more_than_any_limit() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path(), id(1)).unwrap();
        (0..MAX_ENTRIES).for_each(|n| drop(fs::File::create(folder.path().join(n.to_string())).unwrap()));
        assert_eq!(folder.bytes(), 4_096 * MAX_ENTRIES as u64);
        fs::create_dir(folder.path().join("one-more")).unwrap();
        assert_eq!(folder.bytes(), u64::MAX);
    }
}
