//! Tables and lists.

use std::fmt::Write;

use serde_json::Value;

use super::escape;
use crate::demo::summary::{FrameSummary, Summary};

/// The key numbers.
pub(super) fn tiles(summary: &Summary) -> String {
    let sum = |f: fn(&crate::demo::summary::PassSummary) -> u64| summary.passes.iter().map(f).sum::<u64>();
    let (sent, lost) = (sum(|p| p.sent), sum(|p| p.lost));
    let whole = summary.bundles.iter().filter(|b| b.complete).count();
    let blind_whole = summary
        .bundles
        .iter()
        .filter(|b| b.blind_percent_by_pass.last().is_some_and(|p| *p >= 100.0))
        .count();
    let tiles = [
        ("bundles whole", format!("{whole} of {}", summary.bundles.len())),
        ("whole by blind re-sending", format!("{blind_whole} of {}", summary.bundles.len())),
        ("passes", summary.passes.len().to_string()),
        ("acknowledgements", sum(|p| p.acks).to_string()),
        ("datagrams sent", sent.to_string()),
        ("lost on the way", format!("{:.0} %", 100.0 * lost as f64 / sent.max(1) as f64)),
        ("arrived damaged", sum(|p| p.corrupted).to_string()),
        ("alerts", summary.alerts.len().to_string()),
        ("captures alone give the same", if summary.captures_agree { "yes".into() } else { "no".into() }),
    ];
    let tile = |(name, value): &(&str, String)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    format!("<dl class=\"tiles\">{}</dl>", tiles.iter().map(tile).collect::<String>())
}

/// The plumes of a frame.
pub(super) fn detections(frame: &FrameSummary) -> String {
    if frame.detections.is_empty() {
        return "<p class=\"dim\">no plume detected</p>".to_owned();
    }
    let number = |d: &Value, key: &str, factor: f64| {
        d[key].as_f64().map_or_else(|| "–".to_owned(), |v| format!("{:.0}", v * factor))
    };
    let estimate = |d: &Value, key: &str| {
        let part = |name: &str| d[key][name].as_f64();
        let both = part("value").zip(part("sigma"));
        both.map_or_else(|| "–".to_owned(), |(value, sigma)| format!("{value:.0} ± {sigma:.0}"))
    };
    let row = |d: &Value| {
        format!(
            "<tr><td>{} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            number(d, "probability", 100.0),
            number(d, "peak_ppm_m", 1.0),
            number(d, "mean_ppm_m", 1.0),
            number(d, "pixels", 1.0),
            estimate(d, "mass_kg"),
            estimate(d, "rate_kg_h")
        )
    };
    let rows: String = frame.detections.iter().take(5).map(row).collect();
    format!(
        "<table><tr><th>probability</th><th>peak ppm·m</th><th>mean ppm·m</th><th>pixels</th><th>kg</th><th>kg/h</th></tr>{rows}</table>"
    )
}

/// The passes.
pub(super) fn passes(summary: &Summary) -> String {
    let mut out = String::from(
        "<div class=\"scroll\"><table><tr><th>pass</th><th>AOS s</th><th>LOS s</th><th>Mbit/s</th><th>loss set</th><th>sent</th><th>lost</th>\
         <th>damaged</th><th>twice</th><th>out of order</th><th>ACKs</th><th>link used</th><th class=\"t\">note</th></tr>",
    );
    for p in &summary.passes {
        let note = if p.cut_short { "ended early" } else { "" };
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.0} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{:.1} %</td><td class=\"t\">{note}</td></tr>",
            p.number,
            p.aos_s,
            p.los_s,
            p.rate_bps as f64 / 1e6,
            p.loss_set * 100.0,
            p.sent,
            p.lost,
            p.corrupted,
            p.duplicated,
            p.reordered,
            p.acks,
            p.link_use * 100.0
        );
    }
    out.push_str("</table></div>");
    out
}

/// The bundles and their files.
pub(super) fn bundles(summary: &Summary) -> String {
    let mut out = String::from(
        "<div class=\"scroll\"><table><tr><th class=\"t\">bundle</th><th class=\"t\">name</th><th class=\"t\">class</th><th>bytes</th><th>received</th>\
         <th>passes</th><th>whole</th><th>identical</th><th class=\"t\">file, SHA-256 of source and product</th></tr>",
    );
    let mark = |yes: bool| if yes { "<b class=\"yes\">yes</b>" } else { "<b class=\"no\">no</b>" };
    for b in &summary.bundles {
        let passes = b.passes.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let mut files = String::new();
        for f in &b.files {
            let (source, product) =
                (f.source_sha256.as_deref().unwrap_or("–"), f.product_sha256.as_deref().unwrap_or("–"));
            let _ = write!(
                files,
                "{}<br><code title=\"source {source}\">{}…</code> <code title=\"product {product}\">{}…</code><br>",
                escape(&f.name),
                short(source),
                short(product)
            );
        }
        let _ = write!(
            out,
            "<tr><td class=\"t\"><code title=\"{}\">{}…</code></td><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td>{}</td><td>{passes}</td>\
             <td>{}</td><td>{}</td><td class=\"t\">{files}</td></tr>",
            escape(&b.id),
            escape(short(&b.id)),
            escape(&b.name),
            escape(&b.class),
            b.bytes,
            b.bytes_received,
            mark(b.complete),
            mark(b.identical)
        );
    }
    out.push_str("</table></div>");
    out
}

/// The alert messages.
pub(super) fn alerts(summary: &Summary) -> String {
    if summary.alerts.is_empty() {
        return "<p class=\"dim\">none</p>".to_owned();
    }
    let mut out = String::from(
        "<div class=\"scroll\"><table><tr><th>number</th><th class=\"t\">frame</th><th class=\"t\">gas</th><th>probability</th><th>peak ppm·m</th>\
         <th>pixels</th><th>line</th><th>sample</th><th>bytes on the radio</th></tr>",
    );
    for a in &summary.alerts {
        let text = |key: &str| escape(a[key].as_str().unwrap_or("–"));
        let number = |key: &str, factor: f64| {
            a[key].as_f64().map_or_else(|| "–".to_owned(), |v| format!("{:.0}", v * factor))
        };
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            number("number", 1.0),
            text("frame"),
            text("gas"),
            number("probability_permille", 0.1),
            number("peak_ppm_m", 1.0),
            number("pixels", 1.0),
            number("line", 1.0),
            number("sample", 1.0),
            number("sealed_bytes", 1.0)
        );
    }
    out.push_str("</table></div>");
    out
}

/// Everything that happened, in order.
pub(super) fn timeline(summary: &Summary) -> String {
    let row = |t: &crate::demo::summary::TimelineEntry| {
        format!(
            "<tr><td>{:.1} s</td><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>",
            t.t_s,
            escape(&t.kind),
            escape(&t.text)
        )
    };
    let rows: String = summary.timeline.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table><tr><th>time</th><th class=\"t\">kind</th><th class=\"t\">what</th></tr>{rows}</table></div>"
    )
}

fn short(hex: &str) -> &str {
    hex.get(..10).unwrap_or(hex)
}
