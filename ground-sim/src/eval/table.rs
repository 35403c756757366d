//! The figures as a table for the terminal, at most 100 columns wide.

use std::fmt::Write;

use super::fit::Fit;
use super::score::{Operating, Share};
use super::strength::StrengthBin;
use super::summary::{QuantityFigures, Spread, Summary};

/// Most failures that are shown; all are in the document.
const SHOWN_FAILURES: usize = 20;

/// The table.
///
/// Writing to a string doesn't fail, so what `write!` gives is passed over here.
pub fn table(s: &Summary) -> String {
    let mut out = String::new();
    let n = &s.numbers;
    let _ok = writeln!(
        out,
        "{} in {} frames, {} of them without gas; {} plumes, {} count, {} are hidden",
        s.target, n.frames, n.clean_frames, n.plumes, n.counting_plumes, n.hidden_plumes
    );
    let _ok = writeln!(out, "\n{:<26}{:>34}{:>34}", "", "alert", "suspect");
    for (what, of) in ROWS {
        let _ok = writeln!(out, "{what:<26}{:>34}{:>34}", of(&s.alert), of(&s.suspect));
    }
    strength(&mut out, "greatest column, ppm·m", &s.by_ppm_m);
    strength(&mut out, "source rate, kg/h", &s.by_kg_h);
    let _ok = writeln!(
        out,
        "\naverage precision         detections {}, frames {}, pixels {} (mean of {}), {} (pooled)",
        plain(s.detection_ap),
        plain(s.frame_ap),
        plain(s.pixels.ap_mean),
        s.pixels.ap_frames,
        plain(s.pixels.ap_pooled)
    );
    quantities(&mut out, &s.quantity);
    let c = &s.calibration;
    let _ok = writeln!(
        out,
        "calibration               error {} (ECE), Brier score {}, log loss {}, of {} candidates",
        plain(c.ece),
        plain(c.brier),
        plain(c.log_loss),
        c.candidates
    );
    if n.handed_out < n.candidates {
        let _ok = writeln!(
            out,
            "                          {} of {} candidates were handed out by the detector",
            n.handed_out, n.candidates
        );
    }
    if !s.rejections.is_empty() {
        let counts: Vec<String> = s.rejections.iter().map(|(why, n)| format!("{n} {why}")).collect();
        let _ok = writeln!(out, "rejected                  {}", counts.join(", "));
    }
    failures(&mut out, s);
    out
}

type Cell = fn(&Operating) -> String;

const ROWS: [(&str, Cell); 6] = [
    ("probability at least", |o| format!("{:.2}", o.threshold)),
    ("recall of plumes", |o| share(&o.recall)),
    ("precision of detections", |o| share(&o.precision)),
    ("F1", |o| plain(o.f1)),
    ("false per 1,000 frames", |o| o.false_per_1000_frames.map_or_else(none, |f| format!("{f:.1}"))),
    ("false frames per 1,000", |o| {
        let per_1000 = |p: f64| format!("{:.1}", p * 1e3);
        let [low, high] = o.false_frames.interval_95.map(per_1000);
        o.false_frames.share.map_or_else(none, |p| format!("{} [{low}, {high}]", per_1000(p)))
    }),
];

fn strength(out: &mut String, what: &str, bins: &[StrengthBin]) {
    if bins.is_empty() {
        return;
    }
    let _ok =
        writeln!(out, "\n{what:<26}{:>28}{:>6}{:>28}{:>6}", "alert: recall", "F1", "suspect: recall", "F1");
    for bin in bins {
        let range = match bin.to {
            Some(to) => format!("{} to {to}", bin.from),
            None => format!("{} and more", bin.from),
        };
        let _ok = writeln!(
            out,
            "{range:<26}{:>28}{:>6}{:>28}{:>6}",
            share(&bin.alert.recall),
            plain(bin.alert.f1),
            share(&bin.suspect.recall),
            plain(bin.suspect.f1)
        );
    }
}

