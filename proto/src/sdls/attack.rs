//! Forgeries by the million against a receiving end: for the bench, which tells how many were accepted. None may be.
//!
//! Deterministic for a seed, so that threads can share the work. The limits are off: nearly every try gets as far as the
//! tag, which is what is tried. It proves nothing about the cipher; it shows that no path leads around it.

use super::frame::{Channel, HEAD_BYTES, repair};
use super::key_file::RoleKeys;
use super::keys::{Role, RoleKey};
use super::rate::Limits;
use super::receiver::{Associations, Content};
use super::reject::{Counts, Reason};
use super::sender::{BLOCK, Sender};
use super::window::Mark;

const CHANNEL: Channel = Channel { spacecraft: 1, vcid: 0 };
const SPIS: [u16; 4] = [1, 2, 3, 4];
/// Frames of each key that were sent rightly before, all of them accepted.
const RECORDED: u64 = 4 * BLOCK;

/// What became of the tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How many there were.
    pub tries: u64,
    /// How many were let through.
    pub accepted: u64,
    /// How many were refused by the tag or behind it.
    pub reached_tag: u64,
    /// By reason; a count stops at 2³² − 1.
    pub counts: Counts,
}

/// Tries frames that are forged, changed, spliced, turned to another key, sealed by strangers, or replayed.
#[must_use]
pub fn try_forgeries(tries: u64, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let mut board = board();
    let recorded = recorded(&mut board, &mut random);
    let strangers: Vec<_> = SPIS.iter().flat_map(|spi| frames(key(*spi, 0xEE), &mut random)).collect();
    board.counts = Counts::default();
    let mut frame = Vec::with_capacity(super::MAX_FRAME_BYTES);
    let mut accepted = 0;
    for _ in 0..tries {
        forge(&mut frame, &recorded, &strangers, &mut random);
        accepted += u64::from(board.open(0, &frame).is_ok());
    }
    let behind = [Reason::Tag, Reason::Replayed, Reason::TooOld, Reason::Challenge, Reason::ResyncShape];
    let refused = behind.into_iter().map(|reason| u64::from(board.counts.rejected(reason))).sum::<u64>();
    Outcome { tries, accepted, reached_tag: accepted + refused, counts: board.counts }
}

/// Makes a frame that must not be accepted, with an FECF that holds.
fn forge(frame: &mut Vec<u8>, recorded: &[Vec<u8>], strangers: &[Vec<u8>], random: &mut Random) {
    let kind = random.below(8);
    let from = if kind == 0 { strangers } else { recorded };
    frame.clear();
    frame.extend_from_slice(from.get(random.below(from.len())).map_or(&[], Vec::as_slice));
    match kind {
        0 | 1 => return,
        // Turned to another key.
        2 => overwrite(frame, 5, &pick(&SPIS, random).to_be_bytes()),
        // A counter ahead, all else as it was.
        3 => overwrite(frame, 11, &random.next().to_be_bytes()),
        // Another body and tag.
        4 => {
            let end = frame.len().saturating_sub(2);
            let body = frame.get_mut(HEAD_BYTES..end).unwrap_or_default();
            body.chunks_mut(8).for_each(|part| overwrite(part, 0, &random.next().to_le_bytes()));
        }
        // One frame's head before another's body.
        5 => {
            let other = recorded.get(random.below(recorded.len())).map_or(&[][..], Vec::as_slice);
            let head = other.get(5..HEAD_BYTES).unwrap_or_default();
            overwrite(frame, 5, head);
        }
        // A few bits changed behind the primary header.
        _ => (0..=random.below(3)).for_each(|_| {
            let at = 5 + random.below(frame.len().saturating_sub(7));
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }),
    }
    repair(frame);
}

/// Writes at an offset what fits there.
fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let place = bytes.get_mut(at..).unwrap_or_default();
    place.iter_mut().zip(with).for_each(|(to, from)| *to = *from);
}

fn key(spi: u16, secret: u8) -> Option<RoleKey> {
    let mut bytes = [secret; 32];
    overwrite(&mut bytes, 0, &spi.to_be_bytes());
    RoleKey::new(CHANNEL.spacecraft, spi, Role::Operator, bytes).ok()
}

fn board() -> Associations {
    let mut keys = RoleKeys::default();
    let inserted =
        SPIS.iter().filter_map(|spi| key(*spi, 0x11)).filter_map(|key| keys.insert(key).ok()).count();
    debug_assert_eq!(inserted, SPIS.len());
    let mut board = Associations::new(CHANNEL, &keys, Limits::UNLIMITED);
    let restored = SPIS.iter().filter(|spi| board.restore(&Mark::fresh(**spi))).count();
    debug_assert_eq!(restored, SPIS.len());
    board.set_challenge([0x5A; 8], 0);
    board
}

/// Frames that the board has accepted.
fn recorded(board: &mut Associations, random: &mut Random) -> Vec<Vec<u8>> {
    let all: Vec<_> = SPIS.iter().flat_map(|spi| frames(key(*spi, 0x11), random)).collect();
    let opened = all.iter().filter_map(|frame| board.open(0, frame).ok());
    let opened = opened.filter(|opened| matches!(opened.content, Content::Data(_))).count();
    debug_assert_eq!(opened, all.len());
    all
}

fn frames(key: Option<RoleKey>, random: &mut Random) -> Vec<Vec<u8>> {
    let Some(Ok(mut sender)) = key.map(|key| Sender::new(&key, CHANNEL.vcid, [1; 4], 0)) else {
        return Vec::new();
    };
    sender.persisted(RECORDED);
    let mut data = [0; 64];
    (0..RECORDED)
        .filter_map(|_| {
            data.chunks_mut(8).for_each(|part| overwrite(part, 0, &random.next().to_le_bytes()));
            sender.seal(data.get(..8 + random.below(56)).unwrap_or(&data)).ok()
        })
        .collect()
}

fn pick<T: Copy + Default>(of: &[T], random: &mut Random) -> T {
    of.get(random.below(of.len())).copied().unwrap_or_default()
}

/// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): for tests, never for keys.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_forgery_is_accepted_and_most_get_as_far_as_the_tag() {
        let outcome = try_forgeries(100_000, 7);
        assert_eq!((outcome.tries, outcome.accepted), (100_000, 0));
        assert!(outcome.reached_tag > 95_000, "{outcome:?}");
        assert!(outcome.counts.rejected(Reason::Replayed) + outcome.counts.rejected(Reason::TooOld) > 10_000);
        assert_eq!(outcome, try_forgeries(100_000, 7), "the same for the same seed");
    }

    #[test]
    fn the_tries_would_tell_a_receiver_that_lets_replays_through() {
        let mut random = Random(3);
        let mut board = board();
        let recorded = recorded(&mut board, &mut random);
        let mut fresh = super::board();
        assert!(recorded.iter().all(|frame| fresh.open(0, frame).is_ok()));
        assert!(recorded.iter().all(|frame| fresh.open(0, frame).is_err() && board.open(0, frame).is_err()));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -p passband-proto attack -- --ignored --nocapture"]
    fn how_fast() {
        let start = std::time::Instant::now();
        let outcome = try_forgeries(10_000_000, 1);
        println!("{:.2} million a second, {outcome:?}", 10.0 / start.elapsed().as_secs_f64());
    }
}
