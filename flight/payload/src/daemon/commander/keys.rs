//! The uplink's keys, as the commander has them: read, read again when their file has changed, marked.

use core::fmt;
use std::path::Path;

use passband_proto::dict::{EventCode, Source, Wanted};
use passband_proto::keys::TagKey;
use passband_proto::sdls::{Associations, Mark, Role, RoleKey, RoleKeys, State};

use super::{BTreeMap, Commander, Works, record};
use crate::adapters::os::{FileState, read_secret};
use crate::ordered;
use crate::store::orders::{Change, Kind};
use crate::telemetry::Report;

/// How often the file of the keys is looked at, ms.
const LOOK_MS: u64 = 5_000;

/// The file of the uplink's keys, as far as it was read.
#[derive(Debug)]
pub(super) struct KeyFile {
    /// The file that the keys in use were read from.
    taken: FileState,
    /// As it was at the last look: a file that is being written is left alone.
    seen: FileState,
    /// Why it could not be taken, as it was told.
    fault: Option<String>,
    pub(super) next_ms: u64,
}

impl KeyFile {
    pub(super) fn new(taken: FileState) -> Self {
        Self { seen: taken.clone(), taken, fault: None, next_ms: 0 }
    }

    /// The file as it is now, if it is another one than what was read. Not at once: it has to stay for two looks.
    fn changed(&mut self, now_ms: u64, at_once: bool) -> Option<FileState> {
        if !at_once && now_ms < self.next_ms {
            return None;
        }
        self.next_ms = now_ms.saturating_add(LOOK_MS);
        let now = self.taken.now();
        let rests = at_once || now == self.seen;
        self.seen = now.clone();
        (rests && now != self.taken).then_some(now)
    }
}

/// Why the uplink's keys can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFault(String);

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyFault {}

/// The keys of a file, and whether others than its owner can read it.
///
/// # Errors
/// The file can't be read, holds something else, or no key of this spacecraft.
pub(crate) fn read_role_keys(path: &Path, spacecraft: u16) -> Result<(RoleKeys, bool), KeyFault> {
    let fault = |e: &dyn fmt::Display| KeyFault(format!("command key file {}: {e}", path.display()));
    let (text, exposed) = read_secret(path).map_err(|e| fault(&e))?;
    let keys = RoleKeys::parse(&text).map_err(|e| fault(&e))?;
    if keys.iter().all(|key| key.spacecraft() != spacecraft) {
        return Err(fault(&format_args!("it holds no key of spacecraft {spacecraft}")));
    }
    Ok((keys, exposed))
}

impl Commander {
    /// Takes the keys again if their file has changed. One that can't be used changes nothing, and is tried again until it is
    /// taken. `at_once`: someone on board is at work on keys, and has written all of it.
    pub(crate) fn look_at_keys(&mut self, works: &dyn Works, at_once: bool) {
        let now_ms = self.clock.now_ms();
        let Some(now) = self.key_file.as_mut().and_then(|file| file.changed(now_ms, at_once)) else { return };
        let path = now.path();
        let read = read_role_keys(path, self.spacecraft).map_err(|e| e.to_string());
        let taken = read.and_then(|(keys, exposed)| Ok((self.take_keys(&keys)?, exposed)));
        let Some(file) = self.key_file.as_mut() else { return };
        match taken {
            Ok((text, exposed)) => {
                (file.fault, file.taken) = (None, now.clone());
                let text = format!("command key file {} is read anew: {text}", path.display());
                works.event(&Report::warning(EventCode::CommandKeysChanged, text));
                if exposed {
                    works.event(&exposed_file(path));
                }
                if let Some(report) = lost_counters(&self.associations) {
                    works.event(&report);
                }
                self.parts.wanted.insert(Wanted::Associations);
            }
            Err(why) => {
                let text = format!("{why}; the keys that were read before stay");
                if file.fault.as_ref() != Some(&text) {
                    works.event(&Report::error(EventCode::CommandKeysStay, text.clone()));
                    file.fault = Some(text);
                }
            }
        }
    }

