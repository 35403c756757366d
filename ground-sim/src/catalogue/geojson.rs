//! Detections as GeoJSON (RFC 7946): for each plume a polygon, its bounding box, and a point, its centre, as far as
//! their places on the ground are known; a plume of unknown place is a feature without a geometry.
//!
//! Coordinates are longitude, latitude in degrees, WGS 84 (RFC 7946, section 4).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::entry::{position, read_bounded};
use super::frame::Frame;
use super::place::Place;

/// Digits after the point of a degree: 1.1 cm.
const DEGREE: f64 = 1e7;

/// Where the pixels of a frame are on the ground, by the first header in its folder that says so.
pub(super) fn place(frame: &Frame, folder: &Path) -> Option<Place> {
    let of_header = |name: &str| {
        let text = read_bounded(&folder.join(name), 1 << 20).ok()?;
        Place::of_header(&String::from_utf8_lossy(&text))
    };
    let cube = frame.cube.as_ref().filter(|cube| cube.whole);
    cube.and_then(|cube| of_header(&cube.header)).or_else(|| {
        frame.products.iter().filter(|product| product.product == "region").find_map(|product| {
            let place = of_header(&product.file_ending(".hdr")?.name)?;
            Some(place.cut_out_from(product.lines?.0, product.samples?.0))
        })
    })
}

/// The detections of a frame as a collection of features.
pub(super) fn of_frame(frame: &Frame, verdict: Option<&Value>, place: Option<&Place>) -> Value {
    let list = verdict.and_then(|v| v.get("detections")).and_then(Value::as_array);
    let features = list.into_iter().flatten().enumerate();
    let features: Vec<Value> =
        features.flat_map(|(at, detection)| features_of(frame, at, detection, place)).collect();
    json!({ "type": "FeatureCollection", "features": features })
}

/// All collections in one.
#[must_use]
pub fn joined(collections: impl IntoIterator<Item = Value>) -> Value {
    let features = collections.into_iter().flat_map(|mut collection| {
        match collection.get_mut("features").map(Value::take) {
            Some(Value::Array(features)) => features,
            _ => Vec::new(),
        }
    });
    let features: Vec<Value> = features.collect();
    json!({ "type": "FeatureCollection", "features": features })
}

/// A coordinate with no more digits than mean something.
pub(super) fn coordinate([longitude, latitude]: [f64; 2]) -> [f64; 2] {
    [longitude, latitude].map(|degrees| (degrees * DEGREE).round() / DEGREE)
}

fn features_of(frame: &Frame, at: usize, detection: &Value, place: Option<&Place>) -> Vec<Value> {
    let mut geometries = Vec::new();
    let ring =
        place.zip(bounding_box(detection)).and_then(|(place, [lines, samples])| place.ring(lines, samples));
    if let Some(ring) = ring {
        let ring: Vec<_> = ring.into_iter().map(coordinate).collect();
        geometries.push(("box", json!({ "type": "Polygon", "coordinates": [ring] })));
    }
    let said = position(detection).map(|[latitude, longitude]| [longitude, latitude]);
    let centre =
        said.or_else(|| place.zip(centroid(detection)).and_then(|(p, [line, sample])| p.at(line, sample)));
    if let Some(centre) = centre {
        geometries.push(("centre", json!({ "type": "Point", "coordinates": coordinate(centre) })));
    }
    if geometries.is_empty() {
        geometries.push(("unplaced", Value::Null));
    }
    let feature = |(shape, geometry): (&str, Value)| {
        json!({
            "type": "Feature", "id": format!("{}-{}-{shape}", frame.frame_id, at + 1), "geometry": geometry,
            "properties": properties(frame, at, detection, shape),
        })
    };
    geometries.into_iter().map(feature).collect()
}

fn properties(frame: &Frame, at: usize, detection: &Value, shape: &str) -> Value {
    let mut properties = Map::new();
    let mut put = |name: &str, value: Value| drop(properties.insert(name.to_owned(), value));
    put("frame", json!(frame.frame));
    put("frame_id", json!(frame.frame_id));
    put("plume", json!(at + 1));
    put("shape", json!(shape));
    put("gas", json!(frame.gas));
    put("class", json!(frame.class));
    put("time_unix_ms", json!(frame.created_unix_ms));
    for name in ["probability", "peak_ppm_m", "mean_ppm_m", "pixels", "snr", "centroid", "bbox"] {
        put(name, detection.get(name).cloned().unwrap_or_default());
    }
    for name in ["mass_kg", "rate_kg_h"] {
        let of = |part: &str| detection.get(name).and_then(|v| v.get(part)).cloned().unwrap_or_default();
        put(name, of("value"));
        put(&format!("{name}_sigma"), of("sigma"));
    }
    Value::Object(properties)
}

/// Lines and samples of a detection's bounding box: edges, so that the last pixel is in it.
fn bounding_box(detection: &Value) -> Option<[[f64; 2]; 2]> {
    let bbox = detection.get("bbox")?;
    let of = |name: &str| bbox.get(name)?.as_f64();
    Some([[of("line0")?, of("line1")?], [of("sample0")?, of("sample1")?]])
}

/// Line and sample of a detection's centre; pixels are counted by their middle there.
fn centroid(detection: &Value) -> Option<[f64; 2]> {
    let of = |i: usize| detection.get("centroid")?.get(i)?.as_f64();
    Some([of(0)? + 0.5, of(1)? + 0.5])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::frame;

    #[test]
    fn a_plume_is_a_box_and_a_point_where_places_are_known_and_else_has_none() {
        let frame = frame();
        let detection = json!({
            "probability": 0.9, "bbox": { "line0": 2, "line1": 4, "sample0": 10, "sample1": 20 },
            "centroid": [2.5, 14.5], "rate_kg_h": { "value": 300.0, "sigma": 90.0 },
        });
        let features = |detection: &Value, place| {
            let verdict = json!({ "detections": [detection] });
            of_frame(&frame, Some(&verdict), place)["features"].as_array().unwrap().clone()
        };
        let none = features(&detection, None);
        assert_eq!((none.len(), &none[0]["geometry"]), (1, &Value::Null));
        assert_eq!(none[0]["properties"]["rate_kg_h_sigma"], 90.0);
        let text = "map info = {Geographic Lat/Lon, 1, 1, -102.0, 31.5, 0.01, 0.01, WGS-84}\n";
        let place = Place::of_header(&crate::catalogue::place::tests::header(text)).unwrap();
        let both = features(&detection, Some(&place));
        let ring =
            json!([[-101.9, 31.48], [-101.8, 31.48], [-101.8, 31.46], [-101.9, 31.46], [-101.9, 31.48]]);
        let mut reversed = ring.as_array().unwrap().clone();
        reversed.reverse();
        assert_eq!(both[0]["geometry"]["coordinates"][0].as_array().unwrap().len(), 5);
        assert_eq!(both[0]["geometry"]["coordinates"][0][0], ring[0]);
        assert_eq!(both[0]["geometry"]["coordinates"][0][1], reversed[1], "counter-clockwise");
        assert_eq!(both[1]["geometry"]["coordinates"], json!([-101.85, 31.47]));
        let mut said = detection.clone();
        said["latitude_deg"] = json!(31.0);
        said["longitude_deg"] = json!(-101.0);
        let point = features(&said, None);
        assert_eq!((point.len(), &point[0]["geometry"]["coordinates"]), (1, &json!([-101.0, 31.0])));
        assert_eq!(
            joined([json!({ "features": point }), json!({ "features": both })])["features"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
    }
}
