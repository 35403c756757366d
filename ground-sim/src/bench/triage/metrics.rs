//! Figures of merit of a detector, exact, with ties taken as ties. Pure numbers: nothing here knows a frame or a peer.

use crate::eval::Share;

/// Average precision: Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the distinct scores from the highest, with precision P and recall R of all
/// that scores at least as much; scikit-learn's `average_precision_score`. `None`: nothing is true, or a score is NaN.
pub fn average_precision(scored: &[(f32, bool)]) -> Option<f64> {
    let unranked = scored.iter().any(|(score, _)| score.is_nan());
    if unranked { None } else { crate::eval::average_precision(&mut scored.to_vec()) }
}

/// Wilson's interval for a share, 95 %: `hits` of `count`.
pub fn interval(hits: usize, count: usize) -> [f64; 2] {
    Share::new(hits as u64, count as u64).interval_95
}

/// A quantile, linearly between the sorted values; `None`: there are none, or one is NaN.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    crate::eval::quantile(values, share.clamp(0.0, 1.0))
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
    fn average_precision_is_that_of_scikit_learn() {
        // average_precision_score of scikit-learn 1.9 on the same lists.
        let plain = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        assert!(close(average_precision(&plain), 0.833_333_333_333_333_3));
        let tied =
            [(0.5, true), (0.5, false), (0.5, false), (0.2, true), (0.9, true), (0.2, false), (0.2, false)];
        assert!(close(average_precision(&tied), 0.642_857_142_857_142_8));
        let level = [(1.0, true), (1.0, false), (1.0, false), (1.0, false)];
        assert!(close(average_precision(&level), 0.25));
        assert!(close(average_precision(&[(0.0, true), (-0.0, false)]), 0.5), "a zero has no sign");
    }

    #[test]
    fn what_can_not_be_said_is_not_said() {
        assert_eq!(average_precision(&[]), None);
        assert_eq!(average_precision(&[(1.0, false)]), None);
        assert_eq!(average_precision(&[(f32::NAN, false), (1.0, true)]), None);
        assert_eq!((quantile(&[], 0.5), quantile(&[f64::NAN], 0.5), mean(&[])), (None, None, None));
        assert_eq!(slope(core::iter::empty()), None);
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
        fn average_precision_agrees_with_its_definition(list in prop::collection::vec((0_u8..6, any::<bool>()), 1..60)) {
            let scored: Vec<(f32, bool)> = list.iter().map(|(s, t)| (f32::from(*s), *t)).collect();
            let yes: Vec<f32> = scored.iter().filter(|(_, t)| *t).map(|(s, _)| *s).collect();
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
