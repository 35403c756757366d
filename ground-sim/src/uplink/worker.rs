//! Works an outbox: takes what is queued in its folder, sends its frames, and tells it what telemetry says.
//!
//! One process at a time does so, the one that holds the folder's lock; others only queue. It gives no order of its own
//! but acknowledgements and questions, and never sends to anyone but the one address it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use passband_proto::sdls::{RESYNC_SALT, RoleKey};

use super::entry::Entry;
use super::folder::{Drop, Folder, KEEP_MS};
use super::hold::Hold;
use super::outbox::{Begin, Moment, Noticed, Outbox};
use super::shelf::Shelf;
use super::upload::About;
use crate::telemetry::feed::unix_ms;
use crate::telemetry::tags::untagged;
use crate::telemetry::{Feed, Heard, Proof};

/// How often the folder is looked at for what others have queued.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The shortest wait of a turn in which nothing was sent.
const BREATH: Duration = Duration::from_millis(10);

/// Where frames go, and how.
#[derive(Debug, Clone, Copy)]
pub struct Uplink {
    /// Where they are sent, a datagram each.
    pub to: SocketAddr,
    /// What the uplink carries, bit/s.
    pub rate_bps: u64,
    /// The virtual channel.
    pub vcid: u8,
    /// Whether only packets whose tag holds are believed.
    pub verified_only: bool,
    /// For how long an order stays armed on board, ms; none: as telemetry says.
    pub arm_ms: Option<u64>,
}

/// Works an outbox.
#[derive(Debug)]
pub struct Worker {
    folder: Folder,
    outbox: Outbox,
    feed: Feed,
    /// The file of the key, and what the key is called.
    keys: PathBuf,
    key: String,
    socket: UdpSocket,
    uplink: Uplink,
    begun: Instant,
    looked: Option<Instant>,
    known: BTreeSet<u32>,
    /// Whether it was said that what has no tag isn't believed.
    untagged_told: bool,
    /// Of the uploads that are in the outbox or settled, the numbers of their beginnings.
    uploads: BTreeMap<[u8; 4], u32>,
    /// Held as long as it works: let go last, once nothing else of it is there.
    _lock: File,
}

/// What happened in a turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// A packet that came.
    pub heard: Option<Heard>,
    /// What it changed.
    pub noticed: Vec<Noticed>,
    /// Frames that were sent.
    pub sent: usize,
    /// What the network said if it took one of them not: it goes again in its time.
    pub refused: Option<String>,
}

