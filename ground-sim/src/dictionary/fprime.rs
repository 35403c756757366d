//! The dictionary in F Prime's JSON form (its dictionary specification, version 1.0.0), for `fprime-gds` and what builds on it.
//!
//! F Prime has a framing of its own: [`super::fprime_stream`] puts packets and events into it. Three things are said
//! otherwise there, as F Prime has no word for them:
//!
//! - a code without a name: its enumeration says `UNNAMED`, and the channel `…Code` beside it has the number
//! - an event's severity in particular: an event of a code has an identifier for each severity, `severity << 16 | code`
//! - a byte string of variable length, in an order: a text of hexadecimal digits

use passband_proto::dict::{
    ArgDef, EventCode, FieldDef, Kind, Names, ORDERS, Opcode, OrderDef, PACKETS, PARAMETERS, PacketDef,
    ParameterDef, Severity,
};
use serde_json::{Value as Json, json};

use super::{all_names, camel, default_limits, said, shouted};

/// The code of a value whose own code has no name.
pub const UNNAMED: u16 = 0xFFFE;
/// The identifier of an event whose code or severity has no name.
pub const UNNAMED_EVENT: u32 = 0x00FF_0000;
/// Most bytes of an event's text: two bytes of UTF-8 become seven characters of an escape at most.
pub const EVENT_TEXT_BYTES: usize = 560;

/// The document.
#[must_use]
pub fn text() -> String {
    let document = json!({
        "metadata": {
            "deploymentName": "Passband",
            "projectVersion": env!("CARGO_PKG_VERSION"),
            "frameworkVersion": "4.0.0",
            "libraryVersions": [],
            "dictionarySpecVersion": "1.0.0",
        },
        "typeDefinitions": types(),
        "constants": [],
        "commands": ORDERS.iter().map(command).collect::<Vec<_>>(),
        "parameters": PARAMETERS.iter().map(parameter).collect::<Vec<_>>(),
        "events": events(),
        "telemetryChannels": PACKETS.iter().flat_map(|packet| channels(packet)).collect::<Vec<_>>(),
        "records": [],
        "containers": [],
        "telemetryPacketSets": [{
            "name": "Packets",
            "members": PACKETS.iter().map(|packet| members(packet)).collect::<Vec<_>>(),
            "omitted": [],
        }],
    });
    format!("{document:#}\n")
}

/// The identifier of an event.
#[must_use]
pub fn event_id(severity: Severity, code: EventCode) -> u32 {
    u32::from(severity.code()) << 16 | u32::from(code.code())
}

fn integer(name: &str, bits: u32, signed: bool) -> Json {
    json!({ "name": name, "kind": "integer", "size": bits, "signed": signed })
}

fn string(bytes: usize) -> Json {
    json!({ "name": "string", "kind": "string", "size": bytes })
}

fn named(name: &str) -> Json {
    json!({ "name": format!("Passband.{name}"), "kind": "qualifiedIdentifier" })
}

fn of_kind(kind: Kind) -> Json {
    match kind {
        Kind::U8 => integer("U8", 8, false),
        Kind::U16 => integer("U16", 16, false),
        Kind::U32 => integer("U32", 32, false),
        Kind::U64 => integer("U64", 64, false),
        Kind::I32 => integer("I32", 32, true),
        Kind::F32 => json!({ "name": "F32", "kind": "float", "size": 32 }),
        Kind::Name8(names) | Kind::Name16(names) => named(&camel(names.name)),
        Kind::FixedText(bytes) => string(usize::from(bytes).saturating_sub(1)),
        Kind::Fixed(bytes) => named(&format!("Bytes{bytes}")),
        Kind::Text(most) => string(most.into()),
        Kind::Bytes(most) => string(2 * usize::from(most)),
        Kind::Order => string(2 * 255),
        Kind::Limits => named("Limits"),
    }
}

