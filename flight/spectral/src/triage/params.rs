//! Every threshold of triage in one place.

use serde::{Deserialize, Serialize};

/// The settings of [`super::triage`]. The defaults are meant for spaceborne imaging spectrometers with 5 to 15 nm
/// bands and 5 to 60 m pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Most memory for the window's samples, bytes; longer frames are filtered in blocks of lines.
    pub work_bytes: usize,
    /// Most pixels of a frame; larger ones are refused.
    pub max_pixels: usize,
    /// Fewest bands in the window for a search.
    pub min_bands: usize,
    /// Fewest clear pixels for a search, per band used.
    pub min_pixels_per_band: usize,
    /// Apparent reflectance around 0.5 to 0.9 µm above which a white pixel is cloud.
    pub cloud_reflectance: f32,
    /// Greatest ratio between the brightest and the darkest of the visible and near infrared bands of a cloud.
    pub cloud_whiteness: f32,
    /// Cosine of the sun's zenith angle where the header gives no sun elevation.
    pub sun_cosine: f32,
    /// A pixel is dark when its mean signal in the window is less than this share of the frame's median.
    pub dark_share: f32,
    /// Lines a detector column must have for its own mean to weigh as much as the frame's.
    pub column_prior_lines: f64,
    /// Share of the covariance's diagonal that is blended in.
    pub shrinkage: f64,
    /// Pixels beyond this many standard deviations are left out of the second pass's statistics.
    pub clip_sigma: f32,
    /// A candidate holds at least one pixel as significant as this …
    pub seed_sigma: f32,
    /// … and grows over the neighbours as significant as this.
    pub grow_sigma: f32,
    /// Fewest pixels of a candidate.
    pub min_plume_pixels: usize,
    /// Most candidates that are examined, the most significant first.
    pub max_candidates: usize,
    /// The logistic that turns a candidate's features into a probability.
    pub logistic: Logistic,
    /// A frame with a plume at least this probable is an alert.
    pub alert_probability: f32,
    /// A frame with a plume at least this probable is a suspect.
    pub suspect_probability: f32,
    /// A frame with more cloud than this and no plume is a discard candidate.
    pub discard_cloud: f32,
    /// A frame with more bad pixels than this and no plume is a discard candidate.
    pub discard_bad: f32,
    /// A frame with more cloud than this is flagged cloudy.
    pub flag_cloud: f32,
    /// A frame striped more than this is flagged striped, per mille of the signal.
    pub flag_striping_per_mille: f32,
}

/// Weights of a candidate's features; the probability is 1 / (1 + exp(−score)).
///
/// Set by hand on synthetic scenes and a few real ones: an ordering that separates them, not yet a calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logistic {
    /// Constant.
    pub bias: f64,
    /// For the natural logarithm of the significance.
    pub ln_snr: f64,
    /// For the natural logarithm of the number of pixels.
    pub ln_pixels: f64,
    /// For the partial R² of the gas in the in/out ratio spectrum.
    pub spectral_match: f64,
    /// For the absolute logarithm of the brightness contrast with the surroundings.
    pub contrast: f64,
    /// For a shape that is one sample or one line wide (a stripe, a dropped line).
    pub line_shape: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            work_bytes: 256 << 20,
            max_pixels: 1 << 26,
            min_bands: 8,
            min_pixels_per_band: 8,
            cloud_reflectance: 0.4,
            cloud_whiteness: 1.5,
            sun_cosine: 0.75,
            dark_share: 0.12,
            column_prior_lines: 16.0,
            shrinkage: 1e-4,
            clip_sigma: 3.0,
            seed_sigma: 4.0,
            grow_sigma: 2.5,
            min_plume_pixels: 6,
            max_candidates: 100,
            logistic: Logistic::default(),
            alert_probability: 0.9,
            suspect_probability: 0.4,
            discard_cloud: 0.7,
            discard_bad: 0.5,
            flag_cloud: 0.1,
            flag_striping_per_mille: 30.0,
        }
    }
}

impl Default for Logistic {
    fn default() -> Self {
        Self {
            bias: -12.0,
            ln_snr: 2.5,
            ln_pixels: 0.8,
            spectral_match: 8.0,
            contrast: -3.0,
            line_shape: -6.0,
        }
    }
}
