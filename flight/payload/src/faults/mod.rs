//! A disk that fails as disks do: for tests and the simulator, never in the satellite's program.
//!
//! # The fault model
//!
//! A [`SimDisk`] keeps, beside what a program sees, what would be left if power went now:
//!
//! - A file's bytes are safe once the file was synced. Of what was written since, each 512-byte sector of each write
//!   is there or not, independently: writes are lost, torn and reordered. So are changes of a file's length.
//! - A name (a file made, renamed, removed; a folder made) is safe once the folder was synced. Each change since is
//!   there or not, independently; a rename is one change, made safe by syncing either folder.
//! - Syncing a file doesn't make its name safe, and the other way round.
//!
//! [`SimDisk::after_cut`] draws one of the possible disks from a seed. [`SimDisk::watch`] calls back before every
//! operation that changes anything: the place to cut.
//!
//! Besides, the disk can be made full, read-only, slow, or failing to sync, and [`SimDisk::watch_reads`] lets reads fail
//! or give back what isn't there. As with Linux, a sync that failed may have
//! thrown the bytes away: they are seen until power goes, and no later sync saves them.

pub(crate) mod blocks;
mod database;
mod file;
pub mod measure;
mod pages;

use core::fmt;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adapters::disk::{DatabaseFile, Disk, DiskFile};
use crate::camera::{Entry, FOLDER, Kind};
use database::SimDatabase;
use file::SimFile;
use pages::Contents;

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// So many bytes fit; `None`: any number.
    pub capacity_bytes: Option<u64>,
    /// Nothing can be changed.
    pub read_only: bool,
    /// Syncs fail.
    pub sync_fails: bool,
    /// How long a sync takes, ms: told to whoever asks by [`SimDisk::waited_ms`], not slept.
    pub sync_ms: u64,
}

/// A disk in memory.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    watcher: Arc<Mutex<Option<Watcher>>>,
    reads: Arc<Mutex<Option<ReadWatcher>>>,
}

/// Called before each change with what there is before it.
type Watcher = Box<dyn FnMut(&SimDisk) + Send>;
/// Called with what was read of which file, from where on: it may change that, or fail it.
type ReadWatcher = Box<dyn FnMut(&Path, u64, &mut [u8]) -> io::Result<()> + Send>;

#[derive(Debug, Clone, Default)]
struct State {
    /// As a program sees it.
    names: BTreeMap<PathBuf, Node>,
    /// As the platter has it.
    safe: BTreeMap<PathBuf, Node>,
    /// What was changed since: to be applied in order, or not.
    changes: Vec<Change>,
    files: BTreeMap<u64, Contents>,
    next_inode: u64,
    faults: Faults,
    operations: u64,
    written_bytes: u64,
    waited_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

#[derive(Debug, Clone)]
enum Change {
    Put(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

impl Change {
    /// Whether syncing this folder makes it safe.
    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Put(path, _) | Self::Remove(path) => path.parent() == Some(folder),
            Self::Rename(from, to, _) => from.parent() == Some(folder) || to.parent() == Some(folder),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        let has_folder = |names: &BTreeMap<PathBuf, Node>, path: &Path| {
            path.parent().is_some_and(|above| names.get(above) == Some(&Node::Folder))
        };
        match self {
            Self::Put(path, node) if has_folder(names, path) => drop(names.insert(path.clone(), *node)),
            Self::Rename(from, to, node) if has_folder(names, to) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Put(..) | Self::Rename(..) => {}
            Self::Remove(path) => drop(names.remove(path)),
        }
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        let state = State { names: root.clone(), safe: root, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), watcher: Arc::default(), reads: Arc::default() }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "SimDisk({} names, {} operations)", state.names.len(), state.operations)
    }
}

impl SimDisk {
    /// Makes it fail so from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Calls `watcher` before every operation that changes anything, until [`SimDisk::unwatch`].
    pub fn watch(&self, watcher: impl FnMut(&Self) + Send + 'static) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watcher));
    }

