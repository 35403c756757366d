//! The orders as XTCE's commands. The bytes are those of a packet in the clear, before it is sealed for the uplink; whoever
//! sends it fills in the header's count and length, as Yamcs does.

use passband_proto::dict::{ArgDef, DashedName, Hazard, Kind, ORDERS, OrderDef};

use super::super::xml::{Xml, is};
use super::super::{frame, range, said, shouted, source_names};
use super::{enumerated, fixed_bytes, fixed_text, integer, units};

/// The part of the document about commands.
pub(super) fn write(xml: &mut Xml) {
    xml.open("CommandMetaData", &[]);
    xml.open("ArgumentTypeSet", &[]);
    steps(xml);
    integer(xml, "IntegerArgumentType", &[is("name", "order_number_type")], (32, false), "");
    xml.close();
    for order in ORDERS {
        order.args.iter().for_each(|arg| argument_type(xml, order, arg));
    }
    xml.close();
    xml.open("MetaCommandSet", &[]);
    base(xml);
    ORDERS.iter().for_each(|order| command(xml, order));
    xml.close().close();
}

/// The type of the flags: what an order's packet asks for.
fn steps(xml: &mut Xml) {
    xml.open("EnumeratedArgumentType", &[is("name", "order_flags_type")]);
    xml.empty("IntegerDataEncoding", &[is("sizeInBits", &8), is("encoding", "unsigned")]);
    xml.open("EnumerationList", &[]);
    for (value, label) in ["run", "arm", "fire"].into_iter().enumerate() {
        xml.empty("Enumeration", &[is("value", &value), is("label", &label)]);
    }
    xml.close().close();
}

fn type_name(order: &OrderDef, arg: &ArgDef) -> String {
    format!("{}_{}_type", shouted(order.words), arg.name)
}

fn argument_type(xml: &mut Xml, order: &OrderDef, arg: &ArgDef) {
    let name = is("name", &type_name(order, arg));
    match arg.kind {
        Kind::Name8(names) => enumerated(xml, "EnumeratedArgumentType", &[name], 8, names),
        Kind::Name16(names) => enumerated(xml, "EnumeratedArgumentType", &[name], 16, names),
        Kind::F32 | Kind::Limits => {
            xml.open("FloatArgumentType", &[name, is("sizeInBits", &32)]);
            units(xml, arg.unit);
            xml.empty("FloatDataEncoding", &[is("sizeInBits", &32), is("encoding", "IEEE754_1985")]);
            valid(xml, arg);
        }
        Kind::FixedText(bytes) => {
            xml.open("StringArgumentType", &[name]);
            fixed_text(xml, bytes);
        }
        Kind::Fixed(bytes) => {
            xml.open("BinaryArgumentType", &[name]);
            fixed_bytes(xml, bytes);
        }
        Kind::Text(most) => counted_text(xml, name, most),
        Kind::Bytes(_) => counted_bytes(xml, order, arg, 16),
        Kind::Order => counted_bytes(xml, order, arg, 8),
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 => {
            let bits = u32::try_from(8 * arg.kind.fixed_bytes().unwrap_or_default()).unwrap_or_default();
            integer(xml, "IntegerArgumentType", &[name], (bits, arg.kind == Kind::I32), arg.unit);
            valid(xml, arg);
        }
    }
    xml.close();
}

