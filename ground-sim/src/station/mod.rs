//! The station: datagrams in, from the air or from captures, products out.
//!
//! Every datagram is checked (structure, CRC, keyed tag), its symbol spooled to the symbol store on
//! disk, its block decoded as soon as enough symbols are there, opened under its bundle's key and, once
//! all blocks are whole, written out as files. The store survives kill -9 at any moment and spans
//! passes, captures and stations: whatever is pushed, in whatever order and however often, only helps.
//!
//! The station never opens a socket or reads a clock: bytes are handed in.

mod alerts;
mod blocks;
mod bundle;
mod counters;

pub mod live;
mod products;

pub use alerts::{AlertBook, AlertReport};
pub use bundle::BundleReport;
pub use counters::{Counters, LinkLoss};
pub(crate) use products::hex;
pub use products::{FileReport, OpenedBundle, open_sealed_file, sha256_file, sha256_hex};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::datagram::Datagram;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::TagKey;

use bundle::Bundle;

/// Symbols held in memory before they are written to the store, bytes.
const PENDING_LIMIT_BYTES: usize = 32 << 20;

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A symbol that was not known yet.
    New,
    /// A symbol that was known, or of a block that is whole.
    Known,
    /// Not taken, for this reason.
    Rejected(&'static str),
}

/// Receives bundles.
#[derive(Debug)]
pub struct Station {
    keys: KeyRing,
    tag_keys: BTreeMap<(u16, u16), TagKey>,
    store: PathBuf,
    out: PathBuf,
    bundles: BTreeMap<(u16, u16, BundleId), Bundle>,
    pending_bytes: usize,
    counters: Counters,
    finished: Vec<BundleReport>,
}

impl Station {
    /// Opens a symbol store, made if it isn't there, and takes up what it holds. Products go to `out`.
    ///
    /// # Errors
    /// The folders can't be made or read.
    pub fn open(keys: KeyRing, store: &Path, out: &Path) -> Result<Self> {
        for dir in [store, out] {
            fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
        }
        let tag_keys = keys.iter().map(|k| ((k.spacecraft(), k.epoch()), k.tag_key())).collect();
        let mut station = Self {
            keys,
            tag_keys,
            store: store.to_owned(),
            out: out.to_owned(),
            bundles: BTreeMap::new(),
            pending_bytes: 0,
            counters: Counters::default(),
            finished: Vec::new(),
        };
        station.take_up()?;
        Ok(station)
    }

    /// Takes one datagram. Anything at all may be in it.
    ///
    /// # Errors
    /// Only those of the disk.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Verdict> {
        let verdict = self.judge(bytes)?;
        self.counters.count(verdict, bytes.len());
        if self.pending_bytes > PENDING_LIMIT_BYTES {
            self.flush()?;
        }
        Ok(verdict)
    }

    /// Counts a datagram's worth of bytes that never was one, such as a packet of somebody else.
    pub fn count_foreign(&mut self, bytes: usize) {
        self.counters.count(Verdict::Rejected("foreign"), bytes);
    }

    /// Writes what is in memory to the store. What was pushed before survives kill -9 from here on.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&mut self) -> Result<()> {
        self.pending_bytes = 0;
        self.bundles.values_mut().try_for_each(Bundle::flush)
    }

    /// Tries to decode every block that has K symbols, also where K + 2 had not come yet, and writes
    /// what is in memory to the store: for the end of a pass or of the captures.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn settle(&mut self) -> Result<()> {
        self.flush()?;
        let ids: Vec<_> = self.bundles.keys().copied().collect();
        for id in ids {
            if let Some(bundle) = self.bundles.get_mut(&id) {
                bundle.decode_all(&self.keys, &self.out)?;
                self.finished.extend(bundle.take_completion());
            }
        }
        Ok(())
    }

    /// Every bundle heard of, by spacecraft, epoch and id.
    #[must_use]
    pub fn report(&self) -> Vec<BundleReport> {
        self.bundles.values().map(Bundle::report).collect()
    }

    /// The bundles that became whole since the last call.
    pub fn take_finished(&mut self) -> Vec<BundleReport> {
        std::mem::take(&mut self.finished)
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
            return Ok(Verdict::Rejected("no-key"));
        };
        if !datagram.verify(tag_key) {
            return Ok(Verdict::Rejected("tag"));
        }
        self.counters.heard(header.link_seq);
        let id = (header.spacecraft, header.epoch, header.bundle);
        if !self.bundles.contains_key(&id) {
            let bundle = Bundle::create(&self.store, &header, datagram.symbol_bytes())?;
            self.bundles.insert(id, bundle);
        }
        let Some(bundle) = self.bundles.get_mut(&id) else { return Ok(Verdict::Rejected("conflict")) };
        let verdict = bundle.push(&datagram);
        if verdict == Verdict::New {
            self.pending_bytes += bytes.len();
            bundle.decode_if_ready(header.block, &self.keys, &self.out)?;
            self.finished.extend(bundle.take_completion());
        }
        Ok(verdict)
    }

    /// Takes up the bundles of the store.
    fn take_up(&mut self) -> Result<()> {
        let entries = fs::read_dir(&self.store)
            .with_context(|| format!("reading the symbol store {}", self.store.display()))?;
        for entry in entries {
            let path = entry.context("reading the symbol store")?.path();
            match Bundle::resume(&path) {
                Ok(Some(bundle)) => {
                    self.bundles.insert(bundle.key(), bundle);
                }
                Ok(None) => {}
                Err(e) => tracing::warn!("{} is left alone: {e:#}", path.display()),
            }
        }
        let ids: Vec<_> = self.bundles.keys().copied().collect();
        for id in ids {
            if let Some(bundle) = self.bundles.get_mut(&id) {
                bundle.resume_products(&self.keys, &self.out)?;
                self.finished.extend(bundle.take_completion());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
