//! The outbox: for each alert what of it was told. What happens is noted in memory first and written to
//! `OUT/webhook` as soon as it can be ([`Outbox::write`]): a disk that is full neither keeps an alert from being told
//! nor has it told twice in this life. What is given up is decided here; what time it is, is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::Limits;
use super::entry::{Entry, State};
use super::folder::Folder;
use super::message::Kind;
use crate::station::AlertReport;

/// For each alert that may wait so many pictures may.
const PICTURES_PER_ALERT: usize = 10;
/// So long an alert keeps a file of its own after all of it was told, ms: 30 days.
const KEEP_DONE_MS: u64 = 30 * 86_400_000;

/// All that is to be told.
#[derive(Debug)]
pub(super) struct Outbox {
    folder: Folder,
    limits: Limits,
    /// Alerts that are known, told or not.
    known: BTreeSet<String>,
    /// Those of which something is left to tell or to write.
    entries: BTreeMap<String, Entry>,
    /// Those whose file is not as it should be.
    unwritten: BTreeSet<String>,
    /// Those that are done with and still have a file, the oldest first.
    done: BTreeSet<(u64, String)>,
    /// Those that could not be read, which was said.
    unreadable: BTreeSet<String>,
}

impl Outbox {
    /// The outbox of `out`. If it is the first time, the alerts that are there are left alone.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn open(out: &Path, limits: Limits) -> Result<Self> {
        let (folder, found) = Folder::open(out)?;
        let (entries, done): (BTreeMap<_, _>, BTreeMap<_, _>) =
            found.entries.into_iter().partition(|(_, entry)| entry.is_open());
        Ok(Self {
            folder,
            limits,
            known: found.known,
            entries,
            unwritten: BTreeSet::new(),
            done: done.into_iter().map(|(name, entry)| (entry.queued_unix_ms, name)).collect(),
            unreadable: BTreeSet::new(),
        })
    }

    /// Takes note of the alerts that have come since; what there is to say of those that can't be read.
    ///
    /// # Errors
    /// The alerts can't be listed.
    pub(super) fn look(&mut self, now_ms: u64) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for name in self.folder.new_alerts(&self.known, now_ms)? {
            let text = match self.folder.read_alert(&name) {
                Ok(text) => text,
                Err(e) => {
                    // The next look may do better, and the others need not wait for it.
                    self.folder.list_again();
                    if self.unreadable.insert(name) {
                        said.push(format!("{e:#}"));
                    }
                    continue;
                }
            };
            match serde_json::from_slice(&text) {
                Ok(report) => {
                    self.entries.insert(name.clone(), Entry::new(report, now_ms));
                    self.unwritten.insert(name.clone());
                }
                Err(e) => said.push(format!("{name} is no alert, and not told: {e}")),
            }
            self.known.insert(name);
        }
        Ok(said)
    }

    /// Gives up what is too old or too much; the alerts, and what to say of them.
    pub(super) fn give_up(&mut self, now_ms: u64) -> Vec<(String, String)> {
        let pending = self.entries.values().filter(|entry| entry.is_pending(Kind::Alert)).count();
        let open = self.entries.values().filter(|entry| entry.is_open()).count();
        let mut surplus = pending.saturating_sub(self.limits.most_waiting);
        let mut crowd = open.saturating_sub(PICTURES_PER_ALERT * self.limits.most_waiting);
        let old = |entry: &Entry| entry.is_open() && entry.is_too_old(&self.limits, now_ms);
        if surplus == 0 && crowd == 0 && !self.entries.values().any(old) {
            return Vec::new();
        }
        let mut said = Vec::new();
        let mut by_age: Vec<_> = self.entries.iter_mut().filter(|(_, entry)| entry.is_open()).collect();
        by_age.sort_unstable_by_key(|(name, entry)| (entry.order(), *name));
        for (name, entry) in by_age {
            let old = entry.is_too_old(&self.limits, now_ms);
            if entry.alert.state == State::Pending && (surplus > 0 || old) {
                surplus = surplus.saturating_sub(1);
                let why = entry.alert.error.as_deref().unwrap_or("too many wait");
                let text = format!("{name} is given up after {} tries: {why}", entry.alert.attempts);
                said.push((name.clone(), text));
                (entry.alert.state, entry.picture.state) = (State::GivenUp, State::GivenUp);
            } else if entry.alert.state == State::Sent && (crowd > 0 || old) {
                crowd = crowd.saturating_sub(1);
                let text = format!("the picture of {name} is given up: {}", entry.why_no_picture());
                said.push((name.clone(), text));
                entry.picture.state = State::GivenUp;
            }
        }
        self.unwritten.extend(said.iter().map(|(name, _)| name.clone()));
        said
    }

    /// The messages of a kind that are to be told.
    pub(super) fn pending(&self, kind: Kind) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(move |(_, entry)| entry.is_pending(kind))
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Notes that the server has taken a message.
    pub(super) fn taken(&mut self, name: &str, kind: Kind, now_ms: u64) {
        self.change(name, |entry| {
            let delivery = entry.delivery(kind);
            (delivery.state, delivery.error) = (State::Sent, None);
            delivery.attempts = delivery.attempts.saturating_add(1);
            if kind == Kind::Alert && entry.picture.state == State::Pending {
                entry.picture_unix_ms = Some(now_ms);
            }
        });
    }

    /// Notes that a try failed, and whether at the server (`reached`); whether the message is given up over it.
    pub(super) fn failed(&mut self, name: &str, kind: Kind, why: &str, reached: bool) -> bool {
        let most = self.limits.picture_tries;
        let mut given_up = false;
        self.change(name, |entry| {
            let delivery = entry.delivery(kind);
            delivery.attempts = delivery.attempts.saturating_add(1);
            delivery.failures = delivery.failures.saturating_add(u32::from(reached));
            delivery.error = Some(why.to_owned());
            given_up = kind == Kind::Picture && delivery.failures >= most;
            if given_up {
                delivery.state = State::GivenUp;
            }
        });
        given_up
    }

    /// Notes that a message will never be taken; nor is the picture of an alert that isn't.
    pub(super) fn refused(&mut self, name: &str, kind: Kind, why: &str) {
        self.change(name, |entry| {
            let delivery = entry.delivery(kind);
            delivery.attempts = delivery.attempts.saturating_add(1);
            (delivery.state, delivery.error) = (State::GivenUp, Some(why.to_owned()));
            entry.picture.state = State::GivenUp;
        });
    }

    /// The alerts whose picture isn't here yet.
    pub(super) fn without_picture(&self) -> impl Iterator<Item = (&String, &AlertReport)> {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.picture.state == State::Waiting);
        waiting.map(|(name, entry)| (name, &entry.report))
    }

    /// Notes where the picture of an alert is.
    pub(super) fn picture_is(&mut self, name: &str, path: &Path, now_ms: u64) {
        self.change(name, |entry| {
            entry.picture.state = State::Pending;
            entry.picture_path = Some(path.to_owned());
            entry.picture_unix_ms = Some(now_ms);
        });
    }

    /// Writes what has changed. What couldn't be written is left for the next call.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&mut self) -> Result<()> {
        while let Some(name) = self.unwritten.first().cloned() {
            if let Some(entry) = self.entries.get(&name) {
                self.folder.write(&name, entry)?;
                if !entry.is_open() {
                    self.done.insert((entry.queued_unix_ms, name.clone()));
                    self.entries.remove(&name);
                }
            }
            self.unwritten.remove(&name);
        }
        Ok(())
    }

    /// Whether anything is left to write.
    pub(super) fn is_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Keeps of alerts that were done with long ago, or of the oldest if there are many, only their names.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn tidy(&mut self, now_ms: u64) -> Result<()> {
        let most = self.limits.most_waiting;
        // Many at once: each time costs the disk a flush.
        let surplus = if self.done.len() > most { self.done.len() - most + most / 10 } else { 0 };
        let retired = self.done.iter().enumerate().take_while(|(at, (queued_ms, _))| {
            *at < surplus || now_ms.saturating_sub(*queued_ms) > KEEP_DONE_MS
        });
        let retired: Vec<_> = retired.map(|(_, (_, name))| name.clone()).collect();
        if retired.is_empty() {
            return Ok(());
        }
        self.folder.retire(&retired)?;
        self.done = self.done.iter().skip(retired.len()).cloned().collect();
        Ok(())
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(name) {
            change(entry);
            self.unwritten.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::webhook::tests::{alert, write_alert};

    const DAY_MS: u64 = 86_400_000;

    fn told(outbox: &mut Outbox) -> Vec<(String, &'static str)> {
        let mut told = Vec::new();
        for kind in [Kind::Alert, Kind::Picture] {
            let names: Vec<_> = outbox.pending(kind).map(|(name, _)| name.clone()).collect();
            names.iter().for_each(|name| outbox.taken(name, kind, 0));
            told.extend(names.into_iter().map(|name| (name, kind.name())));
        }
        outbox.write().unwrap();
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
        assert!(outbox.look(5).unwrap().is_empty() && outbox.look(6).unwrap().is_empty());
        outbox.write().unwrap();
        drop(outbox);
        let mut outbox = open();
        assert_eq!(
            told(&mut outbox),
            [("alert-1-1-2".to_owned(), "alert"), ("alert-1-1-3".to_owned(), "alert")]
        );
        let mut outbox = open();
        assert_eq!((told(&mut outbox).len(), outbox.without_picture().count()), (0, 2));
        outbox.picture_is("alert-1-1-2", Path::new("p.png"), 0);
        outbox.write().unwrap();
        let mut outbox = open();
        assert_eq!(told(&mut outbox), [("alert-1-1-2".to_owned(), "picture")]);
        assert_eq!((open().entries.len(), open().done.len()), (1, 1));
        fs::write(dir.path().join("webhook/begun.json"), "").unwrap();
        write_alert(dir.path(), &alert(4));
        let mut outbox = open();
        outbox.look(7).unwrap();
        assert!(told(&mut outbox).is_empty(), "torn by a power cut: begun anew");
    }

    #[test]
    fn what_is_too_old_or_too_much_is_given_up_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path(), Limits { most_waiting: 2, ..Limits::default() }).unwrap();
        (1..=4).for_each(|n| write_alert(dir.path(), &alert(n)));
        outbox.look(0).unwrap();
        outbox.taken("alert-1-1-4", Kind::Alert, 0);
        let give_up = |outbox: &mut Outbox, now_ms| -> Vec<_> {
            outbox.give_up(now_ms).into_iter().map(|(_, said)| said).collect()
        };
        let said = give_up(&mut outbox, 1);
        assert_eq!(said, ["alert-1-1-1 is given up after 0 tries: too many wait"]);
        outbox.taken("alert-1-1-2", Kind::Alert, 0);
        outbox.failed("alert-1-1-3", Kind::Alert, "500", true);
        assert!(give_up(&mut outbox, DAY_MS).is_empty());
        assert_eq!(give_up(&mut outbox, DAY_MS + 1), ["alert-1-1-3 is given up after 1 tries: 500"]);
        // A picture that is there is tried for a day.
        outbox.picture_is("alert-1-1-4", Path::new("p.png"), 2 * DAY_MS);
        outbox.failed("alert-1-1-4", Kind::Picture, "no route", false);
        assert!(give_up(&mut outbox, 3 * DAY_MS).is_empty());
        assert_eq!(
            give_up(&mut outbox, 3 * DAY_MS + 1),
            ["the picture of alert-1-1-4 is given up: no route"]
        );
        let said = give_up(&mut outbox, 7 * DAY_MS + 1);
        assert_eq!(said, ["the picture of alert-1-1-2 is given up: it has not come"]);
        outbox.write().unwrap();
        assert!(outbox.entries.is_empty() && outbox.pending(Kind::Alert).next().is_none());
    }

    #[test]
    fn what_is_done_with_leaves_its_name_and_is_never_told_again() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { most_waiting: 20, ..Limits::default() };
        let open = || Outbox::open(dir.path(), limits).unwrap();
        let files = || fs::read_dir(dir.path().join("webhook")).unwrap().count();
        let mut outbox = open();
        (1..=25).for_each(|n| write_alert(dir.path(), &alert(n)));
        outbox.look(0).unwrap();
        assert_eq!(told(&mut outbox).len(), 25);
        (1..=21).for_each(|n| outbox.refused(&format!("alert-1-1-{n}"), Kind::Picture, "404"));
        outbox.write().unwrap();
        assert_eq!(files(), 26, "25 alerts, begun.json");
        outbox.tidy(0).unwrap();
        assert_eq!(files(), 26 - 3 + 1, "down to nine tenths, and told.txt");
        let mut outbox = open();
        outbox.look(1).unwrap();
        assert!(told(&mut outbox).is_empty());
        outbox.tidy(KEEP_DONE_MS + 1).unwrap();
        assert_eq!((files(), outbox.done.len()), (2 + 4, 0), "those whose pictures may come stay");
        let mut outbox = open();
        outbox.look(2).unwrap();
        assert!(told(&mut outbox).is_empty() && outbox.without_picture().count() == 4);
    }

    #[test]
    fn a_disk_that_is_full_is_made_up_for_and_one_alert_that_can_not_be_read_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path(), Limits::default()).unwrap();
        let (folder, aside) = (dir.path().join("webhook"), dir.path().join("aside"));
        fs::rename(&folder, &aside).unwrap();
        write_alert(dir.path(), &alert(2));
        // A folder can't be read as a file.
        fs::create_dir(dir.path().join("alerts/alert-1-1-1.json")).unwrap();
        fs::write(dir.path().join("alerts/alert-1-1-3.json"), "{").unwrap();
        assert_eq!(outbox.look(1).unwrap().len(), 2);
        assert!(outbox.look(2).unwrap().is_empty(), "it is said once");
        assert!(outbox.write().is_err() && outbox.is_unwritten());
        let pending = |outbox: &Outbox| outbox.pending(Kind::Alert).count();
        assert_eq!(pending(&outbox), 1);
        outbox.taken("alert-1-1-2", Kind::Alert, 3);
        assert!(outbox.write().is_err());
        assert_eq!(pending(&outbox), 0, "it is told, whether that can be written or not");
        fs::rename(&aside, &folder).unwrap();
        fs::remove_dir(dir.path().join("alerts/alert-1-1-1.json")).unwrap();
        write_alert(dir.path(), &alert(1));
        outbox.look(4).unwrap();
        outbox.write().unwrap();
        let outbox = Outbox::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(outbox.pending(Kind::Alert).map(|(name, _)| name).collect::<Vec<_>>(), ["alert-1-1-1"]);
    }
}
