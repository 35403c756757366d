//! `passband-ground dissector`: the Wireshark dissector, made from the codec's own table of fields and the dictionary.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use passband_proto::datagram::{
    CRC_BYTES, FIELDS, HEADER_BYTES, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES, OVERHEAD_BYTES, TAG_BYTES,
};
use passband_proto::ids::Class;

use crate::dictionary::{frame, lua};

/// Print a Wireshark dissector (Lua) for datagrams, alerts, reports, acknowledgements, telemetry and
/// the uplink.
///
/// Put it into Wireshark's folder of personal Lua plugins (Help, About, Folders), or name it with
/// -X lua_script:FILE. It finds Passband's datagrams and telemetry on any UDP port by their first bytes; the uplink on
/// the ports of its preference.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground dissector > passband.lua\n  tshark -X lua_script:passband.lua -r pass1.pcap -Y 'passband.block == 3'"
)]
pub struct DissectorArgs {}

/// Runs `passband-ground dissector`.
///
/// # Errors
/// None.
pub fn run(_args: &DissectorArgs) -> Result<ExitCode> {
    std::io::stdout().write_all(lua().as_bytes()).context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// The dissector.
#[must_use]
pub fn lua() -> String {
    let mut fields = String::new();
    let mut adds = String::new();
    for field in FIELDS {
        let (name, what) = (field.name, field.what);
        let kind = match (name, field.bytes) {
            ("magic", _) => format!("ProtoField.string(\"passband.{name}\", \"{what}\")"),
            ("class", _) => format!("ProtoField.uint8(\"passband.{name}\", \"{what}\", base.DEC, classes)"),
            ("link_seq", _) => format!("ProtoField.uint64(\"passband.{name}\", \"{what}\", base.HEX)"),
            (_, bytes @ 1..=4) => {
                format!("ProtoField.uint{}(\"passband.{name}\", \"{what}\", base.DEC)", bytes * 8)
            }
            _ => format!("ProtoField.bytes(\"passband.{name}\", \"{what}\")"),
        };
        let _ = writeln!(fields, "f.{name} = {kind}");
        let _ = writeln!(adds, "  field(tree, tvb, f.{name}, {}, {})", field.offset, field.bytes);
    }
    let classes: Vec<_> =
        Class::ALL.iter().map(|class| format!("[{}] = \"{}\"", *class as u8, class.name())).collect();
    let telemetry = TELEMETRY
        .replace("@TABLES@", &lua::tables())
        .replace("@FRONT@", &frame::FRONT_BYTES.to_string())
        .replace("@BACK@", &frame::BACK_BYTES.to_string())
        .replace("@P_FIELD@", &frame::TIME_P_FIELD.to_string());
    TEMPLATE
        .replace("@TELEMETRY@", telemetry.trim_end())
        .replace("@PORTS@", DEFAULT_PORTS)
        .replace("@FIELDS@", fields.trim_end())
        .replace("@ADDS@", adds.trim_end())
        .replace("@CLASSES@", &classes.join(", "))
        .replace("@HEADER@", &HEADER_BYTES.to_string())
        .replace("@TAG@", &TAG_BYTES.to_string())
        .replace("@CRC@", &CRC_BYTES.to_string())
        .replace("@OVERHEAD@", &OVERHEAD_BYTES.to_string())
        .replace("@LEAST@", &(usize::from(MIN_SYMBOL_BYTES) + OVERHEAD_BYTES).to_string())
        .replace("@MOST@", &(usize::from(MAX_SYMBOL_BYTES) + OVERHEAD_BYTES).to_string())
}

const TEMPLATE: &str = include_str!("dissector.lua");
const TELEMETRY: &str = include_str!("telemetry.lua");
/// The default ports of the fast link, the alert radio and the slow link.
const DEFAULT_PORTS: &str = "47000,47001,47011";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_dissector_is_the_one_that_is_printed() {
        let shipped = include_str!("../../../wireshark/passband.lua");
        assert!(shipped == lua(), "passband-ground dissector > wireshark/passband.lua");
        assert!(!lua().contains('@'), "every place is filled");
        for field in FIELDS {
            assert!(lua().contains(&format!("\"passband.{}\"", field.name)), "{}", field.name);
        }
    }
}
