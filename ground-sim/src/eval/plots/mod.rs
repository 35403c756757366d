//! The pictures of an evaluation, as PNG. Letters come from fonts in the binary: no system font is asked for.
//!
//! Each picture has a title, below it the legend in rows of its own, so that it never covers a curve, and then the
//! charts.

mod charts;
mod recall;
mod reliability;

use anyhow::{Result, anyhow};
use plotters::backend::BitMapBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text, TriangleMarker};
use plotters::prelude::Cartesian2d;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, IntoTextStyle, RGBColor, ShapeStyle, TextStyle, WHITE,
    register_font,
};

use super::Evaluation;

/// DejaVu Sans 2.37, the letters that are needed; the licence is beside it.
const REGULAR: &[u8] = include_bytes!("../../../data/font/DejaVuSans.ttf");
/// Its bold face.
const BOLD: &[u8] = include_bytes!("../../../data/font/DejaVuSans-Bold.ttf");
/// What the font is called among the drawing library's.
const FAMILY: &str = "passband";

const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(140, 140, 140);
const FAINT: RGBColor = RGBColor(225, 225, 225);
const BLUE: RGBColor = RGBColor(0, 94, 162);
const ORANGE: RGBColor = RGBColor(204, 88, 0);

/// Height of the title and of a row of the legend, pixels.
const TITLE_HEIGHT: i32 = px(46);
const ROW_HEIGHT: i32 = px(24);
/// Size of the letters of the title and of everything else, pixels.
const TITLE_SIZE: i32 = px(22);
const SIZE: i32 = px(16);

/// Pictures are drawn so many times as large and then made smaller: smooth edges, and letters that stand even.
const FINER: u32 = 2;

/// A length of the finished picture while it is drawn.
const fn px(pixels: u32) -> i32 {
    (pixels * FINER).cast_signed()
}

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// All pictures, by file name.
///
/// # Errors
/// Something could not be drawn: a fault of this program.
pub(super) fn pictures(evaluation: &Evaluation) -> Result<Vec<(&'static str, Vec<u8>)>> {
    Ok(vec![
        ("precision-recall.png", charts::precision_recall(evaluation)?),
        ("recall.png", recall::recall(evaluation)?),
        ("reliability.png", reliability::reliability(evaluation)?),
        ("false-alarms.png", charts::false_alarms(evaluation)?),
    ])
}

/// A chart from 0 to 1 both ways, with its axes; `room` for the labels of y.
fn unit_square<'a, 'b>(area: &'a Canvas<'b>, room: u32, x: &str, y: &str) -> Result<Chart<'a, 'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(px(20)).margin_right(px(36)).x_label_area_size(px(56)).y_label_area_size(px(room));
    let mut chart = builder.build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|v| format!("{v:.1}"))
        .y_label_formatter(&|v| format!("{v:.1}"))
        .label_style(letters())
        .axis_desc_style(letters())
        .draw()?;
    Ok(chart)
}

/// How an entry of the legend looks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Line(RGBColor),
    Dot(RGBColor),
    Triangle(RGBColor),
    Bar(RGBColor),
}

/// Draws a picture: `draw` gets the part below title and legend.
fn picture(
    size: (u32, u32),
    title: &str,
    legend: &[(Key, String)],
    draw: impl FnOnce(&Canvas) -> Result<()>,
) -> Result<Vec<u8>> {
    let fine = (size.0 * FINER, size.1 * FINER);
    for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, BOLD)] {
        register_font(FAMILY, style, bytes).map_err(|_| anyhow!("the font in the binary is not one"))?;
    }
    let mut rgb = vec![0; fine.0 as usize * fine.1 as usize * 3];
    {
        let whole = BitMapBackend::with_buffer(&mut rgb, fine).into_drawing_area();
        whole.fill(&WHITE)?;
        let bold: TextStyle =
            FontDesc::new(FontFamily::Name(FAMILY), f64::from(TITLE_SIZE), FontStyle::Bold).color(&INK);
        whole.draw(&Text::new(title.to_owned(), (px(24), px(16)), bold))?;
        for (y, (key, text)) in (0..).map(|row| TITLE_HEIGHT + px(8) + row * ROW_HEIGHT).zip(legend) {
            draw_key(&whole, *key, y + ROW_HEIGHT / 2)?;
            whole.draw(&Text::new(
                text.clone(),
                (px(64), y + ROW_HEIGHT / 2),
                text_style(HPos::Left, VPos::Center),
            ))?;
        }
        let rows = i32::try_from(legend.len())?;
        let (_, below) = whole.split_vertically(TITLE_HEIGHT + px(12) + rows * ROW_HEIGHT);
        draw(&below)?;
        whole.present()?;
    }
    png_of(size, &smaller(&rgb, fine.0 as usize))
}

