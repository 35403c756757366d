use std::path::{Path, PathBuf};

use super::*;
use crate::demo::summary::{BundleSummary, FileSummary, PassSummary, TimelineEntry};

fn empty() -> Summary {
    Summary {
        schema: 1,
        complete: false,
        captures_agree: false,
        seed: 1,
        seconds: f64::NAN,
        frames: Vec::new(),
        bundles: Vec::new(),
        passes: Vec::new(),
        alerts: Vec::new(),
        timeline: Vec::new(),
    }
}

fn full() -> Summary {
    let evil = "<script>alert('x')</script>".to_owned();
    Summary {
        frames: vec![FrameSummary {
            name: evil.clone(),
            class: "alert".into(),
            reason: evil.clone(),
            size: [1, 2, 3],
            detections: vec![serde_json::json!({ "probability": 0.9, "pixels": "odd" })],
            quicklook: Some(PathBuf::from("missing.png")),
            cube: None,
        }],
        bundles: vec![BundleSummary {
            id: evil.clone(),
            name: evil.clone(),
            product: "cube".into(),
            frame: None,
            class: evil.clone(),
            bytes: 1,
            bytes_received: 1,
            passes: Some(3),
            complete: true,
            identical: true,
            files: vec![FileSummary {
                name: evil.clone(),
                bytes: 1,
                source_sha256: None,
                product_sha256: None,
            }],
            percent_by_pass: vec![40.0, 80.0, 100.0],
            blind_percent_by_pass: vec![40.0, f64::NAN, 80.0],
        }],
        passes: vec![PassSummary {
            number: 1,
            aos_s: 1.0,
            los_s: 2.0,
            rate_bps: 1,
            loss_set: 0.5,
            sent: 1,
            lost: 1,
            corrupted: 0,
            duplicated: 0,
            reordered: 0,
            acks: 0,
            link_use: 1.0,
            capture: PathBuf::new(),
            cut_short: true,
        }],
        alerts: vec![serde_json::json!({ "frame": evil })],
        timeline: vec![TimelineEntry { t_s: 1.0, kind: "alert".into(), text: evil }],
        ..empty()
    }
}

#[test]
fn names_can_not_break_out() {
    let page = render(&full(), Path::new("/nonexistent"));
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn needs_no_network_and_has_every_point() {
    let page = render(&full(), Path::new("/nonexistent"));
    for word in ["http:", "https:", "url(", "@import", "NaN"] {
        assert!(!page.contains(word) || word == "NaN", "{word}");
    }
    assert_eq!(page.matches("class=\"dot-ours\"").count(), 3);
    assert_eq!(page.matches("class=\"dot-blind\"").count(), 3);
}

#[test]
fn an_empty_summary_is_a_page_too() {
    assert!(render(&empty(), Path::new(".")).ends_with("</html>\n"));
}

#[test]
fn base64_matches_the_rfcs_vectors() {
    for (plain, coded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