fn types() -> Vec<Json> {
    let aliases = [
        ("FwPacketDescriptorType", 16),
        ("FwOpcodeType", 32),
        ("FwChanIdType", 32),
        ("FwEventIdType", 32),
        ("FwPrmIdType", 32),
        ("FwTlmPacketizeIdType", 16),
        ("FwSizeStoreType", 16),
        ("FwTimeBaseStoreType", 16),
        ("FwTimeContextStoreType", 8),
    ];
    let aliases = aliases.into_iter().map(|(name, bits)| {
        let kind = integer(&format!("U{bits}"), bits, false);
        json!({ "kind": "alias", "qualifiedName": name, "type": kind, "underlyingType": kind, "annotation": "" })
    });
    let fields = PACKETS.iter().flat_map(|packet| packet.fields).map(|field| field.kind);
    let args = ORDERS.iter().flat_map(|order| order.args).map(|arg| arg.kind);
    let mut sizes: Vec<_> = fields
        .chain(args)
        .filter_map(|kind| if let Kind::Fixed(bytes) = kind { Some(bytes) } else { None })
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let bytes = sizes
        .into_iter()
        .map(|size| array(&format!("Bytes{size}"), size.into(), &of_kind(Kind::U8), &json!(0)));
    let limits = array("Limits", 4, &of_kind(Kind::F32), &json!(0.0));
    let names = all_names().into_iter().map(enumeration);
    aliases.chain([time_base()]).chain(bytes).chain([limits]).chain(names).collect()
}

fn array(name: &str, size: usize, element: &Json, zero: &Json) -> Json {
    json!({
        "kind": "array", "qualifiedName": format!("Passband.{name}"), "size": size, "elementType": element,
        "default": vec![zero; size], "annotation": "",
    })
}

/// What F Prime's own time is counted from: here always the workstation's clock, so to speak: Unix time.
fn time_base() -> Json {
    let constants =
        [("TB_NONE", 0), ("TB_PROC_TIME", 1), ("TB_WORKSTATION_TIME", 2), ("TB_DONT_CARE", 0xFFFF)];
    let constants: Vec<_> = constants
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value, "annotation": "" }))
        .collect();
    json!({
        "kind": "enum", "qualifiedName": "TimeBase", "representationType": integer("U16", 16, false),
        "enumeratedConstants": constants, "default": "TimeBase.TB_NONE", "annotation": "",
    })
}

fn enumeration(names: &Names) -> Json {
    let name = format!("Passband.{}", camel(names.name));
    let constant =
        |name: &str, value: u16, doc: &str| json!({ "name": name, "value": value, "annotation": said(doc) });
    let first = names.values.first().map_or_else(|| "UNNAMED".to_owned(), |value| shouted(value.name));
    let mut constants: Vec<_> =
        names.values.iter().map(|value| constant(&shouted(value.name), value.code, value.doc)).collect();
    constants.push(constant("UNNAMED", UNNAMED, "A code that has no name: see the channel beside it."));
    json!({
        "kind": "enum", "qualifiedName": name, "representationType": integer("U16", 16, false),
        "enumeratedConstants": constants, "default": format!("{name}.{first}"), "annotation": "",
    })
}

fn formal(name: &str, kind: &Json, doc: &str) -> Json {
    json!({ "name": name, "type": kind, "ref": false, "annotation": doc })
}

fn command(order: &OrderDef) -> Json {
    let arg = |arg: &ArgDef| formal(arg.name, &of_kind(arg.kind), said(arg.doc));
    json!({
        "name": format!("Passband.{}", shouted(order.words)), "commandKind": "async", "opcode": order.opcode,
        "annotation": said(order.doc), "formalParams": order.args.iter().map(arg).collect::<Vec<_>>(),
        "priority": 0, "queueFullBehavior": "drop",
    })
}

/// All parameters are set by the one order, and kept by another.
fn parameter(def: &ParameterDef) -> Json {
    let (group, name) = def.id.name().split_once('.').unwrap_or(("other", def.id.name()));
    json!({
        "name": format!("Passband.{}.{}", camel(group), camel(name)), "type": of_kind(def.kind),
        "id": def.id.code(), "annotation": said(def.doc), "setOpcode": Opcode::ParamsSet.code(),
        "saveOpcode": Opcode::ParamsCommit.code(),
    })
}

