//! What the station counts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Verdict;
use super::symbols::{PAGE, Pages};

/// Counts of datagrams.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// Datagrams pushed.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Symbols that were new.
    pub new: u64,
    /// Symbols that were known, or whose block was whole.
    pub known: u64,
    /// Datagrams without a key that were spooled as they are.
    pub spooled: u64,
    /// Datagrams that were not taken, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    sessions: BTreeMap<(u16, u32), Session>,
    /// The present pass of each spacecraft, of its latest session.
    #[serde(skip)]
    passes: BTreeMap<u16, (u32, Session)>,
    #[serde(skip)]
    seen: Seen,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    first: u64,
    last: u64,
    heard: u64,
}

/// A datagram that lies so far before the first of its pass is an old one that was played again, or of a
/// capture of another pass: it says nothing of this one.
const OUT_OF_ORDER: u64 = 4096;
/// Pages of sequence numbers that are remembered, 512 bytes each: 16 million datagrams.
const MAX_PAGES: usize = 4096;

/// Which datagrams were heard: one that comes twice, from two captures say, was heard once.
#[derive(Debug, Clone, Default)]
struct Seen(Pages<(u16, u64)>);

impl Seen {
    /// Adds one; whether it is new.
    fn insert(&mut self, spacecraft: u16, link_seq: u64) -> bool {
        let page = (spacecraft, link_seq / u64::from(PAGE));
        let Pages(pages) = &mut self.0;
        if pages.len() >= MAX_PAGES && !pages.contains_key(&page) {
            // The earliest are least likely to come again.
            pages.pop_first();
        }
        self.0.insert(page, u32::try_from(link_seq % u64::from(PAGE)).unwrap_or_default())
    }
}

/// The loss of the link, measured by the gaps in its sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LinkLoss {
    /// Datagrams the sender must have sent between the first and the last that were heard.
    pub sent: u64,
    /// Authentic datagrams that were heard; one that came more than once counts once.
    pub heard: u64,
    /// Share that was lost, 0 … 1.
    pub loss: f64,
}

impl Counters {
    pub(super) fn count(&mut self, verdict: Verdict, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
        match verdict {
            Verdict::New => self.new += 1,
            Verdict::Known => self.known += 1,
            Verdict::Spooled => self.spooled += 1,
            Verdict::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
        }
    }

    pub(super) fn heard(&mut self, spacecraft: u16, link_seq: u64) {
        if !self.seen.insert(spacecraft, link_seq) {
            return;
        }
        let (session, seq) = (u32::try_from(link_seq >> 40).unwrap_or_default(), link_seq & ((1 << 40) - 1));
        let one = Session { first: seq, last: seq, heard: 0 };
        let s = self.sessions.entry((spacecraft, session)).or_insert(one);
        s.first = s.first.min(seq);
        s.last = s.last.max(seq);
        s.heard += 1;
        let (of, pass) = self.passes.entry(spacecraft).or_insert((session, one));
        if session > *of {
            (*of, *pass) = (session, one);
        }
        if session == *of && seq.saturating_add(OUT_OF_ORDER) >= pass.first {
            pass.first = pass.first.min(seq);
            pass.last = pass.last.max(seq);
            pass.heard += 1;
        }
    }

    /// Of the present pass of a spacecraft: the first link sequence number heard, how many datagrams were sent
    /// from it to the last one heard, and how many of them were heard.
    pub(super) fn present_pass(&self, spacecraft: u16) -> Option<(u64, u64, u64)> {
        let (session, pass) = self.passes.get(&spacecraft)?;
        let span = pass.last - pass.first + 1;
        Some(((u64::from(*session) << 40) | pass.first, span, pass.heard))
    }

    /// The spacecraft that were heard in the present pass.
    pub(super) fn spacecraft(&self) -> impl Iterator<Item = u16> {
        self.passes.keys().copied()
    }

    /// What comes from now on is another pass.
    pub(super) fn begin_pass(&mut self) {
        self.passes.clear();
    }

    /// The loss over all sessions heard; `None` if nothing was.
    #[must_use]
    pub fn link_loss(&self) -> Option<LinkLoss> {
        let sent: u64 = self.sessions.values().map(|s| s.last - s.first + 1).sum();
        let heard: u64 = self.sessions.values().map(|s| s.heard).sum();
        (sent > 0).then(|| LinkLoss { sent, heard, loss: (1.0 - heard as f64 / sent as f64).max(0.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_measured_by_session() {
        let mut c = Counters::default();
        assert_eq!(c.link_loss(), None);
        for seq in [10, 12, 13, 19, 12] {
            c.heard(1, seq);
        }
        c.heard(1, (1 << 40) + 5);
        let loss = c.link_loss().unwrap();
        assert_eq!((loss.sent, loss.heard), (11, 5));
        assert_eq!(c.present_pass(1), Some(((1 << 40) + 5, 1, 1)), "the latest session's");
        c.begin_pass();
        assert_eq!(c.present_pass(1), None);
        c.heard(1, (1 << 40) + 30_000);
        c.heard(1, (1 << 40) + 30_003);
        c.heard(2, (1 << 40) + 9);
        c.heard(1, (1 << 40) + 6);
        assert_eq!(c.present_pass(1), Some(((1 << 40) + 30_000, 4, 2)), "old ones say nothing of this pass");
        assert_eq!(c.present_pass(2), Some(((1 << 40) + 9, 1, 1)));
        assert!((loss.loss - 6.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut c = Counters::default();
        (0..3 * MAX_PAGES as u64).for_each(|page| c.heard(1, page * 4096));
        assert_eq!(c.seen.0.0.len(), MAX_PAGES);
    }
}
