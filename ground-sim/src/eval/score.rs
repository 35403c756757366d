//! Plumes and frames counted: recall, precision and false alarms at a threshold, and along all of them.

use serde::Serialize;

use super::matching::{Candidate, Judgement};
use super::pixels::{Count, CurvePoint, curve};
use super::{FrameOutcome, PlumeOutcome};

/// Quantile of the normal distribution for intervals of 95 %.
const Z95: f64 = 1.959_963_984_540_054;
/// Thresholds of the curve of false alarms: so many steps from 0 to 1.
const STEPS: u32 = 200;

/// A share of counted things, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many of them.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The share; `None` of nothing.
    pub share: Option<f64>,
    /// Wilson's interval of 95 % for it.
    pub interval_95: [f64; 2],
}

impl Share {
    /// `count` of `of`.
    ///
    /// Interval: E. B. Wilson (1927), Probable inference, J. Am. Stat. Assoc. 22: good also for few and for none.
    pub(crate) fn new(count: u64, of: u64) -> Self {
        let (n, z2) = (of as f64, Z95 * Z95);
        let p = if of == 0 { 0.0 } else { count as f64 / n };
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let low = if count == 0 { 0.0 } else { middle - half };
        let high = if count == of { 1.0 } else { middle + half };
        let interval_95 = if of == 0 { [0.0, 1.0] } else { [low, high] };
        Self { count, of, share: (of > 0).then_some(p), interval_95 }
    }
}

/// Figures at one threshold of the probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operating {
    /// Lowest probability that counts as found.
    pub threshold: f64,
    /// Plumes found, of those that count.
    pub recall: Share,
    /// Candidates that are plumes, of those that are plumes or nothing.
    pub precision: Share,
    /// Candidates on gas that counts neither way.
    pub neither: u64,
    /// 2 P R / (P + R).
    pub f1: Option<f64>,
    /// False candidates in 1,000 frames of any kind.
    pub false_per_1000_frames: Option<f64>,
    /// Frames with a false candidate, of those without any gas.
    pub false_frames: Share,
}

impl Operating {
    pub(super) fn at(threshold: f64, frames: &[FrameOutcome]) -> Self {
        let plumes = || frames.iter().flat_map(|f| &f.plumes).filter(|p| p.plume.counts());
        let recall =
            Share::new(plumes().filter(|p| is_found(p, threshold)).count() as u64, plumes().count() as u64);
        let called = |what: Judgement| {
            let all = frames.iter().flat_map(|f| &f.candidates);
            all.filter(|c| c.probability >= threshold && c.judgement == what).count() as u64
        };
        let (right, wrong) = (called(Judgement::True), called(Judgement::False));
        let precision = Share::new(right, right + wrong);
        let clean = frames.iter().filter(|f| f.is_clean);
        let alarmed = clean.clone().filter(|f| is_alarmed(f, threshold)).count() as u64;
        Self {
            threshold,
            recall,
            precision,
            neither: called(Judgement::Neither),
            f1: f1(recall, precision),
            false_per_1000_frames: (!frames.is_empty()).then(|| wrong as f64 * 1e3 / frames.len() as f64),
            false_frames: Share::new(alarmed, clean.count() as u64),
        }
    }
}

/// The harmonic mean of recall and precision. With nothing to find it is not defined; with nothing found, 0.
fn f1(recall: Share, precision: Share) -> Option<f64> {
    let r = recall.share?;
    let p = precision.share.unwrap_or(0.0);
    Some(if r + p > 0.0 { 2.0 * r * p / (r + p) } else { 0.0 })
}

pub(super) fn is_found(plume: &PlumeOutcome, threshold: f64) -> bool {
    plume.probability.is_some_and(|p| p >= threshold)
}

fn is_alarmed(frame: &FrameOutcome, threshold: f64) -> bool {
    frame.candidates.iter().any(|c| c.judgement == Judgement::False && c.probability >= threshold)
}

/// False alarms at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlarmPoint {
    /// Lowest probability that counts.
    pub threshold: f64,
    /// False candidates in 1,000 frames of any kind.
    pub candidates_per_1000_frames: f64,
    /// Frames with a false candidate in 1,000 frames without gas; `None`: there are no such frames.
    pub frames_per_1000_clean: Option<f64>,
}

