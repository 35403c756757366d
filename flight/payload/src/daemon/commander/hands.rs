//! How each order is done.

use passband_proto::dict::{EventCode, Mode, Order, Reason};
use passband_proto::sdls::{Associations, Mark, State};

use super::{Parts, REBOOT, Then, UPLOAD_RESERVE, Works, keys, record};
use crate::adapters::os::board_number;
use crate::orders::desk::{Hands, Outcome};
use crate::orders::{Moment, Run};
use crate::store::orders::Kind;
use crate::telemetry::Report;

/// Does orders.
pub(super) struct Worker<'a> {
    pub(super) parts: &'a mut Parts,
    pub(super) associations: &'a mut Associations,
    pub(super) works: &'a mut dyn Works,
}

impl Hands for Worker<'_> {
    fn run(&mut self, now: Moment, run: &Run) -> Outcome {
        match &run.order {
            Order::Ping {} => Outcome::done(crate::version()),
            Order::TelemetrySend { packet } => {
                self.parts.wanted.insert(*packet);
                Outcome::done("")
            }
            Order::AnswersSeen { below, bits } => {
                self.works.desk().seen(run.id.source, *below, *bits);
                Outcome::done("")
            }
            Order::PassStart { .. }
            | Order::PassStop {}
            | Order::QueuePromote { .. }
            | Order::QueueDemote { .. }
            | Order::QueueHold { .. }
            | Order::QueueRelease { .. }
            | Order::QueueDrop { .. }
            | Order::QueueRetask { .. }
            | Order::AlertsAck { .. }
            | Order::AlertsCancel { .. } => self.works.daily(now, run),
            Order::SafeEnter {} => self.mode(run, true),
            Order::SafeLeave {} => self.mode(run, false),
            Order::DaemonRestart {} if run.resumed => Outcome::done("the daemon was started anew"),
            Order::DaemonRestart {} => self.end(run, Then::Restart),
            Order::BoardReboot {} => self.reboot(run),
            Order::KeysRetire { spi } => self.retire(run, *spi),
            Order::KeysAccept { spi } => self.accept(*spi),
            Order::ParamsSet { .. }
            | Order::ParamsDiscard {}
            | Order::ParamsCommit { .. }
            | Order::ParamsConfirm {}
            | Order::ParamsRollback {} => self.parameters(now, run),
            Order::UploadBegin { .. } | Order::UploadPiece { .. } | Order::UploadDrop { .. } => {
                self.uploads(run)
            }
            Order::PlanStart { .. }
            | Order::PlanHold { .. }
            | Order::PlanResume { .. }
            | Order::PlanCancel { .. }
            | Order::PlanSkip { .. }
            | Order::PlanRemove { .. }
            | Order::AgendaAdd { .. }
            | Order::AgendaRemove { .. } => self.plans(now, run),
            Order::ScriptRun { .. } | Order::ScriptStop { .. } | Order::ScriptRemove { .. } => {
                self.scripts(run)
            }
            Order::HealthShed { level } => {
                self.works.shed(*level);
                Outcome::done(format!("what is left undone: {level}"))
            }
            Order::BlackboxSend {} => match self.works.mode() {
                Mode::Safe => Outcome::failed(Reason::WrongMode, "bundles are made in normal operation"),
                _ if self.works.desk().send_blackbox(run.id) => Outcome::goes_on(""),
                _ => Outcome::failed(Reason::Busy, "it was asked for many times already"),
            },
            Order::UpdateStart { .. }
            | Order::UpdateAbort {}
            | Order::UpdateTry {}
            | Order::UpdateConfirm { .. }
            | Order::UpdateBack { .. } => self.update(now, run),
        }
    }

    fn kept(&mut self, _now: Moment, run: &Run) {
        if let Some((_, then)) = self.parts.once_kept.take_if(|(id, _)| *id == run.id) {
            self.parts.then = Some(then);
        }
        match run.order {
            Order::KeysAccept { spi } => {
                let mark = Mark::fresh(spi);
                if self.associations.state(spi) == Some(State::Unsynchronised) {
                    self.associations.restore(&mark);
                }
            }
            Order::UploadBegin { .. } => self.take_whole(),
            Order::UploadPiece { .. } => {
                self.associations.set_reserve(run.id.source, UPLOAD_RESERVE);
                self.take_whole();
            }
            _ => {}
        }
    }

    fn tell(&mut self, report: Report) {
        self.works.event(&report);
    }
}

impl Worker<'_> {
    /// Ends the run once it is durable that the order is under way; that it ended is seen at the next start.
    fn end(&mut self, run: &Run, then: Then) -> Outcome {
        self.parts.once_kept = Some((run.id, then));
        Outcome::goes_on("")
    }

    /// Starts anew in safe mode, or out of it.
    fn mode(&mut self, run: &Run, safe: bool) -> Outcome {
        let is_safe = self.works.mode() == Mode::Safe;
        if run.resumed && is_safe == safe {
            return Outcome::done(format!("safe mode {}", if safe { "on" } else { "off" }));
        }
        if run.resumed && is_safe {
            // Once: nobody could give an order if every start tried again.
            return Outcome::failed(Reason::Interrupted, "the start in normal operation failed");
        }
        match self.works.next_start(safe) {
            Ok(()) => {
                if !safe {
                    let text = "by order: the daemon starts anew in normal operation";
                    self.tell(Report::warning(EventCode::SafeModeOver, text));
                }
                self.end(run, Then::Restart)
            }
            Err(why) => Outcome::failed(Reason::NotPossible, why),
        }
    }

    /// Restarts the board. Whether that was done is told by the system's own number of the boot, since the clock may
    /// stand behind after it.
    fn reboot(&mut self, run: &Run) -> Outcome {
        let boot = board_number();
        if run.resumed {
            match self.parts.reboot {
                Some((id, before)) if id == run.id && (before != boot || boot == 0) => {
                    return Outcome::done("the board was restarted");
                }
                Some((id, _)) if id == run.id => {}
                _ => return Outcome::failed(Reason::Interrupted, "the daemon ended before it was done"),
            }
        }
        self.end(run, Then::Reboot).with([record(Kind::Note, REBOOT, &(run.id, boot))])
    }

    fn retire(&mut self, run: &Run, spi: u16) -> Outcome {
        if run.resumed && self.associations.state(spi) == Some(State::Retired) {
            return Outcome::done(format!("key {spi} is retired"));
        }
        match self.associations.retire(run.id.source, spi) {
            Ok(mark) => {
                let text = format!("key {spi} is retired");
                self.tell(Report::warning(EventCode::CommandKeyRetired, text.clone()));
                Outcome::done(text).with([keys::mark_change(&mark)])
            }
            Err(e) => Outcome::failed(Reason::NotPossible, e.to_string()),
        }
    }

    fn accept(&mut self, spi: u16) -> Outcome {
        match self.associations.state(spi) {
            None => Outcome::failed(
                Reason::NotFound,
                format!("the command key file holds no key {spi} of this spacecraft"),
            ),
            Some(State::Unsynchronised) => Outcome::done(format!("key {spi} counts from the beginning"))
                .with([keys::mark_change(&Mark::fresh(spi))]),
            Some(state) => Outcome::failed(Reason::NotPossible, format!("key {spi} is {}", state.name())),
        }
    }
}
