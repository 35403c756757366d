//! Sealing: the bundles of a frame, aside and then in place.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use passband_proto::alert::{Alert, seal_alert};
use passband_proto::bundle::{FileEntry, Manifest, SealError, SealOptions, seal_bundle};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use passband_spectral::cube::{Cube, ReadAt};
use passband_spectral::triage::Report;

use super::{DataReader, Follow, IntakeError, Step, read_error};
use crate::adapters::os::random_12;
use crate::adapters::vault::Vault;
use crate::ordered;
use crate::products::{
    Draft, Facts, Kind, Part, Planned, cube_draft, evidence_draft, manifest, quicklook_draft,
};
use crate::store::BundleRecord;
use crate::triage::{self, Products};

/// Room asked for besides the data: heads and seals, bytes a bundle.
const HEAD_ROOM_BYTES: u64 = 8 << 10;
/// Room asked for what is made of a frame besides cubes, bytes.
const EVIDENCE_ROOM_BYTES: u64 = 512 << 10;

/// Any data that can be read as a cube.
pub(crate) type AnyData<'a> = &'a (dyn ReadAt + Sync);

/// Seals bundles into the vault.
pub(crate) struct Sealer<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) key: &'a EpochKey,
    pub(crate) options: SealOptions,
    /// Bundles that are sealed at the same time.
    pub(crate) threads: usize,
    pub(crate) stop: &'a AtomicBool,
}

/// A frame to make products of.
pub(crate) struct Source<'a> {
    /// The header as it came.
    pub(crate) header_text: &'a [u8],
    pub(crate) cube: &'a Cube<AnyData<'a>>,
    /// Digests of its files; `None`: the frame as a whole isn't to be sealed.
    pub(crate) hashes: Option<&'a Hashes>,
    pub(crate) facts: Facts<'a>,
    pub(crate) products: &'a Products,
}

/// Digests of a frame's files.
pub(crate) struct Hashes {
    pub(crate) header: [u8; 32],
    pub(crate) data: [u8; 32],
}

