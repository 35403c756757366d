//! `passband-ground keys`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use passband_proto::keyring::{KeyRing, MAX_KEYS};
use passband_proto::keys::{EpochKey, SECRET_BYTES};
use passband_proto::sdls::Role;
use zeroize::Zeroizing;

use super::{print_json, read_key_text, read_keys, role_keys};
use crate::station::hex;

/// Make, change and show key files.
///
/// A key file is text with one key a line; the satellite and the ground hold the same one. Whoever has
/// it can read and forge bundles, alerts and reports: keep it from others (it is made with mode 0600).
///
/// Each key has an epoch. The satellite seals what is new under the key of the highest epoch it has, and goes
/// on sending what it sealed before under the key of that time: so the ground keeps the old ones until all of
/// that is down.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground keys new --spacecraft 1 --out keys.txt\n  passband-ground keys rotate keys.txt\n  passband-ground keys show keys.txt\n  passband-ground keys role --spi 2 --role operator --out operator.txt --board command-keys.txt"
)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key file with one fresh key; never overwrites a file.
    New {
        /// Number of the spacecraft, 0 to 65535.
        #[arg(long, default_value_t = 1)]
        spacecraft: u16,
        /// Number of the key epoch, 0 to 65535.
        #[arg(long, default_value_t = 1)]
        epoch: u16,
        /// The file to make.
        #[arg(long, value_name = "FILE", default_value = "keys.txt")]
        out: PathBuf,
    },
    /// Add a fresh key of the next epoch to a key file; the old ones stay.
    ///
    /// Then give the file to every station of the ground, and to the satellite last: it seals under the new
    /// key from its next pass on.
    Rotate {
        /// The key file.
        file: PathBuf,
        /// Number of the spacecraft; may be left out if the file holds keys of one only.
        #[arg(long)]
        spacecraft: Option<u16>,
    },
    /// Take the keys of an epoch and all before it out of a key file: what is sealed under them can't be
    /// opened any more, and replays of that time are refused.
    Retire {
        /// The key file.
        file: PathBuf,
        /// The last epoch to take out; never the newest.
        #[arg(long)]
        epoch: u16,
        /// Number of the spacecraft; may be left out if the file holds keys of one only.
        #[arg(long)]
        spacecraft: Option<u16>,
        /// Really do it: the keys are gone for good.
        #[arg(long)]
        yes: bool,
    },
    /// Make a fresh command key for a holder: a console, a station, a planning system. It is added to FILE.
    ///
    /// Each holder has a key and a file of its own; two never share one. The satellite has the keys of all of them in one
    /// file (command-keys.txt in its state folder), which --board adds the same key to. Once it is there, it is put to use by
    /// `passband keys accept SPI` on board, or by itself as soon as a beacon is heard (see `passband-ground order`).
    Role {
        /// Number of the spacecraft, 0 to 65535.
        #[arg(long, default_value_t = 1)]
        spacecraft: u16,
        /// Security parameter index, 1 to 65520: names the holder. Never used again for another key.
        #[arg(long, value_parser = role_keys::spi_range())]
        spi: u16,
        /// What the holder is there for: operator, planner, updater, science or recovery.
        #[arg(long)]
        role: Role,
        /// The holder's file; made if there is none.
        #[arg(long, value_name = "FILE", default_value = "command-key.txt")]
        out: PathBuf,
        /// The satellite's file, which gets the same key; made if there is none.
        #[arg(long, value_name = "FILE")]
        board: Option<PathBuf>,
    },
    /// List the keys of a file, command keys too, without their secrets.
    Show {
        /// The key file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `passband-ground keys`.
///
/// # Errors
/// The file is there already, can't be written, or is not a key file.
pub fn run(args: KeysArgs) -> Result<ExitCode> {
    match args.command {
        KeysCommand::New { spacecraft, epoch, out } => new(spacecraft, epoch, &out)?,
        KeysCommand::Rotate { file, spacecraft } => rotate(&file, spacecraft)?,
        KeysCommand::Retire { file, epoch, spacecraft, yes } => retire(&file, epoch, spacecraft, yes)?,
        KeysCommand::Role { spacecraft, spi, role, out, board } => {
            role_keys::add(spacecraft, spi, role, &out, board.as_deref())?;
        }
        KeysCommand::Show { file, json } if role_keys::are_in(&file)? => role_keys::show(&file, json)?,
        KeysCommand::Show { file, json } => show(&file, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new(spacecraft: u16, epoch: u16, out: &Path) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str("# Passband key file, one key a line. Secret: whoever holds it can read and forge.\n");
    fresh_line(spacecraft, epoch, &mut text)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = file.with_context(|| format!("making the key file {}", out.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", out.display()))?;
    say!("{}: a new key for spacecraft {spacecraft}, epoch {epoch}", out.display());
    Ok(())
}

fn rotate(path: &Path, spacecraft: Option<u16>) -> Result<()> {
    let (mut text, keys) = read(path)?;
    let spacecraft = the_spacecraft(path, &keys, spacecraft)?;
    let newest = keys.newest(spacecraft).map_or(0, EpochKey::epoch);
    let epoch = newest.checked_add(1).with_context(|| {
        format!("{}: epoch {newest} is the last there can be for spacecraft {spacecraft}", path.display())
    })?;
    ensure!(keys.iter().count() < MAX_KEYS, "{} holds {MAX_KEYS} keys: retire some first", path.display());
    // A string that grows leaves its old memory behind: room is made beforehand.
    let mut longer = Zeroizing::new(String::with_capacity(text.len() + 512));
    longer.push_str(&text);
    if !longer.ends_with('\n') {
        longer.push('\n');
    }
    text = longer;
    fresh_line(spacecraft, epoch, &mut text)?;
    write(path, &text)?;
    say!("{}: a new key for spacecraft {spacecraft}, epoch {epoch}", path.display());
    say!("next: give this file to every station of the ground, and to the satellite last");
    Ok(())
}

fn retire(path: &Path, epoch: u16, spacecraft: Option<u16>, yes: bool) -> Result<()> {
    let (text, keys) = read(path)?;
    let spacecraft = the_spacecraft(path, &keys, spacecraft)?;
    let newest = keys.newest(spacecraft).map_or(0, EpochKey::epoch);
    ensure!(
        epoch < newest,
        "{}: epoch {newest} is the newest of spacecraft {spacecraft}: 'keys rotate' comes first",
        path.display()
    );
    let goes = |key: &EpochKey| key.spacecraft() == spacecraft && key.epoch() <= epoch;
    let count = keys.iter().filter(|key| goes(key)).count();
    ensure!(count > 0, "{} holds no key of spacecraft {spacecraft} up to epoch {epoch}", path.display());
    if !yes {
        bail!(
            "{count} keys would be gone for good, and what is sealed under them closed: add --yes to do it"
        );
    }
    let mut left = Zeroizing::new(String::with_capacity(text.len() + 1));
    for line in text.lines() {
        if !EpochKey::parse_line(line).ok().flatten().is_some_and(|key| goes(&key)) {
            left.push_str(line);
            left.push('\n');
        }
    }
    write(path, &left)?;
    say!("{}: {count} keys of spacecraft {spacecraft} retired, up to epoch {epoch}", path.display());
    Ok(())
}

fn show(path: &Path, json: bool) -> Result<()> {
    let keys = read_keys(path)?;
    let newest = |key: &EpochKey| keys.newest(key.spacecraft()).map(EpochKey::epoch) == Some(key.epoch());
    if json {
        let row = |key: &EpochKey| {
            serde_json::json!({
                "spacecraft": key.spacecraft(), "epoch": key.epoch(), "newest": newest(key),
                "fingerprint": hex(&key.fingerprint()),
            })
        };
        let list: Vec<_> = keys.iter().map(row).collect();
        return print_json(&serde_json::json!({ "schema": 1, "keys": list, "exposed": is_exposed(path)? }));
    }
    say!("spacecraft  epoch  fingerprint");
    for key in keys.iter() {
        let note = if newest(key) { "  seals what is new" } else { "" };
        say!("{:>10}  {:>5}  {:<11}{note}", key.spacecraft(), key.epoch(), hex(&key.fingerprint()));
    }
    if is_exposed(path)? {
        say!("warning: others than its owner can read {}: chmod 600", path.display());
    }
    Ok(())
}

/// A key file's text and keys.
fn read(path: &Path) -> Result<(Zeroizing<String>, KeyRing)> {
    let text = read_key_text(path)?;
    let keys = KeyRing::parse(&text).with_context(|| format!("key file {}", path.display()))?;
    ensure!(!keys.is_empty(), "key file {} holds no key", path.display());
    Ok((text, keys))
}

/// The spacecraft that is meant.
fn the_spacecraft(path: &Path, keys: &KeyRing, asked: Option<u16>) -> Result<u16> {
    let mut all: Vec<_> = keys.iter().map(EpochKey::spacecraft).collect();
    all.dedup();
    match (asked, all.as_slice()) {
        (Some(spacecraft), all) if all.contains(&spacecraft) => Ok(spacecraft),
        (Some(spacecraft), _) => bail!("{} holds no key of spacecraft {spacecraft}", path.display()),
        (None, [only]) => Ok(*only),
        (None, all) => {
            bail!("{} holds keys of {} spacecraft: name one with --spacecraft", path.display(), all.len())
        }
    }
}

/// Appends the line of a fresh key. `text` must have room for it.
fn fresh_line(spacecraft: u16, epoch: u16, text: &mut String) -> Result<()> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(secret.as_mut_slice()).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    EpochKey::new(spacecraft, epoch, *secret).write_line(text)?;
    text.push('\n');
    Ok(())
}

/// Writes a key file aside, syncs it, and renames it over the old one, whose mode it keeps.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let mode =
        fs::metadata(path).with_context(|| format!("key file {}", path.display()))?.permissions().mode();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("keys");
    let aside = path.with_file_name(format!(".{name}.tmp"));
    let at = || format!("writing {}", aside.display());
    // One that an interrupted run left is of no use.
    let _ = fs::remove_file(&aside);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode & 0o777).open(&aside);
    let mut file = file.with_context(at)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(at)?;
    fs::rename(&aside, path).with_context(|| format!("renaming {}", aside.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("syncing {}", folder.display()))
}

pub(super) fn is_exposed(path: &Path) -> Result<bool> {
    let about = fs::metadata(path).with_context(|| format!("key file {}", path.display()))?;
    Ok(about.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_command_key_has_are_refused_in_the_same_words() {
        let program = KeysArgs::augment_args(clap::Command::new("keys"));
        let refused = |spi: &str| {
            let args = ["keys", "role", "--role", "operator", "--spi", spi];
            program.clone().try_get_matches_from(args).unwrap_err().to_string()
        };
        for spi in ["0", "65530", "99999"] {
            assert!(refused(spi).contains(&format!("{spi} is not in 1..=65520")), "{}", refused(spi));
        }
    }

    #[test]
    fn keys_are_made_rotated_and_retired_and_none_is_lost_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.txt");
        new(3, 1, &path).unwrap();
        assert!(new(3, 1, &path).is_err(), "never overwritten");
        let first = read_keys(&path).unwrap().get(3, 1).unwrap().fingerprint();
        for epoch in 2..5 {
            rotate(&path, None).unwrap();
            let keys = read_keys(&path).unwrap();
            assert_eq!(keys.newest(3).unwrap().epoch(), epoch);
            assert_eq!(keys.get(3, 1).unwrap().fingerprint(), first);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!is_exposed(&path).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("# Passband key file"));
        let fingerprints: std::collections::BTreeSet<_> =
            read_keys(&path).unwrap().iter().map(EpochKey::fingerprint).collect();
        assert_eq!(fingerprints.len(), 4);

        assert!(retire(&path, 2, None, false).unwrap_err().to_string().contains("--yes"));
        assert!(retire(&path, 4, None, true).is_err(), "never the newest");
        assert!(rotate(&path, Some(9)).is_err() && retire(&path, 2, Some(9), true).is_err());
        retire(&path, 2, None, true).unwrap();
        let left: Vec<_> = read_keys(&path).unwrap().iter().map(EpochKey::epoch).collect();
        assert_eq!(left, [3, 4]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn the_last_epoch_and_files_of_several_spacecraft_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        new(1, u16::MAX, &path).unwrap();
        assert!(rotate(&path, None).unwrap_err().to_string().contains("65535"));
        let line =
            |spacecraft| format!("passband-key v1 spacecraft={spacecraft} epoch=1 {}\n", "ab".repeat(32));
        fs::write(&path, line(1) + &line(2)).unwrap();
        assert!(rotate(&path, None).unwrap_err().to_string().contains("--spacecraft"));
        rotate(&path, Some(2)).unwrap();
        assert_eq!(read_keys(&path).unwrap().newest(2).unwrap().epoch(), 2);
        fs::write(&path, "passband-key v1 spacecraft=1 epoch=1 c0ffee\n").unwrap();
        let error = format!("{:#}", rotate(&path, None).unwrap_err());
        assert!(error.contains("line 1") && !error.contains("c0ffee"), "{error}");
    }
}
