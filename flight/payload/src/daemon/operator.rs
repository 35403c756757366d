//! The command socket: reads requests, writes answers. Bounded in size, time and connections.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passband_proto::dict::{Order, UploadKind};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::alert_orders;
use super::commander::{Commander, Nominal};
use super::desk::Latest;
use super::encoder::QueueChange;
use super::line;
use super::shared::{Shared, lock};
use super::telemetry;
use crate::adapters::log::newest;
use crate::command::{
    DEFAULT_AGENDA, DEFAULT_EVENTS, DEFAULT_LINES, DEFAULT_ORDERS, DEFAULT_PASSES, DEFAULT_ROWS, ErrorAnswer,
    EventsAnswer, LoadAnswer, LogsAnswer, MAX_REQUEST_BYTES, OrderAnswer, OrderRow, PassAnswer, PassesAnswer,
    Request,
};
use crate::digest::Facts;
use crate::downlink::Refused;
use crate::health::Task;
use crate::json;
use crate::orders::Step;
use crate::store::{Acknowledger, AlertState, StoreError, Superseder, is_fault_of_disk};
use crate::telemetry::{QueueStatus, SCHEMA, Status, StoreStatus, TransmitterStatus};

/// What is answered to what can't be done now.
const IN_SAFE_MODE: &str =
    "the payload is in safe mode: this can't be done now; `passband safe leave` ends it";

/// Most connections at once; more wait.
const MAX_CONNECTIONS: usize = 16;
/// How often the task checks in while nobody connects.
const CHECK_IN: Duration = Duration::from_secs(2);
/// The longest that a connection may do nothing.
const IDLE: Duration = Duration::from_secs(10);

/// Makes the socket; where its folder can't be written at present, the one at `instead`, and why.
pub(crate) fn listen_anywhere(path: &Path, instead: &Path) -> io::Result<(UnixListener, Option<io::Error>)> {
    match listen(path) {
        Ok(listener) => Ok((listener, None)),
        Err(e) if is_fault_of_disk(&e) => Ok((listen(instead)?, Some(e))),
        Err(e) => Err(e),
    }
}

