//! The outbox on disk: `OUT/webhook` and, only read, `OUT/alerts`.
//!
//! | what | |
//! | --- | --- |
//! | `alert-….json` | an alert of which something is left to tell, or was not long ago |
//! | `told.txt` | the names of those before, a line each |
//! | `begun.json` | the names of the alerts that were there before there was a webhook |
//!
//! Never decides what is told, and never reads the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use crate::station::write_aside;

/// A folder that was changed so shortly before it was listed may change again without a newer time of change: file
/// systems count it in ticks, ms.
const TICK_MS: u64 = 2_000;
/// After this the alerts are listed whatever their folder's time of change says: there are file systems on which it
/// is not to be relied on, ms.
const LIST_EVERY_MS: u64 = 60_000;

/// What the outbox begins with.
#[derive(Serialize, Deserialize)]
struct Begun {
    schema: u32,
    /// Alerts that were there before.
    before: BTreeSet<String>,
}

/// When the alerts were listed.
#[derive(Debug, Clone, Copy)]
struct Listed {
    changed_ms: u64,
    at_ms: u64,
}

/// The outbox on disk.
#[derive(Debug)]
pub(super) struct Folder {
    own: PathBuf,
    alerts: PathBuf,
    listed: Option<Listed>,
}

/// What is in it.
#[derive(Debug)]
pub(super) struct Found {
    /// Alerts that are known, told or not.
    pub(super) known: BTreeSet<String>,
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Folder {
    /// That of `out`, and what is in it. If it is the first time, the alerts that are there are left alone.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn open(out: &Path) -> Result<(Self, Found)> {
        let own = out.join("webhook");
        fs::create_dir_all(&own).with_context(|| format!("making the folder {}", own.display()))?;
        let this = Self { own, alerts: out.join("alerts"), listed: None };
        let mut found = Found { known: this.before()?, entries: BTreeMap::new() };
        found.known.extend(this.told()?);
        for name in names(&this.own, |_| true)? {
            let text = fs::read(this.path(&name)).ok();
            // One that can't be read is made again, and told again: at least once.
            let Some(entry) = text.and_then(|text| serde_json::from_slice(&text).ok()) else { continue };
            found.known.insert(name.clone());
            found.entries.insert(name, entry);
        }
        Ok((this, found))
    }

    /// The alerts that aren't `known`; looks only if there can be any.
    ///
    /// # Errors
    /// The folder can't be listed.
    pub(super) fn new_alerts(&mut self, known: &BTreeSet<String>, now_ms: u64) -> Result<Vec<String>> {
        let changed = fs::metadata(&self.alerts).and_then(|about| about.modified());
        let changed_ms = changed.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed_ms = changed_ms.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let nothing_new = self.listed.is_some_and(|listed| {
            listed.changed_ms == changed_ms
                && listed.at_ms.saturating_sub(changed_ms) > TICK_MS
                && listed.at_ms.abs_diff(now_ms) < LIST_EVERY_MS
        });
        if nothing_new {
            return Ok(Vec::new());
        }
        let new = names(&self.alerts, |name| !known.contains(name))?;
        self.listed = Some(Listed { changed_ms, at_ms: now_ms });
        Ok(new)
    }

    /// Has the alerts listed the next time whatever their folder says.
    pub(super) fn list_again(&mut self) {
        self.listed = None;
    }

    /// Reads an alert.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn read_alert(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.alerts.join(format!("{name}.json"));
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes what is known of an alert.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&self, name: &str, entry: &Entry) -> Result<()> {
        write_aside(&self.path(name), &serde_json::to_vec_pretty(entry)?)
    }

    /// Keeps of these alerts nothing but that they are done with.
    ///
    /// # Errors
    /// Those of the disk; then the files are still there.
    pub(super) fn retire(&self, names: &[String]) -> Result<()> {
        let path = self.told_path();
        let failed = || format!("writing {}", path.display());
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.with_context(failed)?;
        // An empty line does no harm, and ends one that a power cut has torn.
        let text = format!("\n{}\n", names.join("\n"));
        file.write_all(text.as_bytes()).with_context(failed)?;
        // Before the files go: a power cut must not forget that they were told.
        file.sync_data().with_context(failed)?;
        for name in names {
            match fs::remove_file(self.path(name)) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("removing {}", self.path(name).display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The alerts that were there before there was a webhook.
    fn before(&self) -> Result<BTreeSet<String>> {
        let path = self.own.join("begun.json");
        // One that a power cut has torn is begun anew: better an alert untold than all of them once more.
        let begun = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Begun>(&text).ok());
        if let Some(begun) = begun {
            return Ok(begun.before);
        }
        let before: BTreeSet<_> = names(&self.alerts, |_| true)?.into_iter().collect();
        write_aside(&path, &serde_json::to_vec(&Begun { schema: 1, before: before.clone() })?)?;
        Ok(before)
    }

    /// The alerts of which only the names are left.
    fn told(&self) -> Result<Vec<String>> {
        let path = self.told_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
        };
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter(|line| line.starts_with("alert-")).map(str::to_owned).collect())
    }

    fn told_path(&self) -> PathBuf {
        self.own.join("told.txt")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.own.join(format!("{name}.json"))
    }
}

/// The names of the alerts in a folder, without their ending, as far as they are wanted. None if there is no folder.
fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let failed = || format!("reading {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(failed),
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.with_context(failed)?.file_name();
        let name = file.to_str().and_then(|name| name.strip_suffix(".json"));
        let name = name.filter(|name| name.starts_with("alert-") && wanted(name));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tests::{alert, write_alert};

    #[test]
    fn alerts_are_listed_only_when_there_can_be_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut folder, found) = Folder::open(dir.path()).unwrap();
        assert!(folder.new_alerts(&found.known, 0).unwrap().is_empty(), "there is no folder yet");
        write_alert(dir.path(), &alert(1));
        let changed = fs::metadata(dir.path().join("alerts")).unwrap().modified().unwrap();
        let ms = u64::try_from(changed.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let mut count = |now_ms| folder.new_alerts(&found.known, now_ms).unwrap().len();
        // In the tick of the change it is looked at again; later the folder's word is taken, for a minute.
        assert_eq!([ms, ms + 1].map(&mut count), [1, 1]);
        assert_eq!([ms + TICK_MS + 1, ms + TICK_MS + 2].map(&mut count), [1, 0]);
        assert_eq!(count(ms + TICK_MS + 1 + LIST_EVERY_MS), 1);
        write_alert(dir.path(), &alert(2));
        let handle = fs::File::open(dir.path().join("alerts")).unwrap();
        handle.set_modified(changed + std::time::Duration::from_millis(5)).unwrap();
        assert_eq!(count(ms + 2 * LIST_EVERY_MS - 1), 2);
    }

    #[test]
    fn a_name_that_a_power_cut_has_torn_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        folder.retire(&["alert-1".to_owned(), "alert-2".to_owned()]).unwrap();
        let path = folder.told_path();
        let torn = [fs::read(&path).unwrap(), b"\0\0\nale".to_vec()].concat();
        fs::write(&path, torn).unwrap();
        folder.retire(&["alert-3".to_owned()]).unwrap();
        let (_, found) = Folder::open(dir.path()).unwrap();
        assert_eq!(found.known.into_iter().collect::<Vec<_>>(), ["alert-1", "alert-2", "alert-3"]);
    }
}
