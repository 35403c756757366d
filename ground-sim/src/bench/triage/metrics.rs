//! Figures of merit of a detector, exact, with ties taken as ties. Pure numbers: nothing here knows a frame or a peer.

use crate::eval::Share;

/// Average precision: Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the distinct scores from the highest, with precision P and recall R of all
/// that scores at least as much; scikit-learn's `average_precision_score`. `None`: nothing is true, or a score is NaN.
pub fn average_precision(scored: &[(f32, bool)]) -> Option<f64> {
    let unranked = scored.iter().any(|(score, _)| score.is_nan());
    if unranked { None } else { crate::eval::average_precision(&mut scored.to_vec()) }
}

/// Area under the receiver operating characteristic: the probability that something true scores more than something
/// false, a tie counting one half. `None`: nothing is true, or nothing is false, or a score is NaN.
pub fn roc_area(scored: &[(f32, bool)]) -> Option<f64> {
    let groups = groups(scored)?;
    let truths: usize = groups.iter().map(|g| g.truths).sum();
    let falses = scored.len() - truths;
    if truths == 0 || falses == 0 {
        return None;
    }
    let (mut above, mut sum) = (0, 0.0);
    for group in &groups {
        let beside = group.count - group.truths;
        // Each false one here is below all true ones above, and level with those of its group.
        sum += beside as f64 * (above as f64 + group.truths as f64 / 2.0);
        above += group.truths;
    }
    Some(sum / (truths as f64 * falses as f64))
}

/// What has one score.
struct Group {
    count: usize,
    truths: usize,
}

/// The distinct scores from the highest; `None` if one is NaN.
fn groups(scored: &[(f32, bool)]) -> Option<Vec<Group>> {
    if scored.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = scored.to_vec();
    sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    // −0 and 0 are one score.
    let group = |same: &[(f32, bool)]| Group {
        count: same.len(),
        truths: same.iter().filter(|(_, truth)| *truth).count(),
    };
    #[expect(clippy::float_cmp, reason = "a tie is a tie")]
    Some(sorted.chunk_by(|a, b| a.0 == b.0).map(group).collect())
}

/// Bins of [`calibration_error`].
pub const CALIBRATION_BINS: usize = 10;

/// Expected calibration error: the mean over ten bins with about as many probabilities each, weighted with what is in
/// them, of the distance between what was said (mean probability) and what was true (share). `None`: there is nothing.
pub fn calibration_error(said: &[(f32, bool)]) -> Option<f64> {
    if said.is_empty() {
        return None;
    }
    let error = |bin: &Bin| (bin.said - bin.was).abs() * bin.count as f64;
    Some(reliability(said).iter().map(error).sum::<f64>() / said.len() as f64)
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// How many probabilities lie in it.
    pub count: usize,
    /// Their mean.
    pub said: f64,
    /// The share of them that was true.
    pub was: f64,
}

/// The reliability diagram: bins of equal size, but that equal probabilities are never parted, from the lowest.
pub fn reliability(said: &[(f32, bool)]) -> Vec<Bin> {
    let mut sorted = said.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut bins, mut rest) = (Vec::new(), sorted.as_slice());
    for left in (1..=CALIBRATION_BINS).rev() {
        let wanted = rest.len().div_ceil(left);
        let Some(last) = wanted.checked_sub(1).map(|at| rest[at].0) else { break };
        let (inside, after) = rest.split_at(rest.partition_point(|(p, _)| p.total_cmp(&last).is_le()));
        let said: f64 = inside.iter().map(|(p, _)| f64::from(*p)).sum();
        let was = inside.iter().filter(|(_, truth)| *truth).count();
        let count = inside.len();
        bins.push(Bin { count, said: said / count as f64, was: was as f64 / count as f64 });
        rest = after;
    }
    bins
}

/// Wilson's interval for a share, 95 %: `hits` of `count`.
pub fn interval(hits: usize, count: usize) -> [f64; 2] {
    Share::new(hits as u64, count as u64).interval_95
}

/// A quantile, linearly between the sorted values; `None`: there are none, or one is NaN.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the list")]
    let below = at as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(sorted.len() - 1)]);
    Some(low + (high - low) * (at - below as f64))
}

/// The mean; `None`: there is nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Median, quartiles and range in words.
pub fn spread(values: &[f64]) -> String {
    let of = |share| quantile(values, share).map_or_else(|| "none".to_owned(), |v| format!("{v:.3}"));
    format!("median {}, quartiles {} to {}, range {} to {}", of(0.5), of(0.25), of(0.75), of(0.0), of(1.0))
}

