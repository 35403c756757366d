//! ENVI's `geo points`: pixels whose place is known, and a surface through them.
//!
//! The unit vectors of the places (n-vectors: Gade, A non-singular horizontal position representation, Journal of
//! Navigation 63, 2010) are fitted by least squares with 1, x, y and xy, which goes through four corners as they are,
//! or with 1, x and y where the points don't tell more. Nothing happens to it at the poles or the antimeridian. Within
//! a frame of some hundred kilometres the chord that it follows is less than a metre along from the great circle.

use libm::{atan2, cos, sin, sqrt};

use super::Position;

/// Most points that are taken.
pub const MAX_TIE_POINTS: usize = 1024;
/// Fewest points.
const LEAST: usize = 4;
/// A pivot below this share of the number of points means that the points tell too little.
const SINGULAR: f64 = 1e-9;
/// Terms of the surface: 1, x, y, xy.
const TERMS: usize = 4;

/// A pixel whose place is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TiePoint {
    /// Sample; 1 is the outer edge of the first one.
    pub x: f64,
    /// Line; 1 is the outer edge of the first one.
    pub y: f64,
    /// Its place.
    pub position: Position,
}

/// Pixels whose place is known, and the surface through them.
#[derive(Debug, Clone, PartialEq)]
pub struct TiePoints {
    points: Vec<TiePoint>,
    /// Middle of the points, and half their extent, in x and in y.
    middle: [f64; 2],
    reach: [f64; 2],
    /// For each term its three coefficients.
    surface: [[f64; 3]; TERMS],
}

impl TiePoints {
    /// A surface through four or more points, at most [`MAX_TIE_POINTS`]; `None` if they tell too little (all on a
    /// line) or are too many.
    pub fn new(points: Vec<TiePoint>) -> Option<Self> {
        let sound = |p: &TiePoint| p.x.abs() <= 1e9 && p.y.abs() <= 1e9;
        if !(LEAST..=MAX_TIE_POINTS).contains(&points.len()) || !points.iter().all(sound) {
            return None;
        }
        let (middle_x, reach_x) = extent(points.iter().map(|p| p.x));
        let (middle_y, reach_y) = extent(points.iter().map(|p| p.y));
        let mut ties = Self {
            points,
            middle: [middle_x, middle_y],
            reach: [reach_x, reach_y],
            surface: [[0.0; 3]; TERMS],
        };
        ties.surface = ties.fitted(TERMS).or_else(|| ties.fitted(TERMS - 1))?;
        Some(ties)
    }

    /// The points.
    pub fn points(&self) -> &[TiePoint] {
        &self.points
    }

    /// Where a point of the image is, (1, 1) being the outer corner of the first pixel.
    pub(super) fn position(&self, x: f64, y: f64) -> Option<Position> {
        let terms = self.terms(x, y);
        let mut at = [0.0; 3];
        for (term, coefficients) in terms.iter().zip(self.surface) {
            at.iter_mut().zip(coefficients).for_each(|(sum, c)| *sum += term * c);
        }
        let [east_0, east_90, north] = at;
        let latitude = atan2(north, sqrt(east_0 * east_0 + east_90 * east_90));
        let longitude = atan2(east_90, east_0);
        Position::new(latitude.to_degrees(), longitude.to_degrees())
    }

    /// The same points, seen from an image that begins `x` samples and `y` lines further on.
    pub(super) fn shifted(&self, x: f64, y: f64) -> Self {
        let moved = |p: &TiePoint| TiePoint { x: p.x - x, y: p.y - y, position: p.position };
        let points = self.points.iter().map(moved).collect();
        let [middle_x, middle_y] = self.middle;
        Self { points, middle: [middle_x - x, middle_y - y], ..self.clone() }
    }

    fn terms(&self, x: f64, y: f64) -> [f64; TERMS] {
        let ([middle_x, middle_y], [reach_x, reach_y]) = (self.middle, self.reach);
        let (u, v) = ((x - middle_x) / reach_x, (y - middle_y) / reach_y);
        [1.0, u, v, u * v]
    }

    /// The surface of the first `count` terms, by the normal equations; `None` if they are singular.
    fn fitted(&self, count: usize) -> Option<[[f64; 3]; TERMS]> {
        let mut rows = [[0.0; TERMS + 3]; TERMS];
        for point in &self.points {
            let terms = self.terms(point.x, point.y);
            let right = vector(point.position);
            for (row, term) in rows.iter_mut().zip(terms) {
                let columns = terms.iter().chain(&right);
                row.iter_mut().zip(columns).for_each(|(sum, value)| *sum += term * value);
            }
        }
        let least = SINGULAR * self.points.len() as f64;
        solve(rows.get_mut(..count)?, least)?;
        let mut surface = [[0.0; 3]; TERMS];
        for (coefficients, row) in surface.iter_mut().zip(rows).take(count) {
            let [.., a, b, c] = row;
            *coefficients = [a, b, c];
        }
        Some(surface)
    }
}

