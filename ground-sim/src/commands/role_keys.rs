//! Command keys in files: made, listed, and read by whoever gives orders. No secret is ever printed.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::{EpochKey, SECRET_BYTES};
use passband_proto::sdls::{MAX_SPI, Role, RoleKey, RoleKeys};
use zeroize::Zeroizing;

use super::keys::{is_exposed, write};
use super::{print_json, read_key_text};
use crate::station::hex;

/// Longest line of a key, bytes, with room to spare.
const LINE_BYTES: usize = 256;
const HEAD: &str =
    "# Passband command keys, one a line. Secret: whoever holds a key can give orders to the satellite.\n";

/// Draws a key and adds it to the files.
pub(super) fn add(spacecraft: u16, spi: u16, role: Role, out: &Path, board: Option<&Path>) -> Result<()> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(secret.as_mut_slice()).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    let key = RoleKey::new(spacecraft, spi, role, *secret)?;
    // Both are looked at before either is written.
    let texts: Vec<_> = [Some(out), board]
        .into_iter()
        .flatten()
        .map(|path| Ok((path, with(path, &key)?)))
        .collect::<Result<_>>()?;
    for (path, (text, is_new)) in texts {
        if is_new {
            make(path, &text)?;
        } else {
            write(path, &text)?;
        }
        say!(
            "{}: a new key for spacecraft {spacecraft}, SPI {spi}, {role}, fingerprint {}",
            path.display(),
            hex(&key.fingerprint())
        );
    }
    Ok(())
}

/// Whether a file holds command keys.
pub(super) fn are_in(path: &Path) -> Result<bool> {
    Ok(read_key_text(path)?.lines().any(|line| line.trim_start().starts_with("passband-command-key")))
}

/// Lists the command keys of a file.
pub(super) fn show(path: &Path, json: bool) -> Result<()> {
    let keys = read(path)?;
    if json {
        let row = |key: &RoleKey| {
            serde_json::json!({
                "spacecraft": key.spacecraft(), "spi": key.spi(), "role": key.role(),
                "fingerprint": hex(&key.fingerprint()),
            })
        };
        let list: Vec<_> = keys.iter().map(row).collect();
        return print_json(
            &serde_json::json!({ "schema": 1, "command_keys": list, "exposed": is_exposed(path)? }),
        );
    }
    say!("spacecraft    SPI  role       fingerprint");
    for key in keys.iter() {
        say!("{:>10}  {:>5}  {:<9}  {}", key.spacecraft(), key.spi(), key.role(), hex(&key.fingerprint()));
    }
    if is_exposed(path)? {
        say!("warning: others than its owner can read {}: chmod 600", path.display());
    }
    Ok(())
}

/// What `--spi` takes, wherever it names a command key.
#[must_use]
pub fn spi_range() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(MAX_SPI))
}

/// The key to give orders with: the one of the file, or the one that is named.
///
/// # Errors
/// The file can't be read, or doesn't tell which key is meant.
pub fn holder(path: &Path, spi: Option<u16>) -> Result<RoleKey> {
    let keys = read(path)?;
    warn_if_open(path);
    let mut meant = keys.iter().filter(|key| spi.is_none_or(|spi| key.spi() == spi));
    match (meant.next(), meant.next(), spi) {
        (Some(key), None, _) => Ok(key.clone()),
        (None, _, Some(spi)) => bail!("{} holds no key of SPI {spi}", path.display()),
        (None, _, None) => bail!("{} holds no command key", path.display()),
        (Some(_), Some(_), _) => bail!("{} holds several command keys: name one with --spi", path.display()),
    }
}

/// What a key is called where something went under it: `operator, SPI 2`.
#[must_use]
pub fn key_words(key: &RoleKey) -> String {
    format!("{}, SPI {}", key.role(), key.spi())
}

