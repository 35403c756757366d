//! All figures of an evaluation in one document: `eval.json`, the table and the pictures are made of it.

use std::collections::BTreeMap;

#[cfg(test)]
use passband_spectral::triage::Params;
use passband_spectral::triage::Report;
use serde::Serialize;

use super::calibration::{Calibration, LEAST, called};
use super::pixels::{Histogram, SLOPE_PPM_M, Slope};
use super::score::{AlarmPoint, Operating, alarms, detection_curve, frame_ap};
use super::strength::{Measure, StrengthBin, bins};
use super::{Evaluation, FrameOutcome, Settings, median, quantile};

/// The document. `ground-sim/EVAL.md` explains every field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// 1.
    pub schema: u32,
    /// The gas.
    pub target: String,
    /// What was looked at.
    pub numbers: Numbers,
    /// At the threshold of an alert.
    pub alert: Operating,
    /// At the threshold of a suspect.
    pub suspect: Operating,
    /// Average precision of the candidates against the plumes.
    pub detection_ap: Option<f64>,
    /// Average precision of the frames.
    pub frame_ap: Option<f64>,
    /// By pixels.
    pub pixels: PixelFigures,
    /// By the greatest column.
    pub by_ppm_m: Vec<StrengthBin>,
    /// By the source rate.
    pub by_kg_h: Vec<StrengthBin>,
    /// Noise-equivalent column and how true the quantities are.
    pub quantity: QuantityFigures,
    /// Are the probabilities true?
    pub calibration: Calibration,
    /// False alarms along the thresholds.
    pub false_alarms: Vec<AlarmPoint>,
    /// Rejections by their reason.
    pub rejections: BTreeMap<String, u64>,
    /// Frames that could not be evaluated.
    pub failures: Vec<Failure>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// Frames evaluated.
    pub frames: u64,
    /// Those of them without any gas.
    pub clean_frames: u64,
    /// Frames that could not be evaluated.
    pub failed: u64,
    /// All plumes.
    pub plumes: u64,
    /// Those of them that count.
    pub counting_plumes: u64,
    /// Those of them mostly hidden.
    pub hidden_plumes: u64,
    /// Candidates that the detector looked at.
    pub candidates: u64,
    /// Those of them that it handed out.
    pub handed_out: u64,
}

/// Figures over pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PixelFigures {
    /// Mean of the frames' average precision, over the frames with visible plume pixels.
    pub ap_mean: Option<f64>,
    /// Number of those frames.
    pub ap_frames: u64,
    /// Average precision of the pixels of all frames together.
    pub ap_pooled: Option<f64>,
    /// Pixels that count.
    pub pixels: u64,
    /// Those of them on a plume.
    pub plume_pixels: u64,
}

/// The middle frame, and the one that nine in ten are below.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// Nine in ten are below.
    pub p90: f64,
}

/// Noise and quantities.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantityFigures {
    /// Standard deviation of the enhancement over ground without gas, ppm·m: the noise-equivalent column.
    pub noise_ppm_m: Option<Spread>,
    /// The same, robust.
    pub noise_robust_ppm_m: Option<Spread>,
    /// The same, after smoothing with a Gaussian of 1.2 pixels.
    pub noise_smoothed_ppm_m: Option<Spread>,
    /// What the detector itself says of it.
    pub noise_told_ppm_m: Option<Spread>,
    /// Columns over which the slope is fitted, ppm·m.
    pub slope_range_ppm_m: [f32; 2],
    /// Pixels that it is fitted to.
    pub slope_pixels: u64,
    /// Slope of the retrieved over the true column.
    pub slope: Option<f64>,
    /// Sum of the retrieved columns over the sum of the true ones.
    pub ratio: Option<f64>,
    /// Found plumes of which the rate is known and given.
    pub rates: u64,
    /// Given over true rate: the middle one.
    pub rate_ratio_median: Option<f64>,
    /// Share of them within ± 50 % of the true one.
    pub rates_within_half: Option<f64>,
    /// Share of them with the true one within one standard deviation of the given one.
    pub rates_within_sigma: Option<f64>,
}

