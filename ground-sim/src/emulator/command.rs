//! `passband-ground link`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{Channel, ChannelParams, ChannelStats, PassWindow, Relay};
use crate::commands::{parse_rate, parse_share, print_json};

/// Emulate a radio link between two UDP ports: loss, bursts, damage, duplicates, disorder, passes.
///
/// What arrives at --listen goes on to --forward as the link lets it. Everything random follows from
/// --seed. Without --pass the link is always open. Runs until it is interrupted, --for is over, or the
/// last pass is.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: 30 % loss in bursts of 50, two passes of 60 s, a minute apart\n  passband-ground link --listen 127.0.0.1:47000 --forward 127.0.0.1:48000 \\\n      --loss 30% --burst 50 --corrupt 1% --rate 40M --pass 0+60 --pass 120+60 --seed 7"
)]
pub struct LinkArgs {
    /// Where the sender sends.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Where the receiver listens.
    #[arg(long, value_name = "ADDR:PORT")]
    forward: SocketAddr,
    /// Rate of the link, bit/s of UDP payload, such as 40M; no limit if not given.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<u64>,
    /// Mean share of datagrams lost.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    loss: f64,
    /// Mean length of a burst of losses, datagrams (Gilbert–Elliott); 1: independent losses.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    burst: f64,
    /// Share of datagrams that arrive with flipped bits.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    corrupt: f64,
    /// Share of datagrams that are cut short.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    truncate: f64,
    /// Share of datagrams that arrive twice.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    duplicate: f64,
    /// Share of datagrams that are overtaken by later ones.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    reorder: f64,
    /// One-way delay, ms.
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    delay: f64,
    /// A pass: opens after START seconds, for DURATION seconds; may be given several times.
    #[arg(long, value_name = "START+DURATION", value_parser = parse_pass)]
    pass: Vec<PassWindow>,
    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    for_s: Option<f64>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground link`.
///
/// # Errors
/// Arguments out of range, or a socket fails.
pub fn run(args: LinkArgs) -> Result<ExitCode> {
    ensure!((1.0..=1e6).contains(&args.burst), "--burst takes 1 to 1,000,000 datagrams");
    let shortest = args.loss / (1.0 - args.loss).max(1e-9);
    ensure!(
        args.burst <= 1.0 || args.loss >= 1.0 || args.burst >= shortest,
        "a loss of {:.0} % needs bursts of {shortest:.1} datagrams or more: raise --burst",
        args.loss * 100.0
    );
    ensure!((0.0..=1e6).contains(&args.delay), "--delay takes 0 to 1,000,000 ms");
    ensure!(args.for_s.is_none_or(|s| (0.0..1e7).contains(&s)), "--for takes 0 to 10,000,000 seconds");
    let ordered = args.pass.windows(2).all(|w| matches!(w, [a, b] if a.start_s + a.duration_s <= b.start_s));
    ensure!(ordered, "passes must follow one another without overlap");
    let relay = Relay::bind(args.listen, args.forward)?;
    if !args.json {
        say!("link from {} to {}", relay.address()?, args.forward);
    }
    let mut channel = Channel::new(ChannelParams {
        loss: args.loss,
        burst_len: args.burst,
        corrupt: args.corrupt,
        truncate: args.truncate,
        duplicate: args.duplicate,
        reorder: args.reorder,
        rate_bps: args.rate.unwrap_or(0),
        delay_ms: args.delay,
        seed: args.seed,
        ..ChannelParams::default()
    });
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("catching signals")?;
    }
    let mut passes = args.pass;
    if let (true, Some(duration_s)) = (passes.is_empty(), args.for_s) {
        passes.push(PassWindow { start_s: 0.0, duration_s });
    }
    let stats = relay.run(&mut channel, &passes, &stop, |_, _| {})?;
    if args.json {
        print_json(&serde_json::json!({ "schema": 1, "passes": stats }))?;
    } else {
        (1..).zip(&stats).for_each(|(n, s)| say!("{}", line(n, s)));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(pass: u32, s: &ChannelStats) -> String {
    format!(
        "pass {pass}: {} sent, {} delivered, {} lost, {} over the rate, {} damaged, {} twice, {} out of order, {} without contact",
        s.offered, s.delivered, s.lost, s.overrun, s.corrupted, s.duplicated, s.reordered, s.no_contact
    )
}

fn parse_pass(text: &str) -> Result<PassWindow, String> {
    let bad = || format!("'{text}' is not a pass: write START+DURATION in seconds, such as 60+300");
    let (start, duration) = text.split_once('+').ok_or_else(bad)?;
    let number = |t: &str| t.parse::<f64>().ok().filter(|s| (0.0..1e7).contains(s)).ok_or_else(bad);
    Ok(PassWindow { start_s: number(start)?, duration_s: number(duration)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_read_or_refused() {
        assert_eq!(parse_pass("60+300"), Ok(PassWindow { start_s: 60.0, duration_s: 300.0 }));
        for bad in ["", "60", "60+", "+3", "-1+3", "NaN+1"] {
            assert!(parse_pass(bad).is_err(), "{bad}");
        }
    }
}
