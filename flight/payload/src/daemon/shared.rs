//! What the daemon's threads share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_proto::transfer::Progress;
use tokio::sync::Notify;

use super::desk::Desk;
use super::pass_trace::PassTrace;
use super::pulse::{Beat, Pulse};
use super::scripts::{ScriptNews, ScriptOrder};
use crate::adapters::clock::Clock;
use crate::adapters::disk::Disk;
use crate::adapters::vault::Vault;
use crate::config::Config;
use crate::downlink::{Change, Gate, GateState};
use crate::health::Task;
use crate::passes::{Pass, PassPlan};
use crate::queue::{self, Queue};
use crate::store::health::{Health, Mode};
use crate::store::{Catalogue, StandingRecord, StoreError};
use crate::telemetry::{Counters, Report, Severity, Throttle};

/// One event of a lasting fault in so long, ms.
const THROTTLE_MS: u64 = 60_000;

/// Most news of scripts that wait for commanding.
const MAX_SCRIPT_NEWS: usize = 64;

/// What the threads share. Each lock is held for a moment only, and never two at once, but for `keeping` and
/// `pass_trace`.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    keys: Mutex<Arc<KeyRing>>,
    pub(crate) clock: Clock,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) catalogue: Catalogue,
    /// Whether the catalogue is kept in memory, as it can't be written.
    pub(crate) in_memory: bool,
    pub(crate) vault: Vault,
    pub(crate) boot_count: u64,
    /// Number of the newest event that an earlier run left.
    pub(crate) events_before: u64,
    /// Number of the sender's session: that of the start, from a number on that a lost catalogue didn't reach.
    pub(crate) session: u64,
    /// The state of alerts has changed in the catalogue.
    pub(crate) alerts_changed: Notify,
    stop: AtomicBool,
    gate: Mutex<PassState>,
    gate_moved: Condvar,
    /// Where it is kept that a pass is on; nowhere in safe mode, which has none.
    pass_trace: Mutex<Option<PassTrace>>,
    counters: Mutex<Counters>,
    queue: Mutex<Queue>,
    /// Held while standings are looked at and written.
    keeping: Mutex<()>,
    /// The bits of [`Shared::expected_loss`].
    loss: AtomicU64,
    /// How far the sender is with what it has.
    progress: Mutex<BTreeMap<BundleId, Progress>>,
    pub(crate) health: Arc<Mutex<Health>>,
    throttle: Mutex<Throttle>,
    pub(crate) pulse: Arc<Pulse>,
    /// To the thread that runs scripts, while there is one.
    scripts: Mutex<Option<Sender<ScriptOrder>>>,
    /// What came of scripts, until commanding has seen it.
    script_news: Mutex<VecDeque<ScriptNews>>,
    scripts_running: AtomicU64,
    plan: Mutex<Arc<PassPlan>>,
    /// What telemetry and the other duties leave for each other.
    pub(crate) desk: Desk,
}

/// What a start has opened.
pub(crate) struct Opened {
    pub(crate) config: Config,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Clock,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) catalogue: Catalogue,
    /// Whether the catalogue is kept in memory, as it can't be written.
    pub(crate) in_memory: bool,
    pub(crate) vault: Vault,
    pub(crate) queue: Queue,
    pub(crate) boot_count: u64,
    /// Number of the newest event that an earlier run left.
    pub(crate) events_before: u64,
    pub(crate) session: u64,
    pub(crate) pulse: Arc<Pulse>,
}

/// The gate, and how many passes there were.
#[derive(Debug)]
struct PassState {
    gate: Gate,
    opened: u64,
    closed: u64,
    /// The counters at AOS.
    at_open: Counters,
}

/// How many passes began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Passes {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
}

