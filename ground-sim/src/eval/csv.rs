//! `frames.csv` and `detections.csv`: one row a frame, one row a candidate. Numbers with a point, empty where not known,
//! quotes as in RFC 4180.

use std::fmt::Write;

use passband_spectral::Class;

use super::summary::reason_name;
use super::{Candidate, FrameOutcome};

/// One row a frame.
pub(super) fn frames(frames: &[FrameOutcome]) -> String {
    let mut out = Table::new(&[
        "frame",
        "class",
        "probability",
        "reason",
        "lines",
        "samples",
        "clean",
        "plumes",
        "counting_plumes",
        "max_ppm_m",
        "rate_kg_h",
        "best_plume_probability",
        "given_rate_kg_h",
        "given_rate_sigma_kg_h",
        "plume_pixels",
        "pixel_ap",
        "noise_ppm_m",
        "noise_smoothed_ppm_m",
        "noise_told_ppm_m",
        "cloud_fraction_found",
        "cloud_fraction_true",
        "wind_m_s",
        "pixel_m",
        "candidates",
        "handed_out",
    ]);
    for f in frames {
        // The strongest plume stands for the frame.
        let strongest = f.plumes.iter().max_by(|a, b| a.plume.max_ppm_m.total_cmp(&b.plume.max_ppm_m));
        let given = strongest.and_then(|p| p.estimate_kg_h);
        out.text(&f.name);
        out.text(class_name(f.report.class));
        out.number(Some(f64::from(f.report.probability)));
        out.text(&f.report.reason);
        out.count(f.report.lines);
        out.count(f.report.samples);
        out.count(usize::from(f.is_clean));
        out.count(f.plumes.len());
        out.count(f.plumes.iter().filter(|p| p.plume.counts()).count());
        out.number(strongest.map(|p| f64::from(p.plume.max_ppm_m)));
        out.number(strongest.and_then(|p| p.plume.rate_kg_h));
        out.number(strongest.and_then(|p| p.probability));
        out.number(given.map(|e| f64::from(e.value)));
        out.number(given.map(|e| f64::from(e.sigma)));
        out.number(Some(f.pixels[1] as f64));
        out.number(f.pixel_ap);
        out.number(f.noise.map(|n| n.sd_ppm_m));
        out.number(f.noise.map(|n| n.smoothed_sd_ppm_m));
        out.number(f.report.noise_ppm_m.map(f64::from));
        out.number(Some(f64::from(f.report.quality.cloud_fraction)));
        out.number(f.cloud_fraction);
        out.number(f.wind_m_s);
        out.number(f.pixel_m);
        out.count(f.report.candidates as usize);
        out.count(f.candidates.len());
        out.end();
    }
    out.text
}

/// One row a candidate; the features as they are fitted come last.
pub(super) fn candidates(frames: &[FrameOutcome]) -> String {
    let all = || frames.iter().flat_map(|f| f.candidates.iter().map(move |c| (f, c)));
    let names: Vec<&str> =
        all().map(|(_, c)| c.features.iter().map(|(name, _)| *name).collect()).next().unwrap_or_default();
    let mut columns: Vec<String> = COLUMNS.iter().map(|c| (*c).to_owned()).collect();
    columns.extend(names.iter().map(|n| format!("feature_{n}")));
    let mut out = Table::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for (frame, candidate) in all() {
        row(&mut out, frame, candidate);
        let features = &candidate.features;
        for name in &names {
            out.number(features.iter().find(|(n, _)| n == name).map(|(_, value)| *value));
        }
        out.end();
    }
    out.text
}

const COLUMNS: [&str; 25] = [
    "frame",
    "kind",
    "label",
    "probability",
    "judgement",
    "reason",
    "on_plume",
    "on_confuser",
    "plume_max_ppm_m",
    "plume_rate_kg_h",
    "snr",
    "pixels",
    "peak_ppm_m",
    "mean_ppm_m",
    "spectral_match",
    "contrast",
    "mass_kg",
    "mass_sigma_kg",
    "rate_kg_h",
    "rate_sigma_kg_h",
    "line0",
    "line1",
    "sample0",
    "sample1",
    "centroid",
];