fn events() -> Vec<Json> {
    let number = formal("number", &of_kind(Kind::U32), "Its number.");
    let text = formal("text", &string(EVENT_TEXT_BYTES), "What in particular.");
    let of_code = EventCode::ALL.iter().zip(EventCode::NAMES.values).flat_map(|(code, said_of)| {
        let args = json!([number, text]);
        Severity::ALL.iter().map(move |severity| {
            let usual = *severity == code.usual_severity();
            let suffix = if usual { String::new() } else { camel(severity.name()) };
            json!({
                "name": format!("Passband.{}{suffix}", camel(code.name())), "severity": severity_name(*severity),
                "id": event_id(*severity, *code), "format": "{1}", "formalParams": args,
                "annotation": said(said_of.doc),
            })
        })
    });
    let code = formal("code", &of_kind(Kind::U16), "Its code.");
    let severity = formal("severity", &of_kind(Kind::U8), "The code of its severity.");
    let unnamed = json!({
        "name": "Passband.Unnamed", "severity": "WARNING_HI", "id": UNNAMED_EVENT,
        "format": "code {2}, severity {3}: {1}", "formalParams": [number, text, code, severity],
        "annotation": "An event of a code or severity that has no name here.",
    });
    of_code.chain([unnamed]).collect()
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "ACTIVITY_HI",
        Severity::Warning => "WARNING_LO",
        Severity::Error => "WARNING_HI",
        Severity::Critical => "FATAL",
    }
}

/// The names of a field's channels: one more where it has a code that may have no name.
fn channel_names(packet: &PacketDef, field: &FieldDef) -> Vec<String> {
    let name = format!("Passband.{}.{}", camel(packet.name), camel(field.name));
    match field.kind {
        Kind::Name8(_) | Kind::Name16(_) => vec![name.clone(), name + "Code"],
        _ => vec![name],
    }
}

fn channels(packet: &PacketDef) -> Vec<Json> {
    let numbered = (0..).zip(packet.fields);
    let each = numbered.flat_map(|(i, field): (u32, _)| {
        let id = u32::from(packet.apid) << 8 | i;
        let both = [(id, of_kind(field.kind)), (1 << 28 | id, of_kind(Kind::U16))];
        channel_names(packet, field).into_iter().zip(both).map(move |(name, (id, kind))| {
            let mut channel = json!({
                "name": name, "type": kind, "id": id, "telemetryUpdate": "always", "annotation": annotation(field),
            });
            if let Some([red_low, yellow_low, yellow_high, red_high]) = default_limits(field) {
                channel["limits"] = json!({ "low": limits(red_low, yellow_low), "high": limits(red_high, yellow_high) });
            }
            channel
        })
    });
    each.collect()
}

fn annotation(field: &FieldDef) -> String {
    let doc = said(field.doc);
    if field.unit.is_empty() { doc.to_owned() } else { format!("{doc} [{}]", field.unit) }
}

fn limits(red: Option<f32>, yellow: Option<f32>) -> Json {
    let each = [("red", red), ("yellow", yellow)];
    each.into_iter()
        .filter_map(|(name, x)| Some((name.to_owned(), json!(x?))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn members(packet: &PacketDef) -> Json {
    let channels: Vec<_> = packet.fields.iter().flat_map(|field| channel_names(packet, field)).collect();
    json!({ "name": camel(packet.name), "id": packet.apid, "group": 0, "members": channels })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_has_the_name_or_the_number_of_another() {
        let document: Json = serde_json::from_str(&text()).unwrap();
        for (part, number) in
            [("commands", "opcode"), ("events", "id"), ("telemetryChannels", "id"), ("parameters", "id")]
        {
            let all = document[part].as_array().unwrap();
            let names: BTreeSet<_> = all.iter().map(|item| item["name"].as_str().unwrap()).collect();
            let numbers: BTreeSet<_> = all.iter().map(|item| item[number].as_u64().unwrap()).collect();
            assert_eq!((names.len(), numbers.len()), (all.len(), all.len()), "{part}");
        }
        assert!(all_names().iter().all(|names| names.name_of(UNNAMED).is_none()));
    }
}
