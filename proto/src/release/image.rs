//! An image: the program with its files behind it, in one file that the system can start.
//!
//! Programs in ELF don't mind what follows them, so an image *is* the program, and the program finds its files in what
//! it was started from. Nothing has to be unpacked, one digest covers all of it, and putting one in place is one rename.
//!
//! ```text
//! program | file, each from a multiple of 16 | index: per file name length u8, name, offset u32, bytes u32
//! trailer: index offset u32 | files u16 | version u16 = 1 | magic "PASSIMG1" | SHA-256 of all before this [32]
//! ```
//!
//! The digest in the trailer tells that an image is whole where nothing else names it: the golden one. Elsewhere the
//! SHA-256 of the whole file does, which is the image's id.

use core::fmt;

use crate::wire::Reader;

/// Bytes of the trailer.
pub const TRAILER_BYTES: usize = 48;
/// Most files behind a program.
pub const MAX_FILES: usize = 64;
/// Longest index, bytes.
pub const MAX_INDEX_BYTES: usize = MAX_FILES * (1 + MAX_NAME_BYTES + 8);
/// Longest name of a file, bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// What a file's beginning is a multiple of.
pub const ALIGN: usize = 16;

const MAGIC: &[u8; 8] = b"PASSIMG1";
const VERSION: u16 = 1;

/// The end of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// SHA-256 of all that is before it, the rest of the trailer too.
    pub digest: [u8; 32],
    /// Where the index begins.
    pub index_offset: u32,
    /// How many files it lists.
    pub files: u16,
}

impl Trailer {
    /// Reads the last [`TRAILER_BYTES`] of an image of so many bytes; `None` if it has no trailer.
    ///
    /// # Errors
    /// [`BadImage`]: it has one that can't be.
    pub fn read(bytes: &[u8; TRAILER_BYTES], image_bytes: u64) -> Result<Option<Self>, BadImage> {
        let mut r = Reader::new(bytes);
        let read = |r: &mut Reader<'_>| Some((r.u32()?, r.u16()?, r.u16()?, r.array::<8>()?, r.array()?));
        let Some((index_offset, files, version, magic, digest)) = read(&mut r) else { return Ok(None) };
        if magic != *MAGIC {
            return Ok(None);
        }
        let index_bytes = image_bytes.checked_sub(TRAILER_BYTES as u64 + u64::from(index_offset));
        let fits = index_bytes.is_some_and(|bytes| bytes <= MAX_INDEX_BYTES as u64);
        if version != VERSION || !fits || usize::from(files) > MAX_FILES {
            return Err(BadImage("its trailer makes no sense"));
        }
        Ok(Some(Self { digest, index_offset, files }))
    }
}

/// One file behind the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it begins in the image.
    pub offset: u32,
    /// Its length, bytes.
    pub bytes: u32,
}

/// The files that an index lists, in order.
///
/// # Errors
/// [`BadImage`] comes in place of the first that can't be, and ends the list.
pub fn members<'a>(index: &'a [u8], trailer: &Trailer) -> impl Iterator<Item = Result<Member<'a>, BadImage>> {
    let (mut r, mut left, before) = (Reader::new(index), trailer.files, trailer.index_offset);
    core::iter::from_fn(move || {
        if left == 0 {
            let rest = core::mem::replace(&mut r, Reader::new(&[]));
            return (!rest.is_empty()).then_some(Err(BadImage("its index is longer than its files")));
        }
        left = left.saturating_sub(1);
        let member = member(&mut r, before).ok_or(BadImage("its index makes no sense"));
        if member.is_err() {
            left = 0;
            r = Reader::new(&[]);
        }
        Some(member)
    })
}

fn member<'a>(r: &mut Reader<'a>, before: u32) -> Option<Member<'a>> {
    let len = usize::from(r.u8()?);
    let name = core::str::from_utf8(r.slice(len)?).ok().filter(|name| is_name(name))?;
    let (offset, bytes) = (r.u32()?, r.u32()?);
    (offset.checked_add(bytes)? <= before).then_some(Member { name, offset, bytes })
}

/// Whether a file in an image may be called so: letters, digits, `.`, `-`, `_`, up to [`MAX_NAME_BYTES`], not beginning
/// with a dot.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// An image that can't be one: what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadImage(pub &'static str);

impl fmt::Display for BadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for BadImage {}

/// Puts an image together. Files go in by name, so that the same ones always give the same bytes.
///
/// # Errors
/// [`BadImage`]: a name that can't be or comes twice, too many files, or more than 4 GiB.
#[cfg(feature = "std")]
pub fn build(program: &[u8], files: &[(&str, &[u8])]) -> Result<Vec<u8>, BadImage> {
    use sha2::{Digest, Sha256};

    let mut files = files.to_vec();
    files.sort_by_key(|(name, _)| *name);
    if files.len() > MAX_FILES {
        return Err(BadImage("more files than an image holds (64)"));
    }
    if files.iter().any(|(name, _)| !is_name(name)) {
        return Err(BadImage("a file's name isn't of letters, digits, . - _, 64 at most"));
    }
    if files.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(BadImage("two files have one name"));
    }
    let number = |n: usize| u32::try_from(n).map_err(|_| BadImage("it is longer than 4 GiB"));
    let (mut out, mut index) = (program.to_vec(), Vec::new());
    for (name, bytes) in &files {
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        index.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        index.extend_from_slice(name.as_bytes());
        index.extend_from_slice(&number(out.len())?.to_be_bytes());
        index.extend_from_slice(&number(bytes.len())?.to_be_bytes());
        out.extend_from_slice(bytes);
    }
    let index_offset = number(out.len())?;
    out.extend_from_slice(&index);
    out.extend_from_slice(&index_offset.to_be_bytes());
    out.extend_from_slice(&u16::try_from(files.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(MAGIC);
    let digest = Sha256::digest(&out);
    out.extend_from_slice(&digest);
    number(out.len())?;
    Ok(out)
}
