//! `rejected/`: refused files, those of each refusal in a folder of their own with the reason beside them, and no more
//! than a limit of them all.
//!
//! A refusal is carried out as a whole or leaves all as it was. No file leaves the spool before it is safe here.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, SPARE_BYTES};
use super::spool::remove_if_still;
use crate::camera::Entry;
use crate::ordered;

/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Most folders that are kept.
const MAX_FOLDERS: usize = 5_000;
/// Most folders of one name.
const MAX_SAME_NAME: u32 = 100_000;
/// Folders in folders that are removed, at most so deep.
const MAX_DEPTH: u32 = 16;
/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 18;
/// The reason until the files are there: a name that no refused file has, as the spool passes it over.
const REASON_ASIDE: &str = ".reason.part";

/// The folder of refused files.
#[derive(Debug)]
pub(super) struct RejectedFolder {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    /// Most bytes that are kept.
    pub(super) limit_bytes: u64,
}

/// What was removed to keep the limit.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// Folders of earlier refusals that are gone.
    pub(super) removed: Vec<OsString>,
    /// The first that couldn't be removed, and why.
    pub(super) failed: Option<String>,
}

/// A file that is no longer where it was, or in two places.
struct Moved {
    name: OsString,
    /// It was copied: the inode and size of what it was copied from.
    copied: Option<(u64, u64)>,
}

impl RejectedFolder {
    /// Moves files of the folder `from` into a new folder, with the reason beside them; one that isn't there is passed
    /// over.
    ///
    /// # Errors
    /// Those of the disk: the files are where they were, and nothing of them is left here, as far as the disk allows.
    pub(super) fn take(
        &self,
        from: &Path,
        name: &str,
        files: &[OsString],
        reason: &str,
    ) -> io::Result<PathBuf> {
        let folder = self.new_folder(name)?;
        let (mut moved, mut settled) = (Vec::new(), false);
        let taken = self
            .fill(from, &folder, (files, reason), &mut moved)
            .and_then(|()| self.release(from, &moved, &mut settled));
        // Once the first original is gone, its copy is all there is: what fails later leaves a copy too many.
        if taken.is_err() && !settled {
            self.take_back(from, &folder, files, &moved);
        }
        taken.map(|()| folder)
    }

