//! Heads that whoever has a key, or luck with a checksum, may send: each refused with the error that says why.

use super::*;
use crate::MAX_MEMORY_BYTES;
use crate::coder::Encoder;
use crate::copies::MAX_COPIES;
use crate::layout::{Part, Region, code_region};
use crate::model::Settings;

/// A head with what a test wants wrong in it.
struct Hostile {
    fixed: Fixed,
    base: Vec<Region>,
    result: Vec<Region>,
    copies: Vec<Copied>,
    copies_told: Option<u64>,
    streams: Vec<(u32, u32)>,
    behind: Vec<u8>,
}

impl Hostile {
    /// Sound, of two images of 1,000 bytes, one copy and one segment.
    fn sound() -> Self {
        let settings = Settings { table: 1, window: 12, learns: false };
        let (base_bytes, result_bytes, segment_bytes) = (1_000, 1_000, 1_000);
        let fixed = Fixed { settings, base_bytes, result_bytes, segment_bytes, coded_bytes: 0 };
        let region = Region { part: Part::Code, offset: 64, len: 512, address: 0x1040 };
        let copies = vec![Copied { to: 0, from: 0, len: 1_000 }];
        let (base, result) = (vec![region], vec![region]);
        Self { fixed, base, result, copies, copies_told: None, streams: vec![(1, 0)], behind: vec![0] }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut coder = Encoder::new();
        let mut numbers = Numbers::new();
        for (regions, like) in [(&self.base, &Vec::new()), (&self.result, &self.base)] {
            numbers.count.code(&mut coder, regions.len() as u64);
            for (n, region) in regions.iter().enumerate() {
                let like = like.get(n).copied().unwrap_or_default();
                code_region(&mut coder, |_| Ok(()), &mut numbers, *region, like).unwrap();
            }
        }
        let mut numbers = CopyNumbers::new();
        numbers.count.code(&mut coder, self.copies_told.unwrap_or(self.copies.len() as u64));
        let mut last = None;
        for copy in &self.copies {
            numbers.code(&mut coder, |_| Ok(()), last, Some(*copy)).unwrap();
            last = Some(*copy);
        }
        let coded = coder.finish();
        let told = if self.fixed.coded_bytes == 0 { coded.len() as u32 } else { self.fixed.coded_bytes };
        let table: Vec<u8> = self
            .streams
            .iter()
            .flat_map(|(len, sum)| [len.to_be_bytes(), sum.to_be_bytes()].concat())
            .collect();
        sealed(
            &Fixed { coded_bytes: told, ..self.fixed }.write(),
            &[&coded, &table[..]].concat(),
            &self.behind,
        )
    }

    fn refused(&self) -> DeltaError {
        Delta::read(&self.bytes()).expect_err("a hostile head")
    }
}

/// A delta with a checksum that is right.
fn sealed(fixed: &[u8], rest: &[u8], streams: &[u8]) -> Vec<u8> {
    let sum = Checksum::of(&[fixed, rest].concat());
    [fixed, &sum.to_be_bytes(), rest, streams].concat()
}

#[test]
fn the_sound_head_is_read() {
    let delta = Delta::read(&Hostile::sound().bytes()).unwrap();
    assert_eq!((delta.base_bytes(), delta.result_bytes(), delta.segments()), (1_000, 1_000, 1));
    assert_eq!(delta.copied_bytes(), 1_000);
    assert_eq!(delta.segment(0).map(|s| (s.at, s.len, s.stream_end - s.stream)), Ok((0, 1_000, 1)));
    assert_eq!(delta.segment(1), Err(DeltaError::NoSegment(1)));
}

