//! The slow duties, tasks of the daemon's one asynchronous loop: alert radio, bus messages, the end of
//! passes.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use passband_proto::bus::{BUS_MESSAGE_BYTES, Transmit};
use passband_proto::report::{Gate, MAX_REPORT_BYTES};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::DaemonError;
use super::encoder::QueueChange;
use super::shared::{Shared, lock};
use crate::adapters::disk::write_file;
use crate::alerts::{Message, Schedule};
use crate::store::{AlertRecord, StoreError};
use crate::telemetry::Report;

/// How often the schedule of alerts is looked at.
const ALERT_TICK: Duration = Duration::from_millis(200);
/// The pause after the alert radio refused a message.
const ALERT_RETRY: Duration = Duration::from_secs(1);
/// How often the gate is looked at.
const GATE_TICK: Duration = Duration::from_millis(20);
/// How often it is tried whether the disk can be written again, ms.
const PROBE_MS: u64 = 30_000;
/// The pause after an error of a socket.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Sends alerts: new ones at once, repeats by schedule.
pub(crate) async fn alert_radio(
    shared: Arc<Shared>,
    socket: UdpSocket,
    mut new_alerts: UnboundedReceiver<AlertRecord>,
) {
    let config = &shared.config.alerts;
    let mut schedule = Schedule::new(&config.repeat_s, config.per_minute);
    let mut records = std::collections::BTreeMap::new();
    loop {
        match timeout(ALERT_TICK, new_alerts.recv()).await {
            Ok(Some(alert)) => {
                schedule.add(alert.number, alert.created_unix_ms, alert.sends, alert.sealed.clone());
                records.insert(alert.number, alert);
            }
            Ok(None) => sleep(ALERT_TICK).await,
            Err(_) => {}
        }
        while let Some(message) = schedule.poll(shared.clock.unix_ms()) {
            let Some(record) = records.get_mut(&message.number) else { continue };
            if !send_alert(&shared, &socket, &message, record).await {
                schedule.add(record.number, record.created_unix_ms, record.sends, record.sealed.clone());
                sleep(ALERT_RETRY).await;
            } else if message.last {
                records.remove(&message.number);
            }
        }
    }
}

/// Sends a message and notes it; `false`: the network refused it, and it is still to be sent.
async fn send_alert(
    shared: &Shared,
    socket: &UdpSocket,
    message: &Message,
    record: &mut AlertRecord,
) -> bool {
    let target = shared.config.alerts.target;
    match socket.send_to(&message.sealed, target).await {
        Ok(_) => {
            shared.count(|c| c.alerts_sent += 1);
            let (number, times) = (message.number, message.sends);
            let of = shared.config.alerts.repeat_s.len();
            let text = format!("alert {number} of frame {:?} sent, {times} of {of}", record.frame_name);
            shared.event(&Report::info("alert-sent", text));
        }
        Err(e) => {
            let text = format!("the alert radio at {target} refused alert {}: {e}", message.number);
            shared.throttled("alert radio", &Report::error("alert-error", text));
            return false;
        }
    }
    record.sends = message.sends;
    if let Err(e) = shared.catalogue.update_alert(record) {
        shared.store_failed("noting an alert", &e);
    }
    true
}

/// Follows the bus computer's messages.
pub(crate) async fn bus(shared: Arc<Shared>, socket: UdpSocket) {
    let mut buffer = [0; BUS_MESSAGE_BYTES + 1];
    loop {
        let bytes = match socket.recv(&mut buffer).await {
            Ok(bytes) => bytes,
            Err(e) => {
                shared.throttled("bus", &Report::error("bus-error", format!("receiving from the bus: {e}")));
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(message) = buffer.get(..bytes).and_then(Transmit::decode) else {
            shared.count(|c| c.bus_errors += 1);
            let text = format!("a bus message of {bytes} bytes was not understood");
            shared.throttled("bus message", &Report::warning("bus-message", text));
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

/// Takes reports of the ground.
pub(crate) async fn reports(
    shared: Arc<Shared>,
    socket: UdpSocket,
    mut gate: Gate,
    queue: Sender<QueueChange>,
) {
    let mut buffer = [0; MAX_REPORT_BYTES + 1];
    loop {
        let bytes = match socket.recv(&mut buffer).await {
            Ok(bytes) => bytes,
            Err(e) => {
                let text = format!("receiving reports: {e}");
                shared.throttled("reports", &Report::error("report-error", text));
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        match gate.open(&shared.keys(), buffer.get(..bytes).unwrap_or_default()) {
            Ok(report) => drop(queue.send(QueueChange::Heard(Box::new(report)))),
            Err(e) => {
                let text = format!("a report of {bytes} bytes was refused: {e}");
                shared.throttled("report", &Report::warning("report-refused", text));
            }
        }
        let counts = gate.counts();
        shared.count(|c| {
            (c.reports_taken, c.reports_forged) = (counts.accepted, counts.forged);
            (c.reports_replayed, c.reports_malformed) = (counts.replayed, counts.malformed);
        });
    }
}

/// Closes the gate when its time is up.
pub(crate) async fn watch_gate(shared: Arc<Shared>) {
    let mut tick = interval(GATE_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        shared.gate(|gate| (gate.poll(shared.clock.now_ms()), ()));
    }
}

/// Ends when the catalogue has failed for good, or could be written again: only opening it anew repairs it.
pub(crate) async fn watch_catalogue(shared: Arc<Shared>) -> DaemonError {
    let probe = shared.config.paths.state.join("probe");
    let mut looked_ms = shared.clock.now_ms();
    loop {
        if shared.catalogue.is_broken() && !shared.in_memory {
            return DaemonError::CatalogueBroken;
        }
        let now_ms = shared.clock.now_ms();
        if shared.in_memory && now_ms.saturating_sub(looked_ms) >= PROBE_MS {
            looked_ms = now_ms;
            if write_file(shared.disk.as_ref(), &probe, b"can it be written?").is_ok() {
                drop(shared.disk.remove(&probe));
                return DaemonError::DiskBack;
            }
        }
        sleep(ALERT_TICK).await;
    }
}

/// Tells of what the disk's health has to say.
pub(crate) async fn watch_disk(shared: Arc<Shared>) {
    loop {
        let news = lock(&shared.health).take_news();
        for report in news {
            shared.event(&report);
        }
        sleep(ALERT_TICK).await;
    }
}
