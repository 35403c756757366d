//! What triage says about a frame. Plain data: made by [`super::triage`], read by everybody.

use serde::{Deserialize, Serialize};

use crate::Class;

/// The result for one frame: the verdict and the maps behind it, each of `lines × samples` pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Triage {
    /// The verdict.
    pub report: Report,
    /// Added gas column of each pixel, ppm·m; NaN where it was not measured.
    pub enhancement_ppm_m: Vec<f32>,
    /// Flags of each pixel: see [`pixel`].
    pub mask: Vec<u8>,
    /// Number of the detection that the pixel belongs to ([`Detection::label`]), 0: none.
    pub plume: Vec<u16>,
}

/// Bits of [`Triage::mask`].
pub mod pixel {
    /// Bright and white: cloud, or something that hides the ground as well.
    pub const CLOUD: u8 = 1;
    /// Too dark to measure a gas over: water, deep shadow.
    pub const DARK: u8 = 2;
    /// No usable sample: a dropped line, no data, not a number, a dead detector column.
    pub const BAD: u8 = 4;
    /// At the full scale of the detector.
    pub const SATURATED: u8 = 8;
}

/// The verdict on one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the frame is worth.
    pub class: Class,
    /// Probability that the frame holds a plume: that of its best detection (not yet calibrated).
    pub probability: f32,
    /// Why this class, in a sentence.
    pub reason: String,
    /// Name of the gas.
    pub target: String,
    /// Plumes found, the most probable first.
    pub detections: Vec<Detection>,
    /// State of the data.
    pub quality: Quality,
    /// Standard deviation of the enhancement over ground without gas, ppm·m; `None`: gas was not looked for.
    pub noise_ppm_m: Option<f32>,
    /// Spectral window in which gas was looked for, nm; `None`: it was not.
    pub window_nm: Option<[f64; 2]>,
    /// Bands used in that window.
    pub bands_used: usize,
    /// Pixels along track.
    pub lines: usize,
    /// Pixels across track.
    pub samples: usize,
}

/// One plume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Number in [`Triage::plume`], from 1.
    pub label: u16,
    /// Probability that it is a plume (not yet calibrated).
    pub probability: f32,
    /// Greatest enhancement of a pixel, slightly smoothed, ppm·m.
    pub peak_ppm_m: f32,
    /// Mean enhancement, ppm·m.
    pub mean_ppm_m: f32,
    /// Its size.
    pub pixels: u32,
    /// Where it is.
    pub bbox: BoundingBox,
    /// Its centre, weighted with the enhancement: line and sample, from 0.
    pub centroid: [f32; 2],
    /// Significance of its brightest pixel after smoothing, in standard deviations of the frame.
    pub snr: f32,
    /// Share of the in/out ratio spectrum's shape that the gas explains beyond a smooth curve (partial R², 0 to 1).
    pub spectral_match: f32,
    /// Logarithm of the brightness inside over that of the ring around it: confusers often have an edge.
    pub contrast: f32,
}

/// Pixels `line0..line1` × `sample0..sample1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// First line.
    pub line0: u32,
    /// One past the last line.
    pub line1: u32,
    /// First sample.
    pub sample0: u32,
    /// One past the last sample.
    pub sample1: u32,
}

/// State of a frame's data. Fractions are of all pixels unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Bright and white.
    pub cloud_fraction: f32,
    /// Too dark for a gas measurement.
    pub dark_fraction: f32,
    /// No usable sample.
    pub bad_fraction: f32,
    /// At the detector's full scale in a band that is looked at.
    pub saturated_fraction: f32,
    /// Fraction of lines that hold no data at all.
    pub dropped_lines_fraction: f32,
    /// Fraction of the (column, band) detectors looked at that never change.
    pub dead_detectors_fraction: f32,
    /// Column-to-column jumps of the mean in the looked-at bands, relative to the signal (robust, per mille of it).
    pub striping_per_mille: f32,
    /// What is remarkable, as short names: see [`Flag`].
    pub flags: Vec<Flag>,
}

/// What is remarkable about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// The header gives no wavelengths: nothing that needs them was done.
    NoWavelengths,
    /// Too few bands in the gas's window.
    NoGasWindow,
    /// Too few clear pixels for the statistics of a background.
    TooFewPixels,
    /// The background's statistics are degenerate (constant or made-up data).
    Degenerate,
    /// No physical units: clouds were not looked for.
    Uncalibrated,
    /// More than a tenth is cloud.
    Cloudy,
    /// Lines are missing.
    DroppedLines,
    /// Some samples are at full scale.
    Saturated,
    /// Some detectors are dead.
    DeadDetectors,
    /// Strong striping.
    Striped,
}
