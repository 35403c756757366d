//! Runs the peers (`peers/triage/peers.py`) on frames that were written for them and reads what they answer.
//!
//! The peers are Python packages: they live in an environment of their own and are started as processes; nothing of
//! them is ever part of Passband. Where there is none, a row says so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::exchange::{Written, read_map};
use super::{Bench, Op, Row, Scale, Sink};

/// The peers' program, as seen from the project's root.
pub const SCRIPT: &str = "peers/triage/peers.py";

/// Fewer frames, for what takes minutes each.
const FEW_FRAMES: usize = 5;

/// What a peer takes for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// A second or less.
    Small,
    /// Some seconds.
    Great,
    /// Ten seconds to minutes.
    Huge,
}

/// A peer, and what it is compared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// As `peers.py` names it.
    pub name: &'static str,
    /// Is its map in ppm·m? Otherwise it is a probability.
    pub ppm_m: bool,
    /// What it takes.
    pub cost: Cost,
}

/// All peers.
pub const PEERS: [Peer; 9] = [
    Peer::new("mag1c-f64", Cost::Huge),
    Peer::new("mag1c-f32", Cost::Great),
    Peer::new("mag1c-sas", Cost::Small),
    Peer { name: "linknet", ppm_m: false, cost: Cost::Small },
    Peer::new("spectral", Cost::Small),
    Peer::new("emit-ghg", Cost::Small),
    Peer::new("emit-ghg-loo", Cost::Huge),
    Peer::new("plain-f32", Cost::Small),
    Peer::new("cem-f32", Cost::Small),
];

impl Peer {
    const fn new(name: &'static str, cost: Cost) -> Self {
        Self { name, ppm_m: true, cost }
    }
}

/// Some of the peers in some settings, on the first so many frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) peers: Vec<Peer>,
    pub(super) settings: &'static [&'static str],
    pub(super) frames: usize,
}

/// What is run of the peers where there are so many frames: with `--full` everything on all of them.
pub(super) fn parts(scale: Scale, frames: usize) -> Vec<Part> {
    let of = |costs: &[Cost], settings, frames| Part {
        peers: PEERS.into_iter().filter(|p| costs.contains(&p.cost)).collect(),
        settings,
        frames,
    };
    let few = frames.min(FEW_FRAMES);
    match scale {
        Scale::Quick => vec![of(&[Cost::Small, Cost::Great], &[WINDOW], frames)],
        Scale::Usual => vec![
            of(&[Cost::Small], &[WINDOW, BOTH, README], frames),
            of(&[Cost::Great], &[WINDOW], frames),
            of(&[Cost::Great], &[BOTH], few),
            of(&[Cost::Huge], &[WINDOW], few),
        ],
        Scale::Full => vec![of(&[Cost::Small, Cost::Great, Cost::Huge], &[WINDOW, BOTH, README], frames)],
    }
}

/// The bands each peer is made for.
pub const WINDOW: &str = "window=2122-2488";
/// Both windows of methane, as our own target has them.
pub const BOTH: &str = "both=1590-1990+2122-2488";
/// The onboard package's own choice of 50 bands.
pub const README: &str = "readme";

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Which peers.
    pub peers: &'a [Peer],
    /// In which settings.
    pub settings: &'a [&'a str],
    /// The best of how many turns is timed.
    pub turns: usize,
}

/// What a peer answers about one frame in one setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    /// The peer.
    pub peer: String,
    /// Package and version; none for what `peers/triage` writes itself.
    pub version: Option<String>,
    /// The setting's name.
    pub setting: String,
    /// The frame's description.
    pub cube: PathBuf,
    /// Bands used.
    pub bands: Option<usize>,
    /// CPU seconds of one core, best turn; none: the peer did not run.
    pub cpu_s: Option<f64>,
    /// The most memory its process had resident, MiB.
    pub peak_mib: Option<f64>,
    /// What was resident before the frame was read: interpreter and libraries, MiB.
    pub import_mib: Option<f64>,
    /// The map it wrote.
    pub map: Option<PathBuf>,
    /// Usable pixels to which it gave no number.
    pub not_finite: Option<u64>,
    /// What else there is to say.
    pub note: Option<String>,
}

impl Answer {
    /// The peer, its version and its setting, as rows name them.
    pub fn name(&self) -> String {
        let version = self.version.as_ref().map_or_else(String::new, |v| format!(" [{v}]"));
        format!("{}{version}, {}", self.peer, self.setting)
    }

    /// The map, pixel by pixel; none if the peer did not run.
    ///
    /// # Errors
    /// It can't be read.
    pub fn map(&self, frame: &Written) -> Result<Option<Vec<f32>>> {
        self.map.as_ref().map(|path| read_map(path, frame.samples * frame.lines)).transpose()
    }