fn quantities(out: &mut String, q: &QuantityFigures) {
    let spread = |s: Option<Spread>| s.map_or_else(none, |s| format!("{:.0}", s.median));
    let _ok = writeln!(
        out,
        "noise, ppm·m              {} a pixel, {} robust, {} smoothed; the detector says {} (medians)",
        spread(q.noise_ppm_m),
        spread(q.noise_robust_ppm_m),
        spread(q.noise_smoothed_ppm_m),
        spread(q.noise_told_ppm_m)
    );
    let [from, to] = q.slope_range_ppm_m;
    let _ok = writeln!(
        out,
        "retrieved over true       slope {}, ratio {} ({from} to {to} ppm·m, {} pixels)",
        plain(q.slope),
        plain(q.ratio),
        q.slope_pixels
    );
    let percent = |share: Option<f64>| share.map_or_else(none, |s| format!("{:.0} %", s * 100.0));
    if q.rates > 0 {
        let _ok = writeln!(
            out,
            "rates given for {:<10}median ratio {}; within ±50 %: {}; within its own sigma: {}",
            q.rates,
            plain(q.rate_ratio_median),
            percent(q.rates_within_half),
            percent(q.rates_within_sigma)
        );
    }
}

fn failures(out: &mut String, s: &Summary) {
    if s.failures.is_empty() {
        return;
    }
    let _ok = writeln!(out, "\n{} frames could not be evaluated:", s.failures.len());
    for failure in s.failures.iter().take(SHOWN_FAILURES) {
        let _ok = writeln!(out, "  {}: {}", failure.frame, failure.error);
    }
    if s.failures.len() > SHOWN_FAILURES {
        let _ok = writeln!(out, "  … and {} more", s.failures.len() - SHOWN_FAILURES);
    }
}

/// What came of a fit.
pub fn fit_table(fit: &Fit) -> String {
    let mut out = format!(
        "\nlogistic fitted to {} candidates of {} frames, {} of them plumes: holds for such a mixture\n",
        fit.candidates, fit.frames, fit.plumes
    );
    for (name, weight) in &fit.weights {
        let _ok = writeln!(out, "  {name:<24}{weight:>10.3}");
    }
    for name in &fit.kept {
        let _ok = writeln!(out, "  {name:<24}{:>10}", "kept");
    }
    let _ok = match &fit.validation {
        Some(v) => writeln!(
            out,
            "on frames left out ({} folds): ECE {}, log loss {:.3} (counting alone: {:.3})",
            v.folds,
            plain(v.ece),
            v.log_loss,
            v.log_loss_of_counting
        ),
        None => writeln!(out, "too few frames for a cross-validation"),
    };
    out
}

fn none() -> String {
    "–".to_owned()
}

fn plain(value: Option<f64>) -> String {
    value.map_or_else(none, |v| format!("{v:.3}"))
}

/// `12/15 0.800 [0.548, 0.930]`.
fn share(share: &Share) -> String {
    let [low, high] = share.interval_95;
    share.share.map_or_else(none, |p| format!("{}/{} {p:.3} [{low:.2}, {high:.2}]", share.count, share.of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Evaluation;
    use crate::eval::Judgement::{False, True};
    use crate::eval::score::tests::frame;
    use crate::eval::summary::Failure;
    use passband_spectral::triage::Params;

    #[test]
    fn a_table_fits_the_terminal_and_says_what_failed() {
        let frames = vec![
            frame(&[(0.95, True), (0.5, False)], &[(500.0, Some(0.95)), (9000.0, None)]),
            frame(&[(0.95, False)], &[]),
        ];
        let mut summary = Evaluation::of_frames(frames, &Params::default()).summary;
        summary.failures =
            (0..25).map(|n| Failure { frame: format!("f{n}"), error: "no data".into() }).collect();
        let text = table(&summary);
        assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
        assert!(text.contains("1/2 0.500 [0.09, 0.91]"), "{text}");
        assert!(
            text.contains("f19: no data") && text.contains("and 5 more") && !text.contains("f20"),
            "{text}"
        );
        assert!(text.contains("1000.0 [206.5, 1000.0]"), "{text}");
    }
}
