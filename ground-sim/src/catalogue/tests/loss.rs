//! What goes while a catalogue is kept: folders, files, the process; and that it is made up for.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

fn evidence(out: &Path, source: &Source) -> PathBuf {
    let verdict = json!({ "lines": 11, "samples": 5, "detections": [] }).to_string().into_bytes();
    let files = [
        ("scene.detections.json".to_owned(), verdict),
        ("scene.record".to_owned(), b"record".to_vec()),
        ("scene.chip.img".to_owned(), b"chip".to_vec()),
    ];
    write_product(out, "evidence", 9, &json!({ "frame-id": source.id }), &files)
}

/// Gives a product another class.
fn reclass(folder: &Path, class: &str) {
    let path = folder.join("bundle.json");
    let mut about: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    about["class"] = json!(class);
    fs::write(&path, about.to_string()).unwrap();
}

#[test]
fn products_stay_listed_when_their_folders_go_and_the_frame_holds_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bil, 7);
    let mut catalogue = Catalogue::new(out);
    let mut folders = vec![evidence(out, &source)];
    folders.extend([(1, 0..6), (2, 6..11)].map(|(part, lines)| source.strip(out, part, 2, lines)));
    let alone = write_product(out, "log", 77, &json!({}), &[("a.log".to_owned(), b"a".to_vec())]);
    folders.push(alone.clone());
    for folder in &folders {
        assert_eq!(catalogue.add(folder).unwrap(), Vec::<String>::new());
    }
    let before = query::rows(out).unwrap();
    assert_eq!(before.len(), 3);
    folders.iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    let place = frame::folder(out, "scene", &source.id);
    let place = place.strip_prefix(out).unwrap().to_str().unwrap();
    for _ in 0..2 {
        let rows = query::rows(out).unwrap();
        // The log is of no frame: with its folder all of it is gone.
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in rows {
            let then = before.iter().find(|then| then.id == row.id).unwrap();
            assert_eq!((row.path.as_str(), row.whole, row.strips), (place, true, then.strips));
        }
        let index = catalogue.index().unwrap();
        assert_eq!((index.products, index.whole_cubes, index.faults), (3, 1, Vec::new()));
    }
    fs::remove_file(out.join(place).join("scene.record")).unwrap();
    assert_eq!(query::rows(out).unwrap().len(), 1, "not all of the evidence is there any more");
}

#[test]
fn strips_that_are_placed_may_go_before_the_frame_is_whole() {
    for (interleave, offset) in Interleave::ALL.into_iter().flat_map(|i| [(i, 0), (i, 33)]) {
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let dir = tempfile::tempdir().unwrap();
            let out = dir.path();
            let source = Source::new(interleave, offset);
            let mut catalogue = Catalogue::new(out);
            for part in order {
                let lines = [0..4, 4..8, 8..11][part - 1].clone();
                let folder = source.strip(out, part, 3, lines);
                assert_eq!(catalogue.add(&folder).unwrap(), Vec::<String>::new(), "{interleave:?} {order:?}");
                fs::remove_dir_all(&folder).unwrap();
            }
            let (frame, folder) = scene(out, &source);
            assert!(frame.cube.unwrap().whole, "{interleave:?} {order:?}");
            assert_eq!(fs::read(folder.join("scene.hdr")).unwrap(), source.header);
            assert_eq!(fs::read(folder.join(source.name())).unwrap(), source.data);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "nothing is left of what was partial");
            // Nor is anything lost with the frame's description: its id proves what lies there.
            fs::remove_file(folder.join("frame.json")).unwrap();
            catalogue.add(&evidence(out, &source)).unwrap();
            let cube = scene(out, &source).0.cube.unwrap();
            assert_eq!((cube.whole, cube.placed), (true, vec![1, 2, 3]));
        }
    }
}

