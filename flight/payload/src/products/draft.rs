//! Drafts: a product's manifest and content, before anything is sealed or stored.

use std::io::{self, Read};

use passband_proto::bundle::{FileEntry, Manifest};
use passband_proto::ids::Class;
use passband_spectral::envi::{EnviError, Header, cut_header};
use passband_spectral::triage::Report;
use sha2::{Digest, Sha256};

use super::{Kind, Part};
use crate::camera::FrameFiles;
use crate::store::FrameId;
use crate::triage::{ProductFile, Products};

/// Longest reason in a label, characters.
const MAX_REASON_CHARS: usize = 400;

/// What every product of a frame says of it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The frame's files.
    pub files: &'a FrameFiles,
    /// Its id.
    pub id: FrameId,
    /// Whom it was taken for; empty: nobody in particular.
    pub tasking: &'a str,
    /// What the detector says.
    pub report: &'a Report,
    /// When it was taken, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// A bundle before it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is.
    pub manifest: Manifest,
    /// The picture that goes with its head; empty without one.
    pub preview: Vec<u8>,
    /// Its files, in order.
    pub files: Vec<ProductFile>,
}

impl Draft {
    fn of_files(mut manifest: Manifest, preview: Option<ProductFile>, files: Vec<ProductFile>) -> Self {
        manifest.preview = preview.as_ref().map(entry);
        manifest.files = files.iter().map(entry).collect();
        Self { manifest, preview: preview.map_or_else(Vec::new, |file| file.bytes), files }
    }

    /// The files one after another.
    pub fn content(&self) -> impl Read {
        Content { files: self.files.iter(), now: &[] }
    }
}

struct Content<'a> {
    files: std::slice::Iter<'a, ProductFile>,
    now: &'a [u8],
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            let Some(file) = self.files.next() else { return Ok(0) };
            self.now = &file.bytes;
        }
        self.now.read(buf)
    }
}

/// The picture of a frame, and the verdict in few bytes.
pub fn quicklook_draft(facts: &Facts<'_>, class: Class, products: &Products) -> Draft {
    let name = &facts.files.name;
    let picture = products.quicklook.as_ref().ok().filter(|png| !png.is_empty());
    let picture =
        picture.map(|png| ProductFile { name: format!("{name}.quicklook.png"), bytes: png.clone() });
    let record = ProductFile { name: format!("{name}.record"), bytes: products.record.clone() };
    Draft::of_files(manifest(facts, Kind::Quicklook, class, None), picture, vec![record])
}

/// The verdict in full, and the chip if there is one.
pub fn evidence_draft(facts: &Facts<'_>, class: Class, products: &Products) -> Draft {
    let name = &facts.files.name;
    // The record stands first, so that even the first bytes of the content tell what the frame is worth.
    let mut files = vec![
        ProductFile { name: format!("{name}.record"), bytes: products.record.clone() },
        ProductFile { name: format!("{name}.detections.json"), bytes: products.verdict_json.clone() },
    ];
    files.extend(products.chip.iter().cloned());
    Draft::of_files(manifest(facts, Kind::Evidence, class, None), None, files)
}

/// A part of a region or cube: `data` is its bytes. The first strip of a cube also has the header as it came, and
/// the bytes before the data, `lead`, so that the frame can be put together again bit for bit.
///
/// # Errors
/// The header's text can't be read.
pub fn cube_draft(
    facts: &Facts<'_>,
    (kind, class): (Kind, Class),
    (header_text, header): (&[u8], &Header),
    (part, lead): (&Part, &[u8]),
    data: Vec<u8>,
) -> Result<Draft, EnviError> {
    let FrameFiles { name, header: header_name, .. } = facts.files;
    let (lines, samples) = (&part.cut.lines, &part.cut.samples);
    let stem = match kind {
        Kind::Region => {
            let (s0, s1) = (samples.start, samples.end);
            format!("{name}.region-{:06}-{:06}-{s0:06}-{s1:06}", lines.start, lines.end)
        }
        _ => format!("{name}.lines-{:06}-{:06}", lines.start, lines.end),
    };
    let mut files = Vec::new();
    if kind == Kind::Cube && part.number == 1 {
        files.push(ProductFile { name: header_name.clone(), bytes: header_text.to_vec() });
        if !lead.is_empty() {
            files.push(ProductFile { name: format!("{name}.lead"), bytes: lead.to_vec() });
        }
    }
    let own = cut_header(&String::from_utf8_lossy(header_text), &part.cut)?;
    files.push(ProductFile { name: format!("{stem}.hdr"), bytes: own.into_bytes() });
    files.push(ProductFile { name: format!("{stem}.{}", header.interleave.name()), bytes: data });
    let mut manifest = manifest(facts, kind, class, Some(part));
    label(&mut manifest, "interleave", header.interleave.name());
    label(&mut manifest, "data-file", &facts.files.data);
    Ok(Draft::of_files(manifest, None, files))
}

/// Notes of the payload itself: housekeeping or log.
pub fn notes_draft(kind: Kind, class: Class, unix_ms: u64, file: ProductFile) -> Draft {
    let manifest = Manifest::new(&file.name, kind.name(), class, unix_ms);
    Draft::of_files(manifest, None, vec![file])
}

/// What a script said: the record of its run, and its output as far as it was kept.
pub fn script_draft(class: Class, unix_ms: u64, record: ProductFile, output: ProductFile) -> Draft {
    let manifest = Manifest::new(&output.name, Kind::ScriptOutput.name(), class, unix_ms);
    Draft::of_files(manifest, None, vec![record, output])
}

/// The manifest of a product of a frame, without its files.
pub(crate) fn manifest(facts: &Facts<'_>, kind: Kind, class: Class, part: Option<&Part>) -> Manifest {
    let (name, report) = (&facts.files.name, facts.report);
    let mut out = Manifest::new(&title(name, kind, part), kind.name(), class, facts.unix_ms);
    out.frame = Some(name.clone());
    label(&mut out, "frame-id", &facts.id.to_string());
    if !facts.tasking.is_empty() {
        label(&mut out, "tasking", facts.tasking);
    }
    label(&mut out, "reason", &report.reason.chars().take(MAX_REASON_CHARS).collect::<String>());
    label(&mut out, "target", &report.target);
    label(&mut out, "probability", &format!("{:.3}", report.probability));
    label(&mut out, "detections", &report.detections.len().to_string());
    if let Some(part) = part {
        let Part { number, of, cut } = part;
        label(&mut out, "part", &format!("{number}/{of}"));
        label(&mut out, "lines", &format!("{}..{}", cut.lines.start, cut.lines.end));
        if kind == Kind::Region {
            label(&mut out, "samples", &format!("{}..{}", cut.samples.start, cut.samples.end));
        }
    }
    out
}

/// The name of a product of a frame, for people.
pub fn title(frame: &str, kind: Kind, part: Option<&Part>) -> String {
    match part {
        Some(part) if part.of > 1 => format!("{frame} {kind} {} of {}", part.number, part.of),
        _ => format!("{frame} {kind}"),
    }
}

fn label(manifest: &mut Manifest, name: &str, value: &str) {
    manifest.labels.push((name.to_owned(), value.to_owned()));
}

fn entry(file: &ProductFile) -> FileEntry {
    FileEntry {
        name: file.name.clone(),
        bytes: file.bytes.len() as u64,
        sha256: Sha256::digest(&file.bytes).into(),
    }
}
