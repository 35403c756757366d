//! The record of starts on disk, `<state>/starts.0` and `.1`, and the lock that keeps a second daemon from writing it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use passband_proto::crc32c::checksum;
use passband_proto::dict::EventCode;

use crate::adapters::disk::{DatabaseFile, Disk};
use crate::adapters::os::boot_id;
use crate::adapters::parameters::are_on_trial;
use crate::adapters::twin::Twin;
use crate::adapters::watchdog::about;
use crate::config::Config;
use crate::health::{Boot, MAX_RECORD_BYTES, Start, Starts};
use crate::store::StoreError;
use crate::telemetry::Report;

const NAME: &str = "starts";
const LOCK: &str = "starts.lock";

/// The record, as it is kept.
#[derive(Debug)]
pub(crate) struct Ledger {
    record: Starts,
    twin: Option<Twin>,
    /// Held as long as the process lives.
    _lock: Option<DatabaseFile>,
}

impl Ledger {
    /// Begins a start on the state folder of a configuration; what there is to tell of it.
    ///
    /// # Errors
    /// Another daemon works on that folder. A disk that fails is only told of.
    pub(crate) fn begin(
        disk: &Arc<dyn Disk>,
        config: &Config,
    ) -> Result<(Self, Start, Vec<Report>), StoreError> {
        let state = &config.paths.state;
        let lock = match disk.database(&state.join(LOCK), true) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(StoreError::InUse),
            other => other.ok(),
        };
        let (mut twin, held) = Twin::open(Arc::clone(disk), state, NAME, MAX_RECORD_BYTES);
        let mut news: Vec<_> =
            held.faults.into_iter().map(|fault| Report::warning(EventCode::RecordDamaged, fault)).collect();
        let before = match held.payload.as_deref().map(Starts::decode).transpose() {
            Ok(before) => before,
            Err(e) => {
                news.push(Report::warning(EventCode::RecordDamaged, e.to_string()));
                None
            }
        };
        let boot = Boot {
            id: boot_id().unwrap_or_default(),
            by_watchdog: config
                .health
                .watchdog
                .as_deref()
                .is_some_and(|device| about(Path::new("/"), device).reset_the_board),
            tried: tried(config),
            on_trial: are_on_trial(Arc::clone(disk), state, config),
        };
        let (record, start) = Starts::begin(before, boot, config.health.safe_after);
        if let Err(e) = twin.write(&record.encode()) {
            news.push(Report::error(
                EventCode::RecordUnwritten,
                format!("the record of starts can't be kept: {e}"),
            ));
        }
        news.extend(start.reports());
        Ok((Self { record, twin: Some(twin), _lock: lock }, start, news))
    }

    /// A record that isn't kept.
    #[cfg(test)]
    pub(crate) fn in_memory(record: Starts) -> Self {
        Self { record, twin: None, _lock: None }
    }

    /// The record now.
    pub(crate) fn record(&self) -> Starts {
        self.record
    }

    /// Changes the record, durably.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn change(&mut self, change: impl FnOnce(Starts) -> Starts) -> std::io::Result<()> {
        self.record = change(self.record);
        self.twin.as_mut().map_or(Ok(()), |twin| twin.write(&self.record.encode()))
    }
}

/// What tells another program or configuration.
fn tried(config: &Config) -> u64 {
    let sum = |text: &str| u64::from(checksum(text.as_bytes()));
    sum(&crate::version()) << 32 | sum(&format!("{config:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::disk::LinuxDisk;
    use crate::adapters::parameters::ParameterFile;
    use crate::health::{Before, Cause};
    use crate::parameters::{Now, OrderId};
    use passband_proto::dict::ParameterId;

    fn config(folder: &Path, text: &str) -> Config {
        Config::parse(&format!("paths.state = '.'\n{text}"), &folder.join("c.toml")).unwrap()
    }

    #[test]
    fn starts_are_told_apart_over_processes_and_a_second_daemon_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let begin = |text| Ledger::begin(&disk, &config(dir.path(), text));
        let (ledger, start, news) = begin("").unwrap();
        assert_eq!((start.number, start.before, news.len()), (1, Before::Unknown, 0));
        assert!(matches!(begin("").unwrap_err(), StoreError::InUse));
        drop(ledger);
        let mut last = None;
        for number in 2..=4 {
            let (ledger, start, _) = begin("").unwrap();
            assert_eq!((start.number, start.before), (number, Before::Failed));
            last = start.safe;
            drop(ledger);
        }
        assert_eq!(last, Some(Cause::Failures));
        let (mut ledger, start, _) = begin("[health]\ndeadline_s = 61").unwrap();
        assert!(start.tries_again && start.safe.is_none());
        ledger.change(Starts::stopped).unwrap();
        drop(ledger);
        assert_eq!(begin("").unwrap().1.before, Before::Stopped);
    }

    #[test]
    fn where_one_failure_leads_to_safe_mode_parameters_on_trial_are_put_back_first() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let config = config(dir.path(), "[health]\nsafe_after = 1");
        let now = Now { steady_ms: 0, unix_ms: 1 };
        let by = |number| OrderId { source: 3, number };
        let (mut file, _) = ParameterFile::open(Arc::clone(&disk), dir.path(), config.clone());
        file.order(|p| p.stage(ParameterId::BeaconEvery, "40", by(1), now)).unwrap();
        file.order(|p| p.commit(600, by(2), now)).unwrap();
        assert!(are_on_trial(Arc::clone(&disk), dir.path(), &config));
        let begin = || Ledger::begin(&disk, &config).unwrap().1;
        assert_eq!(begin().puts_back, None);
        let start = begin();
        assert_eq!((start.puts_back, start.safe, start.failures), (Some(1), None, 0));
        assert!(file.on_start(start.puts_back, now).0.is_some());
        assert!(!are_on_trial(Arc::clone(&disk), dir.path(), &config));
        let start = begin();
        assert_eq!((start.puts_back, start.safe, start.feed), (None, Some(Cause::Failures), true));
    }

    #[test]
    fn a_damaged_record_is_told_of_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        for copy in [0, 1] {
            std::fs::write(dir.path().join(format!("starts.{copy}")), "nonsense").unwrap();
        }
        let (ledger, start, news) = Ledger::begin(&disk, &config(dir.path(), "")).unwrap();
        assert_eq!((start.number, news.len(), news[0].code), (1, 2, EventCode::RecordDamaged));
        drop(ledger);
        assert_eq!(Ledger::begin(&disk, &config(dir.path(), "")).unwrap().1.number, 2);
    }
}
