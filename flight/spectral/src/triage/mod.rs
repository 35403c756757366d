//! Triage: is there a plume in this frame, and is the frame worth sending?
//!
//! A pure function of the cube, the target and the parameters. It never decides what happens to the frame, never
//! keeps state from one frame to the next, and always gives a result for a readable cube: where gas cannot be looked
//! for (no wavelengths, no bands in the window, all cloud, degenerate data) the result says so.
//!
//! # Method
//!
//! 1. *Quality* of the stored samples: dropped lines, missing values, saturation, dead detectors (patched from their
//!    spectral neighbours), striping.
//! 2. *Masks*: cloud (bright and white up to 1 µm, not snow) and dark ground.
//! 3. *Matched filter* in the gas's window, per detector column. With x a pixel's spectrum, μ its column's mean, C the
//!    covariance pooled over the columns, k the gas's absorption per ppm·m in the instrument's bands and t = −k ∘ μ,
//!
//!    ```text
//!    α = (x − μ)ᵀ C⁻¹ t / (r · tᵀ C⁻¹ t),    r = xᵀm / mᵀm
//!    ```
//!
//!    in two passes, the second without outliers. Longer frames than fit [`Params::work_bytes`] are filtered in blocks
//!    of lines.
//! 4. *Significance*: α less its median, over its robust standard deviation, both by classes of brightness; lightly
//!    smoothed (3 × 3, weights 1/σ²); scaled by the map's own scatter.
//! 5. *Candidates*: groups of pixels above [`Params::grow_sigma`] with one above [`Params::seed_sigma`].
//! 6. *Second look* at the strongest: the in/out ratio spectrum is fitted with a cubic and −α k(λ); the partial R² of
//!    the gas tells it from ground that only resembles it. Brightness contrast and shape count too.
//! 7. *Probability* by a documented logistic ([`Logistic`]; not yet calibrated), then the class.
//!
//! # Sources
//!
//! - M. Foote et al. (2020), Fast and accurate retrieval of methane concentration from imaging spectrometer data using
//!   sparsity prior, IEEE TGRS 58(9), doi:10.1109/TGRS.2020.2976888: albedo correction, target spectrum.
//! - D. R. Thompson et al. (2015), Real-time remote detection and measurement for airborne imaging spectroscopy: a case
//!   study with methane, Atmos. Meas. Tech. 8: column-wise statistics.
//! - J. Theiler and B. Foy (2006), Effect of signal contamination in matched-filter detection of the signal on a
//!   cluttered background, IEEE GRSL 3(1): why the plume is left out of its own background.

use core::fmt;

mod bands;
mod block;
mod chip;
mod filter;
mod judge;
mod linalg;
mod maps;
mod masks;
mod overview;
mod params;
mod plumes;
mod report;
mod screen;
mod significance;
mod spectrum;

pub use maps::{MapLines, Maps, NoMaps, Sink};
pub use params::{Logistic, Params};
pub use report::{
    BoundingBox, Chip, Detection, Estimate, Flag, Overview, Plume, Quality, Reason, Rejection, Report, Run,
    Triage, pixel,
};

pub(crate) use bands::nearest_band;

use crate::cube::{Cube, CubeError, MAX_VALUES, ReadAt};
use crate::envi::Header;
use crate::numeric::f32_of;
use crate::target::Target;
use bands::{CloudBand, Window};
use block::Block;
use filter::{Background, Filtered};
use plumes::Candidate;
use spectrum::{Frame, Look};

