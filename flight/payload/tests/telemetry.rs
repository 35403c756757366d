//! What the real daemon tells by itself, and what its commands say of it, whether it runs or not.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Payload, key, spacecraft};
use passband_flight::telemetry::packets;
use passband_proto::dict::{Beacon, Event, EventCode, Housekeeping, Packet, Severity, Time};
use passband_proto::packet::TelemetryPacket;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The commands that ask.
const QUESTIONS: [&str; 7] = ["digest", "status", "queue", "events", "alerts", "passes", "tlm"];

fn text(payload: &Payload, args: &[&str]) -> (Option<i32>, String) {
    let output = payload.ask(args);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn first_digits(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn packets_go_down_by_themselves_and_say_what_runs_there() {
    let ground = UdpSocket::bind("127.0.0.1:0").unwrap();
    ground.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let target = ground.local_addr().unwrap();
    let mut payload = Payload::new("manual", &format!("[telemetry]\ntarget = \"{target}\""));
    payload.start();
    fs::write(payload.dir.path().join("state/spool/x.hdr"), "no header at all").unwrap();
    payload.wait_for_event("frame-rejected");
    let (begun, mut buffer, mut apids) = (Instant::now(), [0; 2_000], BTreeSet::new());
    let (mut beacon, mut codes) = (None::<Beacon>, BTreeSet::new());
    let all = [Beacon::DEF, Housekeeping::DEF, Event::DEF, Time::DEF].map(|def| def.apid);
    while apids != BTreeSet::from(all) || !codes.contains(&EventCode::FrameRejected) {
        assert!(begun.elapsed() < common::PATIENCE, "only {apids:x?} {codes:?}");
        let Ok(bytes) = ground.recv(&mut buffer) else { continue };
        let packet = TelemetryPacket::parse(&buffer[..bytes]).unwrap();
        assert!(packet.verify(&key().telemetry_key()));
        apids.insert(packet.apid());
        if packet.apid() == Beacon::DEF.apid {
            beacon = Beacon::read(packet.data());
        } else if packet.apid() == Event::DEF.apid {
            let event = Event::read(packet.data()).unwrap();
            assert!(event.severity >= Severity::Warning, "{event:?}");
            codes.insert(event.code);
        }
    }
    let beacon = beacon.unwrap();
    let configuration = Sha256::digest(fs::read(payload.config()).unwrap());
    assert_eq!((beacon.spacecraft, beacon.boot_count), (spacecraft(), 1));
    assert_eq!(beacon.configuration, configuration[..4]);
    let binary = first_digits(&Sha256::digest(fs::read(env!("CARGO_BIN_EXE_passband")).unwrap()));
    payload.wait_until("the program's digest", |p| {
        (p.json(&["digest"])["running"]["binary_sha256"] == binary.as_str()).then_some(())
    });
    let digest = payload.json(&["digest"]);
    assert_eq!(digest["running"]["configuration_sha256"], first_digits(&configuration).as_str());
    assert!(text(&payload, &["digest"]).1.contains(&format!("binary {}", &binary[..8])));
}

#[test]
fn the_digest_says_what_changed_since_the_last_pass() {
    let mut payload = Payload::new("manual", "rate_bps = 20000000");
    payload.start();
    payload.put_frame("before", 40, 1);
    payload.wait_for_event("frame-accepted");
    payload.json(&["pass", "start", "--seconds", "1"]);
    payload.wait_for_event("pass-closed");
    payload.put_frame("after", 40, 2);
    fs::write(payload.dir.path().join("state/spool/bad.hdr"), "no header at all").unwrap();
    payload.wait_for_event("frame-rejected");
    let digest = payload.wait_until("the digest has both frames", |p| {
        let digest = p.json(&["digest"]);
        let since = &digest["since"];
        (since["frames"]["routine"] == 1 && since["frames_rejected"] == 1).then_some(digest)
    });
    assert!(digest["since"]["los_unix_ms"].is_u64());
    assert_eq!(digest["wrong"]["events"][0]["code"], "frame-rejected");
    assert_eq!(digest["queue"][2]["class"], "routine");
    assert!(digest.get("live").is_none(), "it is live");
    let (status, screen) = text(&payload, &["digest"]);
    assert_eq!(status, Some(0));
    assert!(screen.len() <= 1_500 && screen.lines().count() <= 24, "{screen}");
    for part in [
        "WRONG  events of 1 kind\n",
        "warning frame-rejected #",
        "1 routine, 0 discard, 1 rejected",
        "start 1 (",
    ] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    payload.kill();
    payload.start();
    let again = payload.json(&["digest"]);
    assert_eq!((&again["since"]["restarts"], &again["running"]["boot_count"]), (&1.into(), &2.into()));
    assert_eq!(again["since"]["los_unix_ms"], digest["since"]["los_unix_ms"]);
}

#[test]
fn the_digest_is_quick() {
    let mut payload = Payload::new("manual", "");
    payload.start();
    // Of many the quickest: others use this machine, too.
    let times = (0..30).map(|_| {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_passband"))
            .args(["digest", "--config"])
            .arg(payload.config())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        let first = begun.elapsed();
        out.read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
        (first, begun.elapsed())
    });
    let (first, whole) = times.min_by_key(|(first, _)| *first).unwrap();
    assert!(first <= Duration::from_millis(20), "{first:?}");
    assert!(whole <= Duration::from_millis(100), "{whole:?}");
}

#[test]
fn questions_are_answered_when_the_daemon_is_down_and_say_so() {
    let mut payload = Payload::new("manual", "");
    payload.start();
    payload.put_frame("scene", 40, 1);
    payload.wait_for_event("frame-accepted");
    payload.wait_until("the queue is on the desk", |p| {
        (p.json(&["digest"])["since"]["frames"]["routine"] == 1).then_some(())
    });
    payload.terminate();
    for question in QUESTIONS {
        let (status, screen) = text(&payload, &[question]);
        assert_eq!(status, Some(1), "{question}");
        assert!(screen.starts_with("NOT LIVE: the daemon is down; saved 20"), "{screen}");
        assert!(screen.len() <= 2_000 && screen.lines().count() <= 24, "{question}: {screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        let output = payload.ask(&[question, "--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), &json["live"], &json["schema"]),
            (Some(1), &false.into(), &1.into())
        );
        assert!(json["saved_unix_ms"].is_u64(), "{json}");
    }
    assert!(text(&payload, &["digest"]).1.len() <= 1_500);
    assert!(text(&payload, &["queue"]).1.contains("scene"));
    assert!(text(&payload, &["tlm", "frames_routine"]).1.contains("\nframes_routine 1\n"));
    assert!(text(&payload, &["events"]).1.contains("daemon-stop"), "also what came at the very end");
    let refused = payload.ask(&["pass", "start", "--seconds", "9"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "that changes something");
    fs::remove_file(payload.state("last.json")).unwrap();
    let nothing = payload.ask(&["status"]);
    let why = String::from_utf8(nothing.stderr).unwrap();
    assert!(
        nothing.status.code() == Some(1) && why.contains("isn't running") && why.contains("last.json"),
        "{why}"
    );
}

#[test]
fn after_a_kill_the_black_box_has_what_was_wrong() {
    let mut payload = Payload::new("manual", "");
    payload.start();
    fs::write(payload.dir.path().join("state/spool/x.hdr"), "no header at all").unwrap();
    payload.wait_for_event("frame-rejected");
    let blackbox = payload.state("blackbox/00000001.tlm");
    let has = |code| {
        let stream = fs::read(&blackbox).unwrap_or_default();
        let is = |data: &[u8]| Event::read(data).is_some_and(|event| event.code == code);
        let apids: Vec<u16> = packets(&stream).map(|packet| packet.apid()).collect();
        let found = packets(&stream).any(|packet| packet.apid() == Event::DEF.apid && is(packet.data()));
        assert!(apids.is_empty() || apids[0] == Beacon::DEF.apid, "the beacon is first: {apids:x?}");
        found
    };
    payload.wait_until("the event is kept", |_| has(EventCode::FrameRejected).then_some(()));
    payload.kill();
    fs::remove_file(payload.state("catalogue.redb")).unwrap();
    let (status, screen) = text(&payload, &["events"]);
    assert!(status == Some(1) && screen.contains("warning  frame-rejected: "), "{screen}");
    let stream = fs::read(&blackbox).unwrap();
    assert!(packets(&stream).all(|packet| packet.verify(&key().telemetry_key())));
}

#[test]
fn channels_are_shown_in_a_table_or_in_full() {
    let mut payload = Payload::new("manual", "");
    payload.start();
    let (status, table) = text(&payload, &["tlm"]);
    assert!(status == Some(0) && table.lines().count() <= 23, "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let (_, one) = text(&payload, &["tlm", "disk_free"]);
    assert!(one.starts_with("disk_free ") && one.contains("limits 256,1024,-,-"), "{one}");
    let json = payload.json(&["tlm", "temperature", "disk"]);
    let names: Vec<&str> =
        json["channels"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["temperature", "disk"]);
    assert_eq!(json["channels"][1]["value"], "good");
}
