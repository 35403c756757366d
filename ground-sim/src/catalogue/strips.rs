//! A frame that comes down in strips of lines, put together: into one file of the frame's size, strip by strip as
//! they come, in any order and any interleave ([`super::partial`]); and once all of it is there, into the very files
//! that the camera wrote, which the frame's id proves (the beginning of the SHA-256 over header and data).
//!
//! Strips are copied, never moved or changed, so that a frame in strips takes its size twice as long as the
//! folders of its strips are kept. A strip that is in the file is never read again, so that its folder may go; one
//! that doesn't fit is left out and keeps no other out. Lines that are missing are holes in the file and read as
//! zeros; where the header names another value for "no data" that a sample can hold, they hold that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use passband_spectral::envi::{ByteOrder, DataType, Header, Interleave, MAX_SIDE};
use serde::{Deserialize, Serialize};

use super::entry::Product;
use super::fault::Fault;
use super::files::is_reserved;
use super::layout::{Shape, missing};
use super::partial::{self, Names, Partial};
use super::proof::digest;
use super::source::{Original, Source, own_header};
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

/// One strip.
struct Strip<'a> {
    product: &'a Product,
    lines: (u64, u64),
    /// Where it is to be taken from; none: it is in the file already.
    source: Option<Source>,
}

/// What is known of the frame that the strips belong to.
struct Frame<'a> {
    folder: &'a Path,
    name: &'a str,
    id: &'a str,
    parts: u32,
    strips: BTreeMap<u32, Strip<'a>>,
    partial: Option<Partial<'a>>,
    original: Option<Original>,
    data_file: Option<&'a str>,
}

/// Puts what there is of a frame's strips together in `folder`. `before`: what was there before, so that only
/// new strips are copied. `lines`: how many lines the frame has, if another product says so. Strips that could not
/// be placed are left out, and `faults` says why.
///
/// # Errors
/// What is there is not the frame, or those of the disk.
pub(super) fn assemble(
    out: &Path,
    folder: &Path,
    products: &[Product],
    before: Option<&Cube>,
    lines: Option<u64>,
    faults: &mut Vec<Fault>,
) -> Result<Option<Cube>> {
    let partial = before.and_then(|cube| Partial::open(folder, cube));
    let was_there = partial.is_some();
    let Some(frame) = Frame::of(out, folder, products, partial, faults) else { return Ok(None) };
    let Some(cube) = frame.fill(lines, faults)? else { return Ok(None) };
    if !cube.missing_lines.is_empty() {
        return Ok(Some(cube));
    }
    let Some(original) = &frame.original else { return Ok(Some(cube)) };
    let wrong = match frame.finish(original, &cube) {
        Ok(whole) => return Ok(Some(whole)),
        Err(e) => e,
    };
    // A crash may have taken what was placed before: once more, all of it, if all of it is still in its folders.
    let mut none = Vec::new();
    let again = Frame::of(out, folder, products, None, &mut none).filter(|_| was_there && none.is_empty());
    let Some(again) = again else {
        faults.push(Fault::of_cube(&wrong));
        return Ok(Some(cube));
    };
    let Some(cube) = again.fill(lines, faults)? else { return Ok(None) };
    match again.finish(original, &cube) {
        Ok(whole) => Ok(Some(whole)),
        Err(e) => {
            faults.push(Fault::of_cube(&e));
            Ok(Some(cube))
        }
    }
}

/// Whether the files of a cube lie in the frame's folder.
pub(super) fn is_there(folder: &Path, cube: &Cube) -> bool {
    let is_file = |name: &String| folder.join(name).is_file();
    if cube.whole {
        is_file(&cube.header) && is_file(&cube.data)
    } else {
        Partial::open(folder, cube).is_some()
    }
}

impl<'a> Frame<'a> {
    /// What the strips say; none if there are none.
    fn of(
        out: &Path,
        folder: &'a Path,
        products: &'a [Product],
        partial: Option<Partial<'a>>,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let first = products.iter().find(|product| product.is_strip())?;
        let (name, id) = first.frame_key()?;
        let parts =
            partial.as_ref().map(|partial| partial.cube.parts).or(first.part.map(|(_, count)| count))?;
        let (strips, original) = (BTreeMap::new(), None);
        let mut this = Self { folder, name, id, parts, strips, partial, original, data_file: None };
        for product in products.iter().filter(|product| product.is_strip()) {
            if let Err(e) = this.take(&out.join(&product.folder), product) {
                faults.push(Fault::of(product, &e));
            }
        }
        Some(this)
    }

    fn take(&mut self, folder: &Path, product: &'a Product) -> Result<()> {
        let (part, parts) = product.part.context("it does not say which part it is")?;
        ensure!(parts == self.parts, "it is one of {parts} parts, others are of {}", self.parts);
        let lines = product.lines.context("it does not say which lines it holds")?;
        ensure!(lines.1 <= MAX_SIDE as u64, "no frame has {} lines", lines.1);
        let placed = self.partial.as_ref().filter(|partial| partial.cube.placed.contains(&part));
        let source = if placed.is_some() { None } else { Some(Source::read(folder, product, lines)?) };
        self.data_file = self.data_file.or(product.data_file.as_deref());
        self.strips.insert(part, Strip { product, lines, source });
        if let Some(file) = own_header(product) {
            let original =
                Original::read(self.folder, self.name, self.partial.as_ref(), folder, product, file)?;
            self.original = Some(original);
        }
        Ok(())
    }

