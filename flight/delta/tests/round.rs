//! What was encoded comes back, whatever it was, however it is cut.

mod common;

use common::{Random, apply, make, options, program};
use passband_delta::{Delta, Nothing, Options, encode};
use proptest::prelude::*;

/// A delta that makes `new` of `old`, and comes to it.
fn round(old: &[u8], new: &[u8], options: &Options) -> Vec<u8> {
    let delta = encode(Some(old), new, options).unwrap();
    assert_eq!(apply(&delta, &old, 16 << 10).unwrap(), new);
    delta
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_bytes_come_back(old in prop::collection::vec(any::<u8>(), 0..3_000), new in prop::collection::vec(any::<u8>(), 0..3_000)) {
        round(&old, &new, &options());
    }

    #[test]
    fn edited_bytes_come_back(
        old in prop::collection::vec(0..4_u8, 0..4_000),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40), 0..60_usize), 0..12),
        segment in prop::option::of(1_000..5_000_u32),
        learns in any::<bool>(),
    ) {
        let mut new = old.clone();
        for (at, put, taken) in edits {
            let at = at.index(new.len() + 1);
            let end = (at + taken).min(new.len());
            new.splice(at..end, put);
        }
        round(&old, &new, &Options { segment_bytes: segment, learns: Some(learns), ..options() });
    }

    #[test]
    fn programs_with_functions_put_in_moved_and_taken_out_come_back(
        names in prop::collection::vec(0..1_000_u32, 1..60),
        edits in prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), 0..1_000_u32), 0..6),
        sections in any::<bool>(),
        learns in any::<bool>(),
    ) {
        let old = program(&names, sections);
        let mut names = names;
        for (what, at, name) in edits {
            let at = at.index(names.len());
            match what {
                0 => names.insert(at, name),
                1 => names.swap(at, 0),
                _ if names.len() > 1 => drop(names.remove(at)),
                _ => {}
            }
        }
        let new = program(&names, sections);
        round(&old, &new, &Options { learns: Some(learns), ..options() });
    }

    #[test]
    fn odd_elf_files_come_back(flips in prop::collection::vec((0..0x400_usize, any::<u8>()), 1..12), sections in any::<bool>()) {
        let old = program(&(0..20).collect::<Vec<u32>>(), sections);
        let mut new = old.clone();
        for (at, byte) in flips {
            new[at] = byte;
        }
        round(&old, &new, &options());
        round(&new, &old, &options());
    }
}

#[test]
fn little_and_nothing_come_back() {
    for (old, new) in
        [(&b""[..], &b""[..]), (b"", b"a"), (b"abc", b""), (b"a", b"a"), (b"\0\0\0", b"\0\0\0\0")]
    {
        round(old, new, &options());
    }
    let delta = encode(None, b"no base at all", &options()).unwrap();
    assert_eq!(apply(&delta, &Nothing, 100).unwrap(), b"no base at all");
    assert_eq!(Delta::read(&delta).unwrap().base_bytes(), 0);
}

#[test]
fn code_that_moved_costs_next_to_nothing() {
    let names: Vec<u32> = (0..2_000).map(|n| n * 7 % 2_003).collect();
    let old = program(&names, true);
    let mut names = names;
    names.insert(100, 5_000);
    let new = program(&names, true);
    let differ = old.iter().zip(&new).filter(|(a, b)| a != b).count();
    let delta = round(&old, &new, &options());
    assert!(
        differ > 100_000 && delta.len() * 50 < differ,
        "{differ} bytes differ, the delta has {}",
        delta.len()
    );
}

#[test]
fn pieces_of_any_size_come_to_the_same() {
    let old = program(&(0..40).collect::<Vec<u32>>(), true);
    let new = program(&(3..44).rev().collect::<Vec<u32>>(), true);
    let delta = encode(Some(&old), &new, &Options { segment_bytes: Some(2_000), ..options() }).unwrap();
    for piece in [8, 9, 13, 100, 1 << 20] {
        assert_eq!(apply(&delta, &old, piece).unwrap(), new);
    }
}

#[test]
fn a_run_cut_off_anywhere_goes_on_at_its_segment() {
    let old = program(&(0..30).collect::<Vec<u32>>(), true);
    let new = program(&(5..40).collect::<Vec<u32>>(), true);
    let delta = encode(Some(&old), &new, &Options { segment_bytes: Some(1_500), ..options() }).unwrap();
    let read = Delta::read(&delta).unwrap();
    assert!(read.segments() > 2);
    let mut buffer = [0; 256];
    for segment in 0..read.segments() {
        let Ok(told) = read.segment(segment) else { panic!("a segment") };
        let wanted = &new[told.at as usize..(told.at + told.len) as usize];
        // Cut after each number of pieces, then from the segment's beginning, with all read anew.
        for pieces in 0..told.len as usize / buffer.len() {
            let mut run = read.begin(segment, &old, &delta).unwrap();
            for _ in 0..pieces {
                run.piece(&old, &delta, &mut buffer).unwrap();
            }
            let again = Delta::read(&delta).unwrap();
            assert_eq!(make(&again, segment, &delta, &old, 256).unwrap(), wanted);
        }
    }
}

#[test]
fn learning_is_taken_where_it_helps() {
    let mut random = Random(9);
    let names: Vec<u32> = (0..600).map(|_| random.below(1_000)).collect();
    let old = program(&names[..400], true);
    let new = program(&names, true);
    let len = |learns| encode(Some(&old), &new, &Options { learns, ..options() }).unwrap().len();
    let (with, without, chosen) = (len(Some(true)), len(Some(false)), len(None));
    assert!(with + 128 <= without, "{with} and {without} bytes: no example of what is tested");
    assert_eq!(chosen, with);
}
