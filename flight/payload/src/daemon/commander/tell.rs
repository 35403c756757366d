//! The commander's round: what plans, scripts and parameters want done by themselves, and what telemetry and digest are
//! told of all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use passband_proto::dict::{
    Association, EventCode, FixedText, KeyState, Mode, Plan as PlanPacket, PlanState, Reason, Source, Stage,
    Wanted,
};
use passband_proto::sdls::{AssociationStatus, Reason as RejectReason, State};
use serde_json::Value;

use super::hands::Worker;
use super::parameters::{follow, now_of, put_in_force};
use super::plans::instants;
use super::uploads::Coming;
use super::{Commander, Then, Works, scripts};
use crate::adapters::parameters::ParameterFile;
use crate::command::{LogsAnswer, hex};
use crate::daemon::desk::Latest;
use crate::daemon::scripts::ScriptNews;
use crate::digest::{Pending, Uploading};
use crate::json;
use crate::orders::desk::Outcome;
use crate::orders::{Giver, Moment, OrderId, Record, Step};
use crate::sequence::{self, Output, RowState, Status};
use crate::telemetry::{Due, OrderCounts, Report, SCHEMA, UplinkCounts};

/// How often telemetry is told, ms.
const TELL_MS: u64 = 1_000;
/// How often the state of keys is told while some can't be used, or frames under them are refused, ms.
const KEYS_MS: u64 = 10_000;
/// How often answers are kept for when the daemon is down, ms.
const KEEP_MS: u64 = 30_000;
/// Rows of the agenda that the digest is told.
const TOLD_ROWS: usize = 8;
/// A minute, ms: what refused frames are counted over.
const MINUTE_MS: u64 = 60_000;

/// What the rounds remember of the ones before.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    told_ms: u64,
    kept_ms: u64,
    keys_ms: u64,
    latest: Option<Arc<Latest>>,
    /// Refused frames so far, by when they were counted, ms: a minute's worth.
    refused: BTreeMap<u64, u64>,
}

impl Commander {
    /// Does what is due by itself. To be called a few times a second.
    pub(crate) fn poll(&mut self, works: &mut dyn Works) {
        let now = self.moment(works);
        self.see_to_records(works);
        self.look_at_keys(works, false);
        self.take_news(works, now);
        self.poll_parameters(works, now);
        self.poll_plans(works, now);
        if now.steady_ms >= self.rounds.told_ms {
            self.rounds.told_ms = now.steady_ms.saturating_add(TELL_MS);
            self.tell_all(works, now);
        }
        self.send_wanted(works, now);
        self.tell_keys(works, now);
    }

    /// Tells where keys stand whose frames were refused, or whose counters are lost: now and then.
    fn tell_keys(&mut self, works: &dyn Works, now: Moment) {
        if now.steady_ms < self.rounds.keys_ms {
            return;
        }
        let wanted = std::mem::take(&mut self.parts.keys_wanted);
        let told =
            self.association_packets(|key| wanted.contains(&key.spi) || key.state == State::Unsynchronised);
        if told.is_empty() {
            return;
        }
        self.rounds.keys_ms = now.steady_ms.saturating_add(KEYS_MS);
        for key in &told {
            // Of too much that waits lost counters are told next time, and others when a frame is refused again.
            if works.desk().ask(Due::of(key)).is_err() {
                return;
            }
        }
    }

    /// Tells telemetry of an order that stands anew.
    pub(super) fn told(&mut self, works: &dyn Works, id: OrderId, record: &Record) {
        let now = self.moment(works);
        if id.source == sequence::SOURCE {
            // Nobody says for a plan that the ground has it: it is told once, and events tell of it as well.
            let _sent = works.desk().ask(Due::of(&record.answer(id)));
        } else if !record.seen {
            works.desk().answer(now.steady_ms, record.answer(id));
        }
        let result = match record.stage {
            Stage::Done => Ok(()),
            Stage::Refused | Stage::Failed => Err(record.reason.name()),
            Stage::Accepted | Stage::Armed | Stage::Started => return,
        };
        if let Some(plans) = self.parts.plans.as_mut() {
            plans.answered(instants(now.unix_ms), id, result);
        }
    }

