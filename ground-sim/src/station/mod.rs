//! The station: datagrams in, from the air or from captures, products out.
//!
//! Every datagram is checked (structure, CRC, keyed tag), its symbol spooled to the symbol store on
//! disk, its block decoded as soon as enough symbols are there, opened under its bundle's key and
//! written into the product. The store survives kill -9 at any moment and spans
//! passes, captures and stations: whatever is pushed, in whatever order and however often, only helps.
//! Datagrams for which there is no key are spooled as they are, until there is one.
//!
//! Memory is bounded whatever comes: bundles that were not heard of for a while are put back into the
//! store. Decoding and writing products is done by a thread of its own. The station never opens a socket
//! or reads a clock: bytes are handed in.

mod alerts;
mod blocks;
mod bundle;
mod counters;
mod draft;
mod finish;
mod folder;
pub mod live;
mod merge;
mod open_blocks;
mod part;
mod products;
mod raw;
mod report;
mod sizes;
pub mod status;
mod subsets;
mod symbols;
mod workshop;

#[cfg(test)]
pub(crate) use alerts::tests::alert;
pub use alerts::{AlertBook, AlertReport};
pub use counters::{Counters, LinkLoss};
pub use folder::is_store;
pub use products::{FileReport, OpenedBundle, open_sealed_file, sha256_file, sha256_hex};
pub(crate) use products::{hex, write_aside};
pub use raw::{RawReport, raw_spools};
pub use report::BundleReport;
pub use status::{LinkStatus, StoreLook};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use passband_proto::datagram::{self, Datagram, OVERHEAD_BYTES};
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::TagKey;
use passband_proto::report::BundleState;
use passband_proto::transfer::belief::Observation;

use bundle::{Bundle, Taken};
use finish::{Finisher, Job};
use folder::Key;
use raw::RawSpool;
use workshop::{THREADS, Workshop};

/// Symbols held in memory before they are written to the store, bytes.
const PENDING_LIMIT_BYTES: usize = 16 << 20;
/// Bundles and open blocks held in memory; a block takes some kilobytes.
const MAX_WEIGHT: usize = 8192;
/// Reports held of bundles that are not in memory.
const MAX_REPORTS: usize = 4096;
/// What datagrams without a key may take on disk at a station that has no keys at all, bytes.
const RAW_LIMIT_BYTES: u64 = 256 << 30;
/// And at one that has keys, only not these.
const KEYED_RAW_LIMIT_BYTES: u64 = 4 << 30;

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A symbol that was not known yet.
    New,
    /// A symbol that was known, or of a block that is whole.
    Known,
    /// There is no key for it: it was spooled as it is.
    Spooled,
    /// Not taken, for this reason.
    Rejected(&'static str),
}

/// Receives bundles.
#[derive(Debug)]
pub struct Station {
    tag_keys: BTreeMap<(u16, u16), TagKey>,
    out: PathBuf,
    /// Whether products that are gone are made again when something of them comes.
    remakes: bool,
    store: PathBuf,
    bundles: BTreeMap<Key, Bundle>,
    weight: usize,
    clock: u64,
    /// Held as long as the store is in use.
    _locks: [File; 2],
    /// Whether what could not be finished is to be tried again.
    try_again: bool,
    /// What is in the store and not in memory.
    shelved: BTreeSet<Key>,
    /// What is in the store and can't be used.
    left_alone: BTreeSet<Key>,
    reports: BTreeMap<Key, BundleReport>,
    raw: RawSpool,
    workshop: Workshop,
    dirty: BTreeSet<(Key, u32)>,
    pending_bytes: usize,
    counters: Counters,
    finished: Vec<BundleReport>,
}

