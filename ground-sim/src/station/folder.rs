//! The symbol store's folders, one a bundle: what is in them, looked at from outside.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Geometry};
use passband_proto::ids::{BundleId, Class};
use serde::{Deserialize, Serialize};

use super::blocks::{Records, source_symbols, symbols_in};
use super::part;
use super::products::FileReport;
use super::report::{BundleReport, Tally};
use super::sizes::Sizes;

/// Blocks a bundle may have: 64 GiB in blocks of 64 KiB.
pub(super) const MAX_BLOCKS: u32 = 1 << 20;
/// The layout of a bundle's folder.
pub(super) const SCHEMA: u32 = 2;

/// Spacecraft, key epoch, id.
pub(super) type Key = (u16, u16, BundleId);

/// What identifies a bundle and never changes, and its class as last sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) schema: u32,
    pub(super) spacecraft: u16,
    pub(super) epoch: u16,
    pub(super) id: BundleId,
    pub(super) symbol_bytes: u16,
    pub(super) block_count: u32,
    pub(super) class: Class,
}

impl About {
    pub(super) fn key(&self) -> Key {
        (self.spacecraft, self.epoch, self.id)
    }
}

/// The folders of a store's bundles.
pub(super) fn bundles(store: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(store).with_context(|| format!("reading {}", store.display()))?;
    let mut dirs = Vec::new();
    for entry in entries {
        let dir = entry.with_context(|| format!("reading {}", store.display()))?.path();
        if dir.join("about.json").is_file() {
            dirs.push(dir);
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// Locks a store and an output folder: two that write the same files would spoil what each of them has.
pub(super) fn lock(store: &Path, out: &Path) -> Result<[File; 2]> {
    let path = store.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let folder = File::open(out).with_context(|| format!("opening the folder {}", out.display()))?;
    for (file, what, place) in [(&file, "the symbol store", store), (&folder, "the output folder", out)] {
        // There are file systems that know no locks.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!(
                "{what} {} is in use by another program; with a folder of its own (--out) this one can work \
                 beside it, and `recover` merges their stores later",
                place.display()
            );
        }
    }
    Ok([file, folder])
}

/// Whether a folder is a symbol store: with bundles of its own, with what was spooled for want of a key, or of a
/// station that heard nothing.
#[must_use]
pub fn is_store(folder: &Path) -> bool {
    folder.join("raw").is_dir()
        || folder.join("lock").is_file()
        || bundles(folder).is_ok_and(|bundles| !bundles.is_empty())
}

/// Where a bundle is in the store.
pub(super) fn of(store: &Path, (spacecraft, epoch, id): &Key) -> PathBuf {
    store.join(format!("{spacecraft}-{epoch}-{id}"))
}

/// The sealed file of a bundle that is complete.
pub(super) fn sealed_path(dir: &Path, id: &BundleId) -> PathBuf {
    dir.join(format!("{id}.pbb"))
}

/// What a folder of the store says of itself.
pub(super) fn read_about(dir: &Path) -> Result<About> {
    let path = dir.join("about.json");
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let about: About = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    ensure!(
        about.schema == SCHEMA,
        "a symbol store of schema {} (this version knows {SCHEMA})",
        about.schema
    );
    ensure!((1..=MAX_BLOCKS).contains(&about.block_count), "{}: no such number of blocks", path.display());
    ensure!(about.symbol_bytes > 0, "{}: no such symbol size", path.display());
    Ok(about)
}

/// Whether what a folder says of itself is damaged, and not just of another version.
pub(super) fn is_unreadable(dir: &Path) -> bool {
    fs::read(dir.join("about.json"))
        .is_ok_and(|text| serde_json::from_slice::<serde_json::Value>(&text).is_err())
}

/// Moves a folder out of the way; what is in it stays for whoever wants to look.
pub(super) fn put_aside(dir: &Path) -> Result<()> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("bundle");
    let free = (0..1000).map(|n| dir.with_file_name(format!("aside-{n}-{name}"))).find(|path| !path.exists());
    let aside = free.with_context(|| format!("{} was put aside a thousand times", dir.display()))?;
    fs::rename(dir, &aside).with_context(|| format!("renaming {}", dir.display()))
}

/// The report of a bundle that was completed before.
pub(super) fn done_report(dir: &Path) -> Option<BundleReport> {
    serde_json::from_slice(&fs::read(dir.join("done.json")).ok()?).ok()
}

/// Whether the product of a bundle that was completed before is in the folder `out`.
pub(super) fn product_is_in(out: &Path, report: &BundleReport) -> bool {
    let Some(name) = report.output.as_ref().and_then(|output| output.file_name()) else { return false };
    let folder = out.join(name);
    let there = |file: &FileReport| {
        fs::metadata(folder.join(&file.name)).is_ok_and(|about| about.len() == file.bytes)
    };
    folder.is_dir() && report.files.iter().all(there)
}

/// What the header of a sealed file says, if it can be read.
pub(super) fn sealed_geometry(sealed: &Path) -> Option<Geometry> {
    let mut head = [0; FILE_HEADER_BYTES];
    File::open(sealed).ok()?.read_exact(&mut head).ok()?;
    Some(FileHeader::decode(&head).ok()?.geometry)
}

/// The report of a bundle in the store that isn't complete, without taking it up.
pub(super) fn glance(dir: &Path, about: &About) -> Result<BundleReport> {
    let whole: BTreeMap<u32, u32> = part::noted(dir).into_iter().collect();
    let mut sizes = Sizes::of(about);
    let mut received = 0;
    for (block, bytes) in &whole {
        sizes.fits(*block, *bytes);
        received += u64::from(source_symbols(*bytes, about.symbol_bytes));
    }
    for (block, path) in symbol_files(dir)? {
        let Ok(records) = Records::open(&path, about.symbol_bytes) else { continue };
        if block >= about.block_count || whole.contains_key(&block) {
            continue;
        }
        sizes.fits(block, records.block_bytes);
        let k = source_symbols(records.block_bytes, about.symbol_bytes);
        received += symbols_in(&path, about.symbol_bytes).min(u64::from(k));
    }
    let needed = sizes.source_symbols().max(received);
    let blocks_complete = u32::try_from(whole.len()).unwrap_or(u32::MAX);
    let tally = Tally { blocks_complete, received, needed, complete: false };
    Ok(BundleReport::new(about, None, &tally))
}

/// The files with the symbols of open blocks.
pub(super) fn symbol_files(dir: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(block) = number.filter(|_| path.extension().is_some_and(|e| e == "sym")) {
            files.push((block, path));
        }
    }
    Ok(files)
}
