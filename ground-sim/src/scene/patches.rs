//! How the land is divided: cells around random centres with bent borders, or rows of rectangular fields.

use super::fields::{Seeded, index_of, smooth};
use super::params::{Land, SceneParams};

/// A piece of land of one kind.
pub(super) struct Patch {
    pub(super) kind: usize,
    /// How it differs from others of its kind.
    pub(super) brightness: f64,
    pub(super) mixing: f64,
}

/// The division of a frame.
pub(super) struct Patches {
    pub(super) all: Vec<Patch>,
    layout: Layout,
    /// Width over which neighbours mix, pixels.
    border_px: f64,
}

/// Where a pixel is.
pub(super) struct Place {
    pub(super) patch: usize,
    pub(super) neighbour: usize,
    /// Share of the pixel that belongs to the neighbour, up to a half.
    pub(super) share: f64,
}

enum Layout {
    /// Centres (line, sample), and how far each pixel is bent aside.
    Cells { centres: Vec<(f64, f64)>, bend: Vec<f64>, samples: usize },
    /// Bands of fields, turned by an angle (sine, cosine): borders across, and in each band borders along and the number
    /// of its first field.
    Fields { turn: (f64, f64), across: Vec<f64>, along: Vec<(Vec<f64>, usize)> },
}

impl Patches {
    pub(super) fn new(params: &SceneParams, land: Land, random: &mut Seeded) -> Self {
        let fields = match land {
            Land::Farmland => random.chance(0.9),
            Land::Industry => random.chance(0.6),
            Land::Steppe => random.chance(0.2),
            Land::Arid | Land::Green => false,
        };
        let (layout, count) =
            if fields { Layout::fields(params, random) } else { Layout::cells(params, random) };
        let border_px = if fields { 1.0 } else { random.log_between(1.0, 10.0) };
        let patch = |random: &mut Seeded| Patch {
            kind: random.below(params.kinds),
            brightness: libm::exp(0.12 * params.variability * random.normal()).clamp(0.6, 1.5),
            mixing: 0.3 * random.normal(),
        };
        Self { all: (0..count).map(|_| patch(random)).collect(), layout, border_px }
    }

    pub(super) fn at(&self, line: usize, sample: usize) -> Place {
        let (patch, neighbour, inside) = match &self.layout {
            Layout::Cells { centres, bend, samples } => {
                let bend = bend[line * samples + sample];
                nearest(centres, line as f64 + bend, sample as f64 - bend)
            }
            Layout::Fields { turn, across, along } => {
                let (y, x) = (line as f64, sample as f64);
                field(across, along, y * turn.0 + x * turn.1, x * turn.0 - y * turn.1)
            }
        };
        let share = (0.5 - inside / self.border_px).clamp(0.0, 0.5);
        Place { patch, neighbour, share }
    }
}

impl Layout {
    fn cells(params: &SceneParams, random: &mut Seeded) -> (Self, usize) {
        let (lines, samples) = (params.lines, params.samples);
        let each = random.log_between(500.0, 4000.0);
        let count = index_of(params.pixels() as f64 / each).clamp(4, 150);
        let centres = (0..count)
            .map(|_| (random.between(0.0, lines as f64), random.between(0.0, samples as f64)))
            .collect();
        let strength = 0.18 * (params.pixels() as f64 / count as f64).sqrt();
        let bend = smooth((lines, samples), 25.0, 4, random).iter().map(|v| v * strength).collect();
        (Self::Cells { centres, bend, samples }, count)
    }

    fn fields(params: &SceneParams, random: &mut Seeded) -> (Self, usize) {
        let (sin, cos) = libm::sincos(random.between(0.0, core::f64::consts::PI));
        // The frame lies within its diagonal of the origin, whatever the turn.
        let reach = ((params.lines * params.lines + params.samples * params.samples) as f64).sqrt();
        let side = random.log_between(120.0, 450.0) / params.pixel_m;
        let cut = |side: f64, random: &mut Seeded| {
            let (mut borders, mut place) = (Vec::new(), -reach);
            while place < reach {
                borders.push(place);
                place += (side * random.between(0.5, 1.6)).max(3.0);
            }
            borders
        };
        let across = cut(side, random);
        let mut count = 0;
        let along = across
            .iter()
            .map(|_| {
                let borders = cut(1.6 * side, random);
                let first = count;
                count += borders.len();
                (borders, first)
            })
            .collect();
        (Self::Fields { turn: (sin, cos), across, along }, count)
    }
}

/// The cell, the next one, and the distance from the border between them.
fn nearest(centres: &[(f64, f64)], y: f64, x: f64) -> (usize, usize, f64) {
    let (mut first, mut second) = ((0, f64::INFINITY), (0, f64::INFINITY));
    for (n, (cy, cx)) in centres.iter().enumerate() {
        let far = (cy - y) * (cy - y) + (cx - x) * (cx - x);
        if far < first.1 {
            second = first;
            first = (n, far);
        } else if far < second.1 {
            second = (n, far);
        }
    }
    let (a, b) = (centres[first.0], centres[second.0]);
    let between = ((a.0 - b.0) * (a.0 - b.0) + (a.1 - b.1) * (a.1 - b.1)).sqrt().max(1e-6);
    (first.0, second.0, (second.1 - first.1) / (2.0 * between))
}

/// The field, the next one along its band, and the distance from the nearer border along or across.
fn field(across: &[f64], along: &[(Vec<f64>, usize)], u: f64, v: f64) -> (usize, usize, f64) {
    let band = across.partition_point(|b| *b <= u).clamp(1, across.len()) - 1;
    let (borders, first) = &along[band];
    let cell = borders.partition_point(|b| *b <= v).clamp(1, borders.len()) - 1;
    let left = v - borders[cell];
    let right = borders.get(cell + 1).map_or(f64::INFINITY, |b| b - v);
    let aside = if left < right { cell.saturating_sub(1) } else { (cell + 1).min(borders.len() - 1) };
    (first + cell, first + aside, left.min(right).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_half_and_half_and_middles_pure() {
        let (first, second, inside) = nearest(&[(10.0, 10.0), (10.0, 30.0)], 10.0, 19.9);
        assert_eq!((first, second), (0, 1));
        assert!((inside - 0.1).abs() < 1e-9);
        assert!(nearest(&[(10.0, 10.0), (10.0, 30.0)], 10.0, 10.0).2 > 9.9);
    }
}
