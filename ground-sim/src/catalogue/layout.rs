//! How the lines of a cube lie in its file, whatever the interleave: where a strip belongs, and what stands where
//! none is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};
use passband_spectral::envi::{ByteOrder, DataType, Header, Interleave};

/// How the lines of a cube lie in its file: `planes` times all lines, a line of `row_bytes` each.
pub(super) struct Shape {
    offset: u64,
    planes: u64,
    lines: u64,
    row_bytes: u64,
}

impl Shape {
    pub(super) fn of(header: &Header) -> Self {
        let band_row = header.samples as u64 * header.data_type.bytes() as u64;
        let bands = header.bands as u64;
        let (planes, row_bytes) = match header.interleave {
            Interleave::Bsq => (bands, band_row),
            Interleave::Bil | Interleave::Bip => (1, band_row * bands),
        };
        Self { offset: header.header_offset, planes, lines: header.lines as u64, row_bytes }
    }

    /// Copies lines to their place from a file whose first line is line `first` of the frame; where the file system
    /// can, blocks are shared (copy_file_range(2)).
    pub(super) fn copy(
        &self,
        file: &File,
        (from, to): (u64, u64),
        mut source: &File,
        source_shape: &Self,
        first: u64,
    ) -> Result<()> {
        let bytes = (to - from) * self.row_bytes;
        let mut target = file;
        for plane in 0..self.planes {
            source.seek(SeekFrom::Start(source_shape.at(plane, from - first)))?;
            target.seek(SeekFrom::Start(self.at(plane, from)))?;
            let copied = std::io::copy(&mut source.take(bytes), &mut target)?;
            ensure!(copied == bytes, "lines {from}..{to} end too early");
        }
        Ok(())
    }

    /// Fills lines with a value.
    pub(super) fn fill(&self, file: &File, (from, to): (u64, u64), value: &[u8]) -> std::io::Result<()> {
        let count = usize::try_from(self.row_bytes).unwrap_or_default() / value.len().max(1);
        let row = value.repeat(count);
        for plane in 0..self.planes {
            for line in from..to {
                file.write_all_at(&row, self.at(plane, line))?;
            }
        }
        Ok(())
    }

    /// Where a line of a plane begins in the file.
    fn at(&self, plane: u64, line: u64) -> u64 {
        self.offset + (plane * self.lines + line) * self.row_bytes
    }
}

/// Lines that none of the strips holds.
pub(super) fn missing(lines: u64, strips: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut present: Vec<_> = strips.collect();
    present.sort_unstable();
    let (mut at, mut gaps) = (0, Vec::new());
    for (from, to) in present {
        if from > at {
            gaps.push((at, from));
        }
        at = at.max(to);
    }
    gaps.extend((at < lines).then_some((at, lines)));
    gaps
}

/// The header's value for "no data" as a sample can hold it, and how it is stored; `None` if that is zero, or none
/// is named that a sample can hold.
pub(super) fn ignore_value(header: &Header) -> Option<(f64, Vec<u8>)> {
    let value = header.data_ignore_value?;
    let (stored, little) = stored(header.data_type, value);
    let is_held = match header.data_type {
        // A decimal fraction is never quite what is stored; one that is too large would be infinite.
        DataType::F32 | DataType::F64 => stored.is_finite() == value.is_finite(),
        _ => stored.total_cmp(&value).is_eq(),
    };
    let stored_bytes = match header.byte_order {
        ByteOrder::Little => little,
        ByteOrder::Big => little.into_iter().rev().collect(),
    };
    (is_held && stored != 0.0).then_some((stored, stored_bytes))
}

/// The nearest value that a sample can hold, and its bytes, the least significant first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller looks at what became of it"
)]
fn stored(data_type: DataType, value: f64) -> (f64, Vec<u8>) {
    macro_rules! stored {
        ($sample:ty, $back:expr) => {{
            let sample = value as $sample;
            (($back)(sample), sample.to_le_bytes().to_vec())
        }};
    }
    match data_type {
        DataType::U8 => stored!(u8, f64::from),
        DataType::I16 => stored!(i16, f64::from),
        DataType::I32 => stored!(i32, f64::from),
        DataType::F32 => stored!(f32, f64::from),
        DataType::F64 => stored!(f64, f64::from),
        DataType::U16 => stored!(u16, f64::from),
        DataType::U32 => stored!(u32, f64::from),
        DataType::I64 => stored!(i64, |sample| sample as f64),
        DataType::U64 => stored!(u64, |sample| sample as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_fills_it() {
        assert_eq!(missing(10, [(4, 6), (0, 2)].into_iter()), [(2, 4), (6, 10)]);
        assert_eq!(missing(4, [(0, 3), (2, 4)].into_iter()), []);
        let mut header = Header::new(1, 1, 1, DataType::I16);
        assert_eq!(ignore_value(&header), None);
        header.data_ignore_value = Some(-9999.0);
        assert_eq!(ignore_value(&header), Some((-9999.0, (-9999_i16).to_le_bytes().to_vec())));
        header.byte_order = ByteOrder::Big;
        header.data_type = DataType::F32;
        assert_eq!(ignore_value(&header), Some((-9999.0, (-9999_f32).to_be_bytes().to_vec())));
        header.data_type = DataType::U64;
        header.data_ignore_value = Some(u64::MAX as f64);
        assert_eq!(ignore_value(&header).unwrap().1, [255; 8]);
    }

    #[test]
    fn a_value_that_no_sample_can_hold_fills_nothing() {
        let of = |data_type, value| {
            let mut header = Header::new(1, 1, 1, data_type);
            header.data_ignore_value = Some(value);
            ignore_value(&header)
        };
        for (data_type, value) in [
            (DataType::U16, -9999.0),
            (DataType::U8, 256.0),
            (DataType::I16, 0.5),
            (DataType::I32, f64::NAN),
            (DataType::U32, f64::INFINITY),
            (DataType::F32, 1e39),
            (DataType::F32, -0.0),
        ] {
            assert_eq!(of(data_type, value), None, "{data_type:?} {value}");
        }
        // The header beside it names what is stored.
        assert_eq!(
            of(DataType::F32, -3.4e38),
            Some((f64::from(-3.4e38_f32), (-3.4e38_f32).to_le_bytes().to_vec()))
        );
        assert!(of(DataType::F32, f64::NAN).unwrap().0.is_nan());
        assert!(of(DataType::F64, f64::NEG_INFINITY).unwrap().0.is_infinite());
    }
}
