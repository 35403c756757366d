//! The dictionary in a stable form of our own (`"schema": 1`): all that the tables say.
//!
//! | member | what |
//! | --- | --- |
//! | `digest` | SHA-256 of what two ends have to agree on, hexadecimal |
//! | `packet` | what stands around a packet's user data, in bits: `header`, `front`, `back` |
//! | `names` | sets of names of codes |
//! | `packets`, `orders`, `events`, `parameters` | the tables |
//!
//! A kind is `{"type": …}`: `u8`, `u16`, `u32`, `u64`, `i32`, `f32`; `name` with `bytes` and `names`; `fixed_text` and `fixed`
//! with `bytes`; `text` (a length byte in front), `bytes` (two) with `most`; `order`; `limits`.

use passband_proto::dict::{
    self, ArgDef, EventCode, FieldDef, Kind, Names, ORDERS, OrderDef, PACKETS, PARAMETERS, PacketDef,
    ParameterDef,
};
use serde_json::{Value as Json, json};

use super::frame::{self, Part};
use super::{all_names, range, said, source_names};

/// The document.
#[must_use]
pub fn text() -> String {
    let digest: String = dict::digest().iter().map(|byte| format!("{byte:02x}")).collect();
    let document = json!({
        "schema": 1,
        "digest": digest,
        "packet": { "header": parts(&frame::HEADER), "front": parts(&frame::FRONT), "back": parts(&frame::BACK) },
        "names": all_names().into_iter().map(names).collect::<serde_json::Map<_, _>>(),
        "packets": PACKETS.iter().map(|def| packet(def)).collect::<Vec<_>>(),
        "orders": ORDERS.iter().map(order).collect::<Vec<_>>(),
        "events": events(),
        "parameters": PARAMETERS.iter().map(parameter).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn parts(parts: &[Part]) -> Vec<Json> {
    parts.iter().map(|part| json!({ "name": part.name, "bits": part.bits, "doc": part.doc })).collect()
}

fn names(names: &Names) -> (String, Json) {
    let values = names.values.iter();
    let values =
        values.map(|value| json!({ "code": value.code, "name": value.name, "doc": said(value.doc) }));
    (names.name.to_owned(), values.collect())
}

fn kind(kind: Kind) -> Json {
    match kind {
        Kind::U8 => json!({ "type": "u8" }),
        Kind::U16 => json!({ "type": "u16" }),
        Kind::U32 => json!({ "type": "u32" }),
        Kind::U64 => json!({ "type": "u64" }),
        Kind::I32 => json!({ "type": "i32" }),
        Kind::F32 => json!({ "type": "f32" }),
        Kind::Name8(names) => json!({ "type": "name", "bytes": 1, "names": names.name }),
        Kind::Name16(names) => json!({ "type": "name", "bytes": 2, "names": names.name }),
        Kind::FixedText(bytes) => json!({ "type": "fixed_text", "bytes": bytes }),
        Kind::Fixed(bytes) => json!({ "type": "fixed", "bytes": bytes }),
        Kind::Text(most) => json!({ "type": "text", "most": most }),
        Kind::Bytes(most) => json!({ "type": "bytes", "most": most }),
        Kind::Order => json!({ "type": "order" }),
        Kind::Limits => json!({ "type": "limits" }),
    }
}

fn packet(def: &PacketDef) -> Json {
    let mut offset = 0;
    let fields = def.fields.iter().map(|field| {
        let at = offset;
        offset += field.kind.fixed_bytes().unwrap_or_default();
        self::field(field, at)
    });
    let fields: Vec<_> = fields.collect();
    json!({ "apid": def.apid, "name": def.name, "doc": said(def.doc), "bytes": def.data_bytes(), "fields": fields })
}

fn field(field: &FieldDef, offset: usize) -> Json {
    json!({
        "name": field.name, "kind": kind(field.kind), "offset": offset, "unit": field.unit, "doc": said(field.doc),
        "limits": field.limits.map(dict::ParameterId::name),
    })
}

fn order(def: &OrderDef) -> Json {
    json!({
        "opcode": def.opcode, "words": def.words, "doc": said(def.doc), "sources": source_names(def.sources),
        "hazard": def.hazard.name(), "args": def.args.iter().map(arg).collect::<Vec<_>>(),
    })
}

fn arg(def: &ArgDef) -> Json {
    let (least, most) = range(def.least, def.most);
    json!({
        "name": def.name, "kind": kind(def.kind), "unit": def.unit, "doc": said(def.doc), "least": least,
        "most": most, "default": def.default,
    })
}

fn events() -> Vec<Json> {
    let each = EventCode::ALL.iter().zip(EventCode::NAMES.values).map(|(code, value)| {
        json!({
            "code": value.code, "name": value.name, "severity": code.usual_severity().name(), "doc": said(value.doc),
        })
    });
    each.collect()
}

fn parameter(def: &ParameterDef) -> Json {
    let (least, most) = range(def.least, def.most);
    json!({
        "code": def.id.code(), "name": def.id.name(), "kind": kind(def.kind), "unit": def.unit, "doc": said(def.doc),
        "least": least, "most": most, "default": def.default, "restarts": def.restarts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_wire() {
        let document: Json = serde_json::from_str(&text()).unwrap();
        assert_eq!(document["schema"], 1);
        let time = &document["packets"][2];
        let offsets: Vec<_> =
            time["fields"].as_array().unwrap().iter().map(|f| f["offset"].as_u64().unwrap()).collect();
        assert_eq!((offsets, time["bytes"].as_u64()), (vec![0, 4, 12, 20], Some(22)));
        assert_eq!(document["names"]["mode"][2]["name"], "safe");
        assert_eq!(document["events"][0]["name"], "daemon-start");
    }
}
