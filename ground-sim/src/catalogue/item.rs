//! A frame as a STAC item (SpatioTemporal Asset Catalog 1.1.0, item-spec), with the extensions `eo` 2.0.0 (bands,
//! cloud cover), `proj` 2.0.0 (shape), `view` 1.0.0 (sun elevation) and `file` 2.1.0 (sizes and digests) as far as
//! their fields are known.
//!
//! The footprint is only given where the place is known: an item without has a null geometry, as the
//! specification allows. `datetime` is when the frame was accepted on board: nothing else is known of every camera.

use std::path::Path;

use passband_spectral::envi::{DataType, Header};
use serde_json::{Map, Value, json};

use super::entry::{Product, ProductFile};
use super::extensions::extensions;
use super::frame::Frame;
use super::geojson::coordinate;
use super::place::Place;
use super::source::read_header;
use super::time::rfc3339;

/// Version of the specification that is followed.
pub(super) const STAC_VERSION: &str = "1.1.0";
/// The collection that all frames are in.
pub(super) const COLLECTION: &str = "passband-frames";

/// The item of a frame.
pub(super) fn of_frame(
    frame: &Frame,
    folder: &Path,
    verdict: Option<&Value>,
    place: Option<&Place>,
) -> Value {
    let header = frame.cube.as_ref().and_then(|cube| read_header(&folder.join(&cube.header)).ok());
    let count = |name: &str| verdict.and_then(|v| v.get(name)).and_then(Value::as_u64);
    let shape = header.as_ref().map(|h| [h.lines as u64, h.samples as u64]);
    let shape = shape.or_else(|| Some([count("lines")?, count("samples")?]));
    let mut item = json!({
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": item_id(folder),
        "collection": COLLECTION,
        "geometry": null,
        "properties": properties(frame, verdict, shape, header.as_ref()),
        "links": links(),
        "assets": assets(frame, header.as_ref()),
    });
    let edges = shape.map(|[lines, samples]| [lines as f64, samples as f64]);
    let ring =
        place.zip(edges).and_then(|(place, [lines, samples])| place.ring([0.0, lines], [0.0, samples]));
    if let Some(ring) = ring {
        let ring: Vec<_> = ring.into_iter().map(coordinate).collect();
        item["bbox"] = json!(bounds(&ring));
        item["geometry"] = json!({ "type": "Polygon", "coordinates": [ring] });
    }
    item["stac_extensions"] = json!(extensions(&item));
    item
}

fn item_id(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn links() -> Value {
    let link = |rel: &str, href: &str| json!({ "rel": rel, "href": href, "type": "application/json" });
    json!([
        link("root", "../catalog.json"),
        link("parent", "../collection.json"),
        link("collection", "../collection.json"),
    ])
}

fn properties(
    frame: &Frame,
    verdict: Option<&Value>,
    shape: Option<[u64; 2]>,
    header: Option<&Header>,
) -> Value {
    let mut properties = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            properties.insert(name.to_owned(), value);
        }
    };
    put("datetime", Some(json!(rfc3339(frame.created_unix_ms))));
    put("title", Some(json!(frame.frame)));
    put("description", frame.reason.as_ref().map(|reason| json!(reason)));
    put("platform", Some(json!(format!("spacecraft-{}", frame.spacecraft))));
    let cloud = verdict.and_then(|v| v.get("quality")?.get("cloud_fraction")?.as_f64());
    let tenths = |percent: f64| (percent * 10.0).round() / 10.0;
    put("eo:cloud_cover", cloud.map(|fraction| json!(tenths((fraction * 100.0).clamp(0.0, 100.0)))));
    put("proj:shape", shape.map(|shape| json!(shape)));
    put("view:sun_elevation", header.and_then(|h| h.sun_elevation_deg).map(|degrees| json!(degrees)));
    put("gsd", header.and_then(|h| h.pixel_size_m).map(|metres| json!(metres)));
    put("passband:frame_id", Some(json!(frame.frame_id)));
    put("passband:class", Some(json!(frame.class)));
    put("passband:gas", frame.gas.as_ref().map(|gas| json!(gas)));
    put("passband:probability", frame.probability.map(|p| json!(p)));
    put("passband:detections", frame.detections.map(|n| json!(n)));
    put("passband:tasking", frame.tasking.as_ref().map(|tasking| json!(tasking)));
    if let Some(cube) = frame.cube.as_ref().filter(|cube| !cube.whole) {
        put("passband:missing_lines", Some(json!(cube.missing_lines)));
    }
    Value::Object(properties)
}

