//! Reads a shape from a value: the `Deserializer` that all shapes are read by.
//!
//! `serde_json` has one, which also takes a shape's fields without their names, from an array, and so has each shape's reader
//! made twice. This one takes what is written here: objects for shapes and maps, arrays for lists and tuples.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value, map};

/// A value that is read.
pub(super) struct Shape<'v>(pub(super) &'v Value);

impl<'v> Shape<'v> {
    /// Neither list nor map.
    fn scalar<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(value) => visitor.visit_borrowed_str(value),
            Value::Number(value) => match (value.as_u64(), value.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(value.as_f64().unwrap_or(f64::NAN)),
            },
            Value::Array(_) | Value::Object(_) => Err(invalid(self.0, &visitor)),
        }
    }

    fn list<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Array(items) = self.0 else { return Err(invalid(self.0, &visitor)) };
        let mut items = Items(items.iter());
        let read = visitor.visit_seq(&mut items)?;
        if items.0.len() == 0 { Ok(read) } else { Err(Error::custom("the list is too long")) }
    }

    fn object<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(fields) = self.0 else { return Err(invalid(self.0, &visitor)) };
        visitor.visit_map(Fields { rest: fields.iter(), value: None })
    }
}

/// Forwards to one of the three, whatever is expected: the visitor knows.
macro_rules! forward {
    ($to:ident: $($method:ident)+) => {
        $(fn $method<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$to(visitor)
        })+
    };
}

impl<'v> Deserializer<'v> for Shape<'v> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => self.list(visitor),
            Value::Object(_) => self.object(visitor),
            _ => self.scalar(visitor),
        }
    }

    forward! { scalar:
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_identifier deserialize_unit
    }

    forward! { list: deserialize_seq deserialize_bytes deserialize_byte_buf }

    forward! { object: deserialize_map }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'v>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.scalar(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
    }

    /// A variant is its name, or an object of its name and what it holds.
    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut fields = self.0.as_object().map(map::Map::iter).into_iter().flatten();
        let variant = match (self.0, fields.next(), fields.next()) {
            (Value::String(name), ..) => Variant { name, held: &Value::Null },
            (_, Some((name, held)), None) => Variant { name, held },
            _ => return Err(invalid(self.0, &visitor)),
        };
        visitor.visit_enum(variant)
    }
}

/// What is there, and what was expected.
fn invalid(found: &Value, expected: &dyn Expected) -> Error {
    let found = match found {
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
        Value::String(text) => Unexpected::Str(text),
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("number"),
    };
    Error::invalid_type(found, expected)
}

struct Items<'v>(core::slice::Iter<'v, Value>);

impl<'v> SeqAccess<'v> for &mut Items<'v> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|item| seed.deserialize(Shape(item))).transpose()
    }
}

struct Fields<'v> {
    rest: map::Iter<'v>,
    /// That of the key that was read last.
    value: Option<&'v Value>,
}

impl<'v> MapAccess<'v> for Fields<'v> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Shape(self.value.take().unwrap_or(&Value::Null)))
    }
}

/// The name of a field.
struct Name<'v>(&'v str);

impl<'v> Deserializer<'v> for Name<'v> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'v>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'v> {
    name: &'v str,
    held: &'v Value,
}

impl<'v> EnumAccess<'v> for Variant<'v> {
    type Error = Error;
    type Variant = Held<'v>;

    fn variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<(T::Value, Held<'v>), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Held(self.held)))
    }
}

/// What a variant holds.
struct Held<'v>(&'v Value);

impl<'v> VariantAccess<'v> for Held<'v> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.0.is_null() { Ok(()) } else { Err(invalid(self.0, &"nothing")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Shape(self.0))
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        Shape(self.0).list(visitor)
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        Shape(self.0).object(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Whole {
        name: String,
        maybe: Option<f32>,
        list: Vec<Choice>,
        tagged: Tagged,
        untagged: (Untagged, Untagged),
        map: BTreeMap<String, u16>,
        four: [Option<i8>; 4],
        #[serde(default)]
        newtype: Newtype,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Unit,
        New(u32),
        Pair(u8, bool),
        Fields { a: char },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "is")]
    enum Tagged {
        A { x: u64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(f64),
        Text(String),
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Newtype(u8);

    fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
        T::deserialize(Shape(value)).map_err(|e| e.to_string())
    }

    #[test]
    fn every_kind_of_shape_is_read_as_it_was_written() {
        let whole = Whole {
            name: "a \"name\"".into(),
            maybe: None,
            list: vec![Choice::Unit, Choice::New(7), Choice::Pair(1, true), Choice::Fields { a: 'x' }],
            tagged: Tagged::A { x: u64::MAX },
            untagged: (Untagged::Number(-0.5), Untagged::Text("t".into())),
            map: BTreeMap::from([("k".into(), 3)]),
            four: [None, Some(-1), Some(0), None],
            newtype: Newtype(9),
        };
        let mut value = serde_json::to_value(&whole).unwrap();
        assert_eq!(read::<Whole>(&value), Ok(whole));
        value["unknown"] = json!([{ "passed": "over" }]);
        value["newtype"].take();
        assert!(read::<Whole>(&value).unwrap_err().contains("invalid type: null"));
        value.as_object_mut().unwrap().remove("newtype");
        assert_eq!(read::<Whole>(&value).unwrap().newtype, Newtype(0));
    }

    #[test]
    fn what_is_of_another_shape_is_told() {
        let why = |value: Value, why: &str| {
            let error = read::<Whole>(&value).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        why(json!({}), "missing field `name`");
        why(json!(["a"]), "invalid type: sequence, expected struct Whole");
        why(json!({ "name": 7 }), "invalid type: integer `7`, expected a string");
        why(json!({ "list": [{ "New": -1 }] }), "invalid value: integer `-1`");
        why(json!({ "list": [{ "New": 1, "Unit": null }] }), "invalid type: map");
        why(json!({ "list": ["Other"] }), "unknown variant `Other`");
        why(json!({ "four": [1, 2, 3] }), "invalid length 3");
        why(json!({ "four": [1, 2, 3, 4, 5] }), "too long");
    }
}
