//! Every threshold of triage in one table: what is named here can be set in the configuration, and nothing else decides.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Makes a struct of numbers out of a table: for each a default and the range it must lie in.
macro_rules! table {
    (
        $(#[$about:meta])* $name:ident {
            $($(#[doc = $doc:literal])* $field:ident: $kind:ty = $default:expr, $least:expr, $most:expr;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Is every number in its range?
            pub fn check(&self) -> Result<(), ParamError> {
                $(InRange::in_range(&self.$field, stringify!($field), $least.into(), $most.into())?;)*
                Ok(())
            }

            /// The table itself: each number in its order, with the value that it has here.
            pub fn table(&self) -> Vec<ParamInfo> {
                let mut table = Vec::new();
                $(self.$field.list(
                    ParamInfo {
                        name: stringify!($field).to_owned(),
                        value: String::new(),
                        least: Bound::from($least).0,
                        most: Bound::from($most).0,
                        doc: concat!($($doc),*).trim(),
                    },
                    &mut table,
                );)*
                table
            }
        }
    };
}

table! {
    /// The settings of [`super::triage`]. The defaults are meant for spaceborne imaging spectrometers with 5 to 15 nm
    /// bands and 5 to 60 m pixels.
    Params {
        /// Threads that work at the same time; the result is the same with any number.
        threads: usize = 1, 1, 64;
        /// Most pixels of a frame; larger ones are refused.
        max_pixels: usize = 1 << 28, 1, 1_u64 << 40;
        /// Pixels that are measured together, with statistics of their own; longer frames are cut into equal segments.
        segment_pixels: usize = 3 << 18, 4096, 1 << 24;
        /// Memory for the sample of spectra that covariances are taken from, bytes.
        sample_bytes: usize = 16 << 20, 1 << 16, 1 << 30;
        /// Most spectra in it: more make no better covariance.
        sample_spectra: usize = 40_000, 1000, 1 << 24;
        /// Fewest bands in the windows for a search.
        min_bands: usize = 8, 2, 4096;
        /// Fewest clear pixels for a search, per band used.
        min_pixels_per_band: usize = 4, 2, 1000;
        /// Apparent reflectance around 0.5 to 0.9 µm above which a white pixel is cloud.
        cloud_reflectance: f32 = 0.4, 0.0, 10.0;
        /// Greatest ratio between the brightest and the darkest of the visible and near infrared bands of a cloud.
        cloud_whiteness: f32 = 1.5, 1.0, 100.0;
        /// Least apparent reflectance at 1.65 µm of a cloud; snow and ice are darker.
        cloud_swir: f32 = 0.15, 0.0, 10.0;
        /// Apparent reflectance at 1.38 µm above which there is cirrus: water vapour hides all that lies below it.
        cirrus_reflectance: f32 = 0.03, 0.0, 10.0;
        /// Pixels by which cloud is grown.
        cloud_margin: usize = 1, 0, 64;
        /// Cosine of the sun's zenith angle where the header gives no sun elevation.
        sun_cosine: f32 = 0.75, 0.01, 1.0;
        /// A pixel is dark when its mean signal in the windows is less than this share of what four fifths of the segment's
        /// clear pixels stay below.
        dark_share: f32 = 0.2, 0.0, 1.0;
        /// Columns over which a detector's gain is compared with that of its neighbours.
        destripe_columns: usize = 31, 1, 4096;
        /// Columns over which a column's median enhancement is compared with that of its neighbours.
        level_columns: usize = 63, 1, 4096;
        /// Lines a column must have for what is known of it alone to weigh as much as that it is like the others.
        column_prior_lines: f64 = 16.0, 0.0, 1e6;
        /// Spectra beyond this many standard deviations are left out of the statistics.
        clip_sigma: f32 = 3.0, 1.0, 100.0;
        /// Classes of brightness in which the enhancement's scatter is measured.
        brightness_classes: usize = 8, 1, 256;
        /// Least and greatest enhancement of a pixel that counts for the score, standard deviations.
        clip_score: [f32; 2] = [-4.0, 4.0], -100.0, 100.0;
        /// Standard deviations of the neighbourhoods that the score looks at, pixels.
        score_widths: [f32; 4] = [1.2, 2.2, 4.5, 8.0], 0.3, 32.0;
        /// The share of each in the score.
        score_shares: [f32; 4] = [1.0, 1.0, 1.0, 0.5], 0.0, 100.0;
        /// Pixels of this score and more are no part of the ground's level: gas only adds, and most of a plume is faint. Of noise
        /// alone 1.5 leaves out one pixel in fifteen, which lowers the level by some 4 % of a pixel's σ.
        level_score: f32 = 1.5, 0.0, 1000.0;
        /// A candidate holds at least one pixel of this score …
        seed_score: f32 = 6.0, 0.0, 1000.0;
        /// … and grows over the neighbours of this score.
        grow_score: f32 = 3.0, 0.0, 1000.0;
        /// Fewest pixels of a candidate.
        min_plume_pixels: usize = 6, 1, 1 << 20;
        /// Most candidates that are examined in a segment, the most significant first.
        max_candidates: usize = 100, 1, 10_000;
        /// Least probability of a candidate that is reported as a detection.
        report_probability: f32 = 0.05, 0.0, 1.0;
        /// Most rejected candidates that are reported with their reasons.
        max_rejections: usize = 8, 0, 10_000;
        /// A frame with a plume at least this probable is an alert.
        alert_probability: f32 = 0.98, 0.0, 1.0;
        /// A frame with a plume at least this probable is a suspect.
        suspect_probability: f32 = 0.4, 0.0, 1.0;
        /// A frame with more cloud than this and no plume is a discard candidate.
        discard_cloud: f32 = 0.7, 0.0, 1.0;
        /// With a candidate at least this probable it is none: in the gaps of clouds little is known of the ground.
        discard_probability: f32 = 0.2, 0.0, 1.0;
        /// A frame with more bad pixels than this and no plume is a discard candidate.
        discard_bad: f32 = 0.5, 0.0, 1.0;
        /// A frame with more cloud than this is flagged cloudy.
        flag_cloud: f32 = 0.1, 0.0, 1.0;
        /// A frame striped more than this is flagged striped, per mille of the signal.
        flag_striping_per_mille: f32 = 30.0, 0.0, 1000.0;
        /// Side of a pixel on the ground where the header does not give it, m; 0: not known.
        pixel_size_m: f64 = 0.0, 0.0, 1e5;
        /// Wind where the header does not give it, m/s; 0: not known.
        wind_m_s: f64 = 0.0, 0.0, 200.0;
        /// The wind that carries a plume over the wind given.
        wind_factor: f64 = 1.0, 0.01, 10.0;
        /// How unsure a mass is besides its noise, a share of it: what colour the ground has, and what the candidate cuts off.
        mass_uncertainty: f64 = 0.15, 0.0, 10.0;
        /// How unsure the wind is, a share of it.
        wind_uncertainty: f64 = 0.2, 0.0, 10.0;
        /// How unsure a source rate is besides, a share of it: a plume is torn, and seen in part.
        rate_uncertainty: f64 = 0.25, 0.0, 10.0;
        /// The logistic that turns a candidate's features into a probability.
        logistic: Logistic = Logistic::default(), 0, 0;
    }
}

/// The weights of a candidate's features and the features themselves have the same names: one list makes both.
macro_rules! features {
    ($($(#[doc = $doc:literal])* $field:ident = $weight:expr;)*) => {
        /// What is measured of a candidate to tell how probable it is that it is a plume.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Features {
            $($(#[doc = $doc])* pub $field: f32,)*
        }

        impl Features {
            /// Their names, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Their values, in the order of the names.
            pub fn values(&self) -> Vec<f32> {
                vec![$(self.$field),*]
            }
        }

        table! {
            /// Weights of a candidate's [`Features`]; the probability is 1 / (1 + exp(−(bias + Σ weight × feature))).
            ///
            /// Fitted to the candidates of seeded synthetic scenes (`passband-ground eval --fit`): see METHOD.md.
            Logistic {
                /// Constant.
                bias: f64 = BIAS, -1e6, 1e6;
                $($(#[doc = $doc])* $field: f64 = $weight, -1e6, 1e6;)*
            }
        }

        impl Logistic {
            /// The score of some features: the logarithm of the odds.
            pub fn score(&self, features: &Features) -> f64 {
                self.bias $(+ self.$field * f64::from(features.$field))*
            }

            /// Weights by the names of the features.
            pub fn of(bias: f64, weight: impl Fn(&str) -> f64) -> Self {
                Self { bias, $($field: weight(stringify!($field)),)* }
            }
        }
    };
}

const BIAS: f64 = -3.316;

features! {
    /// Natural logarithm of the greatest score.
    ln_score = 0.0;
    /// Natural logarithm of the number of pixels (at most 400).
    ln_pixels = 0.0;
    /// Share of the in/out ratio spectrum's shape that the gas explains beyond a smooth curve (partial R²).
    spectral_match = 9.763;
    /// Natural logarithm of the gas's amount in the in/out ratio spectrum over its standard deviation (at least 1).
    ln_spectral_snr = 1.171;
    /// How far the windows of the gas disagree about the amount, standard deviations (at most 5).
    windows_differ = -0.299;
    /// Absolute logarithm of the brightness inside over that around.
    contrast = -0.384;
    /// Share of the signal that lies in one line or one sample, where that makes a line (else 0).
    line_shape = -3.0;
    /// Share of its pixels that lie beside cloud, dark ground or bad data.
    edge = 0.0;
    /// Natural logarithm of the peak enhancement over the mean.
    ln_peakedness = -0.454;
    /// 1 where there is no clear ground around it to compare with.
    no_ring = -2.0;
}

/// A row of the table of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamInfo {
    /// Its name; that of a weight begins with `logistic.`.
    pub name: String,
    /// Its value, as TOML.
    pub value: String,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
    /// What it means.
    pub doc: &'static str,
}

/// Numbers that can be compared with a range.
trait InRange: fmt::Debug {
    fn in_range(&self, name: &'static str, least: Bound, most: Bound) -> Result<(), ParamError>;

    /// Puts its row, or its rows, into the table.
    fn list(&self, row: ParamInfo, table: &mut Vec<ParamInfo>) {
        table.push(ParamInfo { value: format!("{self:?}"), ..row });
    }
}

/// A limit of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound(f64);

impl From<i32> for Bound {
    fn from(value: i32) -> Self {
        Self(f64::from(value))
    }
}

impl From<u64> for Bound {
    fn from(value: u64) -> Self {
        Self(value as f64)
    }
}

impl From<f64> for Bound {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl InRange for f64 {
    fn in_range(&self, name: &'static str, least: Bound, most: Bound) -> Result<(), ParamError> {
        if *self >= least.0 && *self <= most.0 {
            return Ok(());
        }
        Err(ParamError { name, value: *self, least: least.0, most: most.0 })
    }
}

impl InRange for f32 {
    fn in_range(&self, name: &'static str, least: Bound, most: Bound) -> Result<(), ParamError> {
        f64::from(*self).in_range(name, least, most)
    }
}

impl InRange for usize {
    fn in_range(&self, name: &'static str, least: Bound, most: Bound) -> Result<(), ParamError> {
        (*self as f64).in_range(name, least, most)
    }
}

impl<const N: usize> InRange for [f32; N] {
    fn in_range(&self, name: &'static str, least: Bound, most: Bound) -> Result<(), ParamError> {
        self.iter().try_for_each(|value| value.in_range(name, least, most))
    }
}

impl InRange for Logistic {
    fn in_range(&self, _: &'static str, _: Bound, _: Bound) -> Result<(), ParamError> {
        self.check()
    }

    fn list(&self, row: ParamInfo, table: &mut Vec<ParamInfo>) {
        let weights = self.table().into_iter();
        table.extend(
            weights.map(|weight| ParamInfo { name: format!("{}.{}", row.name, weight.name), ..weight }),
        );
    }
}

/// A parameter out of its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParamError {
    /// Which.
    pub name: &'static str,
    /// What it was.
    pub value: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, least, most } = self;
        write!(f, "{name} = {value}: must be {least} to {most}")
    }
}

impl core::error::Error for ParamError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_what_is_not_is_named() {
        assert_eq!(Params::default().check(), Ok(()));
        let bad = Params { clip_sigma: f32::NAN, ..Params::default() };
        assert_eq!(bad.check().unwrap_err().name, "clip_sigma");
        let bad = Params { logistic: Logistic { edge: 1e9, ..Logistic::default() }, ..Params::default() };
        assert!(bad.check().unwrap_err().to_string().starts_with("edge = 1000000000: must be"));
    }

    #[test]
    fn the_table_names_every_parameter_with_its_value_range_and_meaning() {
        let table = Params { threads: 3, ..Params::default() }.table();
        let row = |name: &str| table.iter().find(|row| row.name == name).unwrap();
        assert_eq!(
            (row("threads").value.as_str(), row("threads").least, row("threads").most),
            ("3", 1.0, 64.0)
        );
        assert!(row("threads").doc.starts_with("Threads that work"));
        assert!(row("score_widths").value.starts_with('['));
        assert!(row("logistic.bias").doc == "Constant." && row("logistic.bias").most > 1e5);
        assert!(table.iter().all(|row| !row.doc.is_empty()));
        assert_eq!(
            table.iter().filter(|row| row.name.starts_with("logistic.")).count(),
            Features::NAMES.len() + 1
        );
    }

    #[test]
    fn features_and_weights_go_by_the_same_names() {
        let features = Features { edge: 0.5, ln_score: 2.0, ..Features::default() };
        let weights = Logistic::of(1.0, |name| if name == "edge" { 4.0 } else { 0.0 });
        assert!((weights.score(&features) - 3.0).abs() < 1e-12);
        assert_eq!(Features::NAMES.len(), features.values().len());
    }
}
