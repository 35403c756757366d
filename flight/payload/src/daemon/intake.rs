//! Intake: takes one frame from the spool into the store, atomically.
//!
//! The order makes a kill at any moment harmless: products are sealed aside and put in place, then one
//! transaction makes frame, bundles, alert and event known, then the spool's files go. What a kill
//! leaves behind is either unknown to the catalogue, and swept at the next start, or known to be
//! removed from the spool.

use core::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use passband_proto::alert::{Alert, seal_alert};
use passband_proto::bundle::{SealError, SealOptions, seal_bundle};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::target::Target;
use passband_spectral::triage::{NoMaps, Params};
use sha2::{Digest, Sha256};

use super::drafts::{Content, Draft, Hashes, drafts, new_frame};
use crate::adapters::calibration::{Why, read_calibration};
use crate::adapters::os::random_12;
use crate::adapters::spool::{DataFile, OpenFrame, Spool, parse_header};
use crate::adapters::vault::Vault;
use crate::camera::FrameFiles;
use crate::queue::CUBE;
use crate::store::{AlertRecord, BundleRecord, Catalogue, FrameId, StoreError};
use crate::telemetry::Report;
use crate::triage::{self, ExamineError, Products};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// All that intake works with.
pub(crate) struct Intake<'a> {
    pub(crate) spool: &'a Spool,
    pub(crate) vault: &'a Vault,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) key: &'a EpochKey,
    pub(crate) seal: SealOptions,
    pub(crate) target: &'a Target,
    pub(crate) params: &'a Params,
    /// Header of the calibration of each detector, if there is one.
    pub(crate) calibration: Option<&'a Path>,
    pub(crate) stop: &'a AtomicBool,
}

/// A point between two steps, where a kill may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many bundles are sealed, aside.
    Sealed(usize),
    /// This many bundles are in place.
    Published(usize),
    /// The catalogue knows the frame.
    Committed,
    /// This many of the spool's files are removed.
    Removed(usize),
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is in the store.
    Accepted { class: Class, bundles: Vec<BundleRecord>, alert: Option<AlertRecord> },
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
    /// The daemon stops.
    Stopping,
}

impl From<StoreError> for IntakeError {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Intake<'_> {
    /// Takes a frame; `at` is called between steps, and may end it as a kill would.
    pub(crate) fn take(
        &self,
        files: FrameFiles,
        unix_ms: u64,
        at: &mut dyn FnMut(Step) -> Result<(), IntakeError>,
    ) -> Result<Taken, IntakeError> {
        let frame = self.spool.open_frame(files).map_err(|e| IntakeError::Later(format!("opening: {e}")))?;
        let hashes = self.hash(&frame)?;
        if let Some(known) = self.catalogue.frame(&hashes.frame)? {
            let name = &frame.files.name;
            let text = format!(
                "frame {name:?} is frame {} ({:?}) again; the spool's copy is removed",
                known.id, known.name
            );
            self.catalogue.add_event(unix_ms, &Report::warning("frame-duplicate", text))?;
            self.clear_spool(&hashes.frame, &frame.identities, at)?;
            return Ok(Taken::Duplicate { id: hashes.frame });
        }
        let products = self.examine(&frame)?;
        let drafts = drafts(&frame, &hashes, &products, unix_ms);
        let mut sealed = Vec::new();
        let result = self.seal_and_record(&frame, &hashes, &products, drafts, &mut sealed, unix_ms, at);
        match result {
            Ok((bundles, alert)) => {
                // It is accepted whatever becomes of the spool's copy, which is removed another time then.
                match self.clear_spool(&hashes.frame, &frame.identities, at) {
                    Err(IntakeError::Stopping) => return Err(IntakeError::Stopping),
                    Err(IntakeError::Later(e) | IntakeError::Malformed(e)) => {
                        let text =
                            format!("frame {:?} was taken, but stays in the spool: {e}", frame.files.name);
                        // Should that fail too, the next attempt tells.
                        let _ = self.catalogue.add_event(unix_ms, &Report::warning("spool-stuck", text));
                    }
                    Ok(()) => {}
                }
                Ok(Taken::Accepted { class: products.class, bundles, alert })
            }
            Err(IntakeError::Stopping) => Err(IntakeError::Stopping),
            Err(e) => {
                // A sealing that failed throws its salt away. What can't be removed is swept at the next start.
                for id in &sealed {
                    drop(self.vault.remove(id));
                }
                Err(e)
            }
        }
    }

    fn examine(&self, frame: &OpenFrame) -> Result<Products, IntakeError> {
        let header = parse_header(&frame.header).map_err(IntakeError::Malformed)?;
        let mut cube = Cube::new(header, &frame.data).map_err(|e| IntakeError::Malformed(e.to_string()))?;
        if let Some(file) = self.calibration {
            let columns = read_calibration(file, cube.header()).map_err(|e| match e.why {
                Why::Unreadable(_) => IntakeError::Later(e.to_string()),
                Why::Unfit => IntakeError::Malformed(e.to_string()),
            })?;
            cube = cube.with_columns(columns);
        }
        triage::examine(&frame.files.name, &cube, self.target, self.params, &mut NoMaps).map_err(
            |e: ExamineError| {
                if e.is_read_error() {
                    IntakeError::Later(e.to_string())
                } else {
                    IntakeError::Malformed(e.to_string())
                }
            },
        )
    }

