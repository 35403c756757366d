//! The verdict on a frame in few bytes: what is kept of every frame, and sent of it before anything else.
//!
//! [postcard](https://postcard.jamesmunns.com/wire-format) (version 1): fields in their order, whole numbers as varints.
//! Numbers are rounded to the units that their names give; what is greater than a field can hold is its greatest value.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::report::{Detection, Estimate, Flag, Reason, Report};
use crate::Class;

/// Longest encoded record, bytes.
pub const MAX_RECORD_BYTES: usize = 512;
/// What a record begins with.
pub const RECORD_VERSION: u8 = 1;

/// A frame's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u8,
    /// What the frame is worth.
    pub class: Class,
    /// Probability that it holds a plume.
    pub probability_permille: u16,
    /// Standard deviation of the enhancement of a pixel; 0: gas was not looked for.
    pub noise_ppm_m: u16,
    /// Shares of the pixels: cloud, dark, bad, saturated.
    pub hidden_percent: [u8; 4],
    /// Share of the lines without data.
    pub dropped_lines_percent: u8,
    /// Share of the detectors that are dead.
    pub dead_detectors_permille: u16,
    /// Column-to-column jumps.
    pub striping_permille: u16,
    /// What is remarkable.
    pub flags: Vec<Flag>,
    /// Candidates that were looked at.
    pub candidates: u16,
    /// What spoke against the strongest candidates that were rejected.
    pub rejections: Vec<Reason>,
    /// Detections in all.
    pub plumes: u16,
    /// The most probable of them, as many as there is room for.
    pub top: Vec<RecordPlume>,
}

/// A detection in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPlume {
    /// Probability that it is a plume.
    pub probability_permille: u16,
    /// Its centre, from 0.
    pub line: u32,
    /// Its centre, from 0.
    pub sample: u32,
    /// Its size along track.
    pub lines: u16,
    /// Its size across track.
    pub samples: u16,
    /// Its pixels.
    pub pixels: u32,
    /// Greatest enhancement.
    pub peak_ppm_m: u16,
    /// Mean enhancement.
    pub mean_ppm_m: u16,
    /// Mass and its standard deviation; both 0: not known.
    pub mass_kg: [u32; 2],
    /// Source rate and its standard deviation; both 0: not known.
    pub rate_kg_h: [u32; 2],
}

impl Record {
    /// The record of a report; as many detections as fit.
    pub fn of(report: &Report) -> Self {
        let quality = &report.quality;
        let mut record = Self {
            version: RECORD_VERSION,
            class: report.class,
            probability_permille: whole(report.probability * 1000.0),
            noise_ppm_m: report.noise_ppm_m.map_or(0, whole),
            hidden_percent: [
                quality.cloud_fraction,
                quality.dark_fraction,
                quality.bad_fraction,
                quality.saturated_fraction,
            ]
            .map(|share| whole(share * 100.0)),
            dropped_lines_percent: whole(quality.dropped_lines_fraction * 100.0),
            dead_detectors_permille: whole(quality.dead_detectors_fraction * 1000.0),
            striping_permille: whole(quality.striping_per_mille),
            flags: quality.flags.clone(),
            candidates: u16::try_from(report.candidates).unwrap_or(u16::MAX),
            rejections: report.rejections.iter().take(8).map(|r| r.reason).collect(),
            plumes: u16::try_from(report.detections.len()).unwrap_or(u16::MAX),
            top: report.detections.iter().take(16).map(RecordPlume::of).collect(),
        };
        while record.bytes().is_none_or(|bytes| bytes.len() > MAX_RECORD_BYTES) && record.top.pop().is_some()
        {
        }
        record
    }

    /// Its bytes, at most [`MAX_RECORD_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        match self.bytes() {
            Some(bytes) if bytes.len() <= MAX_RECORD_BYTES => Ok(bytes),
            _ => Err(RecordError::TooLong),
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }

    /// Reads a record back.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong);
        }
        match bytes.first() {
            Some(&RECORD_VERSION) => {}
            Some(&version) => return Err(RecordError::Version { version }),
            None => return Err(RecordError::Malformed),
        }
        match postcard::take_from_bytes(bytes) {
            Ok((record, [])) => Ok(record),
            _ => Err(RecordError::Malformed),
        }
    }
}

