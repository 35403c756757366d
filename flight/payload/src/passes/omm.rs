//! Orbit mean-elements messages (CCSDS 502.0-B-3 section 4): as JSON, the way CelesTrak and Space-Track write them
//! (an object, or an array with one; numbers with or without quotes), or as KVN. Fields that SGP4 doesn't need are
//! passed over.

use core::fmt;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::calendar::{Zone, unix_us};
use super::elements::{Elements, tidy_name};
use super::error::PlanError;

/// What a message must say, if it says it at all, for its elements to be SGP4's.
const FIXED: [(&str, &[&str]); 4] = [
    ("CENTER_NAME", &["EARTH"]),
    ("REF_FRAME", &["TEME"]),
    ("TIME_SYSTEM", &["UTC"]),
    ("MEAN_ELEMENT_THEORY", &["SGP4", "SGP/SGP4"]),
];

/// Reads a message as JSON.
pub(super) fn parse_json(text: &str) -> Result<Elements, PlanError> {
    let text = text.trim_start_matches('\u{feff}');
    let fields = if text.trim_start().starts_with('[') {
        let objects: Vec<Fields> = serde_json::from_str(text).map_err(|e| json_fault(&e))?;
        let count = objects.len();
        let one = objects.into_iter().next().filter(|_| count == 1);
        one.ok_or_else(|| PlanError::whole(format!("{count} objects; exactly one is taken")))?
    } else {
        serde_json::from_str(text).map_err(|e| json_fault(&e))?
    };
    let line = |field: &str| {
        let at = text.find(&format!("\"{field}\""))?;
        text.get(..at).map(|before| before.matches('\n').count().saturating_add(1))
    };
    elements(&fields.0, line)
}

/// Reads a message as KVN: `FIELD = value`, perhaps with its unit in brackets.
pub(super) fn parse_kvn(text: &str) -> Result<Elements, PlanError> {
    let (mut fields, mut lines) = (BTreeMap::new(), BTreeMap::new());
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let Some((field, value)) = line.split_once('=') else { continue };
        let (field, value) = (field.trim(), value.split('[').next().unwrap_or_default().trim());
        if field.starts_with("COMMENT") {
            continue;
        }
        if fields.insert(field.to_owned(), value.to_owned()).is_some() {
            return Err(PlanError::on(Some(number), field, "given twice; one message is taken"));
        }
        lines.insert(field, number);
    }
    elements(&fields, |field| lines.get(field).copied())
}

/// The elements of a message's fields.
fn elements(
    fields: &BTreeMap<String, String>,
    line: impl Fn(&str) -> Option<usize>,
) -> Result<Elements, PlanError> {
    for (field, allowed) in FIXED {
        if let Some(said) = fields.get(field)
            && !allowed.iter().any(|one| one.eq_ignore_ascii_case(said))
        {
            let what = format!("{said:?} is not taken: must be {}", allowed.join(" or "));
            return Err(PlanError::on(line(field), field, what));
        }
    }
    let wanted = |field| {
        let missing = || PlanError { line: None, field: None, what: format!("the field {field} is missing") };
        fields.get(field).ok_or_else(missing)
    };
    let number = |field: &'static str| -> Result<f64, PlanError> {
        let text = wanted(field)?;
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| PlanError::on(line(field), field, format!("{text:?} is no number")))
    };
    let epoch = wanted("EPOCH")?;
    let no_date = || PlanError::on(line("EPOCH"), "EPOCH", format!("{epoch:?} is no date from 1970 to 2199"));
    Elements {
        name: fields.get("OBJECT_NAME").and_then(|name| tidy_name(name)),
        epoch_unix_us: unix_us(epoch, Zone::Utc).ok_or_else(no_date)?,
        inclination_deg: number("INCLINATION")?,
        raan_deg: number("RA_OF_ASC_NODE")?,
        eccentricity: number("ECCENTRICITY")?,
        perigee_deg: number("ARG_OF_PERICENTER")?,
        mean_anomaly_deg: number("MEAN_ANOMALY")?,
        mean_motion_per_day: number("MEAN_MOTION")?,
        bstar: number("BSTAR")?,
    }
    .checked(line)
}

fn json_fault(error: &serde_json::Error) -> PlanError {
    let line = Some(error.line()).filter(|line| *line > 0);
    PlanError { line, field: None, what: error.to_string() }
}

