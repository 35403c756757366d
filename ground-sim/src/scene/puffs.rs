//! Plumes by their source rate: Lagrangian puffs.
//!
//! A source gives off a puff every moment. The wind carries it on; large eddies, which all puffs of a plume feel alike,
//! make it meander; smaller ones, a field of turbulence that drifts with the wind, tear it; and each puff widens as it
//! goes. Every puff is a Gaussian, integrated over each pixel, so that what the source gave off since it began is in the
//! frame to the last gram, as far as it has not left it. The column is vertical; how high the gas is plays no part.
//!
//! Sources: puffs, Pasquill and Smith 1983; growth, Briggs 1973 (rural); eddies, a Langevin equation (Thomson 1987) and
//! Taylor's frozen turbulence (1938). See `SCENES.md`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fields::{Seeded, eased, index_of, purpose};
use super::gas::KG_M2_PER_PPM_M;
use super::params::{PlumeParams, SceneParams};
use super::terrain::toward;

/// Puffs side by side that leave the source at the same moment: the filaments of the plume.
const FILAMENTS: usize = 10;
/// Distance between puffs along the wind, in pixels.
const SPACING_PX: f64 = 0.5;
/// Most moments of release of one plume.
const MAX_RELEASES: usize = 40_000;
/// Share of the plume's time-averaged width that a puff has of its own at once; the rest is meandering.
const AT_ONCE: f64 = 0.55;
/// Of a puff's own variance, the share in the spread of its filaments; the rest is the filaments' width.
const SPREAD: f64 = 0.88;
/// Deviation of the instrument's point spread, in pixels (1.06 pixels wide at half maximum): what a pixel sees of the plume.
const BLUR_PX: f64 = 0.45;
/// Columns below this are set to none, ppm·m.
const FAINTEST_PPM_M: f64 = 0.01;

/// Pasquill's class of stability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stability {
    /// Very unstable: strong sun, light wind.
    A,
    /// Unstable.
    B,
    /// Slightly unstable.
    C,
    /// Neutral: overcast or windy.
    D,
    /// Slightly stable.
    E,
    /// Stable.
    F,
}

impl Stability {
    /// Width of a plume per metre of way, at first (Briggs, rural).
    fn growth(self) -> f64 {
        match self {
            Self::A => 0.22,
            Self::B => 0.16,
            Self::C => 0.11,
            Self::D => 0.08,
            Self::E => 0.06,
            Self::F => 0.04,
        }
    }

    /// One that goes with this wind by day.
    fn drawn(wind_m_s: f64, random: &mut Seeded) -> Self {
        let classes: &[Self] = match wind_m_s {
            u if u < 2.0 => &[Self::A, Self::A, Self::B],
            u if u < 3.0 => &[Self::A, Self::B, Self::B, Self::C],
            u if u < 5.0 => &[Self::B, Self::B, Self::C, Self::C, Self::D],
            _ => &[Self::C, Self::D, Self::D],
        };
        classes[random.below(classes.len())]
    }
}

impl FromStr for Stability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters =
            [("A", Self::A), ("B", Self::B), ("C", Self::C), ("D", Self::D), ("E", Self::E), ("F", Self::F)];
        let found = letters.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, class)| *class).ok_or_else(|| format!("'{text}' is none of A to F"))
    }
}

/// The air over a scene, the same for all of its plumes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Air {
    pub(super) wind_m_s: f64,
    /// Clockwise from the top of the image.
    pub(super) to_deg: f64,
    pub(super) stability: Stability,
}

impl Air {
    pub(super) fn new(params: &SceneParams) -> Self {
        let mut random = Seeded::new(params.seed, purpose::WEATHER + 1_000_000);
        let to_deg = params.wind_to_deg.unwrap_or(random.between(0.0, 360.0));
        let stability = params.stability.unwrap_or(Stability::drawn(params.wind_m_s, &mut random));
        Self { wind_m_s: params.wind_m_s, to_deg, stability }
    }
}

/// A plume in its frame.
pub(super) struct Plume {
    /// Line and sample of the source.
    pub(super) source: [f64; 2],
    pub(super) rate_kg_h: f64,
    pub(super) duration_s: f64,
    /// Methane column of each pixel, ppm·m.
    pub(super) column: Vec<f64>,
}

