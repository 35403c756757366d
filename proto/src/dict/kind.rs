//! What a field can be, how it lies on the wire, and what a value looks like to people.
//!
//! All numbers are big endian. Never allocates without the `std` feature, never panics on any bytes.

use core::fmt;

use heapless::{String, Vec};

use crate::wire::Reader;

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// 1 byte, unsigned.
    U8,
    /// 2 bytes, unsigned.
    U16,
    /// 4 bytes, unsigned.
    U32,
    /// 8 bytes, unsigned.
    U64,
    /// 4 bytes, two's complement.
    I32,
    /// 4 bytes, IEEE 754.
    F32,
    /// 1 byte, one of a few names.
    Name8(&'static Names),
    /// 2 bytes, one of a few names.
    Name16(&'static Names),
    /// Text in exactly so many bytes, UTF-8, filled up with zeros, one at least: other programs read on without it.
    FixedText(u8),
    /// Exactly so many bytes.
    Fixed(u8),
    /// A length byte, then so much text at most, UTF-8.
    Text(u8),
    /// A length of 2 bytes, then so many bytes at most.
    Bytes(u16),
    /// A length byte, then an order as in [`super::Order`].
    Order,
    /// Four F32: red low, yellow low, yellow high, red high; NaN: no such limit.
    Limits,
}

/// A few numbers that have names.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// What they are names of.
    pub name: &'static str,
    /// The names, by their codes.
    pub values: &'static [NameDef],
}

/// A number that has a name.
#[derive(Debug, PartialEq)]
pub struct NameDef {
    /// The number on the wire.
    pub code: u16,
    /// The name in every output.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl Names {
    /// The name of a code.
    #[must_use]
    pub fn name_of(&self, code: u16) -> Option<&'static str> {
        self.values.iter().find(|value| value.code == code).map(|value| value.name)
    }

    /// The code of a name.
    #[must_use]
    pub fn code_of(&self, name: &str) -> Option<u16> {
        self.values.iter().find(|value| value.name == name).map(|value| value.code)
    }
}

impl Kind {
    /// Bytes on the wire, if they are always so many.
    #[must_use]
    pub fn fixed_bytes(self) -> Option<usize> {
        match self {
            Self::U8 | Self::Name8(_) => Some(1),
            Self::U16 | Self::Name16(_) => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 => Some(8),
            Self::FixedText(len) | Self::Fixed(len) => Some(usize::from(len)),
            Self::Limits => Some(16),
            Self::Text(_) | Self::Bytes(_) | Self::Order => None,
        }
    }

    /// What a value of it is called for people.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => "whole number",
            Self::I32 => "whole number, negative or not",
            Self::F32 => "number",
            Self::Name8(names) | Self::Name16(names) => names.name,
            Self::FixedText(_) | Self::Text(_) => "text",
            Self::Fixed(_) | Self::Bytes(_) => "hexadecimal digits",
            Self::Order => "order",
            Self::Limits => "four numbers RED_LOW,YELLOW_LOW,YELLOW_HIGH,RED_HIGH",
        }
    }

    /// Takes a value of this kind from the front of what is read.
    pub(crate) fn take<'a>(self, r: &mut Reader<'a>) -> Option<Value<'a>> {
        Some(match self {
            Self::U8 => Value::Unsigned(r.u8()?.into()),
            Self::U16 => Value::Unsigned(r.u16()?.into()),
            Self::U32 => Value::Unsigned(r.u32()?.into()),
            Self::U64 => Value::Unsigned(r.u64()?),
            Self::I32 => Value::Signed(i64::from(r.u32()?.cast_signed())),
            Self::F32 => Value::Real(f32::from_bits(r.u32()?)),
            Self::Name8(names) => Value::Name(names, r.u8()?.into()),
            Self::Name16(names) => Value::Name(names, r.u16()?),
            Self::FixedText(len) => {
                let bytes = r.slice(usize::from(len))?;
                let (zero, text) = bytes.split_last().filter(|(last, _)| **last == 0)?;
                let end = text.iter().rposition(|b| b != zero).map_or(0, |last| last + 1);
                Value::Text(core::str::from_utf8(text.get(..end)?).ok()?)
            }
            Self::Fixed(len) => Value::Bytes(r.slice(usize::from(len))?),
            Self::Text(max) => Value::Text(core::str::from_utf8(counted(r, max)?).ok()?),
            Self::Bytes(max) => {
                let len = r.u16().filter(|len| *len <= max)?;
                Value::Bytes(r.slice(usize::from(len))?)
            }
            Self::Order => Value::Order(counted(r, u8::MAX)?),
            Self::Limits => {
                let mut limits = [0.0; 4];
                for limit in &mut limits {
                    *limit = f32::from_bits(r.u32()?);
                }
                Value::Limits(limits)
            }
        })
    }
}

fn counted<'a>(r: &mut Reader<'a>, max: u8) -> Option<&'a [u8]> {
    let len = r.u8()?;
    if len <= max { r.slice(usize::from(len)) } else { None }
}

