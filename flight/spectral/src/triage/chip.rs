//! The evidence chip: what is cut out around a plume to show it to somebody.

use super::plumes::Candidate;
use super::report::{BoundingBox, Chip};
use crate::cube::{Cube, CubeError, ReadAt};
use crate::envi::{DataType, Header};
use crate::quicklook::rgb_bands;

/// Pixels kept around the plume.
const MARGIN: usize = 16;
/// Longest side of a chip, pixels.
const SIDE: usize = 256;
/// Share of the values of a colour that are cut off at either end.
const CLIPPED: f64 = 0.01;

/// The part of the frame that a chip of `bbox` shows: first line, lines, first sample, samples. It is centred on the
/// plume where that is larger than a chip.
fn extent(bbox: BoundingBox, lines: usize, samples: usize) -> Option<[usize; 4]> {
    let (line, line_count) = around(bbox.line0, bbox.line1, lines)?;
    let (sample, sample_count) = around(bbox.sample0, bbox.sample1, samples)?;
    Some([line, line_count, sample, sample_count])
}

fn around(from: u32, to: u32, size: usize) -> Option<(usize, usize)> {
    let start = (from as usize).saturating_sub(MARGIN);
    let end = (to as usize).saturating_add(MARGIN).min(size);
    let length = end.checked_sub(start)?;
    let cut = length.saturating_sub(SIDE);
    (length > 0).then_some((start + cut / 2, length - cut))
}

/// Makes the chip of a candidate.
pub(super) fn of<R: ReadAt>(
    cube: &Cube<R>,
    gas: &str,
    candidate: &Candidate,
) -> Result<Option<Chip>, CubeError> {
    let header = cube.header();
    let Some(extent) = extent(candidate.bbox, header.lines, header.samples) else { return Ok(None) };
    let [line, lines, sample, samples] = extent;
    let pixels = (line..line + lines).flat_map(|l| (sample..sample + samples).map(move |s| (l, s)));
    let enhancement: Vec<i16> = pixels.map(|(l, s)| candidate.enhancement_at(l, s).unwrap_or(0)).collect();
    let bands = rgb_bands(cube.header());
    let mut colours = [const { Vec::<f32>::new() }; 3];
    let mut values = Vec::new();
    for at in line..line + lines {
        cube.lines_f32(at, 1, &bands, &mut values)?;
        for (colour, row) in colours.iter_mut().zip(values.chunks_exact(cube.header().samples)) {
            colour.extend_from_slice(row.get(sample..sample + samples).unwrap_or_default());
        }
    }
    let planes: Vec<Vec<i16>> =
        std::iter::once(enhancement).chain(colours.iter().map(|colour| stretched(colour))).collect();
    let mut data = Vec::with_capacity(lines * samples * 8);
    for at in 0..lines {
        for plane in &planes {
            let row = plane.get(at * samples..(at + 1) * samples).unwrap_or_default();
            data.extend(row.iter().flat_map(|v| v.to_le_bytes()));
        }
    }
    let mut header = Header::new(samples, lines, 4, DataType::I16);
    header.band_names = Some([gas, "red", "green", "blue"].map(str::to_owned).to_vec());
    header.data_ignore_value = Some(f64::from(Chip::NO_DATA));
    header.data_units = Some("ppm m".to_owned());
    header.pixel_size_m = cube.header().pixel_size_m;
    header.geometry = cube.header().geometry.as_ref().map(|geometry| geometry.shifted(line, sample));
    header.default_bands = Some([1, 2, 3]);
    header.description = Some(format!(
        "{gas} enhancement in ppm m, red, green and blue, from line {line}, sample {sample}, counted from 0"
    ));
    Ok(Some(Chip { line, sample, header, data }))
}

#[expect(clippy::cast_possible_truncation, reason = "a float's cast saturates")]
pub(super) fn whole(value: f32) -> i16 {
    if value.is_finite() { value.round().max(f32::from(i16::MIN) + 1.0) as i16 } else { Chip::NO_DATA }
}

/// 0 to 255 between the colour's percentiles.
fn stretched(values: &[f32]) -> Vec<i16> {
    let quantile = |q| crate::numeric::quantile(&mut values.to_vec(), q);
    let (low, high) = (quantile(CLIPPED).unwrap_or(0.0), quantile(1.0 - CLIPPED).unwrap_or(0.0));
    let span = if high > low { high - low } else { 1.0 };
    values.iter().map(|v| whole(((v - low) / span).clamp(0.0, 1.0) * 255.0).max(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_is_cut_to_the_frame_and_to_its_longest_side() {
        assert_eq!(around(30, 33, 40), Some((14, 26)));
        assert_eq!(around(2, 6, 50), Some((0, 22)));
        assert_eq!(around(100, 900, 1000), Some((372, 256)), "the middle of it");
        assert_eq!(around(1000, 1001, 20), None);
    }

    #[test]
    fn values_are_rounded_and_holes_are_marked() {
        assert_eq!([1.5, -1e9, 1e9, f32::NAN].map(whole), [2, -32767, 32767, Chip::NO_DATA]);
    }
}
