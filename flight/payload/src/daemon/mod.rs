//! The daemon: duties wired to adapters.
//!
//! ```text
//!  spool ─▶ camera ─▶ triage ─▶ store ─▶ queue ─▶ encoder ─▶ radio ─▶ fast link
//!           └─────── frames thread ────────┘      (threads)    ▲
//!                                 └─ alert ─▶ alert radio      └─ gate ◀─ bus computer, operator, pass plan
//!  all of them ─▶ catalogue, desk ─▶ telemetry ─▶ slow link, black box, last saved state
//! ```
//!
//! The frames thread works one frame at a time; the encoder and the radio have a thread each, so that
//! neither a disk nor an encoding holds up the link, and so have the pass plan, which reads files and computes
//! orbits, and telemetry, which writes some; everything else is one small asynchronous loop.

mod adopt;
mod alert_orders;
mod alert_radio;
mod bursts;
mod commander;
#[cfg(test)]
mod cuts;
pub mod desk;
mod encoder;
#[cfg(test)]
mod faulty;
mod frames;
pub(crate) mod intake;
mod ledger;
mod life;
mod line;
mod listener;
mod mend;
mod notes;
mod operator;
mod pass_trace;
mod passes;
mod pulse;
mod radio;
mod ready;
mod recover;
mod safe;
mod scripts;
mod scrub;
mod shared;
mod slow;
mod telemetry;
mod updates;
mod uplink;
mod vitals;

use core::fmt;
use std::fs::DirBuilder;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use passband_proto::datagram::ESI_LIMIT;
use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use passband_proto::keyring::KeyRing;
use passband_proto::sdls::{Channel, RoleKeys};
use passband_proto::slot::Phase as Got;
use passband_spectral::target::{MAX_TARGET_BYTES, Target};
use tokio::signal::unix::{SignalKind, signal};

use self::commander::{Begin as BeginCommander, Commander, Nominal, exposed_file, read_role_keys};
use self::encoder::QueueChange;
use self::life::Life;
use self::ready::Ready;
pub(crate) use self::recover::{line_up, recover};
use self::shared::{Shared, lock};
use crate::adapters::calibration::{CalibrationError, check_calibration};
use crate::adapters::crash;
use crate::adapters::os::{FileState, own_uid, random_8, read_keys, read_text, spare_socket};
use crate::adapters::parameters::ParameterFile;
use crate::adapters::spool::Spool;
use crate::config::Config;
use crate::parameters;
use crate::queue::QueueError;
use crate::store::StoreError;
use crate::store::health::Mode;
use crate::telemetry::{Report, Severity};

/// The least of [`random_offset`].
const MIN_OFFSET: u32 = 1 << 17;
/// How long threads may take to stop: what they leave undone is done at the next start.
const STOP_PATIENCE: Duration = Duration::from_millis(700);
/// How long answers to the operator have to go out when the daemon ends.
const LAST_ANSWERS: Duration = Duration::from_millis(20);

/// Why a run of the daemon ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By SIGTERM or SIGINT.
    Signal,
    /// By an order: it is to be started anew.
    Restart,
    /// The launcher is to start what the slot record says.
    Switch,
}

/// Runs the daemon until SIGTERM or SIGINT, or until an order ends it.
///
/// `configuration` is the SHA-256 of the configuration file's bytes, for whoever wants to know what runs.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub fn run(config: Config, configuration: Option<[u8; 32]>) -> Result<Ended, DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| DaemonError::file("starting", "the asynchronous loop", e))?;
    runtime.block_on(run_until_signal(config, configuration))
}

