//! The dictionary: everything that is commanded, told and set, defined once.
//!
//! | table | what |
//! | --- | --- |
//! | [`ORDERS`] | what the satellite can be told to do |
//! | [`PACKETS`] | what it tells in telemetry, channel by channel |
//! | [`EventCode`] | what happens |
//! | [`PARAMETERS`] | what can be changed |
//!
//! The satellite, its shell and the ground use these very tables, and so do the dictionaries that are written for other
//! programs. [`digest`] tells one version of them from another. Nothing here knows how an order is done or a packet sent.

mod events;
mod kind;
mod orders;
mod packets;
mod parameters;
#[cfg(feature = "std")]
pub mod words;

pub use events::{EventCode, Severity};
pub use kind::{Field, FixedText, Kind, NameDef, Names, NestedOrder, Value};
pub use orders::{
    ArgDef, Args, BadOrder, BundleClass, Confirms, DashedName, Hazard, MAX_ORDER_BYTES, MAX_RATE_BPS,
    MIN_RATE_BPS, ORDERS, Opcode, Order, OrderDef, Range, Shed, SlotName, Source, Sources, UploadKind,
    Wanted,
};
pub use packets::{
    Answer, Apid, Association, Beacon, Disk, Event, FieldDef, Housekeeping, KeyState, MAX_DATA_BYTES, Mode,
    PACKETS, Packet, PacketDef, Parameter, ParametersState, Plan, PlanState, Reason, ResetCause, Script,
    ScriptEnd, Stage, Time, UpdateState, Upload, UploadFate,
};
pub use parameters::{BadValue, PARAMETER_NAMES, PARAMETERS, ParameterDef, ParameterId, Transmit};

use sha2::{Digest, Sha256};

/// SHA-256 over all that two ends have to agree on: numbers, names, kinds, ranges and their order, not what is said about
/// them.
#[must_use]
pub fn digest() -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut text = |text: &str| {
        hash.update(text);
        hash.update([0]);
    };
    for order in ORDERS {
        text(order.words);
        number(&mut text, order.opcode.into());
        number(&mut text, order.sources.0.into());
        number(&mut text, order.hazard.code().into());
        for arg in order.args {
            field(&mut text, arg.name, arg.kind);
            number(&mut text, arg.least.to_bits());
            number(&mut text, arg.most.to_bits());
            text(arg.default.unwrap_or("\u{1}"));
        }
    }
    for packet in PACKETS {
        text(packet.name);
        number(&mut text, packet.apid.into());
        packet.fields.iter().for_each(|f| field(&mut text, f.name, f.kind));
    }
    for parameter in PARAMETERS {
        field(&mut text, parameter.id.name(), parameter.kind);
        number(&mut text, parameter.least.to_bits());
        number(&mut text, parameter.most.to_bits());
    }
    hash.finalize().into()
}

fn field(text: &mut dyn FnMut(&str), name: &str, kind: Kind) {
    text(name);
    let (code, size, names) = match kind {
        Kind::U8 => (1, 0, None),
        Kind::U16 => (2, 0, None),
        Kind::U32 => (3, 0, None),
        Kind::U64 => (4, 0, None),
        Kind::I32 => (5, 0, None),
        Kind::F32 => (6, 0, None),
        Kind::Name8(names) => (7, 0, Some(names)),
        Kind::Name16(names) => (8, 0, Some(names)),
        Kind::FixedText(len) => (9, len.into(), None),
        Kind::Fixed(len) => (10, len.into(), None),
        Kind::Text(max) => (11, max.into(), None),
        Kind::Bytes(max) => (12, max.into(), None),
        Kind::Order => (13, 0, None),
        Kind::Limits => (14, 0, None),
    };
    number(text, code);
    number(text, size);
    for value in names.map_or(&[][..], |names| names.values) {
        text(value.name);
        number(text, value.code.into());
    }
}

fn number(text: &mut dyn FnMut(&str), number: u64) {
    // Digits, so that no number holds the zero that ends a text.
    let mut digits = [b'0'; 20];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(left % 10).unwrap_or_default());
        left /= 10;
    }
    text(core::str::from_utf8(&digits).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_hangs_on_names_numbers_and_sizes() {
        let of = |name: &str, kind: Kind| {
            let mut seen = std::string::String::new();
            field(&mut |part| seen.push_str(part), name, kind);
            seen
        };
        assert_ne!(of("a", Kind::U8), of("b", Kind::U8));
        assert_ne!(of("a", Kind::Text(1)), of("a", Kind::Text(2)));
        assert_ne!(of("a", Kind::Name8(Mode::NAMES)), of("a", Kind::Name8(Disk::NAMES)));
        assert_eq!(digest(), digest());
    }
}
