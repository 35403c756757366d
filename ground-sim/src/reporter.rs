//! Reports and acknowledgements to the satellite: what the station has, sealed, frame by frame.
//!
//! Numbers rise from frame to frame, also over restarts and when a clock is set back: the last one is kept
//! beside the symbol store.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use passband_proto::keyring::KeyRing;
use passband_proto::report::{Acknowledgement, MAX_ACKNOWLEDGED, build, seal_acknowledgement, seal_report};

use crate::station::{AlertBook, Station};

/// Most bundles that a report speaks of: those that were heard of last.
const MAX_BUNDLES: usize = 64;
/// Numbers are taken in steps of so many, and the last of them is kept.
const STEP: u64 = 1000;

/// Makes reports.
#[derive(Debug)]
pub struct Reporter {
    station: u16,
    path: PathBuf,
    next: u64,
    kept: u64,
}

impl Reporter {
    /// For the station of this number, whose symbol store is `store`.
    ///
    /// # Errors
    /// The number that was used last can't be read.
    pub fn open(station: u16, store: &Path) -> Result<Self> {
        let path = store.join(format!("reports-{station}"));
        let kept = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", path.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { station, path, next: now.max(kept + 1), kept })
    }

    /// The frames that tell each spacecraft, under each of its keys, what is here of its bundles.
    ///
    /// # Errors
    /// The numbers used can't be kept, or there are no random numbers.
    pub fn frames(&mut self, station: &Station, keys: &KeyRing) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        for key in keys.iter() {
            let bundles = station.states(key.spacecraft(), key.epoch(), MAX_BUNDLES);
            if bundles.is_empty() {
                continue;
            }
            let link = station.observation(key.spacecraft(), self.station);
            let reports = build(self.station, self.next, link, &bundles);
            self.next += reports.len() as u64;
            self.keep()?;
            for report in &reports {
                frames.push(seal_report(key, nonce()?, report)?);
            }
        }
        Ok(frames)
    }

    /// The frames that tell each spacecraft, under each of its keys, what alerts are here: as many as `most_frames` of
    /// them hold, those that were heard last. What is still being sent on board is heard again, so it is among them in
    /// the end.
    ///
    /// # Errors
    /// The numbers used can't be kept, or there are no random numbers.
    pub fn acknowledgements(
        &mut self,
        alerts: &AlertBook,
        keys: &KeyRing,
        most_frames: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        for key in keys.iter() {
            let marks = alerts.marks(key.spacecraft(), key.epoch(), most_frames * MAX_ACKNOWLEDGED);
            for part in marks.chunks(MAX_ACKNOWLEDGED) {
                let said =
                    Acknowledgement { station: self.station, number: self.next, alerts: part.to_vec() };
                self.next += 1;
                self.keep()?;
                frames.push(seal_acknowledgement(key, nonce()?, &said)?);
            }
        }
        Ok(frames)
    }

    /// Keeps a number that none used so far is above.
    fn keep(&mut self) -> Result<()> {
        if self.next <= self.kept {
            return Ok(());
        }
        self.kept = self.next + STEP;
        let aside = self.path.with_extension("tmp");
        fs::write(&aside, self.kept.to_string())
            .and_then(|()| fs::rename(&aside, &self.path))
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

fn nonce() -> Result<[u8; 12]> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::alert;
    use passband_proto::alert::seal_alert;
    use passband_proto::keys::EpochKey;
    use passband_proto::report::{Frame, Gate};

    #[test]
    fn every_alert_that_is_here_is_acknowledged_in_frames_that_pass_the_gate() {
        let dir = tempfile::tempdir().unwrap();
        let key = EpochKey::new(1, 2, [1; 32]);
        let mut keys = KeyRing::default();
        keys.insert(EpochKey::new(1, 2, [1; 32]));
        let (mut book, _) = AlertBook::open(keys.clone(), dir.path(), dir.path()).unwrap();
        let mut reporter = Reporter::open(3, dir.path()).unwrap();
        assert!(reporter.acknowledgements(&book, &keys, 3).unwrap().is_empty());
        for number in 1..=100 {
            book.push(&seal_alert(&key, [u8::try_from(number).unwrap(); 12], &alert(number)).unwrap())
                .unwrap();
        }
        let mut gate = Gate::default();
        let mut named = Vec::new();
        for _ in 0..2 {
            for frame in reporter.acknowledgements(&book, &keys, 3).unwrap() {
                assert!(frame.len() <= 256);
                match gate.open_any(&keys, &frame) {
                    Ok(Frame::Acknowledgement(said)) => named.extend(said.alerts),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(named.len(), 2 * 3 * MAX_ACKNOWLEDGED);
        let numbers: Vec<_> = named.iter().take(3 * MAX_ACKNOWLEDGED).map(|mark| mark.number).collect();
        assert!(numbers.iter().copied().eq((23..=100).rev()), "those that were heard last: {numbers:?}");
    }

    #[test]
    fn numbers_rise_over_restarts_and_clocks_that_are_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Reporter::open(3, dir.path()).unwrap();
        let begun = first.next;
        assert!(begun > 1_500_000_000_000);
        first.next += 5;
        first.keep().unwrap();
        let second = Reporter::open(3, dir.path()).unwrap();
        assert!(second.next > first.next);
        let far = u64::MAX / 2;
        fs::write(dir.path().join("reports-3"), far.to_string()).unwrap();
        assert_eq!(Reporter::open(3, dir.path()).unwrap().next, far + 1);
        fs::write(dir.path().join("reports-3"), "x").unwrap();
        assert!(Reporter::open(3, dir.path()).is_err());
    }
}
