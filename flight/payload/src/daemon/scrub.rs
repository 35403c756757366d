//! The scrub: reads stored bundles, slowly, to see whether they still are what was written. What isn't is made anew
//! from its frame, or reported.
//!
//! It never drops a bundle, and never believes a single look: memory fails, too. What the medium refuses to give back is
//! taken for damaged when it does so round after round while it gives back other things.

mod look;
mod repair;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_spectral::target::Target;

use self::look::{Found, look};
use self::repair::Wait;
use super::encoder::QueueChange;
use super::shared::{Shared, lock};
use crate::health::Task;
use crate::queue::State;
use crate::store::{BundleRecord, StoreError};
use crate::telemetry::Report;

/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);
/// Before the first look: what a start has to do comes first, s.
const FIRST_PAUSE_S: u64 = 2;
/// Between two rounds, s.
const PAUSE_S: u64 = 60;
/// What can't be read in so many rounds is damaged.
const ROUNDS_UNREADABLE: u32 = 3;

/// The thread that scrubs.
pub(crate) struct Scrub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) target: Target,
    pub(crate) queue: Sender<QueueChange>,
}

/// What the scrub knows besides what the catalogue keeps, of bundles that are stored; a restart forgets it.
#[derive(Debug, Default)]
struct Memory {
    /// Bundles that the medium gave back, over all rounds.
    read_well: u64,
    /// Those that it didn't.
    faults: BTreeMap<BundleId, Fault>,
    /// When those that are damaged may be mended.
    waits: BTreeMap<BundleId, Wait>,
}

/// A bundle that can't be read.
#[derive(Debug, Clone, Copy)]
struct Fault {
    rounds: u32,
    /// [`Memory::read_well`] when it was counted last.
    read_well: u64,
}

impl Scrub {
    /// Runs until the daemon stops. The first round begins anywhere, so that frequent restarts leave no part unread.
    /// With a catalogue in memory nothing is scrubbed: nothing could be mended.
    pub(crate) fn run(self) {
        let rate = self.shared.config.store.scrub_bytes_per_s;
        if rate == 0 || self.shared.in_memory {
            return;
        }
        let (mut pause_s, mut memory) = (FIRST_PAUSE_S, Memory::default());
        let _beat = self.shared.beat(Task::Scrub);
        let mut from = crate::adapters::os::random_12().map_or(BundleId([0; 12]), BundleId);
        loop {
            if !self.sleep(Duration::from_secs(std::mem::replace(&mut pause_s, PAUSE_S))) {
                return;
            }
            match self.shared.catalogue.bundles() {
                Ok(records) => {
                    memory.keep(&records);
                    let at = records.partition_point(|record| record.id < from);
                    for record in records.iter().skip(at).chain(records.iter().take(at)) {
                        if !self.look_at(&mut memory, record, rate) {
                            return;
                        }
                    }
                }
                Err(e) => self.shared.store_failed("reading the list of bundles", &e),
            }
            from = BundleId([0; 12]);
        }
    }

    /// Looks at a bundle, or at one that is damaged, whether it can be mended by now; `false` when the daemon stops.
    fn look_at(&self, memory: &mut Memory, record: &BundleRecord, rate: u64) -> bool {
        let shared = &self.shared;
        while !lock(&shared.health).may_scrub() || !shared.pulse.level().may_scrub() {
            if !self.sleep(Duration::from_secs(1)) {
                return false;
            }
        }
        let worked = match shared.queue(|queue| queue.get(&record.id).map(|view| view.standing.state)) {
            None => Ok(()),
            Some(State::Damaged) => match shared.catalogue.damage(&record.id) {
                Ok(Some(damage)) => self.mend(memory, record, damage),
                // It could not be noted when it was found.
                Ok(None) => self.scrub(memory, record, rate),
                Err(e) => Err(e),
            },
            Some(_) => self.scrub(memory, record, rate),
        };
        if let Err(e) = worked {
            shared.store_failed("scrubbing", &e);
        }
        !shared.stopping()
    }

