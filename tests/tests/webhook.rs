//! Alerts told to a chat by the real station: with their pictures, not twice over a kill -9, and without holding
//! up reception when the server hangs.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use passband_tests::{Process, free_port, succeed, text, wait_for};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

/// A daemon's folder, its frame with a leak, and the ports of its radios.
struct Flight {
    dir: tempfile::TempDir,
    fast: u16,
    alert: u16,
}

impl Flight {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (fast, alert) = (free_port(), free_port());
        let path = |name: &str| dir.path().join(name);
        succeed("passband-ground", &["keys", "new", "--out", text(&path("keys.txt"))]);
        let config = format!(
            "spacecraft = 1\n[paths]\nstate = \"state\"\nkeys = \"keys.txt\"\n[camera]\npoll_ms = 50\nsettle_ms = 500\n\
             [downlink]\ntarget = \"127.0.0.1:{fast}\"\nrate_bps = 40000000\ntransmit = \"always\"\n\
             [alerts]\ntarget = \"127.0.0.1:{alert}\"\nrepeat_s = [0, 1, 2, 4, 8]\nper_minute = 60\n"
        );
        fs::write(path("passband.toml"), config).unwrap();
        let spool = path("state/spool");
        let scene = ["scene", "--name", "leak", "--plume", "8000", "--seed", "113", "--out", text(&spool)];
        succeed("passband-ground", &scene);
        Self { dir, fast, alert }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn daemon(&self) -> Process {
        Process::start("passband", &["run", "--config", text(&self.path("passband.toml"))])
    }

    fn station(&self, hook: &str, extra: &[&str]) -> Process {
        let (fast, alert) = (format!("127.0.0.1:{}", self.fast), format!("127.0.0.1:{}", self.alert));
        let (keys, out) = (self.path("keys.txt"), self.path("products"));
        let args =
            ["receive", "--keys", text(&keys), "--listen", &fast, "--alerts", &alert, "--out", text(&out)];
        let file = self.path("hook.txt");
        fs::write(&file, format!("# the team's\n{hook}\nX-Key: k\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let hook = ["--json", "--for", "60", "--webhook-file", text(&file)];
        let station = Process::start("passband-ground", &[&args[..], &hook, extra].concat());
        wait_for("the station to listen", PATIENCE, || {
            let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
            sockets.contains(&format!(":{:04X} ", self.fast))
        });
        station
    }
}

/// A server that takes every request, and answers it or lets it hang.
fn serve(listener: TcpListener, answers: bool) -> Receiver<(String, Vec<u8>)> {
    let (requests, came) = channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let Some(request) = read_request(&mut stream) else { continue };
            if requests.send(request).is_err() {
                return;
            }
            if answers {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            } else {
                held.push(stream);
            }
        }
    });
    came
}

fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.parse().ok()).unwrap_or_default();
        if bytes.len() >= end + 4 + length {
            return Some((head, bytes[end + 4..].to_vec()));
        }
    }
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/abc", listener.local_addr().unwrap());
    (listener, url)
}

fn picture_of(products: &Path) -> Vec<u8> {
    let folder =
        fs::read_dir(products.join("frames")).unwrap().flatten().find(|e| e.path().is_dir()).unwrap();
    fs::read(folder.path().join("leak.quicklook.png")).unwrap()
}

#[test]
fn an_alert_and_its_picture_are_told_once_over_a_kill_9_of_the_station() {
    let flight = Flight::new();
    let (listener, url) = listen();
    let requests = serve(listener, true);
    let mut station = flight.station(&url, &[]);
    let _daemon = flight.daemon();
    let (head, body) = requests.recv_timeout(PATIENCE).expect("the alert");
    assert!(head.starts_with("post /hooks/abc ") && head.contains("x-key: k"), "{head}");
    let said: Value = serde_json::from_slice(&body).unwrap();
    let sentence = said["text"].as_str().unwrap();
    assert!(
        sentence.starts_with("Robin checking in: methane, position not known")
            && sentence.contains("frame leak"),
        "{sentence}"
    );
    assert_eq!(said["content"], said["text"]);
    let (head, body) = requests.recv_timeout(PATIENCE).expect("the picture");
    assert!(head.contains("multipart/form-data"), "{head}");
    let picture = picture_of(&flight.path("products"));
    assert!(body.windows(picture.len()).any(|part| part == picture), "the quicklook as it came down");
    let outbox = flight.path("products/webhook");
    wait_for("the outbox to know", PATIENCE, || {
        let files = fs::read_dir(&outbox).unwrap().flatten().map(|entry| entry.path());
        let texts = files.filter(|path| path.is_file()).filter_map(|path| fs::read_to_string(path).ok());
        texts.map(|text| text.matches("\"sent\"").count()).sum::<usize>() == 2
    });
    station.kill();
    // Evidence, quicklook, region and cube.
    let station = flight.station(&url, &["--bundles", "4"]);
    let (status, report) = station.finish(Duration::from_secs(70));
    assert_eq!(status, 0, "{report}");
    assert!(requests.try_recv().is_err(), "nothing is told twice");
}

#[test]
fn a_server_that_hangs_costs_no_datagram() {
    let flight = Flight::new();
    let (listener, url) = listen();
    let requests = serve(listener, false);
    // Evidence, quicklook, region and cube.
    let station = flight.station(&url, &["--bundles", "4"]);
    let _daemon = flight.daemon();
    requests.recv_timeout(PATIENCE).expect("the alert");
    let (status, report) = station.finish(Duration::from_secs(30));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(report["link_loss"]["loss"], 0.0, "{report:#}");
    assert_eq!((&report["overruns"], &report["kernel_drops"]), (&0.into(), &0.into()), "{report:#}");
}
