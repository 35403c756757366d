//! Scripts, run by the real binary: each limit is hit, nothing is inherited, nothing is left behind.
//!
//! Where the kernel gives this user no network namespace (a container, say) all but one of these run with the network
//! allowed, which the tests say.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use passband_flight::adapters::disk::LinuxDisk;
use passband_flight::adapters::script::{Begun, Finished, Now, Runner};
use passband_flight::script::{End, Limit, Limits, Name, Network, RunId, ScriptError, Settings};

const PATIENCE: Duration = Duration::from_secs(20);

struct Bed {
    dir: tempfile::TempDir,
    runner: Runner,
    begun: Instant,
    number: u32,
}

fn open(folder: &Path, network: Network) -> (Runner, Vec<Finished>) {
    let program = env!("CARGO_BIN_EXE_passband").into();
    let settings = Settings { network, folder_bytes: 4 << 20, ..Settings::default() };
    Runner::open(Arc::new(LinuxDisk), folder, settings, program, 77).unwrap()
}

fn id(number: u32) -> RunId {
    RunId { source: 9, number }
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self::with(Network::None);
        if let End::NotStarted(why) = bed.run("true", Limits::default()).record.end.unwrap() {
            eprintln!("with the network allowed: {why}");
            bed = Self::with(Network::Allow);
        }
        bed
    }

    fn with(network: Network) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (runner, interrupted) = open(dir.path(), network);
        assert!(interrupted.is_empty());
        Self { dir, runner, begun: Instant::now(), number: 0 }
    }

    fn now(&self) -> Now {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        Now { ms, unix_ms: 1_000_000 + ms }
    }

    fn start(&mut self, script: &str, words: &[&str], limits: Limits) -> RunId {
        self.number += 1;
        let name: Name = format!("s{}", self.number % 10).parse().unwrap();
        self.runner.store().put(&name, script.as_bytes()).unwrap();
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let now = self.now();
        assert_eq!(self.runner.start(id(self.number), &name, &words, limits, now).unwrap(), Begun::Started);
        id(self.number)
    }

    fn wait(&mut self) -> Finished {
        let begun = Instant::now();
        loop {
            let now = self.now();
            if let Some(finished) = self.runner.poll(now).pop() {
                return finished;
            }
            assert!(begun.elapsed() < PATIENCE, "it goes on and on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&mut self, script: &str, limits: Limits) -> Finished {
        self.start(script, &[], limits);
        self.wait()
    }

    /// Runs a script, which must end by itself with status 0; its output.
    fn says(&mut self, script: &str) -> String {
        let finished = self.run(script, Limits::default());
        let text = String::from_utf8(finished.output).unwrap();
        assert_eq!(finished.record.end, Some(End::Exited(0)), "{text}");
        text
    }
}

/// Whether a process has this in its command line; for seconds at most that are no others' on this machine.
fn is_running(what: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", "-x", what]).output();
    found.is_ok_and(|found| found.status.success())
}

fn gone(what: &str) {
    let begun = Instant::now();
    while is_running(what) {
        assert!(begun.elapsed() < PATIENCE, "{what} is left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_gives_its_output_and_status_and_an_order_is_followed_once() {
    let mut bed = Bed::new();
    let id = bed.start("echo \"$1-$2\"; echo wrong >&2; exit 3", &["a b", "*"], Limits::default());
    let Finished { record, output, unrecorded } = bed.wait();
    assert_eq!((record.end.clone(), unrecorded), (Some(End::Exited(3)), None));
    assert_eq!(output, b"a b-*\nwrong\n");
    assert_eq!((record.first_lines.as_str(), record.output_bytes), ("a b-* | wrong", 12));
    let (name, now) = (record.name.clone(), bed.now());
    let again = bed.runner.start(id, &name, &[], Limits::default(), now);
    assert_eq!(again, Ok(Begun::Already(Box::new(record.clone()))));
    let (mut after, interrupted) = open(bed.dir.path(), Network::None);
    assert!(interrupted.is_empty(), "it has ended");
    assert_eq!(after.start(id, &name, &[], Limits::default(), now), Ok(Begun::Already(Box::new(record))));
    assert_eq!(bed.run("kill -9 $$", Limits::default()).record.end, Some(End::Signal(9)));
}

#[test]
fn each_limit_ends_a_run_and_is_named() {
    let mut bed = Bed::new();
    let limits = Limits::default();
    let mut end = |script: &str, limits: Limits| bed.run(script, limits).record.end.unwrap();
    let wall = end("sleep 600.125", Limits { wall_s: 1, ..limits });
    assert_eq!(wall, End::Limit(Limit::Wall));
    gone("sleep 600.125");
    let spin = "while :; do :; done";
    assert_eq!(end(spin, Limits { cpu_s: 1, ..limits }), End::Limit(Limit::Cpu));
    let spins = "while :; do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); done";
    assert_eq!(
        end(spins, Limits { cpu_s: 1, ..limits }),
        End::Limit(Limit::Cpu),
        "one child after the other"
    );
    let flood = "while :; do echo 0123456789012345678901234567890123456789; done";
    assert_eq!(end(flood, Limits { output_bytes: 1000, ..limits }), End::Limit(Limit::Output));
    let bomb = "f() { sleep 600.25 & f; }; f";
    assert_eq!(end(bomb, Limits { processes: 10, ..limits }), End::Limit(Limit::Processes));
    gone("sleep 600.25");
}

#[test]
fn files_of_a_run_lie_in_its_folder_are_bounded_together_and_go_with_it() {
    let mut bed = Bed::new();
    let scripts = bed.dir.path().join("scripts");
    let left = || std::fs::read_dir(&scripts).unwrap().flatten().filter(|e| e.path().is_dir()).count();
    let said = bed.says("f=$(mktemp); pwd; echo $HOME; echo $TMPDIR; dirname $f; echo x > $f; cat $f");
    let work = scripts.canonicalize().unwrap().join("work-9-2");
    let at = work.display();
    let expected = format!("{at}\n{at}\n{at}\n{at}\nx\n");
    assert!(said == expected || said == expected.replace("work-9-2", "work-9-1"), "{said}");
    assert_eq!(left(), 0);
    let files = "i=0; while :; do i=$((i+1)); head -c 100000 /dev/zero > file$i; done";
    assert_eq!(bed.run(files, Limits::default()).record.end, Some(End::Limit(Limit::Folder)));
    assert_eq!(left(), 0);
}

#[test]
fn no_process_gets_more_memory_nor_do_all_of_them_together() {
    let mut bed = Bed::new();
    let limits = Limits { memory_bytes: 48 << 20, ..Limits::default() };
    let hog = bed.run("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}", limits);
    assert!(!String::from_utf8_lossy(&hog.output).contains("200000000"), "{hog:?}");
    let many = "for i in 1 2 3 4 5 6 7 8; do (x=$(head -c 9000000 /dev/zero | tr '\\0' x); sleep 600.375) & done; wait";
    let many = bed.run(many, Limits { memory_bytes: 40 << 20, processes: 200, ..Limits::default() });
    assert_eq!(many.record.end, Some(End::Limit(Limit::Memory)), "{many:?}");
    gone("sleep 600.375");
    let file =
        bed.run("head -c 100000 /dev/zero > $1/f; wc -c < $1/f", Limits { file_bytes: 1000, ..limits });
    assert_ne!(String::from_utf8_lossy(&file.output).trim(), "100000");
}

#[test]
fn output_is_kept_from_its_beginning_and_the_rest_counted() {
    let mut bed = Bed::new();
    let script = "i=0; while [ $i -lt 100 ]; do echo 123456789; i=$((i+1)); done";
    let finished = bed.run(script, Limits { output_bytes: 105, ..Limits::default() });
    assert_eq!(finished.record.end, Some(End::Exited(0)));
    assert_eq!((finished.output.len(), finished.record.output_bytes), (105, 1000));
}

#[test]
fn what_leaves_the_session_ends_with_the_run() {
    let mut bed = Bed::new();
    let escape =
        |s: &str| format!("(setsid sh -c 'setsid sleep {s} </dev/null >/dev/null 2>&1 &' &) ; sleep 0.3");
    assert_eq!(bed.run(&escape("600.5"), Limits::default()).record.end, Some(End::Exited(0)));
    gone("sleep 600.5");
    let id = bed.start(&(escape("600.625") + "; sleep 600.75"), &[], Limits::default());
    let begun = Instant::now();
    while !(is_running("sleep 600.625") && is_running("sleep 600.75")) {
        assert!(begun.elapsed() < PATIENCE);
        let now = bed.now();
        assert!(bed.runner.poll(now).is_empty());
    }
    let now_ms = bed.now().ms;
    assert!(bed.runner.stop(id, now_ms) && !bed.runner.stop(RunId { source: 1, number: 1 }, now_ms));
    assert_eq!(bed.wait().record.end, Some(End::Stopped));
    gone("sleep 600.625");
    gone("sleep 600.75");
}

#[test]
fn there_is_no_network_but_where_it_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let script = format!("bash -c '{connect}' 2>&1; true");
    let mut bed = Bed::with(Network::None);
    let finished = bed.run(&script, Limits::default());
    match finished.record.end.unwrap() {
        End::NotStarted(why) => assert!(why.contains("the kernel gives no network namespace"), "{why}"),
        _ => assert!(!String::from_utf8_lossy(&finished.output).contains("connected")),
    }
    assert_eq!(Bed::with(Network::Allow).says(&script).trim(), "connected");
}

#[test]
fn environment_descriptors_and_rights_are_not_inherited() {
    let mut bed = Bed::new();
    let environment = bed.says("env | cut -d= -f1 | sort | tr '\\n' ' '");
    assert_eq!(environment.trim(), "HOME LANG PASSBAND_SCRIPT PATH PWD TMPDIR TZ");
    let names = bed.says("ls -l /proc/self/fd | sed -n 's/.* -> //p'");
    assert!(names.lines().count() >= 3, "{names}");
    let own = |name: &str| name.starts_with("pipe:") || name == "/dev/null" || name.starts_with("/proc/");
    assert!(names.lines().all(own), "{names}");
    let status = bed.says("grep -E '^(Cap(Inh|Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status");
    let rights: Vec<_> = status.lines().filter(|line| line.starts_with("CapEff")).collect();
    assert_eq!(rights, ["CapEff:\t0000000000000000"], "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert_eq!(bed.says("nice").trim(), "19");
}

#[test]
fn a_run_that_the_daemon_left_is_interrupted_and_never_run_again() {
    let mut bed = Bed::new();
    let run = bed.start("sleep 600.875", &[], Limits::default());
    let begun = Instant::now();
    while !is_running("sleep 600.875") {
        assert!(begun.elapsed() < PATIENCE);
    }
    // The runner is gone as if the daemon had died; this thread, its parent, is not.
    let Bed { dir, runner, .. } = bed;
    drop(runner);
    let (mut after, interrupted) = open(dir.path(), Network::None);
    assert_eq!(interrupted.len(), 1);
    assert_eq!((interrupted[0].record.id, interrupted[0].record.end.clone()), (run, Some(End::Interrupted)));
    gone("sleep 600.875");
    let name = interrupted[0].record.name.clone();
    let again = after.start(run, &name, &[], Limits::default(), Now { ms: 0, unix_ms: 0 });
    assert!(matches!(again, Ok(Begun::Already(record)) if record.end == Some(End::Interrupted)));
    assert!(open(dir.path(), Network::None).1.is_empty(), "told once");
}

#[test]
fn a_run_ends_with_the_thread_that_started_it() {
    std::thread::spawn(|| {
        let mut bed = Bed::new();
        bed.start("sleep 601.125", &[], Limits::default());
        let begun = Instant::now();
        while !is_running("sleep 601.125") {
            assert!(begun.elapsed() < PATIENCE);
        }
    })
    .join()
    .unwrap();
    gone("sleep 601.125");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let mut bed = Bed::new();
    let now = bed.now();
    let name: Name = "none".parse().unwrap();
    let mut start =
        |name: &Name, words: Vec<String>, limits| bed.runner.start(id(900), name, &words, limits, now);
    assert_eq!(start(&name, vec![], Limits::default()), Err(ScriptError::Unknown { name: name.clone() }));
    let odd = [vec![String::new(); 17], vec!["x".repeat(257)], vec!["a\0b".to_owned()]];
    for words in odd {
        assert_eq!(start(&name, words, Limits::default()), Err(ScriptError::Arguments));
    }
    let none = Limits { wall_s: 0, ..Limits::default() };
    assert!(matches!(start(&name, vec![], none), Err(ScriptError::Limit { field: "wall_s", .. })));
    bed.start("sleep 1", &[], Limits::default());
    bed.start("sleep 1", &[], Limits::default());
    let name: Name = "s1".parse().unwrap();
    bed.runner.store().put(&name, b"true").unwrap();
    let now = bed.now();
    assert_eq!(bed.runner.start(id(901), &name, &[], Limits::default(), now), Err(ScriptError::Busy));
    assert_eq!(bed.runner.running().count(), 2);
    let child =
        Command::new(env!("CARGO_BIN_EXE_passband")).args(["script-child", "outer", "1", "none"]).output();
    assert!(!child.unwrap().status.success(), "not for people");
}

#[test]
fn a_state_folder_that_is_named_from_here_holds_in_the_folder_of_a_run_too() {
    let here = std::env::current_dir().unwrap();
    let dir = tempfile::tempdir_in(&here).unwrap();
    let mut bed = Bed::with(Network::Allow);
    bed.runner = open(dir.path().strip_prefix(&here).unwrap(), Network::Allow).0;
    let done = bed.run("pwd; echo $HOME", Limits::default());
    assert_eq!(done.record.end, Some(End::Exited(0)), "{}", String::from_utf8_lossy(&done.output));
    let told = String::from_utf8(done.output).unwrap();
    assert!(told.lines().all(|line| line.starts_with('/')), "{told}");
}
