//! Triage: is there a plume in this frame, and is the frame worth sending?
//!
//! A pure function of the cube, the target and the parameters. It never decides what happens to the frame, never
//! keeps state from one frame to the next, and always gives a result for a readable cube: where gas cannot be looked
//! for (no wavelengths, no bands in the windows, all cloud, degenerate data) the result says so. The same input gives
//! the same bytes on every machine and with any number of threads.
//!
//! The frame goes by in segments of lines ([`Params::segment_pixels`]); each is read some times, a few lines at a time:
//!
//! | step | file | what |
//! | --- | --- | --- |
//! | survey | `survey` | dead detectors, the end of the scale, what is dark |
//! | clouds | `masks` | bright and white, or seen through water vapour |
//! | statistics | `statistics` | means of the detectors, a sample of spectra; never of masked pixels |
//! | model | `destripe`, `model`, `response` | stripes, covariance, matched filter, curve of growth |
//! | maps | `apply`, `significance` | enhancement, its noise, the score |
//! | candidates | `plumes` | connected pixels that stand out together |
//! | second look | `spectrum`, `quantity` | in/out ratio spectrum, mass and rate |
//! | verdict | `judge` | features → probability → class, and what speaks against the others |
//!
//! METHOD.md beside this crate's manifest explains the method with its equations and sources.

use core::fmt;

mod apply;
mod bands;
mod chip;
mod convolve;
mod destripe;
mod judge;
mod kernels;
mod linalg;
mod lines;
mod maps;
mod masks;
mod model;
mod overview;
mod parallel;
mod params;
mod plumes;
mod quantity;
mod record;
mod report;
mod response;
mod segment;
mod significance;
mod spectrum;
#[doc(hidden)]
pub mod stages;
mod statistics;
mod survey;
mod vectors;

pub use maps::{MapLines, Maps, NoMaps, Sink};
pub use params::{Features, Logistic, ParamError, ParamInfo, Params};
pub use record::{MAX_RECORD_BYTES, RECORD_VERSION, Record, RecordError, RecordPlume};
pub use report::{
    BoundingBox, Chip, Detection, Estimate, Flag, Overview, Plume, Quality, Reason, Rejection, Report, Run,
    Triage, pixel,
};

pub(crate) use bands::nearest_band;

use crate::Class;
use crate::cube::{Cube, CubeError, ReadAt, View};
use crate::target::Target;
use judge::Judged;
use plumes::Candidate;
use segment::Search;

/// Looks at a frame; `sink` gets the maps as they are made.
///
/// Memory: some 40 bytes a pixel of one segment, the sample of spectra, and a few MiB; nothing grows with the frame.
pub fn triage<R: ReadAt + Sync>(
    cube: &Cube<R>,
    target: &Target,
    params: &Params,
    sink: &mut dyn Sink,
) -> Result<Triage, TriageError> {
    triage_view(&cube.view(), target, params, sink)
}

fn triage_view(
    cube: &View<'_>,
    target: &Target,
    params: &Params,
    sink: &mut dyn Sink,
) -> Result<Triage, TriageError> {
    params.check().map_err(TriageError::Param)?;
    let header = cube.header();
    let pixels = header.samples.saturating_mul(header.lines);
    if pixels > params.max_pixels {
        return Err(TriageError::TooLarge { pixels: pixels as u64, most: params.max_pixels });
    }
    let mut search = Search::new(cube, target, params)?;
    for (first, count) in segments(header.lines, header.samples, params.segment_pixels) {
        search.segment(first, count, sink)?;
    }
    let outcome = search.finish()?;
    let (found, rejections) = judge::sorted(outcome.judged, params);
    let (mut detections, judged): (Vec<Detection>, Vec<Judged>) = found.into_iter().unzip();
    for detection in &mut detections {
        let [line, sample] = detection.centroid.map(f64::from);
        detection.position = header.geometry.as_ref().and_then(|geometry| geometry.position(line, sample));
    }
    let searched = outcome.searched.map(|()| target.name());
    let (class, probability, reason) =
        judge::verdict(&detections, &rejections, &outcome.quality, searched, params);
    let plumes = detections.iter().zip(&judged).map(|(d, j)| plume(d.label, &j.candidate)).collect();
    let chip = match judged.first() {
        Some(best) if matches!(class, Class::Alert | Class::Suspect) => {
            chip::of(cube, target.name(), &best.candidate)?
        }
        _ => None,
    };
    let report = Report {
        class,
        probability,
        reason,
        target: target.name().to_owned(),
        detections,
        candidates: outcome.candidates,
        rejections,
        quality: outcome.quality,
        noise_ppm_m: outcome.noise_ppm_m,
        window_nm: outcome.window_nm,
        bands_used: outcome.bands_used,
        lines: header.lines,
        samples: header.samples,
    };
    Ok(Triage { report, plumes, overview: outcome.overview, chip })
}

/// Equal runs of lines of at most so many pixels: first line and number of lines of each.
fn segments(lines: usize, samples: usize, most_pixels: usize) -> impl Iterator<Item = (usize, usize)> {
    let most_lines = (most_pixels / samples.max(1)).max(1);
    let each = lines.div_ceil(lines.div_ceil(most_lines).max(1)).max(1);
    (0..lines).step_by(each).map(move |first| (first, each.min(lines - first)))
}

fn plume(label: u16, candidate: &Candidate) -> Plume {
    let index = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let runs = candidate.spans.iter().map(|span| Run {
        line: index(span.line),
        sample: index(span.from),
        enhancement_ppm_m: span.enhancement.clone(),
    });
    Plume { label, runs: runs.collect() }
}

/// Why a frame could not be looked at.
#[derive(Debug)]
pub enum TriageError {
    /// More pixels than [`Params::max_pixels`].
    TooLarge {
        /// Pixels of the frame.
        pixels: u64,
        /// The most.
        most: usize,
    },
    /// A parameter is out of its range.
    Param(ParamError),
    /// The cube could not be read.
    Cube(CubeError),
}

impl fmt::Display for TriageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { pixels, most } => {
                write!(f, "triage: a frame of {pixels} pixels, at most {most}")
            }
            Self::Param(source) => write!(f, "triage: {source}"),
            Self::Cube(source) => write!(f, "triage: {source}"),
        }
    }
}

impl std::error::Error for TriageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cube(source) => Some(source),
            Self::Param(source) => Some(source),
            Self::TooLarge { .. } => None,
        }
    }
}

impl From<CubeError> for TriageError {
    fn from(source: CubeError) -> Self {
        Self::Cube(source)
    }
}

#[cfg(test)]
mod tests;
