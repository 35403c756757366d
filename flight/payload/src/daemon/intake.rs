//! Intake: takes one frame from the spool into the store, atomically.
//!
//! An alert is made known and sent as soon as the frame was looked at, before it is read as a whole: looked at again
//! after a kill, the same frame has the same alert.
//!
//! The order makes a kill at any moment harmless: products are sealed aside and put in place, then one
//! transaction makes frame, bundles and event known, then the spool's files go. What a kill
//! leaves behind is either unknown to the catalogue, and swept at the next start, or known to be
//! removed from the spool.

mod sealing;

pub(crate) use sealing::{AnyData, Hashes, Sealer, Source, random_id};

use core::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use passband_proto::dict::EventCode;
use passband_proto::ids::{BundleId, Class};
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::envi;
use passband_spectral::target::Target;
use passband_spectral::triage::{NoMaps, Params};
use sha2::{Digest, Sha256};

use crate::adapters::calibration::{Why, read_calibration};
use crate::adapters::spool::{OpenFrame, Spool, parse_header};
use crate::camera::FrameFiles;
use crate::products::{Facts, Rules, plan};
use crate::store::{AlertRecord, BundleRecord, Catalogue, FrameId, FrameRecord, NewFrame, StoreError};
use crate::telemetry::Report;
use crate::triage::{self, ExamineError, Products};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Longest name of a tasking, bytes.
const MAX_TASKING_BYTES: usize = 64;

/// All that intake works with.
pub(crate) struct Intake<'a> {
    pub(crate) spool: &'a Spool,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) sealer: Sealer<'a>,
    pub(crate) rules: &'a Rules,
    pub(crate) examiner: &'a dyn Examine,
}

/// Who says what a frame is worth.
pub(crate) trait Examine: Sync {
    /// Examines the frame of this name.
    fn examine(&self, name: &str, cube: Cube<AnyData<'_>>) -> Result<Products, IntakeError>;
}

/// The detector.
pub(crate) struct Detector<'a> {
    pub(crate) target: &'a Target,
    pub(crate) params: &'a Params,
    /// Header of the calibration of each detector, if there is one.
    pub(crate) calibration: Option<&'a Path>,
}

/// A point between two steps, where a kill may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The catalogue knows the alert.
    Alerted,
    /// This many bundles are sealed, aside.
    Sealed(usize),
    /// All bundles are in place.
    Published,
    /// The catalogue knows the frame.
    Committed,
    /// This many of the spool's files are removed.
    Removed(usize),
}

/// Who follows the taking of a frame.
pub(crate) trait Follow {
    /// Called between two steps; an error ends the taking as a kill would.
    fn at(&mut self, step: Step) -> Result<(), IntakeError>;

    /// There is an alert to send, or news of one.
    fn alert(&mut self, alert: AlertRecord);

    /// Makes room for `bytes` of sealed bundles of a frame of this class.
    fn make_room(&mut self, bytes: u64, class: Class) -> Result<(), IntakeError>;
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is in the store.
    Accepted { class: Class, bundles: Vec<BundleRecord> },
    /// It was in the store already; the copy is removed.
    Duplicate { id: FrameId },
}

/// Why a frame was not taken.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// It will never be: refuse it.
    Malformed(String),
    /// It may be another time: it stays in the spool.
    Later(String),
    /// There is no room for it, and won't be soon: it stays in the spool.
    NoRoom(String),
    /// The daemon stops.
    Stopping,
}

impl From<StoreError> for IntakeError {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Intake<'_> {
    /// Takes a frame.
    pub(crate) fn take(
        &self,
        files: FrameFiles,
        unix_ms: u64,
        follow: &mut dyn Follow,
    ) -> Result<Taken, IntakeError> {
        let frame = self.spool.open_frame(files).map_err(|e| IntakeError::Later(format!("opening: {e}")))?;
        let header = parse_header(&frame.header).map_err(IntakeError::Malformed)?;
        let data: AnyData<'_> = &frame.data;
        let cube = Cube::new(header, data).map_err(|e| IntakeError::Malformed(e.to_string()))?;
        let evidence = random_id()?;
        let (products, alert, hashes) = self.look(&frame, &cube, evidence, unix_ms, follow)?;
        let id = FrameId::of(&hashes.header, &hashes.data);
        if let Some(known) = self.catalogue.frame(&id)? {
            let name = &frame.files.name;
            let text =
                format!("frame {name:?} is frame {id} ({:?}) again; the spool's copy is removed", known.name);
            self.catalogue.add_event(unix_ms, &Report::warning(EventCode::FrameDuplicate, text))?;
            self.clear_spool(&id, &frame.identities, follow)?;
            return Ok(Taken::Duplicate { id });
        }
        let tasking = tasking(&frame.header);
        let report = &products.triage.report;
        let facts = Facts { files: &frame.files, id, tasking: &tasking, report, unix_ms };
        let source = Source {
            header_text: &frame.header,
            cube: &cube,
            hashes: Some(&hashes),
            facts,
            products: &products,
        };
        let planned = plan(cube.header(), products.class, report, self.rules);
        let mut sealed = Vec::new();
        let result = self.sealer.seal_all(&source, &planned, evidence, &mut sealed, follow);
        let recorded = result.and_then(|bundles| {
            // From here on the catalogue may know them, even if it says that it failed.
            sealed.clear();
            self.record(&frame, &source, alert, bundles, follow)
        });
        match recorded {
            Ok(bundles) => {
                self.clear_after(&frame, &facts, follow)?;
                Ok(Taken::Accepted { class: products.class, bundles })
            }
            Err(IntakeError::Stopping) => Err(IntakeError::Stopping),
            Err(e) => {
                // A sealing that failed throws its salt away. What can't be removed is swept at the next start.
                for id in &sealed {
                    drop(self.sealer.vault.remove(id));
                }
                Err(e)
            }
        }
    }

