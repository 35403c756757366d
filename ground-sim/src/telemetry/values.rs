//! Packets as values: by the dictionary, with units, and where each channel stands against its limits.
//!
//! Limits are those of the dictionary until a `parameter` packet says what is in force on board. The board judges by several
//! values in a row; here each value is judged by itself. Never keeps a value, and never checks a tag.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use passband_proto::dict::{FieldDef, Packet, PacketDef, Parameter, ParameterDef, ParameterId, Value};
use passband_proto::packet::TelemetryPacket;
use passband_proto::plan::show_utc;
use serde_json::{Map, Number, json};

use super::feed::Heard;
use super::tags::Proof;
use crate::station::hex;

/// Where a value stands against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Within them.
    Green,
    /// Beyond a yellow one.
    Yellow,
    /// Beyond a red one.
    Red,
}

impl Level {
    /// The name in every output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// Limits as they are known to be in force.
#[derive(Debug, Clone, Default)]
pub struct LimitTable(BTreeMap<ParameterId, [f32; 4]>);

/// A field of a packet.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// Its definition.
    pub field: &'static FieldDef,
    /// Its value; none: its bytes are none.
    pub value: Option<Value<'a>>,
    /// Where it stands; none: it has no limits, or isn't known.
    pub level: Option<Level>,
}

impl LimitTable {
    /// Takes a packet that says what a parameter is.
    pub fn learn(&mut self, packet: &TelemetryPacket<'_>) {
        if packet.apid() != Parameter::DEF.apid {
            return;
        }
        let Some(parameter) = Parameter::read(packet.data()) else { return };
        if let Some(limits) = limits_of(parameter.id, &parameter.value.0) {
            self.0.insert(parameter.id, limits);
        }
    }

    /// The fields of a packet, with where they stand.
    pub fn show<'a>(&self, def: &'static PacketDef, data: &'a [u8]) -> Vec<Shown<'a>> {
        let shown = |(field, value): (&'static FieldDef, Option<Value<'a>>)| {
            let level = value.as_ref().and_then(|value| self.level(field, value));
            Shown { field, value, level }
        };
        def.read(data).map(shown).collect()
    }

    fn level(&self, field: &FieldDef, value: &Value<'_>) -> Option<Level> {
        let id = field.limits?;
        let known = self.0.get(&id).copied();
        let limits = known.or_else(|| limits_of(id, ParameterDef::get(id)?.default))?;
        let whole = matches!(value, Value::Unsigned(n) if *n == u64::from(u32::MAX));
        let number = value.number().filter(|number| !number.is_nan() && !whole)?;
        let [red_low, yellow_low, yellow_high, red_high] = limits.map(f64::from);
        // NaN is no limit: no comparison with it holds.
        Some(if number < red_low || number > red_high {
            Level::Red
        } else if number < yellow_low || number > yellow_high {
            Level::Yellow
        } else {
            Level::Green
        })
    }
}

fn limits_of(id: ParameterId, text: &str) -> Option<[f32; 4]> {
    match ParameterDef::get(id)?.parse(text, &mut Vec::new()) {
        Ok(Some(Value::Limits(limits))) => Some(limits),
        _ => None,
    }
}

/// A packet as a line of text: `2026-12-01T10:00:00Z beacon 17 verified mode=nominal …`.
#[must_use]
pub fn line(def: &PacketDef, packet: &TelemetryPacket<'_>, proof: Proof, fields: &[Shown<'_>]) -> String {
    let at = show_utc(packet.time().to_unix_ms());
    let mut out = format!("{at} {} {} {}", def.name, packet.sequence_count(), proof_name(proof));
    for shown in fields {
        let text = shown.value.as_ref().map_or_else(|| "?".to_owned(), word);
        let _ = write!(out, " {}={text}{}", shown.field.name, shown.field.unit);
        if let Some(level) = shown.level.filter(|level| *level != Level::Green) {
            let _ = write!(out, "({})", level.name());
        }
    }
    out
}

/// A packet as a document of `"schema": 1`.
#[must_use]
pub fn document(
    def: &PacketDef,
    heard: &Heard,
    packet: &TelemetryPacket<'_>,
    fields: &[Shown<'_>],
) -> serde_json::Value {
    let mut values = Map::new();
    let mut levels = Map::new();
    for shown in fields {
        values.insert(shown.field.name.to_owned(), shown.value.as_ref().map_or(json!(null), plain));
        if let Some(level) = shown.level {
            levels.insert(shown.field.name.to_owned(), json!(level.name()));
        }
    }
    json!({
        "schema": 1,
        "packet": def.name,
        "apid": def.apid,
        "count": packet.sequence_count(),
        "unix_ms": packet.time().to_unix_ms(),
        "received_unix_ms": heard.received_unix_ms,
        "proof": heard.proof,
        "values": values,
        "levels": levels,
    })
}

/// A packet as a row of CSV (RFC 4180), its names as the head of a table.
#[must_use]
pub fn csv(packet: &TelemetryPacket<'_>, proof: Proof, fields: &[Shown<'_>]) -> String {
    let at = show_utc(packet.time().to_unix_ms());
    let mut out = format!("{at},{},{}", packet.sequence_count(), proof_name(proof));
    for shown in fields {
        let text = shown.value.as_ref().map(bare).unwrap_or_default();
        if text.contains([',', '"', '\n', '\r']) {
            let _ = write!(out, ",\"{}\"", text.replace('"', "\"\""));
        } else {
            let _ = write!(out, ",{text}");
        }
    }
    out
}

