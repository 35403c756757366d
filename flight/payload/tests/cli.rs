//! The command line without a daemon.

mod common;

use std::fs;

use common::{frame, passband};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = passband(args.iter().map(|a| (*a).to_owned()));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_help_has_an_example_and_fits_a_screen() {
    for command in [
        "run",
        "digest",
        "status",
        "tlm",
        "queue",
        "events",
        "alerts",
        "pass",
        "passes",
        "triage",
        "record",
        "orders",
        "keys",
        "check-config",
    ] {
        let (status, out, err) = run(&[command, "--help"]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command}");
        assert!(out.contains("Example:") && out.contains(&format!("passband {command}")), "{out}");
        assert!(out.lines().count() <= 24 && out.lines().all(|l| l.chars().count() <= 110), "{command}");
    }
    assert_eq!(run(&["--help"]).0, Some(0));
    let (status, out, _) = run(&["--version"]);
    assert_eq!(status, Some(0));
    assert!(out.starts_with(concat!("passband ", env!("CARGO_PKG_VERSION"))), "{out}");
}

/// Arguments that are refused before the daemon is asked; there is none.
const BAD_USAGE: &[&[&str]] = &[
    &[],
    &["fly"],
    &["run"],
    &["run", "--config"],
    &["status", "--fast"],
    &["digest", "now"],
    &["tlm", "warp_speed"],
    &["tlm", "--fast"],
    &["events", "--limit", "0"],
    &["events", "--since", "x"],
    &["alerts", "ack"],
    &["alerts", "ack", "x"],
    &["alerts", "ack", "1", "2"],
    &["alerts", "lose", "1"],
    &["alerts", "--since", "1"],
    &["queue", "1"],
    &["queue", "explain", "zz"],
    &["queue", "explain", "abc"],
    &["queue", "explain"],
    &["queue", "promote", "zz"],
    &["queue", "drop", "0123456789abcdef012345678"],
    &["queue", "retask", "zz", "--class", "alert"],
    &["queue", "retask", "abcd", "--class", "best"],
    &["queue", "--limit", "0"],
    &["order", "queue", "hold", "zz"],
    &["load", "script"],
    &["load", "script", "/dev/null", "--name", "op 7"],
    &["load", "plan", "/dev/null", "--name", "Night"],
    &["load", "file", "/dev/null", "--name", ".hidden"],
    &["load", "file", "/dev/null", "--name", "../x"],
    &["load", "image", "/dev/null"],
    &["load", "file", "/nowhere/x"],
    &["script", "list"],
    &["script", "run"],
    &["script", "run", "../x"],
    &["script", "run", "x", "--wall", "0"],
    &["plan", "start", "Night"],
    &["plan", "skip", "night", "0"],
    &["agenda", "list"],
    &["agenda", "--limit", "0"],
    &["agenda", "add", "aos"],
    &["agenda", "add", "soon", "--", "ping"],
    &["agenda", "add", "aos", "--", "pnig"],
    &["agenda", "add", "aos", "--", "board", "reboot"],
    &["agenda", "remove", "One"],
    &["update", "stop"],
    &["update", "status", "now"],
    &["arm", "update", "start", "xyz"],
    &["arm", "ping"],
    &["fire"],
    &["upload", "drop", "12"],
    &["tlm", "send", "postcards"],
    &["health", "shed", "all"],
    &["keys", "now"],
    &["keys", "accept", "0"],
    &["logs", "--limit", "0"],
    &["logs", "now"],
    &["orders", "--limit", "0"],
    &["orders", "now"],
    &["params", "nothing."],
    &["params", "commit", "--within", "5"],
    &["completion"],
    &["completion", "fish"],
    &["completion", "bash", "now"],
    &["help", "fly"],
    &["record", "--json"],
    &["check-config"],
    &["status", "--config"],
    &["status", "--config", "/nowhere/c.toml"],
    &["ping", "--socket"],
    &["passes", "--count", "0"],
    &["passes", "3"],
    &["pass"],
    &["pass", "pause"],
    &["safe", "leave", "enter"],
    &["params", "set", "triage.wind", "1000"],
    &["arm", "board", "rebot"],
    &["pass", "start"],
    &["pass", "start", "--seconds", "901"],
    &["pass", "start", "soon"],
    &["pass", "start", "5", "--rate", "500"],
    &["pass", "start", "5", "--rate", "5MB"],
    &["pass", "start", "5", "6"],
    &["pass", "stop", "5"],
    &["pass", "stop", "--seconds", "1"],
    &["triage", "x.hdr"],
    &["triage", "x.hdr", "--out", "o", "--threads", "0"],
    &["triage", "x.hdr", "--out", "o", "--threads", "65"],
    &["triage", "x.hdr", "--out", "o", "--wind", "nan"],
    &["triage", "x.hdr", "--out", "o", "--pixel-size", "0"],
    &["triage", "x.hdr", "--out", "o", "--params", "/nowhere/p.toml"],
    &["triage", "x.hdr", "--out", "o", "--target", "/nowhere/gas.csv"],
    &["record"],
    &["record", "/nowhere/record.bin"],
    &["triage", "/nowhere/x.hdr", "--out", "/nowhere/out"],
    &["check-config", "/nowhere/c.toml"],
    &["status", "--socket", "a", "--config", "b"],
];