/// One moment's release.
struct Release {
    mass_kg: f64,
    age_s: f64,
}

/// Makes the `nth` plume of a scene.
pub(super) fn plume(params: &SceneParams, nth: usize, of: &PlumeParams, air: &Air) -> Plume {
    let mut random = Seeded::new(params.seed, purpose::PLUME + nth as u64);
    let wind = toward(air.to_deg);
    let side = params.lines.min(params.samples) as f64;
    let (back, aside) = (random.between(0.0, 0.38) * side, random.between(-0.25, 0.25) * side);
    let place = [
        params.lines as f64 / 2.0 - wind.0 * back + wind.1 * aside,
        params.samples as f64 / 2.0 - wind.1 * back - wind.0 * aside,
    ];
    let frame_s = side * params.pixel_m / air.wind_m_s;
    let lasts = (frame_s * random.log_between(0.5, 1.5)).clamp(60.0, 7200.0);
    let (source, duration_s) = (of.at.unwrap_or(place), of.duration_s.unwrap_or(lasts));
    let column = column(params, of.rate_kg_h, source, duration_s, air, &mut random);
    Plume { source, rate_kg_h: of.rate_kg_h, duration_s, column }
}

fn column(
    params: &SceneParams,
    rate_kg_h: f64,
    source: [f64; 2],
    duration_s: f64,
    air: &Air,
    random: &mut Seeded,
) -> Vec<f64> {
    let mut canvas =
        Canvas { lines: params.lines, samples: params.samples, mass: vec![0.0; params.pixels()] };
    // What was given off before has left the frame for certain.
    let reach_px = 2.0 * libm::hypot(params.lines as f64, params.samples as f64)
        + libm::hypot(source[0] - params.lines as f64 / 2.0, source[1] - params.samples as f64 / 2.0);
    let duration_s = duration_s.min(reach_px * params.pixel_m / air.wind_m_s);
    let releases = releases(params, rate_kg_h, duration_s, air, random);
    let step_s = duration_s / releases.len() as f64;
    let eddies = Eddies::new(air, step_s, releases.len(), random);
    let source_m = random.log_between(1.5, 8.0);
    let mut filaments = Filaments::new(random);
    let wind = toward(air.to_deg);
    for (n, release) in releases.iter().enumerate() {
        filaments.step(step_s * air.wind_m_s, random);
        let (along, across) = eddies.displacement(n, release.age_s);
        let way = along.max(0.0);
        let own = AT_ONCE * air.stability.growth() * way / (1.0 + 1e-4 * way).sqrt();
        let size_px = ((1.0 - SPREAD) * own * own + source_m * source_m).sqrt() / params.pixel_m;
        let sigma = (size_px * size_px + BLUR_PX * BLUR_PX).sqrt();
        for (share, [off_along, off_across]) in filaments.now() {
            let (a, c) = (along + own * SPREAD.sqrt() * off_along, across + own * SPREAD.sqrt() * off_across);
            let y = source[0] + (a * wind.0 + c * wind.1) / params.pixel_m;
            let x = source[1] + (a * wind.1 - c * wind.0) / params.pixel_m;
            canvas.puff(y, x, sigma, release.mass_kg * share);
        }
    }
    let per_kg = 1.0 / (params.pixel_m * params.pixel_m * KG_M2_PER_PPM_M);
    let ppm_m = canvas.mass.iter().map(|kg| kg * per_kg);
    ppm_m.map(|column| if column < FAINTEST_PPM_M { 0.0 } else { column }).collect()
}

