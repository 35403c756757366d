//! The dictionary for people: orders, telemetry, events and parameters as tables. `docs/dictionary.md` is this text.

use std::fmt::Write as _;

use passband_proto::dict::words::Usage;
use passband_proto::dict::{
    ArgDef, EventCode, Hazard, Kind, Names, ORDERS, OrderDef, PACKETS, PARAMETERS, PacketDef, ParameterDef,
};

use super::{all_names, frame, range, said, source_names};

const HEAD: &str = "# Dictionary

What the satellite can be told, what it tells, what happens and what can be changed. Made by
`passband-ground dictionary --format markdown` from `proto/src/dict`: change it there.

All numbers are big endian. `name8` and `name16` are codes of 1 and 2 bytes with the names below.
";

/// The document.
#[must_use]
pub fn text() -> String {
    let mut out = HEAD.to_owned();
    orders(&mut out);
    packets(&mut out);
    events(&mut out);
    parameters(&mut out);
    out.push_str("\n## Names\n");
    all_names().into_iter().filter(|names| !elsewhere(names)).for_each(|names| of_names(&mut out, names));
    out
}

/// Sets of names that have a table of their own above.
fn elsewhere(names: &Names) -> bool {
    ["event", "parameter"].contains(&names.name)
}

fn orders(out: &mut String) {
    out.push_str("\n## Orders\n\nAn order is its opcode (2 bytes) and its arguments. A shell takes it as it is written here.\n");
    for order in ORDERS {
        let _ = writeln!(out, "\n### {}\n\n`{}`\n\n{}", order.words, Usage(order), order_said(order));
        if !order.args.is_empty() {
            out.push_str(
                "\n| argument | kind | unit | range | default | |\n| --- | --- | --- | --- | --- | --- |\n",
            );
            order.args.iter().for_each(|arg| argument(out, arg));
        }
    }
}

fn order_said(order: &OrderDef) -> String {
    let steps = match order.hazard {
        Hazard::None => "",
        Hazard::TwoSteps => " It takes two steps: arm, then fire.",
        Hazard::TwoKeys => " It takes two steps, arm and fire, under two keys.",
    };
    let who = source_names(order.sources).join(", ");
    format!("{}{steps} Opcode 0x{:04X}; given by {who}.", said(order.doc), order.opcode)
}

fn argument(out: &mut String, arg: &ArgDef) {
    let default = arg.default.map(|default| format!("`{default}`")).unwrap_or_default();
    let range = range_said(arg.least, arg.most);
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {range} | {default} | {} |",
        arg.name,
        kind(arg.kind),
        arg.unit,
        cell(arg.doc)
    );
}

fn range_said(least: f64, most: f64) -> String {
    match range(least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("from {least}"),
        (None, Some(most)) => format!("to {most}"),
        (None, None) => String::new(),
    }
}

fn packets(out: &mut String) {
    out.push_str("\n## Telemetry\n\nSpace packets (CCSDS 133.0-B-2), each of fixed length. Around the user data of each stand:\n");
    out.push_str("\n| bits | what | |\n| --- | --- | --- |\n");
    let around =
        frame::HEADER.iter().chain(&frame::FRONT).map(|part| (part.bits.to_string(), part.name, part.doc));
    let data = ("…".to_owned(), "user data", "The fields below.");
    let back = frame::BACK.iter().map(|part| (part.bits.to_string(), part.name, part.doc));
    for (bits, name, doc) in around.chain([data]).chain(back) {
        let _ = writeln!(out, "| {bits} | {name} | {doc} |");
    }
    PACKETS.iter().for_each(|packet| packet_said(out, packet));
}

fn packet_said(out: &mut String, packet: &PacketDef) {
    let bytes = packet.data_bytes();
    let whole = bytes + frame::FRONT_BYTES + frame::BACK_BYTES;
    let (name, apid) = (packet.name, packet.apid);
    let _ = writeln!(
        out,
        "\n### {name}\n\n{} APID 0x{apid:03X}; {bytes} bytes of user data, {whole} in all.",
        said(packet.doc)
    );
    out.push_str("\n| offset | field | kind | unit | limits | |\n| --- | --- | --- | --- | --- | --- |\n");
    let mut offset = 0;
    for field in packet.fields {
        let limits = field.limits.map(|id| format!("`{id}`")).unwrap_or_default();
        let (kind, doc) = (kind(field.kind), cell(field.doc));
        let _ = writeln!(out, "| {offset} | `{}` | {kind} | {} | {limits} | {doc} |", field.name, field.unit);
        offset += field.kind.fixed_bytes().unwrap_or_default();
    }
}

fn events(out: &mut String) {
    out.push_str(
        "\n## Events\n\nThe severity is the usual one: an event in particular may be milder or worse.\n",
    );
    out.push_str("\n| code | event | severity | |\n| --- | --- | --- | --- |\n");
    for (code, value) in EventCode::ALL.iter().zip(EventCode::NAMES.values) {
        let severity = code.usual_severity();
        let _ =
            writeln!(out, "| 0x{:04X} | `{}` | {severity} | {} |", value.code, value.name, cell(value.doc));
    }
}

fn parameters(out: &mut String) {
    out.push_str("\n## Parameters\n\nA ↻ behind a name: the daemon starts anew by itself for it to count.\n");
    out.push_str("\n| code | parameter | kind | unit | range | default | |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    PARAMETERS.iter().for_each(|def| parameter(out, def));
}

fn parameter(out: &mut String, def: &ParameterDef) {
    let restarts = if def.restarts { " ↻" } else { "" };
    let default = if def.default.is_empty() { String::new() } else { format!("`{}`", def.default) };
    let (range, kind, doc) = (range_said(def.least, def.most), kind(def.kind), cell(def.doc));
    let (code, id, unit) = (def.id.code(), def.id, def.unit);
    let _ =
        writeln!(out, "| 0x{code:04X} | `{id}`{restarts} | {kind} | {unit} | {range} | {default} | {doc} |");
}

fn of_names(out: &mut String, names: &Names) {
    let _ = writeln!(out, "\n### {}\n\n| code | name | |\n| --- | --- | --- |", names.name);
    for value in names.values {
        let _ = writeln!(out, "| {} | `{}` | {} |", value.code, value.name, cell(value.doc));
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::U8 => "u8".to_owned(),
        Kind::U16 => "u16".to_owned(),
        Kind::U32 => "u32".to_owned(),
        Kind::U64 => "u64".to_owned(),
        Kind::I32 => "i32".to_owned(),
        Kind::F32 => "f32".to_owned(),
        Kind::Name8(names) => format!("name8 {}", names.name),
        Kind::Name16(names) => format!("name16 {}", names.name),
        Kind::FixedText(bytes) => format!("text in {bytes} bytes"),
        Kind::Fixed(bytes) => format!("{bytes} bytes"),
        Kind::Text(most) => format!("text, to {most} bytes"),
        Kind::Bytes(most) => format!("bytes, to {most}"),
        Kind::Order => "order".to_owned(),
        Kind::Limits => "limits".to_owned(),
    }
}

/// A sentence as it can stand in a table.
fn cell(doc: &str) -> String {
    said(doc).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_that_is_kept_is_this_one() {
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dictionary.md");
        if std::env::var_os("PASSBAND_UPDATE_GOLDEN").is_some() {
            std::fs::write(kept, text()).unwrap();
        }
        let found = std::fs::read_to_string(kept).unwrap_or_default();
        assert!(
            found == text(),
            "docs/dictionary.md is of another dictionary: run with PASSBAND_UPDATE_GOLDEN=1"
        );
    }
}
