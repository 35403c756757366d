//! The table of alerts: bounded, and the truth about which of them are still to be sent.
//!
//! A change of state and the event that tells of it are one transaction. What is acknowledged stays so, whoever
//! writes next. Rows that can't be read are left alone here; [`Catalogue::alerts`] tells of them.

use passband_proto::alert::Alert;
use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::report::{Acknowledgement, AlertMark};
use redb::WriteTransaction;

use super::table::{self, Definition, Keys, Table};
use super::{
    Acknowledger, AlertRecord, AlertState, Catalogue, FrameId, StoreError, Superseder, decode, encode,
    events, next_number, reports,
};
use crate::telemetry::Report;

/// Alerts that are kept.
pub const MAX_ALERTS: usize = 1_000;

/// Number → alert.
pub(super) const ALERTS: Definition = Definition::new("alerts.v3");

/// Makes and seals the alert of a frame once its number is known: the alert, and the message.
pub type SealAlert<'a> = &'a mut dyn FnMut(u32) -> Option<(Alert, Vec<u8>)>;

impl Catalogue {
    /// All alerts that are kept, rising.
    pub fn alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let mut out = Vec::new();
        table::each(&self.db, ALERTS, Keys::ALL, false, &mut |_, record| {
            out.push(decode(record, "alerts")?);
            Ok(true)
        })?;
        Ok(out)
    }

    /// The alert of a frame, and whether it is new: `frame` is its key ([`FrameId::of_verdict`]). A frame that has one keeps it, so that looking at the frame
    /// again after a crash makes no second one. `None` if `seal` gives none, or if [`MAX_ALERTS`] are kept, all of
    /// them still to be sent and worth more; an event tells of that, as of one that goes for the new one.
    pub fn add_alert(
        &self,
        frame: FrameId,
        seal: SealAlert<'_>,
    ) -> Result<Option<(AlertRecord, bool)>, StoreError> {
        self.write(|txn| insert(txn, frame, seal))
    }

    /// Keeps that an alert was sent, and that it stands in the place of others, with an event if there is something to
    /// tell; whether it is still to be sent.
    pub fn note_alert_sent(
        &self,
        sent: &AlertRecord,
        superseded: &[u32],
        report: Option<&Report>,
    ) -> Result<bool, StoreError> {
        self.write(|txn| {
            if let Some(report) = report {
                events::insert(txn, sent.noted_unix_ms, report)?;
            }
            let mut table = table::open(txn, ALERTS)?;
            let Some(mut record) = read(&table, sent.number)? else { return Ok(false) };
            (record.sends, record.age_ms, record.noted_unix_ms) =
                (sent.sends, sent.age_ms, sent.noted_unix_ms);
            put(&mut table, &record)?;
            drop(table);
            let state = AlertState::Superseded(Superseder::Alert(sent.number));
            settle(txn, sent.noted_unix_ms, state, |other| superseded.contains(&other.number))?;
            Ok(record.state == AlertState::Pending)
        })
    }

    /// Puts the alerts of these numbers into a state, where they may come into it; those that did.
    pub fn settle_alerts(
        &self,
        unix_ms: u64,
        numbers: &[u32],
        state: AlertState,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        self.write(|txn| settle(txn, unix_ms, state, |record| numbers.contains(&record.number)))
    }

    /// Takes a station's word for what alerts it has; those that were not acknowledged before.
    pub fn acknowledge_alerts(
        &self,
        unix_ms: u64,
        said: &Acknowledgement,
    ) -> Result<Vec<AlertRecord>, StoreError> {
        self.write(|txn| {
            reports::note_station(txn, said.station, said.number)?;
            let named = |record: &AlertRecord| {
                AlertMark::of(record.number, &record.sealed).is_some_and(|mark| said.alerts.contains(&mark))
            };
            settle(txn, unix_ms, AlertState::Acknowledged(Acknowledger::Station(said.station)), named)
        })
    }
}

