//! Triage: what a frame is worth, and the products that are made of it.
//!
//! Runs the detector of `passband-spectral` over a cube and puts its verdict into the shapes that go
//! down: a record of few bytes, the detections as JSON, the quicklook, a chip of the enhancement map
//! around the most probable plume, the alert. The same cube gives the same bytes anywhere. Never opens a file, reads a clock or
//! decides what is sent.

use core::fmt;

use passband_proto::alert::{Alert, Position, fit};
use passband_proto::bundle::MAX_PREVIEW_BYTES;
use passband_proto::ids::{BundleId, Class};
use passband_spectral::Class as SpectralClass;
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::geo;
use passband_spectral::quicklook::{QuicklookParams, quicklook_png};
use passband_spectral::target::Target;
use passband_spectral::triage::{Params, Record, RecordError, Report, Sink, Triage, TriageError, triage};
use serde::{Deserialize, Serialize};

use crate::json;
use crate::telemetry::SCHEMA;

/// The verdict as it goes down: `NAME.detections.json`, and `result.json` of `passband triage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the frame.
    pub frame: String,
    /// What the detector says.
    #[serde(flatten)]
    pub report: Report,
    /// What was odd in the header, and how it was taken.
    pub header_notes: Vec<String>,
}

/// A record as a document: what `passband record --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordDocument {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the record says.
    #[serde(flatten)]
    pub record: Record,
}

/// A file made from a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// All that is made from a frame.
#[derive(Debug)]
pub struct Products {
    /// What the frame is worth.
    pub class: Class,
    /// The detector's report and what goes with it.
    pub triage: Triage,
    /// The verdict in few bytes, [`Record::encode`]d: `NAME.record`, and `record.bin` of `passband triage`.
    pub record: Vec<u8>,
    /// The verdict as JSON, one line.
    pub verdict_json: Vec<u8>,
    /// The quicklook, PNG; none if it couldn't be made: then why.
    pub quicklook: Result<Vec<u8>, String>,
    /// The cut-out around the most probable plume of an alert or a suspect: an ENVI header and its data.
    pub chip: Vec<ProductFile>,
}

/// Examines a frame; `maps` gets the detector's maps.
pub fn examine<R: ReadAt + Sync>(
    name: &str,
    cube: &Cube<R>,
    target: &Target,
    params: &Params,
    maps: &mut dyn Sink,
) -> Result<Products, ExamineError> {
    let triage = triage(cube, target, params, maps).map_err(ExamineError::Triage)?;
    let verdict = Verdict {
        schema: SCHEMA,
        frame: name.to_owned(),
        report: triage.report.clone(),
        header_notes: cube.header().notes.clone(),
    };
    let mut verdict_json = json::text(&verdict).map_err(ExamineError::Json)?.into_bytes();
    verdict_json.push(b'\n');
    let record = Record::of(&triage.report).encode().map_err(ExamineError::Record)?;
    Ok(Products {
        class: class(triage.report.class),
        quicklook: quicklook(name, cube, &triage),
        chip: chip(name, &triage),
        record,
        verdict_json,
        triage,
    })
}

/// Reads a record back, as the document that is printed of it.
pub fn read_record(bytes: &[u8]) -> Result<RecordDocument, RecordError> {
    Record::decode(bytes).map(|record| RecordDocument { schema: SCHEMA, record })
}

/// The class of the detector as the link names it.
pub fn class(class: SpectralClass) -> Class {
    match class {
        SpectralClass::Alert => Class::Alert,
        SpectralClass::Suspect => Class::Suspect,
        SpectralClass::Routine => Class::Routine,
        SpectralClass::DiscardCandidate => Class::DiscardCandidate,
    }
}

/// The alert of a frame, from its most probable plume; `None` without one.
pub fn alert(
    number: u32,
    time_unix_ms: u64,
    frame: &str,
    report: &Report,
    evidence: Option<BundleId>,
) -> Option<Alert> {
    let best = report.detections.first()?;
    let [line, sample] = best.centroid;
    Some(Alert {
        number,
        time_unix_ms,
        frame: fit(frame),
        gas: fit(&report.target.to_lowercase()),
        probability_permille: whole_u16(best.probability * 1000.0),
        peak_ppm_m: best.peak_ppm_m,
        mean_ppm_m: best.mean_ppm_m,
        pixels: best.pixels,
        line: whole_u32(line),
        sample: whole_u32(sample),
        position: best.position.map(position),
        plumes: u16::try_from(report.detections.len()).unwrap_or(u16::MAX),
        evidence,
    })
}

/// A place as an alert says it, to the nearest 10⁻⁷ degrees (1 cm).
fn position(place: geo::Position) -> Position {
    Position { lat_e7: e7(place.latitude_deg), lon_e7: e7(place.longitude_deg) }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most 180 degrees; a float's cast saturates, NaN gives 0"
)]
fn e7(degrees: f64) -> i32 {
    (degrees * 1e7).round() as i32
}

