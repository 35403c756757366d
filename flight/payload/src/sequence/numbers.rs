//! Numbers of orders and of runs: none is ever given twice.
//!
//! Orders' numbers are reserved durably, many at once, before the first of them is used; a start goes on behind what
//! was reserved. Runs are few: each number is kept as it is given.

use serde::{Deserialize, Serialize};

/// Numbers that are reserved at once.
const RESERVE: u32 = 1_024;

/// What is kept of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NumbersRecord {
    /// All orders' numbers up to here may have been used.
    pub(super) orders: u32,
    /// All runs' numbers up to here have been used.
    pub(super) runs: u32,
}

/// Gives numbers, from 1.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    kept: NumbersRecord,
    /// The last order's number given.
    order: u32,
}

impl Numbers {
    /// Goes on behind what was kept, and behind numbers that are known to have been used.
    pub(super) fn resume(kept: NumbersRecord, used: NumbersRecord) -> Self {
        let kept = NumbersRecord { orders: kept.orders.max(used.orders), runs: kept.runs.max(used.runs) };
        Self { kept, order: kept.orders }
    }

    /// A number for an order, and what has to be durable before it is used. None after 4 billion.
    pub(super) fn next_order(&mut self) -> Option<(u32, Option<NumbersRecord>)> {
        self.order = self.order.checked_add(1)?;
        if self.order <= self.kept.orders {
            return Some((self.order, None));
        }
        self.kept.orders = self.order.saturating_add(RESERVE - 1);
        Some((self.order, Some(self.kept)))
    }

    /// A number for a run, and what has to be durable before it is used.
    pub(super) fn next_run(&mut self) -> Option<(u32, NumbersRecord)> {
        self.kept.runs = self.kept.runs.checked_add(1)?;
        Some((self.kept.runs, self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_twice_over_starts() {
        let (mut kept, mut last) = (NumbersRecord::default(), 0);
        for orders in [0, 1, 5, 3_000] {
            let mut numbers = Numbers::resume(kept, NumbersRecord::default());
            for _ in 0..orders {
                let (number, record) = numbers.next_order().unwrap();
                kept = record.unwrap_or(kept);
                assert!(number > last && number <= kept.orders);
                last = number;
            }
        }
        let used = NumbersRecord { orders: 9_999, runs: 7 };
        let mut numbers = Numbers::resume(kept, used);
        assert_eq!((numbers.next_order().unwrap().0, numbers.next_run().unwrap().0), (10_000, 8));
        assert_eq!(Numbers::resume(NumbersRecord { orders: u32::MAX, runs: 0 }, used).next_order(), None);
    }
}
