//! The logistic that turns a candidate's features into a probability, fitted to candidates of which the truth is known.
//!
//! Penalised maximum likelihood by iteratively reweighted least squares (Newton's method; T. Hastie, R. Tibshirani and
//! J. Friedman, The Elements of Statistical Learning, 4.4.1) over standardised features, the constant not penalised:
//! the same candidates give the same weights. The probabilities that come of it hold for the mixture of frames that
//! they were fitted to, and for no other: where plumes are rarer, so are they among the candidates called 0.9.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use passband_spectral::triage::Params;
use serde::Serialize;

use super::calibration::{Calibration, LEAST};
use super::matching::Judgement;
use super::{Evaluation, FrameOutcome, features};

/// Strength of the L2 penalty on the weights of the standardised features: that of a normal prior of variance 1.
const PENALTY: f64 = 1.0;
/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Most steps of Newton's method; it needs about ten.
const MOST_STEPS: usize = 100;
/// A step shorter than this is the last.
const STEP_ENOUGH: f64 = 1e-10;
/// Fewest candidates of either kind.
const FEWEST: usize = 10;

/// A fitted logistic.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Weights by name, `bias` first, as in `[triage.params.logistic]`.
    pub weights: Vec<(&'static str, f64)>,
    /// Weights for which the detector hands out no feature: left as they were.
    pub kept: Vec<String>,
    /// Frames that candidates came from.
    pub frames: u64,
    /// Candidates it was fitted to.
    pub candidates: u64,
    /// Those of them that are plumes.
    pub plumes: u64,
    /// How it does on frames it was not fitted to; `None`: too few to tell.
    pub validation: Option<Validation>,
}

/// Cross-validation over frames: each candidate is called by a logistic fitted without its frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// Parts that the frames were dealt into.
    pub folds: usize,
    /// Expected calibration error, as in [`Calibration::ece`].
    pub ece: Option<f64>,
    /// Mean negative log likelihood of all candidates.
    pub log_loss: f64,
    /// The same for the share of plumes among the candidates: what nothing but counting gives.
    pub log_loss_of_counting: f64,
}

struct Sample {
    frame: usize,
    x: Vec<f64>,
    is_plume: bool,
}

/// Fits the logistic to the candidates of an evaluation; `params` gives the weights that have no feature.
///
/// # Errors
/// Too few candidates of either kind, or the features are not those of the detector's logistic.
pub fn fit(evaluation: &Evaluation, params: &Params) -> Result<Fit> {
    let frames = &evaluation.frames;
    let (names, samples) = samples(frames);
    let plumes = samples.iter().filter(|s| s.is_plume).count();
    ensure!(
        plumes >= FEWEST && samples.len() - plumes >= FEWEST,
        "a fit needs {FEWEST} candidates that are plumes and {FEWEST} that are not; there are {plumes} and {}",
        samples.len() - plumes
    );
    let all: Vec<&Sample> = samples.iter().collect();
    let signs: Vec<f64> = names.iter().map(|name| features::sign(name)).collect();
    let weights = logistic(&all, &signs).context("the fit does not converge")?;
    let validation = validate(&samples, &signs, frames);
    let (_, deviations) = moments(&all);
    let changes = |n: usize| n == 0 || deviations[n - 1] > 0.0;
    let named = std::iter::once("bias").chain(names).zip(weights).enumerate();
    // What never changes in these frames can't be weighed: the weight in use is kept.
    let weights: Vec<(&str, f64)> = named.filter(|(n, _)| changes(*n)).map(|(_, weight)| weight).collect();
    let in_use = serde_json::to_value(&params.logistic)?;
    let known = in_use.as_object().context("the detector's logistic has no names")?;
    for (name, _) in &weights {
        ensure!(known.contains_key(*name), "the detector's logistic knows no weight '{name}'");
    }
    let is_fitted = |name: &str| weights.iter().any(|(n, _)| *n == name);
    Ok(Fit {
        kept: known.keys().filter(|k| !is_fitted(k)).cloned().collect(),
        weights,
        frames: frames.len() as u64,
        candidates: samples.len() as u64,
        plumes: plumes as u64,
        validation,
    })
}

