//! The three copies of the slot record.
//!
//! A copy is written aside, synced and renamed, and its folder synced, one copy after the other: a power cut leaves each
//! copy either old or new. The record counts as written when at least two copies are, so that it survives the loss of
//! any one.

use std::io;

use passband_proto::slot::{self, SLOT_RECORD_BYTES, SlotRecord};

/// The names of the copies.
pub const COPIES: [&str; 3] = ["slot.0", "slot.1", "slot.2"];
const ASIDE: [&str; 3] = ["slot.0.new", "slot.1.new", "slot.2.new"];
const COPIES_NEEDED: usize = 2;

/// The few things that are done to the files beside the slots, so that a folder that loses and tears can take their
/// place.
pub trait Folder {
    /// Reads a regular file, `most` bytes at most.
    ///
    /// # Errors
    /// Those of the disk.
    fn read(&self, name: &str, most: usize) -> io::Result<Vec<u8>>;

    /// Makes a file of these bytes, in place of one of that name, and syncs them; not the name.
    ///
    /// # Errors
    /// Those of the disk.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Renames a file; one that has the new name is replaced.
    ///
    /// # Errors
    /// Those of the disk.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync(&self) -> io::Result<()>;
}

/// The record as it was found.
#[derive(Debug)]
pub struct Found {
    /// The true one, if any copy is sound.
    pub record: Option<SlotRecord>,
    /// Each copy by file name: what it says, or why it says nothing.
    pub copies: [(&'static str, Result<SlotRecord, String>); 3],
}

/// Reads all copies; what can't be read is only told, never an error.
pub fn read(folder: &impl Folder) -> Found {
    let one_more = SLOT_RECORD_BYTES.saturating_add(1);
    let bytes = COPIES.map(|name| folder.read(name, one_more).map_err(|error| error.to_string()));
    let record = slot::choose(bytes.each_ref().map(|copy| copy.as_deref().ok()));
    let mut names = COPIES.into_iter();
    let copies = bytes.map(|copy| {
        let decoded = copy.and_then(|bytes| SlotRecord::decode(&bytes).map_err(|e| e.to_string()));
        (names.next().unwrap_or_default(), decoded)
    });
    Found { record, copies }
}

/// Writes every copy, one after the other.
///
/// # Errors
/// Fewer than two could be written: why.
pub fn write(folder: &impl Folder, record: &SlotRecord) -> Result<(), String> {
    let mut failures = Vec::new();
    for (name, aside) in COPIES.into_iter().zip(ASIDE) {
        if let Err(error) = write_copy(folder, name, aside, record) {
            failures.push(error);
        }
    }
    if COPIES.len().saturating_sub(failures.len()) < COPIES_NEEDED {
        return Err(format!("the slot record can't be written: {}", failures.join("; ")));
    }
    Ok(())
}

/// Writes anew every copy that says something else than the true record. Gives back what could not be.
pub fn mend(folder: &impl Folder, found: &Found) -> Vec<String> {
    let Some(record) = found.record else { return Vec::new() };
    let places = found.copies.iter().zip(ASIDE);
    let wrong = places.filter(|((_, copy), _)| copy.as_ref() != Ok(&record));
    wrong.filter_map(|((name, _), aside)| write_copy(folder, name, aside, &record).err()).collect()
}

fn write_copy(folder: &impl Folder, name: &str, aside: &str, record: &SlotRecord) -> Result<(), String> {
    let write = || -> io::Result<()> {
        folder.write(aside, &record.encode())?;
        folder.rename(aside, name)?;
        folder.sync()
    };
    write().map_err(|error| format!("{name}: {error}"))
}
