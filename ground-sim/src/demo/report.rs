//! `report.html`: one document that needs nothing else, for a person who wasn't there.

mod charts;
mod tables;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::summary::{FrameSummary, Summary};

const STYLE: &str = include_str!("report/style.css");

/// Draws the report; pictures are read from below `out`.
pub(super) fn render(summary: &Summary, out: &Path) -> String {
    let mut page = String::new();
    let headline = if summary.complete {
        "Everything came down, bit for bit, without one acknowledgement"
    } else {
        "Not everything came down yet"
    };
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Passband demo</title>");
    let _ = write!(page, "<style>{STYLE}</style></head><body><main><h1>{headline}</h1>");
    let _ = write!(
        page,
        "<p>A camera on a satellite took {} frames; the software on board looked at each, sent alerts at once over a slow \
         radio, and sent everything else over a fast one-way link that lost, damaged and mixed up datagrams. \
         Nothing was ever sent back.</p>",
        summary.frames.len()
    );
    page.push_str(&tables::tiles(summary));
    page.push_str("<h2>Frames</h2><div class=\"frames\">");
    summary.frames.iter().for_each(|frame| page.push_str(&frame_card(frame, out)));
    page.push_str("</div><h2>How the bundles filled up</h2><p>Percent of each bundle on the ground after each pass: \
        <b class=\"ours\">fountain code, as flown</b> (solid) beside <b class=\"blind\">sending the file again and again</b> \
        (dashed) in the same slots of the link with the same losses.</p><div class=\"charts\">");
    summary.bundles.iter().for_each(|bundle| page.push_str(&charts::completion(bundle)));
    page.push_str("</div><h2>Time line</h2>");
    page.push_str(&charts::strip(summary));
    page.push_str(&tables::passes(summary));
    page.push_str("<h2>Bundles</h2>");
    page.push_str(&tables::bundles(summary));
    page.push_str("<h2>Alerts</h2>");
    page.push_str(&tables::alerts(summary));
    page.push_str("<h2>What happened</h2>");
    page.push_str(&tables::timeline(summary));
    let _ = writeln!(
        page,
        "<footer>Passband demo, seed {}, {:.0} s.</footer></main></body></html>",
        summary.seed, summary.seconds
    );
    page
}

fn frame_card(frame: &FrameSummary, out: &Path) -> String {
    let mut card = String::from("<article>");
    let picture = frame.quicklook.as_ref().and_then(|path| fs::read(out.join(path)).ok());
    if let Some(png) = picture {
        let _ = write!(
            card,
            "<img alt=\"Quicklook of {}\" src=\"data:image/png;base64,{}\">",
            escape(&frame.name),
            base64(&png)
        );
    }
    let [samples, lines, bands] = frame.size;
    let _ = write!(
        card,
        "<h3>{} <span class=\"class {class}\">{class}</span></h3><p>{}</p><p class=\"dim\">{samples} samples × {lines} lines × {bands} bands</p>",
        escape(&frame.name),
        escape(&frame.reason),
        class = escape(&frame.class)
    );
    card.push_str(&tables::detections(frame));
    card.push_str("</article>");
    card
}

/// Text made safe for HTML, also inside a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (word >> (18 - 6 * digit)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
