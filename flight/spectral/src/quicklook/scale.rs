//! How large the picture is, and round numbers for its colour bar.

use crate::numeric::index_of;

/// From the frame's pixels to the picture's: either frame pixels are joined, or each is drawn several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    /// Frame pixels joined to one cell, along both axes.
    pub(super) join: usize,
    /// Picture pixels of a cell across.
    pub(super) across: usize,
    /// Picture pixels of a cell along.
    pub(super) along: usize,
}

/// Small frames are drawn up to about this wide.
const WANTED_WIDTH: usize = 480;
/// A frame of a few lines is drawn at least this high.
const LEAST_HEIGHT: usize = 48;
/// Largest blow-up of a pixel.
const MOST_BLOW_UP: usize = 8;

impl Scale {
    /// The scale for a frame; `max_width` and `max_height` in picture pixels.
    pub(super) fn new(samples: usize, lines: usize, max_width: usize, max_height: usize) -> Self {
        let join = samples.div_ceil(max_width.max(1)).max(lines.div_ceil(max_height.max(1))).max(1);
        let (width, height) = (samples.div_ceil(join).max(1), lines.div_ceil(join).max(1));
        let fits = (max_width / width).min(max_height / height).max(1);
        let across = WANTED_WIDTH.min(max_width).div_ceil(width).clamp(1, MOST_BLOW_UP).min(fits);
        let along = across.max(LEAST_HEIGHT.div_ceil(height)).min((max_height / height).max(1));
        Self { join, across, along }
    }
}

/// The least round number (1, 2 or 5 times a power of ten) that is not below the value.
pub(super) fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 1.0 {
        return 1.0;
    }
    let mut power = 1.0;
    while power < 1e30 {
        for step in [1.0, 2.0, 5.0] {
            if step * power >= value {
                return step * power;
            }
        }
        power *= 10.0;
    }
    power
}

/// A number for a tick: whole, thousands as `K`.
pub(super) fn tick(value: f64) -> String {
    if value >= 10_000.0 && index_of(value, usize::MAX).is_multiple_of(1000) {
        format!("{}K", index_of(value / 1000.0, usize::MAX))
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_blown_up_and_large_ones_joined() {
        assert_eq!(Scale::new(100, 100, 1024, 2048), Scale { join: 1, across: 5, along: 5 });
        assert_eq!(Scale::new(128, 160, 1024, 2048), Scale { join: 1, across: 4, along: 4 });
        assert_eq!(Scale::new(1280, 3, 1024, 2048), Scale { join: 2, across: 1, along: 24 });
        assert_eq!(Scale::new(5000, 9000, 1024, 2048), Scale { join: 5, across: 1, along: 1 });
        assert_eq!(Scale::new(1, 1, 1024, 2048), Scale { join: 1, across: 8, along: 48 });
        for (samples, lines) in [(1, 1 << 20), (1 << 20, 1), (7, 999)] {
            let s = Scale::new(samples, lines, 1024, 2048);
            assert!(samples.div_ceil(s.join) * s.across <= 1024 && lines.div_ceil(s.join) * s.along <= 2048);
        }
    }

    #[test]
    fn ticks_are_round() {
        let rounded = [0.3, 1.5, 730.0, 2000.0, 5100.0].map(|v| format!("{}", round_up(v)));
        assert_eq!(rounded, ["1", "2", "1000", "2000", "10000"]);
        assert_eq!([500.0, 2.5, 12_000.0, 12_500.0].map(tick), ["500", "2.5", "12K", "12500"]);
        assert!((round_up(f64::NAN) - 1.0).abs() < 1e-9);
        assert!(round_up(f64::MAX) > 0.0);
    }
}
