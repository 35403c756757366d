//! What lies in OUT, as rows to list: whole products from the catalogue's list (the strips of a cube as one),
//! products that are coming in from `OUT/partial`, and alerts from `OUT/alerts`; and which of them are asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use passband_proto::ids::Class;
use serde::Serialize;

use super::entry::Product;
use super::journal::Journal;
use super::rows::{alerts, cubes, partials, whole};

/// Mean radius of the Earth, km (IUGG, R1 of GRS 80: H. Moritz, "Geodetic Reference System 1980").
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A line of the listing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Id of the bundle; of an alert what its file's name says of it; of a cube in strips that of the first strip here.
    pub id: String,
    /// Kind of product; "alert" for an alert message.
    pub product: String,
    /// Its class.
    pub class: Class,
    /// Its name.
    pub name: String,
    /// When it was made on board, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Name of its frame.
    pub frame: Option<String>,
    /// Id of its frame.
    pub frame_id: Option<String>,
    /// The tasking that asked for its frame.
    pub tasking: Option<String>,
    /// Why its frame has its class.
    pub reason: Option<String>,
    /// The gas that was looked for.
    pub gas: Option<String>,
    /// Probability that its frame holds a plume.
    pub probability: Option<f64>,
    /// Plumes found in its frame.
    pub detections: Option<u64>,
    /// `[latitude, longitude]` of plumes in its frame, degrees.
    pub positions: Vec<[f64; 2]>,
    /// Bytes of its files, all strips together.
    pub bytes: u64,
    /// Whether all of it is here.
    pub whole: bool,
    /// Share of it that is here, percent; of strips, those that are whole.
    pub percent: f64,
    /// Strips that are here, of how many.
    pub strips: Option<(u32, u32)>,
    /// Where it is, below OUT: its folder or, where that is gone and for a cube in strips, the frame's; of an alert
    /// its file.
    pub path: String,
}

/// What is asked for; everything by default.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one of these classes; empty: of any.
    pub classes: Vec<Class>,
    /// One of these kinds of product.
    pub products: Vec<String>,
    /// Of a frame whose name fits: `*` is any characters, `?` one.
    pub frame: Option<String>,
    /// Of this tasking; fits like a frame's name.
    pub tasking: Option<String>,
    /// Of this gas, in upper or lower case.
    pub gas: Option<String>,
    /// Made at or after this time, ms since 1970.
    pub since: Option<u64>,
    /// Made before this time.
    pub until: Option<u64>,
    /// With a plume within so many km of a latitude and a longitude.
    pub near: Option<[f64; 3]>,
    /// Of a frame with a plume at least so probable.
    pub min_probability: Option<f64>,
    /// With this text in its name, frame, tasking or reason, in upper or lower case.
    pub text: Option<String>,
}

/// All that lies in `out`, the newest first.
///
/// # Errors
/// The catalogue's list can't be read.
pub fn rows(out: &Path) -> Result<Vec<Row>> {
    fs::metadata(out).with_context(|| format!("reading {}", out.display()))?;
    let products = Journal::new(out).read()?;
    let mut rows = partials(out, &products);
    rows.extend(alerts(out, &products));
    let (strips, others): (Vec<_>, Vec<_>) = products.into_values().partition(Product::is_strip);
    rows.extend(cubes(out, strips));
    rows.extend(others.into_iter().filter_map(|product| whole(out, product)));
    share_positions(&mut rows);
    rows.sort_by(|a, b| {
        (Reverse(a.created_unix_ms), a.class, &a.product, &a.id).cmp(&(
            Reverse(b.created_unix_ms),
            b.class,
            &b.product,
            &b.id,
        ))
    });
    Ok(rows)
}

impl Filter {
    /// Whether a row is asked for.
    #[must_use]
    pub fn takes(&self, row: &Row) -> bool {
        let fits = |glob: &Option<String>, name: &Option<String>| {
            glob.as_deref().is_none_or(|glob| name.as_deref().is_some_and(|name| glob_fits(glob, name)))
        };
        let near = |[latitude, longitude, km]: [f64; 3]| {
            row.positions.iter().any(|place| distance_km(*place, [latitude, longitude]) <= km)
        };
        (self.classes.is_empty() || self.classes.contains(&row.class))
            && (self.products.is_empty() || self.products.contains(&row.product))
            && fits(&self.frame, &row.frame)
            && fits(&self.tasking, &row.tasking)
            && self
                .gas
                .as_deref()
                .is_none_or(|gas| row.gas.as_deref().is_some_and(|g| g.eq_ignore_ascii_case(gas)))
            && self.since.is_none_or(|since| row.created_unix_ms >= since)
            && self.until.is_none_or(|until| row.created_unix_ms < until)
            && self.min_probability.is_none_or(|least| row.probability.is_some_and(|p| p >= least))
            && self.near.is_none_or(near)
            && self.text.as_deref().is_none_or(|text| row.holds(text))
    }
}

