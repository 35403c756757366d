//! Any cube as little-endian BIL, sample for sample: what is stored and sent is independent of the camera's layout.

use std::io::Write;

use super::{CHUNK_BYTES, Cube, CubeError, ReadAt};
use crate::envi::{ByteOrder, Header, Interleave};

/// Bytes of one line's bands that are turned at once.
const TURN_BYTES: usize = 8 << 20;

/// Writes the samples of `cube` as little-endian BIL of the same sample type, without a header offset, and gives the
/// header that describes what was written.
pub fn write_bil<R: ReadAt>(cube: &Cube<R>, out: &mut impl Write) -> Result<Header, CubeError> {
    let mut header = cube.header().clone();
    header.interleave = Interleave::Bil;
    header.byte_order = ByteOrder::Little;
    header.header_offset = 0;
    match cube.header().interleave {
        Interleave::Bil => copy(cube, out)?,
        Interleave::Bip => turn_pixels(cube, out)?,
        Interleave::Bsq => pick_rows(cube, out)?,
    }
    Ok(header)
}

fn copy<R: ReadAt>(cube: &Cube<R>, out: &mut impl Write) -> Result<(), CubeError> {
    let end = cube.header().data_bytes();
    write_range(cube, cube.header().header_offset, end - cube.header().header_offset, out)
}

fn pick_rows<R: ReadAt>(cube: &Cube<R>, out: &mut impl Write) -> Result<(), CubeError> {
    let Header { samples, lines, bands, data_type, header_offset, .. } = *cube.header();
    let row_bytes = samples as u64 * data_type.bytes() as u64;
    for line in 0..lines as u64 {
        for band in 0..bands as u64 {
            let row = band * lines as u64 + line;
            write_range(cube, header_offset + row * row_bytes, row_bytes, out)?;
        }
    }
    Ok(())
}

/// BIP: a group of bands at a time, as many as fit the buffer (in practice all), the line's pixels passed once for
/// each group.
fn turn_pixels<R: ReadAt>(cube: &Cube<R>, out: &mut impl Write) -> Result<(), CubeError> {
    let Header { samples, lines, bands, data_type, header_offset, .. } = *cube.header();
    let (width, pixel_bytes) = (data_type.bytes(), bands * data_type.bytes());
    let row_bytes = samples * width;
    let group_bands = (TURN_BYTES / row_bytes).clamp(1, bands);
    let pixels_at_once = (CHUNK_BYTES / pixel_bytes).clamp(1, samples);
    let mut raw = vec![0; pixels_at_once * pixel_bytes];
    let mut rows = vec![0; group_bands * row_bytes];
    for line in 0..lines as u64 {
        let start = header_offset + line * samples as u64 * pixel_bytes as u64;
        for first_band in (0..bands).step_by(group_bands) {
            let group = group_bands.min(bands - first_band);
            for first in (0..samples).step_by(pixels_at_once) {
                raw.resize(pixels_at_once.min(samples - first) * pixel_bytes, 0);
                cube.fill(start + (first * pixel_bytes) as u64, &mut raw)?;
                for (band, row) in (first_band..).zip(rows.chunks_exact_mut(row_bytes).take(group)) {
                    let to = row.chunks_exact_mut(width).skip(first);
                    let from = raw.chunks_exact(pixel_bytes).filter_map(|p| p.chunks_exact(width).nth(band));
                    for (to, from) in to.zip(from) {
                        to.copy_from_slice(from);
                    }
                }
            }
            let turned = rows.get_mut(..group * row_bytes).unwrap_or_default();
            to_little(cube.header(), turned);
            out.write_all(turned).map_err(CubeError::Write)?;
        }
    }
    Ok(())
}

/// Copies bytes that lie together, in chunks of whole samples.
fn write_range<R: ReadAt>(
    cube: &Cube<R>,
    mut offset: u64,
    bytes: u64,
    out: &mut impl Write,
) -> Result<(), CubeError> {
    let end = offset + bytes;
    let mut raw = Vec::new();
    while offset < end {
        let count = usize::try_from(end - offset).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        raw.resize(count, 0);
        cube.fill(offset, &mut raw)?;
        to_little(cube.header(), &mut raw);
        out.write_all(&raw).map_err(CubeError::Write)?;
        offset += count as u64;
    }
    Ok(())
}

fn to_little(header: &Header, raw: &mut [u8]) {
    if header.byte_order == ByteOrder::Big {
        raw.chunks_exact_mut(header.data_type.bytes()).for_each(<[u8]>::reverse);
    }
}
