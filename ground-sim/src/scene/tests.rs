use passband_spectral::Class;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{NoMaps, Params, Report, triage};

use super::*;

fn report(params: &SceneParams) -> Report {
    let scene = generate(params).unwrap();
    let cube = Cube::new(scene.header, scene.data).unwrap();
    triage(&cube, &Target::ch4(), &Params::default(), &mut NoMaps).unwrap().report
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let params = SceneParams { samples: 40, lines: 30, plume_ppm_m: Some(3000.0), ..SceneParams::default() };
    let scene = generate(&params).unwrap();
    assert_eq!(generate(&params).unwrap(), scene);
    assert_ne!(generate(&SceneParams { seed: 2, ..params }).unwrap().data, scene.data);
    assert_eq!(scene.data.len() as u64, scene.header.data_bytes());
    assert_eq!(scene.truth_ppm_m.len(), 40 * 30);
    assert!(scene.truth_ppm_m.iter().any(|c| *c > 1000.0));
}

#[test]
fn strong_plumes_are_found_and_clean_ground_raises_no_alert() {
    let (mut found, mut false_alerts) = (0, 0);
    for seed in 1..=8 {
        let clean = SceneParams { seed, cloud_fraction: 0.05, ..SceneParams::default() };
        let leak = SceneParams { plume_ppm_m: Some(8000.0), ..clean.clone() };
        found += u32::from(report(&leak).class == Class::Alert);
        false_alerts += u32::from(report(&clean).class == Class::Alert);
    }
    assert!(found >= 7, "{found} of 8 strong plumes found");
    assert_eq!(false_alerts, 0);
}

#[test]
fn the_demo_set_shows_every_class() {
    let classes: Vec<Class> = demo_set(7).iter().map(|(_, params)| report(params).class).collect();
    assert_eq!(classes, [Class::Alert, Class::Suspect, Class::Routine, Class::DiscardCandidate]);
}

#[test]
fn parameters_out_of_range_are_refused() {
    let good = SceneParams::default();
    for bad in [
        SceneParams { samples: 0, ..good.clone() },
        SceneParams { lines: usize::MAX, ..good.clone() },
        SceneParams { cloud_fraction: f64::NAN, ..good.clone() },
        SceneParams { plume_ppm_m: Some(-1.0), ..good.clone() },
        SceneParams { striping: 2.0, ..good },
    ] {
        assert!(generate(&bad).is_err(), "{bad:?}");
    }
}
