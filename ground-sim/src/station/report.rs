//! What the station tells of a bundle.

use std::path::PathBuf;

use passband_proto::bundle::{Geometry, Manifest};
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use super::folder::About;
use super::products::FileReport;

/// What the station knows of a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BundleReport {
    /// Its id.
    pub id: String,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it was sealed under.
    pub epoch: u16,
    /// Its class, as last sent.
    pub class: Class,
    /// Its name; unknown until its head is whole.
    pub name: Option<String>,
    /// Kind of product.
    pub product: Option<String>,
    /// The frame it was made from.
    pub frame: Option<String>,
    /// Whether all of it is here, opened and written out.
    pub complete: bool,
    /// Bytes of its content; unknown until its head is whole.
    pub bytes: Option<u64>,
    /// Blocks of which it consists.
    pub block_count: u32,
    /// Blocks that are whole.
    pub blocks_complete: u32,
    /// Distinct authentic symbols received (a block's count K at most).
    pub symbols_received: u64,
    /// Source symbols of which it consists; estimated while blocks are unheard of.
    pub symbols_needed: u64,
    /// Share of it that is here, percent.
    pub percent: f64,
    /// Folder of its products.
    pub output: Option<PathBuf>,
    /// Folder of what is there of its products, while it isn't complete.
    pub partial: Option<PathBuf>,
    /// The sealed bundle.
    pub sealed: Option<PathBuf>,
    /// Its files, once complete.
    pub files: Vec<FileReport>,
    /// What went wrong with it.
    pub faults: Vec<String>,
}

/// How far a bundle is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) blocks_complete: u32,
    pub(super) received: u64,
    pub(super) needed: u64,
    pub(super) complete: bool,
}

impl Tally {
    /// All of it.
    pub(super) fn of_whole(geometry: &Geometry) -> Self {
        let symbols = |block| geometry.source_symbols(block).map(u64::from);
        let needed = (0..geometry.block_count).filter_map(symbols).sum();
        Self { blocks_complete: geometry.block_count, received: needed, needed, complete: true }
    }
}

impl BundleReport {
    pub(super) fn new(about: &About, manifest: Option<&Manifest>, tally: &Tally) -> Self {
        let percent = 100.0 * tally.received.min(tally.needed) as f64 / tally.needed.max(1) as f64;
        Self {
            id: about.id.to_string(),
            spacecraft: about.spacecraft,
            epoch: about.epoch,
            class: about.class,
            name: manifest.map(|m| m.name.clone()),
            product: manifest.map(|m| m.product.clone()),
            frame: manifest.and_then(|m| m.frame.clone()),
            complete: tally.complete,
            bytes: manifest.map(Manifest::content_bytes),
            block_count: about.block_count,
            blocks_complete: tally.blocks_complete,
            symbols_received: tally.received,
            symbols_needed: tally.needed,
            // 100 % is said of nothing but a complete bundle.
            percent: if tally.complete { 100.0 } else { percent.min(99.9) },
            output: None,
            partial: None,
            sealed: None,
            files: Vec::new(),
            faults: Vec::new(),
        }
    }
}
