use passband_spectral::Class;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{Params, Triage, triage};

use super::*;

fn look(scene: &Scene) -> Triage {
    let cube = Cube::new(scene.header.clone(), scene.data.as_slice()).unwrap();
    triage(&cube, &Target::ch4(), &p()).unwrap()
}
fn p() -> Params {
    let mut p = Params::default();
    if let Ok(v) = std::env::var("SEED") {
        p.seed_sigma = v.parse().unwrap();
    }
    p
}

#[test]
#[ignore = "a survey, for tuning"]
fn survey() {
    for (plume, cloud) in
        [(Some(6000.0), 0.05), (Some(2500.0), 0.0), (Some(1500.0), 0.0), (None, 0.1), (None, 0.9)]
    {
        for seed in 0..8 {
            let params = SceneParams {
                seed: 100 + seed,
                plume_ppm_m: plume,
                cloud_fraction: cloud,
                ..Default::default()
            };
            let scene = generate(&params).unwrap();
            let start = std::time::Instant::now();
            let r = look(&scene).report;
            println!(
                "{plume:?} {cloud} seed {seed}: {} p={:.3} noise={:?} cloud={:.2} dark={:.2} strip={:.1} {:?} {:?}",
                r.class,
                r.probability,
                r.noise_ppm_m,
                r.quality.cloud_fraction,
                r.quality.dark_fraction,
                r.quality.striping_per_mille,
                r.quality.flags,
                start.elapsed()
            );
            for d in r.detections.iter().take(4) {
                let inside = |v: &[f32]| -> f32 {
                    let _ = v;
                    0.0
                };
                let _ = inside;
                println!(
                    "    p={:.3} peak={:.0} mean={:.0} px={} snr={:.1} match={:.2} contrast={:.2} at {:?}",
                    d.probability,
                    d.peak_ppm_m,
                    d.mean_ppm_m,
                    d.pixels,
                    d.snr,
                    d.spectral_match,
                    d.contrast,
                    d.centroid
                );
            }
        }
    }
}
