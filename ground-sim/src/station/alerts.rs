//! Alerts from the alert radio: opened, kept once however often they come, written out.
//!
//! An alert is known by its number and the first bytes of its nonce: two boards of one spacecraft, or a store on
//! board that was lost, count from 1 again. So the file of an alert is `alert-SPACECRAFT-EPOCH-NUMBER-NONCE.json`.
//!
//! Those for which there is no key are spooled as they are, for whoever has it: `raw/alerts.bin` in the symbol
//! store, each a byte that says its length and its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::alert::{Alert, MAX_ALERT_BYTES, open_alert, sender};
use passband_proto::keyring::KeyRing;
use passband_proto::report::AlertMark;
use serde::{Deserialize, Serialize};

use super::products::write_aside;

/// Bytes of alerts that are spooled for want of a key, at most: without keys anybody can send one.
const SPOOL_LIMIT_BYTES: usize = 4 << 20;

/// Names an alert: spacecraft, epoch, and what the spacecraft calls it.
type Key = (u16, u16, AlertMark);

/// An alert as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertReport {
    /// The spacecraft that raised it.
    pub spacecraft: u16,
    /// What it says.
    #[serde(flatten)]
    pub alert: Alert,
    /// Bytes on the radio.
    pub sealed_bytes: usize,
}

/// All alerts that came.
#[derive(Debug)]
pub struct AlertBook {
    keys: KeyRing,
    dir: PathBuf,
    /// What is here, and when it was heard last: a count that rises; 0: before this run.
    known: BTreeMap<Key, u64>,
    heard: u64,
    spool: PathBuf,
    spooled: BTreeSet<Vec<u8>>,
    spooled_bytes: usize,
    /// Messages that were not an alert under any key held, by reason.
    pub rejected: u64,
    /// Alerts that had come before.
    pub repeats: u64,
}

impl AlertBook {
    /// A book that writes alerts into the folder `dir`, and knows those that are there. Those without a key
    /// are spooled in the symbol store `store`; what was spooled there and has a key by now is taken: these
    /// alerts are given, too.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(keys: KeyRing, dir: &Path, store: &Path) -> Result<(Self, Vec<AlertReport>)> {
        fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let name = entry.context("reading the alerts")?.file_name();
            known.extend(name.to_str().and_then(parse_name).map(|key| (key, 0)));
        }
        let spool = spool_path(store);
        let before = read_spool(&spool);
        let sound_bytes: usize = before.iter().map(|sealed| sealed.len() + 1).sum();
        let torn = fs::metadata(&spool).is_ok_and(|m| m.len() != sound_bytes as u64);
        let mut this = Self {
            keys,
            dir: dir.to_owned(),
            known,
            heard: 0,
            spool,
            spooled: BTreeSet::new(),
            spooled_bytes: 0,
            rejected: 0,
            repeats: 0,
        };
        let mut new = Vec::new();
        let count = before.len();
        for sealed in before {
            if this.has_key(&sealed) {
                new.extend(this.push(&sealed)?);
            } else {
                this.spooled_bytes += sealed.len() + 1;
                this.spooled.insert(sealed);
            }
        }
        if this.spooled.is_empty() {
            super::blocks::remove(&this.spool)?;
        } else if torn || this.spooled.len() != count {
            let left: Vec<u8> = this.spooled.iter().flat_map(|sealed| record(sealed)).collect();
            write_aside(&this.spool, &left)?;
        }
        (this.rejected, this.repeats) = (0, 0);
        Ok((this, new))
    }

    /// Takes what another station has spooled for want of a key: `store` is its symbol store. Gives the alerts
    /// that are new.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn take_store(&mut self, store: &Path) -> Result<Vec<AlertReport>> {
        let mut new = Vec::new();
        for sealed in read_spool(&spool_path(store)) {
            new.extend(self.push(&sealed)?);
        }
        Ok(new)
    }

    /// Alerts that are spooled for want of a key.
    #[must_use]
    pub fn spooled(&self) -> usize {
        self.spooled.len()
    }

    /// Takes a message of the alert radio; gives the alert if it is new.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn push(&mut self, sealed: &[u8]) -> Result<Option<AlertReport>> {
        let opened = sender(sealed)
            .and_then(|(spacecraft, epoch)| self.keys.get(spacecraft, epoch))
            .and_then(|key| Some(((key.spacecraft(), key.epoch()), open_alert(key, sealed).ok()?)))
            .and_then(|(whose, alert)| Some((whose, AlertMark::of(alert.number, sealed)?, alert)));
        let Some(((spacecraft, epoch), mark, alert)) = opened else {
            if self.has_key(sealed) || !self.keep(sealed)? {
                self.rejected += 1;
            }
            return Ok(None);
        };
        let key = (spacecraft, epoch, mark);
        self.heard += 1;
        if let Some(heard) = self.known.get_mut(&key) {
            *heard = self.heard;
            self.repeats += 1;
            return Ok(None);
        }
        let report = AlertReport { spacecraft, alert, sealed_bytes: sealed.len() };
        write_aside(&self.dir.join(name_of(&key)), &serde_json::to_vec_pretty(&report)?)?;
        // What couldn't be written is not there, and is not acknowledged.
        self.known.insert(key, self.heard);
        Ok(Some(report))
    }

    /// The alerts of a spacecraft and key epoch that are here, those that were heard last first; `most` of them at
    /// most. What is still being sent on board is among those that are heard.
    #[must_use]
    pub fn marks(&self, spacecraft: u16, epoch: u16, most: usize) -> Vec<AlertMark> {
        let mut here: Vec<_> = self
            .known
            .iter()
            .filter(|((of, under, _), _)| (*of, *under) == (spacecraft, epoch))
            .map(|((.., mark), heard)| (*heard, *mark))
            .collect();
        here.sort_unstable_by_key(|newest| std::cmp::Reverse(*newest));
        here.into_iter().take(most).map(|(_, mark)| mark).collect()
    }

    fn has_key(&self, sealed: &[u8]) -> bool {
        sender(sealed).is_some_and(|(spacecraft, epoch)| self.keys.get(spacecraft, epoch).is_some())
    }

    /// Spools what looks like an alert; whether it did, or had before. A station with keys knows its
    /// spacecraft: anybody can name another.
    fn keep(&mut self, sealed: &[u8]) -> Result<bool> {
        let ours = |spacecraft| self.keys.is_empty() || self.keys.newest(spacecraft).is_some();
        if sealed.len() > MAX_ALERT_BYTES || !sender(sealed).is_some_and(|(spacecraft, _)| ours(spacecraft)) {
            return Ok(false);
        }
        if self.spooled.contains(sealed) {
            self.repeats += 1;
            return Ok(true);
        }
        let record = record(sealed);
        if self.spooled_bytes + record.len() > SPOOL_LIMIT_BYTES {
            return Ok(false);
        }
        if let Some(folder) = self.spool.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.spool);
        let written = file.and_then(|mut file| file.write_all(&record));
        written.with_context(|| format!("writing {}", self.spool.display()))?;
        self.spooled_bytes += record.len();
        self.spooled.insert(sealed.to_vec());
        Ok(true)
    }

    /// Different alerts that came.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }
}

