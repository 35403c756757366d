//! Our own detector as the bench sees it: the only place here that calls it.
//!
//! Everything is as the satellite would do it: the built-in target, the default parameters, nothing tuned for a row.

use anyhow::{Context, Result};
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{BoundingBox, Params, Report, pixel, triage};

use super::frames::Frame;
use super::image::{SMOOTHING_PX, smoothed};

/// What the detector says about a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    /// The verdict.
    pub(super) report: Report,
    /// What pixels are ranked by; NaN where nothing was measured.
    pub(super) score: Vec<f32>,
    /// ppm·m; NaN where nothing was measured.
    pub(super) enhancement_ppm_m: Vec<f32>,
    /// Pixels that it leaves out of its statistics: clouds, dark ground, bad samples.
    pub(super) left_out: Vec<bool>,
}

/// The gas.
pub(super) fn target() -> Target {
    Target::ch4()
}

/// Looks at a frame.
pub(super) fn look(frame: &Frame) -> Result<Look> {
    let cube = frame.cube()?;
    let mut maps = passband_spectral::triage::Maps::default();
    let found =
        triage(&cube, &target(), &Params::default(), &mut maps).with_context(|| frame.name.clone())?;
    let left_out: Vec<bool> =
        maps.mask.iter().map(|m| m & (pixel::CLOUD | pixel::DARK | pixel::BAD) != 0).collect();
    let usable: Vec<bool> = left_out.iter().map(|l| !l).collect();
    let score = smoothed(&maps.enhancement_ppm_m, frame.samples(), &usable, SMOOTHING_PX);
    Ok(Look { report: found.report, score, enhancement_ppm_m: maps.enhancement_ppm_m, left_out })
}

/// Does the detector's box hold gas?
pub(super) fn holds_gas(bbox: &BoundingBox, frame: &Frame, above_ppm_m: f32) -> bool {
    let inside = |at: usize, from: u32, to: u32| (from as usize..to as usize).contains(&at);
    let rows = frame.truth_ppm_m.chunks_exact(frame.samples()).enumerate();
    rows.filter(|(line, _)| inside(*line, bbox.line0, bbox.line1)).any(|(_, row)| {
        row.iter().enumerate().any(|(at, c)| *c > above_ppm_m && inside(at, bbox.sample0, bbox.sample1))
    })
}

/// Reads the whole frame and does nothing else with it than looking: what is timed.
pub(super) fn look_only(cube: &Cube<&[u8]>) -> Result<Report> {
    Ok(triage(cube, &target(), &Params::default(), &mut passband_spectral::triage::NoMaps)
        .context("triage")?
        .report)
}
