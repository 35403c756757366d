//! `passband-ground uplink`: works an outbox in the background, and shows what is in it.

mod desk;
mod telemetry;

pub use desk::{Desk, UplinkArgs};
pub use telemetry::{Ears, TelemetryArgs, believed};

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use passband_proto::dict::{Reason, UploadFate};
use passband_proto::plan::show_utc;
use passband_proto::sdls::RoleKey;

use super::role_keys::{holder, key_words, spi_range};
use super::{print_json, stop_on_signals};
use crate::station::hex;
use crate::telemetry::Heard;
use crate::telemetry::feed::unix_ms;
use crate::uplink::folder::Drop;
use crate::uplink::take_back::take_back as drop_order;
use crate::uplink::{About, Entry, Folder, Hold, Noticed, Upload, Worker};

/// How long a turn waits for something to happen.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long an order that is to be taken back waits for who works the outbox.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

/// What was armed and ended unfired is listed for so long, ms.
const DISARMED_SHOWN_MS: u64 = 2 * 3_600_000;

/// Send orders and files until the satellite has answered, and show what waits.
///
/// The outbox is a folder, of one holder of a command key. One process works it at a time, whichever came first; the others
/// (`order`, `upload`) put what they have into it, and see what becomes of it.
///
/// An order stays armed until it is fired, until its time is over, until the satellite's software starts anew, or until any other
/// order under the same key reaches the satellite: so all others of the outbox wait, till it is given up with `uplink drop` or ends
/// otherwise. `uplink list` says what waits for which.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground uplink run --command-keys operator.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020 --telemetry-keys keys.txt\n  passband-ground uplink list --command-keys operator.txt --state outbox\n  passband-ground uplink drop 2877120 --command-keys operator.txt --state outbox\n\nExit status: 0 done, 1 not (all) done, 2 bad usage or input."
)]
pub struct UplinkCommand {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Work the outbox until it is told to stop (SIGINT, SIGTERM).
    Run {
        #[command(flatten)]
        uplink: UplinkArgs,
        /// Send each packet of telemetry on to there, whole and once; those whose tag is forged are not.
        #[arg(long, value_name = "ADDR:PORT")]
        forward: Vec<SocketAddr>,
    },
    /// Show orders and files: what waits, what was answered.
    List {
        #[command(flatten)]
        holder: HolderArgs,
        /// What is settled, too.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take an order or a file back: it is sent no more. What has arrived by then is done all the same.
    ///
    /// An order that is armed is given up like that: what would fire it is taken back with it, the orders that wait for it go on,
    /// and the first of them (a ping, if none waits) disarms it on board. Where what fires it has left, that is told: it may be done.
    Drop {
        /// The order's number, or the file's id (8 hexadecimal digits).
        what: String,
        #[command(flatten)]
        holder: HolderArgs,
    },
}

/// Whose outbox, and where.
#[derive(Debug, Clone, Args)]
pub struct HolderArgs {
    /// The holder's command key.
    #[arg(long = "command-keys", alias = "keys", value_name = "FILE")]
    pub keys: PathBuf,
    /// Which key, if the file holds several.
    #[arg(long, value_parser = spi_range())]
    pub spi: Option<u16>,
    /// The outbox.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

/// Runs `passband-ground uplink`.
///
/// # Errors
/// Keys, folder or sockets can't be used.
pub fn run(args: &UplinkCommand) -> Result<ExitCode> {
    match &args.command {
        Action::Run { uplink, forward } => work(uplink, forward),
        Action::List { holder, all, json } => list(holder, *all, *json),
        Action::Drop { what, holder } => take_back(what, holder),
    }
}

fn work(args: &UplinkArgs, forward: &[SocketAddr]) -> Result<ExitCode> {
    let Desk::Works(mut worker) = Desk::open(args)? else {
        bail!("another process works {}", args.holder.state.display());
    };
    let mut forward = forward.iter().map(|to| Forward::open(*to)).collect::<Result<Vec<_>>>()?;
    let stop = stop_on_signals()?;
    let mut last_refusal = None;
    let open = what_is_open(worker.outbox().orders(), worker.outbox().uploads());
    say!("working {}: {open}", args.holder.state.display());
    while !stop.load(Ordering::Relaxed) {
        let turn = worker.turn(PATIENCE)?;
        if let Some(heard) = turn.heard.as_ref().filter(|heard| believed(heard, false)) {
            forward.iter_mut().for_each(|forward| forward.send(heard));
        }
        turn.noticed.iter().for_each(|noticed| say!("{}", told(noticed, &worker)));
        if turn.refused != last_refusal {
            turn.refused.iter().for_each(|why| say!("{why}"));
            last_refusal = turn.refused;
        }
    }
    Ok(ExitCode::from(u8::from(!worker.outbox().is_settled())))
}

/// What is open in an outbox: orders and files.
fn what_is_open<'a>(orders: impl Iterator<Item = &'a Entry>, uploads: &[Upload]) -> String {
    let count = |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
    let orders = orders.filter(|entry| entry.is_open()).count();
    let files = uploads.iter().filter(|upload| upload.about().is_open()).count();
    format!("{} and {} open", count(orders, "order"), count(files, "file"))
}

/// Hands packets on. Nobody may listen: nothing here waits for it.
struct Forward {
    socket: UdpSocket,
    to: SocketAddr,
    /// Whether it was said that the network took none.
    told: bool,
}

impl Forward {
    fn open(to: SocketAddr) -> Result<Self> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).with_context(|| format!("opening a socket to {to}"))?;
        Ok(Self { socket, to, told: false })
    }

    fn send(&mut self, heard: &Heard) {
        let refused = self.socket.send_to(&heard.bytes, self.to).err().filter(|_| !self.told);
        if let Some(e) = refused {
            self.told = true;
            tracing::warn!("handing telemetry on to {}: {e}", self.to);
        }
    }
}

