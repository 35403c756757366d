//! Recall and F1 by the strength of a plume: its greatest column in ppm·m, its source rate in kg/h.

use serde::Serialize;

use super::matching::{Candidate, Judgement};
use super::score::{Share, is_found};
use super::{FrameOutcome, PlumeOutcome};

/// Edges of the bins of the greatest visible column, ppm·m.
const COLUMN_EDGES: [f64; 8] = [200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0, f64::INFINITY];
/// Edges of the bins of the source rate, kg/h.
const RATE_EDGES: [f64; 8] = [0.0, 100.0, 200.0, 400.0, 700.0, 1400.0, 2800.0, f64::INFINITY];

/// Plumes of about the same strength.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrengthBin {
    /// From this strength …
    pub from: f64,
    /// … to below this; `None`: no end.
    pub to: Option<f64>,
    /// At the threshold of an alert.
    pub alert: BinScore,
    /// At the threshold of a suspect.
    pub suspect: BinScore,
}

/// Figures of a bin at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BinScore {
    /// Plumes found.
    pub recall: Share,
    /// False candidates that the detector itself takes for that strong; `None`: it doesn't say of all of them.
    pub false_candidates: Option<u64>,
    /// 2 · found / (2 · found + missed + false).
    pub f1: Option<f64>,
}

/// What a plume's strength is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Greatest visible column, ppm·m, of the plumes that count.
    Column,
    /// Source rate, kg/h, of all plumes that are not hidden: however faint.
    Rate,
}

impl Measure {
    fn edges(self) -> &'static [f64] {
        match self {
            Self::Column => &COLUMN_EDGES,
            Self::Rate => &RATE_EDGES,
        }
    }

    fn of_plume(self, p: &PlumeOutcome) -> Option<f64> {
        match self {
            Self::Column => p.plume.counts().then_some(f64::from(p.plume.max_ppm_m)),
            Self::Rate => p.plume.rate_kg_h.filter(|_| !p.plume.is_hidden()),
        }
    }

    /// What the detector makes of a candidate's strength.
    fn of_candidate(self, c: &Candidate) -> Option<f64> {
        let d = c.detection.as_ref()?;
        match self {
            Self::Column => Some(f64::from(d.peak_ppm_m)),
            Self::Rate => d.rate_kg_h.map(|r| f64::from(r.value)),
        }
    }
}

/// The bins that hold plumes.
pub(super) fn bins(frames: &[FrameOutcome], measure: Measure, alert: f64, suspect: f64) -> Vec<StrengthBin> {
    let edges = measure.edges();
    let bin = |w: &[f64]| StrengthBin {
        from: w[0],
        to: w[1].is_finite().then_some(w[1]),
        alert: score(frames, measure, w, alert),
        suspect: score(frames, measure, w, suspect),
    };
    edges.windows(2).map(bin).filter(|b| b.alert.recall.of > 0).collect()
}

fn score(frames: &[FrameOutcome], measure: Measure, edges: &[f64], threshold: f64) -> BinScore {
    let is_in = |strength: f64| (edges[0]..edges[1]).contains(&strength);
    let plumes = frames.iter().flat_map(|f| &f.plumes).filter(|p| measure.of_plume(p).is_some_and(is_in));
    let found = plumes.clone().filter(|p| is_found(p, threshold)).count() as u64;
    let all = plumes.count() as u64;
    let wrong = frames
        .iter()
        .flat_map(|f| &f.candidates)
        .filter(|c| c.judgement == Judgement::False && c.probability >= threshold)
        .map(|c| measure.of_candidate(c));
    let false_candidates =
        wrong.collect::<Option<Vec<f64>>>().map(|s| s.into_iter().filter(|s| is_in(*s)).count());
    let f1 = |wrong: usize| 2.0 * found as f64 / (found + all + wrong as u64) as f64;
    BinScore {
        recall: Share::new(found, all),
        false_candidates: false_candidates.map(|n| n as u64),
        f1: false_candidates.filter(|_| all > 0).map(f1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::score::tests::frame;

    #[test]
    fn bins_hold_what_is_in_them() {
        let mut frames = vec![
            frame(&[], &[(300.0, Some(0.95)), (399.0, None), (1400.0, Some(0.5))]),
            frame(&[], &[(50.0, None)]),
        ];
        frames[1].plumes[0].plume.visible_pixels = 2;
        frames[1].plumes[0].plume.pixels = 2;
        let by_rate = bins(&frames, Measure::Rate, 0.9, 0.4);
        let told: Vec<_> = by_rate
            .iter()
            .map(|b| (b.from, b.to, b.alert.recall.count, b.alert.recall.of, b.suspect.recall.count))
            .collect();
        let expected =
            [(0.0, Some(100.0), 0, 1, 0), (200.0, Some(400.0), 1, 2, 1), (1400.0, Some(2800.0), 0, 1, 1)];
        assert_eq!(told, expected, "a faint plume has a rate and is missed");
        assert_eq!(by_rate[1].alert.f1, Some(2.0 / 3.0));
        let by_column = bins(&frames, Measure::Column, 0.9, 0.4);
        assert_eq!(
            by_column.iter().map(|b| b.alert.recall.of).collect::<Vec<_>>(),
            [3],
            "too small to count"
        );
    }

    #[test]
    fn a_false_candidate_of_unknown_rate_leaves_f1_open() {
        let frames = [frame(&[(0.95, Judgement::False)], &[(300.0, Some(0.95))])];
        let bin = bins(&frames, Measure::Rate, 0.9, 0.99).remove(0);
        assert_eq!((bin.alert.f1, bin.alert.false_candidates), (None, None));
        assert_eq!((bin.suspect.f1, bin.suspect.false_candidates), (Some(0.0), Some(0)));
    }
}
