//! The faults of one band's detectors, and of the frame's lines.

use super::fields::{Seeded, f32_of, index_of, purpose};
use super::params::SceneParams;

/// A hot element: how far off, how noisy, how often it flickers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hot {
    pub(super) sample: usize,
    /// In units of the band's radiance over grey ground.
    pub(super) bias: f32,
    /// Times the noise of a good one.
    pub(super) noise: f32,
    /// Part of the lines on which it stands at its upper level.
    pub(super) duty: f64,
}

/// The elements of one band across track.
pub(super) struct Detectors {
    /// Gain of each column, around 1.
    pub(super) gains: Vec<f32>,
    /// Offset of each column, in units of the band's radiance over grey ground.
    pub(super) offsets: Vec<f32>,
    /// Columns that give a constant, and which, as a share of full scale.
    pub(super) dead: Vec<(usize, f32)>,
    pub(super) hot: Vec<Hot>,
}

impl Detectors {
    /// What is wrong with band number `number` follows from the seed and that number only.
    pub(super) fn new(params: &SceneParams, number: usize) -> Self {
        let mut random = Seeded::new(params.seed, purpose::DETECTORS + number as u64);
        // A part of the error is the column's in every band (slit, optics), the rest the element's own.
        let mut common = vec![0.0_f32; params.samples];
        Seeded::new(params.seed, purpose::DETECTORS - 1).normals(&mut common);
        let mut own = vec![0.0_f32; 2 * params.samples];
        random.normals(&mut own);
        let (gain, offset) = (f32_of(params.striping), f32_of(params.offset_striping));
        let gains = common.iter().zip(&own).map(|(c, o)| 1.0 + gain * (0.5 * c + 0.866 * o)).collect();
        let offsets = own[params.samples..].iter().map(|o| offset * o).collect();
        let dead = some(params.samples, params.dead_share, &mut random)
            .map(|sample| (sample, if random.chance(0.7) { 0.0 } else { f32_of(random.uniform()) }))
            .collect();
        let mut random = Seeded::new(params.seed, purpose::DETECTORS + 5000 + number as u64);
        let hot = some(params.samples, params.hot_share, &mut random)
            .map(|sample| Hot {
                sample,
                bias: f32_of(0.1 + 0.3 * random.uniform()),
                noise: f32_of(random.log_between(2.0, 12.0)),
                duty: random.between(0.1, 1.0),
            })
            .collect();
        Self { gains, offsets, dead, hot }
    }
}

/// Some of the columns, each with this probability.
fn some(samples: usize, share: f64, random: &mut Seeded) -> std::vec::IntoIter<usize> {
    let chosen: Vec<usize> =
        if share > 0.0 { (0..samples).filter(|_| random.chance(share)).collect() } else { Vec::new() };
    chosen.into_iter()
}

/// Which lines were dropped: single ones and short runs.
pub(super) fn dropped(params: &SceneParams) -> Vec<bool> {
    let mut lines = vec![false; params.lines];
    let mut left = index_of(params.dropped_share * params.lines as f64 + 0.5);
    let mut random = Seeded::new(params.seed, purpose::DROPPED);
    while left > 0 {
        let (start, run) = (random.below(params.lines), 1 + random.count(0.7, 8));
        for line in lines.iter_mut().skip(start).take(run) {
            if !*line && left > 0 {
                *line = true;
                left -= 1;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_lines_are_dropped_as_asked_for() {
        for share in [0.0, 0.05, 0.5, 1.0] {
            let params = SceneParams { dropped_share: share, lines: 200, ..SceneParams::default() };
            let count = dropped(&params).iter().filter(|d| **d).count();
            assert_eq!(count, index_of(share * 200.0 + 0.5));
        }
    }

    #[test]
    fn as_many_elements_are_dead_and_striped_as_asked_for() {
        let params = SceneParams {
            samples: 4000,
            dead_share: 0.01,
            hot_share: 0.02,
            striping: 0.01,
            ..SceneParams::default()
        };
        let all: Vec<Detectors> = (0..20).map(|n| Detectors::new(&params, n)).collect();
        let dead: usize = all.iter().map(|d| d.dead.len()).sum();
        let hot: usize = all.iter().map(|d| d.hot.len()).sum();
        assert!((700..900).contains(&dead) && (1450..1750).contains(&hot), "{dead} {hot}");
        let gains: Vec<f64> = all.iter().flat_map(|d| &d.gains).map(|g| f64::from(*g) - 1.0).collect();
        let deviation = (gains.iter().map(|g| g * g).sum::<f64>() / gains.len() as f64).sqrt();
        assert!((deviation / 0.01 - 1.0).abs() < 0.05, "{deviation}");
    }
}
