//! The catalogue: what came down, to list, search and look at.
//!
//! It is derived from what lies in OUT, a folder a product, and can be made again from that at any time
//! ([`Catalogue::index`]). It never changes a product, and never stands in the way of reception: while datagrams
//! come it is kept by a thread of its own ([`Keeper`]).
//!
//! | what | where |
//! | --- | --- |
//! | the list of products | `OUT/catalogue/products.jsonl` ([`journal`]) |
//! | a frame in one place: its cube, put together, and all else that came of it | `OUT/frames/NAME-ID/` ([`frame`]) |
//! | its detections, and all of it as a STAC item | `detections.geojson`, `item.json` beside it |
//! | all frames as a STAC catalogue | `OUT/frames/catalog.json`, `collection.json` |

mod collection;
mod entry;
mod extensions;
pub mod frame;
mod geojson;
mod item;
pub mod journal;
mod keeper;
mod layout;
mod place;
pub mod query;
mod rows;
mod strips;
pub mod time;

pub use entry::{Product, ProductFile, is_id};
pub use frame::Frame;
pub use geojson::joined;
pub use keeper::Keeper;
pub use strips::Cube;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde::Serialize;

use collection::Extent;
use entry::description_path;
use journal::Journal;

/// Writes the catalogue of an output folder.
#[derive(Debug)]
pub struct Catalogue {
    out: PathBuf,
    journal: Journal,
    extent: Option<Extent>,
}

/// What an index found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Index {
    /// Products that are whole.
    pub products: usize,
    /// Frames.
    pub frames: usize,
    /// Frames whose cube is there as the camera wrote it.
    pub whole_cubes: usize,
    /// What could not be taken, and why.
    pub faults: Vec<String>,
}

impl Catalogue {
    /// The catalogue of `out`; nothing is made yet.
    #[must_use]
    pub fn new(out: &Path) -> Self {
        Self { out: out.to_owned(), journal: Journal::new(out), extent: None }
    }

    /// Takes in the product in a folder: into its frame, and into the list.
    ///
    /// # Errors
    /// It is no product, or those of the disk.
    pub fn add(&mut self, folder: &Path) -> Result<Product> {
        let product = Product::read(folder)?;
        let _lock = self.journal.lock()?;
        if product.frame_key().is_some() {
            let frame = Frame::update(&self.out, std::slice::from_ref(&product))?;
            self.note(&frame);
        }
        // Last, so that one that was not finished is found by `catch_up`.
        self.journal.append(&product)?;
        Ok(product)
    }

    /// Takes in the products that are not in the list, for example because of a crash, until `stop`; tells
    /// `fault` what could not be taken. How many were taken.
    ///
    /// # Errors
    /// OUT or the list can't be read.
    pub fn catch_up(&mut self, stop: &AtomicBool, mut fault: impl FnMut(String)) -> Result<usize> {
        let mut known = BTreeSet::new();
        self.journal.read_from(journal::Mark::default(), |product| {
            known.insert(product.folder);
        })?;
        let is_new =
            |folder: &PathBuf| folder.file_name().is_none_or(|n| !known.contains(&*n.to_string_lossy()));
        let mut taken = 0;
        for folder in product_folders(&self.out)?.into_iter().filter(is_new) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.add(&folder) {
                Ok(_) => taken += 1,
                Err(e) => fault(format!("{}: {e:#}", folder.display())),
            }
        }
        Ok(taken)
    }

    /// Makes the catalogue anew from what lies in OUT.
    ///
    /// # Errors
    /// OUT can't be read, or those of the disk.
    pub fn index(&mut self) -> Result<Index> {
        let mut index = Index::default();
        let _lock = self.journal.lock()?;
        let mut products = Vec::new();
        for folder in product_folders(&self.out)? {
            match Product::read(&folder) {
                Ok(product) => products.push(product),
                Err(e) => index.faults.push(format!("{e:#}")),
            }
        }
        products.sort_by(|a, b| (a.created_unix_ms, &a.id).cmp(&(b.created_unix_ms, &b.id)));
        let mut frames: BTreeMap<(&str, &str), Vec<Product>> = BTreeMap::new();
        for product in &products {
            if let Some((name, id)) = product.frame_key() {
                frames.entry((id, name)).or_default().push(product.clone());
            }
        }
        self.extent = Some(Extent::default());
        for of_frame in frames.values() {
            match Frame::update(&self.out, of_frame) {
                Ok(frame) => index.faults.extend(frame.fault.map(|f| format!("frame {}: {f}", frame.frame))),
                Err(e) => index.faults.push(format!("{e:#}")),
            }
        }
        for folder in frame::folders(&self.out)? {
            let Ok(frame) = Frame::read(&folder) else { continue };
            self.note(&frame);
            index.frames += 1;
            index.whole_cubes += usize::from(frame.cube.is_some_and(|cube| cube.whole));
        }
        index.products = products.len();
        self.journal.replace(&products)?;
        self.close()?;
        Ok(index)
    }

    /// Brings the STAC collection up to date, if frames have changed since.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn close(&mut self) -> Result<()> {
        self.extent.take().map_or(Ok(()), |extent| collection::write(&self.out, &extent))
    }

    /// Takes a frame into the collection's extent.
    fn note(&mut self, frame: &Frame) {
        let folder = frame::folder(&self.out, &frame.frame, &frame.frame_id);
        let extent = self.extent.get_or_insert_with(|| Extent::read(&self.out));
        let item = entry::read_bounded(&folder.join("item.json"), 64 << 20).ok();
        let item = item.and_then(|text| serde_json::from_slice(&text).ok());
        extent.add(&item.unwrap_or_default());
    }
}

/// The folders of whole products in OUT, in the order of their names.
fn product_folders(out: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(out).with_context(|| format!("reading {}", out.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", out.display()))?.path();
        if description_path(&path).is_some() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
pub(crate) mod tests;
