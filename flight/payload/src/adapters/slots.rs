//! The slots of this board, and the record that the launcher chooses by.
//!
//! ```text
//! ROOT/a/passband  ROOT/b/passband   images        ROOT/a/passband.part   one that is being made
//! ROOT/slot.0 … slot.2               the record, in three copies (`passband_launch::copies`)
//! ```
//!
//! Never touches golden, and never writes into an image: a new one is made beside it and renamed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_launch::PROGRAM;
use passband_launch::copies::{self, Folder, Found};
use passband_launch::linux::Root;
use passband_proto::slot::change::Refusal;
use passband_proto::slot::{Slot, SlotRecord};

use super::disk::{Disk, read_file};

/// The slots of a board.
#[derive(Debug, Clone)]
pub struct Slots {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Keeps a launcher away that somebody starts by hand.
    lock: Option<Root>,
}

/// Why the record wasn't changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotFault {
    /// It can't be changed so.
    Refused(Refusal),
    /// It couldn't be written, in words.
    Disk(String),
}

impl core::fmt::Display for SlotFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Disk(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SlotFault {}

impl Slots {
    /// Those in `root` of any disk.
    pub fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk, root: root.to_owned(), lock: None }
    }

    /// Those in `root` of this board: the record is locked while it is changed.
    pub fn of_board(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { lock: Some(Root::new(root.to_owned())), ..Self::new(disk, root) }
    }

    /// The disk they are on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder they are in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the image of a slot is.
    pub fn image(&self, slot: Slot) -> PathBuf {
        self.root.join(slot.name()).join(PROGRAM)
    }

    /// Where the next image of a slot is made.
    pub fn part(&self, slot: Slot) -> PathBuf {
        self.image(slot).with_extension("part")
    }

    /// The record and its copies.
    pub fn found(&self) -> Found {
        copies::read(self)
    }

    /// The record; without a sound copy that of a board with golden alone.
    pub fn record(&self) -> SlotRecord {
        self.found().record.unwrap_or(SlotRecord::FACTORY)
    }

    /// Writes damaged copies of the record anew. Gives back what could not be.
    pub fn mend(&self) -> Vec<String> {
        copies::mend(self, &self.found())
    }

    /// Changes the record, durably; `None` of `change`: it stays as it is. Gives back the one that counts then.
    ///
    /// # Errors
    /// [`SlotFault`]; when it couldn't be written the new one may count all the same after a restart.
    pub fn change(
        &self,
        change: impl FnOnce(&SlotRecord) -> Result<Option<SlotRecord>, Refusal>,
    ) -> Result<SlotRecord, SlotFault> {
        let _lock = self.lock.as_ref().map(Root::lock).transpose().map_err(SlotFault::Disk)?;
        let before = self.record();
        let Some(after) = change(&before).map_err(SlotFault::Refused)? else { return Ok(before) };
        copies::write(self, &after).map_err(SlotFault::Disk)?;
        Ok(after)
    }
}

impl Folder for Slots {
    fn read(&self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        read_file(self.disk.as_ref(), &self.root.join(name), most)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        match self.disk.remove(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = self.disk.create(&path)?;
        file.append(bytes)?;
        file.sync()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.root.join(from), &self.root.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_folder(&self.root)
    }
}
