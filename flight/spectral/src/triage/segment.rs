//! A segment of a frame from its stored samples to candidates that have been looked at, and what is gathered over all
//! segments.

use super::TriageError;
use super::apply::{Answer, apply};
use super::bands::{self, CloudBand, Window};
use super::judge::{self, Judged};
use super::lines::Lines;
use super::maps::{MapLines, Sink};
use super::masks;
use super::model::{Gas, Model};
use super::params::Params;
use super::plumes::{Candidate, Finder};
use super::quantity::{Scale, quantity};
use super::report::{Flag, Overview, Quality, pixel};
use super::significance::{Levels, levels};
use super::spectrum::Frame;
use super::statistics::{Statistics, gather};
use super::survey::{Survey, dark_below, full_bands, survey};
use crate::cube::{Cube, ReadAt};
use crate::numeric::f32_of;
use crate::target::Target;

/// A search through a frame, segment by segment.
pub(super) struct Search<'a, R> {
    cube: &'a Cube<R>,
    params: &'a Params,
    window: Option<Window>,
    /// Bands that are read where there is no window.
    spread: Vec<usize>,
    cloud_bands: Vec<CloudBand>,
    scale: Scale,
    finder: Finder<'a>,
    overview: Overview,
    counts: Counts,
    judged: Vec<Judged>,
    candidates: u32,
    /// Noise of each segment and its measured pixels.
    noise: Vec<(f32, usize)>,
    /// Why the last segment that could not be searched was not.
    failed: Option<Flag>,
    /// What the last segment that was searched was searched with, for candidates that end with the frame.
    last: Option<Means>,
}

/// What a segment is searched with.
struct Means {
    survey: Survey,
    model: Model,
}

/// What is counted over all segments.
#[derive(Default)]
struct Counts {
    pixels: usize,
    cloud: usize,
    dark: usize,
    bad: usize,
    saturated: usize,
    lines: usize,
    dropped: usize,
    dead_share: f64,
    striping: f64,
    clouds_not_told: bool,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) judged: Vec<Judged>,
    pub(super) candidates: u32,
    pub(super) searched: Result<(), Flag>,
    pub(super) quality: Quality,
    pub(super) overview: Overview,
    pub(super) noise_ppm_m: Option<f32>,
    pub(super) window_nm: Option<[f64; 2]>,
    pub(super) bands_used: usize,
}

impl<'a, R: ReadAt + Sync> Search<'a, R> {
    pub(super) fn new(cube: &'a Cube<R>, target: &Target, params: &'a Params) -> Result<Self, TriageError> {
        let header = cube.header();
        let known = |value: f64| (value > 0.0).then_some(value);
        let window = match bands::window(header, target, params.min_bands) {
            Some(all) => {
                let full = full_bands(cube, &all.bands)?;
                all.without(&full, params.min_bands)
            }
            None => None,
        };
        Ok(Self {
            cube,
            params,
            window,
            spread: bands::spread(header),
            cloud_bands: bands::cloud_bands(header),
            scale: Scale {
                pixel_m: header.pixel_size_m.or(known(params.pixel_size_m)),
                wind_m_s: header.wind_m_s.or(known(params.wind_m_s)),
                molar_mass_g: target.molar_mass_g(),
                noise_ppm_m: 0.0,
            },
            finder: Finder::new(params),
            overview: Overview::new(header.samples, header.lines),
            counts: Counts::default(),
            judged: Vec::new(),
            candidates: 0,
            noise: Vec::new(),
            failed: None,
            last: None,
        })
    }

    /// Searches `count` lines from `first`; segments come in order.
    pub(super) fn segment(
        &mut self,
        first: usize,
        count: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), TriageError> {
        let samples = self.cube.header().samples;
        let mut mask = vec![0; count * samples];
        let (levels, means) = match self.measure(first, count, &mut mask)? {
            Ok((levels, means)) => (levels, Some(means)),
            Err(flag) => {
                self.failed = Some(flag);
                let nothing = || vec![f32::NAN; count * samples];
                (
                    Levels { enhancement: nothing(), sigma: nothing(), score: nothing(), noise_ppm_m: 0.0 },
                    None,
                )
            }
        };
        self.counts.add(&mask);
        let rows = mask.chunks_exact(samples).zip(levels.score.chunks_exact(samples));
        for (line, ((flags, score), enhancement)) in
            (first..).zip(rows.zip(levels.enhancement.chunks_exact(samples)))
        {
            self.overview.add(line, flags);
            self.finder.line(line, score, enhancement);
        }
        sink.lines(&MapLines {
            first,
            samples,
            enhancement_ppm_m: &levels.enhancement,
            sigma_ppm_m: &levels.sigma,
            score: &levels.score,
            mask: &mask,
        });
        if let Some(means) = means {
            let measured = levels.sigma.iter().filter(|s| **s > 0.0).count();
            self.noise.push((levels.noise_ppm_m, measured));
            self.scale.noise_ppm_m = levels.noise_ppm_m;
            drop(levels);
            let complete = self.finder.take();
            self.look(complete, &means)?;
            self.last = Some(means);
        }
        Ok(())
    }

