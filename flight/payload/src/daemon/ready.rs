//! A start of the daemon that works: everything opened and checked, then at work.

use std::cell::RefCell;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use passband_proto::dict::EventCode;
use passband_proto::keyring::KeyRing;
use passband_proto::transfer::Worker;
use passband_spectral::target::Target;

use super::adopt::{Begin, adopt};
use super::alert_radio::AlertRadio;
use super::bursts::Bursts;
use super::commander::{Commander, Nominal};
use super::encoder::Encoder;
use super::frames::Frames;
use super::life::{Life, keep, keep_operator, keep_uplink};
use super::listener::Listener;
use super::pass_trace::{self, PassTrace};
use super::passes::Passes;
use super::radio::Radio;
use super::scripts::Scripts;
use super::scrub::Scrub;
use super::shared::{Opened, Shared, lock};
use super::telemetry::Telemetry;
use super::updates::Updates;
use super::{
    AtWork, DaemonError, Parameters, announce, calibration_for, command_socket, exposed_keys, follow_crash,
    in_memory_report, keys_for, line_up, open_commander, random_offset, recover, seed, slow, socket_towards,
    spawn, target_for, tokio_socket, vitals,
};
use crate::adapters::catalogue::{OpenedCatalogue, open_catalogue};
use crate::adapters::disk::Disk;
use crate::adapters::last::remembered_events;
use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::config::{Config, TransmitMode};
use crate::health::Task;
use crate::queue::Queue;
use crate::store::{Catalogue, StoreError};
use crate::telemetry::Report;

/// Everything opened and checked, nothing running yet.
pub(super) struct Ready {
    shared: Arc<Shared>,
    spool: Spool,
    target: Target,
    sockets: Sockets,
    commander: Arc<Mutex<Commander>>,
    operator: tokio::net::UnixListener,
    /// Where that listens.
    socket: PathBuf,
    /// What the start before left of a pass.
    left: pass_trace::Left,
}

impl Ready {
    /// Opens and checks everything.
    pub(super) fn new(
        config: Config,
        life: &Life,
        (parameters, told): Parameters,
    ) -> Result<Self, DaemonError> {
        let state = &config.paths.state;
        // Keys are read first: a daemon that can't seal must not touch the store.
        let (keys, exposed) = keys_for(&config)?;
        let target = target_for(&config)?;
        calibration_for(&config)?;
        let (clock, health, disk) = (life.pulse.clock, Arc::clone(&life.disk_health), Arc::clone(&life.disk));
        let OpenedCatalogue { catalogue, in_memory, set_aside } = open_catalogue(disk.as_ref(), state)?;
        recall_events(disk.as_ref(), state, &catalogue)?;
        let newest = catalogue.events(None, 1)?.pop();
        let (events_before, seen_unix_ms) = newest.map_or((0, 0), |event| (event.seq, event.unix_ms));
        let (pass_trace, trace, damaged) = PassTrace::open(&disk, state);
        let vault = Vault::open(Arc::clone(&disk), state)?;
        let counted = catalogue.count_boot()?;
        let boot_count = life.pulse.number(counted);
        let (spool, rejected) = (&config.paths.spool, state.join("rejected"));
        let spool = Spool::open(Arc::clone(&disk), spool, &rejected, config.camera.rejected_bytes)
            .map_err(|e| DaemonError::file("opening", "the spool", e))?;
        if let Some(text) = set_aside {
            catalogue.add_event(clock.unix_ms(), &Report::error(EventCode::CatalogueDamaged, text))?;
        }
        let queue =
            take_stock(&config, &catalogue, &vault, &spool, (&keys, clock.unix_ms(), in_memory.as_deref()))?;
        let session = catalogue.session_base()?.saturating_add(counted);
        let sockets = Sockets::open(&config)?;
        let (commander, mut reports_of_start) = open_commander(&config, life, parameters)?;
        reports_of_start.extend(told.into_iter().chain(damaged));
        let (socket, operator, elsewhere) = command_socket(&config)?;
        let in_memory = in_memory.is_some();
        let opened = Opened {
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
            pulse: Arc::clone(&life.pulse),
        };
        let shared = Arc::new(Shared::new(opened));
        shared.keep_trace_in(pass_trace);
        if exposed {
            shared.event(&Report::warning(EventCode::KeysExposed, exposed_keys(&shared.config.paths.keys)));
        }
        if let Some(why) = elsewhere {
            reports_of_start.push(Report::warning(EventCode::SocketElsewhere, why));
        }
        reports_of_start.iter().for_each(|report| shared.event(report));
        let commander = Arc::new(Mutex::new(commander));
        let left = pass_trace::Left { trace, seen_unix_ms };
        Ok(Self { shared, spool, target, sockets, commander, operator, socket, left })
    }

