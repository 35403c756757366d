//! The dictionary in the forms that other programs read, each made from [`passband_proto::dict`] alone.
//!
//! | module | for whom |
//! | --- | --- |
//! | [`xtce`] | Yamcs, `space_packet_parser` and others: XTCE 1.2 |
//! | [`cosmos`] | `OpenC3` COSMOS: a plugin with one target |
//! | [`fprime`] | F Prime's ground system: its JSON dictionary; [`fprime_stream`] puts packets into its framing |
//! | [`openmct`] | Open MCT: measurements |
//! | [`lua`] | Wireshark: the part of the dissector that knows telemetry |
//! | [`markdown`] | people |
//! | [`json`] | whatever is to come: our own stable form of it all |
//!
//! Nothing here defines anything: what a packet holds, an order takes or an event means stands in `proto`. Nothing here
//! opens a file or a socket.

pub mod cosmos;
pub mod fprime;
pub mod fprime_stream;
pub mod frame;
pub mod json;
pub mod lua;
pub mod markdown;
pub mod openmct;
mod xml;
pub mod xtce;

use clap::ValueEnum;
use passband_proto::dict::{FieldDef, Names, ParameterDef, Source, Sources, Value};

/// A form of the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// XTCE 1.2 (OMG), for Yamcs and others.
    Xtce,
    /// A plugin of `OpenC3` COSMOS, a folder.
    Cosmos,
    /// F Prime's JSON dictionary.
    Fprime,
    /// Measurements of Open MCT.
    Openmct,
    /// The Wireshark dissector.
    Lua,
    /// A reference for people.
    Markdown,
    /// All of it, in a stable form of our own.
    Json,
}

/// A file of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below the folder that is asked for.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The files of a form; all but COSMOS have one.
#[must_use]
pub fn files(format: Format) -> Vec<File> {
    let one = |path: &str, text: String| vec![File { path: path.to_owned(), text }];
    match format {
        Format::Xtce => one("passband.xtce.xml", xtce::text()),
        Format::Cosmos => cosmos::files(),
        Format::Fprime => one("passband-fprime.json", fprime::text()),
        Format::Openmct => one("passband-openmct.json", openmct::text()),
        Format::Lua => one("passband.lua", crate::commands::dissector::lua()),
        Format::Markdown => one("dictionary.md", markdown::text()),
        Format::Json => one("passband.json", json::text()),
    }
}

/// What a table says about something, without the blank in front that doc comments leave.
fn said(doc: &str) -> &str {
    doc.trim()
}

/// A name in the manner of types: `reset_cause` to `ResetCause`.
fn camel(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    parts
        .flat_map(|part| {
            part.chars().enumerate().map(|(i, c)| if i == 0 { c.to_ascii_uppercase() } else { c })
        })
        .collect()
}

/// A name in the manner of constants: `power-cut` to `POWER_CUT`.
fn shouted(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Red low, yellow low, yellow high, red high of a channel unless an operator sets others; `None`: no such limit.
fn default_limits(field: &FieldDef) -> Option<[Option<f32>; 4]> {
    let def = ParameterDef::get(field.limits?)?;
    match def.parse(def.default, &mut Vec::new()) {
        Ok(Some(Value::Limits(limits))) => {
            let limits = limits.map(|x| (!x.is_nan()).then_some(x));
            limits.iter().any(Option::is_some).then_some(limits)
        }
        _ => None,
    }
}

/// Who may give an order.
fn source_names(sources: Sources) -> Vec<&'static str> {
    Source::ALL.iter().filter(|source| sources.has(**source)).map(|source| source.name()).collect()
}

/// The least and the greatest number, where there is a range.
fn range(least: f64, most: f64) -> (Option<f64>, Option<f64>) {
    ((least > f64::MIN).then_some(least), (most < f64::MAX).then_some(most))
}

/// All sets of names that packets, orders and parameters use, each once, by their names.
fn all_names() -> Vec<&'static Names> {
    use passband_proto::dict::{Kind, ORDERS, PACKETS, PARAMETERS};
    let fields = PACKETS.iter().flat_map(|packet| packet.fields).map(|field| field.kind);
    let args = ORDERS.iter().flat_map(|order| order.args).map(|arg| arg.kind);
    let mut all: Vec<_> = fields
        .chain(args)
        .chain(PARAMETERS.iter().map(|parameter| parameter.kind))
        .filter_map(|kind| match kind {
            Kind::Name8(names) | Kind::Name16(names) => Some(names),
            _ => None,
        })
        .collect();
    all.sort_by_key(|names| names.name);
    all.dedup_by_key(|names| names.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::{Kind, PACKETS};

    #[test]
    fn names_are_put_into_other_manners() {
        assert_eq!(camel("triage.alert_probability"), "TriageAlertProbability");
        assert_eq!(camel("pass start"), "PassStart");
        assert_eq!(shouted("as-it-is"), "AS_IT_IS");
    }

    #[test]
    fn no_two_sets_of_names_are_called_alike() {
        let all = all_names();
        for field in PACKETS.iter().flat_map(|packet| packet.fields) {
            if let Kind::Name8(names) | Kind::Name16(names) = field.kind {
                assert!(all.contains(&names), "{}: {}", field.name, names.name);
            }
        }
    }

    #[test]
    fn limits_come_from_the_parameters_defaults() {
        let housekeeping = PACKETS.iter().find(|packet| packet.name == "housekeeping").unwrap();
        let limits = |name: &str| default_limits(housekeeping.field(name).unwrap().1);
        assert_eq!(limits("temperature"), Some([Some(-25.0), Some(-15.0), Some(75.0), Some(88.0)]));
        assert_eq!(limits("power"), Some([None, None, Some(25.0), Some(30.0)]));
        assert_eq!(limits("frame_age"), None, "none is set");
        assert_eq!(limits("uptime"), None);
    }

    #[test]
    fn every_form_has_files_that_end_in_a_line_and_name_every_packet_and_channel() {
        for format in Format::value_variants() {
            let files = files(*format);
            assert!(
                files.iter().all(|file| file.text.ends_with('\n') && !file.path.starts_with('/')),
                "{format:?}"
            );
            let text: String = files.iter().map(|file| file.text.to_lowercase().replace('_', "")).collect();
            for packet in PACKETS {
                assert!(text.contains(packet.name), "{format:?} {}", packet.name);
                let missing = packet.fields.iter().find(|field| !text.contains(&field.name.replace('_', "")));
                assert_eq!(missing, None, "{format:?}");
            }
        }
    }
}
