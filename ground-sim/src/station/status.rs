//! What the station tells others of itself while it receives: `STORE/link.json`, and a look into a store from outside.
//!
//! The file is written aside and renamed, so that whoever shows it (the ground's screens) never reads a part of it. A look
//! changes nothing in the store and takes no lock.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::folder::{bundles, done_report, glance, read_about};
use super::report::BundleReport;
use super::{Station, write_aside};

/// The file below the store.
const FILE: &str = "link.json";
/// Largest such file that is read, bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Most bundles of a store that are looked at.
const MOST_BUNDLES: usize = 4096;

/// How the fast link does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Version of this record, now 1.
    pub schema: u32,
    /// When it was written, ms since 1970-01-01 UTC.
    pub updated_unix_ms: u64,
    /// Datagrams that came since the station was started.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Symbols that were new.
    pub new: u64,
    /// Symbols that were known.
    pub known: u64,
    /// Datagrams that were not taken, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Share of datagrams that was lost since the station was started, 0 … 1; none: nothing was heard.
    pub loss: Option<f64>,
    /// The present pass of each spacecraft.
    pub passes: Vec<PassLoss>,
}

/// What was heard of a spacecraft's present pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassLoss {
    /// The spacecraft.
    pub spacecraft: u16,
    /// Datagrams from the first to the last one heard.
    pub sent: u64,
    /// How many of them were heard.
    pub heard: u64,
}

/// What lies in a store.
#[derive(Debug, Clone, Default)]
pub struct StoreLook {
    /// Bundles that are not whole, the ones that changed last first.
    pub open: Vec<BundleReport>,
    /// How many are not whole.
    pub open_count: usize,
    /// How many are whole.
    pub whole_count: usize,
}

impl Station {
    /// How the link does.
    #[must_use]
    pub fn link_status(&self, now_unix_ms: u64) -> LinkStatus {
        let counters = &self.counters;
        let spacecraft: Vec<u16> = counters.spacecraft().collect();
        let pass = |spacecraft: u16| {
            let (_, sent, heard) = counters.present_pass(spacecraft)?;
            Some(PassLoss { spacecraft, sent, heard })
        };
        LinkStatus {
            schema: 1,
            updated_unix_ms: now_unix_ms,
            datagrams: counters.datagrams,
            bytes: counters.bytes,
            new: counters.new,
            known: counters.known,
            rejected: counters.rejected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
            loss: counters.link_loss().map(|loss| loss.loss),
            passes: spacecraft.into_iter().filter_map(pass).collect(),
        }
    }

    /// Writes how the link does into the store.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_link_status(&self, now_unix_ms: u64) -> Result<()> {
        let text = serde_json::to_vec(&self.link_status(now_unix_ms))?;
        write_aside(&self.store.join(FILE), &text)
    }
}

impl LinkStatus {
    /// What a station has written into its store; `None` if it never did.
    ///
    /// # Errors
    /// It can't be read, or is of another version.
    pub fn read(store: &Path) -> Result<Option<Self>> {
        let path = store.join(FILE);
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
        };
        ensure!(about.len() <= MAX_FILE_BYTES, "{}: more than {MAX_FILE_BYTES} bytes", path.display());
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let status: Self = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        ensure!(status.schema == 1, "{}: schema {} (this version knows 1)", path.display(), status.schema);
        Ok(Some(status))
    }
}

/// Looks into a store, whether a station has it open or not; of the bundles that are not whole `most` are told.
///
/// # Errors
/// The folder can't be read; a bundle that can't is left out.
pub fn look(store: &Path, most: usize) -> Result<StoreLook> {
    let mut look = StoreLook::default();
    let mut open = Vec::new();
    for dir in bundles(store)?.into_iter().take(MOST_BUNDLES) {
        if done_report(&dir).is_some() {
            look.whole_count += 1;
        } else {
            let changed = fs::metadata(&dir).and_then(|about| about.modified());
            open.push((changed.unwrap_or(SystemTime::UNIX_EPOCH), dir));
        }
    }
    look.open_count = open.len();
    open.sort_by(|a, b| b.cmp(a));
    for (_, dir) in open.into_iter().take(most) {
        if let Ok(report) = read_about(&dir).and_then(|about| glance(&dir, &about)) {
            look.open.push(report);
        }
    }
    Ok(look)
}
