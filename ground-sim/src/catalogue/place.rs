//! Where a pixel is on the ground, from the `map info` or the `geo points` of an ENVI header.
//!
//! Known are `map info` in geographic coordinates without rotation, and `geo points`, through which an affine map
//! is fitted. Other projections count as not known: nothing is ever guessed.
//!
//! Source: ENVI header format, NV5 Geospatial, "ENVI Header Files" (fields `map info` and `geo points`; the upper
//! left corner of the first pixel is 1, 1).

/// Most tie points that are taken.
const MAX_POINTS: usize = 10_000;

/// Where the pixels of a frame are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    map: Affine,
    /// The frame's line and sample at which the map's image begins.
    first: [f64; 2],
}

/// A map from pixels to the ground: `[longitude, latitude]` = `a` + `b` × sample + `c` × line, degrees, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    a: [f64; 2],
    b: [f64; 2],
    c: [f64; 2],
}

impl Place {
    /// The place that a header describes, if it does and its map is known here.
    pub(super) fn of_header(text: &str) -> Option<Self> {
        let map = field(text, "map info").and_then(Affine::of_map_info);
        let map = map.or_else(|| Affine::of_points(field(text, "geo points")?))?;
        Some(Self { map, first: [0.0; 2] })
    }

    /// The place of the frame from that of a cut-out which begins at `line`, `sample` of the frame.
    pub(super) fn cut_out_from(&self, line: u64, sample: u64) -> Self {
        Self { first: [line as f64, sample as f64], ..*self }
    }

    /// `[longitude, latitude]` of a place in the frame, degrees: 0, 0 is the upper left corner of its first pixel,
    /// whose centre is 0.5, 0.5. `None` where the map ends.
    pub(super) fn at(&self, line: f64, sample: f64) -> Option<[f64; 2]> {
        let [longitude, latitude] = self.map.at(line - self.first[0], sample - self.first[1]);
        let longitude = (longitude + 180.0).rem_euclid(360.0) - 180.0;
        (latitude.abs() <= 90.0).then_some([longitude, latitude])
    }

    /// A closed ring around lines and samples, counter-clockwise (RFC 7946, section 3.1.6); none for what lies across
    /// 180°, which would have to be cut in two (section 3.1.9).
    pub(super) fn ring(&self, lines: [f64; 2], samples: [f64; 2]) -> Option<Vec<[f64; 2]>> {
        let [l0, l1] = lines;
        let [s0, s1] = samples;
        let corners = [(l0, s0), (l1, s0), (l1, s1), (l0, s1), (l0, s0)];
        let mut ring: Vec<_> = corners.into_iter().map(|(l, s)| self.at(l, s)).collect::<Option<_>>()?;
        let area: f64 = ring.windows(2).map(|w| w[0][0] * w[1][1] - w[1][0] * w[0][1]).sum();
        if area < 0.0 {
            ring.reverse();
        }
        let across = ring.windows(2).any(|w| (w[0][0] - w[1][0]).abs() > 180.0);
        (!across).then_some(ring)
    }
}

impl Affine {
    fn at(&self, line: f64, sample: f64) -> [f64; 2] {
        let of = |i: usize| self.a[i] + self.b[i] * sample + self.c[i] * line;
        [of(0), of(1)]
    }

    fn of_map_info(words: &str) -> Option<Self> {
        let words: Vec<_> = words.split(',').map(str::trim).collect();
        let lower = words.first()?.to_lowercase();
        let rotated = words
            .iter()
            .filter_map(|word| {
                word.to_lowercase().strip_prefix("rotation")?.trim().strip_prefix('=')?.trim().parse().ok()
            })
            .any(|r: f64| r != 0.0);
        if !lower.starts_with("geographic") || rotated {
            return None;
        }
        let numbers: Vec<f64> =
            words.get(1..7)?.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let [x, y, longitude, latitude, width, height] = *numbers.as_slice() else { return None };
        let a = [longitude + (1.0 - x) * width, latitude - (1.0 - y) * height];
        Some(Self { a, b: [width, 0.0], c: [0.0, -height] }).filter(Self::is_sound)
    }

