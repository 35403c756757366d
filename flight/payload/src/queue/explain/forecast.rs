//! When so many bytes will have been sent, by the passes that are planned.

use serde::{Deserialize, Serialize};

use crate::ordered;
use crate::queue::item::State;

/// Most passes that are looked at; any beyond, in the order of their beginning, are passed over.
const MAX_CONTACTS: usize = 4096;

/// A pass that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// When it begins, ms since 1970-01-01 UTC.
    pub aos_unix_ms: u64,
    /// When it ends, ms since 1970-01-01 UTC.
    pub los_unix_ms: u64,
    /// Its rate, bit/s of what [`super::LinkBelief`] counts.
    pub rate_bps: u64,
}

/// A moment in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When the pass begins, ms since 1970-01-01 UTC.
    pub aos_unix_ms: u64,
    /// When it is, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// When a bundle will be down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "forecast", rename_all = "kebab-case")]
pub enum Forecast {
    /// It is expected.
    Expected {
        /// When its first symbol is sent.
        first: Moment,
        /// When its last symbol is sent.
        last: Moment,
        /// The probability that it is down then.
        probability: f64,
    },
    /// It is not, as things stand.
    NotExpected {
        /// Why not.
        because: NotExpected,
    },
}

/// Why no moment can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum NotExpected {
    /// The ground has it.
    IsKnown,
    /// It is presumed down: only left-over capacity goes to it.
    IsPresumed,
    /// The operator holds it.
    IsHeld,
    /// It is broken.
    IsDamaged,
    /// No pass is planned.
    NoPass,
    /// The passes planned are too short or slow for it.
    TooShort {
        /// Bytes that there is no room for.
        lacking_bytes: u64,
    },
}

/// The forecast for a bundle in a state, with bytes `(before it, of itself)` to be sent from now on.
pub(super) fn of(
    state: State,
    (ahead_bytes, own_bytes): (u64, u64),
    target: f64,
    now_unix_ms: u64,
    passes: &[Contact],
) -> Forecast {
    let because = match state {
        State::Known => Some(NotExpected::IsKnown),
        State::Presumed => Some(NotExpected::IsPresumed),
        State::Held => Some(NotExpected::IsHeld),
        State::Damaged => Some(NotExpected::IsDamaged),
        State::Waiting | State::OnLink => None,
    };
    if let Some(because) = because {
        return Forecast::NotExpected { because };
    }
    // What is on the link goes interleaved: the first symbol at once, the last with the last of all.
    let before = if state == State::OnLink { 0 } else { ahead_bytes };
    let windows = windows(now_unix_ms, passes);
    let first = sent_at(&windows, before.saturating_add(1));
    let last = sent_at(&windows, ahead_bytes.saturating_add(own_bytes).max(1));
    match (first, last) {
        (Ok(first), Ok(last)) => Forecast::Expected { first, last, probability: target },
        (Err(because), _) | (_, Err(because)) => Forecast::NotExpected { because },
    }
}

/// When so many bytes have been sent by the passes, ms since 1970-01-01 UTC; none: they are too short, or there are none.
pub fn when_sent(now_unix_ms: u64, passes: &[Contact], bytes: u64) -> Option<u64> {
    sent_at(&windows(now_unix_ms, passes), bytes.max(1)).ok().map(|moment| moment.unix_ms)
}

/// What is left of the passes, each from when it can be used, in order and apart.
fn windows(now_unix_ms: u64, passes: &[Contact]) -> Vec<(Contact, u64)> {
    let mut sorted: Vec<Contact> = passes.iter().filter(|p| p.los_unix_ms > now_unix_ms).copied().collect();
    ordered::sort_by_key(&mut sorted, |pass| (pass.aos_unix_ms, pass.los_unix_ms));
    let mut free_from = now_unix_ms;
    let mut out = Vec::new();
    for pass in sorted.into_iter().take(MAX_CONTACTS) {
        let from = pass.aos_unix_ms.max(free_from);
        if from < pass.los_unix_ms && pass.rate_bps > 0 {
            out.push((pass, from));
            free_from = pass.los_unix_ms;
        }
    }
    out
}