impl Station {
    /// Opens a symbol store, made if it isn't there, and takes up what it holds. Products go to `out`.
    ///
    /// # Errors
    /// The folders can't be made or read.
    #[expect(clippy::needless_pass_by_value, reason = "whoever opens a station gives its keys away")]
    pub fn open(keys: KeyRing, store: &Path, out: &Path) -> Result<Self> {
        for dir in [store, out] {
            fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
        }
        let locks = folder::lock(store, out)?;
        let tag_keys = keys.iter().map(|k| ((k.spacecraft(), k.epoch()), k.tag_key())).collect();
        let raw_limit = if keys.is_empty() { RAW_LIMIT_BYTES } else { KEYED_RAW_LIMIT_BYTES };
        let mut station = Self {
            tag_keys,
            out: out.to_owned(),
            remakes: false,
            store: store.to_owned(),
            bundles: BTreeMap::new(),
            weight: 0,
            clock: 0,
            _locks: locks,
            try_again: false,
            shelved: BTreeSet::new(),
            left_alone: BTreeSet::new(),
            reports: BTreeMap::new(),
            raw: RawSpool::open(&store.join("raw"), raw_limit)?,
            workshop: Workshop::start((0..THREADS).map(|_| Finisher::new(keys.clone(), out)))?,
            dirty: BTreeSet::new(),
            pending_bytes: 0,
            counters: Counters::default(),
            finished: Vec::new(),
        };
        station.take_up()?;
        Ok(station)
    }

    /// From now on a product that isn't in the output folder any more is made again when a datagram of its
    /// bundle comes. Otherwise it is taken to have been moved on by whoever uses it.
    pub fn remake_products(&mut self) {
        self.remakes = true;
    }

