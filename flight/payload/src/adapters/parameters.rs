//! The parameters on disk: one record, kept in a [`Twin`], written before an order is answered.
//!
//! An order whose record can't be written changes nothing, and fails; what is put back by itself is put back in any case,
//! and written as soon as the disk lets it. Whenever a record changes both copies are written: one that is damaged later
//! costs nothing.

use core::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use passband_proto::dict::EventCode;

use super::disk::Disk;
use super::twin::{Held, Twin};
use crate::config::Config;
use crate::parameters::{Done, MAX_RECORD_BYTES, Now, Parameters, Refused, RolledBack};
use crate::telemetry::Report;

/// The name of the record's two files.
const NAME: &str = "parameters";

/// The parameters, and where they are kept.
#[derive(Debug)]
pub struct ParameterFile {
    twin: Twin,
    parameters: Parameters,
    /// The revision that the disk holds; none if that isn't known.
    written: Option<u64>,
    /// The last write failed, and an event has said so.
    told: bool,
}

/// An order about parameters that was not done.
#[derive(Debug)]
pub enum NotDone {
    /// It is refused.
    Refused(Refused),
    /// The record can't be written: nothing is changed.
    Disk(io::Error),
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Disk(e) => write!(f, "writing the parameters: {e}"),
        }
    }
}

impl core::error::Error for NotDone {}

impl ParameterFile {
    /// Opens what is kept in `folder`, over what the configuration file says; and what is to be told of it. It never
    /// fails: where nothing sound is kept the configuration's values count.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, configured: Config) -> (Self, Vec<Report>) {
        let (twin, held) = Twin::open(disk, folder, NAME, MAX_RECORD_BYTES);
        let damaged = |text| Report::error(EventCode::ParametersDamaged, text);
        let mut reports: Vec<_> =
            held.faults.iter().map(|fault| damaged(format!("{fault}; the other copy is used"))).collect();
        let parameters = match restored(&held, &configured) {
            Ok(parameters) => parameters,
            Err(why) => {
                let text = format!("{why}: the configuration's values are in force, all changes are lost");
                reports = vec![damaged(text)];
                Parameters::lost(configured)
            }
        };
        let warnings = parameters.warnings();
        reports.extend(warnings.into_iter().map(|text| Report::warning(EventCode::ParametersDamaged, text)));
        let mut file = Self { twin, written: Some(parameters.revision()), parameters, told: false };
        if held.payload.is_some() && !held.faults.is_empty() {
            file.written = None;
            reports.extend(file.keep());
        }
        (file, reports)
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Has an order done: in force, and on the disk, or neither.
    ///
    /// # Errors
    /// It is refused, or the record can't be written.
    pub fn order(
        &mut self,
        order: impl FnOnce(&mut Parameters) -> Result<Done, Refused>,
    ) -> Result<Done, NotDone> {
        let before = self.parameters.clone();
        let done = order(&mut self.parameters).map_err(NotDone::Refused)?;
        if let Err(e) = self.write() {
            // The disk may hold either: `poll` writes what counts.
            (self.parameters, self.written) = (before, None);
            return Err(NotDone::Disk(e));
        }
        Ok(done)
    }

    /// To be called once, with the number of starts that failed in a row if they are to put back what is on trial: see
    /// [`Parameters::on_start`].
    pub fn on_start(&mut self, failed_starts: Option<u32>, now: Now) -> (Option<RolledBack>, Vec<Report>) {
        let back = self.parameters.on_start(failed_starts, now);
        self.told_back(back)
    }

    /// To be called every few seconds: puts back what wasn't confirmed in time, and writes what couldn't be written.
    pub fn poll(&mut self, now: Now) -> (Option<RolledBack>, Vec<Report>) {
        let back = self.parameters.poll(now);
        self.told_back(back)
    }

    fn told_back(&mut self, back: Option<RolledBack>) -> (Option<RolledBack>, Vec<Report>) {
        let report = |back| Report::warning(EventCode::ParametersRolledBack, RolledBack::to_string(back));
        let mut reports: Vec<_> = back.iter().map(report).collect();
        reports.extend(self.keep());
        (back, reports)
    }