    /// Maps of a segment and what they were made with; why there are none.
    fn measure(
        &mut self,
        first: usize,
        count: usize,
        mask: &mut [u8],
    ) -> Result<Result<(Levels, Means), Flag>, TriageError> {
        let (cube, params) = (self.cube, self.params);
        let samples = cube.header().samples;
        let told = masks::clouds(cube, &self.cloud_bands, (first, count), params, mask)?;
        self.counts.clouds_not_told |= !told;
        let looked_at = self.window.as_ref().map_or(&self.spread, |w| &w.bands);
        let mut lines = Lines::new(cube, looked_at);
        let found = survey(cube, looked_at, first, count)?;
        found.apply(&mut lines);
        let hidden = |at: usize| mask.get(at).is_some_and(|f| *f != 0);
        let dark = dark_below(&lines, (first, count), &hidden, params)?;
        let statistics = gather(&lines, (first, count), dark, mask, params)?;
        self.counts.take(&statistics, count, found.dead_share);
        let Some(window) = &self.window else { return Ok(Err(Flag::NoGasWindow)) };
        let gas = Gas { absorption: &window.absorption, depths: &window.depths };
        let model = match Model::new(statistics, &gas, params) {
            Ok(model) => model,
            Err(flag) => return Ok(Err(flag)),
        };
        let answer: Answer = apply(&lines, &model, (first, count), mask, params.threads)?;
        let levels = levels(answer, mask, samples, &model.response, params);
        Ok(levels.map(|levels| (levels, Means { survey: found, model })).ok_or(Flag::Degenerate))
    }

    /// Takes a second look at some candidates.
    fn look(&mut self, candidates: Vec<Candidate>, means: &Means) -> Result<(), TriageError> {
        let Some(window) = &self.window else { return Ok(()) };
        let mut lines = Lines::new(self.cube, &window.bands);
        means.survey.apply(&mut lines);
        let frame = Frame {
            lines: &lines,
            height: self.cube.header().lines,
            window,
            model: &means.model,
            overview: &self.overview,
            candidates: &candidates,
        };
        let mut looks = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            looks.push(frame.look(candidate)?);
        }
        for (candidate, look) in candidates.into_iter().zip(looks) {
            let features = judge::features(&candidate, look, &self.overview);
            let (mass_kg, rate_kg_h) = quantity(&candidate, &self.scale, self.params);
            self.candidates = self.candidates.saturating_add(1);
            self.judged.push(Judged {
                probability: judge::probability(&features, &self.params.logistic),
                contrast: look.map_or(0.0, |l| l.contrast),
                candidate,
                features,
                mass_kg,
                rate_kg_h,
            });
        }
        self.forget_weakest();
        Ok(())
    }

    /// Long frames have many segments, and no more candidates are kept for that.
    fn forget_weakest(&mut self) {
        let most = self.params.max_candidates;
        if self.judged.len() > most {
            self.judged.sort_by(|a, b| {
                let probable = b.probability.total_cmp(&a.probability);
                probable.then(b.candidate.weight.total_cmp(&a.candidate.weight))
            });
            self.judged.truncate(most);
        }
    }

    /// What is left once the last segment is through, and the sum of it all.
    pub(super) fn finish(mut self) -> Result<Outcome, TriageError> {
        let rest = self.finder.finish();
        if let Some(means) = self.last.take() {
            self.look(rest, &means)?;
        }
        let searched = if self.noise.is_empty() {
            Err(match (&self.window, self.cube.header().wavelengths_nm.is_some()) {
                (None, false) => Flag::NoWavelengths,
                (None, true) => Flag::NoGasWindow,
                (Some(_), _) => self.failed.unwrap_or(Flag::TooFewPixels),
            })
        } else {
            Ok(())
        };
        let used = self.window.as_ref().filter(|_| searched.is_ok());
        let measured: usize = self.noise.iter().map(|(_, n)| n).sum();
        let noise: f64 = self.noise.iter().map(|(noise, n)| f64::from(*noise) * *n as f64).sum();
        Ok(Outcome {
            judged: self.judged,
            candidates: self.candidates,
            searched,
            quality: self.counts.quality(searched.err(), self.params),
            noise_ppm_m: searched.is_ok().then(|| f32_of(noise / measured.max(1) as f64)),
            window_nm: used.and_then(|w| Some([*w.wavelengths_nm.first()?, *w.wavelengths_nm.last()?])),
            bands_used: used.map_or(0, |w| w.bands.len()),
            overview: self.overview,
        })
    }
}

impl Counts {
    fn add(&mut self, mask: &[u8]) {
        let count = |flag: u8| mask.iter().filter(|f| **f & flag != 0).count();
        self.pixels += mask.len();
        self.cloud += count(pixel::CLOUD);
        self.dark += count(pixel::DARK);
        self.bad += count(pixel::BAD);
        self.saturated += count(pixel::SATURATED);
    }

    fn take(&mut self, statistics: &Statistics, lines: usize, dead_share: f64) {
        self.lines += lines;
        self.dropped += statistics.dropped;
        self.dead_share = self.dead_share.max(dead_share);
        self.striping = self.striping.max(statistics.striping());
    }

    fn quality(&self, not_searched: Option<Flag>, params: &Params) -> Quality {
        let share = |part: usize, whole: usize| f32_of(part as f64 / whole.max(1) as f64);
        let mut quality = Quality {
            cloud_fraction: share(self.cloud, self.pixels),
            dark_fraction: share(self.dark, self.pixels),
            bad_fraction: share(self.bad, self.pixels),
            saturated_fraction: share(self.saturated, self.pixels),
            dropped_lines_fraction: share(self.dropped, self.lines),
            dead_detectors_fraction: f32_of(self.dead_share),
            striping_per_mille: f32_of(self.striping * 1e3),
            flags: not_searched.into_iter().collect(),
        };
        let remarkable = [
            (Flag::Uncalibrated, self.clouds_not_told),
            (Flag::Cloudy, quality.cloud_fraction > params.flag_cloud),
            (Flag::DroppedLines, self.dropped > 0),
            (Flag::Saturated, self.saturated > 0),
            (Flag::DeadDetectors, self.dead_share > 0.0),
            (Flag::Striped, quality.striping_per_mille > params.flag_striping_per_mille),
        ];
        quality.flags.extend(remarkable.into_iter().filter(|(_, is)| *is).map(|(flag, _)| flag));
        quality
    }
}
