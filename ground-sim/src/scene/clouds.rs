//! Clouds: a smooth random field above a threshold that gives the wanted cover.

use super::fields::{Seeded, f32_of, index_of, smooth};

/// Field units from the first wisp to full opacity.
const EDGE: f64 = 0.25;

/// Opacity of each pixel, 0 to 1; about `fraction` of them are at least half covered.
pub(super) fn opacity(shape: (usize, usize), fraction: f64, random: &mut Seeded) -> Vec<f32> {
    if fraction <= 0.0 {
        return vec![0.0; shape.0 * shape.1];
    }
    let field = smooth(shape, 36.0, 4, random);
    let mut sorted = field.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = index_of((1.0 - fraction) * sorted.len() as f64).min(sorted.len() - 1);
    let threshold = sorted[rank];
    field.iter().map(|v| f32_of(((v - threshold) / EDGE + 0.5).clamp(0.0, 1.0))).collect()
}

/// Reflectance of a water cloud: bright and white up to 1 µm, darker beyond, with water's own absorption.
pub(super) fn reflectance(nm: f64) -> f64 {
    let dip = |centre: f64, width: f64, depth: f64| {
        let off = (nm - centre) / width;
        depth * libm::exp(-off * off)
    };
    let fall = 0.28 / (1.0 + libm::exp(-(nm - 1500.0) / 220.0));
    0.72 - fall - dip(1470.0, 70.0, 0.12) - dip(1960.0, 80.0, 0.2)
}