impl Sealer<'_> {
    /// Seals what is planned of a frame and puts it in place; the ids of what was begun stand in `sealed`. `evidence` is
    /// the id that was drawn for the evidence.
    pub(super) fn seal_all(
        &self,
        source: &Source<'_>,
        planned: &[Planned],
        evidence: BundleId,
        sealed: &mut Vec<BundleId>,
        follow: &mut dyn Follow,
    ) -> Result<Vec<BundleRecord>, IntakeError> {
        follow.make_room(room_for(planned, source.cube.header()), source.products.class)?;
        for one in planned {
            sealed.push(if one.kind == Kind::Evidence { evidence } else { random_id()? });
        }
        let records = if self.threads > 1 {
            self.seal_side_by_side(source, planned, sealed)?
        } else {
            let mut buffer = Vec::new();
            let mut records = Vec::new();
            for (one, id) in planned.iter().zip(&*sealed) {
                records.push(self.seal_one(source, one, *id, &mut buffer)?);
                follow.at(Step::Sealed(records.len()))?;
            }
            records
        };
        self.vault.publish(sealed)?;
        follow.at(Step::Published)?;
        Ok(records)
    }

    /// Seals bundles in several threads; what one of them fails with ends all.
    fn seal_side_by_side(
        &self,
        source: &Source<'_>,
        planned: &[Planned],
        ids: &[BundleId],
    ) -> Result<Vec<BundleRecord>, IntakeError> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            let (mut buffer, mut done) = (Vec::new(), Vec::new());
            while !failed.load(Ordering::Relaxed) {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                let (Some(one), Some(id)) = (planned.get(nth), ids.get(nth)) else { break };
                let sealed = self.seal_one(source, one, *id, &mut buffer);
                failed.fetch_or(sealed.is_err(), Ordering::Relaxed);
                done.push((nth, sealed));
            }
            done
        };
        let mut all = thread::scope(|scope| {
            let workers: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            // A thread that panicked has ended the process.
            all.extend(workers.into_iter().filter_map(|worker| worker.join().ok()).flatten());
            all
        });
        ordered::sort_by_key(&mut all, |(nth, _)| *nth);
        all.into_iter().map(|(_, sealed)| sealed).collect()
    }

    /// Seals one bundle aside, durably. `buffer` is used for the data of a cut.
    pub(crate) fn seal_one(
        &self,
        source: &Source<'_>,
        planned: &Planned,
        id: BundleId,
        buffer: &mut Vec<u8>,
    ) -> Result<BundleRecord, IntakeError> {
        let (facts, class) = (&source.facts, planned.class);
        let draft = match (planned.kind, &planned.part) {
            (Kind::Quicklook, _) => quicklook_draft(facts, class, source.products),
            (Kind::Evidence, _) => evidence_draft(facts, class, source.products),
            (kind, Some(part)) => {
                let mut draft = self.cut(source, (kind, class), part, std::mem::take(buffer))?;
                let what = (&draft.manifest, &[][..], true);
                let record = self.seal(id, what, &mut draft.content(), planned.kind, Some(facts));
                // The largest of its files is the buffer of the next.
                *buffer = draft.files.pop().map_or_else(Vec::new, |file| file.bytes);
                return record;
            }
            (_, None) => return self.seal_whole(source, planned, id),
        };
        let what = (&draft.manifest, draft.preview.as_slice(), true);
        self.seal(id, what, &mut draft.content(), planned.kind, Some(facts))
    }

    /// The draft of a part of the cube; `buffer` is used for its bytes.
    fn cut(
        &self,
        source: &Source<'_>,
        what: (Kind, Class),
        part: &Part,
        mut buffer: Vec<u8>,
    ) -> Result<Draft, IntakeError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(IntakeError::Stopping);
        }
        let later = |e: &dyn core::fmt::Display| IntakeError::Later(format!("reading the data: {e}"));
        source.cube.cut(&part.cut, &mut buffer).map_err(|e| later(&e))?;
        let header = source.cube.header();
        let mut lead = Vec::new();
        if what.0 == Kind::Cube && part.number == 1 && header.header_offset > 0 {
            // A frame with more before its data isn't cut.
            lead.resize(usize::try_from(header.header_offset).unwrap_or_default(), 0);
            source.cube.data().read_at(0, &mut lead).map_err(|e| later(&e))?;
        }
        cube_draft(&source.facts, what, (source.header_text, header), (part, &lead), buffer)
            .map_err(|e| IntakeError::Malformed(e.to_string()))
    }

    /// Seals a frame that isn't cut: its files as they came.
    fn seal_whole(
        &self,
        source: &Source<'_>,
        planned: &Planned,
        id: BundleId,
    ) -> Result<BundleRecord, IntakeError> {
        let unknown = || IntakeError::Later("the digests of the frame are not known".to_owned());
        let hashes = source.hashes.ok_or_else(unknown)?;
        let (facts, header) = (&source.facts, source.cube.header());
        let mut manifest = manifest(facts, planned.kind, planned.class, None);
        let mut label = |name: &str, value: &str| manifest.labels.push((name.to_owned(), value.to_owned()));
        label("part", "1/1");
        label("lines", &format!("0..{}", header.lines));
        label("interleave", header.interleave.name());
        label("data-file", &facts.files.data);
        let entry = |name: &String, bytes, sha256| FileEntry { name: name.clone(), bytes, sha256 };
        manifest.files = vec![
            entry(&facts.files.header, source.header_text.len() as u64, hashes.header),
            entry(&facts.files.data, header.data_bytes(), hashes.data),
        ];
        let reader = DataReader { data: *source.cube.data(), at: 0, stop: self.stop };
        self.seal(
            id,
            (&manifest, &[], false),
            &mut source.header_text.chain(reader),
            planned.kind,
            Some(facts),
        )
    }

    /// Seals a bundle aside, durably: its manifest, its preview, and whether the manifest's digests were taken just
    /// now. `facts` are those of its frame, if it is of one.
    pub(crate) fn seal(
        &self,
        id: BundleId,
        (manifest, preview, digests_are_fresh): (&Manifest, &[u8], bool),
        content: &mut dyn Read,
        kind: Kind,
        facts: Option<&Facts<'_>>,
    ) -> Result<BundleRecord, IntakeError> {
        let mut file = self.vault.create(&id)?;
        let options = SealOptions { digests_are_fresh, ..self.options };
        let geometry = seal_bundle(self.key, id, manifest, preview, content, &mut file, &options)
            .map_err(|e| self.seal_error(e))?;
        let sha256 = file.finish().map_err(|e| IntakeError::Later(format!("syncing a bundle: {e}")))?;
        Ok(BundleRecord {
            id,
            frame: facts.map(|facts| facts.id),
            frame_name: facts.map_or_else(String::new, |facts| facts.files.name.clone()),
            kind,
            name: manifest.name.clone(),
            class: manifest.class,
            tasking: facts.map_or_else(String::new, |facts| facts.tasking.to_owned()),
            created_unix_ms: manifest.created_unix_ms,
            spacecraft: self.key.spacecraft(),
            epoch: self.key.epoch(),
            geometry,
            sha256: Some(sha256),
        })
    }

    /// Makes and seals the alert of a frame; `None` if nothing was detected.
    pub(super) fn seal_alert(
        &self,
        number: u32,
        unix_ms: u64,
        frame: &str,
        report: &Report,
        evidence: BundleId,
    ) -> Result<Option<(Alert, Vec<u8>)>, String> {
        let alert = triage::alert(number, unix_ms, frame, report, Some(evidence));
        let Some(alert) = alert else { return Ok(None) };
        let nonce = random_12().map_err(|e| format!("random source: {e}"))?;
        let sealed = seal_alert(self.key, nonce, &alert).map_err(|e| e.to_string())?;
        Ok(Some((alert, sealed.to_vec())))
    }

    fn seal_error(&self, error: SealError) -> IntakeError {
        match error {
            SealError::Read(e) => read_error(self.stop, &e),
            SealError::Manifest(_) | SealError::ManifestTooLong | SealError::Geometry(_) => {
                IntakeError::Malformed(error.to_string())
            }
            // Content that changed while it was read is looked at again; so is a full disk.
            SealError::Preview | SealError::Content { .. } | SealError::Write(_) => {
                IntakeError::Later(error.to_string())
            }
        }
    }
}

/// A fresh id.
pub(crate) fn random_id() -> Result<BundleId, IntakeError> {
    random_12().map(BundleId).map_err(|e| IntakeError::Later(format!("random source: {e}")))
}

/// What the bundles take on disk, bytes, a little more rather than less.
fn room_for(planned: &[Planned], header: &passband_spectral::envi::Header) -> u64 {
    let data = planned.iter().map(|one| match (&one.part, one.kind) {
        (Some(part), _) => part.cut.bytes(header).unwrap_or_default() as u64,
        (None, Kind::Cube) => header.data_bytes(),
        (None, _) => 0,
    });
    data.fold(EVIDENCE_ROOM_BYTES, |sum, bytes| sum.saturating_add(bytes).saturating_add(HEAD_ROOM_BYTES))
}
