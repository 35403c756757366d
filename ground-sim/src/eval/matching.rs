//! What the detector says of one frame, held against the truth: which candidates are plumes, which plumes are found.

use std::collections::BTreeMap;

use passband_spectral::triage::{BoundingBox, Detection, Estimate, Plume, Reason, Rejection, Triage};

use super::features::{self, Feature};
use super::truth::{TRACE_PPM_M, TruePlume, Truth};

/// A candidate with at least this share of its pixels on a plume is that plume.
pub const OVERLAP: f64 = 0.1;

/// What the truth makes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A plume that counts.
    True,
    /// No gas there.
    False,
    /// Gas, but too little, or too much of it hidden, to hold it for or against the detector.
    Neither,
}

impl Judgement {
    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Neither => "neither",
        }
    }
}

/// A detection or rejection, and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The detection it is; `None`: it was rejected.
    pub detection: Option<Detection>,
    /// Why it was rejected.
    pub reason: Option<Reason>,
    /// Probability that it is a plume.
    pub probability: f64,
    /// Significance.
    pub snr: f32,
    /// Its size.
    pub pixels: u32,
    /// Where it is.
    pub bbox: BoundingBox,
    /// What the truth makes of it.
    pub judgement: Judgement,
    /// The plume (from 0) that most of it is on.
    pub plume: Option<usize>,
    /// Share of its pixels that are on a plume.
    pub on_plume: f64,
    /// Share of its pixels that are on something put there to be mistaken.
    pub on_confuser: f64,
    /// What its probability was made from.
    pub features: Vec<Feature>,
}

/// A true plume, and what was found of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlumeOutcome {
    /// The plume.
    pub plume: TruePlume,
    /// Probability of the most probable candidate on it.
    pub probability: Option<f64>,
    /// The rate that the detector gives for that candidate, kg/h.
    pub estimate_kg_h: Option<Estimate>,
}

/// Holds a frame's detections and rejections against the truth.
pub(super) fn judge(triage: &Triage, truth: &Truth) -> (Vec<Candidate>, Vec<PlumeOutcome>) {
    let samples = triage.report.samples;
    let pixels: BTreeMap<u16, &Plume> = triage.plumes.iter().map(|p| (p.label, p)).collect();
    let mut tallies = Vec::new();
    let mut candidates = Vec::new();
    for detection in &triage.report.detections {
        let tally = Tally::of_plume(pixels.get(&detection.label).copied(), truth, samples);
        candidates.push(Candidate::new(Told::Detected(detection), &tally, truth));
        tallies.push(tally);
    }
    for rejection in &triage.report.rejections {
        let tally = Tally::of_box(rejection, truth, samples);
        candidates.push(Candidate::new(Told::Rejected(rejection), &tally, truth));
        tallies.push(tally);
    }
    let plumes = truth.plumes.iter().enumerate().map(|(number, plume)| {
        let on_it = candidates.iter().zip(&tallies).filter(|(_, t)| t.plumes().any(|p| p == number));
        let best = on_it.map(|(c, _)| c).max_by(|a, b| a.probability.total_cmp(&b.probability));
        PlumeOutcome {
            plume: plume.clone(),
            probability: best.map(|c| c.probability),
            estimate_kg_h: best.and_then(|c| c.detection.as_ref()?.rate_kg_h),
        }
    });
    let plumes = plumes.collect();
    (candidates, plumes)
}

/// Where the pixels of a candidate are.
#[derive(Debug, Default)]
struct Tally {
    pixels: f64,
    on: BTreeMap<usize, f64>,
    trace: f64,
    confuser: f64,
    /// The plume under its brightest pixel.
    peak: Option<usize>,
}

impl Tally {
    fn add(&mut self, at: usize, truth: &Truth) -> Option<usize> {
        let plume = usize::from(truth.owner[at]).checked_sub(1);
        if let Some(plume) = plume {
            *self.on.entry(plume).or_default() += 1.0;
        }
        self.trace += f64::from(u8::from(truth.columns_ppm_m[at] >= TRACE_PPM_M));
        self.confuser += f64::from(u8::from(truth.is_confuser(at)));
        plume
    }

