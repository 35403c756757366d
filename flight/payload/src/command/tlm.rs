//! The channels as the operator sees them: the answer, and its text form.

use std::fmt::Write;

use passband_proto::dict::{FieldDef, Housekeeping, Kind, Packet, Value};
use serde::{Deserialize, Serialize};

use super::text::cut;
use crate::telemetry::Level;

/// Columns of the table of all channels, and of each of them on the screen.
const TABLE_COLUMNS: usize = 3;
const CELL: usize = 26;
/// Characters of a value in it.
const VALUE: usize = 7;

/// The answer to [`Request::Tlm`](super::Request::Tlm).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlmAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// When the channels were looked at, ms since 1970-01-01 UTC.
    pub sampled_unix_ms: u64,
    /// The channels, in the order of the dictionary.
    pub channels: Vec<ChannelRow>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Its name.
    pub name: String,
    /// Its value; none: it isn't known.
    pub value: Option<Reading>,
    /// The unit of that; empty: none.
    pub unit: String,
    /// Where it stands against its limits; none: it has none.
    pub level: Option<Level>,
    /// Red low, yellow low, yellow high, red high; none of one that there isn't. None: it has no limits.
    pub limits: Option<[Option<f32>; 4]>,
}

/// The value of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading {
    /// A whole number.
    Whole(u64),
    /// A number.
    Number(f64),
    /// One of a few names.
    Name(String),
}

impl TlmAnswer {
    /// Only the channels that are named, if any are.
    ///
    /// # Errors
    /// There is none of such a name, in words.
    pub fn only(mut self, named: &[String]) -> Result<Self, String> {
        let unknown = named.iter().find(|name| !self.channels.iter().any(|row| row.name == **name));
        if let Some(name) = unknown {
            return Err(format!("there is no channel {name:?}; `passband tlm` lists them"));
        }
        self.channels.retain(|row| named.is_empty() || named.contains(&row.name));
        Ok(self)
    }
}

impl ChannelRow {
    /// All channels, where each stands as `level` says, with the limits of `limits`.
    pub fn all(
        channels: &Housekeeping,
        level: impl Fn(&str) -> Option<Level>,
        limits: impl Fn(&FieldDef) -> Option<[f32; 4]>,
    ) -> Vec<Self> {
        let mut rows = Vec::new();
        channels.visit(&mut |field, value| {
            let limits = limits(field);
            rows.push(Self {
                name: field.name.to_owned(),
                value: Reading::of(field.kind, &value),
                unit: field.unit.to_owned(),
                level: level(field.name).filter(|_| limits.is_some()),
                limits: limits.map(|all| all.map(|limit| Some(limit).filter(|limit| !limit.is_nan()))),
            });
        });
        rows
    }
}

impl Reading {
    fn of(kind: Kind, value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Unsigned(n) if kind == Kind::U32 && *n == u64::from(u32::MAX) => None,
            Value::Unsigned(n) => Some(Self::Whole(*n)),
            Value::Real(x) if x.is_nan() => None,
            Value::Name(names, code) => Some(
                names.name_of(*code).map_or(Self::Whole((*code).into()), |name| Self::Name(name.to_owned())),
            ),
            other => other.number().map(Self::Number),
        }
    }

    fn short(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Whole(n) if *n < 1_000_000 => n.to_string(),
            Self::Whole(n) => with_prefix(*n as f64),
            Self::Number(x) if x.abs() < 99_999.5 => format!("{x:.1}"),
            Self::Number(x) => with_prefix(*x),
        }
    }

    fn long(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Whole(n) => n.to_string(),
            Self::Number(x) => format!("{x:.3}"),
        }
    }
}

/// A great number in few characters.
fn with_prefix(x: f64) -> String {
    let prefixes = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let found = prefixes.into_iter().find(|(unit, _)| x.abs() >= *unit);
    found.map_or_else(|| format!("{x:.1}"), |(unit, prefix)| format!("{:.1}{prefix}", x / unit))
}

