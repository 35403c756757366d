//! Acknowledges answers: many in one order, a moment after they came. One that is lost costs nothing: the satellite repeats
//! its answers, and each of them is acknowledged again.

use std::collections::BTreeSet;

use passband_proto::dict::Order;

/// So long others are waited for, ms.
const BATCH_MS: u64 = 1_500;

/// What is to be acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acknowledge {
    due_ms: Option<u64>,
    /// Settled, and not below every one that is open.
    settled: BTreeSet<u32>,
    /// The highest number that was heard of or given.
    highest: u32,
}

impl Acknowledge {
    /// When it is to be sent; none: nothing is to be acknowledged.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// An answer came after which nothing more becomes of the order.
    pub(super) fn settle(&mut self, now_ms: u64, number: u32) {
        self.due_ms.get_or_insert(now_ms + BATCH_MS);
        self.settled.insert(number);
        self.highest = self.highest.max(number);
    }

    /// The order that acknowledges them, if this is the lowest number of what is not settled.
    pub(super) fn order(&mut self, open: Option<u32>) -> Order {
        let below = open.unwrap_or(u32::MAX).min(self.highest.saturating_add(1));
        self.settled = self.settled.split_off(&below);
        let bit = |number: &u32| 1_u32.checked_shl(number - below).unwrap_or(0);
        Order::AnswersSeen { below, bits: self.settled.iter().map(bit).fold(0, |bits, bit| bits | bit) }
    }

    /// It was sent.
    pub(super) fn sent(&mut self) {
        self.due_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_told_and_what_is_open_never() {
        let mut acknowledge = Acknowledge::default();
        for number in [3, 5, 6, 90] {
            acknowledge.settle(10, number);
        }
        assert_eq!(acknowledge.due_ms(), Some(1_510));
        assert_eq!(acknowledge.order(Some(4)), Order::AnswersSeen { below: 4, bits: 0b110 });
        assert_eq!(acknowledge.order(Some(7)), Order::AnswersSeen { below: 7, bits: 0 });
        assert_eq!(acknowledge.order(None), Order::AnswersSeen { below: 91, bits: 0 });
    }
}