    /// Writes what isn't written; the first of several failures is told.
    fn keep(&mut self) -> Option<Report> {
        match self.write() {
            Ok(()) => {
                self.told = false;
                None
            }
            Err(_) if self.told => None,
            Err(e) => {
                self.told = true;
                let text = format!("the parameters can't be written, and are tried again: {e}");
                Some(Report::error(EventCode::StoreError, text))
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let revision = Some(self.parameters.revision());
        if self.written == revision {
            return Ok(());
        }
        let record = self.parameters.record();
        self.twin.write(&record)?;
        self.written = revision;
        // The first copy counts by now; the second only spares what was before it.
        drop(self.twin.write(&record));
        Ok(())
    }
}

/// Whether parameters are on trial, as far as can be read. Nothing is written, and nothing told.
pub(crate) fn are_on_trial(disk: Arc<dyn Disk>, folder: &Path, configured: &Config) -> bool {
    let held = Twin::open(disk, folder, NAME, MAX_RECORD_BYTES).1;
    let any = Now { steady_ms: 0, unix_ms: 0 };
    restored(&held, configured).is_ok_and(|parameters| parameters.time_left_ms(any).is_some())
}

/// The parameters of what was held; in words why there are none.
fn restored(held: &Held, configured: &Config) -> Result<Parameters, String> {
    match &held.payload {
        Some(record) => Parameters::restore(configured.clone(), record)
            .map_err(|e| format!("the record of parameters: {e}")),
        None if held.faults.is_empty() => Ok(Parameters::new(configured.clone())),
        None => Err(held.faults.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, SimDisk};
    use crate::parameters::OrderId;
    use passband_proto::dict::{ParameterId, ParametersState};
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    const FOLDER: &str = "/state";
    const NOW: Now = Now { steady_ms: 1_000, unix_ms: 1_800_000_000_000 };

    fn disk() -> SimDisk {
        let disk = SimDisk::default();
        disk.make_folder(Path::new(FOLDER)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    fn open(disk: &SimDisk) -> (ParameterFile, Vec<Report>) {
        ParameterFile::open(Arc::new(disk.clone()), Path::new(FOLDER), Config::default())
    }

    fn by(number: u32) -> OrderId {
        OrderId { source: 3, number }
    }

    fn stage(file: &mut ParameterFile, number: u32, value: &str) {
        file.order(|p| p.stage(ParameterId::BeaconEvery, value, by(number), NOW)).unwrap();
    }

    fn beacon(file: &ParameterFile) -> u32 {
        file.parameters().live().telemetry.beacon_s
    }

    /// A file with a confirmed value, another on trial, and a third staged.
    fn busy(disk: &SimDisk) -> ParameterFile {
        let (mut file, reports) = open(disk);
        assert_eq!(reports, []);
        stage(&mut file, 1, "40");
        file.order(|p| p.commit(600, by(2), NOW)).unwrap();
        file.order(|p| p.confirm(by(3), NOW)).unwrap();
        stage(&mut file, 4, "50");
        file.order(|p| p.commit(600, by(5), NOW)).unwrap();
        stage(&mut file, 6, "60");
        file
    }

    #[test]
    fn a_cut_at_every_operation_of_every_order_leaves_the_old_or_the_new() {
        type Order = fn(&mut Parameters) -> Result<Done, Refused>;
        let orders: [Order; 5] = [
            |p| p.stage(ParameterId::Wind, "7", by(9), NOW),
            |p| p.discard(by(9)),
            |p| p.commit(900, by(9), NOW),
            |p| p.confirm(by(9), NOW),
            |p| p.rollback(by(9)),
        ];
        for order in orders {
            let disk = disk();
            let mut file = busy(&disk);
            let old = file.parameters().record();
            let mut after = file.parameters().clone();
            order(&mut after).unwrap();
            let new = after.record();
            assert_ne!(old, new);
            let seen = Arc::new(Mutex::new(BTreeSet::new()));
            let (cuts, whole) = (Arc::clone(&seen), [old, new.clone()]);
            disk.watch(move |disk| {
                for seed in 0..12 {
                    let left = open(&disk.after_cut(seed)).0.parameters().record();
                    assert!(whole.contains(&left), "a mixture, or nothing");
                    cuts.lock().unwrap().insert(left);
                }
            });
            file.order(order).unwrap();
            disk.unwatch();
            assert_eq!(seen.lock().unwrap().len(), 2, "both are seen");
            for seed in 0..12 {
                let cut = disk.after_cut(seed);
                let (mut left, _) = open(&cut);
                assert_eq!(left.parameters().record(), new, "what was answered holds");
                // The ledger gives an order again whose answer it didn't keep.
                left.order(order).unwrap();
                assert_eq!(left.parameters().record(), new, "again changes nothing");
            }
        }
    }

    #[test]
    fn a_roll_back_by_itself_holds_over_cuts_and_failing_disks() {
        let disk = disk();
        let mut file = busy(&disk);
        let late = Now { steady_ms: NOW.steady_ms + 600_000, ..NOW };
        disk.set_faults(Faults { read_only: true, ..Faults::default() });
        let (back, reports) = file.poll(late);
        assert_eq!(back.map(|b| (b.from, b.to)), Some((2, 1)));
        let codes: Vec<_> = reports.iter().map(|report| report.code).collect();
        assert_eq!(codes, [EventCode::ParametersRolledBack, EventCode::StoreError]);
        assert_eq!((beacon(&file), file.poll(late)), (40, (None, vec![])));
        disk.set_faults(Faults::default());
        assert_eq!(file.poll(late), (None, vec![]));
        assert_eq!(beacon(&open(&disk.after_cut(1)).0), 40);
    }

    #[test]
    fn an_order_that_can_t_be_written_changes_nothing_then_or_later() {
        let disk = disk();
        let mut file = busy(&disk);
        let before = file.parameters().record();
        disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
        let failed = file.order(|p| p.commit(900, by(9), NOW)).unwrap_err();
        assert!(failed.to_string().starts_with("writing the parameters: "), "{failed}");
        assert_eq!(file.parameters().record(), before);
        disk.set_faults(Faults::default());
        assert_eq!(file.poll(NOW), (None, vec![]));
        assert_eq!(open(&disk).0.parameters().record(), before);
    }

    #[test]
    fn a_damaged_copy_is_told_and_made_anew_and_two_leave_the_configuration() {
        let disk = disk();
        let whole = busy(&disk).parameters().record();
        let at = |copy: u8| Path::new(FOLDER).join(format!("parameters.{copy}"));
        for copy in [0, 1, 0] {
            disk.damage(&at(copy), 30, 2).unwrap();
            let (file, reports) = open(&disk);
            assert_eq!(file.parameters().record(), whole);
            assert_eq!(reports.len(), 1);
            assert!(
                reports[0].text.contains(&format!("parameters.{copy}: its CRC-32C is wrong")),
                "{reports:?}"
            );
            assert_eq!(open(&disk).1, [], "made anew");
        }
        disk.damage(&at(0), 30, 2).unwrap();
        disk.damage(&at(1), 3, 1).unwrap();
        let (mut file, reports) = open(&disk);
        assert_eq!((reports.len(), reports[0].code), (1, EventCode::ParametersDamaged));
        assert!(reports[0].text.ends_with("all changes are lost"), "{reports:?}");
        assert_eq!((beacon(&file), file.parameters().state()), (30, ParametersState::Damaged));
        stage(&mut file, 20, "45");
        let (mut file, reports) = open(&disk);
        assert_eq!((reports, file.parameters().state()), (vec![], ParametersState::Damaged));
        file.order(|p| p.commit(60, by(21), NOW)).unwrap();
        file.order(|p| p.confirm(by(22), NOW)).unwrap();
        assert_eq!((beacon(&file), file.parameters().state()), (45, ParametersState::Confirmed));
    }

    #[test]
    fn three_failed_starts_put_back_what_is_on_trial() {
        let disk = disk();
        drop(busy(&disk));
        let (mut file, _) = open(&disk);
        assert_eq!(file.on_start(None, NOW), (None, vec![]));
        let (back, reports) = open(&disk).0.on_start(Some(3), NOW);
        assert_eq!(back.map(|b| b.to), Some(1));
        assert!(reports[0].text.ends_with("version 1 is in force: 3 starts failed"), "{reports:?}");
        assert_eq!(beacon(&open(&disk).0), 40);
    }
}
