//! From a sealed bundle to files a person can use.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use passband_proto::bundle::{
    FILE_HEADER_BYTES, FileEntry, FileHeader, Geometry, Head, Manifest, Opener, safe_name,
};
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::About;

/// A file that was written out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileReport {
    /// Its name in the output folder.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// SHA-256 of what was written, which is that of the source.
    pub sha256: String,
}

/// A bundle that was opened and written out.
#[derive(Debug, Clone)]
pub struct OpenedBundle {
    /// Its manifest.
    pub manifest: Manifest,
    /// How it was cut.
    pub geometry: Geometry,
    /// The folder with its files.
    pub output: PathBuf,
    /// The files of its content.
    pub files: Vec<FileReport>,
}

/// Opens a sealed file and writes its preview and files into a folder of their own below `out`. Files
/// are written aside, checked against the manifest's digests, and renamed.
///
/// # Errors
/// Not a sealed bundle, no key for it, a seal that doesn't hold, or those of the disk.
pub fn open_sealed_file(path: &Path, keys: &KeyRing, out: &Path) -> Result<OpenedBundle> {
    open_checked(path, keys, out).with_context(|| format!("opening {}", path.display()))
}

fn open_checked(path: &Path, keys: &KeyRing, out: &Path) -> Result<OpenedBundle> {
    let mut file = File::open(path)?;
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_exact(&mut header).context("shorter than a bundle's header")?;
    let header = FileHeader::decode(&header)?;
    let geometry = header.geometry;
    let size = file.metadata()?.len();
    ensure!(
        size == geometry.sealed_bytes(),
        "the file has {size} bytes, its header says {}: cut off or damaged",
        geometry.sealed_bytes()
    );
    let key = keys.get(header.spacecraft, header.epoch).with_context(|| {
        format!("there is no key for spacecraft {}, epoch {}", header.spacecraft, header.epoch)
    })?;
    let opener = Opener::new(key, &header.id, geometry.block_count);
    let head = opener.open_head(read_block(&mut file, &geometry, 0)?)?;
    let output = out.join(folder_name(&head.manifest, &header.id));
    fs::create_dir_all(&output).with_context(|| format!("making the folder {}", output.display()))?;
    if let Some(preview) = &head.manifest.preview {
        write_aside(&output.join(&preview.name), &head.preview)?;
    }
    let files = write_files(&mut file, &geometry, &opener, &head, &output)?;
    let about = About {
        schema: 1,
        spacecraft: header.spacecraft,
        epoch: header.epoch,
        id: header.id,
        symbol_bytes: geometry.symbol_bytes,
        block_count: geometry.block_count,
        class: header.class,
    };
    let name = free_name(&head.manifest, "bundle.json");
    write_aside(&output.join(name), &serde_json::to_vec_pretty(&describe(&about, &head.manifest))?)?;
    Ok(OpenedBundle { manifest: head.manifest, geometry, output, files })
}

fn write_files(
    file: &mut File,
    geometry: &Geometry,
    opener: &Opener,
    head: &Head,
    output: &Path,
) -> Result<Vec<FileReport>> {
    let mut split = Splitter::new(&head.manifest.files, output)?;
    if let Some(content) = &head.content {
        split.write(content)?;
    }
    for block in 1..geometry.block_count {
        let mut segment = read_block(file, geometry, block)?;
        opener.open(block, &mut segment)?;
        split.write(&segment)?;
    }
    split.finish()
}

fn read_block(file: &mut File, geometry: &Geometry, block: u32) -> Result<Vec<u8>> {
    let offset = geometry.block_offset(block).context("no such block")?;
    let mut bytes = vec![0; geometry.block_bytes(block).context("no such block")? as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes).with_context(|| format!("reading block {block}"))?;
    Ok(bytes)
}

pub(super) fn folder_name(manifest: &Manifest, id: &BundleId) -> String {
    let id = id.to_string();
    let short = id.get(..8).unwrap_or(&id);
    let plain = |c: char| if c.is_control() || c.is_whitespace() || "/\\".contains(c) { '-' } else { c };
    let name: String = manifest.name.chars().map(plain).collect();
    let name = format!("{}-{short}", name.trim_start_matches('.'));
    if safe_name(&name) { name } else { id }
}

/// A name for a description beside the bundle's own files: `name`, or if a file is called so, with as many
/// underscores before it as it takes.
pub(super) fn free_name(manifest: &Manifest, name: &str) -> String {
    let taken = |name: &str| manifest.files.iter().chain(&manifest.preview).any(|file| file.name == name);
    let mut name = name.to_owned();
    while taken(&name) {
        name.insert(0, '_');
    }
    name
}