async fn run_until_signal(config: Config, configuration: Option<[u8; 32]>) -> Result<Ended, DaemonError> {
    let signals = |kind| signal(kind).map_err(|e| DaemonError::file("waiting for", "signals", e));
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let mut life = Life::begin(&config)?;
    let pulse = Arc::clone(&life.pulse);
    let (config, parameters) = with_parameters(config, &life);
    let at_work = if pulse.start.safe.is_some() {
        safe::start(config, &life, parameters, configuration)?
    } else {
        Ready::new(config, &life, parameters)?.start(configuration)?
    };
    let AtWork { shared, commander, queue, socket, mut threads } = at_work;
    life.started();
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(Ended::Signal),
        _ = interrupt.recv() => Ok(Ended::Signal),
        ended = uplink::watch_orders(Arc::clone(&shared), Arc::clone(&commander), queue.clone()) => Ok(ended),
        why = slow::watch_catalogue(Arc::clone(&shared)) => Err(why),
    };
    shared.end_pass();
    match &ended {
        Ok(Ended::Signal) => {
            shared.event(&Report::info(EventCode::DaemonStop, "stopped by a signal"));
            threads.extend(life.stop());
        }
        Ok(Ended::Restart | Ended::Switch) => {
            shared.event(&Report::info(EventCode::DaemonStop, "stopped by an order"));
            life.start_anew(true);
        }
        Err(DaemonError::DiskBack) => life.start_anew(false),
        Err(_) => {}
    }
    if ended.is_ok() {
        note_order(&commander);
    }
    lock(&commander).keep_answers(&Nominal { shared: &shared, queue: &queue });
    // An answer that is on its way to the operator is let go out.
    tokio::time::sleep(LAST_ANSWERS).await;
    shared.stop();
    join(&threads);
    socket.iter().for_each(|socket| drop(std::fs::remove_file(socket)));
    ended
}

/// What is at work.
struct AtWork {
    shared: Arc<Shared>,
    commander: Arc<Mutex<Commander>>,
    queue: mpsc::Sender<QueueChange>,
    /// Where the command socket is, if there is one.
    socket: Option<PathBuf>,
    threads: Vec<JoinHandle<()>>,
}

/// The parameters, and what is to be told of them.
type Parameters = (ParameterFile, Vec<Report>);

/// The configuration with the parameters that are in force over it. After starts that failed those on trial are put
/// back first.
fn with_parameters(config: Config, life: &Life) -> (Config, Parameters) {
    let (mut file, mut told) =
        ParameterFile::open(Arc::clone(&life.disk), &config.paths.state.clone(), config);
    let now = parameters::Now { steady_ms: life.pulse.clock.now_ms(), unix_ms: life.pulse.clock.unix_ms() };
    let (_back, more) = file.on_start(life.pulse.start.puts_back, now);
    told.extend(more);
    (file.parameters().config().clone(), (file, told))
}

/// This start ends in order: that costs a trial nothing.
fn note_order(commander: &Mutex<Commander>) {
    let noted = lock(commander).parts().updater.as_ref().map(|updater| updater.got(Got::Ordered));
    if let Some(Err(e)) = noted {
        tracing::warn!("that the trial ends in order can't be kept: {e}");
    }
}

/// Waits for threads to end, for a while.
fn join(threads: &[JoinHandle<()>]) {
    let deadline = Instant::now() + STOP_PATIENCE;
    while threads.iter().any(|t| !t.is_finished()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Tells of a crash of the run before, and sets the frame aside that it was at.
fn follow_crash(shared: &Shared, spool: &Spool) {
    let note = match crash::take_note(&shared.config.paths.state) {
        Ok(None) => return,
        Ok(Some(note)) => note,
        Err(e) => {
            return shared
                .event(&Report::error(EventCode::DaemonCrash, format!("reading the note of a crash: {e}")));
        }
    };
    let at = note.frame.as_ref().map_or_else(String::new, |frame| format!(" at frame {frame:?}"));
    let severity = Severity::Critical;
    shared.event(&Report {
        severity,
        code: EventCode::DaemonCrash,
        text: format!("crashed{at}: {}", note.text),
    });
    let Some(header) = note.frame else { return };
    let name = header.strip_suffix(".hdr").unwrap_or(&header);
    let files = spool.files_of(&header);
    let reason = format!("it crashed the daemon: {}", note.text);
    shared.event(&Report::warning(EventCode::FrameRejected, format!("frame {name:?} rejected: {reason}")));
    if let Err(e) = spool.reject(name, &files, &reason) {
        shared
            .event(&Report::error(EventCode::SpoolError, format!("moving frame {name:?} to rejected/: {e}")));
    }
}

fn make_folder(path: &Path) -> Result<(), DaemonError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| DaemonError::file("making", &path.display().to_string(), e))
}