/// What is to be said of a command key that is of none of the spacecraft whose telemetry keys are there.
#[must_use]
pub fn of_another_spacecraft(key: &RoleKey, file: &Path, telemetry: &KeyRing) -> Option<String> {
    let mut others: Vec<u16> = telemetry.iter().map(EpochKey::spacecraft).collect();
    others.dedup();
    if others.is_empty() || others.contains(&key.spacecraft()) {
        return None;
    }
    let others = others.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    Some(format!(
        "the key of {} ({}) is of spacecraft {}, and the telemetry keys are of spacecraft {others}: orders under it are taken by \
         none of those",
        file.display(),
        key_words(key),
        key.spacecraft()
    ))
}

/// A key that others can read is theirs, too. Said once of a file, however often it is read.
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o777);
    if mode & 0o077 != 0 && is_news(path) {
        tracing::warn!("key file {}: others may read it (mode {mode:o}); chmod 600 it", path.display());
    }
}

/// Whether a file has not been spoken of yet.
fn is_news(path: &Path) -> bool {
    static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    TOLD.lock().is_ok_and(|mut told| told.insert(path.to_owned()))
}

fn read(path: &Path) -> Result<RoleKeys> {
    let text = read_key_text(path)?;
    RoleKeys::parse(&text).with_context(|| format!("key file {}", path.display()))
}

/// The text of a key file with one more key, and whether there is no such file yet.
fn with(path: &Path, key: &RoleKey) -> Result<(Zeroizing<String>, bool)> {
    let is_new = !path.exists();
    let old = if is_new { Zeroizing::new(HEAD.to_owned()) } else { read_key_text(path)? };
    let mut keys = RoleKeys::parse(&old).with_context(|| format!("key file {}", path.display()))?;
    if let Some(other) =
        keys.iter().next().filter(|_| keys.iter().all(|k| k.spacecraft() != key.spacecraft()))
    {
        tracing::warn!(
            "key file {} is of spacecraft {}, and this key of spacecraft {}: is --spacecraft as it should be?",
            path.display(),
            other.spacecraft(),
            key.spacecraft()
        );
    }
    keys.insert(key.clone()).map_err(|e| anyhow!("key file {}: {e}", path.display()))?;
    // A string that grows leaves its old memory behind: room is made beforehand.
    let mut text = Zeroizing::new(String::with_capacity(old.len() + LINE_BYTES));
    text.push_str(&old);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    key.write_line(&mut *text)?;
    text.push('\n');
    Ok((text, is_new))
}

fn make(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("making the key file {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_spoken_of_once() {
        let [a, b] = ["/nowhere/a", "/nowhere/b"].map(Path::new);
        assert_eq!([a, a, b, a].map(is_news), [true, false, true, false]);
    }

    #[test]
    fn a_key_goes_to_holder_and_board_and_none_takes_anothers_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let board = path("command-keys.txt");
        add(1, 2, Role::Operator, &path("operator"), Some(&board)).unwrap();
        add(1, 3, Role::Planner, &path("planner"), Some(&board)).unwrap();
        let twice = format!("{:#}", add(1, 3, Role::Science, &path("science"), Some(&board)).unwrap_err());
        assert!(twice.contains("have a key already"), "{twice}");
        assert!(!path("science").exists(), "neither or both");
        assert_eq!(fs::metadata(path("operator")).unwrap().permissions().mode() & 0o777, 0o600);
        let key = holder(&path("planner"), None).unwrap();
        assert_eq!(key.fingerprint(), holder(&board, Some(3)).unwrap().fingerprint());
        assert!(holder(&board, None).unwrap_err().to_string().contains("--spi"));
        assert!(holder(&board, Some(9)).is_err() && are_in(&board).unwrap());
        show(&board, true).unwrap();
        let ring = |spacecraft: u16| {
            let line = format!("passband-key v1 spacecraft={spacecraft} epoch=1 {}\n", "ab".repeat(32));
            KeyRing::parse(&line).unwrap()
        };
        let hint = |telemetry: &KeyRing| of_another_spacecraft(&key, &path("planner"), telemetry);
        assert_eq!((hint(&ring(1)), hint(&KeyRing::default())), (None, None));
        let says = hint(&ring(2)).unwrap();
        assert!(
            says.contains("(planner, SPI 3) is of spacecraft 1") && says.contains("of spacecraft 2"),
            "{says}"
        );
    }
}
