//! The detector judged on frames with truth: what it finds, what it mistakes, how much of its probabilities is true,
//! and the calibration that makes them so. `ground-sim/EVAL.md` defines every figure and file.
//!
//! The detector is the very one that flies; it never sees the truth. Frames are worked through in parallel, one a
//! core, and only their summaries are kept: memory is bounded by the largest frame. Figures do not depend on the
//! number of threads.
//!
//! | module | what |
//! | --- | --- |
//! | `frames`, `truth` | files in; whose plume each pixel is |
//! | `matching` | candidates against plumes |
//! | `pixels` | average precision of pixels, noise, slope |
//! | `score`, `strength` | recall, precision, false alarms, by strength too |
//! | `calibration`, `fit`, `features` | reliability; the logistic fitted |
//! | `summary`, `table`, `csv`, `plots` | what goes out |

mod calibration;
mod csv;
mod features;
mod fit;
mod frames;
mod matching;
mod pixels;
mod plots;
mod score;
mod strength;
mod summary;
mod table;
mod truth;

pub use calibration::{Calibration, ReliabilityBin};
pub use features::{Feature, of as features_of};
pub use fit::{Fit, Validation, fit};
pub use matching::{Candidate, Judgement, OVERLAP, PlumeOutcome};
pub(crate) use pixels::average_precision;
pub use pixels::{CurvePoint, Noise};
pub use score::{AlarmPoint, Operating, Share};
pub use strength::{BinScore, StrengthBin};
pub use summary::{Failure, Numbers, PixelFigures, QuantityFigures, Spread, Summary};
pub use table::{fit_table, table};
pub use truth::{MIN_VISIBLE, PLUME_PPM_M, TRACE_PPM_M, TruePlume};

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use passband_spectral::target::Target;
use passband_spectral::triage::{Maps, Params, Report, triage};

use crate::cores::{cores, on_cores};
use frames::FrameFile;
use pixels::{Histogram, Slope};
use truth::Truth;

/// How frames are evaluated.
#[derive(Debug)]
pub struct Settings {
    /// The gas.
    pub target: Target,
    /// The detector's parameters.
    pub params: Params,
    /// Frames that are worked through at once; `None`: as many as there are cores.
    pub threads: Option<usize>,
}

/// What came of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameOutcome {
    /// Its name.
    pub name: String,
    /// The detector's report.
    pub report: Report,
    /// All candidates that the detector handed out.
    pub candidates: Vec<Candidate>,
    /// All plumes that are there.
    pub plumes: Vec<PlumeOutcome>,
    /// No gas anywhere.
    pub is_clean: bool,
    /// Exact average precision of its pixels; `None`: no visible pixel of a plume.
    pub pixel_ap: Option<f64>,
    /// Pixels that count, and those of them on a plume.
    pub pixels: [u64; 2],
    /// Noise over the ground without gas.
    pub noise: Option<Noise>,
    /// Wind, m/s, as the record tells.
    pub wind_m_s: Option<f64>,
    /// Side of a pixel, m, as the record tells.
    pub pixel_m: Option<f64>,
    /// True share of cloud, as the record tells.
    pub cloud_fraction: Option<f64>,
    slope: Slope,
}

/// An evaluation.
#[derive(Debug)]
pub struct Evaluation {
    /// All figures.
    pub summary: Summary,
    /// The frames, in the order of their names.
    pub frames: Vec<FrameOutcome>,
    pixel_curve: Vec<CurvePoint>,
    detection_curve: Vec<CurvePoint>,
}

/// Evaluates the detector on the frames of a folder; `done` is called after each frame, with the number of all.
///
/// A frame that can't be read, or whose truth doesn't fit, is named among [`Summary::failures`].
///
/// # Errors
/// There are no frames.
pub fn evaluate(
    frames: &Path,
    truth: &Path,
    settings: &Settings,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Evaluation> {
    ensure!(truth.is_dir(), "the folder of truth {} is not there", truth.display());
    let files = frames::list(frames)?;
    let histogram = Mutex::new(Histogram::default());
    let threads = settings.threads.unwrap_or_else(cores);
    let outcomes = on_cores(threads, &files, |file| {
        let outcome = look(file, truth, settings, &histogram);
        done(files.len());
        Ok(outcome)
    })?;
    let (mut looked_at, mut failures) = (Vec::new(), Vec::new());
    for (file, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => looked_at.push(outcome),
            Err(e) => failures.push(Failure { frame: file.name.clone(), error: format!("{e:#}") }),
        }
    }
    let histogram = histogram.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Evaluation::new(looked_at, failures, &histogram, settings))
}

impl Evaluation {
    /// All files that go out: names and contents.
    ///
    /// # Errors
    /// Something could not be drawn.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut json = serde_json::to_vec_pretty(&self.summary)?;
        json.push(b'\n');
        let mut files = vec![
            ("eval.json", json),
            ("frames.csv", csv::frames(&self.frames).into_bytes()),
            ("detections.csv", csv::candidates(&self.frames).into_bytes()),
        ];
        files.extend(plots::pictures(self)?);
        Ok(files)
    }
}

/// The detector on one frame, held against the truth.
fn look(
    file: &FrameFile,
    truth: &Path,
    settings: &Settings,
    histogram: &Mutex<Histogram>,
) -> Result<FrameOutcome> {
    let cube = frames::open(&file.header)?;
    let (lines, samples) = (cube.header().lines, cube.header().samples);
    let mut maps = Maps::default();
    let triage = triage(&cube, &settings.target, &settings.params, &mut maps)
        .with_context(|| file.header.display().to_string())?;
    let truth = Truth::read(truth, &file.name, lines, samples)?;
    let (candidates, plumes) = matching::judge(&triage, &truth);
    let mut scored = pixels::scored(&maps.score, &truth);
    let positive = scored.iter().filter(|(_, is)| *is).count() as u64;
    histogram.lock().unwrap_or_else(PoisonError::into_inner).add(&scored);
    Ok(FrameOutcome {
        name: file.name.clone(),
        candidates,
        plumes,
        is_clean: truth.is_clean(),
        pixels: [scored.len() as u64, positive],
        pixel_ap: pixels::average_precision(&mut scored),
        noise: pixels::noise(&maps.enhancement_ppm_m, &maps.mask, &truth, samples),
        slope: Slope::of(&maps.enhancement_ppm_m, &truth),
        wind_m_s: truth.record.wind_m_s,
        pixel_m: truth.record.pixel_m,
        cloud_fraction: truth.record.cloud_fraction,
        report: triage.report,
    })
}

/// The median; the mean of the middle two where their number is even.
fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// A quantile, between the values on either side of it in proportion.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let below = index_of(place.floor());
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

/// A float as an index; negative and NaN are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
fn index_of(value: f64) -> usize {
    value as usize
}

/// A map's value as flags; what is not one is 0 or all.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
fn whole_u8(value: f32) -> u8 {
    value as u8
}

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is asked for")]
fn f32_of(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 0.9), Some(9.0));
        assert_eq!(median(&[]), None);
    }
}
