//! Counts and bytes of the queue by state and class, kept up with every change: reading them looks at no
//! bundle.

use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use super::item::State;

/// How many, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Bundles.
    pub bundles: u64,
    /// Their sealed bytes.
    pub bytes: u64,
}

/// Amounts by state and class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally([[Amount; 4]; 6]);

impl Tally {
    /// What is in a state, of a class.
    pub fn of(&self, state: State, class: Class) -> Amount {
        let by_class = self.0.get(state as usize);
        by_class.and_then(|by_class| by_class.get(class as usize)).copied().unwrap_or_default()
    }

    /// What is in a state.
    pub fn in_state(&self, state: State) -> Amount {
        sum(Class::ALL.map(|class| self.of(state, class)))
    }

    /// What there is of a class.
    pub fn of_class(&self, class: Class) -> Amount {
        sum(State::ALL.map(|state| self.of(state, class)))
    }

    /// All there is.
    pub fn total(&self) -> Amount {
        sum(State::ALL.map(|state| self.in_state(state)))
    }

    pub(super) fn add(&mut self, state: State, class: Class, bytes: u64) {
        self.change(state, class, |a| Amount {
            bundles: a.bundles.saturating_add(1),
            bytes: a.bytes.saturating_add(bytes),
        });
    }

    pub(super) fn subtract(&mut self, state: State, class: Class, bytes: u64) {
        self.change(state, class, |a| Amount {
            bundles: a.bundles.saturating_sub(1),
            bytes: a.bytes.saturating_sub(bytes),
        });
    }

    fn change(&mut self, state: State, class: Class, to: impl FnOnce(Amount) -> Amount) {
        let by_class = self.0.get_mut(state as usize);
        if let Some(amount) = by_class.and_then(|by_class| by_class.get_mut(class as usize)) {
            *amount = to(*amount);
        }
    }
}

fn sum<const N: usize>(amounts: [Amount; N]) -> Amount {
    amounts.iter().fold(Amount::default(), |sum, a| Amount {
        bundles: sum.bundles.saturating_add(a.bundles),
        bytes: sum.bytes.saturating_add(a.bytes),
    })
}