    /// The header of the whole, as far as it is known, and the strips that fit it.
    fn layout(&self, lines: Option<u64>, faults: &mut Vec<Fault>) -> Result<Option<(Header, Vec<u32>)>> {
        let Some((_, first)) = self.strips.first_key_value() else { return Ok(None) };
        let lowest = first.source.as_ref().map(|source| &source.header);
        let there = self.partial.as_ref().map(|partial| &partial.header);
        let original = self.original.as_ref().map(|original| &original.header);
        let Some(like) = original.or(there).or(lowest) else { return Ok(None) };
        ensure!(
            there.is_none_or(|h| shape(h) == shape(like)),
            "what is placed has another layout than the frame"
        );
        let fitting = self.fitting(like, original.map(|original| original.lines as u64), faults);
        if let Some(original) = original {
            return Ok(Some((original.clone(), fitting)));
        }
        let mut header = lowest.filter(|h| shape(h) == shape(like)).unwrap_or(like).clone();
        let ends = || fitting.iter().filter_map(|part| Some((part, self.strips.get(part)?.lines.1)));
        let last = ends().find(|(part, _)| **part == self.parts).map(|(_, to)| to);
        let most = ends().map(|(_, to)| to).max().unwrap_or_default();
        let known = last.or(lines).unwrap_or_default().max(most);
        header.lines = usize::try_from(known).unwrap_or(usize::MAX).min(MAX_SIDE);
        header.header_offset = self.lead()?.len() as u64;
        // That of a later strip is the strip's own.
        if first.lines.0 > 0 {
            header.geometry = None;
        }
        Ok(Some((header, fitting)))
    }

    /// The strips that are of a layout, and in the frame if its length is known.
    fn fitting(&self, like: &Header, lines: Option<u64>, faults: &mut Vec<Fault>) -> Vec<u32> {
        let check = |strip: &Strip<'_>| {
            let Some(Source { header, .. }) = &strip.source else { return Ok(()) };
            ensure!(shape(header) == shape(like), "it has another layout than the frame");
            ensure!(header.header_offset == 0, "it has a header offset");
            let to = strip.lines.1;
            ensure!(lines.is_none_or(|lines| to <= lines), "it ends with line {to}, beyond the frame's last");
            Ok(())
        };
        let mut fitting = Vec::new();
        for (part, strip) in &self.strips {
            match check(strip) {
                Ok(()) => fitting.push(*part),
                Err(e) => faults.push(Fault::of(strip.product, &e)),
            }
        }
        fitting
    }

    /// The bytes before the first sample.
    fn lead(&self) -> Result<Vec<u8>> {
        match (&self.original, &self.partial) {
            (Some(original), _) => Ok(original.lead.clone()),
            (None, Some(partial)) => partial.lead(),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Writes what is new into the file of what is there, and says what that is.
    fn fill(&self, lines: Option<u64>, faults: &mut Vec<Fault>) -> Result<Option<Cube>> {
        let Some((header, fitting)) = self.layout(lines, faults)? else { return Ok(None) };
        let names = Names::of(self.name, header.interleave);
        let strips = || fitting.iter().filter_map(|part| Some((*part, self.strips.get(part)?)));
        let placed: Vec<_> = strips().filter(|(_, s)| s.source.is_none()).map(|(_, s)| s.lines).collect();
        let lead = self.lead()?;
        let file = partial::prepare(self.folder, &names, &header, &lead, self.partial.as_ref(), &placed)?;
        let shape = Shape::of(&header);
        let mut placed = BTreeMap::new();
        for (part, strip) in strips() {
            match strip.source.as_ref().map_or(Ok(()), |source| source.place(strip.lines, &file, &shape)) {
                Ok(()) => drop(placed.insert(part, strip.lines)),
                Err(e) => faults.push(Fault::of(strip.product, &e)),
            }
        }
        let missing = missing(header.lines as u64, placed.values().copied());
        if let Some(original) = &self.original {
            write_aside(&self.folder.join(&names.original), &original.text)?;
        }
        let text = partial::header_text(&header, &missing);
        write_aside(&self.folder.join(&names.header), text.as_bytes())?;
        Ok(Some(Cube {
            whole: false,
            header: names.header,
            data: names.data,
            lines: header.lines as u64,
            missing_lines: missing,
            parts: self.parts,
            placed: placed.into_keys().collect(),
            lead_bytes: lead.len() as u64,
        }))
    }

    /// Everything is there: proves that it is the frame, and gives the files their names.
    fn finish(&self, original: &Original, cube: &Cube) -> Result<Cube> {
        let partial = self.folder.join(&cube.data);
        let digest = digest(&original.text, &partial)?;
        ensure!(digest == self.id, "what was put together isn't frame {}: it would be {digest}", self.id);
        let stem = original.name.get(..original.name.len() - 4).unwrap_or(&original.name);
        let ending = Path::new(&cube.data).extension().and_then(|e| e.to_str()).unwrap_or("bil");
        let data = self.data_file.map_or_else(|| format!("{stem}.{ending}"), str::to_owned);
        for name in [&data, &original.name] {
            ensure!(!is_reserved(name), "{name:?} is what a file of the catalogue is called");
        }
        // First, so that after a crash just here the frame can still be proven.
        write_aside(&self.folder.join(&original.name), &original.text)?;
        fs::rename(&partial, self.folder.join(&data))
            .with_context(|| format!("renaming {}", partial.display()))?;
        Names::of(self.name, original.header.interleave).remove(self.folder);
        Ok(Cube { whole: true, header: original.name.clone(), data, ..cube.clone() })
    }
}

/// What all strips of a frame have in common.
fn shape(header: &Header) -> (usize, usize, DataType, ByteOrder, Interleave) {
    (header.samples, header.bands, header.data_type, header.byte_order, header.interleave)
}
