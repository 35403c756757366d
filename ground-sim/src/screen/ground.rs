//! What lies on the ground's disk that a screen shows: bundles filling up, the link as the station last said, alerts,
//! quicklooks and detections.
//!
//! Everything is read, nothing is changed, no lock is taken; what can't be read is a fault that is shown. The catalogue's
//! list is read anew only when it has changed. Lists have a most, so that a store of any size can be shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::query::{self, Row};
use crate::catalogue::{frame, joined};
use crate::station::status::{self, LinkStatus};

/// Most bundles that are shown.
const MOST_BUNDLES: usize = 40;
/// Most alerts.
const MOST_ALERTS: usize = 40;
/// Most quicklooks.
const MOST_PICTURES: usize = 24;
/// Most frames whose detections are shown, and most detections of all together.
const MOST_FRAMES: usize = 500;
const MOST_FEATURES: usize = 5_000;
/// Largest file of detections that is read, bytes.
const MAX_DETECTIONS_BYTES: u64 = 4 << 20;

/// A bundle that is coming in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filling {
    /// Its id.
    pub id: String,
    /// Its name, once its head is whole.
    pub name: Option<String>,
    /// Its class, as last sent.
    pub class: &'static str,
    /// Blocks that are whole, of how many.
    pub blocks: (u32, u32),
    /// Symbols received, of how many that are needed; estimated while blocks are unheard of.
    pub symbols: (u64, u64),
    /// Share of it that is here, percent.
    pub percent: f64,
}

/// A picture of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quicklook {
    /// The frame.
    pub frame: String,
    /// Its class.
    pub class: &'static str,
    /// When it was made on board, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Where the picture is, below OUT.
    pub path: String,
}

/// What lies on the ground.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ground {
    /// Bundles that are not whole, the ones that changed last first.
    pub bundles: Vec<Filling>,
    /// How many are not whole.
    pub bundles_open: usize,
    /// How many are whole.
    pub bundles_whole: usize,
    /// The fast link, as the station last said; none: it never did.
    pub link: Option<LinkStatus>,
    /// Alerts, the newest first.
    pub alerts: Vec<Row>,
    /// Pictures, the newest first.
    pub quicklooks: Vec<Quicklook>,
    /// What could not be read.
    pub faults: Vec<String>,
}

/// Looks at the disk again and again.
#[derive(Debug)]
pub struct Surveyor {
    out: PathBuf,
    store: PathBuf,
    rows: Vec<Row>,
    /// When and how long the files were that the rows come from.
    stamp: Vec<Option<(SystemTime, u64)>>,
}

impl Surveyor {
    /// One of an output folder and a symbol store; neither need be there.
    #[must_use]
    pub fn new(out: &Path, store: &Path) -> Self {
        let (out, store) = (out.to_owned(), store.to_owned());
        Self { out, store, rows: Vec::new(), stamp: Vec::new() }
    }

    /// What is there now.
    pub fn look(&mut self) -> Ground {
        let mut ground = Ground::default();
        let mut faults = Vec::new();
        let mut fault = |e: anyhow::Error| faults.push(format!("{e:#}"));
        self.list().unwrap_or_else(&mut fault);
        if self.store.is_dir() {
            match status::look(&self.store, MOST_BUNDLES) {
                Ok(look) => {
                    (ground.bundles_open, ground.bundles_whole) = (look.open_count, look.whole_count);
                    ground.bundles = look.open.iter().map(|bundle| self.filling(bundle)).collect();
                }
                Err(e) => fault(e),
            }
            ground.link = LinkStatus::read(&self.store).unwrap_or_else(|e| {
                fault(e);
                None
            });
        }
        let alerts = self.rows.iter().filter(|row| row.product == "alert");
        ground.alerts = alerts.take(MOST_ALERTS).cloned().collect();
        ground.quicklooks = self.quicklooks();
        ground.faults = faults;
        ground
    }

    /// Reads the rows anew if what they come from has changed.
    fn list(&mut self) -> anyhow::Result<()> {
        let of = |name: &str| {
            let about = fs::metadata(self.out.join(name)).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        let stamp = ["", "catalogue/products.jsonl", "partial", "alerts", "frames"].map(of).to_vec();
        if stamp == self.stamp {
            return Ok(());
        }
        self.rows = if self.out.is_dir() { query::rows(&self.out)? } else { Vec::new() };
        self.stamp = stamp;
        Ok(())
    }

    fn filling(&self, bundle: &crate::station::BundleReport) -> Filling {
        let row = self.rows.iter().find(|row| row.id == bundle.id);
        Filling {
            id: bundle.id.clone(),
            name: bundle.name.clone().or_else(|| row.map(|row| row.name.clone())),
            class: bundle.class.name(),
            blocks: (bundle.blocks_complete, bundle.block_count),
            symbols: (bundle.symbols_received, bundle.symbols_needed),
            percent: bundle.percent,
        }
    }

    fn quicklooks(&self) -> Vec<Quicklook> {
        let rows = self.rows.iter().filter(|row| row.product == "quicklook" && row.whole);
        let look = |row: &Row| {
            Some(Quicklook {
                frame: row.frame.clone().unwrap_or_else(|| row.name.clone()),
                class: row.class.name(),
                created_unix_ms: row.created_unix_ms,
                path: format!("{}/{}", row.path, picture_in(&self.out.join(&row.path), row)?),
            })
        };
        rows.filter_map(look).take(MOST_PICTURES).collect()
    }
}

/// All detections below `out`, the newest frames first, as a GeoJSON collection of features (RFC 7946).
#[must_use]
pub fn detections(out: &Path) -> Value {
    let mut folders = frame::folders(out).unwrap_or_default();
    folders.sort_by_key(|folder| std::cmp::Reverse(modified(&folder.join("detections.geojson"))));
    let read = |folder: PathBuf| -> Option<Value> {
        let path = folder.join("detections.geojson");
        if fs::metadata(&path).ok()?.len() > MAX_DETECTIONS_BYTES {
            return None;
        }
        serde_json::from_slice(&fs::read(&path).ok()?).ok()
    };
    let mut all = joined(folders.into_iter().take(MOST_FRAMES).filter_map(read));
    if let Some(Value::Array(features)) = all.get_mut("features") {
        features.truncate(MOST_FEATURES);
    }
    all
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

/// The name of a quicklook's picture in its folder: in a frame's folder that of its frame.
fn picture_in(folder: &Path, row: &Row) -> Option<String> {
    if let Some(frame) = &row.frame {
        let name = format!("{frame}.quicklook.png");
        if folder.join(&name).is_file() {
            return Some(name);
        }
    }
    let names = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_picture(name)).min()
}

/// Whether a file's name is that of a picture that a screen shows.
#[must_use]
pub fn is_picture(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|ext| ext.eq_ignore_ascii_case("png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_not_there_are_empty_and_broken_files_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        let (out, store) = (dir.path().join("out"), dir.path().join("store"));
        let mut surveyor = Surveyor::new(&out, &store);
        assert_eq!(surveyor.look(), Ground::default());
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join("link.json"), "{").unwrap();
        assert_eq!(surveyor.look().faults.len(), 1);
        assert_eq!(detections(&out)["features"], serde_json::json!([]));
    }

    #[test]
    fn only_pictures_are_shown() {
        assert!(is_picture("x.quicklook.png") && is_picture("x.PNG"));
        assert!(!is_picture("keys.txt") && !is_picture(".x.png") && !is_picture("png"));
    }
}
