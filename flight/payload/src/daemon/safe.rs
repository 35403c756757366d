//! Safe mode: only commanding, telemetry and update are at work. No camera, triage, encoder, radio or scrub.
//!
//! It comes up whatever the state folder holds: catalogue and sealed bundles are neither opened nor looked at, keys and
//! a command socket are taken where they are there. Events are kept in memory, and lost with a restart; those of
//! before are in the catalogue, for when safe mode is over. An order or a changed configuration ends it, as
//! [`crate::health::Starts`] says; the process ends then, to be started anew.

use std::sync::{Arc, Mutex};

use super::commander::Nominal;
use super::life::{Life, keep_operator, keep_uplink};
use super::shared::{Opened, Shared, lock};
use super::telemetry::Telemetry;
use super::{
    AtWork, DaemonError, Parameters, bind, command_socket, keys_for, nonblocking, open_commander,
    socket_towards, spawn, vitals,
};
use crate::adapters::catalogue::memory_catalogue;
use crate::adapters::disk::Disk;
use crate::adapters::vault::Vault;
use crate::config::Config;
use crate::queue::{Queue, Settings};
use crate::store::health::Health;
use crate::telemetry::Report;
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
    let opened = Opened {
        keys,
        clock: life.pulse.clock,
        health: Arc::new(Mutex::new(Health::new(config.store.slow_sync_ms))),
        catalogue: memory_catalogue()?,
        in_memory: true,
        vault: Vault::untouched(Arc::clone(&disk), &config.paths.state),
        disk,
        queue: queue.map_err(DaemonError::Queue)?,
        boot_count: life.pulse.start.number,
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
    let listens = shared.config.uplink.listen.map(|address| bind("uplink.listen", address)).transpose();
    match listens.and_then(|socket| keep_uplink(&shared, &commander, &queue, socket)) {
        Ok(()) => {}
        Err(e) => shared.event(&Report::error(EventCode::UplinkError, e.to_string())),
    }
    let socket = match command_socket(&shared.config) {
        Ok((path, listener, elsewhere)) => {
            if let Some(why) = elsewhere {
                shared.event(&Report::warning(EventCode::SocketElsewhere, why));
            }
            keep_operator(&shared, &commander, queue.clone(), Arc::new(listener));
            Some(path)
        }
        Err(e) => {
            shared.event(&Report::error(EventCode::SocketError, e.to_string()));
            None
        }
    };
    tokio::spawn(vitals::tell_news(Arc::clone(&shared)));
    let to = |target| Ok::<_, DaemonError>((nonblocking(socket_towards(target)?)?, target));
    let link = shared.config.telemetry.target.map(to).transpose().unwrap_or_else(|e: DaemonError| {
        shared.event(&Report::error(EventCode::SendError, e.to_string()));
        None
    });
    shared.desk.others(|others| shared.pulse.tell_vitals(others));
    let telemetry = Telemetry::new(Arc::clone(&shared), link);
    let threads = vec![spawn("telemetry", || telemetry.run())?];
    Ok(AtWork { shared, commander, queue, socket, threads })
}
