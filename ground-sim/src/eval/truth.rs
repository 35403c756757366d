//! What is true about a frame: where there is gas, whose plume each pixel is, and which of them could be seen at all.
//!
//! The map of columns decides; the record beside it, if there is one, tells the sources and their rates.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::frames;

/// A pixel with at least this much belongs to a plume, ppm·m.
pub const PLUME_PPM_M: f32 = 200.0;
/// A pixel with at least this much is not free of gas, ppm·m.
pub const TRACE_PPM_M: f32 = 50.0;
/// Fewest visible pixels of a plume that counts.
pub const MIN_VISIBLE: usize = 6;
/// Pixels of a plume this near to each other hang together: turbulence tears plumes.
const REACH: usize = 4;
/// A source belongs to the gas this near to it, pixels.
const SOURCE_REACH: f64 = 8.0;
/// Longest record that is read, bytes.
const MAX_RECORD_BYTES: u64 = 1 << 22;

/// Bits of the map `NAME-mask`.
mod bit {
    /// Cloud.
    pub(super) const CLOUD: u8 = 1;
    /// No data.
    pub(super) const BAD: u8 = 8;
    /// Something put there to be mistaken for gas.
    pub(super) const CONFUSER: u8 = 16;
}

/// The record `NAME-truth.json`: what is read of it. Fields that are not known are passed over.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    schema: u32,
    plumes: Vec<RecordPlume>,
    pub(super) wind_m_s: Option<f64>,
    pub(super) pixel_m: Option<f64>,
    pub(super) cloud_fraction: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct RecordPlume {
    /// Line and sample.
    source: Option<[f64; 2]>,
    rate_kg_h: Option<f64>,
}

/// A plume as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TruePlume {
    /// Source rate, kg/h, of all its sources; `None`: not known.
    pub rate_kg_h: Option<f64>,
    /// The most in a visible pixel, ppm·m.
    pub max_ppm_m: f32,
    /// Pixels with at least [`PLUME_PPM_M`].
    pub pixels: usize,
    /// Those of them that are neither under cloud nor without data.
    pub visible_pixels: usize,
}

impl TruePlume {
    /// Less than half of it can be seen: no detector is asked for it.
    pub fn is_hidden(&self) -> bool {
        self.visible_pixels * 2 < self.pixels
    }

    /// Whether it counts: see [`MIN_VISIBLE`].
    pub fn counts(&self) -> bool {
        !self.is_hidden() && self.visible_pixels >= MIN_VISIBLE
    }
}

/// The truth about a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Truth {
    /// Column of each pixel, ppm·m; NaN: not known.
    pub(super) columns_ppm_m: Vec<f32>,
    mask: Option<Vec<u8>>,
    /// The plumes.
    pub(super) plumes: Vec<TruePlume>,
    /// For each pixel the number of its plume, from 1; 0: of none.
    pub(super) owner: Vec<u16>,
    /// The record, empty if there is none.
    pub(super) record: Record,
}

impl Truth {
    /// Reads the truth of a frame of `lines × samples`: `NAME-truth.hdr` with its data, and `NAME-truth.json` and
    /// `NAME-mask.hdr` if they are there.
    pub(super) fn read(folder: &Path, name: &str, lines: usize, samples: usize) -> Result<Self> {
        let truth = format!("{name}-truth");
        let columns = frames::map(folder, &truth, lines, samples)?
            .with_context(|| format!("no truth: {} is missing", folder.join(truth + ".hdr").display()))?;
        let mask = frames::map(folder, &format!("{name}-mask"), lines, samples)?;
        let mask = mask.map(|flags| flags.into_iter().map(super::whole_u8).collect());
        let path = folder.join(format!("{name}-truth.json"));
        let record = read_record(&path)?;
        Self::new(columns, mask, record, samples).with_context(|| path.display().to_string())
    }

    /// Puts a truth together; `record` tells the sources, without it every group of pixels is a plume of its own.
    pub(super) fn new(
        columns_ppm_m: Vec<f32>,
        mask: Option<Vec<u8>>,
        record: Option<Record>,
        samples: usize,
    ) -> Result<Self> {
        let (groups, count) = groups(&columns_ppm_m, samples);
        let known = record.as_ref().map(|r| r.plumes.as_slice());
        ensure!(
            known.is_none_or(|plumes| !plumes.is_empty()) || count == 0,
            "it names no plume, but the map holds {PLUME_PPM_M} ppm m and more"
        );
        let (numbers, rates) = assign(&groups, count, samples, known.unwrap_or_default());
        ensure!(rates.len() < usize::from(u16::MAX), "more than {} plumes", u16::MAX);
        let owner: Vec<u16> = groups.iter().map(|&g| if g == 0 { 0 } else { numbers[g - 1] }).collect();
        let plumes = rates
            .into_iter()
            .map(|rate_kg_h| TruePlume { rate_kg_h, max_ppm_m: 0.0, pixels: 0, visible_pixels: 0 })
            .collect();
        let mut truth = Self { columns_ppm_m, mask, plumes, owner, record: record.unwrap_or_default() };
        truth.measure();
        Ok(truth)
    }

