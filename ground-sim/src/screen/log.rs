//! Events and answers as they come down, each once however often it was sent, the newest kept.
//!
//! An event is told by its number and its time: numbers go on over restarts, and a board whose store was lost begins
//! again at 1 with another time. Of an order the answer that came last on board counts.

use std::collections::BTreeMap;

use passband_proto::dict::{Answer, Event, Opcode, Severity, Stage};
use serde::Serialize;

use crate::uplink::hold::seconds_armed;

/// Most events that are kept.
const MOST_EVENTS: usize = 500;
/// Most orders whose answers are kept.
const MOST_ANSWERS: usize = 200;

/// Something that happened on board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownEvent {
    /// Its number.
    pub number: u32,
    /// When, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// How bad it is.
    pub severity: Severity,
    /// What.
    pub code: &'static str,
    /// What in particular.
    pub text: String,
}

/// The events that are known.
#[derive(Debug, Default)]
pub struct Events(BTreeMap<(u64, u32), ShownEvent>);

impl Events {
    /// Takes one.
    pub fn take(&mut self, event: &Event) {
        let shown = ShownEvent {
            number: event.number,
            unix_ms: event.unix,
            severity: event.severity,
            code: event.code.name(),
            text: event.text.0.as_str().to_owned(),
        };
        let Self(known) = self;
        known.insert((event.unix, event.number), shown);
        if known.len() > MOST_EVENTS {
            known.pop_first();
        }
    }

    /// They, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &ShownEvent> {
        self.0.values().rev()
    }

    /// How many there are of each severity, mildest first, from a time on, ms since 1970-01-01 UTC.
    #[must_use]
    pub fn count_since(&self, from_unix_ms: u64) -> [usize; 4] {
        let mut counts = [0; 4];
        for event in self.0.range((from_unix_ms, 0)..).map(|(_, event)| event) {
            if let Some(count) = counts.get_mut(usize::from(event.severity.code())) {
                *count += 1;
            }
        }
        counts
    }
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownAnswer {
    /// By which way it came: its security association; 65535: a shell; 65534: a plan.
    pub source: u16,
    /// Its number.
    pub number: u32,
    /// Which order.
    pub order: &'static str,
    /// Where it stands.
    pub stage: Stage,
    /// Why it was refused or failed; "none": it wasn't.
    pub reason: &'static str,
    /// When that was, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// More about it.
    pub text: String,
    /// What tells its bytes from those of others.
    #[serde(skip)]
    pub check: u32,
}

/// An order that is armed: all others of its holder wait, since each would disarm it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownArmed {
    /// By which way it came.
    pub source: u16,
    /// Its number.
    pub number: u32,
    /// Until when, ms since 1970-01-01 UTC.
    pub until_unix_ms: u64,
}

/// The answers that are known.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<(u16, u32), ShownAnswer>);

impl Answers {
    /// Takes one; an older one of the same order changes nothing.
    pub fn take(&mut self, answer: &Answer) {
        let Self(known) = self;
        let key = (answer.source, answer.number);
        let rank = |unix_ms: u64, stage: Stage| (unix_ms, stage);
        if known.get(&key).is_some_and(|k| rank(k.unix_ms, k.stage) > rank(answer.unix, answer.stage)) {
            return;
        }
        let shown = ShownAnswer {
            source: answer.source,
            number: answer.number,
            order: Opcode::from_code(answer.opcode).map_or("?", Opcode::name),
            stage: answer.stage,
            reason: answer.reason.name(),
            unix_ms: answer.unix,
            text: answer.text.0.as_str().to_owned(),
            check: answer.check,
        };
        known.insert(key, shown);
        if known.len() > MOST_ANSWERS
            && let Some(oldest) = known.iter().min_by_key(|(_, a)| a.unix_ms).map(|(key, _)| *key)
        {
            known.remove(&oldest);
        }
    }

    /// The answer to an order.
    #[must_use]
    pub fn of(&self, source: u16, number: u32) -> Option<&ShownAnswer> {
        self.0.get(&(source, number))
    }

