//! `passband-ground eval` on frames of the real generator: figures, files, faults, and the same result with any number
//! of threads.

use std::fs;
use std::path::Path;

use passband_tests::{json, run, succeed, text};
use serde_json::Value;

const GROUND: &str = "passband-ground";

/// Makes a frame and its truth.
fn scene(dir: &Path, name: &str, seed: &str, more: &[&str]) {
    let (frames, truth) = (dir.join("frames"), dir.join("truth"));
    let mut args =
        vec!["scene", "--out", text(&frames), "--truth", text(&truth), "--name", name, "--seed", seed];
    args.extend(more);
    succeed(GROUND, &args);
}

/// Width and height of a PNG.
fn png_size(bytes: &[u8]) -> (u32, u32) {
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n", "no PNG");
    assert_eq!(bytes[12..16], *b"IHDR");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// Cells of a CSV's lines; none of the cells looked at is quoted.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn frames_with_truth_give_figures_files_and_pictures() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed) in [("p1", "1"), ("p2", "2"), ("p3", "3")] {
        scene(dir.path(), name, seed, &["--plume", "9000"]);
    }
    scene(dir.path(), "weak", "4", &["--plume", "100"]);
    scene(dir.path(), "clear", "5", &["--clouds", "10%"]);
    let (frames, truth, out) = (dir.path().join("frames"), dir.path().join("truth"), dir.path().join("out"));
    let args = ["eval", text(&frames), "--truth", text(&truth), "--json"];
    let (printed, status) = json(GROUND, &[&args[..], &["--out", text(&out), "--threads", "2"]].concat());
    assert_eq!(status, 0);
    let written: Value = serde_json::from_slice(&fs::read(out.join("eval.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(json(GROUND, &[&args[..], &["--threads", "1"]].concat()).0, printed, "threads");

    assert_eq!(printed["schema"], 1);
    let numbers = &printed["numbers"];
    assert_eq!((&numbers["frames"], &numbers["failed"]), (&5.into(), &0.into()), "{numbers}");
    assert_eq!(numbers["clean_frames"], 1, "{numbers}");
    assert_eq!(printed["suspect"]["false_frames"]["of"], 1);
    let recall = &printed["suspect"]["recall"];
    assert!(recall["of"].as_u64() >= Some(3) && recall["count"].as_u64() >= Some(2), "{recall}");
    let ap = printed["pixels"]["ap_mean"].as_f64().unwrap();
    assert!((0.2..=1.0).contains(&ap), "{ap}");
    let noise = printed["quantity"]["noise_smoothed_ppm_m"]["median"].as_f64().unwrap();
    assert!((1.0..2000.0).contains(&noise), "{noise}");
    assert!(!printed["by_ppm_m"].as_array().unwrap().is_empty());

    let per_frame = rows(&out.join("frames.csv"));
    let names: Vec<&str> = per_frame.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["frame", "clear", "p1", "p2", "p3", "weak"]);
    let candidates = rows(&out.join("detections.csv"));
    let column = |name: &str| candidates[0].iter().position(|c| c == name).expect(name);
    let (judgement, probability) = (column("judgement"), column("probability"));
    assert_eq!(candidates.len() as u64 - 1, numbers["handed_out"].as_u64().unwrap());
    assert!(candidates[1..].iter().any(|row| row[0] == "p1" && row[judgement] == "true"));
    for row in &candidates[1..] {
        assert_eq!(row.len(), candidates[0].len(), "{row:?}");
        assert!((0.0..=1.0).contains(&row[probability].parse::<f64>().unwrap()), "{row:?}");
    }
    for name in ["precision-recall", "recall", "reliability", "false-alarms"] {
        let (width, height) = png_size(&fs::read(out.join(format!("{name}.png"))).unwrap());
        assert!(width >= 600 && height >= 400, "{name}: {width} × {height}");
    }
    let table = succeed(GROUND, &args[..4]);
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn a_frame_that_cannot_be_judged_is_named_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["--samples", "40", "--lines", "40"];
    for (name, seed) in [("cut", "1"), ("good", "2"), ("other", "3"), ("untold", "4")] {
        scene(dir.path(), name, seed, &small);
    }
    let (frames, truth) = (dir.path().join("frames"), dir.path().join("truth"));
    let data = fs::read(frames.join("cut.bil")).unwrap();
    fs::write(frames.join("cut.bil"), &data[..data.len() / 2]).unwrap();
    let header = fs::read_to_string(truth.join("other-truth.hdr")).unwrap();
    fs::write(
        truth.join("other-truth.hdr"),
        header.replace("samples = 40", "samples = 80").replace("lines = 40", "lines = 20"),
    )
    .unwrap();
    fs::remove_file(truth.join("untold-truth.hdr")).unwrap();
    let args = ["eval", text(&frames), "--truth", text(&truth), "--json"];
    let (printed, status) = json(GROUND, &args);
    assert_eq!(status, 1);
    assert_eq!(printed["numbers"]["frames"], 1);
    let failures = printed["failures"].as_array().unwrap();
    let told = |n: usize| (failures[n]["frame"].as_str().unwrap(), failures[n]["error"].as_str().unwrap());
    assert_eq!((told(0).0, told(1).0, told(2).0), ("cut", "other", "untold"));
    assert!(told(0).1.contains("cut.bil"), "{failures:?}");
    assert!(told(1).1.contains("do not fit"), "{failures:?}");
    assert!(told(2).1.contains("untold-truth.hdr is missing"), "{failures:?}");

    let fit = dir.path().join("fit.toml");
    let out = run(GROUND, &["eval", text(&frames), "--truth", text(&truth), "--fit", text(&fit)]);
    assert_eq!(out.status.code(), Some(2), "nothing to fit to");
    assert!(String::from_utf8_lossy(&out.stderr).contains("a fit needs"), "{out:?}");
    assert!(!fit.exists());
    let nowhere = dir.path().join("nowhere");
    assert_eq!(run(GROUND, &["eval", text(&nowhere), "--truth", text(&truth)]).status.code(), Some(2));
    assert_eq!(run(GROUND, &["eval", text(&frames), "--truth", text(&nowhere)]).status.code(), Some(2));
}
