//! Alerts from the alert radio: opened, kept once however often they come, written out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_proto::alert::{Alert, open_alert, sender};
use passband_proto::keyring::KeyRing;
use serde::Serialize;

use super::products::write_aside;

/// An alert as it is reported.
#[derive(Debug, Clone, Serialize)]
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
    known: BTreeSet<(u16, u16, u32)>,
    /// Messages that were not an alert under any key held, by reason.
    pub rejected: u64,
    /// Alerts that had come before.
    pub repeats: u64,
}

impl AlertBook {
    /// A book that writes alerts into the folder `dir`, and knows those that are there.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(keys: KeyRing, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
        let mut known = BTreeSet::new();
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let name = entry.context("reading the alerts")?.file_name();
            known.extend(name.to_str().and_then(parse_name));
        }
        Ok(Self { keys, dir: dir.to_owned(), known, rejected: 0, repeats: 0 })
    }

    /// Takes a message of the alert radio; gives the alert if it is new.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn push(&mut self, sealed: &[u8]) -> Result<Option<AlertReport>> {
        let opened = sender(sealed)
            .and_then(|(spacecraft, epoch)| self.keys.get(spacecraft, epoch))
            .and_then(|key| Some(((key.spacecraft(), key.epoch()), open_alert(key, sealed).ok()?)));
        let Some(((spacecraft, epoch), alert)) = opened else {
            self.rejected += 1;
            return Ok(None);
        };
        if !self.known.insert((spacecraft, epoch, alert.number)) {
            self.repeats += 1;
            return Ok(None);
        }
        let path = self.dir.join(format!("alert-{spacecraft}-{epoch}-{}.json", alert.number));
        let report = AlertReport { spacecraft, alert, sealed_bytes: sealed.len() };
        write_aside(&path, &serde_json::to_vec_pretty(&report)?)?;
        Ok(Some(report))
    }

    /// Different alerts that came.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.len()
    }
}

fn parse_name(name: &str) -> Option<(u16, u16, u32)> {
    let mut numbers = name.strip_prefix("alert-")?.strip_suffix(".json")?.split('-');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::alert::{fit, seal_alert};
    use passband_proto::keys::EpochKey;

    #[test]
    fn repeats_count_once_also_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let key = EpochKey::new(1, 2, [1; 32]);
        let mut keys = KeyRing::default();
        keys.insert(key.clone());
        let alert = Alert {
            number: 7,
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
        };
        let sealed = seal_alert(&key, [1; 12], &alert).unwrap();
        let mut book = AlertBook::open(keys.clone(), dir.path()).unwrap();
        assert_eq!(book.push(&sealed).unwrap().unwrap().alert, alert);
        assert!(book.push(&sealed).unwrap().is_none());
        assert!(book.push(b"noise").unwrap().is_none());
        assert_eq!((book.count(), book.repeats, book.rejected), (1, 1, 1));
        let mut book = AlertBook::open(keys, dir.path()).unwrap();
        assert!(book.push(&sealed).unwrap().is_none());
    }
}
