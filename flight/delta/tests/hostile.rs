//! Deltas that are damaged: an error, or the right result, never a wrong one and never a panic. What can't be in a head with
//! a right checksum is tested beside the head.

mod common;

use common::{Random, apply, options, program};
use passband_delta::{Delta, DeltaError, Nothing, Options, Stored, encode};

/// Old, new and the delta between, in some segments.
fn sample() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let old = program(&(0..12).collect::<Vec<u32>>(), true);
    let new = program(&(2..16).collect::<Vec<u32>>(), true);
    let options = Options { segment_bytes: Some(3_000), ..options() };
    let delta = encode(Some(&old), &new, &options).unwrap();
    (old, new, delta)
}

/// Applies what may be anything; whatever comes without an error is right.
fn stand(delta: &[u8], old: &[u8], new: &[u8]) -> Option<DeltaError> {
    match apply(delta, &old, 4_096) {
        Ok(out) => {
            assert!(out == new, "a wrong result without an error");
            None
        }
        Err(error) => Some(error),
    }
}

#[test]
fn a_delta_that_ends_early_is_refused() {
    let (old, new, delta) = sample();
    for len in 0..delta.len() {
        let error = stand(&delta[..len], &old, &new);
        assert!(error.is_some(), "{len} of {} bytes are enough", delta.len());
    }
    let mut long = delta;
    long.push(0);
    assert_eq!(stand(&long, &old, &new), Some(DeltaError::Long { more: 1 }));
}

#[test]
fn a_flipped_bit_is_noticed() {
    let (old, new, delta) = sample();
    let head = Delta::read(&delta).unwrap().segment(0).unwrap().stream;
    let mut random = Random(3);
    for at in (0..delta.len()).filter(|at| (*at as u64) < head || at % 5 == 0) {
        // All bits of the head, one of each byte behind it.
        let bits = if (at as u64) < head {
            0..8
        } else {
            let bit = random.below(8);
            bit..bit + 1
        };
        for bit in bits {
            let mut bad = delta.clone();
            bad[at] ^= 1 << bit;
            let error = stand(&bad, &old, &new);
            assert!(
                error.is_some() || (at as u64) >= head,
                "byte {at}, bit {bit} of the head makes no difference"
            );
        }
    }
}

#[test]
fn a_base_that_is_another_one_is_noticed() {
    let (old, new, delta) = sample();
    let short = &old[..old.len() - 1];
    let length = DeltaError::BaseLength { told: old.len() as u64, have: short.len() as u64 };
    assert_eq!(stand(&delta, short, &new), Some(length));
    assert!(matches!(apply(&delta, &Nothing, 4_096), Err(DeltaError::BaseLength { have: 0, .. })));
    let mut other = old.clone();
    other[0x900] ^= 4;
    assert!(matches!(
        stand(&delta, &other, &new),
        Some(DeltaError::Checksum { .. } | DeltaError::Stream { .. })
    ));
}

/// A base on a disk that fails from some byte on.
struct Failing<'a>(&'a [u8], u64);

impl Stored for Failing<'_> {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
        if at + out.len() as u64 > self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        self.0.read_at(at, out)
    }
}

#[test]
fn a_base_that_cannot_be_read_is_named_with_the_place() {
    let (old, _, delta) = sample();
    let error = apply(&delta, &Failing(&old, 1_500), 4_096).expect_err("a failing disk");
    let DeltaError::Unreadable { what: "base", at, .. } = error else { panic!("{error}") };
    assert!(at <= 1_500);
    let read = Delta::read(&delta).unwrap();
    let mut run = read.begin(0, &old, &delta).unwrap();
    assert_eq!(run.piece(&old, &delta, &mut [0; 7]), Err(DeltaError::Room { needed: 8 }));
    assert!(matches!(read.begin(99, &old, &delta), Err(DeltaError::NoSegment(99))));
}

#[test]
fn anything_at_all_is_stood() {
    let (old, new, delta) = sample();
    let mut random = Random(77);
    for _ in 0..300 {
        let mut bad = delta.clone();
        for _ in 0..=random.below(6) {
            let at = random.below(u32::try_from(bad.len()).unwrap()) as usize;
            bad[at] = random.below(256).to_le_bytes()[0];
        }
        stand(&bad, &old, &new);
    }
}