#[test]
fn fields_that_cannot_be_are_refused() {
    type Change = fn(&mut Fixed);
    let cases: [(Change, &str, u64); 8] = [
        (|f| f.settings.table = 0, "table", 0),
        (|f| f.settings.window = 7, "window", 7),
        (|f| f.settings.window = 255, "window", 255),
        (|f| f.base_bytes = u32::MAX, "base length", u64::from(u32::MAX)),
        (|f| f.result_bytes = u32::MAX, "result length", u64::from(u32::MAX)),
        (|f| f.segment_bytes = 0, "segment length", 0),
        (|f| (f.result_bytes, f.segment_bytes) = (1 << 20, 1), "number of segments", 1 << 20),
        (|f| f.coded_bytes = u32::MAX, "coded length", u64::from(u32::MAX)),
    ];
    for (change, field, value) in cases {
        let mut hostile = Hostile::sound();
        change(&mut hostile.fixed);
        assert_eq!(hostile.refused(), DeltaError::Field { field, value });
    }
    let mut other = Hostile::sound().bytes();
    other[4] = 9;
    assert_eq!(Delta::read(&other).unwrap_err(), DeltaError::Version(9));
    other[0] = 0;
    assert_eq!(Delta::read(&other).unwrap_err(), DeltaError::NotADelta);
}

#[test]
fn memory_is_bounded_before_it_is_taken() {
    let mut hostile = Hostile::sound();
    (hostile.fixed.settings.table, hostile.fixed.settings.window) = (255, 22);
    let error = hostile.refused();
    assert!(
        matches!(error, DeltaError::Memory { needed, most: MAX_MEMORY_BYTES } if needed > most(&error)),
        "{error}"
    );
    let mut hostile = Hostile::sound();
    hostile.copies_told = Some(u64::from(MAX_COPIES) + 1);
    let error = DeltaError::Field { field: "number of copies", value: u64::from(MAX_COPIES) + 1 };
    assert_eq!(hostile.refused(), error);
}

fn most(error: &DeltaError) -> u64 {
    if let DeltaError::Memory { most, .. } = error { *most } else { 0 }
}

#[test]
fn copies_that_cannot_be_are_refused() {
    let copied = |to, from, len| Copied { to, from, len };
    let cases = [
        (vec![copied(0, 0, 0)], 0, "empty"),
        (vec![copied(0, 1, 1_000)], 0, "from outside the base"),
        (vec![copied(1, 0, 1_000)], 0, "to outside the result"),
        (vec![copied(0, u32::MAX, 2)], 0, "from outside the base"),
        (vec![copied(u32::MAX, 0, 2)], 0, "to outside the result"),
        (vec![copied(0, 0, 10), copied(10, 0, 991)], 1, "to outside the result"),
    ];
    for (copies, copy, why) in cases {
        let mut hostile = Hostile::sound();
        hostile.copies = copies;
        assert_eq!(hostile.refused(), DeltaError::Copied { copy, why });
    }
}

#[test]
fn layouts_that_cannot_be_are_refused() {
    let region = |offset, len, address| Region { part: Part::Code, offset, len, address };
    let mut hostile = Hostile::sound();
    hostile.result = vec![region(0, 64, 0), region(32, 64, 0x100)];
    let why = "begins before the one before it ends";
    assert_eq!(hostile.refused(), DeltaError::Region { image: Image::Result, region: 1, why });
    hostile.base = vec![region(0, 64, 0), region(64, 64, 0x20)];
    let why = "loaded where another one is";
    assert_eq!(hostile.refused(), DeltaError::Region { image: Image::Base, region: 1, why });
    hostile.base = vec![region(0, 64, 0); 65];
    assert_eq!(hostile.refused(), DeltaError::Field { field: "number of regions", value: 65 });
}

#[test]
fn segments_that_lie_are_refused() {
    let mut hostile = Hostile::sound();
    hostile.streams = vec![(u32::MAX, 0)];
    assert!(matches!(hostile.refused(), DeltaError::Short { .. }));
    hostile.streams = vec![(1, 0)];
    hostile.behind = vec![0; 3];
    assert_eq!(hostile.refused(), DeltaError::Long { more: 2 });
    // What is coded is longer, and shorter, than what it tells.
    let mut hostile = Hostile::sound();
    hostile.copies = (0..20).map(|n| Copied { to: n * 50, from: n * 7 % 20 * 50, len: 50 }).collect();
    hostile.copies_told = Some(0);
    assert!(matches!(hostile.refused(), DeltaError::Field { field: "coded length", .. }));
    hostile.copies_told = Some(100);
    let short = hostile.refused();
    assert!(
        matches!(short, DeltaError::Copied { .. } | DeltaError::Field { field: "coded length", .. }),
        "{short}"
    );
}
