//! The reference passes were computed with Skyfield 1.55 and python-sgp4 2.27 (`find_events` over a day, precession and
//! nutation of the IAU, no refraction, no polar motion), from the same elements and stations.

use proptest::prelude::*;

use super::*;

const DAY_MS: u64 = 86_400_000;
const MAX_AGE_MS: u64 = 14 * DAY_MS;
/// 2026-11-27T00:00:00Z.
const START_MS: u64 = 1_795_737_600_000;

const STATIONS: &str = "
[[station]]
name = 'Svalbard'
latitude_deg = 78.2298
longitude_deg = 15.4078
altitude_m = 440
rate_bps = 200_000_000
[[station]]
name = 'Punta Arenas'
latitude_deg = -52.9351
longitude_deg = -70.8710
altitude_m = 25
min_elevation_deg = 10
[[station]]
name = 'Kourou'
latitude_deg = 5.2514
longitude_deg = -52.8047
altitude_m = 15
";

/// A sun-synchronous orbit 510 km high.
const SUN_SYNCHRONOUS: &str = "\
1 99001U 26001A   26329.50000000  .00000000  00000-0  21000-3 0    15\n\
2 99001  97.4300  33.7000 0012000  75.0000 285.1000 15.19000000    15\n";

#[rustfmt::skip]
const SUN_SYNCHRONOUS_PASSES: [(u64, u64, &str, f64); 22] = [
    (1_795_738_898_435, 1_795_739_183_355, "Kourou", 8.43),
    (1_795_740_147_588, 1_795_740_290_830, "Svalbard", 5.71),
    (1_795_743_748_499, 1_795_743_796_594, "Punta Arenas", 10.12),
    (1_795_744_410_547, 1_795_744_905_559, "Kourou", 24.84),
    (1_795_749_214_594, 1_795_749_676_006, "Punta Arenas", 85.09),
    (1_795_754_931_519, 1_795_755_164_986, "Punta Arenas", 13.6),
    (1_795_757_415_670, 1_795_757_635_735, "Svalbard", 6.78),
    (1_795_763_063_290, 1_795_763_466_711, "Svalbard", 13.07),
    (1_795_768_720_514, 1_795_769_226_464, "Svalbard", 25.39),
    (1_795_774_375_254, 1_795_774_926_220, "Svalbard", 53.0),
    (1_795_780_022_162, 1_795_780_578_652, "Svalbard", 78.73),
    (1_795_782_410_623, 1_795_782_637_817, "Punta Arenas", 13.34),
    (1_795_785_656_929, 1_795_786_201_818, "Svalbard", 49.93),
    (1_795_786_912_665, 1_795_787_456_250, "Kourou", 47.36),
    (1_795_787_894_092, 1_795_788_357_960, "Punta Arenas", 87.84),
    (1_795_791_278_300, 1_795_791_816_420, "Svalbard", 43.11),
    (1_795_793_745_554, 1_795_793_849_774, "Punta Arenas", 10.59),
    (1_795_796_893_071, 1_795_797_438_570, "Svalbard", 51.21),
    (1_795_802_517_976, 1_795_803_074_278, "Svalbard", 82.36),
    (1_795_808_173_700, 1_795_808_721_911, "Svalbard", 49.77),
    (1_795_813_877_917, 1_795_814_376_967, "Svalbard", 23.98),
    (1_795_819_642_903, 1_795_820_034_011, "Svalbard", 12.37),
];