/// A frame that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its name.
    pub frame: String,
    /// Why.
    pub error: String,
}

impl Evaluation {
    pub(super) fn new(
        frames: Vec<FrameOutcome>,
        failures: Vec<Failure>,
        histogram: &Histogram,
        settings: &Settings,
    ) -> Self {
        let (pixel_curve, ap_pooled) = histogram.curve().unzip();
        let (detection_curve, detection_ap) = detection_curve(&frames).unzip();
        let params = &settings.params;
        let [alert, suspect] = [params.alert_probability, params.suspect_probability]
            .map(|p| Operating::at(f64::from(p), &frames));
        let bins = |measure| bins(&frames, measure, alert.threshold, suspect.threshold);
        let summary = Summary {
            schema: 1,
            target: settings.target.name().to_owned(),
            numbers: numbers(&frames, failures.len()),
            detection_ap,
            frame_ap: frame_ap(&frames),
            pixels: pixel_figures(&frames, ap_pooled),
            by_ppm_m: bins(Measure::Column),
            by_kg_h: bins(Measure::Rate),
            quantity: quantity(&frames),
            calibration: Calibration::of(&called(&frames), LEAST),
            false_alarms: alarms(&frames),
            rejections: rejections(&frames),
            failures,
            alert,
            suspect,
        };
        Self {
            summary,
            frames,
            pixel_curve: pixel_curve.unwrap_or_default(),
            detection_curve: detection_curve.unwrap_or_default(),
        }
    }

    /// Of frames made up for a test.
    #[cfg(test)]
    pub(super) fn of_frames(frames: Vec<FrameOutcome>, params: &Params) -> Self {
        let target = passband_spectral::target::Target::ch4();
        let settings = Settings { target, params: params.clone(), threads: None };
        Self::new(frames, vec![], &Histogram::default(), &settings)
    }
}

fn numbers(frames: &[FrameOutcome], failed: usize) -> Numbers {
    let plumes = || frames.iter().flat_map(|f| &f.plumes);
    Numbers {
        frames: frames.len() as u64,
        clean_frames: frames.iter().filter(|f| f.is_clean).count() as u64,
        failed: failed as u64,
        plumes: plumes().count() as u64,
        counting_plumes: plumes().filter(|p| p.plume.counts()).count() as u64,
        hidden_plumes: plumes().filter(|p| p.plume.is_hidden()).count() as u64,
        candidates: frames.iter().map(|f| u64::from(f.report.candidates)).sum(),
        handed_out: frames.iter().map(|f| f.candidates.len() as u64).sum(),
    }
}

fn pixel_figures(frames: &[FrameOutcome], ap_pooled: Option<f64>) -> PixelFigures {
    let each: Vec<f64> = frames.iter().filter_map(|f| f.pixel_ap).collect();
    PixelFigures {
        ap_mean: (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64),
        ap_frames: each.len() as u64,
        ap_pooled,
        pixels: frames.iter().map(|f| f.pixels[0]).sum(),
        plume_pixels: frames.iter().map(|f| f.pixels[1]).sum(),
    }
}

fn spread(values: &[f64]) -> Option<Spread> {
    Some(Spread { median: median(values)?, p90: quantile(values, 0.9)? })
}

