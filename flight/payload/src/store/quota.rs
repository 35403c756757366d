//! What goes when room is needed: bundles known to be down, then those presumed down, the least valuable
//! first, then discard candidates. Nothing else is ever dropped.
//!
//! Pure: handed what is held, it says what to drop.

use passband_proto::ids::{BundleId, Class};

/// What counts of a held bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which bundle.
    pub id: BundleId,
    /// Its class.
    pub class: Class,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Its size, bytes.
    pub bytes: u64,
    /// Whether the ground reported that it is whole.
    pub known: bool,
    /// Whether it is presumed down, or known to be.
    pub presumed: bool,
}

/// The bundles to drop, in order, so that `need_bytes` more fit into `quota_bytes`; `None` if all that
/// may be dropped is not enough.
pub fn make_room(held: &[Held], need_bytes: u64, quota_bytes: u64) -> Option<Vec<BundleId>> {
    let mut bytes = held.iter().fold(need_bytes, |sum, bundle| sum.saturating_add(bundle.bytes));
    let mut candidates: Vec<&Held> =
        held.iter().filter(|b| b.presumed || b.class == Class::DiscardCandidate).collect();
    // Known ones first, then presumed ones; among them the lowest class first; among those the oldest first.
    candidates.sort_by_key(|b| (!b.known, !b.presumed, std::cmp::Reverse(b.class), b.created_unix_ms, b.id));
    let mut out = Vec::new();
    for bundle in candidates {
        if bytes <= quota_bytes {
            break;
        }
        bytes = bytes.saturating_sub(bundle.bytes);
        out.push(bundle.id);
    }
    (bytes <= quota_bytes).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(id: u8, class: Class, presumed: bool) -> Held {
        let created_unix_ms = u64::from(id);
        Held { id: BundleId([id; 12]), class, created_unix_ms, bytes: 100, known: false, presumed }
    }

    #[test]
    fn presumed_go_first_then_discard_candidates_and_nothing_else() {
        let all = [
            held(1, Class::Alert, true),
            held(2, Class::Routine, true),
            held(3, Class::DiscardCandidate, false),
            held(4, Class::Routine, false),
            held(5, Class::Routine, true),
            held(6, Class::DiscardCandidate, true),
        ];
        let order = |need, quota| {
            make_room(&all, need, quota).map(|v| v.iter().map(|id| id.0[0]).collect::<Vec<_>>())
        };
        assert_eq!(order(100, 700), Some(vec![]));
        assert_eq!(order(101, 700), Some(vec![6]));
        assert_eq!(order(100, 300), Some(vec![6, 2, 5, 1]));
        assert_eq!(order(100, 200), Some(vec![6, 2, 5, 1, 3]));
        assert_eq!(order(101, 200), None, "the unsent routine bundle stays");
        assert_eq!(order(u64::MAX, 200), None);
        let mut known = all;
        known[0].known = true;
        let first = make_room(&known, 101, 700).unwrap();
        assert_eq!(first, [known[0].id], "known to be down, whatever its class");
    }
}
