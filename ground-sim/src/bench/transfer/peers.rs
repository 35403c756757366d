//! Other programs over the same losses: the same file, the same seed, the same passes.
//!
//! The peers live in a crate of their own (`peers/`), so that nothing of what they depend on ever comes
//! near the satellite or the station. It runs them through [`Scenario`] and prints a [`Figures`] for each
//! as a line of JSON; here they are put beside Passband's own.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::SealOptions;
use passband_proto::datagram::Datagram;
use passband_proto::transfer::Burst;

use super::ground::Ground;
use super::losses::Losses;
use super::models::{self, Model};
use super::real::{Real, keys};
use super::scenario::{DATAGRAM_BYTES, Figures, RETURNS, Return, Scenario};
use super::{Bench, Op, Row, Scale, Sink};
use crate::station::{Station, hex};

/// The peers' program.
pub const PROGRAM: &str = "passband-peers";
/// Datagrams of a burst: a second of the slowest scenario.
const BURST_DATAGRAMS: usize = 4;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let scenario = Scenario::new(bench.pick(1 << 20, 16 << 20, 64 << 20), bench.seed);
    let scenario = Scenario { real_time: bench.scale > Scale::Quick, ..scenario };
    let own = RETURNS.map(|way_back| passband(&scenario, way_back));
    let [dead, late, lossy] = own;
    let own = [dead?, late?, lossy?];
    for (model, name) in [(Model::Carousel, "carousel"), (Model::Blind, "blind re-sending")] {
        compare(&own, &modelled(&scenario, model, name), &scenario, sink)?;
    }
    let Some(command) = &bench.peers else {
        let how = format!("not measured: {PROGRAM} was not found; scripts/bench builds it, --peers names it");
        let missing = Figures::not_measured("flute, cfdp-rs and uftp", how);
        return compare(&own, &missing, &scenario, sink);
    };
    run_peers(command, &scenario, &mut |figures| compare(&own, figures, &scenario, sink))
}

/// Passband itself, in a real station, down to the same bytes. On a way back that is alive the ground reports
/// once a second.
fn passband(scenario: &Scenario, way_back: Return) -> Result<Figures> {
    let mut real = Real::new(scenario.file_bytes, &SealOptions::default(), scenario.seed)?;
    let (store, out) = (real.dir().join("store"), real.dir().join("out"));
    let mut station = Station::open(keys(), &store, &out)?;
    let sealed = real.sealed();
    let mut ground = Ground::cautious(&[sealed.id], &sealed.geometry);
    let mut reports = WayBack { kind: way_back, losses: scenario.return_losses(), sent: 0, late: Vec::new() };
    let (mut losses, mut burst) = (scenario.losses(), Burst::of_at_most(BURST_DATAGRAMS));
    let (mut bytes, mut pass, mut second) = (0, 0, 0);
    while ground.sent < scenario.patience() {
        if ground.sent / scenario.pass_datagrams > pass {
            pass = ground.sent / scenario.pass_datagrams;
            station.settle()?;
            ground.begin_pass();
            real.begin_pass();
            reports.late.drain(..).try_for_each(|frame| real.hear(&frame))?;
        }
        if !real.poll(&mut burst)? {
            return Ok(Figures::never("Passband", Some(way_back), "it takes for down what isn't"));
        }
        for datagram in burst.datagrams() {
            let lost = losses.loses(ground.sent);
            ground.sent(Datagram::parse(datagram).context("what was sent is no datagram")?.header(), lost)?;
            bytes += datagram.len() as u64;
            if !lost {
                station.push(datagram)?;
            }
            // The station decodes beside reception: it is waited for where it has enough.
            if ground.whole() {
                station.settle()?;
            }
            if let Some(bundle) = station.take_finished().first() {
                let same = bundle.files.iter().all(|f| f.sha256 == hex(&real.sealed().source.sha256));
                ensure!(same, "the file came down with other bytes");
                return Ok(Figures::down("Passband", Some(way_back), scenario, ground.sent, bytes));
            }
        }
        if scenario.second(ground.sent) > second {
            second = scenario.second(ground.sent);
            for frame in reports.carry(ground.report(&keys())?) {
                real.hear(&frame)?;
            }
        }
    }
    Ok(Figures::never("Passband", Some(way_back), "not in all passes"))
}

