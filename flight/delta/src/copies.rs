//! What of the result is copied from the base, and by it where anything of the base has gone.

use std::collections::BinaryHeap;

use crate::error::DeltaError;
use crate::layout::Layout;

/// Most copies of a delta.
pub const MAX_COPIES: u32 = 1 << 14;

/// A stretch of the result that is copied from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) to: u32,
    pub(crate) from: u32,
    pub(crate) len: u32,
}

impl Copied {
    /// Checks that it lies in base and result, behind `done` bytes of the result.
    pub(crate) fn check(&self, copy: u32, done: u32, base: u32, result: u32) -> Result<(), DeltaError> {
        let inside = |at: u32, whole: u32| at.checked_add(self.len).is_some_and(|end| end <= whole);
        let why = if self.len == 0 {
            "empty"
        } else if self.to < done {
            "begins before the one before it ends"
        } else if !inside(self.from, base) {
            "from outside the base"
        } else if !inside(self.to, result) {
            "to outside the result"
        } else {
            return Ok(());
        };
        Err(DeltaError::Copied { copy, why })
    }

    /// The first byte of the result behind it.
    pub(crate) const fn end(&self) -> u32 {
        self.to.saturating_add(self.len)
    }

    /// The first byte of the base behind it.
    const fn base_end(&self) -> u32 {
        self.from.saturating_add(self.len)
    }
}

/// Shortest copy that tells where things have gone.
const TELLS: u32 = 24;

/// Where addresses have gone.
#[derive(Debug)]
pub(crate) struct Map {
    moves: Vec<Move>,
}

/// A stretch of the base's addresses, and by how much it has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    from: u64,
    to: u64,
    by: i64,
}

impl Map {
    /// Memory that it takes at most, with what making it takes.
    pub(crate) const fn memory(copies: u64, regions: u64) -> u64 {
        let moves = (copies * 2 + regions) * size_of::<Move>() as u64;
        // Order, heap, and pieces.
        moves + copies * (4 + 8) + copies * 2 * size_of::<Copied>() as u64
    }

    /// From copies. A stretch of the base that several have belongs to the longest of them (of those the first): short ones are often
    /// chance, such as the end of one function that looks like another's.
    pub(crate) fn new(copies: &[Copied], base: &Layout, result: &Layout) -> Self {
        let pieces = pieces(copies);
        let mut moves = Vec::with_capacity(pieces.len() + base.regions().len());
        // Both rise, so that each piece meets the regions from where the last one ended.
        let mut regions = base.regions().iter().peekable();
        for piece in &pieces {
            while let Some(region) = regions.peek() {
                let (from, to) = (piece.from.max(region.offset), piece.base_end().min(region.end()));
                if from < to
                    && let Some(new) = result.address(piece.to + (from - piece.from))
                {
                    let old = region.address_of(from);
                    let by = new.wrapping_sub(old).cast_signed();
                    moves.push(Move { from: old, to: old + u64::from(to - from), by });
                }
                if region.end() > piece.base_end() {
                    break;
                }
                regions.next();
            }
        }
        moves.sort_unstable_by_key(|part| part.from);
        Self { moves }
    }

    /// Where an address of the base is in the result, and whether that is known; what isn't copied is guessed to go with
    /// the nearer neighbour.
    pub(crate) fn moved(&self, address: u64) -> (u64, bool) {
        let n = self.moves.partition_point(|part| part.from <= address);
        let (before, after) = self.moves.split_at_checked(n).unwrap_or_default();
        let (by, known) = match (before.last(), after.first()) {
            (Some(before), _) if address < before.to => (before.by, true),
            (Some(before), Some(after)) if address - before.to > after.from - address => (after.by, false),
            (Some(part), _) | (None, Some(part)) => (part.by, false),
            (None, None) => (0, false),
        };
        (address.wrapping_add_signed(by), known)
    }
}