impl RecordPlume {
    fn of(d: &Detection) -> Self {
        let both = |estimate: Option<Estimate>| estimate.map_or([0, 0], |e| [whole(e.value), whole(e.sigma)]);
        let size = |from: u32, to: u32| u16::try_from(to.saturating_sub(from)).unwrap_or(u16::MAX);
        let [line, sample] = d.centroid;
        Self {
            probability_permille: whole(d.probability * 1000.0),
            line: whole(line),
            sample: whole(sample),
            lines: size(d.bbox.line0, d.bbox.line1),
            samples: size(d.bbox.sample0, d.bbox.sample1),
            pixels: d.pixels,
            peak_ppm_m: whole(d.peak_ppm_m),
            mean_ppm_m: whole(d.mean_ppm_m),
            mass_kg: both(d.mass_kg),
            rate_kg_h: both(d.rate_kg_h),
        }
    }
}

/// The nearest whole number that the type can hold; 0 for what is no number.
fn whole<T: TryFrom<u32> + Bounded>(value: f32) -> T {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float's cast saturates, NaN gives 0"
    )]
    let whole = value.round() as u32;
    T::try_from(whole).unwrap_or(T::GREATEST)
}

trait Bounded {
    const GREATEST: Self;
}

impl Bounded for u8 {
    const GREATEST: Self = Self::MAX;
}

impl Bounded for u16 {
    const GREATEST: Self = Self::MAX;
}

impl Bounded for u32 {
    const GREATEST: Self = Self::MAX;
}

/// Why a record was not made or not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Longer than [`MAX_RECORD_BYTES`].
    TooLong,
    /// Of a version that this software does not know.
    Version {
        /// Which.
        version: u8,
    },
    /// Not a record.
    Malformed,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "record: more than {MAX_RECORD_BYTES} bytes"),
            Self::Version { version } => {
                write!(f, "record: version {version}; this software reads version {RECORD_VERSION}")
            }
            Self::Malformed => write!(f, "record: not the bytes of a record"),
        }
    }
}

impl core::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::params::Features;
    use super::super::report::{BoundingBox, Quality};
    use super::*;

    fn report(detections: usize) -> Report {
        let detection = Detection {
            label: 1,
            probability: 0.987,
            peak_ppm_m: 1e9,
            mean_ppm_m: f32::NAN,
            mass_kg: Some(Estimate { value: 41.4, sigma: 9.6 }),
            rate_kg_h: Some(Estimate { value: 4e9, sigma: 1e9 }),
            pixels: u32::MAX,
            bbox: BoundingBox { line0: 3, line1: u32::MAX, sample0: 2, sample1: 70_000 },
            centroid: [4e9, 1e6],
            position: None,
            snr: 9.0,
            spectral_match: 0.8,
            contrast: 0.0,
            features: Features::default(),
        };
        Report {
            class: Class::Alert,
            probability: 0.987,
            reason: "a plume".into(),
            target: "CH4".into(),
            detections: vec![detection; detections],
            candidates: 100_000,
            rejections: vec![],
            quality: Quality {
                cloud_fraction: 0.501,
                flags: vec![Flag::Cloudy, Flag::Striped],
                ..Quality::default()
            },
            noise_ppm_m: Some(251.7),
            window_nm: None,
            bands_used: 30,
            lines: 40,
            samples: 50,
        }
    }

    #[test]
    fn a_record_comes_back_and_is_never_too_long() {
        for detections in [0, 1, 5, 100] {
            let record = Record::of(&report(detections));
            let bytes = record.encode().unwrap();
            assert!(bytes.len() <= MAX_RECORD_BYTES, "{}", bytes.len());
            assert_eq!(Record::decode(&bytes), Ok(record.clone()));
            assert_eq!(usize::from(record.plumes), detections);
            assert_eq!(record.top.is_empty(), detections == 0);
        }
        let record = Record::of(&report(1));
        assert_eq!(
            (record.probability_permille, record.noise_ppm_m, record.hidden_percent[0]),
            (987, 252, 50)
        );
        assert_eq!(record.top[0].mass_kg, [41, 10]);
        assert_eq!(
            (record.top[0].peak_ppm_m, record.top[0].mean_ppm_m, record.top[0].lines),
            (u16::MAX, 0, u16::MAX)
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let bytes = Record::of(&report(2)).encode().unwrap();
        assert_eq!(Record::decode(&[]), Err(RecordError::Malformed));
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), Err(RecordError::Malformed));
        assert_eq!(Record::decode(&[&bytes[..], &[0]].concat()), Err(RecordError::Malformed));
        assert_eq!(Record::decode(&[&[9], &bytes[1..]].concat()), Err(RecordError::Version { version: 9 }));
        assert_eq!(Record::decode(&[1; 600]), Err(RecordError::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Record::decode(&[&[RECORD_VERSION], bytes.as_slice()].concat());
        }
    }
}
