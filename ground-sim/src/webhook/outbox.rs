//! The outbox: for each alert what of it was told, in `OUT/webhook/alert-….json`, written aside and renamed before
//! anything else happens. Which message is next, and when one is given up, is decided here; what time it is, is
//! handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Limits;
use super::message::Kind;
use crate::station::{AlertReport, write_aside};

/// For each alert that may wait so many pictures may.
const PICTURES_PER_ALERT: usize = 10;

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// There is nothing to tell yet.
    Waiting,
    /// It is to be told.
    Pending,
    /// The server has taken it.
    Sent,
    /// It will not be told.
    GivenUp,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) state: State,
    pub(super) attempts: u32,
    /// Why the last try failed.
    pub(super) error: Option<String>,
}

/// An alert and what of it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) schema: u32,
    pub(super) queued_unix_ms: u64,
    /// The sentence.
    pub(super) alert: Delivery,
    /// The picture.
    pub(super) picture: Delivery,
    /// Where the picture is, below OUT.
    pub(super) picture_path: Option<PathBuf>,
    /// What came over the alert radio.
    pub(super) report: AlertReport,
}

/// What the outbox begins with.
#[derive(Serialize, Deserialize)]
struct Begun {
    schema: u32,
    /// Alerts that were there before.
    before: BTreeSet<String>,
}

/// All that is to be told.
#[derive(Debug)]
pub(super) struct Outbox {
    folder: PathBuf,
    alerts: PathBuf,
    limits: Limits,
    /// Alerts that are known, told or not.
    known: BTreeSet<String>,
    /// Those of which something is left to tell.
    open: BTreeMap<String, Entry>,
}