    /// What other duties have to say: scripts that ended, plans that a red channel starts, events.
    fn take_news(&mut self, works: &mut dyn Works, now: Moment) {
        for news in works.script_news() {
            let (id, outcome) = scripts::ended(&news);
            let is_open = self.desk.ledger().get(&id).is_some_and(Record::is_open);
            let told = match &news {
                ScriptNews::Ended { record, bundle } => Some((record, *bundle)),
                // Where the answer isn't owed any more all was told when the run was.
                ScriptNews::Ran { record } => is_open.then_some((record, None)),
                ScriptNews::Refused { .. } => None,
            };
            if let Some((record, bundle)) = told {
                let packet = Due::of(&scripts::packet(record, bundle));
                // Of too much that waits, how a script ended is told by its answer and its event.
                let _sent = works.desk().ask(packet);
                let run = scripts::in_digest(record);
                works.desk().outside(|outside| outside.script_ended(run));
            }
            if is_open {
                self.finish(works, now, id, outcome);
            }
        }
        for (id, made) in works.desk().take_blackbox_made() {
            let outcome = match made {
                Ok(bundle) => Outcome::done(bundle),
                Err(why) => Outcome::failed(Reason::Fault, why),
            };
            if self.desk.ledger().get(&id).is_some_and(Record::is_open) {
                self.finish(works, now, id, outcome);
            }
        }
        let at = instants(now.unix_ms);
        if let Some(plans) = self.parts.plans.as_mut() {
            for (event, severity) in works.desk().take_events() {
                plans.sequencer.on_event(at, event, severity);
            }
            for name in works.desk().take_plans() {
                if let Err(e) = plans.sequencer.start(at, &name, None) {
                    let text = format!("plan {name:?}, which a red channel starts: {e}");
                    works.event(&Report::error(EventCode::PlanUnusable, text));
                }
            }
        }
    }

    fn poll_parameters(&mut self, works: &mut dyn Works, now: Moment) {
        let Some(file) = self.parts.parameters.as_mut() else { return };
        let told = file.poll(now_of(now));
        if told.0.is_some() {
            put_in_force(self.parts.parameters.as_ref(), works);
        }
        if follow(works, told) {
            self.parts.then = Some(Then::Restart);
        }
    }

    fn poll_plans(&mut self, works: &mut dyn Works, now: Moment) {
        // What falls due meanwhile is late when the payload works as it should again.
        if works.mode() == Mode::Safe {
            return;
        }
        let at = instants(now.unix_ms);
        let Some(plans) = self.parts.plans.as_mut() else { return };
        plans.see_passes(at, works);
        let latest = works.desk().latest();
        let is_new = match (&latest, &self.rounds.latest) {
            (Some(new), Some(old)) => !Arc::ptr_eq(new, old),
            (new, _) => new.is_some(),
        };
        if is_new && let Some(latest) = &latest {
            plans.see_channels(at, &latest.channels);
            self.rounds.latest = Some(Arc::clone(latest));
        }
        // Orders of plans wait for their records.
        if self.desk.owes() || !(plans.is_due(at) || plans.pending() > 0) {
            return;
        }
        let mut changes = plans.poll(at);
        changes.extend(plans.clear_alone());
        self.desk.owe(changes);
        if self.keep_owed(works) {
            self.run_pending(works, now);
        }
    }

