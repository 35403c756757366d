//! Other programs over the same losses: the same file, the same seed, the same passes.
//!
//! The peers live in a crate of their own (`peers/`), so that nothing of what they depend on ever comes
//! near the satellite or the station. It runs them through [`Scenario`] and prints a [`Figures`] for each
//! as a line of JSON; here they are put beside Passband's own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::SealOptions;
use passband_proto::datagram::Datagram;
use passband_proto::transfer::Burst;
use serde::{Deserialize, Serialize};

use super::ground::Ground;
use super::models::{self, Model};
use super::real::{Real, keys};
use super::sim::Losses;
use super::{Bench, Op, Row, Scale, Sink};
use crate::station::{Station, hex};

/// The peers' program.
pub const PROGRAM: &str = "passband-peers";
/// Bytes of an IP packet that are left to whoever sends it over UDP.
pub const DATAGRAM_BYTES: u64 = 1472;

/// Datagrams of a burst: a second of the slowest scenario.
const BURST_DATAGRAMS: usize = 4;

/// What fares how on the way back from the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Return {
    /// Nothing comes back.
    Dead,
    /// What is sent in a pass comes back at the beginning of the next.
    Late,
    /// It loses as much as the way there.
    Lossy,
}

/// All ways back.
pub const RETURNS: [Return; 3] = [Return::Dead, Return::Late, Return::Lossy];

/// A file to get down, and the passes to do it in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Size of the file.
    pub file_bytes: u64,
    /// Share of datagrams lost, at random.
    pub loss: f64,
    /// Datagrams that a pass carries, of whatever size.
    pub pass_datagrams: u64,
    /// Length of a pass, s.
    pub pass_s: f64,
    /// Time between two passes, s.
    pub gap_s: f64,
    /// Passes after which nobody waits any more.
    pub most_passes: u32,
    /// Seed of the file and of the losses.
    pub seed: u64,
    /// Whether to wait for those that wait by the clock on the wall.
    pub real_time: bool,
}

impl Scenario {
    /// A file twice as long as a pass, 20 % loss.
    #[must_use]
    pub fn new(file_bytes: u64, seed: u64) -> Self {
        Self {
            file_bytes,
            loss: 0.2,
            pass_datagrams: file_bytes.div_ceil(DATAGRAM_BYTES) / 2,
            pass_s: 300.0,
            gap_s: 85.0 * 60.0,
            most_passes: 60,
            seed,
            real_time: true,
        }
    }

    /// What is lost on the way down.
    #[must_use]
    pub fn losses(&self) -> Losses {
        Losses::random(self.loss, 1.0, self.seed)
    }

    /// What is lost on the way back.
    #[must_use]
    pub fn return_losses(&self) -> Losses {
        Losses::random(self.loss, 1.0, self.seed ^ 0xB4C4)
    }

    /// When the `n`-th datagram is sent, seconds from the first one.
    #[must_use]
    pub fn time_s(&self, n: u64) -> f64 {
        let (pass, place) = (n / self.pass_datagrams, n % self.pass_datagrams);
        pass as f64 * (self.pass_s + self.gap_s) + self.pass_s * place as f64 / self.pass_datagrams as f64
    }

    /// In which second of contact, from the first, the `n`-th datagram is sent.
    #[must_use]
    pub fn second(&self, n: u64) -> u64 {
        let a_pass = self.pass_datagrams as f64 / self.pass_s;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of seconds")]
        let second = (n as f64 / a_pass) as u64;
        second
    }

    /// Datagrams that all passes carry.
    #[must_use]
    pub fn patience(&self) -> u64 {
        u64::from(self.most_passes) * self.pass_datagrams
    }
}

