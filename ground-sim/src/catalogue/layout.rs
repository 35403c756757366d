//! How the lines of a cube lie in its file, whatever the interleave: where a strip belongs, and what stands where
//! none is.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
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

    /// Copies a strip to its place; where the file system can, its blocks are shared (copy_file_range(2)).
    pub(super) fn place(&self, file: &File, data: &Path, (from, to): (u64, u64)) -> Result<()> {
        let source = File::open(data).with_context(|| format!("opening {}", data.display()))?;
        let bytes = (to - from) * self.row_bytes;
        let mut target = file;
        for plane in 0..self.planes {
            target.seek(SeekFrom::Start(self.offset + (plane * self.lines + from) * self.row_bytes))?;
            let copied = std::io::copy(&mut (&source).take(bytes), &mut target)?;
            ensure!(copied == bytes, "{} ends too early", data.display());
        }
        Ok(())
    }

    /// Fills lines with a value.
    pub(super) fn fill(&self, file: &File, (from, to): (u64, u64), value: &[u8]) -> std::io::Result<()> {
        let count = usize::try_from(self.row_bytes).unwrap_or_default() / value.len().max(1);
        let row = value.repeat(count);
        for plane in 0..self.planes {
            for line in from..to {
                file.write_all_at(&row, self.offset + (plane * self.lines + line) * self.row_bytes)?;
            }
        }
        Ok(())
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

/// The header's value for "no data" as it is stored; `None` if that is zero, or none is named that fits.
pub(super) fn ignore_pattern(header: &Header) -> Option<Vec<u8>> {
    let value = header.data_ignore_value.filter(|value| *value != 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded to what the file stores"
    )]
    let little = match header.data_type {
        DataType::F32 => (value as f32).to_le_bytes().to_vec(),
        DataType::F64 => value.to_le_bytes().to_vec(),
        integer => {
            let bits = if value < 0.0 { (value as i64).cast_unsigned() } else { value as u64 };
            bits.to_le_bytes().get(..integer.bytes())?.to_vec()
        }
    };
    Some(match header.byte_order {
        ByteOrder::Little => little,
        ByteOrder::Big => little.into_iter().rev().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_fills_it() {
        assert_eq!(missing(10, [(4, 6), (0, 2)].into_iter()), [(2, 4), (6, 10)]);
        assert_eq!(missing(4, [(0, 3), (2, 4)].into_iter()), []);
        let mut header = Header::new(1, 1, 1, DataType::I16);
        assert_eq!(ignore_pattern(&header), None);
        header.data_ignore_value = Some(-9999.0);
        assert_eq!(ignore_pattern(&header), Some((-9999_i16).to_le_bytes().to_vec()));
        header.byte_order = ByteOrder::Big;
        header.data_type = DataType::F32;
        assert_eq!(ignore_pattern(&header), Some((-9999_f32).to_be_bytes().to_vec()));
        header.data_type = DataType::U64;
        header.data_ignore_value = Some(u64::MAX as f64);
        assert_eq!(ignore_pattern(&header), Some(vec![255; 8]));
    }
}