/// The head of a table of such packets.
#[must_use]
pub fn csv_head(def: &PacketDef) -> String {
    let names: Vec<_> = def.fields.iter().map(|field| field.name).collect();
    format!("time,count,proof,{}", names.join(","))
}

/// The name of a proof.
#[must_use]
pub fn proof_name(proof: Proof) -> &'static str {
    match proof {
        Proof::Verified => "verified",
        Proof::Unverified => "unverified",
        Proof::Forged => "forged",
    }
}

fn word(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        value => bare(value),
    }
}

fn bare(value: &Value<'_>) -> String {
    match value {
        // What would steer a terminal is blank.
        Value::Text(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Bytes(bytes) => trimmed(bytes),
        value => value.to_string(),
    }
}

/// Hexadecimal digits without the zeros behind, of which long fields are full.
fn trimmed(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1).min(bytes.len());
    if bytes.len() > 16 { hex(&bytes[..end]) } else { hex(bytes) }
}

fn plain(value: &Value<'_>) -> serde_json::Value {
    match *value {
        Value::Unsigned(n) => n.into(),
        Value::Signed(n) => n.into(),
        Value::Real(x) => Number::from_f64(f64::from(x)).map_or(json!(null), Into::into),
        Value::Name(names, code) => names.name_of(code).map_or_else(|| json!(code), |name| json!(name)),
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) | Value::Order(bytes) => hex(bytes).into(),
        Value::Limits(limits) => {
            limits.iter().map(|x| Number::from_f64(f64::from(*x)).map_or(json!(null), Into::into)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::{FixedText, Housekeeping, ParametersState};
    use passband_proto::packet::{Cuc, seal_telemetry};

    fn sealed(apid: u16, data: &[u8]) -> Vec<u8> {
        let mut out = vec![0; data.len() + 25];
        seal_telemetry(&mut out, apid, 7, Cuc::new(1_796_119_200, 0), data, None).unwrap();
        out
    }

    fn temperature(limits: &LimitTable, value: f32) -> (String, Option<Level>) {
        let mut data = vec![0; Housekeeping::DEF.data_bytes()];
        // mode, shed, boot count, uptime stand in front.
        data[10..14].copy_from_slice(&value.to_be_bytes());
        let bytes = sealed(Housekeeping::DEF.apid, &data);
        let packet = TelemetryPacket::parse(&bytes).unwrap();
        let fields = limits.show(Housekeeping::DEF, packet.data());
        (line(Housekeeping::DEF, &packet, Proof::Unverified, &fields), fields[4].level)
    }

    #[test]
    fn channels_stand_against_the_limits_in_force() {
        let mut limits = LimitTable::default();
        let (text, level) = temperature(&limits, 80.0);
        assert_eq!(level, Some(Level::Yellow));
        assert!(text.starts_with("2026-12-01T10:00:00Z housekeeping 7 unverified mode=nominal"), "{text}");
        assert!(text.contains(" temperature=80degC(yellow) "), "{text}");
        assert_eq!(temperature(&limits, f32::NAN).1, None);
        let parameter = Parameter {
            id: ParameterId::TemperatureLimits,
            value: FixedText::cut("-,-,60,70"),
            staged: FixedText::cut("\u{1b}[2J"),
            state: ParametersState::Confirmed,
            source: 0,
            number: 0,
            unix: 0,
        };
        let mut data = vec![0; Parameter::DEF.data_bytes()];
        parameter.write(&mut data).unwrap();
        let bytes = sealed(Parameter::DEF.apid, &data);
        let packet = TelemetryPacket::parse(&bytes).unwrap();
        limits.learn(&packet);
        assert_eq!(temperature(&limits, 80.0).1, Some(Level::Red));
        let fields = limits.show(Parameter::DEF, packet.data());
        let row = csv(&packet, Proof::Verified, &fields);
        assert!(row.contains(",\"-,-,60,70\", [2J,"), "nothing steers a terminal: {row}");
        let text = line(Parameter::DEF, &packet, Proof::Verified, &fields);
        assert!(!row.contains('\u{1b}') && !text.contains('\u{1b}'), "{text}");
        assert_eq!(row.split(',').count(), csv_head(Parameter::DEF).split(',').count() + 3);
        let heard = Heard { bytes: bytes.clone(), received_unix_ms: 3, proof: Proof::Verified };
        let document = document(Parameter::DEF, &heard, &packet, &fields);
        assert_eq!(
            (&document["values"]["value"], &document["proof"]),
            (&json!("-,-,60,70"), &json!("verified"))
        );
    }
}