    /// Tells and runs what plans want, as long as all their records are durable; not in safe mode.
    pub(super) fn run_pending(&mut self, works: &mut dyn Works, now: Moment) {
        if works.mode() == Mode::Safe {
            return;
        }
        let count = self.parts.plans.as_ref().map_or(0, super::plans::Plans::pending);
        for _ in 0..count {
            if self.desk.owes() {
                return;
            }
            let next = self.parts.plans.as_mut().and_then(super::plans::Plans::next_pending);
            let Some(output) = next else { return };
            match output {
                Output::Report(report) => works.event(&report),
                Output::Run(run) => self.run_of_plan(works, now, run),
                Output::Persist(_) => {}
            }
        }
    }

    fn run_of_plan(&mut self, works: &mut dyn Works, now: Moment, run: sequence::Run) {
        let giver = Giver { source: sequence::SOURCE, role: Source::Plan };
        let id = OrderId { source: sequence::SOURCE, number: run.number };
        let taken = {
            let mut worker =
                Worker { parts: &mut self.parts, associations: &mut self.associations, works: &mut *works };
            self.desk.take(now, giver, run.number, Step::Run, &run.order, &mut worker)
        };
        self.tell_taken(works, &taken);
        match taken {
            Ok(Some(_)) => {}
            Ok(None) => {
                if let Some(plans) = self.parts.plans.as_mut() {
                    plans.answered(instants(now.unix_ms), id, Ok(()));
                }
            }
            Err(e) => {
                self.records_failed(works, &e);
                // One that began has an end that is owed.
                if self.desk.ledger().get(&id).is_none()
                    && let Some(plans) = self.parts.plans.as_mut()
                {
                    plans.again(run);
                }
            }
        }
    }

    /// Ends an order that went on.
    pub(super) fn finish(&mut self, works: &mut dyn Works, now: Moment, id: OrderId, outcome: Outcome) {
        let finished = {
            let mut worker =
                Worker { parts: &mut self.parts, associations: &mut self.associations, works: &mut *works };
            self.desk.finish(now, id, outcome, &mut worker)
        };
        if let Err(e) = finished {
            self.records_failed(works, &e);
        }
        self.tell_settled(works);
    }

    /// Sends the packets that were asked for.
    fn send_wanted(&mut self, works: &dyn Works, now: Moment) {
        for wanted in std::mem::take(&mut self.parts.wanted) {
            let packets = match wanted {
                Wanted::Beacon => vec![Due::Beacon],
                Wanted::Housekeeping => vec![Due::Housekeeping],
                Wanted::Time => vec![Due::Time],
                Wanted::Parameters => {
                    let file = self.parts.parameters.as_ref();
                    file.map(|file| file.parameters().packets())
                        .unwrap_or_default()
                        .iter()
                        .map(Due::of)
                        .collect()
                }
                Wanted::Associations => self.association_packets(|_| true).iter().map(Due::of).collect(),
                Wanted::Agenda => self.plan_packets(now).iter().map(Due::of).collect(),
                Wanted::Uploads => {
                    let uploads = self.parts.uploads.as_ref();
                    uploads.map(Coming::reports).unwrap_or_default().iter().map(Due::of).collect()
                }
                Wanted::Answers => {
                    works.desk().repeat_answers(now.steady_ms);
                    Vec::new()
                }
            };
            for due in packets {
                if works.desk().ask(due).is_err() {
                    let report = Report::warning(
                        EventCode::OrderFailed,
                        format!("too many packets wait: not all of {wanted} is sent"),
                    );
                    self.tell(works, "wanted", &report);
                    break;
                }
            }
        }
    }

    fn association_packets(&self, which: impl Fn(&AssociationStatus) -> bool) -> Vec<Association> {
        let packet = |status: AssociationStatus| Association {
            spi: status.spi,
            role: status.role.into(),
            state: match status.state {
                State::Operational => KeyState::Operational,
                State::Retired => KeyState::Retired,
                State::Unsynchronised => KeyState::CountersLost,
            },
            fingerprint: self.parts.fingerprints.get(&status.spi).copied().unwrap_or_default(),
            highest: status.highest.unwrap_or_default(),
            taken: status.counts.accepted,
            refused: status.counts.all_rejected(),
            last_number: self.desk.ledger().next_number(status.spi).saturating_sub(1),
        };
        self.associations.status().filter(which).map(packet).collect()
    }

