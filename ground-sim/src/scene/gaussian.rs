//! The plain plume of `--plume PPM_M`: a Gaussian that widens down the wind, meanders, and is torn by turbulence; its
//! strength is a column, not a rate.

use super::fields::{Seeded, smooth};

/// Methane column of each pixel, ppm·m; `strength` is that of the axis at the source, before turbulence.
pub(super) fn column(shape: (usize, usize), strength: f64, random: &mut Seeded) -> Vec<f64> {
    let (lines, samples) = shape;
    let source = (random.between(0.3, 0.7) * lines as f64, random.between(0.3, 0.7) * samples as f64);
    let (sin, cos) = libm::sincos(random.between(0.0, core::f64::consts::TAU));
    let phase = random.between(0.0, core::f64::consts::TAU);
    let turbulence = smooth(shape, 10.0, 3, random);
    if strength <= 0.0 {
        return vec![0.0; lines * samples];
    }
    (0..lines * samples)
        .map(|index| {
            let (y, x) = ((index / samples) as f64 - source.0, (index % samples) as f64 - source.1);
            let (along, across) = (y * sin + x * cos, y * cos - x * sin);
            strength * shape_at(along, across, phase) * (1.0 + 0.45 * turbulence[index]).clamp(0.1, 2.0)
        })
        .map(|column| if column < 1.0 { 0.0 } else { column })
        .collect()
}

/// The plume's shape, 1 on the axis at the source; distances in pixels, `along` down the wind.
fn shape_at(along: f64, across: f64, phase: f64) -> f64 {
    /// Half width at the source, and how it grows (Pasquill class C, roughly, at 8 m a pixel).
    const WIDTH: f64 = 1.6;
    const GROWTH: f64 = 0.14;
    /// Length over which the plume is mixed away.
    const LENGTH: f64 = 60.0;
    let down = along.max(0.0);
    let width = WIDTH + GROWTH * down;
    // Upwind of the source it ends within a pixel or two.
    let front = if along < 0.0 { libm::exp(-along * along / (2.0 * WIDTH)) } else { 1.0 };
    let meander = 0.35 * width * libm::sin(down / 9.0 + phase) * (1.0 - libm::exp(-down / 10.0));
    let off = (across - meander) / width;
    front * WIDTH / width * libm::exp(-off * off / 2.0) * libm::exp(-down / LENGTH)
}
