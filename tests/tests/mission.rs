//! The daemon and the station as processes: what survives kill -9, floods and malformed frames.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use passband_tests::{Process, free_port, json, run, sha256, succeed, text, wait_for};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

struct Mission {
    dir: tempfile::TempDir,
    fast: u16,
    alert: u16,
    reports: u16,
    config: PathBuf,
    keys: PathBuf,
}

impl Mission {
    fn new(rate_bps: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (fast, alert, reports) = (free_port(), free_port(), free_port());
        let keys = dir.path().join("keys.txt");
        succeed("passband-ground", &["keys", "new", "--out", text(&keys)]);
        let config = dir.path().join("passband.toml");
        let content = format!(
            "spacecraft = 1\n[paths]\nstate = \"state\"\nkeys = \"keys.txt\"\n[camera]\npoll_ms = 50\nsettle_ms = 500\n\
             [health]\nsafe_after = 0\n[downlink]\ntarget = \"127.0.0.1:{fast}\"\nrate_bps = {rate_bps}\ntransmit = \"always\"\n\
             [alerts]\ntarget = \"127.0.0.1:{alert}\"\nrepeat_s = [0, 1, 2, 4, 8]\nper_minute = 60\n\
             [reports]\nlisten = \"127.0.0.1:{reports}\"\n\
             [products]\nhousekeeping = \"none\"\nlog = \"none\"\n"
        );
        fs::write(&config, content).unwrap();
        fs::create_dir_all(dir.path().join("state/spool")).unwrap();
        Self { dir, fast, alert, reports, config, keys }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn scene(&self, name: &str, extra: &[&str]) -> PathBuf {
        let source = self.path("source");
        let args = [&["scene", "--out", text(&source), "--name", name][..], extra].concat();
        succeed("passband-ground", &args);
        source.join(name)
    }

    fn expose(&self, frame: &Path) {
        let name = frame.file_name().unwrap().to_str().unwrap();
        for ending in ["bil", "hdr"] {
            let aside = self.path(&format!("state/spool/.{name}.{ending}.part"));
            fs::copy(frame.with_extension(ending), &aside).unwrap();
            fs::rename(&aside, self.path(&format!("state/spool/{name}.{ending}"))).unwrap();
        }
    }

    fn daemon(&self) -> Process {
        Process::start("passband", &["run", "--config", text(&self.config)])
    }

    fn station(&self, extra: &[&str]) -> Process {
        let (fast, alert) = (format!("127.0.0.1:{}", self.fast), format!("127.0.0.1:{}", self.alert));
        let out = self.path("products");
        let args = [
            "receive",
            "--keys",
            text(&self.keys),
            "--listen",
            &fast,
            "--alerts",
            &alert,
            "--out",
            text(&out),
            "--json",
        ];
        Process::start("passband-ground", &[&args[..], extra].concat())
    }

    fn ask(&self, command: &str) -> Value {
        json("passband", &[command, "--json", "--config", text(&self.config)]).0
    }

    fn wait_for_queue(&self, bundles: usize) {
        wait_for("the frames in the queue", PATIENCE, || {
            let out = run("passband", &["queue", "--json", "--config", text(&self.config)]);
            serde_json::from_slice::<Value>(&out.stdout)
                .is_ok_and(|v| v["bundles"].as_array().is_some_and(|b| b.len() >= bundles))
        });
    }
}

/// The station's report must show this many whole bundles, and the cube of the frame bit for bit.
fn check(report: &str, bundles: usize, frame: &Path) {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let list = report["bundles"].as_array().unwrap();
    let whole = list.iter().filter(|b| b["complete"] == true).count();
    assert_eq!(whole, bundles, "{report:#}");
    let name = frame.file_name().unwrap().to_str().unwrap();
    let cube = list.iter().find(|b| b["product"] == "cube" && b["frame"] == name).expect("its cube");
    let output = Path::new(cube["output"].as_str().unwrap());
    for ending in ["bil", "hdr"] {
        let source = frame.with_extension(ending);
        assert_eq!(sha256(&output.join(source.file_name().unwrap())), sha256(&source));
    }
}

#[test]
fn kill_9_of_the_daemon_in_mid_pass_loses_nothing_and_the_alert_comes_first() {
    let mission = Mission::new(20_000_000);
    let frame = mission.scene("leak", &["--plume", "8000", "--seed", "113"]);
    let station = mission.station(&["--bundles", "4", "--for", "60"]);
    let mut daemon = mission.daemon();
    mission.expose(&frame);
    // Evidence, quicklook, region and cube.
    mission.wait_for_queue(4);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        daemon.kill();
        daemon = mission.daemon();
    }
    let (status, report) = station.finish(Duration::from_secs(70));
    assert_eq!(status, 0, "{report}");
    check(&report, 4, &frame);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["alerts"][0]["frame"], "leak", "{report:#}");
    assert_eq!(report["alerts"].as_array().unwrap().len(), 1, "repeats count once");
    wait_for("the daemon", PATIENCE, || {
        run("passband", &["status", "--config", text(&mission.config)]).status.success()
    });
    assert!(mission.ask("status")["boot_count"].as_u64().unwrap() >= 4);
    assert_eq!(mission.ask("queue")["bundles"].as_array().unwrap().len(), 4, "nothing twice, nothing lost");
}