/// Looks at a frame.
///
/// Memory: the window's samples of one block of lines ([`Params::work_bytes`]) and some 40 bytes a pixel.
pub fn triage<R: ReadAt>(
    cube: &Cube<R>,
    target: &Target,
    params: &Params,
    sink: &mut dyn Sink,
) -> Result<Triage, TriageError> {
    let header = cube.header();
    let pixels = header.samples.saturating_mul(header.lines);
    if pixels > params.max_pixels {
        return Err(TriageError::TooLarge { pixels: pixels as u64, most: params.max_pixels });
    }
    let window = bands::window(header, target, params.min_bands);
    let mut scan = scan(cube, window.as_ref(), params)?;
    let found = match &window {
        Some(window) => search(cube, window, &mut scan, params)?,
        None if header.wavelengths_nm.is_none() => Err(Flag::NoWavelengths),
        None => Err(Flag::NoGasWindow),
    };
    let quality = quality(&scan, found.as_ref().err().copied(), params);
    let mut plumes = Vec::new();
    let (mut detections, mut noise_ppm_m) = (Vec::new(), None);
    if let Ok(found) = &found {
        noise_ppm_m = Some(found.noise_ppm_m);
        for (detection, candidate) in judge::detections(&found.judged) {
            let mut runs: Vec<Run> = Vec::new();
            for &at in &candidate.pixels {
                let (line, sample) = (at / header.samples, at % header.samples);
                let value = chip::whole(scan.alpha_ppm_m.get(at).copied().unwrap_or(f32::NAN));
                match runs.last_mut() {
                    Some(run)
                        if run.line as usize == line
                            && run.sample as usize + run.enhancement_ppm_m.len() == sample =>
                    {
                        run.enhancement_ppm_m.push(value)
                    }
                    _ => runs.push(Run {
                        line: line as u32,
                        sample: sample as u32,
                        enhancement_ppm_m: vec![value],
                    }),
                }
            }
            plumes.push(Plume { label: detection.label, runs });
            detections.push(detection);
        }
    }
    let searched = found.as_ref().map(|_| target.name()).map_err(|flag| *flag);
    let (class, probability, reason) = judge::verdict(&detections, &quality, searched, params);
    let used = window.as_ref().filter(|_| found.is_ok());
    let chip = match detections.first().and_then(|d| chip::extent(d.bbox, header.lines, header.samples)) {
        Some(extent) if matches!(class, crate::Class::Alert | crate::Class::Suspect) => {
            let [l, n, s, w] = extent;
            let cut: Vec<f32> = scan
                .alpha_ppm_m
                .chunks_exact(header.samples)
                .skip(l)
                .take(n)
                .flat_map(|r| r.get(s..s + w).unwrap_or_default())
                .copied()
                .collect();
            Some(chip::chip(cube, extent, target.name(), &cut)?)
        }
        _ => None,
    };
    let report = Report {
        class,
        probability,
        reason,
        target: target.name().to_owned(),
        detections,
        candidates: found.as_ref().map_or(0, |f| f.judged.len() as u32),
        rejections: Vec::new(),
        quality,
        noise_ppm_m,
        window_nm: used.and_then(|w| Some([*w.wavelengths_nm.first()?, *w.wavelengths_nm.last()?])),
        bands_used: used.map_or(0, |w| w.bands.len()),
        lines: header.lines,
        samples: header.samples,
    };
    let mut overview = Overview::new(header.samples, header.lines);
    for (line, flags) in scan.mask.chunks_exact(header.samples).enumerate() {
        overview.add(line, flags);
    }
    let nothing = vec![f32::NAN; pixels];
    let (sigma, score) = found.as_ref().map_or((&nothing, &nothing), |f| (&f.sigma, &f.score));
    sink.lines(&MapLines {
        first: 0,
        samples: header.samples,
        enhancement_ppm_m: &scan.alpha_ppm_m,
        sigma_ppm_m: sigma,
        score,
        mask: &scan.mask,
    });
    Ok(Triage { report, plumes, overview, chip })
}

/// What one pass over the frame's samples gave.
struct Scan {
    mask: Vec<u8>,
    /// NaN where not measured.
    alpha_ppm_m: Vec<f32>,
    albedo: Vec<f32>,
    /// Background of each block that could be filtered, with its first line.
    backgrounds: Vec<(usize, Background)>,
    /// Why the last block that could not be filtered was not.
    failed: Option<Flag>,
    counts: screen::Counts,
    lines: usize,
    /// Could clouds be told?
    clouds_told: bool,
}