impl Row {
    /// The row of a whole product.
    pub(super) fn of(product: Product) -> Self {
        Self {
            path: product.folder,
            id: product.id,
            product: product.product,
            class: product.class,
            name: product.name,
            created_unix_ms: product.created_unix_ms,
            frame: product.frame,
            frame_id: product.frame_id,
            tasking: product.tasking,
            reason: product.reason,
            gas: product.gas,
            probability: product.probability,
            detections: product.detections,
            positions: product.positions,
            bytes: product.bytes,
            whole: true,
            percent: 100.0,
            strips: None,
        }
    }

    fn holds(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let fields = [Some(&self.name), self.frame.as_ref(), self.tasking.as_ref(), self.reason.as_ref()];
        fields.into_iter().flatten().any(|field| field.to_lowercase().contains(&text))
    }
}

/// Gives the products of a frame the positions of plumes that one of them knows.
fn share_positions(rows: &mut [Row]) {
    let mut known: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.positions.is_empty()) {
        if let Some(id) = &row.frame_id {
            known.insert(id.clone(), row.positions.clone());
        }
    }
    for row in rows.iter_mut().filter(|row| row.positions.is_empty()) {
        if let Some(positions) = row.frame_id.as_ref().and_then(|id| known.get(id)) {
            row.positions.clone_from(positions);
        }
    }
}

/// The rows that an id, a frame or a name means: exactly, or else by its beginning.
#[must_use]
pub fn find<'a>(rows: &'a [Row], what: &str) -> Vec<&'a Row> {
    let names = |row: &'a Row| {
        [Some(&row.id), Some(&row.name), row.frame.as_ref(), row.frame_id.as_ref(), Some(&row.path)]
    };
    let exact: Vec<_> =
        rows.iter().filter(|row| names(row).into_iter().flatten().any(|n| n == what)).collect();
    if !exact.is_empty() || what.len() < 4 {
        return exact;
    }
    let ids = |row: &'a Row| [Some(&row.id), row.frame_id.as_ref()];
    rows.iter().filter(|row| ids(row).into_iter().flatten().any(|id| id.starts_with(what))).collect()
}

/// The frames of rows, by name and id.
#[must_use]
pub fn frames_of(rows: &[&Row]) -> BTreeSet<(String, String)> {
    rows.iter().filter_map(|row| Some((row.frame.clone()?, row.frame_id.clone()?))).collect()
}

/// Whether a name fits a pattern in which `*` is any characters and `?` one.
#[must_use]
pub fn glob_fits(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<_>, Vec<_>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (g, n) = (g + 1, n + 1),
            _ => match star {
                // The last star takes one character more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (g, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    glob.get(g..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// Distance of two places on the ground, km: haversine on a sphere, within 0.6 % of the ellipsoid.
#[must_use]
pub fn distance_km(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [lat_a, lon_a, lat_b, lon_b] = [a[0], a[1], b[0], b[1]].map(f64::to_radians);
    let h = ((lat_b - lat_a) / 2.0).sin().powi(2)
        + lat_a.cos() * lat_b.cos() * ((lon_b - lon_a) / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_KM * h.sqrt().clamp(0.0, 1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_and_distances() {
        for (glob, name, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?b*", "ab", true),
            ("", "a", false),
            ("*b*b", "abab", true),
            ("a?", "a", false),
        ] {
            assert_eq!(glob_fits(glob, name), fits, "{glob} {name}");
        }
        let quarter = distance_km([0.0, 0.0], [0.0, 90.0]);
        assert!((quarter - 10_007.56).abs() < 0.1, "{quarter}");
        assert!(distance_km([10.0, 179.95], [10.0, -179.95]) < 11.0);
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_globs_made_of_it(name in "[a-c]{0,8}", cut in 0..8_usize) {
            let (head, tail) = name.split_at(cut.min(name.len()));
            prop_assert!(glob_fits(&name, &name));
            let glob = format!("{head}*{tail}");
            prop_assert!(glob_fits(&glob, &name));
        }
    }
}
