//! Writes PNG (W3C PNG, third edition): 8-bit RGB, one IDAT chunk, filtered row by row. Reads none.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// Bytes of a pixel.
const PIXEL: usize = 3;
/// Of zlib, 1 to 10: what it gains above this takes many times as long.
const LEVEL: u8 = 6;
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Filters of a row: none, Sub, Up, Average, Paeth (section 9.2).
const FILTERS: [u8; 5] = [0, 1, 2, 3, 4];
/// Of CRC-32, its bits reversed (annex D).
const CRC_POLYNOMIAL: u32 = 0xEDB8_8320;

/// The picture of `width × height` pixels, row by row.
///
/// # Errors
/// It is too large, or `pixels` is of another length.
pub(super) fn encode(width: usize, height: usize, pixels: &[u8]) -> Result<Vec<u8>, String> {
    let stride = width.checked_mul(PIXEL).filter(|stride| *stride > 0).ok_or("the picture has no pixels")?;
    if stride.checked_mul(height) != Some(pixels.len()) || height == 0 {
        return Err(format!("{} bytes are no picture of {width} × {height} pixels", pixels.len()));
    }
    let side = |n: usize| u32::try_from(n).map_err(|_| "the picture is too large".to_owned());
    let mut head = [side(width)?.to_be_bytes(), side(height)?.to_be_bytes()].concat();
    // 8 bits, RGB, deflate, adaptive filters, not interlaced.
    head.extend([8, 2, 0, 0, 0]);
    let mut out = SIGNATURE.to_vec();
    chunk(&mut out, *b"IHDR", &head)?;
    chunk(&mut out, *b"IDAT", &compress_to_vec_zlib(&filtered(stride, pixels), LEVEL))?;
    chunk(&mut out, *b"IEND", &[])?;
    Ok(out)
}

/// All rows, each filtered in the way whose differences are least in sum (section 12.7), behind the number of that.
fn filtered(stride: usize, pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() + pixels.len() / stride);
    // A pixel of nothing stands left of each row, and a row of nothing above the first.
    let (mut row, mut above) = (vec![0; PIXEL + stride], vec![0; PIXEL + stride]);
    let mut tries = FILTERS.map(|_| Vec::with_capacity(stride));
    for bytes in pixels.chunks_exact(stride) {
        row.truncate(PIXEL);
        row.extend_from_slice(bytes);
        for (filter, filtered) in FILTERS.into_iter().zip(&mut tries) {
            filtered.clear();
            filter_row(filter, &row, &above, filtered);
        }
        let sum =
            |row: &[u8]| row.iter().map(|byte| u32::from(byte.cast_signed().unsigned_abs())).sum::<u32>();
        let best = FILTERS.into_iter().zip(&tries).min_by_key(|(_, filtered)| sum(filtered));
        if let Some((filter, filtered)) = best {
            out.push(filter);
            out.extend_from_slice(filtered);
        }
        std::mem::swap(&mut row, &mut above);
    }
    out
}

/// Filters a row with the one above it, a pixel of nothing left of each.
fn filter_row(filter: u8, row: &[u8], above: &[u8], out: &mut Vec<u8>) {
    let (left, up_left) = (row, above);
    let (Some(row), Some(up)) = (row.get(PIXEL..), above.get(PIXEL..)) else { return };
    let all = row.iter().zip(left).zip(up.iter().zip(up_left));
    match filter {
        0 => out.extend_from_slice(row),
        1 => out.extend(all.map(|((x, left), _)| x.wrapping_sub(*left))),
        2 => out.extend(all.map(|((x, _), (up, _))| x.wrapping_sub(*up))),
        3 => out.extend(all.map(|((x, left), (up, _))| x.wrapping_sub(left.midpoint(*up)))),
        _ => out.extend(all.map(|((x, left), (up, up_left))| x.wrapping_sub(paeth(*left, *up, *up_left)))),
    }
}

/// The neighbour that is nearest to `left + up − up_left`; of those as near, the first (section 9.4).
fn paeth(left: u8, up: u8, up_left: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(up) - i16::from(up_left);
    let distance = |neighbour: u8| (estimate - i16::from(neighbour)).abs();
    let (to_left, to_up, to_both) = (distance(left), distance(up), distance(up_left));
    if to_left <= to_up && to_left <= to_both {
        left
    } else if to_up <= to_both {
        up
    } else {
        up_left
    }
}

/// Length, type, data, and the CRC-32 of type and data (section 5.3).
fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> Result<(), String> {
    let length = u32::try_from(data.len()).map_err(|_| "the picture is too large")?;
    out.extend(length.to_be_bytes());
    out.extend(kind);
    out.extend_from_slice(data);
    out.extend(crc32(kind.iter().chain(data)).to_be_bytes());
    Ok(())
}

/// Bit by bit: a picture has too few bytes for a table to pay.
fn crc32<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (CRC_POLYNOMIAL & (crc & 1).wrapping_neg());
    !bytes.fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What another reader makes of a picture: its size and pixels.
    fn read(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        pixels.truncate(info.buffer_size());
        (info.width, info.height, pixels)
    }

    proptest! {
        #[test]
        fn another_reader_gets_the_same_pixels(
            (width, height, smooth) in (1_u32..40, 1_u32..20, any::<bool>()),
            seed in any::<u32>(),
        ) {
            let noise = |i: u32| (seed ^ i.wrapping_mul(2_654_435_761)).to_be_bytes()[0];
            let slope = |i: u32| (i * 5 / 3).to_le_bytes()[0];
            let bytes = 0..width * height * 3;
            let pixels: Vec<u8> = bytes.map(|i| if smooth { slope(i) } else { noise(i) }).collect();
            let picture = encode(width as usize, height as usize, &pixels).unwrap();
            prop_assert_eq!(read(&picture), (width, height, pixels));
        }
    }

    #[test]
    fn the_check_value_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789".iter()), 0xCBF4_3926);
    }

    #[test]
    fn a_slope_takes_little_and_what_is_no_picture_is_refused() {
        let slope: Vec<u8> = (0..100).flat_map(|y| (0..200).flat_map(move |x| [x, y, 7])).collect();
        assert!(encode(200, 100, &slope).unwrap().len() < 1_500);
        assert!(encode(0, 0, &[]).is_err());
        assert!(encode(2, 2, &[0; 11]).unwrap_err().contains("11 bytes"));
    }
}