/// What was noticed, in words.
pub fn told(noticed: &Noticed, worker: &Worker) -> String {
    match noticed {
        Noticed::Order(number) => {
            let entry = worker.outbox().order(*number);
            entry.map_or_else(
                || format!("#{number}"),
                |entry| {
                    format!("#{number} {}: {}", entry.words(), under(entry, &entry.state(), worker.key()))
                },
            )
        }
        Noticed::Upload(id) => {
            let upload = worker.outbox().uploads().iter().find(|upload| upload.about().id == *id);
            upload.map_or_else(
                || hex(id),
                |upload| {
                    let progress = upload.progress();
                    format!(
                        "{}: {}",
                        upload.about(),
                        upload_state(upload.about(), progress.there, progress.pieces)
                    )
                },
            )
        }
        Noticed::CountersLost => {
            "the board has lost the counters of this key: it is asked to go on from ours".into()
        }
        Noticed::CounterBehind { ours, board } => format!(
            "the board has taken counter {board} and ours was {ours}: it goes on from there; does another outbox use this key?"
        ),
        Noticed::NumbersBehind { board } => format!(
            "the board knows order {board} of this key, which isn't here: numbers go on from there; does another outbox use this key?"
        ),
        Noticed::NumberTaken(number) => format!(
            "the board has another order under number {number}: ours gets another one once it is refused; is this outbox an old copy?"
        ),
        Noticed::OtherKey { board } => {
            foreign(worker, &format!("the satellite holds another one under this SPI, {}", hex(board)))
        }
        Noticed::OtherSpacecraft { board } => {
            let other = board.map_or_else(|| "another one".to_owned(), |board| format!("spacecraft {board}"));
            let why =
                format!("it is of spacecraft {}, and telemetry of {other}", worker.outbox().spacecraft());
            foreign(worker, &why)
        }
        Noticed::Refuses(why) => format!(
            "{}; or somebody forges frames, if orders are answered all the same",
            foreign(worker, &format!("the satellite refuses what is sent, {why}"))
        ),
        Noticed::ArmedFor(ms) => format!("orders stay armed for {} s on board (command.arm)", ms / 1000),
        Noticed::Retired => "this key is retired: the board takes nothing under it any more".into(),
    }
}

/// A state of an order, and under which key it went, once it has left.
pub fn under(entry: &Entry, state: &str, key: &str) -> String {
    if entry.sent == 0 { state.to_owned() } else { format!("{state} [{key}]") }
}

