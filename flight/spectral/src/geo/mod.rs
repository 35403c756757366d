//! Where a pixel is on the ground, WGS 84: from the map projection of a frame that was resampled to a map, or from
//! tie points of one that was not (pushbroom, as it comes from the camera).
//!
//! Plain arithmetic on what a header says; never looks at the samples, and knows no terrain: a position is that of the
//! map, or of the surface that the tie points span.

mod map;
mod ties;
mod utm;

pub use map::{MapInfo, Projection};
pub use ties::{MAX_TIE_POINTS, TiePoint, TiePoints};

use serde::{Deserialize, Serialize};

/// A place on the ground, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Geodetic latitude, −90 to 90 degrees, north positive.
    pub latitude_deg: f64,
    /// Longitude, −180 to below 180 degrees, east positive.
    pub longitude_deg: f64,
}

impl Position {
    /// A position, the longitude brought into its range; `None` if these are no coordinates.
    pub(crate) fn new(latitude_deg: f64, longitude_deg: f64) -> Option<Self> {
        if !(-90.0..=90.0).contains(&latitude_deg) || !(-720.0..=720.0).contains(&longitude_deg) {
            return None;
        }
        let turns = libm::floor((longitude_deg + 180.0) / 360.0);
        Some(Self { latitude_deg, longitude_deg: longitude_deg - 360.0 * turns })
    }
}

/// Where the pixels of a frame are.
#[derive(Debug, Clone, PartialEq)]
pub enum Geometry {
    /// It is a map: ENVI's `map info`.
    Map(MapInfo),
    /// Some pixels are known: ENVI's `geo points`.
    Ties(TiePoints),
}

impl Geometry {
    /// Where a pixel is. Line and sample count from 0, and whole numbers are the centres of pixels; they may lie
    /// beside the frame. `None` where the map ends.
    pub fn position(&self, line: f64, sample: f64) -> Option<Position> {
        // ENVI counts from the outer corner of the first pixel, as (1, 1).
        let (x, y) = (sample + 1.5, line + 1.5);
        match self {
            Self::Map(map) => map.position(x, y),
            Self::Ties(ties) => ties.position(x, y),
        }
    }

    /// The geometry of a cut-out that begins so many lines and samples into the frame.
    #[must_use]
    pub fn shifted(&self, lines: usize, samples: usize) -> Self {
        let (x, y) = (samples as f64, lines as f64);
        match self {
            Self::Map(map) => Self::Map(map.shifted(x, y)),
            Self::Ties(ties) => Self::Ties(ties.shifted(x, y)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longitude_is_brought_into_its_range() {
        for (given, kept) in [(180.0, -180.0), (-180.0, -180.0), (359.5, -0.5), (-190.0, 170.0), (12.0, 12.0)]
        {
            assert_eq!(Position::new(1.0, given).map(|p| p.longitude_deg), Some(kept));
        }
        assert_eq!(
            [Position::new(90.1, 0.0), Position::new(f64::NAN, 0.0), Position::new(0.0, 1e9)],
            [None; 3]
        );
    }
}
