//! Drawings, SVG.

use std::fmt::Write;

use super::escape;
use crate::demo::summary::{BundleSummary, Summary};

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// Percent complete over the passes, as flown and blind.
pub(super) fn completion(bundle: &BundleSummary) -> String {
    let mut svg = String::new();
    let passes = bundle.percent_by_pass.len();
    let x = |pass: usize| LEFT + (WIDTH - LEFT - RIGHT) * pass as f64 / passes.max(1) as f64;
    let y = |percent: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - finite(percent) / 100.0);
    let _ = write!(
        svg,
        "<figure><figcaption>{} <span class=\"class {class}\">{class}</span></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Completion of {}\">",
        escape(&bundle.name),
        escape(&bundle.name),
        class = escape(&bundle.class)
    );
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let at = y(percent);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent:.0} %</text>",
            LEFT - 4.0,
            at + 4.0
        );
    }
    for pass in 0..=passes {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{pass}</text>",
            x(pass),
            HEIGHT - 10.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">pass</text>",
        WIDTH - 2.0,
        HEIGHT - 10.0
    );
    let curves = [("blind", &bundle.blind_percent_by_pass), ("ours", &bundle.percent_by_pass)];
    for (name, values) in curves {
        let points: Vec<(f64, f64, f64)> = std::iter::once((x(0), y(0.0), 0.0))
            .chain(values.iter().enumerate().map(|(i, p)| (x(i + 1), y(*p), *p)))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<polyline class=\"line-{name}\" points=\"{}\"/>", path.join(" "));
        for (i, (x, y, percent)) in points.iter().enumerate().skip(1) {
            let _ = write!(
                svg,
                "<circle class=\"dot-{name}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"><title>after pass {i}: {percent:.2} %</title></circle>"
            );
        }
    }
    label_ends(&mut svg, bundle, &y);
    svg.push_str("</svg></figure>");
    svg
}

/// The last value of each curve, written beside it; kept apart where they are close.
fn label_ends(svg: &mut String, bundle: &BundleSummary, y: &impl Fn(f64) -> f64) {
    let (Some(ours), Some(blind)) = (bundle.percent_by_pass.last(), bundle.blind_percent_by_pass.last())
    else {
        return;
    };
    let (top, mut low) = (y(*ours) + 4.0, y(*blind) + 4.0);
    if (low - top).abs() < 13.0 {
        low = top + 13.0;
    }
    for (name, value, at) in [("ours", ours, top), ("blind", blind, low)] {
        let _ = write!(
            svg,
            "<text class=\"text-{name}\" x=\"{:.1}\" y=\"{at:.1}\">{value:.1}</text>",
            WIDTH - RIGHT + 6.0
        );
    }
}

/// Passes, alerts and finished bundles along the time.
pub(super) fn strip(summary: &Summary) -> String {
    const WIDE: f64 = 1080.0;
    let end = summary.timeline.iter().map(|t| finite(t.t_s)).fold(finite(summary.seconds), f64::max).max(1.0);
    let x = |t: f64| 10.0 + (WIDE - 20.0) * finite(t) / end;
    let mut svg = format!("<figure><svg viewBox=\"0 0 {WIDE} 92\" role=\"img\" aria-label=\"Time line\">");
    for pass in &summary.passes {
        let (from, to) = (x(pass.aos_s), x(pass.los_s));
        let _ = write!(
            svg,
            "<rect class=\"pass\" x=\"{from:.1}\" y=\"20\" width=\"{:.1}\" height=\"44\"><title>pass {}: AOS {:.1} s, LOS {:.1} s</title></rect>\
             <text x=\"{:.1}\" y=\"14\" text-anchor=\"middle\">pass {}</text>",
            (to - from).max(1.0),
            pass.number,
            pass.aos_s,
            pass.los_s,
            f64::midpoint(from, to),
            pass.number
        );
    }
    let _ = write!(svg, "<line class=\"grid\" x1=\"10\" x2=\"{:.1}\" y1=\"64\" y2=\"64\"/>", WIDE - 10.0);
    for entry in &summary.timeline {
        let (class, height) = match entry.kind.as_str() {
            "alert" => ("mark alert", 40.0),
            "bundle" => ("mark bundle", 30.0),
            "frame" => ("mark frame", 14.0),
            _ => continue,
        };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"2.5\" height=\"{height}\"><title>{:.1} s: {}</title></rect>",
            x(entry.t_s),
            64.0 - height,
            entry.t_s,
            escape(&entry.text)
        );
    }
    for tick in 0..=6 {
        let t = end * f64::from(tick) / 6.0;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"82\" text-anchor=\"middle\">{t:.0} s</text>",
            x(t).clamp(20.0, WIDE - 20.0)
        );
    }
    svg.push_str("</svg><figcaption class=\"dim\">Blue: passes. Tall red marks: alerts. Green: bundles that became whole. Short dark marks: frames.</figcaption></figure>");
    svg
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
