//! One product as the catalogue knows it: what the `bundle.json` in its folder says, with the labels taken
//! apart, and where its detections are on the ground.
//!
//! What is read was sealed on board, and is still not believed blindly: sizes are bounded, names checked, and a
//! label that can't be understood counts as not given.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::safe_name;
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest description of a bundle that is read, bytes.
const MAX_DESCRIPTION_BYTES: u64 = 4 << 20;
/// Largest file of detections that is read, bytes.
const MAX_DETECTIONS_BYTES: u64 = 16 << 20;
/// Positions that are kept of a product: the most that the detector's `max_candidates` can be set to.
const MAX_POSITIONS: usize = 10_000;

/// A product that is whole, in a folder of its own below OUT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Version of this record, now 1.
    pub schema: u32,
    /// The bundle's id, 24 hexadecimal digits.
    pub id: String,
    /// Its folder's name below OUT.
    pub folder: String,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// Name of the product.
    pub name: String,
    /// Kind of product: "quicklook", "evidence", "region", "cube", "housekeeping", "log", "file" …
    pub product: String,
    /// Its class.
    pub class: Class,
    /// When it was made on board, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Name of the frame it was made from.
    pub frame: Option<String>,
    /// Id of that frame, 24 hexadecimal digits: the beginning of the SHA-256 over its header and its data.
    pub frame_id: Option<String>,
    /// The tasking that asked for the frame.
    pub tasking: Option<String>,
    /// Why the frame has its class.
    pub reason: Option<String>,
    /// Name of the gas that was looked for, such as "CH4".
    pub gas: Option<String>,
    /// Probability that the frame holds a plume.
    pub probability: Option<f64>,
    /// Plumes found in the frame.
    pub detections: Option<u64>,
    /// Which part of how many it is, from 1.
    pub part: Option<(u32, u32)>,
    /// Lines of the frame that it holds, the last not included.
    pub lines: Option<(u64, u64)>,
    /// Samples of the frame that it holds, the last not included.
    pub samples: Option<(u64, u64)>,
    /// Name of the frame's data file on board.
    pub data_file: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// The picture that came with it.
    pub preview: Option<ProductFile>,
    /// Its files.
    pub files: Vec<ProductFile>,
    /// `[latitude, longitude]` of the detections in it, degrees, WGS 84.
    pub positions: Vec<[f64; 2]>,
}

/// A file of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFile {
    /// Its name in the product's folder.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// The shape of `bundle.json`.
#[derive(Deserialize)]
struct Description {
    schema: u32,
    id: String,
    spacecraft: u16,
    name: String,
    product: String,
    class: Class,
    created_unix_ms: u64,
    frame: Option<String>,
    #[serde(default)]
    labels: serde_json::Map<String, Value>,
    preview: Option<ProductFile>,
    files: Vec<ProductFile>,
}

impl Product {
    /// Reads the product in a folder.
    ///
    /// # Errors
    /// There is no description in it, or none that can be used.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = description_path(folder)
            .with_context(|| format!("{} holds no bundle.json: it is no product", folder.display()))?;
        let at = || path.display().to_string();
        let bytes = read_bounded(&path, MAX_DESCRIPTION_BYTES)?;
        let said: Description = serde_json::from_slice(&bytes).with_context(at)?;
        ensure!(said.schema == 1, "{}: schema {} (this version knows 1)", at(), said.schema);
        ensure!(is_id(&said.id), "{}: {:?} is no bundle id", at(), said.id);
        for file in said.files.iter().chain(&said.preview) {
            ensure!(safe_name(&file.name), "{}: a file is called {:?}", at(), file.name);
        }
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: the folder's name is not UTF-8", folder.display()))?;
        let mut product = said.into_product(name);
        product.positions = positions(folder, &product);
        Ok(product)
    }

    /// A file of it whose name ends so.
    #[must_use]
    pub fn file_ending(&self, ending: &str) -> Option<&ProductFile> {
        self.files.iter().find(|file| file.name.ends_with(ending))
    }

    /// Whether it is one strip of a cube that comes in several.
    #[must_use]
    pub fn is_strip(&self) -> bool {
        self.product == "cube" && self.part.is_some_and(|(_, count)| count > 1)
    }

    /// Name and id of its frame, if it was made from one.
    #[must_use]
    pub fn frame_key(&self) -> Option<(&str, &str)> {
        Some((self.frame.as_deref()?, self.frame_id.as_deref()?))
    }
}

