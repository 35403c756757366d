//! Telemetry as it comes in: sockets and growing files side by side, every intact packet once, with what its tag says.
//!
//! A thread a source hands over bytes; the packets are found, counted and checked by whoever asks for the next. What
//! comes faster than it is asked for is dropped at the sockets, never held without bound. Sources are never closed by
//! damage: a TCP connection that ends is opened anew.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use passband_proto::dict::PacketDef;
use passband_proto::packet::{MIN_PACKET_BYTES, TelemetryPacket};

use super::intake::{Intake, Verdict};
use super::reader::ReaderStats;
use super::routes::{MAX_ROUTES, Routes};
use super::tags::{Proof, TagKeys};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that may wait to be looked at: 2 MiB at most.
const MAX_CHUNKS: usize = 128;
/// Packets that may wait to be asked for.
const MAX_WAITING: usize = 4096;
/// A silence after which what stands behind something undecided is handed out.
const IDLE: Duration = Duration::from_millis(500);
/// How often a file is looked at for what was added, and a connection is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a source that another process has is tried again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Where telemetry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Datagrams to this address.
    Udp(SocketAddr),
    /// A stream from a server there.
    Tcp(SocketAddr),
    /// A file that may grow.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) | Self::Tcp(address) => write!(f, "{address}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// When it was received, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
    /// What its tag says.
    pub proof: Proof,
}

/// Everything that comes in.
#[derive(Debug)]
pub struct Feed {
    chunks: Receiver<(Route, Vec<u8>)>,
    /// For sources that are added.
    sender: SyncSender<(Route, Vec<u8>)>,
    sources: usize,
    /// Sources that another process has, and when they were tried last.
    taken: Vec<Source>,
    tried: Instant,
    packets: Packets,
    last_chunk: Instant,
}

/// Packets out of streams, without any source: what a [`Feed`] does with bytes.
#[derive(Debug)]
pub struct Packets {
    routes: Routes<Route, u64, fn(u16) -> Option<usize>>,
    intake: Intake,
    keys: TagKeys,
    waiting: VecDeque<Heard>,
}

/// One stream: number of the source, and the sender of its datagrams.
type Route = (usize, Option<SocketAddr>);

/// The length of the packets of an APID, by the dictionary.
#[must_use]
pub fn packet_bytes(apid: u16) -> Option<usize> {
    PacketDef::of(apid).map(|def| def.data_bytes() + MIN_PACKET_BYTES)
}

impl Heard {
    /// The packet.
    #[must_use]
    pub fn packet(&self) -> Option<TelemetryPacket<'_>> {
        TelemetryPacket::parse(&self.bytes).ok()
    }
}

impl Packets {
    /// With these keys.
    #[must_use]
    pub fn new(keys: TagKeys) -> Self {
        let lengths: fn(u16) -> Option<usize> = packet_bytes;
        Self {
            routes: Routes::new(lengths, MAX_ROUTES),
            intake: Intake::default(),
            keys,
            waiting: VecDeque::new(),
        }
    }

    /// Takes a packet that is whole.
    pub fn take(&mut self, packet: &TelemetryPacket<'_>, received_unix_ms: u64) {
        take(&mut self.intake, &mut self.keys, &mut self.waiting, packet, received_unix_ms);
    }

    /// The next packet.
    pub fn pop(&mut self) -> Option<Heard> {
        self.waiting.pop_front()
    }

    /// What came, by APID.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// What was met in the streams.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.routes.stats()
    }

    fn push(&mut self, route: Route, bytes: &[u8], unix_ms: u64) {
        let Self { routes, intake, keys, waiting } = self;
        routes.push(&route, bytes, unix_ms, |packet, at| take(intake, keys, waiting, packet, at));
    }

    fn idle(&mut self) {
        let Self { routes, intake, keys, waiting } = self;
        routes.idle(|packet, at| take(intake, keys, waiting, packet, at));
    }
}

fn take(
    intake: &mut Intake,
    keys: &mut TagKeys,
    waiting: &mut VecDeque<Heard>,
    packet: &TelemetryPacket<'_>,
    received_unix_ms: u64,
) {
    let proof = keys.judge(packet);
    if let Some(what) = keys.foreign(proof) {
        tracing::warn!("{what}");
    }
    // A forged one must not keep the true one of the same count out.
    if proof != Proof::Forged && intake.take(packet) == Verdict::Duplicate {
        return;
    }
    if waiting.len() < MAX_WAITING {
        waiting.push_back(Heard { bytes: packet.bytes().to_vec(), received_unix_ms, proof });
    }
}

