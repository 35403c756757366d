//! JSON, to and from the shapes of answers and records.
//!
//! What is derived for a shape is made anew for each format that it is read from or written to, and there are some sixty
//! shapes. So there is one format to read from, a [`Value`] that is looked at, and one to write to, text: whatever comes as
//! text is read into a [`Value`] first, and what is wanted as a [`Value`] is written as text. Nothing here bounds a size;
//! who calls does.

mod shape;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Error, Value};

use self::shape::Shape;

/// A shape as text in one line.
///
/// # Errors
/// It can't be told in JSON: a map whose keys are no text.
pub(crate) fn text(shape: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(shape)
}

/// A shape as a value.
///
/// # Errors
/// Those of [`text`].
pub(crate) fn value(shape: &impl Serialize) -> Result<Value, Error> {
    parse(text(shape)?.as_bytes())
}

/// The shape of a text.
///
/// # Errors
/// It is no JSON, or of another shape.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    shape(&parse(text)?)
}

/// The shape of a value.
///
/// # Errors
/// It is of another shape.
#[inline(never)]
pub(crate) fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(Shape(value))
}

/// The value of a text.
///
/// # Errors
/// It is no JSON.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_either_way() {
        let numbers =
            (u64::MAX, i64::MIN, 0.1_f32, f32::MAX, 1.0e-300_f64, f64::MAX, Some(0.0_f64), None::<u8>);
        let read: (u64, i64, f32, f32, f64, f64, Option<f64>, Option<u8>) =
            shape(&value(&numbers).unwrap()).unwrap();
        assert_eq!(read, numbers);
        assert_eq!(text(&value(&numbers).unwrap()).unwrap(), text(&numbers).unwrap());
    }

    #[test]
    fn what_is_no_json_or_another_shape_is_told() {
        assert!(read::<u64>(b"{").unwrap_err().to_string().contains("EOF"));
        assert!(read::<u64>(b"-1").unwrap_err().to_string().contains("invalid value"));
        assert!(read::<u64>(b"\xff").is_err());
    }
}
