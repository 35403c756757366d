//! How the counters of both ends come together again, and when they are suspected to be apart.

use super::pace::Pace;
use super::{Moment, Outbox};

/// So many orders are to go unanswered before the counters are suspected.
const SUSPICIOUS: u32 = 3;
/// And for so long, ms: an answer takes a second or two on a slow line.
const PATIENCE_MS: u64 = 12_000;

/// How the counters of both ends come together again.
#[derive(Debug)]
pub(super) struct Resync {
    pub(super) challenge: Option<[u8; 8]>,
    /// When the board is asked to go on from our counter; none: all is well.
    pub(super) pace: Option<Pace>,
    /// Orders sent since the last sign that any arrives, while telemetry is heard.
    pub(super) unanswered: u32,
    /// When the first of them was, ms.
    pub(super) since_ms: Option<u64>,
    /// So long without an answer is suspicious, ms.
    pub(super) patience_ms: u64,
    /// Whether the board was asked in this contact how our key stands, or said so.
    pub(super) asked: bool,
    /// Whether the board has said that its counters are lost.
    pub(super) lost: bool,
    /// Whether it was said that the board refuses what is sent, since any of it arrived.
    pub(super) refusal_told: bool,
}

impl Default for Resync {
    fn default() -> Self {
        Self {
            challenge: None,
            pace: None,
            unanswered: 0,
            since_ms: None,
            patience_ms: PATIENCE_MS,
            asked: false,
            lost: false,
            refusal_told: false,
        }
    }
}

impl Outbox {
    pub(super) fn resync_due_ms(&self) -> Option<u64> {
        self.resync.challenge.and(self.resync.pace.as_ref()).map(Pace::due_ms)
    }

    /// Telemetry is heard and nothing is answered: perhaps the counters have come apart. To go ahead by the time, and to
    /// have the board go along, does no harm if they haven't.
    pub(super) fn suspect(&mut self, now: Moment) {
        if !self.hears(now) {
            return;
        }
        let resync = &mut self.resync;
        resync.unanswered = resync.unanswered.saturating_add(1);
        let since_ms = *resync.since_ms.get_or_insert(now.steady_ms);
        if resync.unanswered >= SUSPICIOUS && now.steady_ms.saturating_sub(since_ms) >= resync.patience_ms {
            (resync.unanswered, resync.since_ms) = (0, None);
            resync.patience_ms = resync.patience_ms.saturating_mul(2);
            self.go_ahead(now);
        }
    }

    /// Has the board go on from a counter that is above all that can have been used.
    pub(super) fn go_ahead(&mut self, now: Moment) {
        self.sender.skip_to(now.unix_ms);
        self.resync.pace = Some(Pace::at(now.steady_ms));
    }
}

impl Resync {
    /// Whether something was sent of which nothing says that it arrived.
    pub(super) fn waits(&self) -> bool {
        self.unanswered > 0 || self.pace.is_some()
    }

    /// Something that was sent has arrived: the counters are as they should be, and the board takes what is sent. An answer that
    /// is repeated says nothing of that: it is of what arrived before.
    pub(super) fn arrives(&mut self) {
        (self.unanswered, self.since_ms, self.pace, self.lost) = (0, None, None, false);
        self.refusal_told = false;
    }
}
