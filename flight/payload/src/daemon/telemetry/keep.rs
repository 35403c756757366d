//! What is kept for when the daemon is down: the answers that its commands would get now.

use std::collections::BTreeMap;

use passband_proto::dict::FieldDef;
use serde::Serialize;
use serde_json::Value;

use crate::adapters::disk::Disk;
use crate::adapters::last::{Saved, save};
use crate::command::{ChannelRow, EventsAnswer, TlmAnswer};
use crate::daemon::desk::Latest;
use crate::daemon::shared::Shared;
use crate::daemon::{alert_orders, line, operator};
use crate::digest::Tally;
use crate::json;
use crate::telemetry::SCHEMA;

/// Bundles, events, passes and alerts that are kept.
const ROWS: usize = 10;

/// Saves the last state; where it can't be, the one before stays, and others that write tell of the disk.
pub(super) fn save_last(shared: &Shared, disk: &dyn Disk, tally: &Tally) {
    let answers = answers(shared);
    let saved =
        Saved { schema: SCHEMA, saved_unix_ms: shared.clock.unix_ms(), tally: tally.clone(), answers };
    if let Err(e) = save(disk, &shared.config.paths.state, &saved) {
        tracing::warn!("the last state can't be saved: {e}");
    }
}

/// The channels as `passband tlm` tells them; only those that are named, if any are.
///
/// # Errors
/// There is no such channel, in words.
pub(crate) fn channels(shared: &Shared, latest: &Latest, named: &[String]) -> Result<TlmAnswer, String> {
    let limits =
        |field: &FieldDef| field.limits.map(|id| shared.desk.schedule(|_, settings| settings.limits(id)));
    let level = |name: &str| latest.levels.get(name).copied();
    let all = ChannelRow::all(&latest.channels, level, limits);
    let answer = TlmAnswer { schema: SCHEMA, sampled_unix_ms: latest.sample.unix_ms, channels: all };
    answer.only(named)
}

/// What each command would be answered. What can't be told at present is left out.
fn answers(shared: &Shared) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let mut put = |name: &str, answer: Option<Value>| {
        answer.map(|answer| out.insert(name.to_owned(), answer));
    };
    put("status", operator::status(shared).ok().and_then(value));
    put("queue", line::open_answer(shared, ROWS).ok().and_then(value));
    let events = shared.catalogue.events(None, ROWS).ok();
    put("events", events.and_then(|events| value(EventsAnswer { schema: SCHEMA, events })));
    let alerts = alert_orders::list(shared).ok().map(|mut answer| {
        let surplus = answer.alerts.len().saturating_sub(ROWS);
        answer.alerts.drain(..surplus);
        answer
    });
    put("alerts", alerts.and_then(value));
    put("passes", value(operator::passes(shared, ROWS)));
    if let Some(latest) = shared.desk.latest() {
        put("digest", value(&latest.facts));
        put("tlm", channels(shared, &latest, &[]).ok().and_then(value));
    }
    for (name, answer) in shared.desk.kept() {
        put(name, Some(answer));
    }
    out
}

fn value(answer: impl Serialize) -> Option<Value> {
    json::value(&answer).ok()
}