/// Screens, masks and filters the frame block by block.
fn scan<R: ReadAt>(cube: &Cube<R>, window: Option<&Window>, params: &Params) -> Result<Scan, TriageError> {
    let header = cube.header();
    let pixels = header.samples * header.lines;
    let cloud_bands = bands::cloud_bands(header);
    let looked_at = window.map_or_else(|| bands::spread(header), |w| w.bands.clone());
    let per_block = lines_per_block(header, looked_at.len() + cloud_bands.len(), params.work_bytes);
    let mut scan = Scan {
        mask: vec![0; pixels],
        alpha_ppm_m: Vec::with_capacity(pixels),
        albedo: Vec::with_capacity(pixels),
        backgrounds: Vec::new(),
        failed: None,
        counts: screen::Counts::default(),
        lines: header.lines,
        clouds_told: !cloud_bands.is_empty(),
    };
    let mut mask = core::mem::take(&mut scan.mask);
    let firsts = (0..header.lines).step_by(per_block);
    for (first, mask) in firsts.zip(mask.chunks_mut(per_block * header.samples)) {
        let count = mask.len() / header.samples;
        let mut block = Block::read(cube, first, count, &looked_at)?;
        scan.count(screen::screen(&mut block, header, mask));
        scan.clouds_told &= mask_clouds(cube, first, count, &cloud_bands, params, mask)?;
        let filtered = match window {
            Some(window) => measure(block, header, window, params, mask),
            None => Err(Flag::NoGasWindow),
        };
        scan.keep(first, mask.len(), filtered);
    }
    scan.mask = mask;
    Ok(scan)
}

impl Scan {
    fn count(&mut self, block: screen::Counts) {
        self.counts.dropped_lines += block.dropped_lines;
        self.counts.dead_detectors += block.dead_detectors;
        self.counts.detectors += block.detectors;
        self.counts.striping = self.counts.striping.max(block.striping);
    }

    fn keep(&mut self, first: usize, pixels: usize, filtered: Result<Filtered, Flag>) {
        match filtered {
            Ok(Filtered { alpha_ppm_m, albedo, background }) => {
                self.alpha_ppm_m.extend(alpha_ppm_m);
                self.albedo.extend(albedo);
                self.backgrounds.push((first, background));
            }
            Err(flag) => {
                let filled = self.alpha_ppm_m.len() + pixels;
                self.alpha_ppm_m.resize(filled, f32::NAN);
                self.albedo.resize(filled, f32::NAN);
                self.failed = Some(flag);
            }
        }
    }
}

/// Equal blocks that fit the memory allowed.
fn lines_per_block(header: &Header, bands: usize, work_bytes: usize) -> usize {
    let values = (work_bytes / size_of::<f32>()).min(MAX_VALUES);
    let most = (values / header.samples.saturating_mul(bands).max(1)).max(1);
    header.lines.div_ceil(header.lines.div_ceil(most).max(1)).max(1)
}

fn mask_clouds<R: ReadAt>(
    cube: &Cube<R>,
    first: usize,
    count: usize,
    cloud_bands: &[CloudBand],
    params: &Params,
    mask: &mut [u8],
) -> Result<bool, TriageError> {
    let numbers: Vec<usize> = cloud_bands.iter().map(|b| b.band).collect();
    let block = Block::read(cube, first, count, &numbers)?;
    Ok(masks::cloud(&block, cloud_bands, cube.header(), params, mask))
}

/// From stored values to the filter's output for one block.
fn measure(
    mut block: Block,
    header: &Header,
    window: &Window,
    params: &Params,
    mask: &mut [u8],
) -> Result<Filtered, Flag> {
    let samples = block.samples;
    for line in block.lines_mut() {
        for (row, &band) in line.chunks_exact_mut(samples).zip(&window.bands) {
            let (gain, offset) = header.scale(band);
            let (gain, offset) = (f32_of(gain), f32_of(offset));
            row.iter_mut().for_each(|value| *value = *value * gain + offset);
        }
    }
    masks::dark(&block, params, mask);
    let clear: Vec<f32> = mask.iter().map(|flags| if *flags == 0 { 1.0 } else { 0.0 }).collect();
    filter::filter(block, &clear, &window.absorption, params)
}

