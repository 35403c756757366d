//! What triage says about a frame. Plain data: made by [`super::triage`], read by everybody.

use serde::{Deserialize, Serialize};

use super::params::Features;
use crate::Class;
use crate::envi::Header;
use crate::geo::Position;

/// The result for one frame. The maps behind it, `lines × samples` pixels each, go to the caller's
/// [`Sink`](super::Sink) while they are made; what is kept here is bounded whatever the frame's size.
#[derive(Debug, Clone, PartialEq)]
pub struct Triage {
    /// The verdict.
    pub report: Report,
    /// The pixels of the reported detections, in their order.
    pub plumes: Vec<Plume>,
    /// The state of the pixels, coarsely, for a picture.
    pub overview: Overview,
    /// The cut-out around the most probable plume of an alert or a suspect.
    pub chip: Option<Chip>,
}

impl Triage {
    /// Number of the detection that each pixel belongs to ([`Detection::label`]), 0: none; `lines × samples` of them.
    pub fn labels(&self) -> Vec<u16> {
        let samples = self.report.samples;
        let mut labels = vec![0; samples.saturating_mul(self.report.lines)];
        for plume in &self.plumes {
            for run in &plume.runs {
                let from = (run.line as usize).saturating_mul(samples).saturating_add(run.sample as usize);
                let to = from.saturating_add(run.enhancement_ppm_m.len());
                labels.get_mut(from..to).unwrap_or_default().fill(plume.label);
            }
        }
        labels
    }
}

/// The pixels of a detection.
#[derive(Debug, Clone, PartialEq)]
pub struct Plume {
    /// [`Detection::label`].
    pub label: u16,
    /// Its pixels, line by line.
    pub runs: Vec<Run>,
}

/// Neighbouring pixels of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The line, from 0.
    pub line: u32,
    /// The first sample, from 0.
    pub sample: u32,
    /// The enhancement of each pixel, whole ppm·m.
    pub enhancement_ppm_m: Vec<i16>,
}

/// The state of the pixels in cells of `join × join`, line by line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// Side of a cell, pixels.
    pub join: usize,
    /// Cells of a line of cells.
    pub columns: usize,
    /// All flags ([`pixel`]) that occur in the cell.
    pub flags: Vec<u8>,
}

/// A cut-out of the frame, as ENVI: `i16`, four bands: the plume's enhancement in ppm·m (0 beside it,
/// [`Chip::NO_DATA`] where not measured), then red, green and blue from 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub struct Chip {
    /// First line of the frame in it.
    pub line: usize,
    /// First sample of the frame in it.
    pub sample: usize,
    /// Its header.
    pub header: Header,
    /// Its data.
    pub data: Vec<u8>,
}

impl Chip {
    /// The value of a pixel that was not measured.
    pub const NO_DATA: i16 = i16::MIN;
}

/// Bits of a pixel's flags ([`super::MapLines::mask`], [`Overview::flags`]).
pub mod pixel {
    /// Bright and white: cloud, or something that hides the ground as well.
    pub const CLOUD: u8 = 1;
    /// Too dark to measure a gas over: water, deep shadow.
    pub const DARK: u8 = 2;
    /// No usable sample: a dropped line, no data, not a number, a dead detector column.
    pub const BAD: u8 = 4;
    /// At the full scale of the detector.
    pub const SATURATED: u8 = 8;
    /// Any of those that hide the ground.
    pub const HIDDEN: u8 = CLOUD | DARK | BAD | SATURATED;
}

/// The verdict on one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the frame is worth.
    pub class: Class,
    /// Probability that the frame holds a plume: that of its best detection.
    pub probability: f32,
    /// Why this class, in a sentence.
    pub reason: String,
    /// Name of the gas.
    pub target: String,
    /// Plumes found, the most probable first.
    pub detections: Vec<Detection>,
    /// Candidates that were looked at.
    pub candidates: u32,
    /// Why candidates were not reported, the strongest first, some of them.
    pub rejections: Vec<Rejection>,
    /// State of the data.
    pub quality: Quality,
    /// Standard deviation of the enhancement over ground without gas, ppm·m; `None`: gas was not looked for.
    pub noise_ppm_m: Option<f32>,
    /// First and last wavelength at which gas was looked for, nm; `None`: it was not.
    pub window_nm: Option<[f64; 2]>,
    /// Bands used for that.
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
    /// Probability that it is a plume.
    pub probability: f32,
    /// Greatest enhancement of a pixel, slightly smoothed, ppm·m.
    pub peak_ppm_m: f32,
    /// Mean enhancement, ppm·m.
    pub mean_ppm_m: f32,
    /// Mass of gas in it (integrated mass enhancement), kg, and its standard deviation; `None`: the size of a pixel is
    /// not known.
    pub mass_kg: Option<Estimate>,
    /// Source rate, kg/h, and its standard deviation; `None`: the size of a pixel or the wind is not known.
    pub rate_kg_h: Option<Estimate>,
    /// Its size.
    pub pixels: u32,
    /// Where it is.
    pub bbox: BoundingBox,
    /// Its centre, weighted with the enhancement: line and sample, from 0.
    pub centroid: [f32; 2],
    /// Where that is on the ground; `None`, and not written: the header does not say where its pixels are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Its greatest score ([`MapLines::score`](super::MapLines)), in standard deviations of the frame.
    pub snr: f32,
    /// Share of the in/out ratio spectrum's shape that the gas explains beyond a smooth curve (partial R², 0 to 1).
    pub spectral_match: f32,
    /// Logarithm of the brightness inside over that of the ring around it: confusers often have an edge.
    pub contrast: f32,
    /// What its probability was made from.
    pub features: Features,
}

/// A figure and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f32,
    /// Its standard deviation.
    pub sigma: f32,
}

/// A candidate that is probably no plume.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// What speaks most against it.
    pub reason: Reason,
    /// Probability that it is a plume all the same.
    pub probability: f32,
    /// Its greatest score ([`MapLines::score`](super::MapLines)), in standard deviations of the frame.
    pub snr: f32,
    /// Its size.
    pub pixels: u32,
    /// Where it is.
    pub bbox: BoundingBox,
    /// What its probability was made from.
    pub features: Features,
}

/// What speaks against a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It hardly stands out from the background.
    Weak,
    /// Its spectrum is not that of the gas.
    Spectrum,
    /// The gas's windows disagree about the amount.
    Windows,
    /// It is as bright or dark against its surroundings as only ground can be.
    Contrast,
    /// The shape of a stripe or a dropped line.
    Line,
    /// Beside cloud, shadow, water or bad data.
    Edge,
    /// There is no clear ground around it to compare it with.
    NoRing,
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
