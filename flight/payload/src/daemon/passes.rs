//! The pass plan: takes its files when they change, and tells the gate what of it is on. A thread of its own, since
//! files are read and orbits computed in it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::shared::Shared;
use crate::adapters::pass_files::PassFiles;
use crate::command::date;
use crate::config::TransmitMode;
use crate::downlink::Planned;
use crate::health::Task;
use crate::passes::{Agenda, PassPlan};
use crate::telemetry::Report;
use passband_proto::dict::EventCode;

/// How often the gate is told what is on: how exactly it opens at AOS.
const TICK: Duration = Duration::from_millis(50);
/// How often the files are looked at, ms.
const LOOK_MS: u64 = 1_000;
/// The pause where nothing is opened by the plan: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(400);

/// The thread that keeps the plan.
pub(crate) struct Passes {
    shared: Arc<Shared>,
    files: PassFiles,
    agenda: Agenda,
    looked_ms: u64,
    told_stale: bool,
}

impl Passes {
    /// The plan as its files are now.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let files = PassFiles::new(&shared.config.passes);
        let looked_ms = shared.clock.now_ms();
        let mut passes = Self { shared, files, agenda: Agenda::default(), looked_ms, told_stale: false };
        passes.take_files();
        passes
    }

    /// Runs until the daemon stops, or not at all without files.
    pub(crate) fn run(mut self) {
        let opens = self.shared.config.downlink.transmit == TransmitMode::Plan;
        if !self.files.are_configured() {
            return;
        }
        let beat = self.shared.beat(Task::Passes);
        // One that was stuck, and in whose place another one stands, ends.
        while !self.shared.stopping() && beat.check_in() {
            let now_ms = self.shared.clock.now_ms();
            if now_ms.saturating_sub(self.looked_ms) >= LOOK_MS {
                self.looked_ms = now_ms;
                self.take_files();
                self.tell_if_stale();
            }
            if opens {
                self.work_gate();
            }
            thread::sleep(if opens { TICK } else { NAP });
        }
    }

    fn take_files(&mut self) {
        let taken = self.files.take();
        for fault in taken.faults {
            self.unusable(&fault);
        }
        if !taken.changed {
            return;
        }
        match self.files.plan() {
            Ok(plan) => self.follow(plan),
            Err(fault) => self.unusable(&fault),
        }
    }

    /// Takes another plan.
    fn follow(&mut self, plan: PassPlan) {
        let plan = Arc::new(plan);
        self.agenda = Agenda::new(Arc::clone(&plan));
        self.told_stale = false;
        let text = summary(&plan, self.shared.clock.unix_ms());
        self.shared.set_pass_plan(plan);
        self.shared.event(&Report::info(EventCode::PassPlanChanged, text));
        self.tell_if_stale();
    }

    fn unusable(&self, fault: &str) {
        let text = format!("{fault}; what was read of it before stays");
        // Each file by its name: a fault of one doesn't hide one of another.
        let kind = fault.split(':').next().unwrap_or_default();
        self.shared
            .throttled(&format!("pass plan {kind}"), &Report::error(EventCode::PassPlanUnusable, text));
    }

    /// Tells once of elements that have become too old.
    fn tell_if_stale(&mut self) {
        let status = self.shared.pass_plan().status(self.shared.clock.unix_ms());
        if status.stale && !self.told_stale {
            let epoch = date(status.epoch_unix_ms.unwrap_or_default());
            let days = self.shared.config.passes.max_age_days;
            let text =
                format!("the elements of {epoch} are more than {days} days old; passes by them are stale");
            self.shared.event(&Report::warning(EventCode::PassPlanStale, text));
        }
        self.told_stale = status.stale;
    }

    fn work_gate(&mut self) {
        let now_unix_ms = self.shared.clock.unix_ms();
        let planned = self.agenda.current(now_unix_ms).map(|pass| Planned {
            left_ms: pass.los_unix_ms.saturating_sub(now_unix_ms),
            rate_bps: pass.rate_bps,
        });
        self.shared.gate(|gate| (gate.on_plan(self.shared.clock.now_ms(), planned), ()));
    }
}

/// What a plan is, in a sentence.
fn summary(plan: &PassPlan, now_unix_ms: u64) -> String {
    let status = plan.status(now_unix_ms);
    let orbit = status.epoch_unix_ms.map_or_else(String::new, |epoch| {
        let name = status.satellite.map_or_else(String::new, |name| format!(" of {name}"));
        format!(", elements{name} of {} for {} stations", date(epoch), status.stations)
    });
    let next = plan.next(now_unix_ms, 1);
    let next = next.first().map_or_else(
        || "no pass to come".to_owned(),
        |pass| format!("next pass {} over {}", date(pass.aos_unix_ms), pass.station),
    );
    format!("pass plan: {} windows{orbit}; {next}", status.windows)
}