/// Every moment's release, the oldest first: the rate comes and goes around its mean over some ten seconds, and the sum
/// is what the source gave off.
fn releases(
    params: &SceneParams,
    rate_kg_h: f64,
    duration_s: f64,
    air: &Air,
    random: &mut Seeded,
) -> Vec<Release> {
    const GUST_S: f64 = 15.0;
    const UNSTEADY: f64 = 0.35;
    let step_s = SPACING_PX * params.pixel_m / air.wind_m_s;
    let count = index_of((duration_s / step_s).ceil()).clamp(1, MAX_RELEASES);
    let step_s = duration_s / count as f64;
    let keep = libm::exp(-step_s / GUST_S);
    let mut level = random.normal();
    let mut weights = Vec::with_capacity(count);
    for _ in 0..count {
        weights.push(libm::exp(UNSTEADY * level));
        level = keep * level + (1.0 - keep * keep).sqrt() * random.normal();
    }
    let total: f64 = weights.iter().sum();
    let all_kg = rate_kg_h / 3600.0 * duration_s;
    weights
        .iter()
        .enumerate()
        .map(|(n, w)| Release { mass_kg: all_kg * w / total, age_s: duration_s - step_s * (n as f64 + 0.5) })
        .collect()
}

/// Where turbulence takes the puffs.
struct Eddies {
    wind_m_s: f64,
    step_s: f64,
    /// Way of the meandering air since the first release, m: along and across, at each step.
    meander: Vec<[f64; 2]>,
    /// The drifting field, m/s: along and across, over releases × age.
    octaves: Vec<Octave>,
}

/// One size of eddies, carried by the wind: noise on a lattice of time of release, the same puff keeps its eddy for as
/// long as that lives.
struct Octave {
    scale_s: f64,
    life_s: f64,
    speed_m_s: f64,
    width: usize,
    lattice: Vec<f64>,
}

impl Eddies {
    fn new(air: &Air, step_s: f64, count: usize, random: &mut Seeded) -> Self {
        // Intensity of turbulence grows with instability: about 1.3 times the class's growth across, as σ_y = i·x near
        // the source; half of the variance in meandering, half in smaller eddies.
        let speed = air.stability.growth() * air.wind_m_s * (1.0 - AT_ONCE * AT_ONCE).sqrt();
        let meander_s = random.log_between(60.0, 200.0);
        let keep = libm::exp(-step_s / meander_s);
        let mut velocity = [random.normal(), random.normal()];
        let mut way = [0.0; 2];
        let mut meander = Vec::with_capacity(count + 1);
        for _ in 0..=count {
            meander.push(way);
            for (v, w) in velocity.iter_mut().zip(&mut way) {
                *w += *v * speed * 0.7 * step_s;
                *v = keep * *v + (1.0 - keep * keep).sqrt() * random.normal();
            }
        }
        let duration_s = step_s * count as f64;
        let octave = |scale_m: f64, share: f64, random: &mut Seeded| {
            let scale_s = (scale_m / air.wind_m_s).max(step_s);
            let width = index_of(duration_s / scale_s) + 2;
            let life_s = 2.5 * scale_m / speed.max(0.05) * 0.5;
            let height = index_of(duration_s / life_s) + 2;
            let lattice = (0..2 * width * height).map(|_| random.normal()).collect();
            Octave { scale_s, life_s, speed_m_s: speed * share, width, lattice }
        };
        let octaves =
            vec![octave(260.0, 0.6, random), octave(110.0, 0.45, random), octave(45.0, 0.35, random)];
        Self { wind_m_s: air.wind_m_s, step_s, meander, octaves }
    }

    /// Metres along and across the wind that the `n`th release has come in its age.
    fn displacement(&self, n: usize, age_s: f64) -> (f64, f64) {
        let mut across = 0.0;
        let mut along = self.wind_m_s * age_s;
        // All puffs feel the same large eddies at the same time.
        let (now, then) = (self.meander[self.meander.len() - 1], self.meander[n]);
        along += 0.5 * (now[0] - then[0]);
        across += now[1] - then[1];
        let released_s = self.step_s * n as f64;
        for octave in &self.octaves {
            let [a, c] = octave.way(released_s, age_s);
            along += 0.5 * a;
            across += c;
        }
        (along, across)
    }
}

impl Octave {
    /// The integral of an eddy's velocity over the age of a puff.
    fn way(&self, released_s: f64, age_s: f64) -> [f64; 2] {
        let place = released_s / self.scale_s;
        let column = index_of(place).min(self.width - 2);
        let share = eased((place - column as f64).clamp(0.0, 1.0));
        let mut way = [0.0; 2];
        let (mut done, mut row) = (0.0, 0);
        while done < age_s {
            let span = (age_s - done).min(self.life_s);
            for (axis, way) in way.iter_mut().enumerate() {
                let at = |column: usize| {
                    self.lattice.get(2 * (row * self.width + column) + axis).copied().unwrap_or(0.0)
                };
                *way += (at(column) * (1.0 - share) + at(column + 1) * share) * self.speed_m_s * span;
            }
            done += span;
            row += 1;
        }
        way
    }
}