    fn measure(&mut self) {
        for at in 0..self.owner.len() {
            let Some(number) = usize::from(self.owner[at]).checked_sub(1) else { continue };
            let visible = !self.is_hidden(at);
            let plume = &mut self.plumes[number];
            plume.pixels += 1;
            if visible {
                plume.visible_pixels += 1;
                plume.max_ppm_m = plume.max_ppm_m.max(self.columns_ppm_m[at]);
            }
        }
    }

    fn has(&self, at: usize, bits: u8) -> bool {
        self.mask.as_ref().is_some_and(|mask| mask[at] & bits != 0)
    }

    /// Whether a pixel is known to be under cloud or without data.
    pub(super) fn is_hidden(&self, at: usize) -> bool {
        self.has(at, bit::CLOUD | bit::BAD)
    }

    /// Whether there is something that was put there to be mistaken for gas.
    pub(super) fn is_confuser(&self, at: usize) -> bool {
        self.has(at, bit::CONFUSER)
    }

    /// Whether there is no gas anywhere.
    pub(super) fn is_clean(&self) -> bool {
        self.columns_ppm_m.iter().all(|c| *c < TRACE_PPM_M || c.is_nan())
    }
}

fn read_record(path: &Path) -> Result<Option<Record>> {
    let at = || path.display().to_string();
    let size = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.with_context(at)?.len(),
    };
    ensure!(size <= MAX_RECORD_BYTES, "{}: {size} bytes are too many for a record", at());
    let record: Record = serde_json::from_slice(&fs::read(path).with_context(at)?).with_context(at)?;
    ensure!(record.schema == 1, "{}: schema {} is not known, only 1", at(), record.schema);
    Ok(Some(record))
}

/// Groups of plume pixels that hang together, numbered from 1; and how many there are.
fn groups(columns_ppm_m: &[f32], samples: usize) -> (Vec<usize>, usize) {
    let lines = columns_ppm_m.len() / samples.max(1);
    let mut group = vec![0; columns_ppm_m.len()];
    let (mut count, mut open) = (0, Vec::new());
    for start in 0..columns_ppm_m.len() {
        if columns_ppm_m[start].is_nan() || columns_ppm_m[start] < PLUME_PPM_M || group[start] != 0 {
            continue;
        }
        count += 1;
        group[start] = count;
        open.push(start);
        while let Some(at) = open.pop() {
            let (line, sample) = (at / samples, at % samples);
            for l in line.saturating_sub(REACH)..(line + REACH + 1).min(lines) {
                for s in sample.saturating_sub(REACH)..(sample + REACH + 1).min(samples) {
                    let near = l * samples + s;
                    if group[near] == 0 && columns_ppm_m[near] >= PLUME_PPM_M {
                        group[near] = count;
                        open.push(near);
                    }
                }
            }
        }
    }
    (group, count)
}

