//! The slow duties, tasks of the daemon's one asynchronous loop: bus messages, what the ground says, the end of
//! passes. The alert radio has a room of its own.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passband_proto::bus::{BUS_MESSAGE_BYTES, Transmit};
use passband_proto::dict::EventCode;
use passband_proto::report::{Acknowledgement, Frame, Gate, MAX_REPORT_BYTES};
use tokio::time::{sleep, timeout};

use super::DaemonError;
use super::encoder::QueueChange;
use super::listener::Listener;
use super::shared::{Shared, lock};
use crate::adapters::disk::write_file;
use crate::health::Task;
use crate::store::StoreError;
use crate::telemetry::Report;

/// How often the catalogue is looked at.
const CATALOGUE_TICK: Duration = Duration::from_millis(200);
/// How often the gate is looked at, at least: where it closes sooner, then.
const GATE_TICK: Duration = Duration::from_millis(100);
/// How often it is tried whether the disk can be written again, ms.
const PROBE_MS: u64 = 3_000;
/// The disk counts as good again with so much free space, bytes: a start must not fail for want of it at once.
const PROBE_FREE_BYTES: u64 = 4 << 20;
/// How often a task that waits for a datagram checks in.
const CHECK_IN: Duration = Duration::from_secs(2);
/// The pause after an error of a socket.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Follows the bus computer's messages.
pub(crate) async fn bus(shared: Arc<Shared>, listener: Arc<Listener>) {
    let mut buffer = [0; BUS_MESSAGE_BYTES + 1];
    let beat = shared.beat(Task::Bus);
    let socket = listener.bound(&shared, &beat).await;
    loop {
        beat.check_in();
        let bytes = match timeout(CHECK_IN, socket.recv(&mut buffer)).await {
            Err(_) => continue,
            Ok(Ok(bytes)) => bytes,
            Ok(Err(e)) => {
                shared.throttled(
                    "bus",
                    &Report::error(EventCode::BusError, format!("receiving from the bus: {e}")),
                );
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(message) = buffer.get(..bytes).and_then(Transmit::decode) else {
            shared.count(|c| c.bus_errors += 1);
            let text = format!("a bus message of {bytes} bytes was not understood");
            shared.throttled("bus message", &Report::warning(EventCode::BusMessage, text));
            continue;
        };
        shared.count(|c| c.bus_messages += 1);
        shared.gate(|gate| (gate.on_bus(shared.clock.now_ms(), message), ()));
    }
}

/// The gate that reports of the ground pass, as far as earlier runs know them.
pub(crate) fn report_gate(shared: &Shared) -> Result<Gate, StoreError> {
    let mut gate = Gate::default();
    for (station, highest) in shared.catalogue.stations()? {
        gate.restore(station, highest);
    }
    Ok(gate)
}

/// Takes reports and acknowledgements of the ground.
pub(crate) async fn reports(
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    gate: Arc<Mutex<Gate>>,
    queue: Sender<QueueChange>,
) {
    let mut buffer = [0; MAX_REPORT_BYTES + 1];
    let beat = shared.beat(Task::Reports);
    let socket = listener.bound(&shared, &beat).await;
    loop {
        beat.check_in();
        let bytes = match timeout(CHECK_IN, socket.recv(&mut buffer)).await {
            Err(_) => continue,
            Ok(Ok(bytes)) => bytes,
            Ok(Err(e)) => {
                let text = format!("receiving reports: {e}");
                shared.throttled("reports", &Report::error(EventCode::ReportError, text));
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let opened = lock(&gate).open_any(&shared.keys(), buffer.get(..bytes).unwrap_or_default());
        match opened {
            Ok(Frame::Report(report)) => drop(queue.send(QueueChange::Heard(Box::new(report)))),
            Ok(Frame::Acknowledgement(said)) => acknowledge(&shared, &said),
            Err(e) => {
                let text = format!("a report of {bytes} bytes was refused: {e}");
                shared.throttled("report", &Report::warning(EventCode::ReportRefused, text));
            }
        }
        let counts = lock(&gate).counts();
        shared.count(|c| {
            (c.reports_taken, c.reports_forged) = (counts.accepted, counts.forged);
            (c.reports_replayed, c.reports_malformed) = (counts.replayed, counts.malformed);
        });
    }
}

/// Takes a station's word for the alerts it has.
fn acknowledge(shared: &Shared, said: &Acknowledgement) {
    match shared.catalogue.acknowledge_alerts(shared.clock.unix_ms(), said) {
        Ok(changed) if changed.is_empty() => {}
        Ok(_) => shared.alerts_changed.notify_one(),
        Err(e) => shared.store_failed("acknowledging alerts", &e),
    }
}

/// Closes the gate when its time is up.
pub(crate) async fn watch_gate(shared: Arc<Shared>) {
    let beat = shared.beat(Task::Gate);
    loop {
        beat.check_in();
        let now_ms = shared.clock.now_ms();
        let state = shared.gate(|gate| (gate.poll(now_ms), gate.state(now_ms)));
        let left = state.and_then(|state| state.left_ms).map(Duration::from_millis);
        sleep(left.map_or(GATE_TICK, |left| left.min(GATE_TICK))).await;
    }
}

/// Ends when the catalogue has failed for good, or could be written again: only opening it anew repairs it. Safe mode
/// has none that could.
pub(crate) async fn watch_catalogue(shared: Arc<Shared>) -> DaemonError {
    if shared.in_safe_mode() {
        return std::future::pending().await;
    }
    let probe = shared.config.paths.state.join("probe");
    let mut looked_ms = shared.clock.now_ms();
    loop {
        if shared.catalogue.is_broken() && !shared.in_memory {
            return DaemonError::CatalogueBroken { disk: shared.disk_mode() };
        }
        let now_ms = shared.clock.now_ms();
        if shared.in_memory && now_ms.saturating_sub(looked_ms) >= PROBE_MS {
            looked_ms = now_ms;
            let free = shared.disk.free_bytes(&shared.config.paths.state);
            if free.is_none_or(|free| free >= PROBE_FREE_BYTES)
                && write_file(shared.disk.as_ref(), &probe, b"can it be written?").is_ok()
            {
                drop(shared.disk.remove(&probe));
                return DaemonError::DiskBack;
            }
        }
        sleep(CATALOGUE_TICK).await;
    }
}

/// Tells of what the disk's health has to say.
pub(crate) async fn watch_disk(shared: Arc<Shared>) {
    loop {
        let news = lock(&shared.health).take_news();
        for report in news {
            shared.event(&report);
        }
        sleep(CATALOGUE_TICK).await;
    }
}