impl Fit {
    /// The fit as it stands in the JSON document.
    pub fn to_json(&self) -> serde_json::Value {
        let weights: serde_json::Map<_, _> =
            self.weights.iter().map(|(name, weight)| ((*name).to_owned(), (*weight).into())).collect();
        serde_json::json!({
            "weights": weights,
            "kept": self.kept,
            "frames": self.frames,
            "candidates": self.candidates,
            "plumes": self.plumes,
            "validation": self.validation,
        })
    }

    /// The table for the detector's configuration, with what it was fitted to.
    pub fn to_toml(&self, params: &Params) -> Result<String> {
        let mut text = format!(
            "# Fitted by `passband-ground eval --fit` to {} candidates ({} plumes) of {} frames.\n\
             # Calibrated for the mixture of those frames: where plumes are rarer, the probabilities are too high.\n",
            self.candidates, self.plumes, self.frames
        );
        if let Some(v) = &self.validation {
            let ece = v.ece.map_or_else(|| "not known".to_owned(), |e| format!("{e:.4}"));
            writeln!(
                text,
                "# On frames left out ({} folds): expected calibration error {ece}, log loss {:.4}.",
                v.folds, v.log_loss
            )?;
        }
        text += "[triage.params.logistic]\n";
        for (name, weight) in &self.weights {
            writeln!(text, "{name} = {weight:.6}")?;
        }
        let in_use = serde_json::to_value(&params.logistic)?;
        for name in &self.kept {
            let weight =
                in_use[name].as_f64().with_context(|| format!("the weight '{name}' is no number"))?;
            writeln!(text, "{name} = {weight:?} # not fitted")?;
        }
        Ok(text)
    }
}

fn samples(frames: &[FrameOutcome]) -> (Vec<&'static str>, Vec<Sample>) {
    let (mut names, mut samples) = (Vec::new(), Vec::new());
    for (number, frame) in frames.iter().enumerate() {
        for candidate in frame.candidates.iter().filter(|c| c.judgement != Judgement::Neither) {
            let features = &candidate.features;
            if names.is_empty() {
                names = features.iter().map(|(name, _)| *name).collect();
            }
            samples.push(Sample {
                frame: number,
                x: features.iter().map(|(_, value)| *value).collect(),
                is_plume: candidate.judgement == Judgement::True,
            });
        }
    }
    (names, samples)
}

/// Calls every candidate by a logistic that has not seen its frame.
fn validate(samples: &[Sample], signs: &[f64], frames: &[FrameOutcome]) -> Option<Validation> {
    let folds = FOLDS.min(frames.len());
    if folds < 2 {
        return None;
    }
    // Dealt by a hash of their names: sets are often made in a pattern.
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by_key(|n| (hash(&frames[*n].name), *n));
    let mut fold_of = vec![0; frames.len()];
    for (place, frame) in order.into_iter().enumerate() {
        fold_of[frame] = place % folds;
    }
    let mut called: Vec<(f64, bool)> = vec![(0.0, false); samples.len()];
    let mut counted = 0.0;
    for fold in 0..folds {
        let seen: Vec<&Sample> = samples.iter().filter(|s| fold_of[s.frame] != fold).collect();
        let plumes = seen.iter().filter(|s| s.is_plume).count();
        if plumes == 0 || plumes == seen.len() {
            return None;
        }
        let weights = logistic(&seen, signs)?;
        let share = plumes as f64 / seen.len() as f64;
        for (sample, called) in samples.iter().zip(&mut called).filter(|(s, _)| fold_of[s.frame] == fold) {
            *called = (sigmoid(score(&weights, &sample.x)), sample.is_plume);
            counted -= libm::log(if sample.is_plume { share } else { 1.0 - share });
        }
    }
    let loss: f64 = samples.iter().zip(&called).map(|(s, (p, _))| loss_of(*p, s.is_plume)).sum();
    Some(Validation {
        folds,
        ece: Calibration::of(&called, LEAST).ece,
        log_loss: loss / samples.len() as f64,
        log_loss_of_counting: counted / samples.len() as f64,
    })
}