    /// Stops calling.
    pub fn unwatch(&self) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Lets `watcher` change or fail what is read of files from now on, as memory, cells and controllers do; those of
    /// databases aside.
    pub fn watch_reads(&self, watcher: impl FnMut(&Path, u64, &mut [u8]) -> io::Result<()> + Send + 'static) {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watcher));
    }

    /// Reads are what they are again.
    pub fn unwatch_reads(&self) {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Operations so far that changed anything.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.lock().written_bytes
    }

    /// What all syncs so far would have taken, ms.
    pub fn waited_ms(&self) -> u64 {
        self.lock().waited_ms
    }

    /// The disk as one that lost power now may be found, drawn by `seed`: another disk, without faults.
    #[must_use]
    pub fn after_cut(&self, seed: u64) -> Self {
        let state = self.lock();
        let mut dice = Dice::new(seed);
        let mut names = state.safe.clone();
        state.changes.iter().filter(|_| dice.keeps()).for_each(|change| change.apply(&mut names));
        let files: BTreeMap<_, _> = names
            .values()
            .filter_map(|node| match node {
                Node::File(inode) => Some((*inode, state.files.get(inode)?.after_cut(&mut dice))),
                Node::Folder => None,
            })
            .collect();
        let state =
            State { safe: names.clone(), names, files, next_inode: state.next_inode, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), watcher: Arc::default(), reads: Arc::default() }
    }

    /// All files and their bytes, as a program sees them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(inode) => Some((path.clone(), state.files.get(inode)?.seen().to_vec())),
            Node::Folder => None,
        };
        state.names.iter().filter_map(file).collect()
    }

    /// Flips a bit of a file, as a cell that wears out does.
    ///
    /// # Errors
    /// There is no such file, or no such byte.
    pub fn damage(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.inode(path)?;
        let contents = state.files.get_mut(&inode).ok_or(ErrorKind::NotFound)?;
        contents.flip(byte, bit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation that changes something.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        // The watcher looks at the disk, so the disk mustn't be locked meanwhile.
        if let Some(watcher) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            watcher(self);
        }
        let mut state = self.lock();
        if state.faults.read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        state.operations += 1;
        Ok(state)
    }

    fn make_file(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.change()?;
        state.needs_folder(path)?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.next_inode += 1;
        let inode = state.next_inode;
        state.files.insert(inode, Contents::default());
        state.apply(Change::Put(path.to_owned(), Node::File(inode)));
        Ok(inode)
    }

    fn write(&self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        state.needs_room(inode, offset + bytes.len() as u64)?;
        state.written_bytes += bytes.len() as u64;
        state.file(inode)?.write(offset, bytes);
        Ok(())
    }

    fn set_len(&self, inode: u64, len: u64) -> io::Result<()> {
        let mut state = self.change()?;
        state.needs_room(inode, len)?;
        state.file(inode)?.set_len(len);
        Ok(())
    }

    fn sync(&self, inode: u64) -> io::Result<()> {
        let mut state = self.change()?;
        let fails = state.sync_fault();
        state.file(inode)?.sync(fails.is_err());
        fails
    }

    fn read(&self, inode: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.file(inode)?.seen().read(offset, out)
    }

    fn read_watched(&self, inode: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read(inode, offset, out)?;
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watcher) = reads.as_mut() else { return Ok(()) };
        let path = self
            .lock()
            .names
            .iter()
            .find(|(_, node)| **node == Node::File(inode))
            .map(|(path, _)| path.clone());
        path.map_or(Ok(()), |path| watcher(&path, offset, out))
    }

    fn len(&self, inode: u64) -> io::Result<u64> {
        Ok(self.lock().file(inode)?.seen().len())
    }
}

