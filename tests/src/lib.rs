//! Whole-system tests: what they share. They run the real binaries as processes and import none of their
//! code.
//!
//! The binaries are looked for in `PASSBAND_BIN_DIR`, else in `release` beside the folder of the test's own
//! build; `cargo build --release` makes them.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub mod pcap;

/// Path of one of the project's binaries.
///
/// # Panics
/// It has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let dir = std::env::var_os("PASSBAND_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a path");
            // target/debug/deps/TEST → target/release
            test.ancestors().nth(3).expect("target").join("release")
        },
        PathBuf::from,
    );
    let path = dir.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

/// Runs a binary to its end.
///
/// # Panics
/// It can't be started.
pub fn run(name: &str, args: &[&str]) -> Output {
    Command::new(binary(name)).args(args).stdin(Stdio::null()).output().expect("it starts")
}

/// Runs a binary that must succeed; its standard output.
///
/// # Panics
/// It doesn't.
pub fn succeed(name: &str, args: &[&str]) -> String {
    let out = run(name, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        out.status.success(),
        "{name} {args:?}: {}\n{}\n{}",
        out.status,
        text(&out.stdout),
        text(&out.stderr)
    );
    text(&out.stdout)
}

/// Runs a binary and reads the JSON it prints; with its exit status.
///
/// # Panics
/// It prints something else.
pub fn json(name: &str, args: &[&str]) -> (Value, i32) {
    let out = run(name, args);
    let value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{name} {args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)));
    (value, out.status.code().unwrap_or(-1))
}

/// A process that is killed (SIGKILL) when it goes out of scope.
pub struct Process(pub Child);

impl Process {
    /// Starts a binary in the background.
    ///
    /// # Panics
    /// It can't be started.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(binary(name));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("it starts"))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits for its end; status and standard output.
    ///
    /// # Panics
    /// It doesn't end in time.
    pub fn finish(mut self, within: Duration) -> (i32, String) {
        let start = Instant::now();
        // What it prints fits a pipe's buffer, so waiting first can't block it.
        while self.0.try_wait().expect("a process").is_none() {
            assert!(start.elapsed() < within, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut text = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            use std::io::Read;
            out.read_to_string(&mut text).expect("text");
        }
        (self.0.wait().expect("a status").code().unwrap_or(-1), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something holds.
///
/// # Panics
/// It doesn't, in time.
pub fn wait_for(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A UDP port that is free at the moment, on 127.0.0.1.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port").port()
}

/// Writes a file of seeded random bytes.
///
/// # Panics
/// It can't be written.
pub fn random_file(path: &Path, bytes: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let content: Vec<u8> = (0..bytes).map(|_| rng.random()).collect();
    fs::File::create(path).and_then(|mut f| f.write_all(&content)).expect("written");
}

/// SHA-256 of a file, lower-case hex.
///
/// # Panics
/// It can't be read.
#[must_use]
pub fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// A path as text.
///
/// # Panics
/// It is not UTF-8.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
