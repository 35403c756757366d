//! The dictionary as a plugin of `OpenC3` COSMOS 6: one target with its commands and telemetry.
//!
//! A text of an order has its length in an item of its own in front (`VARIABLE_BIT_SIZE`); the header's length is filled in
//! by the interface's LENGTH protocol, the count is left to whoever seals the order for the uplink. What COSMOS can't say,
//! such as who may give an order, stands in the descriptions.

use std::fmt::Write as _;

use passband_proto::dict::{ArgDef, FieldDef, Hazard, Kind, NameDef, Names, ORDERS, OrderDef, PACKETS};

use super::{File, default_limits, frame, range, said, shouted, source_names};

const PLUGIN: &str = "# Passband, payload flight software. Made by `passband-ground dictionary --format cosmos`.
VARIABLE passband_host host.docker.internal
VARIABLE passband_port 47040
VARIABLE passband_target_name PASSBAND

TARGET PASSBAND <%= passband_target_name %>
# Packets of telemetry in and of orders out over one TCP connection, as `passband-ground bridge cosmos` offers it.
INTERFACE <%= passband_target_name %>_INT openc3/interfaces/tcpip_client_interface.py <%= passband_host %> <%= passband_port %> <%= passband_port %> 10.0 nil LENGTH 32 16 7 1 BIG_ENDIAN 0 nil nil true
  MAP_TARGET <%= passband_target_name %>
";
const TARGET: &str = "LANGUAGE python
IGNORE_PARAMETER CCSDS_VERSION
IGNORE_PARAMETER CCSDS_TYPE
IGNORE_PARAMETER CCSDS_SECONDARY_HEADER
IGNORE_PARAMETER CCSDS_APID
IGNORE_PARAMETER CCSDS_SEQUENCE_FLAGS
IGNORE_PARAMETER CCSDS_SEQUENCE_COUNT
IGNORE_PARAMETER CCSDS_LENGTH
IGNORE_PARAMETER OPCODE
";

/// The files of the plugin.
#[must_use]
pub fn files() -> Vec<File> {
    let file = |path: &str, text: String| File { path: path.to_owned(), text };
    vec![
        file("plugin.txt", PLUGIN.to_owned()),
        file("targets/PASSBAND/target.txt", TARGET.to_owned()),
        file("targets/PASSBAND/cmd_tlm/cmd.txt", commands()),
        file("targets/PASSBAND/cmd_tlm/tlm.txt", telemetry()),
    ]
}

fn telemetry() -> String {
    let mut out = String::new();
    for packet in PACKETS {
        let name = shouted(packet.name);
        let _ = writeln!(out, "TELEMETRY PASSBAND {name} BIG_ENDIAN {}", quoted(packet.doc));
        for part in frame::HEADER.iter().chain(&frame::FRONT) {
            let (name, bits) = (shouted(part.name), part.bits);
            let id = if part.name == "ccsds_apid" { packet.apid.to_string() + " " } else { String::new() };
            let item = if id.is_empty() { "ITEM" } else { "ID_ITEM" };
            let _ = writeln!(out, "  APPEND_{item} {name} {bits} UINT {id}{}", quoted(part.doc));
        }
        // 1/65536 s in microseconds, as COSMOS wants it for its time of the packet.
        out.push_str("    POLY_READ_CONVERSION 0 15.2587890625\n    UNITS microseconds us\n");
        packet.fields.iter().for_each(|field| item(&mut out, field));
        for part in frame::BACK {
            let _ =
                writeln!(out, "  APPEND_ITEM {} {} UINT {}", shouted(part.name), part.bits, quoted(part.doc));
        }
        out.push_str("  ITEM PACKET_TIME 0 0 DERIVED \"When the packet was made.\"\n");
        out.push_str("    READ_CONVERSION openc3/conversions/unix_time_conversion.py TIME_COARSE TIME_FINE RAW CONVERTED\n\n");
    }
    out
}

fn item(out: &mut String, field: &FieldDef) {
    let (bits, kind) = layout(field.kind);
    let _ = writeln!(out, "  APPEND_ITEM {} {bits} {kind} {}", shouted(field.name), quoted(field.doc));
    if let Kind::Name8(names) | Kind::Name16(names) = field.kind {
        names.values.iter().for_each(|value| state(out, value));
    }
    unit(out, field.unit);
    if let Some(limits) = default_limits(field) {
        let [red_low, yellow_low, yellow_high, red_high] = limits;
        let (low, high) = (red_low.unwrap_or(f32::MIN), red_high.unwrap_or(f32::MAX));
        let (yellow_low, yellow_high) = (yellow_low.unwrap_or(low), yellow_high.unwrap_or(high));
        let _ = writeln!(out, "    LIMITS DEFAULT 1 ENABLED {low:e} {yellow_low:e} {yellow_high:e} {high:e}");
    }
}

/// The size in bits and COSMOS's name of a kind; 0 bits: as many as an item in front says.
fn layout(kind: Kind) -> (usize, &'static str) {
    let bits = 8 * kind.fixed_bytes().unwrap_or_default();
    let name = match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::Name8(_) | Kind::Name16(_) => "UINT",
        Kind::I32 => "INT",
        Kind::F32 => "FLOAT",
        Kind::FixedText(_) | Kind::Text(_) => "STRING",
        Kind::Fixed(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => "BLOCK",
    };
    (bits, name)
}

fn state(out: &mut String, value: &NameDef) {
    let _ = writeln!(out, "    STATE {} {}", quoted(&value.name.to_uppercase()), value.code);
}