    fn hash(&self, frame: &OpenFrame) -> Result<Hashes, IntakeError> {
        let (mut whole, mut data) = (Sha256::new(), Sha256::new());
        whole.update(&frame.header);
        let mut reader = DataReader { data: &frame.data, at: 0, stop: self.stop };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let n = reader.read(&mut chunk).map_err(|e| self.read_error(&e))?;
            let Some(part) = chunk.get(..n).filter(|part| !part.is_empty()) else { break };
            whole.update(part);
            data.update(part);
        }
        let mut id = [0; 12];
        id.iter_mut().zip(whole.finalize()).for_each(|(to, from)| *to = from);
        Ok(Hashes {
            frame: FrameId(id),
            header: Sha256::digest(&frame.header).into(),
            data: data.finalize().into(),
        })
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `take`, split off to be read alone")]
    fn seal_and_record(
        &self,
        frame: &OpenFrame,
        hashes: &Hashes,
        products: &Products,
        drafts: [Draft; 2],
        sealed: &mut Vec<BundleId>,
        unix_ms: u64,
        at: &mut dyn FnMut(Step) -> Result<(), IntakeError>,
    ) -> Result<(Vec<BundleRecord>, Option<AlertRecord>), IntakeError> {
        let mut bundles = Vec::new();
        for draft in drafts {
            let id = BundleId(random_12().map_err(|e| IntakeError::Later(format!("random source: {e}")))?);
            sealed.push(id);
            bundles.push(self.seal_one(frame, hashes, draft, id, at)?);
            at(Step::Published(bundles.len()))?;
        }
        let evidence = bundles.first().map(|b| b.id);
        let name = &frame.files.name;
        let report = &products.triage.report;
        let mut fault = None;
        let mut seal = |number| match self.seal_alert(number, unix_ms, name, report, evidence) {
            Ok(sealed) => sealed,
            Err(e) => {
                fault = Some(e);
                None
            }
        };
        let new = new_frame(frame, hashes, products, &bundles, unix_ms);
        let wants_alert = products.class == Class::Alert;
        // From here on the catalogue may know them, even if it says that it failed.
        sealed.clear();
        let alert = self.catalogue.add_frame(&new, if wants_alert { Some(&mut seal) } else { None })?;
        if let Some(fault) = fault {
            let text = format!("no alert could be made of frame {name:?}: {fault}");
            self.catalogue.add_event(unix_ms, &Report::error("alert-failed", text))?;
        }
        at(Step::Committed)?;
        Ok((bundles, alert))
    }

    fn seal_one(
        &self,
        frame: &OpenFrame,
        hashes: &Hashes,
        draft: Draft,
        id: BundleId,
        at: &mut dyn FnMut(Step) -> Result<(), IntakeError>,
    ) -> Result<BundleRecord, IntakeError> {
        let mut file = self.vault.create(&id)?;
        let content: &mut dyn Read = match &draft.content {
            Content::Memory(bytes) => &mut bytes.as_slice(),
            Content::Frame => {
                &mut frame.header.as_slice().chain(DataReader { data: &frame.data, at: 0, stop: self.stop })
            }
        };
        let geometry =
            seal_bundle(self.key, id, &draft.manifest, &draft.preview, content, &mut file, &self.seal)
                .map_err(|e| self.seal_error(e))?;
        let nth = usize::from(draft.manifest.product == CUBE) + 1;
        at(Step::Sealed(nth))?;
        self.vault.publish(&id, &file)?;
        Ok(BundleRecord {
            id,
            frame: hashes.frame,
            frame_name: frame.files.name.clone(),
            product: draft.manifest.product,
            name: draft.manifest.name,
            class: draft.manifest.class,
            created_unix_ms: draft.manifest.created_unix_ms,
            spacecraft: self.key.spacecraft(),
            epoch: self.key.epoch(),
            geometry,
        })
    }

    fn seal_alert(
        &self,
        number: u32,
        unix_ms: u64,
        name: &str,
        report: &passband_spectral::triage::Report,
        evidence: Option<BundleId>,
    ) -> Result<Option<(Alert, Vec<u8>)>, String> {
        let Some(alert) = triage::alert(number, unix_ms, name, report, evidence) else { return Ok(None) };
        let nonce = random_12().map_err(|e| format!("random source: {e}"))?;
        let sealed = seal_alert(self.key, nonce, &alert).map_err(|e| e.to_string())?;
        Ok(Some((alert, sealed.to_vec())))
    }

    /// Removes the frame's own files from the spool.
    pub(crate) fn clear_spool(
        &self,
        id: &FrameId,
        identities: &[crate::store::FileIdentity],
        at: &mut dyn FnMut(Step) -> Result<(), IntakeError>,
    ) -> Result<(), IntakeError> {
        for (count, identity) in (1..).zip(identities) {
            let name = &identity.name;
            self.spool
                .remove(identity)
                .map_err(|e| IntakeError::Later(format!("removing {name:?} from the spool: {e}")))?;
            at(Step::Removed(count))?;
        }
        Ok(self.catalogue.spool_cleared(id)?)
    }

    fn seal_error(&self, error: SealError) -> IntakeError {
        match error {
            SealError::Read(e) => self.read_error(&e),
            SealError::Manifest(_) | SealError::ManifestTooLong | SealError::Geometry(_) => {
                IntakeError::Malformed(error.to_string())
            }
            // Content that changed while it was read is looked at again; so is a full disk.
            SealError::Preview | SealError::Content { .. } | SealError::Write(_) => {
                IntakeError::Later(error.to_string())
            }
        }
    }

    fn read_error(&self, error: &io::Error) -> IntakeError {
        if self.stop.load(Ordering::Relaxed) {
            IntakeError::Stopping
        } else {
            IntakeError::Later(format!("reading the data: {error}"))
        }
    }
}

/// Reads a data file from the start; fails once the daemon stops.
struct DataReader<'a> {
    data: &'a DataFile,
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
            Self::Malformed(why) | Self::Later(why) => f.write_str(why),
            Self::Stopping => f.write_str("the daemon stops"),
        }
    }
}

#[cfg(test)]
mod tests;
