//! `passband-ground bridge`: telemetry to another ground system, and its commands into the outbox.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use passband_proto::dict::Source;

use super::role_keys::holder;
use super::stop_on_signals;
use super::uplink::{Desk, Ears, UplinkArgs, believed, told};
use crate::bridge::command::accept;
use crate::bridge::line::Line;
use crate::telemetry::Heard;

/// How long a turn waits for a packet.
const PATIENCE: Duration = Duration::from_millis(100);

/// Join Yamcs or OpenC3 COSMOS: telemetry out as whole packets, commands in.
///
/// Commands come in clear and on loopback only. Each is checked against the dictionary, gets a number, and goes sealed through the
/// outbox, as one of `passband-ground order` does; its answers come as packets of telemetry. A hazardous one takes two commands:
/// one with order_flags arm, one with fire. Beside another process that works the outbox a bridge only puts commands into it, and
/// takes over with --to when that one ends. The set-up is in ground-sim/BRIDGES.md.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground bridge yamcs --command-keys operator.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020 --telemetry-keys keys.txt\n  passband-ground bridge cosmos --command-keys operator.txt --state outbox --telemetry 127.0.0.1:47021 --telemetry-keys keys.txt   # beside `uplink run --forward`\n\nExit status: 0 told to stop, 2 bad usage or input."
)]
pub struct BridgeArgs {
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    /// Packets as UDP datagrams, for Yamcs's UdpTmDataLink and UdpTcDataLink.
    Yamcs {
        #[command(flatten)]
        uplink: UplinkArgs,
        /// Where Yamcs takes telemetry.
        #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:10015")]
        tm: SocketAddr,
        /// Where Yamcs sends commands to; on loopback.
        #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:10025")]
        tc: SocketAddr,
    },
    /// Packets both ways over TCP, for the plugin that `dictionary --format cosmos` writes.
    Cosmos {
        #[command(flatten)]
        uplink: UplinkArgs,
        /// Where COSMOS connects to; on loopback.
        #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:47040")]
        listen: SocketAddr,
    },
}

/// Runs `passband-ground bridge`.
///
/// # Errors
/// Keys, folder or sockets can't be used.
pub fn run(args: &BridgeArgs) -> Result<ExitCode> {
    let (Program::Yamcs { uplink, .. } | Program::Cosmos { uplink, .. }) = &args.program;
    uplink.telemetry.ensure_any()?;
    let (uplink, line) = match &args.program {
        Program::Yamcs { uplink, tm, tc } => {
            let line = Line::yamcs(*tm, Some(*tc))?;
            say!("telemetry to {tm}, commands at {tc}");
            (uplink, line)
        }
        Program::Cosmos { uplink, listen } => {
            let (line, address) = Line::cosmos(*listen)?;
            say!("listening on {address}");
            (uplink, line)
        }
    };
    let role = holder(&uplink.holder.keys, uplink.holder.spi)?.role().into();
    let mut desk = Desk::open(uplink)?;
    // Who doesn't work the outbox hears what the one that does hands on.
    let mut ears = matches!(desk, Desk::Queues(_)).then(|| Ears::open(&uplink.telemetry)).transpose()?;
    let verified_only = uplink.telemetry.telemetry_keys.is_some();
    let stop = stop_on_signals()?;
    while !stop.load(Ordering::Relaxed) {
        while let Some(packet) = line.command() {
            take(&desk, &packet, role)?;
        }
        if let Some(heard) = turn(&mut desk, &mut ears)?.filter(|heard| believed(heard, verified_only)) {
            line.send(&heard.bytes);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn turn(desk: &mut Desk, ears: &mut Option<Ears>) -> Result<Option<Heard>> {
    desk.take_over(Some(ears))?;
    match (desk, ears) {
        (Desk::Works(worker), _) => {
            let turn = worker.turn(PATIENCE)?;
            turn.noticed.iter().for_each(|noticed| say!("{}", told(noticed, worker)));
            Ok(turn.heard)
        }
        (Desk::Queues(_), Some(ears)) => Ok(ears.next(PATIENCE)),
        (Desk::Queues(_), None) => Ok(None),
    }
}

/// Queues what a command packet orders, or says why not.
fn take(desk: &Desk, packet: &[u8], role: Source) -> Result<()> {
    match accept(packet, role) {
        Ok((step, order)) => {
            let entry = desk.queue(step, &order)?;
            say!("#{} {} {order}: queued", entry.number, step.name());
        }
        Err(refused) => say!("not sent: {refused}"),
    }
    Ok(())
}
