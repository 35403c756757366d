//! What a calibration is fitted to: the features of a candidate, under the names of their weights in
//! [`Logistic`](passband_spectral::triage::Logistic). The one place to edit when the detector's features change.

use passband_spectral::triage::{Detection, Rejection};

/// A feature: the name of its weight, and its value.
pub type Feature = (&'static str, f64);

/// Pixels beyond which a larger plume counts no more, as in the detector.
const MOST_PIXELS: u32 = 200;

/// The features of a detection, as the detector weighs them.
///
/// Missing: `line_shape`, which the report doesn't tell. A weight that has no feature here is left as it is.
pub fn of_detection(d: &Detection) -> Vec<Feature> {
    vec![
        ("ln_snr", libm::log(f64::from(d.snr).max(1.0))),
        ("ln_pixels", libm::log(f64::from(d.pixels.clamp(1, MOST_PIXELS)))),
        ("spectral_match", f64::from(d.spectral_match)),
        ("contrast", f64::from(d.contrast.abs())),
    ]
}

/// The features of a rejection: `None`, as long as the report tells less of it than the detector weighs.
pub fn of_rejection(_: &Rejection) -> Option<Vec<Feature>> {
    None
}
