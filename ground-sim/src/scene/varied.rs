//! Thousands of different scenes: every parameter drawn from a sensible range.
//!
//! The ranges are here and, as a table, in `SCENES.md`. Scene `nth` of a seed never depends on how many there are.

use super::fields::{Seeded, purpose};
use super::instrument::{Kind, NoiseModel};
use super::library::Split;
use super::params::{Confusers, PlumeParams, SceneParams};

/// What all scenes of a set have in common.
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a set, not states")]
#[derive(Debug, Clone, PartialEq)]
pub struct VariedParams {
    /// Pixels across track.
    pub samples: usize,
    /// Pixels along track.
    pub lines: usize,
    /// Share of the scenes that hold a plume (one of eight of those holds two or three).
    pub plume_share: f64,
    /// Least and greatest source rate, kg/h; drawn evenly on a logarithmic scale.
    pub rates_kg_h: [f64; 2],
    /// Which half of the surface library.
    pub surfaces: Split,
    /// Bands and widths.
    pub instrument: Kind,
    /// Instead: this many equally spaced ones.
    pub bands: Option<usize>,
    /// Only the bands in these ranges, nm.
    pub bands_nm: Option<Vec<[f64; 2]>>,
    /// One of these models of noise is drawn; none: the instrument's own.
    pub noise_models: Vec<NoiseModel>,
    /// Side of a pixel, m.
    pub pixel_m: f64,
    /// Least and greatest wind, m/s.
    pub wind_m_s: [f64; 2],
    /// Write `f32` radiance.
    pub f32_radiance: bool,
    /// Draw instrument faults (smile, striping, dead, hot, dropped)?
    pub faults: bool,
    /// Draw clouds and cirrus?
    pub clouds: bool,
    /// Draw confusers?
    pub confusers: bool,
}

impl Default for VariedParams {
    fn default() -> Self {
        Self {
            samples: 128,
            lines: 128,
            plume_share: 0.5,
            rates_kg_h: [100.0, 5000.0],
            surfaces: Split::All,
            instrument: Kind::Passband,
            bands: Some(300),
            bands_nm: None,
            noise_models: vec![NoiseModel::Tanager, NoiseModel::Emit],
            pixel_m: 8.0,
            wind_m_s: [1.0, 10.0],
            f32_radiance: false,
            faults: true,
            clouds: true,
            confusers: true,
        }
    }
}

/// The parameters of scene `nth` of a set.
pub fn varied(seed: u64, nth: u64, set: &VariedParams) -> SceneParams {
    let mut random = Seeded::new(seed, purpose::VARIED + nth);
    let own_seed = spread(seed ^ spread(nth));
    let mut scene = SceneParams {
        samples: set.samples,
        lines: set.lines,
        seed: own_seed,
        instrument: set.instrument,
        bands: set.bands,
        bands_nm: set.bands_nm.clone(),
        f32_radiance: set.f32_radiance,
        surfaces: set.surfaces,
        pixel_m: set.pixel_m,
        noise: random.between(0.8, 1.3),
        full_scale: if random.chance(0.85) { 1.31 } else { random.between(0.5, 1.3) },
        sun_elevation_deg: random.between(25.0, 75.0),
        aerosol: random.between(0.01, 0.1),
        water_cm: random.between(1.5, 2.0),
        kinds: 3 + random.below(10),
        relief: random.log_between(0.01, 0.2),
        texture: random.log_between(0.015, 0.1),
        variability: random.between(0.5, 1.5),
        wind_m_s: random.log_between(set.wind_m_s[0], set.wind_m_s[1]),
        confusers: Confusers::default(),
        ..SceneParams::default()
    };
    let model = random.below(set.noise_models.len().max(1));
    scene.noise_model = set.noise_models.get(model).copied();
    // Each part is drawn whether it is wanted or not: what is left out changes nothing else.
    let (faults, clouds, confusers) = (random.uniform(), random.uniform(), confusers(&mut random));
    if set.confusers {
        scene.confusers = confusers;
    }
    draw_faults(&mut scene, faults, set.faults, &mut random);
    draw_clouds(&mut scene, clouds, set.clouds, &mut random);
    draw_plumes(&mut scene, set, &mut random);
    scene
}

/// How many of what; a kind is absent from most scenes, except roads and roofs.
fn confusers(random: &mut Seeded) -> Confusers {
    Confusers {
        roofs: random.count(3.0, 40),
        hydrocarbon: random.count(1.0, 12),
        carbonate: random.count(0.5, 8),
        carbonate_plumes: random.count(0.25, 4),
        solar_farms: random.count(0.25, 3),
        roads: random.count(0.8, 5),
        waters: random.count(0.6, 6),
        snow: if random.chance(0.05) { random.count(4.0, 30) } else { 0 },
    }
}

