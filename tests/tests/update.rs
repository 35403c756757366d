//! New software, all the way: keys, images, a signed update file, up over the slow link in pieces, staged, tried out and
//! confirmed by orders, with the real launcher, the real daemon in its slots, and the real ground.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use passband_tests::{binary, free_port, run, sha256, succeed, text, wait_for};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A board: what an init does, which starts the launcher again whenever it ends; and the ground's files beside it.
struct Board {
    dir: TempDir,
    ports: [u16; 2],
    running: Arc<Mutex<Option<Child>>>,
    starts: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    init: Option<JoinHandle<()>>,
}

impl Board {
    /// Versions 0.1 and 0.2 as images; 0.1 as golden, and in slot a.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let board = Self {
            dir,
            ports: [free_port(), free_port()],
            running: Arc::default(),
            starts: Arc::default(),
            stop: Arc::default(),
            init: None,
        };
        board.images();
        board.configure();
        for slot in ["golden", "a"] {
            fs::create_dir_all(board.path(&format!("slots/{slot}"))).unwrap();
            fs::copy(board.path("0.1.img"), board.path(&format!("slots/{slot}/passband"))).unwrap();
        }
        board.boot(1);
        let args = ["--root", text(&board.path("slots")), "set", "--slot", "a"].map(str::to_owned);
        succeed("passband-launch", &args.each_ref().map(String::as_str));
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `passband-ground`, words with an `@` being files of this folder.
    fn ground(&self, words: &str) -> String {
        let word = |word: &str| match word.split_once('@') {
            Some((before, name)) => format!("{before}{}", text(&self.path(name))),
            None => word.to_owned(),
        };
        let args: Vec<String> = words.split_ascii_whitespace().map(word).collect();
        succeed("passband-ground", &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn images(&self) {
        let program = self.path("passband");
        fs::copy(binary("passband"), &program).unwrap();
        // What flies has no symbols either.
        let stripped = Command::new("strip").arg(&program).status().unwrap();
        assert!(stripped.success());
        self.ground("release keys new dee --dir @");
        self.ground(
            "release root new --mission leakwatch --root-key @dee.public --root-threshold 1 \
             --release-key @dee.public --release-threshold 1 --out @1.pbr",
        );
        self.ground("release root sign @1.pbr --key @dee.secret");
        for version in ["0.1", "0.2"] {
            fs::write(self.path("note"), version).unwrap();
            self.ground(&format!(
                "release build --program @passband --file root=@1.pbr --file note=@note --out @{version}.img"
            ));
        }
    }

    /// The update file from one version to another.
    fn update(&self, from: &str, to: &str) -> PathBuf {
        let number = to.split('.').next_back().unwrap();
        let name = format!("{from}-{to}");
        self.ground(&format!("release delta --to @{to}.img --from @{from}.img --out @deltas-{name}"));
        self.ground(&format!(
            "release manifest --image @{to}.img --deltas @deltas-{name} --board test --name {to} --version {number} \
             --commit {COMMIT} --root @1.pbr --state 1:1..1 --launcher 1..1 --out @{name}.pbm"
        ));
        self.ground(&format!("release sign @{name}.pbm --key @dee.secret --root @1.pbr"));
        self.ground(&format!(
            "release pack @{name}.pbm --deltas @deltas-{name} --trust @1.pbr --has @{from}.img --out @{name}.pbu"
        ));
        self.path(&format!("{name}.pbu"))
    }

    fn configure(&self) {
        fs::create_dir_all(self.path("state/spool")).unwrap();
        self.ground("keys new --out @keys.txt");
        for (spi, role) in [("2", "operator"), ("3", "updater"), ("4", "recovery")] {
            self.ground(&format!(
                "keys role --spi {spi} --role {role} --out @{role} --board @state/command-keys.txt"
            ));
        }
        let [uplink, telemetry] = self.ports;
        let content = format!(
            "[paths]\nstate = \"state\"\nkeys = \"keys.txt\"\n[health]\nsafe_after = 0\n\
             [downlink]\ntarget = \"127.0.0.1:{}\"\ntransmit = \"manual\"\n[alerts]\ntarget = \"127.0.0.1:{}\"\n\
             [uplink]\nlisten = \"127.0.0.1:{uplink}\"\n[command]\nanswer_s = 1\n[update]\nboard = \"test\"\n\
             [telemetry]\ntarget = \"127.0.0.1:{telemetry}\"\nrate_bps = 256000\nbeacon_s = 1\n",
            free_port(),
            free_port()
        );
        fs::write(self.path("passband.toml"), content).unwrap();
    }

    /// The board is in another boot.
    fn boot(&self, number: u32) {
        let path = self.path("system/proc/sys/kernel/random/boot_id");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{number:08x}-0000-0000-0000-000000000000\n")).unwrap();
    }

    fn power_on(&mut self) {
        let (root, system, config) = (self.path("slots"), self.path("system"), self.path("passband.toml"));
        let (running, starts, stop) = (self.running.clone(), self.starts.clone(), self.stop.clone());
        self.init = Some(thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let mut launcher = Command::new(binary("passband-launch"));
                launcher.arg("--root").arg(&root).arg("--system").arg(&system);
                launcher.args(["--", "run", "--config"]).arg(&config);
                let child = launcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                *running.lock().unwrap() = Some(child.unwrap());
                starts.fetch_add(1, Ordering::SeqCst);
                while running
                    .lock()
                    .unwrap()
                    .as_mut()
                    .is_some_and(|child| child.try_wait().unwrap().is_none())
                {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }));
    }

    /// Ends the process at once; with another boot that is a power cut, without one a crash.
    fn kill(&self) {
        let starts = self.starts.load(Ordering::SeqCst);
        self.running.lock().unwrap().as_mut().unwrap().kill().unwrap();
        wait_for("another start", PATIENCE, || self.starts.load(Ordering::SeqCst) > starts);
    }

    fn shell(&self, words: &str) -> (bool, String) {
        let config = self.path("passband.toml");
        let args: Vec<&str> = words.split(' ').chain(["--config", text(&config)]).collect();
        let out = run("passband", &args);
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    }

    fn does(&self, words: &str) {
        let (done, said) = self.shell(words);
        assert!(done, "{words}: {said}");
    }

    fn arm_and_fire(&self, words: &str) {
        self.does(&format!("arm {words}"));
        self.does(&format!("fire {words}"));
    }

    fn about_update(&self) -> Option<Value> {
        let (true, said) = self.shell("update --json") else { return None };
        let about: Value = serde_json::from_str(&said).ok()?;
        // The state that was saved by a daemon that is down says so.
        about["state"].as_str().map(|_| about.clone())
    }

    fn until(&self, state: &str, runs: &str) -> Value {
        let mut last = Value::Null;
        let found = |last: &mut Value| {
            *last = self.about_update().unwrap_or_default();
            let slots = last["slots"].as_str().unwrap_or_default();
            last["state"] == state && slots.starts_with(&format!("slot {runs} runs"))
        };
        let begun = std::time::Instant::now();
        while !found(&mut last) {
            assert!(begun.elapsed() < PATIENCE, "{state}, slot {runs}: {last}");
            thread::sleep(Duration::from_millis(100));
        }
        last
    }

    /// Sends an update up over the slow link.
    fn send_up(&self, file: &Path) {
        let [uplink, telemetry] = self.ports;
        self.ground(&format!(
            "upload {} --kind image --name new.pbu --command-keys @updater --state @outbox --to 127.0.0.1:{uplink} \
             --telemetry 127.0.0.1:{telemetry} --telemetry-keys @keys.txt --rate 256k --wait 60 --json",
            text(file)
        ));
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(child) = self.running.lock().unwrap().as_mut() {
            let _ = child.kill();
        }
        if let Some(init) = self.init.take() {
            let _ = init.join();
        }
    }
}