    fn plan_packets(&self, now: Moment) -> Vec<PlanPacket> {
        let Some(plans) = &self.parts.plans else { return Vec::new() };
        let at = instants(now.unix_ms);
        let rows = plans.sequencer.agenda(at, sequence::MAX_SINGLE * 8, plans.dictionary());
        let packet = |plan: sequence::PlanRow| {
            let next = rows.iter().find(|row| row.plan == plan.name);
            let entries = u16::try_from(plan.entries).unwrap_or(u16::MAX);
            PlanPacket {
                name: FixedText::cut(&plan.name),
                version: plan.version.and_then(|v| u16::try_from(v).ok()).unwrap_or(u16::MAX),
                state: match (plan.status, plan.held) {
                    (None, _) => PlanState::Loaded,
                    (Some(Status::Running), true) => PlanState::Held,
                    (Some(Status::Running), false) => PlanState::Running,
                    (Some(Status::Done), _) => PlanState::Done,
                    (Some(Status::Aborted | Status::Cancelled), _) => PlanState::Aborted,
                },
                entries,
                done: plan.tally.done,
                failed: plan.tally.failed,
                skipped: plan.tally.skipped,
                next: next.map_or(0, |row| row.entry),
                next_unix: next.and_then(|row| row.expected_unix_ms).unwrap_or_default(),
                next_order: FixedText::cut(next.map_or("", |row| row.what.as_str())),
            }
        };
        plans.sequencer.plans().into_iter().map(packet).collect()
    }

    /// Leaves on the desk what channels and digest say of commanding.
    pub(super) fn tell_all(&mut self, works: &dyn Works, now: Moment) {
        let uplink = self.uplink_counts(now);
        let counts = self.desk.ledger().counts();
        let open = self.desk.ledger().unseen().count() as u64;
        let orders = OrderCounts {
            taken: counts.taken.into(),
            repeated: counts.repeated.into(),
            refused: counts.refused.into(),
            failed: counts.failed.into(),
            answers_open: open,
        };
        let parameters = self.parts.parameters.as_ref().map(ParameterFile::parameters);
        let percent = self
            .parts
            .uploads
            .as_ref()
            .and_then(|uploads| uploads.progress().iter().filter(|p| !p.taken).map(|p| p.percent).min());
        let running = self.parts.plans.as_ref().map_or(0, |plans| {
            plans.sequencer.plans().iter().filter(|plan| plan.status == Some(Status::Running)).count() as u64
        });
        works.desk().others(|others| {
            (others.uplink, others.orders, others.plans_running) = (uplink, orders, running);
            others.challenge = self.associations.challenge().unwrap_or_default();
            others.scripts_running = works.scripts_running();
            others.update = self.parts.update_state();
            others.upload_percent = percent.unwrap_or(100);
            if let Some(parameters) = parameters {
                let [a, b, c, d, ..] = parameters.digest();
                (others.parameters, others.parameters_state) = ([a, b, c, d], parameters.state());
            }
            works.vitals(others);
        });
        self.tell_digest(works, now);
        if now.steady_ms >= self.rounds.kept_ms {
            self.rounds.kept_ms = now.steady_ms.saturating_add(KEEP_MS);
            self.keep_answers(works);
        }
    }

