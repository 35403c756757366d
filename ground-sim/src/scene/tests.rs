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

/// Values of one band as radiance.
fn radiance(scene: &Scene, band: usize) -> Vec<f64> {
    let cube = Cube::new(scene.header.clone(), scene.data.clone()).unwrap();
    let mut values = Vec::new();
    cube.lines_f32(0, scene.header.lines, &[band], &mut values).unwrap();
    let (gain, offset) = scene.header.scale(band);
    values.iter().map(|v| f64::from(*v) * gain + offset).collect()
}

fn small() -> SceneParams {
    SceneParams { samples: 96, lines: 96, striping: 0.0, ..SceneParams::default() }
}

#[test]
fn noise_has_the_variance_of_its_model() {
    let quiet = SceneParams { noise: 0.0, f32_radiance: true, ..small() };
    let noisy = SceneParams { noise: 1.0, ..quiet.clone() };
    let (quiet, scene) = (generate(&quiet).unwrap(), generate(&noisy).unwrap());
    let shapes = instrument::bands(&noisy);
    for band in [5, 40, 80, 110] {
        let [a, b, c] = NoiseModel::Emit.at(shapes[band].centre_nm, shapes[band].spacing_nm);
        let pairs = radiance(&scene, band).into_iter().zip(radiance(&quiet, band));
        let squares: Vec<f64> = pairs
            .map(|(noisy, light)| (noisy - light) / (a * (b + light).max(0.0).sqrt() + c).abs())
            .map(|z| z * z)
            .collect();
        let variance = squares.iter().sum::<f64>() / squares.len() as f64;
        assert!((variance - 1.0).abs() < 0.05, "band {band}: {variance}");
    }
}

#[test]
fn smile_shifts_the_lines_by_as_much_as_it_says() {
    // What a column sees is what an instrument without smile sees whose bands lie where that column's do.
    let plain = SceneParams {
        noise: 0.0,
        f32_radiance: true,
        relief: 0.0,
        plume_ppm_m: Some(8000.0),
        bands: Some(701),
        ..small()
    };
    let smiling = SceneParams { smile_nm: 1.5, bands_nm: Some(vec![[1990.0, 2100.0]]), ..plain.clone() };
    let seen = generate(&smiling).unwrap();
    let straight = generate(&SceneParams { smile_nm: 0.0, ..smiling.clone() }).unwrap();
    let nm = straight.header.wavelengths_nm.clone().unwrap();
    assert_eq!(seen.header.wavelengths_nm.as_ref(), Some(&nm), "the header keeps the nominal centres");
    // Around the carbon dioxide lines at 2.0 µm: the shift that fits best.
    let mean = |scene: &Scene, sample: usize| -> Vec<f64> {
        let of = |band| radiance(scene, band).into_iter().skip(sample).step_by(96).sum::<f64>();
        (0..nm.len()).map(of).collect()
    };
    for (sample, expected) in [(0, 1.5), (95, 1.5), (47, -1.5), (14, 0.0)] {
        let (seen, straight) = (mean(&seen, sample), mean(&straight, sample));
        let misfit = |shift: f64| -> f64 {
            let at = |n: usize| {
                let place = n as f64 + shift / (nm[1] - nm[0]);
                let low = fields::index_of(place);
                straight[low] + (straight[low + 1] - straight[low]) * (place - low as f64)
            };
            (1..nm.len() - 2).map(|n| (at(n) - seen[n]).powi(2)).sum()
        };
        let shifts: Vec<f64> = (-30..=30).map(|n| f64::from(n) * 0.1).collect();
        let best = shifts.iter().copied().min_by(|a, b| misfit(*a).total_cmp(&misfit(*b))).unwrap();
        assert!((best - expected).abs() < 0.25, "column {sample}: {best} for {expected}");
    }
}

#[test]
fn a_plume_takes_as_much_light_as_its_column_says() {
    let clean = SceneParams { noise: 0.0, f32_radiance: true, samples: 60, lines: 60, ..small() };
    let leak = SceneParams { plumes: vec![PlumeParams::of_rate(2000.0)], ..clean.clone() };
    let (clean, leak) = (generate(&clean).unwrap(), generate(&leak).unwrap());
    let shapes = instrument::bands(&SceneParams::default());
    for (band, shape) in shapes.iter().enumerate().filter(|(n, _)| n % 7 == 0) {
        let growth = gas::Growth::of_band(shape.centre_nm, shape.fwhm_nm);
        let pairs = radiance(&leak, band).into_iter().zip(radiance(&clean, band));
        for ((with, without), ppm_m) in pairs.zip(&leak.truth_ppm_m) {
            let tau = f64::from(growth.transmittance(&gas::Column::new(f64::from(*ppm_m))));
            // Path radiance is not dimmed: between the light times the transmittance and the light.
            assert!(with <= without * (1.0 + 1e-5) && with >= without * tau * (1.0 - 1e-5), "band {band}");
        }
    }
    let told = &leak.truth.plumes[0];
    let most = leak.truth_ppm_m.iter().copied().fold(0.0, f32::max);
    assert!((f64::from(most) - told.max_ppm_m).abs() < 1.0 && told.pixels >= told.visible_pixels);
    let mass: f64 = leak.truth_ppm_m.iter().map(|c| f64::from(*c) * KG_M2_PER_PPM_M * 64.0).sum();
    assert!((mass / told.ime_kg - 1.0).abs() < 1e-5);
}