/// Makes the socket, in the place of one that an interrupted daemon left behind.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "another daemon listens there"));
    }
    match fs::symlink_metadata(path) {
        Ok(m) if m.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "it is there already and is not a socket"));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until it is dropped.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    commander: Arc<Mutex<Commander>>,
    queue: Sender<QueueChange>,
    listener: Arc<UnixListener>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let beat = shared.beat(Task::Operator);
    loop {
        beat.check_in();
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let Ok((place, accepted)) = timeout(CHECK_IN, next).await else { continue };
        match accepted {
            Ok((stream, _)) => {
                let (shared, commander) = (Arc::clone(&shared), Arc::clone(&commander));
                let queue = queue.clone();
                tokio::spawn(async move {
                    if let Err(e) = converse(&shared, &commander, &queue, stream).await {
                        tracing::debug!("command socket: {e}");
                    }
                    drop(place);
                });
            }
            Err(e) => {
                tracing::warn!("command socket: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    shared: &Shared,
    commander: &Mutex<Commander>,
    queue: &Sender<QueueChange>,
    stream: UnixStream,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(MAX_REQUEST_BYTES, reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(MAX_REQUEST_BYTES as u64);
        timeout(IDLE, bounded.read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer = if whole { answer(shared, commander, queue, &line) } else { refusal(too_long()) };
        timeout(IDLE, writer.write_all(answer.as_bytes())).await??;
        if !whole {
            return Ok(());
        }
    }
}

fn too_long() -> String {
    format!("bad request: not a line of at most {MAX_REQUEST_BYTES} bytes")
}

/// The line that answers a request.
fn answer(shared: &Shared, commander: &Mutex<Commander>, queue: &Sender<QueueChange>, line: &[u8]) -> String {
    let request = Request::parse(line).and_then(|request| {
        let refused = shared.in_safe_mode() && !request.is_for_safe_mode();
        if refused { Err(IN_SAFE_MODE.to_owned()) } else { Ok(request) }
    });
    let result = request.and_then(|request| match request {
        Request::Status => document(status(shared)),
        Request::Queue { limit } => document(line::answer(shared, limit.unwrap_or(DEFAULT_ROWS))),
        Request::QueueExplain { id } => {
            line::explain(shared, &id).and_then(|explanation| document(Ok(explanation)))
        }
        Request::QueueAct { id, action } => {
            line::act(shared, queue, &id, &action).and_then(|answer| document(Ok(answer)))
        }
        Request::Events { since, limit } => {
            let events = shared.catalogue.events(since, limit.unwrap_or(DEFAULT_EVENTS));
            document(events.map(|events| EventsAnswer { schema: SCHEMA, events }))
        }
        Request::Alerts => document(alert_orders::list(shared)),
        Request::AlertsAck { number } => {
            let state = AlertState::Acknowledged(Acknowledger::Operator);
            alert_orders::settle(shared, number, state).and_then(|answer| document(Ok(answer)))
        }
        Request::AlertsCancel { number } => {
            let state = AlertState::Superseded(Superseder::Operator);
            alert_orders::settle(shared, number, state).and_then(|answer| document(Ok(answer)))
        }
        Request::Passes { count } => document(Ok(passes(shared, count.unwrap_or(DEFAULT_PASSES)))),
        Request::PassStart { seconds, rate_bps } => {
            pass(shared, shared.gate(|gate| split(gate.start(shared.clock.now_ms(), seconds, rate_bps))))
        }
        Request::Order { order, step } => {
            order_done(commander, &mut Nominal { shared, queue }, &order, step.unwrap_or(Step::Run))
        }
        Request::Orders { limit } => {
            document(Ok(lock(commander).orders_answer(limit.unwrap_or(DEFAULT_ORDERS))))
        }
        Request::Keys => document(Ok(lock(commander).keys_now(&Nominal { shared, queue }))),
        Request::Params { prefix } => {
            let commander = lock(commander);
            let now = commander.moment(&Nominal { shared, queue });
            let summary = commander.parameters(now, &prefix.unwrap_or_default());
            summary
                .ok_or_else(|| "there are no parameters".to_owned())
                .and_then(|summary| document(Ok(summary)))
        }
        Request::Agenda { limit } => {
            let commander = lock(commander);
            let now = commander.moment(&Nominal { shared, queue });
            document(Ok(commander.agenda_answer(now, limit.unwrap_or(DEFAULT_AGENDA))))
        }
        Request::Scripts => document(Ok(lock(commander).scripts_answer())),
        Request::Update => document(Ok(lock(commander).update_answer())),
        Request::Logs { limit } => {
            let lines = newest(limit.unwrap_or(DEFAULT_LINES));
            document(Ok(LogsAnswer { schema: SCHEMA, lines }))
        }
        Request::Load { kind, name, path } => {
            load(commander, &mut Nominal { shared, queue }, &kind, &name, &path)
        }
        Request::PassStop => pass(shared, shared.gate(|gate| split(gate.stop(shared.clock.now_ms())))),
        Request::Digest => latest(shared).and_then(|latest| {
            let now_unix_ms = shared.clock.unix_ms();
            document(Ok(Facts { now_unix_ms, transmitter: transmitter(shared), ..latest.facts.clone() }))
        }),
        Request::Tlm { channels } => latest(shared)
            .and_then(|latest| telemetry::channels(shared, &latest, &channels))
            .and_then(|answer| document(Ok(answer))),
    });
    result.unwrap_or_else(refusal)
}

/// Has an order of a shell done.
fn order_done(
    commander: &Mutex<Commander>,
    works: &mut Nominal<'_>,
    words: &str,
    step: Step,
) -> Result<String, String> {
    let order = Order::from_line(words).map_err(|e| e.to_string())?;
    let taken = lock(commander).order(works, step, &order.encode());
    let (id, record) = taken.map_err(|e| e.to_string())?.ok_or("it is an order without an answer")?;
    document(Ok(OrderAnswer { schema: SCHEMA, row: OrderRow::new(id, &record) }))
}

/// Takes a file on board as a plan, a script or a file.
fn load(
    commander: &Mutex<Commander>,
    works: &mut Nominal<'_>,
    kind: &str,
    name: &str,
    path: &str,
) -> Result<String, String> {
    let kind = UploadKind::from_name(kind).ok_or_else(|| format!("{kind:?} is no kind of file"))?;
    let done = lock(commander).load(works, kind, name, Path::new(path))?;
    document(Ok(LoadAnswer { schema: SCHEMA, done }))
}

fn latest(shared: &Shared) -> Result<Arc<Latest>, String> {
    shared.desk.latest().ok_or_else(|| "the daemon has not looked at anything yet; ask again".to_owned())
}

fn split(result: Result<crate::downlink::Change, Refused>) -> (crate::downlink::Change, Result<(), Refused>) {
    match result {
        Ok(change) => (change, Ok(())),
        Err(refused) => (crate::downlink::Change::None, Err(refused)),
    }
}

fn pass(shared: &Shared, result: Result<(), Refused>) -> Result<String, String> {
    result.map_err(|refused| refused.to_string())?;
    document(Ok(PassAnswer { schema: SCHEMA, transmitter: transmitter(shared) }))
}

/// The passes to come.
pub(crate) fn passes(shared: &Shared, count: usize) -> PassesAnswer {
    let (plan, now_unix_ms) = (shared.pass_plan(), shared.clock.unix_ms());
    let (status, passes) = (plan.status(now_unix_ms), plan.next(now_unix_ms, count));
    PassesAnswer { schema: SCHEMA, now_unix_ms, plan: status, passes }
}

fn document<T: Serialize>(answer: Result<T, StoreError>) -> Result<String, String> {
    let answer = answer.map_err(|e| e.to_string())?;
    let mut line = json::text(&answer).map_err(|e| e.to_string())?;
    line.push('\n');
    Ok(line)
}

fn refusal(error: String) -> String {
    let mut line = json::text(&ErrorAnswer { schema: SCHEMA, error }).unwrap_or_default();
    line.push('\n');
    line
}

pub(crate) fn status(shared: &Shared) -> Result<Status, StoreError> {
    let (queue, bytes) = shared.queue(|queue| (QueueStatus::of(queue.tally()), queue.tally().total().bytes));
    let (events, last_event_seq) = shared.catalogue.event_counts()?;
    let alerts = shared.catalogue.alerts()?;
    Ok(Status {
        schema: SCHEMA,
        version: crate::version(),
        spacecraft: shared.config.spacecraft,
        uptime_s: shared.clock.now_ms() / 1000,
        boot_count: shared.boot_count,
        now_unix_ms: shared.clock.unix_ms(),
        transmitter: transmitter(shared),
        next_pass: shared.next_passes(1).into_iter().next(),
        counters: shared.counters(),
        queue,
        store: StoreStatus {
            disk: shared.disk_mode().name().to_owned(),
            in_memory: shared.in_memory,
            bytes,
            quota_bytes: shared.config.store.quota_bytes,
            free_disk_bytes: shared.disk.free_bytes(&shared.config.paths.state),
        },
        alerts_pending: alerts.iter().filter(|a| a.state == AlertState::Pending).count() as u64,
        events,
        last_event_seq,
        health: Some(shared.pulse.status()),
    })
}

/// How the transmitter is.
pub(crate) fn transmitter(shared: &Shared) -> TransmitterStatus {
    let (gate, state) = shared.gate_now();
    let since_unix_ms = state.map(|s| {
        let open_ms = shared.clock.now_ms().saturating_sub(s.since_ms);
        shared.clock.unix_ms().saturating_sub(open_ms)
    });
    TransmitterStatus {
        mode: gate.mode().name().to_owned(),
        open: state.is_some(),
        since_unix_ms,
        ms_left: state.and_then(|s| s.left_ms),
        rate_bps: state.map_or(gate.configured_rate_bps(), |s| s.rate_bps),
    }
}
