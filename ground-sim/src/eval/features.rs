//! What a calibration is fitted to: the features of a candidate, under the names of their weights in
//! [`Logistic`](passband_spectral::triage::Logistic). The one place to edit when the detector's features change.

use passband_spectral::triage::Features;

/// A feature: the name of its weight, and its value.
pub type Feature = (&'static str, f64);

/// Which way a feature may count: 1 for a plume only, −1 against one only, 0 either way. A few thousand candidates have
/// chance in them; that a stripe or an edge speaks *for* a plume is not to be learned from it.
pub(super) fn sign(name: &str) -> f64 {
    match name {
        "ln_score" | "ln_pixels" | "spectral_match" | "ln_spectral_snr" => 1.0,
        "windows_differ" | "contrast" | "line_shape" | "edge" | "no_ring" => -1.0,
        _ => 0.0,
    }
}

/// The features as the detector weighs them.
pub fn of(features: &Features) -> Vec<Feature> {
    Features::NAMES.iter().copied().zip(features.values().into_iter().map(f64::from)).collect()
}