/// A value, as the dictionary sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// An unsigned number.
    Unsigned(u64),
    /// A signed number.
    Signed(i64),
    /// A real number.
    Real(f32),
    /// One of a few names; the code may be one without a name.
    Name(&'static Names, u16),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An order's bytes.
    Order(&'a [u8]),
    /// Red low, yellow low, yellow high, red high.
    Limits([f32; 4]),
}

impl Value<'_> {
    /// As a number, if it is one; the code of a name.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            Self::Real(x) => Some(x.into()),
            Self::Name(_, code) => Some(code.into()),
            Self::Text(_) | Self::Bytes(_) | Self::Order(_) | Self::Limits(_) => None,
        }
    }

    /// Writes it as it lies on the wire; whether it fits that kind.
    pub(crate) fn put(&self, kind: Kind, w: &mut crate::wire::Writer<'_>) -> bool {
        match (kind, *self) {
            (Kind::U8, Self::Unsigned(n)) => u8::try_from(n).map(|n| w.put(&[n])).is_ok(),
            (Kind::U16, Self::Unsigned(n)) => u16::try_from(n).map(|n| w.put(&n.to_be_bytes())).is_ok(),
            (Kind::U32, Self::Unsigned(n)) => u32::try_from(n).map(|n| w.put(&n.to_be_bytes())).is_ok(),
            (Kind::U64, Self::Unsigned(n)) => {
                w.put(&n.to_be_bytes());
                true
            }
            (Kind::I32, Self::Signed(n)) => i32::try_from(n).map(|n| w.put(&n.to_be_bytes())).is_ok(),
            (Kind::F32, Self::Real(x)) => {
                w.put(&x.to_bits().to_be_bytes());
                true
            }
            (Kind::Name8(_), Self::Name(_, code)) => u8::try_from(code).map(|code| w.put(&[code])).is_ok(),
            (Kind::Name16(_), Self::Name(_, code)) => {
                w.put(&code.to_be_bytes());
                true
            }
            (Kind::FixedText(len), Self::Text(text)) => put_padded(w, text.as_bytes(), len),
            (Kind::Fixed(len), Self::Bytes(bytes)) => {
                w.put(bytes);
                bytes.len() == usize::from(len)
            }
            (Kind::Text(max), Self::Text(text)) => put_counted(w, text.as_bytes(), max),
            (Kind::Bytes(max), Self::Bytes(bytes)) => {
                let len = u16::try_from(bytes.len()).ok().filter(|len| *len <= max);
                len.map(|len| w.put(&len.to_be_bytes()).put(bytes)).is_some()
            }
            (Kind::Order, Self::Order(bytes)) => put_counted(w, bytes, u8::MAX),
            (Kind::Limits, Self::Limits(limits)) => {
                for x in limits {
                    w.put(&x.to_bits().to_be_bytes());
                }
                true
            }
            _ => false,
        }
    }
}

fn put_counted(w: &mut crate::wire::Writer<'_>, bytes: &[u8], max: u8) -> bool {
    let Some(len) = u8::try_from(bytes.len()).ok().filter(|len| *len <= max) else { return false };
    w.put(&[len]).put(bytes);
    true
}

fn put_padded(w: &mut crate::wire::Writer<'_>, bytes: &[u8], len: u8) -> bool {
    let Some(padding) = usize::from(len).checked_sub(bytes.len()).filter(|zeros| *zeros > 0) else {
        return false;
    };
    w.put(bytes);
    for _ in 0..padding {
        w.put(&[0]);
    }
    true
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Real(x) => x.fmt(f),
            Self::Name(names, code) => match names.name_of(*code) {
                Some(name) => f.pad(name),
                None => write!(f, "{code}"),
            },
            Self::Text(text) => f.pad(text),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|b| write!(f, "{b:02x}")),
            Self::Order(bytes) => match super::Order::decode(bytes) {
                Ok(order) => order.fmt(f),
                Err(_) => Value::Bytes(bytes).fmt(f),
            },
            Self::Limits(limits) => {
                let mut between = "";
                limits.iter().try_for_each(|x| {
                    f.write_str(core::mem::replace(&mut between, ","))?;
                    if x.is_nan() { f.write_str("-") } else { write!(f, "{x}") }
                })
            }
        }
    }
}

/// A Rust type that is a field.
pub trait Field: Sized {
    /// Its kind.
    const KIND: Kind;

    /// It as a value.
    fn value(&self) -> Value<'_>;

    /// It of a value of its kind, if it can be.
    fn of(value: Value<'_>) -> Option<Self>;
}

macro_rules! number {
    ($($ty:ty => $kind:ident, $value:ident as $wide:ty;)*) => {$(
        impl Field for $ty {
            const KIND: Kind = Kind::$kind;

            fn value(&self) -> Value<'_> {
                Value::$value(<$wide>::from(*self))
            }

            fn of(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::$value(n) => <$ty>::try_from(n).ok(),
                    _ => None,
                }
            }
        }
    )*};
}
number! {
    u8 => U8, Unsigned as u64;
    u16 => U16, Unsigned as u64;
    u32 => U32, Unsigned as u64;
    u64 => U64, Unsigned as u64;
    i32 => I32, Signed as i64;
    f32 => F32, Real as f32;
}