/// When so many bytes, 1 or more, have been sent.
fn sent_at(windows: &[(Contact, u64)], bytes: u64) -> Result<Moment, NotExpected> {
    let mut left = u128::from(bytes);
    for (pass, from) in windows {
        // bit/s × ms / 8000 = bytes
        let length_ms = u128::from(pass.los_unix_ms.saturating_sub(*from));
        let room = length_ms * u128::from(pass.rate_bps) / 8000;
        if left <= room {
            let after_ms = (left * 8000).div_ceil(u128::from(pass.rate_bps.max(1)));
            let unix_ms = from.saturating_add(u64::try_from(after_ms).unwrap_or(u64::MAX));
            return Ok(Moment { aos_unix_ms: pass.aos_unix_ms, unix_ms: unix_ms.min(pass.los_unix_ms) });
        }
        left -= room;
    }
    if windows.is_empty() {
        return Err(NotExpected::NoPass);
    }
    Err(NotExpected::TooShort { lacking_bytes: u64::try_from(left).unwrap_or(u64::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(aos_s: u64, los_s: u64) -> Contact {
        // 1,000 bytes a second.
        Contact { aos_unix_ms: aos_s * 1000, los_unix_ms: los_s * 1000, rate_bps: 8000 }
    }

    fn last(bytes: (u64, u64), now_s: u64, passes: &[Contact]) -> Result<(u64, u64), NotExpected> {
        match of(State::Waiting, bytes, 0.9, now_s * 1000, passes) {
            Forecast::Expected { last, .. } => Ok((last.aos_unix_ms / 1000, last.unix_ms / 1000)),
            Forecast::NotExpected { because } => Err(because),
        }
    }

    #[test]
    fn bytes_fill_pass_after_pass() {
        let passes = [pass(100, 110), pass(20, 30)];
        assert_eq!(last((0, 4_000), 0, &passes), Ok((20, 24)));
        assert_eq!(last((6_000, 4_000), 0, &passes), Ok((20, 30)), "to the last byte of the pass");
        assert_eq!(last((6_000, 5_000), 0, &passes), Ok((100, 101)));
        assert_eq!(last((0, 4_000), 25, &passes), Ok((20, 29)), "in the middle of a pass");
        assert_eq!(last((0, 4_000), 30, &passes), Ok((100, 104)), "past passes don't count");
        let lacking = NotExpected::TooShort { lacking_bytes: 1 };
        assert_eq!(last((10_000, 10_001), 0, &passes), Err(lacking));
        assert_eq!(last((0, 1), 110, &passes), Err(NotExpected::NoPass));
        let overlapping = [pass(0, 10), pass(5, 20), pass(6, 8)];
        assert_eq!(last((0, 20_000), 0, &overlapping), Ok((5, 20)), "time is used once");
        assert_eq!(when_sent(0, &overlapping, 20_000), Some(20_000));
        assert_eq!(when_sent(0, &overlapping, 20_001), None);
    }

    #[test]
    fn a_first_symbol_may_be_a_pass_before_the_last() {
        let Forecast::Expected { first, last, .. } =
            of(State::Waiting, (9_000, 9_000), 0.9, 0, &[pass(0, 10), pass(90, 100)])
        else {
            panic!("there is room");
        };
        assert_eq!((first.unix_ms, last.unix_ms), (9_001, 98_000));
    }

    #[test]
    fn what_is_not_sent_is_not_expected() {
        for (state, because) in [
            (State::Known, NotExpected::IsKnown),
            (State::Presumed, NotExpected::IsPresumed),
            (State::Held, NotExpected::IsHeld),
            (State::Damaged, NotExpected::IsDamaged),
        ] {
            let forecast = of(state, (0, 1), 0.9, 0, &[pass(0, 10)]);
            assert_eq!(forecast, Forecast::NotExpected { because });
        }
    }
}