/// Puffs side by side that drift apart: their places around the middle, in units of the spread, change slowly from one
/// release to the next, so that each draws a thread.
struct Filaments {
    places: [[f64; 2]; FILAMENTS],
    strengths: [f64; FILAMENTS],
}

impl Filaments {
    fn new(random: &mut Seeded) -> Self {
        let mut filaments = Self { places: [[0.0; 2]; FILAMENTS], strengths: [0.0; FILAMENTS] };
        for (place, strength) in filaments.places.iter_mut().zip(&mut filaments.strengths) {
            *place = [random.normal(), random.normal()];
            *strength = random.normal();
        }
        filaments
    }

    /// The next release, this much further along.
    fn step(&mut self, way_m: f64, random: &mut Seeded) {
        let keep = libm::exp(-way_m / 60.0);
        let fresh = (1.0 - keep * keep).sqrt();
        for (place, strength) in self.places.iter_mut().zip(&mut self.strengths) {
            for value in place.iter_mut().chain([strength]) {
                *value = keep * *value + fresh * random.normal();
            }
        }
    }

    /// Share of the mass and place of each.
    fn now(&self) -> impl Iterator<Item = (f64, [f64; 2])> {
        let weights = self.strengths.map(|s| libm::exp(0.8 * s));
        let total: f64 = weights.iter().sum();
        self.places.iter().zip(weights).map(move |(place, w)| (w / total, *place))
    }
}

/// Mass by pixel, kg.
struct Canvas {
    lines: usize,
    samples: usize,
    mass: Vec<f64>,
}

impl Canvas {
    /// Adds a Gaussian, integrated over each pixel; pixel n reaches from n − 0.5 to n + 0.5.
    fn puff(&mut self, y: f64, x: f64, sigma_px: f64, kg: f64) {
        let across = shares(x, sigma_px, self.samples);
        let down = shares(y, sigma_px, self.lines);
        for (line, share) in down {
            let row = &mut self.mass[line * self.samples..][..self.samples];
            for (sample, other) in &across {
                row[*sample] += kg * share * other;
            }
        }
    }
}