/// The plume number (from 1) of each group, and the rate of each plume.
///
/// Sources in the same group are one plume. A group without a source of its own was torn off the plume whose source is
/// nearest. A source without a group is a plume without pixels.
fn assign(
    groups: &[usize],
    count: usize,
    samples: usize,
    known: &[RecordPlume],
) -> (Vec<u16>, Vec<Option<f64>>) {
    let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let sources: Option<Vec<[f64; 2]>> = known.iter().map(|p| p.source).collect();
    let Some(sources) = sources.filter(|s| !s.is_empty()) else {
        // Nobody knows where the sources are: one plume is all of the gas, otherwise each group is one.
        return match known {
            [only] => (vec![1; count], vec![only.rate_kg_h]),
            _ => ((1..=count).map(number).collect(), vec![None; count]),
        };
    };
    let mut distance = vec![vec![f64::INFINITY; count]; sources.len()];
    for (at, group) in groups.iter().enumerate().filter(|(_, g)| **g > 0) {
        let (line, sample) = ((at / samples) as f64, (at % samples) as f64);
        for (source, near) in sources.iter().zip(&mut distance) {
            let d = libm::hypot(line - source[0], sample - source[1]);
            near[group - 1] = near[group - 1].min(d);
        }
    }
    let nearest = |d: &[f64]| d.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map(|(n, d)| (n, *d));
    // The source that speaks for each source's plume: the first one of the same group.
    let home: Vec<Option<usize>> =
        distance.iter().map(|d| nearest(d).filter(|(_, d)| *d <= SOURCE_REACH).map(|(g, _)| g)).collect();
    let speaker = |n: usize| home[n].map_or(n, |g| home.iter().position(|h| *h == Some(g)).unwrap_or(n));
    let speakers: BTreeSet<usize> = (0..sources.len()).map(speaker).collect();
    let plume_of = |source: usize| speakers.range(..speaker(source)).count();
    let mut rates = vec![Some(0.0); speakers.len()];
    for (n, plume) in known.iter().enumerate() {
        let sum = &mut rates[plume_of(n)];
        *sum = sum.zip(plume.rate_kg_h).map(|(a, b)| a + b);
    }
    let numbers = (0..count)
        .map(|group| {
            let own = home.iter().position(|h| *h == Some(group));
            let to: Vec<f64> = distance.iter().map(|d| d[group]).collect();
            let source = own.or_else(|| nearest(&to).map(|(n, _)| n)).unwrap_or(0);
            number(plume_of(source) + 1)
        })
        .collect();
    (numbers, rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of 20 samples with gas at the given places.
    fn columns(places: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut map = vec![0.0; 400];
        for &(line, sample, value) in places {
            map[line * 20 + sample] = value;
        }
        map
    }

    fn plume(source: Option<[f64; 2]>, rate_kg_h: f64) -> RecordPlume {
        RecordPlume { source, rate_kg_h: Some(rate_kg_h) }
    }

    fn record(plumes: Vec<RecordPlume>) -> Record {
        Record { schema: 1, plumes, ..Record::default() }
    }

    #[test]
    fn without_a_record_what_lies_together_is_a_plume() {
        let map = columns(&[(1, 1, 300.0), (1, 5, 250.0), (1, 10, 500.0), (9, 1, 199.0)]);
        let truth = Truth::new(map, None, None, 20).unwrap();
        let found: Vec<_> = truth.plumes.iter().map(|p| (p.pixels, p.max_ppm_m, p.rate_kg_h)).collect();
        assert_eq!(found, [(2, 300.0, None), (1, 500.0, None)]);
        assert_eq!((truth.owner[21], truth.owner[30], truth.owner[181]), (1, 2, 0));
        assert!(!truth.plumes[0].counts(), "too small");
    }

    #[test]
    fn a_record_joins_torn_plumes_and_tells_rates() {
        let map = columns(&[(1, 1, 300.0), (1, 9, 250.0), (18, 18, 500.0)]);
        let sources = vec![plume(Some([0.0, 0.0]), 100.0), plume(Some([19.0, 19.0]), 70.0)];
        let truth = Truth::new(map.clone(), None, Some(record(sources)), 20).unwrap();
        let found: Vec<_> = truth.plumes.iter().map(|p| (p.pixels, p.rate_kg_h)).collect();
        assert_eq!(found, [(2, Some(100.0)), (1, Some(70.0))]);
        let one = Truth::new(map.clone(), None, Some(record(vec![plume(None, 50.0)])), 20).unwrap();
        assert_eq!((one.plumes.len(), one.plumes[0].pixels), (1, 3));
        assert!(
            Truth::new(map, None, Some(record(vec![])), 20).is_err(),
            "gas that the record does not know"
        );
    }

    #[test]
    fn sources_of_one_group_are_one_plume_and_one_without_gas_stays() {
        let map = columns(&[(5, 5, 300.0), (5, 8, 250.0)]);
        let sources =
            vec![plume(Some([5.0, 5.0]), 1.0), plume(Some([19.0, 19.0]), 2.0), plume(Some([5.0, 8.0]), 4.0)];
        let truth = Truth::new(map, None, Some(record(sources)), 20).unwrap();
        let found: Vec<_> = truth.plumes.iter().map(|p| (p.pixels, p.rate_kg_h)).collect();
        assert_eq!(found, [(2, Some(5.0)), (0, Some(2.0))]);
    }

    #[test]
    fn what_is_under_cloud_is_hidden() {
        let places: Vec<_> = (0..12).map(|n| (3, n, 400.0 + n as f32)).collect();
        let mut mask = vec![0; 400];
        mask[60..67].fill(bit::CLOUD);
        let of = |mask: Option<Vec<u8>>| Truth::new(columns(&places), mask, None, 20).unwrap();
        let hidden = of(Some(mask.clone()));
        assert_eq!((hidden.plumes[0].visible_pixels, hidden.plumes[0].is_hidden()), (5, true));
        mask[66] = 0;
        let half = of(Some(mask));
        assert!(half.plumes[0].counts());
        assert!(of(None).plumes[0].counts());
        assert!(!half.is_clean());
    }

    #[test]
    fn a_record_is_read_leniently_but_not_of_another_schema() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        assert!(read_record(&path).unwrap().is_none());
        fs::write(&path, r#"{"schema":1,"news":{},"wind_m_s":3.5,"plumes":[{"source":null,"age":3}]}"#)
            .unwrap();
        let record = read_record(&path).unwrap().unwrap();
        assert_eq!((record.wind_m_s, record.plumes.len()), (Some(3.5), 1));
        fs::write(&path, r#"{"schema":2}"#).unwrap();
        assert!(read_record(&path).unwrap_err().to_string().contains("schema 2"));
    }
}
