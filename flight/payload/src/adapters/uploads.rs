//! Uploads in a folder.
//!
//! ```text
//! ID.about   what the upload is     ID.part   its pieces and their CRCs     ID.whole   the file, proved
//! ```
//!
//! ID is in hexadecimal digits. What the upload is comes last when one is made and goes first when one is removed: pieces
//! that nothing speaks of are left behind by a power cut, and removed at the next look. A file is renamed when it is proved,
//! and only then cut to its size, which a start repeats.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;

use super::disk::{DatabaseFile, Disk, SPARE_BYTES, read_file, write_file};
use crate::uplink::uploads::{Content, Parts, UploadId};

/// Most names in the folder that are looked at.
const MAX_NAMES: usize = 1_000;
/// Longest description of an upload, bytes.
const MAX_ABOUT_BYTES: usize = 256;

/// A folder with uploads.
#[derive(Debug)]
pub struct UploadFolder {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    open: BTreeMap<UploadId, DatabaseFile>,
}

impl UploadFolder {
    /// The folder, which is made if it isn't there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> io::Result<Self> {
        disk.make_folder(folder)?;
        disk.sync_folder(folder.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { disk, folder: folder.to_owned(), open: BTreeMap::new() })
    }

    fn path(&self, id: UploadId, what: &str) -> PathBuf {
        let [a, b, c, d] = id;
        self.folder.join(format!("{a:02x}{b:02x}{c:02x}{d:02x}.{what}"))
    }

    fn is_there(&self, id: UploadId, what: &str) -> io::Result<bool> {
        match self.disk.about(&self.path(id, what)) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn remove_file(&self, id: UploadId, what: &str) -> io::Result<()> {
        match self.disk.remove(&self.path(id, what)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// The file of an upload: that with its pieces, or else the whole one.
    fn file(&mut self, id: UploadId) -> io::Result<&DatabaseFile> {
        if !self.open.contains_key(&id) {
            let what = if self.is_there(id, "part")? { "part" } else { "whole" };
            let file = self.disk.database(&self.path(id, what), false)?;
            self.open.insert(id, file);
        }
        self.open.get(&id).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Parts for UploadFolder {
    fn list(&mut self) -> io::Result<Vec<(UploadId, Vec<u8>, Content)>> {
        let names = self.disk.list(&self.folder, MAX_NAMES)?;
        let mut out = Vec::new();
        for (id, what) in names.iter().filter_map(|entry| parse_name(entry.name.to_str()?)) {
            let described = self.is_there(id, "about")?;
            match what {
                "about" => {
                    let about = read_file(self.disk.as_ref(), &self.path(id, what), MAX_ABOUT_BYTES);
                    let content = match (self.is_there(id, "whole")?, self.is_there(id, "part")?) {
                        (true, _) => Content::Whole,
                        (false, true) => Content::Part,
                        (false, false) => Content::Gone,
                    };
                    // What can't be read is no description, and told as one.
                    out.push((id, about.unwrap_or_default(), content));
                }
                "part" | "whole" if !described => self.remove_file(id, what)?,
                "about.tmp" => self.remove_file(id, what)?,
                _ => {}
            }
        }
        Ok(out)
    }

    fn make(&mut self, id: UploadId, about: &[u8], bytes: u64) -> io::Result<()> {
        self.open.remove(&id);
        let file = self.disk.database(&self.path(id, "part"), true)?;
        // What may lie there from before becomes zeros.
        file.set_len(0)?;
        file.set_len(bytes)?;
        file.sync_data()?;
        self.disk.sync_folder(&self.folder)?;
        write_file(self.disk.as_ref(), &self.path(id, "about"), about)?;
        self.open.insert(id, file);
        Ok(())
    }

    fn read(&mut self, id: UploadId, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file(id)?.read(offset, out)
    }

    fn write(&mut self, id: UploadId, parts: [(u64, &[u8]); 2]) -> io::Result<()> {
        let file = self.file(id)?;
        for (offset, bytes) in parts {
            file.write(offset, bytes)?;
        }
        file.sync_data()
    }

    fn finish(&mut self, id: UploadId, size: u64) -> io::Result<PathBuf> {
        self.open.remove(&id);
        let (part, whole) = (self.path(id, "part"), self.path(id, "whole"));
        if !self.is_there(id, "whole")? {
            self.disk.rename(&part, &whole)?;
        }
        self.disk.sync_folder(&self.folder)?;
        let file = self.disk.database(&whole, false)?;
        if file.len()? > size {
            file.set_len(size)?;
            file.sync_data()?;
        }
        Ok(whole)
    }

    fn take(&mut self, id: UploadId) -> io::Result<()> {
        self.open.remove(&id);
        self.remove_file(id, "whole")?;
        self.disk.sync_folder(&self.folder)
    }

    fn remove(&mut self, id: UploadId) -> io::Result<()> {
        self.open.remove(&id);
        self.remove_file(id, "about")?;
        self.disk.sync_folder(&self.folder)?;
        self.remove_file(id, "part")?;
        self.remove_file(id, "whole")?;
        self.disk.sync_folder(&self.folder)
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(self.disk.free_bytes(&self.folder)?.saturating_sub(SPARE_BYTES))
    }
}

/// The upload whose file has this name, and which of its files it is.
fn parse_name(name: &str) -> Option<(UploadId, &str)> {
    let (id, what) = name.split_once('.')?;
    let digits = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u32::from_str_radix(id, 16).ok().filter(|_| digits)?;
    Some((number.to_be_bytes(), what))
}

#[cfg(test)]
mod tests;