/// The share of a Gaussian in each cell it reaches, cut off at four σ (and made whole again) and by the frame.
fn shares(centre: f64, sigma: f64, cells: usize) -> Vec<(usize, f64)> {
    let reach = 4.0 * sigma;
    let (first, last) = ((centre - reach).round(), (centre + reach).round());
    if last < 0.0 || first > cells as f64 - 1.0 {
        return Vec::new();
    }
    let below = |edge: f64| {
        0.5 * libm::erfc(-(edge - centre).clamp(-reach, reach) / (sigma * core::f64::consts::SQRT_2))
    };
    let (none, all) = (below(centre - reach), below(centre + reach));
    let (from, to) = (index_of(first.max(0.0)), index_of(last.min(cells as f64 - 1.0)));
    let mut left = below(from as f64 - 0.5);
    (from..=to)
        .map(|cell| {
            let right = below(cell as f64 + 0.5);
            let share = (right - left) / (all - none);
            left = right;
            (cell, share)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(seed: u64, wind_m_s: f64, to_deg: f64) -> (SceneParams, Air) {
        let params = SceneParams {
            samples: 300,
            lines: 300,
            seed,
            wind_m_s,
            wind_to_deg: Some(to_deg),
            ..SceneParams::default()
        };
        let air = Air::new(&params);
        (params, air)
    }

    fn line_of(line: u32, sample: usize) -> usize {
        usize::try_from(line).unwrap() * 300 + sample
    }

    /// kg in the frame.
    fn mass(params: &SceneParams, plume: &Plume) -> f64 {
        plume.column.iter().sum::<f64>() * KG_M2_PER_PPM_M * params.pixel_m * params.pixel_m
    }

    #[test]
    fn all_the_mass_that_was_given_off_is_in_the_frame() {
        for (seed, wind, to) in [(1, 2.0, 30.0), (2, 4.5, 135.0), (3, 8.0, 280.0)] {
            let (params, air) = scene(seed, wind, to);
            let of =
                PlumeParams { rate_kg_h: 700.0, at: Some([150.0, 150.0]), duration_s: Some(500.0 / wind) };
            let plume = plume(&params, 0, &of, &air);
            // Q·L/u.
            let expected = 700.0 / 3600.0 * 500.0 / wind;
            let found = mass(&params, &plume);
            assert!((found / expected - 1.0).abs() < 0.002, "{found} of {expected} kg");
        }
    }

    #[test]
    fn across_the_wind_the_plume_holds_rate_over_wind_in_the_mean() {
        let (mut sum, mut count) = (0.0, 0.0);
        for seed in 0..40 {
            // To the right: the cross-section is a column of the image.
            let (params, air) = scene(seed, 3.0, 90.0);
            let of = PlumeParams { rate_kg_h: 1000.0, at: Some([150.0, 20.0]), duration_s: Some(4000.0) };
            let plume = plume(&params, 0, &of, &air);
            for sample in 40..200 {
                let section: f64 = (0..300).map(|line| plume.column[line * 300 + sample]).sum();
                sum += section * KG_M2_PER_PPM_M * params.pixel_m;
                count += 1.0;
            }
        }
        let (mean, expected) = (sum / count, 1000.0 / 3600.0 / 3.0);
        assert!((mean / expected - 1.0).abs() < 0.04, "{mean} against {expected} kg/m");
    }

    #[test]
    fn a_plume_goes_down_the_wind_widens_and_ends() {
        let (params, air) = scene(5, 4.0, 90.0);
        let of = PlumeParams { rate_kg_h: 1000.0, at: Some([150.0, 50.0]), duration_s: Some(200.0) };
        let plume = plume(&params, 0, &of, &air);
        let column = &plume.column;
        let section =
            |sample: usize| (0..300_u32).map(move |line| (f64::from(line), column[line_of(line, sample)]));
        let sum = |s: usize| section(s).map(|(_, c)| c).sum::<f64>();
        assert!(sum(30) < 1.0, "upwind");
        assert!(sum(220) < 1.0, "800 m and more from the source after 200 s");
        let width = |s: usize| {
            let mean = section(s).map(|(l, c)| l * c).sum::<f64>() / sum(s);
            (section(s).map(|(l, c)| (l - mean).powi(2) * c).sum::<f64>() / sum(s)).sqrt()
        };
        let near: f64 = (54..60).map(width).sum();
        let far: f64 = (110..116).map(width).sum();
        assert!(far > 1.5 * near, "{far} {near}");
    }

    #[test]
    fn a_source_that_has_blown_for_a_day_draws_one_unbroken_plume() {
        let (params, air) = scene(6, 3.0, 90.0);
        let of =
            |duration| PlumeParams { rate_kg_h: 500.0, at: Some([150.0, 20.0]), duration_s: Some(duration) };
        let plume = plume(&params, 0, &of(86_400.0), &air);
        let section = |sample: usize| -> f64 { (0..300).map(|line| plume.column[line * 300 + sample]).sum() };
        let expected = 500.0 / 3600.0 / 3.0 / (KG_M2_PER_PPM_M * params.pixel_m);
        for sample in 40..250 {
            assert!(
                (0.2..4.0).contains(&(section(sample) / expected)),
                "{sample}: {}",
                section(sample) / expected
            );
        }
    }

    #[test]
    fn a_puffs_shares_add_up() {
        for (centre, sigma) in [(10.0, 0.2), (10.3, 1.0), (9.7, 2.2)] {
            let total: f64 = shares(centre, sigma, 40).iter().map(|(_, s)| s).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
        }
        assert!(shares(-30.0, 1.0, 40).is_empty() && shares(70.0, 1.0, 40).is_empty());
        let half: f64 = shares(-0.5, 1.0, 40).iter().map(|(_, s)| s).sum();
        assert!((half - 0.5).abs() < 1e-3, "{half}");
    }
}
