//! From features to a probability, from probabilities and quality to a class and a reason.

use super::params::{Logistic, Params};
use super::plumes::Candidate;
use super::report::{Detection, Flag, Quality};
use super::spectrum::Look;
use crate::Class;
use crate::numeric::f32_of;

/// Least probability of a candidate that is reported at all.
const REPORTED: f32 = 0.05;

/// The probability that a candidate is a plume: a logistic of its features, not yet calibrated. Without a second look
/// the spectrum counts as not matching.
pub(super) fn probability(candidate: &Candidate, look: Option<Look>, weights: &Logistic) -> f32 {
    let look = look.unwrap_or(Look { spectral_match: 0.0, contrast: 0.0 });
    let score = weights.bias
        + weights.ln_snr * libm::log(f64::from(candidate.snr).max(1.0))
        + weights.ln_pixels * libm::log(candidate.pixels.len().min(200) as f64)
        + weights.spectral_match * f64::from(look.spectral_match)
        + weights.contrast * f64::from(look.contrast.abs())
        + if candidate.is_line { weights.line_shape } else { 0.0 };
    f32_of(1.0 / (1.0 + libm::exp(-score)))
}

/// The detections worth reporting, the most probable first, labelled from 1.
pub(super) fn detections(judged: &[(Candidate, Option<Look>, f32)]) -> Vec<(Detection, &Candidate)> {
    let mut order: Vec<_> = judged.iter().filter(|(_, _, p)| *p >= REPORTED).collect();
    // A stable sort: equal probabilities stay in the order of strength.
    order.sort_by(|a, b| b.2.total_cmp(&a.2));
    let labels = 1..=u16::MAX;
    labels
        .zip(order)
        .map(|(label, (candidate, look, probability))| {
            let detection = Detection {
                label,
                probability: *probability,
                peak_ppm_m: candidate.peak_ppm_m,
                mean_ppm_m: candidate.mean_ppm_m,
                mass_kg: None,
                rate_kg_h: None,
                pixels: u32::try_from(candidate.pixels.len()).unwrap_or(u32::MAX),
                bbox: candidate.bbox,
                centroid: candidate.centroid,
                snr: candidate.snr,
                spectral_match: look.map_or(0.0, |l| l.spectral_match),
                contrast: look.map_or(0.0, |l| l.contrast),
            };
            (detection, candidate)
        })
        .collect()
}

/// Class, probability and reason of a frame.
pub(super) fn verdict(
    detections: &[Detection],
    quality: &Quality,
    searched: Result<&str, Flag>,
    params: &Params,
) -> (Class, f32, String) {
    let best = detections.first();
    let probability = best.map_or(0.0, |d| d.probability);
    let percent = |share: f32| format!("{:.0} %", f64::from(share) * 100.0);
    if let Some(plume) = best.filter(|d| d.probability >= params.suspect_probability) {
        let class = if probability >= params.alert_probability { Class::Alert } else { Class::Suspect };
        let gas = searched.unwrap_or("gas");
        let reason = format!(
            "{gas} plume of {} pixels, peak {:.0} ppm m, {:.1} sigma, probability {probability:.2}",
            plume.pixels, plume.peak_ppm_m, plume.snr
        );
        return (class, probability, reason);
    }
    if quality.bad_fraction > params.discard_bad {
        return (
            Class::DiscardCandidate,
            probability,
            format!("{} of it is bad data", percent(quality.bad_fraction)),
        );
    }
    if quality.cloud_fraction > params.discard_cloud {
        let reason = format!("{} of it is cloud", percent(quality.cloud_fraction));
        return (Class::DiscardCandidate, probability, reason);
    }
    let reason = match (searched, best) {
        (Ok(gas), None) => format!("no {gas} plume found"),
        (Ok(gas), Some(_)) => format!("nothing that is probably a {gas} plume"),
        (Err(flag), _) => format!("no gas was looked for: {}", explained(flag)),
    };
    (Class::Routine, probability, reason)
}

fn explained(flag: Flag) -> &'static str {
    match flag {
        Flag::NoWavelengths => "the header gives no wavelengths",
        Flag::NoGasWindow => "too few bands in the gas's window",
        Flag::TooFewPixels => "too few clear pixels",
        Flag::Degenerate => "the background has no usable statistics",
        Flag::Uncalibrated
        | Flag::Cloudy
        | Flag::DroppedLines
        | Flag::Saturated
        | Flag::DeadDetectors
        | Flag::Striped => "the data's quality",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::triage::BoundingBox;

    fn candidate(pixels: usize, snr: f32) -> Candidate {
        let side = u32::try_from(pixels.isqrt()).unwrap();
        Candidate {
            pixels: (0..pixels).collect(),
            bbox: BoundingBox { line0: 0, line1: side, sample0: 0, sample1: side },
            centroid: [0.0, 0.0],
            peak_ppm_m: 1000.0,
            mean_ppm_m: 500.0,
            snr,
            weight: 1.0,
            is_line: false,
        }
    }

    #[test]
    fn each_feature_moves_the_probability_the_right_way() {
        let weights = Logistic::default();
        let p = |pixels, snr, spectral_match, contrast| {
            probability(&candidate(pixels, snr), Some(Look { spectral_match, contrast }), &weights)
        };
        let base = p(40, 8.0, 0.6, 0.1);
        assert!(p(80, 8.0, 0.6, 0.1) > base);
        assert!(p(40, 12.0, 0.6, 0.1) > base);
        assert!(p(40, 8.0, 0.8, 0.1) > base);
        assert!(p(40, 8.0, 0.6, -0.5) < base);
        assert!(probability(&candidate(40, 8.0), None, &weights) < base);
    }

    #[test]
    fn a_plume_outranks_cloud_and_cloud_outranks_nothing() {
        let params = Params::default();
        let judged = |p| vec![(candidate(40, 9.0), Some(Look { spectral_match: 0.9, contrast: 0.0 }), p)];
        let cloudy = Quality { cloud_fraction: 0.9, ..Quality::default() };
        let of = |p: f32, quality: &Quality| {
            let judged = judged(p);
            let found: Vec<Detection> = detections(&judged).into_iter().map(|(d, _)| d).collect();
            verdict(&found, quality, Ok("CH4"), &params).0
        };
        assert_eq!(of(0.95, &cloudy), Class::Alert);
        assert_eq!(of(0.5, &cloudy), Class::Suspect);
        assert_eq!(of(0.1, &cloudy), Class::DiscardCandidate);
        assert_eq!(of(0.1, &Quality::default()), Class::Routine);
        let (class, _, reason) = verdict(&[], &Quality::default(), Err(Flag::NoWavelengths), &params);
        assert_eq!((class, reason.contains("wavelengths")), (Class::Routine, true));
    }
}
