//! ENVI's `map info`: a grid on a map.

use core::fmt;

use libm::{cos, sin};

use super::{Position, utm};

/// A grid on a map, WGS 84.
#[derive(Debug, Clone, PartialEq)]
pub struct MapInfo {
    /// The map.
    pub projection: Projection,
    /// Reference point in the image, samples and lines; (1, 1) is the outer corner of the first pixel.
    pub reference: [f64; 2],
    /// That point on the map: easting and northing, m, or longitude and latitude, degrees.
    pub origin: [f64; 2],
    /// Width and height of a pixel on the map, m or degrees; above 0.
    pub pixel: [f64; 2],
    /// By how much the image is turned on the map, degrees, anticlockwise.
    pub rotation_deg: f64,
}

/// A map projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Longitude and latitude, degrees.
    Geographic,
    /// Universal transverse Mercator, m.
    Utm {
        /// 1 to 60.
        zone: u8,
        /// Whether northings are those of the southern hemisphere.
        south: bool,
    },
}

impl MapInfo {
    /// Side of a pixel on the ground, m, the mean of both; `None` where the map is in degrees.
    pub fn pixel_m(&self) -> Option<f64> {
        match self.projection {
            Projection::Utm { .. } => Some(self.pixel.iter().sum::<f64>() / 2.0),
            Projection::Geographic => None,
        }
    }

    /// Where a point of the image is, (1, 1) being the outer corner of the first pixel.
    pub(super) fn position(&self, x: f64, y: f64) -> Option<Position> {
        let [east, north] = self.on_map(x, y);
        match self.projection {
            Projection::Geographic => Position::new(north, east),
            Projection::Utm { zone, south } => utm::place(east, north, zone, south),
        }
    }

    /// Map coordinates of a point of the image, turned as GDAL (its ENVI driver) turns it.
    fn on_map(&self, x: f64, y: f64) -> [f64; 2] {
        let ([x0, y0], [east, north], [width, height]) = (self.reference, self.origin, self.pixel);
        let (across, down) = (x - x0, y - y0);
        if self.rotation_deg == 0.0 {
            return [east + width * across, north - height * down];
        }
        let turned = self.rotation_deg.to_radians();
        let (sine, cosine) = (sin(turned), cos(turned));
        [east + width * (cosine * across + sine * down), north + height * (sine * across - cosine * down)]
    }

    /// The same map, seen from an image that begins `x` samples and `y` lines further on. The reference point of one
    /// that is turned becomes the outer corner, since GDAL turns the image about that corner wherever the point is.
    pub(super) fn shifted(&self, x: f64, y: f64) -> Self {
        let [x0, y0] = self.reference;
        if self.rotation_deg == 0.0 {
            return Self { reference: [x0 - x, y0 - y], ..self.clone() };
        }
        Self { reference: [1.0, 1.0], origin: self.on_map(x + 1.0, y + 1.0), ..self.clone() }
    }
}

/// The value of `map info`, without its braces.
impl fmt::Display for MapInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([x, y], [east, north], [width, height]) = (self.reference, self.origin, self.pixel);
        let grid = format!("{x}, {y}, {east}, {north}, {width}, {height}");
        match self.projection {
            Projection::Geographic => {
                write!(f, "Geographic Lat/Lon, {grid}, WGS-84, units=Degrees")?;
            }
            Projection::Utm { zone, south } => {
                let half = if south { "South" } else { "North" };
                write!(f, "UTM, {grid}, {zone}, {half}, WGS-84, units=Meters")?;
            }
        }
        if self.rotation_deg == 0.0 { Ok(()) } else { write!(f, ", rotation={}", self.rotation_deg) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_laid_as_gdal_lays_it() {
        // GDAL 3.10.3 (rasterio 1.4.4): the point 2.5 samples and 1.5 lines from the outer corner.
        let utm = |reference, rotation_deg| MapInfo {
            projection: Projection::Utm { zone: 11, south: false },
            reference,
            origin: [600_000.0, 4_100_000.0],
            pixel: [8.0, 9.0],
            rotation_deg,
        };
        let near = |[a, b]: [f64; 2], [x, y]: [f64; 2]| (a - x).abs() < 1e-8 && (b - y).abs() < 1e-8;
        let turned = utm([1.0, 1.0], 30.0).on_map(3.5, 2.5);
        assert!(near(turned, [600_023.320_508_075_6, 4_099_999.558_657_048_7]), "{turned:?}");
        assert!(near(utm([3.5, 2.0], 0.0).on_map(3.5, 2.5), [600_000.0, 4_099_995.5]));
        let geographic = MapInfo {
            projection: Projection::Geographic,
            reference: [1.0, 1.0],
            origin: [-118.5, 36.25],
            pixel: [0.001, 0.0012],
            rotation_deg: 0.0,
        };
        let place = geographic.position(3.5, 2.5).unwrap();
        assert!(near([place.longitude_deg, place.latitude_deg], [-118.4975, 36.2482]), "{place:?}");
        assert_eq!(geographic.position(1.0, 1e6), None, "beyond the pole");
    }
}