fn loss_of(p: f64, is_plume: bool) -> f64 {
    -libm::log(if is_plume { p } else { 1.0 - p }.max(1e-15))
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))
}

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-score))
}

/// The constant comes first.
fn score(weights: &[f64], x: &[f64]) -> f64 {
    weights[0] + weights[1..].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
}

/// The weights, the constant first; a feature that never changes, or whose weight would have the wrong sign, gets none.
/// `None` if it doesn't converge.
fn logistic(samples: &[&Sample], signs: &[f64]) -> Option<Vec<f64>> {
    let (means, mut deviations) = moments(samples);
    loop {
        let weights = unbound(samples, &means, &deviations)?;
        // How much a weight of the wrong sign does, in standard deviations of its feature.
        let wrong = |n: usize| -weights[n + 1] * signs.get(n).copied().unwrap_or(0.0) * deviations[n];
        let worst = (0..means.len()).max_by(|a, b| wrong(*a).total_cmp(&wrong(*b)));
        match worst.filter(|n| wrong(*n) > 0.0) {
            Some(n) => deviations[n] = 0.0,
            None => return Some(weights),
        }
    }
}

/// The weights without regard to their signs; features without a deviation are left out.
fn unbound(samples: &[&Sample], means: &[f64], deviations: &[f64]) -> Option<Vec<f64>> {
    let standard: Vec<Vec<f64>> = samples
        .iter()
        .map(|s| {
            let of = |(n, x): (usize, &f64)| {
                if deviations[n] > 0.0 { (x - means[n]) / deviations[n] } else { 0.0 }
            };
            std::iter::once(1.0).chain(s.x.iter().enumerate().map(of)).collect()
        })
        .collect();
    let truths: Vec<f64> = samples.iter().map(|s| f64::from(u8::from(s.is_plume))).collect();
    let mut weights = vec![0.0; means.len() + 1];
    let mut cost = objective(&weights, &standard, &truths);
    for _ in 0..MOST_STEPS {
        let step = newton(&weights, &standard, &truths)?;
        // Halved until it helps: far from the solution Newton's step may be too long.
        let mut length = 1.0;
        let (next, next_cost) = loop {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w + length * s).collect();
            let next_cost = objective(&next, &standard, &truths);
            if next_cost <= cost || length < 1e-6 {
                break (next, next_cost);
            }
            length /= 2.0;
        };
        (weights, cost) = (next, next_cost);
        if step.iter().all(|s| s.abs() < STEP_ENOUGH) {
            let plain = |n: usize| if deviations[n] > 0.0 { weights[n + 1] / deviations[n] } else { 0.0 };
            let scaled: Vec<f64> = (0..means.len()).map(plain).collect();
            let bias = weights[0] - scaled.iter().zip(means).map(|(w, m)| w * m).sum::<f64>();
            return Some(std::iter::once(bias).chain(scaled).collect());
        }
    }
    None
}

/// Means and standard deviations of the features.
fn moments(samples: &[&Sample]) -> (Vec<f64>, Vec<f64>) {
    let n = samples.len().max(1) as f64;
    let features = samples.first().map_or(0, |s| s.x.len());
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|s| of(s)).sum::<f64>() / n;
    let means: Vec<f64> = (0..features).map(|f| mean(&|s| s.x[f])).collect();
    let variance = |f: usize| mean(&|s| (s.x[f] - means[f]) * (s.x[f] - means[f]));
    // Rounding is no variation.
    let deviation = |f: usize| {
        let deviation = variance(f).sqrt();
        if deviation > 1e-9 * (1.0 + means[f].abs()) { deviation } else { 0.0 }
    };
    let deviations = (0..features).map(deviation).collect();
    (means, deviations)
}

