//! The names of a frame's files: which belong together, and which can't be used.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use passband_proto::bundle::safe_name;

use super::FrameFiles;

/// Endings of data files, lower case.
pub const DATA_ENDINGS: [&str; 7] = ["bil", "bip", "bsq", "img", "dat", "raw", "bin"];
/// Longest name of a frame, bytes: its products' names are longer.
pub const MAX_FRAME_NAME_BYTES: usize = 150;

/// The data file beside a header, by the same rules: the first name for which `is_there` holds.
pub fn data_beside(header: &Path, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let stem = header.with_file_name(header_stem(header.file_name()?)?);
    let with_ending = |ending: String| {
        let mut name = stem.clone().into_os_string();
        name.push(format!(".{ending}"));
        PathBuf::from(name)
    };
    let endings = DATA_ENDINGS.iter().flat_map(|e| [(*e).to_owned(), e.to_uppercase()]);
    let mut candidates = std::iter::once(stem.clone()).chain(endings.map(with_ending));
    candidates.find(|path| is_there(path))
}

/// The files of a frame whose names have no fault.
pub(super) fn frame_files(header: &OsStr, data: &OsStr) -> Option<FrameFiles> {
    let name = frame_name(header, data)?;
    Some(FrameFiles { name, header: header.to_str()?.to_owned(), data: data.to_str()?.to_owned() })
}

/// The name of a frame, from the names of its files: of the header without `.hdr`, and without the
/// data's ending where it stands before that. `None` if that isn't UTF-8.
pub fn frame_name(header: &OsStr, data: &OsStr) -> Option<String> {
    let stem = header_stem(header).unwrap_or_else(|| header.to_owned());
    let name = match data_stem(data) {
        Some((short, _)) if data == stem => short,
        _ => stem,
    };
    name.into_string().ok()
}

/// The names that the other file of a frame may have, the usual ones first: of a header its data, else a header.
pub fn partners(name: &OsStr) -> impl Iterator<Item = OsString> {
    let of_header = header_stem(name);
    let headers = if of_header.is_some() {
        Vec::new()
    } else {
        [Some(name.to_owned()), data_stem(name).map(|d| d.0)].to_vec()
    };
    let data = of_header.clone().into_iter().chain(of_header.into_iter().flat_map(|stem| {
        SPELLINGS.into_iter().flat_map(move |upper| {
            let stem = stem.clone();
            DATA_ENDINGS.into_iter().map(move |ending| with_ending(&stem, ending, upper))
        })
    }));
    let headers = headers
        .into_iter()
        .flatten()
        .flat_map(|stem| SPELLINGS.map(|upper| with_ending(&stem, "hdr", upper)));
    let passed_over = is_passed_over(name);
    data.chain(headers).filter(move |_| !passed_over)
}

/// Which of an ending's three letters are capitals, as bits: the usual spellings first.
const SPELLINGS: [u8; 8] = [0, 7, 1, 2, 3, 4, 5, 6];

fn with_ending(stem: &OsStr, ending: &str, upper: u8) -> OsString {
    let spelt = ending.chars().zip(0..).map(|(c, nth)| match upper >> nth & 1 {
        0 => c,
        _ => c.to_ascii_uppercase(),
    });
    let mut name = stem.to_owned();
    name.push(format!(".{}", spelt.collect::<String>()));
    name
}

pub(super) fn is_passed_over(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b".") || ends_with(bytes, b".tmp") || ends_with(bytes, b".part")
}

/// Whether a name ends so, upper or lower case, and has something before it.
fn ends_with(name: &[u8], ending: &[u8]) -> bool {
    let at = name.len().checked_sub(ending.len()).filter(|at| *at > 0);
    at.and_then(|at| name.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
}

/// The name of a header without `.hdr`.
pub(super) fn header_stem(name: &OsStr) -> Option<OsString> {
    let bytes = name.as_bytes();
    if !ends_with(bytes, b".hdr") {
        return None;
    }
    bytes.get(..bytes.len() - 4).map(|stem| OsString::from_vec(stem.to_vec()))
}

/// The name of a data file without its ending, and the ending.
pub(super) fn data_stem(name: &OsStr) -> Option<(OsString, &'static str)> {
    let bytes = name.as_bytes();
    DATA_ENDINGS.iter().find_map(|ending| {
        let at = bytes.len().checked_sub(ending.len() + 1)?;
        let (stem, tail) = bytes.split_at_checked(at)?;
        let fits = !stem.is_empty()
            && tail.strip_prefix(b".").is_some_and(|e| e.eq_ignore_ascii_case(ending.as_bytes()));
        fits.then(|| (OsString::from_vec(stem.to_vec()), *ending))
    })
}

/// What is wrong with a file's name, if anything.
pub(super) fn name_fault(name: &OsStr) -> Option<String> {
    let shown = printable_name(name);
    let Some(text) = name.to_str() else { return Some(format!("the name {shown} is not UTF-8")) };
    if text.len() > MAX_FRAME_NAME_BYTES {
        return Some(format!(
            "the name has {} bytes; at most {MAX_FRAME_NAME_BYTES} are allowed",
            text.len()
        ));
    }
    (!safe_name(text)).then(|| format!("the name {shown} holds characters that a product's name can't"))
}

/// A file name for people: one line, escapes for what can't be shown, at most 80 characters.
pub fn printable_name(name: &OsStr) -> String {
    let shown: String = name.to_string_lossy().escape_debug().take(80).collect();
    format!("\"{shown}\"")
}

/// The name of a refused frame: of the header without its ending, only plain characters.
pub(super) fn display_name(file: &OsStr) -> String {
    let stem = header_stem(file).unwrap_or_else(|| file.to_owned());
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\' | '\u{fffd}') { '_' } else { c };
    let mut name = String::new();
    for c in stem.to_string_lossy().chars().map(plain) {
        if name.len() + c.len_utf8() > 100 {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unnamed".to_owned() } else { name }
}
