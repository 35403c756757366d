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
mod fault;
mod files;
pub mod frame;
mod geojson;
mod item;
pub mod journal;
mod keeper;
mod layout;
mod partial;
mod place;
mod proof;
pub mod query;
mod rows;
mod source;
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
use journal::{Journal, Listed};

/// Writes the catalogue of an output folder.
#[derive(Debug)]
pub struct Catalogue {
    out: PathBuf,
    journal: Journal,
    listed: Listed,
    /// What the frames span, while the collection isn't up to date.
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
        Self { out: out.to_owned(), journal: Journal::new(out), listed: Listed::default(), extent: None }
    }

    /// Takes in the product in a folder: into its frame, and into the list. What its frame could not be put
    /// together of, which is no reason to take it in again.
    ///
    /// # Errors
    /// It is no product, or those of the disk: it is not in the list then, and [`Self::catch_up`] finds it.
    pub fn add(&mut self, folder: &Path) -> Result<Vec<String>> {
        let product = Product::read(folder)?;
        let _lock = self.journal.lock()?;
        let mut said = None;
        if let Some(key) = product.frame_key() {
            collection::mark_stale(&self.out)?;
            let (listed, journal) = (&mut self.listed, &self.journal);
            let one = std::slice::from_ref(&product);
            let (frame, faults) = Frame::update(&self.out, one, || listed.of_frame(journal, key))?;
            self.note(&frame::folder(&self.out, key.0, key.1));
            said = frame.fault.map(|fault| format!("frame {}: {fault}", key.0));
            if let Some(e) = fault::unfinished(&faults, &product) {
                return Err(e.context(format!("frame {}", key.0)));
            }
        }
        // Last, so that one that was not finished is found by `catch_up`.
        self.journal.append(&product)?;
        Ok(said.into_iter().collect())
    }

    /// Takes in the products that are not in the list, for example because of a crash, until `stop`, and sees to it
    /// that the collection is made up for; tells `fault` what could not be taken. How many were taken.
    ///
    /// # Errors
    /// OUT or the list can't be read.
    pub fn catch_up(&mut self, stop: &AtomicBool, mut fault: impl FnMut(&anyhow::Error)) -> Result<usize> {
        if self.extent.is_none() && collection::is_stale(&self.out) {
            self.note_all()?;
        }
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
                Ok(faults) => {
                    taken += 1;
                    faults.into_iter().for_each(|said| fault(&anyhow::Error::msg(said)));
                }
                Err(e) => fault(&e.context(folder.display().to_string())),
            }
        }
        Ok(taken)
    }

    /// Makes the catalogue anew from what lies in OUT: the products' folders, and the frames' for those whose own
    /// folder is gone.
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
        collection::mark_stale(&self.out)?;
        let unfinished = self.update_frames(&products, &mut index.faults)?;
        let mut known: BTreeSet<_> = products.iter().map(|product| product.id.clone()).collect();
        for folder in frame::folders(&self.out)? {
            match Frame::read(&folder) {
                Ok(frame) => {
                    let held = frame.products.iter().filter(|product| !known.contains(&product.id));
                    let held: Vec<_> =
                        held.filter(|product| frame.holds(&folder)(product)).cloned().collect();
                    known.extend(held.iter().map(|product| product.id.clone()));
                    products.extend(held);
                    index.frames += 1;
                    index.whole_cubes += usize::from(frame.cube.is_some_and(|cube| cube.whole));
                }
                Err(e) => index.faults.push(format!("{e:#}")),
            }
        }
        products.sort_by(|a, b| (a.created_unix_ms, &a.id).cmp(&(b.created_unix_ms, &b.id)));
        // As in `add`, so that `catch_up` finds them.
        products.retain(|product| !unfinished.contains(&product.id));
        index.products = products.len();
        self.journal.replace(&products)?;
        self.note_all()?;
        self.write_collection()?;
        Ok(index)
    }

    /// Updates the frames of products; gives the ids of those that must be taken in once more.
    fn update_frames(&self, products: &[Product], faults: &mut Vec<String>) -> Result<BTreeSet<String>> {
        let mut unfinished = BTreeSet::new();
        let mut frames: BTreeMap<(&str, &str), Vec<Product>> = BTreeMap::new();
        for product in products {
            if let Some((name, id)) = product.frame_key() {
                frames.entry((id, name)).or_default().push(product.clone());
            }
        }
        let mut listed: BTreeMap<(&str, &str), Vec<Product>> = BTreeMap::new();
        let list = self.journal.read()?;
        for product in list.values() {
            if let Some((name, id)) = product.frame_key() {
                listed.entry((id, name)).or_default().push(product.clone());
            }
        }
        for (key, of_frame) in frames {
            match Frame::update(&self.out, &of_frame, || Ok(listed.remove(&key).unwrap_or_default())) {
                Ok((frame, of_products)) => {
                    let again = of_frame.iter().filter(|p| fault::unfinished(&of_products, p).is_some());
                    unfinished.extend(again.map(|product| product.id.clone()));
                    faults.extend(frame.fault.map(|f| format!("frame {}: {f}", frame.frame)));
                }
                Err(e) => {
                    let again = of_frame.iter().filter(|_| fault::may_pass(&e));
                    unfinished.extend(again.map(|product| product.id.clone()));
                    faults.push(format!("{e:#}"));
                }
            }
        }
        Ok(unfinished)
    }

    /// Brings the STAC collection up to date, if frames have changed since.
    ///
    /// # Errors
    /// Those of the disk; the next call tries again.
    pub fn close(&mut self) -> Result<()> {
        if self.extent.is_none() {
            return Ok(());
        }
        let _lock = self.journal.lock()?;
        self.write_collection()
    }

    fn write_collection(&mut self) -> Result<()> {
        if let Some(extent) = &self.extent {
            collection::write(&self.out, extent)?;
        }
        self.extent = None;
        Ok(())
    }

    /// Takes a frame into the collection's extent.
    fn note(&mut self, folder: &Path) {
        let extent = self.extent.get_or_insert_with(|| Extent::read(&self.out));
        extent.add_item_of(folder);
    }

    /// Makes the collection's extent anew from all frames.
    fn note_all(&mut self) -> Result<()> {
        let folders = frame::folders(&self.out)?;
        let extent = self.extent.insert(Extent::default());
        folders.iter().for_each(|folder| extent.add_item_of(folder));
        Ok(())
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
