//! The inverse of the universal transverse Mercator projection on WGS 84.
//!
//! Krüger's series to the fourth order in the third flattening (Karney, Transverse Mercator with an accuracy of a few
//! nanometers, Journal of Geodesy 85, 2011, equations 11 to 21 and 36); with the constants of UTM (NGA.SIG.0012,
//! section 7). To a micrometre within a zone and its neighbours.

use libm::{atan, atan2, atanh, cos, cosh, sin, sinh, sqrt};

use super::Position;

/// Equatorial radius of WGS 84, m (NGA.STND.0036, table 3.1).
const EQUATOR_M: f64 = 6_378_137.0;
/// Flattening of WGS 84 (the same).
const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// Scale on the central meridian.
const SCALE: f64 = 0.9996;
const FALSE_EASTING_M: f64 = 500_000.0;
const FALSE_NORTHING_SOUTH_M: f64 = 10_000_000.0;
/// Furthest from the central meridian that is taken, m: some three zones at the equator.
const MOST_EASTING_M: f64 = 1_500_000.0;
/// Steps of Newton's method for the latitude: it doubles its digits with each.
const STEPS: usize = 5;

/// The place of UTM coordinates; `zone` 1 to 60. `None` for what is no place.
pub(super) fn place(easting_m: f64, northing_m: f64, zone: u8, south: bool) -> Option<Position> {
    let east_m = easting_m - FALSE_EASTING_M;
    let north_m = northing_m - if south { FALSE_NORTHING_SOUTH_M } else { 0.0 };
    if !(-MOST_EASTING_M..=MOST_EASTING_M).contains(&east_m) || !(-1e7..=1e7).contains(&north_m) {
        return None;
    }
    let n = FLATTENING / (2.0 - FLATTENING);
    let radius_m = EQUATOR_M / (1.0 + n) * (1.0 + n * n / 4.0 + n * n * n * n / 64.0);
    let (xi, eta) = unwarped(north_m / (SCALE * radius_m), east_m / (SCALE * radius_m), n);
    let conformal = sin(xi) / sqrt(sinh(eta) * sinh(eta) + cos(xi) * cos(xi));
    let latitude = atan(geodetic_tangent(conformal));
    let longitude = atan2(sinh(eta), cos(xi));
    let meridian_deg = f64::from(zone) * 6.0 - 183.0;
    Position::new(latitude.to_degrees(), meridian_deg + longitude.to_degrees())
}

/// Karney's equations 11 and 36: from the ellipsoid's ξ and η to those of the sphere.
fn unwarped(xi: f64, eta: f64, n: f64) -> (f64, f64) {
    let powers = [n, n * n, n * n * n, n * n * n * n];
    let series = [
        [1.0 / 2.0, -2.0 / 3.0, 37.0 / 96.0, -1.0 / 360.0],
        [0.0, 1.0 / 48.0, 1.0 / 15.0, -437.0 / 1440.0],
        [0.0, 0.0, 17.0 / 480.0, -37.0 / 840.0],
        [0.0, 0.0, 0.0, 4397.0 / 161_280.0],
    ];
    let (mut unwarped_xi, mut unwarped_eta, mut twice) = (xi, eta, 0.0);
    for row in series {
        twice += 2.0;
        let beta: f64 = row.iter().zip(powers).map(|(coefficient, power)| coefficient * power).sum();
        unwarped_xi -= beta * sin(twice * xi) * cosh(twice * eta);
        unwarped_eta -= beta * cos(twice * xi) * sinh(twice * eta);
    }
    (unwarped_xi, unwarped_eta)
}

/// Karney's equations 19 to 21: the tangent of the geodetic latitude from that of the conformal one.
fn geodetic_tangent(conformal: f64) -> f64 {
    let squared = FLATTENING * (2.0 - FLATTENING);
    let eccentricity = sqrt(squared);
    let mut tangent = conformal / (1.0 - squared);
    for _ in 0..STEPS {
        let secant = sqrt(1.0 + tangent * tangent);
        let sigma = sinh(eccentricity * atanh(eccentricity * tangent / secant));
        let reached = tangent * sqrt(1.0 + sigma * sigma) - sigma * secant;
        tangent += (conformal - reached) / sqrt(1.0 + reached * reached)
            * (1.0 + (1.0 - squared) * tangent * tangent)
            / ((1.0 - squared) * secant);
    }
    tangent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_proj() {
        // PROJ 9.5.1 (pyproj 3.7.2), EPSG:326xx and 327xx to EPSG:4326.
        for (zone, south, easting, northing, latitude, longitude) in [
            (11, false, 500_000.0, 4_000_000.0, 36.144_718_098_818, -117.0),
            (11, false, 263_124.5, 4_151_234.25, 37.477_665_967_284, -119.678_834_553_067),
            (33, false, 833_978.5, 7_500_000.125, 67.426_530_374_588, 22.813_550_101_371),
            (19, true, 371_000.0, 4_130_000.0, -52.964_070_810_456, -70.920_711_081_893),
            (60, true, 166_021.5, 9_999_999.0, -0.000_009_034_831, 174.000_000_510_815),
            (32, false, 500_000.0, 9_320_000.0, 83.927_498_557_986, 9.0),
            (31, false, 100_000.0, 0.0, 0.0, -0.592_327_202_567),
        ] {
            let found = place(easting, northing, zone, south).unwrap();
            let off = (found.latitude_deg - latitude).abs().max((found.longitude_deg - longitude).abs());
            assert!(off < 2e-11, "{found:?} {latitude} {longitude}");
        }
    }

    #[test]
    fn what_is_no_place_has_none() {
        for (easting, northing) in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (3e6, 0.0), (5e5, 2e7)] {
            assert_eq!(place(easting, northing, 1, false), None);
        }
    }
}
