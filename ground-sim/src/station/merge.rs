//! The symbols that another station's store holds: those of open blocks, and the source symbols of blocks that
//! are whole. Its files are read and never changed: that station may be at work.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Geometry};
use passband_proto::datagram::SymbolHeader;

use super::blocks::Records;
use super::folder::{About, read_about, sealed_path, symbol_files};
use super::part;
use super::sizes::Sizes;

/// Hands on the symbols of a bundle's folder.
pub(super) fn symbols(dir: &Path, mut each: impl FnMut(&SymbolHeader, &[u8]) -> Result<()>) -> Result<()> {
    let about = read_about(dir)?;
    let sealed = sealed_path(dir, &about.id);
    if let Ok(file) = File::open(&sealed) {
        let mut head = [0; FILE_HEADER_BYTES];
        file.read_exact_at(&mut head, 0).with_context(|| format!("reading {}", sealed.display()))?;
        let geometry = FileHeader::decode(&head).with_context(|| sealed.display().to_string())?.geometry;
        return (0..geometry.block_count)
            .try_for_each(|block| of_whole(&file, &sealed, &about, &geometry, block, &mut each));
    }
    let whole = part::noted(dir);
    let mut sizes = Sizes::of(&about);
    for (block, bytes) in &whole {
        sizes.fits(*block, *bytes);
    }
    let mut open = Vec::new();
    for (block, path) in symbol_files(dir)? {
        // One that doesn't begin as it should holds nothing that can be used.
        let Ok(records) = Records::open(&path, about.symbol_bytes) else { continue };
        sizes.fits(block, records.block_bytes);
        open.push((block, path));
    }
    let path = part::path(dir, &about);
    match File::open(&path) {
        Ok(file) => {
            for (block, _) in &whole {
                if let Some(geometry) = sizes.geometry_around(*block) {
                    of_whole(&file, &path, &about, &geometry, *block, &mut each)?;
                }
            }
        }
        // It was finished meanwhile.
        Err(_) if sealed.is_file() => return symbols(dir, each),
        Err(_) => {}
    }
    for (block, path) in open {
        // It may be whole by now: then its symbols come by the next merge.
        let Ok(mut records) = Records::open(&path, about.symbol_bytes) else { continue };
        let block_bytes = records.block_bytes;
        while let Some((esi, symbol)) = records.next()? {
            each(&header(&about, block, block_bytes, esi), symbol)?;
        }
    }
    Ok(())
}

/// The source symbols of a block that is at its place in a file.
fn of_whole(
    file: &File,
    path: &Path,
    about: &About,
    geometry: &Geometry,
    block: u32,
    each: &mut impl FnMut(&SymbolHeader, &[u8]) -> Result<()>,
) -> Result<()> {
    let place = geometry.block_offset(block).zip(geometry.block_bytes(block));
    let (offset, bytes) = place.context("no such block")?;
    let mut sealed = vec![0; bytes as usize];
    file.read_exact_at(&mut sealed, offset).with_context(|| format!("reading {}", path.display()))?;
    let mut padded = vec![0; usize::from(about.symbol_bytes)];
    for (esi, symbol) in (0..).zip(sealed.chunks(padded.len())) {
        let (front, rest) = padded.split_at_mut(symbol.len());
        front.copy_from_slice(symbol);
        rest.fill(0);
        each(&header(about, block, bytes, esi), &padded)?;
    }
    Ok(())
}

fn header(about: &About, block: u32, block_bytes: u32, esi: u32) -> SymbolHeader {
    SymbolHeader {
        spacecraft: about.spacecraft,
        epoch: about.epoch,
        bundle: about.id,
        block,
        class: about.class,
        esi,
        block_bytes,
        block_count: about.block_count,
        link_seq: 0,
    }
}
