//! Settings of the queue: deadlines, shares, and what may go when room is short. Plain data, checked once.

use core::fmt;

use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use crate::products::Make;

/// Most taskings.
pub const MAX_TASKINGS: usize = 64;
/// Longest name of a tasking, bytes.
pub const MAX_TASKING_NAME_BYTES: usize = 64;
/// Largest share of a tasking.
pub const MAX_SHARE: u32 = 10_000;
/// Longest deadline of a class, s: ten years.
pub const MAX_DEADLINE_S: u64 = 315_360_000;
/// Name of tasking 0: what belongs to no other.
pub const DEFAULT_TASKING: &str = "default";

/// Settings of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// When a bundle is due, s after it was made, unless it has a deadline of its own.
    pub deadline_s: Deadlines,
    /// The share of the bytes served that what is overdue gets ahead of its turn, 0 to 0.5; default 0.05.
    pub overdue_share: f64,
    /// Who shares the link, 1 to 64; the first is called "default"; default that one alone.
    pub taskings: Vec<Tasking>,
    /// The most valuable class of which bundles that were not sent may be dropped for room; `None`, in text
    /// "none": of no class. Default routine.
    #[serde(deserialize_with = "class_or_none")]
    pub drop_unsent: Option<Class>,
    /// Bytes of the quota that are for alert and suspect frames only, never more than a quarter of it;
    /// default 1 GiB.
    pub reserve_bytes: u64,
}

fn class_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Class>, D::Error> {
    Make::deserialize(deserializer).map(|make| make.0)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline_s: Deadlines::default(),
            overdue_share: 0.05,
            taskings: vec![Tasking { name: DEFAULT_TASKING.to_owned(), share: 1 }],
            drop_unsent: Some(Class::Routine),
            reserve_bytes: 1 << 30,
        }
    }
}

/// When a bundle of each class is due, s after it was made, 1 to [`MAX_DEADLINE_S`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Deadlines {
    /// Default 5,400 (an orbit).
    pub alert: u64,
    /// Default 5,400.
    pub suspect: u64,
    /// Default 86,400.
    pub routine: u64,
    /// Default 604,800.
    pub discard_candidate: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { alert: 5_400, suspect: 5_400, routine: 86_400, discard_candidate: 604_800 }
    }
}

impl Deadlines {
    /// The deadline of a class, s.
    pub fn of(&self, class: Class) -> u64 {
        match class {
            Class::Alert => self.alert,
            Class::Suspect => self.suspect,
            Class::Routine => self.routine,
            Class::DiscardCandidate => self.discard_candidate,
        }
    }
}

/// Somebody, or something, that the link is shared between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasking {
    /// Its name, 1 to 64 bytes: letters, digits, `-`, `_`, `.`
    pub name: String,
    /// Its share of each class's bytes while others of that class wait too, 1 to 10,000.
    pub share: u32,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// Which setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

impl core::error::Error for SettingsError {}

impl Settings {
    /// The number of the tasking of this name; 0, the default one, for a name that isn't among them.
    pub fn number_of(&self, name: &str) -> u16 {
        let found = self.taskings.iter().position(|tasking| tasking.name == name);
        found.and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
    }

    /// Is every setting in its range?
    pub fn check(&self) -> Result<(), SettingsError> {
        for class in Class::ALL {
            let deadline_s = self.deadline_s.of(class);
            if !(1..=MAX_DEADLINE_S).contains(&deadline_s) {
                let what = format!("{deadline_s} for {class} is out of range: must be 1 to {MAX_DEADLINE_S}");
                return Err(SettingsError { field: "deadline_s", what });
            }
        }
        if !(0.0..=0.5).contains(&self.overdue_share) {
            let what = format!("{} is out of range: must be 0 to 0.5", self.overdue_share);
            return Err(SettingsError { field: "overdue_share", what });
        }
        self.check_taskings().map_err(|what| SettingsError { field: "taskings", what })
    }

    fn check_taskings(&self) -> Result<(), String> {
        if !(1..=MAX_TASKINGS).contains(&self.taskings.len()) {
            return Err(format!("there are {}, must be 1 to {MAX_TASKINGS}", self.taskings.len()));
        }
        if self.taskings.first().is_none_or(|first| first.name != DEFAULT_TASKING) {
            return Err(format!("the first must be called {DEFAULT_TASKING:?}"));
        }
        for (nth, tasking) in self.taskings.iter().enumerate() {
            let Tasking { name, share } = tasking;
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if !(1..=MAX_TASKING_NAME_BYTES).contains(&name.len()) || !name.bytes().all(plain) {
                return Err(format!("the name of number {nth} must be 1 to 64 of letters, digits, - _ ."));
            }
            if !(1..=MAX_SHARE).contains(share) {
                return Err(format!("share {share} of {name} is out of range: must be 1 to {MAX_SHARE}"));
            }
            if self.taskings.iter().take(nth).any(|other| other.name == *name) {
                return Err(format!("the name {name} is there twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> &'static str {
        let mut settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        change(&mut settings);
        let error = settings.check().unwrap_err();
        assert!(!error.what.is_empty());
        error.field
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        assert_eq!(refused(|s| s.deadline_s.routine = 0), "deadline_s");
        assert_eq!(refused(|s| s.deadline_s.alert = MAX_DEADLINE_S + 1), "deadline_s");
        assert_eq!(refused(|s| s.overdue_share = 0.51), "overdue_share");
        assert_eq!(refused(|s| s.overdue_share = f64::NAN), "overdue_share");
        assert_eq!(refused(|s| s.taskings.clear()), "taskings");
        let named = |name: &str, share| Tasking { name: name.to_owned(), share };
        for odd in
            [named("", 1), named("a b", 1), named(&"x".repeat(65), 1), named("x", 0), named("x", 10_001)]
        {
            assert_eq!(refused(|s| s.taskings.push(odd)), "taskings");
        }
        assert_eq!(refused(|s| s.taskings.push(named("default", 1))), "taskings");
        assert_eq!(refused(|s| s.taskings.insert(0, named("pipeline-7", 1))), "taskings");
        assert_eq!(refused(|s| s.taskings = vec![named("default", 1); 65]), "taskings");
    }
}