pub(super) fn describe(about: &About, manifest: &Manifest) -> serde_json::Value {
    let entry =
        |f: &FileEntry| serde_json::json!({ "name": f.name, "bytes": f.bytes, "sha256": hex(&f.sha256) });
    let labels: serde_json::Map<String, serde_json::Value> =
        manifest.labels.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    serde_json::json!({
        "schema": 1,
        "id": about.id.to_string(),
        "spacecraft": about.spacecraft,
        "epoch": about.epoch,
        "name": manifest.name,
        "product": manifest.product,
        "class": manifest.class,
        "created_unix_ms": manifest.created_unix_ms,
        "frame": manifest.frame,
        "labels": labels,
        "preview": manifest.preview.as_ref().map(entry),
        "files": manifest.files.iter().map(entry).collect::<Vec<_>>(),
    })
}

/// Cuts content into its files.
struct Splitter<'a> {
    output: &'a Path,
    left: std::slice::Iter<'a, FileEntry>,
    now: Option<Part<'a>>,
    done: Vec<FileReport>,
}

struct Part<'a> {
    entry: &'a FileEntry,
    tmp: PathBuf,
    writer: BufWriter<File>,
    hash: Sha256,
    missing: u64,
}

impl<'a> Splitter<'a> {
    fn new(files: &'a [FileEntry], output: &'a Path) -> Result<Self> {
        let mut this = Self { output, left: files.iter(), now: None, done: Vec::new() };
        this.next()?;
        Ok(this)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let Some(part) = &mut self.now else { bail!("the content is longer than its files") };
            let take = usize::try_from(part.missing).unwrap_or(usize::MAX).min(bytes.len());
            let (head, rest) = bytes.split_at(take);
            part.writer.write_all(head).with_context(|| format!("writing {}", part.tmp.display()))?;
            part.hash.update(head);
            part.missing -= head.len() as u64;
            bytes = rest;
            if part.missing == 0 {
                self.next()?;
            }
        }
        Ok(())
    }

    /// Closes the file that is full and begins the next one; empty ones are made at once.
    fn next(&mut self) -> Result<()> {
        loop {
            if let Some(part) = self.now.take() {
                self.done.push(part.close(self.output)?);
            }
            let Some(entry) = self.left.next() else { return Ok(()) };
            let tmp = self.output.join(format!(".{}.tmp", entry.name));
            let file = File::create(&tmp).with_context(|| format!("creating {}", tmp.display()))?;
            let writer = BufWriter::with_capacity(1 << 18, file);
            self.now = Some(Part { entry, tmp, writer, hash: Sha256::new(), missing: entry.bytes });
            if entry.bytes > 0 {
                return Ok(());
            }
        }
    }

    fn finish(self) -> Result<Vec<FileReport>> {
        ensure!(self.now.is_none() && self.left.len() == 0, "the content is shorter than its files");
        Ok(self.done)
    }
}

impl Part<'_> {
    fn close(self, output: &Path) -> Result<FileReport> {
        let Part { entry, tmp, mut writer, hash, .. } = self;
        writer.flush().with_context(|| format!("writing {}", tmp.display()))?;
        let digest = hash.finalize();
        ensure!(
            *digest.as_slice() == entry.sha256,
            "{} has another SHA-256 than its manifest says",
            entry.name
        );
        let path = output.join(&entry.name);
        fs::rename(&tmp, &path).with_context(|| format!("renaming {}", tmp.display()))?;
        Ok(FileReport { name: entry.name.clone(), bytes: entry.bytes, sha256: hex(&digest) })
    }
}

/// Several threads may write the same file: each aside by itself.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Writes a file aside and renames it: it is there whole or not at all.
pub(crate) fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("file");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let tmp = path.with_file_name(format!(".{name}.{number}.tmp"));
    fs::write(&tmp, bytes).with_context(|| format!("writing {}", tmp.display()))?;
    fs::rename(&tmp, path).with_context(|| format!("renaming {}", tmp.display()))
}

/// SHA-256 of a file, lower-case hex.
///
/// # Errors
/// The file can't be read.
pub fn sha256_file(path: &Path) -> Result<[u8; 32]> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut hash = Sha256::new();
    let mut buf = vec![0; 1 << 18];
    loop {
        let n = reader.read(&mut buf).with_context(|| format!("reading {}", path.display()))?;
        if n == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buf[..n]);
    }
}

/// SHA-256 of bytes, lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}