#[test]
fn an_alert_that_was_heard_is_acknowledged_over_the_slow_link_and_sent_no_more() {
    // So slow that nothing else comes down.
    let mission = Mission::new(1_000);
    let frame = mission.scene("leak", &["--plume", "8000", "--seed", "113"]);
    let reports = format!("127.0.0.1:{}", mission.reports);
    let daemon = mission.daemon();
    let station =
        mission.station(&["--for", "60", "--reports", &reports, "--report-every", "0.5", "--station", "9"]);
    mission.expose(&frame);
    let of_alert = |field: &'static str| {
        let out = run("passband", &["alerts", "--json", "--config", text(&mission.config)]);
        serde_json::from_slice::<Value>(&out.stdout)
            .map(|v| v["alerts"][0][field].clone())
            .unwrap_or_default()
    };
    wait_for("the acknowledgement", PATIENCE, || of_alert("state") == "acknowledged");
    assert_eq!(of_alert("by"), "station 9");
    let sends = of_alert("sends");
    assert!(mission.ask("status")["counters"]["alert_delay_ms_max"].as_u64().is_some_and(|ms| ms <= 2_000));
    drop(daemon);
    // Nothing is forgotten over a restart.
    let _daemon = mission.daemon();
    wait_for("the daemon", PATIENCE, || of_alert("number") == 1);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!((of_alert("sends"), of_alert("next_unix_ms")), (sends, Value::Null));
    drop(station);
}

#[test]
fn kill_9_of_the_receiver_resumes_from_its_store() {
    let mission = Mission::new(12_000_000);
    let frame = mission.scene("field", &["--seed", "9"]);
    let _daemon = mission.daemon();
    mission.expose(&frame);
    mission.wait_for_queue(2);
    // Each life is too short for the cube's 5 MB at 12 Mbit/s.
    for _ in 0..3 {
        let mut station = mission.station(&["--for", "60"]);
        std::thread::sleep(Duration::from_millis(1500));
        station.kill();
    }
    let (status, report) =
        mission.station(&["--bundles", "2", "--for", "60"]).finish(Duration::from_secs(70));
    assert_eq!(status, 0, "{report}");
    check(&report, 2, &frame);
}