    fn of_plume(plume: Option<&Plume>, truth: &Truth, samples: usize) -> Self {
        let (mut tally, mut most) = (Self::default(), i16::MIN);
        for run in plume.into_iter().flat_map(|p| &p.runs) {
            let start = run.line as usize * samples + run.sample as usize;
            for (at, &value) in (start..).zip(&run.enhancement_ppm_m) {
                tally.pixels += 1.0;
                let on = tally.add(at, truth);
                if value > most {
                    (most, tally.peak) = (value, on);
                }
            }
        }
        tally
    }

    /// Nobody tells the pixels of a rejection: those of its box stand for them, at most as many as it has.
    fn of_box(rejection: &Rejection, truth: &Truth, samples: usize) -> Self {
        let b = rejection.bbox;
        let mut tally = Self::default();
        for line in b.line0..b.line1 {
            for sample in b.sample0..b.sample1 {
                tally.add(line as usize * samples + sample as usize, truth);
            }
        }
        tally.pixels = f64::from(rejection.pixels);
        let most = tally.pixels;
        tally.on.values_mut().chain([&mut tally.trace, &mut tally.confuser]).for_each(|n| *n = n.min(most));
        tally
    }

    fn share(&self, pixels: f64) -> f64 {
        if self.pixels > 0.0 { (pixels / self.pixels).min(1.0) } else { 0.0 }
    }

    /// The plumes that it is.
    fn plumes(&self) -> impl Iterator<Item = usize> {
        let most = self.on.iter().filter(|(_, n)| self.share(**n) >= OVERLAP).map(|(p, _)| *p);
        most.chain(self.peak.filter(|p| self.share(self.on[p]) < OVERLAP))
    }

    fn judgement(&self, truth: &Truth) -> Judgement {
        let mut of_gas = self.share(self.trace) >= OVERLAP;
        for plume in self.plumes() {
            of_gas = true;
            if truth.plumes[plume].counts() {
                return Judgement::True;
            }
        }
        if of_gas { Judgement::Neither } else { Judgement::False }
    }

    fn main_plume(&self) -> Option<usize> {
        self.plumes().max_by(|a, b| self.on[a].total_cmp(&self.on[b]).then(b.cmp(a)))
    }
}

impl Candidate {
    /// What the truth makes of `told`.
    fn new(told: Told<'_>, tally: &Tally, truth: &Truth) -> Self {
        let (probability, snr, pixels, bbox, features) = match told {
            Told::Detected(d) => (d.probability, d.snr, d.pixels, d.bbox, &d.features),
            Told::Rejected(r) => (r.probability, r.snr, r.pixels, r.bbox, &r.features),
        };
        let (detection, reason) = match told {
            Told::Detected(d) => (Some(d.clone()), None),
            Told::Rejected(r) => (None, Some(r.reason)),
        };
        Self {
            detection,
            reason,
            probability: f64::from(probability),
            snr,
            pixels,
            bbox,
            judgement: tally.judgement(truth),
            plume: tally.main_plume(),
            on_plume: tally.share(tally.on.values().sum()),
            on_confuser: tally.share(tally.confuser),
            features: features::of(features),
        }
    }
}

