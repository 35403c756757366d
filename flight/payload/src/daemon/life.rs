//! The life of the process: what begins before anything else may fail, and the tasks that can be begun anew.

use std::future::Future;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use passband_proto::dict::EventCode;
use tokio::net::UnixListener;
use tokio::runtime::Handle;

use super::commander::Commander;
use super::encoder::QueueChange;
use super::ledger::Ledger;
use super::listener::Listener;
use super::pulse::{Beat, Pulse};
use super::shared::Shared;
use super::vitals::{self, Vitals};
use super::{DaemonError, make_folder, operator, spawn, uplink};
use crate::adapters::clock::Clock;
use crate::adapters::crash;
use crate::adapters::disk::{Disk, LinuxDisk, WatchedDisk};
use crate::config::Config;
use crate::health::{Starts, Task};
use crate::store::health::Health;

/// What a process has before it opens its store.
pub(super) struct Life {
    pub(super) pulse: Arc<Pulse>,
    pub(super) disk: Arc<dyn Disk>,
    /// How the disk does.
    pub(super) disk_health: Arc<Mutex<Health>>,
    starting: Option<Beat>,
    ready: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Life {
    /// Makes the state folder, records the start, and begins to watch over it.
    pub(super) fn begin(config: &Config) -> Result<Self, DaemonError> {
        make_folder(&config.paths.state)?;
        crash::leave_notes_in(&config.paths.state);
        let clock = Clock::default();
        let disk_health = Arc::new(Mutex::new(Health::new(config.store.slow_sync_ms)));
        let now_ms = Arc::new(move || clock.now_ms());
        let disk: Arc<dyn Disk> =
            Arc::new(WatchedDisk::new(Arc::new(LinuxDisk), Arc::clone(&disk_health), now_ms));
        let (ledger, start, news) = Ledger::begin(&disk, config)?;
        let pulse = Arc::new(Pulse::new(clock, config.health.clone(), start, ledger));
        news.into_iter().for_each(|report| pulse.tell(report));
        let starting = Some(Vitals::starting(&pulse));
        let (ready, is_ready) = mpsc::channel();
        let vitals = Vitals::new(Arc::clone(&pulse), config.paths.state.clone());
        let sensors = Arc::clone(&pulse);
        let threads = vec![
            spawn("vitals", move || vitals.run(&is_ready))?,
            spawn("sensors", move || vitals::read_sensors(&sensors))?,
        ];
        Ok(Self { pulse, disk, disk_health, starting, ready, threads })
    }

    /// All is at work.
    pub(super) fn started(&mut self) {
        if let Some(beat) = self.starting.take() {
            beat.end();
        }
        // Its other end is gone only when the process ends.
        let _told = self.ready.send(());
    }

    /// Stops in order: this start was none that failed, and the watchdog ends. Gives the threads that end now.
    pub(super) fn stop(self) -> Vec<JoinHandle<()>> {
        if let Err(e) = self.pulse.ledger(|ledger| ledger.change(Starts::stopped)) {
            tracing::warn!("that the daemon stops can't be kept: {e}");
        }
        self.pulse.stop();
        self.threads
    }

    /// Ends to be started anew, by an order or by itself: this start was none that failed, but the watchdog goes on.
    pub(super) fn start_anew(&self, by_order: bool) {
        let how = if by_order { Starts::anew } else { Starts::stopped };
        drop(self.pulse.ledger(|ledger| ledger.change(how)));
    }
}

/// Runs a task of the loop, which is ended and begun anew should it be stuck.
pub(super) fn keep<F>(pulse: &Pulse, task: Task, make: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let handle = Handle::current();
    let mut running = handle.spawn(make());
    let again = move || {
        running.abort();
        running = handle.spawn(make());
        Ok(())
    };
    pulse.on_restart(task, Box::new(again));
}

/// Runs the command socket.
pub(super) fn keep_operator(
    shared: &Arc<Shared>,
    commander: &Arc<Mutex<Commander>>,
    queue: Sender<QueueChange>,
    listener: Arc<UnixListener>,
) {
    let (own, commander) = (Arc::clone(shared), Arc::clone(commander));
    keep(&shared.pulse, Task::Operator, move || {
        operator::serve(Arc::clone(&own), Arc::clone(&commander), queue.clone(), Arc::clone(&listener))
    });
}

/// Takes orders from the uplink, if there is one.
pub(super) fn keep_uplink(
    shared: &Arc<Shared>,
    commander: &Arc<Mutex<Commander>>,
    queue: &Sender<QueueChange>,
) {
    let Some(address) = shared.config.uplink.listen else { return };
    let (own, commander, queue) = (Arc::clone(shared), Arc::clone(commander), queue.clone());
    let listener = Listener::open("uplink.listen", address, EventCode::UplinkError);
    keep(&shared.pulse, Task::Uplink, move || {
        uplink::uplink(Arc::clone(&own), Arc::clone(&commander), queue.clone(), Arc::clone(&listener))
    });
}
