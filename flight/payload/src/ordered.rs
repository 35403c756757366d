//! Puts rows in order, and into maps and sets, with little code.
//!
//! The standard library makes its sort anew for each type of row and each key, some 4 kB of program each time, and sorts
//! what is collected into a map or a set by one made for that, too. Here positions are sorted, by the one sort there is for
//! them, and the rows moved after. It takes a call for each comparison: not for what each frame or datagram passes.

use core::cmp::Ordering;

/// Sorts rows by a key; those whose keys are equal stay as they stand.
pub(crate) fn sort_by_key<T, K: Ord>(rows: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(rows, |a, b| key(a).cmp(&key(b)));
}

/// Sorts rows; those that are equal stay as they stand.
pub(crate) fn sort_by<T>(rows: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let places = sorted(rows.len(), &|a, b| match (rows.get(a), rows.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        // Both are there: they are less than the count.
        _ => Ordering::Equal,
    });
    move_to(places, &mut |a, b| rows.swap(a, b));
}

/// Puts rows one by one into a map or a set: of equal keys the last counts.
pub(crate) fn gathered<T, C: Default + Extend<T>>(rows: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(rows);
    all
}

/// The positions 0 to `count`, sorted.
#[inline(never)]
fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|a, b| compare(*a, *b));
    places
}

/// Moves to each position what stands at the one that `places` names for it, each of which is named once.
#[inline(never)]
fn move_to(mut places: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..places.len() {
        let mut at = start;
        // A position that names itself is done. The cycle that begins here ends here.
        while let Some(place) = places.get_mut(at) {
            let from = core::mem::replace(place, at);
            if from == start {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_sorted_as_by_the_standard_library(keys in prop::collection::vec(0_u8..20, 0..200)) {
            let mut rows: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = rows.clone();
            expected.sort_by_key(|row| row.0);
            sort_by_key(&mut rows, |row| row.0);
            prop_assert_eq!(&rows, &expected);
            expected.sort_by(|a, b| b.cmp(a));
            sort_by(&mut rows, |a, b| b.cmp(a));
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let rows = [(2, 'a'), (1, 'b'), (2, 'c')];
        let all: BTreeMap<_, _> = gathered(rows);
        assert_eq!(all, rows.into_iter().collect());
    }
}
