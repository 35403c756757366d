//! Sealing: the bundles of a frame, aside and then in place.

use std::io::Read;
use std::sync::atomic::Ordering;

use passband_proto::alert::seal_alert;
use passband_proto::bundle::{FileEntry, Manifest, SealError, seal_bundle};
use passband_proto::ids::{BundleId, Class};
use passband_spectral::cube::Cube;

use super::{DataReader, Follow, Hashes, Intake, IntakeError, Step};
use crate::adapters::os::random_12;
use crate::adapters::spool::{DataFile, OpenFrame};
use crate::products::{
    Facts, Kind, Part, Planned, cube_draft, evidence_draft, manifest, plan, quicklook_draft,
};
use crate::store::BundleRecord;
use crate::triage::{self, Products};

/// Room asked for besides the data: heads and seals, bytes a bundle.
const HEAD_ROOM_BYTES: u64 = 8 << 10;
/// Room asked for what is made of a frame besides cubes, bytes.
const EVIDENCE_ROOM_BYTES: u64 = 512 << 10;

/// A frame, its digests, and its data as a cube.
type Source<'s> = (&'s OpenFrame, &'s Hashes, &'s Cube<&'s DataFile>);

impl Intake<'_> {
    /// Seals what is made of a frame and puts it in place; the ids of what was begun stand in `sealed`.
    pub(super) fn seal_all(
        &self,
        source: Source<'_>,
        facts: &Facts<'_>,
        products: &Products,
        sealed: &mut Vec<BundleId>,
        follow: &mut dyn Follow,
    ) -> Result<Vec<BundleRecord>, IntakeError> {
        let header = source.2.header();
        let planned = plan(header, products.class, facts.report, self.rules);
        follow.make_room(room_for(&planned, header), products.class)?;
        let mut records = Vec::new();
        let mut buffer = Vec::new();
        for one in &planned {
            let id = BundleId(random_12().map_err(|e| IntakeError::Later(format!("random source: {e}")))?);
            sealed.push(id);
            records.push(self.seal_one(source, facts, products, one, id, &mut buffer)?);
            follow.at(Step::Sealed(records.len()))?;
        }
        self.vault.publish(sealed)?;
        follow.at(Step::Published)?;
        Ok(records)
    }

    fn seal_one(
        &self,
        source: Source<'_>,
        facts: &Facts<'_>,
        products: &Products,
        planned: &Planned,
        id: BundleId,
        buffer: &mut Vec<u8>,
    ) -> Result<BundleRecord, IntakeError> {
        let Planned { kind, class, part } = planned;
        let draft = match (kind, part) {
            (Kind::Quicklook, _) => quicklook_draft(facts, *class, products),
            (Kind::Evidence, _) => evidence_draft(facts, *class, products),
            (_, Some(part)) => {
                let mut draft = self.cut(source, facts, (*kind, *class), part, std::mem::take(buffer))?;
                let record = self.seal(id, &draft.manifest, &[], &mut draft.content(), planned, facts);
                // The largest of its files is the buffer of the next.
                *buffer = draft.files.pop().map_or_else(Vec::new, |file| file.bytes);
                return record;
            }
            (_, None) => return self.seal_whole(source, facts, planned, id),
        };
        self.seal(id, &draft.manifest, &draft.preview, &mut draft.content(), planned, facts)
    }

    /// The draft of a part of the cube; `buffer` is used for its bytes.
    fn cut(
        &self,
        (frame, _, cube): Source<'_>,
        facts: &Facts<'_>,
        what: (Kind, Class),
        part: &Part,
        mut buffer: Vec<u8>,
    ) -> Result<crate::products::Draft, IntakeError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(IntakeError::Stopping);
        }
        let later = |e: &dyn core::fmt::Display| IntakeError::Later(format!("reading the data: {e}"));
        cube.cut(&part.cut, &mut buffer).map_err(|e| later(&e))?;
        let header = cube.header();
        let mut lead = Vec::new();
        if what.0 == Kind::Cube && part.number == 1 && header.header_offset > 0 {
            // A frame with more before its data isn't cut.
            lead.resize(usize::try_from(header.header_offset).unwrap_or_default(), 0);
            passband_spectral::cube::ReadAt::read_at(&frame.data, 0, &mut lead).map_err(|e| later(&e))?;
        }
        cube_draft(facts, what, (&frame.header, header), (part, &lead), buffer)
            .map_err(|e| IntakeError::Malformed(e.to_string()))
    }

    /// Seals a frame that isn't cut: its files as they came.
    fn seal_whole(
        &self,
        (frame, hashes, cube): Source<'_>,
        facts: &Facts<'_>,
        planned: &Planned,
        id: BundleId,
    ) -> Result<BundleRecord, IntakeError> {
        let mut manifest = manifest(facts, planned.kind, planned.class, None);
        let mut label = |name: &str, value: &str| manifest.labels.push((name.to_owned(), value.to_owned()));
        label("part", "1/1");
        label("lines", &format!("0..{}", cube.header().lines));
        label("interleave", cube.header().interleave.name());
        label("data-file", &frame.files.data);
        let (header, data) = (&frame.files.header, &frame.files.data);
        manifest.files = vec![
            FileEntry { name: header.clone(), bytes: frame.header.len() as u64, sha256: hashes.header },
            FileEntry { name: data.clone(), bytes: cube.header().data_bytes(), sha256: hashes.data },
        ];
        let reader = DataReader { data: &frame.data, at: 0, stop: self.stop };
        self.seal(id, &manifest, &[], &mut frame.header.as_slice().chain(reader), planned, facts)
    }

    /// Seals a bundle aside, durably.
    fn seal(
        &self,
        id: BundleId,
        manifest: &Manifest,
        preview: &[u8],
        content: &mut dyn Read,
        planned: &Planned,
        facts: &Facts<'_>,
    ) -> Result<BundleRecord, IntakeError> {
        let mut file = self.vault.create(&id)?;
        let geometry = seal_bundle(self.key, id, manifest, preview, content, &mut file, &self.seal)
            .map_err(|e| self.seal_error(e))?;
        let sha256 = file.finish().map_err(|e| IntakeError::Later(format!("syncing a bundle: {e}")))?;
        Ok(BundleRecord {
            id,
            frame: Some(facts.id),
            frame_name: facts.files.name.clone(),
            kind: planned.kind,
            name: manifest.name.clone(),
            class: manifest.class,
            tasking: facts.tasking.to_owned(),
            created_unix_ms: manifest.created_unix_ms,
            spacecraft: self.key.spacecraft(),
            epoch: self.key.epoch(),
            geometry,
            sha256,
        })
    }

    /// Seals the alert of a frame; `None` if nothing was detected.
    pub(super) fn seal_alert(
        &self,
        number: u32,
        facts: &Facts<'_>,
        evidence: Option<BundleId>,
    ) -> Result<Option<Vec<u8>>, String> {
        let alert = triage::alert(number, facts.unix_ms, &facts.files.name, facts.report, evidence);
        let Some(alert) = alert else { return Ok(None) };
        let nonce = random_12().map_err(|e| format!("random source: {e}"))?;
        let sealed = seal_alert(self.key, nonce, &alert).map_err(|e| e.to_string())?;
        Ok(Some(sealed.to_vec()))
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