/// False alarms along the thresholds from 0 to 1.
pub(super) fn alarms(frames: &[FrameOutcome]) -> Vec<AlarmPoint> {
    let thresholds = (0..=STEPS).map(|n| f64::from(n) / f64::from(STEPS));
    let point = |threshold| {
        let at = Operating::at(threshold, frames);
        AlarmPoint {
            threshold,
            candidates_per_1000_frames: at.false_per_1000_frames.unwrap_or(0.0),
            frames_per_1000_clean: at.false_frames.share.map(|s| s * 1e3),
        }
    };
    thresholds.map(point).collect()
}

/// Precision of the candidates over recall of the plumes, down the probabilities; and the area under it by steps. The
/// precision is that of [`Operating::precision`], the recall that of [`Operating::recall`].
pub(super) fn detection_curve(frames: &[FrameOutcome]) -> Option<(Vec<CurvePoint>, f64)> {
    /// What happens when the threshold goes down to a probability.
    #[derive(Default, Clone, Copy)]
    struct Event {
        probability: f64,
        right: u64,
        wrong: u64,
        found: u64,
    }
    let of_candidate = |c: &Candidate| Event {
        probability: c.probability,
        right: u64::from(c.judgement == Judgement::True),
        wrong: u64::from(c.judgement == Judgement::False),
        found: 0,
    };
    let plumes = || frames.iter().flat_map(|f| &f.plumes).filter(|p| p.plume.counts());
    let all = plumes().count() as f64;
    if all == 0.0 {
        return None;
    }
    let found =
        plumes().filter_map(|p| Some(Event { probability: p.probability?, found: 1, ..Event::default() }));
    let mut events: Vec<Event> =
        frames.iter().flat_map(|f| &f.candidates).map(of_candidate).chain(found).collect();
    events.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let (mut right, mut wrong, mut recall, mut area, mut points) = (0, 0, 0.0, 0.0, Vec::new());
    for level in events.chunk_by(|a, b| a.probability.total_cmp(&b.probability).is_eq()) {
        right += level.iter().map(|e| e.right).sum::<u64>();
        wrong += level.iter().map(|e| e.wrong).sum::<u64>();
        let more = level.iter().map(|e| e.found).sum::<u64>() as f64 / all;
        if right + wrong > 0 {
            let precision = right as f64 / (right + wrong) as f64;
            recall += more;
            area += more * precision;
            points.push(CurvePoint { threshold: level[0].probability, precision, recall });
        }
    }
    Some((points, area))
}

