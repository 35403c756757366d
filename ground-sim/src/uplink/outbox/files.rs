//! What telemetry says of files that go up.

use anyhow::Result;
use passband_proto::dict::{Answer, Reason, Upload as Report, UploadFate, UploadKind};

use super::super::entry::Told;
use super::super::shelf::Shelf;
use super::{Moment, Noticed, Outbox};

/// So often the state of an upload is asked for while telemetry is heard, before it is believed to be gone.
const ASKS: u32 = 6;

impl Outbox {
    /// An answer to none of the orders: whether it is to be acknowledged.
    pub(super) fn answer_of_begin(
        &mut self,
        now: Moment,
        answer: &Answer,
        told: Told,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<bool> {
        let (number, settled) = (answer.number, told.is_final());
        if let Some(upload) = self.uploads.iter_mut().find(|upload| upload.about.begin == number) {
            if upload.sender.begin_check() != answer.check {
                return Ok(false);
            }
            if answer.reason == Reason::NumberTaken {
                self.resync.arrives();
                upload.about.begin = shelf.new_number()?;
                shelf.keep_upload(&upload.about)?;
            } else if settled && upload.about.told.as_ref() != Some(&told) {
                self.resync.arrives();
                if told.is_good() {
                    // What is there already is told at once.
                    upload.sender.hear_begun();
                    self.ask_at_ms = self.ask_at_ms.min(now.steady_ms);
                }
                upload.about.told = Some(told);
                shelf.keep_upload(&upload.about)?;
                noticed.push(Noticed::Upload(upload.about.id));
            }
            return Ok(settled);
        }
        // Settled and forgotten here, or never ours: what is above the last number given here is looked after by the
        // board's word about our key.
        Ok(settled && number <= self.highest_number())
    }

    pub(super) fn report(
        &mut self,
        unix_ms: u64,
        report: &Report,
        data: &[u8],
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.about.id == report.id) else {
            return Ok(());
        };
        if !upload.about.takes_report(unix_ms) {
            return Ok(());
        }
        let before = (upload.progress().there, upload.about.fate());
        upload.asked = 0;
        upload.sender.hear(report, unix_ms);
        let now = upload.progress();
        if (now.there, Some((report.fate, report.reason))) != before {
            upload.about.report = Some((unix_ms, data.to_vec()));
            upload.about.whole = now.whole && is_settled(report);
            shelf.keep_upload(&upload.about)?;
            noticed.push(Noticed::Upload(report.id));
            self.resync.arrives();
        }
        Ok(())
    }

    /// What the board doesn't tell of, however often it is asked, begins anew under another number.
    pub(super) fn miss_uploads(&mut self, shelf: &mut dyn Shelf) -> Result<()> {
        let missed = |upload: &&mut super::Upload| upload.asked >= ASKS && upload.about.is_open();
        for upload in self.uploads.iter_mut().filter(missed) {
            upload.asked = 0;
            let began = upload.about.report.take().is_some() | upload.about.told.take().is_some();
            if began {
                upload.about.begin = shelf.new_number()?;
                shelf.keep_upload(&upload.about)?;
                upload.sender.hear_of_none();
            }
        }
        Ok(())
    }
}

/// Whether nothing more becomes of a file that is whole, unless somebody does something about it.
fn is_settled(report: &Report) -> bool {
    match report.fate {
        UploadFate::Coming => false,
        UploadFate::Waits => report.kind == UploadKind::Image || report.reason != Reason::None,
        UploadFate::Taken | UploadFate::Refused => true,
    }
}