/// What is said of a key that isn't the satellite's, and what to do.
fn foreign(worker: &Worker, why: &str) -> String {
    let (spi, fingerprint) = worker.outbox().key();
    format!(
        "no order is taken under SPI {spi} of {} (fingerprint {}): {why}. Give --command-keys the file whose key the satellite holds, or bring \
         this one to it",
        worker.keys().display(),
        hex(&fingerprint)
    )
}

/// Where a file stands, in words.
pub fn upload_state(about: &About, there: usize, pieces: usize) -> String {
    match &about.told {
        _ if about.whole => fate_text(about),
        _ if about.dropped => "dropped".to_owned(),
        Some(told) if about.is_refused() => told.to_string(),
        _ => format!("{there} of {pieces} pieces there"),
    }
}

/// What became of a file of which all came.
fn fate_text(about: &About) -> String {
    match about.fate() {
        Some((UploadFate::Refused, why)) => {
            format!("refused ({why}): all of it came, and none of it is kept")
        }
        Some((UploadFate::Waits, Reason::None)) => "all there; it waits for its update".to_owned(),
        Some((UploadFate::Waits, why)) => {
            format!("all there, and not in its place ({why}): it is kept, and the same `upload` tries again")
        }
        Some((UploadFate::Taken, _)) => "all there, in its place".to_owned(),
        Some((UploadFate::Coming, _)) | None => "all there".to_owned(),
    }
}

/// The outbox of a holder, if there is one: a typo makes none.
fn existing(args: &HolderArgs) -> Result<(Folder, RoleKey)> {
    ensure!(Folder::is_there(&args.state)?, "{} is no outbox", args.state.display());
    let key = holder(&args.keys, args.spi)?;
    Ok((Folder::open(&args.state, &key)?, key))
}

fn list(args: &HolderArgs, all: bool, json: bool) -> Result<ExitCode> {
    let (folder, key) = existing(args)?;
    let key = key_words(&key);
    let mut orders = Vec::new();
    for number in folder.numbers()? {
        let entry = readable(folder.order(number)).map(|entry| entry.at(unix_ms()));
        orders.extend(entry.filter(|entry| all || is_to_see(entry, unix_ms())));
    }
    let mut uploads = Vec::new();
    for id in folder.upload_ids()? {
        uploads.extend(readable(folder.upload(id)).filter(|about| all || about.is_open()));
    }
    let is_open = orders.iter().any(Entry::is_open) || uploads.iter().any(About::is_open);
    let now = unix_ms();
    let hold = Hold::in_folder(&folder, now)?;
    if json {
        let orders: Vec<_> = orders.iter().map(|entry| with_waits(entry, &hold)).collect();
        print_json(&serde_json::json!({ "schema": 1, "orders": orders, "uploads": uploads }))?;
        return Ok(ExitCode::from(u8::from(is_open)));
    }
    for entry in &orders {
        say!(
            "{}  #{} {}: {}",
            show_utc(entry.queued_unix_ms),
            entry.number,
            entry.words(),
            under(entry, &hold.state(entry), &key)
        );
    }
    let files_wait = hold.words().filter(|_| uploads.iter().any(About::is_open));
    for about in uploads {
        let (there, pieces) = folder.load_upload(about.clone()).map_or((0, 0), |upload| {
            let progress = upload.progress();
            (progress.there, progress.pieces)
        });
        let waits = files_wait.as_ref().filter(|_| about.is_open()).map(|words| format!("; {words}"));
        let state = upload_state(&about, there, pieces);
        say!("{}  {about}: {state}{}", show_utc(about.queued_unix_ms), waits.unwrap_or_default());
    }
    if let Hold::Armed { number, .. } = hold {
        say!("#{number} is given up, and the others let go, with `passband-ground uplink drop {number}`");
    }
    Ok(ExitCode::from(u8::from(is_open)))
}

/// Whether an order is listed by itself: it is open; it is armed, and so in the way of the others; or it was so lately and ended
/// unfired, which is to be seen to.
fn is_to_see(entry: &Entry, now_unix_ms: u64) -> bool {
    let ended = entry.disarmed.filter(|_| entry.may_have_been_fired() && !entry.dropped);
    let is_late = now_unix_ms.saturating_sub(entry.queued_unix_ms) > DISARMED_SHOWN_MS;
    entry.is_open() || entry.armed_until().is_some() || (ended.is_some() && !is_late)
}

