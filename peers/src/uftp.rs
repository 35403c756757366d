//! uftp, the program: real processes, in real time, through a relay that loses.
//!
//! It knows no passes. A transfer through a way back that is as lossy as the way there is done in one go and
//! cut into passes afterwards, as if the gaps did it no harm. With a way back that is dead, or answers only
//! in the next pass, it waits for an answer to its announcement and gives up.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use passband_ground::bench::losses::Losses;
use passband_ground::bench::scenario::{Figures, Return, Scenario};

const NAME: &str = "uftp";
/// Its pace, kbit/s.
const RATE_KBPS: &str = "80000";
/// How long it may take; it gives up an announcement after half a minute.
const PATIENCE: Duration = Duration::from_mins(2);
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
        return each(&Figures::not_measured(NAME, "not measured: not installed (apt-get install uftp)"));
    };
    each(&transfer(scenario, file, content, dir, Return::Lossy)?)?;
    if !scenario.real_time {
        return Ok(());
    }
    let dead = transfer(scenario, file, content, dir, Return::Dead)?;
    each(&dead)?;
    // Within a pass, an answer that comes in the next is none.
    each(&Figures { way_back: Some(Return::Late), ..dead })
}

fn transfer(
    scenario: &Scenario,
    file: &Path,
    content: &[u8],
    dir: &Path,
    way_back: Return,
) -> Result<Figures> {
    let received = dir.join(format!("uftp-{way_back:?}"));
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
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting uftp")?;
    let start = Instant::now();
    let ended = wait(sender)?;
    let took = start.elapsed().as_secs_f64();
    client.kill().context("stopping uftpd")?;
    client.wait().context("waiting for uftpd")?;
    let (datagrams, bytes) = relay.stop();
    let name = file.file_name().context("a file without a name")?;
    let whole = ended && fs::read(received.join(name)).is_ok_and(|got| got == content);
    Ok(if whole {
        let figures = Figures::down(NAME, Some(way_back), scenario, datagrams, bytes);
        Figures {
            note: Some(
                "in one go; passes and time as if the gaps did it no harm; its packets carry no tag"
                    .to_owned(),
            ),
            ..figures
        }
    } else {
        Figures::never(NAME, Some(way_back), format!("gave up after {took:.0} s and {bytes} bytes"))
    })
}

/// Waits for a process; one that takes too long is killed. Whether it ended by itself.
fn wait(mut child: Child) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if child.try_wait().context("waiting for uftp")?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(POLL);
    }
    child.kill().context("stopping uftp")?;
    child.wait().context("waiting for uftp")?;
    Ok(false)
}

fn free_port() -> Result<u16> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
    Ok(socket.local_addr().context("reading a socket's address")?.port())
}

/// Stands between the two and loses what the scenario says.
struct Relay {
    port: u16,
    stop: Arc<AtomicBool>,
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
        let (stop, datagrams, bytes) =
            (Arc::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let server = Arc::new(AtomicU64::new(0));
        let mut this = Self { port, stop, datagrams, bytes, threads: Vec::new() };
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
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let Ok((len, source)) = from.recv_from(&mut buffer) else { continue };
                let data = &buffer[..len];
                let next = to(data, source);
                n += 1;
                if let Some((socket, address)) = next.filter(|_| !losses.loses(n)) {
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
