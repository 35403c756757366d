//! The vitals: the thread that looks at the check-ins, feeds the watchdog and tells the supervisor; the one that reads
//! sensors; and the task of the loop that tells what they say.
//!
//! The first of them waits for nothing and nobody: not for a disk, not for the catalogue, not for a sensor. What it has
//! to tell goes by the loop. What ends the process goes by none.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::pulse::{Beat, Pulse};
use super::shared::Shared;
use crate::adapters::crash;
use crate::adapters::notify::Notify;
use crate::adapters::sensors::Sensors;
use crate::adapters::watchdog::{Watchdog, about};
use crate::health::{Action, Starts, Task};
use crate::telemetry::Report;
use passband_proto::dict::EventCode;

/// How often the check-ins are looked at.
const TICK: Duration = Duration::from_secs(1);
/// The longest sleep: how soon a thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);
/// So long a start may take before it is stuck, ms: a large store is looked at.
const START_MS: u64 = 900_000;
/// So long an ending process waits for its last note.
const LAST_NOTE: Duration = Duration::from_secs(2);
/// What the frames thread is at while a frame may be to blame.
pub(crate) const TRIAGE: &str = "triage";

/// The thread that looks at the check-ins.
pub(crate) struct Vitals {
    pulse: Arc<Pulse>,
    state: PathBuf,
    watchdog: Option<Watchdog>,
    notify: Notify,
}

impl Vitals {
    /// Starts the watchdog; what can't be started is told of.
    pub(crate) fn new(pulse: Arc<Pulse>, state: PathBuf) -> Self {
        let watchdog = pulse.settings.watchdog.as_deref().and_then(|device| open(&pulse, device));
        let notify = Notify::from_env().unwrap_or_else(|e| {
            pulse.tell(Report::warning(
                EventCode::NotifyError,
                format!("the supervisor can't be told anything: {e}"),
            ));
            Notify::default()
        });
        Self { pulse, state, watchdog, notify }
    }

    /// A start is on; the beat ends with it.
    pub(crate) fn starting(pulse: &Arc<Pulse>) -> Beat {
        let beat = pulse.beat(Task::Start);
        beat.working("opening the store", START_MS);
        beat
    }

    /// Runs until the process stops in order.
    pub(crate) fn run(mut self, ready: &mpsc::Receiver<()>) {
        let mut told = None;
        while !self.pulse.stopping() {
            for action in self.pulse.poll_tasks() {
                match action {
                    Action::Tell(report) => self.pulse.tell(report),
                    Action::Restart(task) => self.pulse.restart(task),
                    Action::EndProcess { task, at, why } => self.end(task, at, &why),
                }
            }
            if ready.try_recv().is_ok() {
                self.notify(Notify::ready);
            }
            if self.pulse.may_feed() {
                self.feed();
            }
            let status = status(&self.pulse);
            if told.as_ref() != Some(&status) {
                self.notify(|notify| notify.status(&status));
                told = Some(status);
            }
            sleep(&self.pulse, TICK);
        }
        self.notify(Notify::stopping);
        // Only a stop in order stops it: whatever else ends this process is to be started anew in time.
        if let Some(watchdog) = self.watchdog {
            drop(watchdog.stop());
        }
    }

    fn feed(&mut self) {
        self.notify(Notify::alive);
        if let Some(Err(e)) = self.watchdog.as_mut().map(Watchdog::feed) {
            self.watchdog = None;
            self.pulse
                .tell(Report::error(EventCode::WatchdogError, format!("the watchdog can't be fed: {e}")));
        }
    }

    /// A supervisor that doesn't listen is no reason to do anything.
    fn notify(&self, what: impl Fn(&Notify) -> std::io::Result<()>) {
        if let Err(e) = what(&self.notify) {
            tracing::debug!("the supervisor: {e}");
        }
    }

    /// Ends the process: leaves a note, as far as the disk lets it, and waits for nothing else.
    fn end(&self, task: Task, at: &'static str, why: &str) {
        tracing::error!("task-stuck: {why}");
        let frame = crash::frame_at_work().filter(|_| task == Task::Frames && at == TRIAGE);
        let (state, note) = (self.state.clone(), crash::Note { frame, text: why.to_owned() });
        let (done, wait) = mpsc::channel();
        let noting = thread::Builder::new().name("note".to_owned()).spawn(move || {
            drop(crash::leave_note(&state, &note));
            let _told = done.send(());
        });
        if noting.is_ok() {
            let _done = wait.recv_timeout(LAST_NOTE);
        }
        process::abort();
    }
}

fn open(pulse: &Pulse, device: &Path) -> Option<Watchdog> {
    let at = device.display();
    match Watchdog::open(device) {
        Ok(watchdog) => {
            let timeout = about(Path::new("/"), device).timeout_s;
            let timeout = timeout.map_or_else(|| "an unknown time".to_owned(), |s| format!("{s} s"));
            let text = format!("the watchdog {at} resets the board when it isn't fed for {timeout}");
            pulse.tell(Report::info(EventCode::WatchdogStarted, text));
            Some(watchdog)
        }
        Err(e) => {
            pulse.tell(Report::error(
                EventCode::WatchdogError,
                format!("the watchdog {at} can't be started: {e}"),
            ));
            None
        }
    }
}

fn status(pulse: &Pulse) -> String {
    let mode = if pulse.start.safe.is_some() { "safe mode" } else { "at work" };
    format!("{mode}, load level {}", pulse.level().number())
}

/// The thread that reads sensors; runs until the process stops.
pub(crate) fn read_sensors(pulse: &Arc<Pulse>) {
    let (mut sensors, beat) = (Sensors::new(Path::new("/")), pulse.beat(Task::Sensors));
    while !pulse.stopping() {
        pulse.take_readings(&sensors.read(pulse.clock.now_ms()));
        beat.working("waiting", pulse.settings.sensors_s.saturating_mul(1000).saturating_add(60_000));
        sleep(pulse, Duration::from_secs(pulse.settings.sensors_s));
    }
}

/// The task of the loop that checks in for it, tells what there is to tell, and notes that a start is a good one.
pub(crate) async fn tell_news(shared: Arc<Shared>) {
    let (pulse, mut well) = (Arc::clone(&shared.pulse), false);
    let beat = pulse.beat(Task::Loop);
    loop {
        beat.check_in();
        for report in pulse.take_news() {
            shared.event(&report);
        }
        if !well && pulse.clock.now_ms() >= pulse.settings.well_s.saturating_mul(1000) {
            well = true;
            if let Err(e) = pulse.ledger(|ledger| ledger.change(Starts::well)) {
                let text = format!("that this start is a good one can't be kept: {e}");
                shared.event(&Report::error(EventCode::RecordUnwritten, text));
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Sleeps, but not on while the process stops.
fn sleep(pulse: &Pulse, time: Duration) {
    let until_ms = pulse.clock.now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    while let Some(left) = until_ms.checked_sub(pulse.clock.now_ms()).filter(|left| *left > 0)
        && !pulse.stopping()
    {
        thread::sleep(Duration::from_millis(left).min(NAP));
    }
}