    /// Has these be the keys from now on; what is new, other or gone, in words.
    ///
    /// # Errors
    /// What keeps them from being taken, in words: there would be no recovery key any more, as with [`Associations::retire`]
    /// (a start takes such a file all the same), or the records can't be read.
    fn take_keys(&mut self, keys: &RoleKeys) -> Result<String, String> {
        let retired = |spi: u16| self.associations.state(spi) == Some(State::Retired);
        let recovers = |role: Role, spi: u16| role == Role::Recovery && !retired(spi);
        let had = self.associations.status().any(|status| recovers(status.role, status.spi));
        if had && !ours(keys, self.spacecraft).any(|key| recovers(key.role(), key.spi())) {
            return Err("the command key file holds no recovery key that isn't retired".to_owned());
        }
        let known: Vec<_> = self.associations.status().map(|status| status.spi).collect();
        let marks = self.desk.store().records(Kind::Mark).map_err(|e| e.to_string())?;
        self.associations.set_keys(keys);
        restore(&mut self.associations, marks, &known);
        let before = core::mem::replace(&mut self.parts.fingerprints, fingerprints(keys, self.spacecraft));
        let now = &self.parts.fingerprints;
        let of = |which: &dyn Fn(&u16) -> bool, all: &BTreeMap<u16, [u8; 4]>| {
            let spis: Vec<_> = all.keys().filter(|spi| which(spi)).map(u16::to_string).collect();
            if spis.is_empty() { "none".to_owned() } else { spis.join(", ") }
        };
        let others = keys.iter().count().saturating_sub(now.len());
        let mut text = format!(
            "new: {}; other than before: {}; gone: {}",
            of(&|spi| !before.contains_key(spi), now),
            of(&|spi| before.get(spi).is_some_and(|old| Some(old) != now.get(spi)), now),
            of(&|spi| !now.contains_key(spi), &before),
        );
        if others > 0 {
            text = format!("{text}; {others} of other spacecraft than {}", self.spacecraft);
        }
        self.parts.roles = roles(keys, self.spacecraft);
        if let Some(plans) = self.parts.plans.as_mut() {
            plans.set_keys(plan_keys(keys, self.spacecraft));
        }
        Ok(text)
    }
}

/// Takes the marks of associations that aren't known yet.
pub(super) fn restore(associations: &mut Associations, marks: Vec<(Vec<u8>, Vec<u8>)>, known: &[u16]) {
    for (_, mark) in marks {
        if let Ok(mark) = postcard::from_bytes::<Mark>(&mark)
            && !known.contains(&mark.spi)
        {
            associations.restore(&mark);
        }
    }
}

/// Who holds the key of each security association.
pub(super) fn roles(keys: &RoleKeys, spacecraft: u16) -> BTreeMap<u16, Source> {
    ordered::gathered(ours(keys, spacecraft).map(|key| (key.spi(), key.role().into())))
}

/// What tells one key from another, by their associations.
pub(super) fn fingerprints(keys: &RoleKeys, spacecraft: u16) -> BTreeMap<u16, [u8; 4]> {
    ordered::gathered(ours(keys, spacecraft).map(|key| (key.spi(), key.fingerprint())))
}

/// What signs plans, by its association.
pub(super) fn plan_keys(keys: &RoleKeys, spacecraft: u16) -> BTreeMap<u16, (Source, TagKey)> {
    ordered::gathered(ours(keys, spacecraft).map(|key| (key.spi(), (key.role().into(), key.plan_key()))))
}

/// A file of keys may hold those of several spacecraft.
fn ours(keys: &RoleKeys, spacecraft: u16) -> impl Iterator<Item = &RoleKey> {
    keys.iter().filter(move |key| key.spacecraft() == spacecraft)
}

/// Tells that others can read the keys.
pub(crate) fn exposed_file(path: &Path) -> Report {
    let text = format!("command key file {} can be read by others than its owner", path.display());
    Report::warning(EventCode::KeysExposed, text)
}

/// Tells of keys that have lost their counters, or never had any.
pub(super) fn lost_counters(associations: &Associations) -> Option<Report> {
    let lost: Vec<_> = associations
        .status()
        .filter(|status| status.state == State::Unsynchronised)
        .map(|status| status.spi.to_string())
        .collect();
    if lost.is_empty() {
        return None;
    }
    let text = format!(
        "no counter is known of key {}: a new key is put to use by `passband keys accept SPI`, an old one by a \
         re-synchronisation",
        lost.join(", ")
    );
    Some(Report::critical(EventCode::UplinkCountersLost, text))
}

/// The change that keeps a mark.
pub(super) fn mark_change(mark: &Mark) -> Change {
    record(Kind::Mark, &mark.spi.to_be_bytes(), mark)
}
