//! Safe mode: only commanding, telemetry and update are at work. No camera, triage, encoder, radio or scrub.
//!
//! It comes up whatever the state folder holds: catalogue and sealed bundles are neither opened nor looked at, keys and
//! a command socket are taken where they are there. Events are kept in memory and in the black box, and numbered on from
//! before; the catalogue takes them up when safe mode is over. An order or a changed configuration ends it, as
//! [`crate::health::Starts`] says; the process ends then, to be started anew.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use super::commander::{Commander, Nominal};
use super::encoder::QueueChange;
use super::life::{Life, keep_operator, keep_uplink};
use super::listener::RETRY;
use super::shared::{Opened, Shared, lock};
use super::telemetry::Telemetry;
use super::updates::Updates;
use super::{AtWork, DaemonError, Parameters, command_socket, keys_for, open_commander, spawn, vitals};
use crate::adapters::catalogue::memory_catalogue;
use crate::adapters::disk::Disk;
use crate::adapters::last::{load, remembered_events};
use crate::adapters::vault::Vault;
use crate::command::EventsAnswer;
use crate::config::Config;
use crate::json;
use crate::queue::{Queue, Settings};
use crate::store::health::Health;
use crate::telemetry::{Event, Report};
use passband_proto::dict::EventCode;
use passband_proto::keyring::KeyRing;

/// Begins what is at work in safe mode; to be called in the asynchronous loop.
///
/// # Errors
/// None that a disk could be the reason of.
pub(super) fn start(
    mut config: Config,
    life: &Life,
    (parameters, told): Parameters,
    configuration: Option<[u8; 32]>,
) -> Result<AtWork, DaemonError> {
    let mut news = Vec::new();
    let keys = keys_for(&config).map_or_else(
        |e| {
            news.push(Report::error(EventCode::KeysUnusable, format!("there are no keys in safe mode: {e}")));
            KeyRing::default()
        },
        |(keys, _)| keys,
    );
    let queue = Queue::new(config.queue.clone()).or_else(|_| {
        config.queue = Settings::default();
        Queue::new(config.queue.clone())
    });
    let disk: Arc<dyn Disk> = Arc::clone(&life.disk);
    let catalogue = memory_catalogue()?;
    let last = last_event(disk.as_ref(), &config.paths.state);
    catalogue.recall(&[], last)?;
    let opened = Opened {
        keys,
        clock: life.pulse.clock,
        health: Arc::new(Mutex::new(Health::new(config.store.slow_sync_ms))),
        catalogue,
        in_memory: true,
        vault: Vault::untouched(Arc::clone(&disk), &config.paths.state),
        disk,
        queue: queue.map_err(DaemonError::Queue)?,
        boot_count: life.pulse.number(0),
        events_before: 0,
        session: 0,
        pulse: Arc::clone(&life.pulse),
        config,
    };
    let shared = Arc::new(Shared::new(opened));
    news.iter().for_each(|report| shared.event(report));
    shared.desk.program(|program| program.configuration = configuration);
    let (commander, more) = open_commander(&shared.config, life, parameters)?;
    told.iter().chain(&more).for_each(|report| shared.event(report));
    let commander = Arc::new(Mutex::new(commander));
    // The queue that orders go to has nobody at its other end: what would need one is refused before.
    let (queue, _) = std::sync::mpsc::channel();
    if let Err(e) = lock(&commander).resume(&mut Nominal { shared: &shared, queue: &queue }) {
        shared.store_failed("going on with orders", &e);
    }
    keep_uplink(&shared, &commander, &queue);
    let socket = listen_locally(&shared, &commander, &queue);
    if socket.is_none() {
        tokio::spawn(listen_later(Arc::clone(&shared), Arc::clone(&commander), queue.clone()));
    }
    tokio::spawn(vitals::tell_news(Arc::clone(&shared)));
    shared.desk.others(|others| shared.pulse.tell_vitals(others));
    let telemetry = Telemetry::new(Arc::clone(&shared));
    let updates = Updates { shared: Arc::clone(&shared), commander: Arc::clone(&commander) };
    let threads = vec![spawn("telemetry", || telemetry.run())?, spawn("updates", || updates.run())?];
    Ok(AtWork { shared, commander, queue, socket, threads })
}

/// The number of the last event that the black box or the saved state tells of.
fn last_event(disk: &dyn Disk, state: &Path) -> u64 {
    let of = |events: &[Event]| events.last().map_or(0, |event| event.seq);
    let boxed = remembered_events(disk, state, 0).map_or(0, |events| of(&events));
    let saved = load(disk, state).ok().and_then(|mut saved| saved.answers.remove("events"));
    let saved = saved.and_then(|answer| json::shape::<EventsAnswer>(&answer).ok());
    boxed.max(saved.map_or(0, |answer| of(&answer.events)))
}

/// Makes the command socket and answers there, if that can be done now; where it is.
fn listen_locally(
    shared: &Arc<Shared>,
    commander: &Arc<Mutex<Commander>>,
    queue: &Sender<QueueChange>,
) -> Option<PathBuf> {
    match command_socket(&shared.config) {
        Ok((path, listener, elsewhere)) => {
            if let Some(why) = elsewhere {
                shared.event(&Report::warning(EventCode::SocketElsewhere, why));
            }
            keep_operator(shared, commander, queue.clone(), Arc::new(listener));
            Some(path)
        }
        Err(e) => {
            let text = format!("{e}; it is tried again every {} s", RETRY.as_secs());
            shared.throttled("paths.socket", &Report::error(EventCode::SocketError, text));
            None
        }
    }
}

/// Tries again until it can be done. A socket that is made so late is left behind when the daemon ends; the next start
/// takes its place.
async fn listen_later(shared: Arc<Shared>, commander: Arc<Mutex<Commander>>, queue: Sender<QueueChange>) {
    loop {
        tokio::time::sleep(RETRY).await;
        if listen_locally(&shared, &commander, &queue).is_some() {
            return;
        }
    }
}
