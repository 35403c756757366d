//! Seeded randomness and smooth random fields.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random numbers that depends on the seed and the purpose only.
pub(super) struct Seeded {
    rng: ChaCha8Rng,
    spare: Option<f64>,
}

impl Seeded {
    /// The stream of one purpose: what one part draws never shifts what another sees.
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

    /// A whole number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        index_of(self.uniform() * n as f64).min(n.saturating_sub(1))
    }
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
        for (index, value) in out.iter_mut().enumerate() {
            let (y, x) = ((index / samples) as f64 / scale_now, (index % samples) as f64 / scale_now);
            let (row, column) = (index_of(y), index_of(x));
            let (dy, dx) = (eased(y - row as f64), eased(x - column as f64));
            let at = |r: usize, c: usize| lattice.get(r * width + c).copied().unwrap_or(0.0);
            let top = at(row, column) * (1.0 - dx) + at(row, column + 1) * dx;
            let bottom = at(row + 1, column) * (1.0 - dx) + at(row + 1, column + 1) * dx;
            *value += amplitude * (top * (1.0 - dy) + bottom * dy);
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
fn eased(t: f64) -> f64 {
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
}