pub(super) fn insert(
    txn: &WriteTransaction,
    frame: FrameId,
    seal: SealAlert<'_>,
) -> Result<Option<(AlertRecord, bool)>, redb::Error> {
    let mut kept = read_all(&table::open(txn, ALERTS)?)?;
    if let Some(known) = kept.iter().find(|record| record.frame == frame) {
        return Ok(Some((known.clone(), false)));
    }
    let number = u32::try_from(next_number(txn, "alert_number")?).unwrap_or(u32::MAX);
    let Some((alert, sealed)) = seal(number) else { return Ok(None) };
    let record = AlertRecord { number, ..AlertRecord::new(frame, &alert, sealed) };
    kept.push(record.clone());
    let least = if kept.len() > MAX_ALERTS { kept.iter().min_by_key(|record| use_of(record)) } else { None };
    if let Some(least) = least.filter(|least| least.state == AlertState::Pending) {
        let text = format!(
            "alert {} of frame {:?} ({} of 1000 sure, sent {} times) dropped: {MAX_ALERTS} are still to be sent",
            least.number, least.frame_name, least.probability_permille, least.sends
        );
        events::insert(txn, record.created_unix_ms, &Report::warning(EventCode::AlertDropped, text))?;
    }
    let mut table = table::open(txn, ALERTS)?;
    put(&mut table, &record)?;
    if let Some(least) = least {
        table.remove(&least.number.to_be_bytes())?;
    }
    let kept = least.is_none_or(|least| least.number != number);
    Ok(kept.then_some((record, true)))
}

/// Notes which bundle carries the evidence of a frame's alert, as it is in the store in the end; the alert.
pub(super) fn link_evidence(
    txn: &WriteTransaction,
    frame: FrameId,
    evidence: BundleId,
) -> Result<Option<AlertRecord>, redb::Error> {
    let mut table = table::open(txn, ALERTS)?;
    let found = read_all(&table)?.into_iter().find(|record| record.frame == frame);
    let Some(mut record) = found else { return Ok(None) };
    record.evidence = Some(evidence);
    put(&mut table, &record)?;
    Ok(Some(record))
}

/// Alerts whose evidence a bundle carried have it in the bundle that takes its place.
pub(super) fn move_evidence(
    txn: &WriteTransaction,
    from: &BundleId,
    to: &BundleId,
) -> Result<(), redb::Error> {
    let mut table = table::open(txn, ALERTS)?;
    for mut record in read_all(&table)? {
        if record.evidence.as_ref() == Some(from) {
            record.evidence = Some(*to);
            put(&mut table, &record)?;
        }
    }
    Ok(())
}

/// What keeping it is good for: what is still to be sent is worth more than what is not, and of that what was never
/// sent.
fn use_of(record: &AlertRecord) -> (bool, bool, (u16, u32, u32)) {
    if record.state == AlertState::Pending {
        (true, record.sends == 0, record.worth())
    } else {
        (false, false, (0, 0, record.number))
    }
}

fn settle(
    txn: &WriteTransaction,
    unix_ms: u64,
    state: AlertState,
    which: impl Fn(&AlertRecord) -> bool,
) -> Result<Vec<AlertRecord>, redb::Error> {
    let mut table = table::open(txn, ALERTS)?;
    let mut changed = read_all(&table)?;
    changed.retain(|record| record.state.may_become(state) && which(record));
    for record in &mut changed {
        record.state = state;
        put(&mut table, record)?;
    }
    drop(table);
    for record in &changed {
        events::insert(txn, unix_ms, &report(record))?;
    }
    Ok(changed)
}

/// What to tell of an alert that came into its state.
fn report(record: &AlertRecord) -> Report {
    let (name, by) = (record.state.name(), record.state.by());
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let text = format!(
        "alert {} of frame {:?}, sent {} times, is {name}{by}",
        record.number, record.frame_name, record.sends
    );
    match record.state {
        AlertState::Pending => Report::info(EventCode::AlertPending, text),
        AlertState::Acknowledged(_) => Report::info(EventCode::AlertAcknowledged, text),
        AlertState::Superseded(_) => Report::info(EventCode::AlertSuperseded, text),
        AlertState::Through => {
            Report::info(EventCode::AlertThrough, format!("{text}: nobody acknowledged it"))
        }
        AlertState::Stale => {
            Report::warning(EventCode::AlertStale, format!("{text}: the alert radio took it never"))
        }
    }
}

fn put(table: &mut Table<'_>, record: &AlertRecord) -> Result<(), redb::Error> {
    table.put(&record.number.to_be_bytes(), &encode(record))
}

fn read(table: &Table<'_>, number: u32) -> Result<Option<AlertRecord>, redb::Error> {
    Ok(table.get(&number.to_be_bytes())?.and_then(|row| decode(&row, "alerts").ok()))
}

fn read_all(table: &Table<'_>) -> Result<Vec<AlertRecord>, redb::Error> {
    let mut out = Vec::new();
    table.each(Keys::ALL, &mut |_, row| {
        out.extend(decode::<AlertRecord>(row, "alerts").ok());
        Ok(true)
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests;