/// How somebody fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Who.
    pub peer: String,
    /// How the way back was; none: the same for all of them.
    pub way_back: Option<Return>,
    /// Bytes of UDP payload sent until the file was down, divided by the file's; none if it never was.
    pub bytes: Option<f64>,
    /// Passes until then.
    pub passes: Option<f64>,
    /// Seconds until then.
    pub seconds: Option<f64>,
    /// What else there is to say.
    pub note: Option<String>,
    /// Whether it could be measured at all.
    pub measured: bool,
}

impl Figures {
    /// The file was down after so many datagrams and bytes.
    #[must_use]
    pub fn down(
        peer: &str,
        way_back: Option<Return>,
        scenario: &Scenario,
        datagrams: u64,
        bytes: u64,
    ) -> Self {
        let last = datagrams.saturating_sub(1);
        Self {
            peer: peer.to_owned(),
            way_back,
            bytes: Some(bytes as f64 / scenario.file_bytes as f64),
            passes: Some((last / scenario.pass_datagrams + 1) as f64),
            seconds: Some(scenario.time_s(last)),
            note: None,
            measured: true,
        }
    }

    /// It never was.
    #[must_use]
    pub fn never(peer: &str, way_back: Option<Return>, note: impl Into<String>) -> Self {
        let peer = peer.to_owned();
        let (bytes, passes, seconds, note) = (None, None, None, Some(note.into()));
        Self { peer, way_back, bytes, passes, seconds, note, measured: true }
    }

    /// It could not be measured.
    #[must_use]
    pub fn not_measured(peer: &str, why: impl Into<String>) -> Self {
        Self { measured: false, ..Self::never(peer, None, why) }
    }
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let scenario = Scenario::new(bench.pick(1 << 20, 16 << 20, 64 << 20), bench.seed);
    let scenario = Scenario { real_time: bench.scale > Scale::Quick, ..scenario };
    let own = RETURNS.map(|way_back| passband(&scenario, way_back));
    let [dead, late, lossy] = own;
    let own = [dead?, late?, lossy?];
    for (model, name) in [(Model::Carousel, "carousel"), (Model::Blind, "blind re-sending")] {
        compare(&own, &modelled(&scenario, model, name), &scenario, sink)?;
    }
    let Some(program) = &bench.peers else {
        let how = format!("not measured: {PROGRAM} was not found; scripts/bench builds it, --peers names it");
        let missing = Figures::not_measured("flute, cfdp-rs and uftp", how);
        return compare(&own, &missing, &scenario, sink);
    };
    run_peers(program, &scenario, &mut |figures| compare(&own, figures, &scenario, sink))
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
    let (own, way_back) = match peer.way_back {
        None => (dead, "nothing coming back"),
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
    program: &Path,
    scenario: &Scenario,
    each: &mut dyn FnMut(&Figures) -> Result<()>,
) -> Result<()> {
    let mut child = Command::new(program)
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
    fn time_goes_by_in_passes_and_between_them() {
        let scenario = Scenario { pass_datagrams: 100, ..Scenario::new(1 << 20, 1) };
        assert!((scenario.time_s(50) - 150.0).abs() < 1e-9);
        assert!((scenario.time_s(150) - (300.0 + 5100.0 + 150.0)).abs() < 1e-9);
        let figures = Figures::down("p", None, &scenario, 101, 1 << 21);
        assert_eq!((figures.bytes, figures.passes, figures.seconds), (Some(2.0), Some(2.0), Some(5400.0)));
        let back: Figures = serde_json::from_str(&serde_json::to_string(&figures).unwrap()).unwrap();
        assert_eq!(back, figures);
    }

    #[test]
    fn a_small_file_comes_down_in_three_passes_and_a_carousel_takes_longer() {
        let scenario = Scenario::new(300_000, 1);
        let own = passband(&scenario, Return::Dead).unwrap();
        let carousel = modelled(&scenario, Model::Carousel, "carousel");
        assert!(own.bytes < carousel.bytes && own.passes <= carousel.passes, "{own:?} {carousel:?}");
        assert_eq!(modelled(&scenario, Model::Blind, "blind").passes, None);
    }
}