/// The way back of Passband's reports.
struct WayBack {
    kind: Return,
    losses: Losses,
    sent: u64,
    /// What comes in the next pass.
    late: Vec<Vec<u8>>,
}

impl WayBack {
    /// What comes of these frames at once.
    fn carry(&mut self, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self.kind {
            Return::Dead => Vec::new(),
            Return::Late => {
                self.late = frames;
                Vec::new()
            }
            Return::Lossy => {
                let Self { losses, sent, .. } = self;
                let arrives = |_: &Vec<u8>| {
                    *sent += 1;
                    !losses.loses(*sent)
                };
                frames.into_iter().filter(arrives).collect()
            }
        }
    }
}

/// A model of a way without a fountain; packets are as full as packets can be.
fn modelled(scenario: &Scenario, model: Model, name: &str) -> Figures {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let packets = size(scenario.file_bytes.div_ceil(DATAGRAM_BYTES));
    match models::passes(model, packets, size(scenario.pass_datagrams), &mut scenario.losses()) {
        Some((_, sent)) => Figures::down(name, None, scenario, sent, sent * DATAGRAM_BYTES),
        None => Figures::never(name, None, "what a pass has no time for is never sent"),
    }
}

/// One row for each of bytes, passes and time.
fn compare(own: &[Figures; 3], peer: &Figures, scenario: &Scenario, sink: &mut Sink) -> Result<()> {
    if !peer.measured {
        let what = format!("bytes, passes and time against {}", peer.peer);
        let row = Row::new("peers", what, None, "1", Op::AtMost, 0.0);
        return sink(row.note(peer.note.as_deref().unwrap_or("not measured")));
    }
    let [dead, late, lossy] = own;
    let worst;
    let (own, way_back) = match peer.way_back {
        // Nothing ever comes back to it: we are measured by the worst of our own.
        None => {
            worst = own.iter().fold(dead.clone(), Figures::or_worse);
            (&worst, "any way back")
        }
        Some(Return::Dead) => (dead, "dead way back"),
        Some(Return::Late) => (late, "way back a pass late"),
        Some(Return::Lossy) => (lossy, "way back as lossy"),
    };
    let on = format!("{} MiB, half of it a pass, 20 % loss, {way_back}", scenario.file_bytes >> 20);
    for (name, unit, own, theirs) in [
        ("bytes sent / file bytes", "1", own.bytes, peer.bytes),
        ("passes", "1", own.passes, peer.passes),
        ("time", "s", own.seconds, peer.seconds),
    ] {
        let mut row = Row::against(
            "peers",
            format!("{name}: {on}"),
            (own, unit, Op::AtMost),
            peer.peer.clone(),
            theirs,
        );
        row.note.clone_from(&peer.note);
        sink(row)?;
    }
    Ok(())
}

fn run_peers(
    command: &[OsString],
    scenario: &Scenario,
    each: &mut dyn FnMut(&Figures) -> Result<()>,
) -> Result<()> {
    let (program, first) = command.split_first().context("an empty command")?;
    let program = Path::new(program);
    let mut child = Command::new(program)
        .args(first)
        .arg(serde_json::to_string(scenario)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let out = child.stdout.take().context("the peers have no output")?;
    for line in BufReader::new(out).lines() {
        let line = line.context("reading what the peers print")?;
        each(&serde_json::from_str(&line).with_context(|| format!("the peers printed '{line}'"))?)?;
    }
    let status = child.wait().context("waiting for the peers")?;
    ensure!(status.success(), "{} failed", program.display());
    Ok(())
}

/// The peers' program beside our own or on the PATH.
#[must_use]
pub fn find(own: &Path) -> Option<PathBuf> {
    let beside = own.parent().map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = beside.into_iter().chain(std::env::split_paths(&path).collect::<Vec<_>>());
    dirs.map(|dir| dir.join(PROGRAM)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_comes_down_in_three_passes_and_a_carousel_takes_longer() {
        let scenario = Scenario::new(300_000, 1);
        let own = passband(&scenario, Return::Dead).unwrap();
        let carousel = modelled(&scenario, Model::Carousel, "carousel");
        assert!(own.bytes < carousel.bytes && own.passes <= carousel.passes, "{own:?} {carousel:?}");
        assert_eq!(modelled(&scenario, Model::Blind, "blind").passes, None);
    }
}
