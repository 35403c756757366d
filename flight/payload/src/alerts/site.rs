//! Whether two alerts speak of one site.

use passband_proto::alert::Position;

use crate::store::AlertRecord;

/// Mean radius of the Earth, m (IUGG's R₁ of GRS 80: Moritz, Geodetic Reference System 1980, J. Geodesy 74, 2000).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Whether two alerts speak of the same gas at places that lie no farther apart than `within_m`; 0, or an alert
/// without a place: no.
pub(super) fn is_same(a: &AlertRecord, b: &AlertRecord, within_m: u32) -> bool {
    let (Some(from), Some(to)) = (a.position, b.position) else { return false };
    within_m > 0 && a.gas == b.gas && distance_m(from, to) <= f64::from(within_m)
}

/// The distance of two places that lie near each other, m: on a plane that touches the sphere between them.
fn distance_m(a: Position, b: Position) -> f64 {
    let radians = |e7: f64| (e7 * 1e-7).to_radians();
    let north = radians(f64::from(a.lat_e7) - f64::from(b.lat_e7));
    let middle = radians(f64::midpoint(f64::from(a.lat_e7), f64::from(b.lat_e7)));
    let turn_e7 = 3.6e9;
    let east_e7 = (f64::from(a.lon_e7) - f64::from(b.lon_e7)).abs() % turn_e7;
    let east = radians(east_e7.min(turn_e7 - east_e7)) * middle.cos();
    EARTH_RADIUS_M * north.hypot(east)
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[expect(clippy::cast_possible_truncation, reason = "degrees fit")]
    fn at(lat: f64, lon: f64) -> AlertRecord {
        let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
        AlertRecord { position: Some(Position { lat_e7: e7(lat), lon_e7: e7(lon) }), ..alert(1, 990) }
    }

    #[test]
    fn distances_are_right_also_across_the_date_line_and_near_a_pole() {
        for (a, b, metres) in [
            ((0.0, 0.0), (0.0, 0.001), 111.195),
            ((31.9, -102.0), (31.901, -102.0), 111.195),
            ((60.0, 10.0), (60.0, 10.001), 55.597),
            ((-17.0, 179.9995), (-17.0, -179.9995), 106.336),
            ((89.9999, 0.0), (89.9999, 90.0), 17.5),
        ] {
            let of = |(lat, lon)| at(lat, lon).position.unwrap();
            let distance = distance_m(of(a), of(b));
            assert!((distance - metres).abs() < 0.05, "{a:?} {b:?}: {distance}");
        }
    }

    #[test]
    fn a_site_is_a_gas_at_a_place() {
        let (a, near, far) = (at(31.9, -102.0), at(31.903, -102.0), at(31.91, -102.0));
        assert!(is_same(&a, &near, 500) && !is_same(&a, &far, 500) && is_same(&a, &far, 2_000));
        assert!(!is_same(&a, &a, 0), "switched off");
        assert!(!is_same(&a, &AlertRecord { gas: "co2".into(), ..near.clone() }, 500));
        assert!(!is_same(&a, &AlertRecord { position: None, ..near }, 500));
    }
}