impl Shared {
    pub(crate) fn new(opened: Opened) -> Self {
        let Opened {
            config,
            keys,
            clock,
            health,
            disk,
            catalogue,
            in_memory,
            vault,
            queue,
            boot_count,
            events_before,
            session,
            pulse,
        } = opened;
        let config_loss = config.downlink.expected_loss;
        let gate = Gate::new(config.downlink.transmit, config.downlink.rate_bps, clock.now_ms());
        let gate = PassState { gate, opened: 0, closed: 0, at_open: Counters::default() };
        Self {
            config,
            keys: Mutex::new(Arc::new(keys)),
            clock,
            disk,
            catalogue,
            in_memory,
            vault,
            boot_count,
            events_before,
            session,
            alerts_changed: Notify::new(),
            stop: AtomicBool::new(false),
            gate: Mutex::new(gate),
            gate_moved: Condvar::new(),
            pass_trace: Mutex::default(),
            counters: Mutex::new(Counters::default()),
            queue: Mutex::new(queue),
            keeping: Mutex::default(),
            loss: AtomicU64::new(config_loss.to_bits()),
            progress: Mutex::new(BTreeMap::new()),
            health,
            throttle: Mutex::new(Throttle::new(THROTTLE_MS)),
            pulse,
            scripts: Mutex::default(),
            script_news: Mutex::default(),
            scripts_running: AtomicU64::new(0),
            plan: Mutex::default(),
            desk: Desk::default(),
        }
    }

