//! The bench, run small: every row is there and well-formed, and what hangs on no clock meets its target.

use std::collections::BTreeSet;
use std::fs;

use passband_tests::{binary, run, text};
use serde_json::Value;

/// Rows of these groups hang on how fast the machine is, or on programs that may not be there.
const NOT_JUDGED: [&str; 4] = ["sender", "receiver", "link", "peers"];

#[test]
fn every_row_of_the_transfer_is_there_and_what_hangs_on_no_clock_is_met() {
    for row in rows_of("transfer") {
        let (group, what) = (row["group"].as_str().unwrap(), row["what"].as_str().unwrap());
        let timed = NOT_JUDGED.contains(&group)
            || ["goodput", "symbols a kill -9"].iter().any(|s| what.starts_with(s));
        assert!(row["met"] == true || timed, "missed: {row}");
    }
}

#[test]
fn every_row_of_the_queue_is_there_and_what_hangs_on_no_clock_is_met() {
    for row in rows_of("queue") {
        let timed = ["operations", "ingest", "recovery"].contains(&row["group"].as_str().unwrap());
        assert!(row["met"] == true || timed, "missed: {row}");
        assert!(row["value"].is_number(), "not measured: {row}");
    }
}

#[test]
fn every_row_of_operations_is_there_and_what_hangs_on_no_clock_is_met() {
    for row in rows_of("operations") {
        let timed = ["idle"].contains(&row["group"].as_str().unwrap()) || row["unit"] == "ms";
        assert!(row["met"] == true || timed, "missed: {row}");
        assert!(row["value"].is_number(), "not measured: {row}");
    }
}

/// Without the peers, which are Python packages, and on frames too small to judge a detector by.
#[test]
fn every_row_of_the_triage_is_there_and_says_that_no_peer_was() {
    let rows = rows_of("triage");
    let beside = rows.iter().filter(|row| row["note"].as_str().is_some_and(|n| n.contains("--peers-python")));
    assert_eq!(beside.count(), 5, "rows that say so");
    for row in &rows {
        let missing = row["note"].as_str().is_some_and(|n| n.starts_with("not measured"));
        assert!(row["value"].is_number() != missing, "{row}");
    }
}

/// On a pair of small programs, which say nothing of how it stands beside others; detools, a Python package, is not there.
#[test]
fn every_row_of_the_update_is_there_and_what_hangs_on_no_clock_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
    let mut program = fs::read(binary("passband-launch")).unwrap();
    program.truncate(60_000);
    fs::write(&old, &program).unwrap();
    program[30_000..30_012].copy_from_slice(b"another text");
    fs::write(&new, &program).unwrap();
    let named = format!("{}:one-line", text(&new));
    let rows = rows_with("update", &["--pair", text(&old), &named]);
    for row in &rows {
        let missing = row["note"].as_str().is_some_and(|note| note.starts_with("not measured"));
        let beside_others = !row["peer"].is_null();
        assert!(row["met"] == true || row["unit"] == "s" || beside_others, "missed: {row}");
        assert!(
            row["value"].is_number() && (row["peer"].is_null() || row["peer_value"].is_number() != missing),
            "{row}"
        );
    }
    assert!(rows.iter().any(|row| row["note"].as_str().is_some_and(|note| note.contains("--peers-python"))));
    let none = run("passband-ground", &["bench", "update", "--quick"]);
    assert_eq!(none.status.code(), Some(2), "images are wanted");
}

fn rows_of(area: &str) -> Vec<Value> {
    rows_with(area, &[])
}

/// The rows of an area, run small, each of them well-formed, with one of each group at least.
fn rows_with(area: &str, more: &[&str]) -> Vec<Value> {
    let out = run("passband-ground", &[&["bench", area, "--quick", "--json"], more].concat());
    let text = String::from_utf8(out.stdout).unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(matches!(out.status.code(), Some(0 | 1)), "{}: {said}", out.status);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for row in &rows {
        assert_eq!((&row["schema"], &row["area"]), (&1.into(), &area.into()), "{row}");
        for field in ["what", "unit", "group"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {row}");
        }
        let met = match (row["value"].as_f64(), row["op"].as_str().unwrap(), row["target"].as_f64()) {
            (None, _, _) => false,
            (Some(_), _, None) => true,
            (Some(value), "<=", Some(target)) => value <= target,
            (Some(value), ">=", Some(target)) => value >= target,
            (_, op, _) => panic!("an operator '{op}'"),
        };
        assert_eq!(row["met"], met, "{row}");
    }
    let missed = rows.iter().any(|row| row["met"] == false);
    assert_eq!(out.status.code(), Some(i32::from(missed)));
    let groups: BTreeSet<_> = rows.iter().filter_map(|row| row["group"].as_str()).collect();
    let known = run("passband-ground", &[&["bench", area, "--only", "no-such-rows"], more].concat());
    assert_eq!(known.status.code(), Some(2));
    let known = String::from_utf8_lossy(&known.stderr).into_owned();
    let known: BTreeSet<_> = known.rsplit(": ").next().unwrap().trim().split(", ").collect();
    assert_eq!(groups, known, "a group of rows is missing");
    rows
}