    /// Takes one datagram. Anything at all may be in it.
    ///
    /// # Errors
    /// Only those of the disk.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Verdict> {
        let verdict = self.judge(bytes)?;
        self.note(verdict, bytes.len())?;
        Ok(verdict)
    }

    /// Counts a datagram's worth of bytes that never was one, such as a packet of somebody else.
    pub fn count_foreign(&mut self, bytes: usize) {
        self.counters.count(Verdict::Rejected("foreign"), bytes);
    }

    /// Takes what another station has: `dir` is its store. Datagrams that it spooled without a key are checked
    /// here; symbols that it stored were checked there, and the bundle's seals tell in the end. What there is
    /// a key for is taken; nothing is changed there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn take_store(&mut self, dir: &Path) -> Result<()> {
        raw::replay(&dir.join("raw"), |bytes| self.push(bytes).map(drop))?;
        let mut bytes = vec![0; usize::from(u16::MAX) + OVERHEAD_BYTES];
        let mut without_key = 0_u64;
        for bundle in folder::bundles(dir)? {
            let known = |about: folder::About| self.tag_keys.contains_key(&(about.spacecraft, about.epoch));
            if folder::read_about(&bundle).is_ok_and(|about| !known(about)) {
                without_key += 1;
                continue;
            }
            let mut own = Ok(());
            let taken = merge::symbols(&bundle, |header, symbol| {
                let Some(key) = self.tag_keys.get(&(header.spacecraft, header.epoch)) else { return Ok(()) };
                let Ok(length) = datagram::encode(header, symbol, key, &mut bytes) else { return Ok(()) };
                let datagram = Datagram::parse(bytes.get(..length).unwrap_or_default())?;
                own = self.take(&datagram).and_then(|verdict| self.note(verdict, length));
                ensure!(own.is_ok(), "the store here failed");
                Ok(())
            });
            own?;
            if let Err(e) = taken {
                tracing::warn!("not all of {} could be taken: {e:#}", bundle.display());
            }
        }
        if without_key > 0 {
            let store = dir.display();
            tracing::warn!(
                "{without_key} bundles of {store} could not be taken: there is no key for them here"
            );
        }
        self.flush()
    }

    /// Writes what is in memory to the store: what was pushed before survives kill -9 from here on. Takes
    /// note of what was decoded meanwhile.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&mut self) -> Result<()> {
        self.pending_bytes = 0;
        for (key, block) in std::mem::take(&mut self.dirty) {
            if let Some(bundle) = self.bundles.get_mut(&key) {
                bundle.flush(block)?;
            }
        }
        self.raw.flush()?;
        self.collect(Duration::ZERO)?;
        if std::mem::take(&mut self.try_again) {
            let again: Vec<_> = self.bundles.values_mut().filter_map(Bundle::job_if_whole).collect();
            again.into_iter().try_for_each(|job| self.workshop.give(job))?;
        }
        Ok(())
    }

    /// Takes note of what was decoded meanwhile; whether more is being decoded or written.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn poll(&mut self) -> Result<bool> {
        self.collect(Duration::ZERO)?;
        Ok(!self.workshop.is_idle())
    }

    /// Waits until all that can be decoded is, and writes what there is of bundles that are not complete:
    /// for the end of a pass or of the captures.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn settle(&mut self) -> Result<()> {
        self.try_again = true;
        self.flush()?;
        self.wait()?;
        let jobs: Vec<_> = self.bundles.values_mut().filter_map(Bundle::job_partial).collect();
        jobs.into_iter().try_for_each(|job| self.workshop.give(job))?;
        self.wait()
    }

    /// Every bundle heard of, by spacecraft, epoch and id; of those that are in the store only, the first
    /// few thousand.
    #[must_use]
    pub fn report(&self) -> Vec<BundleReport> {
        let mut all: BTreeMap<Key, BundleReport> = self.reports.clone();
        all.extend(self.bundles.iter().map(|(key, bundle)| (*key, bundle.report())));
        all.into_values().collect()
    }

    /// How many bundles are complete.
    #[must_use]
    pub fn complete(&self) -> usize {
        self.bundles.values().filter(|bundle| bundle.is_complete()).count()
            + self.reports.values().filter(|report| report.complete).count()
    }

    /// The bundles that became whole since the last call.
    pub fn take_finished(&mut self) -> Vec<BundleReport> {
        std::mem::take(&mut self.finished)
    }

    /// What bundles of a spacecraft and key epoch still need, for a report to it: those that were heard of
    /// last first, then those that were completed before; `most` of them at most.
    #[must_use]
    pub fn states(&self, spacecraft: u16, epoch: u16, most: usize) -> Vec<BundleState> {
        let mut bundles: Vec<_> =
            self.bundles.values().filter(|b| (b.key().0, b.key().1) == (spacecraft, epoch)).collect();
        bundles.sort_by_key(|bundle| std::cmp::Reverse(bundle.used));
        let of_old = (spacecraft, epoch, BundleId([0; 12]))..=(spacecraft, epoch, BundleId([u8::MAX; 12]));
        let complete = self.reports.range(of_old).filter(|(_, report)| report.complete);
        let complete = complete.map(|((_, _, id), _)| BundleState { id: *id, blocks: Vec::new() });
        bundles.into_iter().filter_map(Bundle::state).chain(complete).take(most).collect()
    }

    /// What was heard of the present pass of a spacecraft's link, for a report to it.
    #[must_use]
    pub fn observation(&self, spacecraft: u16, station: u16) -> Option<Observation> {
        self.counters.present_pass(spacecraft).map(|(first_seq, span, heard)| Observation {
            station,
            first_seq,
            span: u32::try_from(span).unwrap_or(u32::MAX),
            heard: u32::try_from(heard.min(span)).unwrap_or(u32::MAX),
        })
    }

    /// Begins a new pass in what is counted of the link. What could not be finished before, for want of room
    /// say, is tried again.
    pub fn begin_pass(&mut self) {
        self.counters.begin_pass();
        self.left_alone.clear();
        self.try_again = true;
    }

    /// What was spooled without a key; bundles that can be are put together, unverified.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn assemble(&mut self) -> Result<Vec<RawReport>> {
        self.raw.flush()?;
        let mut spools = raw_spools(&self.store)?;
        for spool in &mut spools {
            spool.unverified = raw::assemble(&spool.spool)?;
        }
        Ok(spools)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn judge(&mut self, bytes: &[u8]) -> Result<Verdict> {
        let datagram = match Datagram::parse(bytes) {
            Ok(datagram) => datagram,
            Err(e) => return Ok(Verdict::Rejected(e.name())),
        };
        let header = *datagram.header();
        let Some(tag_key) = self.tag_keys.get(&(header.spacecraft, header.epoch)) else {
            // A station with keys knows its spacecraft: anybody can name another.
            let ours = self.tag_keys.is_empty()
                || self.tag_keys.keys().any(|(spacecraft, _)| *spacecraft == header.spacecraft);
            return if ours { self.raw.push(&datagram, bytes) } else { Ok(Verdict::Rejected("no-key")) };
        };
        if !datagram.verify(tag_key) {
            return Ok(Verdict::Rejected("tag"));
        }
        self.counters.heard(header.spacecraft, header.link_seq);
        self.take(&datagram)
    }

    /// Counts what became of a datagram, and writes what is in memory to the store if it is too much.
    fn note(&mut self, verdict: Verdict, bytes: usize) -> Result<()> {
        self.counters.count(verdict, bytes);
        if self.pending_bytes > PENDING_LIMIT_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes an authentic datagram.
    fn take(&mut self, datagram: &Datagram<'_>) -> Result<Verdict> {
        let header = datagram.header();
        let key = (header.spacecraft, header.epoch, header.bundle);
        self.load(key, datagram)?;
        self.clock += 1;
        let Some(bundle) = self.bundles.get_mut(&key) else { return Ok(Verdict::Rejected("store")) };
        bundle.used = self.clock;
        let weight = bundle.weight();
        let taken = bundle.push(datagram)?;
        let grown = bundle.weight() > weight;
        self.weight = self.weight + bundle.weight() - weight;
        let verdict = match taken {
            Taken::Conflict => Verdict::Rejected("conflict"),
            Taken::Known => Verdict::Known,
            Taken::New(bytes) => {
                self.pending_bytes += bytes;
                self.dirty.insert((key, header.block));
                let job = bundle.job_for(header.block)?;
                let waiting = bundle.jobs_waiting()?;
                for job in waiting.into_iter().chain(job) {
                    self.workshop.give(job)?;
                }
                Verdict::New
            }
        };
        if grown && self.weight > MAX_WEIGHT {
            self.shelve(key)?;
        }
        Ok(verdict)
    }

    /// Sees to it that a bundle is in memory. One whose folder can't be used is left alone: then it isn't.
    fn load(&mut self, key: Key, datagram: &Datagram<'_>) -> Result<()> {
        if self.bundles.contains_key(&key) || self.left_alone.contains(&key) {
            return Ok(());
        }
        let mut jobs = Vec::new();
        let dir = folder::of(&self.store, &key);
        let bundle = if dir.join("about.json").exists() {
            let gone = |done| !folder::product_is_in(&self.out, &done);
            let again = self.remakes && folder::done_report(&dir).is_some_and(gone);
            let ready = if again { blocks::remove(&dir.join("done.json")) } else { Ok(()) };
            match ready.and_then(|()| Bundle::resume(&dir)) {
                Ok(mut bundle) => {
                    jobs = bundle.jobs_to_resume()?;
                    bundle
                }
                Err(e) if folder::is_unreadable(&dir) => {
                    tracing::warn!("{} is put aside: {e:#}", dir.display());
                    folder::put_aside(&dir)?;
                    Bundle::create(&self.store, datagram.header(), datagram.symbol_bytes())?
                }
                Err(e) => {
                    tracing::warn!("{} is left alone until the next pass: {e:#}", dir.display());
                    self.left_alone.insert(key);
                    return Ok(());
                }
            }
        } else {
            Bundle::create(&self.store, datagram.header(), datagram.symbol_bytes())?
        };
        self.shelved.remove(&key);
        self.reports.remove(&key);
        self.weight += bundle.weight();
        self.bundles.insert(key, bundle);
        jobs.into_iter().try_for_each(|job| self.workshop.give(job))?;
        if self.weight > MAX_WEIGHT {
            self.shelve(key)?;
        }
        Ok(())
    }

    /// Puts the bundles back into the store that were not heard of for longest; never `keep`.
    fn shelve(&mut self, keep: Key) -> Result<()> {
        self.flush()?;
        let mut by_use: Vec<_> = self.bundles.values().map(|bundle| (bundle.used, bundle.key())).collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            if self.weight <= MAX_WEIGHT / 2 {
                break;
            }
            let idle = self.bundles.get(&key).is_some_and(Bundle::is_idle);
            if key != keep
                && idle
                && let Some(bundle) = self.bundles.remove(&key)
            {
                self.weight -= bundle.weight();
                self.remember(key, bundle.report());
            }
        }
        Ok(())
    }

    /// Notes a bundle that is in the store and not in memory.
    fn remember(&mut self, key: Key, report: BundleReport) {
        self.shelved.insert(key);
        if self.reports.len() < MAX_REPORTS {
            self.reports.insert(key, report);
        }
    }

    /// Waits until nothing is left to be decoded or written.
    fn wait(&mut self) -> Result<()> {
        while !self.workshop.is_idle() {
            self.collect(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Takes note of what was decoded and written.
    fn collect(&mut self, most: Duration) -> Result<()> {
        let mut most = most;
        while let Some(done) = self.workshop.next(most)? {
            most = Duration::ZERO;
            let Some(bundle) = self.bundles.get_mut(&done.key) else { continue };
            let (weight, before) = (bundle.weight(), bundle.is_complete());
            let next = bundle.take(done.outcome)?;
            self.weight = self.weight + bundle.weight() - weight;
            if bundle.is_complete() && !before {
                self.finished.push(bundle.report());
            }
            next.into_iter().try_for_each(|job: Job| self.workshop.give(job))?;
        }
        Ok(())
    }

    /// Takes note of the bundles of the store, goes on with those that are not complete, and takes in what
    /// was spooled without the keys that are there now.
    fn take_up(&mut self) -> Result<()> {
        for path in folder::bundles(&self.store)? {
            if let Err(e) = self.take_up_bundle(&path) {
                tracing::warn!("{} is left alone: {e:#}", path.display());
            }
        }
        let tag_keys = &self.tag_keys;
        let known = self.raw.take_known(|spacecraft, epoch| tag_keys.contains_key(&(spacecraft, epoch)))?;
        for spool in known {
            let mut all_taken = true;
            raw::replay_one(&spool, |bytes| {
                all_taken &= self.push(bytes)? != Verdict::Rejected("store");
                Ok(())
            })?;
            self.flush()?;
            if all_taken {
                self.raw.remove(&spool)?;
            }
        }
        Ok(())
    }

    fn take_up_bundle(&mut self, dir: &Path) -> Result<()> {
        let about = folder::read_about(dir)?;
        let known = self.tag_keys.contains_key(&(about.spacecraft, about.epoch));
        if let Some(mut report) = folder::done_report(dir) {
            // The folders may have been moved since.
            if let Some(name) = report.output.as_ref().and_then(|output| output.file_name())
                && folder::product_is_in(&self.out, &report)
            {
                report.output = Some(self.out.join(name));
                report.sealed = Some(folder::sealed_path(dir, &about.id));
            }
            self.remember(about.key(), report);
            return Ok(());
        }
        if !known || self.weight > MAX_WEIGHT / 2 {
            self.remember(about.key(), folder::glance(dir, &about)?);
            return Ok(());
        }
        let mut bundle = Bundle::resume(dir)?;
        let jobs = bundle.jobs_to_resume()?;
        self.weight += bundle.weight();
        self.bundles.insert(about.key(), bundle);
        jobs.into_iter().try_for_each(|job| self.workshop.give(job))
    }
}

#[cfg(test)]
mod tests;
