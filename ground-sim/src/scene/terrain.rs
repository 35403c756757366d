//! Where the sun stands, and how it lights the slopes.

use super::fields::{Seeded, f32_of, purpose, smooth};
use super::params::SceneParams;

/// The sun over a scene. Directions in the image: lines grow downward, samples to the right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sun {
    pub(super) elevation_deg: f64,
    /// Clockwise from the top of the image.
    pub(super) azimuth_deg: f64,
}

/// The unit vector (down, right) of a direction clockwise from the top.
pub(super) fn toward(deg: f64) -> (f64, f64) {
    let (sin, cos) = libm::sincos(deg.to_radians());
    (-cos, sin)
}

impl Sun {
    pub(super) fn new(params: &SceneParams) -> Self {
        let drawn = Seeded::new(params.seed, purpose::WEATHER).between(90.0, 270.0);
        let azimuth_deg = params.sun_azimuth_deg.unwrap_or(drawn);
        Self { elevation_deg: params.sun_elevation_deg, azimuth_deg }
    }

    /// How far (lines, samples) the shadow of something this high falls.
    pub(super) fn shadow_px(&self, height_m: f64, pixel_m: f64) -> (f64, f64) {
        let length = height_m / libm::tan(self.elevation_deg.to_radians()) / pixel_m;
        let (down, right) = toward(self.azimuth_deg);
        (-down * length, -right * length)
    }

    /// Direct light on each pixel, 1 on the flat: the cosine of the angle between the sun and the slope over that of
    /// flat ground, on a random terrain whose slopes (rise over run, each way) have the standard deviation `relief`.
    pub(super) fn shading(&self, params: &SceneParams) -> Vec<f32> {
        let (lines, samples) = (params.lines, params.samples);
        if params.relief <= 0.0 {
            return vec![1.0; lines * samples];
        }
        let mut random = Seeded::new(params.seed, purpose::TERRAIN);
        let height = smooth((lines + 1, samples + 1), 48.0, 5, &mut random);
        let at = |y: usize, x: usize| height[y * (samples + 1) + x];
        let slopes: Vec<(f64, f64)> = (0..lines * samples)
            .map(|i| (i / samples, i % samples))
            .map(|(y, x)| (at(y + 1, x) - at(y, x), at(y, x + 1) - at(y, x)))
            .collect();
        let power: f64 = slopes.iter().map(|(a, b)| a * a + b * b).sum::<f64>() / (2 * slopes.len()) as f64;
        let scale = params.relief / power.sqrt().max(1e-12);
        let (sin, cos) = libm::sincos(self.elevation_deg.to_radians());
        let (down, right) = toward(self.azimuth_deg);
        slopes
            .iter()
            .map(|(a, b)| {
                let (a, b) = (a * scale, b * scale);
                // The normal leans to where the ground falls.
                let cosine = (sin - cos * (a * down + b * right)) / (1.0 + a * a + b * b).sqrt();
                f32_of((cosine / sin).clamp(0.0, 3.0))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_falls_away_from_the_sun_as_far_as_its_height_says() {
        // In the east (right), 45 degrees high: to the left, as far as it is high.
        let (down, right) = Sun { elevation_deg: 45.0, azimuth_deg: 90.0 }.shadow_px(800.0, 8.0);
        assert!(down.abs() < 1e-9 && (right + 100.0).abs() < 1e-9, "{down} {right}");
        // In the south (below), 30 degrees high: upward.
        let (down, right) = Sun { elevation_deg: 30.0, azimuth_deg: 180.0 }.shadow_px(800.0, 8.0);
        assert!((down + 173.205).abs() < 1e-3 && right.abs() < 1e-9, "{down} {right}");
    }

    #[test]
    fn flat_ground_is_lit_evenly_and_slopes_are_not() {
        let params = SceneParams { relief: 0.0, ..SceneParams::default() };
        assert!(Sun::new(&params).shading(&params).iter().all(|v| (v - 1.0).abs() < 1e-6));
        let params = SceneParams { relief: 0.1, ..SceneParams::default() };
        let light = Sun::new(&params).shading(&params);
        let mean = light.iter().sum::<f32>() / light.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert!(light.iter().any(|v| *v > 1.1) && light.iter().any(|v| *v < 0.9));
    }
}