    /// Reads a bundle, and does what has to be done then.
    fn scrub(&self, memory: &mut Memory, record: &BundleRecord, rate: u64) -> Result<(), StoreError> {
        let (shared, keys, id) = (&self.shared, self.shared.keys(), &record.id);
        let mut pause = |bytes: usize| {
            let ns = (bytes as u128 * 1_000_000_000) / u128::from(rate.max(1));
            self.sleep(Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX)))
        };
        shared.count(|c| c.bundles_scrubbed += 1);
        let key = keys.get(record.spacecraft, record.epoch);
        let Some(found) = look(&shared.vault, key, record, &mut pause)? else { return Ok(()) };
        // One that went meanwhile isn't damaged.
        if found != Found::Sound && shared.catalogue.bundle(id)?.is_none() {
            return Ok(());
        }
        if !matches!(found, Found::Unreadable { .. }) {
            memory.read_well(id);
        }
        self.follow(memory, record, found)
    }

    /// Does what has to be done about what was found.
    fn follow(&self, memory: &mut Memory, record: &BundleRecord, found: Found) -> Result<(), StoreError> {
        let (shared, id) = (&self.shared, &record.id);
        let what = format!("bundle {id} ({:?})", record.name);
        match found {
            Found::Sound => {}
            Found::Digest(sha256) => {
                shared.catalogue.set_digest(id, sha256)?;
                if record.sha256.is_some() {
                    let text =
                        format!("{what} is whole by all its seals, but its digest was wrong: corrected");
                    shared.event(&Report::warning(EventCode::BundleDigestCorrected, text));
                }
            }
            Found::Misread => {
                let text =
                    format!("{what} was misread once and is whole: memory or the way from the disk failed");
                shared.throttled("misread", &Report::warning(EventCode::BundleMisread, text));
            }
            Found::Undecided(why) => {
                let text = format!("whether {what} is whole can't be told: {why}");
                shared.throttled(
                    &format!("undecided {id}"),
                    &Report::warning(EventCode::BundleUndecided, text),
                );
            }
            Found::Damaged { open_blocks } => self.damaged(memory, record, open_blocks)?,
            Found::Unreadable { open_blocks, why } => {
                if memory.failed_for_good(id, open_blocks > 0) {
                    return self.damaged(memory, record, open_blocks);
                }
                let text = format!("{what} can't be read: {why}");
                shared.throttled(&format!("unreadable {id}"), &Report::error(EventCode::StoreError, text));
            }
        }
        Ok(())
    }

    /// Sleeps; `false` when the daemon stops.
    fn sleep(&self, time: Duration) -> bool {
        let until_ns =
            self.shared.clock.now_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        while !self.shared.stopping() {
            let left = until_ns.saturating_sub(self.shared.clock.now_ns());
            if left == 0 {
                return true;
            }
            self.shared.pulse.check_in(Task::Scrub);
            thread::sleep(Duration::from_nanos(left).min(NAP));
        }
        false
    }
}

impl Memory {
    fn read_well(&mut self, id: &BundleId) {
        self.read_well = self.read_well.saturating_add(1);
        self.faults.remove(id);
    }

    /// Notes that the medium failed a bundle, or a part of it only; whether it has done so often enough, while it gave
    /// back others, to be taken for damage of this one.
    fn failed_for_good(&mut self, id: &BundleId, in_part: bool) -> bool {
        let read_well = self.read_well;
        let fault = self.faults.entry(*id).or_insert(Fault { rounds: 0, read_well: 0 });
        if in_part || fault.rounds == 0 || read_well > fault.read_well {
            *fault = Fault { rounds: fault.rounds.saturating_add(1), read_well };
        }
        fault.rounds >= ROUNDS_UNREADABLE
    }

    /// Forgets what is gone.
    fn keep(&mut self, records: &[BundleRecord]) {
        let is_kept = |id: &BundleId| records.binary_search_by(|record| record.id.cmp(id)).is_ok();
        self.faults.retain(|id, _| is_kept(id));
        self.waits.retain(|id, _| is_kept(id));
    }
}

#[cfg(test)]
mod tests;
