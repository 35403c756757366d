//! Channels: the newest value of each field of the housekeeping packet, and where it stands against its limits.
//!
//! Limits are those of the `limits.*` parameters: what the satellite last said is in force, else their defaults. A single
//! value is judged here, without the persistence that the satellite's own events have: a screen shows what is.

use std::collections::BTreeMap;

use passband_flight::telemetry::Level;
use passband_proto::dict::{FieldDef, Kind, PacketDef, Parameter, ParameterDef, ParameterId, Value};
use serde::Serialize;

/// A whole number that stands for "not known".
const NOT_KNOWN: u64 = u32::MAX as u64;

/// A channel as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// `packet.field`, as in the dictionary for Open MCT.
    pub key: String,
    /// Its name.
    pub name: &'static str,
    /// Its value as a number; none: it has none, or it isn't known.
    pub value: Option<f64>,
    /// Its value for people.
    pub text: String,
    /// The unit of that; empty: none.
    pub unit: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// Where it stands; none: it has no limits, or isn't known.
    pub level: Option<Level>,
    /// Red low, yellow low, yellow high, red high, where there are such.
    pub limits: Option<[Option<f32>; 4]>,
    /// The time of the packet that says it, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// The channels that are known.
#[derive(Debug, Default)]
pub struct Channels {
    shown: Vec<Channel>,
    /// By the parameter's code.
    limits: BTreeMap<u16, [f32; 4]>,
}

impl Channels {
    /// Takes a packet's user data.
    pub fn take(&mut self, def: &'static PacketDef, data: &[u8], unix_ms: u64) {
        let channel = |(field, value): (&'static FieldDef, Option<Value<'_>>)| {
            let value = value.unwrap_or(Value::Text("?"));
            let limits = self.limits_of(field);
            let number = known(field, &value);
            let level = number.zip(limits).map(|(number, limits)| judge(number, limits));
            Channel {
                key: format!("{}.{}", def.name, field.name),
                name: field.name,
                value: number,
                text: number.map_or_else(|| unknown(field, &value), |n| said(&value, n)),
                unit: field.unit,
                doc: field.doc.trim(),
                level,
                limits: limits.map(|limits| limits.map(|limit| (!limit.is_nan()).then_some(limit))),
                unix_ms,
            }
        };
        self.shown = def.read(data).map(channel).collect();
    }

    /// Takes note of limits that the satellite says are in force.
    pub fn set_limits(&mut self, parameter: &Parameter) {
        let Some(def) = ParameterDef::get(parameter.id) else { return };
        if def.kind != Kind::Limits {
            return;
        }
        if let Some(limits) = parse(def, &parameter.value.0) {
            self.limits.insert(parameter.id.code(), limits);
        }
    }

    /// All of them, in the order of the dictionary.
    pub fn shown(&self) -> &[Channel] {
        &self.shown
    }

    fn limits_of(&self, field: &FieldDef) -> Option<[f32; 4]> {
        let id: ParameterId = field.limits?;
        let default = || ParameterDef::get(id).and_then(|def| parse(def, def.default));
        let limits = self.limits.get(&id.code()).copied().or_else(default)?;
        limits.iter().any(|limit| !limit.is_nan()).then_some(limits)
    }
}

/// Where a value stands against red low, yellow low, yellow high and red high; NaN: no such limit.
#[must_use]
pub fn judge(value: f64, [red_low, yellow_low, yellow_high, red_high]: [f32; 4]) -> Level {
    let (below, above) = (|limit: f32| value < f64::from(limit), |limit: f32| value > f64::from(limit));
    if below(red_low) || above(red_high) {
        Level::Red
    } else if below(yellow_low) || above(yellow_high) {
        Level::Yellow
    } else {
        Level::Green
    }
}

fn parse(def: &'static ParameterDef, text: &str) -> Option<[f32; 4]> {
    let text = if text == "default" { def.default } else { text };
    match def.parse(text, &mut Vec::new()) {
        Ok(Some(Value::Limits(limits))) => Some(limits),
        _ => None,
    }
}

/// The number of a value that is one and is known.
fn known(field: &FieldDef, value: &Value<'_>) -> Option<f64> {
    let unset = matches!(value, Value::Unsigned(NOT_KNOWN)) && field.doc.contains("4294967295");
    value.number().filter(|n| n.is_finite() && !unset)
}

fn unknown(field: &FieldDef, value: &Value<'_>) -> String {
    match field.kind {
        Kind::FixedText(_) | Kind::Text(_) | Kind::Fixed(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => {
            value.to_string()
        }
        _ => "-".to_owned(),
    }
}

fn said(value: &Value<'_>, number: f64) -> String {
    match value {
        // As many digits as somebody reads.
        Value::Real(_) if number.abs() >= 1000.0 => format!("{number:.0}"),
        Value::Real(_) if number.abs() >= 10.0 => format!("{number:.1}"),
        Value::Real(_) => format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::tests::{data_of, housekeeping};
    use passband_proto::dict::{FixedText, Housekeeping, Packet, ParametersState};

    fn shown(channels: &Channels, name: &str) -> Channel {
        channels.shown().iter().find(|channel| channel.name == name).unwrap().clone()
    }

    #[test]
    fn values_are_judged_by_the_limits_that_are_in_force() {
        let mut channels = Channels::default();
        let mut packet = Housekeeping { power: 26.0, temperature: f32::NAN, ..housekeeping() };
        channels.take(Housekeeping::DEF, &data_of(&packet), 7);
        let power = shown(&channels, "power");
        assert_eq!((power.level, power.text.as_str(), power.unit), (Some(Level::Yellow), "26.0", "W"));
        assert_eq!(power.limits, Some([None, None, Some(25.0), Some(30.0)]));
        let temperature = shown(&channels, "temperature");
        assert_eq!((temperature.level, temperature.value, temperature.text.as_str()), (None, None, "-"));
        assert_eq!(shown(&channels, "frame_age").value, None, "the greatest number: none was taken");
        channels.set_limits(&Parameter {
            id: ParameterId::PowerLimits,
            value: FixedText::cut("-,-,27,28"),
            staged: FixedText::default(),
            state: ParametersState::Confirmed,
            source: 0,
            number: 0,
            unix: 0,
        });
        channels.take(Housekeeping::DEF, &data_of(&packet), 8);
        assert_eq!(shown(&channels, "power").level, Some(Level::Green));
        packet.power = 28.5;
        channels.take(Housekeeping::DEF, &data_of(&packet), 9);
        assert_eq!(shown(&channels, "power").level, Some(Level::Red));
        assert_eq!(channels.shown().len(), Housekeeping::DEF.fields.len());
    }

    #[test]
    fn on_a_limit_a_value_is_within_it() {
        let limits = [-25.0, -15.0, 75.0, 88.0];
        for (value, level) in [
            (75.0, Level::Green),
            (75.1, Level::Yellow),
            (88.0, Level::Yellow),
            (88.5, Level::Red),
            (-15.0, Level::Green),
            (-15.5, Level::Yellow),
            (-26.0, Level::Red),
        ] {
            assert_eq!(judge(value, limits), level, "{value}");
        }
        assert_eq!(judge(1e9, [f32::NAN; 4]), Level::Green);
    }
}
