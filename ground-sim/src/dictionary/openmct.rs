//! The dictionary of Open MCT: a measurement for each channel, in the form of its tutorials, and a channel's value as a
//! datum's.
//!
//! A measurement's key is `packet.field`; its datum is `{"id": key, "timestamp": ms, "value": …}` with [`value`]. Limits are
//! in the form of Open MCT's `getLimits`.

use passband_proto::dict::{FieldDef, Kind, PACKETS, PacketDef, Value};
use serde_json::{Value as Json, json};

use super::{default_limits, said};

/// Whole numbers up to this are the same in JavaScript.
const MOST_EXACT: u64 = 1 << 53;

/// The document.
#[must_use]
pub fn text() -> String {
    let packets: Vec<_> = PACKETS
        .iter()
        .map(|packet| json!({ "key": packet.name, "name": packet.name, "description": said(packet.doc) }))
        .collect();
    let measurements: Vec<_> = PACKETS
        .iter()
        .flat_map(|packet| packet.fields.iter().map(|field| measurement(packet, field)))
        .collect();
    let document = json!({ "schema": 1, "key": "passband", "name": "Passband", "packets": packets, "measurements": measurements });
    format!("{document:#}\n")
}

/// A value as it stands in a datum: a number where JavaScript has it exactly, else its text.
#[must_use]
pub fn value(value: &Value<'_>) -> Json {
    match *value {
        Value::Unsigned(n) if n <= MOST_EXACT => json!(n),
        Value::Unsigned(n) => json!(n.to_string()),
        Value::Signed(n) => json!(n),
        Value::Real(x) if x.is_nan() => json!("NaN"),
        Value::Real(x) if x.is_infinite() => json!(if x > 0.0 { "Infinity" } else { "-Infinity" }),
        // As few digits as tell it from other floats: the double of all its digits would be a sight.
        Value::Real(x) => json!(x.to_string().parse::<f64>().unwrap_or(f64::NAN)),
        Value::Name(_, code) => json!(code),
        Value::Text(text) => json!(text),
        Value::Bytes(_) | Value::Order(_) | Value::Limits(_) => json!(value.to_string()),
    }
}

fn measurement(packet: &PacketDef, field: &FieldDef) -> Json {
    let mut measured = json!({
        "key": "value", "source": "value", "name": field.name.replace('_', " "), "hints": { "range": 1 },
    });
    match field.kind {
        Kind::Name8(names) | Kind::Name16(names) => {
            let all = names.values.iter().map(|value| json!({ "value": value.code, "string": value.name }));
            measured["format"] = json!("enum");
            measured["enumerations"] = all.collect();
        }
        Kind::F32 => measured["format"] = json!("float"),
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 => measured["format"] = json!("integer"),
        Kind::FixedText(_) | Kind::Fixed(_) | Kind::Text(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => {
            measured["format"] = json!("string");
        }
    }
    if !field.unit.is_empty() {
        measured["unit"] = json!(field.unit);
        measured["units"] = json!(field.unit);
    }
    let time = json!({
        "key": "utc", "source": "timestamp", "name": "time", "format": "utc", "hints": { "domain": 1 },
    });
    let mut measurement = json!({
        "key": format!("{}.{}", packet.name, field.name), "name": field.name.replace('_', " "),
        "packet": packet.name, "description": said(field.doc), "values": [measured, time],
    });
    if let Some([red_low, yellow_low, yellow_high, red_high]) = default_limits(field) {
        measurement["limits"] = json!({
            "WARNING": pair(yellow_low, yellow_high, "yellow"), "CRITICAL": pair(red_low, red_high, "red"),
        });
    }
    measurement
}

fn pair(low: Option<f32>, high: Option<f32>, color: &str) -> Json {
    let each = [("low", low), ("high", high)].into_iter();
    let each = each.filter_map(|(name, x)| Some((name.to_owned(), json!({ "color": color, "value": x? }))));
    each.collect::<serde_json::Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::Mode;

    #[test]
    fn values_that_json_has_no_number_for_are_texts() {
        assert_eq!(value(&Value::Unsigned(MOST_EXACT)), json!(9_007_199_254_740_992_u64));
        assert_eq!(value(&Value::Unsigned(u64::MAX)), json!("18446744073709551615"));
        assert_eq!(value(&Value::Real(f32::NAN)), json!("NaN"));
        assert_eq!(value(&Value::Real(f32::NEG_INFINITY)), json!("-Infinity"));
        assert_eq!(value(&Value::Real(0.1)), json!(0.1));
        assert_eq!(value(&Value::Name(Mode::NAMES, 9)), json!(9));
        assert_eq!(value(&Value::Bytes(&[1, 0xAB])), json!("01ab"));
    }
}