#[test]
fn a_strip_that_went_too_early_or_does_not_fit_keeps_no_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bip, 0);
    let mut catalogue = Catalogue::new(out);
    let short = source.strip(out, 2, 3, 4..8);
    fs::write(short.join("scene.lines-000004-000008.bip"), b"cut").unwrap();
    let faults = catalogue.add(&short).unwrap();
    assert!(faults[0].contains("scene.lines-000004-000008.bip has 3 bytes"), "{faults:?}");
    fs::remove_dir_all(&short).unwrap();
    for (part, lines) in [(1, 0..4), (3, 8..11)] {
        catalogue.add(&source.strip(out, part, 3, lines)).unwrap();
    }
    let (frame, _) = scene(out, &source);
    let cube = frame.cube.unwrap();
    assert_eq!((cube.placed, cube.missing_lines), (vec![1, 3], vec![(4, 8)]));
    assert_eq!((frame.fault, frame.products.len()), (None, 2));
    assert_eq!(query::rows(out).unwrap()[0].strips, Some((2, 3)));
}

#[test]
fn what_a_frame_could_not_take_in_is_said_and_taken_in_later() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bil, 0);
    let mut catalogue = Catalogue::new(out);
    let folder = evidence(out, &source);
    let (here, aside) = (folder.join("scene.detections.json"), out.join("aside"));
    fs::rename(&here, &aside).unwrap();
    let e = catalogue.add(&folder).unwrap_err();
    assert!(fault::may_pass(&e) && format!("{e:#}").contains("scene.detections.json"), "{e:#}");
    assert!(Journal::new(out).read().unwrap().is_empty(), "what isn't finished is not in the list");
    // The others of its frame are, and go on saying so.
    let faults = catalogue.add(&source.strip(out, 1, 1, 0..11)).unwrap();
    assert!(faults[0].contains("scene.detections.json"), "{faults:?}");
    let (frame, place) = scene(out, &source);
    assert!(frame.fault.is_some() && frame.cube.unwrap().whole && place.join("scene.chip.img").is_file());
    let index = catalogue.index().unwrap();
    assert!(index.whole_cubes == 1 && index.products == 1 && index.faults.len() == 1, "{index:?}");
    fs::rename(&aside, &here).unwrap();
    let mut faults = Vec::new();
    assert_eq!(catalogue.catch_up(&AtomicBool::new(false), |e| faults.push(e.to_string())).unwrap(), 1);
    assert!(faults.is_empty() && place.join("scene.detections.json").is_file(), "{faults:?}");
    assert_eq!(scene(out, &source).0.fault, None);
}

#[test]
fn a_collection_that_a_crash_kept_back_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bil, 0);
    let links = || {
        let text = fs::read(out.join("frames/collection.json")).unwrap();
        let collection: Value = serde_json::from_slice(&text).unwrap();
        collection["links"].as_array().unwrap().iter().filter(|link| link["rel"] == "item").count()
    };
    // Killed before it could close: everything is listed, nothing is linked.
    drop(Keeper::start(out, || {}).unwrap());
    Catalogue::new(out).add(&source.strip(out, 1, 1, 0..11)).unwrap();
    Keeper::start(out, || {}).unwrap().finish();
    assert_eq!(links(), 1);
    let other = Source { id: "0123456789abcdef01234567".to_owned(), ..source };
    Catalogue::new(out).add(&evidence(out, &other)).unwrap();
    assert!(links() == 1 && out.join("catalogue/stale").exists());
    Keeper::start(out, || {}).unwrap().finish();
    assert!(links() == 2 && !out.join("catalogue/stale").exists());
}

