//! Orders about transmitter, queue and alerts, done by the daemon that works.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use passband_proto::dict::{BundleClass, Mode, Order, Reason, Shed};
use passband_proto::ids::Class;

use super::Works;
use crate::command::{BundleName, QueueAction};
use crate::daemon::desk::Desk;
use crate::daemon::encoder::QueueChange;
use crate::daemon::scripts::{ScriptNews, ScriptOrder};
use crate::daemon::shared::Shared;
use crate::daemon::{alert_orders, line};
use crate::orders::desk::Outcome;
use crate::orders::{Moment, Run};
use crate::passes::Pass;
use crate::script::Limits;
use crate::store::{Acknowledger, AlertState, Superseder};
use crate::telemetry::{Others, Report};

/// The daemon that works.
pub(crate) struct Nominal<'a> {
    /// What its threads share.
    pub(crate) shared: &'a Shared,
    /// The encoder's ear.
    pub(crate) queue: &'a Sender<QueueChange>,
}

impl Works for Nominal<'_> {
    fn daily(&mut self, now: Moment, run: &Run) -> Outcome {
        if now.mode == Mode::Safe {
            return Outcome::failed(Reason::WrongMode, "not in safe mode; `safe leave` ends it");
        }
        match &run.order {
            Order::PassStart { seconds, rate } => self.pass_start(now, run, *seconds, *rate),
            Order::PassStop {} => {
                let stop = |gate: &mut crate::downlink::Gate| match gate.stop(self.shared.clock.now_ms()) {
                    Ok(change) => (change, Ok(())),
                    Err(refused) => (crate::downlink::Change::None, Err(refused)),
                };
                as_outcome(self.shared.gate(stop), "transmitter closed")
            }
            Order::QueuePromote { id } => self.queue(id, &QueueAction::Promote),
            Order::QueueDemote { id } => self.queue(id, &QueueAction::Demote),
            Order::QueueHold { id } => self.queue(id, &QueueAction::Hold),
            Order::QueueRelease { id } => self.queue(id, &QueueAction::Release),
            Order::QueueDrop { id } => self.queue(id, &QueueAction::Drop),
            Order::QueueRetask { id, tasking, class } => {
                let tasking = (!tasking.is_empty()).then(|| tasking.to_string());
                self.queue(id, &QueueAction::Retask { tasking, class: class_of(*class) })
            }
            Order::AlertsAck { number } => {
                self.alert(*number, AlertState::Acknowledged(Acknowledger::Operator), "acknowledged")
            }
            Order::AlertsCancel { number } => {
                self.alert(*number, AlertState::Superseded(Superseder::Operator), "cancelled")
            }
            other => Outcome::failed(Reason::NotPossible, format!("{other} isn't done here")),
        }
    }

    fn desk(&self) -> &Desk {
        &self.shared.desk
    }

    fn scripts(&self) -> Option<Sender<ScriptOrder>> {
        self.shared.scripts()
    }

    fn script_news(&self) -> VecDeque<ScriptNews> {
        self.shared.take_script_news()
    }

    fn script_limits(&self) -> Limits {
        self.shared.config.scripts.limits
    }

    fn scripts_running(&self) -> u64 {
        self.shared.scripts_running()
    }

    fn pass_plan(&self) -> usize {
        std::sync::Arc::as_ptr(&self.shared.pass_plan()).addr()
    }

    fn passes(&self, from_unix_ms: u64, count: usize) -> Vec<Pass> {
        self.shared.pass_plan().next(from_unix_ms, count)
    }

    fn shed(&self, level: Shed) {
        self.shared.pulse.fix_shed(level);
    }

    fn shed_at_least(&self, level: Shed) {
        self.shared.pulse.shed_at_least(level);
    }

    fn vitals(&self, others: &mut Others) {
        self.shared.pulse.tell_vitals(others);
        others.mode = self.mode();
        others.frames_shed = self.shared.counters().frames_shed.total();
    }

    fn next_start(&mut self, safe: bool) -> Result<(), String> {
        self.shared.pulse.order_safe(safe)
    }

    fn event(&self, report: &Report) {
        self.shared.event(report);
    }

    fn mode(&self) -> Mode {
        if self.shared.in_safe_mode() {
            Mode::Safe
        } else if self.shared.pulse.level().number() > 0 {
            Mode::Shedding
        } else {
            Mode::Nominal
        }
    }
}

impl Nominal<'_> {
    fn pass_start(&self, now: Moment, run: &Run, seconds: u32, rate: u64) -> Outcome {
        // Of a pass that a restart has cut off, what is left.
        let gone_ms = if run.resumed { now.unix_ms.saturating_sub(run.taken_unix_ms) } else { 0 };
        let left_s = u64::from(seconds).saturating_sub(gone_ms / 1000);
        if left_s == 0 {
            return Outcome::done("its time was over when the daemon came back");
        }
        let rate_bps = (rate != 0).then_some(rate);
        let start =
            |gate: &mut crate::downlink::Gate| match gate.start(self.shared.clock.now_ms(), left_s, rate_bps)
            {
                Ok(change) => (change, Ok(())),
                Err(refused) => (crate::downlink::Change::None, Err(refused)),
            };
        as_outcome(self.shared.gate(start), &format!("transmitter open for {left_s} s"))
    }

    fn queue(&self, id: &str, action: &QueueAction) -> Outcome {
        let answer = line::act(self.shared, self.queue, &BundleName(id.to_owned()), action);
        as_outcome(answer.map(|answer| format!("{} {}", answer.id, answer.done)), "")
    }

    fn alert(&self, number: u32, state: AlertState, done: &str) -> Outcome {
        as_outcome(
            alert_orders::settle(self.shared, number, state).map(drop),
            &format!("alert {number} {done}"),
        )
    }
}

/// Done with a text, or what was said instead.
fn as_outcome<T: Said>(result: Result<T, impl ToString>, done: &str) -> Outcome {
    match result {
        Ok(said) => Outcome::done(said.said().unwrap_or_else(|| done.to_owned())),
        Err(why) => Outcome::failed(Reason::NotPossible, why.to_string()),
    }
}

/// What a success says of itself.
trait Said {
    fn said(self) -> Option<String>;
}

impl Said for () {
    fn said(self) -> Option<String> {
        None
    }
}

impl Said for String {
    fn said(self) -> Option<String> {
        Some(self)
    }
}

fn class_of(class: BundleClass) -> Option<Class> {
    match class {
        BundleClass::Alert => Some(Class::Alert),
        BundleClass::Suspect => Some(Class::Suspect),
        BundleClass::Routine => Some(Class::Routine),
        BundleClass::DiscardCandidate => Some(Class::DiscardCandidate),
        BundleClass::AsItIs => None,
    }
}