/// Negative log likelihood and penalty.
fn objective(weights: &[f64], x: &[Vec<f64>], y: &[f64]) -> f64 {
    let loss = |(x, y): (&Vec<f64>, &f64)| {
        let s: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
        // log(1 + exp(s)) − y s, without overflow.
        s.max(0.0) + libm::log1p(libm::exp(-s.abs())) - y * s
    };
    let penalty: f64 = weights[1..].iter().map(|w| w * w).sum();
    x.iter().zip(y).map(loss).sum::<f64>() + PENALTY / 2.0 * penalty
}

/// Newton's step: the solution of (Xᵀ D X + λ I) s = Xᵀ (y − p) − λ w.
fn newton(weights: &[f64], x: &[Vec<f64>], y: &[f64]) -> Option<Vec<f64>> {
    let n = weights.len();
    let (mut hessian, mut gradient) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for (x, y) in x.iter().zip(y) {
        let p = sigmoid(weights.iter().zip(x).map(|(w, x)| w * x).sum());
        let weight = (p * (1.0 - p)).max(1e-12);
        for i in 0..n {
            gradient[i] += (y - p) * x[i];
            for j in 0..=i {
                hessian[i][j] += weight * x[i] * x[j];
            }
        }
    }
    for i in 1..n {
        gradient[i] -= PENALTY * weights[i];
        hessian[i][i] += PENALTY;
    }
    solve(hessian, gradient)
}

