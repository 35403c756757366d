//! The two steps of a hazardous order, on the ground: a prompt to arm it, then one in which FIRE is typed in time.
//!
//! ```text
//!  words ──Enter──▶ ToArm ──y──▶ (armed: arm is sent) ──▶ ToFire ──FIRE, Enter──▶ (fire is sent) ──▶ over
//!                     └── anything else ──▶ over            └── Esc, the time is over ──▶ over
//! ```
//!
//! The time that is left counts from when the arming was handed over, which is before the satellite can have it: here
//! it ends no later than there. The satellite disarms by itself; nothing has to be sent for that.

use passband_proto::dict::{Hazard, Order};

/// What must be typed.
pub const FIRE: &str = "FIRE";

/// Where a hazardous order stands here.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    /// It may be armed.
    ToArm(Order),
    /// It is armed and may be fired.
    ToFire {
        /// The order.
        order: Order,
        /// The number under which it was armed.
        number: u32,
        /// Until when, ms of a steady clock.
        until_ms: u64,
        /// What was typed of [`FIRE`].
        typed: String,
    },
}

impl Guard {
    /// The guard of an order; `None` for one that takes one step.
    #[must_use]
    pub fn of(order: Order) -> Option<Self> {
        let hazard = order.def().map_or(Hazard::TwoSteps, |def| def.hazard);
        (hazard != Hazard::None).then_some(Self::ToArm(order))
    }

    /// Its order.
    #[must_use]
    pub fn order(&self) -> &Order {
        match self {
            Self::ToArm(order) | Self::ToFire { order, .. } => order,
        }
    }

    /// Whether who fires it holds another key than who armed it.
    #[must_use]
    pub fn takes_two_keys(&self) -> bool {
        self.order().def().is_some_and(|def| def.hazard == Hazard::TwoKeys)
    }

    /// It was armed under a number; it may be fired for so long.
    #[must_use]
    pub fn armed(self, number: u32, now_ms: u64, for_ms: u64) -> Self {
        let (Self::ToArm(order) | Self::ToFire { order, .. }) = self;
        Self::ToFire { order, number, until_ms: now_ms.saturating_add(for_ms), typed: String::new() }
    }

    /// How long it may be fired still, ms; none: it isn't armed.
    #[must_use]
    pub fn left_ms(&self, now_ms: u64) -> Option<u64> {
        match self {
            Self::ToArm(_) => None,
            Self::ToFire { until_ms, .. } => Some(until_ms.saturating_sub(now_ms)),
        }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.left_ms(now_ms) == Some(0)
    }

    /// Takes a character of [`FIRE`].
    pub fn put(&mut self, c: char) {
        if let Self::ToFire { typed, .. } = self
            && typed.len() < FIRE.len()
            && c.is_ascii_graphic()
        {
            typed.push(c);
        }
    }

    /// Takes one back.
    pub fn erase(&mut self) {
        if let Self::ToFire { typed, .. } = self {
            typed.pop();
        }
    }

    /// Whether all of it was typed, and in time.
    #[must_use]
    pub fn fires(&self, now_ms: u64) -> bool {
        matches!(self, Self::ToFire { typed, .. } if typed == FIRE) && !self.is_over(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reboot() -> Order {
        Order::from_line("board reboot").unwrap()
    }

    #[test]
    fn only_the_word_in_time_fires() {
        assert_eq!(Guard::of(Order::from_line("ping").unwrap()), None);
        let mut guard = Guard::of(reboot()).unwrap();
        assert!(!guard.fires(0), "it isn't armed");
        guard = guard.armed(4, 1000, 60_000);
        "FIR".chars().for_each(|c| guard.put(c));
        assert!(!guard.fires(2000));
        guard.put('e');
        assert!(!guard.fires(2000), "in capitals");
        guard.erase();
        guard.put('E');
        guard.put('E');
        assert!(guard.fires(60_999) && !guard.fires(61_000), "the time is over");
        assert_eq!(guard.left_ms(31_000), Some(30_000));
    }
}
