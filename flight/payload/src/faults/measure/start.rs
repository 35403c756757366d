//! The time that a start of the daemon takes with many bundles, on this machine's disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use passband_proto::bundle::Geometry;
use passband_proto::dict::EventCode;
use passband_proto::ids::{BundleId, Class};
use passband_proto::transfer::BlockMark;

use crate::adapters::catalogue::open_catalogue;
use crate::adapters::disk::{Disk, LinuxDisk};
use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::daemon::{line_up, recover};
use crate::products::Kind;
use crate::queue::{Settings, Standing, State};
use crate::store::{BundleRecord, FrameId, FrameRecord, NewFrame, StandingRecord, StoreError};
use crate::telemetry::Report;

/// Frames that are made known at a time.
const BATCH: u32 = 1_000;
/// Two small blocks.
const GEOMETRY: Geometry =
    Geometry { symbol_bytes: 64, block_count: 2, head_bytes: 128, segment_bytes: 640, tail_bytes: 192 };

/// How long the parts of a start took, ms.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Bundles in the queue afterwards.
    pub bundles: u64,
    /// Opening the catalogue, repaired or proved, and the vault.
    pub open_ms: f64,
    /// Putting catalogue, vault and spool in order.
    pub recover_ms: f64,
    /// Making the queue.
    pub line_up_ms: f64,
}

impl Start {
    /// All of it, ms.
    pub fn total_ms(&self) -> f64 {
        self.open_ms + self.recover_ms + self.line_up_ms
    }
}

/// Fills a new state folder with so many frames, each with a quicklook and a cube of 320 bytes, of which half were sent.
///
/// # Errors
/// Those of the store, in words.
pub fn fill(state: &Path, frames: u32) -> Result<(), String> {
    let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
    let in_words = |e: &dyn core::fmt::Display| e.to_string();
    disk.make_folder(state).map_err(|e| in_words(&e))?;
    let catalogue = open_catalogue(disk.as_ref(), state).map_err(|e| in_words(&e))?.catalogue;
    Vault::open(Arc::clone(&disk), state).map_err(|e| in_words(&e))?;
    for first in (0..frames).step_by(BATCH as usize) {
        let new: Vec<NewFrame> = (first..frames.min(first + BATCH)).map(frame).collect();
        let bundles: Vec<&BundleRecord> = new.iter().flat_map(|new| &new.bundles).collect();
        for bundle in &bundles {
            write(disk.as_ref(), state, bundle).map_err(|e| in_words(&e))?;
        }
        catalogue.add_frames(&new).map_err(|e| in_words(&e))?;
        let sent = bundles.iter().step_by(2);
        let mark = |block| BlockMark { block, esi: 9, sent: 9 };
        let marks: Vec<_> = sent.clone().flat_map(|b| [(b.id, mark(0)), (b.id, mark(1))]).collect();
        catalogue.reserve(&marks).map_err(|e| in_words(&e))?;
        let standings: Vec<_> = sent.map(|bundle| (bundle.id, presumed())).collect();
        catalogue.set_standings(&standings).map_err(|e| in_words(&e))?;
    }
    Ok(())
}

/// Starts and ends as a daemon does that is killed: the catalogue is left as it is while it is open.
///
/// # Errors
/// Those of the store, in words.
pub fn kill(state: &Path) -> Result<(), String> {
    let name = |name: &str| state.join(name);
    let opened = open_catalogue(&LinuxDisk, state).map_err(|e| e.to_string())?;
    opened.catalogue.count_boot().map_err(|e| e.to_string())?;
    std::fs::copy(name("catalogue.redb"), name("catalogue.killed")).map_err(|e| e.to_string())?;
    drop(opened);
    std::fs::rename(name("catalogue.killed"), name("catalogue.redb")).map_err(|e| e.to_string())
}

/// Does what a start of the daemon does before anything runs, and ends in order.
///
/// # Errors
/// Those of the store, in words.
pub fn start(state: &Path) -> Result<Start, String> {
    measure(state).map_err(|e| e.to_string())
}

fn measure(state: &Path) -> Result<Start, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
    let begun = Instant::now();
    let catalogue = open_catalogue(disk.as_ref(), state)?.catalogue;
    let vault = Vault::open(Arc::clone(&disk), state)?;
    catalogue.count_boot()?;
    let spool = state.join("spool");
    let spool = Spool::open(disk, &spool, &state.join("rejected"), 1 << 30);
    let spool = spool.map_err(|e| StoreError::file("opening", state, e))?;
    let open_ms = lap_ms(begun);
    let begun = Instant::now();
    recover(&catalogue, &vault, &spool, 1, BTreeMap::new())?;
    let recover_ms = lap_ms(begun);
    let begun = Instant::now();
    let queue = line_up(&catalogue, &Settings::default())?;
    let line_up_ms = lap_ms(begun);
    let bundles = queue.map_or(0, |(queue, _)| queue.tally().total().bundles);
    Ok(Start { bundles, open_ms, recover_ms, line_up_ms })
}

fn lap_ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn id(kind: u8, number: u32) -> [u8; 12] {
    // Ids are random; by an odd factor they are all over the place, and no two alike.
    let mut id = [kind; 12];
    let spread = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    id.iter_mut().zip(spread).for_each(|(to, from)| *to = from);
    id
}

fn frame(number: u32) -> NewFrame {
    let id_of_frame = FrameId(id(0, number));
    let name = format!("20260301T101500_{number:06}");
    let bundle = |kind: Kind, place| BundleRecord {
        id: BundleId(id(place, number)),
        frame: Some(id_of_frame),
        frame_name: name.clone(),
        kind,
        name: format!("{name} {}", kind.name()),
        class: Class::Routine,
        tasking: String::new(),
        created_unix_ms: 1_700_000_000_000 + u64::from(number),
        spacecraft: 1,
        epoch: 1,
        geometry: GEOMETRY,
        sha256: Some([place; 32]),
    };
    let reason = "no plume: 0 of 3 candidates are probable".to_owned();
    NewFrame {
        bundles: vec![bundle(Kind::Quicklook, 1), bundle(Kind::Cube, 2)],
        alert: None,
        spooled: Vec::new(),
        report: Report::info(EventCode::FrameAccepted, format!("frame {name:?} is routine: {reason}")),
        frame: FrameRecord {
            id: id_of_frame,
            name,
            accepted_unix_ms: 1_700_000_000_000,
            class: Class::Routine,
            probability: 0.01,
            reason,
            bytes: 320,
            tasking: String::new(),
        },
    }
}

fn presumed() -> StandingRecord {
    let standing = Standing {
        state: State::Presumed,
        promoted: None,
        held_since_unix_ms: None,
        tasking: 0,
        class: None,
        deadline_unix_ms: None,
        sent_symbols: 9,
        presumed: 0.99,
    };
    StandingRecord { standing, tasking: "default".to_owned() }
}

fn write(disk: &dyn Disk, state: &Path, bundle: &BundleRecord) -> io::Result<()> {
    let mut file = disk.create(&state.join("bundles").join(format!("{}.pbb", bundle.id)))?;
    let bytes = usize::try_from(bundle.bytes()).map_err(io::Error::other)?;
    file.append(&vec![0; bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_finds_all_bundles_in_order_and_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 40).unwrap();
        for killed in [false, true] {
            if killed {
                kill(dir.path()).unwrap();
            }
            let start = start(dir.path()).unwrap();
            assert_eq!(start.bundles, 80);
            assert!(start.total_ms() > 0.0);
        }
    }
}