    /// Removes the oldest folders, but not `newest`, until the rest is within the limits. What can't be removed is passed
    /// over.
    pub(super) fn prune(&self, newest: &Path) -> Pruned {
        let mut pruned = Pruned::default();
        let entries = match self.disk.list(&self.folder, MAX_ENTRIES) {
            Ok(entries) => entries,
            Err(e) => {
                pruned.failed = Some(format!("listing {}: {e}", self.folder.display()));
                return pruned;
            }
        };
        // What isn't a folder is none of ours.
        let mut folders: Vec<_> = entries
            .into_iter()
            .filter(Entry::is_folder)
            .map(|entry| {
                (entry.changed_ns, self.bytes_in(&self.folder.join(&entry.name), MAX_DEPTH), entry.name)
            })
            .collect();
        ordered::sort_by(&mut folders, |a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        let mut total: u64 = folders.iter().map(|folder| folder.1).sum();
        let mut count = folders.len();
        for (_, bytes, name) in folders {
            let path = self.folder.join(&name);
            if total <= self.limit_bytes && count <= MAX_FOLDERS {
                break;
            }
            if path == newest {
                continue;
            }
            if let Err(e) = self.remove_all(&path, MAX_DEPTH) {
                pruned.failed.get_or_insert(format!("removing {}: {e}", path.display()));
                continue;
            }
            total = total.saturating_sub(bytes);
            count -= 1;
            pruned.removed.push(name);
        }
        pruned
    }

    fn new_folder(&self, name: &str) -> io::Result<PathBuf> {
        let name = match name {
            "." | ".." => "_",
            name => name,
        };
        for count in 1..MAX_SAME_NAME {
            let unique = if count == 1 { name.to_owned() } else { format!("{name}~{count}") };
            let folder = self.folder.join(unique);
            match self.disk.make_new_folder(&folder) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| folder),
            }
        }
        Err(io::Error::other(format!("{MAX_SAME_NAME} folders of the name {name:?} in rejected/")))
    }

    /// Brings reason and files into a new folder, durably; what was begun stands in `moved`. The reason has its name once
    /// the files are there.
    fn fill(
        &self,
        from: &Path,
        folder: &Path,
        (files, reason): (&[OsString], &str),
        moved: &mut Vec<Moved>,
    ) -> io::Result<()> {
        let aside = folder.join(REASON_ASIDE);
        let mut file = self.disk.create(&aside)?;
        file.append(format!("{reason}\n").as_bytes())?;
        file.sync()?;
        for name in files {
            match self.disk.rename(&from.join(name), &folder.join(name)) {
                Ok(()) => moved.push(Moved { name: name.clone(), copied: None }),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) if e.kind() == ErrorKind::CrossesDevices => self.copy(from, folder, name, moved)?,
                Err(e) => return Err(e),
            }
        }
        self.disk.rename(&aside, &folder.join(reason_name(files)))?;
        self.disk.sync_folder(folder)?;
        self.disk.sync_folder(&self.folder)
    }

    fn copy(&self, from: &Path, folder: &Path, name: &OsStr, moved: &mut Vec<Moved>) -> io::Result<()> {
        let source = self.disk.open(&from.join(name))?;
        let needs = source.bytes().saturating_add(SPARE_BYTES);
        if self.disk.free_bytes(folder).is_some_and(|free| free < needs) {
            let text = format!("copying {} bytes would leave too little space on the disk", source.bytes());
            return Err(io::Error::new(ErrorKind::StorageFull, text));
        }
        let mut copy = self.disk.create(&folder.join(name))?;
        moved.push(Moved { name: name.to_owned(), copied: Some((source.inode(), source.bytes())) });
        let mut chunk = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < source.bytes() {
            let left = usize::try_from(source.bytes() - at).unwrap_or(usize::MAX);
            let part = chunk.get_mut(..left.min(COPY_BYTES)).unwrap_or_default();
            source.read_at(at, part)?;
            copy.append(part)?;
            at += part.len() as u64;
        }
        copy.sync()
    }

    /// Removes what was copied from where it was, for good; `settled`: something is gone from there.
    fn release(&self, from: &Path, moved: &[Moved], settled: &mut bool) -> io::Result<()> {
        for file in moved {
            if let Some((inode, bytes)) = file.copied {
                *settled |= remove_if_still(self.disk.as_ref(), &from.join(&file.name), inode, bytes)?;
            }
        }
        self.disk.sync_folder(from)
    }

    /// Undoes what [`Self::fill`] began. A disk that failed may fail at this, too: then more is left here than need be,
    /// and goes with the oldest.
    fn take_back(&self, from: &Path, folder: &Path, files: &[OsString], moved: &[Moved]) {
        let mut all = true;
        for file in moved.iter().rev() {
            let (here, there) = (folder.join(&file.name), from.join(&file.name));
            let is_free = || self.disk.about(&there).is_err_and(|e| e.kind() == ErrorKind::NotFound);
            all &= match file.copied {
                Some(_) => self.disk.remove(&here).is_ok(),
                // Never over a file that has come meanwhile.
                None => is_free() && self.disk.rename(&here, &there).is_ok(),
            };
        }
        if all {
            for reason in [REASON_ASIDE, reason_name(files)] {
                drop(self.disk.remove(&folder.join(reason)));
            }
            drop(self.disk.remove_folder(folder));
        }
    }

    /// Bytes of all files in a folder, as far as they can be told.
    fn bytes_in(&self, folder: &Path, depth: u32) -> u64 {
        let inside = self.disk.list(folder, MAX_ENTRIES).unwrap_or_default();
        let bytes = |entry: &Entry| match depth.checked_sub(1) {
            Some(depth) if entry.is_folder() => self.bytes_in(&folder.join(&entry.name), depth),
            _ => entry.bytes,
        };
        inside.iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// Removes a folder and all that is in it.
    fn remove_all(&self, folder: &Path, depth: u32) -> io::Result<()> {
        loop {
            let inside = self.disk.list(folder, MAX_ENTRIES)?;
            if inside.is_empty() {
                return self.disk.remove_folder(folder);
            }
            for entry in inside {
                let path = folder.join(&entry.name);
                match depth.checked_sub(1) {
                    _ if !entry.is_folder() => self.disk.remove(&path)?,
                    Some(depth) => self.remove_all(&path, depth)?,
                    None => return Err(io::Error::other("folders in folders, too deep")),
                }
            }
        }
    }
}

