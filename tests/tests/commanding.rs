//! Orders from the ground's command line to the real daemon and their answers back, over a link that loses datagrams.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use passband_tests::{Process, free_port, run, succeed, text, wait_for};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

struct Mission {
    dir: tempfile::TempDir,
    config: PathBuf,
    uplink: u16,
    telemetry: u16,
}

impl Mission {
    /// A daemon's files; its telemetry goes to `telemetry`.
    fn new(telemetry: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let uplink = free_port();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("state/spool")).unwrap();
        succeed("passband-ground", &["keys", "new", "--out", text(&path("keys.txt"))]);
        let board = path("state/command-keys.txt");
        for (spi, role) in [("2", "operator"), ("3", "planner"), ("4", "recovery")] {
            let out = path(role);
            let args =
                ["keys", "role", "--spi", spi, "--role", role, "--out", text(&out), "--board", text(&board)];
            succeed("passband-ground", &args);
        }
        let config = path("passband.toml");
        let content = format!(
            "spacecraft = 1\n[paths]\nstate = \"state\"\nkeys = \"keys.txt\"\n[health]\nsafe_after = 0\n\
             [downlink]\ntarget = \"127.0.0.1:{}\"\ntransmit = \"manual\"\n[alerts]\ntarget = \"127.0.0.1:{}\"\n\
             [uplink]\nlisten = \"127.0.0.1:{uplink}\"\n[command]\nanswer_s = 1\n\
             [telemetry]\ntarget = \"127.0.0.1:{telemetry}\"\nrate_bps = 256000\nbeacon_s = 1\n",
            free_port(),
            free_port()
        );
        fs::write(&config, content).unwrap();
        Self { dir, config, uplink, telemetry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn daemon(&self) -> Process {
        Process::start("passband", &["run", "--config", text(&self.config)])
    }

    fn passband(&self, args: &[&str]) -> bool {
        run("passband", &[args, &["--config", text(&self.config)]].concat()).status.success()
    }

    /// Puts the keys to use, as is done once, before the launch.
    fn commission(&self) {
        for spi in ["2", "3", "4"] {
            wait_for("the keys in use", PATIENCE, || self.passband(&["keys", "accept", spi]));
        }
    }

    /// Gives an order as a role, with the frames sent to `to`: exit status and the documents that it printed.
    fn order(&self, role: &str, to: u16, options: &[&str], words: &[&str]) -> (i32, Vec<Value>) {
        let (keys, state) = (self.path(role), self.path(&format!("outbox-{role}")));
        let (to, telemetry) = (format!("127.0.0.1:{to}"), format!("127.0.0.1:{}", self.telemetry));
        let telemetry_keys = self.path("keys.txt");
        let args = [
            "order",
            "--keys",
            text(&keys),
            "--state",
            text(&state),
            "--to",
            &to,
            "--telemetry",
            &telemetry,
            "--telemetry-keys",
            text(&telemetry_keys),
            "--rate",
            "256k",
            "--json",
        ];
        let out = run("passband-ground", &[&args[..], options, words].concat());
        let lines = String::from_utf8(out.stdout).unwrap();
        let documents = lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        (out.status.code().unwrap(), documents)
    }

    /// Sends a file up as the planner: exit status and the document that is printed.
    fn send_up(&self, what: &[&str]) -> (i32, Value) {
        let (keys, state) = (self.path("planner"), self.path("outbox-planner"));
        let (to, telemetry) = (format!("127.0.0.1:{}", self.uplink), format!("127.0.0.1:{}", self.telemetry));
        let telemetry_keys = self.path("keys.txt");
        let links = ["--keys", text(&keys), "--state", text(&state), "--to", &to, "--telemetry", &telemetry];
        let how = [
            "--telemetry-keys",
            text(&telemetry_keys),
            "--rate",
            "256k",
            "--piece",
            "32",
            "--wait",
            "60",
            "--json",
        ];
        let out = run("passband-ground", &[what, &links, &how].concat());
        (out.status.code().unwrap(), serde_json::from_slice(&out.stdout).unwrap())
    }

    /// What the daemon says of its orders.
    fn orders(&self) -> String {
        succeed("passband", &["orders", "--json", "--config", text(&self.config)])
    }
}

/// Hands datagrams on and loses a share of them, until it is dropped.
struct Lossy {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Lossy {
    fn start(to: u16, loss: f64, seed: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (port, stop) = (socket.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let (ended, to) = (Arc::clone(&stop), SocketAddr::from(([127, 0, 0, 1], to)));
        thread::spawn(move || {
            let (mut random, mut buffer) = (ChaCha8Rng::seed_from_u64(seed), [0; 2048]);
            while !ended.load(Ordering::Relaxed) {
                if let Ok(bytes) = socket.recv(&mut buffer)
                    && !random.random_bool(loss)
                {
                    let _ = socket.send_to(&buffer[..bytes], to);
                }
            }
        });
        Self { port, stop }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn orders_are_answered_over_a_link_that_loses_and_what_may_not_be_is_refused() {
    let ear = free_port();
    let down = Lossy::start(ear, 0.3, 1);
    let mut mission = Mission::new(down.port);
    mission.telemetry = ear;
    let up = Lossy::start(mission.uplink, 0.3, 2);
    let _daemon = mission.daemon();
    mission.commission();

    let (status, said) = mission.order("operator", up.port, &["--wait", "60"], &["ping"]);
    let last = said.last().unwrap();
    assert_eq!((status, &last["answer"]["stage"]), (0, &"done".into()), "{said:?}");
    let (status, said) = mission.order("operator", up.port, &["--wait", "60"], &["pass", "start", "300"]);
    assert_eq!(status, 0, "{said:?}");
    let (status, said) =
        mission.order("operator", up.port, &["--wait", "60", "--fire"], &["daemon", "restart"]);
    assert_eq!((status, &said.last().unwrap()["answer"]["reason"]), (1, &"not-armed".into()), "{said:?}");
    // Two steps, and two keys.
    let retire = ["keys", "retire", "3"];
    let (status, said) = mission.order("operator", up.port, &["--wait", "60", "--arm"], &retire);
    assert_eq!((status, &said.last().unwrap()["answer"]["stage"]), (0, &"armed".into()), "{said:?}");
    let (status, said) = mission.order("recovery", up.port, &["--wait", "60", "--fire"], &retire);
    assert_eq!((status, &said.last().unwrap()["answer"]["stage"]), (0, &"done".into()), "{said:?}");
    // Of what the operator's outbox doesn't know to be over nothing else is fired, and nothing is sent.
    let (status, said) =
        mission.order("operator", up.port, &["--wait", "60", "--fire"], &["daemon", "restart"]);
    assert_eq!((status, said.len()), (2, 0), "{said:?}");
}

#[test]
fn counters_that_the_board_lost_are_mended_by_the_outbox_within_a_pass() {
    let ear = free_port();
    let mission = Mission::new(ear);
    let mut daemon = mission.daemon();
    mission.commission();
    let (status, said) = mission.order("operator", mission.uplink, &["--wait", "60"], &["ping"]);
    assert_eq!(status, 0, "{said:?}");
    daemon.kill();
    let records = fs::read_dir(mission.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<_> = records.filter(|path| text(path).contains("/command.redb")).collect();
    assert!(!records.is_empty());
    records.iter().for_each(|path| fs::remove_file(path).unwrap());
    let _daemon = mission.daemon();
    wait_for("the daemon", PATIENCE, || mission.passband(&["keys"]));
    let keys = succeed("passband", &["keys", "--json", "--config", text(&mission.config)]);
    assert!(keys.contains("unsynchronised"), "{keys}");
    let begun = Instant::now();
    let (status, said) = mission.order("operator", mission.uplink, &["--wait", "60"], &["ping"]);
    assert_eq!((status, &said.last().unwrap()["answer"]["stage"]), (0, &"done".into()), "{said:?}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
}

#[test]
fn a_plan_is_sent_up_in_pieces_and_what_is_wrong_is_said_before() {
    let ear = free_port();
    let mission = Mission::new(ear);
    let _daemon = mission.daemon();
    mission.commission();
    let (status, _) = mission.order("planner", mission.uplink, &[], &["pass", "start", "300"]);
    assert_eq!(status, 2, "a planner may not");
    let (status, _) = mission.order("operator", mission.uplink, &[], &["pass", "start", "never"]);
    assert_eq!(status, 2);
    let plan = mission.path("night.plan");
    fs::write(&plan, "plan night\nversion 1\nafter 1s do ping\n").unwrap();
    // What came up before comes up again.
    for version in ["first", "again"] {
        let (status, said) = mission.send_up(&["plan", "upload", text(&plan)]);
        assert_eq!(
            (status, &said["whole"], &said["fate"]),
            (0, &true.into(), &"taken".into()),
            "{version}: {said}"
        );
    }
    assert!(mission.orders().contains("upload begin"));
    // Its text alone is no plan that could be sent.
    let (keys, outbox) = (mission.path("planner"), mission.path("outbox-planner"));
    let whose = ["--keys", text(&keys), "--state", text(&outbox), "--wait", "0"];
    let args = [&["upload", text(&plan), "--kind", "plan", "--name", "night"][..], &whose].concat();
    let out = run("passband-ground", &args);
    assert_eq!(out.status.code(), Some(2));
    // What the board won't have is no success: a plan under a key that it doesn't know.
    let (stranger, junk) = (mission.path("stranger"), mission.path("junk"));
    for args in [
        &["keys", "role", "--spi", "9", "--role", "planner", "--out", text(&stranger)][..],
        &["plan", "compile", text(&plan), "--keys", text(&stranger), "--out", text(&junk)],
    ] {
        assert!(run("passband-ground", args).status.success(), "{args:?}");
    }
    let (status, said) = mission.send_up(&["upload", text(&junk), "--kind", "plan", "--name", "night"]);
    assert_eq!((status, &said["fate"], &said["in_place"]), (1, &"refused".into(), &false.into()), "{said}");
}
