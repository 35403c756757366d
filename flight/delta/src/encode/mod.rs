//! Makes deltas, on the ground: finds what can be copied, codes the rest with the very engine that flies, and decodes what
//! came of it before it is handed out. Never fails for what an image holds.

mod elf;
mod find;
mod mask;

use std::fmt;

use crate::checksum::Checksum;
use crate::coder::Encoder;
use crate::copies::{Copied, MAX_COPIES, Map};
use crate::engine::Engine;
use crate::error::DeltaError;
use crate::head::{CopyNumbers, Delta, Fixed, MAX_SEGMENTS, Plan, memory};
use crate::layout::{Image, Layout, MAX_IMAGE_BYTES, Numbers, code_region};
use crate::model::{MAX_WINDOW_BITS, MIN_WINDOW_BITS, Settings};
use crate::predict::UNIT;
use crate::run::Piece;
use crate::{MAX_MEMORY_BYTES, Nothing};

/// Bytes that learning has to save to be worth its time on board.
const LEARNING_SAVES: usize = 128;

/// What an encoder may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the result in a segment. Applying goes on at segments after a power cut, but each is coded from nothing
    /// learnt. `None`: all in one, which is smallest.
    pub segment_bytes: Option<u32>,
    /// Size of the model's table, in 64 KiB; `None`: what the memory allows.
    pub table: Option<u8>,
    /// Size of the window in which repetitions are found, as a power of two of bytes.
    pub window: u8,
    /// Whether the model learns from what is copied as well, which is slow (as if all were new) and helps where much is new;
    /// `None`: if it saves 128 bytes or more.
    pub learns: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: None, table: None, window: 20, learns: None }
    }
}

/// Why no delta was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// An image is longer than [`MAX_IMAGE_BYTES`].
    TooLarge(Image),
    /// An option that can't be, by its name.
    Option(&'static str),
    /// What was made can't be decoded: a fault of this crate.
    Check(DeltaError),
    /// What was made is decoded to something else from this byte on: a fault of this crate.
    Other(u32),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(image) => write!(f, "the {image} has more than {MAX_IMAGE_BYTES} bytes"),
            Self::Option(name) => write!(f, "the option {name} can't be that"),
            Self::Check(error) => write!(f, "the delta that was made can't be read: {error}"),
            Self::Other(at) => write!(f, "the delta that was made comes to something else at byte {at}"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Makes the delta that makes `new` of `base`, or of nothing.
pub fn encode(base: Option<&[u8]>, new: &[u8], options: &Options) -> Result<Vec<u8>, EncodeError> {
    let old = base.unwrap_or_default();
    let length = |image, bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len <= MAX_IMAGE_BYTES);
        len.ok_or(EncodeError::TooLarge(image))
    };
    let (base_bytes, result_bytes) = (length(Image::Base, old)?, length(Image::Result, new)?);
    let [base_layout, result_layout] = [(Image::Base, old), (Image::Result, new)].map(|(image, bytes)| {
        Layout::new(image, elf::regions(bytes), bytes.len() as u32).unwrap_or_default()
    });
    let copies = found(old, new, &base_layout, &result_layout);
    let copies_count = copies.len() as u64;
    let map = Map::new(&copies, &base_layout, &result_layout);
    let settings = Settings { table: 1, window: options.window, learns: false };
    let segment_bytes = options.segment_bytes.unwrap_or(result_bytes.max(1));
    let fixed = Fixed { settings, base_bytes, result_bytes, segment_bytes, coded_bytes: 0 };
    let mut plan = Plan { fixed, base: base_layout, result: result_layout, copies, map };
    plan.fixed.settings.table = chosen(&fixed, copies_count, options)?;
    let coded = head(&plan);
    plan.fixed.coded_bytes = coded.len() as u32;
    let mut made = |learns| {
        plan.fixed.settings.learns = learns;
        assembled(&plan, &coded, old, new).map_err(EncodeError::Check)
    };
    let delta = match options.learns {
        Some(learns) => made(learns)?,
        None if copies_count == 0 => made(false)?,
        None => {
            let (without, with) = (made(false)?, made(true)?);
            if with.len() + LEARNING_SAVES <= without.len() { with } else { without }
        }
    };
    check(&delta, old, new)?;
    Ok(delta)
}

/// What of the result is copied.
fn found(old: &[u8], new: &[u8], base: &Layout, result: &Layout) -> Vec<Copied> {
    let copies = find::copies(&mask::masked(old, base), &mask::masked(new, result));
    let mut copies: Vec<Copied> = copies.into_iter().filter_map(|copy| in_step(copy, base, result)).collect();
    if copies.len() > MAX_COPIES as usize {
        // The longest are worth the most.
        copies.sort_unstable_by_key(|copy| std::cmp::Reverse(copy.len));
        copies.truncate(MAX_COPIES as usize);
        copies.sort_unstable_by_key(|copy| copy.to);
    }
    copies
}

