//! `passband-ground uplink`: works an outbox in the background, and shows what is in it.

mod desk;

pub use desk::{Desk, TelemetryArgs, UplinkArgs, believed};

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use passband_proto::plan::show_utc;

use super::role_keys::holder;
use super::{print_json, stop_on_signals};
use crate::station::hex;
use crate::telemetry::Heard;
use crate::uplink::folder::Drop;
use crate::uplink::{About, Entry, Folder, Noticed, Worker};

/// How long a turn waits for something to happen.
const PATIENCE: Duration = Duration::from_millis(200);

/// Send orders and files until the satellite has answered, and show what waits.
///
/// The outbox is a folder, of one holder of a command key. One process works it at a time, whichever came first; the others
/// (`order`, `upload`) put what they have into it, and see what becomes of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground uplink run --keys operator.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020\n  passband-ground uplink list --keys operator.txt --state outbox\n  passband-ground uplink drop 2877120 --keys operator.txt --state outbox\n\nExit status: 0 done, 1 not (all) done, 2 bad usage or input."
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
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// Which key, if the file holds several.
    #[arg(long)]
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
    let socket = UdpSocket::bind("0.0.0.0:0").context("opening a socket")?;
    let stop = stop_on_signals()?;
    let mut last_refusal = None;
    say!("working {}: {} orders open", args.holder.state.display(), open_orders(&worker).count());
    while !stop.load(Ordering::Relaxed) {
        let turn = worker.turn(PATIENCE)?;
        if let Some(heard) = turn.heard.as_ref().filter(|heard| believed(heard, false)) {
            send_on(&socket, heard, forward);
        }
        turn.noticed.iter().for_each(|noticed| say!("{}", told(noticed, &worker)));
        if turn.refused != last_refusal {
            turn.refused.iter().for_each(|why| say!("{why}"));
            last_refusal = turn.refused;
        }
    }
    Ok(ExitCode::from(u8::from(!worker.outbox().is_settled())))
}

fn open_orders(worker: &Worker) -> impl Iterator<Item = &Entry> {
    worker.outbox().orders().filter(|entry| entry.is_open())
}

/// Hands a packet on. Nobody may listen: nothing here waits for it.
fn send_on(socket: &UdpSocket, heard: &Heard, forward: &[SocketAddr]) {
    for to in forward {
        let _ = socket.send_to(&heard.bytes, to);
    }
}

/// What was noticed, in words.
pub fn told(noticed: &Noticed, worker: &Worker) -> String {
    match noticed {
        Noticed::Order(number) => {
            let entry = worker.outbox().order(*number);
            entry.map_or_else(
                || format!("#{number}"),
                |entry| format!("#{number} {}: {}", entry.words(), entry.state()),
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
        Noticed::Retired => "this key is retired: the board takes nothing under it any more".into(),
    }
}

/// Where a file stands, in words.
pub fn upload_state(about: &About, there: usize, pieces: usize) -> String {
    match &about.told {
        _ if about.whole => "all there".to_owned(),
        _ if about.dropped => "dropped".to_owned(),
        Some(told) if about.is_refused() => told.to_string(),
        _ => format!("{there} of {pieces} pieces there"),
    }
}

fn list(args: &HolderArgs, all: bool, json: bool) -> Result<ExitCode> {
    let folder = Folder::open(&args.state, &holder(&args.keys, args.spi)?)?;
    let mut orders = Vec::new();
    for number in folder.numbers()? {
        orders.extend(folder.order(number)?.filter(|entry| all || entry.is_open()));
    }
    let mut uploads = Vec::new();
    for id in folder.upload_ids()? {
        uploads.extend(folder.upload(id)?.filter(|about| all || about.is_open()));
    }
    let is_open = orders.iter().any(Entry::is_open) || uploads.iter().any(About::is_open);
    if json {
        let orders: Vec<_> = orders.iter().map(Entry::json).collect();
        print_json(&serde_json::json!({ "schema": 1, "orders": orders, "uploads": uploads }))?;
        return Ok(ExitCode::from(u8::from(is_open)));
    }
    for entry in &orders {
        say!("{}  #{} {}: {}", show_utc(entry.queued_unix_ms), entry.number, entry.words(), entry.state());
    }
    for about in uploads {
        let (there, pieces) = folder.load_upload(about.clone()).map_or((0, 0), |upload| {
            let progress = upload.progress();
            (progress.there, progress.pieces)
        });
        say!("{}  {about}: {}", show_utc(about.queued_unix_ms), upload_state(&about, there, pieces));
    }
    Ok(ExitCode::from(u8::from(is_open)))
}

fn take_back(what: &str, args: &HolderArgs) -> Result<ExitCode> {
    let folder = Folder::open(&args.state, &holder(&args.keys, args.spi)?)?;
    let drop = match what.parse() {
        Ok(number) if folder.order(number)?.is_some() => Drop::Order(number),
        _ => {
            let id =
                u32::from_str_radix(what, 16).map_err(|_| anyhow!("no order or file is called {what}"))?;
            ensure!(folder.upload(id.to_be_bytes())?.is_some(), "no order or file is called {what}");
            Drop::Upload(id.to_be_bytes())
        }
    };
    folder.drop_later(drop)?;
    say!("{what} is taken back as soon as the outbox is worked");
    Ok(ExitCode::SUCCESS)
}