fn quantity(frames: &[FrameOutcome]) -> QuantityFigures {
    let noise = |of: fn(&super::Noise) -> f64| {
        spread(&frames.iter().filter_map(|f| f.noise.as_ref().map(of)).collect::<Vec<_>>())
    };
    let told = |report: &Report| report.noise_ppm_m.map(f64::from);
    let mut slope = Slope::default();
    frames.iter().for_each(|f| slope.add(&f.slope));
    let rates: Vec<(f64, f64, f64)> = frames
        .iter()
        .flat_map(|f| &f.plumes)
        .filter_map(|p| {
            let (truth, given) = p.plume.rate_kg_h.filter(|r| *r > 0.0).zip(p.estimate_kg_h)?;
            Some((truth, f64::from(given.value), f64::from(given.sigma)))
        })
        .collect();
    let share = |holds: &dyn Fn(&(f64, f64, f64)) -> bool| {
        let count = rates.iter().filter(|r| holds(r)).count();
        (!rates.is_empty()).then(|| count as f64 / rates.len() as f64)
    };
    QuantityFigures {
        noise_ppm_m: noise(|n| n.sd_ppm_m),
        noise_robust_ppm_m: noise(|n| n.robust_ppm_m),
        noise_smoothed_ppm_m: noise(|n| n.smoothed_sd_ppm_m),
        noise_told_ppm_m: spread(&frames.iter().filter_map(|f| told(&f.report)).collect::<Vec<_>>()),
        slope_range_ppm_m: SLOPE_PPM_M,
        slope_pixels: super::index_of(slope.pixels()) as u64,
        slope: slope.slope(),
        ratio: slope.ratio(),
        rates: rates.len() as u64,
        rate_ratio_median: median(&rates.iter().map(|(truth, given, _)| given / truth).collect::<Vec<_>>()),
        rates_within_half: share(&|(truth, given, _)| (given - truth).abs() <= 0.5 * truth),
        rates_within_sigma: share(&|(truth, given, sigma)| (given - truth).abs() <= *sigma),
    }
}

fn rejections(frames: &[FrameOutcome]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for reason in frames.iter().flat_map(|f| &f.candidates).filter_map(|c| c.reason) {
        *counts.entry(reason_name(reason)).or_default() += 1;
    }
    counts
}

/// The name of a reason as the report writes it.
pub(super) fn reason_name(reason: passband_spectral::triage::Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::matching::Judgement::{False, True};
    use crate::eval::score::tests::frame;
    use passband_spectral::triage::{Estimate, Reason};

    #[test]
    fn everything_is_counted_and_the_document_has_its_version() {
        let mut found = frame(&[(0.95, True), (0.3, False)], &[(500.0, Some(0.95)), (100.0, None)]);
        found.plumes[0].estimate_kg_h = Some(Estimate { value: 600.0, sigma: 50.0 });
        found.plumes[1].plume.visible_pixels = 1;
        found.candidates[1].reason = Some(Reason::Spectrum);
        found.pixel_ap = Some(0.7);
        let clean = frame(&[], &[]);
        let summary = Evaluation::of_frames(vec![found, clean], &Params::default()).summary;
        let n = summary.numbers;
        assert_eq!((n.frames, n.clean_frames, n.plumes, n.counting_plumes, n.hidden_plumes), (2, 1, 2, 1, 1));
        assert_eq!((n.candidates, n.handed_out), (2, 2));
        assert_eq!(summary.pixels.ap_mean, Some(0.7));
        assert_eq!(summary.rejections, BTreeMap::from([("spectrum".to_owned(), 1)]));
        let q = &summary.quantity;
        assert_eq!((q.rates, q.rate_ratio_median), (1, Some(1.2)));
        assert_eq!((q.rates_within_half, q.rates_within_sigma), (Some(1.0), Some(0.0)));
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!((&json["schema"], &json["alert"]["recall"]["of"]), (&1.into(), &1.into()));
        assert_eq!(json["false_alarms"].as_array().unwrap().len(), 201);
    }

    #[test]
    fn nothing_at_all_gives_a_document_too() {
        let summary = Evaluation::of_frames(vec![], &Params::default()).summary;
        assert!(summary.alert.f1.is_none() && summary.calibration.ece.is_none());
        assert!(serde_json::to_string(&summary).unwrap().contains("\"ap_pooled\":null"));
    }
}
