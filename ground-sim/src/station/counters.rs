//! What the station counts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Verdict;

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
    sessions: BTreeMap<u32, Session>,
    /// The present pass, of the latest session.
    #[serde(skip)]
    pass: Option<(u32, Session)>,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    first: u64,
    last: u64,
    heard: u64,
}

/// The loss of the link, measured by the gaps in its sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LinkLoss {
    /// Datagrams the sender must have sent between the first and the last that were heard.
    pub sent: u64,
    /// Authentic datagrams that were heard, duplicates among them.
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

    pub(super) fn heard(&mut self, link_seq: u64) {
        let (session, seq) = (u32::try_from(link_seq >> 40).unwrap_or_default(), link_seq & ((1 << 40) - 1));
        let s = self.sessions.entry(session).or_insert(Session { first: seq, last: seq, heard: 0 });
        s.first = s.first.min(seq);
        s.last = s.last.max(seq);
        s.heard += 1;
        let one = Session { first: seq, last: seq, heard: 0 };
        let (of, pass) = self.pass.get_or_insert((session, one));
        if session > *of {
            (*of, *pass) = (session, one);
        }
        if session == *of {
            pass.first = pass.first.min(seq);
            pass.last = pass.last.max(seq);
            pass.heard += 1;
        }
    }

    /// Of the present pass: the first link sequence number heard, how many datagrams were sent from it to the
    /// last one heard, and how many of them were heard.
    pub(super) fn present_pass(&self) -> Option<(u64, u64, u64)> {
        let (session, pass) = self.pass.as_ref()?;
        let span = pass.last - pass.first + 1;
        Some(((u64::from(*session) << 40) | pass.first, span, pass.heard))
    }

    /// What comes from now on is another pass.
    pub(super) fn begin_pass(&mut self) {
        self.pass = None;
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
        for seq in [10, 12, 13, 19] {
            c.heard(seq);
        }
        c.heard((1 << 40) + 5);
        let loss = c.link_loss().unwrap();
        assert_eq!((loss.sent, loss.heard), (11, 5));
        assert_eq!(c.present_pass(), Some(((1 << 40) + 5, 1, 1)), "the latest session's");
        c.begin_pass();
        assert_eq!(c.present_pass(), None);
        c.heard((1 << 40) + 30);
        c.heard((1 << 40) + 33);
        assert_eq!(c.present_pass(), Some(((1 << 40) + 30, 4, 2)));
        assert!((loss.loss - 6.0 / 11.0).abs() < 1e-12);
    }
}