/// The base cut into stretches, each with the longest copy that has it; rising.
fn pieces(copies: &[Copied]) -> Vec<Copied> {
    let tells = |copy: &&Copied| copy.len >= TELLS && (copy.to ^ copy.from) & 3 == 0;
    let mut order: Vec<u32> = (0_u32..).zip(copies).filter(|(_, copy)| tells(copy)).map(|(n, _)| n).collect();
    let copy = |n: u32| copies.get(n as usize).copied();
    order.sort_unstable_by_key(|n| copy(*n).map(|copy| (copy.from, *n)));
    let mut out: Vec<Copied> = Vec::with_capacity(order.len() * 2);
    // Those that have begun, the longest first.
    let mut open: BinaryHeap<(u32, u32)> = BinaryHeap::with_capacity(order.len());
    let mut coming = order.iter().filter_map(|n| copy(*n).map(|copy| (*n, copy))).peekable();
    let mut at = 0;
    loop {
        while let Some((n, begun)) = coming.next_if(|(_, copy)| copy.from <= at) {
            open.push((begun.len, u32::MAX - n));
        }
        let next = coming.peek().map_or(u32::MAX, |(_, copy)| copy.from);
        let longest = open.peek().and_then(|(_, n)| copy(u32::MAX - n));
        match longest {
            Some(longest) if longest.base_end() <= at => drop(open.pop()),
            Some(longest) => {
                let to = longest.base_end().min(next);
                add(&mut out, Copied { to: longest.to + (at - longest.from), from: at, len: to - at });
                at = to;
            }
            None if next == u32::MAX => return out,
            None => at = next,
        }
    }
}

/// Adds a piece, to the last one if it goes on with that.
fn add(out: &mut Vec<Copied>, piece: Copied) {
    match out.last_mut() {
        Some(last) if last.base_end() == piece.from && last.end() == piece.to => last.len += piece.len,
        _ => out.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Image, Part, Region};

    fn copied(to: u32, from: u32, len: u32) -> Copied {
        Copied { to, from, len }
    }

    #[test]
    fn the_longest_copy_has_a_stretch() {
        let copies = [copied(0, 100, 40), copied(100, 0, 400), copied(1_000, 380, 60)];
        assert_eq!(pieces(&copies), [copied(100, 0, 400), copied(1_020, 400, 40)]);
        // Too short, or out of step.
        assert_eq!(pieces(&[copied(0, 0, 20), copied(33, 0, 100)]), []);
    }

    #[test]
    fn pieces_are_what_the_longest_first_leaves() {
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for _ in 0..200 {
            let copies: Vec<Copied> =
                (0..random(12)).map(|_| copied(random(250) * 4, random(250) * 4, 24 + random(200))).collect();
            let found = pieces(&copies);
            for at in 0..1_300 {
                let having = (0_u32..).zip(&copies).filter(|(_, c)| (c.from..c.base_end()).contains(&at));
                let wanted =
                    having.max_by_key(|(n, c)| (c.len, u32::MAX - n)).map(|(_, c)| c.to + at - c.from);
                let piece = found.iter().find(|c| (c.from..c.base_end()).contains(&at));
                assert_eq!(piece.map(|c| c.to + at - c.from), wanted);
            }
            assert!(found.len() <= copies.len() * 2);
        }
    }

    #[test]
    fn what_is_not_copied_goes_with_its_neighbour() {
        let region = Region { part: Part::Code, offset: 0, len: 400, address: 0x1000 };
        let layout = |image| Layout::new(image, vec![region], 400).unwrap();
        let copies = [copied(100, 0, 100), copied(40, 300, 40)];
        let map = Map::new(&copies, &layout(Image::Base), &layout(Image::Result));
        assert_eq!(map.moved(0x1000), (0x1064, true));
        assert_eq!(map.moved(0x1000 + 110), (0x1064 + 110, false));
        assert_eq!(map.moved(0x1000 + 290), (0x1000 + 30, false));
        assert_eq!(map.moved(0x5000), (0x5000 - 260, false));
        assert_eq!(Map::new(&[], &layout(Image::Base), &layout(Image::Result)).moved(7), (7, false));
    }
}
