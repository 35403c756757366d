//! The real `passband-hil` over shell scripts that behave like `passband`, well or badly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What a well-behaved `passband` does, as far as parity can see.
const GOOD: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "passband 0.1.0"; exit 0; fi
[ "$1" = triage ] && [ "$3" = --out ] || exit 2
[ -s "$2" ] || { echo "empty header" >&2; exit 2; }
mkdir -p "$4"
cp "$2" "$4/result.json"
printf 'enhancement' > "$4/enhancement.f32"
printf 'picture' > "$4/quicklook.png"
printf 'record' > "$4/record.bin"
echo "written to $4"
"#;

struct Rig(TempDir);

impl Rig {
    fn new() -> Self {
        let rig = Self(TempDir::new().unwrap());
        fs::write(rig.path("frame.hdr"), "ENVI\n").unwrap();
        rig.script("native", GOOD);
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        // Made by another process: while any thread of this one forks, a file it has written could still
        // be open for writing, and can't be executed.
        let source = self.path("script.text");
        fs::write(&source, text).unwrap();
        let status = Command::new("install").arg("-m755").args([&source, &self.path(name)]).status().unwrap();
        assert!(status.success());
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passband-hil"));
        command.arg("parity").current_dir(self.0.path());
        command.args(["--native", "native", "--target", "target", "--frame", "frame.hdr"]);
        command.args(more).output().unwrap()
    }

    /// The exit status and the table, with `target` as the board's binary.
    fn judge(&self, target: &str) -> (Option<i32>, String) {
        self.script("target", target);
        let output = self.run(&[]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

/// The good script with one line in another's place.
fn but(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old));
    GOOD.replacen(old, new, 1)
}

#[test]
fn equal_binaries_are_equal() {
    let rig = Rig::new();
    let (status, table) = rig.judge(GOOD);
    assert_eq!(status, Some(0), "{table}");
    assert!(table.contains("8 of 8 checks equal"), "{table}");
    assert!(!table.contains("DIFFERS"), "{table}");
}

#[test]
fn every_difference_is_found_and_named() {
    let rig = Rig::new();
    for (old, new, told) in [
        ("printf 'enhancement'", "printf 'enhancemenT'", "DIFFERS at byte 10"),
        ("printf 'picture'", "printf 'pictures'", "DIFFERS at byte 7"),
        ("printf 'picture' > \"$4/quicklook.png\"\n", "", "DIFFERS: not written by the target"),
        ("passband 0.1.0", "passband 0.1.1", "DIFFERS at byte 13"),
        ("written to", "Written to", "DIFFERS at byte 0"),
        (
            "mkdir -p \"$4\"",
            "mkdir -p \"$4\"; echo > \"$4/more\"",
            "DIFFERS: not written by the native binary",
        ),
        ("mkdir -p \"$4\"", "echo broken >&2; exit 1", "DIFFERS: exit status: 1: broken"),
        ("mkdir -p \"$4\"", "kill -11 $$", "DIFFERS: signal: 11"),
    ] {
        let (status, table) = rig.judge(&but(old, new));
        assert_eq!(status, Some(1), "{new}: {table}");
        assert!(table.contains(told), "{new}: {table}");
    }
}

#[test]
fn products_that_neither_writes_are_not_equal() {
    let rig = Rig::new();
    let less = but("printf 'picture' > \"$4/quicklook.png\"\n", "");
    rig.script("native", &less);
    let (status, table) = rig.judge(&less);
    assert_eq!(status, Some(1), "{table}");
    assert!(table.contains("DIFFERS: written by neither"), "{table}");
}

#[test]
fn a_binary_that_hangs_is_stopped() {
    let rig = Rig::new();
    rig.script("target", &but("mkdir -p \"$4\"", "exec sleep 60"));
    let output = rig.run(&["--timeout-s", "1"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("stopped at the time limit"), "{table}");
}

#[test]
fn the_emulator_runs_the_target_only() {
    let rig = Rig::new();
    rig.script("target", GOOD);
    rig.script("emulator", "#!/bin/sh\necho \"$1\" >> \"$0.log\"\nexec \"$@\"\n");
    let emulator = rig.path("emulator");
    let output = rig.run(&["--emulator", emulator.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let target = rig.path("target").canonicalize().unwrap();
    let log = fs::read_to_string(rig.path("emulator.log")).unwrap();
    assert_eq!(log.lines().map(Path::new).collect::<Vec<_>>(), [target.as_path(); 2]);
}

#[test]
fn the_target_alone_may_use_threads() {
    let rig = Rig::new();
    rig.script("target", &but("mkdir -p", "echo \"$5 $6\" > \"$0.asked\"; [ $# = 6 ] || exit 2; mkdir -p"));
    let output = rig.run(&["--target-threads", "2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read_to_string(rig.path("target.asked")).unwrap(), "--threads 2\n");
    assert_eq!(rig.run(&["--target-threads", "0"]).status.code(), Some(2));
}

#[test]
fn json_says_where_it_differs_and_keep_keeps_both() {
    let rig = Rig::new();
    rig.script("target", &but("printf 'enhancement'", "printf 'enhanced'"));
    let output = rig.run(&["--json", "--keep", "kept"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["schema"], &report["equal"]), (&1.into(), &false.into()));
    let checks = report["checks"].as_array().unwrap();
    let wrong: Vec<_> = checks.iter().filter(|check| check["equal"] == false).collect();
    assert_eq!(wrong.len(), 1, "{report:#}");
    assert_eq!(wrong[0]["frame"], "frame.hdr");
    assert_eq!(wrong[0]["what"], "enhancement.f32");
    assert_eq!(wrong[0]["native_bytes"], 11);
    assert_eq!(wrong[0]["target_bytes"], 8);
    assert_eq!(wrong[0]["first_difference"], 7);
    let kept =
        |side: &str| fs::read(rig.path("kept/frame-0").join(side).join("out/enhancement.f32")).unwrap();
    assert_eq!(
        (kept("native").as_slice(), kept("target").as_slice()),
        (&b"enhancement"[..], &b"enhanced"[..])
    );
}

#[test]
fn what_cannot_be_compared_is_bad_input() {
    let rig = Rig::new();
    let refused = |more: &[&str], why: &str| {
        let output = rig.run(more);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(output.stdout.is_empty());
    };
    refused(&[], "can't find target");
    rig.script("target", GOOD);
    refused(&["--frame", "absent.hdr"], "no frame absent.hdr");
    refused(&["--emulator", "./no-such-emulator"], "can't find ./no-such-emulator");
    refused(&["--emulator", "no-such-emulator"], "can't start no-such-emulator ");
    refused(&["--timeout-s", "0"], "--timeout-s");
    fs::write(rig.path("empty.hdr"), "").unwrap();
    refused(
        &["--frame", "empty.hdr"],
        "the native binary's `passband triage` ended with exit status: 2: empty header",
    );
}
