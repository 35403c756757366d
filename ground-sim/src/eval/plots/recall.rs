//! Recall by the strength of the plume, with intervals.

use anyhow::Result;
use plotters::chart::ChartBuilder;
use plotters::element::{Circle, PathElement, Text, TriangleMarker};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::{BLUE, Canvas, Chart, FAINT, INK, Key, ORANGE, letters, picture, px, text_style, thick};
use crate::eval::strength::StrengthBin;
use crate::eval::{BinScore, Evaluation};

const SIZE: (u32, u32) = (1440, 720);
/// How far the two marks of a bin stand off its middle, bins.
const OFF: f64 = 0.12;
/// Height of the room above the axis of 1, for the numbers of plumes.
const HEAD: f64 = 0.12;

/// Recall by source rate and by greatest column.
pub(super) fn recall(e: &Evaluation) -> Result<Vec<u8>> {
    let s = &e.summary;
    let legend = [
        (
            Key::Triangle(ORANGE),
            format!("alert (probability ≥ {:.2}), with 95 % interval", s.alert.threshold),
        ),
        (Key::Dot(BLUE), format!("suspect (probability ≥ {:.2}), with 95 % interval", s.suspect.threshold)),
    ];
    let title = format!("Recall by strength of the plume, {} in {} frames", s.target, s.numbers.frames);
    picture(SIZE, &title, &legend, |area| {
        let (left, right) = area.split_horizontally(px(SIZE.0 / 2));
        panel(&left, "Source rate, kg/h (plumes that are not hidden)", &s.by_kg_h)?;
        panel(&right, "Greatest visible column, ppm·m (plumes that count)", &s.by_ppm_m)
    })
}

fn panel(area: &Canvas, what: &str, bins: &[StrengthBin]) -> Result<()> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(px(20)).margin_right(px(28)).x_label_area_size(px(72)).y_label_area_size(px(72));
    let end = bins.len().max(1) as f64;
    let mut chart = builder.build_cartesian_2d(0.0..end, 0.0..1.0 + HEAD)?;
    chart
        .configure_mesh()
        .light_line_style(super::WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .disable_x_mesh()
        .x_labels(0)
        .y_desc("Recall (share of the plumes that are found)")
        .y_label_formatter(&|v| if *v > 1.001 { String::new() } else { format!("{v:.1}") })
        .label_style(letters())
        .axis_desc_style(letters())
        .draw()?;
    let (top, size) = (area.get_base_pixel(), area.dim_in_pixel());
    let below = i32::try_from(size.1)? - px(20);
    let middle = i32::try_from(size.0)? / 2 + px(26);
    area.draw(&Text::new(what.to_owned(), (middle, below), text_style(HPos::Center, VPos::Bottom)))?;
    if bins.is_empty() {
        let note = "no plumes of known strength".to_owned();
        chart.draw_series([Text::new(note, (end / 2.0, 0.5), text_style(HPos::Center, VPos::Center))])?;
        return Ok(());
    }
    for (n, bin) in bins.iter().enumerate() {
        let x = n as f64 + 0.5;
        let (across, down) = chart.backend_coord(&(x, 0.0));
        let place = (across - top.0, down - top.1 + px(14));
        area.draw(&Text::new(range(bin), place, text_style(HPos::Center, VPos::Top)))?;
        let count = format!("n = {}", bin.alert.recall.of);
        chart.draw_series([Text::new(
            count,
            (x, 1.0 + HEAD / 2.0),
            text_style(HPos::Center, VPos::Center),
        )])?;
        marks(&mut chart, x, bin)?;
    }
    Ok(())
}

fn marks(chart: &mut Chart, x: f64, bin: &StrengthBin) -> Result<()> {
    for (score, x, color, is_alert) in
        [(&bin.alert, x - OFF, ORANGE, true), (&bin.suspect, x + OFF, BLUE, false)]
    {
        let BinScore { recall, .. } = score;
        let Some(share) = recall.share else { continue };
        let [low, high] = recall.interval_95;
        chart.draw_series([PathElement::new(vec![(x, low), (x, high)], thick(color))])?;
        if is_alert {
            chart.draw_series([TriangleMarker::new((x, share), px(8), color.filled())])?;
        } else {
            chart.draw_series([Circle::new((x, share), px(6), color.filled())])?;
        }
    }
    Ok(())
}

/// `200–400`, `≥ 2.8k`.
fn range(bin: &StrengthBin) -> String {
    let short = |v: f64| if v >= 1000.0 { format!("{}k", v / 1000.0) } else { format!("{v}") };
    match bin.to {
        Some(to) => format!("{}–{}", short(bin.from), short(to)),
        None => format!("≥ {}", short(bin.from)),
    }
}
