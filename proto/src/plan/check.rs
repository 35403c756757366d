//! What may stand in a plan. Compiler, decoder and sequencer rely on what is checked here, wherever a plan comes from.

use super::{
    Action, Condition, Entry, MAX_ENTRIES, MAX_NAME_BYTES, MAX_NAMES, MAX_OFFSET_MS, MAX_ORDER_BYTES,
    MAX_RETRIES, MAX_SPAN_MS, MAX_STATION_BYTES, MAX_TIMES, MIN_EVERY_MS, NotAfter, OnFailure, Plan,
    PlanError, Repeat, TIMES_UNIX_MS, Trigger,
};
use std::collections::BTreeSet;

impl Plan {
    /// Whether all that it says can be.
    ///
    /// # Errors
    /// The first entry that can't, and why.
    pub fn check(&self) -> Result<(), PlanError> {
        self.check_head()?;
        let mut labels = BTreeSet::new();
        let mut seen = Seen::default();
        for (place, entry) in self.entries.iter().enumerate() {
            let new_label = entry.label.as_deref().is_none_or(|label| labels.insert(label));
            let checked = self.check_entry(place, entry).and_then(|()| {
                if !new_label {
                    return Err("its label stands twice in the plan".to_owned());
                }
                seen.take(entry)
            });
            checked.map_err(|what| PlanError::Field { entry: Some(place + 1), what })?;
        }
        let tables = [self.stations.len(), self.orders.len(), self.plans.len()];
        if [seen.stations, seen.orders, seen.plans] != tables {
            return Err(PlanError::plan("it holds a station, an order or a plan that no entry speaks of"));
        }
        Ok(())
    }

    fn check_head(&self) -> Result<(), PlanError> {
        let fault = if !is_name(&self.name) {
            "its name is not 1 to 24 of a-z, 0-9 and -"
        } else if self.version == 0 {
            "its version is 0"
        } else if self.entries.is_empty() {
            "it has no entry"
        } else if self.entries.len() > MAX_ENTRIES {
            "it has more than 4096 entries"
        } else if self.late.within_ms > MAX_SPAN_MS {
            "it lets entries be later than 30 days"
        } else if self.stations.len() > MAX_NAMES || self.plans.len() > MAX_NAMES {
            "it names more than 64 stations, or starts more than 64 plans"
        } else if !self.stations.iter().all(|name| is_station(name)) {
            "the name of a station is not 1 to 64 bytes without control characters and quotes"
        } else if !self.plans.iter().all(|name| is_name(name)) {
            "the name of a plan that it starts is not 1 to 24 of a-z, 0-9 and -"
        } else if self.plans.contains(&self.name) {
            "it starts itself"
        } else if self.orders.iter().any(|order| order.is_empty() || order.len() > MAX_ORDER_BYTES) {
            "an order is not 1 to 800 bytes"
        } else if !all_differ(&self.stations) || !all_differ(&self.plans) || !all_differ(&self.orders) {
            "it holds a station, an order or a plan twice"
        } else {
            return Ok(());
        };
        Err(PlanError::plan(fault))
    }

    fn check_entry(&self, place: usize, entry: &Entry) -> Result<(), String> {
        if entry.label.as_deref().is_some_and(|label| !is_label(label)) {
            return Err("its label is not a letter and up to 23 of a-z, 0-9 and -".into());
        }
        self.check_trigger(place, entry.trigger)?;
        check_repeat(entry)?;
        if let Some(wait) = entry.wait {
            check_condition(wait.condition)?;
            span(wait.up_to_ms, "it waits")?;
        }
        match entry.failure {
            OnFailure::Retry { times, every_ms, .. } if (1..=MAX_RETRIES).contains(&times) => {
                span(every_ms, "it tries again after")?;
            }
            OnFailure::Retry { .. } => return Err("its retries are not 1 to 100".into()),
            OnFailure::Continue | OnFailure::Abort => {}
        }
        match entry.not_after {
            Some(NotAfter::Unix(unix_ms)) => time(unix_ms),
            Some(NotAfter::Due(ms)) => span(ms, "it isn't run after"),
            None => Ok(()),
        }
    }

