//! From stored bytes to `f32`. The only place that knows the bytes of the sample types.

use crate::envi::{ByteOrder, DataType};
use crate::numeric::f32_of;

/// Converts `raw`, whole samples, to as many `out`.
pub(super) fn to_f32(data_type: DataType, order: ByteOrder, raw: &[u8], out: &mut [f32]) {
    use ByteOrder::{Big, Little};
    match (data_type, order) {
        (DataType::U8, _) => each(raw, out, |[b]: [u8; 1]| f32::from(b)),
        (DataType::I16, Little) => each(raw, out, |b| f32::from(i16::from_le_bytes(b))),
        (DataType::I16, Big) => each(raw, out, |b| f32::from(i16::from_be_bytes(b))),
        (DataType::U16, Little) => each(raw, out, |b| f32::from(u16::from_le_bytes(b))),
        (DataType::U16, Big) => each(raw, out, |b| f32::from(u16::from_be_bytes(b))),
        (DataType::I32, Little) => each(raw, out, |b| i32::from_le_bytes(b) as f32),
        (DataType::I32, Big) => each(raw, out, |b| i32::from_be_bytes(b) as f32),
        (DataType::U32, Little) => each(raw, out, |b| u32::from_le_bytes(b) as f32),
        (DataType::U32, Big) => each(raw, out, |b| u32::from_be_bytes(b) as f32),
        (DataType::F32, Little) => each(raw, out, f32::from_le_bytes),
        (DataType::F32, Big) => each(raw, out, f32::from_be_bytes),
        (DataType::F64, Little) => each(raw, out, |b| f32_of(f64::from_le_bytes(b))),
        (DataType::F64, Big) => each(raw, out, |b| f32_of(f64::from_be_bytes(b))),
        (DataType::I64, Little) => each(raw, out, |b| i64::from_le_bytes(b) as f32),
        (DataType::I64, Big) => each(raw, out, |b| i64::from_be_bytes(b) as f32),
        (DataType::U64, Little) => each(raw, out, |b| u64::from_le_bytes(b) as f32),
        (DataType::U64, Big) => each(raw, out, |b| u64::from_be_bytes(b) as f32),
    }
}

fn each<const N: usize>(raw: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (samples, _) = raw.as_chunks::<N>();
    for (value, &bytes) in out.iter_mut().zip(samples) {
        *value = convert(bytes);
    }
}
