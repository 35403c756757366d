//! A frame that comes down in strips of lines, put together: into one file of the frame's size, strip by strip as
//! they come, in any order and any interleave; and once all of it is there, into the very files that the camera
//! wrote, which the frame's id proves (the beginning of the SHA-256 over header and data).
//!
//! Strips are copied, never moved or changed, so that a frame in strips takes its size twice as long as the
//! folders of its strips are kept. Lines that are missing are holes in the file and read as zeros; where the
//! header names another value for "no data", they hold that.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use passband_flight::store::FrameId;
use passband_spectral::envi::{Header, MAX_HEADER_BYTES, MAX_SIDE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::entry::{Product, read_bounded};
use super::frame::is_reserved;
use super::layout::{Shape, ignore_pattern, missing};
use crate::station::write_aside;

/// The cube of a frame, as far as it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cube {
    /// Whether it is the frame as the camera wrote it.
    pub whole: bool,
    /// Its ENVI header, a file in the frame's folder.
    pub header: String,
    /// Its data.
    pub data: String,
    /// Lines of the frame, as far as is known.
    pub lines: u64,
    /// Lines `[from, to)` that are missing.
    pub missing_lines: Vec<(u64, u64)>,
    /// Of how many strips it consists; 1: it came as one.
    pub parts: u32,
    /// The strips that are in it, by number.
    pub placed: Vec<u32>,
    /// Bytes before the first sample.
    pub lead_bytes: u64,
}

/// A strip in its folder.
struct Strip {
    lines: (u64, u64),
    header: Header,
    data: PathBuf,
}

/// What is known of the frame that the strips belong to.
struct Frame<'a> {
    folder: &'a Path,
    name: &'a str,
    id: &'a str,
    strips: BTreeMap<u32, Strip>,
    parts: u32,
    original: Option<Original>,
    data_file: Option<String>,
}

/// What comes with the first strip.
struct Original {
    name: String,
    text: Vec<u8>,
    header: Header,
    lead: Vec<u8>,
}

/// Puts what there is of a frame's strips together in `folder`. `before`: what was there before, so that only
/// new strips are copied. `lines`: how many lines the frame has, if another product says so.
///
/// # Errors
/// Strips that don't fit together, or those of the disk.
pub(super) fn assemble(
    out: &Path,
    folder: &Path,
    products: &[Product],
    before: Option<&Cube>,
    lines: Option<u64>,
) -> Result<Option<Cube>> {
    let Some(frame) = Frame::of(out, folder, products)? else { return Ok(None) };
    let header = frame.layout(lines)?;
    let cube = frame.fill(&header, before)?;
    let Some(original) = frame.original.as_ref().filter(|_| cube.missing_lines.is_empty()) else {
        return Ok(Some(cube));
    };
    match frame.finish(original, cube) {
        // A crash may have taken what was placed before: once more, all of it.
        Err(_) if before.is_some() => frame.finish(original, frame.fill(&header, None)?).map(Some),
        done => done.map(Some),
    }
}

impl<'a> Frame<'a> {
    fn of(out: &Path, folder: &'a Path, products: &'a [Product]) -> Result<Option<Self>> {
        let mut strips = products.iter().filter(|product| product.is_strip()).peekable();
        let Some((name, id)) = strips.peek().and_then(|first| first.frame_key()) else { return Ok(None) };
        let parts = strips.peek().and_then(|first| first.part).map_or(0, |(_, count)| count);
        let mut this =
            Self { folder, name, id, strips: BTreeMap::new(), parts, original: None, data_file: None };
        for product in strips {
            this.take(&out.join(&product.folder), product)
                .with_context(|| format!("strip {} ({})", product.name, product.id))?;
        }
        Ok(Some(this))
    }

