//! What is told: an alert in one sentence, as the JSON that chat servers take, and with its picture as a form.
//!
//! `text` is what Slack and Mattermost show (incoming webhooks), `content` what Discord does (execute webhook);
//! each passes over what it doesn't know. A picture goes as `multipart/form-data` (RFC 7578) with the same JSON in
//! `payload_json` and the PNG in `file`, as Discord takes it.

use passband_proto::alert::{Alert, Position};
use serde_json::{Value, json};

use crate::station::AlertReport;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An alert came.
    Alert,
    /// Its picture did.
    Picture,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Picture => "picture",
        }
    }
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) content_type: String,
    pub(super) bytes: Vec<u8>,
}

/// The JSON of a message; `sender` is who tells it.
pub(super) fn document(kind: Kind, sender: &str, report: &AlertReport) -> Value {
    let sentence = match kind {
        Kind::Alert => sentence(sender, report),
        Kind::Picture => {
            format!("{sender}: the picture of {} in frame {}", gas(&report.alert.gas), report.alert.frame)
        }
    };
    let a = &report.alert;
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    json!({
        "text": sentence,
        "content": sentence,
        "username": sender,
        // A name from the sky calls nobody.
        "allowed_mentions": { "parse": [] },
        "passband": {
            "schema": 1,
            "kind": kind.name(),
            "spacecraft": report.spacecraft,
            "number": a.number,
            "time_unix_ms": a.time_unix_ms,
            "frame": a.frame,
            "gas": a.gas,
            "probability": f64::from(a.probability_permille) / 1000.0,
            "peak_ppm_m": a.peak_ppm_m,
            "mean_ppm_m": a.mean_ppm_m,
            "pixels": a.pixels,
            "plumes": a.plumes,
            "line": a.line,
            "sample": a.sample,
            "latitude_deg": a.position.map(|p| degrees(p.lat_e7)),
            "longitude_deg": a.position.map(|p| degrees(p.lon_e7)),
            "evidence": a.evidence.map(|id| id.to_string()),
        },
    })
}

/// A message as JSON.
pub(super) fn as_json(document: &Value) -> Body {
    Body {
        content_type: "application/json; charset=utf-8".to_owned(),
        bytes: document.to_string().into_bytes(),
    }
}

/// A message and a PNG as a form. `boundary` must occur in neither.
pub(super) fn as_form(document: &Value, file_name: &str, png: &[u8], boundary: &str) -> Body {
    let quoted: String = file_name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\".contains(c) { c } else { '_' })
        .collect();
    let mut bytes = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
         Content-Type: application/json\r\n\r\n{document}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{quoted}\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(png);
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Body { content_type: format!("multipart/form-data; boundary={boundary}"), bytes }
}

/// The alert in one sentence.
fn sentence(sender: &str, report: &AlertReport) -> String {
    let Alert { frame, peak_ppm_m, probability_permille, plumes, .. } = &report.alert;
    let place =
        report.alert.position.map_or_else(|| "position not known".to_owned(), |p| format!("at {}", place(p)));
    let comma = if report.alert.position.is_some() { "" } else { "," };
    format!(
        "{sender} checking in: {}{comma} {place}, {} ppm·m peak, {} % sure, frame {frame}, {plumes} plume{}",
        gas(&report.alert.gas),
        grouped(*peak_ppm_m),
        percent(*probability_permille),
        if *plumes == 1 { "" } else { "s" },
    )
}

/// The name of a gas for people.
fn gas(name: &str) -> String {
    match name {
        "ch4" => "methane".to_owned(),
        "co2" => "carbon dioxide".to_owned(),
        other => other.to_uppercase(),
    }
}

/// Degrees with four digits: 11 m.
fn place(position: Position) -> String {
    let of = |e7: i32, names: [&str; 2]| {
        format!("{:.4} {}", f64::from(e7).abs() / 1e7, if e7 < 0 { names[1] } else { names[0] })
    };
    format!("{} {}", of(position.lat_e7, ["N", "S"]), of(position.lon_e7, ["E", "W"]))
}

/// Whole percent; 100 is said of nothing that isn't.
fn percent(permille: u16) -> u16 {
    if permille >= 1000 { 100 } else { ((permille + 5) / 10).min(99) }
}

/// A whole number with commas.
fn grouped(value: f32) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tests::alert;

    #[test]
    fn an_alert_in_one_sentence() {
        let mut report = alert(7);
        assert_eq!(
            sentence("Robin", &report),
            "Robin checking in: methane at 31.9123 N 102.0456 W, 1,250 ppm·m peak, 98 % sure, frame f7, 3 plumes"
        );
        report.alert.position = None;
        report.alert.plumes = 1;
        assert_eq!(
            sentence("Robin", &report),
            "Robin checking in: methane, position not known, 1,250 ppm·m peak, 98 % sure, frame f7, 1 plume"
        );
        let document = document(Kind::Alert, "Robin", &report);
        assert_eq!(document["text"], document["content"]);
        assert_eq!(document["passband"]["latitude_deg"], Value::Null);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0.0, 999.4, 1250.0, 1_234_567.0, -1000.0].map(grouped),
            ["0", "999", "1,250", "1,234,567", "-1,000"]
        );
        assert_eq!(grouped(f32::INFINITY), "inf");
        assert_eq!([0, 994, 996, 1000, u16::MAX].map(percent), [0, 99, 99, 100, 100]);
    }

    #[test]
    fn a_picture_goes_as_a_form() {
        let body = as_form(&json!({ "text": "x" }), "a\"b.png", b"\x89PNG", "XX");
        let text = String::from_utf8_lossy(&body.bytes);
        assert!(text.starts_with("--XX\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n"));
        assert!(text.contains("\r\n\r\n{\"text\":\"x\"}\r\n--XX\r\n") && text.ends_with("PNG\r\n--XX--\r\n"));
        assert!(text.contains("filename=\"a_b.png\""), "{text}");
    }
}
