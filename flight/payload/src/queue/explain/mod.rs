//! Why a bundle is where it is, and when it will be down.
//!
//! The order ahead is [`Queue::upcoming`], so exact if nothing happens; the moments stand on what is planned and
//! believed: that the passes are as long and as fast as planned, that losses are as expected, and that nothing
//! comes that goes first. The head's extra redundancy, under a hundredth of a cube, is not counted.

mod forecast;
mod prices;
mod text;

use passband_proto::datagram::OVERHEAD_BYTES;
use passband_proto::ids::{BundleId, Class};
use passband_proto::transfer::base_target;
use serde::{Deserialize, Serialize};

pub use forecast::{Contact, Forecast, Moment, NotExpected, when_sent};

use prices::Prices;

use super::entry::{Entry, Flags};
use super::item::{Kind, State};
use super::{Queue, QueueError};
use crate::telemetry::SCHEMA;

/// What is believed of the link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkBelief {
    /// The share of datagrams that is lost, 0 to 0.95.
    pub expected_loss: f64,
    /// The probability of being down that each class is brought to, 0 to 1, the most valuable class first.
    pub targets: [f64; 4],
    /// Bytes of a datagram beside the symbol, as the rate of a pass counts them.
    pub overhead_bytes: u32,
}

impl LinkBelief {
    /// A link that loses so much, with the sender's own targets, whose rate counts UDP payload.
    pub fn expecting(expected_loss: f64) -> Self {
        let overhead_bytes = u32::try_from(OVERHEAD_BYTES).unwrap_or(u32::MAX);
        Self { expected_loss, targets: Class::ALL.map(base_target), overhead_bytes }
    }
}

/// Why a bundle is where it is, and when it will be down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Version of this document.
    pub schema: u32,
    /// When this was asked, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// The bundle, 24 hexadecimal digits.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// How far it is.
    pub state: State,
    /// Its place among what waits, from 1; none if it doesn't wait.
    pub place: Option<u64>,
    /// Why it is there, the weightiest first.
    pub reasons: Vec<Reason>,
    /// What goes before it.
    pub ahead: Cost,
    /// What it costs itself.
    pub own: Cost,
    /// When it will be down.
    pub forecast: Forecast,
    /// The probability that it is down now.
    pub probability: f64,
}

/// What it still takes to bring bundles to their classes' targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Bundles.
    pub bundles: u64,
    /// Symbols to be sent.
    pub symbols: u64,
    /// Bytes to be sent, headers counted.
    pub link_bytes: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.bundles = self.bundles.saturating_add(other.bundles);
        self.symbols = self.symbols.saturating_add(other.symbols);
        self.link_bytes = self.link_bytes.saturating_add(other.link_bytes);
    }
}

/// One reason for a bundle's state and place. Its text form is a sentence without the full stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The operator holds it.
    Held {
        /// Since when, ms since 1970-01-01 UTC.
        since_unix_ms: u64,
    },
    /// It is broken on the disk.
    Damaged,
    /// The ground reported that it is whole.
    Known,
    /// It is down with the probability that its class asks for, or more.
    Presumed {
        /// That probability.
        probability: f64,
    },
    /// The sender has it.
    OnLink {
        /// How many others it has.
        others: u64,
    },
    /// The operator promoted it.
    Promoted {
        /// How many were promoted before it.
        before: u64,
    },
    /// Its class decides.
    Class {
        /// The class.
        class: Class,
        /// Bundles ahead that are promoted or of a higher class.
        higher: u64,
        /// Bundles ahead of the same class.
        same: u64,
    },
    /// Others of its class share the link.
    Tasking {
        /// Its tasking.
        name: String,
        /// The share of that.
        share: u32,
        /// The shares of all that compete in the class.
        of: u32,
        /// By how much its tasking was served more than its share so far, bytes.
        lead_bytes: u64,
    },
    /// Smaller things of its class and tasking go first.
    Smaller {
        /// How many.
        bundles: u64,
    },
    /// Overdue bundles that it would go before are let in ahead of it.
    LetIn {
        /// How many.
        bundles: u64,
    },
    /// Its deadline passed.
    Overdue {
        /// How long ago, s.
        by_s: u64,
    },
    /// Its deadline is still to come.
    Due {
        /// In how long, s.
        in_s: u64,
    },
    /// Some of it was sent.
    PartlySent {
        /// Symbols that were sent.
        sent_symbols: u32,
        /// Symbols that it consists of.
        source_symbols: u32,
    },
}

