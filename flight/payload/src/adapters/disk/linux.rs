//! The disk as Linux has it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use redb::StorageBackend;
use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::{DatabaseFile, Disk, DiskFile};
use crate::camera::{Entry, FOLDER, Kind};

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinuxDisk;

impl Disk for LinuxDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn make_new_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(LinuxFile { inode: file.metadata()?.ino(), file, bytes: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // A pipe that stands there must not hold us up.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Box::new(LinuxFile { inode: metadata.ino(), file, bytes: metadata.len() }))
    }

    fn database(&self, path: &Path, make: bool) -> io::Result<DatabaseFile> {
        let file = OpenOptions::new().read(true).write(true).create(make).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(DatabaseFile(Box::new(LinuxDatabase { file }))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn about(&self, path: &Path) -> io::Result<Entry> {
        let name = path.file_name().map(OsString::from).unwrap_or_default();
        fs::symlink_metadata(path).map(|metadata| entry(name, &metadata))
    }

    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<Entry>> {
        let mut out = Vec::new();
        for found in fs::read_dir(folder)?.take(most) {
            let found = found?;
            out.extend(listed(found.file_name(), found.metadata()));
        }
        Ok(out)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let stat = rustix::fs::statvfs(path).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }
}

#[derive(Debug)]
struct LinuxFile {
    file: File,
    inode: u64,
    bytes: u64,
}

impl DiskFile for LinuxFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.bytes)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn forget_cached(&self) {
        // No more than a hint, so that its failure is no fault.
        let _refused = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

/// Locked as long as it is open.
#[derive(Debug)]
struct LinuxDatabase {
    file: File,
}

impl StorageBackend for LinuxDatabase {
    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// Takes the space of what it grows by at once: with holes in its file a full disk would fail the next commit,
    /// and with that the whole catalogue, though its pages are free.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.len()?;
        if let Some(more) = len.checked_sub(before).filter(|more| *more > 0) {
            match fallocate(&self.file, FallocateFlags::empty(), before, more) {
                // Not every file system can.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                reserved => return Ok(reserved?),
            }
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// What a listing shows of a name. A file that goes while we look is not there; one that can't be looked at is.
fn listed(name: OsString, metadata: io::Result<Metadata>) -> Option<Entry> {
    match metadata {
        Ok(metadata) => Some(entry(name, &metadata)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Entry::unknown(name)),
    }
}

fn entry(name: OsString, metadata: &Metadata) -> Entry {
    let kind = metadata.file_type();
    let kind = match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Other(FOLDER),
        () if kind.is_symlink() => Kind::Other("a symbolic link"),
        () if kind.is_fifo() => Kind::Other("a pipe"),
        () if kind.is_socket() => Kind::Other("a socket"),
        () => Kind::Other("a device"),
    };
    let changed_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Entry { name, kind, bytes: metadata.len(), changed_ns, inode: metadata.ino() }
}

#[cfg(test)]
mod tests {
    use super::super::{read_file, write_file};
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_are_made_read_renamed_and_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, at) = (LinuxDisk, |name: &str| dir.path().join(name));
        disk.make_folder(&at("a/b")).unwrap();
        disk.make_folder(&at("a/b")).unwrap();
        assert_eq!(disk.make_new_folder(&at("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let mut file = disk.create(&at("a/f")).unwrap();
        assert_eq!(disk.create(&at("a/f")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        file.append(b"one ").unwrap();
        file.append(b"two").unwrap();
        file.sync().unwrap();
        let mut three = [0; 3];
        file.forget_cached();
        file.read_at(4, &mut three).unwrap();
        assert_eq!((file.bytes(), &three), (7, b"two"));
        assert!(file.read_at(5, &mut three).is_err());
        disk.rename(&at("a/f"), &at("a/g")).unwrap();
        disk.sync_folder(&at("a")).unwrap();
        let about = disk.about(&at("a/g")).unwrap();
        assert_eq!((about.inode, about.bytes, about.kind), (file.inode(), 7, Kind::File));
        symlink("/etc/passwd", at("a/l")).unwrap();
        assert!(disk.open(&at("a/l")).is_err() && disk.open(&at("a/b")).is_err());
        let mut listed = disk.list(&at("a"), 10).unwrap();
        listed.sort_by(|x, y| x.name.cmp(&y.name));
        let kinds: Vec<_> = listed.iter().map(|e| (e.name.to_str().unwrap(), e.kind)).collect();
        let other = Kind::Other;
        assert_eq!(kinds, [("b", other("a directory")), ("g", Kind::File), ("l", other("a symbolic link"))]);
        assert_eq!(disk.list(&at("a"), 2).unwrap().len(), 2);
        disk.remove(&at("a/g")).unwrap();
        disk.remove_folder(&at("a/b")).unwrap();
        assert_eq!(disk.about(&at("a/g")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(disk.free_bytes(&at("a")).is_some() && disk.free_bytes(&at("none")).is_none());
    }

    #[test]
    fn a_listing_leaves_out_what_is_gone_and_not_what_cannot_be_looked_at() {
        let failed = |kind: Errno| listed("x".into(), Err(kind.into()));
        assert_eq!(failed(Errno::NOENT), None);
        assert_eq!(failed(Errno::IO), Some(Entry::unknown("x".into())));
        assert_eq!(failed(Errno::ACCESS).unwrap().kind, Kind::Unknown);
    }

    #[test]
    fn a_file_is_written_whole_and_read_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(dir.path().join("f.tmp"), "left behind").unwrap();
        for text in ["one", "two"] {
            write_file(&LinuxDisk, &path, text.as_bytes()).unwrap();
            assert_eq!(read_file(&LinuxDisk, &path, 3).unwrap(), text.as_bytes());
        }
        assert!(read_file(&LinuxDisk, &path, 2).unwrap_err().to_string().contains("more than 2 bytes"));
        assert!(!dir.path().join("f.tmp").exists());
    }
}
