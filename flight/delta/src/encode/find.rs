//! What of an image can be copied from its base: matches found by a suffix array of the base, each drawn out over
//! differences as long as more than half of the bytes agree. After C. Percival, "Naive differences of executable code"
//! (2003).
#![allow(clippy::indexing_slicing, reason = "places are kept within the images, as each function says")]

use crate::copies::Copied;

/// By how many bytes a match has to be better than going on with the last one.
const BETTER: usize = 16;

/// A place in the result and the place in the base that agrees with it.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    new: usize,
    old: usize,
}

/// Base, result and the base's suffixes in their order.
struct Images<'a> {
    old: &'a [u8],
    new: &'a [u8],
    suffixes: Vec<i32>,
}

/// Copies for a result, rising and apart.
pub(super) fn copies(old: &[u8], new: &[u8]) -> Vec<Copied> {
    if old.is_empty() || new.is_empty() {
        return Vec::new();
    }
    let images = Images { old, new, suffixes: divsufsort::sort(old).into_parts().1 };
    let mut out = Vec::new();
    let mut last = Pair::default();
    let mut scan = 0;
    loop {
        let (found, len) = images.next(scan, last);
        scan = found.new + len;
        let ended = found.new >= new.len();
        if !ended && images.goes_on(found, last, len) {
            continue;
        }
        let (forward, backward) = images.drawn_out(last, found);
        if forward > 0 {
            out.push(Copied { to: last.new as u32, from: last.old as u32, len: forward as u32 });
        }
        if ended {
            return out;
        }
        last = Pair { new: found.new - backward, old: found.old - backward };
    }
}

impl Images<'_> {
    /// The next place from `scan` on with a match that is better than going on with the last one, and its length; or the
    /// end.
    fn next(&self, mut scan: usize, last: Pair) -> (Pair, usize) {
        // Bytes from `scan` up to `scored` that agree as the last match goes on.
        let (mut score, mut scored) = (0, scan);
        while scan < self.new.len() {
            let (old, len) = self.longest(scan);
            while scored < scan + len {
                score += usize::from(self.agrees(scored, last));
                scored += 1;
            }
            if (len == score && len > 0) || len > score + BETTER {
                return (Pair { new: scan, old }, len);
            }
            score -= usize::from(scored > scan && self.agrees(scan, last));
            scan += 1;
            scored = scored.max(scan);
        }
        (Pair { new: self.new.len(), old: 0 }, 0)
    }

    /// Whether a match is just the last one going on.
    fn goes_on(&self, found: Pair, last: Pair, len: usize) -> bool {
        (found.new..found.new + len).all(|at| self.agrees(at, last))
    }

    /// Whether a byte of the result agrees with that of the base where a pair lies.
    fn agrees(&self, new: usize, pair: Pair) -> bool {
        let old = (new + pair.old).checked_sub(pair.new);
        old.and_then(|old| self.old.get(old)).is_some_and(|old| *old == self.new[new])
    }

    /// How far the last match is drawn out forwards, and the one that was found backwards, bytes.
    fn drawn_out(&self, last: Pair, found: Pair) -> (usize, usize) {
        let between = found.new - last.new;
        let forward = most(between.min(self.old.len() - last.old), |n| {
            self.old[last.old + n] == self.new[last.new + n]
        });
        let backward = if found.new < self.new.len() {
            most(between.min(found.old), |n| self.old[found.old - 1 - n] == self.new[found.new - 1 - n])
        } else {
            0
        };
        let Some(both) = (forward + backward).checked_sub(between) else { return (forward, backward) };
        // Both have some bytes: cut where most agree.
        let begin = forward - both;
        let (mut score, mut best, mut cut) = (0_i64, 0, 0);
        for n in 0..both {
            let at = last.new + begin + n;
            score += i64::from(self.agrees(at, last)) - i64::from(self.agrees(at, found));
            if score > best {
                (best, cut) = (score, n + 1);
            }
        }
        (begin + cut, backward - cut)
    }

    /// The longest match of what stands at `scan`: where in the base, and its length.
    fn longest(&self, scan: usize) -> (usize, usize) {
        let wanted = &self.new[scan..];
        let suffix = |n: usize| usize::try_from(self.suffixes[n]).map_or(&[][..], |at| &self.old[at..]);
        let n =
            self.suffixes.partition_point(|at| usize::try_from(*at).is_ok_and(|at| self.old[at..] < *wanted));
        let common = |n: usize| suffix(n).iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let before = n.checked_sub(1).map(|n| (n, common(n)));
        let after = (n < self.suffixes.len()).then(|| (n, common(n)));
        let best = before.into_iter().chain(after).max_by_key(|(_, len)| *len);
        best.map_or((0, 0), |(n, len)| (self.old.len() - suffix(n).len(), len))
    }
}

/// After how many of up to `limit` bytes most more agree than don't.
fn most(limit: usize, agrees: impl Fn(usize) -> bool) -> usize {
    let (mut score, mut best, mut at) = (0_i64, 0, 0);
    for n in 0..limit {
        score += if agrees(n) { 1 } else { -1 };
        if score > best {
            (best, at) = (score, n + 1);
        }
    }
    at
}
