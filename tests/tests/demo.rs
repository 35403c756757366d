//! The main job as a user runs it.

use std::fs;
use std::path::Path;

use passband_tests::{run, sha256, text};
use serde_json::Value;

fn demo(extra: &[&str]) -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo-out");
    let args = [&["demo", "--out", text(&out)][..], extra].concat();
    let done = run("passband-ground", &args);
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    for word in ["AOS", "LOS", "whole:", "bit for bit"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let summary: Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    (dir, summary)
}

fn check(out: &Path, summary: &Value) {
    assert_eq!((&summary["complete"], &summary["captures_agree"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(summary["seconds"].as_f64().unwrap() < 90.0);
    for frame in summary["frames"].as_array().unwrap() {
        let png = fs::read(out.join(frame["quicklook"].as_str().unwrap())).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
        let header = out.join(frame["cube"].as_str().unwrap());
        assert!(header.is_file() && header.with_extension("bil").is_file());
    }
    for bundle in summary["bundles"].as_array().unwrap() {
        assert_eq!(bundle["identical"], true, "{bundle:#}");
        let blind = bundle["blind_percent_by_pass"].as_array().unwrap().len();
        assert_eq!(blind, summary["passes"].as_array().unwrap().len());
    }
    for pass in summary["passes"].as_array().unwrap() {
        assert_eq!(pass["acks"], 0);
        assert!(pass["lost"].as_u64().unwrap() > 0 && out.join(pass["capture"].as_str().unwrap()).is_file());
    }
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("data:image/png;base64,"));
}

#[test]
fn synthetic_frames() {
    let (dir, summary) = demo(&[]);
    let out = dir.path().join("demo-out");
    check(&out, &summary);
    let class = |name: &str| {
        let frames = summary["frames"].as_array().unwrap();
        frames.iter().find(|f| f["name"] == name).map(|f| f["class"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(class("strong-plume").as_deref(), Some("alert"));
    let strong = summary["frames"].as_array().unwrap().iter().find(|f| f["name"] == "strong-plume").unwrap();
    let rate = &strong["detections"][0]["rate_kg_h"];
    let known = |key: &str| rate[key].as_f64().is_some_and(|v| v > 0.0);
    assert!(known("value") && known("sigma"), "{strong:#}");
    let told = format!("<td>{:.0} ± ", rate["value"].as_f64().unwrap());
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains(&told), "{told}");
    assert_eq!(class("clear-ground").as_deref(), Some("routine"));
    assert_eq!(class("mostly-cloud").as_deref(), Some("discard-candidate"));
    assert!(!summary["alerts"].as_array().unwrap().is_empty());
    assert_eq!(sha256(&out.join("frames/strong-plume.bil")), sha256(&out.join("cubes/strong-plume.bil")));
}

#[test]
fn real_frames() {
    let frames = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/jasper_ridge");
    if !frames.is_dir() {
        println!("skipped: {} is not here", frames.display());
        return;
    }
    let (dir, summary) = demo(&["--frames", text(&frames)]);
    let out = dir.path().join("demo-out");
    check(&out, &summary);
    assert_ne!(summary["frames"][0]["class"], "alert", "there is no methane plume at Jasper Ridge");
    assert_eq!(sha256(&frames.join("jasper_ridge.bil")), sha256(&out.join("cubes/jasper_ridge.bil")));
}
