//! Files of releases: read whole, within limits; written aside, synced and renamed, so that none is ever there by half. Never
//! follows what a file says to another file.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// It is replaced at once by the new one.
    Replaced,
    /// It stays, and the new one is refused: it may hold what can't be made again.
    Kept,
}

/// Reads a file of at most so many bytes.
///
/// # Errors
/// It can't be read, or is longer.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    let at = || format!("reading {}", path.display());
    let file = File::open(path).with_context(at)?;
    ensure!(file.metadata().with_context(at)?.is_file(), "{}: it is not a file", at());
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).with_context(at)?;
    ensure!(bytes.len() <= most, "{}: it has more than {most} bytes", path.display());
    Ok(bytes)
}

/// Puts a file in its place.
///
/// # Errors
/// It can't be written, or is there already and is to be kept. Nothing has changed then.
pub fn put(path: &Path, bytes: &[u8], mode: u32, old: Old) -> Result<()> {
    let at = || format!("writing {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let aside = builder.prefix(".passband-").permissions(Permissions::from_mode(mode)).tempfile_in(folder);
    let mut aside = aside.with_context(at)?;
    aside.write_all(bytes).and_then(|()| aside.as_file().sync_all()).with_context(at)?;
    let placed = match old {
        Old::Replaced => aside.persist(path),
        Old::Kept => aside.persist_noclobber(path),
    };
    match placed.map_err(|failed| failed.error) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already, and is not written over", path.display())
        }
        other => other.map(drop).with_context(at)?,
    }
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_kept_if_it_has_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        put(&path, b"one", 0o600, Old::Kept).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = put(&path, b"two", 0o600, Old::Kept).unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
        assert_eq!(read(&path, 3).unwrap(), b"one");
        put(&path, b"three", 0o644, Old::Replaced).unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"three");
        assert!(read(&path, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(read(dir.path(), 4).is_err() && read(&dir.path().join("none"), 4).is_err());
        assert!(put(&dir.path().join("no/folder"), b"x", 0o600, Old::Kept).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }
}