fn unit(out: &mut String, unit: &str) {
    if !unit.is_empty() {
        let _ = writeln!(out, "    UNITS {0} {0}", quoted(unit));
    }
}

fn commands() -> String {
    let mut out = String::new();
    for order in ORDERS {
        let who = source_names(order.sources).join(", ");
        let doc = format!("{} Given by: {who}.", said(order.doc));
        let _ = writeln!(out, "COMMAND PASSBAND {} BIG_ENDIAN {}", shouted(order.words), quoted(&doc));
        header(&mut out, order);
        order.args.iter().for_each(|arg| argument(&mut out, arg));
        let warning = match order.hazard {
            Hazard::None => None,
            Hazard::TwoSteps => Some("It is armed first, then fired."),
            Hazard::TwoKeys => Some("It is armed first, then fired under another key."),
        };
        if let Some(warning) = warning {
            let _ = writeln!(out, "  HAZARDOUS {}", quoted(warning));
        }
        out.push('\n');
    }
    out
}

fn header(out: &mut String, order: &OrderDef) {
    for part in frame::HEADER {
        let value = match part.name {
            "ccsds_type" => 1,
            "ccsds_apid" => frame::ORDER_APID,
            "ccsds_sequence_flags" => 3,
            _ => 0,
        };
        let most = (1_u32 << part.bits) - 1;
        let line = format!("{} {} UINT 0 {most} {value} {}", shouted(part.name), part.bits, quoted(part.doc));
        let _ = writeln!(out, "  APPEND_PARAMETER {line}");
    }
    out.push_str("  APPEND_PARAMETER ORDER_FLAGS 8 UINT 0 2 0 \"Run it, or arm or fire a hazardous one.\"\n");
    out.push_str("    STATE RUN 0\n    STATE ARM 1\n    STATE FIRE 2\n");
    out.push_str("  APPEND_PARAMETER ORDER_NUMBER 32 UINT MIN MAX 0 \"Its number: one that was taken before is not run again.\"\n");
    let (opcode, doc) = (order.opcode, quoted("Which order."));
    let _ = writeln!(out, "  APPEND_ID_PARAMETER OPCODE 16 UINT {opcode} {opcode} {opcode} {doc}");
}

fn argument(out: &mut String, arg: &ArgDef) {
    let (bits, kind) = layout(arg.kind);
    let (name, doc) = (shouted(arg.name), quoted(arg.doc));
    let counted = match arg.kind {
        Kind::Text(most) => Some((8, u16::from(most))),
        Kind::Order => Some((8, 255)),
        Kind::Bytes(most) => Some((16, most)),
        _ => None,
    };
    if let Some((bits, most)) = counted {
        let doc = quoted("Bytes of what follows.");
        let _ = writeln!(out, "  APPEND_PARAMETER {name}_LENGTH {bits} UINT 0 {most} 0 {doc}");
    }
    let values = match arg.kind {
        Kind::Text(_) | Kind::FixedText(_) | Kind::Fixed(_) | Kind::Bytes(_) | Kind::Order | Kind::Limits => {
            quoted(arg.default.unwrap_or_default())
        }
        Kind::Name8(names) | Kind::Name16(names) => named(names, arg.default),
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 | Kind::F32 => numbers(arg),
    };
    let _ = writeln!(out, "  APPEND_PARAMETER {name} {bits} {kind} {values} {doc}");
    if counted.is_some() {
        let _ = writeln!(out, "    VARIABLE_BIT_SIZE {name}_LENGTH");
    }
    if arg.default.is_none() {
        out.push_str("    REQUIRED\n");
    }
    if let Kind::Name8(names) | Kind::Name16(names) = arg.kind {
        names.values.iter().for_each(|value| state(out, value));
    }
    unit(out, arg.unit);
}

/// Least, greatest and default code.
fn named(names: &Names, default: Option<&str>) -> String {
    let first = names.values.first().map_or(0, |value| value.code);
    let default = default.and_then(|name| names.code_of(name)).unwrap_or(first);
    format!("MIN MAX {default}")
}

/// Least, greatest and default number.
fn numbers(arg: &ArgDef) -> String {
    let (least, most) = arg.whole_range();
    let (least, most) = range(least, most);
    let text = |x: Option<f64>, open: &str| x.map_or_else(|| open.to_owned(), |x| x.to_string());
    let default = arg.default.map_or_else(|| text(least, "0"), str::to_owned);
    format!("{} {} {default}", text(least, "MIN"), text(most, "MAX"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", said(text).replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_there_aren_t_are_never_broken() {
        let tlm = telemetry();
        assert!(tlm.contains("LIMITS DEFAULT 1 ENABLED -2.5e1 -1.5e1 7.5e1 8.8e1"));
        assert!(tlm.contains("LIMITS DEFAULT 1 ENABLED -3.4028235e38 -3.4028235e38 2.5e1 3e1"), "power");
    }

    #[test]
    fn hazardous_orders_say_so_and_texts_have_a_length() {
        let cmd = commands();
        let (_, reboot) = cmd.split_once("COMMAND PASSBAND BOARD_REBOOT").unwrap();
        assert!(reboot.split("COMMAND").next().unwrap().contains("HAZARDOUS"));
        assert!(cmd.contains("APPEND_PARAMETER NAME_LENGTH 8 UINT 0 24 0"));
        assert!(cmd.contains("APPEND_PARAMETER SECONDS 32 UINT 1 900 1 \"For so long.\""));
    }
}