fn row(out: &mut Table, frame: &FrameOutcome, c: &Candidate) {
    let d = c.detection.as_ref();
    let of = |value: Option<f32>| value.map(f64::from);
    let plume = c.plume.map(|n| &frame.plumes[n].plume);
    out.text(&frame.name);
    out.text(if d.is_some() { "detection" } else { "rejection" });
    out.number(d.map(|d| f64::from(d.label)));
    out.number(Some(c.probability));
    out.text(c.judgement.name());
    out.text(&c.reason.map(reason_name).unwrap_or_default());
    out.number(Some(c.on_plume));
    out.number(Some(c.on_confuser));
    out.number(plume.map(|p| f64::from(p.max_ppm_m)));
    out.number(plume.and_then(|p| p.rate_kg_h));
    out.number(Some(f64::from(c.snr)));
    out.number(Some(f64::from(c.pixels)));
    out.number(of(d.map(|d| d.peak_ppm_m)));
    out.number(of(d.map(|d| d.mean_ppm_m)));
    out.number(of(d.map(|d| d.spectral_match)));
    out.number(of(d.map(|d| d.contrast)));
    out.number(of(d.and_then(|d| d.mass_kg).map(|e| e.value)));
    out.number(of(d.and_then(|d| d.mass_kg).map(|e| e.sigma)));
    out.number(of(d.and_then(|d| d.rate_kg_h).map(|e| e.value)));
    out.number(of(d.and_then(|d| d.rate_kg_h).map(|e| e.sigma)));
    for edge in [c.bbox.line0, c.bbox.line1, c.bbox.sample0, c.bbox.sample1] {
        out.number(Some(f64::from(edge)));
    }
    out.text(&d.map(|d| format!("{:.1} {:.1}", d.centroid[0], d.centroid[1])).unwrap_or_default());
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Alert => "alert",
        Class::Suspect => "suspect",
        Class::Routine => "routine",
        Class::DiscardCandidate => "discard-candidate",
    }
}

struct Table {
    text: String,
    columns: usize,
    filled: usize,
}

impl Table {
    fn new(columns: &[&str]) -> Self {
        Self { text: columns.join(",") + "\n", columns: columns.len(), filled: 0 }
    }

    fn cell(&mut self, value: &str) {
        if self.filled > 0 {
            self.text.push(',');
        }
        self.text.push_str(value);
        self.filled += 1;
    }

    fn text(&mut self, value: &str) {
        if value.contains([',', '"', '\n', '\r']) {
            self.cell(&format!("\"{}\"", value.replace('"', "\"\"")));
        } else {
            self.cell(value);
        }
    }

    fn number(&mut self, value: Option<f64>) {
        let mut text = String::new();
        if let Some(value) = value.filter(|v| v.is_finite()) {
            // Writing to a string doesn't fail. Seven digits: all that an f32 holds.
            let _ok = if value.fract().abs() < f64::MIN_POSITIVE && value.abs() < 1e15 {
                write!(text, "{value:.0}")
            } else {
                let decimals = 6 - super::index_of(libm::log10(value.abs()).floor().clamp(0.0, 6.0));
                write!(text, "{value:.decimals$}")
            };
        }
        self.cell(&text);
    }

    fn count(&mut self, value: usize) {
        self.cell(&value.to_string());
    }

    fn end(&mut self) {
        debug_assert_eq!(self.filled, self.columns, "a row has as many cells as there are columns");
        self.text.push('\n');
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Judgement;
    use crate::eval::score::tests::frame;

    #[test]
    fn rows_are_as_wide_as_the_head_and_quoted() {
        let mut one =
            frame(&[(0.95, Judgement::True), (0.123_456_7, Judgement::False)], &[(500.0, Some(0.95))]);
        one.report.reason = "a \"plume\", 3 sigma".into();
        one.candidates[0].features = vec![("ln_snr", 1.5), ("contrast", -0.25)];
        one.candidates[0].plume = Some(0);
        let text = frames(std::slice::from_ref(&one));
        let mut lines = text.lines();
        let head = lines.next().unwrap().split(',').count();
        let row = lines.next().unwrap();
        assert!(row.contains("\"a \"\"plume\"\", 3 sigma\""), "{row}");
        assert_eq!(row.split(',').count(), head + 1, "one comma is quoted");
        let text = candidates(&[one]);
        let widths: Vec<usize> = text.lines().map(|l| l.split(',').count()).collect();
        assert_eq!(widths, [COLUMNS.len() + 2; 3]);
        assert!(text.lines().nth(1).unwrap().ends_with(",1.500000,-0.250000"), "{text}");
        assert!(text.lines().nth(2).unwrap().contains("0.123457"), "{text}");
    }
}