    fn take(&mut self, folder: &Path, product: &Product) -> Result<()> {
        let (part, parts) = product.part.context("it does not say which part it is")?;
        ensure!(parts == self.parts, "it is one of {parts} parts, others are of {}", self.parts);
        let lines = product.lines.context("it does not say which lines it holds")?;
        ensure!(lines.1 <= MAX_SIDE as u64, "no frame has {} lines", lines.1);
        let name = product.files.iter().map(|file| &file.name).find(|name| is_strip_header(name));
        let name = name.context("no header of its own (NAME.lines-A-B.hdr) is in it")?;
        let header = read_header(&folder.join(name))?;
        let stem = name.trim_end_matches("hdr");
        let data = product.files.iter().find(|file| file.name.starts_with(stem) && file.name != *name);
        let data = data.with_context(|| format!("no data are beside {name}"))?;
        ensure!(header.lines as u64 == lines.1 - lines.0, "its header has {} lines", header.lines);
        ensure!(
            header.data_bytes() == data.bytes,
            "{} has {} bytes, its header describes {}",
            data.name,
            data.bytes,
            header.data_bytes()
        );
        let own_header = |name: &str| name.to_lowercase().ends_with(".hdr") && !is_strip_header(name);
        if let Some(file) = product.files.iter().find(|file| own_header(&file.name)) {
            let text = read_bounded(&folder.join(&file.name), MAX_HEADER_BYTES as u64)?;
            let header = parse_header(&text, &file.name)?;
            let lead = match product.file_ending(".lead") {
                Some(lead) => read_bounded(&folder.join(&lead.name), 1 << 30)?,
                None => Vec::new(),
            };
            self.original = Some(Original { name: file.name.clone(), text, header, lead });
        }
        self.data_file = self.data_file.take().or_else(|| product.data_file.clone());
        self.strips.insert(part, Strip { lines, header, data: folder.join(&data.name) });
        Ok(())
    }

    /// The header of the whole, as far as it is known.
    fn layout(&self, lines: Option<u64>) -> Result<Header> {
        let Some((_, first)) = self.strips.first_key_value() else { bail!("no strip is there") };
        let mut header = match &self.original {
            Some(original) => original.header.clone(),
            None => first.header.clone(),
        };
        if let Some(original) = &self.original {
            ensure!(
                original.lead.len() as u64 == original.header.header_offset,
                "the header has an offset of {} bytes, {} came",
                original.header.header_offset,
                original.lead.len()
            );
        } else {
            let last = self.strips.get(&self.parts).map(|strip| strip.lines.1);
            let most = self.strips.values().map(|strip| strip.lines.1).max().unwrap_or_default();
            let known = last.or(lines).unwrap_or_default().max(most);
            header.lines = usize::try_from(known).unwrap_or(usize::MAX).min(MAX_SIDE);
            header.header_offset = 0;
            // That of a later strip is the strip's own.
            if first.lines.0 > 0 {
                header.geometry = None;
            }
        }
        for (part, strip) in &self.strips {
            let h = &strip.header;
            let shape = |h: &Header| (h.samples, h.bands, h.data_type, h.byte_order, h.interleave);
            ensure!(shape(h) == shape(&header), "strip {part} has another layout than the frame");
            ensure!(h.header_offset == 0, "strip {part} has a header offset");
            ensure!(strip.lines.1 <= header.lines as u64, "strip {part} goes beyond line {}", header.lines);
        }
        Ok(header)
    }

