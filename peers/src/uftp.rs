//! uftp, the program: real processes, in real time, through a relay that loses.
//!
//! Where what comes back is as lossy as what goes down it is measured three times: through passes, its sender
//! stopped while nothing gets through, for a minute instead of 85; and in one go, as it comes and with its
//! packets encrypted and authenticated, as Passband's always are. What is done in one go is cut into passes
//! afterwards, as if the gaps did it no harm. With a way back that is dead, or answers only in the next pass,
//! it waits for an answer to its announcement and gives up.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use passband_ground::bench::transfer::losses::Losses;
use passband_ground::bench::transfer::scenario::{Figures, Return, Scenario};

/// How it is run.
#[derive(Clone, Copy)]
struct Setup {
    name: &'static str,
    /// What is added to its command line.
    options: &'static [&'static str],
    /// Whether it goes through the gaps between passes.
    gaps: bool,
}

const IN_PASSES: Setup = Setup { name: "uftp", options: FULL_FRAMES, gaps: true };
const IN_ONE_GO: Setup = Setup { name: "uftp, in one go", options: FULL_FRAMES, gaps: false };
const SEALED: Setup = Setup {
    name: "uftp, in one go, packets sealed",
    options: &["-b", "1420", "-Y", "aes256-gcm", "-h", "sha256"],
    gaps: false,
};
/// Blocks that fill an Ethernet frame, as Passband's datagrams do; with tags they have to be a bit smaller.
const FULL_FRAMES: &[&str] = &["-b", "1448"];
/// How long a gap lasts here: longer than whatever it waits for.
const GAP: Duration = Duration::from_mins(1);
/// Its pace, kbit/s.
const RATE_KBPS: &str = "80000";
/// How long it may take; it gives up an announcement after half a minute.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often what goes on is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Measures it over each way back.
pub fn measure(
    scenario: &Scenario,
    file: &Path,
    content: &[u8],
    dir: &Path,
    each: &mut dyn FnMut(&Figures) -> Result<()>,
) -> Result<()> {
    let Ok(_) =
        Command::new("uftp").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    else {
        return each(&Figures::not_measured("uftp", "not measured: not installed (apt-get install uftp)"));
    };
    for setup in [IN_ONE_GO, SEALED] {
        each(&transfer(scenario, file, content, dir, setup, Return::Lossy)?)?;
    }
    if !scenario.real_time {
        return Ok(());
    }
    each(&transfer(scenario, file, content, dir, IN_PASSES, Return::Lossy)?)?;
    let dead = transfer(scenario, file, content, dir, IN_PASSES, Return::Dead)?;
    each(&dead)?;
    // Within a pass, an answer that comes in the next is none.
    each(&Figures { way_back: Some(Return::Late), ..dead })
}

fn transfer(
    scenario: &Scenario,
    file: &Path,
    content: &[u8],
    dir: &Path,
    setup: Setup,
    way_back: Return,
) -> Result<Figures> {
    let received = dir.join(format!("uftp-{}-{}-{way_back:?}", setup.options.len(), setup.gaps));
    fs::create_dir_all(&received).with_context(|| format!("making {}", received.display()))?;
    let client_port = free_port()?;
    let relay = Relay::start(scenario, way_back, SocketAddr::from(([127, 0, 0, 1], client_port)))?;
    let log = File::create(received.join("uftpd.log")).context("making uftpd's log")?;
    let mut client = Command::new("uftpd")
        .args(["-d", "-t", "-I", "lo", "-p", &client_port.to_string(), "-D"])
        .arg(&received)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("starting uftpd")?;
    std::thread::sleep(Duration::from_millis(500));
    let sender = Command::new("uftp")
        .args(["-q", "-I", "lo", "-M", "127.0.0.1", "-R", RATE_KBPS, "-p", &relay.port.to_string()])
        .args(setup.options)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting uftp")?;
    let start = Instant::now();
    let ended = if setup.gaps { wait(sender, Some((scenario, &relay)))? } else { wait(sender, None)? };
    let took = start.elapsed().as_secs_f64();
    client.kill().context("stopping uftpd")?;
    client.wait().context("waiting for uftpd")?;
    let (datagrams, bytes) = relay.stop();
    let file_name = file.file_name().context("a file without a name")?;
    let whole = ended && fs::read(received.join(file_name)).is_ok_and(|got| got == content);
    Ok(if whole {
        let figures = Figures::down(setup.name, Some(way_back), scenario, datagrams, bytes);
        let tags = if setup.options == FULL_FRAMES { "no tag" } else { "a tag" };
        let gaps = if setup.gaps { "" } else { "passes and time as if the gaps did it no harm; " };
        Figures { note: Some(format!("{gaps}its packets carry {tags}")), ..figures }
    } else {
        Figures::never(setup.name, Some(way_back), format!("gave up after {took:.0} s and {bytes} bytes"))
    })
}

