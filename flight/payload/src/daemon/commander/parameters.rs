//! Orders about parameters.

use passband_proto::dict::{EventCode, Order, ParameterId, Reason};

use super::hands::Worker;
use super::{Then, Works};
use crate::adapters::parameters::{NotDone, ParameterFile};
use crate::orders::desk::Outcome;
use crate::orders::{Moment, Run};
use crate::parameters::{Done, Now, RolledBack};
use crate::telemetry::Report;

/// Both clocks, as parameters want them.
pub(super) fn now_of(now: Moment) -> Now {
    Now { steady_ms: now.steady_ms, unix_ms: now.unix_ms }
}

impl Worker<'_> {
    /// Does an order about parameters.
    pub(super) fn parameters(&mut self, now: Moment, run: &Run) -> Outcome {
        let Some(file) = self.parts.parameters.as_mut() else {
            return Outcome::failed(Reason::WrongMode, "there are no parameters");
        };
        let (by, at) = (run.id, now_of(now));
        let done = file.order(|parameters| match &run.order {
            Order::ParamsSet { name, value } => parameters.stage(*name, value, by, at),
            Order::ParamsCommit { within } => parameters.commit(*within, by, at),
            Order::ParamsConfirm {} => parameters.confirm(by, at),
            Order::ParamsRollback {} => parameters.rollback(by),
            _ => parameters.discard(by),
        });
        match done {
            Ok(done) => self.told(run, done),
            Err(NotDone::Refused(why)) => Outcome::failed(why.reason(), why.to_string()),
            Err(NotDone::Disk(e)) => Outcome::failed(Reason::Fault, format!("writing the parameters: {e}")),
        }
    }

    fn told(&mut self, run: &Run, done: Done) -> Outcome {
        let id = run.id;
        let (code, text, restart) = match done {
            Done::Staged => {
                let words = run.order.to_string();
                let what = words.strip_prefix("params set ").unwrap_or(&words).to_owned();
                (EventCode::ParameterStaged, format!("{what} is staged by {id}"), false)
            }
            Done::Discarded => return Outcome::done("nothing is staged any more"),
            Done::Committed { version, restart } => {
                let text = format!("version {version} is in force, on trial, by {id}");
                (EventCode::ParametersCommitted, text, restart)
            }
            Done::Confirmed { version } => {
                (EventCode::ParametersConfirmed, format!("version {version} is confirmed by {id}"), false)
            }
            Done::RolledBack { version, restart } => {
                let text = format!("version {version} is in force again, by {id}");
                (EventCode::ParametersRolledBack, text, restart)
            }
        };
        if !run.resumed {
            let warning = code == EventCode::ParametersRolledBack;
            let report = if warning { Report::warning } else { Report::info };
            self.works.event(&report(code, text.clone()));
        }
        put_in_force(self.parts.parameters.as_ref(), self.works);
        // A start of the daemon has what is in force from its beginning.
        if restart && !run.resumed {
            self.parts.then = Some(Then::Restart);
        }
        Outcome::done(text)
    }
}

/// What was put back by itself: whether the daemon has to be started anew for it.
pub(super) fn follow(works: &dyn Works, told: (Option<RolledBack>, Vec<Report>)) -> bool {
    let (back, reports) = told;
    reports.iter().for_each(|report| works.event(report));
    back.is_some_and(|back| back.restart)
}

/// Hands duties the values that count at once.
pub(super) fn put_in_force(file: Option<&ParameterFile>, works: &dyn Works) {
    let Some(file) = file else { return };
    let live = file.parameters().live();
    works.shed_at_least(live.shed);
    works.desk().settings(|settings| {
        for (id, value) in live_values(live) {
            settings.set(id, &value);
        }
    });
}

/// The values that telemetry does by.
fn live_values(
    live: &crate::parameters::Live,
) -> impl Iterator<Item = (ParameterId, passband_proto::dict::Value<'_>)> {
    use passband_proto::dict::Value::{Limits, Text, Unsigned};
    let telemetry = [
        (ParameterId::BeaconEvery, Unsigned(live.telemetry.beacon_s.into())),
        (ParameterId::HousekeepingEvery, Unsigned(live.telemetry.housekeeping_s.into())),
        (ParameterId::TelemetryRate, Unsigned(live.telemetry.rate_bps.into())),
        (ParameterId::EventSeverity, passband_proto::dict::Field::value(&live.telemetry.events)),
        (ParameterId::AnswerEvery, Unsigned(live.command.answer_s.into())),
    ];
    let (limits, actions) = (&live.limits, &live.actions);
    let watched = [
        (
            ParameterId::TemperatureLimits,
            limits.temperature,
            ParameterId::TemperatureAction,
            &actions.temperature,
        ),
        (ParameterId::PowerLimits, limits.power, ParameterId::PowerAction, &actions.power),
        (ParameterId::MemoryLimits, limits.memory_free, ParameterId::MemoryAction, &actions.memory_free),
        (ParameterId::DiskLimits, limits.disk_free, ParameterId::DiskAction, &actions.disk_free),
        (ParameterId::FrameAgeLimits, limits.frame_age, ParameterId::FrameAgeAction, &actions.frame_age),
        (ParameterId::AlertLimits, limits.alerts_pending, ParameterId::AlertAction, &actions.alerts_pending),
        (
            ParameterId::RefusedLimits,
            limits.uplink_refused,
            ParameterId::RefusedAction,
            &actions.uplink_refused,
        ),
    ];
    telemetry.into_iter().chain(watched.into_iter().flat_map(|(limits_id, limits, action_id, plan)| {
        [(limits_id, Limits(limits)), (action_id, Text(plan.0.as_str()))]
    }))
}
