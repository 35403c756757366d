//! Precision over recall, and false alarms over the threshold.

use anyhow::Result;
use plotters::chart::ChartBuilder;
use plotters::coord::combinators::IntoLogRange;
use plotters::element::{Circle, TriangleMarker};
use plotters::series::LineSeries;
use plotters::style::Color;

use super::{BLUE, FAINT, FINER, GREY, INK, Key, ORANGE, figure, letters, picture, px, thick, unit_square};
use crate::eval::pixels::CurvePoint;
use crate::eval::score::Operating;
use crate::eval::truth::PLUME_PPM_M;
use crate::eval::{AlarmPoint, Evaluation};

const SIZE: (u32, u32) = (960, 800);
/// A point nearer than this to the one before is not drawn.
const NEAR: f64 = 0.004;

/// Precision over recall, of pixels and of detections, with the points at which an alert and a suspect are called.
pub(super) fn precision_recall(e: &Evaluation) -> Result<Vec<u8>> {
    let s = &e.summary;
    let point = |o: &Operating| Some((o.recall.share?, o.precision.share?));
    let called = |name: &str, o: &Operating| {
        let at = point(o)
            .map_or_else(|| "no detection".to_owned(), |(r, p)| format!("recall {r:.2}, precision {p:.2}"));
        format!("{name}, probability ≥ {:.2}: {at}", o.threshold)
    };
    let legend = [
        (
            Key::Line(BLUE),
            format!(
                "pixels, plume at ≥ {PLUME_PPM_M} ppm·m: AP {} pooled, {} mean of {} frames",
                figure(s.pixels.ap_pooled),
                figure(s.pixels.ap_mean),
                s.pixels.ap_frames
            ),
        ),
        (
            Key::Line(ORANGE),
            format!("detections: AP {}, {} plumes", figure(s.detection_ap), s.numbers.counting_plumes),
        ),
        (Key::Triangle(ORANGE), called("alert", &s.alert)),
        (Key::Dot(ORANGE), called("suspect", &s.suspect)),
    ];
    let title = format!("Precision and recall, {} in {} frames", s.target, s.numbers.frames);
    picture(SIZE, &title, &legend, |area| {
        let recall = "Recall (share of the true that is found)";
        let mut chart = unit_square(area, 72, recall, "Precision (share of the found that is true)")?;
        for (curve, color) in [(&e.pixel_curve, BLUE), (&e.detection_curve, ORANGE)] {
            chart.draw_series(LineSeries::new(thinned(curve), thick(color)))?;
        }
        chart.draw_series(point(&s.alert).map(|at| TriangleMarker::new(at, px(9), ORANGE.filled())))?;
        chart.draw_series(point(&s.suspect).map(|at| Circle::new(at, px(6), ORANGE.filled())))?;
        Ok(())
    })
}

/// A curve without the points that can't be told from the ones before.
fn thinned(curve: &[CurvePoint]) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (n, p) in curve.iter().enumerate() {
        let is_near = |(r, q): &(f64, f64)| (p.recall - r).abs() < NEAR && (p.precision - q).abs() < NEAR;
        if n + 1 == curve.len() || !out.last().is_some_and(is_near) {
            out.push((p.recall, p.precision));
        }
    }
    out
}

/// False alarms over the threshold, on a logarithmic scale whose lower edge stands for none.
pub(super) fn false_alarms(e: &Evaluation) -> Result<Vec<u8>> {
    let s = &e.summary;
    let points = &s.false_alarms;
    let highest = points
        .iter()
        .flat_map(|p| [p.candidates_per_1000_frames, p.frames_per_1000_clean.unwrap_or(0.0)])
        .fold(10.0, f64::max);
    // One alarm in all frames is the least there can be above none.
    let least = 1000.0 / s.numbers.frames.max(1) as f64;
    let floor = (least / 3.0).min(highest / 10.0);
    let at = |o: &Operating| {
        let count = o.false_per_1000_frames.map_or_else(|| "not defined".to_owned(), |f| format!("{f:.1}"));
        format!("{count} at {:.2}", o.threshold)
    };
    let legend = [
        (
            Key::Line(BLUE),
            format!(
                "false detections per 1,000 frames ({} frames): {} (suspect), {} (alert)",
                s.numbers.frames,
                at(&s.suspect),
                at(&s.alert)
            ),
        ),
        (
            Key::Line(ORANGE),
            format!(
                "falsely alarmed frames per 1,000 frames without gas ({} frames)",
                s.numbers.clean_frames
            ),
        ),
        (Key::Line(GREY), "thresholds of suspect and alert; the lower edge is none at all".to_owned()),
    ];
    picture(SIZE, "False alarms by threshold", &legend, |area| {
        let mut builder = ChartBuilder::on(area);
        builder.margin(px(20)).margin_right(px(36)).x_label_area_size(px(56)).y_label_area_size(px(96));
        let mut chart = builder.build_cartesian_2d(0.0..1.0, (floor..highest * 1.5).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(super::WHITE)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .x_desc("Lowest probability that counts as a detection")
            .y_desc("False alarms per 1,000 frames")
            .x_label_formatter(&|v| format!("{v:.1}"))
            .y_label_formatter(&|v| per_mille(*v))
            .label_style(letters())
            .axis_desc_style(letters())
            .draw()?;
        for o in [&s.suspect, &s.alert] {
            let line = [(o.threshold, floor), (o.threshold, highest * 1.5)];
            chart.draw_series(LineSeries::new(line, GREY.stroke_width(FINER)))?;
        }
        let candidates = |p: &AlarmPoint| Some(p.candidates_per_1000_frames);
        let frames = |p: &AlarmPoint| p.frames_per_1000_clean;
        for (line, color) in [(steps(points, candidates), BLUE), (steps(points, frames), ORANGE)] {
            let line = line.into_iter().map(|(x, y)| (x, y.max(floor)));
            chart.draw_series(LineSeries::new(line, thick(color)))?;
        }
        Ok(())
    })
}

fn steps(points: &[AlarmPoint], of: impl Fn(&AlarmPoint) -> Option<f64>) -> Vec<(f64, f64)> {
    points.iter().filter_map(|p| Some((p.threshold, of(p)?))).collect()
}

/// A label of the logarithmic axis.
fn per_mille(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}
