//! From features to a probability, from probabilities and quality to a class and a reason.

use super::params::{Features, Logistic, Params};
use super::plumes::Candidate;
use super::report::{Detection, Estimate, Flag, Overview, Quality, Reason, Rejection, pixel};
use super::spectrum::Look;
use crate::Class;
use crate::numeric::f32_of;

/// A candidate with more than this share of its signal in one line or one sample …
const LINE_SHARE: f64 = 0.6;
/// … and longer than this is the trace of a fault.
const LINE_LENGTH: usize = 6;
/// How near something hidden has to be to a pixel to make it one of the edge.
const EDGE: usize = 2;
/// Pixels beyond this number make a candidate no more probable.
const MOST_PIXELS: usize = 400;

/// A candidate and all that is known of it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) candidate: Candidate,
    pub(super) features: Features,
    pub(super) probability: f32,
    pub(super) mass_kg: Option<Estimate>,
    pub(super) rate_kg_h: Option<Estimate>,
    /// Signed, as opposed to the feature.
    pub(super) contrast: f32,
}

/// What speaks for and against a candidate.
pub(super) fn features(candidate: &Candidate, look: Option<Look>, overview: &Overview) -> Features {
    let seen = look.unwrap_or(Look { spectral_match: 0.0, snr: 0.0, windows_differ: 0.0, contrast: 0.0 });
    let ln = |value: f64| f32_of(libm::log(value.max(1.0)));
    let (peak, mean) = peak_and_mean(candidate);
    Features {
        ln_score: ln(f64::from(candidate.peak_score)),
        ln_pixels: ln(candidate.pixels.min(MOST_PIXELS) as f64),
        spectral_match: seen.spectral_match,
        ln_spectral_snr: ln(f64::from(seen.snr)),
        windows_differ: seen.windows_differ.min(5.0),
        contrast: seen.contrast.abs().min(3.0),
        line_shape: line_shape(candidate),
        edge: edge_share(candidate, overview),
        ln_peakedness: ln(f64::from(peak) / f64::from(mean.max(1.0))),
        no_ring: f32::from(u8::from(look.is_none())),
    }
}

/// The probability that a candidate with these features is a plume.
pub(super) fn probability(features: &Features, weights: &Logistic) -> f32 {
    f32_of(1.0 / (1.0 + libm::exp(-weights.score(features))))
}

fn peak_and_mean(candidate: &Candidate) -> (f32, f32) {
    let (mut peak, mut sum, mut count) = (0.0_f64, 0.0, 0.0);
    for (.., value) in candidate.values() {
        peak = peak.max(value);
        sum += value;
        count += 1.0;
    }
    (f32_of(peak), f32_of(sum / f64::max(count, 1.0)))
}

/// The greatest share of the signal in one line or one sample, if it is so great that it makes a line.
fn line_shape(candidate: &Candidate) -> f32 {
    let bbox = &candidate.bbox;
    let size = |from: u32, to: u32| to.saturating_sub(from) as usize;
    let (lines, samples) = (size(bbox.line0, bbox.line1), size(bbox.sample0, bbox.sample1));
    let (mut by_line, mut by_sample) = (vec![0.0; lines], vec![0.0; samples]);
    let mut total = 0.0;
    for (line, sample, value) in candidate.values() {
        let value = value.max(0.0);
        total += value;
        let index = |place: f64, from: u32| crate::numeric::index_of(place - f64::from(from), usize::MAX);
        by_line.get_mut(index(line, bbox.line0)).into_iter().for_each(|sum| *sum += value);
        by_sample.get_mut(index(sample, bbox.sample0)).into_iter().for_each(|sum| *sum += value);
    }
    let most = |sums: &[f64]| sums.iter().copied().fold(0.0, f64::max) / f64::max(total, 1e-9);
    let along =
        |share: f64, length: usize| if length > LINE_LENGTH && share > LINE_SHARE { share } else { 0.0 };
    f32_of(along(most(&by_sample), lines).max(along(most(&by_line), samples)))
}

fn edge_share(candidate: &Candidate, overview: &Overview) -> f32 {
    let (mut edge, mut count) = (0.0, 0.0);
    for span in &candidate.spans {
        for sample in span.from..span.to {
            let lines = span.line.saturating_sub(EDGE)..=span.line + EDGE;
            let hidden = lines.into_iter().any(|l| {
                (sample.saturating_sub(EDGE)..=sample + EDGE).any(|s| overview.at(l, s) & pixel::HIDDEN != 0)
            });
            edge += f64::from(u8::from(hidden));
            count += 1.0;
        }
    }
    f32_of(edge / f64::max(count, 1.0))
}