impl Queue {
    /// Explains a bundle; `passes` are the passes planned, in any order, past ones passed over. Looks at all
    /// that goes before it: O(place).
    pub fn explain(
        &self,
        id: &BundleId,
        now_unix_ms: u64,
        passes: &[Contact],
        link: &LinkBelief,
    ) -> Result<Explanation, QueueError> {
        let (slot, entry) = self.find(id)?;
        let mut prices = Prices::new(link);
        let ahead = self.ahead(slot, &entry, now_unix_ms, &mut prices);
        let own = prices.cost(&entry);
        let state = entry.state();
        let target = link.targets.get(entry.class as usize).copied().unwrap_or_default();
        Ok(Explanation {
            schema: SCHEMA,
            now_unix_ms,
            id: id.to_string(),
            kind: entry.kind,
            state,
            place: (state == State::Waiting).then(|| ahead.waiting.saturating_add(1)),
            reasons: self.reasons(slot, &entry, now_unix_ms, &ahead),
            ahead: ahead.cost,
            own,
            forecast: forecast::of(
                state,
                (ahead.cost.link_bytes, own.link_bytes),
                target,
                now_unix_ms,
                passes,
            ),
            probability: if state == State::Known { 1.0 } else { entry.doubt.presumed() },
        })
    }

    /// What goes before a bundle: what is on the link, and of what waits what is ahead of it.
    fn ahead(&self, slot: u32, entry: &Entry, now_unix_ms: u64, prices: &mut Prices) -> Ahead {
        let mut ahead = Ahead::default();
        let state = entry.state();
        if !matches!(state, State::Waiting | State::OnLink) {
            return ahead;
        }
        for other in self.on_link.iter().filter(|other| **other != slot) {
            if let Some(other) = self.slab.get(*other) {
                ahead.cost.add(prices.cost(other));
            }
        }
        if state == State::OnLink {
            return ahead;
        }
        for (other, level) in self.upcoming_slots(now_unix_ms).take_while(|(other, _)| *other != slot) {
            let Some(other) = self.slab.get(other) else { continue };
            ahead.count(other, level, entry);
            ahead.cost.add(prices.cost(other));
        }
        ahead
    }

    fn reasons(&self, slot: u32, entry: &Entry, now_unix_ms: u64, ahead: &Ahead) -> Vec<Reason> {
        let mut out = Vec::new();
        match entry.state() {
            State::Held => {
                let since_unix_ms = self.held.get(&slot).copied().unwrap_or_default();
                out.push(Reason::Held { since_unix_ms });
            }
            State::Damaged => out.push(Reason::Damaged),
            State::Known => out.push(Reason::Known),
            State::Presumed => out.push(Reason::Presumed { probability: entry.doubt.presumed() }),
            State::OnLink => out.push(Reason::OnLink { others: ahead.cost.bundles }),
            State::Waiting if entry.flags.any(Flags::PROMOTED) => {
                out.push(Reason::Promoted { before: ahead.waiting });
            }
            State::Waiting => self.reasons_to_wait(entry, ahead, &mut out),
        }
        let (now, due) = (now_unix_ms, entry.deadline_unix_ms);
        if !entry.flags.any(Flags::KNOWN.and(Flags::PRESUMED)) {
            let (late, early) = (now.saturating_sub(due) / 1000, due.saturating_sub(now) / 1000);
            out.push(if due < now { Reason::Overdue { by_s: late } } else { Reason::Due { in_s: early } });
        }
        if entry.sent_symbols > 0 {
            let (sent_symbols, source_symbols) = (entry.sent_symbols, entry.source_symbols);
            out.push(Reason::PartlySent { sent_symbols, source_symbols });
        }
        out
    }

    fn reasons_to_wait(&self, entry: &Entry, ahead: &Ahead, out: &mut Vec<Reason>) {
        let class = entry.class;
        out.push(Reason::Class { class, higher: ahead.higher, same: ahead.same });
        let (share, of) = self.ledger.share_of(class, entry.tasking);
        let tasking = self.settings.taskings.get(usize::from(entry.tasking));
        if let Some(tasking) = tasking.filter(|_| of > share) {
            let lead_bytes = self.ledger.lead_bytes(class, entry.tasking);
            out.push(Reason::Tasking { name: tasking.name.clone(), share, of, lead_bytes });
        }
        if ahead.smaller > 0 {
            out.push(Reason::Smaller { bundles: ahead.smaller });
        }
        if ahead.let_in > 0 {
            out.push(Reason::LetIn { bundles: ahead.let_in });
        }
    }
}

/// What goes before a bundle, by why.
#[derive(Debug, Default)]
struct Ahead {
    waiting: u64,
    higher: u64,
    same: u64,
    smaller: u64,
    let_in: u64,
    cost: Cost,
}

impl Ahead {
    fn count(&mut self, other: &Entry, level: u8, entry: &Entry) {
        let one = |count: &mut u64| *count = count.saturating_add(1);
        one(&mut self.waiting);
        if level == 0 || other.class < entry.class {
            one(&mut self.higher);
        } else if other.class > entry.class {
            one(&mut self.let_in);
        } else {
            one(&mut self.same);
            if other.tasking == entry.tasking && other.kind.band() < entry.kind.band() {
                one(&mut self.smaller);
            }
        }
    }
}

#[cfg(test)]
mod tests;
