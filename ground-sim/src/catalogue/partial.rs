//! The file of a frame that comes in strips, as long as some are missing: `NAME.partial.bil` (`.bip`, `.bsq`), its
//! header beside it, and the camera's own header, kept for the end so that no strip's folder is needed twice.
//!
//! The file grows at its end as more is known of the frame. Where lines must move (a `.bsq` that grows, a lead that
//! comes later) it is made anew aside, from itself: what was placed once is never asked for again.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_spectral::envi::{Header, Interleave};

use super::layout::{Shape, ignore_value, missing};
use super::source::read_header;
use super::strips::Cube;

/// Names of the files in the frame's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) header: String,
    pub(super) data: String,
    /// The camera's own header, once it is here.
    pub(super) original: String,
    /// The file while it is made anew.
    aside: String,
}

/// What lies there of a frame.
#[derive(Debug)]
pub(super) struct Partial<'a> {
    pub(super) cube: &'a Cube,
    /// Its header, with the lines and the offset that the cube has.
    pub(super) header: Header,
    path: PathBuf,
}

impl Names {
    pub(super) fn of(frame: &str, interleave: Interleave) -> Self {
        let stem = format!("{}.partial", frame.replace(['/', '\\'], "-"));
        Self {
            header: format!("{stem}.hdr"),
            data: format!("{stem}.{}", interleave.name()),
            original: format!("{stem}.original"),
            aside: format!("{stem}.new"),
        }
    }

    /// Removes what is only there as long as a frame isn't whole; some of it may be gone already.
    pub(super) fn remove(&self, folder: &Path) {
        for name in [&self.header, &self.data, &self.original, &self.aside] {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

impl<'a> Partial<'a> {
    /// What `cube` says that there is, if it lies there.
    pub(super) fn open(folder: &Path, cube: &'a Cube) -> Option<Self> {
        if cube.whole {
            return None;
        }
        let mut header = read_header(&folder.join(&cube.header)).ok()?;
        if header.header_offset != cube.lead_bytes {
            return None;
        }
        header.lines = usize::try_from(cube.lines).ok()?;
        let path = folder.join(&cube.data);
        let bytes = fs::metadata(&path).ok()?.len();
        // It may have grown just before a crash.
        let is_long_enough =
            if can_grow(&header) { bytes >= header.data_bytes() } else { bytes == header.data_bytes() };
        is_long_enough.then_some(Self { cube, header, path })
    }

    /// The bytes before the first sample.
    pub(super) fn lead(&self) -> Result<Vec<u8>> {
        let failed = || format!("reading {}", self.path.display());
        let mut lead = vec![0; usize::try_from(self.cube.lead_bytes)?];
        File::open(&self.path).and_then(|file| file.read_exact_at(&mut lead, 0)).with_context(failed)?;
        Ok(lead)
    }
}

/// The file with the layout of `header`: the one that is there, grown if need be, or one made anew. It holds the
/// lines in `placed`, which are those of `before`; the others read as missing.
///
/// # Errors
/// Those of the disk; what was there before is as it was.
pub(super) fn prepare(
    folder: &Path,
    names: &Names,
    header: &Header,
    lead: &[u8],
    before: Option<&Partial<'_>>,
    placed: &[(u64, u64)],
) -> Result<File> {
    let path = folder.join(&names.data);
    let before = before.filter(|before| before.path == path);
    let fits = |before: &Partial<'_>| {
        before.header.lines == header.lines || (can_grow(header) && before.header.lines < header.lines)
    };
    match before.filter(|before| before.cube.lead_bytes == lead.len() as u64 && fits(before)) {
        Some(before) => grow(before, header).with_context(|| format!("writing {}", path.display())),
        None => make_anew(folder, names, header, lead, before, placed),
    }
}

fn grow(before: &Partial<'_>, header: &Header) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(&before.path)?;
    // What a crash left beyond the end reads as zeros again.
    file.set_len(before.header.data_bytes())?;
    file.set_len(header.data_bytes())?;
    if let Some((_, value)) = ignore_value(header) {
        Shape::of(header).fill(&file, (before.header.lines as u64, header.lines as u64), &value)?;
    }
    Ok(file)
}

fn make_anew(
    folder: &Path,
    names: &Names,
    header: &Header,
    lead: &[u8],
    before: Option<&Partial<'_>>,
    placed: &[(u64, u64)],
) -> Result<File> {
    let aside = folder.join(&names.aside);
    let failed = || format!("writing {}", aside.display());
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&aside);
    let file = file.with_context(failed)?;
    let shape = Shape::of(header);
    file.set_len(header.data_bytes()).with_context(failed)?;
    file.write_all_at(lead, 0).with_context(failed)?;
    if let Some((_, value)) = ignore_value(header) {
        for lines in missing(header.lines as u64, placed.iter().copied()) {
            shape.fill(&file, lines, &value).with_context(failed)?;
        }
    }
    if let Some(before) = before {
        let source =
            File::open(&before.path).with_context(|| format!("opening {}", before.path.display()))?;
        for lines in placed {
            shape.copy(&file, *lines, &source, &Shape::of(&before.header), 0).with_context(failed)?;
        }
    }
    // Without a header the file counts as nothing: a crash can't leave one that is taken for the other.
    let _ = fs::remove_file(folder.join(&names.header));
    fs::rename(&aside, folder.join(&names.data)).with_context(|| format!("renaming {}", aside.display()))?;
    Ok(file)
}

/// Whether more lines are more bytes at the end.
fn can_grow(header: &Header) -> bool {
    header.interleave != Interleave::Bsq
}

/// The header beside what is there of a frame. What it names for "no data" is what the file holds there.
pub(super) fn header_text(header: &Header, missing: &[(u64, u64)]) -> String {
    let mut header = header.clone();
    let missing_lines: u64 = missing.iter().map(|(from, to)| to - from).sum();
    header.data_ignore_value = Some(ignore_value(&header).map_or(0.0, |(value, _)| value));
    header.description = Some(format!(
        "{} of {} lines are there; frame.json says which are missing",
        header.lines as u64 - missing_lines,
        header.lines
    ));
    header.to_text()
}
