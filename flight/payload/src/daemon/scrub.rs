//! The scrub: reads stored bundles, slowly, to see whether they still are what was written. What isn't is made anew
//! from its frame, or reported.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use passband_proto::ids::BundleId;
use passband_spectral::target::Target;

use super::encoder::QueueChange;
use super::frames::seal_options;
use super::intake::{Detector, IntakeError, Sealer};
use super::mend::{Mended, Mender};
use super::shared::{Shared, lock};
use crate::adapters::sealed::{Seals, check_seals};
use crate::queue::{State, item_of};
use crate::store::{BundleRecord, StoreError};
use crate::telemetry::Report;

/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);
/// Before the first look: what a start has to do comes first, s.
const FIRST_PAUSE_S: u64 = 2;
/// Between two rounds, s.
const PAUSE_S: u64 = 60;

/// The thread that scrubs.
pub(crate) struct Scrub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) target: Target,
    pub(crate) queue: Sender<QueueChange>,
}

impl Scrub {
    /// Runs until the daemon stops. The first round begins anywhere, so that frequent restarts leave no part unread.
    /// With a catalogue in memory nothing is scrubbed: nothing could be mended.
    pub(crate) fn run(self) {
        let rate = self.shared.config.store.scrub_bytes_per_s;
        if rate == 0 || self.shared.in_memory {
            return;
        }
        let mut pause_s = FIRST_PAUSE_S;
        let mut from = crate::adapters::os::random_12().map_or(BundleId([0; 12]), BundleId);
        loop {
            if !self.sleep(Duration::from_secs(std::mem::replace(&mut pause_s, PAUSE_S))) {
                return;
            }
            match self.shared.catalogue.bundles() {
                Ok(records) => {
                    let at = records.partition_point(|record| record.id < from);
                    for record in records.iter().skip(at).chain(records.iter().take(at)) {
                        if !self.look_at(record, rate) {
                            return;
                        }
                    }
                }
                Err(e) => self.shared.store_failed("reading the list of bundles", &e),
            }
            from = BundleId([0; 12]);
        }
    }

    /// Looks at a bundle; `false` when the daemon stops.
    fn look_at(&self, record: &BundleRecord, rate: u64) -> bool {
        let shared = &self.shared;
        while !lock(&shared.health).may_scrub() {
            if !self.sleep(Duration::from_secs(1)) {
                return false;
            }
        }
        let state = shared.queue(|queue| queue.get(&record.id).map(|view| view.state));
        if matches!(state, None | Some(State::Damaged)) {
            return !shared.stopping();
        }
        let mut pause = |bytes: usize| {
            let ns = (bytes as u128 * 1_000_000_000) / u128::from(rate.max(1));
            self.sleep(Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX)))
        };
        shared.count(|c| c.bundles_scrubbed += 1);
        let found = match &record.sha256 {
            Some(sha256) => shared.vault.is_sound(&record.id, (record.bytes(), sha256), &mut pause),
            None => self.first_look(record, &mut pause),
        };
        match found {
            Ok(Some(true)) => {}
            // One that went meanwhile isn't damaged.
            Ok(Some(false)) if matches!(shared.catalogue.bundle(&record.id), Ok(None)) => {}
            Ok(Some(false)) => self.mend(record),
            Ok(None) => return false,
            Err(e) => shared.store_failed("scrubbing", &e),
        }
        !shared.stopping()
    }

    /// Looks at a bundle whose digest isn't known: if its seals hold, it is from now on. Whether it is sound; `None`
    /// when the daemon stops.
    fn first_look(
        &self,
        record: &BundleRecord,
        pause: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<bool>, StoreError> {
        let (shared, keys) = (&self.shared, self.shared.keys());
        // Without its key nothing can be said of it.
        let Some(key) = keys.get(record.spacecraft, record.epoch) else { return Ok(Some(true)) };
        match check_seals(&shared.vault, key, record, pause)? {
            Some(Seals::Hold(sha256)) => shared.catalogue.set_digest(&record.id, sha256).map(|()| Some(true)),
            Some(Seals::Broken) => Ok(Some(false)),
            None => Ok(None),
        }
    }

    /// It isn't sent any more, and another takes its place if one can be made.
    fn mend(&self, record: &BundleRecord) {
        let shared = &self.shared;
        shared.count(|c| c.bundles_damaged += 1);
        if let Ok(change) = shared.queue(|queue| queue.damaged(&record.id)) {
            drop(self.queue.send(QueueChange::Withdraw(record.id)));
            if let Err(e) = shared.keep_standings([change]) {
                shared.store_failed("noting a damaged bundle", &e);
            }
        }
        let keys = shared.keys();
        let Some(key) = keys.newest(shared.config.spacecraft) else { return };
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
        match mender.mend(record, shared.clock.unix_ms()) {
            Ok(mended) => {
                drop(shared.queue(|queue| queue.remove(&record.id)));
                if let Mended::Anew(new) = mended {
                    drop(shared.queue(|queue| queue.insert(&item_of(&new, queue.settings()))));
                    drop(self.queue.send(QueueChange::News));
                }
            }
            Err(IntakeError::Stopping) => {}
            Err(e) => {
                let text = format!("bundle {} ({:?}) is damaged on disk: {e}", record.id, record.name);
                shared.throttled(&format!("mend {}", record.id), &Report::error("bundle-damaged", text));
            }
        }
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
            thread::sleep(Duration::from_nanos(left).min(NAP));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use passband_proto::keys::EpochKey;

    use super::*;
    use crate::config::Config;
    use crate::daemon::notes::make_notes;

    #[test]
    fn a_first_look_takes_the_digest_of_what_is_whole_and_finds_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse("", &dir.path().join("c.toml")).unwrap();
        let shared = Arc::new(Shared::for_tests(config, dir.path()));
        let key = EpochKey::new(1, 1, [8; 32]);
        let mut keys = passband_proto::keyring::KeyRing::default();
        keys.insert(key.clone());
        shared.set_keys(keys);
        let made = make_notes(&shared, &key).unwrap();
        let adopted = made.iter().map(|record| BundleRecord { sha256: None, ..record.clone() });
        let adopted: Vec<_> = adopted.collect();
        shared.catalogue.add_adopted(&adopted, 9, 5, &Report::info("x", "x")).unwrap();
        let path = dir.path().join(format!("bundles/{}.pbb", made[1].id));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let (queue, _changes) = std::sync::mpsc::channel();
        let scrub = Scrub { shared: Arc::clone(&shared), target: Target::ch4(), queue };
        for record in &adopted {
            assert!(shared.queue(|queue| queue.insert(&item_of(record, queue.settings()))).unwrap().changed);
            assert!(scrub.look_at(record, u64::MAX));
        }
        assert_eq!(shared.catalogue.bundles().unwrap(), made[..1], "its digest is known, the other is lost");
        assert_eq!(shared.catalogue.events(None, 1).unwrap()[0].code, "bundle-lost");
    }
}
