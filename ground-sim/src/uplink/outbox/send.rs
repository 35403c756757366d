//! Frames: what is sealed for a job, under a counter that is kept as used before.

use anyhow::{Result, anyhow};
use passband_proto::dict::{Order, Wanted};
use passband_proto::packet::{CommandPacket, Mode, next_count};

use super::super::shelf::Shelf;
use super::choose::Job;
use super::{ASK_EVERY_MS, Moment, Outbox};

impl Outbox {
    pub(super) fn carry_out(
        &mut self,
        now: Moment,
        job: Job,
        fresh: &mut dyn FnMut() -> Result<[u8; 8]>,
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u8>> {
        match job {
            Job::Resync => self.send_resync(now, fresh()?),
            Job::Acknowledge => {
                let lowest = self.open_numbers().min();
                let order = self.acknowledge.order(lowest);
                self.acknowledge.sent();
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::AskKeys => {
                self.resync.asked = true;
                let order = Order::TelemetrySend { packet: Wanted::Associations };
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::Ask => {
                self.ask_at_ms = now.steady_ms + ASK_EVERY_MS;
                let heard = self.hears(now);
                self.uploads.iter_mut().for_each(|upload| upload.asked += u32::from(heard));
                let order = Order::TelemetrySend { packet: Wanted::Uploads };
                self.seal(Mode::Run, 0, &order.encode(), shelf)
            }
            Job::Order(number) => self.send_order(now, number, shelf),
            Job::Upload(place) => self.send_piece(place, shelf),
        }
    }

    fn send_order(&mut self, now: Moment, number: u32, shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        self.suspect(now);
        let gone = || anyhow!("order {number} is gone");
        let live = self.orders.get_mut(&number).ok_or_else(gone)?;
        live.entry.sent = live.entry.sent.saturating_add(1);
        live.entry.sent_unix_ms = Some(now.unix_ms);
        live.pace.went(now.steady_ms);
        // That it was sent is known before it is: a kill in between says too much, never too little.
        shelf.keep_order(&live.entry)?;
        let (step, bytes) = (live.entry.step, live.entry.bytes.clone());
        self.seal(step, number, &bytes, shelf)
    }

    fn send_piece(&mut self, place: usize, shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        let upload = self.uploads.get_mut(place).ok_or_else(|| anyhow!("the upload is gone"))?;
        let order = upload.sender.next_order().ok_or_else(|| anyhow!("nothing is missing"))?;
        let number = if matches!(order, Order::UploadBegin { .. }) { upload.about.begin } else { 0 };
        self.seal(Mode::Run, number, &order.encode(), shelf)
    }

    fn send_resync(&mut self, now: Moment, fresh: [u8; 8]) -> Result<Vec<u8>> {
        if let Some(pace) = &mut self.resync.pace {
            pace.went(now.steady_ms);
        }
        let challenge = self.resync.challenge.ok_or_else(|| anyhow!("no challenge was heard"))?;
        Ok(self.sender.resynchronise(challenge, fresh)?)
    }

    /// Seals a command packet under a counter that is kept as used before.
    fn seal(&mut self, mode: Mode, number: u32, order: &[u8], shelf: &mut dyn Shelf) -> Result<Vec<u8>> {
        if let Some(mark) = self.sender.must_persist() {
            shelf.keep_mark(mark)?;
            self.sender.persisted(mark);
        }
        let mut packet = [0; CommandPacket::MAX_BYTES];
        let command = CommandPacket { sequence_count: self.count, mode, number, order };
        let bytes = command.write(&mut packet)?;
        self.count = next_count(self.count);
        Ok(self.sender.seal(&packet[..bytes])?)
    }
}
