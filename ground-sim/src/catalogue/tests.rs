mod loss;

use std::ops::Range;

use super::*;
use passband_proto::ids::Class;
use passband_spectral::cube::Cube as SpectralCube;
use passband_spectral::envi::{DataType, Header, Interleave};
use serde_json::{Value, json};

use crate::station::sha256_hex;
use passband_flight::store::FrameId;
use sha2::{Digest, Sha256};

/// A product that came of no frame.
pub(crate) fn product(n: u64) -> Product {
    Product {
        schema: 1,
        id: format!("{n:024x}"),
        folder: format!("f-{n:08x}"),
        spacecraft: 1,
        name: format!("product {n}"),
        product: "file".to_owned(),
        class: Class::Routine,
        created_unix_ms: 1_700_000_000_000 + n,
        frame: None,
        frame_id: None,
        tasking: None,
        reason: None,
        gas: None,
        probability: None,
        detections: None,
        part: None,
        lines: None,
        samples: None,
        data_file: None,
        bytes: 0,
        preview: None,
        files: Vec::new(),
        positions: Vec::new(),
    }
}

/// A frame without anything.
pub(super) fn frame() -> Frame {
    Frame {
        schema: 1,
        frame: "f".to_owned(),
        frame_id: "0123456789abcdef01234567".to_owned(),
        spacecraft: 1,
        class: Class::Alert,
        created_unix_ms: 1_700_000_000_000,
        tasking: None,
        reason: None,
        gas: Some("CH4".to_owned()),
        probability: Some(0.9),
        detections: Some(1),
        cube: None,
        files: Vec::new(),
        fault: None,
        positions: Vec::new(),
        products: Vec::new(),
    }
}

/// A frame on board: its header and data, and the id that they give it.
struct Source {
    header: Vec<u8>,
    data: Vec<u8>,
    id: String,
    interleave: Interleave,
    offset: usize,
}

const SAMPLES: usize = 5;
const BANDS: usize = 4;
const LINES: usize = 11;

impl Source {
    fn new(interleave: Interleave, offset: usize) -> Self {
        Self::with(interleave, offset, |_| {})
    }

    /// One whose header says more.
    fn with(interleave: Interleave, offset: usize, say: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new(SAMPLES, LINES, BANDS, DataType::U16);
        header.interleave = interleave;
        header.header_offset = offset as u64;
        header.wavelengths_nm = Some(vec![500.0, 600.0, 700.0, 2300.0]);
        say(&mut header);
        // A camera's header is never quite as we would write it.
        let text = format!("{}; written by a camera\n", header.to_text()).into_bytes();
        let bytes = offset + SAMPLES * LINES * BANDS * 2;
        let data: Vec<u8> = (0..bytes).map(|i| u8::try_from((i * 31 + 7) % 251).unwrap()).collect();
        let id = FrameId::of(&Sha256::digest(&text).into(), &Sha256::digest(&data).into()).to_string();
        Self { header: text, data, id, interleave, offset }
    }

    fn name(&self) -> String {
        format!("scene.{}", self.interleave.name())
    }

    /// The lines of it as an ENVI cube of their own.
    fn cut(&self, lines: Range<usize>) -> (String, Vec<u8>) {
        let mut header = Header::parse(&String::from_utf8_lossy(&self.header)).unwrap();
        (header.lines, header.header_offset) = (lines.len(), 0);
        let samples = &self.data[self.offset..];
        let row = if self.interleave == Interleave::Bsq { SAMPLES * 2 } else { SAMPLES * BANDS * 2 };
        let planes = if self.interleave == Interleave::Bsq { BANDS } else { 1 };
        let rows = |plane| &samples[(plane * LINES + lines.start) * row..(plane * LINES + lines.end) * row];
        (header.to_text(), (0..planes).flat_map(rows).copied().collect())
    }

