//! What is read in the folder of a strip: its own header and data, and what comes with the first one only, the
//! camera's header and the bytes before the first sample. A header is only believed once it describes the data.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_spectral::envi::{Header, MAX_HEADER_BYTES};

use super::entry::{Product, ProductFile, read_bounded};
use super::layout::Shape;
use super::partial::{Names, Partial};

/// Largest lead that is read, bytes.
const MAX_LEAD_BYTES: u64 = 1 << 30;

/// A strip in its folder.
pub(super) struct Source {
    pub(super) header: Header,
    data: PathBuf,
}

/// The camera's own header, and the bytes before the first sample.
pub(super) struct Original {
    pub(super) name: String,
    pub(super) text: Vec<u8>,
    pub(super) header: Header,
    pub(super) lead: Vec<u8>,
}

impl Source {
    /// Reads the strip with these lines of the frame.
    pub(super) fn read(folder: &Path, product: &Product, lines: (u64, u64)) -> Result<Self> {
        let name = product.files.iter().map(|file| &file.name).find(|name| is_strip_header(name));
        let name = name.context("no header of its own (NAME.lines-A-B.hdr) is in it")?;
        let header = read_header(&folder.join(name))?;
        let stem = name.trim_end_matches("hdr");
        let data = product.files.iter().find(|file| file.name.starts_with(stem) && file.name != *name);
        let data = &data.with_context(|| format!("no data are beside {name}"))?.name;
        let path = folder.join(data);
        let bytes = fs::metadata(&path).with_context(|| format!("opening {}", path.display()))?.len();
        ensure!(header.lines as u64 == lines.1 - lines.0, "its header has {} lines", header.lines);
        let described = header.data_bytes();
        ensure!(bytes == described, "{data} has {bytes} bytes, its header describes {described}");
        Ok(Self { header, data: path })
    }

    /// Copies the strip to its place in the frame.
    pub(super) fn place(&self, lines: (u64, u64), file: &File, shape: &Shape) -> Result<()> {
        let source = File::open(&self.data).with_context(|| format!("opening {}", self.data.display()))?;
        let copied = shape.copy(file, lines, &source, &Shape::of(&self.header), lines.0);
        copied.with_context(|| format!("placing {}", self.data.display()))
    }
}

impl Original {
    /// Reads the camera's header `file` and the lead: in the frame's folder if they are there already, else in that
    /// of the strip.
    pub(super) fn read(
        frame: &Path,
        name: &str,
        partial: Option<&Partial<'_>>,
        strip: &Path,
        product: &Product,
        file: &ProductFile,
    ) -> Result<Self> {
        let kept = partial.map(|partial| frame.join(Names::of(name, partial.header.interleave).original));
        let path = kept.filter(|path| path.is_file()).unwrap_or_else(|| strip.join(&file.name));
        let text = read_bounded(&path, MAX_HEADER_BYTES as u64)?;
        let header = parse_header(&text, &file.name)?;
        let offset = header.header_offset;
        let lead = match (partial, product.file_ending(".lead")) {
            (Some(partial), _) if partial.cube.lead_bytes == offset => partial.lead()?,
            (_, Some(lead)) => read_bounded(&strip.join(&lead.name), MAX_LEAD_BYTES)?,
            (_, None) => Vec::new(),
        };
        ensure!(
            lead.len() as u64 == offset,
            "the header has an offset of {offset} bytes, {} came",
            lead.len()
        );
        Ok(Self { name: file.name.clone(), text, header, lead })
    }
}

/// The camera's own header among the files of a strip.
pub(super) fn own_header(strip: &Product) -> Option<&ProductFile> {
    strip.files.iter().find(|file| file.name.to_lowercase().ends_with(".hdr") && !is_strip_header(&file.name))
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

pub(super) fn parse_header(text: &[u8], name: &str) -> Result<Header> {
    // Latin-1 in a description does no harm.
    Header::parse(&String::from_utf8_lossy(text)).with_context(|| name.to_owned())
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