impl State {
    fn apply(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(io::Error::other("not a regular file")),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn file(&mut self, inode: u64) -> io::Result<&mut Contents> {
        self.files.get_mut(&inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn needs_folder(&self, path: &Path) -> io::Result<()> {
        let above = path.parent().and_then(|above| self.names.get(above));
        if above == Some(&Node::Folder) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn used_bytes(&self) -> u64 {
        let file = |node: &Node| match node {
            Node::File(inode) => self.files.get(inode).map_or(0, |file| file.seen().len()),
            Node::Folder => 0,
        };
        self.names.values().map(file).sum()
    }

    fn needs_room(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let Some(capacity) = self.faults.capacity_bytes else { return Ok(()) };
        let more = len.saturating_sub(self.file(inode)?.seen().len());
        if more > 0 && self.used_bytes() + more > capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync_fault(&mut self) -> io::Result<()> {
        self.waited_ms += self.faults.sync_ms;
        if self.faults.sync_fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

/// Linux's number of an input or output error.
const EIO: i32 = 5;

impl Disk for SimDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let there = self.lock().names.get(folder).copied();
            match there {
                Some(Node::Folder) => {}
                Some(Node::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
                None => self.make_new_folder(folder)?,
            }
        }
        Ok(())
    }

    fn make_new_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        state.needs_folder(path)?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.apply(Change::Put(path.to_owned(), Node::Folder));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.make_file(path)?;
        Ok(Box::new(SimFile::new(self.clone(), inode, 0)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.lock().inode(path)?;
        Ok(Box::new(SimFile::new(self.clone(), inode, self.len(inode)?)))
    }

    fn database(&self, path: &Path, make: bool) -> io::Result<DatabaseFile> {
        let found = self.lock().inode(path);
        let inode = match found {
            Err(e) if e.kind() == ErrorKind::NotFound && make => self.make_file(path)?,
            found => found?,
        };
        Ok(DatabaseFile(Box::new(SimDatabase::new(self.clone(), inode))))
    }

    fn about(&self, path: &Path) -> io::Result<Entry> {
        let mut state = self.lock();
        let node = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        let name = path.file_name().map(OsString::from).unwrap_or_default();
        Ok(match node {
            Node::Folder => Entry { name, kind: Kind::Other(FOLDER), bytes: 0, changed_ns: 0, inode: 0 },
            Node::File(inode) => {
                let bytes = state.file(inode)?.seen().len();
                Entry { name, kind: Kind::File, bytes, changed_ns: i128::from(inode), inode }
            }
        })
    }

    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<Entry>> {
        if self.lock().names.get(folder) != Some(&Node::Folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside: Vec<PathBuf> = self
            .lock()
            .names
            .keys()
            .filter(|path| path.parent() == Some(folder))
            .take(most)
            .cloned()
            .collect();
        inside.iter().map(|path| self.about(path)).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let node = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
        state.needs_folder(to)?;
        state.apply(Change::Rename(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().inode(path)?;
        self.change()?.apply(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let empty = !state.names.keys().any(|inside| inside.parent() == Some(path));
        if state.names.get(path) != Some(&Node::Folder) || !empty {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.apply(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        state.sync_fault()?;
        let (safe, still): (Vec<_>, Vec<_>) = state.changes.drain(..).partition(|change| change.is_in(path));
        state.changes = still;
        for change in safe {
            change.apply(&mut state.safe);
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        let state = self.lock();
        Some(state.faults.capacity_bytes.map_or(u64::MAX / 2, |all| all.saturating_sub(state.used_bytes())))
    }
}

/// Decides what a power cut leaves.
#[derive(Debug)]
struct Dice {
    state: u64,
    /// Out of 256, what is kept.
    keeps: u64,
}

impl Dice {
    /// One cut in four loses all that isn't safe, one in four keeps all but little, the others something between.
    fn new(seed: u64) -> Self {
        let mut dice = Self { state: seed, keeps: 0 };
        dice.keeps = match dice.draw() % 4 {
            0 => 0,
            1 => 250,
            _ => dice.draw() % 256,
        };
        dice
    }

    fn keeps(&mut self) -> bool {
        self.draw() % 256 < self.keeps
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> 8
    }
}

#[cfg(test)]
mod tests;