fn assets(frame: &Frame, header: Option<&Header>) -> Value {
    let mut assets = Map::new();
    if let Some(cube) = &frame.cube {
        let mut data =
            asset(frame, &cube.data, "application/octet-stream", "The frame, ENVI data", &["data"]);
        if let Some(header) = header {
            data["bands"] = bands(header);
            data["proj:shape"] = json!([header.lines, header.samples]);
        }
        assets.insert("cube".to_owned(), data);
        let text = asset(frame, &cube.header, "text/plain", "The frame's ENVI header", &["metadata"]);
        assets.insert("cube-header".to_owned(), text);
    }
    for name in &frame.files {
        let (key, media, title, role) = kind(name);
        assets.insert(free_key(&assets, key), asset(frame, name, media, title, &[role]));
    }
    let geojson = json!({
        "href": "./detections.geojson", "type": "application/geo+json", "title": "Detections", "roles": ["metadata"],
    });
    assets.insert("detections".to_owned(), geojson);
    Value::Object(assets)
}

/// Key, media type, title and role of a file, by its name.
fn kind(name: &str) -> (&'static str, &'static str, &'static str, &'static str) {
    const BYTES: &str = "application/octet-stream";
    let is = |ending: &str| name.ends_with(ending);
    if is(".quicklook.png") {
        ("quicklook", "image/png", "Quicklook", "thumbnail")
    } else if is(".detections.json") {
        ("verdict", "application/json", "What the detector said", "metadata")
    } else if is(".record") {
        ("record", BYTES, "The verdict in few bytes", "metadata")
    } else if is(".chip.img") {
        ("chip", BYTES, "Enhancement and colours around the plume, ENVI data", "data")
    } else if is(".chip.hdr") {
        ("chip-header", "text/plain", "The chip's ENVI header", "metadata")
    } else if name.contains(".region-") && is(".hdr") {
        ("region-header", "text/plain", "The region's ENVI header", "metadata")
    } else if name.contains(".region-") {
        ("region", BYTES, "All bands of a region, ENVI data", "data")
    } else {
        ("file", BYTES, "File", "metadata")
    }
}

/// A key that isn't taken.
fn free_key(assets: &Map<String, Value>, key: &str) -> String {
    let numbered = (2..).map(|n| format!("{key}-{n}"));
    let mut keys = std::iter::once(key.to_owned()).chain(numbered);
    keys.find(|key| !assets.contains_key(key)).unwrap_or_default()
}

fn asset(frame: &Frame, name: &str, media: &str, title: &str, roles: &[&str]) -> Value {
    let mut asset =
        json!({ "href": format!("./{}", escaped(name)), "type": media, "title": title, "roles": roles });
    // A cube in strips is none of the files that came.
    let in_one = frame.products.iter().rev().filter(|product| !product.is_strip());
    if let Some(file) = in_one.flat_map(files).find(|file| file.name == name) {
        asset["file:size"] = json!(file.bytes);
        // A multihash: 0x12 is SHA-256, 0x20 its length.
        asset["file:checksum"] = json!(format!("1220{}", file.sha256));
    }
    asset
}

fn files(product: &Product) -> impl Iterator<Item = &ProductFile> {
    product.files.iter().chain(&product.preview)
}

/// A file name as a relative reference (RFC 3986, section 2).
pub(super) fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