/// A copy cut to begin with a unit of the result; none of one whose units are not those of the base.
fn in_step(copy: Copied, base: &Layout, result: &Layout) -> Option<Copied> {
    let (Some(old), Some(new)) = (base.at(copy.from), result.at(copy.to)) else { return Some(copy) };
    let unit = new.part.unit();
    let (from, to) = (copy.from - old.offset, copy.to - new.offset);
    if old.part != new.part || unit == 1 {
        return Some(copy);
    }
    let skipped = to.next_multiple_of(unit) - to;
    if from % unit != to % unit || skipped >= copy.len {
        return None;
    }
    Some(Copied { to: copy.to + skipped, from: copy.from + skipped, len: copy.len - skipped })
}

/// The size of the table: as told, or what the memory allows.
fn chosen(fixed: &Fixed, copies: u64, options: &Options) -> Result<u8, EncodeError> {
    let fits = |table: u8| {
        let settings = Settings { table, ..fixed.settings };
        memory(&Fixed { settings, ..*fixed }, copies) <= MAX_MEMORY_BYTES
    };
    if !(MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(&options.window) {
        return Err(EncodeError::Option("window"));
    }
    if fixed.segment_bytes == 0 || fixed.segments() > MAX_SEGMENTS {
        return Err(EncodeError::Option("segment_bytes"));
    }
    let table = match options.table {
        Some(table) => (table > 0 && fits(table)).then_some(table),
        None => (1..=u8::MAX).rev().find(|table| fits(*table)),
    };
    table.ok_or(EncodeError::Option("table"))
}

/// What is coded of the head.
fn head(plan: &Plan) -> Vec<u8> {
    let mut coder = Encoder::new();
    let mut numbers = Numbers::new();
    let none = |_: &mut Encoder| Ok(());
    for (layout, like) in [(&plan.base, None), (&plan.result, Some(&plan.base))] {
        numbers.count.code(&mut coder, layout.regions().len() as u64);
        for (n, region) in layout.regions().iter().enumerate() {
            let like = like.and_then(|like: &Layout| like.regions().get(n)).copied().unwrap_or_default();
            // Only reading can fail.
            let _told = code_region(&mut coder, none, &mut numbers, *region, like);
        }
    }
    let mut numbers = CopyNumbers::new();
    numbers.count.code(&mut coder, plan.copies.len() as u64);
    let mut last = None;
    for copy in &plan.copies {
        let _told = numbers.code(&mut coder, none, last, Some(*copy));
        last = Some(*copy);
    }
    coder.finish()
}

/// The whole delta.
fn assembled(plan: &Plan, coded: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let (mut table, mut streams) = (Vec::new(), Vec::new());
    for bytes in new.chunks(plan.fixed.segment_bytes as usize) {
        let at = table.len() as u32 / 8 * plan.fixed.segment_bytes;
        let stream = segment(plan, at, bytes, old)?;
        table.extend((stream.len() as u32).to_be_bytes());
        table.extend(Checksum::of(bytes).to_be_bytes());
        streams.extend(stream);
    }
    let fixed = plan.fixed.write();
    let sum = Checksum::of(&[&fixed, coded, &table].concat());
    Ok([&fixed, &sum.to_be_bytes()[..], coded, &table, &streams].concat())
}

/// A segment's stream.
fn segment(plan: &Plan, at: u32, bytes: &[u8], old: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut coder = Encoder::new();
    let mut engine = Engine::new(plan, at, at + bytes.len() as u32);
    while engine.left() > 0 {
        let rest = bytes.len() - engine.left() as usize;
        let mut given = [0; UNIT];
        given.iter_mut().zip(bytes.iter().skip(rest)).for_each(|(to, from)| *to = *from);
        engine.step(&mut coder, old, given)?;
    }
    Ok(coder.finish())
}

/// That a delta comes to what it was made of.
fn check(delta: &[u8], old: &[u8], new: &[u8]) -> Result<(), EncodeError> {
    let read = Delta::read(delta).map_err(EncodeError::Check)?;
    let mut out = vec![0; 1 << 16];
    let mut rest = new;
    for segment in 0..read.segments() {
        let mut run = if old.is_empty() {
            read.begin(segment, &Nothing, delta)
        } else {
            read.begin(segment, old, delta)
        }
        .map_err(EncodeError::Check)?;
        loop {
            let piece = run.piece(old, delta, &mut out).map_err(EncodeError::Check)?;
            let (Piece::More(made) | Piece::Done(made)) = piece;
            let same = out.get(..made).is_some_and(|out| rest.starts_with(out));
            if !same {
                return Err(EncodeError::Other((new.len() - rest.len()) as u32));
            }
            rest = rest.get(made..).unwrap_or_default();
            if let Piece::Done(_) = piece {
                break;
            }
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(EncodeError::Other((new.len() - rest.len()) as u32)) }
}
