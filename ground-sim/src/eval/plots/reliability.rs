//! The reliability diagram: how many of those called so probable are plumes, and how many are called that.

use anyhow::Result;
use plotters::chart::ChartBuilder;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::series::LineSeries;
use plotters::style::Color;

use super::{
    BLUE, Canvas, FAINT, FINER, GREY, INK, Key, ORANGE, figure, letters, picture, px, thick, unit_square,
};
use crate::eval::calibration::{LEAST, called};
use crate::eval::{Calibration, Evaluation};

const SIZE: (u32, u32) = (860, 1060);
/// Height of the diagram itself; the counts are below.
const UPPER: u32 = 650;
/// Bars of the counts.
const BARS: usize = 20;

/// Observed over predicted, and the counts below.
pub(super) fn reliability(e: &Evaluation) -> Result<Vec<u8>> {
    let c = &e.summary.calibration;
    let legend = [
        (
            Key::Dot(BLUE),
            format!("{} bins of equal size, with 95 % interval; {} candidates", c.bins.len(), c.candidates),
        ),
        (Key::Line(GREY), format!("what is true of calibrated probabilities; from {LEAST} up")),
        (Key::Bar(ORANGE), "candidates that are plumes".to_owned()),
        (Key::Bar(GREY), "candidates that are not".to_owned()),
    ];
    let title = format!("Reliability: ECE {}, Brier score {}", figure(c.ece), figure(c.brier));
    picture(SIZE, &title, &legend, |area| {
        let (upper, lower) = area.split_vertically(px(UPPER));
        diagram(&upper, c)?;
        counts(&lower, &called(&e.frames))
    })
}

fn diagram(area: &Canvas, c: &Calibration) -> Result<()> {
    let said = "Probability that the detector gives (mean of a bin)";
    let mut chart = unit_square(area, 84, said, "Share of them that are plumes")?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], thick(GREY)))?;
    let bar = |b: &crate::eval::ReliabilityBin| {
        b.observed.share?;
        let [low, high] = b.observed.interval_95;
        Some(PathElement::new(vec![(b.predicted, low), (b.predicted, high)], thick(BLUE)))
    };
    chart.draw_series(c.bins.iter().filter_map(bar))?;
    let dot = |b: &crate::eval::ReliabilityBin| Some((b.predicted, b.observed.share?));
    let dots: Vec<(f64, f64)> = c.bins.iter().filter_map(dot).collect();
    chart.draw_series(LineSeries::new(dots.iter().copied(), BLUE.mix(0.5).stroke_width(FINER)))?;
    chart.draw_series(dots.into_iter().map(|at| Circle::new(at, px(6), BLUE.filled())))?;
    Ok(())
}

/// Bars of the numbers of candidates: those that are plumes on top of those that are not.
fn counts(area: &Canvas, called: &[(f64, bool)]) -> Result<()> {
    let mut bars = [[0_u32; 2]; BARS];
    for (p, is_plume) in called.iter().filter(|(p, _)| *p >= LEAST) {
        let bar = crate::eval::index_of(p * BARS as f64).min(BARS - 1);
        bars[bar][usize::from(*is_plume)] += 1;
    }
    let highest = bars.iter().map(|b| b[0] + b[1]).max().unwrap_or(0).max(4);
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(px(20))
        .margin_top(px(4))
        .margin_right(px(36))
        .x_label_area_size(px(56))
        .y_label_area_size(px(84));
    let mut chart = builder.build_cartesian_2d(0.0..1.0, 0.0..f64::from(highest) * 1.08)?;
    chart
        .configure_mesh()
        .light_line_style(super::WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .disable_x_mesh()
        .x_desc("Probability that the detector gives")
        .y_desc("Candidates")
        .y_labels(5)
        .x_label_formatter(&|v| format!("{v:.1}"))
        .y_label_formatter(&|v| format!("{v:.0}"))
        .label_style(letters())
        .axis_desc_style(letters())
        .draw()?;
    for (n, [no, yes]) in bars.into_iter().enumerate() {
        let (from, to) = ((n as f64 + 0.08) / BARS as f64, (n as f64 + 0.92) / BARS as f64);
        let (no, yes) = (f64::from(no), f64::from(yes));
        chart.draw_series([
            Rectangle::new([(from, 0.0), (to, no)], GREY.filled()),
            Rectangle::new([(from, no), (to, no + yes)], ORANGE.filled()),
        ])?;
    }
    Ok(())
}
