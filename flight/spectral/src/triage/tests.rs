use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Class;
use crate::envi::{DataType, Header};
use crate::quicklook::{QuicklookParams, quicklook_png};

/// The shared test data, if it is there.
fn real(name: &str) -> Option<Cube<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let header = std::fs::read(folder.join(format!("{name}.hdr"))).ok();
    let data =
        [format!("{name}.bil"), name.to_owned()].iter().find_map(|n| std::fs::read(folder.join(n)).ok());
    let (Some(header), Some(data)) = (header, data) else {
        println!("skipped: no {name} in {}", folder.display());
        return None;
    };
    Some(Cube::new(Header::parse(&String::from_utf8_lossy(&header)).unwrap(), data).unwrap())
}

#[test]
fn a_real_scene_without_a_plume_is_no_alert() {
    let Some(cube) = real("jasper_ridge/jasper_ridge") else { return };
    let result = triage(&cube, &Target::ch4(), &Params::default(), &mut NoMaps).unwrap();
    println!("{:#?}", result.report);
    assert_eq!(result.report.class, Class::Routine);
}

#[test]
fn a_raw_frame_of_three_lines_without_wavelengths_is_told_apart_from_an_error() {
    let Some(cube) = real("instrument/emit20220305t002444_subset_raw") else { return };
    let report = triage(&cube, &Target::ch4(), &Params::default(), &mut NoMaps).unwrap().report;
    assert_eq!((report.class, report.lines, report.samples), (Class::Routine, 3, 1280));
    assert!(report.quality.flags.contains(&Flag::NoWavelengths), "{report:?}");
    assert!(report.window_nm.is_none() && !report.reason.is_empty());
}

/// A cube of f32 radiance over 400 to 2500 nm.
fn radiance(samples: usize, lines: usize, bands: usize, value: impl Fn(usize) -> f32) -> Cube<Vec<u8>> {
    let mut header = Header::new(samples, lines, bands, DataType::F32);
    let step = 2100.0 / (bands.max(2) - 1) as f64;
    header.wavelengths_nm = Some((0..bands).map(|b| 400.0 + step * b as f64).collect());
    let data = (0..samples * lines * bands).flat_map(|i| value(i).to_le_bytes()).collect();
    Cube::new(header, data).unwrap()
}

/// Looks at a cube and draws it: whatever it holds, both must give something.
fn look(cube: &Cube<Vec<u8>>) -> Report {
    let mut maps = Maps::default();
    let result = triage(cube, &Target::ch4(), &Params::default(), &mut maps).unwrap();
    let pixels = cube.header().samples * cube.header().lines;
    assert_eq!(maps.enhancement_ppm_m.len(), pixels);
    assert_eq!([maps.sigma_ppm_m.len(), maps.score.len(), maps.mask.len()], [pixels; 3]);
    let png = quicklook_png(cube, &result, &QuicklookParams::default()).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert!((0.0..=1.0).contains(&result.report.probability), "{:?}", result.report);
    result.report
}

#[test]
fn degenerate_frames_give_a_result_without_a_plume() {
    let noisy = |i: usize| 5.0 + ((i * 7919) % 101) as f32 * 0.01;
    for (what, cube) in [
        ("constant", radiance(40, 40, 120, |_| 3.0)),
        ("zero", radiance(40, 40, 120, |_| 0.0)),
        ("not a number", radiance(40, 40, 120, |_| f32::NAN)),
        ("infinite", radiance(40, 40, 120, |_| f32::INFINITY)),
        ("negative", radiance(40, 40, 120, |i| -noisy(i))),
        ("one line", radiance(400, 1, 120, noisy)),
        ("one column", radiance(1, 400, 120, noisy)),
        ("one pixel", radiance(1, 1, 120, noisy)),
        ("one band", radiance(40, 40, 1, noisy)),
        ("noise", radiance(60, 60, 120, noisy)),
    ] {
        let report = look(&cube);
        assert!(report.detections.is_empty(), "{what}: {report:?}");
        assert!(matches!(report.class, Class::Routine | Class::DiscardCandidate), "{what}: {report:?}");
    }
}

#[test]
fn bands_out_of_order_give_the_same_verdict() {
    let cube = radiance(32, 48, 100, |i| 4.0 + ((i * 6271) % 97) as f32 * 0.02);
    let (header, bands) = (cube.header().clone(), 100);
    let mut turned = header.clone();
    turned.wavelengths_nm = header.wavelengths_nm.map(|mut w| {
        w.reverse();
        w
    });
    let row = 32 * 4;
    let lines = cube.data().chunks_exact(row * bands);
    let data: Vec<u8> = lines.flat_map(|line| line.chunks_exact(row).rev().flatten().copied()).collect();
    let other = Cube::new(turned, data).unwrap();
    assert_eq!(look(&cube).class, look(&other).class);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_cube_makes_it_panic(
        samples in 1_usize..20, lines in 1_usize..20, bands in 1_usize..40, seed: u64, wild: bool,
    ) {
        let cube = radiance(samples, lines, bands, |i| {
            let bits = (i as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let bits = u32::try_from(bits).unwrap();
            if wild { f32::from_bits(bits) } else { (bits % 4096) as f32 }
        });
        look(&cube);
    }
}
