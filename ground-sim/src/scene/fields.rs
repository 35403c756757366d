//! Seeded randomness and smooth random fields.

use std::sync::LazyLock;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for. What one part draws never shifts what another sees.
pub(super) mod purpose {
    pub(in crate::scene) const GROUND: u64 = 1;
    pub(in crate::scene) const CLOUDS: u64 = 2;
    pub(in crate::scene) const GAUSSIAN: u64 = 3;
    pub(in crate::scene) const CONFUSERS: u64 = 4;
    pub(in crate::scene) const TERRAIN: u64 = 5;
    pub(in crate::scene) const WEATHER: u64 = 6;
    pub(in crate::scene) const DROPPED: u64 = 7;
    pub(in crate::scene) const CIRRUS: u64 = 8;
    /// Plus the number of the plume.
    pub(in crate::scene) const PLUME: u64 = 100;
    /// Plus the number of the band.
    pub(in crate::scene) const DETECTORS: u64 = 10_000;
    /// Plus the number of the band.
    pub(in crate::scene) const NOISE: u64 = 20_000;
    pub(in crate::scene) const VARIED: u64 = 30_000;
}

/// Quantiles in the table of normal deviates.
const QUANTILES: usize = 1 << 16;

/// The middles of 65,536 equally probable slices of the standard normal, scaled to a variance of exactly 1; the
/// largest is 4.3.
static NORMAL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let count = QUANTILES as f64;
    let slices: Vec<f64> = (0..QUANTILES).map(|n| inverse_normal((n as f64 + 0.5) / count)).collect();
    let deviation = (slices.iter().map(|v| v * v).sum::<f64>() / count).sqrt();
    slices.iter().map(|v| f32_of(v / deviation)).collect()
});

/// A stream of random numbers that depends on the seed and the purpose only.
pub(super) struct Seeded {
    rng: ChaCha8Rng,
    spare: Option<f64>,
}

impl Seeded {
    /// The stream of one purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self { rng, spare: None }
    }

    /// Uniform in 0 (included) to 1 (excluded).
    pub(super) fn uniform(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Uniform between the two.
    pub(super) fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.uniform()
    }

    /// Logarithm uniform between those of the two.
    pub(super) fn log_between(&mut self, from: f64, to: f64) -> f64 {
        libm::exp(self.between(libm::log(from), libm::log(to)))
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        let (sin, cos) = libm::sincos(core::f64::consts::TAU * self.uniform());
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// Fills `out` with standard normal deviates out of a table: fast, for noise.
    pub(super) fn normals(&mut self, out: &mut [f32]) {
        let table: &[f32] = &NORMAL;
        for pair in out.chunks_mut(2) {
            let bits = self.rng.next_u32();
            pair[0] = table[(bits & 0xFFFF) as usize];
            if let Some(second) = pair.get_mut(1) {
                *second = table[(bits >> 16) as usize];
            }
        }
    }

    /// A whole number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        index_of(self.uniform() * n as f64).min(n.saturating_sub(1))
    }

    /// A poisson-like small count: geometric with this mean, at most `most`.
    pub(super) fn count(&mut self, mean: f64, most: usize) -> usize {
        let again = mean / (1.0 + mean);
        let mut n = 0;
        while n < most && self.chance(again) {
            n += 1;
        }
        n
    }
}

/// The quantile of the standard normal (Acklam's rational approximation, relative error 1.2e-9).
fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let polynomial = |list: &[f64], x: f64| list.iter().fold(0.0, |sum, c| sum * x + c);
    if p > 0.5 {
        return -inverse_normal(1.0 - p);
    }
    if p < 0.02425 {
        let q = (-2.0 * libm::log(p)).sqrt();
        return polynomial(&C, q) / polynomial(&D, q);
    }
    let q = p - 0.5;
    polynomial(&A, q * q) * q / polynomial(&B, q * q)
}

/// A smooth random field over `lines × samples` with mean 0 and standard deviation about 1: value noise on lattices
/// of `scale_px`, half of it, and so on.
pub(super) fn smooth(shape: (usize, usize), scale_px: f64, octaves: u32, random: &mut Seeded) -> Vec<f64> {
    let (lines, samples) = shape;
    let mut out = vec![0.0; lines * samples];
    let (mut scale, mut amplitude, mut power) = (scale_px, 1.0, 0.0);
    for _ in 0..octaves {
        let scale_now = scale.max(1.0);
        let width = index_of(samples as f64 / scale_now) + 2;
        let height = index_of(lines as f64 / scale_now) + 2;
        let lattice: Vec<f64> = (0..width * height).map(|_| random.normal()).collect();
        let cell = |pixel: usize| {
            let place = pixel as f64 / scale_now;
            let low = index_of(place);
            (low, eased(place - low as f64))
        };
        let columns: Vec<(usize, f64)> = (0..samples).map(cell).collect();
        for (y, row) in out.chunks_exact_mut(samples).enumerate() {
            let (low, dy) = cell(y);
            let (top, bottom) = (&lattice[low * width..][..width], &lattice[(low + 1) * width..][..width]);
            for (value, &(x, dx)) in row.iter_mut().zip(&columns) {
                let upper = top[x] * (1.0 - dx) + top[x + 1] * dx;
                let lower = bottom[x] * (1.0 - dx) + bottom[x + 1] * dx;
                *value += amplitude * (upper * (1.0 - dy) + lower * dy);
            }
        }
        // Interpolation between independent values halves the variance, roughly.
        power += amplitude * amplitude / 2.0;
        amplitude *= 0.55;
        scale /= 2.0;
    }
    let norm: f64 = power.sqrt();
    out.iter_mut().for_each(|v| *v /= norm);
    out
}

/// Zero slope at both ends (Perlin 2002).
pub(super) fn eased(t: f64) -> f64 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// A float as an index; negative and NaN are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
pub(super) fn index_of(value: f64) -> usize {
    value as usize
}

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is asked for")]
pub(super) fn f32_of(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_smooth_seeded_and_of_unit_scatter() {
        let field = smooth((200, 200), 20.0, 3, &mut Seeded::new(5, 1));
        assert_eq!(field, smooth((200, 200), 20.0, 3, &mut Seeded::new(5, 1)));
        assert_ne!(field, smooth((200, 200), 20.0, 3, &mut Seeded::new(5, 2)));
        let deviation = (field.iter().map(|v| v * v).sum::<f64>() / field.len() as f64).sqrt();
        assert!((0.6..1.4).contains(&deviation), "{deviation}");
        let along = field.chunks(200).flat_map(|line| line.windows(2));
        let step = along.map(|w| (w[1] - w[0]).abs()).fold(0.0, f64::max);
        assert!(step < 1.5, "{step}");
    }

    #[test]
    fn normal_numbers_are_normal() {
        let mut random = Seeded::new(9, 0);
        let values: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f64>() / 2e4;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 2e4;
        let beyond = values.iter().filter(|v| v.abs() > 2.0).count();
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        assert!((700..1150).contains(&beyond), "{beyond}");
    }

    #[test]
    fn deviates_are_standard_normal() {
        let mut out = vec![0.0; 400_001];
        Seeded::new(3, 1).normals(&mut out);
        let count = out.len() as f64;
        let moment = |n: i32| out.iter().map(|v| f64::from(*v).powi(n)).sum::<f64>() / count;
        assert!(moment(1).abs() < 0.006, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.01, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.06, "{}", moment(4));
        assert!((inverse_normal(0.975) - 1.959_963_985).abs() < 1e-7);
        assert!((inverse_normal(0.001) + 3.090_232_306).abs() < 1e-7);
    }
}