/// What the search found.
struct Found {
    noise_ppm_m: f32,
    sigma: Vec<f32>,
    score: Vec<f32>,
    judged: Vec<(Candidate, Option<Look>, f32)>,
}

/// Candidates of a filtered frame, each with its second look and its probability.
fn search<R: ReadAt>(
    cube: &Cube<R>,
    window: &Window,
    scan: &mut Scan,
    params: &Params,
) -> Result<Result<Found, Flag>, TriageError> {
    if scan.backgrounds.is_empty() {
        return Ok(Err(scan.failed.unwrap_or(Flag::TooFewPixels)));
    }
    let Some(sigma) = significance::level(&mut scan.alpha_ppm_m, &scan.albedo) else {
        return Ok(Err(Flag::Degenerate));
    };
    let Some(noise_ppm_m) = significance::noise(&sigma) else { return Ok(Err(Flag::Degenerate)) };
    let samples = cube.header().samples;
    let map = significance::smoothed(&scan.alpha_ppm_m, &sigma, samples);
    let candidates = plumes::candidates(&map, samples, params);
    let mut taken: Vec<usize> = candidates.iter().flat_map(|c| c.pixels.iter().copied()).collect();
    taken.sort_unstable();
    let is_ground =
        |at: usize| map.sigmas.get(at).is_some_and(|s| s.is_finite()) && taken.binary_search(&at).is_err();
    let frame =
        Frame { cube, window, backgrounds: &scan.backgrounds, is_ground: &is_ground, sigmas: &map.sigmas };
    let mut judged = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let look = frame.look(&candidate)?;
        let probability = judge::probability(&candidate, look, &params.logistic);
        judged.push((candidate, look, probability));
    }
    let score = map.sigmas.clone();
    Ok(Ok(Found { noise_ppm_m, sigma, score, judged }))
}

fn quality(scan: &Scan, not_searched: Option<Flag>, params: &Params) -> Quality {
    let share = |flag: u8| {
        let count = scan.mask.iter().filter(|f| **f & flag != 0).count();
        f32_of(count as f64 / scan.mask.len().max(1) as f64)
    };
    let of = |part: usize, whole: usize| f32_of(part as f64 / whole.max(1) as f64);
    let mut quality = Quality {
        cloud_fraction: share(pixel::CLOUD),
        dark_fraction: share(pixel::DARK),
        bad_fraction: share(pixel::BAD),
        saturated_fraction: share(pixel::SATURATED),
        dropped_lines_fraction: of(scan.counts.dropped_lines, scan.lines),
        dead_detectors_fraction: of(scan.counts.dead_detectors, scan.counts.detectors),
        striping_per_mille: f32_of(scan.counts.striping * 1e3),
        flags: not_searched.into_iter().collect(),
    };
    let remarkable = [
        (Flag::Uncalibrated, !scan.clouds_told),
        (Flag::Cloudy, quality.cloud_fraction > params.flag_cloud),
        (Flag::DroppedLines, scan.counts.dropped_lines > 0),
        (Flag::Saturated, quality.saturated_fraction > 0.0),
        (Flag::DeadDetectors, scan.counts.dead_detectors > 0),
        (Flag::Striped, quality.striping_per_mille > params.flag_striping_per_mille),
    ];
    quality.flags.extend(remarkable.into_iter().filter(|(_, is)| *is).map(|(flag, _)| flag));
    quality
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
    /// The cube could not be read.
    Cube(CubeError),
}

impl fmt::Display for TriageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { pixels, most } => {
                write!(f, "triage: a frame of {pixels} pixels, at most {most}")
            }
            Self::Cube(source) => write!(f, "triage: {source}"),
        }
    }
}

impl std::error::Error for TriageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cube(source) => Some(source),
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