impl Field for [f32; 4] {
    const KIND: Kind = Kind::Limits;

    fn value(&self) -> Value<'_> {
        Value::Limits(*self)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Limits(limits) => Some(limits),
            _ => None,
        }
    }
}

/// Text of at most `N` bytes in a field of fixed size, `N` + 1 bytes, filled up with zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FixedText<const N: usize>(pub String<N>);

impl<const N: usize> FixedText<N> {
    /// As much of a text as fits, cut between characters.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let mut out = String::new();
        for c in text.chars() {
            // A zero would be taken for filling.
            let c = if c == '\0' { ' ' } else { c };
            if out.push(c).is_err() {
                break;
            }
        }
        Self(out)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "asserted just above, when it is compiled")]
const fn byte(n: usize) -> u8 {
    assert!(n <= 255, "such a field has at most 255 bytes");
    n as u8
}

#[expect(clippy::cast_possible_truncation, reason = "asserted just above, when it is compiled")]
const fn double(n: usize) -> u16 {
    assert!(n <= 768, "such a field has at most 768 bytes");
    n as u16
}

impl<const N: usize> Field for FixedText<N> {
    const KIND: Kind = Kind::FixedText(byte(N + 1));

    fn value(&self) -> Value<'_> {
        Value::Text(&self.0)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => String::try_from(text).ok().map(Self),
            _ => None,
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    const KIND: Kind = Kind::Fixed(byte(N));

    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<const N: usize> Field for String<N> {
    const KIND: Kind = Kind::Text(byte(N));

    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Self::try_from(text).ok(),
            _ => None,
        }
    }
}

impl<const N: usize> Field for Vec<u8, N> {
    const KIND: Kind = Kind::Bytes(double(N));

    fn value(&self) -> Value<'_> {
        Value::Bytes(self)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Self::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

/// An order inside another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NestedOrder(pub Vec<u8, 255>);

impl Field for NestedOrder {
    const KIND: Kind = Kind::Order;

    fn value(&self) -> Value<'_> {
        Value::Order(&self.0)
    }

    fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Order(bytes) => Vec::from_slice(bytes).ok().map(Self),
            _ => None,
        }
    }
}

/// Makes an enumeration whose values have codes on the wire and names for people.
macro_rules! names {
    ($(
        $(#[doc = $doc:literal])+
        pub enum $ty:ident: $kind:ident, $name:literal {
            $($(#[doc = $value_doc:literal])+ $value:ident = $code:literal $value_name:literal,)+
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $ty {
            $(
                $(#[doc = $value_doc])+
                #[serde(rename = $value_name)]
                $value = $code,
            )+
        }

        impl $ty {
            /// All of them, by their codes.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];
            /// Codes and names.
            pub const NAMES: &'static $crate::dict::Names = &$crate::dict::Names {
                name: $name,
                values: &[$($crate::dict::NameDef {
                    code: $code,
                    name: $value_name,
                    doc: concat!($($value_doc,)+),
                }),+],
            };

            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> u16 {
                match self { $(Self::$value => $code,)+ }
            }

            /// The name in every output.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $value_name,)+ }
            }

            /// The one of a code.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$value),)+ _ => None }
            }

            /// The one of a name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($value_name => Some(Self::$value),)+ _ => None }
            }
        }

        impl core::fmt::Display for $ty {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }

        impl $crate::dict::Field for $ty {
            const KIND: $crate::dict::Kind = $crate::dict::Kind::$kind(Self::NAMES);

            fn value(&self) -> $crate::dict::Value<'_> {
                $crate::dict::Value::Name(Self::NAMES, self.code())
            }

            fn of(value: $crate::dict::Value<'_>) -> Option<Self> {
                match value {
                    $crate::dict::Value::Name(_, code) => Self::from_code(code),
                    _ => None,
                }
            }
        }
    )+};
}
pub(crate) use names;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    #[test]
    fn a_zero_stands_behind_the_longest_text() {
        let kind = FixedText::<4>::KIND;
        assert_eq!(kind.fixed_bytes(), Some(5));
        let mut out = [1; 5];
        assert!(FixedText::<4>::cut("a\u{e9}bc").value().put(kind, &mut Writer::new(&mut out)));
        assert_eq!(&out, b"a\xC3\xA9b\0");
        assert_eq!(kind.take(&mut Reader::new(&out)), Some(Value::Text("a\u{e9}b")));
        assert_eq!(kind.take(&mut Reader::new(b"abcde")), None, "other programs would read on");
        assert!(!Value::Text("abcde").put(kind, &mut Writer::new(&mut [0; 5])));
    }
}