fn draw_key(area: &Canvas, key: Key, y: i32) -> Result<()> {
    match key {
        Key::Line(color) => {
            area.draw(&PathElement::new([(px(26), y), (px(56), y)], color.stroke_width(3 * FINER)))
        }
        Key::Dot(color) => area.draw(&Circle::new((px(41), y), px(5), color.filled())),
        Key::Triangle(color) => area.draw(&TriangleMarker::new((px(41), y), px(7), color.filled())),
        Key::Bar(color) => {
            area.draw(&Rectangle::new([(px(30), y - px(6)), (px(52), y + px(6))], color.filled()))
        }
    }?;
    Ok(())
}

/// The usual letters, placed about a point.
fn text_style<'a>(h: HPos, v: VPos) -> TextStyle<'a> {
    (FAMILY, SIZE, &INK).into_text_style(&(1, 1)).pos(Pos::new(h, v))
}

/// The usual letters as an axis takes them.
fn letters() -> (&'static str, i32, &'static RGBColor) {
    (FAMILY, SIZE, &INK)
}

fn thick(color: RGBColor) -> ShapeStyle {
    color.stroke_width(2 * FINER)
}

/// Means of `FINER × FINER` pixels.
fn smaller(rgb: &[u8], width: usize) -> Vec<u8> {
    let finer = FINER as usize;
    let at = |x: usize, y: usize, channel: usize| u32::from(rgb[(y * width + x) * 3 + channel]);
    let height = rgb.len() / (width * 3);
    let mut out = Vec::with_capacity(rgb.len() / (finer * finer));
    for y in (0..height).step_by(finer) {
        for x in (0..width).step_by(finer) {
            for channel in 0..3 {
                let block = (0..finer).flat_map(|dy| (0..finer).map(move |dx| (x + dx, y + dy)));
                let sum: u32 = block.map(|(x, y)| at(x, y, channel)).sum();
                out.push(u8::try_from(sum / (FINER * FINER)).unwrap_or(u8::MAX));
            }
        }
    }
    out
}

fn png_of((width, height): (u32, u32), rgb: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}

/// A figure, or that there is none.
fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "not defined".to_owned(), |v| format!("{v:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::Judgement::{False, Neither, True};
    use crate::eval::score::tests::frame;
    use passband_spectral::triage::Params;

    /// Number of pixels that aren't white, in a part of a picture.
    fn ink(png: &[u8], part: [usize; 4]) -> usize {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        let [x0, x1, y0, y1] = part;
        (y0..y1)
            .flat_map(|y| (x0..x1).map(move |x| (y * info.width as usize + x) * 3))
            .filter(|at| rgb[*at..*at + 3] != [255; 3])
            .count()
    }

    #[test]
    fn pictures_are_drawn_with_letters_also_of_nothing() {
        let some = vec![
            frame(&[(0.95, True), (0.5, False), (0.7, Neither)], &[(500.0, Some(0.95)), (9000.0, None)]),
            frame(&[(0.95, False)], &[]),
        ];
        for frames in [some, vec![], vec![frame(&[], &[])]] {
            let evaluation = Evaluation::of_frames(frames, &Params::default());
            for (name, png) in pictures(&evaluation).unwrap() {
                let title = ink(&png, [24, 300, 10, 42]);
                assert!((300..6000).contains(&title), "{name}: {title} pixels of letters");
                assert!(ink(&png, [0, 700, 60, 600]) > 3000, "{name}");
            }
        }
    }

    #[test]
    fn every_letter_that_is_drawn_is_in_the_font() {
        use plotters::style::IntoFont;
        let missing = |c: char| {
            let width = |text: &str| {
                register_font(FAMILY, FontStyle::Normal, REGULAR).ok().unwrap();
                (FAMILY, 200).into_font().box_size(text).unwrap()
            };
            // What is missing is drawn as the same box as what is surely missing.
            c != '\u{FFFF}' && width(&c.to_string()) == width("\u{FFFF}")
        };
        let needed = "ABCXYZabcxyz0123456789.,:;()[]/%+-=≥≤·–±…";
        assert_eq!(needed.chars().filter(|c| missing(*c)).collect::<String>(), "");
    }
}