/// The space station, from 2020-07-13T00:00:00Z.
#[rustfmt::skip]
const SPACE_STATION_PASSES: [(u64, u64, &str, f64); 8] = [
    (1_594_599_773_799, 1_594_599_920_855, "Kourou", 5.87),
    (1_594_635_416_075, 1_594_635_924_566, "Kourou", 87.68),
    (1_594_653_381_195, 1_594_653_736_071, "Punta Arenas", 26.86),
    (1_594_659_140_406, 1_594_659_551_173, "Punta Arenas", 64.5),
    (1_594_664_941_417, 1_594_665_352_004, "Punta Arenas", 64.07),
    (1_594_670_756_980, 1_594_671_110_267, "Punta Arenas", 26.46),
    (1_594_677_360_672, 1_594_677_789_032, "Kourou", 18.58),
    (1_594_683_178_264, 1_594_683_562_427, "Kourou", 13.93),
];

fn plan(windows: &str, elements: &str) -> PassPlan {
    let stations = parse_stations(STATIONS).unwrap();
    let elements = Elements::parse(elements).unwrap();
    PassPlan::new(parse_windows(windows).unwrap(), Some(&elements), &stations, MAX_AGE_MS).unwrap()
}

fn window(station: &str, aos_unix_ms: u64, los_unix_ms: u64) -> String {
    let (aos, los) = (aos_unix_ms as f64 / 1e3, los_unix_ms as f64 / 1e3);
    format!("[[window]]\nstation = '{station}'\naos = {aos:?}\nlos = {los:?}\n")
}

#[test]
fn predictions_agree_with_skyfield_to_half_a_second() {
    for (elements, start, expected) in [
        (SUN_SYNCHRONOUS, START_MS, &SUN_SYNCHRONOUS_PASSES[..]),
        (tle::tests::SAMPLE, 1_594_598_400_000, &SPACE_STATION_PASSES[..]),
    ] {
        let passes = plan("", elements).next(start, expected.len());
        assert_eq!(passes.len(), expected.len());
        for (pass, (aos, los, station, highest_deg)) in passes.iter().zip(expected) {
            assert_eq!(pass.station, *station, "{pass:?}");
            let near = |a: u64, b: u64| a.abs_diff(b) <= 500;
            assert!(near(pass.aos_unix_ms, *aos) && near(pass.los_unix_ms, *los), "{pass:?} {aos} {los}");
            assert!((pass.max_elevation_deg.unwrap() - highest_deg).abs() < 0.05, "{pass:?} {highest_deg}");
            assert_eq!((pass.source, pass.stale), (Source::Predicted, false));
            assert_eq!(pass.rate_bps, (*station == "Svalbard").then_some(200_000_000));
        }
    }
}

#[test]
fn the_same_passes_are_told_whenever_one_asks() {
    let plan = plan("", SUN_SYNCHRONOUS);
    let all = plan.next(START_MS, MAX_PASSES);
    assert_eq!(all.len(), MAX_PASSES);
    for minutes in (0..1440).step_by(7) {
        let now = START_MS + minutes * 60_000;
        let still: Vec<_> = all.iter().filter(|pass| pass.los_unix_ms > now).take(5).cloned().collect();
        assert_eq!(plan.next(now, 5), still, "{minutes} min on");
    }
    let current = &all[3];
    assert_eq!(plan.next(current.aos_unix_ms + 1, 1), std::slice::from_ref(current));
    assert_eq!(plan.next(current.los_unix_ms - 1, 1), std::slice::from_ref(current));
    assert_ne!(plan.next(current.los_unix_ms, 1), std::slice::from_ref(current));
}

#[test]
fn a_window_takes_the_place_of_what_it_overlaps_of_its_station() {
    let (aos, los, ..) = SUN_SYNCHRONOUS_PASSES[1];
    let mine = window("Svalbard", aos + 20_000, los - 20_000);
    let passes = plan(&mine, SUN_SYNCHRONOUS).next(START_MS, 22);
    let short: Vec<_> = passes.iter().map(|p| (p.station.as_str(), p.source, p.aos_unix_ms)).collect();
    assert_eq!(short[1], ("Svalbard", Source::Window, aos + 20_000));
    assert_eq!((passes.len(), short.iter().filter(|s| s.1 == Source::Window).count()), (22, 1));
    assert_eq!(passes[1].max_elevation_deg, None);
    let other = plan(&window("Kiruna", aos, los), SUN_SYNCHRONOUS).next(START_MS, 23);
    assert_eq!(other.iter().filter(|p| p.source == Source::Predicted).count(), 22, "another station's");
    let beside = plan(&window("Svalbard", los + 1000, los + 2000), SUN_SYNCHRONOUS).next(START_MS, 23);
    assert_eq!(beside.iter().filter(|p| p.source == Source::Predicted).count(), 22, "beside it");
}

