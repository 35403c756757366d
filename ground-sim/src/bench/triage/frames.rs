//! The frames that detectors are measured on: the only place here that calls the scene generator.
//!
//! Seeds of one group of rows are never those of another, so that no figure leans on another's frames.

use anyhow::{Context, Result};
use passband_spectral::cube::Cube;
use passband_spectral::envi::Header;

use crate::scene::{SceneParams, generate};

/// A frame with its truth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// What it is called in files and errors.
    pub(super) name: String,
    /// As a camera would write it.
    pub(super) header: Header,
    /// The samples.
    pub(super) data: Vec<u8>,
    /// The gas that is really there, ppm·m.
    pub(super) truth_ppm_m: Vec<f32>,
}

impl Frame {
    /// The frame as a detector reads it.
    pub(super) fn cube(&self) -> Result<Cube<&[u8]>> {
        Cube::new(self.header.clone(), self.data.as_slice()).with_context(|| self.name.clone())
    }

    /// Pixels across track.
    pub(super) fn samples(&self) -> usize {
        self.header.samples
    }
}

/// What a frame is made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    /// The bench's seed.
    pub(super) seed: u64,
    /// Which group's frames: see [`Series`].
    pub(super) series: Series,
    /// Which of them.
    pub(super) nth: u64,
    /// Pixels across track.
    pub(super) samples: usize,
    /// Pixels along track.
    pub(super) lines: usize,
    /// Column at the plume's source, ppm·m; none: no plume.
    pub(super) plume_ppm_m: Option<f64>,
    /// Share under cloud.
    pub(super) clouds: f64,
    /// What is wrong with it besides.
    pub(super) fault: Option<Fault>,
}

/// A fault of instrument or weather, in the size that the targets name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// 1 % (standard deviation) in the gain of each detector.
    Striping,
    /// Half of the frame under cloud.
    Clouds,
}

impl Fault {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::Striping, Self::Clouds];

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Striping => "1 % striping",
            Self::Clouds => "50 % cloud",
        }
    }

    fn put_into(self, params: &mut SceneParams) {
        match self {
            Self::Striping => params.striping = 0.01,
            Self::Clouds => params.cloud_fraction = 0.5,
        }
    }
}

/// Frames of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    /// Ranking of pixels.
    Ranking = 1,
    /// Frames without a plume.
    Clean = 2,
    /// How much gas.
    Quantity = 3,
    /// What a probability is worth.
    Calibration = 4,
    /// Time and memory.
    Speed = 5,
    /// What faults cost.
    Robustness = 6,
    /// Nearly all cloud.
    Overcast = 7,
}

/// Makes a frame.
pub(super) fn frame(wanted: &Wanted) -> Result<Frame> {
    let seed = mixed(wanted.seed, wanted.series as u64, wanted.nth);
    let mut params = SceneParams {
        samples: wanted.samples,
        lines: wanted.lines,
        seed,
        plume_ppm_m: wanted.plume_ppm_m,
        cloud_fraction: wanted.clouds,
        ..SceneParams::default()
    };
    if let Some(fault) = wanted.fault {
        fault.put_into(&mut params);
    }
    let name = format!("{:?}-{:04}", wanted.series, wanted.nth).to_lowercase();
    let scene = generate(&params).with_context(|| name.clone())?;
    Ok(Frame { name, header: scene.header, data: scene.data, truth_ppm_m: scene.truth_ppm_m })
}

/// One seed out of three numbers (the finaliser of SplitMix64 after each).
fn mixed(seed: u64, series: u64, nth: u64) -> u64 {
    [series, nth].into_iter().fold(seed, |state, next| {
        let mut z = (state ^ next).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// The `nth` of `count` strengths between two, evenly in the logarithm.
pub(super) fn strength(nth: u64, count: u64, from: f64, to: f64) -> f64 {
    let share = nth as f64 / count.saturating_sub(1).max(1) as f64;
    from * libm::exp(libm::log(to / from) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_wish_gives_the_same_frame_and_another_another() {
        let wanted = Wanted {
            seed: 1,
            series: Series::Ranking,
            nth: 3,
            samples: 24,
            lines: 20,
            plume_ppm_m: Some(3000.0),
            clouds: 0.0,
            fault: None,
        };
        let one = frame(&wanted).unwrap();
        assert_eq!(one, frame(&wanted).unwrap());
        for other in [
            Wanted { nth: 4, ..wanted },
            Wanted { series: Series::Clean, ..wanted },
            Wanted { seed: 2, ..wanted },
            Wanted { fault: Some(Fault::Striping), ..wanted },
        ] {
            assert_ne!(one.data, frame(&other).unwrap().data);
        }
        assert!(one.cube().is_ok() && one.samples() == 24);
    }

    #[test]
    fn strengths_are_even_in_the_logarithm() {
        let all: Vec<f64> = (0..3).map(|n| strength(n, 3, 100.0, 10_000.0)).collect();
        assert!((all[1] - 1000.0).abs() < 1e-6 && (all[2] - 10_000.0).abs() < 1e-6, "{all:?}");
        assert!((strength(0, 1, 100.0, 200.0) - 100.0).abs() < 1e-9);
    }
}