/// Solves a symmetric positive definite system, given its lower triangle, by Cholesky's decomposition.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = (0..j).fold(a[i][j], |sum, k| sum - a[i][k] * a[j][k]);
            if i == j {
                a[i][i] = if sum > 0.0 { sum.sqrt() } else { return None };
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
        b[i] = (0..i).fold(b[i], |sum, k| sum - a[i][k] * b[k]) / a[i][i];
    }
    for i in (0..n).rev() {
        b[i] = (i + 1..n).fold(b[i], |sum, k| sum - a[k][i] * b[k]) / a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    /// Candidates whose truth is drawn with logistic(−1 + 2 x₀ − 0.5 x₁); x₂ never changes.
    fn drawn(count: usize) -> Vec<Sample> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        (0..count)
            .map(|n| {
                let x = vec![random.random_range(-2.0..2.0), random.random_range(10.0..14.0), 7.0];
                let p = sigmoid(-1.0 + 2.0 * x[0] - 0.5 * (x[1] - 12.0));
                Sample { frame: n / 4, is_plume: random.random_bool(p), x }
            })
            .collect()
    }

    #[test]
    fn the_weights_that_drew_the_truth_are_found_again() {
        let samples = drawn(20_000);
        let weights = logistic(&samples.iter().collect::<Vec<_>>(), &[]).unwrap();
        assert!((weights[0] - 5.0).abs() < 0.4, "{weights:?}");
        assert!((weights[1] - 2.0).abs() < 0.1, "{weights:?}");
        assert!((weights[2] + 0.5).abs() < 0.05 && weights[3].abs() < f64::EPSILON, "{weights:?}");
        assert_eq!(weights, logistic(&samples.iter().collect::<Vec<_>>(), &[]).unwrap());
    }

    #[test]
    fn at_the_solution_the_penalised_gradient_is_nothing() {
        let samples = drawn(300);
        let all: Vec<&Sample> = samples.iter().collect();
        let (weights, (_, deviations)) = (logistic(&all, &[]).unwrap(), moments(&all));
        for f in 0..2 {
            let pull: f64 = samples
                .iter()
                .map(|s| (f64::from(u8::from(s.is_plume)) - sigmoid(score(&weights, &s.x))) * s.x[f])
                .sum();
            let penalty = PENALTY * weights[f + 1] * deviations[f] * deviations[f];
            assert!((pull - penalty).abs() < 1e-6, "{pull} {penalty}");
        }
    }

    #[test]
    fn what_can_be_separated_gets_finite_weights() {
        let samples: Vec<Sample> =
            (0..40).map(|n| Sample { frame: n, x: vec![n as f64], is_plume: n >= 20 }).collect();
        let weights = logistic(&samples.iter().collect::<Vec<_>>(), &[]).unwrap();
        assert!(weights.iter().all(|w| w.is_finite()) && weights[1] > 0.1, "{weights:?}");
    }

    #[test]
    fn a_system_by_hand() {
        // 4 x + 2 y = 10, 2 x + 3 y = 9
        let solved = solve(vec![vec![4.0, 0.0], vec![2.0, 3.0]], vec![10.0, 9.0]).unwrap();
        assert!((solved[0] - 1.5).abs() < 1e-12 && (solved[1] - 2.0).abs() < 1e-12);
        assert_eq!(solve(vec![vec![1.0, 0.0], vec![2.0, 1.0]], vec![1.0, 1.0]), None);
    }

    #[test]
    fn a_fit_is_written_as_the_detector_reads_it_and_validated_over_frames() {
        use crate::eval::score::tests::frame;
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut frames = Vec::new();
        for n in 0..60 {
            let mut one = frame(&[(0.5, Judgement::True), (0.5, Judgement::False)], &[(500.0, Some(0.5))]);
            one.name = format!("f{n}");
            for c in &mut one.candidates {
                let more = if c.judgement == Judgement::True { 1.0 } else { 0.0 };
                let mut value = |mean: f64| mean + random.random_range(-1.0..1.0);
                c.features = vec![("ln_score", value(2.0 + more)), ("spectral_match", value(0.3 + more))];
            }
            frames.push(one);
        }
        let mut params = Params::default();
        params.logistic.line_shape = -7.25;
        let evaluation = crate::eval::Evaluation::of_frames(frames, &params);
        let fit = fit(&evaluation, &params).unwrap();
        assert_eq!((fit.candidates, fit.plumes, fit.frames), (120, 60, 60));
        let validation = fit.validation.as_ref().unwrap();
        assert!(validation.log_loss < 0.8 * validation.log_loss_of_counting, "{validation:?}");
        assert!((validation.log_loss_of_counting - 2.0_f64.ln()).abs() < 0.05, "{validation:?}");
        let read: toml::Table = fit.to_toml(&params).unwrap().parse().unwrap();
        let read: Params = read["triage"]["params"].clone().try_into().unwrap();
        assert!((read.logistic.ln_score - fit.weights[1].1).abs() < 1e-6 && read.logistic.ln_score > 0.5);
        assert!((read.logistic.line_shape + 7.25).abs() < 1e-9, "kept");
        let few = crate::eval::Evaluation::of_frames(vec![], &params);
        assert!(super::fit(&few, &params).unwrap_err().to_string().contains("a fit needs"));
    }

    #[test]
    fn a_weight_of_the_wrong_sign_is_left_out() {
        // The second feature goes with the first, and against the truth once that is known.
        let sample = |n: usize| {
            let is_plume = n.is_multiple_of(2);
            let x = f64::from(u8::from(is_plume)) + (n * 7 % 11) as f64 / 7.0;
            Sample { frame: n, x: vec![x, -x + (n * 5 % 13) as f64 / 20.0], is_plume }
        };
        let samples: Vec<Sample> = (0..200).map(sample).collect();
        let all: Vec<&Sample> = samples.iter().collect();
        let free = logistic(&all, &[]).unwrap();
        let bound = logistic(&all, &[1.0, -free[2].signum()]).unwrap();
        assert!(free[2].abs() > 1e-3 && bound[2].abs() < 1e-12 && bound[1] > 0.0, "{free:?} {bound:?}");
    }

    #[test]
    fn features_have_the_names_of_weights() {
        use passband_spectral::triage::{Features, Logistic};
        let weights = serde_json::to_value(Logistic::default()).unwrap();
        for (name, value) in crate::eval::features_of(&Features::default()) {
            assert!(weights[name].is_f64(), "{name}");
            assert!(value.is_finite(), "{name}");
        }
    }
}
