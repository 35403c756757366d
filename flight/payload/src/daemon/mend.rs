//! Mending: a stored bundle that is damaged is made anew from its source.
//!
//! The source of what is made *of* a frame (quicklook, evidence, region) is the frame, as the bundles of its cube hold
//! it. A damaged part of the cube itself has no source on board any more. Nothing is ever dropped here that wasn't
//! replaced: what can't be made anew stays as it is.

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_spectral::cube::Cube;

use super::intake::{AnyData, Examine, IntakeError, Sealer, Source, random_id};
use crate::adapters::sealed::{OpenFault, SealedBundle, SealedFrame, forget_cached};
use crate::camera::FrameFiles;
use crate::products::{Facts, Kind, Rules, plan};
use crate::store::{BundleRecord, Catalogue, FrameId, StoreError};
use crate::telemetry::Report;

/// All that mending works with.
pub(crate) struct Mender<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) sealer: Sealer<'a>,
    pub(crate) keys: &'a KeyRing,
    pub(crate) rules: &'a Rules,
    pub(crate) examiner: &'a dyn Examine,
}

/// What became of a damaged bundle.
#[derive(Debug)]
pub(crate) enum Mended {
    /// This one stands for it now; an event has told so.
    Anew(Box<BundleRecord>),
    /// It never can be made anew, and why. Nothing has changed.
    Never(String),
}

/// Whether there may be something on board that a bundle could be made of anew.
pub(crate) fn has_source(record: &BundleRecord) -> bool {
    record.frame.is_some() && matches!(record.kind, Kind::Quicklook | Kind::Evidence | Kind::Region)
}

impl Mender<'_> {
    /// Puts another in the place of a damaged bundle, if one can be made.
    ///
    /// # Errors
    /// The store failed, something can't be read, a key is missing, or the daemon stops: it may be another time.
    pub(crate) fn mend(&self, damaged: &BundleRecord, unix_ms: u64) -> Result<Mended, IntakeError> {
        let what = format!("bundle {} ({:?}, {})", damaged.id, damaged.name, damaged.class);
        match self.seal_anew(damaged) {
            Ok(new) => {
                let text =
                    format!("{what} was damaged on disk; made anew from its frame as bundle {}", new.id);
                self.catalogue.replace_bundle(
                    &damaged.id,
                    &new,
                    unix_ms,
                    &Report::warning(EventCode::BundleResealed, text),
                )?;
                self.remove(&damaged.id);
                Ok(Mended::Anew(Box::new(new)))
            }
            Err(Failed::For(why)) => Ok(Mended::Never(why)),
            Err(Failed::Now(e)) => Err(e),
        }
    }

    /// What can't be removed is swept at the next start.
    fn remove(&self, id: &BundleId) {
        drop(self.sealer.vault.remove(id));
    }

    fn seal_anew(&self, damaged: &BundleRecord) -> Result<BundleRecord, Failed> {
        let Some(frame) = damaged.frame.filter(|_| has_source(damaged)) else {
            return Err(Failed::For("there is nothing on board that it could be made of".to_owned()));
        };
        let records = self.cube_of(frame)?;
        let source = self.open(&records)?;
        let (header_text, header) = source.header();
        let data: AnyData<'_> = &source;
        let cube = Cube::new(header.clone(), data).map_err(|e| Failed::For(e.to_string()))?;
        let products = self.examiner.examine(&damaged.frame_name, cube.clone()).map_err(Failed::of)?;
        let report = &products.triage.report;
        let planned = plan(header, products.class, report, self.rules);
        let files = FrameFiles {
            name: damaged.frame_name.clone(),
            header: source.header_name().to_owned(),
            data: source.data_name().to_owned(),
        };
        let facts = Facts {
            files: &files,
            id: frame,
            tasking: &damaged.tasking,
            report,
            unix_ms: damaged.created_unix_ms,
        };
        let title = |part: Option<&_>| crate::products::title(&damaged.frame_name, damaged.kind, part);
        let found = planned
            .into_iter()
            .find(|one| one.kind == damaged.kind && title(one.part.as_ref()) == damaged.name);
        let mut planned =
            found.ok_or_else(|| Failed::For("by today's configuration it isn't made".to_owned()))?;
        // What an operator or another configuration made of it counts.
        planned.class = damaged.class;
        let source = Source { header_text, cube: &cube, hashes: None, facts, products: &products };
        self.seal(&source, &planned)
    }

    fn seal(&self, source: &Source<'_>, planned: &crate::products::Planned) -> Result<BundleRecord, Failed> {
        let id = random_id().map_err(Failed::of)?;
        let sealed = self.sealer.seal_one(source, planned, id, &mut Vec::new());
        let placed = sealed.and_then(|record| {
            self.sealer.vault.publish(&[id])?;
            Ok(record)
        });
        placed.map_err(|e| {
            self.remove(&id);
            Failed::of(e)
        })
    }

    /// The bundles of a frame's cube, none of which was found to be damaged.
    fn cube_of(&self, frame: FrameId) -> Result<Vec<BundleRecord>, Failed> {
        let now = |e: StoreError| Failed::Now(e.into());
        let mut records = self.catalogue.bundles().map_err(now)?;
        records.retain(|record| record.frame == Some(frame) && record.kind == Kind::Cube);
        for record in &records {
            if self.catalogue.damage(&record.id).map_err(now)?.is_some() {
                return Err(Failed::For(format!("bundle {} ({:?}) is damaged, too", record.id, record.name)));
            }
        }
        Ok(records)
    }

    /// Puts the frame together again. What looks damaged is looked at twice: memory may be wrong, too.
    fn open<'s>(&'s self, records: &'s [BundleRecord]) -> Result<SealedFrame<'s>, Failed> {
        self.open_once(records).or_else(|failed| {
            if let Failed::Now(_) = failed {
                return Err(failed);
            }
            records.iter().for_each(|record| forget_cached(self.sealer.vault, &record.id));
            self.open_once(records)
        })
    }

    fn open_once<'s>(&'s self, records: &'s [BundleRecord]) -> Result<SealedFrame<'s>, Failed> {
        let open = |record: &'s BundleRecord| {
            let key = self.keys.get(record.spacecraft, record.epoch).ok_or_else(|| {
                Failed::Now(IntakeError::Later(format!("there is no key of epoch {}", record.epoch)))
            })?;
            Ok(SealedBundle::open(self.sealer.vault, key, record)?)
        };
        let bundles: Result<_, Failed> = records.iter().map(open).collect();
        Ok(SealedFrame::new(bundles?)?)
    }
}

/// Why a bundle was not made anew.
enum Failed {
    /// It never can be.
    For(String),
    /// It may be another time.
    Now(IntakeError),
}

impl Failed {
    /// A fault of the frame is for good: its blocks are damaged, too, or it isn't what it was.
    fn of(error: IntakeError) -> Self {
        match error {
            IntakeError::Malformed(why) => Self::For(why),
            IntakeError::Later(_) | IntakeError::NoRoom(_) | IntakeError::Stopping => Self::Now(error),
        }
    }
}

impl From<OpenFault> for Failed {
    fn from(fault: OpenFault) -> Self {
        match fault {
            OpenFault::Damaged(why) => Self::For(why),
            OpenFault::Unreadable(why) => Self::Now(IntakeError::Later(why)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
