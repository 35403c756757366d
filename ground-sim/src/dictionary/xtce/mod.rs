//! The dictionary as XTCE 1.2 (OMG formal/20-01-01; the schema of 2018-02-04), for Yamcs, `space_packet_parser` and others.
//!
//! Packets are containers that inherit the header from `CCSDSPacket` and the time from `Telemetry`; orders are
//! commands that inherit header, flags and number from `Order`. A parameter's name is its packet's and its own, as names
//! without a path have to differ in a system. Yellow limits are warning ranges, red ones critical ranges.
//!
//! Texts of orders have a length byte in front: `LeadingSize`, with the place-holder that Yamcs asks for where the schema
//! wants a dynamic size. Byte strings have an argument of their own for their length, which XTCE's reference gives.

mod orders;

use passband_proto::dict::{self, FieldDef, Kind, Names, PACKETS, PacketDef};

use super::frame::{self, Part};
use super::xml::{Attributes, Xml, is};
use super::{default_limits, said};

/// The document.
#[must_use]
pub fn text() -> String {
    let mut xml = Xml::new();
    xml.open(
        "SpaceSystem",
        &[
            is("name", "Passband"),
            is("shortDescription", "Passband, payload flight software"),
            is("xmlns", "http://www.omg.org/spec/XTCE/20180204"),
            is("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
            is(
                "xsi:schemaLocation",
                "http://www.omg.org/spec/XTCE/20180204 https://www.omg.org/spec/XTCE/20180204/SpaceSystem.xsd",
            ),
        ],
    );
    let digest: String = dict::digest().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    xml.empty("Header", &[is("version", &digest), is("validationStatus", "Released")]);
    xml.open("TelemetryMetaData", &[]);
    types(&mut xml);
    parameters(&mut xml);
    containers(&mut xml);
    xml.close();
    orders::write(&mut xml);
    xml.finish()
}

/// The name of a channel: those of its packet and its own.
#[must_use]
pub fn channel(packet: &PacketDef, field: &FieldDef) -> String {
    format!("{}_{}", packet.name, field.name)
}

/// What stands around the user data, but for the time, which is one parameter here.
fn parts() -> impl Iterator<Item = Part> {
    let front = frame::FRONT.into_iter().take(1);
    frame::HEADER.into_iter().chain(front).chain(frame::BACK)
}

fn types(xml: &mut Xml) {
    xml.open("ParameterTypeSet", &[]);
    for part in parts() {
        let name = format!("{}_type", part.name);
        integer(xml, "IntegerParameterType", &[is("name", &name)], (part.bits, false), "");
        xml.close();
    }
    xml.open("AbsoluteTimeParameterType", &[is("name", "time_type")]);
    // A bit of the fraction is 2^-16 s, which is so many digits and no more.
    xml.open("Encoding", &[is("units", "seconds"), is("scale", "0.0000152587890625")]);
    xml.empty("IntegerDataEncoding", &[is("sizeInBits", &48), is("encoding", "unsigned")]).close();
    xml.open("ReferenceTime", &[]).text("Epoch", "UNIX").close().close();
    for packet in PACKETS {
        packet.fields.iter().for_each(|field| field_type(xml, packet, field));
    }
    xml.close();
}

fn field_type(xml: &mut Xml, packet: &PacketDef, field: &FieldDef) {
    let name = is("name", &format!("{}_type", channel(packet, field)));
    match field.kind {
        Kind::Name8(names) => enumerated(xml, "EnumeratedParameterType", &[name], 8, names),
        Kind::Name16(names) => enumerated(xml, "EnumeratedParameterType", &[name], 16, names),
        Kind::F32 | Kind::Limits => {
            xml.open("FloatParameterType", &[name, is("sizeInBits", &32)]);
            units(xml, field.unit);
            xml.empty("FloatDataEncoding", &[is("sizeInBits", &32), is("encoding", "IEEE754_1985")]);
        }
        Kind::FixedText(bytes) => {
            xml.open("StringParameterType", &[name]);
            fixed_text(xml, bytes);
        }
        Kind::Fixed(bytes) => {
            xml.open("BinaryParameterType", &[name]);
            fixed_bytes(xml, bytes);
        }
        Kind::U8
        | Kind::U16
        | Kind::U32
        | Kind::U64
        | Kind::I32
        | Kind::Text(_)
        | Kind::Bytes(_)
        | Kind::Order => {
            let bits = u32::try_from(8 * field.kind.fixed_bytes().unwrap_or_default()).unwrap_or_default();
            integer(xml, "IntegerParameterType", &[name], (bits, field.kind == Kind::I32), field.unit);
        }
    }
    alarm(xml, field);
    xml.close();
}

/// Begins a type of whole numbers of so many bits, signed or not.
fn integer(
    xml: &mut Xml,
    element: &'static str,
    name: Attributes<'_>,
    (bits, signed): (u32, bool),
    unit: &str,
) {
    let size = is("sizeInBits", &if bits <= 32 { 32 } else { 64 });
    xml.open(element, &[name, &[is("signed", &signed), size]].concat());
    units(xml, unit);
    let encoding = if signed { "twosComplement" } else { "unsigned" };
    xml.empty("IntegerDataEncoding", &[is("sizeInBits", &bits), is("encoding", encoding)]);
}

/// Begins a type of a few names.
fn enumerated(xml: &mut Xml, element: &'static str, name: Attributes<'_>, bits: u32, names: &Names) {
    xml.open(element, name);
    xml.empty("IntegerDataEncoding", &[is("sizeInBits", &bits), is("encoding", "unsigned")]);
    xml.open("EnumerationList", &[]);
    for value in names.values {
        let doc = is("shortDescription", said(value.doc));
        xml.empty("Enumeration", &[is("value", &value.code), is("label", value.name), doc]);
    }
    xml.close();
}

fn units(xml: &mut Xml, unit: &str) {
    if !unit.is_empty() {
        xml.open("UnitSet", &[]).text("Unit", unit).close();
    }
}

fn fixed_text(xml: &mut Xml, bytes: u8) {
    xml.open("StringDataEncoding", &[is("encoding", "UTF-8")]).open("SizeInBits", &[]);
    xml.open("Fixed", &[]).text("FixedValue", &(8 * u32::from(bytes)).to_string()).close();
    xml.text("TerminationChar", "00").close().close();
}

fn fixed_bytes(xml: &mut Xml, bytes: u8) {
    xml.open("BinaryDataEncoding", &[]).open("SizeInBits", &[]);
    xml.text("FixedValue", &(8 * u32::from(bytes)).to_string()).close().close();
}

fn alarm(xml: &mut Xml, field: &FieldDef) {
    let Some([red_low, yellow_low, yellow_high, red_high]) = default_limits(field) else { return };
    xml.open("DefaultAlarm", &[]).open("StaticAlarmRanges", &[]);
    for (element, low, high) in
        [("WarningRange", yellow_low, yellow_high), ("CriticalRange", red_low, red_high)]
    {
        if low.is_some() || high.is_some() {
            let text = |x: Option<f32>| x.map(|x| x.to_string());
            xml.empty(element, &[("minInclusive", text(low)), ("maxInclusive", text(high))]);
        }
    }
    xml.close().close();
}

fn parameters(xml: &mut Xml) {
    xml.open("ParameterSet", &[]);
    let time = ("time".to_owned(), "When the packet was made.");
    let around = parts().map(|part| (part.name.to_owned(), part.doc));
    let fields =
        PACKETS.iter().flat_map(|packet| packet.fields.iter().map(|f| (channel(packet, f), said(f.doc))));
    for (name, doc) in around.chain([time]).chain(fields) {
        let kind = is("parameterTypeRef", &format!("{name}_type"));
        xml.open("Parameter", &[is("name", &name), kind]).text("LongDescription", doc).close();
    }
    xml.close();
}

fn containers(xml: &mut Xml) {
    xml.open("ContainerSet", &[]);
    xml.open("SequenceContainer", &[is("name", "CCSDSPacket"), is("abstract", &true)]);
    entries(xml, frame::HEADER.iter().map(|part| part.name.to_owned()));
    xml.close();
    xml.open("SequenceContainer", &[is("name", "Telemetry"), is("abstract", &true)]);
    entries(xml, ["time_p_field".to_owned(), "time".to_owned()]);
    base(xml, "CCSDSPacket", &[("ccsds_type", 0), ("ccsds_secondary_header", 1)]);
    xml.close();
    for packet in PACKETS {
        xml.open("SequenceContainer", &[is("name", &packet.name)]).text("LongDescription", said(packet.doc));
        let fields = packet.fields.iter().map(|field| channel(packet, field));
        entries(xml, fields.chain(frame::BACK.iter().map(|part| part.name.to_owned())));
        base(xml, "Telemetry", &[("ccsds_apid", packet.apid)]);
        xml.close();
    }
    xml.close();
}

fn entries(xml: &mut Xml, names: impl IntoIterator<Item = String>) {
    xml.open("EntryList", &[]);
    for name in names {
        xml.empty("ParameterRefEntry", &[is("parameterRef", &name)]);
    }
    xml.close();
}

fn base(xml: &mut Xml, container: &str, equal: &[(&str, u16)]) {
    xml.open("BaseContainer", &[is("containerRef", container)]).open("RestrictionCriteria", &[]);
    xml.open("ComparisonList", &[]);
    for (name, value) in equal {
        xml.empty("Comparison", &[is("parameterRef", &name), is("value", &value)]);
    }
    xml.close().close().close();
}