fn bands(header: &Header) -> Value {
    let of = |list: &Option<Vec<f64>>, band: usize| list.as_ref().and_then(|list| list.get(band)).copied();
    let micrometres = |nm: f64| (nm * 100.0).round() / 100_000.0;
    let band = |band: usize| {
        let mut out =
            json!({ "name": format!("B{:03}", band + 1), "data_type": data_type(header.data_type) });
        if let Some(nm) = of(&header.wavelengths_nm, band).filter(|nm| *nm > 0.0) {
            out["eo:center_wavelength"] = json!(micrometres(nm));
        }
        if let Some(nm) = of(&header.fwhm_nm, band).filter(|nm| *nm > 0.0) {
            out["eo:full_width_half_max"] = json!(micrometres(nm));
        }
        if let Some(value) = header.data_ignore_value {
            out["nodata"] = nodata(value);
        }
        out
    };
    Value::Array((0..header.bands).map(band).collect())
}

/// A value for "no data" as STAC's common metadata writes it: what JSON has no number for is a word.
fn nodata(value: f64) -> Value {
    match value {
        _ if value.is_nan() => json!("nan"),
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        _ => json!(value),
    }
}

/// The name of a type in STAC's common metadata.
fn data_type(data_type: DataType) -> &'static str {
    match data_type {
        DataType::U8 => "uint8",
        DataType::I16 => "int16",
        DataType::I32 => "int32",
        DataType::F32 => "float32",
        DataType::F64 => "float64",
        DataType::U16 => "uint16",
        DataType::U32 => "uint32",
        DataType::I64 => "int64",
        DataType::U64 => "uint64",
    }
}

/// West, south, east, north.
pub(super) fn bounds(ring: &[[f64; 2]]) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    ring.iter().fold(start, |[w, s, e, n], [x, y]| [w.min(*x), s.min(*y), e.max(*x), n.max(*y)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::extensions::{EO, PROJECTION};

    #[test]
    fn only_extensions_with_a_field_are_listed_and_no_data_is_never_null() {
        let dir = tempfile::tempdir().unwrap();
        let mut frame = crate::catalogue::tests::frame();
        let of = |frame: &Frame, verdict: Option<&Value>| of_frame(frame, dir.path(), verdict, None);
        assert_eq!(of(&frame, None)["stac_extensions"], json!([]));
        let verdict = json!({ "lines": 2, "samples": 3, "quality": { "cloud_fraction": 0.25 } });
        assert_eq!(of(&frame, Some(&verdict))["stac_extensions"], json!([EO, PROJECTION]));
        let mut header = Header::new(3, 2, 1, DataType::F32);
        (header.wavelengths_nm, header.data_ignore_value) = (Some(vec![2300.0]), Some(f64::NAN));
        std::fs::write(dir.path().join("f.hdr"), header.to_text()).unwrap();
        frame.cube = Some(crate::catalogue::Cube {
            whole: true,
            header: "f.hdr".to_owned(),
            data: "f.bil".to_owned(),
            lines: 2,
            missing_lines: Vec::new(),
            parts: 1,
            placed: vec![1],
            lead_bytes: 0,
        });
        let item = of(&frame, None);
        assert_eq!(item["stac_extensions"], json!([EO, PROJECTION]));
        assert_eq!(item["assets"]["cube"]["bands"][0]["nodata"], "nan");
        assert_eq!((nodata(f64::NEG_INFINITY), nodata(-9999.0)), (json!("-inf"), json!(-9999.0)));
    }

    #[test]
    fn names_are_escaped_and_keys_are_free() {
        assert_eq!(escaped("a b#é.bil"), "a%20b%23%C3%A9.bil");
        let mut assets = Map::new();
        assert_eq!(free_key(&assets, "region"), "region");
        assets.insert("region".to_owned(), Value::Null);
        assert_eq!(free_key(&assets, "region"), "region-2");
        assert_eq!(bounds(&[[1.0, 5.0], [-2.0, 3.0]]).as_slice(), [-2.0, 3.0, 1.0, 5.0]);
    }
}