#[test]
fn bad_usage_ends_with_2() {
    for args in BAD_USAGE {
        let (status, out, err) = run(args);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.starts_with("passband: ") && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn the_shipped_configuration_is_good_and_a_bad_one_is_pointed_at() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/passband.example.toml");
    assert_eq!(run(&["check-config", example]).0, Some(0));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "[camera]\n\npoll_ms = 3\n").unwrap();
    let (status, _, err) = run(&["check-config", path.to_str().unwrap()]);
    assert_eq!(status, Some(2));
    assert!(err.contains("c.toml:3: camera.poll_ms: 3 is out of range"), "{err}");
    fs::write(&path, "[triage]\ntarget = \"gas.csv\"\n").unwrap();
    let (status, _, err) = run(&["check-config", path.to_str().unwrap()]);
    assert!(status == Some(2) && err.contains("gas.csv"), "{err}");
    fs::write(&path, "[triage]\ncalibration = \"cal.hdr\"\n").unwrap();
    let (status, _, err) = run(&["check-config", path.to_str().unwrap()]);
    assert!(status == Some(2) && err.contains("calibration ") && err.contains("cal.hdr"), "{err}");
    let plan = "[passes]\nwindows = 'w.toml'\n[uplink]\nlisten = '127.0.0.1:1'\nkeys = 'commands.txt'\n[paths]\nstate = '.'\n";
    fs::write(&path, plan).unwrap();
    let (status, out, err) = run(&["check-config", path.to_str().unwrap()]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "what may come later is no fault");
    for note in ["w.toml: No such file", "commands.txt: No such file", "keys.txt: No such file"] {
        let told = |line: &&str| line.starts_with("note: ") && line.contains(note);
        assert_eq!(out.lines().filter(told).count(), 1, "{out}");
    }
    fs::write(dir.path().join("w.toml"), "[[window]]\n").unwrap();
    let (status, _, err) = run(&["check-config", path.to_str().unwrap()]);
    assert!(status == Some(2) && err.contains("w.toml: line 1"), "{err}");
    fs::write(&path, "[triage.params]\nalert_probability = 2\n").unwrap();
    for args in [&["check-config"][..], &["run", "--config"]] {
        let (status, _, err) = run(&[args, &[path.to_str().unwrap()]].concat());
        let named = "c.toml:2: triage.params.alert_probability: 2 is out of range: must be 0 to 1";
        assert!(status == Some(2) && err.contains(named), "{err}");
    }
}

#[test]
fn triage_writes_the_same_bytes_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let (header, data) = frame(30, 7);
    fs::write(dir.path().join("f1.hdr"), header).unwrap();
    fs::write(dir.path().join("f1.bil"), &data).unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    for out in ["one", "two"] {
        let (status, text, err) = run(&["triage", &at("f1.hdr"), "--out", &at(out), "--json"]);
        assert_eq!(status, Some(0), "{err}");
        assert_eq!(text.as_bytes(), fs::read(dir.path().join(out).join("result.json")).unwrap());
    }
    for name in ["result.json", "record.bin", "enhancement.f32", "quicklook.png"] {
        let [one, two] = ["one", "two"].map(|out| fs::read(dir.path().join(out).join(name)).unwrap());
        assert!(!one.is_empty() && one == two, "{name}");
    }
    let map = fs::read(dir.path().join("one/enhancement.f32")).unwrap();
    assert_eq!(map.len(), 30 * 64 * 4);
    fs::write(dir.path().join("f1.bil"), &data[1..]).unwrap();
    let (status, _, err) = run(&["triage", &at("f1.hdr"), "--out", &at("three")]);
    assert!(status == Some(2) && err.contains("f1.bil"), "{err}");
}