    /// The least-squares fit through `sample, line, latitude, longitude` of each tie point.
    fn of_points(words: &str) -> Option<Self> {
        let numbers: Vec<f64> = words
            .split(',')
            .take(4 * MAX_POINTS)
            .map(|word| word.trim().parse().ok())
            .collect::<Option<_>>()?;
        let first = *numbers.get(3)?;
        // Across 180° longitudes are counted on.
        let points: Vec<_> = numbers
            .chunks_exact(4)
            .map(|p| (p[0] - 1.0, p[1] - 1.0, [p[3] - ((p[3] - first) / 360.0).round() * 360.0, p[2]]))
            .collect();
        let n = points.len() as f64;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n;
        let (mx, my) = (mean(&mut points.iter().map(|p| p.0)), mean(&mut points.iter().map(|p| p.1)));
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| of(p.0 - mx, p.1 - my)).sum::<f64>();
        let (xx, yy, xy) = (sum(&|x, _| x * x), sum(&|_, y| y * y), sum(&|x, y| x * y));
        let determinant = xx * yy - xy * xy;
        if points.len() < 3 || determinant <= 1e-9 * xx * yy {
            return None;
        }
        let mut fit = Self { a: [0.0; 2], b: [0.0; 2], c: [0.0; 2] };
        for i in 0..2 {
            let mz = mean(&mut points.iter().map(|p| p.2[i]));
            let xz: f64 = points.iter().map(|p| (p.0 - mx) * (p.2[i] - mz)).sum();
            let yz: f64 = points.iter().map(|p| (p.1 - my) * (p.2[i] - mz)).sum();
            fit.b[i] = (xz * yy - yz * xy) / determinant;
            fit.c[i] = (yz * xx - xz * xy) / determinant;
            fit.a[i] = mz - fit.b[i] * mx - fit.c[i] * my;
        }
        Some(fit).filter(Self::is_sound)
    }

    fn is_sound(&self) -> bool {
        [self.a, self.b, self.c].iter().flatten().all(|v| v.is_finite())
            && self.a[0].abs() <= 540.0
            && self.a[1].abs() <= 91.0
    }
}

/// What stands in the braces of a field.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_it = line.split_once('=').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        if is_it {
            let (_, rest) = text.get(at..)?.split_once('{')?;
            return rest.split_once('}').map(|(inside, _)| inside);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(a: [f64; 2], b: [f64; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9
    }

    #[test]
    fn map_info_and_geo_points_say_the_same() {
        let by_map = "ENVI\nmap info = {Geographic Lat/Lon, 1.5, 1.5, -102.0, 31.5, 0.001, 0.002, WGS-84, units=Degrees}\n";
        let by_points = "geo points = {1.5, 1.5, 31.5, -102.0, 101.5, 1.5, 31.5, -101.9,\n 1.5, 51.5, 31.4, -102.0, 101.5, 51.5, 31.4, -101.9}";
        for text in [by_map, by_points] {
            let place = Place::of_header(text).unwrap();
            assert!(near(place.at(0.5, 0.5).unwrap(), [-102.0, 31.5]), "{place:?}");
            assert!(near(place.at(50.5, 100.5).unwrap(), [-101.9, 31.4]), "{place:?}");
            let ring = place.ring([0.0, 10.0], [0.0, 10.0]).unwrap();
            assert!(near(ring[0], ring[4]) && ring[1][1] < ring[0][1] && ring[2][0] > ring[1][0], "{ring:?}");
            let region = place.cut_out_from(5, 7);
            assert!(near(region.at(5.5, 7.5).unwrap(), [-102.0, 31.5]));
        }
        let utm = "map info = {UTM, 1, 1, 500000, 4000000, 30, 30, 11, North, WGS-84}";
        assert_eq!(Place::of_header(utm), None);
        let across = "geo points = {1, 1, 0, 179.9, 11, 1, 0, -179.9, 1, 11, -1, 179.9}";
        let across = Place::of_header(across).unwrap();
        assert!(near(across.at(0.0, 5.0).unwrap(), [-180.0, 0.0]));
        assert_eq!(across.ring([0.0, 1.0], [0.0, 10.0]), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "(map info|geo points) ?=? ?\\{?[-0-9., eNa{}\n]{0,80}") {
            let _ = Place::of_header(&text).map(|place| place.at(1.0, 1.0));
        }
    }
}
