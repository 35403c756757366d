//! An entry of the queue, 56 bytes: a bundle's facts, and the place where these say it belongs.
//!
//! Knows nothing of other entries, nor of whose turn it is.

use passband_proto::ids::{BundleId, Class};

use super::item::{Item, Kind, State};
use super::lanes::{Lane, Pile, Shelf, SlotKey};

/// Probabilities of being down between which presumed bundles are told apart.
pub(super) const RUNGS: [f64; 9] = [0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 0.999_999];

/// Facts about an entry that are true or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u16);

impl Flags {
    /// The operator holds it.
    pub(super) const HELD: Self = Self(1);
    /// It is broken.
    pub(super) const DAMAGED: Self = Self(1 << 1);
    /// The sender has it.
    pub(super) const ON_LINK: Self = Self(1 << 2);
    /// The ground has it.
    pub(super) const KNOWN: Self = Self(1 << 3);
    /// It is presumed down.
    pub(super) const PRESUMED: Self = Self(1 << 4);
    /// The operator promoted it.
    pub(super) const PROMOTED: Self = Self(1 << 5);
    /// It was let in ahead of its turn, being overdue.
    pub(super) const OVERDUE_TURN: Self = Self(1 << 6);
    /// It went in its turn while something overdue waited.
    pub(super) const CREDITING: Self = Self(1 << 7);
    /// Left-over capacity of this pass was given to it.
    pub(super) const SERVED: Self = Self(1 << 8);
    /// The operator gave it its class.
    pub(super) const RECLASSED: Self = Self(1 << 9);
    /// Its deadline is its own.
    pub(super) const OWN_DEADLINE: Self = Self(1 << 10);
    /// None of them.
    pub(super) const NONE: Self = Self(0);

    /// Is any of `others` true?
    pub(super) fn any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Makes `others` true, or not.
    pub(super) fn set(&mut self, others: Self, to: bool) {
        self.0 = if to { self.0 | others.0 } else { self.0 & !others.0 };
    }

    /// All that is true in either.
    pub(super) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// The probability that something is not down, with 8 bits of precision whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt(u16);

impl Doubt {
    /// All doubt.
    pub(super) const ALL: Self = Self(0x3F80);

    /// The doubt left at a probability of being down; what is no probability counts as 0.
    pub(super) fn at(presumed: f64) -> Self {
        let doubt = if presumed.is_finite() { (1.0 - presumed).clamp(0.0, 1.0) } else { 1.0 };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "0 to 1; the precision that is lost is not wanted"
        )]
        let bits = (doubt as f32).to_bits();
        // The upper half of an IEEE 754 binary32, rounded: sign, exponent and 7 bits of the fraction.
        Self(u16::try_from(bits.saturating_add(0x8000) >> 16).unwrap_or(u16::MAX))
    }

    /// The probability of being down.
    pub(super) fn presumed(self) -> f64 {
        1.0 - f64::from(f32::from_bits(u32::from(self.0) << 16))
    }
}

/// A bundle in the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) created_unix_ms: u64,
    pub(super) deadline_unix_ms: u64,
    pub(super) bytes: u64,
    pub(super) id: BundleId,
    pub(super) source_symbols: u32,
    pub(super) sent_symbols: u32,
    /// Counts insertions, for the order among those alike.
    pub(super) nth: u32,
    pub(super) tasking: u16,
    pub(super) doubt: Doubt,
    pub(super) flags: Flags,
    pub(super) class: Class,
    pub(super) kind: Kind,
}

/// Where an entry is filed: in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Waits for its turn.
    Waiting(Lane),
    /// Waits at the head of all.
    Promoted,
    /// The sender has it.
    OnLink,
    /// Is kept, and may go for room.
    Kept(Shelf),
    /// The operator holds it.
    Held,
}

impl Entry {
    /// How far it is.
    pub(super) fn state(&self) -> State {
        let order = [
            (Flags::HELD, State::Held),
            (Flags::DAMAGED, State::Damaged),
            (Flags::ON_LINK, State::OnLink),
            (Flags::KNOWN, State::Known),
            (Flags::PRESUMED, State::Presumed),
        ];
        order.into_iter().find(|(flag, _)| self.flags.any(*flag)).map_or(State::Waiting, |(_, state)| state)
    }

    /// How far it is, apart from being held or on the link.
    pub(super) fn lasting_state(&self) -> State {
        let mut without = *self;
        without.flags.set(Flags::HELD.and(Flags::ON_LINK), false);
        without.state()
    }