/// An order's document, where it stands, and why it waits.
fn with_waits(entry: &Entry, hold: &Hold) -> serde_json::Value {
    let mut json = entry.json();
    json["state"] = entry.state().into();
    json["waits"] = hold.words().filter(|_| hold.keeps(entry)).into();
    json
}

/// What is kept, unless its document is damaged: that is said, and hides nothing else.
fn readable<T>(kept: Result<Option<T>>) -> Option<T> {
    kept.unwrap_or_else(|e| {
        tracing::warn!("{e:#}");
        None
    })
}

fn take_back(what: &str, args: &HolderArgs) -> Result<ExitCode> {
    let (mut folder, _) = existing(args)?;
    if let Ok(number) = what.trim_start_matches('#').parse()
        && folder.order(number)?.is_some()
    {
        let done = drop_order(&mut folder, number, DROP_PATIENCE)?;
        say!("#{number}: {done}");
        return Ok(ExitCode::from(u8::from(!done.is_in_time())));
    }
    let about = upload_called(&folder, what)?;
    folder.drop_later(Drop::Upload(about.id))?;
    let (id, kind, name) = (hex(&about.id), about.kind, &about.name);
    say!(
        "{kind} {name} ({id}) is taken back as soon as the outbox is worked; what of it is on board goes with `upload drop {id}`"
    );
    Ok(ExitCode::SUCCESS)
}

/// The file that is called so, or has such an id: of several of a name the one that is open.
fn upload_called(folder: &Folder, what: &str) -> Result<About> {
    let mut found = Vec::new();
    for id in folder.upload_ids()? {
        found.extend(folder.upload(id)?.filter(|about| about.name == what || hex(&about.id) == what));
    }
    if found.iter().any(About::is_open) {
        found.retain(About::is_open);
    }
    ensure!(
        found.len() < 2,
        "{} files are called {what}: say the id of one, as `uplink list` shows it",
        found.len()
    );
    found.pop().ok_or_else(|| anyhow!("no order or file is called {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::Told;
    use passband_proto::dict::{Order, Stage, UploadKind};
    use passband_proto::packet::Mode;

    #[test]
    fn what_has_left_names_its_key() {
        let mut entry = Entry::new(1, Mode::Run, &Order::Ping {}, 0);
        assert_eq!(under(&entry, &entry.state(), "operator, SPI 2"), "waiting");
        entry.sent = 2;
        assert_eq!(under(&entry, &entry.state(), "operator, SPI 2"), "sent 2 times [operator, SPI 2]");
    }

    #[test]
    fn files_are_counted_among_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let key = passband_proto::sdls::RoleKey::new(1, 2, passband_proto::sdls::Role::Operator, [5; 32]);
        let folder = Folder::open(dir.path(), &key.unwrap()).unwrap();
        let about = folder.queue_upload(UploadKind::File, "a", &[1; 300], 200, 0).unwrap();
        let mut uploads = vec![folder.load_upload(about.clone()).unwrap()];
        assert_eq!(what_is_open([].iter(), &uploads), "0 orders and 1 file open");
        uploads.push(folder.load_upload(About { dropped: true, ..about }).unwrap());
        let orders =
            [Entry::new(1, Mode::Run, &Order::Ping {}, 0), Entry::new(2, Mode::Run, &Order::Ping {}, 0)];
        assert_eq!(what_is_open(orders.iter(), &uploads), "2 orders and 1 file open");
    }

    #[test]
    fn what_is_armed_no_more_is_listed_with_the_reason_and_what_to_do() {
        let mut entry = Entry::new(5, Mode::Arm, &Order::BoardReboot {}, 1_000);
        entry.told =
            Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text: String::new() });
        entry.armed_until_unix_ms = Some(61_000);
        assert_eq!(entry.clone().at(60_999), entry);
        let over = entry.at(61_000);
        assert!(is_to_see(&over, 61_000) && !is_to_see(&over, 1_001 + DISARMED_SHOWN_MS));
        let json = with_waits(&over, &Hold::Nothing);
        assert_eq!(json["disarmed"], "time-over");
        let state = json["state"].as_str().unwrap();
        assert_eq!(
            state,
            "disarmed: its time was over before it was fired; arm it again if it is still to be done"
        );
        let fired = Entry { fired_by: Some(0), ..over };
        assert!(!is_to_see(&fired, 61_000));
    }
}
