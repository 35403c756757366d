//! The two steps of a hazardous order, on the ground: a prompt to arm it, then one in which FIRE is typed in time.
//!
//! ```text
//!  words ──Enter──▶ ToArm ──y──▶ ToFire ──FIRE, Enter──▶ Fired ──it was sent──▶ over
//!                     │           └── Esc takes the arming back, or gives up what is armed ──▶ over
//!                     └── anything else ──▶ over          └── Esc takes the firing back, if it hasn't left ──▶ over
//! ```
//!
//! From `y` on the order is *arming*, until the satellite has said that it is armed. The time that is left counts from when the
//! arming was handed over, which is before the satellite can have it: here it ends no later than there.

use passband_proto::dict::{Hazard, Order};

/// What must be typed.
pub const FIRE: &str = "FIRE";

/// Where a hazardous order stands here.
#[derive(Debug, Clone, PartialEq)]
pub enum Guard {
    /// It may be armed.
    ToArm(Order),
    /// It is arming or armed, and may be fired once it is armed.
    ToFire {
        /// The order.
        order: Order,
        /// The number under which it was armed; 0: by another key's holder.
        number: u32,
        /// Why it isn't armed yet; none: the satellite has said that it is.
        arming: Option<String>,
        /// Until when, ms of a steady clock.
        until_ms: u64,
        /// What was typed of [`FIRE`].
        typed: String,
    },
    /// It is given to be fired, and may not have left.
    Fired {
        /// The order.
        order: Order,
        /// The number under which it was armed; 0: by another key's holder.
        armed: u32,
        /// The number of the firing.
        number: u32,
        /// Where it stands.
        state: String,
        /// Until when, ms of a steady clock.
        until_ms: u64,
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
            Self::ToArm(order) | Self::ToFire { order, .. } | Self::Fired { order, .. } => order,
        }
    }

    /// Whether who fires it holds another key than who armed it.
    #[must_use]
    pub fn takes_two_keys(&self) -> bool {
        self.order().def().is_some_and(|def| def.hazard == Hazard::TwoKeys)
    }

    /// It is to be armed under a number (0: another key's holder has armed it); it may be fired for so long.
    #[must_use]
    pub fn arming(self, number: u32, now_ms: u64, for_ms: u64) -> Self {
        let order = self.order().clone();
        let arming = (number != 0).then(|| "waiting".to_owned());
        Self::ToFire { order, number, arming, until_ms: now_ms.saturating_add(for_ms), typed: String::new() }
    }

    /// It is to be fired under a number.
    #[must_use]
    pub fn fired(self, number: u32) -> Self {
        let (armed, until_ms) = match &self {
            Self::ToArm(_) => (0, 0),
            Self::ToFire { number, until_ms, .. } => (*number, *until_ms),
            Self::Fired { armed, until_ms, .. } => (*armed, *until_ms),
        };
        Self::Fired { order: self.order().clone(), armed, number, state: "waiting".to_owned(), until_ms }
    }

    /// How long it may be fired still, ms; none: it isn't to be armed.
    #[must_use]
    pub fn left_ms(&self, now_ms: u64) -> Option<u64> {
        match self {
            Self::ToArm(_) => None,
            Self::ToFire { until_ms, .. } | Self::Fired { until_ms, .. } => {
                Some(until_ms.saturating_sub(now_ms))
            }
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

    /// Whether all of it was typed, and in time; that it is armed is for the satellite to say.
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
        guard = guard.arming(4, 1000, 60_000);
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
