//! Clouds, their shadows, and cirrus.
//!
//! A smooth random field above a threshold gives the wanted cover; its height above the threshold is the cloud's optical
//! thickness, so that edges are thin. The shadow is the same field, moved away from the sun by height ÷ tan(elevation).

use super::fields::{Seeded, f32_of, index_of, purpose, smooth};
use super::params::SceneParams;
use super::terrain::Sun;

/// Field units from the first wisp to where the light through it falls to 1/e twice.
const EDGE: f64 = 0.16;
/// Light that still comes through the thickest cloud, as a share of the direct sun.
const THROUGH: f32 = 0.12;

/// What hangs over a scene.
pub(super) struct Clouds {
    /// Opacity of each pixel, 0 to 1.
    pub(super) opacity: Vec<f32>,
    /// Brightness of the cloud around 1: its own shades.
    pub(super) bright: Vec<f32>,
    /// Direct sun that reaches the ground, 0 to 1.
    pub(super) sunlight: Vec<f32>,
    /// Reflectance of the cirrus over each pixel.
    pub(super) cirrus: Vec<f32>,
    /// Height of the clouds, m.
    pub(super) height_m: f64,
}

/// Lays out the clouds.
pub(super) fn clouds(params: &SceneParams, sun: &Sun) -> Clouds {
    let shape = (params.lines, params.samples);
    let pixels = params.pixels();
    let mut random = Seeded::new(params.seed, purpose::CLOUDS);
    let drawn = random.log_between(600.0, 3000.0);
    let height_m = params.cloud_height_m.unwrap_or(drawn);
    let mut clouds = Clouds {
        opacity: vec![0.0; pixels],
        bright: vec![1.0; pixels],
        sunlight: vec![1.0; pixels],
        cirrus: vec![0.0; pixels],
        height_m,
    };
    if params.cirrus > 0.0 {
        let field = smooth(shape, 60.0, 4, &mut Seeded::new(params.seed, purpose::CIRRUS));
        let veil = |v: &f64| f32_of(params.cirrus * (1.0 + 0.45 * v).clamp(0.0, 2.5));
        clouds.cirrus = field.iter().map(veil).collect();
    }
    if params.cloud_fraction <= 0.0 {
        return clouds;
    }
    // A margin all around: what shades the frame may float outside it.
    let offset = sun.shadow_px(height_m, params.pixel_m);
    let margin = |along: f64| index_of(along.abs().ceil()).min(512);
    let (up, left) = (margin(offset.0), margin(offset.1));
    let wide = (shape.0 + 2 * up, shape.1 + 2 * left);
    let size_px = (random.log_between(150.0, 1200.0) / params.pixel_m).clamp(6.0, 120.0);
    let field = smooth(wide, size_px, 6, &mut random);
    let shades = smooth(shape, 0.4 * size_px, 5, &mut random);
    let inside = |y: usize, x: usize| field[(y + up) * wide.1 + x + left];
    let mut sorted: Vec<f64> =
        (0..shape.0).flat_map(|y| (0..shape.1).map(move |x| (y, x))).map(|(y, x)| inside(y, x)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = index_of((1.0 - params.cloud_fraction) * sorted.len() as f64);
    // At full cover the threshold lies well below the lowest place.
    let threshold = if params.cloud_fraction >= 1.0 {
        sorted[0] - 8.0 * EDGE
    } else {
        sorted[rank.min(sorted.len() - 1)]
    };
    let opacity = |v: f64| {
        // ln 2: half covered at the threshold itself.
        let thickness = core::f64::consts::LN_2 + (v - threshold) / EDGE;
        f32_of(if thickness > 0.0 { 1.0 - libm::exp(-thickness) } else { 0.0 })
    };
    for (at, (cloud, light)) in clouds.opacity.iter_mut().zip(&mut clouds.sunlight).enumerate() {
        let (y, x) = (at / shape.1, at % shape.1);
        let here = inside(y, x);
        *cloud = opacity(here);
        // Thicker is brighter; the deck's own hills shade it.
        let thick = 1.0 - libm::exp(-((here - threshold) / EDGE).max(0.0) / 6.0);
        clouds.bright[at] = f32_of((0.72 + 0.3 * thick + 0.09 * shades[at]).clamp(0.5, 1.25));
        // The cloud that stands between this pixel and the sun.
        let (cy, cx) = (y as f64 + up as f64 - offset.0, x as f64 + left as f64 - offset.1);
        let row = index_of(cy.round().clamp(0.0, (wide.0 - 1) as f64));
        let column = index_of(cx.round().clamp(0.0, (wide.1 - 1) as f64));
        *light = 1.0 - (1.0 - THROUGH) * opacity(field[row * wide.1 + column]);
    }
    clouds
}

/// Reflectance of a water cloud: bright and white up to 1 µm, darker beyond, with water's own absorption.
pub(super) fn reflectance(nm: f64) -> f64 {
    let fall = 0.28 / (1.0 + libm::exp(-(nm - 1500.0) / 220.0));
    0.72 - fall - dip(nm, 1470.0, 70.0, 0.12) - dip(nm, 1960.0, 80.0, 0.2)
}

/// Reflectance of cirrus relative to its brightness in the visible: ice absorbs around 1.5 and 2 µm.
pub(super) fn ice(nm: f64) -> f64 {
    let fall = 0.45 / (1.0 + libm::exp(-(nm - 1450.0) / 120.0));
    (1.0 - fall - dip(nm, 1520.0, 90.0, 0.3) - dip(nm, 2020.0, 110.0, 0.35)).max(0.05)
}

fn dip(nm: f64, centre: f64, width: f64, depth: f64) -> f64 {
    let off = (nm - centre) / width;
    depth * libm::exp(-off * off)
}