/// The command socket, and why it isn't where it is configured, if it isn't.
fn command_socket(
    config: &Config,
) -> Result<(PathBuf, tokio::net::UnixListener, Option<String>), DaemonError> {
    let path = &config.paths.socket;
    let fail = |e| DaemonError::file("making the command socket", &path.display().to_string(), e);
    let instead = spare_socket(own_uid().map_err(fail)?, config.spacecraft);
    let (listener, why) = operator::listen_anywhere(path, &instead).map_err(fail)?;
    let Some(why) = why else { return Ok((path.clone(), listener, None)) };
    let text = format!(
        "the command socket can't be made at {} ({why}): it is at {}, where `passband` looks, too",
        path.display(),
        instead.display()
    );
    Ok((instead, listener, Some(text)))
}

/// The commander, and what is to be told of its start. Without usable keys nothing is taken from the uplink, and
/// everything else goes on.
fn open_commander(
    config: &Config,
    life: &Life,
    parameters: ParameterFile,
) -> Result<(Commander, Vec<Report>), DaemonError> {
    let mut reports = Vec::new();
    let key_file = FileState::of(&config.uplink.keys);
    let keys = match read_role_keys(&config.uplink.keys, config.spacecraft) {
        Ok((keys, exposed)) => {
            if exposed {
                reports.push(exposed_file(&config.uplink.keys));
            }
            keys
        }
        Err(fault) => {
            if config.uplink.listen.is_some() {
                reports.push(Report::critical(EventCode::CommandKeysUnusable, fault.to_string()));
            }
            RoleKeys::default()
        }
    };
    let challenge = random_8().map_err(|e| DaemonError::file("asking", "the system's random source", e))?;
    let (updater, told) = updates::open(&life.disk, config);
    reports.extend(told);
    let begin = BeginCommander {
        updater,
        disk: Arc::clone(&life.disk),
        state: config.paths.state.clone(),
        clock: life.pulse.clock,
        channel: Channel { spacecraft: config.spacecraft, vcid: config.uplink.vcid },
        keys,
        key_file: Some(key_file),
        challenge,
        uploads_bytes: config.command.uploads_bytes,
        parameters: Some(parameters),
    };
    let (commander, told) = Commander::open(begin)?;
    reports.extend(told);
    Ok((commander, reports))
}

fn keys_for(config: &Config) -> Result<(KeyRing, bool), DaemonError> {
    let (keys, exposed) = read_keys(&config.paths.keys).map_err(DaemonError::Keys)?;
    if keys.newest(config.spacecraft).is_none() {
        let (file, spacecraft) = (config.paths.keys.display(), config.spacecraft);
        return Err(DaemonError::Keys(format!("key file {file} holds no key for spacecraft {spacecraft}")));
    }
    Ok((keys, exposed))
}

/// The target gas that is configured, or methane.
///
/// # Errors
/// A target file that can't be read.
pub fn target_for(config: &Config) -> Result<Target, DaemonError> {
    config.triage.target.as_deref().map_or_else(|| Ok(Target::ch4()), read_target)
}

/// A target file.
///
/// # Errors
/// It can't be read, or is no target.
pub fn read_target(path: &Path) -> Result<Target, DaemonError> {
    let at = path.display().to_string();
    let text = read_text(path, MAX_TARGET_BYTES as u64)
        .map_err(|e| DaemonError::file("reading the target", &at, e))?;
    Target::parse(&text).map_err(|e| DaemonError::Target(format!("{at}: {e}")))
}

/// Checks the calibration that is configured, if there is one; whether it has a frame's shape is seen with the frame.
///
/// # Errors
/// Files that can't be read, or are no calibration.
pub fn calibration_for(config: &Config) -> Result<(), DaemonError> {
    config.triage.calibration.as_deref().map_or(Ok(()), check_calibration).map_err(DaemonError::Calibration)
}

/// What a start would tell of the files with keys that are configured, each in a sentence: those that aren't there or can't
/// be used, and those that others can read.
#[must_use]
pub fn notes_on_keys(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    match keys_for(config) {
        Err(e) => notes.push(format!("{e}: `passband run` doesn't start without it, but in safe mode")),
        Ok((_, true)) => notes.push(exposed_keys(&config.paths.keys)),
        Ok(_) => {}
    }
    match read_role_keys(&config.uplink.keys, config.spacecraft) {
        Err(e) if config.uplink.listen.is_some() => {
            notes.push(format!("{e}: no order of the uplink is taken"));
        }
        Ok((_, true)) => notes.push(exposed_file(&config.uplink.keys).text),
        Err(_) | Ok(_) => {}
    }
    notes
}

