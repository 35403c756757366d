//! The files of an outbox's folder: written aside, synced and renamed; read up to a size; locked.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::Folder;

/// Largest document of an order or upload, bytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 10;

impl Folder {
    pub(super) fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        file.with_context(|| format!("opening {}", path.display()))
    }

    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.root.join(folder);
        let listing = fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// Writes a file aside, syncs it, renames it and syncs the folder.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let at = || format!("writing {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&aside)
            .with_context(at)?;
        file.write_all(content).and_then(|()| file.sync_all()).with_context(at)?;
        fs::rename(&aside, &path).with_context(at)?;
        let parent = path.parent().unwrap_or(&self.root);
        File::open(parent).and_then(|folder| folder.sync_all()).with_context(at)
    }
}

/// The content of a small file; none if there is none.
pub(super) fn read_small(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let mut content = Vec::new();
    file.take(MAX_DOCUMENT_BYTES)
        .read_to_end(&mut content)
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(content))
}
