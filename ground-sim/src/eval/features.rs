//! What a calibration is fitted to: the features of a candidate, under the names of their weights in
//! [`Logistic`](passband_spectral::triage::Logistic). The one place to edit when the detector's features change.

use passband_spectral::triage::Features;

/// A feature: the name of its weight, and its value.
pub type Feature = (&'static str, f64);

/// The features as the detector weighs them.
pub fn of(features: &Features) -> Vec<Feature> {
    Features::NAMES.iter().copied().zip(features.values().into_iter().map(f64::from)).collect()
}