impl Feed {
    /// Opens all sources.
    ///
    /// # Errors
    /// A socket can't be bound, or a file can't be opened.
    pub fn open(sources: &[Source], keys: TagKeys) -> Result<Self> {
        let (sender, chunks) = sync_channel(MAX_CHUNKS);
        let (now, packets) = (Instant::now(), Packets::new(keys));
        let mut feed =
            Self { chunks, sender, sources: 0, taken: Vec::new(), tried: now, packets, last_chunk: now };
        sources.iter().try_for_each(|source| feed.add(source))?;
        Ok(feed)
    }

    /// Opens one more source.
    ///
    /// # Errors
    /// A socket can't be bound, or a file can't be opened.
    pub fn add(&mut self, source: &Source) -> Result<()> {
        start(self.sources, source, self.sender.clone())?;
        self.sources += 1;
        Ok(())
    }

    /// Opens one more source, once the process that has it lets it go: whether it could be had at once.
    ///
    /// # Errors
    /// It can't be opened, and no other process has it.
    pub fn add_when_free(&mut self, source: &Source) -> Result<bool> {
        match self.add(source) {
            Ok(()) => Ok(true),
            Err(e) if is_taken(&e) => {
                self.taken.push(source.clone());
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// How many sources it has.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources
    }

    /// Sources that it waits for.
    #[must_use]
    pub fn taken(&self) -> &[Source] {
        &self.taken
    }

    /// Tries what is taken again.
    fn try_taken(&mut self) {
        if self.taken.is_empty() || self.tried.elapsed() < TRY_EVERY {
            return;
        }
        self.tried = Instant::now();
        for source in std::mem::take(&mut self.taken) {
            match self.add(&source) {
                Ok(()) => tracing::warn!("telemetry is heard from {source} now"),
                Err(_) => self.taken.push(source),
            }
        }
    }

    /// The next packet; none if none comes in this time.
    pub fn next(&mut self, patience: Duration) -> Option<Heard> {
        let until = Instant::now() + patience;
        self.try_taken();
        loop {
            if let Some(heard) = self.packets.pop() {
                return Some(heard);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left.min(IDLE)) {
                Ok((route, bytes)) => {
                    self.last_chunk = Instant::now();
                    self.packets.push(route, &bytes, unix_ms());
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if self.last_chunk.elapsed() >= IDLE {
                        self.packets.idle();
                    }
                }
            }
            if Instant::now() >= until {
                return self.packets.pop();
            }
        }
    }

    /// What came.
    #[must_use]
    pub fn packets(&self) -> &Packets {
        &self.packets
    }
}

/// Whether a source can't be opened since another process has it.
#[must_use]
pub fn is_taken(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::AddrInUse)
}

/// The clock of the day, ms since 1970-01-01 UTC.
#[must_use]
pub fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn start(number: usize, source: &Source, out: SyncSender<(Route, Vec<u8>)>) -> Result<()> {
    let work: Box<dyn FnOnce() + Send> = match source {
        Source::Udp(address) => {
            let socket = UdpSocket::bind(address).with_context(|| format!("listening on {address}"))?;
            Box::new(move || datagrams(number, &socket, &out))
        }
        Source::Tcp(address) => {
            let address = *address;
            Box::new(move || connections(number, address, &out))
        }
        Source::File(path) => {
            let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
            let path = path.clone();
            Box::new(move || growing(number, file, &path, &out))
        }
    };
    thread::Builder::new().name("telemetry".into()).spawn(work).context("starting a thread")?;
    Ok(())
}

fn datagrams(number: usize, socket: &UdpSocket, out: &SyncSender<(Route, Vec<u8>)>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((bytes, from)) => {
                let chunk = buffer.get(..bytes).unwrap_or_default().to_vec();
                if out.send(((number, Some(from)), chunk)).is_err() {
                    return;
                }
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

fn connections(number: usize, address: SocketAddr, out: &SyncSender<(Route, Vec<u8>)>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address)
            && !pour(number, &mut stream, out)
        {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn growing(number: usize, mut file: File, path: &Path, out: &SyncSender<(Route, Vec<u8>)>) {
    let mut at = 0;
    while pour(number, &mut file, out) {
        thread::sleep(LOOK_EVERY);
        // One that became shorter was begun anew.
        let size = file.metadata().map_or(0, |about| about.len());
        if size < at {
            let Ok(again) = File::open(path) else { continue };
            file = again;
        }
        at = file.stream_position().unwrap_or(at);
    }
}

/// Hands over all there is; whether anyone is there to take it.
fn pour(number: usize, from: &mut impl Read, out: &SyncSender<(Route, Vec<u8>)>) -> bool {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return true,
            Ok(bytes) => {
                let chunk = chunk.get(..bytes).unwrap_or_default().to_vec();
                if out.send(((number, None), chunk)).is_err() {
                    return false;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests;