/// The fields of an object, each value as text.
struct Fields(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the fields of an OMM")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Text>()? {
            if let Some(value) = value.0 {
                fields.insert(name, value);
            }
        }
        Ok(Fields(fields))
    }
}

/// A value as text; `None` for one that is neither text nor number.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
        Ok(Text(Some(number.to_string())))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tle;
    use super::*;

    /// The elements of the TLE sample, as CelesTrak writes them.
    const JSON: &str = "[{\"OBJECT_NAME\":\"ISS (ZARYA)\",\"OBJECT_ID\":\"1998-067A\",\n\
        \"EPOCH\":\"2020-07-12T21:16:01.000416\",\"MEAN_MOTION\":15.49507896,\"ECCENTRICITY\":0.0001413,\n\
        \"INCLINATION\":51.6461,\"RA_OF_ASC_NODE\":221.2784,\"ARG_OF_PERICENTER\":89.1723,\n\
        \"MEAN_ANOMALY\":280.4612,\"EPHEMERIS_TYPE\":0,\"NORAD_CAT_ID\":25544,\"BSTAR\":-3.1515e-5,\n\
        \"MEAN_MOTION_DDOT\":null,\"extra\":{\"a\":[true]}}]";

    fn expected() -> Elements {
        Elements { name: Some("ISS (ZARYA)".into()), ..tle::parse(tle::tests::SAMPLE).unwrap() }
    }

    #[test]
    fn the_same_elements_come_from_every_form() {
        assert_eq!(parse_json(JSON), Ok(expected()));
        let object = JSON.trim_matches(['[', ']']);
        assert_eq!(parse_json(object), Ok(expected()));
        let quoted = object
            .replace("15.49507896", "\"15.49507896\"")
            .replace("51.6461", "\"51.6461\"")
            .replacen('{', "{\"CENTER_NAME\":\"EARTH\",\"REF_FRAME\":\"TEME\",", 1);
        assert_eq!(parse_json(&quoted), Ok(expected()), "as Space-Track writes them");
        let kvn = "CCSDS_OMM_VERS = 3.0\nCOMMENT a = b\nOBJECT_NAME = ISS (ZARYA)\nTIME_SYSTEM = UTC\n\
                   MEAN_ELEMENT_THEORY = SGP/SGP4\nEPOCH = 2020-194T21:16:01.000416\n\
                   MEAN_MOTION = 15.49507896 [rev/day]\nECCENTRICITY = 0.0001413\nINCLINATION = 51.6461 [deg]\n\
                   RA_OF_ASC_NODE = 221.2784\nARG_OF_PERICENTER = 89.1723\nMEAN_ANOMALY = 280.4612\n\
                   BSTAR = -0.31515e-4\n";
        assert_eq!(parse_kvn(kvn), Ok(expected()));
        let twice = parse_kvn(&format!("{kvn}BSTAR = 0\n")).unwrap_err().to_string();
        assert_eq!(twice, "line 14: BSTAR: given twice; one message is taken");
    }

    #[test]
    fn errors_name_line_and_field() {
        let of = |from: &str, to: &str| parse_json(&JSON.replace(from, to)).unwrap_err().to_string();
        assert_eq!(of("15.49507896", "2.0"), "line 2: MEAN_MOTION: 2 is out of range: must be 6.4 to 17");
        assert_eq!(of("0.0001413", "\"x\""), "line 2: ECCENTRICITY: \"x\" is no number");
        assert_eq!(of("\"BSTAR\"", "\"BSTARS\""), "the field BSTAR is missing");
        assert_eq!(
            of("2020-07-12T", "12 July"),
            "line 2: EPOCH: \"12 July21:16:01.000416\" is no date from 1970 to 2199"
        );
        assert!(of("0.0001413", "0.5").contains("ECCENTRICITY: the orbit meets the ground"));
        let theory = of("\"EPHEMERIS_TYPE\":0", "\"MEAN_ELEMENT_THEORY\":\"DSST\"");
        assert_eq!(theory, "line 4: MEAN_ELEMENT_THEORY: \"DSST\" is not taken: must be SGP4 or SGP/SGP4");
        assert!(of("280.4612,", "280.4612").starts_with("line 4: "), "syntax");
        assert_eq!(parse_json("[]").unwrap_err().what, "0 objects; exactly one is taken");
    }
}