fn spool_path(store: &Path) -> PathBuf {
    store.join("raw").join("alerts.bin")
}

/// The messages of a spool; what a crash has torn is left out.
fn read_spool(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while let Some((length, more)) = rest.split_first()
        && let Some((sealed, more)) = more.split_at_checked(usize::from(*length))
    {
        messages.push(sealed.to_vec());
        rest = more;
    }
    messages
}

fn record(sealed: &[u8]) -> Vec<u8> {
    let length = u8::try_from(sealed.len()).unwrap_or(u8::MAX);
    [&[length], sealed].concat()
}

fn name_of((spacecraft, epoch, mark): &Key) -> String {
    format!("alert-{spacecraft}-{epoch}-{}-{}.json", mark.number, super::hex(&mark.nonce))
}

fn parse_name(name: &str) -> Option<Key> {
    let mut parts = name.strip_prefix("alert-")?.strip_suffix(".json")?.split('-');
    let (spacecraft, epoch) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (number, nonce) = (parts.next()?.parse().ok()?, parts.next()?);
    let nonce = (nonce.len() == 8).then(|| u32::from_str_radix(nonce, 16).ok()).flatten()?;
    Some((spacecraft, epoch, AlertMark { number, nonce: nonce.to_be_bytes() }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use passband_proto::alert::{fit, seal_alert};
    use passband_proto::keys::EpochKey;

    /// An alert of which nothing but the number matters.
    pub(crate) fn alert(number: u32) -> Alert {
        Alert {
            number,
            time_unix_ms: 1,
            frame: fit("f"),
            gas: fit("ch4"),
            probability_permille: 990,
            peak_ppm_m: 1.0,
            mean_ppm_m: 1.0,
            pixels: 1,
            line: 1,
            sample: 1,
            position: None,
            plumes: 1,
            evidence: None,
        }
    }

    fn ring(epochs: &[u16]) -> KeyRing {
        let mut keys = KeyRing::default();
        epochs.iter().for_each(|epoch| drop(keys.insert(EpochKey::new(1, *epoch, [1; 32]))));
        keys
    }

    fn sealed(epoch: u16, number: u32) -> Vec<u8> {
        let nonce = [u8::try_from(number).unwrap(); 12];
        seal_alert(&EpochKey::new(1, epoch, [1; 32]), nonce, &alert(number)).unwrap().to_vec()
    }

    #[test]
    fn repeats_count_once_also_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let message = sealed(2, 7);
        let (mut book, _) = AlertBook::open(ring(&[2]), dir.path(), &store).unwrap();
        assert_eq!(book.push(&message).unwrap().unwrap().alert, alert(7));
        assert!(book.push(&message).unwrap().is_none());
        assert!(book.push(b"noise").unwrap().is_none());
        assert_eq!((book.count(), book.repeats, book.rejected), (1, 1, 1));
        let (mut book, _) = AlertBook::open(ring(&[2]), dir.path(), &store).unwrap();
        assert!(book.push(&message).unwrap().is_none());
    }

    #[test]
    fn another_board_that_counts_alike_is_not_taken_for_a_repeat_and_what_was_heard_last_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let open = || AlertBook::open(ring(&[2, 3]), dir.path(), &store).unwrap().0;
        let mut book = open();
        let other = seal_alert(&EpochKey::new(1, 2, [1; 32]), [0xEE; 12], &alert(7)).unwrap();
        for message in [&sealed(2, 7), &other.to_vec(), &sealed(2, 9), &sealed(3, 1), &sealed(2, 7)] {
            book.push(message).unwrap();
        }
        assert_eq!((book.count(), book.repeats), (4, 1));
        let mark = |number, nonce| AlertMark { number, nonce: [nonce; 4] };
        assert_eq!(book.marks(1, 2, 9), [mark(7, 7), mark(9, 9), mark(7, 0xEE)]);
        assert_eq!(
            (book.marks(1, 2, 2).len(), book.marks(1, 3, 9), book.marks(2, 2, 9)),
            (2, vec![mark(1, 1)], vec![])
        );
        // Known over a restart; the newest numbers first until something is heard.
        let mut book = open();
        assert_eq!(book.marks(1, 2, 9), [mark(9, 9), mark(7, 0xEE), mark(7, 7)]);
        book.push(&sealed(2, 7)).unwrap();
        assert_eq!((book.marks(1, 2, 1), book.count()), (vec![mark(7, 7)], 4));
    }

    #[test]
    fn names_of_files_say_which_alert_it_is() {
        let key = (1, 65_535, AlertMark { number: 7, nonce: [0, 1, 0xAB, 0xFF] });
        assert_eq!(name_of(&key), "alert-1-65535-7-0001abff.json");
        assert_eq!(parse_name(&name_of(&key)), Some(key));
        for odd in [
            "alert-1-2-7.json",
            "alert-1-2-7-1.json",
            "alert-1-2-7-00g0abff.json",
            "alert-1-2-7-+001abff.txt",
        ] {
            assert_eq!(parse_name(odd), None, "{odd}");
        }
    }

    #[test]
    fn without_a_key_alerts_are_kept_for_whoever_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (antenna, home) = (dir.path().join("antenna"), dir.path().join("home"));
        let (mut book, _) = AlertBook::open(KeyRing::default(), &antenna.join("a"), &antenna).unwrap();
        for message in [sealed(2, 1), sealed(3, 2), sealed(2, 1), b"noise".to_vec(), vec![b'P'; 300]] {
            assert!(book.push(&message).unwrap().is_none());
        }
        assert_eq!((book.spooled(), book.repeats, book.rejected), (2, 1, 2));
        // What a crash has torn does no harm.
        let spool = spool_path(&antenna);
        let torn = [fs::read(&spool).unwrap(), vec![90, 1, 2]].concat();
        fs::write(&spool, torn).unwrap();

        // Somebody who has one of the keys takes that one, and keeps the other.
        let (mut book, new) = AlertBook::open(ring(&[2]), &home.join("a"), &home).unwrap();
        assert!(new.is_empty());
        let new = book.take_store(&antenna).unwrap();
        assert_eq!(new.iter().map(|a| a.alert.number).collect::<Vec<_>>(), [1]);
        assert_eq!((book.count(), book.spooled(), book.rejected), (1, 1, 0));

        // The antenna goes on behind what was torn.
        let (mut book, _) = AlertBook::open(KeyRing::default(), &antenna.join("a"), &antenna).unwrap();
        book.push(&sealed(2, 3)).unwrap();
        assert_eq!(read_spool(&spool), [sealed(2, 1), sealed(3, 2), sealed(2, 3)]);

        // Then the other key comes.
        let (book, new) = AlertBook::open(ring(&[2, 3]), &home.join("a"), &home).unwrap();
        assert_eq!(new.iter().map(|a| a.alert.number).collect::<Vec<_>>(), [2]);
        assert_eq!((book.count(), book.spooled()), (2, 0));
        assert!(!spool_path(&home).exists());

        // Another spacecraft is none of its business.
        let (mut book, _) = AlertBook::open(ring(&[2]), &home.join("a"), &home).unwrap();
        let other = seal_alert(&EpochKey::new(9, 2, [1; 32]), [1; 12], &alert(1)).unwrap();
        assert!(book.push(&other).unwrap().is_none());
        assert_eq!((book.spooled(), book.rejected), (0, 1));
    }
}
