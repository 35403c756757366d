//! What the operator asks of the alerts: how they stand, and that one be sent no more.

use super::shared::Shared;
use crate::alerts::Backoff;
use crate::command::{AlertRow, AlertsAnswer};
use crate::store::{AlertRecord, AlertState, StoreError};
use crate::telemetry::SCHEMA;

/// All alerts that are kept.
pub(super) fn list(shared: &Shared) -> Result<AlertsAnswer, StoreError> {
    Ok(answer(shared, &shared.catalogue.alerts()?))
}

/// Puts an alert into a state, by the operator's word; one that is in it already stays so.
///
/// # Errors
/// A sentence that says why it can't come into that state.
pub(super) fn settle(shared: &Shared, number: u32, state: AlertState) -> Result<AlertsAnswer, String> {
    let catalogue = &shared.catalogue;
    let changed =
        catalogue.settle_alerts(shared.clock.unix_ms(), &[number], state).map_err(|e| e.to_string())?;
    if !changed.is_empty() {
        shared.alerts_changed.notify_one();
        return Ok(answer(shared, &changed));
    }
    let alerts = catalogue.alerts().map_err(|e| e.to_string())?;
    let Some(alert) = alerts.into_iter().find(|alert| alert.number == number) else {
        return Err(format!("no alert {number} is kept; `passband alerts` lists those that are"));
    };
    if alert.state.name() == state.name() {
        return Ok(answer(shared, &[alert]));
    }
    let by = alert.state.by().map_or_else(String::new, |by| format!(" by {by}"));
    Err(format!("alert {number} is {}{by}: it is sent no more", alert.state.name()))
}

fn answer(shared: &Shared, alerts: &[AlertRecord]) -> AlertsAnswer {
    let rules = &shared.config.alerts;
    let backoff = Backoff::new(&rules.repeat_s, rules.stale_s);
    let row = |alert| AlertRow::new(alert, backoff.due_unix_ms(alert));
    AlertsAnswer {
        schema: SCHEMA,
        now_unix_ms: shared.clock.unix_ms(),
        alerts: alerts.iter().map(row).collect(),
    }
}