fn counted_text(xml: &mut Xml, name: (&'static str, Option<String>), most: u8) {
    xml.open("StringArgumentType", &[name]).open("StringDataEncoding", &[is("encoding", "UTF-8")]);
    xml.open("Variable", &[is("maxSizeInBits", &(8 * u32::from(most)))]);
    xml.open("DynamicValue", &[])
        .empty("ParameterInstanceRef", &[is("parameterRef", "_yamcs_ignore")])
        .close();
    xml.empty("LeadingSize", &[is("sizeInBitsOfSizeTag", &8)]).close().close();
}

/// The type of the length's argument, and the one of the bytes, which is left open.
fn counted_bytes(xml: &mut Xml, order: &OrderDef, arg: &ArgDef, length_bits: u32) {
    let length = is("name", &format!("{}_{}_length_type", shouted(order.words), arg.name));
    integer(xml, "IntegerArgumentType", &[length], (length_bits, false), "B");
    xml.close();
    xml.open("BinaryArgumentType", &[is("name", &type_name(order, arg))]);
    xml.open("BinaryDataEncoding", &[]).open("SizeInBits", &[]).open("DynamicValue", &[]);
    xml.empty("ArgumentInstanceRef", &[is("argumentRef", &format!("{}_length", arg.name))]);
    xml.empty("LinearAdjustment", &[is("slope", &8)]).close().close().close();
}

fn valid(xml: &mut Xml, arg: &ArgDef) {
    let (least, most) = arg.whole_range();
    let (least, most) = range(least, most);
    if least.is_some() || most.is_some() {
        let text = |x: Option<f64>| x.map(|x| x.to_string());
        xml.open("ValidRangeSet", &[]);
        xml.empty("ValidRange", &[("minInclusive", text(least)), ("maxInclusive", text(most))]).close();
    }
}

/// What all orders have in common.
fn base(xml: &mut Xml) {
    xml.open("MetaCommand", &[is("name", "Order"), is("abstract", &true)]);
    xml.text(
        "LongDescription",
        "A packet with an order. A hazardous one is armed, then fired; all others run.",
    );
    xml.open("ArgumentList", &[]);
    xml.empty(
        "Argument",
        &[is("name", "order_flags"), is("argumentTypeRef", "order_flags_type"), is("initialValue", "run")],
    );
    // Whoever seals the order gives it a number.
    xml.empty(
        "Argument",
        &[is("name", "order_number"), is("argumentTypeRef", "order_number_type"), is("initialValue", "0")],
    )
    .close();
    xml.open("CommandContainer", &[is("name", "Order")]).open("EntryList", &[]);
    fixed(xml, "ccsds_identification", 0x1000 | frame::ORDER_APID);
    fixed(xml, "ccsds_sequence", 0xC000);
    fixed(xml, "ccsds_length", 0);
    for name in ["order_flags", "order_number"] {
        xml.empty("ArgumentRefEntry", &[is("argumentRef", &name)]);
    }
    xml.close().close().close();
}

fn fixed(xml: &mut Xml, name: &str, value: u16) {
    let value = is("binaryValue", &format!("{value:04X}"));
    xml.empty("FixedValueEntry", &[is("name", &name), value, is("sizeInBits", &16)]);
}

fn command(xml: &mut Xml, order: &OrderDef) {
    let name = shouted(order.words);
    xml.open("MetaCommand", &[is("name", &name), is("shortDescription", order.words)]);
    let who = source_names(order.sources).join(", ");
    xml.text("LongDescription", &format!("{} Given by: {who}.", said(order.doc)));
    xml.empty("BaseMetaCommand", &[is("metaCommandRef", "Order")]);
    if !order.args.is_empty() {
        xml.open("ArgumentList", &[]);
        order.args.iter().for_each(|arg| argument(xml, order, arg));
        xml.close();
    }
    xml.open("CommandContainer", &[is("name", &name)]).open("EntryList", &[]);
    fixed(xml, "opcode", order.opcode);
    for arg in order.args {
        if matches!(arg.kind, Kind::Bytes(_) | Kind::Order) {
            xml.empty("ArgumentRefEntry", &[is("argumentRef", &format!("{}_length", arg.name))]);
        }
        xml.empty("ArgumentRefEntry", &[is("argumentRef", &arg.name)]);
    }
    xml.close().empty("BaseContainer", &[is("containerRef", "Order")]).close();
    let warning = match order.hazard {
        Hazard::None => None,
        Hazard::TwoSteps => Some("It is armed first, then fired."),
        Hazard::TwoKeys => Some("It is armed first, then fired under another key."),
    };
    if let Some(reason) = warning {
        let level = is("consequenceLevel", "critical");
        xml.empty("DefaultSignificance", &[is("reasonForWarning", reason), level]);
    }
    xml.close();
}

fn argument(xml: &mut Xml, order: &OrderDef, arg: &ArgDef) {
    if matches!(arg.kind, Kind::Bytes(_) | Kind::Order) {
        let kind = format!("{}_{}_length_type", shouted(order.words), arg.name);
        xml.empty("Argument", &[is("name", &format!("{}_length", arg.name)), is("argumentTypeRef", &kind)]);
    }
    let doc = is("shortDescription", &format!("--{}", DashedName(arg.name)));
    let kind = is("argumentTypeRef", &type_name(order, arg));
    xml.open(
        "Argument",
        &[is("name", &arg.name), doc, kind, ("initialValue", arg.default.map(str::to_owned))],
    );
    xml.text("LongDescription", said(arg.doc)).close();
}