#[test]
fn a_file_that_grows_is_not_made_anew() {
    for (interleave, grows) in [(Interleave::Bil, true), (Interleave::Bip, true), (Interleave::Bsq, false)] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path();
        let source = Source::with(interleave, 0, |header| header.data_ignore_value = Some(77.0));
        let mut catalogue = Catalogue::new(out);
        let mut inodes = Vec::new();
        for (part, lines) in [(2, 2..4), (4, 6..8)] {
            catalogue.add(&source.strip(out, part, 5, lines)).unwrap();
            let (frame, folder) = scene(out, &source);
            inodes.push(fs::metadata(folder.join(frame.cube.unwrap().data)).unwrap().ino());
        }
        assert_eq!(inodes[0] == inodes[1], grows, "{interleave:?}");
        let samples = partial_line(out, &source, 5);
        assert!(samples.iter().all(|v| (*v - 77.0).abs() < 1e-6), "{interleave:?}: {samples:?}");
        let there = partial_line(out, &source, 3);
        assert!(there.iter().any(|v| (*v - 77.0).abs() > 1.0), "{interleave:?}");
    }
}

/// A line of what is there of a frame, as any reader of ENVI sees it.
fn partial_line(out: &Path, source: &Source, line: usize) -> Vec<f32> {
    let (frame, folder) = scene(out, source);
    let cube = frame.cube.unwrap();
    let header = Header::parse(&fs::read_to_string(folder.join(&cube.header)).unwrap()).unwrap();
    let cube = SpectralCube::new(header, fs::read(folder.join(&cube.data)).unwrap()).unwrap();
    let mut samples = Vec::new();
    cube.lines_f32(line, 1, &[0, 1, 2, 3], &mut samples).unwrap();
    samples
}

#[test]
fn missing_lines_hold_what_the_partial_header_says() {
    let dir = tempfile::tempdir().unwrap();
    // No sample of 16 bits without a sign can hold it.
    let source = Source::with(Interleave::Bil, 0, |header| header.data_ignore_value = Some(-9999.0));
    let mut catalogue = Catalogue::new(dir.path());
    catalogue.add(&source.strip(dir.path(), 1, 2, 0..6)).unwrap();
    assert!(partial_line(dir.path(), &source, 8).iter().all(|v| v.abs() < 1e-6));
    let (frame, folder) = scene(dir.path(), &source);
    let header = fs::read_to_string(folder.join(frame.cube.unwrap().header)).unwrap();
    assert_eq!(Header::parse(&header).unwrap().data_ignore_value, Some(0.0));
    catalogue.add(&source.strip(dir.path(), 2, 2, 6..11)).unwrap();
    assert_eq!(fs::read(folder.join("scene.hdr")).unwrap(), source.header, "the camera's own");
}

#[test]
fn a_frame_has_the_most_valuable_class_of_its_products() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(Interleave::Bil, 0);
    let mut catalogue = Catalogue::new(dir.path());
    let mut class_after = |folder: &Path, class: &str| {
        reclass(folder, class);
        catalogue.add(folder).unwrap();
        scene(dir.path(), &source).0.class
    };
    assert_eq!(class_after(&source.strip(dir.path(), 1, 20, 0..1), "routine"), Class::Routine);
    assert_eq!(class_after(&evidence(dir.path(), &source), "alert"), Class::Alert);
    assert_eq!(class_after(&source.strip(dir.path(), 10, 20, 1..2), "discard-candidate"), Class::Alert);
}

#[test]
fn a_frame_s_description_is_only_written_anew_if_nothing_can_be_made_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let source = Source::new(Interleave::Bil, 0);
    let mut catalogue = Catalogue::new(out);
    catalogue.add(&source.strip(out, 1, 3, 0..4)).unwrap();
    let path = scene(out, &source).1.join("frame.json");
    // It can't be read now; it could be at another time.
    fs::remove_file(&path).unwrap();
    symlink(&path, &path).unwrap();
    let second = source.strip(out, 2, 3, 4..8);
    assert!(fault::may_pass(&catalogue.add(&second).unwrap_err()));
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "it is left alone");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "{").unwrap();
    catalogue.add(&second).unwrap();
    let (frame, _) = scene(out, &source);
    assert_eq!((frame.products.len(), frame.cube.unwrap().placed, frame.fault), (2, vec![1, 2], None));
}