impl Worker {
    /// Takes up the outbox in a folder; the lock is the folder's.
    ///
    /// # Errors
    /// The folder can't be read, or there is no socket.
    pub fn open(folder: Folder, lock: File, key: &RoleKey, uplink: Uplink, feed: Feed) -> Result<Self> {
        let any = if uplink.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).context("opening a socket for the uplink")?;
        let now_ms = unix_ms();
        let (mark, number) = (folder.mark(now_ms)?, folder.used_number(now_ms)?);
        let Uplink { vcid, rate_bps, arm_ms, .. } = uplink;
        let learns_arm = arm_ms.is_none();
        let arm_ms = arm_ms.map_or_else(|| folder.arm_ms(), Ok)?;
        let begin = Begin { key, vcid, rate_bps, salt: salt()?, mark, number, arm_ms, learns_arm };
        let outbox = Outbox::new(&begin)?;
        let mut worker = Self {
            folder,
            outbox,
            feed,
            keys: PathBuf::new(),
            key: format!("{}, SPI {}", key.role(), key.spi()),
            socket,
            uplink,
            begun: Instant::now(),
            looked: None,
            known: BTreeSet::new(),
            untagged_told: false,
            uploads: BTreeMap::new(),
            _lock: lock,
        };
        worker.forget_old(now_ms)?;
        worker.look()?;
        Ok(worker)
    }

    /// One turn: sends what may go, then waits for a packet, for the line, or for `patience`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn turn(&mut self, patience: Duration) -> Result<Turn> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look()?;
        }
        let now = self.now();
        let frames = self.outbox.poll(now, &mut random, &mut self.folder)?;
        let mut turn = Turn::default();
        for frame in &frames {
            match self.socket.send_to(frame, self.uplink.to) {
                Ok(_) => turn.sent += 1,
                Err(e) => turn.refused = Some(format!("sending to {}: {e}", self.uplink.to)),
            }
        }
        let next = self.outbox.next_ms(now).map(|at| Duration::from_millis(at.saturating_sub(now.steady_ms)));
        let wait = next.unwrap_or(patience).min(patience).min(LOOK_EVERY);
        // What is held back is due and doesn't go: there is no hurry then.
        let wait = if frames.is_empty() { wait.max(BREATH) } else { wait };
        if let Some(heard) = self.feed.next(wait) {
            turn.noticed = self.tell(&heard)?;
            turn.heard = Some(heard);
        }
        Ok(turn)
    }

    /// The outbox.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What orders wait for, if they do.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.outbox.hold(self.now())
    }

    /// Its folder, to queue something.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where its key comes from, for what is said of it.
    pub fn name_keys(&mut self, file: &Path) {
        file.clone_into(&mut self.keys);
    }

    /// The file of its key, if that was named.
    #[must_use]
    pub fn keys(&self) -> &Path {
        &self.keys
    }

    /// What its key is called: `operator, SPI 2`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where telemetry comes from.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Whether telemetry is heard.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.outbox.hears(self.now())
    }

    fn tell(&mut self, heard: &Heard) -> Result<Vec<Noticed>> {
        let believed = match heard.proof {
            Proof::Verified => true,
            Proof::Unverified => !self.uplink.verified_only,
            Proof::Forged => false,
        };
        if heard.proof == Proof::Unverified && !believed && !std::mem::replace(&mut self.untagged_told, true)
        {
            tracing::warn!("{}", untagged("--telemetry-keys"));
        }
        let Some(packet) = heard.packet().filter(|_| believed) else { return Ok(Vec::new()) };
        let what = (packet.apid(), packet.time().to_unix_ms(), packet.data());
        self.outbox.hear(self.now(), what, &mut self.folder)
    }

    /// Takes what was queued, and what is to be taken back.
    fn look(&mut self) -> Result<()> {
        self.looked = Some(Instant::now());
        let now = self.now();
        for number in self.folder.numbers()? {
            if self.known.insert(number)
                && let Some(entry) = self.order(number)?
            {
                self.complete(&entry)?;
                self.outbox.add(now, entry);
            }
        }
        for id in self.folder.upload_ids()? {
            let Some(about) = self.upload(id)? else { continue };
            if self.uploads.insert(id, about.begin) != Some(about.begin) {
                self.take_upload(about)?;
            }
        }
        for what in self.folder.drops()? {
            match what {
                Drop::Order(number) => self.outbox.drop_order(number, &mut self.folder)?,
                Drop::Upload(id) => self.outbox.drop_upload(id, &mut self.folder)?,
            };
            self.folder.dropped(what)?;
        }
        Ok(())
    }

    fn take_upload(&mut self, about: About) -> Result<()> {
        if about.is_open() {
            let id = about.id;
            match self.folder.load_upload(about) {
                Ok(upload) => self.outbox.add_upload(upload),
                Err(e) => self.set_aside(Drop::Upload(id), &e)?,
            }
        }
        Ok(())
    }

    /// An order that is kept; one that can't be read is set aside, and stops nothing else.
    fn order(&self, number: u32) -> Result<Option<Entry>> {
        self.folder.order(number).or_else(|e| self.set_aside(Drop::Order(number), &e).map(|()| None))
    }

    fn upload(&self, id: [u8; 4]) -> Result<Option<About>> {
        self.folder.upload(id).or_else(|e| self.set_aside(Drop::Upload(id), &e).map(|()| None))
    }

    fn set_aside(&self, what: Drop, why: &anyhow::Error) -> Result<()> {
        let aside = self.folder.set_aside(what)?;
        tracing::warn!("{why:#}: it is set aside as {}", aside.display());
        Ok(())
    }

    /// An order that was given another number goes on under that, also if the process was killed in between.
    fn complete(&mut self, entry: &Entry) -> Result<()> {
        match entry.renumbered() {
            Some(next) if self.order(next.number)?.is_none() => self.folder.keep_order(&next),
            _ => Ok(()),
        }
    }

    fn forget_old(&mut self, now_ms: u64) -> Result<()> {
        for number in self.folder.numbers()? {
            let old = |queued: u64| now_ms.saturating_sub(queued) > KEEP_MS;
            if self.order(number)?.is_some_and(|entry| !entry.is_open() && old(entry.queued_unix_ms)) {
                self.folder.forget_order(number)?;
            }
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        let steady_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { steady_ms, unix_ms: unix_ms() }
    }
}

fn random() -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    Ok(bytes)
}

fn salt() -> Result<[u8; 4]> {
    loop {
        let [a, b, c, d, ..] = random()?;
        if [a, b, c, d] != RESYNC_SALT {
            return Ok([a, b, c, d]);
        }
    }
}

#[cfg(test)]
mod tests;