/// Slope of `y` against `x` through the origin, by least squares; `None` without a point off it.
pub fn slope(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (xy, xx) = points.fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + x * y, xx + x * x));
    (xx > 0.0).then(|| xy / xx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-12)
    }

    #[test]
    fn average_precision_and_roc_are_those_of_scikit_learn() {
        // average_precision_score and roc_auc_score of scikit-learn 1.9 on the same lists.
        let plain = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        assert!(close(average_precision(&plain), 0.833_333_333_333_333_3));
        assert!(close(roc_area(&plain), 0.75));
        let tied =
            [(0.5, true), (0.5, false), (0.5, false), (0.2, true), (0.9, true), (0.2, false), (0.2, false)];
        assert!(close(average_precision(&tied), 0.642_857_142_857_142_8));
        assert!(close(roc_area(&tied), 2.0 / 3.0));
        let level = [(1.0, true), (1.0, false), (1.0, false), (1.0, false)];
        assert!(close(average_precision(&level), 0.25) && close(roc_area(&level), 0.5));
        assert!(close(average_precision(&[(0.0, true), (-0.0, false)]), 0.5), "a zero has no sign");
    }

    #[test]
    fn what_can_not_be_said_is_not_said() {
        assert_eq!(average_precision(&[]), None);
        assert_eq!(average_precision(&[(1.0, false)]), None);
        assert_eq!(average_precision(&[(f32::NAN, false), (1.0, true)]), None);
        assert_eq!(roc_area(&[(1.0, true)]), None);
        assert_eq!(calibration_error(&[]), None);
        assert_eq!((quantile(&[], 0.5), quantile(&[f64::NAN], 0.5), mean(&[])), (None, None, None));
        assert_eq!(slope(core::iter::empty()), None);
    }

    #[test]
    fn calibration_compares_what_was_said_with_what_was() {
        let said: Vec<_> = (0..10).map(|n| (0.9, n != 0)).collect();
        assert!(calibration_error(&said).unwrap() < 1e-7, "nine in ten of 0.9");
        let sure: Vec<_> = (0..10).map(|n| (1.0, n < 5)).collect();
        assert!(close(calibration_error(&sure), 0.5));
        let both: Vec<_> = said.iter().chain(&sure).copied().collect();
        assert_eq!(
            reliability(&both).iter().map(|b| b.count).collect::<Vec<_>>(),
            [10, 10],
            "equals stay together"
        );
        assert!((calibration_error(&both).unwrap() - 0.25).abs() < 1e-7);
    }

    #[test]
    fn bins_hold_as_many_each() {
        let said: Vec<_> = (0..95_u8).map(|n| (f32::from(n) / 100.0, n % 2 == 0)).collect();
        let bins = reliability(&said);
        assert_eq!(bins.iter().map(|b| b.count).sum::<usize>(), 95);
        assert!(bins.len() == 10 && bins.iter().all(|b| (9..=10).contains(&b.count)), "{bins:?}");
        assert!(bins.is_sorted_by(|a, b| a.said < b.said));
        assert_eq!(reliability(&said[..3]).len(), 3);
    }

    #[test]
    fn an_interval_is_wilsons() {
        // statsmodels' proportion_confint(8, 10, method="wilson").
        let [low, high] = interval(8, 10);
        assert!((low - 0.490_16).abs() < 1e-4 && (high - 0.943_32).abs() < 1e-4, "{low} {high}");
        assert!(interval(0, 50)[0].abs() < 1e-12 && interval(0, 0)[1] > 0.99);
    }

    #[test]
    fn quantiles_lie_between_the_values() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 1.0].map(|q| quantile(&values, q)), [Some(1.0), Some(2.5), Some(4.0)]);
        assert!(close(slope([(1.0, 2.0), (2.0, 4.0)].into_iter()), 2.0));
    }

    proptest! {
        #[test]
        fn areas_agree_with_their_definitions(list in prop::collection::vec((0_u8..6, any::<bool>()), 1..60)) {
            let scored: Vec<(f32, bool)> = list.iter().map(|(s, t)| (f32::from(*s), *t)).collect();
            let of = |wanted: bool| scored.iter().filter(|(_, t)| *t == wanted).map(|(s, _)| *s).collect::<Vec<f32>>();
            let (yes, no) = (of(true), of(false));
            let mut won = 0.0;
            for (a, b) in yes.iter().flat_map(|a| no.iter().map(move |b| (*a, *b))) {
                won += if a > b { 1.0 } else if a < b { 0.0 } else { 0.5 };
            }
            match roc_area(&scored) {
                Some(area) => prop_assert!((area - won / (yes.len() * no.len()) as f64).abs() < 1e-9),
                None => prop_assert!(yes.is_empty() || no.is_empty()),
            }
            // Precision at its own score, averaged over what is true.
            let precision = |at: f32| {
                let taken: Vec<_> = scored.iter().filter(|(s, _)| *s >= at).collect();
                taken.iter().filter(|(_, t)| *t).count() as f64 / taken.len() as f64
            };
            let expected = yes.iter().map(|s| precision(*s)).sum::<f64>() / yes.len() as f64;
            match average_precision(&scored) {
                Some(area) => prop_assert!((area - expected).abs() < 1e-9),
                None => prop_assert!(yes.is_empty()),
            }
        }
    }
}