/// Waits for the sender; one that takes too long is killed. With `passes` it is stopped between them. Whether
/// it ended by itself.
fn wait(mut child: Child, passes: Option<(&Scenario, &Relay)>) -> Result<bool> {
    let start = Instant::now();
    let mut passes_done = 0;
    while start.elapsed() < PATIENCE {
        if child.try_wait().context("waiting for uftp")?.is_some() {
            return Ok(true);
        }
        if let Some((scenario, relay)) = passes
            && relay.datagrams.load(Ordering::Relaxed) / scenario.pass_datagrams > passes_done
        {
            passes_done += 1;
            relay.shut.store(true, Ordering::Relaxed);
            signal(&child, "-STOP")?;
            std::thread::sleep(GAP);
            relay.shut.store(false, Ordering::Relaxed);
            signal(&child, "-CONT")?;
        }
        std::thread::sleep(POLL);
    }
    child.kill().context("stopping uftp")?;
    child.wait().context("waiting for uftp")?;
    Ok(false)
}

fn signal(child: &Child, signal: &str) -> Result<()> {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    ensure!(status.context("starting kill")?.success(), "kill {signal} failed");
    Ok(())
}

fn free_port() -> Result<u16> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
    Ok(socket.local_addr().context("reading a socket's address")?.port())
}

/// Stands between the two and loses what the scenario says.
struct Relay {
    port: u16,
    stop: Arc<AtomicBool>,
    /// Whether nothing gets through.
    shut: Arc<AtomicBool>,
    datagrams: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    fn start(scenario: &Scenario, way_back: Return, client: SocketAddr) -> Result<Self> {
        let open = || -> Result<UdpSocket> {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
            socket.set_read_timeout(Some(POLL)).context("setting a timeout")?;
            Ok(socket)
        };
        let (front, rear) = (open()?, open()?);
        let port = front.local_addr().context("reading a socket's address")?.port();
        let server = Arc::new(AtomicU64::new(0));
        let mut this = Self {
            port,
            stop: Arc::default(),
            shut: Arc::default(),
            datagrams: Arc::default(),
            bytes: Arc::default(),
            threads: Vec::new(),
        };
        let (front_too, rear_too) = (front.try_clone()?, rear.try_clone()?);
        let (count, sum, seen) = (Arc::clone(&this.datagrams), Arc::clone(&this.bytes), Arc::clone(&server));
        this.carry(front, scenario.losses(), move |data, from| {
            seen.store(u64::from(from.port()), Ordering::Relaxed);
            count.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(data.len() as u64, Ordering::Relaxed);
            Some((rear.try_clone().ok()?, client))
        });
        let dead = way_back != Return::Lossy;
        this.carry(rear_too, scenario.return_losses(), move |_, _| {
            let port =
                u16::try_from(server.load(Ordering::Relaxed)).ok().filter(|port| *port > 0 && !dead)?;
            Some((front_too.try_clone().ok()?, SocketAddr::from(([127, 0, 0, 1], port))))
        });
        Ok(this)
    }

    /// Carries what comes to a socket to where `to` says, less what is lost.
    fn carry(
        &mut self,
        from: UdpSocket,
        mut losses: Losses,
        to: impl Fn(&[u8], SocketAddr) -> Option<(UdpSocket, SocketAddr)> + Send + 'static,
    ) {
        let (stop, shut) = (Arc::clone(&self.stop), Arc::clone(&self.shut));
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let Ok((len, source)) = from.recv_from(&mut buffer) else { continue };
                let data = &buffer[..len];
                let next = to(data, source);
                n += 1;
                if let Some((socket, address)) = next.filter(|_| !losses.loses(n) && !shut.load(Ordering::Relaxed)) {
                    let _ = socket.send_to(data, address);
                }
            }
        }));
    }

    /// Stops; datagrams and bytes that came from the sender.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        (self.datagrams.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