    /// Examines a frame, has its alert sent if it is one, and reads it as a whole: beside that where there are threads
    /// for it, else afterwards.
    fn look(
        &self,
        frame: &OpenFrame,
        cube: &Cube<AnyData<'_>>,
        evidence: BundleId,
        unix_ms: u64,
        follow: &mut dyn Follow,
    ) -> Result<(Products, Option<FrameId>, Hashes), IntakeError> {
        let mut look = || {
            let products = self.examiner.examine(&frame.files.name, cube.clone())?;
            let alert = self.alert(frame, &products, evidence, unix_ms, follow)?;
            Ok::<_, IntakeError>((products, alert))
        };
        if self.sealer.threads > 1 {
            return thread::scope(|scope| {
                let hashes = scope.spawn(|| self.hash(frame));
                let (products, alert) = look()?;
                // A thread that panicked has ended the process.
                let hashes = hashes.join().map_err(|_| IntakeError::Stopping)??;
                Ok((products, alert, hashes))
            });
        }
        let (products, alert) = look()?;
        Ok((products, alert, self.hash(frame)?))
    }

    fn hash(&self, frame: &OpenFrame) -> Result<Hashes, IntakeError> {
        let mut data = Sha256::new();
        let mut reader = DataReader { data: &frame.data, at: 0, stop: self.sealer.stop };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let n = reader.read(&mut chunk).map_err(|e| read_error(self.sealer.stop, &e))?;
            let Some(part) = chunk.get(..n).filter(|part| !part.is_empty()) else { break };
            data.update(part);
        }
        let (header, data): ([u8; 32], [u8; 32]) =
            (Sha256::digest(&frame.header).into(), data.finalize().into());
        Ok(Hashes { header, data })
    }

    /// Makes the alert of a frame known and has it sent, if the frame is one; its key.
    fn alert(
        &self,
        frame: &OpenFrame,
        products: &Products,
        evidence: BundleId,
        unix_ms: u64,
        follow: &mut dyn Follow,
    ) -> Result<Option<FrameId>, IntakeError> {
        if products.class != Class::Alert {
            return Ok(None);
        }
        let key = FrameId::of_verdict(&frame.header, &products.record);
        let (name, report) = (&frame.files.name, &products.triage.report);
        let mut fault = None;
        let mut seal = |number| {
            let sealed = self.sealer.seal_alert(number, unix_ms, name, report, evidence);
            sealed.unwrap_or_else(|e| {
                fault = Some(e);
                None
            })
        };
        let added = self.catalogue.add_alert(key, &mut seal)?;
        if let Some(fault) = fault {
            let text = format!("no alert could be made of frame {name:?}: {fault}");
            self.catalogue.add_event(unix_ms, &Report::error(EventCode::AlertFailed, text))?;
        }
        follow.at(Step::Alerted)?;
        if let Some((record, true)) = added {
            follow.alert(record);
        }
        Ok(Some(key))
    }

    /// Makes the frame and its bundles known.
    fn record(
        &self,
        frame: &OpenFrame,
        source: &Source<'_>,
        alert: Option<FrameId>,
        bundles: Vec<BundleRecord>,
        follow: &mut dyn Follow,
    ) -> Result<Vec<BundleRecord>, IntakeError> {
        let (facts, products) = (&source.facts, source.products);
        let new = NewFrame {
            frame: frame_record(frame, facts, products),
            bundles,
            alert,
            spooled: frame.identities.to_vec(),
            report: accepted(frame, facts, products),
        };
        // The alert knows its evidence now.
        if let Some(alert) = self.catalogue.add_frame(&new)? {
            follow.alert(alert);
        }
        follow.at(Step::Committed)?;
        Ok(new.bundles)
    }

    /// Removes the files of a frame that was accepted, which it is whatever becomes of them: another time then.
    fn clear_after(
        &self,
        frame: &OpenFrame,
        facts: &Facts<'_>,
        follow: &mut dyn Follow,
    ) -> Result<(), IntakeError> {
        match self.clear_spool(&facts.id, &frame.identities, follow) {
            Err(IntakeError::Stopping) => Err(IntakeError::Stopping),
            Err(IntakeError::Later(e) | IntakeError::NoRoom(e) | IntakeError::Malformed(e)) => {
                let text = format!("frame {:?} was taken, but stays in the spool: {e}", frame.files.name);
                // Should that fail too, the next attempt tells.
                let _ =
                    self.catalogue.add_event(facts.unix_ms, &Report::warning(EventCode::SpoolStuck, text));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Removes the frame's own files from the spool.
    fn clear_spool(
        &self,
        id: &FrameId,
        identities: &[crate::store::FileIdentity],
        follow: &mut dyn Follow,
    ) -> Result<(), IntakeError> {
        let later = |what: &str, e| IntakeError::Later(format!("removing {what} from the spool: {e}"));
        for (count, identity) in (1..).zip(identities) {
            self.spool.remove(identity).map_err(|e| later(&format!("{:?}", identity.name), e))?;
            follow.at(Step::Removed(count))?;
        }
        self.spool.sync().map_err(|e| later("a frame", e))?;
        Ok(self.catalogue.spool_cleared(id)?)
    }
}

fn read_error(stop: &AtomicBool, error: &io::Error) -> IntakeError {
    if stop.load(Ordering::Relaxed) {
        IntakeError::Stopping
    } else {
        IntakeError::Later(format!("reading the data: {error}"))
    }
}

impl Examine for Detector<'_> {
    fn examine(&self, name: &str, mut cube: Cube<AnyData<'_>>) -> Result<Products, IntakeError> {
        if let Some(file) = self.calibration {
            let columns = read_calibration(file, cube.header()).map_err(|e| match e.why {
                Why::Unreadable(_) => IntakeError::Later(e.to_string()),
                Why::Unfit => IntakeError::Malformed(e.to_string()),
            })?;
            cube = cube.with_columns(columns);
        }
        triage::examine(name, &cube, self.target, self.params, &mut NoMaps).map_err(|e: ExamineError| {
            if e.is_read_error() {
                IntakeError::Later(e.to_string())
            } else {
                IntakeError::Malformed(e.to_string())
            }
        })
    }
}

/// Whom a frame was taken for, by its header: the field `tasking`, if that is a short plain text.
fn tasking(header: &[u8]) -> String {
    let value = envi::field(&String::from_utf8_lossy(header), "tasking").unwrap_or_default();
    let plain = value.len() <= MAX_TASKING_BYTES && !value.chars().any(char::is_control);
    if plain { value } else { String::new() }
}

fn frame_record(frame: &OpenFrame, facts: &Facts<'_>, products: &Products) -> FrameRecord {
    FrameRecord {
        id: facts.id,
        name: frame.files.name.clone(),
        accepted_unix_ms: facts.unix_ms,
        class: products.class,
        probability: facts.report.probability,
        reason: facts.report.reason.clone(),
        bytes: frame.header.len() as u64 + frame.data.size(),
        tasking: facts.tasking.to_owned(),
    }
}

fn accepted(frame: &OpenFrame, facts: &Facts<'_>, products: &Products) -> Report {
    let mut text = format!(
        "frame {:?} ({} bytes, id {}) is {}: {}",
        frame.files.name,
        frame.header.len() as u64 + frame.data.size(),
        facts.id,
        products.class,
        facts.report.reason
    );
    if let Err(why) = &products.quicklook {
        text.push_str("; without a quicklook: ");
        text.push_str(why);
    }
    Report::info(EventCode::FrameAccepted, text)
}

/// Reads a data file from the start; fails once the daemon stops.
struct DataReader<'a> {
    data: AnyData<'a>,
    at: u64,
    stop: &'a AtomicBool,
}

impl Read for DataReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the daemon stops"));
        }
        let left = usize::try_from(self.data.size() - self.at).unwrap_or(usize::MAX);
        let n = left.min(buf.len()).min(CHUNK_BYTES);
        let Some(part) = buf.get_mut(..n) else { return Ok(0) };
        self.data.read_at(self.at, part)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) | Self::Later(why) | Self::NoRoom(why) => f.write_str(why),
            Self::Stopping => f.write_str("the daemon stops"),
        }
    }
}

#[cfg(test)]
mod tests;