    /// What is armed: the answer to no later order of its holder is known, nor one of another holder who fired it, and it says for
    /// how long, or `arm_ms` does. What was armed before the satellite's software started (`begun_unix_ms`) is so no more.
    pub fn armed(
        &self,
        now_unix_ms: u64,
        arm_ms: u64,
        begun_unix_ms: u64,
    ) -> impl Iterator<Item = ShownArmed> {
        let armed = self.0.values().filter(|answer| answer.stage == Stage::Armed);
        armed.filter_map(move |answer| {
            let for_ms = seconds_armed(&answer.text).map_or(arm_ms, |s| s * 1000);
            let until_unix_ms = answer.unix_ms.saturating_add(for_ms);
            let later = (answer.source, answer.number.saturating_add(1))..=(answer.source, u32::MAX);
            let is_over = now_unix_ms >= until_unix_ms
                || answer.unix_ms < begun_unix_ms
                || self.0.range(later).next().is_some()
                || self.0.values().any(|other| fires(other, answer));
            let (source, number) = (answer.source, answer.number);
            (!is_over).then_some(ShownArmed { source, number, until_unix_ms })
        })
    }

    /// They, the newest first.
    #[must_use]
    pub fn newest(&self) -> Vec<&ShownAnswer> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by_key(|answer| std::cmp::Reverse((answer.unix_ms, answer.number)));
        all
    }
}

/// Whether another holder's order fired what is armed, of the same bytes.
fn fires(other: &ShownAnswer, armed: &ShownAnswer) -> bool {
    let is_taken = !matches!(other.stage, Stage::Armed | Stage::Refused);
    let is_others = other.source != armed.source && other.unix_ms >= armed.unix_ms;
    is_taken && is_others && (other.order, other.check) == (armed.order, armed.check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::tests::{answer, event};

    #[test]
    fn an_event_is_listed_once_and_the_oldest_make_room() {
        let mut events = Events::default();
        for number in 1..=600 {
            events.take(&event(number, u64::from(number) * 1000, Severity::Warning));
            events.take(&event(number, u64::from(number) * 1000, Severity::Warning));
        }
        assert_eq!(events.newest().count(), MOST_EVENTS);
        assert_eq!(events.newest().next().unwrap().number, 600);
        assert_eq!(events.count_since(599_000), [0, 2, 0, 0]);
        events.take(&event(1, 700_000, Severity::Critical));
        assert_eq!(events.newest().next().unwrap().number, 1, "a store that was lost begins again");
    }

    #[test]
    fn of_an_order_the_last_answer_counts_in_whatever_order_they_come() {
        let mut answers = Answers::default();
        answers.take(&answer(7, Stage::Done, 3000));
        answers.take(&answer(7, Stage::Accepted, 1000));
        answers.take(&answer(7, Stage::Started, 3000));
        assert_eq!(answers.of(2, 7).unwrap().stage, Stage::Done);
        (100..500).for_each(|n| answers.take(&answer(n, Stage::Accepted, 10_000 + u64::from(n))));
        assert_eq!(answers.newest().len(), MOST_ANSWERS);
        assert_eq!(answers.newest()[0].number, 499);
        assert_eq!(answers.of(2, 7), None);
    }

    #[test]
    fn what_is_armed_is_so_for_its_time_or_until_the_next_order_of_its_holder() {
        let mut answers = Answers::default();
        answers.take(&answer(7, Stage::Armed, 3000));
        let armed = |answers: &Answers, now| {
            answers.armed(now, 60_000, 3000).map(|a| a.until_unix_ms).collect::<Vec<_>>()
        };
        assert_eq!((armed(&answers, 62_999), armed(&answers, 63_000)), (vec![63_000], Vec::new()));
        assert_eq!(answers.armed(4000, 60_000, 3001).count(), 0, "the software started after that");
        let other = |unix_ms, stage| Answer { source: 3, ..answer(1, stage, unix_ms) };
        for before in [other(2999, Stage::Done), other(3500, Stage::Refused)] {
            answers.take(&before);
            assert_eq!(armed(&answers, 4000), [63_000]);
        }
        let mut fired = Answers::default();
        fired.take(&answer(7, Stage::Armed, 3000));
        fired.take(&other(3500, Stage::Started));
        assert!(armed(&fired, 4000).is_empty(), "another key fired it");
        answers.take(&answer(8, Stage::Done, 4000));
        assert!(armed(&answers, 5000).is_empty());
    }
}
