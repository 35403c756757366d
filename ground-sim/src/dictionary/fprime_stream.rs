//! Our packets in F Prime's framing, as `fprime-gds` decodes them with the dictionary of [`super::fprime`]: a packet of
//! telemetry (descriptor 4, `Svc::TlmPacketizer`), an event (descriptor 2, `Fw::LogPacket`).
//!
//! All is big endian: descriptor u16, identifier u16 (packet) or u32 (event), time tag (base u16, context u8, seconds u32,
//! microseconds u32), values. In a packet every text takes its greatest size. The ground system counts an event's text in
//! characters where it should count bytes, so that what isn't ASCII is escaped there: `\u{e9}`, and `\\` for `\`.

use passband_proto::dict::{Event, EventCode, Kind, Packet, Severity, Value};

use super::fprime::{UNNAMED, UNNAMED_EVENT, event_id};
use super::frame::Framed;

/// What a frame is, F Prime's `ComPacketType`.
const EVENT: u16 = 2;
const PACKETIZED_TELEMETRY: u16 = 4;
/// `TB_WORKSTATION_TIME`: a clock on the ground, or one that is set by it.
const TIME_BASE: u16 = 2;

/// A packet as one of F Prime's packetized telemetry.
#[must_use]
pub fn telemetry(framed: &Framed<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(framed.data.len() * 2);
    out.extend(PACKETIZED_TELEMETRY.to_be_bytes());
    out.extend(framed.def.apid.to_be_bytes());
    // 16 bits of a fraction to microseconds, cut.
    let micros = u64::from(framed.fine) * 1_000_000 / 65_536;
    put_time(&mut out, framed.coarse, u32::try_from(micros).unwrap_or_default());
    for (field, value) in framed.def.read(framed.data) {
        match value {
            Some(value) => put(&mut out, field.kind, &value),
            // Bytes that are no value, such as a text that isn't UTF-8: as if they were zeros.
            None => out.extend(std::iter::repeat_n(0, size(field.kind))),
        }
    }
    out
}

/// An event's packet as an event of F Prime; `None` if it is none.
#[must_use]
pub fn event(framed: &Framed<'_>) -> Option<Vec<u8>> {
    if framed.def != Event::DEF {
        return None;
    }
    let (mut number, mut unix, mut severity, mut code, mut text) = (0, 0, 0, 0, "");
    for (field, value) in framed.def.read(framed.data) {
        match (field.name, value?) {
            ("number", Value::Unsigned(n)) => number = u32::try_from(n).ok()?,
            ("unix", Value::Unsigned(ms)) => unix = ms,
            ("severity", Value::Name(_, value)) => severity = value,
            ("code", Value::Name(_, value)) => code = value,
            ("text", Value::Text(value)) => text = value,
            _ => {}
        }
    }
    let known = Severity::from_code(severity).zip(EventCode::from_code(code));
    let mut out = Vec::new();
    out.extend(EVENT.to_be_bytes());
    out.extend(known.map_or(UNNAMED_EVENT, |(severity, code)| event_id(severity, code)).to_be_bytes());
    let seconds = u32::try_from(unix / 1000).unwrap_or(u32::MAX);
    put_time(&mut out, seconds, u32::try_from(unix % 1000 * 1000).unwrap_or_default());
    out.extend(number.to_be_bytes());
    let text = escaped(text);
    out.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
    out.extend(text.as_bytes());
    if known.is_none() {
        out.extend(code.to_be_bytes());
        out.push(u8::try_from(severity).ok()?);
    }
    Some(out)
}

fn put_time(out: &mut Vec<u8>, seconds: u32, micros: u32) {
    out.extend(TIME_BASE.to_be_bytes());
    out.push(0);
    out.extend(seconds.to_be_bytes());
    out.extend(micros.to_be_bytes());
}

/// Bytes of a channel, and of the one beside it.
fn size(kind: Kind) -> usize {
    match kind {
        Kind::Name8(_) | Kind::Name16(_) => 4,
        // A length of two bytes instead of a zero behind.
        Kind::FixedText(bytes) => usize::from(bytes) + 1,
        _ => kind.fixed_bytes().unwrap_or_default(),
    }
}

fn put(out: &mut Vec<u8>, kind: Kind, value: &Value<'_>) {
    let end = out.len() + size(kind);
    match *value {
        Value::Unsigned(n) => {
            let bytes = n.to_be_bytes();
            out.extend(bytes.get(bytes.len().saturating_sub(size(kind))..).unwrap_or_default());
        }
        Value::Signed(n) => {
            let bytes = n.to_be_bytes();
            out.extend(bytes.get(bytes.len().saturating_sub(size(kind))..).unwrap_or_default());
        }
        Value::Real(x) => out.extend(x.to_bits().to_be_bytes()),
        Value::Name(names, code) => {
            let named = if names.name_of(code).is_some() { code } else { UNNAMED };
            out.extend(named.to_be_bytes());
            out.extend(code.to_be_bytes());
        }
        Value::Text(text) => {
            out.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) | Value::Order(bytes) => out.extend(bytes),
        Value::Limits(limits) => limits.iter().for_each(|x| out.extend(x.to_bits().to_be_bytes())),
    }
    out.resize(end, 0);
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_ascii() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fprime::EVENT_TEXT_BYTES;
    use super::*;
    use passband_proto::dict::FixedText;

    fn event_of(severity: Severity, text: &str) -> Vec<u8> {
        let event = Event {
            number: 7,
            unix: 1_800_000_000_250,
            severity,
            code: EventCode::DiskFull,
            text: FixedText::cut(text),
        };
        let mut data = vec![0; Event::DEF.data_bytes()];
        event.write(&mut data).unwrap();
        data
    }

    fn framed(data: &[u8]) -> Framed<'_> {
        Framed { def: Event::DEF, count: 0, coarse: 5, fine: 0x8000, data, tag: 0 }
    }

    #[test]
    fn an_event_has_the_identifier_of_its_severity_and_text_in_ascii() {
        let out = event(&framed(&event_of(Severity::Critical, "a\u{e9}\\"))).unwrap();
        let expected = [
            &[0, 2, 0, 3, 0x04, 0x12, 0, 2, 0][..],
            &1_800_000_000_u32.to_be_bytes(),
            &250_000_u32.to_be_bytes(),
            &7_u32.to_be_bytes(),
            &[0, 9],
            b"a\\u{e9}\\\\",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn no_event_text_is_longer_than_the_dictionary_says() {
        for c in ["\u{80}", "\u{7ff}", "\u{800}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "\\", "a"] {
            let text = c.repeat(160 / c.len());
            assert!(escaped(&text).len() <= EVENT_TEXT_BYTES, "{c:?}");
        }
    }

    #[test]
    fn a_code_without_a_name_keeps_its_number() {
        let mut data = event_of(Severity::Info, "x");
        data[12] = 77;
        let out = telemetry(&framed(&data));
        assert_eq!(out[..4], [0, 4, 1, 4]);
        assert_eq!(out[7..15], [0, 0, 0, 5, 0, 7, 0xA1, 0x20], "half a second");
        assert_eq!(out[27..31], [0xFF, 0xFE, 0, 77]);
        assert_eq!(out.len(), 4 + 11 + 4 + 8 + 4 + 4 + 162);
        let unnamed = event(&framed(&data)).unwrap();
        assert_eq!(unnamed[2..6], UNNAMED_EVENT.to_be_bytes());
        assert_eq!(unnamed[unnamed.len() - 3..], [0x04, 0x12, 77]);
    }
}