/// Average precision of the frames by their probability: a frame with a plume that counts, against one without gas.
pub(super) fn frame_ap(frames: &[FrameOutcome]) -> Option<f64> {
    let has_plume = |f: &FrameOutcome| f.plumes.iter().any(|p| p.plume.counts());
    let mut scored: Vec<(f64, bool)> = frames
        .iter()
        .filter(|f| f.is_clean || has_plume(f))
        .map(|f| (f64::from(f.report.probability), has_plume(f)))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let levels = scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).map(|same| {
        let positive = same.iter().filter(|(_, is)| *is).count() as u64;
        (same[0].0, Count { positive, negative: same.len() as u64 - positive })
    });
    curve(levels).map(|(_, ap)| ap)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::pixels::Slope;
    use crate::eval::truth::TruePlume;
    use passband_spectral::Class;
    use passband_spectral::triage::{BoundingBox, Quality, Report};

    /// A frame with candidates of a probability and a judgement, and plumes of a rate found with a probability.
    pub(in crate::eval) fn frame(
        candidates: &[(f64, Judgement)],
        plumes: &[(f64, Option<f64>)],
    ) -> FrameOutcome {
        let bbox = BoundingBox { line0: 0, line1: 1, sample0: 0, sample1: 1 };
        let candidate = |&(probability, judgement): &(f64, Judgement)| Candidate {
            detection: None,
            reason: None,
            probability,
            snr: 5.0,
            pixels: 9,
            bbox,
            judgement,
            plume: None,
            on_plume: 0.0,
            on_confuser: 0.0,
            features: Vec::new(),
        };
        let plume = |&(rate, probability): &(f64, Option<f64>)| PlumeOutcome {
            plume: TruePlume { rate_kg_h: Some(rate), max_ppm_m: 3000.0, pixels: 20, visible_pixels: 20 },
            probability,
            estimate_kg_h: None,
        };
        let best = candidates.iter().map(|c| c.0).fold(0.0, f64::max);
        FrameOutcome {
            name: "f".into(),
            report: Report {
                class: Class::Routine,
                probability: crate::eval::f32_of(best),
                reason: String::new(),
                target: "CH4".into(),
                detections: vec![],
                candidates: u32::try_from(candidates.len()).unwrap(),
                rejections: vec![],
                quality: Quality::default(),
                noise_ppm_m: None,
                window_nm: None,
                bands_used: 0,
                lines: 10,
                samples: 10,
            },
            candidates: candidates.iter().map(candidate).collect(),
            plumes: plumes.iter().map(plume).collect(),
            is_clean: plumes.is_empty(),
            pixel_ap: None,
            pixels: [100, 0],
            noise: None,
            wind_m_s: None,
            pixel_m: None,
            cloud_fraction: None,
            slope: Slope::default(),
        }
    }

    #[test]
    fn wilson_by_hand() {
        let share = Share::new(8, 10);
        assert!((share.interval_95[0] - 0.4902).abs() < 1e-4, "{share:?}");
        assert!((share.interval_95[1] - 0.9433).abs() < 1e-4, "{share:?}");
        let none = Share::new(0, 1000);
        assert!(none.interval_95[0] == 0.0 && (none.interval_95[1] - 0.003_827).abs() < 1e-5, "{none:?}");
        assert_eq!((Share::new(0, 0).share, Share::new(5, 5).interval_95[1]), (None, 1.0));
    }

    /// Two frames with three plumes (one found twice, one at 0.6, one never), and a clean one with a false alarm.
    fn some() -> Vec<FrameOutcome> {
        use Judgement::{False, Neither, True};
        vec![
            frame(&[(0.95, True), (0.9, True), (0.5, False)], &[(500.0, Some(0.95))]),
            frame(&[(0.6, True), (0.99, Neither)], &[(300.0, Some(0.6)), (200.0, None)]),
            frame(&[(0.7, False)], &[]),
        ]
    }

    #[test]
    fn figures_at_a_threshold_by_hand() {
        let at = Operating::at(0.6, &some());
        assert_eq!((at.recall.count, at.recall.of), (2, 3));
        assert_eq!((at.precision.count, at.precision.of, at.neither), (3, 4, 1));
        let (r, p) = (2.0 / 3.0, 0.75);
        assert!((at.f1.unwrap() - 2.0 * r * p / (r + p)).abs() < 1e-12);
        assert!((at.false_per_1000_frames.unwrap() - 1000.0 / 3.0).abs() < 1e-9);
        assert_eq!((at.false_frames.count, at.false_frames.of), (1, 1));
        let high = Operating::at(0.999, &some());
        assert_eq!((high.f1, high.precision.share), (Some(0.0), None));
        assert_eq!(Operating::at(0.5, &[]).f1, None);
    }

    #[test]
    fn the_curve_of_detections_by_hand() {
        let (points, area) = detection_curve(&some()).unwrap();
        // 0.95: a plume of three, all right. 0.6: the second, after one wrong.
        let by_hand = 1.0 / 3.0 + 1.0 / 3.0 * 3.0 / 4.0;
        assert!((area - by_hand).abs() < 1e-12, "{area}");
        let last = points.last().unwrap();
        assert!((last.recall - 2.0 / 3.0).abs() < 1e-12 && (last.precision - 0.6).abs() < 1e-12);
        assert_eq!(detection_curve(&[frame(&[], &[])]), None);
    }

    #[test]
    fn false_alarms_fall_with_the_threshold() {
        let points = alarms(&some());
        assert!(
            points.windows(2).all(|w| w[0].candidates_per_1000_frames >= w[1].candidates_per_1000_frames)
        );
        let at = |t: f64| points.iter().find(|p| (p.threshold - t).abs() < 1e-9).unwrap();
        assert_eq!(
            (at(0.7).frames_per_1000_clean, at(0.705).frames_per_1000_clean),
            (Some(1000.0), Some(0.0))
        );
        assert_eq!(frame_ap(&some()), Some(1.0));
    }
}
