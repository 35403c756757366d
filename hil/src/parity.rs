//! Parity: the board's binary against this machine's, over the same frames, judged by what they leave.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::board::{Board, Ending, Log};
use crate::compare::{self, Comparison};

/// What `passband triage` must leave; whatever else it leaves is compared too.
const PRODUCTS: [&str; 4] = ["enhancement.f32", "quicklook.png", "record.bin", "result.json"];
/// Longest line of an error message taken from a binary, characters.
const MAX_WORDS: usize = 300;

/// What parity has shown; an interface with `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    /// Every check is equal.
    pub(crate) equal: bool,
    /// What was run, as it was run.
    native: String,
    target: String,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    /// The frame's header file; `null` for `passband --version`.
    frame: Option<String>,
    /// "exit status", "standard output" or the name of a file.
    what: String,
    #[serde(flatten)]
    found: Comparison,
    /// What else there is to say.
    note: Option<String>,
}

/// Runs both and compares; both work in folders under `work`. The target's triage gets `--threads`, if it is told
/// how many.
///
/// # Errors
/// When a binary or a frame can't be read, or the native binary itself fails: then there is nothing
/// to compare with. What the board's binary does wrong is in the report.
pub(crate) fn parity(
    native: &Board,
    target: &Board,
    frames: &[PathBuf],
    target_threads: Option<u8>,
    work: &Path,
) -> Result<Report> {
    let pair = Pair { native, target };
    let mut checks = pair.run(None, &["--version".into()], &[], &work.join("version"))?;
    let threads: Vec<OsString> =
        target_threads.iter().flat_map(|n| ["--threads".into(), n.to_string().into()]).collect();
    for (number, frame) in frames.iter().enumerate() {
        let path = frame.canonicalize().with_context(|| format!("no frame {}", frame.display()))?;
        let dir = work.join(format!("frame-{number}"));
        let args = ["triage".into(), path.into_os_string(), "--out".into(), "out".into()];
        checks.extend(pair.run(Some(frame), &args, &threads, &dir)?);
    }
    let equal = checks.iter().all(|check| check.found.equal);
    Ok(Report { schema: 1, equal, native: native.to_string(), target: target.to_string(), checks })
}

struct Pair<'a> {
    native: &'a Board,
    target: &'a Board,
}

impl Pair<'_> {
    /// One command with both; each in a folder of its own, so that what they print can be the same. The target gets
    /// `more` arguments.
    fn run(
        &self,
        frame: Option<&Path>,
        args: &[OsString],
        more: &[OsString],
        dir: &Path,
    ) -> Result<Vec<Check>> {
        let (left, right) = (dir.join("native"), dir.join("target"));
        let native = go(self.native, args, &left)?;
        let command = args.first().and_then(|arg| arg.to_str()).unwrap_or_default();
        if !succeeded(native) {
            let words = words(&Log::in_dir(&left));
            bail!("the native binary's `passband {command}` ended with {native}: {words}");
        }
        let target = go(self.target, &[args, more].concat(), &right)?;
        let frame = frame.map(|frame| frame.display().to_string());
        let check =
            |what: &str, found, note| Check { frame: frame.clone(), what: what.to_owned(), found, note };
        let mut checks = vec![check("exit status", status(native, target), note(target, &right))];
        let printed = compare::files(&Log::in_dir(&left).stdout, &Log::in_dir(&right).stdout)?;
        checks.push(check("standard output", printed, None));
        if frame.is_some() {
            for name in products(&left, &right)? {
                let of = |side: &Path| side.join("out").join(&name);
                let found = compare::files(&of(&left), &of(&right))?;
                checks.push(check(&name.to_string_lossy(), found, None));
            }
        }
        Ok(checks)
    }
}

fn go(board: &Board, args: &[OsString], dir: &Path) -> Result<Ending> {
    fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
    board.run(args, dir, &Log::in_dir(dir))
}

fn succeeded(ending: Ending) -> bool {
    matches!(ending, Ending::Exited(status) if status.success())
}

fn status(native: Ending, target: Ending) -> Comparison {
    Comparison { equal: native == target, native_bytes: None, target_bytes: None, first_difference: None }
}

fn note(target: Ending, dir: &Path) -> Option<String> {
    (!succeeded(target)).then(|| format!("{target}: {}", words(&Log::in_dir(dir))))
}

fn words(log: &Log) -> String {
    log.last_words().chars().take(MAX_WORDS).collect()
}

/// The names of all files that either left, and of those that both must leave.
fn products(left: &Path, right: &Path) -> Result<BTreeSet<OsString>> {
    let mut names: BTreeSet<OsString> = PRODUCTS.iter().map(OsString::from).collect();
    for out in [left.join("out"), right.join("out")] {
        // A side that left no folder has left no file: the products above will be missing.
        let Ok(entries) = fs::read_dir(&out) else { continue };
        for entry in entries {
            let entry = entry.with_context(|| format!("can't list {}", out.display()))?;
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                bail!("{} is not a file: only files can be compared", entry.path().display());
            }
            names.insert(entry.file_name());
        }
    }
    Ok(names)
}

impl Report {
    /// The report for people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!("native  {}\ntarget  {}\n", self.native, self.target);
        let mut frame = None;
        for check in &self.checks {
            if frame != Some(&check.frame) {
                frame = Some(&check.frame);
                let title = check.frame.as_deref().unwrap_or("passband --version");
                let _ = writeln!(out, "\n{title}\n  {:<20} {:>12} {:>12}", "", "native", "target");
            }
            let Comparison { native_bytes, target_bytes, .. } = check.found;
            let bytes = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let (native, target) = (bytes(native_bytes), bytes(target_bytes));
            let verdict = check.verdict();
            let _ = writeln!(out, "  {:<20} {native:>12} {target:>12}  {verdict}", check.what);
        }
        let equal = self.checks.iter().filter(|check| check.found.equal).count();
        let _ = writeln!(out, "\n{equal} of {} checks equal, byte for byte", self.checks.len());
        out
    }
}

impl Check {
    fn verdict(&self) -> String {
        let found = &self.found;
        let verdict = match (found.native_bytes, found.target_bytes) {
            _ if found.equal => "equal".to_owned(),
            (Some(_), None) => "DIFFERS: not written by the target".to_owned(),
            (None, Some(_)) => "DIFFERS: not written by the native binary".to_owned(),
            _ => match found.first_difference {
                Some(at) => format!("DIFFERS at byte {at}"),
                None if OsStr::new(&self.what) == "exit status" => "DIFFERS".to_owned(),
                None => "DIFFERS: written by neither".to_owned(),
            },
        };
        match &self.note {
            Some(note) => format!("{verdict}: {note}"),
            None => verdict,
        }
    }
}