#[test]
fn faults_are_where_and_as_many_as_the_record_says() {
    let params =
        SceneParams { dropped_share: 0.05, dead_share: 0.02, cloud_fraction: 0.3, lines: 100, ..small() };
    let scene = generate(&params).unwrap();
    assert_eq!(scene.truth.faults.dropped_lines, 5);
    let row = 96 * 2;
    let empty = |line: usize| scene.data[line * 125 * row..(line + 1) * 125 * row].iter().all(|b| *b == 0);
    assert_eq!((0..100).filter(|l| empty(*l)).count(), 5);
    for line in 0..100 {
        assert_eq!(scene.mask[line * 96] & mask::BAD != 0, empty(line), "line {line}");
    }
    // A dead element gives the same all the way down.
    let value = |line: usize, at: usize| &scene.data[(line * 125 * 96 + at) * 2..][..2];
    let good: Vec<usize> = (0..100).filter(|l| !empty(*l)).collect();
    let dead = (0..125 * 96).filter(|at| good.iter().all(|l| value(*l, *at) == value(good[0], *at))).count();
    assert!((180..300).contains(&dead), "{dead} of {}", 125 * 96);
    assert!((scene.truth.cloud_fraction - 0.3).abs() < 0.02, "{}", scene.truth.cloud_fraction);
    assert!(scene.truth.shadow_fraction > 0.02);
}

#[test]
fn any_cover_from_none_to_all_is_kept() {
    for cover in [0.0, 0.01, 0.5, 0.95, 1.0] {
        let scene = generate(&SceneParams { cloud_fraction: cover, ..small() }).unwrap();
        assert!(
            (scene.truth.cloud_fraction - cover).abs() < 0.01,
            "{} for {cover}",
            scene.truth.cloud_fraction
        );
    }
}

#[test]
fn a_part_of_the_bands_is_the_same_as_in_the_whole_frame() {
    let whole = SceneParams { dead_share: 0.02, hot_share: 0.02, smile_nm: 0.4, striping: 0.01, ..small() };
    let part = SceneParams { bands_nm: Some(vec![[2200.0, 2300.0]]), ..whole.clone() };
    let (whole, part) = (generate(&whole).unwrap(), generate(&part).unwrap());
    let nm = part.header.wavelengths_nm.clone().unwrap();
    let all = whole.header.wavelengths_nm.clone().unwrap();
    assert_eq!(nm.len(), 11);
    for (band, nm) in nm.iter().enumerate() {
        let same = all.iter().position(|w| (w - nm).abs() < 1e-9).unwrap();
        assert_eq!(radiance(&part, band), radiance(&whole, same));
    }
    assert!(generate(&SceneParams { bands_nm: Some(vec![[1.0, 2.0]]), ..small() }).is_err());
}

#[test]
fn a_varied_scene_holds_what_was_drawn() {
    let set = VariedParams { samples: 48, lines: 40, plume_share: 1.0, ..VariedParams::default() };
    for nth in 0..6 {
        let params = varied(3, nth, &set);
        let scene = generate(&params).unwrap();
        assert_eq!(scene.truth.plumes.len(), params.plumes.len());
        assert_eq!((scene.header.bands, scene.header.lines, scene.mask.len()), (300, 40, 48 * 40));
        let text = header_text(&scene.header, &scene.truth);
        assert!(Header::parse(&text).unwrap().notes.is_empty());
        assert!(text.contains("pixel size = {8, 8, units=Meters}\nwind speed = "));
    }
}

#[test]
fn shadows_lie_where_the_sun_throws_them() {
    // The sun in the east (right), 45 degrees high; clouds 400 m up: 50 pixels to the left.
    let params = SceneParams {
        cloud_fraction: 0.25,
        cloud_height_m: Some(400.0),
        sun_elevation_deg: 45.0,
        sun_azimuth_deg: Some(90.0),
        ..small()
    };
    let scene = generate(&params).unwrap();
    let (mut shadow, mut under_none) = (0, 0);
    for at in (0..96 * 96).filter(|at| at % 96 < 46 && scene.mask[*at] & mask::SHADOW != 0) {
        shadow += 1;
        under_none += u32::from(scene.mask[at + 50] & mask::CLOUD == 0);
    }
    assert!(shadow > 50, "{shadow}");
    assert_eq!(under_none, 0, "each shadow has its cloud");
    // And it is dark: in the infrared, where the sky gives little light.
    let nir = radiance(&scene, 100);
    let mean = |test: &dyn Fn(u8) -> bool| {
        let of: Vec<f64> = (0..96 * 96).filter(|at| test(scene.mask[*at])).map(|at| nir[at]).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!(mean(&|m| m == mask::SHADOW) < 0.5 * mean(&|m| m == 0));
}

#[test]
fn the_bytes_are_those_of_every_other_machine() {
    use sha2::{Digest, Sha256};
    let set =
        VariedParams { samples: 40, lines: 32, bands: Some(60), plume_share: 1.0, ..VariedParams::default() };
    let mut all = Sha256::new();
    for nth in 0..8 {
        let scene = generate(&varied(11, nth, &set)).unwrap();
        all.update(&scene.data);
        scene.truth_ppm_m.iter().for_each(|v| all.update(v.to_le_bytes()));
        all.update(&scene.mask);
        all.update(serde_json::to_string(&scene.truth).unwrap());
    }
    // Changes with the generator, never with the machine or the build.
    assert_eq!(
        crate::station::hex(&all.finalize()),
        "558ef70092fcaad66e62aab6eadd4c8ee364820527601fc0b8522584665a89a0"
    );
}
