//! Uploads as a start finds them.

use std::io;

use passband_proto::dict::{EventCode, Reason};
use sha2::{Digest, Sha256};

use super::about::{About, UploadId};
use super::entry::{Entry, Stage};
use super::scan::scan;
use super::{Content, Counts, Parts, Piece, UploadError, Uploads};
use crate::ordered;
use crate::telemetry::Report;

/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 64 << 10;

impl<P: Parts> Uploads<P> {
    /// Looks at what is kept, every piece against its CRC, and what there is to be told of it. All uploads together may
    /// take `most_bytes`. What can't be read at all is left as it is, for another start.
    ///
    /// # Errors
    /// What is kept can't be listed.
    pub fn open(mut parts: P, most_bytes: u64) -> Result<(Self, Vec<Report>), UploadError> {
        let kept = parts.list().map_err(UploadError::Disk)?;
        let mut out = Self { parts, most_bytes, entries: Vec::new(), counts: Counts::default() };
        let mut reports = Vec::new();
        for (id, about, content) in kept {
            if let Err(why) = out.take_up(id, &about, content) {
                let [a, b, c, d] = id;
                let text = format!("upload {a:02x}{b:02x}{c:02x}{d:02x}: {why}");
                reports.push(Report::error(EventCode::UploadFailed, text));
            }
        }
        ordered::sort_by_key(&mut out.entries, |entry| entry.about.number);
        reports.extend(out.prove_all());
        Ok((out, reports))
    }

    /// Takes up what was kept of an upload; in words why not.
    fn take_up(&mut self, id: UploadId, about: &[u8], content: Content) -> Result<(), String> {
        let told = |e: io::Error| format!("it can't be taken up: {e}");
        let about = About::decode(about).filter(|about| about.id == id);
        let stage = match (&about, content) {
            (Some(_), Content::Gone) => Some(Stage::Taken),
            (Some(about), Content::Part) => Some(Stage::Receiving(scan(&mut self.parts, about).pieces)),
            (Some(about), Content::Whole) if self.is_whole(about).map_err(told)? => {
                Some(Stage::Whole(self.parts.finish(id, about.size.into()).map_err(told)?, Reason::None))
            }
            (None, _) | (Some(_), Content::Whole) => None,
        };
        if let (Some(about), Some(stage)) = (about, stage) {
            self.entries.push(Entry { about, stage });
            return Ok(());
        }
        let removed = self.parts.remove(id);
        Err(format!(
            "it is damaged on the disk and dropped{}",
            removed.map_or_else(|e| format!(": {e}"), |()| String::new())
        ))
    }

    fn is_whole(&mut self, about: &About) -> io::Result<bool> {
        let (mut hash, mut at, size) = (Sha256::new(), 0, u64::from(about.size));
        let mut buffer = Vec::new();
        while at < size {
            buffer.resize(usize::try_from(CHUNK_BYTES.min(size - at)).unwrap_or_default(), 0);
            self.parts.read(about.id, at, &mut buffer)?;
            hash.update(&buffer);
            at = at.saturating_add(CHUNK_BYTES);
        }
        Ok(about.sha256 == *hash.finalize())
    }

    /// Power went before what was whole was proved.
    fn prove_all(&mut self) -> Vec<Report> {
        let all_there =
            |entry: &&Entry| matches!(&entry.stage, Stage::Receiving(pieces) if pieces.missing() == 0);
        let ids: Vec<_> = self.entries.iter().filter(all_there).map(|entry| entry.about.id).collect();
        let mut reports = Vec::new();
        for id in ids {
            match self.prove(id) {
                Ok(Piece::Spoilt(report)) => reports.push(report),
                Ok(Piece::Kept | Piece::Repeated | Piece::Complete(_)) => {}
                Err(e) => reports.push(Report::error(EventCode::UploadFailed, e.to_string())),
            }
        }
        reports
    }
}
