//! A picture of a frame for people: true colour as far as the bands allow, the plumes found drawn over it in heat
//! colours with an outline, and a caption with the class and a colour scale in ppm·m.
//!
//! Draws what triage found; never looks for anything itself. The frame is read line by line.

mod canvas;
mod font;
mod png;
mod scale;

use core::fmt;

use crate::Class;
use crate::cube::{Cube, CubeError, ReadAt, View};
use crate::numeric::{f32_of, quantile};
use crate::triage::{Detection, Triage, nearest_band, pixel};
use canvas::{Canvas, Rgb, blend, byte, heat, text_width};
use scale::{Scale, round_up, tick};

/// What red, green and blue are taken from, nm, and how far a band may be away.
const RGB_NM: [f64; 3] = [640.0, 550.0, 460.0];
const RGB_REACH_NM: f64 = 45.0;
/// Share of the darkest and of the brightest pixels that the stretch leaves out.
const CLIPPED: f64 = 0.01;
/// Exponent of the stretch: brings out the darker half.
const GAMMA: f32 = 0.75;
/// How much of the plume's colour covers the ground.
const COVER: f32 = 0.72;
/// Detections less probable than this are outlined only, in grey.
const SHOWN_PROBABILITY: f32 = 0.4;

const PANEL: Rgb = [18, 22, 30];
const TEXT: Rgb = [232, 236, 242];
const FAINT: Rgb = [150, 158, 172];
const OUTLINE: Rgb = [0, 240, 255];

/// Settings of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct QuicklookParams {
    /// Greatest width of the frame's picture, pixels.
    pub max_width: usize,
    /// Greatest height of the frame's picture, without the caption, pixels.
    pub max_height: usize,
    /// A text for the caption, e.g. the frame's name.
    pub title: String,
}

impl Default for QuicklookParams {
    fn default() -> Self {
        Self { max_width: 1024, max_height: 2048, title: String::new() }
    }
}

/// Draws the picture of a frame and its triage, as PNG.
pub fn quicklook_png<R: ReadAt + Sync>(
    cube: &Cube<R>,
    triage: &Triage,
    params: &QuicklookParams,
) -> Result<Vec<u8>, QuicklookError> {
    draw(&cube.view(), triage, params)
}

fn draw(cube: &View<'_>, triage: &Triage, params: &QuicklookParams) -> Result<Vec<u8>, QuicklookError> {
    let header = cube.header();
    if (triage.report.samples, triage.report.lines) != (header.samples, header.lines) {
        return Err(QuicklookError::Mismatch);
    }
    let (max_width, max_height) = (params.max_width.clamp(64, 4096), params.max_height.clamp(64, 4096));
    let scale = Scale::new(header.samples, header.lines, max_width, max_height);
    let cells = read_cells(cube, triage, scale.join)?;
    let colours = stretched(&cells);
    let strongest = cells.iter().filter(|c| c.shown).map(|c| c.alpha).fold(0.0, f32::max);
    let top_ppm_m = (strongest > 0.0).then(|| round_up(f64::from(strongest)));
    let columns = header.samples.div_ceil(scale.join);
    let rows = cells.len() / columns.max(1);
    let (width, height) = (columns * scale.across, rows * scale.along);
    let mut canvas = Canvas::new(width.max(LEAST_WIDTH), height + caption_height(width), PANEL);
    let left = (canvas.width - width) / 2;
    for (index, (cell, colour)) in cells.iter().zip(colours).enumerate() {
        let colour = match top_ppm_m {
            Some(top) if cell.shown => blend(colour, heat(cell.alpha / f32_of(top)), COVER),
            _ => colour,
        };
        let (x, y) = (left + index % columns * scale.across, index / columns * scale.along);
        canvas.fill(x, y, scale.across, scale.along, colour);
    }
    outline(&mut canvas, &cells, columns, scale, left);
    caption(&mut canvas, height, triage, &params.title, top_ppm_m);
    canvas.png().map_err(QuicklookError::Png)
}

/// Narrower pictures would have no room for the caption.
const LEAST_WIDTH: usize = 320;

/// One cell of the picture: one pixel of the frame, or several joined.
#[derive(Clone)]
struct Cell {
    /// Mean of red, green, blue, as stored.
    colour: [f32; 3],
    /// Is it clear ground, good for the stretch?
    clear: bool,
    /// Label of a plume in it, 0: none.
    label: u16,
    /// Is that plume probable enough to be drawn in colour?
    shown: bool,
    /// Greatest enhancement in the plume, ppm·m.
    alpha: f32,
}