impl Description {
    fn into_product(self, folder: &str) -> Product {
        let label = |name: &str| self.labels.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| label(name)?.parse::<f64>().ok().filter(|value| value.is_finite());
        Product {
            schema: 1,
            folder: folder.to_owned(),
            spacecraft: self.spacecraft,
            class: self.class,
            created_unix_ms: self.created_unix_ms,
            frame_id: label("frame-id").filter(|id| is_id(id)),
            tasking: label("tasking").filter(|tasking| !tasking.is_empty()),
            reason: label("reason"),
            gas: label("target"),
            probability: number("probability").filter(|p| (0.0..=1.0).contains(p)),
            detections: label("detections").and_then(|text| text.parse().ok()),
            part: label("part").and_then(|text| part(&text)),
            lines: label("lines").and_then(|text| range(&text)),
            samples: label("samples").and_then(|text| range(&text)),
            data_file: label("data-file").filter(|name| safe_name(name)),
            bytes: self.files.iter().chain(&self.preview).fold(0, |sum, file| sum.saturating_add(file.bytes)),
            positions: Vec::new(),
            id: self.id,
            name: self.name,
            product: self.product,
            frame: self.frame,
            preview: self.preview,
            files: self.files,
        }
    }
}

/// Whether a text is an id as bundles and frames have it: 24 hexadecimal digits, lower case.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The file that describes a product; the bundle's own files may have taken the name, see `free_name`.
pub(super) fn description_path(folder: &Path) -> Option<PathBuf> {
    let names = ["__bundle.json", "_bundle.json", "bundle.json"];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// A file's content, if it isn't larger than `most`.
pub(super) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() as u64 <= most, "{} has more than {most} bytes", path.display());
    Ok(bytes)
}

/// The detections of a product or a frame, as the satellite wrote them; `None` without any that can be read.
pub(super) fn read_detections(path: &Path) -> Option<Value> {
    if fs::metadata(path).is_err() {
        return None;
    }
    serde_json::from_slice(&read_bounded(path, MAX_DETECTIONS_BYTES).ok()?).ok()
}

/// `[latitude, longitude]` of a detection, if it says so, in itself or in a `position` of its own.
pub(super) fn position(detection: &Value) -> Option<[f64; 2]> {
    let place = detection.get("position").filter(|place| place.is_object()).unwrap_or(detection);
    let of = |name: &str, most: f64| place.get(name)?.as_f64().filter(|v| v.abs() <= most);
    Some([of("latitude_deg", 90.0)?, of("longitude_deg", 180.0)?])
}

fn positions(folder: &Path, product: &Product) -> Vec<[f64; 2]> {
    let file = product.file_ending(".detections.json");
    let verdict = file.and_then(|file| read_detections(&folder.join(&file.name)));
    let list = verdict.as_ref().and_then(|v| v.get("detections")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(position).take(MAX_POSITIONS).collect()
}

/// `k/n`, counted from 1.
fn part(text: &str) -> Option<(u32, u32)> {
    let (k, n) = text.split_once('/')?;
    let (k, n) = (k.parse().ok()?, n.parse().ok()?);
    (k >= 1 && k <= n).then_some((k, n))
}

/// `A..B`, B not included.
fn range(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once("..")?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_make_no_sense_count_as_not_given() {
        assert_eq!((part("3/8"), part("0/8"), part("9/8"), part("x")), (Some((3, 8)), None, None, None));
        assert_eq!(
            (range("64..128"), range("5..5"), range("-1..2"), range("")),
            (Some((64, 128)), None, None, None)
        );
        assert!(is_id("0123456789abcdef01234567") && !is_id("0123456789ABCDEF01234567") && !is_id("x"));
    }

    #[test]
    fn a_product_is_read_with_its_positions_and_a_hostile_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(Product::read(dir.path()).is_err());
        let about = |file: &str| {
            format!(
                r#"{{"schema":1,"id":"0123456789abcdef01234567","spacecraft":1,"epoch":1,"name":"f evidence",
                "product":"evidence","class":"alert","created_unix_ms":5,"frame":"f","preview":null,
                "labels":{{"frame-id":"zz","target":"CH4","probability":"0.9871","part":"1/1"}},
                "files":[{{"name":"{file}","bytes":3,"sha256":"00"}}]}}"#
            )
        };
        write("bundle.json", &about("f.detections.json"));
        write(
            "f.detections.json",
            r#"{"detections":[{"latitude_deg":31.5,"longitude_deg":-102.25},{"latitude_deg":99},
            {"position":{"latitude_deg":-1,"longitude_deg":2}},{"position":null}]}"#,
        );
        let product = Product::read(dir.path()).unwrap();
        assert_eq!(product.positions, [[31.5, -102.25], [-1.0, 2.0]]);
        assert_eq!(
            (product.gas.as_deref(), product.probability, product.frame_id),
            (Some("CH4"), Some(0.9871), None)
        );
        let many = vec![r#"{"latitude_deg":1,"longitude_deg":2}"#; 300].join(",");
        write("f.detections.json", &format!(r#"{{"detections":[{many}]}}"#));
        assert_eq!(
            Product::read(dir.path()).unwrap().positions.len(),
            300,
            "more than the detector's usual 100"
        );
        write("bundle.json", &about("../../etc/passwd"));
        assert!(Product::read(dir.path()).unwrap_err().to_string().contains("passwd"));
    }
}