/// What speaks most against a candidate: the feature that costs it most against what plumes usually have.
fn reason(judged: &Judged, weights: &Logistic) -> Reason {
    let f = &judged.features;
    let costs = [
        (Reason::Line, -weights.line_shape * f64::from(f.line_shape)),
        (Reason::NoRing, -weights.no_ring * f64::from(f.no_ring)),
        (Reason::Edge, -weights.edge * f64::from(f.edge)),
        (Reason::Contrast, -weights.contrast * f64::from(f.contrast)),
        (Reason::Windows, -weights.windows_differ * f64::from(f.windows_differ)),
        (Reason::Spectrum, weights.spectral_match * (0.6 - f64::from(f.spectral_match)).max(0.0)),
        (Reason::Weak, weights.ln_score * (libm::log(12.0) - f64::from(f.ln_score)).max(0.0)),
    ];
    // The first of equals.
    let worst =
        costs.iter().fold((Reason::Weak, 0.0), |worst, cost| if cost.1 > worst.1 { *cost } else { worst });
    worst.0
}

/// The detections worth reporting, the most probable first, labelled from 1, and the other candidates with what speaks
/// against them, the strongest first.
pub(super) fn sorted(mut judged: Vec<Judged>, params: &Params) -> (Vec<(Detection, Judged)>, Vec<Rejection>) {
    judged.sort_by(|a, b| {
        let strength = b.candidate.weight.total_cmp(&a.candidate.weight);
        strength.then(a.candidate.spans.first().cmp(&b.candidate.spans.first()))
    });
    let (mut reported, others): (Vec<Judged>, Vec<Judged>) =
        judged.into_iter().partition(|j| j.probability >= params.report_probability);
    // A stable sort: equal probabilities stay in the order of strength.
    reported.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let rejections = others.iter().take(params.max_rejections).map(|j| rejection(j, params)).collect();
    let detections = (1..=u16::MAX).zip(reported).map(|(label, judged)| (detection(label, &judged), judged));
    (detections.collect(), rejections)
}

fn pixels(candidate: &Candidate) -> u32 {
    u32::try_from(candidate.pixels).unwrap_or(u32::MAX)
}

fn rejection(judged: &Judged, params: &Params) -> Rejection {
    Rejection {
        reason: reason(judged, &params.logistic),
        probability: judged.probability,
        snr: judged.candidate.peak_score,
        pixels: pixels(&judged.candidate),
        bbox: judged.candidate.bbox,
        features: judged.features,
    }
}

fn detection(label: u16, judged: &Judged) -> Detection {
    let candidate = &judged.candidate;
    let (peak_ppm_m, mean_ppm_m) = peak_and_mean(candidate);
    let (mut sum, mut lines, mut samples) = (0.0, 0.0, 0.0);
    for (line, sample, value) in candidate.values() {
        let value = value.max(0.0);
        sum += value;
        lines += value * line;
        samples += value * sample;
    }
    let bbox = candidate.bbox;
    let centroid = if sum > 0.0 {
        [f32_of(lines / sum), f32_of(samples / sum)]
    } else {
        [bbox.line0 as f32, bbox.sample0 as f32]
    };
    Detection {
        label,
        probability: judged.probability,
        peak_ppm_m,
        mean_ppm_m,
        mass_kg: judged.mass_kg,
        rate_kg_h: judged.rate_kg_h,
        pixels: pixels(candidate),
        bbox,
        centroid,
        position: None,
        snr: candidate.peak_score,
        spectral_match: judged.features.spectral_match,
        contrast: judged.contrast,
        features: judged.features,
    }
}

/// Class, probability and reason of a frame.
pub(super) fn verdict(
    detections: &[Detection],
    rejections: &[Rejection],
    quality: &Quality,
    searched: Result<&str, Flag>,
    params: &Params,
) -> (Class, f32, String) {
    let best = detections.first();
    let strongest = rejections.iter().map(|r| r.probability).fold(0.0, f32::max);
    let probability = best.map_or(strongest, |d| d.probability);
    let percent = |share: f32| format!("{:.0} %", f64::from(share) * 100.0);
    if let Some(plume) = best.filter(|d| d.probability >= params.suspect_probability) {
        let class = if probability >= params.alert_probability { Class::Alert } else { Class::Suspect };
        let gas = searched.unwrap_or("gas");
        let rate =
            plume.rate_kg_h.map_or_else(String::new, |r| format!(", {:.0} ± {:.0} kg/h", r.value, r.sigma));
        let reason = format!(
            "{gas} plume of {} pixels, peak {:.0} ppm m{rate}, score {:.1}, probability {probability:.2}",
            plume.pixels, plume.peak_ppm_m, plume.snr
        );
        return (class, probability, reason);
    }
    if quality.bad_fraction > params.discard_bad {
        let reason = format!("{} of it is bad data", percent(quality.bad_fraction));
        return (Class::DiscardCandidate, probability, reason);
    }
    // In the gaps of clouds little is known of the ground, and so a probability is worth less.
    if quality.cloud_fraction > params.discard_cloud && probability < params.discard_probability {
        let reason = format!("{} of it is cloud", percent(quality.cloud_fraction));
        return (Class::DiscardCandidate, probability, reason);
    }
    let reason = match (searched, rejections.first()) {
        (Err(flag), _) => format!("no gas was looked for: {}", explained(flag)),
        (Ok(gas), _) if best.is_some() => format!("nothing that is probably a {gas} plume"),
        (Ok(gas), Some(rejected)) => {
            format!("no {gas} plume; the strongest candidate: {}", why(rejected.reason))
        }
        (Ok(gas), None) => format!("no {gas} plume found"),
    };
    (Class::Routine, probability, reason)
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Weak => "it hardly stands out",
        Reason::Spectrum => "its spectrum is not that of the gas",
        Reason::Windows => "the gas's windows disagree about the amount",
        Reason::Contrast => "it is as bright or dark as only ground can be",
        Reason::Line => "it has the shape of a stripe or a dropped line",
        Reason::Edge => "it lies beside cloud, dark ground or bad data",
        Reason::NoRing => "there is no clear ground around it",
    }
}