/// Reads the three bands and joins `join × join` pixels to a cell, and what triage says of them.
fn read_cells(cube: &View<'_>, triage: &Triage, join: usize) -> Result<Vec<Cell>, QuicklookError> {
    let header = cube.header();
    let (samples, bands) = (header.samples, rgb_bands(cube.header()));
    let columns = samples.div_ceil(join);
    let empty = Cell { colour: [0.0; 3], clear: true, label: 0, shown: false, alpha: 0.0 };
    let mut cells = vec![empty; columns * header.lines.div_ceil(join)];
    let mut counts = vec![[0.0_f32; 3]; cells.len()];
    let mut values = Vec::new();
    for line in 0..header.lines {
        cube.lines_f32(line, 1, &bands, &mut values)?;
        let row = line / join * columns;
        for (channel, band) in values.chunks_exact(samples).enumerate() {
            for (sample, value) in band.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                let at = row + sample / join;
                if let (Some(cell), Some(count)) = (cells.get_mut(at), counts.get_mut(at))
                    && let (Some(sum), Some(n)) = (cell.colour.get_mut(channel), count.get_mut(channel))
                {
                    *sum += value;
                    *n += 1.0;
                }
            }
        }
        for sample in 0..samples {
            let hides =
                triage.overview.at(line, sample) & (pixel::BAD | pixel::CLOUD | pixel::SATURATED) != 0;
            if let Some(cell) = cells.get_mut(row + sample / join) {
                cell.clear &= !hides;
            }
        }
    }
    mark_plumes(&mut cells, triage, columns, join);
    for (cell, counts) in cells.iter_mut().zip(counts) {
        for (value, count) in cell.colour.iter_mut().zip(counts) {
            *value = if count > 0.0 { *value / count } else { f32::NAN };
        }
    }
    Ok(cells)
}

/// Marks the cells that hold a plume's pixels.
fn mark_plumes(cells: &mut [Cell], triage: &Triage, columns: usize, join: usize) {
    for plume in &triage.plumes {
        let of = |d: &&Detection| d.label == plume.label;
        let shown =
            triage.report.detections.iter().find(of).is_some_and(|d| d.probability >= SHOWN_PROBABILITY);
        for run in &plume.runs {
            let row = run.line as usize / join * columns;
            for (sample, alpha) in (run.sample as usize..).zip(&run.enhancement_ppm_m) {
                let Some(cell) = cells.get_mut(row + sample / join) else { continue };
                cell.shown |= shown;
                if cell.label == 0 || shown {
                    cell.label = plume.label;
                }
                cell.alpha = cell.alpha.max(f32::from(*alpha));
            }
        }
    }
}

/// Bands near red, green and blue; else those the header proposes; else three from all over the cube.
pub(crate) fn rgb_bands(header: &crate::envi::Header) -> [usize; 3] {
    let near = RGB_NM.map(|nm| nearest_band(header, nm, RGB_REACH_NM));
    if let [Some(red), Some(green), Some(blue)] = near {
        return [red, green, blue];
    }
    let bands = header.bands;
    header.default_bands.unwrap_or([bands * 3 / 4, bands / 2, bands / 4])
}

/// Each channel stretched between its percentiles over clear ground, or over everything if little is clear.
fn stretched(cells: &[Cell]) -> Vec<Rgb> {
    let clear = cells.iter().filter(|c| c.clear).count();
    let all = clear * 10 < cells.len();
    let mut out = vec![[0_u8; 3]; cells.len()];
    for channel in 0..3 {
        let of = |cell: &Cell| cell.colour.get(channel).copied().unwrap_or(f32::NAN);
        let mut values: Vec<f32> = cells.iter().filter(|c| all || c.clear).map(of).collect();
        let low = quantile(&mut values, CLIPPED).unwrap_or(0.0);
        let high = quantile(&mut values, 1.0 - CLIPPED).unwrap_or(1.0);
        let span = if high > low { high - low } else { 1.0 };
        for (colour, cell) in out.iter_mut().zip(cells) {
            let share = ((of(cell) - low) / span).clamp(0.0, 1.0);
            if let Some(value) = colour.get_mut(channel) {
                *value = byte(255.0 * libm::powf(share, GAMMA));
            }
        }
    }
    out
}

/// Draws the border between a plume's cells and the others, inside the plume's cells; small pictures get it one
/// pixel wide, blown-up ones two.
fn outline(canvas: &mut Canvas, cells: &[Cell], columns: usize, scale: Scale, left: usize) {
    let thick = if scale.across >= 6 { 2 } else { 1 };
    let label = |row: Option<usize>, column: Option<usize>| {
        let at = row.zip(column).filter(|(_, c)| *c < columns).and_then(|(r, c)| cells.get(r * columns + c));
        at.map_or(0, |cell| cell.label)
    };
    for (index, cell) in cells.iter().enumerate().filter(|(_, c)| c.label != 0) {
        let (row, column) = (index / columns, index % columns);
        let (x, y) = (left + column * scale.across, row * scale.along);
        let colour = if cell.shown { OUTLINE } else { FAINT };
        let differs = |row, column| label(row, column) != cell.label;
        if differs(row.checked_sub(1), Some(column)) {
            canvas.fill(x, y, scale.across, thick, colour);
        }
        if differs(Some(row + 1), Some(column)) {
            canvas.fill(x, y + scale.along - thick.min(scale.along), scale.across, thick, colour);
        }
        if differs(Some(row), column.checked_sub(1)) {
            canvas.fill(x, y, thick, scale.along, colour);
        }
        if differs(Some(row), Some(column + 1)) {
            canvas.fill(x + scale.across - thick.min(scale.across), y, thick, scale.along, colour);
        }
    }
}