    /// Removes the map's file: hundreds of them would fill the disk.
    pub(super) fn forget_map(&self) {
        if let Some(path) = &self.map {
            // What is left goes with the work folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Runs peers on frames; the answers stand in the order of peers, settings and frames. Maps go to `dir`.
///
/// # Errors
/// The program can't be started, prints what it should not, or fails as a whole; one peer that fails is no error.
pub fn run(command: &[OsString], dir: &Path, frames: &[Written], job: &Job) -> Result<Vec<Answer>> {
    let (program, first) = command.split_first().context("an empty command")?;
    let names: Vec<&str> = job.peers.iter().map(|p| p.name).collect();
    let mut child = Command::new(program)
        .args(first)
        .arg("--json")
        .arg("--out")
        .arg(dir)
        .args(["--peers", &names.join(","), "--repeat", &job.turns.to_string(), "--windows"])
        .args(job.settings)
        .arg("--")
        .args(frames.iter().map(|f| &f.path))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", Path::new(program).display()))?;
    let out = child.stdout.take().context("the peers have no output")?;
    let mut answers = Vec::new();
    for line in BufReader::new(out).lines() {
        let line = line.context("reading what the peers print")?;
        answers.push(serde_json::from_str(&line).with_context(|| format!("the peers printed '{line}'"))?);
    }
    let status = child.wait().context("waiting for the peers")?;
    ensure!(matches!(status.code(), Some(0 | 1)), "the peers' program ended with {status}");
    Ok(answers)
}

/// The answers of each peer in each setting, in the order they came.
pub fn by_peer(answers: Vec<Answer>) -> Vec<Vec<Answer>> {
    let mut groups: Vec<Vec<Answer>> = Vec::new();
    let mut known = BTreeMap::new();
    for answer in answers {
        let key = (answer.peer.clone(), answer.setting.clone());
        let at = *known.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(answer);
    }
    groups
}

/// The command that runs the peers; where there is none, a row that says so.
pub(super) fn command_or_row<'a>(
    bench: &'a Bench,
    group: &'static str,
    sink: &mut Sink,
) -> Result<Option<&'a [OsString]>> {
    if let Some(command) = &bench.peers {
        return Ok(Some(command));
    }
    let what = "beside mag1c, onboard-methane-detection, spectral and others";
    let row = Row::new(group, what, None, "1", Op::AtLeast, 0.0);
    sink(row.note(
        "not measured: scripts/bench triage installs the peers; --peers-python names a Python that has them",
    ))?;
    Ok(None)
}

/// The peers' program where the project is: above our own program, or here.
pub fn find_script(own: &Path) -> Option<PathBuf> {
    let above = own.ancestors().skip(1).map(|dir| dir.join(SCRIPT));
    above.chain([PathBuf::from(SCRIPT)]).find(|script| script.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"schema":1,"peer":"spectral","version":null,"setting":"window","cube":"a.json",
        "bands":52,"cpu_s":0.5,"peak_mib":9.5,"import_mib":1,"cube_mib":4,"map":null,"failed_columns":0,
        "not_finite":0,"note":null}"#;

    fn script(text: &str) -> Vec<OsString> {
        ["/bin/sh", "-c", text, "peers"].map(OsString::from).to_vec()
    }

    #[test]
    fn answers_are_read_and_nonsense_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let job = Job { peers: &PEERS[..1], settings: &[WINDOW], turns: 2 };
        let line = LINE.replace('\n', " ");
        let echo = format!("test \"$5 $7 $9\" = 'mag1c-f64 2 {WINDOW}' && printf '%s\\n' '{line}'; exit 1");
        let answers = run(&script(&echo), dir.path(), &[], &job).unwrap();
        assert_eq!((answers.len(), answers[0].cpu_s, answers[0].bands), (1, Some(0.5), Some(52)));
        assert_eq!(answers[0].name(), "spectral, window");
        assert!(run(&script("echo what"), dir.path(), &[], &job).is_err());
        assert!(run(&script("exit 2"), dir.path(), &[], &job).is_err());
        let nowhere = [OsString::from("/no/such/python")];
        assert!(run(&nowhere, dir.path(), &[], &job).is_err());
    }

    #[test]
    fn with_full_every_peer_sees_every_frame_and_without_the_slow_see_some() {
        let full = parts(Scale::Full, 40);
        assert_eq!((full.len(), full[0].peers.len(), full[0].frames), (1, PEERS.len(), 40));
        let usual = parts(Scale::Usual, 20);
        let frames = |name: &str| {
            let with = usual.iter().filter(|p| p.peers.iter().any(|p| p.name == name));
            with.map(|p| p.frames).max().unwrap()
        };
        assert_eq!([frames("spectral"), frames("mag1c-f32"), frames("mag1c-f64")], [20, 20, FEW_FRAMES]);
        assert!(parts(Scale::Usual, 2).iter().all(|p| p.frames <= 2));
    }

    #[test]
    fn answers_are_gathered_by_peer_and_setting() {
        let answer = |peer: &str, setting: &str| Answer {
            peer: peer.to_owned(),
            setting: setting.to_owned(),
            ..serde_json::from_str(LINE).unwrap()
        };
        let list =
            vec![answer("b", "x"), answer("b", "x"), answer("a", "x"), answer("b", "y"), answer("b", "x")];
        let sizes: Vec<_> = by_peer(list).iter().map(|g| (g[0].name(), g.len())).collect();
        assert_eq!(sizes, [("b, x".to_owned(), 3), ("a, x".to_owned(), 1), ("b, y".to_owned(), 1)]);
    }
}