    /// Cleans up after the run before, and starts the threads and tasks.
    pub(super) fn start(self, configuration: Option<[u8; 32]>) -> Result<AtWork, DaemonError> {
        let (shared, sockets) = (self.shared, self.sockets);
        shared.desk.program(|program| program.configuration = configuration);
        shared.desk.others(|others| shared.pulse.tell_vitals(others));
        follow_crash(&shared, &self.spool);
        let (queue, changes) = mpsc::channel();
        let (alerts, new_alerts) = tokio::sync::mpsc::unbounded_channel();
        let alert_radio = AlertRadio::new(Arc::clone(&shared), tokio_socket(sockets.alert_radio)?)?;
        announce(&shared);
        pass_trace::go_on(&shared, &self.left);

        let bursts = Arc::new(Bursts::default());
        let worker = Worker::start().map_err(|e| DaemonError::file("starting thread", "worker", e))?;
        // What a catalogue in memory says of ids that were used may be old.
        let offset = if shared.in_memory { random_offset()? } else { 0 };
        let encoder =
            Encoder::new(Arc::clone(&shared), Arc::clone(&bursts), changes, worker, seed()?, offset);
        let target = shared.config.downlink.target;
        let radio = Radio { shared: Arc::clone(&shared), bursts, socket: sockets.downlink, target };
        let (pulse, gate) = (Arc::clone(&shared.pulse), Arc::new(Mutex::new(slow::report_gate(&shared)?)));
        if let Some(listener) = sockets.reports {
            let (own, queue) = (Arc::clone(&shared), queue.clone());
            keep(&pulse, Task::Reports, move || {
                slow::reports(Arc::clone(&own), Arc::clone(&listener), Arc::clone(&gate), queue.clone())
            });
        }
        let (script_orders, orders) = mpsc::channel();
        shared.set_scripts(script_orders);
        let scripts = Scripts { shared: Arc::clone(&shared), orders, queue: queue.clone() };
        let resumed = lock(&self.commander).resume(&mut Nominal { shared: &shared, queue: &queue });
        if let Err(e) = resumed {
            shared.store_failed("going on with orders", &e);
        }
        keep_uplink(&shared, &self.commander, &queue);
        keep_operator(&shared, &self.commander, queue.clone(), Arc::new(self.operator));
        let telemetry = Telemetry::new(Arc::clone(&shared));
        let scrub = Scrub { shared: Arc::clone(&shared), target: self.target.clone(), queue: queue.clone() };
        let frames = Frames {
            shared: Arc::clone(&shared),
            spool: self.spool,
            target: self.target,
            queue: queue.clone(),
            alerts,
            waiting: RefCell::default(),
        };
        let passes = Passes::new(Arc::clone(&shared));
        let own = Arc::clone(&shared);
        let again = move || {
            let own = Arc::clone(&own);
            spawn("passes", || Passes::new(own).run()).map(drop).map_err(|e| e.to_string())
        };
        pulse.on_restart(Task::Passes, Box::new(again));
        let updates = Updates { shared: Arc::clone(&shared), commander: Arc::clone(&self.commander) };
        let threads = vec![
            spawn("updates", || updates.run())?,
            spawn("encoder", || encoder.run())?,
            spawn("radio", || radio.run())?,
            spawn("frames", || frames.run())?,
            spawn("scripts", || scripts.run())?,
            spawn("scrub", || scrub.run())?,
            spawn("passes", || passes.run())?,
            spawn("telemetry", || telemetry.run())?,
        ];
        tokio::spawn(slow::watch_disk(Arc::clone(&shared)));
        tokio::spawn(alert_radio.run(new_alerts));
        if let Some(bus) = sockets.bus {
            let own = Arc::clone(&shared);
            keep(&pulse, Task::Bus, move || slow::bus(Arc::clone(&own), Arc::clone(&bus)));
        }
        tokio::spawn(vitals::tell_news(Arc::clone(&shared)));
        tokio::spawn(slow::watch_gate(Arc::clone(&shared)));
        Ok(AtWork { shared, commander: self.commander, queue, socket: Some(self.socket), threads })
    }
}

/// What is stored, as the queue has it.
fn take_stock(
    config: &Config,
    catalogue: &Catalogue,
    vault: &Vault,
    spool: &Spool,
    (keys, unix_ms, in_memory): (&KeyRing, u64, Option<&str>),
) -> Result<Queue, DaemonError> {
    // Of a catalogue in memory the encoder adds its offset to the ids of all bundles.
    let esi = if in_memory.is_some() { 0 } else { random_offset()? };
    let begin = Begin { esi, session: u64::from(random_offset()?) };
    let kept = adopt(catalogue, vault, keys, unix_ms, begin)?;
    match in_memory {
        None => recover(catalogue, vault, spool, unix_ms, kept)?,
        Some(why) => catalogue.add_event(unix_ms, &in_memory_report(why))?,
    }
    let (queue, refused) = line_up(catalogue, &config.queue)?.map_err(DaemonError::Queue)?;
    if let Some((id, why)) = refused.first() {
        let text = format!("{} stored bundles aren't sent: bundle {id}: {why}", refused.len());
        catalogue.add_event(unix_ms, &Report::error(EventCode::QueueError, text))?;
    }
    Ok(queue)
}

/// Where everything comes from and goes to.
struct Sockets {
    downlink: UdpSocket,
    alert_radio: UdpSocket,
    bus: Option<Arc<Listener>>,
    reports: Option<Arc<Listener>>,
}

impl Sockets {
    fn open(config: &Config) -> Result<Self, DaemonError> {
        let (listens, reports) = (config.downlink.transmit == TransmitMode::Bus, config.reports.listen);
        Ok(Self {
            downlink: socket_towards(config.downlink.target)?,
            alert_radio: socket_towards(config.alerts.target)?,
            bus: listens.then(|| Listener::open("bus.listen", config.bus.listen, EventCode::BusError)),
            reports: reports.map(|address| Listener::open("reports.listen", address, EventCode::ReportError)),
        })
    }
}

/// Takes up the events that the black box alone has: of safe mode, and of a time without a catalogue.
fn recall_events(disk: &dyn Disk, state: &Path, catalogue: &Catalogue) -> Result<(), StoreError> {
    let last = catalogue.events(None, 1)?.last().map_or(0, |event| event.seq);
    // Without a black box there is nothing to take up.
    let events = remembered_events(disk, state, last).unwrap_or_default();
    if events.is_empty() { Ok(()) } else { catalogue.recall(&events, 0) }
}
