//! `OUT/frames` as a STAC catalogue (1.1.0): `catalog.json`, one collection, and an item a frame. All links are
//! relative, so that the folder can be copied to a web server as it is.
//!
//! They name all frames, and are only written after a burst of products. Until then `OUT/catalogue/stale` says that
//! they lack something, also after a crash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::entry::read_bounded;
use super::frame;
use super::item::{COLLECTION, STAC_VERSION, escaped};
use crate::station::write_aside;

/// Largest collection that is read back, bytes.
const MAX_COLLECTION_BYTES: u64 = 256 << 20;
/// Largest item that is read back, bytes.
const MAX_ITEM_BYTES: u64 = 64 << 20;

/// What the items of a collection span.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Extent {
    /// West, south, east, north; none while no place is known.
    bbox: Option<[f64; 4]>,
    /// The first and the last time, as in the items: such texts sort as their times.
    times: Option<(String, String)>,
}

impl Extent {
    /// The extent that the collection has now.
    pub(super) fn read(out: &Path) -> Self {
        let path = out.join("frames").join("collection.json");
        let text = read_bounded(&path, MAX_COLLECTION_BYTES).unwrap_or_default();
        let collection: Value = serde_json::from_slice(&text).unwrap_or_default();
        let located = collection["passband:located"] == true;
        let times = &collection["extent"]["temporal"]["interval"][0];
        Self {
            bbox: numbers(&collection["extent"]["spatial"]["bbox"][0]).filter(|_| located),
            times: times[0].as_str().map(str::to_owned).zip(times[1].as_str().map(str::to_owned)),
        }
    }

    /// Takes in the item in a frame's folder.
    pub(super) fn add_item_of(&mut self, folder: &Path) {
        let item = read_bounded(&folder.join("item.json"), MAX_ITEM_BYTES).ok();
        self.add(&item.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default());
    }

    /// Takes in an item.
    fn add(&mut self, item: &Value) {
        if let Some([w, s, e, n]) = numbers(&item["bbox"]) {
            let [w0, s0, e0, n0] = self.bbox.unwrap_or([w, s, e, n]);
            self.bbox = Some([w.min(w0), s.min(s0), e.max(e0), n.max(n0)]);
        }
        if let Some(time) = item["properties"]["datetime"].as_str().map(str::to_owned) {
            let (first, last) = self.times.take().unwrap_or_else(|| (time.clone(), time.clone()));
            self.times = Some((first.min(time.clone()), last.max(time)));
        }
    }
}

/// Says that the collection lacks something from now on, before it does.
///
/// # Errors
/// Those of the disk.
pub(super) fn mark_stale(out: &Path) -> Result<()> {
    let path = stale_path(out);
    if !path.exists() {
        File::create(&path).with_context(|| format!("making {}", path.display()))?;
    }
    Ok(())
}

/// Whether the collection lacks something, or there are frames and no collection.
pub(super) fn is_stale(out: &Path) -> bool {
    let frames = out.join("frames");
    stale_path(out).exists() || (frames.is_dir() && !frames.join("collection.json").exists())
}

fn stale_path(out: &Path) -> PathBuf {
    out.join("catalogue").join("stale")
}

/// Writes the catalogue and its collection, which then lack nothing.
///
/// # Errors
/// Those of the disk.
pub(super) fn write(out: &Path, extent: &Extent) -> Result<()> {
    let folder = out.join("frames");
    let folders = frame::folders(out)?;
    if folders.is_empty() {
        return unmark(out);
    }
    let json = "application/json";
    let catalog = json!({
        "type": "Catalog", "stac_version": STAC_VERSION, "id": "passband",
        "title": "Passband", "description": "Frames that came down from Passband's spacecraft.",
        "links": [
            { "rel": "root", "href": "./catalog.json", "type": json },
            { "rel": "child", "href": "./collection.json", "type": json },
        ],
    });
    let items = folders.iter().filter_map(|path| path.file_name()?.to_str()).map(|name| {
        json!({ "rel": "item", "href": format!("./{}/item.json", escaped(name)), "type": "application/geo+json" })
    });
    let own = [("root", "./catalog.json"), ("parent", "./catalog.json")];
    let own = own.map(|(rel, href)| json!({ "rel": rel, "href": href, "type": json }));
    let links: Vec<Value> = own.into_iter().chain(items).collect();
    let collection = json!({
        "type": "Collection", "stac_version": STAC_VERSION, "id": COLLECTION, "title": "Frames",
        "description": "One item a frame: cube, regions, quicklook and detections, as far as they came down.",
        "license": "other",
        "passband:located": extent.bbox.is_some(),
        "extent": {
            "spatial": { "bbox": [extent.bbox.unwrap_or([-180.0, -90.0, 180.0, 90.0])] },
            "temporal": { "interval": [match &extent.times {
                Some((first, last)) => json!([first, last]),
                None => json!([null, null]),
            }] },
        },
        "links": links,
    });
    write_aside(&folder.join("catalog.json"), &serde_json::to_vec_pretty(&catalog)?)?;
    write_aside(&folder.join("collection.json"), &serde_json::to_vec_pretty(&collection)?)?;
    unmark(out)
}

fn unmark(out: &Path) -> Result<()> {
    let path = stale_path(out);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn numbers(list: &Value) -> Option<[f64; 4]> {
    let numbers: Option<Vec<f64>> = list.as_array()?.iter().map(Value::as_f64).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_grows_with_its_items() {
        let mut extent = Extent::default();
        extent.add(&json!({ "properties": { "datetime": "2026-01-02T00:00:00.000Z" } }));
        assert_eq!(extent.bbox, None);
        extent
            .add(&json!({ "bbox": [1, 2, 3, 4], "properties": { "datetime": "2026-01-01T00:00:00.000Z" } }));
        extent.add(&json!({ "bbox": [0, 3, 2, 9], "properties": {} }));
        assert_eq!(extent.bbox, Some([0.0, 2.0, 3.0, 9.0]));
        assert_eq!(extent.times.unwrap().0, "2026-01-01T00:00:00.000Z");
    }
}