    /// Writes a strip as the station does.
    fn strip(&self, out: &Path, part: usize, parts: usize, lines: Range<usize>) -> PathBuf {
        let (header, data) = self.cut(lines.clone());
        let stem = format!("scene.lines-{:06}-{:06}", lines.start, lines.end);
        let mut files = vec![
            (format!("{stem}.hdr"), header.into_bytes()),
            (format!("{stem}.{}", self.interleave.name()), data),
        ];
        if part == 1 {
            files.push(("scene.hdr".to_owned(), self.header.clone()));
            if self.offset > 0 {
                files.push(("scene.lead".to_owned(), self.data[..self.offset].to_vec()));
            }
        }
        let labels = json!({
            "frame-id": self.id, "part": format!("{part}/{parts}"), "data-file": self.name(),
            "lines": format!("{}..{}", lines.start, lines.end), "tasking": "permian", "probability": "0.970",
        });
        write_product(out, "cube", part as u64, &labels, &files)
    }
}

fn write_product(out: &Path, product: &str, n: u64, labels: &Value, files: &[(String, Vec<u8>)]) -> PathBuf {
    let folder = out.join(format!("scene-{product}-{n:08x}"));
    fs::create_dir_all(&folder).unwrap();
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        fs::write(folder.join(name), bytes).unwrap();
        json!({ "name": name, "bytes": bytes.len(), "sha256": sha256_hex(bytes) })
    };
    let files: Vec<_> = files.iter().map(entry).collect();
    let about = json!({
        "schema": 1, "id": format!("{n:024x}"), "spacecraft": 1, "epoch": 1, "name": format!("scene {product}"),
        "product": product, "class": "suspect", "created_unix_ms": 1_700_000_000_000 + n, "frame": "scene",
        "labels": labels, "preview": null, "files": files,
    });
    fs::write(folder.join("bundle.json"), about.to_string()).unwrap();
    folder
}

fn scene(out: &Path, source: &Source) -> (Frame, PathBuf) {
    let folder = frame::folder(out, "scene", &source.id);
    (Frame::read(&folder).unwrap(), folder)
}

#[test]
fn strips_in_any_order_and_interleave_become_the_very_files() {
    for (interleave, offset) in Interleave::ALL.into_iter().flat_map(|i| [(i, 0), (i, 33)]) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path();
        let source = Source::new(interleave, offset);
        let mut catalogue = Catalogue::new(out);
        let strips = [(3, 8..11), (1, 0..4), (2, 4..8)];
        for (part, lines) in &strips[..2] {
            catalogue.add(&source.strip(out, *part, 3, lines.clone())).unwrap();
        }
        let (frame, folder) = scene(out, &source);
        let cube = frame.cube.unwrap();
        assert_eq!(
            (frame.fault, cube.whole, cube.missing_lines),
            (None, false, vec![(4, 8)]),
            "{interleave:?}"
        );
        // What is there is at its place, as any reader of ENVI sees it.
        let header = Header::parse(&fs::read_to_string(folder.join(&cube.header)).unwrap()).unwrap();
        let partial = SpectralCube::new(header, fs::read(folder.join(&cube.data)).unwrap()).unwrap();
        let original = Header::parse(&String::from_utf8_lossy(&source.header)).unwrap();
        let original = SpectralCube::new(original, source.data.clone()).unwrap();
        let bands = [0, 1, 2, 3];
        for line in 0..LINES {
            let (mut here, mut there) = (Vec::new(), Vec::new());
            partial.lines_f32(line, 1, &bands, &mut here).unwrap();
            original.lines_f32(line, 1, &bands, &mut there).unwrap();
            let expected = if (4..8).contains(&line) { vec![0.0; there.len()] } else { there };
            assert_eq!(here, expected, "{interleave:?} line {line}");
        }
        let (part, lines) = strips[2].clone();
        catalogue.add(&source.strip(out, part, 3, lines)).unwrap();
        let (frame, folder) = scene(out, &source);
        assert_eq!((frame.fault, frame.cube.as_ref().unwrap().whole), (None, true));
        assert_eq!(fs::read(folder.join("scene.hdr")).unwrap(), source.header);
        assert_eq!(fs::read(folder.join(source.name())).unwrap(), source.data);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "nothing is left of what was partial");
    }
}