fn explained(flag: Flag) -> &'static str {
    match flag {
        Flag::NoWavelengths => "the header gives no wavelengths",
        Flag::NoGasWindow => "too few bands in the gas's windows",
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
    use super::super::plumes::Finder;
    use super::*;

    fn judged(probability: f32) -> Judged {
        let params = Params { min_plume_pixels: 1, ..Params::default() };
        let mut finder = Finder::new(&params);
        for line in 0..7 {
            finder.line(line, &[0.0, 20.0, 9.0, 0.0], &[0.0, 800.0, 400.0, 0.0]);
        }
        let candidate = finder.finish().remove(0);
        let look = Look { spectral_match: 0.9, snr: 12.0, windows_differ: 0.5, contrast: -0.1 };
        let features = features(&candidate, Some(look), &Overview::new(4, 7));
        Judged { candidate, features, probability, mass_kg: None, rate_kg_h: None, contrast: -0.1 }
    }

    #[test]
    fn features_are_measured_on_the_pixels() {
        let j = judged(0.9);
        assert!((j.features.line_shape - 2.0 / 3.0).abs() < 1e-6, "{:?}", j.features);
        assert!((j.features.ln_peakedness - libm::logf(800.0 / 600.0)).abs() < 1e-6);
        assert!((j.features.ln_pixels - libm::logf(14.0)).abs() < 1e-6);
        let mut overview = Overview::new(4, 7);
        overview.add(0, &[0, 0, 0, pixel::CLOUD]);
        assert!((edge_share(&j.candidate, &overview) - 6.0 / 14.0).abs() < 1e-6);
        let d = detection(1, &j);
        assert!((d.centroid[0] - 3.0).abs() < 1e-5 && (d.centroid[1] - 4.0 / 3.0).abs() < 1e-5, "{d:?}");
    }

    #[test]
    fn what_costs_most_is_the_reason() {
        let weights = Logistic { line_shape: -6.0, edge: -2.0, contrast: -2.0, ..Logistic::default() };
        let mut j = judged(0.01);
        assert_eq!(reason(&j, &weights), Reason::Line);
        j.features.line_shape = 0.0;
        j.features.spectral_match = 0.0;
        assert_eq!(reason(&j, &weights), Reason::Spectrum);
        j.features = Features { ln_score: libm::logf(6.0), spectral_match: 0.8, ..Features::default() };
        assert_eq!(reason(&j, &weights), Reason::Weak);
    }

    #[test]
    fn a_plume_outranks_cloud_and_cloud_outranks_nothing() {
        let params = Params::default();
        let cloudy = Quality { cloud_fraction: 0.9, ..Quality::default() };
        let of = |p: f32, quality: &Quality| {
            let (found, rejections) = sorted(vec![judged(p)], &params);
            let found: Vec<Detection> = found.into_iter().map(|(d, _)| d).collect();
            verdict(&found, &rejections, quality, Ok("CH4"), &params)
        };
        assert_eq!(of(0.99, &cloudy).0, Class::Alert);
        assert_eq!(of(0.5, &cloudy).0, Class::Suspect);
        assert_eq!(of(0.3, &cloudy).0, Class::Routine);
        assert_eq!(of(0.06, &cloudy).0, Class::DiscardCandidate);
        let (class, probability, reason) = of(0.01, &Quality::default());
        assert_eq!((class, probability.to_bits()), (Class::Routine, 0.01_f32.to_bits()));
        assert!(reason.contains("strongest candidate"), "{reason}");
        let (class, _, reason) = verdict(&[], &[], &Quality::default(), Err(Flag::NoWavelengths), &params);
        assert_eq!((class, reason.contains("wavelengths")), (Class::Routine, true));
    }
}