/// That others can read the keys that seal.
fn exposed_keys(path: &Path) -> String {
    format!("key file {} can be read by others than its owner", path.display())
}

/// Where ids of symbols go on if it isn't known which were used: far beyond what a few weeks use, and elsewhere each
/// time. Half of all ids are left after it.
fn random_offset() -> Result<u32, DaemonError> {
    let offset = seed()? % u64::from(ESI_LIMIT / 2 - MIN_OFFSET);
    Ok(u32::try_from(offset).unwrap_or_default() + MIN_OFFSET)
}

fn in_memory_report(why: &str) -> Report {
    let text = format!(
        "the catalogue can't be written ({why}): it is kept in memory, and what happens is forgotten with a restart; \
         nothing is stored, what is stored goes on down"
    );
    Report { severity: Severity::Critical, code: EventCode::CatalogueInMemory, text }
}

/// A number nobody else knows: keys the order in which blocks are sent.
fn seed() -> Result<u64, DaemonError> {
    let mut bytes = [0; 8];
    let failed = |_| DaemonError::file("asking", "the system's random source", io::Error::other("it failed"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(u64::from_le_bytes(bytes))
}

fn announce(shared: &Shared) {
    let config = &shared.config;
    let text = format!(
        "passband {} started, start {} of this store, spacecraft {}, transmitter: {}",
        crate::version(),
        shared.boot_count,
        config.spacecraft,
        config.downlink.transmit.name()
    );
    shared.event(&Report::info(EventCode::DaemonStart, text));
    tracing::info!(
        "spool {}, downlink {}, alerts {}, classes {}",
        config.paths.spool.display(),
        config.downlink.target,
        config.alerts.target,
        Class::ALL.map(Class::name).join(" ")
    );
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DaemonError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|e| DaemonError::file("starting thread", name, e))
}

/// A socket to send from, on any port, of the target's family.
fn socket_towards(target: SocketAddr) -> Result<UdpSocket, DaemonError> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    bind("a port to send from", SocketAddr::new(any, 0))
}

fn bind(what: &str, address: SocketAddr) -> Result<UdpSocket, DaemonError> {
    UdpSocket::bind(address).map_err(|e| DaemonError::file("binding", &format!("{what} ({address})"), e))
}

fn nonblocking(socket: UdpSocket) -> Result<UdpSocket, DaemonError> {
    let set = socket.set_nonblocking(true).map_err(|e| DaemonError::file("preparing", "a socket", e));
    set.map(|()| socket)
}

fn tokio_socket(socket: UdpSocket) -> Result<tokio::net::UdpSocket, DaemonError> {
    tokio::net::UdpSocket::from_std(nonblocking(socket)?)
        .map_err(|e| DaemonError::file("preparing", "a socket", e))
}

/// What keeps the daemon from starting.
#[derive(Debug)]
pub enum DaemonError {
    /// The store can't be opened.
    Store(StoreError),
    /// The key file can't be used.
    Keys(String),
    /// The target gas can't be used.
    Target(String),
    /// The calibration can't be used.
    Calibration(CalibrationError),
    /// The catalogue's disk failed while the daemon ran; a new start repairs the catalogue.
    CatalogueBroken {
        /// How the disk does.
        disk: Mode,
    },
    /// The disk, that could only be read, can be written again; a new start uses it.
    DiskBack,
    /// The queue can't be made of what is stored.
    Queue(QueueError),
    /// A file, folder or socket can't be opened.
    File {
        /// What was tried, and with what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl DaemonError {
    fn file(what: &str, with: &str, source: io::Error) -> Self {
        Self::File { what: format!("{what} {with}"), source }
    }
}

impl From<StoreError> for DaemonError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(e) => e.fmt(f),
            Self::Keys(what) => f.write_str(what),
            Self::CatalogueBroken { disk } => {
                write!(f, "the catalogue's disk failed (it is {disk}); start the daemon again")
            }
            Self::DiskBack => f.write_str("the disk can be written again; start the daemon again"),
            Self::Queue(e) => write!(f, "queue: {e}"),
            Self::Calibration(e) => e.fmt(f),
            Self::Target(what) => write!(f, "target gas: {what}"),
            Self::File { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl core::error::Error for DaemonError {}
