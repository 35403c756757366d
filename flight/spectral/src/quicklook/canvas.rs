//! A picture to draw on. Whatever lies outside is not drawn: nothing here can fail.

use super::{font, png};

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// Rows of pixels, 8-bit RGB.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `width × height` pixels, row by row.
    pub(super) pixels: Vec<Rgb>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self { width, height, pixels: vec![colour; width * height] }
    }

    pub(super) fn set(&mut self, x: usize, y: usize, colour: Rgb) {
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = colour;
        }
    }

    /// Fills `width × height` pixels from the corner (x, y).
    pub(super) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Rgb) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.set(column, row, colour);
            }
        }
    }

    /// Writes from the corner (x, y), each dot `scale` pixels wide; gives the x after the last letter.
    pub(super) fn text(&mut self, x: usize, y: usize, scale: usize, colour: Rgb, text: &str) -> usize {
        let mut left = x;
        for character in text.chars() {
            for (column, bits) in font::columns(character).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    self.fill(left + column * scale, y + row * scale, scale, scale, colour);
                }
            }
            left += font::ADVANCE * scale;
        }
        left
    }

    /// PNG, 8-bit RGB.
    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        png::encode(self.width, self.height, self.pixels.as_flattened())
    }
}

/// Width of a text, pixels.
pub(super) fn text_width(text: &str, scale: usize) -> usize {
    text.chars().count() * font::ADVANCE * scale
}

/// `share` of the upper colour over the lower one.
pub(super) fn blend(lower: Rgb, upper: Rgb, share: f32) -> Rgb {
    let mut out = lower;
    for (value, upper) in out.iter_mut().zip(upper) {
        let mixed = f32::from(*value) * (1.0 - share) + f32::from(upper) * share;
        *value = byte(mixed);
    }
    out
}

/// Rounds into 0 to 255; NaN is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float-to-int casts saturate")]
pub(super) fn byte(value: f32) -> u8 {
    (value + 0.5) as u8
}

/// Heat colours, 0 to 1: dark violet, red, orange, yellow, nearly white.
pub(super) fn heat(share: f32) -> Rgb {
    const STOPS: [(f32, Rgb); 6] = [
        (0.0, [60, 8, 110]),
        (0.25, [150, 20, 110]),
        (0.5, [225, 55, 65]),
        (0.7, [250, 130, 25]),
        (0.87, [255, 210, 60]),
        (1.0, [255, 255, 215]),
    ];
    let mut below = STOPS[0];
    for above in STOPS {
        if share <= above.0 {
            let span = above.0 - below.0;
            return blend(below.1, above.1, if span > 0.0 { (share - below.0) / span } else { 0.0 });
        }
        below = above;
    }
    below.1
}
