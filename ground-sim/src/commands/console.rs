//! `passband-ground console`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::role_keys::{holder, spi_range};
use super::serve::SourceArgs;
use crate::console::{App, Commanding, NoUplink, Outbox, Rehearsal, entry, terminal};
use crate::uplink::Folder;
use crate::uplink::hold::ARM_MS;

/// Largest history that is read, bytes.
const MAX_HISTORY_BYTES: u64 = 4 << 20;

/// Watch a pass and give orders, in a terminal.
///
/// Shows the countdown, link quality, bundles filling up, events, channels, orders and answers, from 80 by 24 on. Orders
/// are checked against the dictionary as they are typed; Tab completes, Up brings back. A hazardous one asks to be armed,
/// then for FIRE to be typed while the time runs; Esc takes either back as long as it hasn't left, and gives up what is armed.
/// A terminal that is lost sends nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground console --out products --archive tlm --elements orbit.omm --stations stations.toml\n\nExit status: 0 ended, 2 bad usage or no terminal."
)]
pub struct ConsoleArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Give orders under this key: they go into the outbox, which `passband-ground uplink run` works.
    #[arg(long, value_name = "FILE", requires = "outbox", conflicts_with = "rehearse")]
    command_keys: Option<PathBuf>,
    /// Which key, if the file holds several.
    #[arg(long, requires = "command_keys", value_parser = spi_range())]
    spi: Option<u16>,
    /// The outbox of the key's holder.
    #[arg(long, value_name = "DIR", requires = "command_keys")]
    outbox: Option<PathBuf>,
    /// For practice: write orders to this file, a line of JSON each, and send them nowhere.
    #[arg(long, value_name = "FILE")]
    rehearse: Option<PathBuf>,
    /// Keep what was typed in this file; by default passband/console-history in the user's state folder.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// For how long an order stays armed on board, seconds: the parameter command.arm. Without it as telemetry says, and 60 until
    /// it does.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3600))]
    arm: Option<u64>,
}

/// Runs `passband-ground console`.
///
/// # Errors
/// What it shows can't be had, or there is no terminal.
pub fn run(args: &ConsoleArgs) -> Result<ExitCode> {
    let mut commanding = commanding(args)?;
    let feed = args.sources.start()?;
    let path = args.history.clone().or_else(default_history);
    let arm = args.arm.map(|s| s * 1000);
    let mut app = App::new(path.as_deref().map(read_history).unwrap_or_default(), arm.unwrap_or(ARM_MS));
    let write = |line: &str| {
        if let Some(Err(e)) = path.as_deref().map(|path| append(path, line)) {
            tracing::debug!("history: {e:#}");
        }
    };
    terminal::run(&feed, &mut app, commanding.as_mut(), arm, write)?;
    Ok(ExitCode::SUCCESS)
}

/// How orders leave.
fn commanding(args: &ConsoleArgs) -> Result<Box<dyn Commanding>> {
    if let (Some(keys), Some(folder)) = (&args.command_keys, &args.outbox) {
        let key = holder(keys, args.spi)?;
        let folder = Folder::open(folder, &key)?;
        return Ok(Box::new(Outbox::new(folder, &key)));
    }
    Ok(match &args.rehearse {
        Some(path) => Box::new(Rehearsal::open(path)?),
        None => Box::new(NoUplink),
    })
}

/// The state folder of the XDG Base Directory Specification (0.8).
fn default_history() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(absolute);
    let home = || std::env::var_os("HOME").map(PathBuf::from).filter(absolute);
    Some(state.or_else(|| Some(home()?.join(".local/state")))?.join("passband/console-history"))
}

/// The lines of a history, the newest of them; one that can't be read is empty.
fn read_history(path: &Path) -> Vec<String> {
    let small = fs::metadata(path).is_ok_and(|about| about.len() <= MAX_HISTORY_BYTES);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    lines.into_iter().rev().take(entry::MOST_LINES).rev().collect()
}

fn append(path: &Path, line: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("folder {}", folder.display()))?;
    }
    let lines = read_history(path);
    if lines.len() >= entry::MOST_LINES
        || fs::metadata(path).is_ok_and(|about| about.len() > MAX_HISTORY_BYTES)
    {
        let kept = lines.iter().skip(lines.len() / 2).map(|line| format!("{line}\n")).collect::<String>();
        crate::station::write_aside(path, kept.as_bytes())?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_kept_and_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/passband/history");
        assert!(read_history(&path).is_empty());
        for n in 0..1100 {
            append(&path, &format!("pass start {n}")).unwrap();
        }
        let lines = read_history(&path);
        assert!((100..=1000).contains(&lines.len()), "{}", lines.len());
        assert_eq!(lines.last().unwrap(), "pass start 1099");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