/// `passband tlm`: all channels in a table, or, of a few, a paragraph each.
pub fn tlm_text(answer: &TlmAnswer, in_full: bool) -> String {
    if in_full { answer.channels.iter().map(in_words).collect() } else { table(&answer.channels) }
}

fn table(channels: &[ChannelRow]) -> String {
    let rows = channels.len().div_ceil(TABLE_COLUMNS).max(1);
    let mut out = String::new();
    for row in 0..rows {
        let cells: Vec<String> = channels.iter().skip(row).step_by(rows).map(cell).collect();
        let _ok = writeln!(out, "{}", cells.join(" ").trim_end());
    }
    out.push_str("! red, * yellow, - not known; `passband tlm NAME` shows unit and limits\n");
    out
}

fn cell(channel: &ChannelRow) -> String {
    let mark = match channel.level {
        Some(Level::Red) => '!',
        Some(Level::Yellow) => '*',
        Some(Level::Green) | None => ' ',
    };
    let value = channel.value.as_ref().map_or_else(|| "-".to_owned(), Reading::short);
    let room = CELL.saturating_sub(1 + value.chars().count().max(VALUE));
    let name = cut(&channel.name, room);
    let gap = CELL.saturating_sub(1 + name.chars().count());
    format!("{mark}{name}{value:>gap$}")
}

fn in_words(channel: &ChannelRow) -> String {
    let value = channel.value.as_ref().map_or_else(|| "not known".to_owned(), Reading::long);
    let unit = if channel.unit.is_empty() { String::new() } else { format!(" {}", channel.unit) };
    let mut out = format!("{} {value}{unit}", channel.name);
    if let (Some(level), Some(limits)) = (channel.level, channel.limits) {
        let limits: Vec<String> =
            limits.iter().map(|limit| limit.map_or_else(|| "-".to_owned(), |x| x.to_string())).collect();
        let _ok = write!(out, "  {}; limits {}", level.name(), limits.join(","));
    }
    out.push('\n');
    if let Some((_, field)) = Housekeeping::DEF.field(&channel.name) {
        let _ok = writeln!(out, "    {}", field.doc.trim());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{SCHEMA, Sample, Settings};

    fn answer(sample: &Sample) -> TlmAnswer {
        let settings = Settings::default();
        let channels = ChannelRow::all(
            &sample.housekeeping(),
            |name| (name == "power").then_some(Level::Red),
            |field| field.limits.map(|limits| settings.limits(limits)),
        );
        TlmAnswer { schema: SCHEMA, sampled_unix_ms: 1, channels }
    }

    #[test]
    fn all_channels_fit_a_screen() {
        let mut sample = Sample { rate_bps: u64::MAX, free_disk_bytes: Some(u64::MAX), ..Sample::default() };
        sample.counters.bytes_sent = u64::MAX;
        sample.counters.frames_rejected = 4_294_967_294;
        sample.others.readings.power_w = Some(31.25);
        let answer = answer(&sample);
        let text = tlm_text(&answer, false);
        assert!(text.lines().count() <= 23, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for name in Housekeeping::DEF.fields.iter().map(|field| field.name) {
            assert!(text.contains(name), "{name}: {text}");
        }
        assert!(text.contains("!power                31.2"), "{text}");
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<TlmAnswer>(&json).unwrap(), answer);
    }

    #[test]
    fn a_channel_is_told_with_unit_limits_and_meaning() {
        let mut sample = Sample::default();
        sample.others.readings.power_w = Some(31.25);
        let mut answer = answer(&sample);
        answer.channels.retain(|row| ["power", "temperature", "mode"].contains(&row.name.as_str()));
        assert_eq!(
            tlm_text(&answer, true),
            "mode nominal\n    How the payload works.\n\
             temperature not known degC\n    The board's highest temperature; NaN: not known.\n\
             power 31.250 W  red; limits -,-,25,30\n    The power that the board takes; NaN: not known.\n"
        );
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["channels"][1]["value"], serde_json::Value::Null);
        assert_eq!(json["channels"][2]["limits"][3], 30.0);
    }
}