/// The quicklook, made smaller until it fits into a bundle's head.
fn quicklook<R: ReadAt + Sync>(name: &str, cube: &Cube<R>, triage: &Triage) -> Result<Vec<u8>, String> {
    let mut params = QuicklookParams { title: name.to_owned(), ..QuicklookParams::default() };
    loop {
        let png = quicklook_png(cube, triage, &params).map_err(|e| e.to_string())?;
        if !png.is_empty() && png.len() <= MAX_PREVIEW_BYTES {
            return Ok(png);
        }
        if params.max_width < 128 || png.is_empty() {
            return Err(format!("a quicklook of {} bytes doesn't fit into a bundle's head", png.len()));
        }
        params.max_width /= 2;
    }
}

/// The chip's files; none without a chip.
fn chip(name: &str, triage: &Triage) -> Vec<ProductFile> {
    let Some(chip) = &triage.chip else { return Vec::new() };
    vec![
        ProductFile { name: format!("{name}.chip.hdr"), bytes: chip.header.to_text().into_bytes() },
        ProductFile { name: format!("{name}.chip.img"), bytes: chip.data.clone() },
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float's cast saturates, NaN gives 0"
)]
fn whole_u16(value: f32) -> u16 {
    value.round() as u16
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float's cast saturates, NaN gives 0"
)]
fn whole_u32(value: f32) -> u32 {
    value.round() as u32
}

/// Why a frame could not be examined.
#[derive(Debug)]
pub enum ExamineError {
    /// The detector can't look at it.
    Triage(TriageError),
    /// The verdict can't be written as JSON.
    Json(serde_json::Error),
    /// The verdict can't be written as a record.
    Record(RecordError),
}

impl ExamineError {
    /// Whether reading the frame failed: it may work another time.
    pub fn is_read_error(&self) -> bool {
        matches!(self, Self::Triage(TriageError::Cube(passband_spectral::cube::CubeError::Read { .. })))
    }
}

impl fmt::Display for ExamineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Triage(e) => e.fmt(f),
            Self::Json(e) => write!(f, "the verdict as JSON: {e}"),
            Self::Record(e) => write!(f, "the verdict as a record: {e}"),
        }
    }
}

impl core::error::Error for ExamineError {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use passband_spectral::envi::{DataType, Header};
    use passband_spectral::triage::{BoundingBox, Detection, Features, NoMaps, Quality};

    pub(crate) fn with_plume() -> Report {
        let detection = Detection {
            label: 1,
            probability: 0.987,
            peak_ppm_m: 900.0,
            mean_ppm_m: 400.0,
            mass_kg: None,
            rate_kg_h: None,
            pixels: 12,
            bbox: BoundingBox { line0: 30, line1: 33, sample0: 2, sample1: 6 },
            centroid: [31.2, f32::NAN],
            position: None,
            snr: 9.0,
            spectral_match: 0.8,
            contrast: 0.0,
            features: Features::default(),
        };
        Report {
            class: SpectralClass::Alert,
            probability: 0.987,
            reason: "a plume".into(),
            target: "CH4".into(),
            detections: vec![detection],
            candidates: 1,
            rejections: vec![],
            quality: Quality::default(),
            noise_ppm_m: Some(50.0),
            window_nm: None,
            bands_used: 30,
            lines: 40,
            samples: 50,
        }
    }

    #[test]
    fn the_alert_says_what_the_best_detection_is() {
        let report = with_plume();
        let alert = alert(3, 9, "f1", &report, Some(BundleId([1; 12]))).unwrap();
        assert_eq!((alert.number, alert.probability_permille, alert.line, alert.sample), (3, 987, 31, 0));
        assert_eq!((alert.gas.as_str(), alert.frame.as_str(), alert.plumes), ("ch4", "f1", 1));
        assert_eq!(alert.position, None, "the frame doesn't say where it is");
        let mut placed = report.clone();
        placed.detections[0].position =
            Some(geo::Position { latitude_deg: -52.964_070_84, longitude_deg: -179.999_999_99 });
        let position = super::alert(3, 9, "f1", &placed, None).unwrap().position;
        assert_eq!(position, Some(Position { lat_e7: -529_640_708, lon_e7: -1_800_000_000 }));
        assert!(super::alert(1, 1, "f", &Report { detections: vec![], ..report }, None).is_none());
    }

    #[test]
    fn a_frame_is_examined_into_the_same_bytes_every_time() {
        let mut header = Header::new(8, 6, 5, DataType::U16);
        header.wavelengths_nm = Some(vec![450.0, 550.0, 650.0, 850.0, 2300.0]);
        let data: Vec<u8> = (0..480_u32).map(|i| u8::try_from(i * 37 % 251).unwrap()).collect();
        let cube = Cube::new(header, data).unwrap();
        let examine = || examine("f1", &cube, &Target::ch4(), &Params::default(), &mut NoMaps).unwrap();
        let (a, b) = (examine(), examine());
        assert_eq!((&a.verdict_json, &a.quicklook), (&b.verdict_json, &b.quicklook));
        assert_eq!(a.record, b.record);
        let record = read_record(&a.record).unwrap();
        assert_eq!((record.schema, record.record), (1, Record::of(&a.triage.report)));
        let verdict: Verdict = serde_json::from_slice(&a.verdict_json).unwrap();
        assert_eq!((verdict.schema, verdict.frame.as_str()), (1, "f1"));
        assert_eq!((verdict.report.lines, verdict.report.samples), (6, 8));
        assert_eq!(a.class, Class::Routine, "nothing to be found with one band in the window");
    }
}
