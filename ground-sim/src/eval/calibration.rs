//! Are the probabilities true? Reliability, expected calibration error, Brier score and log loss.

use serde::Serialize;

use super::FrameOutcome;
use super::matching::Judgement;
use super::score::Share;

/// Candidates less probable than this are left out of the reliability: hardly anyone acts on them.
pub(super) const LEAST: f64 = 0.05;
/// Number of bins, each with the same number of candidates.
const BINS: usize = 10;
/// Probabilities are kept so far from 0 and 1 in the log loss.
const EDGE: f64 = 1e-6;

/// Candidates of about the same probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Mean of their probabilities.
    pub predicted: f64,
    /// Those of them that are plumes.
    pub observed: Share,
    /// Least and greatest of their probabilities.
    pub range: [f64; 2],
}

/// How true the probabilities are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Candidates probable enough to count (0.05 and more in a summary) that are plumes or nothing.
    pub candidates: u64,
    /// Expected calibration error: mean of |predicted − observed| over the bins, weighted with their candidates.
    pub ece: Option<f64>,
    /// Mean squared error of the probabilities.
    pub brier: Option<f64>,
    /// Mean negative log likelihood.
    pub log_loss: Option<f64>,
    /// The bins.
    pub bins: Vec<ReliabilityBin>,
}

impl Calibration {
    /// Of probabilities, those of `least` and more, and what came true, in any order that doesn't hang on the
    /// probabilities.
    pub fn of(called: &[(f64, bool)], least: f64) -> Self {
        let mut called: Vec<(f64, bool)> = called.iter().filter(|(p, _)| *p >= least).copied().collect();
        // Stable: equal probabilities stay in the order of frames and candidates.
        called.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = called.len();
        let bins: Vec<ReliabilityBin> = (0..BINS)
            .map(|bin| &called[bin * n / BINS..(bin + 1) * n / BINS])
            .filter(|part| !part.is_empty())
            .map(bin_of)
            .collect();
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            let sum: f64 = called.iter().map(|(p, is)| of(*p, f64::from(u8::from(*is)))).sum();
            (n > 0).then(|| sum / n as f64)
        };
        Self {
            candidates: n as u64,
            ece: (n > 0).then(|| bins.iter().map(|b| gap(b) * b.observed.of as f64).sum::<f64>() / n as f64),
            brier: mean(&|p, is| (p - is) * (p - is)),
            log_loss: mean(&|p, is| {
                let p = p.clamp(EDGE, 1.0 - EDGE);
                -(is * libm::log(p) + (1.0 - is) * libm::log(1.0 - p))
            }),
            bins,
        }
    }
}

fn bin_of(part: &[(f64, bool)]) -> ReliabilityBin {
    let predicted = part.iter().map(|(p, _)| p).sum::<f64>() / part.len() as f64;
    let right = part.iter().filter(|(_, is)| *is).count() as u64;
    let range = [part[0].0, part[part.len() - 1].0];
    ReliabilityBin { predicted, observed: Share::new(right, part.len() as u64), range }
}

fn gap(bin: &ReliabilityBin) -> f64 {
    (bin.predicted - bin.observed.share.unwrap_or(0.0)).abs()
}

/// Probability of each candidate that is a plume or nothing, and which.
pub(super) fn called(frames: &[FrameOutcome]) -> Vec<(f64, bool)> {
    frames
        .iter()
        .flat_map(|f| &f.candidates)
        .filter(|c| c.judgement != Judgement::Neither)
        .map(|c| (c.probability, c.judgement == Judgement::True))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ece_by_hand() {
        // 20 candidates at 0.2 of which 4 are plumes, and 20 at 0.9 of which 12 are: |0.9 − 0.6| for half of them.
        let mut called: Vec<(f64, bool)> = (0..20).map(|n| (0.2, n % 5 == 0)).collect();
        called.extend((0..20).map(|n| (0.9, n % 5 < 3)));
        called.push((0.01, true));
        let found = Calibration::of(&called, LEAST);
        assert_eq!((found.candidates, found.bins.len()), (40, 10));
        // Bins of four: at 0.2 four of them hold one plume and one holds none; at 0.9 they hold 3, 3, 2, 2, 2.
        let by_hand = (4.0 * 0.05 + 0.2 + 2.0 * 0.15 + 3.0 * 0.4) / 10.0;
        assert!((found.ece.unwrap() - by_hand).abs() < 1e-12, "{found:?}");
        let brier = (20.0 * (0.2 * 0.64 + 0.8 * 0.04) + 20.0 * (0.6 * 0.01 + 0.4 * 0.81)) / 40.0;
        assert!((found.brier.unwrap() - brier).abs() < 1e-12);
        let loss =
            -(4.0 * 0.2_f64.ln() + 16.0 * 0.8_f64.ln() + 12.0 * 0.9_f64.ln() + 8.0 * 0.1_f64.ln()) / 40.0;
        assert!((found.log_loss.unwrap() - loss).abs() < 1e-12);
    }

    #[test]
    fn few_and_none() {
        let found = Calibration::of(&[(0.5, true), (1.0, true), (1.0, false)], LEAST);
        assert_eq!(found.bins.iter().map(|b| b.observed.of).sum::<u64>(), 3);
        assert!(found.log_loss.unwrap().is_finite());
        assert_eq!(Calibration::of(&[], LEAST).ece, None);
    }
}
