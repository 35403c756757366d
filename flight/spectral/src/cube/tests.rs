use super::*;
use crate::envi::{ByteOrder, DataType};

const SAMPLES: usize = 5;
const LINES: usize = 4;
const BANDS: usize = 3;

/// A value that names its place and fits every type.
fn value(line: usize, band: usize, sample: usize) -> u8 {
    u8::try_from(1 + line * 40 + band * 10 + sample).unwrap()
}

fn stored(value: u8, data_type: DataType, order: ByteOrder) -> Vec<u8> {
    let mut bytes = match data_type {
        DataType::U8 => vec![value],
        DataType::I16 => i16::from(value).to_le_bytes().to_vec(),
        DataType::U16 => u16::from(value).to_le_bytes().to_vec(),
        DataType::I32 => i32::from(value).to_le_bytes().to_vec(),
        DataType::U32 => u32::from(value).to_le_bytes().to_vec(),
        DataType::F32 => f32::from(value).to_le_bytes().to_vec(),
        DataType::F64 => f64::from(value).to_le_bytes().to_vec(),
        DataType::I64 => i64::from(value).to_le_bytes().to_vec(),
        DataType::U64 => u64::from(value).to_le_bytes().to_vec(),
    };
    if order == ByteOrder::Big {
        bytes.reverse();
    }
    bytes
}

fn cube(data_type: DataType, interleave: Interleave, order: ByteOrder, offset: usize) -> Cube<Vec<u8>> {
    let mut header = Header::new(SAMPLES, LINES, BANDS, data_type);
    header.interleave = interleave;
    header.byte_order = order;
    header.header_offset = offset as u64;
    let mut data = vec![0xEE; offset];
    let (outer, middle, inner) = match interleave {
        Interleave::Bil => (LINES, BANDS, SAMPLES),
        Interleave::Bip => (LINES, SAMPLES, BANDS),
        Interleave::Bsq => (BANDS, LINES, SAMPLES),
    };
    for i in 0..outer {
        for j in 0..middle {
            for k in 0..inner {
                let value = match interleave {
                    Interleave::Bil => value(i, j, k),
                    Interleave::Bip => value(i, k, j),
                    Interleave::Bsq => value(j, i, k),
                };
                data.extend(stored(value, data_type, order));
            }
        }
    }
    Cube::new(header, data).unwrap()
}

fn layouts() -> impl Iterator<Item = (DataType, Interleave, ByteOrder)> {
    DataType::ALL.into_iter().flat_map(|data_type| {
        Interleave::ALL.into_iter().flat_map(move |interleave| {
            [ByteOrder::Little, ByteOrder::Big].into_iter().map(move |order| (data_type, interleave, order))
        })
    })
}

#[test]
fn every_layout_gives_the_same_samples() {
    let bands = [2, 0, 1, 1];
    let expected: Vec<f32> = (1..3)
        .flat_map(|line| bands.map(move |band| (0..SAMPLES).map(move |s| f32::from(value(line, band, s)))))
        .flatten()
        .collect();
    let mut out = vec![9.0; 3];
    for (data_type, interleave, order) in layouts() {
        cube(data_type, interleave, order, 7).lines_f32(1, 2, &bands, &mut out).unwrap();
        assert_eq!(out, expected, "{data_type:?} {interleave:?} {order:?}");
    }
}

#[test]
fn every_layout_is_written_as_the_same_bil() {
    for (data_type, interleave, order) in layouts() {
        let mut written = Vec::new();
        let header = write_bil(&cube(data_type, interleave, order, 3), &mut written).unwrap();
        let expected = cube(data_type, Interleave::Bil, ByteOrder::Little, 0);
        assert_eq!(&written, expected.data(), "{data_type:?} {interleave:?} {order:?}");
        assert_eq!(&header, expected.header());
    }
}

#[test]
fn signed_samples_keep_their_sign() {
    let mut header = Header::new(2, 1, 1, DataType::I16);
    header.byte_order = ByteOrder::Big;
    let cube = Cube::new(header, vec![0xFF, 0xFE, 0x80, 0x00]).unwrap();
    let mut out = Vec::new();
    cube.lines_f32(0, 1, &[0], &mut out).unwrap();
    assert_eq!(out, [-2.0, -32768.0]);
}

#[test]
fn a_wrong_size_names_both_sizes() {
    for actual in [0, 23, 25, 48] {
        let error = Cube::new(Header::new(3, 2, 2, DataType::U16), vec![0; actual]).unwrap_err();
        assert!(matches!(error, CubeError::Size { expected: 24, actual: a } if a == actual as u64));
        assert!(error.to_string().contains("24") && error.to_string().contains(&actual.to_string()));
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let cube = cube(DataType::U8, Interleave::Bsq, ByteOrder::Little, 0);
    let mut out = Vec::new();
    assert!(matches!(cube.lines_f32(3, 2, &[0], &mut out), Err(CubeError::Range { what: "line", .. })));
    assert!(matches!(cube.lines_f32(usize::MAX, 2, &[0], &mut out), Err(CubeError::Range { .. })));
    assert!(matches!(cube.lines_f32(0, 1, &[3], &mut out), Err(CubeError::Range { what: "band", .. })));
    cube.lines_f32(4, 0, &[], &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn only_the_bands_asked_for_are_read() {
    struct Counting<'a>(&'a [u8], std::cell::Cell<usize>);
    impl ReadAt for Counting<'_> {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.1.set(self.1.get() + buf.len());
            self.0.read_at(offset, buf)
        }
    }
    for interleave in [Interleave::Bil, Interleave::Bsq] {
        let whole = cube(DataType::U16, interleave, ByteOrder::Little, 0);
        let counting = Counting(whole.data(), std::cell::Cell::new(0));
        let picky = Cube::new(whole.header().clone(), counting).unwrap();
        picky.lines_f32(0, LINES, &[1], &mut Vec::new()).unwrap();
        assert_eq!(picky.data().1.get(), LINES * SAMPLES * 2, "{interleave:?}");
    }
}