#[test]
fn without_the_first_strip_the_frame_is_as_long_as_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(Interleave::Bsq, 0);
    let mut catalogue = Catalogue::new(dir.path());
    catalogue.add(&source.strip(dir.path(), 2, 3, 4..8)).unwrap();
    assert_eq!(scene(dir.path(), &source).0.cube.unwrap().lines, 8);
    let verdict = json!({ "lines": 11, "samples": 5, "detections": [] }).to_string().into_bytes();
    let files = [("scene.detections.json".to_owned(), verdict)];
    catalogue
        .add(&write_product(dir.path(), "evidence", 9, &json!({ "frame-id": source.id }), &files))
        .unwrap();
    let cube = scene(dir.path(), &source).0.cube.unwrap();
    assert_eq!((cube.lines, cube.missing_lines), (11, vec![(0, 4), (8, 11)]));
}

#[test]
fn a_frame_that_is_not_what_its_id_says_stays_partial_with_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = Source::new(Interleave::Bil, 0);
    source.data[60] ^= 1;
    let mut catalogue = Catalogue::new(dir.path());
    for (part, lines) in [(1, 0..6), (2, 6..11)] {
        catalogue.add(&source.strip(dir.path(), part, 2, lines)).unwrap();
    }
    let (frame, _) = scene(dir.path(), &source);
    assert!(frame.fault.unwrap().contains("isn't frame"));
    assert!(!frame.cube.unwrap().whole);
}

#[test]
fn the_catalogue_is_made_anew_from_what_lies_there_and_catches_up_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bil, 7);
    source.strip(out, 1, 2, 0..6);
    source.strip(out, 2, 2, 6..11);
    fs::create_dir(out.join("bad")).unwrap();
    fs::write(out.join("bad/bundle.json"), "{").unwrap();
    let mut faults = Vec::new();
    let mut catalogue = Catalogue::new(out);
    assert_eq!(catalogue.catch_up(&AtomicBool::new(false), |e| faults.push(e.to_string())).unwrap(), 2);
    assert_eq!(faults.len(), 1);
    assert_eq!(catalogue.catch_up(&AtomicBool::new(false), |_| {}).unwrap(), 0);
    catalogue.close().unwrap();
    let before = query::rows(out).unwrap();
    assert_eq!((before.len(), before[0].strips, before[0].whole), (1, Some((2, 2)), true));
    for gone in ["catalogue", "frames"] {
        fs::remove_dir_all(out.join(gone)).unwrap();
    }
    let index = Catalogue::new(out).index().unwrap();
    assert_eq!((index.products, index.frames, index.whole_cubes, index.faults.len()), (2, 1, 1, 1));
    assert_eq!(query::rows(out).unwrap(), before);
    let collection: Value =
        serde_json::from_slice(&fs::read(out.join("frames/collection.json")).unwrap()).unwrap();
    assert_eq!(collection["links"].as_array().unwrap().len(), 3);
    let filter =
        query::Filter { tasking: Some("perm*".into()), min_probability: Some(0.97), ..Default::default() };
    assert!(filter.takes(&before[0]));
    assert!(!query::Filter { text: Some("houston".into()), ..Default::default() }.takes(&before[0]));
    assert_eq!(query::find(&before, &source.id[..6]).len(), 1);
}

#[test]
fn a_keeper_takes_in_what_it_is_told_of_and_says_what_it_could_not() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(dir.path(), || {}).unwrap();
    let source = Source::new(Interleave::Bip, 0);
    // Whole from the start, as the station puts it in place: the keeper looks for what it was not told of, too.
    let aside = tempfile::tempdir().unwrap();
    let made = source.strip(aside.path(), 1, 1, 0..11);
    let product = dir.path().join(made.file_name().unwrap());
    fs::rename(&made, &product).unwrap();
    keeper.add(&product);
    keeper.add(&dir.path().join("nowhere"));
    let faults = keeper.finish();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(dir.path().join("frames/collection.json").is_file());
    // A second keeper, as after a crash, finds what the first had not been told of.
    source.strip(dir.path(), 2, 2, 3..11);
    Keeper::start(dir.path(), || {}).unwrap().finish();
}