    /// Where it is filed.
    pub(super) fn place(&self) -> Place {
        match self.state() {
            State::Held => Place::Held,
            State::OnLink => Place::OnLink,
            State::Damaged => Place::Kept(self.shelf(Pile::Damaged)),
            State::Known => Place::Kept(self.shelf(Pile::Known)),
            State::Presumed => Place::Kept(Shelf {
                served: self.flags.any(Flags::SERVED),
                rung: self.rung(),
                ..self.shelf(Pile::Presumed)
            }),
            State::Waiting if self.flags.any(Flags::PROMOTED) => Place::Promoted,
            State::Waiting => {
                Place::Waiting(Lane { class: self.class, tasking: self.tasking, band: self.kind.band() })
            }
        }
    }

    fn shelf(&self, pile: Pile) -> Shelf {
        Shelf { pile, class: self.class, served: false, rung: 0, band: self.kind.band() }
    }

    /// How many of the [`RUNGS`] its probability of being down has reached.
    pub(super) fn rung(&self) -> u8 {
        // What was rounded to just below a rung stands on it.
        let presumed = 1.0 - (1.0 - self.doubt.presumed()) * (1.0 - 1.0 / 256.0);
        RUNGS.iter().fold(0, |rung, at| rung + u8::from(presumed >= *at))
    }

    /// Whose account its sending is charged to: that of its class and tasking, while it competes for the link.
    pub(super) fn account(&self) -> Option<(Class, u16)> {
        let competes = match self.place() {
            Place::Waiting(_) => true,
            Place::OnLink => !self.flags.any(Flags::PRESUMED),
            Place::Promoted | Place::Kept(_) | Place::Held => false,
        };
        competes.then_some((self.class, self.tasking))
    }

    /// What its sending is charged, bytes: what was not sent of it, and one symbol at least.
    pub(super) fn cost_bytes(&self) -> u64 {
        self.bytes_of(self.source_symbols.saturating_sub(self.sent_symbols).max(1))
    }

    /// Bytes of so many of its symbols, 1 or more.
    pub(super) fn bytes_of(&self, symbols: u32) -> u64 {
        let product = u128::from(self.bytes) * u128::from(symbols);
        let bytes = product.div_ceil(u128::from(self.source_symbols.max(1)));
        u64::try_from(bytes).unwrap_or(u64::MAX).max(u64::from(symbols > 0))
    }

    /// Its key among those that wait: the deadline first.
    pub(super) fn turn_key(&self, slot: u32) -> SlotKey {
        SlotKey::new(self.deadline_unix_ms, self.created_unix_ms, self.nth, slot)
    }

    /// Its key among those that are kept: the age first.
    pub(super) fn age_key(&self, slot: u32) -> SlotKey {
        SlotKey::new(self.created_unix_ms, self.deadline_unix_ms, self.nth, slot)
    }

    /// A new entry.
    pub(super) fn new(item: &Item, deadline_unix_ms: u64, nth: u32) -> Self {
        let mut flags = Flags::NONE;
        flags.set(Flags::OWN_DEADLINE, item.deadline_unix_ms.is_some());
        Self {
            created_unix_ms: item.created_unix_ms,
            deadline_unix_ms,
            bytes: item.bytes,
            id: item.id,
            source_symbols: item.source_symbols,
            sent_symbols: 0,
            nth,
            tasking: item.tasking,
            doubt: Doubt::ALL,
            flags,
            class: item.class,
            kind: item.kind,
        }
    }

    /// Its own deadline, if it has one.
    pub(super) fn own_deadline(&self) -> Option<u64> {
        self.flags.any(Flags::OWN_DEADLINE).then_some(self.deadline_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_56_bytes() {
        assert_eq!((size_of::<Entry>(), size_of::<Option<Entry>>()), (56, 56));
    }

    #[test]
    fn doubt_keeps_its_precision_near_certainty_and_survives_being_read() {
        for presumed in [0.0, 0.3, 0.8, 0.95, 0.999, 0.999_999, 1.0 - 1e-9, 1.0] {
            let doubt = Doubt::at(presumed);
            assert!((doubt.presumed() - presumed).abs() <= (1.0 - presumed) / 256.0, "{presumed}");
            assert_eq!(Doubt::at(doubt.presumed()), doubt);
        }
        assert_eq!([f64::NAN, -3.0].map(Doubt::at), [Doubt::ALL; 2]);
        assert!(Doubt::at(7.0).presumed() >= 1.0);
    }
}