#[test]
fn a_flood_of_noise_and_forgeries_changes_nothing() {
    let mission = Mission::new(30_000_000);
    let frame = mission.scene("quiet", &["--seed", "5", "--samples", "64", "--lines", "64"]);
    let station = mission.station(&["--bundles", "2", "--for", "60"]);
    let (fast, alert) = (mission.fast, mission.alert);
    let flood = std::thread::spawn(move || {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..30_000_u32 {
            let mut noise: Vec<u8> = (0..rng.random_range(0..1600)).map(|_| rng.random()).collect();
            if n % 2 == 0 && noise.len() > 4 {
                noise[..4].copy_from_slice(b"PB\x01\x01");
            }
            let _ = socket.send_to(&noise, ("127.0.0.1", if n % 10 == 0 { alert } else { fast }));
            if n % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let _daemon = mission.daemon();
    mission.expose(&frame);
    let (status, report) = station.finish(Duration::from_secs(70));
    flood.join().unwrap();
    assert_eq!(status, 0, "{report}");
    check(&report, 2, &frame);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(report["packets"]["rejected"]["crc"].as_u64().unwrap_or(0) > 0, "{report:#}");
    assert_eq!(report["alerts"].as_array().map(Vec::len), Some(0));
}

#[test]
fn malformed_frames_are_rejected_with_a_reason_and_the_rest_goes_on() {
    let mission = Mission::new(50_000_000);
    let good = mission.scene("good", &["--seed", "3", "--samples", "64", "--lines", "64"]);
    let spool = mission.path("state/spool");
    let header = fs::read_to_string(good.with_extension("hdr")).unwrap();
    let lies = [
        ("longer", header.replace("lines = 64", "lines = 65")),
        ("monster", header.replace("lines = 64", "lines = 99999999999999999999")),
        ("unknown", header.replace("data type = 12", "data type = 77")),
        ("noise", "\u{0}\u{1}\u{2}not a header".to_owned()),
    ];
    let _daemon = mission.daemon();
    for (name, text) in &lies {
        assert_ne!(*text, header, "{name}");
        fs::copy(good.with_extension("bil"), spool.join(format!("{name}.bil"))).unwrap();
        fs::write(spool.join(format!("{name}.hdr")), text).unwrap();
    }
    mission.expose(&good);
    mission.wait_for_queue(2);
    for (name, _) in &lies {
        let reason = mission.path(&format!("state/rejected/{name}/reason.txt"));
        wait_for(&format!("the reason why {name} is rejected"), PATIENCE, || reason.is_file());
        assert!(fs::read_to_string(&reason).unwrap().len() > 20);
        assert!(mission.path(&format!("state/rejected/{name}/{name}.bil")).is_file(), "nothing is lost");
    }
    wait_for("an event for each", PATIENCE, || {
        let events = mission.ask("events");
        let rejected =
            events["events"].as_array().unwrap().iter().filter(|e| e["code"] == "frame-rejected").count();
        rejected == lies.len()
    });
    assert!(mission.ask("status")["counters"]["frames_rejected"].as_u64().unwrap() >= 4);
}

#[test]
fn reports_make_known_what_was_presumed_also_over_a_kill_and_false_ones_are_refused() {
    let mission = Mission::new(20_000_000);
    let frame = mission.scene("told", &["--seed", "5"]);
    let to = format!("127.0.0.1:{}", mission.reports);
    let station = mission.station(&["--bundles", "2", "--for", "60"]);
    let mut daemon = mission.daemon();
    mission.expose(&frame);
    let (status, report) = station.finish(Duration::from_secs(70));
    assert_eq!(status, 0, "{report}");
    check(&report, 2, &frame);
    let states = || -> Vec<String> {
        let bundles = mission.ask("queue")["bundles"].as_array().unwrap().clone();
        bundles.iter().map(|b| b["state"].as_str().unwrap().to_owned()).collect()
    };
    assert!(states().iter().all(|state| state != "known"), "nothing was reported yet");

    let (store, frames) = (mission.path("products/store"), mission.path("frames"));
    let report = ["report", "--keys", text(&mission.keys), "--store", text(&store)];
    succeed("passband-ground", &[&report[..], &["--out", text(&frames), "--json"]].concat());
    let sealed: Vec<Vec<u8>> =
        fs::read_dir(&frames).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!sealed.is_empty() && sealed.iter().all(|frame| frame.len() <= 256));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tell = |bytes: &[u8]| {
        socket.send_to(bytes, &to).unwrap();
    };
    let mut forged = sealed[0].clone();
    forged[30] ^= 1;
    tell(&forged);
    tell(b"PRnonsense");
    let refused = |what: &str| mission.ask("status")["counters"][what].as_u64().unwrap();
    wait_for("the forgeries to be counted", PATIENCE, || refused("reports_forged") == 2);
    assert!(states().iter().all(|state| state != "known"));
    sealed.iter().for_each(|frame| tell(frame));
    wait_for("the bundles to be known", PATIENCE, || states() == ["known", "known"]);
    sealed.iter().for_each(|frame| tell(frame));
    wait_for("the replays to be counted", PATIENCE, || refused("reports_replayed") == sealed.len() as u64);

    daemon.kill();
    daemon = mission.daemon();
    wait_for("the daemon", PATIENCE, || {
        run("passband", &["status", "--config", text(&mission.config)]).status.success()
    });
    wait_for("the bundles to be known still", PATIENCE, || states() == ["known", "known"]);
    sealed.iter().for_each(|frame| tell(frame));
    wait_for("the replays to be refused still", PATIENCE, || {
        refused("reports_replayed") == sealed.len() as u64
    });
    drop(daemon);
}

#[test]
fn an_antenna_without_keys_spools_and_a_key_rotated_in_between_does_no_harm() {
    let mission = Mission::new(20_000_000);
    let (first, second) =
        (mission.scene("before", &["--seed", "5"]), mission.scene("after", &["--seed", "6"]));
    let out = mission.path("antenna");
    let fast = format!("127.0.0.1:{}", mission.fast);
    let antenna = Process::start(
        "passband-ground",
        &["receive", "--listen", &fast, "--out", text(&out), "--for", "25", "--json"],
    );
    let before = mission.daemon();
    mission.expose(&first);
    mission.wait_for_queue(2);
    succeed("passband-ground", &["keys", "rotate", text(&mission.keys)]);
    // A link that is always open looks at the key file once a minute: a restart does so at once.
    drop(before);
    let _daemon = mission.daemon();
    mission.expose(&second);
    mission.wait_for_queue(4);
    let (status, report) = antenna.finish(Duration::from_mins(1));
    assert_eq!(status, 0, "nothing is heard of that it could complete: {report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let epochs: Vec<_> = report["spooled"].as_array().unwrap().iter().map(|s| s["epoch"].clone()).collect();
    assert_eq!(epochs, [1, 1, 2, 2], "{report:#}");

    let home = mission.path("home");
    let args = ["recover", "--keys", text(&mission.keys), "--out", text(&home), "--json", text(&out)];
    let (recovered, status) = json("passband-ground", &args);
    assert_eq!(status, 0, "{recovered:#}");
    for frame in [&first, &second] {
        check(&recovered.to_string(), 4, frame);
    }
}
