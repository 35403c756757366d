//! What proves a frame: its id, the beginning of the SHA-256 over its header and its data. Whatever lies in a
//! frame's folder is only taken for the whole frame if its digest is the id.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use passband_flight::store::FrameId;
use passband_spectral::envi::MAX_HEADER_BYTES;
use sha2::{Digest, Sha256};

use super::entry::{Product, read_bounded};
use super::partial::Names;
use super::source::{own_header, parse_header};
use super::strips::Cube;

/// The whole cube of these strips, if it lies in the frame's folder though nothing says so: the id proves it.
pub(super) fn proven(folder: &Path, products: &[Product]) -> Option<Cube> {
    let strips = || products.iter().filter(|product| product.is_strip());
    let (id, parts) = strips().find_map(|strip| Some((strip.frame_key()?.1, strip.part?.1)))?;
    let header = strips().find_map(own_header).map(|file| file.name.clone())?;
    let data = strips().find_map(|strip| strip.data_file.clone())?;
    let text = read_bounded(&folder.join(&header), MAX_HEADER_BYTES as u64).ok()?;
    let read = parse_header(&text, &header).ok()?;
    let is_it = digest(&text, &folder.join(&data)).is_ok_and(|digest| digest == id);
    if !is_it {
        return None;
    }
    let names = Names::of(strips().find_map(Product::frame_key)?.0, read.interleave);
    names.remove(folder);
    Some(Cube {
        whole: true,
        lines: read.lines as u64,
        missing_lines: Vec::new(),
        parts,
        placed: (1..=parts).collect(),
        lead_bytes: read.header_offset,
        header,
        data,
    })
}

/// The id that a frame of this header and data has on board.
pub(super) fn digest(header: &[u8], data: &Path) -> Result<String> {
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
