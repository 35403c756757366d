//! Small numeric helpers shared by the detector and the quicklook. Total order everywhere: NaN never panics.

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is asked for")]
pub(crate) fn f32_of(value: f64) -> f32 {
    value as f32
}

/// A float as an index, cut to `0..=most`; NaN is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
pub(crate) fn index_of(value: f64, most: usize) -> usize {
    (value as usize).min(most)
}

/// The quantile `q` (0 to 1) of the finite values, by nearest rank; `None` if there are none.
pub(crate) fn quantile(values: &mut Vec<f32>, q: f64) -> Option<f32> {
    values.retain(|v| v.is_finite());
    let last = values.len().checked_sub(1)?;
    let rank = index_of(q * last as f64 + 0.5, last);
    let (_, value, _) = values.select_nth_unstable_by(rank, f32::total_cmp);
    Some(*value)
}

/// Median and robust standard deviation (1.4826 × the median absolute deviation) of the finite values.
pub(crate) fn median_and_sigma(values: &mut Vec<f32>) -> Option<(f32, f32)> {
    let median = quantile(values, 0.5)?;
    for value in values.iter_mut() {
        *value = (*value - median).abs();
    }
    let deviation = quantile(values, 0.5)?;
    Some((median, deviation * 1.4826))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_ignore_what_is_not_finite() {
        let mut values = vec![f32::NAN, 3.0, f32::INFINITY, 1.0, 2.0];
        assert_eq!(quantile(&mut values, 0.5), Some(2.0));
        assert_eq!(quantile(&mut vec![f32::NAN], 0.5), None);
        let mut values = vec![1.0, 2.0, 3.0, 4.0, 100.0];
        assert_eq!(median_and_sigma(&mut values), Some((3.0, 1.4826)));
    }

    #[test]
    fn an_index_is_always_in_range() {
        assert_eq!(index_of(f64::NAN, 3), 0);
        assert_eq!(index_of(-5.0, 3), 0);
        assert_eq!(index_of(1e300, 3), 3);
    }
}