/// A third of the instruments is good, the rest has a little of everything.
fn draw_faults(scene: &mut SceneParams, dice: f64, wanted: bool, random: &mut Seeded) {
    let good = dice < 0.33;
    let share = |random: &mut Seeded, from: f64, to: f64| {
        let value = random.log_between(from, to);
        if good { 0.0 } else { value }
    };
    let striping = random.log_between(5e-4, 0.01);
    let offset = share(random, 1e-4, 5e-3);
    let smile = share(random, 0.05, 1.0);
    let dead = share(random, 1e-5, 0.01);
    let hot = share(random, 1e-5, 3e-3);
    let dropped = if random.chance(0.25) { share(random, 2e-3, 0.05) } else { 0.0 };
    if wanted {
        (scene.striping, scene.offset_striping, scene.smile_nm) = (striping, offset, smile);
        (scene.dead_share, scene.hot_share, scene.dropped_share) = (dead, hot, dropped);
    } else {
        scene.striping = 0.0;
    }
}

/// 45 % without cloud, 35 % up to a fifth, 12 % up to 0.9, 8 % almost or quite closed; 12 % with cirrus.
fn draw_clouds(scene: &mut SceneParams, dice: f64, wanted: bool, random: &mut Seeded) {
    let cover = match dice {
        d if d < 0.45 => 0.0,
        d if d < 0.8 => random.log_between(0.003, 0.2),
        d if d < 0.92 => random.between(0.2, 0.9),
        d if d < 0.98 => random.between(0.9, 1.0),
        _ => 1.0,
    };
    let veil = random.log_between(0.005, 0.12);
    let cirrus = if random.chance(0.12) { veil } else { 0.0 };
    if wanted {
        (scene.cloud_fraction, scene.cirrus) = (cover, cirrus);
    }
}

fn draw_plumes(scene: &mut SceneParams, set: &VariedParams, random: &mut Seeded) {
    let (wanted, more) = (random.chance(set.plume_share), random.chance(0.125));
    if wanted {
        let count = if more { 2 + random.below(2) } else { 1 };
        let rate = |random: &mut Seeded| random.log_between(set.rates_kg_h[0], set.rates_kg_h[1]);
        scene.plumes = (0..count).map(|_| PlumeParams::of_rate(rate(random))).collect();
    }
}

/// SplitMix64's finaliser (Steele et al. 2014): near seeds become far ones.
fn spread(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Checks what all scenes have in common, so that each of them can be made.
impl VariedParams {
    /// # Errors
    /// A range is turned round or not sensible.
    pub fn check(&self) -> anyhow::Result<()> {
        let [from, to] = self.rates_kg_h;
        anyhow::ensure!(
            from > 0.0 && from <= to && to <= 1e6,
            "the rates must rise, from above 0 to 1000000 kg/h"
        );
        let [from, to] = self.wind_m_s;
        anyhow::ensure!(from >= 0.2 && from <= to && to <= 50.0, "the winds must rise, from 0.2 to 50 m/s");
        anyhow::ensure!((0.0..=1.0).contains(&self.plume_share), "the share of plumes must be 0 to 1");
        varied(0, 0, self).check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_varies_within_its_ranges_and_repeats() {
        let set = VariedParams { surfaces: Split::HeldOut, ..VariedParams::default() };
        set.check().unwrap();
        let all: Vec<SceneParams> = (0..600).map(|n| varied(7, n, &set)).collect();
        assert!(all.iter().all(|p| p.check().is_ok() && p.surfaces == Split::HeldOut));
        assert_eq!(all[17], varied(7, 17, &set));
        let mut seeds: Vec<u64> = all.iter().map(|p| p.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 600);
        let count = |test: &dyn Fn(&SceneParams) -> bool| all.iter().filter(|p| test(p)).count();
        assert!((250..350).contains(&count(&|p| !p.plumes.is_empty())));
        assert!((220..320).contains(&count(&|p| p.cloud_fraction == 0.0)));
        assert!(count(&|p| p.cloud_fraction >= 0.9) > 20);
        assert!(count(&|p| p.smile_nm > 0.5) > 30 && count(&|p| p.dropped_share > 0.0) > 50);
        let rates: Vec<f64> = all.iter().flat_map(|p| &p.plumes).map(|p| p.rate_kg_h).collect();
        assert!(rates.iter().all(|r| (100.0..=5000.0).contains(r)));
        let below = rates.iter().filter(|r| **r < 707.0).count();
        assert!(
            (0.42..0.58).contains(&(below as f64 / rates.len() as f64)),
            "half of them below the geometric mean"
        );
        assert!(all.iter().all(|p| (0.8..1.3).contains(&p.noise)));
    }

    #[test]
    fn without_faults_the_rest_is_the_same() {
        let set = VariedParams::default();
        let plain = VariedParams { faults: false, clouds: false, ..set.clone() };
        let (one, other) = (varied(1, 5, &set), varied(1, 5, &plain));
        assert_eq!(
            (one.plumes, one.wind_m_s, one.confusers),
            (other.plumes, other.wind_m_s, other.confusers)
        );
        assert_eq!((other.striping, other.smile_nm, other.cloud_fraction), (0.0, 0.0, 0.0));
    }
}
