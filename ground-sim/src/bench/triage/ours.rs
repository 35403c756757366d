//! Our own detector as the bench sees it: the only place here that calls it.
//!
//! Everything is as the satellite would do it: the built-in target, the default parameters, nothing tuned for a row.

use anyhow::{Context, Result};
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{BoundingBox, Detection, Maps, NoMaps, Params, Report, triage};

use super::frames::Frame;
use crate::scene::mask;

/// What the detector says about a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    /// The verdict.
    pub(super) report: Report,
    /// What pixels are ranked by; NaN where nothing was measured.
    pub(super) score: Vec<f32>,
    /// ppm·m; NaN where nothing was measured.
    pub(super) enhancement_ppm_m: Vec<f32>,
    /// The detection that each pixel belongs to, 0: none.
    pub(super) labels: Vec<u16>,
}

/// The gas.
pub(super) fn target() -> Target {
    Target::ch4()
}

/// Looks at a frame.
pub(super) fn look(frame: &Frame) -> Result<Look> {
    look_with(frame, &Params::default())
}

/// Looks at a frame and lists every rejected candidate, not the strongest alone.
pub(super) fn look_at_all(frame: &Frame) -> Result<Look> {
    let params = Params::default();
    look_with(frame, &Params { max_rejections: params.max_candidates, ..params })
}

fn look_with(frame: &Frame, params: &Params) -> Result<Look> {
    let mut maps = Maps::default();
    let found = triage(&frame.cube()?, &target(), params, &mut maps).with_context(|| frame.name.clone())?;
    let labels = found.labels();
    let Maps { score, enhancement_ppm_m, .. } = maps;
    Ok(Look { report: found.report, score, enhancement_ppm_m, labels })
}

impl Look {
    /// How many of a detection's own pixels are gas.
    pub(super) fn overlap(&self, detection: &Detection, gas: &[bool]) -> usize {
        self.labels.iter().zip(gas).filter(|(label, gas)| **gas && **label == detection.label).count()
    }

    /// A detection in words, for who wants to know what it was.
    pub(super) fn describe(&self, detection: &Detection, frame: &Frame) -> String {
        let own = || self.labels.iter().zip(&frame.mask).filter(|(l, _)| **l == detection.label);
        let share =
            |bit: u8| own().filter(|(_, m)| **m & bit != 0).count() as f64 / own().count().max(1) as f64;
        let f = &detection.features;
        format!(
            "{}: p {:.2}, {} px at line {} sample {}, snr {:.1}, match {:.2}, windows {:.1}, contrast {:.2}, edge {:.2}; \
             confuser {:.0} %, shadow {:.0} %, water {:.0} %",
            frame.name,
            detection.probability,
            detection.pixels,
            detection.bbox.line0,
            detection.bbox.sample0,
            detection.snr,
            detection.spectral_match,
            f.windows_differ,
            detection.contrast,
            f.edge,
            100.0 * share(mask::CONFUSER),
            100.0 * share(mask::SHADOW),
            100.0 * share(mask::WATER),
        )
    }
}

/// Does a box hold gas? Rejected candidates have no pixels of their own in the report.
pub(super) fn holds_gas(bbox: &BoundingBox, samples: usize, gas: &[bool]) -> bool {
    let rows = gas.chunks_exact(samples).take(bbox.line1 as usize).skip(bbox.line0 as usize);
    rows.flat_map(|row| &row[bbox.sample0 as usize..(bbox.sample1 as usize).min(samples)]).any(|gas| *gas)
}

/// Reads the whole frame and does nothing else with it than looking: what is timed.
pub(super) fn look_only(cube: &Cube<&[u8]>) -> Result<Report> {
    Ok(triage(cube, &target(), &Params::default(), &mut NoMaps).context("triage")?.report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_holds_what_is_inside_it() {
        let mut gas = vec![false; 30];
        gas[2 * 6 + 3] = true;
        let bbox = |line0, line1, sample0, sample1| BoundingBox { line0, line1, sample0, sample1 };
        assert!(holds_gas(&bbox(2, 3, 3, 4), 6, &gas) && holds_gas(&bbox(0, 5, 0, 6), 6, &gas));
        for beside in [bbox(0, 2, 0, 6), bbox(3, 5, 0, 6), bbox(0, 5, 0, 3), bbox(0, 5, 4, 6)] {
            assert!(!holds_gas(&beside, 6, &gas), "{beside:?}");
        }
    }
}