/// The name of the reason: another if a refused file has the usual one.
fn reason_name(files: &[OsString]) -> &'static str {
    if files.iter().any(|file| file == "reason.txt") { "reason.passband.txt" } else { "reason.txt" }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use rustix::io::Errno;

    use super::super::disk::{LinuxDisk, SickDisk};
    use super::*;
    use crate::faults::{Faults, SimDisk};

    const FILES: [&str; 2] = ["a.bil", "a.hdr"];

    /// A spool with a frame in it, and `rejected/` on a disk over `disk` where `fault` says what fails.
    fn folders(
        disk: &Arc<dyn Disk>,
        at: &Path,
        fault: impl Fn(&str, &Path) -> Option<io::Error> + Send + Sync + 'static,
    ) -> (PathBuf, RejectedFolder) {
        let (spool, folder) = (at.join("spool"), at.join("rejected"));
        for path in [&spool, &folder] {
            disk.make_folder(path).unwrap();
        }
        for name in FILES {
            disk.create(&spool.join(name)).unwrap().append(&vec![7; 600_000]).unwrap();
        }
        let disk = SickDisk::over(Arc::clone(disk), fault);
        (spool, RejectedFolder { disk, folder, limit_bytes: 1 << 20 })
    }

    fn names(disk: &dyn Disk, folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = disk.list(folder, 99).unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    /// A refusal that fails leaves the frame in the spool, and nothing in `rejected/`.
    fn check_failure(
        disk: &Arc<dyn Disk>,
        at: &Path,
        fault: impl Fn(&str, &Path) -> Option<io::Error> + Send + Sync + 'static,
    ) {
        let (spool, rejected) = folders(disk, at, fault);
        for _ in 0..3 {
            rejected.take(&spool, "a", &FILES.map(OsString::from), "odd").unwrap_err();
            assert_eq!(names(disk.as_ref(), &spool), FILES);
            assert_eq!(names(disk.as_ref(), &rejected.folder), [""; 0]);
        }
    }

    fn between_devices(operation: &str, path: &Path) -> Option<io::Error> {
        let crosses = operation == "rename" && path.parent().is_some_and(|folder| folder.ends_with("spool"));
        crosses.then(|| Errno::XDEV.into())
    }

    #[test]
    fn a_refusal_that_fails_leaves_all_as_it_was() {
        let linux: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let dir = |name: &str| {
            let dir = tempfile::tempdir().unwrap();
            let at = dir.path().join(name);
            (dir, at)
        };
        // The second file can't be moved, not even read.
        for kind in [Errno::IO, Errno::XDEV] {
            let (_dir, at) = dir("x");
            check_failure(&linux, &at, move |operation, path| {
                let fails = ["rename", "open"].contains(&operation) && path.ends_with("spool/a.hdr");
                fails.then(|| kind.into())
            });
        }
        // What was copied can't be removed from where it was.
        let (_dir, at) = dir("x");
        check_failure(&linux, &at, |operation, path| {
            let fails = operation == "remove" && path.parent().unwrap().ends_with("spool");
            between_devices(operation, path).or_else(|| fails.then(|| Errno::ROFS.into()))
        });
        // The disk is full in the middle of the second copy, or can't make anything durable.
        let sim = SimDisk::default();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        sim.set_faults(Faults { capacity_bytes: Some(2_100_000), ..Faults::default() });
        check_failure(&disk, Path::new("/full"), between_devices);
        sim.set_faults(Faults { sync_fails: true, ..Faults::default() });
        check_failure(&disk, Path::new("/failing"), between_devices);
    }

    #[test]
    fn files_are_copied_between_file_systems_and_gone_from_the_spool_only_when_that_is_safe() {
        let dir = tempfile::tempdir().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&order);
        let linux: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let (spool, rejected) = folders(&linux, dir.path(), move |operation, path| {
            if ["sync_folder", "remove"].contains(&operation) {
                seen.lock().unwrap().push(operation.to_owned());
            }
            between_devices(operation, path)
        });
        let folder = rejected.take(&spool, "a", &FILES.map(OsString::from), "odd").unwrap();
        assert_eq!(names(linux.as_ref(), &spool), [""; 0]);
        assert_eq!(names(linux.as_ref(), &folder), ["a.bil", "a.hdr", "reason.txt"]);
        assert_eq!(fs::read(folder.join("a.bil")).unwrap(), vec![7; 600_000]);
        let order = order.lock().unwrap();
        assert_eq!(*order, ["sync_folder", "sync_folder", "remove", "remove", "sync_folder"]);
    }

    #[test]
    fn folders_in_folders_are_pruned_and_one_that_cannot_be_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let linux: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let (_, rejected) = folders(&linux, dir.path(), |operation, path| {
            (operation == "remove" && path.ends_with("1 stuck/x")).then(|| Errno::PERM.into())
        });
        for name in ["1 stuck", "2 deep/er/still", "3 plain", "4 newest"] {
            let folder = rejected.folder.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("x"), vec![0; 600_000]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let pruned = rejected.prune(&rejected.folder.join("4 newest"));
        assert_eq!(pruned.removed, ["2 deep", "3 plain"]);
        assert!(pruned.failed.unwrap().contains("1 stuck"));
        assert_eq!(names(linux.as_ref(), &rejected.folder), ["1 stuck", "4 newest"]);
    }
}
