//! Which plumes are found: frames with one plume of a given source rate, and what class they get for it.
//!
//! A plume is found where a detection that holds some of its pixels (truth above 200 ppm·m) is as probable as the class
//! asks for: an alert for another thing in the same frame finds nothing.

use anyhow::Result;
use passband_spectral::triage::Params;

use super::ap::GAS_PPM_M;
use super::frames::{Series, frame, scene, seed};
use super::metrics::interval;
use super::{Bench, Op, Row, Sink, on_all_cores, ours};
use crate::scene::{NoiseModel, SceneParams};

/// What is found at which rate, %.
const TARGETS: [(f64, Level, f64); 3] =
    [(1000.0, Level::Alert, 90.0), (300.0, Level::Alert, 50.0), (300.0, Level::Suspect, 80.0)];
const NOISES: [NoiseModel; 2] = [NoiseModel::Tanager, NoiseModel::Emit];

/// How sure the detector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Alert,
    Suspect,
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(2, 100, 400);
    let side = bench.pick(64, 256, 256);
    let mut rates: Vec<f64> = TARGETS.iter().map(|(rate, ..)| *rate).collect();
    rates.dedup();
    for (nth_rate, rate) in rates.into_iter().enumerate() {
        let wanted: Vec<(u64, NoiseModel)> =
            (0..frames).flat_map(|nth| NOISES.map(|noise| (nth, noise))).collect();
        let found = on_all_cores(&wanted, |(nth, noise)| {
            // Both noises see the same ground and the same plume.
            let own_seed = seed(bench.seed, Series::Recall, nth_rate as u64 * 10_000 + nth);
            let params = SceneParams {
                noise_model: Some(*noise),
                smile_nm: SceneParams::default().smile_nm,
                f32_radiance: false,
                ..scene(own_seed, (side, side), &[rate])
            };
            Found::new(format!("{rate:.0}kgh-{nth:04}-{}", noise.name()), *noise, &params)
        })?;
        for (_, level, target) in TARGETS.into_iter().filter(|t| (t.0 - rate).abs() < 0.5) {
            sink(row(&found, (rate, side), level, target))?;
        }
    }
    Ok(())
}

fn row(found: &[Found], (rate, side): (f64, usize), level: Level, target: f64) -> Row {
    let least = level.probability();
    let count = |noise: Option<NoiseModel>| {
        let of = found.iter().filter(|f| noise.is_none_or(|n| n == f.noise));
        (of.clone().filter(|f| f.probability >= least).count(), of.count())
    };
    let percent = |(hits, count): (usize, usize)| {
        let [low, high] = interval(hits, count).map(|s| 100.0 * s);
        format!("{:.0} % of {count} ({low:.0} to {high:.0})", 100.0 * hits as f64 / count.max(1) as f64)
    };
    let (hits, all) = count(None);
    let what = format!(
        "plumes of {rate:.0} kg/h found {}, {side} × {side} pixels of 8 m, wind 3 m/s",
        match level {
            Level::Alert => "at the alert setting",
            Level::Suspect => "as suspect or better",
        }
    );
    let value = Some(100.0 * hits as f64 / all.max(1) as f64);
    let by_noise = NOISES.map(|n| format!("{} {}", n.name(), percent(count(Some(n)))));
    let mut missed: Vec<&Found> = found.iter().filter(|f| f.probability < least).collect();
    missed.sort_by_key(|f| std::cmp::Reverse(f.pixels));
    let missed: Vec<String> = missed.iter().take(6).map(|f| f.words()).collect();
    Row::new("recall", what, value, "%", Op::AtLeast, target).note(format!(
        "95 %: {}; by noise: {}; the largest that were missed: {}",
        percent((hits, all)),
        by_noise.join(", "),
        if missed.is_empty() { "none".to_owned() } else { missed.join("; ") }
    ))
}

impl Level {
    fn probability(self) -> f32 {
        let params = Params::default();
        match self {
            Self::Alert => params.alert_probability,
            Self::Suspect => params.suspect_probability,
        }
    }
}

/// What came of one frame.
struct Found {
    name: String,
    noise: NoiseModel,
    /// Of the most probable detection on the plume; 0: there is none.
    probability: f32,
    /// Pixels of the plume.
    pixels: usize,
    /// What was said of it where it was not found.
    said: String,
}

impl Found {
    fn new(name: String, noise: NoiseModel, params: &SceneParams) -> Result<Self> {
        let frame = frame(name, params)?;
        let look = ours::look_at_all(&frame)?;
        let gas = frame.gas(GAS_PPM_M);
        // The most probable first.
        let best = look.report.detections.iter().find(|d| look.overlap(d, &gas) > 0);
        let rejected = || {
            look.report
                .rejections
                .iter()
                .find(|r| ours::holds_gas(&r.bbox, frame.samples(), &gas))
                .map_or_else(
                    || "no candidate".to_owned(),
                    |r| format!("rejected for {:?}, snr {:.1}", r.reason, r.snr).to_lowercase(),
                )
        };
        let said = best.map_or_else(rejected, |d| {
            let f = &d.features;
            format!(
                "p {:.2}, snr {:.1}, match {:.2}, windows {:.1}, contrast {:.2}",
                d.probability, d.snr, d.spectral_match, f.windows_differ, d.contrast
            )
        });
        let pixels = gas.iter().filter(|g| **g).count();
        Ok(Self { name: frame.name, noise, probability: best.map_or(0.0, |d| d.probability), pixels, said })
    }

    fn words(&self) -> String {
        format!("{} ({} px; {})", self.name, self.pixels, self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plume_counts_at_the_level_it_was_found_at() {
        let found = |probability, noise| Found {
            name: "f".into(),
            noise,
            probability,
            pixels: 9,
            said: String::new(),
        };
        let all = [
            found(0.99, NoiseModel::Emit),
            found(0.5, NoiseModel::Emit),
            found(0.0, NoiseModel::Tanager),
            found(0.985, NoiseModel::Tanager),
        ];
        let share = |level| row(&all, (300.0, 256), level, 60.0).value.unwrap();
        assert!((share(Level::Alert) - 50.0).abs() < 1e-9 && (share(Level::Suspect) - 75.0).abs() < 1e-9);
        let note = row(&all, (300.0, 256), Level::Alert, 60.0).note.unwrap();
        assert!(note.contains("tanager 50 % of 2") && note.contains("50 % of 4 (15 to 85)"), "{note}");
    }
}
