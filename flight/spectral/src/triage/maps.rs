//! The maps of a frame on their way out: handed to the caller a few lines at a time, never kept whole by the detector.

/// Some lines of the maps; each slice holds whole lines of `samples` values.
#[derive(Debug, Clone, Copy)]
pub struct MapLines<'a> {
    /// Number of the first line, from 0.
    pub first: usize,
    /// Pixels of a line.
    pub samples: usize,
    /// Added gas column, ppm·m; NaN where it was not measured.
    pub enhancement_ppm_m: &'a [f32],
    /// Standard deviation of the enhancement of a single pixel without gas, ppm·m; NaN where it was not measured.
    pub sigma_ppm_m: &'a [f32],
    /// What candidates are found on: how far the pixel and its surroundings stand out, in standard deviations of the
    /// frame; NaN where nothing is known. It reaches a little into what is hidden: what lies around that is known.
    pub score: &'a [f32],
    /// Flags: see [`pixel`](super::pixel).
    pub mask: &'a [u8],
}

/// Takes the maps as they are made, each line once, in order.
pub trait Sink {
    /// Takes the next lines.
    fn lines(&mut self, lines: &MapLines<'_>);
}

/// For who needs the verdict only.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMaps;

impl Sink for NoMaps {
    fn lines(&mut self, _: &MapLines<'_>) {}
}

/// Keeps the maps whole: 13 bytes a pixel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Maps {
    /// See [`MapLines::enhancement_ppm_m`].
    pub enhancement_ppm_m: Vec<f32>,
    /// See [`MapLines::sigma_ppm_m`].
    pub sigma_ppm_m: Vec<f32>,
    /// See [`MapLines::score`].
    pub score: Vec<f32>,
    /// See [`MapLines::mask`].
    pub mask: Vec<u8>,
}

impl Sink for Maps {
    fn lines(&mut self, lines: &MapLines<'_>) {
        self.enhancement_ppm_m.extend_from_slice(lines.enhancement_ppm_m);
        self.sigma_ppm_m.extend_from_slice(lines.sigma_ppm_m);
        self.score.extend_from_slice(lines.score);
        self.mask.extend_from_slice(lines.mask);
    }
}