    /// With a catalogue in memory and a vault in `folder`.
    #[cfg(test)]
    pub(crate) fn for_tests(config: Config, folder: &std::path::Path) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(crate::adapters::disk::LinuxDisk);
        let clock = Clock::default();
        Self::new(Opened {
            keys: KeyRing::default(),
            clock,
            pulse: super::pulse::tests::pulse(clock),
            health: Arc::new(Mutex::new(Health::new(1_000))),
            catalogue: crate::store::tests::memory(),
            in_memory: false,
            vault: Vault::open(Arc::clone(&disk), folder).unwrap(),
            disk,
            queue: Queue::new(config.queue.clone()).unwrap(),
            boot_count: 1,
            events_before: 0,
            session: 1,
            config,
        })
    }

    /// The keys, as read last.
    pub(crate) fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&lock(&self.keys))
    }

    /// Takes other keys.
    pub(crate) fn set_keys(&self, keys: KeyRing) {
        *lock(&self.keys) = Arc::new(keys);
    }

    /// The pass plan, as taken last; empty without one.
    pub(crate) fn pass_plan(&self) -> Arc<PassPlan> {
        Arc::clone(&lock(&self.plan))
    }

    /// Takes another pass plan.
    pub(crate) fn set_pass_plan(&self, plan: Arc<PassPlan>) {
        *lock(&self.plan) = plan;
    }

    /// The next passes, at most `count`, one that is on among them. Computed in the caller's time, no lock held: for
    /// a few passes some milliseconds, where the orbit is predicted.
    pub(crate) fn next_passes(&self, count: usize) -> Vec<Pass> {
        self.pass_plan().next(self.clock.unix_ms(), count)
    }

    /// Begins to watch a task, which is to check in by this from now on.
    pub(crate) fn beat(&self, task: Task) -> Beat {
        self.pulse.beat(task)
    }

    /// Where orders for scripts go; nowhere in safe mode.
    pub(crate) fn scripts(&self) -> Option<Sender<ScriptOrder>> {
        lock(&self.scripts).clone()
    }

    /// Scripts that run.
    pub(crate) fn scripts_running(&self) -> u64 {
        self.scripts_running.load(Ordering::Relaxed)
    }

    /// Says how many scripts run.
    pub(crate) fn set_scripts_running(&self, count: u64) {
        self.scripts_running.store(count, Ordering::Relaxed);
    }

    /// Tells commanding what came of a script.
    pub(crate) fn script_news(&self, news: ScriptNews) {
        let mut all = lock(&self.script_news);
        if all.len() >= MAX_SCRIPT_NEWS {
            all.pop_front();
        }
        all.push_back(news);
    }

    /// What came of scripts since the last call.
    pub(crate) fn take_script_news(&self) -> VecDeque<ScriptNews> {
        std::mem::take(&mut lock(&self.script_news))
    }

    /// Says where orders for scripts go.
    pub(crate) fn set_scripts(&self, orders: Sender<ScriptOrder>) {
        *lock(&self.scripts) = Some(orders);
    }

    /// Whether the payload is in safe mode.
    pub(crate) fn in_safe_mode(&self) -> bool {
        self.pulse.start.safe.is_some()
    }

    /// Whether the daemon is to stop.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells every thread to stop.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.gate_moved.notify_all();
        self.desk.wake();
    }

    pub(crate) fn stop_flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Changes counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.counters));
    }

    /// The counters now.
    pub(crate) fn counters(&self) -> Counters {
        *lock(&self.counters)
    }

    /// Notes how far a bundle has got; `None`: it is gone.
    pub(crate) fn set_progress(&self, id: BundleId, progress: Option<Progress>) {
        let mut all = lock(&self.progress);
        match progress {
            Some(progress) => all.insert(id, progress),
            None => all.remove(&id),
        };
    }

    /// How far the sender is with each bundle that it has.
    pub(crate) fn progress(&self) -> BTreeMap<BundleId, Progress> {
        lock(&self.progress).clone()
    }

    /// Works the queue.
    pub(crate) fn queue<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut lock(&self.queue))
    }

    /// Keeps how bundles stand in the queue that changed.
    pub(crate) fn keep_standings(
        &self,
        changes: impl IntoIterator<Item = queue::Change>,
    ) -> Result<(), StoreError> {
        self.keep_standings_of(changes.into_iter().filter(|change| change.changed).map(|change| change.id))
    }

    /// Keeps how these bundles stand in the queue now.
    pub(crate) fn keep_standings_of(
        &self,
        ids: impl IntoIterator<Item = BundleId>,
    ) -> Result<(), StoreError> {
        // Two who look and then write must not do so crosswise: what was looked at last has to be written last.
        let _keeping = lock(&self.keeping);
        let records: Vec<_> = self.queue(|queue| {
            let record = |id: BundleId| {
                let standing = queue.get(&id)?.standing;
                let tasking = queue.settings().taskings.get(usize::from(standing.tasking));
                let tasking = tasking.map_or_else(String::new, |tasking| tasking.name.clone());
                Some((id, StandingRecord { standing, tasking }))
            };
            ids.into_iter().filter_map(record).collect()
        });
        if records.is_empty() { Ok(()) } else { self.catalogue.set_standings(&records) }
    }

    /// The share of datagrams that the sender believes to be lost.
    pub(crate) fn expected_loss(&self) -> f64 {
        f64::from_bits(self.loss.load(Ordering::Relaxed))
    }

    /// Notes that share.
    pub(crate) fn set_expected_loss(&self, loss: f64) {
        self.loss.store(loss.to_bits(), Ordering::Relaxed);
    }

    /// How the disk does.
    pub(crate) fn disk_mode(&self) -> Mode {
        lock(&self.health).mode()
    }

    /// Whether the ground reported that a bundle is whole.
    pub(crate) fn is_known(&self, id: &BundleId) -> bool {
        self.queue(|queue| queue.get(id)).is_some_and(|view| view.state == queue::State::Known)
    }

    /// Keeps an event; if that fails, the engineer's log has it.
    pub(crate) fn event(&self, report: &Report) {
        log(report);
        if let Err(e) = self.catalogue.add_event(self.clock.unix_ms(), report) {
            tracing::error!("an event could not be kept: {e}");
        }
    }

    /// Keeps an event of a lasting fault once in a while; `kind` tells faults apart.
    pub(crate) fn throttled(&self, kind: &str, report: &Report) {
        let passed = lock(&self.throttle).pass(self.clock.now_ms(), kind);
        match passed {
            None => self.count(|c| c.events_throttled = c.events_throttled.saturating_add(1)),
            Some(0) => self.event(report),
            Some(held) => {
                let text = format!("{} ({held} more like this since the last)", report.text);
                self.event(&Report { text, ..report.clone() });
            }
        }
    }

    /// Tells of a failure of the store.
    pub(crate) fn store_failed(&self, what: &str, error: &StoreError) {
        self.throttled(what, &Report::error(EventCode::StoreError, format!("{what}: {error}")));
    }

    /// Works the gate, and tells of passes that begin or end by it.
    pub(crate) fn gate<T>(&self, work: impl FnOnce(&mut Gate) -> (Change, T)) -> T {
        let counters = self.counters();
        let mut state = lock(&self.gate);
        let (change, out) = work(&mut state.gate);
        let now_ms = self.clock.now_ms();
        let report = match change {
            Change::None => None,
            Change::Opened => {
                state.opened += 1;
                state.at_open = counters;
                let rate_bps = state.gate.state(now_ms).map_or(0, |s| s.rate_bps);
                Some(Report::info(
                    EventCode::PassOpened,
                    format!("AOS: transmitter open at {rate_bps} bit/s"),
                ))
            }
            Change::Closed { open_ms } => {
                state.closed += 1;
                let datagrams = counters.datagrams_sent - state.at_open.datagrams_sent;
                let bytes = counters.bytes_sent - state.at_open.bytes_sent;
                let text = format!(
                    "LOS: transmitter closed after {open_ms} ms; {datagrams} datagrams, {bytes} bytes sent"
                );
                Some(Report::info(EventCode::PassClosed, text))
            }
        };
        drop(state);
        if report.is_some() {
            self.gate_moved.notify_all();
        }
        self.keep_trace();
        if let Some(report) = report {
            self.event(&report);
        }
        out
    }

    /// Says where it is kept that a pass is on.
    pub(crate) fn keep_trace_in(&self, file: PassTrace) {
        *lock(&self.pass_trace) = Some(file);
    }

    /// Keeps that a pass is on, or none, where that has changed.
    fn keep_trace(&self) {
        let mut file = lock(&self.pass_trace);
        let Some(file) = file.as_mut() else { return };
        // Looked at with the file held: what was looked at last is written last.
        let gate = lock(&self.gate).gate.clone();
        if let Err(e) = file.keep(&gate, self.clock.now_ms(), self.clock.unix_ms()) {
            let text = format!("whether a pass is on can't be kept: {e}");
            self.throttled("pass trace", &Report::error(EventCode::RecordUnwritten, text));
        }
    }

    /// The daemon ends: what was sent of a pass that is on is told.
    pub(crate) fn end_pass(&self) {
        self.gate(|gate| (gate.end(self.clock.now_ms()), ()));
    }

    /// The gate now: who opens it, whether it is open.
    pub(crate) fn gate_now(&self) -> (Gate, Option<GateState>) {
        let gate = lock(&self.gate).gate.clone();
        let state = gate.state(self.clock.now_ms());
        (gate, state)
    }

    /// Whether the transmitter may be used now.
    pub(crate) fn open_now(&self) -> Option<GateState> {
        lock(&self.gate).gate.state(self.clock.now_ms())
    }

    /// How many passes began and ended so far.
    pub(crate) fn passes(&self) -> Passes {
        let state = lock(&self.gate);
        Passes { opened: state.opened, closed: state.closed }
    }

    /// Sleeps until the gate may have changed, at most `most`.
    pub(crate) fn wait_for_gate(&self, most: Duration) {
        let state = lock(&self.gate);
        if state.gate.state(self.clock.now_ms()).is_none() && !self.stopping() {
            let _woken = self.gate_moved.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A lock whose holder panicked is taken over: what it guards is counters and plain states.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(report: &Report) {
    match report.severity {
        Severity::Info => tracing::info!("{}: {}", report.code, report.text),
        Severity::Warning => tracing::warn!("{}: {}", report.code, report.text),
        Severity::Error | Severity::Critical => tracing::error!("{}: {}", report.code, report.text),
    }
}
