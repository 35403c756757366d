//! The part of the Wireshark dissector that knows telemetry: a field for every channel, and the tables by which a packet
//! is taken apart. The code that uses them is `commands/dissector.lua` and `commands/telemetry.lua`.

use std::fmt::Write as _;

use passband_proto::dict::{FieldDef, Kind, Names, PACKETS, PacketDef};

use super::{all_names, said};

/// Names of codes, fields of packets, and packets by their APIDs, as Lua tables.
#[must_use]
pub fn tables() -> String {
    let mut out = "local names = {}\n".to_owned();
    all_names().into_iter().filter(|names| in_telemetry(names)).for_each(|names| of_names(&mut out, names));
    out.push_str("local packets = {}\n");
    PACKETS.iter().for_each(|packet| of_packet(&mut out, packet));
    out.truncate(out.trim_end().len());
    out
}

fn in_telemetry(names: &Names) -> bool {
    let kinds = PACKETS.iter().flat_map(|packet| packet.fields).map(|field| field.kind);
    kinds.into_iter().any(|kind| matches!(kind, Kind::Name8(of) | Kind::Name16(of) if of.name == names.name))
}

fn of_names(out: &mut String, names: &Names) {
    let _ = writeln!(out, "names[\"{}\"] = {{", names.name);
    for value in names.values {
        let _ = writeln!(out, "  [{}] = \"{}\",", value.code, value.name);
    }
    out.push_str("}\n");
}

fn of_packet(out: &mut String, packet: &PacketDef) {
    let (apid, name, bytes) = (packet.apid, packet.name, packet.data_bytes());
    let _ = writeln!(out, "packets[0x{apid:03x}] = {{ name = \"{name}\", bytes = {bytes}, fields = {{");
    for field in packet.fields {
        let size = field.kind.fixed_bytes().unwrap_or_default();
        let text = if matches!(field.kind, Kind::FixedText(_)) { ", true" } else { "" };
        let _ = writeln!(out, "  {{ {}, {size}{text} }},", proto_field(packet, field));
    }
    out.push_str("} }\n");
}

fn proto_field(packet: &PacketDef, field: &FieldDef) -> String {
    let filter = format!("passband.tlm.{}.{}", packet.name, field.name);
    let unit = if field.unit.is_empty() { String::new() } else { format!(" ({})", field.unit) };
    let shown = format!("{}{unit}", field.name.replace('_', " "));
    let (kind, with) = match field.kind {
        Kind::U8 => ("uint8", "base.DEC, nil, nil".to_owned()),
        Kind::U16 => ("uint16", "base.DEC, nil, nil".to_owned()),
        Kind::U32 => ("uint32", "base.DEC, nil, nil".to_owned()),
        Kind::U64 => ("uint64", "base.DEC, nil, nil".to_owned()),
        Kind::I32 => ("int32", "base.DEC, nil, nil".to_owned()),
        Kind::Name8(names) => ("uint8", format!("base.DEC, names[\"{}\"], nil", names.name)),
        Kind::Name16(names) => ("uint16", format!("base.DEC, names[\"{}\"], nil", names.name)),
        Kind::F32 => ("float", "nil".to_owned()),
        Kind::FixedText(_) | Kind::Text(_) => ("string", "base.UNICODE".to_owned()),
        Kind::Fixed(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => ("bytes", "base.NONE".to_owned()),
    };
    // Texts of the dictionary have quotation marks in them.
    let doc = said(field.doc).replace('"', "'");
    format!("ProtoField.{kind}(\"{filter}\", \"{shown}\", {with}, \"{doc}\")")
}
