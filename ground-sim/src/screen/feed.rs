//! The threads that fill a [`Model`]: telemetry over UDP into an archive, an archive that somebody else writes, and the disk.
//!
//! With a telemetry address the archive is opened for writing and what comes is kept in it; without, it is read along. Where
//! there are telemetry keys, packets whose tag holds under none of them are not shown. Nothing waits for whoever looks on.

mod threads;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use passband_flight::passes::PassPlan;
use passband_proto::packet::TelemetryPacket;

use super::ground::{Ground, Surveyor};
use super::{Model, Snapshot};
use crate::commands::unix_ms;
use crate::telemetry::tags::untagged;
use crate::telemetry::{Archive, Follower, Quota, Stored, TagKeys};

/// How long a socket or a file is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// Of an archive so much is shown at the start, bytes.
const LOOK_BACK_BYTES: u64 = 4 << 20;

/// Where what is shown comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The output folder of `receive`.
    pub out: PathBuf,
    /// Its symbol store.
    pub store: PathBuf,
    /// The archive of telemetry.
    pub archive: Option<PathBuf>,
    /// Where telemetry comes in over UDP; it is kept in the archive.
    pub telemetry: Option<SocketAddr>,
}

/// A model that is filled, and what follows it.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    telemetry: Option<SocketAddr>,
}

#[derive(Debug)]
struct Shared {
    model: Mutex<Model>,
    ground: Mutex<Ground>,
    /// What is written to, where telemetry comes in.
    archive: Option<Mutex<Archive>>,
    /// What history is read from, so that nobody who asks keeps what comes from being written.
    reader: Option<Mutex<Archive>>,
    recent: Mutex<VecDeque<(u64, Stored)>>,
    keys: TagKeys,
    /// Grows with every change.
    version: AtomicU64,
    packets: AtomicU64,
    /// Packets that weren't shown: whose tag is of another key, and those without one.
    refused: AtomicU64,
    untagged: AtomicU64,
    stop: AtomicBool,
}

impl Feed {
    /// Starts it. `keys` are the mission's telemetry keys; with none, tags are not looked at.
    ///
    /// # Errors
    /// The archive can't be opened, or the address not listened at.
    pub fn start(sources: &Sources, plan: PassPlan, keys: TagKeys) -> Result<Self> {
        let writes = sources.telemetry.is_some();
        let dir = sources.archive.as_deref();
        let archive = dir.filter(|_| writes).map(|dir| Archive::open(dir, Quota::default())).transpose()?;
        let reader = dir.map(Archive::open_to_read).transpose()?;
        let socket = sources.telemetry.map(listen).transpose()?;
        let telemetry = socket.as_ref().map(UdpSocket::local_addr).transpose()?;
        let shared = Arc::new(Shared {
            model: Mutex::new(Model::new(plan)),
            ground: Mutex::default(),
            archive: archive.map(Mutex::new),
            reader: reader.map(Mutex::new),
            recent: Mutex::default(),
            keys,
            version: AtomicU64::new(1),
            packets: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            untagged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut surveyor = Surveyor::new(&sources.out, &sources.store);
        *held(&shared.ground) = surveyor.look();
        let mut follower = dir.map(|dir| Follower::new(dir, LOOK_BACK_BYTES));
        if let Some(follower) = &mut follower {
            shared.follow(follower)?;
        }
        let mut threads = vec![shared.spawn("survey", move |shared| shared.survey(&mut surveyor))?];
        match (socket, follower) {
            (Some(socket), _) => threads.push(shared.spawn("telemetry", move |s| s.receive(&socket))?),
            (None, Some(mut follower)) => {
                threads.push(shared.spawn("archive", move |shared| shared.read_along(&mut follower))?);
            }
            (None, None) => {}
        }
        Ok(Self { shared, threads, telemetry })
    }

    /// Where telemetry is listened for.
    #[must_use]
    pub fn telemetry_address(&self) -> Option<SocketAddr> {
        self.telemetry
    }

    /// What is shown now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let ground = held(&self.shared.ground).clone();
        let snapshot = held(&self.shared.model).snapshot(unix_ms(), ground);
        let hint = match (self.refused(), self.untagged()) {
            (0, 0) => None,
            (0, _) => Some(untagged("--telemetry-keys")),
            _ => Some(self.shared.keys.hint()),
        };
        Snapshot { refused: self.refused(), untagged: self.untagged(), hint, ..snapshot }
    }

    /// For how long orders stay armed on board, ms, if the satellite said so.
    #[must_use]
    pub fn arm_ms(&self) -> Option<u64> {
        held(&self.shared.model).arm_ms()
    }

    /// The spacecraft whose beacon came last.
    #[must_use]
    pub fn spacecraft(&self) -> Option<u16> {
        held(&self.shared.model).spacecraft()
    }

    /// Changes whenever what is shown does, but for the time.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Packets that were not shown, as their tag held under no key.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Packets that were not shown, as they had no tag and there are keys.
    #[must_use]
    pub fn untagged(&self) -> u64 {
        self.shared.untagged.load(Ordering::Relaxed)
    }

    /// The packets behind number `after`, and the number of the last; of more than are held, those that are.
    #[must_use]
    pub fn packets_since(&self, after: u64) -> (u64, Vec<Stored>) {
        let recent = held(&self.shared.recent);
        let last = recent.back().map_or(after, |(number, _)| *number);
        let new = recent.iter().filter(|(number, _)| *number > after).map(|(_, stored)| stored.clone());
        (last, new.collect())
    }

    /// Shows the archive's packets of an APID within a time, ms since 1970-01-01 UTC, both included, whose tags hold; none
    /// without an archive.
    ///
    /// # Errors
    /// It can't be read.
    pub fn history(
        &self,
        apid: u16,
        unix_ms: (u64, u64),
        mut seen: impl FnMut(&TelemetryPacket<'_>),
    ) -> Result<()> {
        let Some(reader) = &self.shared.reader else { return Ok(()) };
        let mut reader = held(reader);
        reader.refresh()?;
        reader.each(apid, unix_ms, |packet| {
            if self.shared.is_authentic(packet) {
                seen(packet);
            }
        })
    }

    /// Ends the threads.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn listen(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address).with_context(|| format!("listening at {address}"))?;
    socket.set_read_timeout(Some(PATIENCE)).context("setting a timeout")?;
    Ok(socket)
}

/// What a thread that panicked left is still shown.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