#[test]
fn windows_alone_and_nothing_at_all() {
    assert_eq!(PassPlan::default().next(START_MS, 9), []);
    assert_eq!(PassPlan::default().status(0), PlanStatus::default());
    let windows = parse_windows(&[window("b", 5000, 6000), window("a", 1000, 5500)].concat()).unwrap();
    let plan = PassPlan::new(windows, None, &[], MAX_AGE_MS).unwrap();
    let at = |now| plan.next(now, 9).iter().map(|p| p.station.clone()).collect::<Vec<_>>();
    assert_eq!([at(0), at(5499), at(5500), at(6000)], [vec!["a", "b"], vec!["a", "b"], vec!["b"], vec![]]);
    assert_eq!((plan.next(0, 0).len(), plan.status(5500).windows), (0, 1));
}

#[test]
fn old_elements_are_used_and_marked() {
    let plan = plan("", SUN_SYNCHRONOUS);
    let epoch = plan.status(START_MS).epoch_unix_ms.unwrap();
    assert_eq!(epoch, 1_795_608_000_000);
    let passes = plan.next(epoch + MAX_AGE_MS - DAY_MS / 2, 22);
    let edge = epoch + MAX_AGE_MS;
    assert!(passes.iter().all(|pass| pass.stale == (pass.aos_unix_ms > edge)), "{passes:?}");
    assert!(passes.iter().any(|pass| pass.stale) && passes.iter().any(|pass| !pass.stale));
    assert!(!plan.status(edge).stale && plan.status(edge + 1).stale);
    let years_later = plan.next(epoch + 3000 * DAY_MS, 3);
    assert!(years_later.iter().all(|pass| pass.stale));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_orbit_gives_sound_passes_in_order(
        inclination_deg in 0.0..180.0_f64, eccentricity in 0.0..0.3_f64, mean_motion_per_day in 6.4..17.0_f64,
        angles in proptest::array::uniform3(0.0..360.0_f64), bstar in -0.001..0.001_f64, later_h in 0_u64..400,
        latitude_deg in -90.0..90.0_f64, min_elevation_deg in 0.0..89.0_f64
    ) {
        let elements = Elements {
            name: None, epoch_unix_us: START_MS * 1000, inclination_deg, raan_deg: angles[0], eccentricity,
            perigee_deg: angles[1], mean_anomaly_deg: angles[2], mean_motion_per_day, bstar,
        };
        let Ok(elements) = elements.checked(|_| None) else { return Ok(()) };
        let station = Station {
            name: "s".into(), latitude_deg, longitude_deg: 0.0, altitude_m: 0.0, min_elevation_deg, rate_bps: None,
        };
        let Ok(plan) = PassPlan::new(vec![], Some(&elements), &[station], MAX_AGE_MS) else { return Ok(()) };
        let now = START_MS + later_h * 3_600_000;
        let passes = plan.next(now, 10);
        prop_assert!(passes.len() <= 10 && passes.iter().all(|p| p.los_unix_ms > now));
        prop_assert!(passes.windows(2).all(|pair| pair[0].los_unix_ms <= pair[1].aos_unix_ms));
        for pass in &passes {
            prop_assert!(pass.aos_unix_ms < pass.los_unix_ms);
            prop_assert!(pass.max_elevation_deg.unwrap() >= min_elevation_deg - 0.1);
        }
    }
}
