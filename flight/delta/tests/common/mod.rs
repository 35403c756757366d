//! What the tests share: applying a delta, and programs made up.

#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::cast_possible_truncation, reason = "fields of instructions are cut to their widths")]

#[cfg(feature = "encode")]
use passband_delta::Options;
use passband_delta::{Delta, DeltaError, Piece, Stored};

/// Small, so that tests are quick.
#[cfg(feature = "encode")]
pub(crate) fn options() -> Options {
    Options { segment_bytes: None, table: Some(2), window: 14, learns: Some(false) }
}

/// The result of a delta, piece by piece of up to `piece` bytes.
pub(crate) fn apply(delta: &[u8], base: &impl Stored, piece: usize) -> Result<Vec<u8>, DeltaError> {
    let read = Delta::read(delta)?;
    let mut out = Vec::new();
    for segment in 0..read.segments() {
        out.extend(make(&read, segment, delta, base, piece)?);
    }
    assert_eq!(out.len(), read.result_bytes() as usize);
    Ok(out)
}

/// One segment of a delta.
pub(crate) fn make(
    read: &Delta,
    segment: u32,
    delta: &[u8],
    base: &impl Stored,
    piece: usize,
) -> Result<Vec<u8>, DeltaError> {
    let mut run = read.begin(segment, base, delta)?;
    let (mut out, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        match run.piece(base, delta, &mut buffer)? {
            Piece::More(made) => {
                assert!(made > 0, "no step forward");
                out.extend(&buffer[..made]);
            }
            Piece::Done(made) => {
                out.extend(&buffer[..made]);
                assert_eq!(out.len(), run.segment().len as usize);
                return Ok(out);
            }
        }
    }
}

/// Numbers that look random.
pub(crate) struct Random(pub(crate) u32);

impl Random {
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % end
    }
}

const BASE: u64 = 0x20_0000;
const DATA: u64 = 0x40_0000;

/// An AArch64 ELF file with functions of these names (any number is a name), in that order: each has arithmetic, calls of others,
/// addresses of data, and a jump; and a table of pointers to all. With sections or with program headers only.
pub(crate) fn program(names: &[u32], with_sections: bool) -> Vec<u8> {
    let lens: Vec<u32> = names.iter().map(|name| 24 + name % 37).collect();
    let starts: Vec<u64> = lens
        .iter()
        .scan(BASE + 0x400, |at, len| {
            let start = *at;
            *at += u64::from(*len) * 4;
            Some(start)
        })
        .collect();
    let mut code = Vec::new();
    for ((name, len), start) in names.iter().zip(&lens).zip(&starts) {
        let mut random = Random(*name);
        for n in 0..*len {
            let at = start + u64::from(n) * 4;
            code.extend(instruction(&mut random, at, names, &starts).to_le_bytes());
        }
    }
    let data: Vec<u8> = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
    file(&code, &data, with_sections)
}

/// The next instruction of a function.
fn instruction(random: &mut Random, at: u64, names: &[u32], starts: &[u64]) -> u32 {
    // Who is called is a matter of names, not of places.
    let wanted = random.below(1 << 16);
    let called = names.iter().enumerate().min_by_key(|(_, name)| (*name ^ wanted).wrapping_mul(0x9E37_79B9));
    let target = called.map_or(at, |(n, _)| starts[n]);
    let words = |bits: u32| (target.wrapping_sub(at) >> 2) as u32 & ((1 << bits) - 1);
    let register = random.below(29);
    match random.below(8) {
        0 => 0x9400_0000 | words(26),
        1 => {
            let pages = ((DATA + u64::from(wanted) * 8) >> 12).wrapping_sub(at >> 12) as u32;
            0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_FFFF) << 5 | register
        }
        2 => 0x9100_0000 | (wanted & 0x1FF) << 13 | register << 5 | register,
        3 => 0xB400_0000 | 4 << 5 | register,
        4 => 0xF940_0000 | random.below(64) << 10 | register << 5 | random.below(29),
        _ => 0x8B00_0000 | random.below(29) << 16 | random.below(29) << 5 | register,
    }
}

fn file(code: &[u8], data: &[u8], with_sections: bool) -> Vec<u8> {
    let mut out = vec![0; 0x400];
    let data_at = (0x400 + code.len()).next_multiple_of(8);
    let put = |out: &mut Vec<u8>, at: usize, value: u64, bytes: usize| {
        out[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    };
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value, bytes) in [(18, 183, 2), (32, 64, 8), (54, 56, 2), (56, 2, 2), (58, 64, 2)] {
        put(&mut out, at, value, bytes);
    }
    let parts = [(5, 0x400, code.len(), BASE + 0x400), (6, data_at, data.len(), DATA)];
    for (n, (flags, offset, len, address)) in parts.into_iter().enumerate() {
        let fields = [(0, 1, 4), (4, flags, 4), (8, offset as u64, 8), (16, address, 8), (32, len as u64, 8)];
        fields.into_iter().for_each(|(at, value, bytes)| put(&mut out, 64 + n * 56 + at, value, bytes));
    }
    out.extend(code);
    out.resize(data_at, 0);
    out.extend(data);
    if with_sections {
        let at = out.len();
        out.resize(at + 3 * 64, 0);
        put(&mut out, 40, at as u64, 8);
        put(&mut out, 60, 3, 2);
        for (n, (flags, offset, len, address)) in parts.into_iter().enumerate() {
            let flags = if flags == 5 { 6 } else { 3 };
            let fields =
                [(4, 1, 4), (8, flags, 8), (16, address, 8), (24, offset as u64, 8), (32, len as u64, 8)];
            fields
                .into_iter()
                .for_each(|(field, value, bytes)| put(&mut out, at + (n + 1) * 64 + field, value, bytes));
        }
    }
    out
}