/// Dot size of the caption's letters.
fn letters(width: usize) -> usize {
    if width.max(LEAST_WIDTH) >= 400 { 2 } else { 1 }
}

/// Title and class, reason, colour bar with its numbers.
fn caption_height(width: usize) -> usize {
    letters(width) * 47 + 24
}

fn caption(canvas: &mut Canvas, top: usize, triage: &Triage, title: &str, top_ppm_m: Option<f64>) {
    const MARGIN: usize = 8;
    let size = letters(canvas.width);
    let report = &triage.report;
    let class = report.class.name();
    let badge = text_width(class, size) + 2 * size;
    let right = canvas.width.saturating_sub(MARGIN + badge);
    let mut y = top + MARGIN;
    let room = |from: usize, to: usize| to.saturating_sub(from) / (font::ADVANCE * size);
    canvas.text(MARGIN, y, size, TEXT, &cut(title, room(MARGIN, right)));
    canvas.fill(right.saturating_sub(size), y - 2, badge, 7 * size + 4, class_colour(report.class));
    canvas.text(right, y, size, PANEL, class);
    y += 11 * size;
    // The reason in small letters, over two lines if need be.
    let small = size.div_ceil(2);
    for part in wrapped(&report.reason, room(MARGIN, canvas.width - MARGIN) * size / small).iter().take(2) {
        canvas.text(MARGIN, y, small, FAINT, part);
        y += 10 * small;
    }
    let y = top + MARGIN + 11 * size + 20 * small;
    let Some(most) = top_ppm_m else {
        canvas.text(MARGIN, y + 4, small, FAINT, &noise_text(triage));
        return;
    };
    let unit = "PPM·M";
    let length = (canvas.width - 2 * MARGIN).saturating_sub(text_width(unit, size) + 4 * size + 12);
    for x in 0..length {
        let share = x as f32 / length.max(1) as f32;
        canvas.fill(MARGIN + x, y, 1, 6 * size, heat(share));
    }
    for quarter in 0..=4_u8 {
        let share = f64::from(quarter) / 4.0;
        let x = MARGIN + (length.saturating_sub(1)) * usize::from(quarter) / 4;
        canvas.fill(x, y, 1, 8 * size, TEXT);
        let number = tick(most * share);
        let half = text_width(&number, size) / 2;
        canvas.text(x.saturating_sub(half).max(MARGIN), y + 9 * size + 1, size, TEXT, &number);
    }
    canvas.text(canvas.width - MARGIN - text_width(unit, size), y, size, TEXT, unit);
}

fn noise_text(triage: &Triage) -> String {
    let report = &triage.report;
    report.noise_ppm_m.map_or_else(String::new, |noise| {
        format!("{} noise {noise:.0} PPM·M, {} bands", report.target, report.bands_used)
    })
}

fn class_colour(class: Class) -> Rgb {
    match class {
        Class::Alert => [255, 92, 80],
        Class::Suspect => [255, 190, 60],
        Class::Routine => [120, 200, 140],
        Class::DiscardCandidate => [160, 166, 178],
    }
}

/// At most so many characters.
fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Lines of whole words, each at most so many characters.
fn wrapped(text: &str, characters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= characters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, characters)),
        }
    }
    lines
}

/// Why there is no picture.
#[derive(Debug)]
pub enum QuicklookError {
    /// The cube could not be read.
    Cube(CubeError),
    /// The triage is of a frame of another size.
    Mismatch,
    /// The PNG could not be made.
    Png(String),
}

impl fmt::Display for QuicklookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cube(source) => write!(f, "quicklook: {source}"),
            Self::Mismatch => write!(f, "quicklook: the triage belongs to a frame of another size"),
            Self::Png(why) => write!(f, "quicklook: {why}"),
        }
    }
}

impl std::error::Error for QuicklookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cube(source) => Some(source),
            Self::Mismatch | Self::Png(_) => None,
        }
    }
}

impl From<CubeError> for QuicklookError {
    fn from(source: CubeError) -> Self {
        Self::Cube(source)
    }
}