    fn check_trigger(&self, place: usize, trigger: Trigger) -> Result<(), String> {
        match trigger {
            Trigger::At { unix_ms } => time(unix_ms),
            Trigger::Start { after_ms } => span(after_ms, "it is due after"),
            Trigger::Entry { entry, after_ms } => {
                let before = usize::from(entry) < place;
                let labelled = self.entry(entry).is_some_and(|other| other.label.is_some());
                if !before || !labelled {
                    return Err("it follows an entry that has no label or doesn't stand before it".into());
                }
                span(after_ms, "it is due after")
            }
            Trigger::Pass { offset_ms, .. } if !(-MAX_OFFSET_MS..=MAX_OFFSET_MS).contains(&offset_ms) => {
                Err("it is further than an hour from AOS or LOS".into())
            }
            Trigger::When(Condition::Pass { .. }) => Err("a pass is no condition to begin at".into()),
            Trigger::Pass { .. } => Ok(()),
            Trigger::When(condition) => check_condition(condition),
        }
    }
}

/// How much of each table the entries so far have used: each table is in the order in which it is spoken of, so that a
/// plan has one form only.
#[derive(Default)]
struct Seen {
    stations: usize,
    orders: usize,
    plans: usize,
}

impl Seen {
    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        for station in stations_of(entry) {
            next(&mut self.stations, station)?;
        }
        match entry.action {
            Action::Order(order) => next(&mut self.orders, order),
            Action::Start(plan) => next(&mut self.plans, plan),
        }
    }
}

/// The stations that an entry speaks of, in the order of its text.
pub(super) fn stations_of(entry: &Entry) -> impl Iterator<Item = u16> {
    let first = match entry.trigger {
        Trigger::Pass { station, .. } => station,
        Trigger::At { .. } | Trigger::Start { .. } | Trigger::Entry { .. } | Trigger::When(_) => None,
    };
    let second = match entry.wait.map(|wait| wait.condition) {
        Some(Condition::Pass { station, .. }) => station,
        Some(Condition::Channel { .. } | Condition::Event { .. }) | None => None,
    };
    [first, second].into_iter().flatten()
}

fn next(seen: &mut usize, used: u16) -> Result<(), String> {
    let used = usize::from(used);
    if used > *seen {
        return Err("its stations, orders or plans are not in the order in which they come up".into());
    }
    *seen = (*seen).max(used + 1);
    Ok(())
}

/// Whether it can name a plan: 1 to 24 of a-z, 0-9 and -.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether it can be a label: a name that begins with a letter.
pub(super) fn is_label(label: &str) -> bool {
    is_name(label) && label.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether it can name a station.
pub(super) fn is_station(name: &str) -> bool {
    let sound = |c: char| !c.is_control() && c != '"';
    (1..=MAX_STATION_BYTES).contains(&name.len()) && name.trim() == name && name.chars().all(sound)
}

fn check_repeat(entry: &Entry) -> Result<(), String> {
    let steady = matches!(entry.trigger, Trigger::At { .. } | Trigger::Start { .. });
    let comes = matches!(entry.trigger, Trigger::Pass { .. } | Trigger::When(_));
    match entry.repeat {
        Repeat::Once => Ok(()),
        Repeat::Every { every_ms, times } if steady => {
            if !(MIN_EVERY_MS..=MAX_SPAN_MS).contains(&every_ms) || !(2..=MAX_TIMES).contains(&times) {
                return Err("it repeats faster than each second, or not 2 to 65535 times".into());
            }
            Ok(())
        }
        Repeat::Each { times } if comes => {
            if times.is_some_and(|times| !(2..=MAX_TIMES).contains(&times)) {
                return Err("it repeats, but not 2 to 65535 times".into());
            }
            Ok(())
        }
        Repeat::Every { .. } | Repeat::Each { .. } => Err("its trigger can't repeat in this way".into()),
    }
}

fn check_condition(condition: Condition) -> Result<(), String> {
    match condition {
        Condition::Channel { value, .. } if !value.is_finite() => Err("it compares with no number".into()),
        Condition::Channel { for_ms, .. } => span(for_ms, "it has to hold"),
        Condition::Event { .. } | Condition::Pass { .. } => Ok(()),
    }
}

fn span(ms: u32, what: &str) -> Result<(), String> {
    if ms > MAX_SPAN_MS { Err(format!("{what} more than 30 days")) } else { Ok(()) }
}

fn time(unix_ms: u64) -> Result<(), String> {
    if TIMES_UNIX_MS.contains(&unix_ms) {
        Ok(())
    } else {
        Err("a time is not in the years 2000 to 2199".into())
    }
}

fn all_differ<T: Ord>(items: &[T]) -> bool {
    let mut seen = BTreeSet::new();
    items.iter().all(|item| seen.insert(item))
}
