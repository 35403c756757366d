//! A payload board for the bench: the real daemon, on a state folder of its own.
//!
//! Never touches what is outside that folder: its links go to ports of the loopback that nobody listens on.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bench::work_folder;

/// How long anything of the daemon may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// From now to the AOS of the pass that is planned, s: far enough that nothing of a drill begins by itself.
const AOS_IN_S: u64 = 3_600;

/// A daemon that may run or not.
#[derive(Debug)]
pub(super) struct Board {
    program: PathBuf,
    dir: TempDir,
    child: Option<Child>,
}

impl Board {
    /// A board with all links configured, a pass in an hour, and a command key; it doesn't run yet. `None`: there is no
    /// daemon beside this program.
    pub(super) fn new(program: &Path) -> Result<Option<Self>> {
        let program = program.with_file_name("passband");
        if !program.is_file() {
            return Ok(None);
        }
        let dir = work_folder()?;
        fs::create_dir_all(dir.path().join("state/spool"))?;
        let secret = "5a".repeat(32);
        fs::write(
            dir.path().join("state/keys.txt"),
            format!("passband-key v1 spacecraft=1 epoch=1 {secret}\n"),
        )?;
        fs::write(dir.path().join("state/command-keys.txt"), command_key()?)?;
        fs::write(dir.path().join("windows.toml"), windows())?;
        let board = Self { program, dir, child: None };
        board.configure()?;
        Ok(Some(board))
    }

    /// Another board with the same on its disk; neither may run meanwhile.
    pub(super) fn copy(&self) -> Result<Self> {
        ensure!(self.child.is_none(), "a daemon that runs has no state to copy");
        let dir = work_folder()?;
        copy_folder(self.dir.path(), dir.path())?;
        let board = Self { program: self.program.clone(), dir, child: None };
        board.configure()?;
        Ok(board)
    }

    /// Writes the configuration, with ports that are free.
    fn configure(&self) -> Result<()> {
        let port = || -> Result<u16> { Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let config = format!(
            "spacecraft = 1\n[paths]\nstate = \"state\"\n\
             [health]\nsafe_after = 0\n[passes]\nwindows = \"windows.toml\"\n[downlink]\ntransmit = \"manual\"\n\
             [uplink]\nlisten = \"127.0.0.1:{}\"\n[telemetry]\ntarget = \"127.0.0.1:{}\"\n",
            port()?,
            port()?
        );
        fs::write(self.config(), config).context("writing the configuration")
    }

    /// The folder with all of it.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.path().join("passband.toml")
    }

    /// The daemon's process.
    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the daemon doesn't run")?.id())
    }

    /// Starts the daemon, and waits until it answers.
    pub(super) fn start(&mut self) -> Result<()> {
        let log = File::create(self.dir.path().join("log.txt"))?;
        let child = Command::new(&self.program)
            .args(["run", "--config"])
            .arg(self.config())
            .env("PASSBAND_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting the daemon")?;
        self.child = Some(child);
        self.wait_until("the daemon answers", |board| Ok(board.ask(&["status"])?.status.success()))
    }

    /// Kills the daemon, as a power cut would.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("killing the daemon")?;
            child.wait().context("waiting for the daemon")?;
        }
        Ok(())
    }

    /// Runs `passband` with these arguments against this daemon.
    pub(super) fn ask(&self, args: &[&str]) -> Result<Output> {
        Command::new(&self.program)
            .args(args)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .output()
            .context("running passband")
    }

    /// The JSON answer to a question or order that must succeed.
    pub(super) fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.ask(&[args, &["--json"]].concat())?;
        if !output.status.success() {
            bail!("passband {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("passband printed no JSON")
    }

    /// Waits for something.
    pub(super) fn wait_until(&self, what: &str, mut is: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !is(self)? {
            if begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.dir.path().join("log.txt")).unwrap_or_default();
                bail!("waited in vain until {what}; the daemon's log:\n{log}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // Nothing more can be done about it here.
        drop(self.kill());
    }
}

/// The key file of the uplink: one operator.
fn command_key() -> Result<String> {
    use passband_proto::sdls::{Role, RoleKey};
    let mut line = String::new();
    let key = RoleKey::new(1, 2, Role::Operator, [2; 32]).context("a key of the uplink")?;
    key.write_line(&mut line).context("writing to memory")?;
    line.push('\n');
    Ok(line)
}

/// One contact window.
fn windows() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let aos = now.as_secs() + AOS_IN_S;
    format!("[[window]]\nstation = \"bench\"\naos = {aos}\nlos = {}\n", aos + 300)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