/// Solves as many equations as there are rows in place, by Gauss and Jordan with pivots: the right-hand sides, the last
/// three columns, become the solutions. `None` if a pivot is below `least`.
fn solve(rows: &mut [[f64; TERMS + 3]], least: f64) -> Option<()> {
    let at = |row: &[f64; TERMS + 3], column: usize| row.get(column).copied().unwrap_or(0.0);
    for column in 0..rows.len() {
        let pivot = (column..rows.len()).max_by(|&a, &b| {
            let size = |r: usize| rows.get(r).map_or(0.0, |row| at(row, column).abs());
            size(a).total_cmp(&size(b))
        })?;
        rows.swap(column, pivot);
        let mut leading = *rows.get(column)?;
        let scale = at(&leading, column);
        if scale.is_nan() || scale.abs() < least {
            return None;
        }
        leading.iter_mut().for_each(|value| *value /= scale);
        for (number, row) in rows.iter_mut().enumerate() {
            let times = at(row, column);
            if number == column {
                *row = leading;
            } else {
                row.iter_mut().zip(leading).for_each(|(value, lead)| *value -= times * lead);
            }
        }
    }
    Some(())
}

/// Middle and half extent; the latter 1 if there is none.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let reach = (high - low) / 2.0;
    (low.midpoint(high), if reach > 0.0 { reach } else { 1.0 })
}

/// The unit vector to a place: to latitude and longitude 0, to longitude 90 E, to the north pole.
fn vector(position: Position) -> [f64; 3] {
    let (latitude, longitude) = (position.latitude_deg.to_radians(), position.longitude_deg.to_radians());
    [cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tie(x: f64, y: f64, latitude_deg: f64, longitude_deg: f64) -> TiePoint {
        TiePoint { x, y, position: Position { latitude_deg, longitude_deg } }
    }

    fn near(found: Position, latitude_deg: f64, longitude_deg: f64, least_deg: f64) -> bool {
        (found.latitude_deg - latitude_deg).abs() < least_deg
            && (found.longitude_deg - longitude_deg).abs() < least_deg
    }

    #[test]
    fn four_corners_are_met_and_the_middle_is_between() {
        let corners = [
            tie(1.0, 1.0, 36.25, -118.5),
            tie(513.0, 1.0, 36.26, -118.4),
            tie(1.0, 1025.0, 36.15, -118.48),
            tie(513.0, 1025.0, 36.16, -118.38),
        ];
        let ties = TiePoints::new(corners.to_vec()).unwrap();
        for p in corners {
            let found = ties.position(p.x, p.y).unwrap();
            assert!(near(found, p.position.latitude_deg, p.position.longitude_deg, 1e-12), "{found:?}");
        }
        let middle = ties.position(257.0, 513.0).unwrap();
        assert!(near(middle, 36.205, -118.44, 2e-5), "{middle:?}");
    }

    #[test]
    fn many_points_are_fitted_and_a_bent_row_of_them_by_a_plane() {
        let points: Vec<_> = (0..20_u8)
            .map(|i| {
                let (x, y, noise) =
                    (f64::from(i % 5) * 50.0, f64::from(i / 5) * 90.0, f64::from(i % 3) - 1.0);
                tie(x, y, 10.0 - y * 1e-4 + noise * 1e-6, 20.0 + x * 1e-4)
            })
            .collect();
        let found = TiePoints::new(points).unwrap().position(101.0, 133.0).unwrap();
        assert!(near(found, 10.0 - 133.0e-4, 20.0 + 101.0e-4, 3e-6), "{found:?}");
        let three = [tie(0.0, 0.0, 1.0, 1.0), tie(9.0, 0.0, 1.0, 1.9), tie(0.0, 9.0, 0.1, 1.0)];
        let plane = TiePoints::new([three.as_slice(), &three[..1]].concat()).unwrap();
        assert!(near(plane.position(9.0, 9.0).unwrap(), 0.1, 1.9, 1e-3), "{plane:?}");
        let line = (0..6_u8).map(|i| tie(f64::from(i), f64::from(i), 1.0, 1.0)).collect();
        assert_eq!(TiePoints::new(line), None);
        assert_eq!(TiePoints::new(three.to_vec()), None);
    }

    #[test]
    fn the_antimeridian_and_the_pole_are_places_like_others() {
        let over = [
            tie(1.0, 1.0, 0.5, 179.5),
            tie(11.0, 1.0, 0.5, -179.5),
            tie(1.0, 11.0, -0.5, 179.5),
            tie(11.0, 11.0, -0.5, -179.5),
        ];
        let middle = TiePoints::new(over.to_vec()).unwrap().position(6.0, 6.0).unwrap();
        assert!(middle.latitude_deg.abs() < 1e-9 && (middle.longitude_deg.abs() - 180.0).abs() < 1e-9);
        let pole = [
            tie(1.0, 1.0, 89.0, 0.0),
            tie(11.0, 1.0, 89.0, 90.0),
            tie(11.0, 11.0, 89.0, 180.0),
            tie(1.0, 11.0, 89.0, -90.0),
        ];
        let middle = TiePoints::new(pole.to_vec()).unwrap().position(6.0, 6.0).unwrap();
        assert!((middle.latitude_deg - 90.0).abs() < 1e-9, "{middle:?}");
    }

    proptest! {
        #[test]
        fn no_points_panic(points in proptest::collection::vec(
            (-1e10..1e10_f64, prop_oneof![Just(0.0), Just(f64::NAN), -1e9..1e9_f64], -90.0..90.0_f64, -180.0..180.0_f64), 0..12
        ), x in proptest::num::f64::ANY) {
            let points = points.into_iter().map(|(x, y, a, b)| tie(x, y, a, b)).collect();
            if let Some(ties) = TiePoints::new(points) {
                let _any = (ties.position(x, x), ties.shifted(5.0, 7.0).position(1.0, x));
            }
        }
    }
}
