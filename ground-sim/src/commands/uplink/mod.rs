//! `passband-ground uplink`: works an outbox in the background, and shows what is in it.

mod desk;
mod list;
mod telemetry;
mod words;

pub use desk::{Desk, UplinkArgs};
pub use telemetry::{Ears, TelemetryArgs, believed};
pub use words::{told, under, upload_state};

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use passband_proto::sdls::RoleKey;

use super::role_keys::{holder, spi_range};
use super::stop_on_signals;
use crate::station::hex;
use crate::telemetry::Heard;
use crate::uplink::folder::Drop;
use crate::uplink::take_back::take_back as drop_order;
use crate::uplink::{About, Folder};

/// How long a turn waits for something to happen.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long an order that is to be taken back waits for who works the outbox.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

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
        Action::List { holder, all, json } => list::list(holder, *all, *json),
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
    let open = words::what_is_open(worker.outbox().orders(), worker.outbox().uploads());
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

/// The outbox of a holder, if there is one: a typo makes none.
fn existing(args: &HolderArgs) -> Result<(Folder, RoleKey)> {
    ensure!(Folder::is_there(&args.state)?, "{} is no outbox", args.state.display());
    let key = holder(&args.keys, args.spi)?;
    Ok((Folder::open(&args.state, &key)?, key))
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
