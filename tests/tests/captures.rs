//! Captures made by tcpdump on the loopback while the real sender sends, damaged afterwards, and recovered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use passband_tests::pcap::Pcap;
use passband_tests::{free_port, json, random_file, run, sha256, succeed, text, wait_for};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Sent {
    dir: tempfile::TempDir,
    keys: PathBuf,
    file: PathBuf,
    capture: PathBuf,
}

/// Sends a file over the loopback and captures it with tcpdump on an interface.
fn send(interface: &str, bytes: usize, factor: &str) -> Sent {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (keys, file, capture) = (path("keys.txt"), path("data.bin"), path("all.pcap"));
    succeed("passband-ground", &["keys", "new", "--out", text(&keys)]);
    random_file(&file, bytes, 5);
    let port = free_port().to_string();
    let mut tcpdump = tcpdump(interface, &port, &capture);
    let to = format!("127.0.0.1:{port}");
    let mut args =
        vec!["send", "--keys", text(&keys), "--to", &to, "--rate", "40M", "--factor", factor, "--json"];
    // Only where every packet is to be damaged by itself: else many datagrams stand in one captured packet.
    if interface == "lo" {
        args.push("--single");
    }
    args.push(text(&file));
    succeed("passband-ground", &args);
    // tcpdump may lag behind: it is done when its file has stopped growing.
    let (mut size, mut since) = (0, Instant::now());
    wait_for("tcpdump to write everything", Duration::from_mins(1), || {
        let now = fs::metadata(&capture).map_or(0, |m| m.len());
        if now != size {
            (size, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(1500)
    });
    let pid = tcpdump.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    tcpdump.wait().unwrap();
    Sent { dir, keys, file, capture }
}

fn tcpdump(interface: &str, port: &str, capture: &Path) -> Child {
    let filter = format!("udp dst port {port}");
    let child = Command::new("tcpdump")
        .args(["-i", interface, "-U", "-B", "65536", "-w", text(capture), &filter])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("tcpdump is installed, and allowed to capture");
    wait_for("tcpdump's first bytes", Duration::from_secs(10), || {
        fs::metadata(capture).is_ok_and(|m| m.len() >= 24)
    });
    std::thread::sleep(Duration::from_millis(500));
    child
}

/// Recovers captures and compares; the report.
fn recover(sent: &Sent, out: &str, captures: &[PathBuf]) -> serde_json::Value {
    let out = sent.dir.path().join(out);
    let mut args = vec!["recover", "--keys", text(&sent.keys), "--out", text(&out), "--json"];
    args.extend(captures.iter().map(|c| text(c)));
    let (report, status) = json("passband-ground", &args);
    let bundle = &report["bundles"][0];
    assert_eq!((status, bundle["complete"].as_bool()), (0, Some(true)), "{report:#}");
    assert_eq!(report["schema"], 1);
    let product = Path::new(bundle["output"].as_str().unwrap()).join("data.bin");
    assert_eq!(sha256(&product), sha256(&sent.file));
    assert_eq!(bundle["files"][0]["sha256"].as_str(), Some(sha256(&sent.file).as_str()));
    report
}

#[test]
fn damaged_captures_of_several_passes_come_back_bit_for_bit() {
    let sent = send("lo", 3_000_000, "2.6");
    let whole = Pcap::read(&sent.capture);
    assert!(whole.packets.len() > 5000, "tcpdump saw {} packets", whole.packets.len());
    for (n, (loss, burst)) in [(0.05, 1.0), (0.2, 3.0), (0.35, 50.0), (0.5, 200.0)].into_iter().enumerate() {
        let parts = whole.damaged(loss, burst, n as u64).cut(4);
        let mut captures: Vec<PathBuf> = Vec::new();
        for (pass, part) in parts.iter().enumerate() {
            let path = sent.dir.path().join(format!("d{n}-pass{pass}.pcap"));
            let mut bytes = part.bytes();
            // Each pass's capture is cut off in the middle of a packet.
            bytes.truncate(bytes.len() - 300);
            fs::write(&path, bytes).unwrap();
            captures.insert(0, path);
        }
        let report = recover(&sent, &format!("out{n}"), &captures);
        let crc = report["packets"]["rejected"]["crc"].as_u64().unwrap_or(0);
        assert!(crc > 10, "flipped packets are counted: {report:#}");
    }
}

#[test]
fn captures_of_one_pass_at_a_time_add_up() {
    let sent = send("lo", 1_000_000, "1.3");
    let parts = Pcap::read(&sent.capture).damaged(0.1, 2.0, 3).cut(3);
    let out = sent.dir.path().join("out");
    for (n, part) in parts.iter().enumerate() {
        let path = sent.dir.path().join(format!("{n}.pcap"));
        fs::write(&path, part.bytes()).unwrap();
        let args = ["recover", "--keys", text(&sent.keys), "--out", text(&out), "--json", text(&path)];
        let (report, status) = json("passband-ground", &args);
        let last = n + 1 == parts.len();
        assert_eq!(status, i32::from(!last), "pass {n}: {report:#}");
        assert_eq!(report["bundles"][0]["complete"].as_bool(), Some(last));
    }
}

#[test]
fn other_link_types_and_compressed_captures_are_read() {
    let sent = send("any", 500_000, "1.3");
    recover(&sent, "cooked", std::slice::from_ref(&sent.capture));
    let status = Command::new("gzip").arg("-k").arg(&sent.capture).status().unwrap();
    assert!(status.success());
    recover(&sent, "gzip", &[sent.capture.with_extension("pcap.gz")]);
}

#[test]
fn flips_anywhere_in_the_file_cost_only_what_they_hit() {
    let sent = send("lo", 1_000_000, "2.0");
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut bytes = fs::read(&sent.capture).unwrap();
    for _ in 0..200 {
        let at = rng.random_range(24..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
    }
    // Record headers too.
    let whole = Pcap::read(&sent.capture);
    let mut at = 24;
    for (n, (_, packet)) in whole.packets.iter().enumerate() {
        if n % 100 == 50 {
            bytes[at + 8 + n % 8] ^= 0x41;
        }
        at += 16 + packet.len();
    }
    let path = sent.dir.path().join("flipped.pcap");
    fs::write(&path, bytes).unwrap();
    recover(&sent, "out", &[path]);
}

#[test]
fn what_is_not_a_capture_is_refused_by_name_and_the_others_are_read() {
    let sent = send("lo", 100_000, "1.5");
    let (rubbish, empty) = (sent.dir.path().join("rubbish.pcap"), sent.dir.path().join("empty.pcap"));
    random_file(&rubbish, 10_000, 1);
    fs::write(&empty, b"").unwrap();
    let out = sent.dir.path().join("out");
    let missing = sent.dir.path().join("missing.pcap");
    let captures = [text(&rubbish), text(&empty), text(&missing), text(&sent.capture)];
    let args =
        [&["recover", "--keys", text(&sent.keys), "--out", text(&out), "--json"][..], &captures].concat();
    let (report, status) = json("passband-ground", &args);
    assert_eq!(status, 2);
    assert!(report["captures"][0]["error"].as_str().unwrap().contains("rubbish.pcap"), "{report:#}");
    assert!(report["captures"][2]["error"].as_str().unwrap().contains("missing.pcap"));
    assert_eq!(report["bundles"][0]["complete"].as_bool(), Some(true));
    let other = run("passband-ground", &["recover", "--keys", text(&rubbish), text(&sent.capture)]);
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("rubbish.pcap"));
}
