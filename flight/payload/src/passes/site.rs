//! A station as a place on the turning Earth: how high above its horizon a satellite stands.
//!
//! Earth-fixed coordinates are those of WGS 84, km; polar motion (less than 15 m) and the difference of UTC and UT1
//! (less than 0.9 s, some 420 m at the equator) are left out: both shift a pass by less than 0.1 s.

use core::f64::consts::FRAC_PI_2;

use libm::{acos, cos, sin, sqrt};

use super::stations::Station;

/// Equatorial radius of WGS 84, km (NGA.STND.0036, table 3.1).
const EQUATOR_KM: f64 = 6378.137;
/// Flattening of WGS 84 (the same).
const FLATTENING: f64 = 1.0 / 298.257_223_563;
/// Least distance of the ellipsoid from its centre, km.
const POLE_KM: f64 = EQUATOR_KM * (1.0 - FLATTENING);
/// What the vertical of the ellipsoid differs from the direction to its centre, and a satellite on an orbit that
/// is no circle from one that is, rad; taken larger than it is.
const MARGIN_RAD: f64 = 0.02;

/// A station's place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    pub(super) station: Station,
    place_km: [f64; 3],
    zenith: [f64; 3],
    sin_least: f64,
}

impl Site {
    /// Vallado, Fundamentals of Astrodynamics and Applications, 4th edition (2013), section 3.2, equation 3-7: the
    /// place of a site by its geodetic coordinates.
    pub(super) fn new(station: Station) -> Self {
        let (latitude, longitude) = (station.latitude_deg.to_radians(), station.longitude_deg.to_radians());
        let zenith = [cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)];
        let squared_eccentricity = FLATTENING * (2.0 - FLATTENING);
        let normal_km = EQUATOR_KM / sqrt(1.0 - squared_eccentricity * sin(latitude) * sin(latitude));
        let height_km = station.altitude_m / 1000.0;
        let across = normal_km + height_km;
        let along = normal_km * (1.0 - squared_eccentricity) + height_km;
        let [x, y, z] = zenith;
        let place_km = [across * x, across * y, along * z];
        let sin_least = sin(station.min_elevation_deg.to_radians());
        Self { station, place_km, zenith, sin_least }
    }

    /// The sine of a satellite's elevation; negative below the horizon.
    pub(super) fn sin_elevation(&self, satellite_km: [f64; 3]) -> f64 {
        let [x, y, z] = satellite_km;
        let [px, py, pz] = self.place_km;
        let range = [x - px, y - py, z - pz];
        dot(range, self.zenith) / norm(range)
    }

    /// How far above the least elevation a satellite stands, as a difference of sines: a pass is where it's positive.
    pub(super) fn clearance(&self, satellite_km: [f64; 3]) -> f64 {
        self.sin_elevation(satellite_km) - self.sin_least
    }

    /// The angle, seen from the Earth's centre, by which a satellite that comes no higher than `apogee_km` is too far
    /// from the station to be in a pass, rad; negative if it may be in one. On a sphere a satellite at radius r stands
    /// at elevation e where that angle is acos(R cos e / r) − e.
    pub(super) fn excess_rad(&self, satellite_km: [f64; 3], apogee_km: f64) -> f64 {
        let least = self.station.min_elevation_deg.to_radians();
        let reach = acos((POLE_KM * cos(least) / apogee_km).clamp(0.0, 1.0)) - least;
        let cosine = dot(satellite_km, self.place_km) / (norm(satellite_km) * norm(self.place_km));
        acos(cosine.clamp(-1.0, 1.0)) - reach - MARGIN_RAD
    }
}

/// The elevation of a sine, degrees to the hundredth.
pub(super) fn elevation_deg(sine: f64) -> f64 {
    let elevation = FRAC_PI_2 - acos(sine.clamp(-1.0, 1.0));
    libm::round(elevation.to_degrees() * 100.0) / 100.0
}

fn dot(one: [f64; 3], other: [f64; 3]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn norm(v: [f64; 3]) -> f64 {
    sqrt(dot(v, v))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(latitude_deg: f64, longitude_deg: f64, altitude_m: f64) -> Site {
        Site::new(Station {
            name: "s".into(),
            latitude_deg,
            longitude_deg,
            altitude_m,
            min_elevation_deg: 10.0,
            rate_bps: None,
        })
    }

    #[test]
    fn a_place_is_where_geodesy_puts_it() {
        // By PROJ 9.5 (pyproj 3.7.2), EPSG:4979 to EPSG:4978.
        let [x, y, z] = site(67.8558, 20.9644, 390.0).place_km;
        let expected = [2_251.631_080_599, 862.715_404_225, 5_885.410_569_416];
        assert!(
            (x - expected[0]).abs() < 1e-6
                && (y - expected[1]).abs() < 1e-6
                && (z - expected[2]).abs() < 1e-6
        );
    }

    #[test]
    fn overhead_is_ninety_degrees_and_the_other_side_is_far() {
        let site = site(0.0, 90.0, 0.0);
        let over = [0.0, 7000.0, 0.0];
        assert!((elevation_deg(site.sin_elevation(over)) - 90.0).abs() < 1e-9);
        assert!(site.clearance(over) > 0.8 && site.excess_rad(over, 7000.0) < 0.0);
        let under = [0.0, -7000.0, 0.0];
        assert!(site.clearance(under) < -1.0 && site.excess_rad(under, 7000.0) > 2.5);
    }
}