    /// Writes what is new into the file of what is there, and says what that is.
    fn fill(&self, header: &Header, before: Option<&Cube>) -> Result<Cube> {
        let stem = format!("{}.partial", self.name.replace(['/', '\\'], "-"));
        let names = (format!("{stem}.hdr"), format!("{stem}.{}", header.interleave.name()));
        let path = self.folder.join(&names.1);
        let lead = self.original.as_ref().map_or(&[][..], |original| &original.lead);
        let same = before.filter(|cube| {
            (cube.lines, cube.lead_bytes, &cube.data) == (header.lines as u64, lead.len() as u64, &names.1)
                && fs::metadata(&path).is_ok_and(|about| about.len() == header.data_bytes())
        });
        let missing = missing(header.lines as u64, self.strips.values().map(|strip| strip.lines));
        if same.is_none() && path.exists() {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.with_context(|| format!("making {}", path.display()))?;
        let failed = || format!("writing {}", path.display());
        let shape = Shape::of(header);
        if same.is_none() {
            file.set_len(header.data_bytes()).with_context(failed)?;
            file.write_all_at(lead, 0).with_context(failed)?;
            if let Some(pattern) = ignore_pattern(header) {
                missing
                    .iter()
                    .try_for_each(|lines| shape.fill(&file, *lines, &pattern))
                    .with_context(failed)?;
            }
        }
        let known = same.map(|cube| cube.placed.as_slice()).unwrap_or_default();
        for (part, strip) in self.strips.iter().filter(|(part, _)| !known.contains(part)) {
            shape
                .place(&file, &strip.data, strip.lines)
                .with_context(|| format!("placing strip {part} in {}", path.display()))?;
        }
        write_aside(&self.folder.join(&names.0), partial_text(header, &missing).as_bytes())?;
        Ok(Cube {
            whole: false,
            header: names.0,
            data: names.1,
            lines: header.lines as u64,
            missing_lines: missing,
            parts: self.parts,
            placed: self.strips.keys().copied().collect(),
            lead_bytes: lead.len() as u64,
        })
    }

    /// Everything is there: proves that it is the frame, and gives the files their names.
    fn finish(&self, original: &Original, cube: Cube) -> Result<Cube> {
        let partial = self.folder.join(&cube.data);
        let digest = digest(&original.text, &partial)?;
        ensure!(digest == self.id, "what was put together isn't frame {}: it would be {digest}", self.id);
        let stem = original.name.get(..original.name.len() - 4).unwrap_or(&original.name);
        let ending = Path::new(&cube.data).extension().and_then(|e| e.to_str()).unwrap_or("bil");
        let data = self.data_file.clone().unwrap_or_else(|| format!("{stem}.{ending}"));
        for name in [&data, &original.name] {
            ensure!(!is_reserved(name), "{name:?} is what a file of the catalogue is called");
        }
        fs::rename(&partial, self.folder.join(&data))
            .with_context(|| format!("renaming {}", partial.display()))?;
        write_aside(&self.folder.join(&original.name), &original.text)?;
        // Gone already after a crash just here.
        let _ = fs::remove_file(self.folder.join(&cube.header));
        Ok(Cube { whole: true, header: original.name.clone(), data, ..cube })
    }
}

/// The header beside what is there of a frame.
fn partial_text(header: &Header, missing: &[(u64, u64)]) -> String {
    let mut header = header.clone();
    let missing_lines: u64 = missing.iter().map(|(from, to)| to - from).sum();
    header.data_ignore_value.get_or_insert(0.0);
    header.description = Some(format!(
        "{} of {} lines are there; frame.json says which are missing",
        header.lines as u64 - missing_lines,
        header.lines
    ));
    header.to_text()
}

/// Whether a name is `NAME.lines-A-B.hdr`.
fn is_strip_header(name: &str) -> bool {
    let range = name.strip_suffix(".hdr").and_then(|stem| stem.rsplit_once(".lines-"));
    range.and_then(|(_, range)| range.split_once('-')).is_some_and(|(from, to)| {
        [from, to].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Reads an ENVI header.
pub(super) fn read_header(path: &Path) -> Result<Header> {
    parse_header(&read_bounded(path, MAX_HEADER_BYTES as u64)?, &path.display().to_string())
}

fn parse_header(text: &[u8], name: &str) -> Result<Header> {
    // Latin-1 in a description does no harm.
    Header::parse(&String::from_utf8_lossy(text)).with_context(|| name.to_owned())
}

/// The id that a frame of this header and data has on board.
fn digest(header: &[u8], data: &Path) -> Result<String> {
    let failed = || format!("reading {}", data.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(data).with_context(failed)?);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    loop {
        let n = reader.read(&mut chunk).with_context(failed)?;
        if n == 0 {
            return Ok(FrameId::of(&Sha256::digest(header).into(), &hash.finalize().into()).to_string());
        }
        hash.update(chunk.get(..n).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strips() {
        assert!(is_strip_header("a.b.lines-000000-000512.hdr"));
        for other in ["a.hdr", "lines-1-2.hdr", "a.lines-1.hdr", "a.lines--.hdr", "a.lines-1-2.bil"] {
            assert!(!is_strip_header(other), "{other}");
        }
    }
}
