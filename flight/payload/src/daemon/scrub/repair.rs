//! What becomes of a bundle that was found damaged: it is sent no more, and made anew where that can be done, now or
//! later. What can't be made anew is kept as it is, as the first to go when room is needed, and told of once.

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;

use super::{Memory, Scrub};
use crate::daemon::encoder::QueueChange;
use crate::daemon::frames::seal_options;
use crate::daemon::intake::{Detector, IntakeError, Sealer};
use crate::daemon::mend::{Mended, Mender, has_source};
use crate::health::Task;
use crate::queue::{State, item_of};
use crate::store::{BundleRecord, Damage, StoreError};
use crate::telemetry::Report;

/// After a try that failed the next one waits so long, ms; after each other one twice as long.
const WAIT_MS: u64 = 60_000;
/// So long mending may take, ms: the whole frame is read and looked at.
const MENDING_MS: u64 = 14_400_000;
/// So often that doubles: 4 h at most.
const MOST_DOUBLINGS: u32 = 8;
/// So many tries that ended the daemon are enough.
const MOST_UNENDED: u32 = 4;

/// When mending a bundle may be tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    failed: u32,
    pub(super) until_ms: u64,
}

impl Scrub {
    /// A bundle was found damaged: notes that, and mends it if it can be.
    pub(super) fn damaged(
        &self,
        memory: &mut Memory,
        record: &BundleRecord,
        open_blocks: u32,
    ) -> Result<(), StoreError> {
        let (shared, id) = (&self.shared, &record.id);
        let noted = shared.catalogue.damage(id)?;
        let Some(before) = shared.queue(|queue| queue.get(id)) else { return Ok(()) };
        let is_new = before.standing.state != State::Damaged;
        shared.count(|c| c.bundles_damaged += u64::from(is_new));
        let change = shared.queue(|queue| queue.damaged(id));
        drop(self.queue.send(QueueChange::Withdraw(*id)));
        // Told before it stands so for good: a kill between the two tells it again at worst.
        let damage = match noted {
            Some(damage) => damage,
            None => self.note(record, open_blocks, before.standing.state)?,
        };
        if let Ok(change) = change {
            shared.keep_standings([change])?;
        }
        self.mend(memory, record, damage)
    }

    /// Keeps that a bundle is damaged, and tells of it if that is all that can be done.
    fn note(&self, record: &BundleRecord, open_blocks: u32, was: State) -> Result<Damage, StoreError> {
        let damage = Damage { open_blocks, unended: 0, given_up: was == State::Known || !has_source(record) };
        if was == State::Known {
            let report =
                Report::warning(EventCode::BundleDamaged, lost(record, &damage, "the ground has it whole"));
            self.set_damage(record, &damage, Some(&report))?;
        } else if damage.given_up {
            self.give_up(record, damage, "there is nothing on board that it could be made of")?;
        } else {
            self.set_damage(record, &damage, None)?;
        }
        Ok(damage)
    }

    /// Makes a damaged bundle anew, if that isn't given up and its time has come. What fails for now is tried again
    /// later, each time after a longer while; what ends the daemon, only a few times.
    pub(super) fn mend(
        &self,
        memory: &mut Memory,
        record: &BundleRecord,
        damage: Damage,
    ) -> Result<(), StoreError> {
        if damage.given_up {
            return Ok(());
        }
        let now_ms = self.shared.clock.now_ms();
        // The first try after one that may have ended the daemon waits, too.
        let wait = memory.waits.entry(record.id).or_insert_with(|| Wait::after(damage.unended, now_ms));
        if now_ms < wait.until_ms {
            return Ok(());
        }
        let failed = wait.failed;
        if damage.unended >= MOST_UNENDED {
            return self.give_up(record, damage, "the daemon ended each time that it was tried");
        }
        let begun = Damage { unended: damage.unended.saturating_add(1), ..damage };
        self.set_damage(record, &begun, None)?;
        self.shared.pulse.working(Task::Scrub, "mending", MENDING_MS);
        match self.make_anew(record) {
            Ok(Mended::Anew(new)) => {
                memory.waits.remove(&record.id);
                self.replaced(&record.id, &new);
                return Ok(());
            }
            Ok(Mended::Never(why)) => return self.give_up(record, damage, &why),
            Err(IntakeError::Stopping) => {}
            Err(e) => {
                memory.waits.insert(record.id, Wait::after(failed.saturating_add(1), now_ms));
                let text = format!(
                    "bundle {} ({:?}) is damaged on disk and can't be made anew now: {e}; it is tried again",
                    record.id, record.name
                );
                self.shared.throttled(
                    &format!("mend {}", record.id),
                    &Report::warning(EventCode::BundleUnmended, text),
                );
            }
        }
        self.set_damage(record, &Damage { unended: 0, ..damage }, None)
    }

    fn make_anew(&self, record: &BundleRecord) -> Result<Mended, IntakeError> {
        let (shared, keys) = (&self.shared, self.shared.keys());
        let key = keys.newest(shared.config.spacecraft);
        let key = key.ok_or_else(|| IntakeError::Later("there is no key to seal it under".to_owned()))?;
        let options = seal_options(&shared.config.downlink);
        let mender = Mender {
            catalogue: &shared.catalogue,
            sealer: Sealer { vault: &shared.vault, key, options, threads: 1, stop: shared.stop_flag() },
            keys: &keys,
            rules: &shared.config.products,
            examiner: &Detector {
                target: &self.target,
                params: &shared.config.triage.params,
                calibration: shared.config.triage.calibration.as_deref(),
            },
        };
        mender.mend(record, shared.clock.unix_ms())
    }

    /// Another stands in a bundle's place.
    fn replaced(&self, old: &BundleId, new: &BundleRecord) {
        let shared = &self.shared;
        drop(shared.queue(|queue| queue.remove(old)));
        drop(shared.queue(|queue| queue.insert(&item_of(new, queue.settings()))));
        drop(self.queue.send(QueueChange::News));
        // It may be the evidence of one.
        shared.alerts_changed.notify_one();
    }

    /// No more is tried: it is kept, and told of.
    fn give_up(&self, record: &BundleRecord, damage: Damage, why: &str) -> Result<(), StoreError> {
        let damage = Damage { given_up: true, unended: 0, ..damage };
        let why = format!("it can't be made anew: {why}");
        let report = Report::error(EventCode::BundleDamaged, lost(record, &damage, &why));
        self.set_damage(record, &damage, Some(&report))
    }

    fn set_damage(
        &self,
        record: &BundleRecord,
        damage: &Damage,
        report: Option<&Report>,
    ) -> Result<(), StoreError> {
        self.shared.catalogue.set_damage(&record.id, damage, self.shared.clock.unix_ms(), report)
    }
}

impl Wait {
    pub(super) fn after(failed: u32, now_ms: u64) -> Self {
        let wait_ms = match failed.checked_sub(1) {
            None => 0,
            Some(doublings) => WAIT_MS << doublings.min(MOST_DOUBLINGS),
        };
        Self { failed, until_ms: now_ms.saturating_add(wait_ms) }
    }
}

/// What to tell of a damaged bundle.
fn lost(record: &BundleRecord, damage: &Damage, why: &str) -> String {
    format!(
        "bundle {} ({:?}, {}) is damaged on disk, {} of {} blocks still open; it isn't sent, and kept until its room \
         is needed: {why}",
        record.id, record.name, record.class, damage.open_blocks, record.geometry.block_count
    )
}
