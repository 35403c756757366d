//! The satellite of the demo: the real `passband` daemon as a process with a state folder of its own, its
//! camera's spool, and the bus computer's messages.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use passband_proto::bus::Transmit;
use serde::Deserialize;
use serde_json::Value;

/// The running daemon.
pub(super) struct Satellite {
    program: PathBuf,
    config: PathBuf,
    state: PathBuf,
    child: Child,
    bus: UdpSocket,
    bus_address: SocketAddr,
    next_event: u64,
}

/// A bundle in the daemon's queue.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct QueueRow {
    pub(super) id: String,
    pub(super) frame: String,
    pub(super) product: String,
    pub(super) name: String,
    pub(super) class: String,
    /// Sealed bytes.
    pub(super) bytes: u64,
    pub(super) source_symbols: u64,
}

/// An event of the daemon.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Event {
    seq: u64,
    pub(super) code: String,
    pub(super) text: String,
}

/// Where the daemon sends to.
pub(super) struct Radios {
    pub(super) fast: SocketAddr,
    pub(super) alert: SocketAddr,
}

/// Evidence of every frame, to show what the detector says of each, cubes in one piece, and nothing else.
const PRODUCTS: &str = "[products]
strip_bytes = 1073741824
housekeeping = \"none\"
log = \"none\"
[products.routine]
quicklook = \"routine\"
evidence = \"routine\"
region = \"none\"
cube = \"routine\"
[products.discard-candidate]
quicklook = \"discard-candidate\"
evidence = \"discard-candidate\"
region = \"none\"
cube = \"discard-candidate\"
";

impl Satellite {
    /// Writes a configuration and starts the daemon; `dir` gets its state, its log and its key file.
    pub(super) fn start(program: &Path, dir: &Path, keys: &str, radios: &Radios) -> Result<Self> {
        let state = dir.join("state");
        fs::create_dir_all(&state).with_context(|| format!("making the folder {}", state.display()))?;
        write_private(&state.join("keys.txt"), keys)?;
        let bus_address = free_port()?;
        let config = dir.join("passband.toml");
        let text = format!(
            "spacecraft = 1\n\n[paths]\nstate = \"state\"\n\n[camera]\npoll_ms = 50\n\n[downlink]\ntarget = \"{}\"\n\
             transmit = \"bus\"\nexpected_loss = 0.3\n\n[alerts]\ntarget = \"{}\"\nrepeat_s = [0, 3, 10, 30]\n\
             per_minute = 60\n\n{PRODUCTS}\n[bus]\nlisten = \"{bus_address}\"\n",
            radios.fast, radios.alert
        );
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let log = File::create(dir.join("daemon.log")).context("making the daemon's log")?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let bus = UdpSocket::bind("127.0.0.1:0").context("opening the bus")?;
        Ok(Self { program: program.to_owned(), config, state, child, bus, bus_address, next_event: 0 })
    }

    /// Where the camera puts its frames.
    pub(super) fn spool(&self) -> PathBuf {
        self.state.join("spool")
    }

    /// The sealed file of a bundle on board.
    pub(super) fn sealed(&self, id: &str) -> PathBuf {
        self.state.join("bundles").join(format!("{id}.pbb"))
    }

    /// The bus computer opens the transmitter for so long, or closes it (0).
    pub(super) fn transmit(&self, on_for_ms: u32, rate_bps: u64) {
        let rate_kbps = u32::try_from(rate_bps / 1000).unwrap_or(u32::MAX);
        // It is repeated many times a second: one that is refused is no loss.
        let _ = self.bus.send_to(&Transmit { on_for_ms, rate_kbps }.encode(), self.bus_address);
    }

    /// Whether the daemon answers yet.
    pub(super) fn up(&mut self) -> Result<bool> {
        if let Some(status) = self.child.try_wait().context("asking for the daemon")? {
            let log = self.config.with_file_name("daemon.log");
            let text = fs::read_to_string(&log).unwrap_or_default();
            bail!("the daemon stopped ({status}): {}", text.trim());
        }
        Ok(self.ask(&["status"]).is_ok())
    }

    /// The daemon's queue.
    pub(super) fn queue(&self) -> Result<Vec<QueueRow>> {
        let answer = self.ask(&["queue"])?;
        serde_json::from_value(answer["bundles"].clone()).context("the daemon's queue")
    }

    /// The events since the last call.
    pub(super) fn events(&mut self) -> Result<Vec<Event>> {
        let since = self.next_event.to_string();
        let answer = self.ask(&["events", "--since", &since, "--limit", "1000"])?;
        let events: Vec<Event> =
            serde_json::from_value(answer["events"].clone()).context("the daemon's events")?;
        let new: Vec<Event> = events.into_iter().filter(|e| e.seq > self.next_event).collect();
        self.next_event = new.iter().map(|e| e.seq).max().unwrap_or(self.next_event);
        Ok(new)
    }

    /// Asks as an operator does: the program's own commands.
    fn ask(&self, args: &[&str]) -> Result<Value> {
        let output = Command::new(&self.program)
            .args(args)
            .arg("--json")
            .arg("--config")
            .arg(&self.config)
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "passband {}: {}", args.join(" "), error.trim());
        serde_json::from_slice(&output.stdout).context("the daemon's answer")
    }
}

impl Drop for Satellite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("looking for a free port")?;
    socket.local_addr().context("looking for a free port")
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut f| f.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}