impl Outbox {
    /// The outbox of `out`. If it is the first time, the alerts that are there are left alone.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn open(out: &Path, limits: Limits) -> Result<Self> {
        let folder = out.join("webhook");
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let mut this = Self {
            folder,
            alerts: out.join("alerts"),
            limits,
            known: BTreeSet::new(),
            open: BTreeMap::new(),
        };
        let begun = this.folder.join("begun.json");
        // One that a power cut has torn is begun anew: better an alert untold than all of them once more.
        let before = fs::read(&begun).ok().and_then(|text| serde_json::from_slice::<Begun>(&text).ok());
        if let Some(begun) = before {
            this.known = begun.before;
        } else {
            let before = names(&this.alerts);
            write_aside(&begun, &serde_json::to_vec(&Begun { schema: 1, before: before.clone() })?)?;
            this.known = before;
        }
        for name in names(&this.folder) {
            let path = this.path(&name);
            let read = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Entry>(&text).ok());
            // One that can't be read is made again, and told again: at least once.
            let Some(entry) = read else { continue };
            this.known.insert(name.clone());
            if entry.is_open() {
                this.open.insert(name, entry);
            }
        }
        Ok(this)
    }

    /// Takes note of the alerts that have come since; whether any has.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn look(&mut self, now_ms: u64) -> Result<bool> {
        let new: Vec<_> = names(&self.alerts).difference(&self.known).cloned().collect();
        for name in &new {
            let path = self.alerts.join(format!("{name}.json"));
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            self.known.insert(name.clone());
            let Ok(report) = serde_json::from_slice(&text) else { continue };
            let entry = Entry {
                schema: 1,
                queued_unix_ms: now_ms,
                alert: Delivery { state: State::Pending, attempts: 0, error: None },
                picture: Delivery { state: State::Waiting, attempts: 0, error: None },
                picture_path: None,
                report,
            };
            self.keep(name, entry)?;
        }
        Ok(!new.is_empty())
    }

    /// Gives up what is too old or too much; says what.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn give_up(&mut self, now_ms: u64) -> Result<Vec<String>> {
        let pending = self.open.values().filter(|entry| entry.alert.state == State::Pending).count();
        let mut surplus = pending.saturating_sub(self.limits.most_waiting);
        let mut crowd = self.open.len().saturating_sub(PICTURES_PER_ALERT * self.limits.most_waiting);
        let mut said = Vec::new();
        for name in self.by_age() {
            let Some(mut entry) = self.open.get(&name).cloned() else { continue };
            let age = now_ms.saturating_sub(entry.queued_unix_ms);
            let older = |limit: std::time::Duration| u128::from(age) > limit.as_millis();
            let told = entry.alert.state == State::Sent;
            if entry.alert.state == State::Pending && (surplus > 0 || older(self.limits.give_up_after)) {
                surplus = surplus.saturating_sub(1);
                let why = entry.alert.error.as_deref().unwrap_or("too many wait");
                said.push(format!("{name} is given up after {} tries: {why}", entry.alert.attempts));
                entry.alert.state = State::GivenUp;
                entry.picture.state = State::GivenUp;
            } else if told && (crowd > 0 || older(self.limits.picture_within)) {
                crowd = crowd.saturating_sub(1);
                said.push(format!("the picture of {name} is given up: {}", entry.why_no_picture()));
                entry.picture.state = State::GivenUp;
            } else {
                continue;
            }
            self.keep(&name, entry)?;
        }
        Ok(said)
    }

    /// The message to tell next: alerts before pictures, the oldest first.
    pub(super) fn next(&self) -> Option<(String, Kind, Entry)> {
        let names = self.by_age();
        let due = |kind: Kind| {
            let mut entries =
                names.iter().filter_map(|name| Some((name.clone(), kind, self.open.get(name)?)));
            entries.find(|(_, kind, entry)| {
                entry.delivery(*kind).state == State::Pending && entry.may_tell(*kind)
            })
        };
        due(Kind::Alert).or_else(|| due(Kind::Picture)).map(|(name, kind, entry)| (name, kind, entry.clone()))
    }

    /// Notes what came of a try.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn note(&mut self, name: &str, kind: Kind, state: State, error: Option<String>) -> Result<()> {
        let Some(mut entry) = self.open.get(name).cloned() else { return Ok(()) };
        let delivery = match kind {
            Kind::Alert => &mut entry.alert,
            Kind::Picture => &mut entry.picture,
        };
        *delivery = Delivery { state, attempts: delivery.attempts.saturating_add(1), error };
        self.keep(name, entry)
    }

    /// The alerts whose picture isn't here yet.
    pub(super) fn without_picture(&self) -> impl Iterator<Item = (&String, &AlertReport)> {
        let waiting = self.open.iter().filter(|(_, entry)| entry.picture.state == State::Waiting);
        waiting.map(|(name, entry)| (name, &entry.report))
    }

    /// Notes where the picture of an alert is.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn picture_is(&mut self, name: &str, path: &Path) -> Result<()> {
        let Some(mut entry) = self.open.get(name).cloned() else { return Ok(()) };
        entry.picture.state = State::Pending;
        entry.picture_path = Some(path.to_owned());
        self.keep(name, entry)
    }

    fn by_age(&self) -> Vec<String> {
        let mut names: Vec<_> = self.open.iter().map(|(name, entry)| (entry.order(), name.clone())).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Writes an entry, and keeps it in mind as long as something is left to tell.
    fn keep(&mut self, name: &str, entry: Entry) -> Result<()> {
        write_aside(&self.path(name), &serde_json::to_vec_pretty(&entry)?)?;
        if entry.is_open() {
            self.open.insert(name.to_owned(), entry);
        } else {
            self.open.remove(name);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

impl Entry {
    fn is_open(&self) -> bool {
        [&self.alert, &self.picture].iter().any(|d| matches!(d.state, State::Waiting | State::Pending))
    }

    fn delivery(&self, kind: Kind) -> &Delivery {
        match kind {
            Kind::Alert => &self.alert,
            Kind::Picture => &self.picture,
        }
    }

    /// A picture makes sense once the alert was told.
    fn may_tell(&self, kind: Kind) -> bool {
        kind == Kind::Alert || self.alert.state == State::Sent
    }

    /// The order in which alerts are told.
    fn order(&self) -> (u64, u16, u32) {
        (self.report.alert.time_unix_ms, self.report.spacecraft, self.report.alert.number)
    }

    fn why_no_picture(&self) -> &str {
        self.picture.error.as_deref().unwrap_or("it has not come")
    }
}

/// The names of the alerts in a folder, without their ending.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |name: std::ffi::OsString| {
        let name = name.to_str()?.strip_suffix(".json")?;
        name.starts_with("alert-").then(|| name.to_owned())
    };
    entries.filter_map(|entry| name(entry.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tests::{alert, write_alert};

    const DAY_MS: u64 = 86_400_000;

    fn told(outbox: &mut Outbox) -> Vec<(String, &'static str)> {
        let mut told = Vec::new();
        while let Some((name, kind, _)) = outbox.next() {
            outbox.note(&name, kind, State::Sent, None).unwrap();
            told.push((name, kind.name()));
        }
        told
    }

    #[test]
    fn alerts_are_told_once_also_over_a_restart_and_old_ones_never() {
        let dir = tempfile::tempdir().unwrap();
        write_alert(dir.path(), &alert(1));
        let open = || Outbox::open(dir.path(), Limits::default()).unwrap();
        let mut outbox = open();
        write_alert(dir.path(), &alert(3));
        write_alert(dir.path(), &alert(2));
        assert!(outbox.look(5).unwrap());
        assert!(!outbox.look(6).unwrap());
        drop(outbox);
        let mut outbox = open();
        assert_eq!(
            told(&mut outbox),
            [("alert-1-1-2".to_owned(), "alert"), ("alert-1-1-3".to_owned(), "alert")]
        );
        let mut outbox = open();
        assert_eq!((told(&mut outbox).len(), outbox.without_picture().count()), (0, 2));
        outbox.picture_is("alert-1-1-2", Path::new("p.png")).unwrap();
        let mut outbox = open();
        assert_eq!(told(&mut outbox), [("alert-1-1-2".to_owned(), "picture")]);
        assert_eq!(open().open.len(), 1);
        fs::write(dir.path().join("webhook/begun.json"), "").unwrap();
        write_alert(dir.path(), &alert(4));
        assert!(!open().look(7).unwrap(), "torn by a power cut: begun anew");
    }

    #[test]
    fn what_is_too_old_or_too_much_is_given_up_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path(), Limits { most_waiting: 2, ..Limits::default() }).unwrap();
        (1..=3).for_each(|n| write_alert(dir.path(), &alert(n)));
        outbox.look(0).unwrap();
        let said = outbox.give_up(1).unwrap();
        assert_eq!(said, ["alert-1-1-1 is given up after 0 tries: too many wait"]);
        outbox.note("alert-1-1-2", Kind::Alert, State::Sent, None).unwrap();
        outbox.note("alert-1-1-3", Kind::Alert, State::Pending, Some("500".to_owned())).unwrap();
        assert_eq!(outbox.give_up(DAY_MS).unwrap(), Vec::<String>::new());
        assert_eq!(outbox.give_up(DAY_MS + 1).unwrap(), ["alert-1-1-3 is given up after 1 tries: 500"]);
        let said = outbox.give_up(7 * DAY_MS + 1).unwrap();
        assert_eq!(said, ["the picture of alert-1-1-2 is given up: it has not come"]);
        assert!(outbox.open.is_empty() && outbox.next().is_none());
    }
}