#[test]
fn new_software_goes_up_goes_back_when_it_ends_by_itself_and_stays_when_it_is_confirmed() {
    let mut board = Board::new();
    board.power_on();
    board.until("idle", "a");
    for spi in ["2", "3", "4"] {
        board.does(&format!("keys accept {spi}"));
    }

    let update = board.update("0.1", "0.2");
    assert!(fs::metadata(&update).unwrap().len() < 8_000, "one note has changed");
    let id = &sha256(&update)[..8];
    board.send_up(&update);
    board.arm_and_fire(&format!("update start {id}"));
    board.until("staged", "a");
    assert_eq!(fs::read(board.path("slots/b/passband")).unwrap(), fs::read(board.path("0.2.img")).unwrap());

    // One that ends by itself, three times, is gone by itself.
    board.arm_and_fire("update try");
    board.until("trial", "b");
    (0..3).for_each(|_| board.kill());
    let failed = board.until("failed", "a");
    assert!(failed["text"].as_str().unwrap().contains("the trial of slot b failed: crashed"), "{failed}");
    let mode = fs::metadata(board.path("slots/slot.0")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o022, 0, "nobody else writes the record: {mode:o}");

    // It gets another chance. A power cut costs nothing, and it goes on.
    board.arm_and_fire(&format!("update start {id}"));
    board.until("staged", "a");
    board.arm_and_fire("update try");
    board.until("trial", "b");
    let (confirmed, said) = board.shell("update confirm");
    assert!(!confirmed && said.contains("not healthy yet: 0 of 2 passes"), "{said}");
    board.boot(2);
    board.kill();
    let trial = board.until("trial", "b");
    assert!(trial["text"].as_str().unwrap().contains("failures left 3"), "{trial}");
    board.does("update confirm --health anyway");
    let done = board.until("idle", "b");
    assert!(done["slots"].as_str().unwrap().contains("b good"), "{done}");

    // Back to golden, by order.
    board.arm_and_fire("update back golden");
    board.until("idle", "golden");
}
