//! Seals plain files into bundles, and reads the blocks of sealed files for a sender.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use passband_proto::bundle::{FileEntry, Geometry, Manifest, SealOptions, safe_name, seal_bundle};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use passband_proto::transfer::{BlockMark, BlockStore};

use crate::station::sha256_file;

/// A plain file that was sealed.
#[derive(Debug, Clone)]
pub struct SealedFile {
    /// The bundle's id.
    pub id: BundleId,
    /// How it was cut.
    pub geometry: Geometry,
    /// The sealed file.
    pub path: PathBuf,
    /// What was sealed.
    pub source: FileEntry,
}

/// Seals one plain file as a bundle of its own in the folder `dir`.
///
/// # Errors
/// The file can't be read or named in a bundle, or the sealed file can't be written.
pub fn seal_file(
    key: &EpochKey,
    source: &Path,
    class: Class,
    created_unix_ms: u64,
    options: &SealOptions,
    dir: &Path,
) -> Result<SealedFile> {
    let at = || format!("sealing {}", source.display());
    let name = source.file_name().and_then(|n| n.to_str()).filter(|n| safe_name(n));
    let name = name.with_context(|| format!("{}: its name can't be used in a bundle", source.display()))?;
    let mut file = File::open(source).with_context(at)?;
    let meta = file.metadata().with_context(at)?;
    ensure!(meta.is_file(), "{}: not a regular file", source.display());
    let entry = FileEntry { name: name.to_owned(), bytes: meta.len(), sha256: sha256_file(source)? };
    let mut manifest = Manifest::new(name, "file", class, created_unix_ms);
    manifest.files.push(entry.clone());
    let mut id = BundleId([0; 12]);
    getrandom::fill(&mut id.0).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    let path = dir.join(format!("{id}.pbb"));
    let out = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut content = (&mut file).take(u64::MAX);
    let geometry = seal_bundle(key, id, &manifest, &[], &mut content, &mut out, options).with_context(at)?;
    out.flush().with_context(|| format!("writing {}", path.display()))?;
    Ok(SealedFile { id, geometry, path, source: entry })
}

/// Sealed files a sender reads from. Marks are kept in memory only: it serves one run of one sender.
#[derive(Debug, Default)]
pub struct SealedFiles(BTreeMap<BundleId, (File, Geometry)>);

impl SealedFiles {
    /// Adds a sealed file.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn add(&mut self, sealed: &SealedFile) -> Result<()> {
        let file = File::open(&sealed.path).with_context(|| format!("opening {}", sealed.path.display()))?;
        self.0.insert(sealed.id, (file, sealed.geometry));
        Ok(())
    }
}

impl BlockStore for SealedFiles {
    type Error = io::Error;

    fn read_block(&mut self, id: &BundleId, block: u32, offset: u32, out: &mut [u8]) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such block");
        let (file, geometry) = self.0.get(id).ok_or_else(missing)?;
        let start = geometry.block_offset(block).ok_or_else(missing)?;
        file.read_exact_at(out, start + u64::from(offset))
    }

    fn reserve(&mut self, _marks: &[(BundleId, BlockMark)]) -> io::Result<()> {
        Ok(())
    }
}
