//! What telemetry says of our key: its counters and numbers, and whether the board holds it at all.

use anyhow::Result;
use passband_proto::dict::{Association, Event, EventCode, KeyState};
use passband_proto::sdls::WINDOW;

use super::super::shelf::Shelf;
use super::pace::Pace;
use super::{Moment, Noticed, Outbox};

/// Which spacecraft are heard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpacecraftHeard {
    /// Whether a beacon of ours was.
    pub(super) ours: bool,
    /// Whether it was said that another one is.
    other_told: bool,
}

impl Outbox {
    /// A new challenge is answered at once if the counters are apart: what was sent under the one before is refused.
    pub(super) fn challenge(&mut self, now: Moment, challenge: [u8; 8]) {
        let challenge = Some(challenge).filter(|challenge| *challenge != [0; 8]);
        if challenge != self.resync.challenge {
            self.resync.challenge = challenge;
            self.resync.pace = self.resync.pace.map(|_| Pace::at(now.steady_ms));
        }
    }

    /// The board's word that it refused a frame that names our association, for what doesn't mend by itself: once, until
    /// something arrives. Anybody can send such a frame: while nothing of ours is unanswered it says nothing.
    pub(super) fn refuses(&mut self, event: &Event) -> Option<Noticed> {
        let text = event.text.0.as_str();
        // A frame names the spacecraft by its last ten bits alone.
        let ours = format!("for another spacecraft, SCID {}", self.spacecraft & 0x3FF);
        if event.code == EventCode::UplinkRefused && text.ends_with(&ours) {
            return self.other_spacecraft(None);
        }
        let (_, why) = text.split_once(&format!("SPI {}: ", self.spi))?;
        let for_good = why.starts_with("no key is known") || why.starts_with("the tag doesn't hold");
        if event.code != EventCode::UplinkRefused
            || !for_good
            || !self.resync.waits()
            || std::mem::replace(&mut self.resync.refusal_told, true)
        {
            return None;
        }
        Some(Noticed::Refuses(why.to_owned()))
    }

    /// Another spacecraft is heard than that of our key, whose orders nobody takes there: once, when something is unanswered. Where
    /// both are heard all is well.
    pub(super) fn other_spacecraft(&mut self, board: Option<u16>) -> Option<Noticed> {
        let is_ours = self.spacecraft_heard.ours && board.is_some();
        if is_ours || !self.resync.waits() || std::mem::replace(&mut self.spacecraft_heard.other_told, true) {
            return None;
        }
        Some(Noticed::OtherSpacecraft { board })
    }

    pub(super) fn association(
        &mut self,
        now: Moment,
        state: &Association,
        shelf: &mut dyn Shelf,
        noticed: &mut Vec<Noticed>,
    ) -> Result<()> {
        self.resync.asked = true;
        if state.fingerprint != self.fingerprint && !std::mem::replace(&mut self.foreign_told, true) {
            noticed.push(Noticed::OtherKey { board: state.fingerprint });
        }
        match state.state {
            KeyState::Retired => {
                if !std::mem::replace(&mut self.retired, true) {
                    noticed.push(Noticed::Retired);
                }
            }
            KeyState::CountersLost => {
                if self.resync.pace.is_none() {
                    // Ours may be an old copy, too: the time is above all that was used.
                    self.go_ahead(now);
                }
                if !std::mem::replace(&mut self.resync.lost, true) {
                    noticed.push(Noticed::CountersLost);
                }
            }
            KeyState::Operational => {
                self.resync.pace = None;
                let ours = self.sender.used();
                if state.highest > ours && state.highest < u64::MAX / 2 {
                    self.sender.skip_to(state.highest);
                    // After a power cut a board skips what its marks cover ahead.
                    if state.highest - ours > WINDOW {
                        noticed.push(Noticed::CounterBehind { ours, board: state.highest });
                    }
                }
            }
        }
        let last = state.last_number;
        if last > self.highest_number() && last < u32::MAX / 2 {
            shelf.use_numbers(last)?;
            self.numbers_from = last;
            noticed.push(Noticed::NumbersBehind { board: last });
        }
        Ok(())
    }

    pub(super) fn highest_number(&self) -> u32 {
        let orders = self.orders.last_key_value().map_or(0, |(last, _)| *last);
        let begins = self.uploads.iter().map(|upload| upload.about.begin).max().unwrap_or(0);
        orders.max(begins).max(self.numbers_from)
    }
}
