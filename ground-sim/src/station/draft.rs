//! A product while it comes in: the files of a bundle as far as they are known, in `OUT/partial/<name>-<id>`.
//!
//! Files have their full size from the beginning; what isn't there yet reads as zeros. `partial.json` says
//! what is. Once all of it is there the files are checked against the manifest's digests and moved to
//! `OUT/<name>-<id>`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::bundle::Head;
use serde::Serialize;

use super::folder::About;
use super::products::{FileReport, describe, folder_name, free_name, hex, sha256_file, write_aside};

/// The product of a bundle that isn't whole.
#[derive(Debug)]
pub(super) struct Draft {
    about: About,
    head: Head,
    folder: PathBuf,
    target: PathBuf,
    /// `(where it begins in the content, bytes, file)`; empty files have none.
    files: Vec<(u64, u64, File)>,
}

/// Bytes of the content from … up to, not included.
pub(super) type Range = (u64, u64);

#[derive(Serialize)]
struct PartialFile<'a> {
    name: &'a str,
    bytes: u64,
    sha256: String,
    present_bytes: u64,
    /// `[from, to)` in the file.
    missing: Vec<Range>,
}

impl Draft {
    /// Opens the folder of a bundle whose head is there, made with its preview if it isn't there yet.
    pub(super) fn open(out: &Path, about: &About, head: Head) -> Result<Self> {
        let name = folder_name(&head.manifest, &about.id);
        let (folder, target) = (out.join("partial").join(&name), out.join(&name));
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        if let Some(preview) = &head.manifest.preview {
            write_aside(&folder.join(&preview.name), &head.preview)?;
        }
        let mut files = Vec::new();
        let mut start = 0;
        for entry in &head.manifest.files {
            let path = folder.join(&entry.name);
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.and_then(|file| file.set_len(entry.bytes).map(|()| file));
            let file = file.with_context(|| format!("making {}", path.display()))?;
            if entry.bytes > 0 {
                files.push((start, entry.bytes, file));
            }
            start += entry.bytes;
        }
        Ok(Self { about: *about, head, folder, target, files })
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// How many files it holds open.
    pub(super) fn open_files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a content block begins in the content.
    pub(super) fn content_offset(&self, block: u32) -> u64 {
        u64::from(block.saturating_sub(1)) * u64::from(self.head.manifest.segment_bytes)
    }

    /// Writes a piece of the content at its place; what lies beyond its end is left out.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let after = |(start, size, _): &(u64, u64, File)| start + size <= offset;
        let first = self.files.partition_point(after);
        let end = offset + bytes.len() as u64;
        for (start, size, file) in self.files.iter().skip(first).take_while(|(start, _, _)| *start < end) {
            let (from, to) = (offset.max(*start), end.min(start + size));
            let piece = usize::try_from(from - offset)?..usize::try_from(to - offset)?;
            let piece = bytes.get(piece).unwrap_or_default();
            file.write_all_at(piece, from - start)
                .with_context(|| format!("writing into {}", self.folder.display()))?;
        }
        Ok(())
    }

    /// Says in `partial.json` what of the content is there; `present` in order and apart.
    pub(super) fn describe(&self, present: &[Range]) -> Result<()> {
        let mut start = 0;
        let mut files = Vec::new();
        for entry in &self.head.manifest.files {
            let end = start + entry.bytes;
            let missing = gaps(present, start, end);
            let missing_bytes: u64 = missing.iter().map(|(from, to)| to - from).sum();
            files.push(PartialFile {
                name: &entry.name,
                bytes: entry.bytes,
                sha256: hex(&entry.sha256),
                present_bytes: entry.bytes - missing_bytes,
                missing,
            });
            start = end;
        }
        let mut document = describe(&self.about, &self.head.manifest);
        if let Some(document) = document.as_object_mut() {
            document.insert("files".to_owned(), serde_json::to_value(files)?);
        }
        let name = free_name(&self.head.manifest, "partial.json");
        write_aside(&self.folder.join(name), &serde_json::to_vec(&document)?)
    }

    /// The files, if all of them have the digests that the manifest says; or else the first that has not.
    pub(super) fn check(&self) -> Result<Result<Vec<FileReport>, String>> {
        let mut files = Vec::new();
        for entry in &self.head.manifest.files {
            let digest = sha256_file(&self.folder.join(&entry.name))?;
            if digest != entry.sha256 {
                return Ok(Err(entry.name.clone()));
            }
            files.push(FileReport { name: entry.name.clone(), bytes: entry.bytes, sha256: hex(&digest) });
        }
        Ok(Ok(files))
    }

    /// Moves the files, which were checked, to where whole products are.
    pub(super) fn finish(self) -> Result<PathBuf> {
        drop(self.files);
        let manifest = &self.head.manifest;
        fs::create_dir_all(&self.target)
            .with_context(|| format!("making the folder {}", self.target.display()))?;
        let names = manifest.files.iter().chain(&manifest.preview).map(|entry| &entry.name);
        for name in names {
            fs::rename(self.folder.join(name), self.target.join(name))
                .with_context(|| format!("moving {name} to {}", self.target.display()))?;
        }
        let document = serde_json::to_vec_pretty(&describe(&self.about, manifest))?;
        write_aside(&self.target.join(free_name(manifest, "bundle.json")), &document)?;
        remove_folder(&self.folder);
        Ok(self.target)
    }
}

/// Removes a folder of partial products, and the folder of all of them when it was the last.
pub(super) fn remove_folder(folder: &Path) {
    if let Err(e) = fs::remove_dir_all(folder)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("{} stays: {e}", folder.display());
    }
    if let Some(parent) = folder.parent() {
        // Others may be in it.
        let _ = fs::remove_dir(parent);
    }
}

/// What of `start … end` isn't in `present`, counted from `start`.
fn gaps(present: &[Range], start: u64, end: u64) -> Vec<Range> {
    let mut out = Vec::new();
    let mut at = start;
    let first = present.partition_point(|(_, to)| *to <= start);
    for (from, to) in present.iter().skip(first).take_while(|(from, _)| *from < end) {
        if *from > at {
            out.push((at - start, from - start));
        }
        at = at.max(*to);
    }
    if at < end {
        out.push((at - start, end - start));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_not_there() {
        let present = [(0, 10), (20, 30), (35, 100)];
        assert_eq!(gaps(&present, 0, 10), []);
        assert_eq!(gaps(&present, 5, 25), [(5, 15)]);
        assert_eq!(gaps(&present, 25, 120), [(5, 10), (75, 95)]);
        assert_eq!(gaps(&present, 10, 20), [(0, 10)]);
        assert_eq!(gaps(&present, 40, 40), []);
        assert_eq!(gaps(&[], 3, 9), [(0, 6)]);
    }
}
