//! Where the rows of a listing come from: strips of cubes, products that are coming in, alerts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use passband_proto::ids::Class;
use serde_json::Value;

use super::entry::{Product, is_id, read_bounded};
use super::files;
use super::frame::{self, Frame};
use super::query::Row;
use crate::station::hex;

/// Largest alert or description of a partial product that is read, bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The strips of each frame as one row.
pub(super) fn cubes(out: &Path, strips: Vec<Product>) -> Vec<Row> {
    let mut frames: BTreeMap<(String, String), BTreeMap<u32, Product>> = BTreeMap::new();
    for strip in strips {
        let (Some((name, id)), Some((part, _))) = (strip.frame_key(), strip.part) else { continue };
        frames.entry((name.to_owned(), id.to_owned())).or_default().insert(part, strip);
    }
    let row = |((name, id), mut strips): ((String, String), BTreeMap<u32, Product>)| {
        leave_out_gone(out, &frame::folder(out, &name, &id), &mut strips);
        let (here, bytes) = (strips.len(), strips.values().map(|strip| strip.bytes).sum());
        let first = strips.into_values().next()?;
        let count = first.part.map_or(0, |(_, count)| count);
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        let folder = frame::folder(out, &name, &id);
        let path = folder.strip_prefix(out).unwrap_or(&folder).to_string_lossy().into_owned();
        let percent = 100.0 * f64::from(here) / f64::from(count.max(1));
        let name = format!("{name} cube");
        Some(Row {
            name,
            path,
            bytes,
            whole: here == count,
            percent,
            strips: Some((here, count)),
            ..Row::of(first)
        })
    };
    frames.into_iter().filter_map(row).filter(|row| out.join(&row.path).is_dir()).collect()
}

/// Leaves out the strips whose folder is gone and that their frame doesn't hold.
fn leave_out_gone(out: &Path, folder: &Path, strips: &mut BTreeMap<u32, Product>) {
    let is_here = |strip: &Product| out.join(&strip.folder).is_dir();
    if strips.values().all(is_here) {
        return;
    }
    // Of a frame that can't be read nothing is known to be gone.
    if let Ok(frame) = Frame::read(folder) {
        let held = frame.holds(folder);
        strips.retain(|_, strip| is_here(strip) || held(strip));
    }
}

/// The row of a product that is no strip: in its own folder, or in its frame's if that is all there is of it.
pub(super) fn whole(out: &Path, product: Product) -> Option<Row> {
    if out.join(&product.folder).is_dir() {
        return Some(Row::of(product));
    }
    let (name, id) = product.frame_key()?;
    let folder = frame::folder(out, name, id);
    if !files::holds(&folder, &product) {
        return None;
    }
    let path = folder.strip_prefix(out).unwrap_or(&folder).to_string_lossy().into_owned();
    Some(Row { path, ..Row::of(product) })
}

/// Products that are coming in.
pub(super) fn partials(out: &Path, whole: &BTreeMap<String, Product>) -> Vec<Row> {
    let entries = fs::read_dir(out.join("partial")).into_iter().flatten().flatten();
    let row = |folder: std::path::PathBuf| {
        let said: Value =
            serde_json::from_slice(&read_bounded(&folder.join("partial.json"), MAX_FILE_BYTES).ok()?).ok()?;
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let label = |name: &str| said.get("labels")?.get(name)?.as_str().map(str::to_owned);
        let id = text("id").filter(|id| is_id(id) && !whole.contains_key(id))?;
        let files = said.get("files").and_then(Value::as_array);
        let sum = |name: &str| files.into_iter().flatten().filter_map(|f| f.get(name)?.as_u64()).sum::<u64>();
        let (bytes, here) = (sum("bytes"), sum("present_bytes"));
        Some(Row {
            product: text("product").unwrap_or_else(|| "unknown".to_owned()),
            class: text("class")?.parse().ok()?,
            name: text("name").unwrap_or_else(|| id.clone()),
            created_unix_ms: said.get("created_unix_ms").and_then(Value::as_u64).unwrap_or_default(),
            frame: text("frame"),
            frame_id: label("frame-id"),
            tasking: label("tasking"),
            reason: label("reason"),
            gas: label("target"),
            probability: label("probability").and_then(|p| p.parse().ok()),
            detections: label("detections").and_then(|n| n.parse().ok()),
            positions: Vec::new(),
            bytes,
            whole: false,
            percent: (100.0 * here as f64 / bytes.max(1) as f64).min(99.9),
            strips: None,
            path: format!("partial/{}", folder.file_name()?.to_str()?),
            id,
        })
    };
    entries.filter_map(|entry| row(entry.path())).collect()
}

/// Alerts that came over the alert radio; those whose evidence is here know their frame's id.
pub(super) fn alerts(out: &Path, whole: &BTreeMap<String, Product>) -> Vec<Row> {
    let entries = fs::read_dir(out.join("alerts")).into_iter().flatten().flatten();
    let row = |path: std::path::PathBuf| {
        let id = path.file_name()?.to_str()?.strip_prefix("alert-")?.strip_suffix(".json")?.to_owned();
        let text = read_bounded(&path, MAX_FILE_BYTES).ok()?;
        let said: Value = serde_json::from_slice(&text).ok()?;
        let number = |name: &str| said.get(name).and_then(Value::as_f64);
        let degrees = |name: &str| Some(said.get("position")?.get(name)?.as_f64()? / 1e7);
        let word = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let evidence = evidence_id(&said).and_then(|id| whole.get(&id));
        Some(Row {
            product: "alert".to_owned(),
            class: Class::Alert,
            name: format!("alert {id}"),
            created_unix_ms: said.get("time_unix_ms").and_then(Value::as_u64)?,
            frame: evidence.and_then(|product| product.frame.clone()).or_else(|| word("frame")),
            frame_id: evidence.and_then(|product| product.frame_id.clone()),
            tasking: evidence.and_then(|product| product.tasking.clone()),
            reason: evidence.and_then(|product| product.reason.clone()),
            gas: word("gas").map(|gas| gas.to_uppercase()),
            probability: number("probability_permille").map(|p| p / 1000.0),
            detections: said.get("plumes").and_then(Value::as_u64),
            positions: degrees("lat_e7")
                .zip(degrees("lon_e7"))
                .map(|(lat, lon)| [lat, lon])
                .into_iter()
                .collect(),
            bytes: text.len() as u64,
            whole: true,
            percent: 100.0,
            strips: None,
            path: format!("alerts/alert-{id}.json"),
            id,
        })
    };
    entries.filter_map(|entry| row(entry.path())).collect()
}

/// The id of the bundle with an alert's evidence.
fn evidence_id(alert: &Value) -> Option<String> {
    let said = alert.get("evidence")?;
    if let Some(id) = said.as_str() {
        return Some(id.to_owned());
    }
    let bytes: Option<Vec<u8>> = said.as_array()?.iter().map(|b| b.as_u64()?.try_into().ok()).collect();
    bytes.filter(|bytes| bytes.len() == 12).map(|bytes| hex(&bytes))
}
