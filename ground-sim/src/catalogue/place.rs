//! Where the pixels of a frame are on the ground, by the geometry of an ENVI header: that of the frame, or of a part of
//! it. What a header doesn't say counts as not known: nothing is ever guessed.

use passband_spectral::envi::Header;
use passband_spectral::geo::Geometry;

/// Where the pixels of a frame are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    geometry: Geometry,
    /// The frame's line and sample at which the header's image begins.
    first: [f64; 2],
}

impl Place {
    /// The place that a header describes, if it does.
    pub(super) fn of_header(text: &str) -> Option<Self> {
        Some(Self { geometry: Header::parse(text).ok()?.geometry?, first: [0.0; 2] })
    }

    /// The place of the frame from that of a cut-out which begins at `line`, `sample` of the frame.
    pub(super) fn cut_out_from(self, line: u64, sample: u64) -> Self {
        Self { first: [line as f64, sample as f64], ..self }
    }

    /// `[longitude, latitude]` of a place in the frame, degrees: 0, 0 is the upper left corner of its first pixel,
    /// whose centre is 0.5, 0.5. `None` where the map ends.
    pub(super) fn at(&self, line: f64, sample: f64) -> Option<[f64; 2]> {
        let [line, sample] = [line - self.first[0] - 0.5, sample - self.first[1] - 0.5];
        self.geometry.position(line, sample).map(|place| [place.longitude_deg, place.latitude_deg])
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header whose pixels are where `map` says.
    pub(in super::super) fn header(map: &str) -> String {
        let mut text = Header::new(100, 50, 1, passband_spectral::envi::DataType::U8).to_text();
        text.push_str(map);
        text
    }

    fn near(a: [f64; 2], b: [f64; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9
    }

    #[test]
    fn places_are_counted_from_the_corner_of_the_frame_s_first_pixel() {
        let map =
            "map info = {Geographic Lat/Lon, 1.5, 1.5, -102.0, 31.5, 0.001, 0.002, WGS-84, units=Degrees}\n";
        let place = Place::of_header(&header(map)).unwrap();
        assert!(near(place.at(0.5, 0.5).unwrap(), [-102.0, 31.5]), "{place:?}");
        assert!(near(place.at(50.5, 100.5).unwrap(), [-101.9, 31.4]), "{place:?}");
        let ring = place.ring([0.0, 10.0], [0.0, 10.0]).unwrap();
        assert!(near(ring[0], ring[4]) && ring[1][1] < ring[0][1] && ring[2][0] > ring[1][0], "{ring:?}");
        let region = place.cut_out_from(5, 7);
        assert!(near(region.at(5.5, 7.5).unwrap(), [-102.0, 31.5]));
        assert_eq!(Place::of_header(&header("")), None);
    }

    #[test]
    fn what_lies_across_180_degrees_has_no_ring() {
        let map = "map info = {Geographic Lat/Lon, 1, 1, 179.9, 31.5, 0.01, 0.01, WGS-84, units=Degrees}\n";
        let place = Place::of_header(&header(map)).unwrap();
        assert!(place.ring([0.0, 5.0], [0.0, 5.0]).is_some());
        assert_eq!(place.ring([0.0, 5.0], [5.0, 15.0]), None);
        assert!(near(place.at(0.0, 20.0).unwrap(), [-179.9, 31.5]));
    }
}