/// What the detector says of a candidate.
#[derive(Debug, Clone, Copy)]
enum Told<'a> {
    Detected(&'a Detection),
    Rejected(&'a Rejection),
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_spectral::Class;
    use passband_spectral::triage::{Overview, Quality, Report, Run};

    const SIDE: usize = 20;

    /// A frame with a plume that counts on line 2 (samples 0 to 9), one too small on line 15 (0 to 2), a trace on line 9.
    fn truth() -> Truth {
        let mut columns = vec![0.0; SIDE * SIDE];
        columns[2 * SIDE..2 * SIDE + 10].fill(1000.0);
        columns[15 * SIDE..15 * SIDE + 3].fill(300.0);
        columns[9 * SIDE..9 * SIDE + 12].fill(60.0);
        Truth::new(columns, None, None, SIDE).unwrap()
    }

    fn triage(runs: &[(u32, u32, &[i16], f32)], rejections: Vec<Rejection>) -> Triage {
        let bbox = BoundingBox { line0: 0, line1: 1, sample0: 0, sample1: 1 };
        let detection = |label: u16, pixels: usize, probability: f32| Detection {
            label,
            probability,
            peak_ppm_m: 0.0,
            mean_ppm_m: 0.0,
            mass_kg: None,
            rate_kg_h: None,
            pixels: u32::try_from(pixels).unwrap(),
            bbox,
            centroid: [0.0, 0.0],
            position: None,
            snr: 5.0,
            spectral_match: 0.5,
            contrast: -0.1,
            features: passband_spectral::triage::Features::default(),
        };
        let numbered = || (1_u16..).zip(runs);
        let report = Report {
            class: Class::Routine,
            probability: 0.0,
            reason: String::new(),
            target: "CH4".into(),
            detections: numbered().map(|(n, r)| detection(n, r.2.len(), r.3)).collect(),
            candidates: 0,
            rejections,
            quality: Quality::default(),
            noise_ppm_m: None,
            window_nm: None,
            bands_used: 0,
            lines: SIDE,
            samples: SIDE,
        };
        let run =
            |r: &(u32, u32, &[i16], f32)| Run { line: r.0, sample: r.1, enhancement_ppm_m: r.2.to_vec() };
        let plumes = numbered().map(|(label, r)| Plume { label, runs: vec![run(r)] }).collect();
        Triage { report, plumes, overview: Overview::default(), chip: None }
    }

    #[test]
    fn a_detection_is_a_plume_by_its_share_or_by_its_peak() {
        let mut peak = [1_i16; 12];
        peak[0] = 9;
        let runs: [(u32, u32, &[i16], f32); 5] = [
            (2, 5, &[1; 10], 0.9),  // half of it on the plume
            (2, 9, &peak, 0.8),     // a twelfth, but its peak
            (15, 1, &[1; 4], 0.7),  // on the small plume
            (9, 0, &[1; 10], 0.6),  // a trace of gas
            (12, 0, &[1; 10], 0.5), // nothing
        ];
        let (candidates, plumes) = judge(&triage(&runs, vec![]), &truth());
        let judged: Vec<_> = candidates.iter().map(|c| (c.judgement, c.plume)).collect();
        let (plume, none) = (Judgement::True, Judgement::False);
        let neither = Judgement::Neither;
        let expected =
            [(plume, Some(0)), (plume, Some(0)), (neither, Some(1)), (neither, None), (none, None)];
        assert_eq!(judged, expected);
        assert_eq!(plumes.len(), 2);
        assert_eq!(plumes[0].probability, Some(f64::from(0.9_f32)));
        assert!(plumes[0].plume.counts() && !plumes[1].plume.counts());
        assert!((candidates[0].on_plume - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_small_share_without_the_peak_is_no_plume() {
        let mut values = [1_i16; 12];
        values[5] = 9;
        let (candidates, plumes) = judge(&triage(&[(2, 9, &values, 0.9)], vec![]), &truth());
        assert_eq!((candidates[0].judgement, plumes[0].probability), (Judgement::False, None));
        assert!((candidates[0].on_plume - 1.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn a_rejection_is_judged_by_its_box() {
        let at = |line0, sample0| Rejection {
            reason: Reason::Spectrum,
            probability: 0.1,
            snr: 5.0,
            pixels: 6,
            bbox: BoundingBox { line0, line1: line0 + 3, sample0, sample1: sample0 + 3 },
            features: passband_spectral::triage::Features::default(),
        };
        let (candidates, plumes) = judge(&triage(&[], vec![at(1, 2), at(5, 14)]), &truth());
        let judged: Vec<_> = candidates.iter().map(|c| (c.judgement, c.reason)).collect();
        let reason = Some(Reason::Spectrum);
        assert_eq!(judged, [(Judgement::True, reason), (Judgement::False, reason)]);
        assert_eq!(plumes[0].probability, Some(f64::from(0.1_f32)));
    }
}