    fn tell_digest(&self, works: &dyn Works, now: Moment) {
        let of = |wanted: State| {
            let is = move |status: &AssociationStatus| status.state == wanted;
            self.associations.status().filter(is).map(|status| status.spi).collect::<Vec<_>>()
        };
        let uploads = self.parts.uploads.as_ref().map(Coming::reports).unwrap_or_default();
        let uploading = uploads.into_iter().filter(|upload| upload.missing > 0).map(|upload| Uploading {
            kind: upload.kind,
            name: upload.name.0.to_string(),
            id: hex(&upload.id),
            pieces: upload.pieces,
            missing: upload.missing,
        });
        let agenda = self.agenda(now, TOLD_ROWS).into_iter().map(|row| Pending {
            unix_ms: row.expected_unix_ms,
            waits_for: row.waits_for,
            plan: row.plan,
            order: row.what,
        });
        works.desk().outside(|outside| {
            (outside.keys_retired, outside.counters_lost) = (of(State::Retired), of(State::Unsynchronised));
            (outside.uploads, outside.agenda) = (uploading.collect(), agenda.collect());
            outside.update_text = self.parts.update_text();
            if let Some(plans) = &self.parts.plans {
                (outside.plan_entries_done, outside.plan_entries_failed) = plans.counts;
            }
            if let Some(file) = &self.parts.parameters {
                let parameters = file.parameters();
                let changed = parameters.version() > 0;
                outside.parameters_sha256 = changed.then(|| hex(&parameters.digest()));
                outside.trial_left_s = parameters.time_left_ms(now_of(now)).map(|ms| ms / 1000);
            }
        });
    }

    /// Keeps what the operator may ask when the daemon is down.
    pub(crate) fn keep_answers(&self, works: &dyn Works) {
        let now = self.moment(works);
        let keep = |name: &'static str, value: Result<Value, serde_json::Error>| {
            if let Ok(value) = value {
                works.desk().keep(name, value);
            }
        };
        if let Some(summary) = self.parameters(now, "") {
            keep("params", json::value(&summary));
        }
        keep("agenda", json::value(&self.agenda_answer(now, 100)));
        keep("update", json::value(&self.update_answer()));
        keep("script", json::value(&self.scripts_answer()));
        keep("orders", json::value(&self.orders_answer(crate::command::DEFAULT_ORDERS)));
        keep("keys", json::value(&self.keys_answer()));
        keep("logs", json::value(&LogsAnswer { schema: SCHEMA, lines: crate::adapters::log::newest(50) }));
    }

    /// What is pending.
    pub(super) fn agenda(&self, now: Moment, limit: usize) -> Vec<sequence::Row> {
        let Some(plans) = &self.parts.plans else { return Vec::new() };
        let mut rows = plans.sequencer.agenda(instants(now.unix_ms), limit, plans.dictionary());
        rows.retain(|row| row.state != RowState::Follows || limit > TOLD_ROWS);
        rows
    }

    fn uplink_counts(&mut self, now: Moment) -> UplinkCounts {
        let counts = self.associations.counts();
        let of = |reasons: &[RejectReason]| -> u64 {
            reasons.iter().map(|reason| u64::from(counts.rejected(*reason))).sum()
        };
        let refused = u64::from(counts.all_rejected());
        self.rounds.refused.retain(|at_ms, _| now.steady_ms.saturating_sub(*at_ms) <= MINUTE_MS);
        self.rounds.refused.insert(now.steady_ms, refused);
        let before = self.rounds.refused.first_key_value().map_or(refused, |(_, count)| *count);
        let (unknown, forged) = (&[RejectReason::UnknownSpi, RejectReason::Retired], &[RejectReason::Tag]);
        let replayed =
            &[RejectReason::Replayed, RejectReason::TooOld, RejectReason::Backward, RejectReason::Challenge];
        let throttled = &[RejectReason::Busy, RejectReason::Flooded];
        let named = of(unknown) + of(forged) + of(replayed) + of(throttled);
        UplinkCounts {
            taken: counts.accepted.into(),
            refused_last_minute: refused.saturating_sub(before),
            damaged: refused.saturating_sub(named),
            unknown_key: of(unknown),
            forged: of(forged),
            replayed: of(replayed),
            throttled: of(throttled),
        }
    }
}
