use super::*;
use passband_proto::dict::{FixedText, Reason, Severity, Stage};
use proptest::prelude::*;

fn answer(source: u16, number: u32) -> Answer {
    let (stage, reason) = (Stage::Done, Reason::None);
    Answer { source, number, opcode: 1, check: 0, stage, reason, unix: 0, text: FixedText::default() }
}

fn event(number: u32, severity: Severity, code: EventCode) -> Event {
    Event { number, unix: 0, severity, code, text: FixedText::default() }
}

/// Everything else quiet and the link free, but for the clock.
fn quiet() -> Settings {
    Settings { beacon_s: 0, housekeeping_s: 0, rate_bps: 10_000_000, ..Settings::default() }
}

fn apid(due: &Due) -> u16 {
    match due {
        Due::Packet { apid, .. } => *apid,
        Due::Beacon => Beacon::DEF.apid,
        Due::Housekeeping => Housekeeping::DEF.apid,
        Due::Time => Time::DEF.apid,
    }
}

/// All that is due at a time.
fn all(schedule: &mut Schedule, now_ms: u64, settings: &Settings) -> Vec<Due> {
    std::iter::from_fn(|| schedule.poll(now_ms, settings)).collect()
}

#[test]
fn what_is_urgent_goes_first() {
    let settings = Settings { rate_bps: 10_000_000, ..Settings::default() };
    let mut schedule = Schedule::default();
    assert_eq!(all(&mut schedule, 1_000, &settings), [Due::Beacon, Due::Housekeeping, Due::Time]);
    schedule.sent = 0;
    schedule.ask(Due::Time).unwrap();
    schedule.event(2_000, event(1, Severity::Error, EventCode::SendError), &settings);
    schedule.answer(2_000, answer(2, 7));
    let apids: Vec<u16> = all(&mut schedule, 2_000, &settings).iter().map(apid).collect();
    assert_eq!(apids, [Answer::DEF.apid, Event::DEF.apid, Time::DEF.apid]);
    assert_eq!(schedule.next_ms(2_000, &settings), 12_000, "the answer again");
}

#[test]
fn answers_are_repeated_at_growing_distances_until_they_are_seen() {
    let (mut schedule, settings) = (Schedule::default(), quiet());
    schedule.answer(0, answer(2, 7));
    schedule.answer(0, answer(2, 40));
    schedule.answer(0, answer(3, 7));
    let mut times = Vec::new();
    for s in 0..2_000_u64 {
        for due in all(&mut schedule, s * 1000, &settings) {
            if due == Due::of(&answer(2, 7)) {
                times.push(s);
            }
        }
    }
    assert_eq!(times, [0, 10, 30, 70, 150, 310, 630, 1_270, 1_910]);
    schedule.seen(2, 8, 0);
    assert_eq!(schedule.answers_open(), 2, "that of another source is another answer");
    schedule.seen(2, 9, 1 << 30);
    assert_eq!(schedule.answers_open(), 2);
    schedule.seen(2, 9, 1 << 31);
    schedule.seen(3, 6, 0b10);
    assert_eq!(schedule.answers_open(), 0);
    assert!(all(&mut schedule, 9_000_000, &settings).iter().all(|due| *due == Due::Time));
}

#[test]
fn an_answer_takes_the_place_of_an_earlier_one_and_of_too_many_the_most_sent_goes() {
    let (mut schedule, settings) = (Schedule::default(), quiet());
    schedule.answer(0, answer(2, 1));
    let started = Answer { stage: Stage::Started, ..answer(2, 1) };
    schedule.answer(0, started.clone());
    assert_eq!(all(&mut schedule, 1, &settings), [Due::of(&started), Due::Time]);
    for number in (2..).take(MAX_ANSWERS) {
        schedule.answer(2, answer(2, number));
    }
    assert_eq!(schedule.answers_open(), MAX_ANSWERS as u64);
    assert!(!schedule.answers.contains_key(&(2, 1)));
    schedule.repeat_answers(3);
    assert_eq!(all(&mut schedule, 3_000, &settings).len(), MAX_ANSWERS);
}

#[test]
fn who_gives_many_orders_holds_up_nobody_elses_answers() {
    let (mut schedule, settings) = (Schedule::default(), quiet());
    for number in 0..1_000 {
        schedule.answer(0, answer(2, number));
    }
    schedule.answer(0, answer(9, 1));
    assert_eq!(schedule.answers_open(), MAX_ANSWERS as u64);
    let sources = all(&mut schedule, 1, &settings);
    let place = sources.iter().position(|due| *due == Due::of(&answer(9, 1)));
    assert!(place.is_some_and(|place| place < 4), "{place:?}");
    for number in 1_000..2_000 {
        schedule.answer(2, answer(2, number));
    }
    assert!(schedule.answers.contains_key(&(9, 1)), "nor pushes them out");
}

#[test]
fn the_most_severe_and_newest_events_go_first_and_what_is_left_out_is_counted() {
    let (mut schedule, settings) = (Schedule::default(), quiet());
    schedule.event(0, event(1, Severity::Info, EventCode::Other), &settings);
    assert!(schedule.events.is_empty(), "below the floor");
    for (number, code) in (2..).zip(EventCode::ALL.iter().cycle().take(MAX_EVENTS + 10)) {
        schedule.event(0, event(number, Severity::Warning, *code), &settings);
    }
    schedule.event(0, event(999, Severity::Critical, EventCode::SafeMode), &settings);
    assert_eq!((schedule.events.len(), schedule.left_out()), (MAX_EVENTS, 11));
    let numbers: Vec<u32> = all(&mut schedule, 1_000, &settings)
        .iter()
        .filter_map(|due| match due {
            Due::Packet { data, .. } => Event::read(data).map(|e| e.number),
            _ => None,
        })
        .collect();
    assert_eq!((numbers[0], numbers[1], numbers.len()), (999, 75, MAX_EVENTS));
    assert!(numbers.iter().skip(1).is_sorted_by(|a, b| a > b));
}

#[test]
fn a_storm_of_one_code_is_cut() {
    let (mut schedule, settings) = (Schedule::default(), quiet());
    for number in 0..100 {
        schedule.event(u64::from(number), event(number, Severity::Error, EventCode::SendError), &settings);
    }
    assert_eq!((schedule.events.len(), schedule.left_out()), (12, 88));
    schedule.event(60_000, event(200, Severity::Error, EventCode::SendError), &settings);
    assert_eq!(schedule.events.len(), 13, "a minute later there is room again");
}

#[test]
fn what_is_asked_for_is_bounded() {
    let mut schedule = Schedule::default();
    assert!((0..MAX_ASKED).all(|_| schedule.ask(Due::Beacon).is_ok()));
    assert_eq!(schedule.ask(Due::Beacon), Err(Refused));
}

#[test]
fn nothing_starves_under_a_flood() {
    let settings = Settings { beacon_s: 1, housekeeping_s: 1, ..Settings::default() };
    let (mut schedule, mut seen) = (Schedule::default(), BTreeMap::new());
    let mut number = 0;
    for ms in (0..600_000_u64).step_by(50) {
        number += 1;
        schedule.answer(ms, answer(2, number));
        let code = EventCode::ALL[number as usize % EventCode::ALL.len()];
        schedule.event(ms, event(number, Severity::Critical, code), &settings);
        let _full = schedule.ask(Due::of(&answer(9, 9)));
        while let Some(due) = schedule.poll(ms, &settings) {
            *seen.entry(apid(&due)).or_insert(0_u32) += 1;
        }
    }
    for packet in [Beacon::DEF, Housekeeping::DEF, Event::DEF, Time::DEF, Answer::DEF] {
        assert!(seen.get(&packet.apid).is_some_and(|n| *n >= 9), "{}: {seen:?}", packet.name);
    }
}

proptest! {
    /// Over any time no more is sent than the rate allows, but for a second saved up and the packet in hand; and what
    /// waits is told by `next_ms`.
    #[test]
    fn the_rate_is_kept(
        rate_bps in 300_u32..20_000,
        steps in prop::collection::vec((1_u64..3_000, 0_u32..4), 10..120),
    ) {
        let settings = Settings { rate_bps, ..Settings::default() };
        let (mut schedule, mut now_ms, mut bits, mut number) = (Schedule::default(), 0, 0_u64, 0);
        for (step_ms, answers) in steps {
            now_ms += step_ms;
            for _ in 0..answers {
                number += 1;
                schedule.answer(now_ms, answer(2, number));
            }
            while let Some(due) = schedule.poll(now_ms, &settings) {
                bits += due.bits();
            }
            let rate = u64::from(rate_bps);
            prop_assert!(bits <= rate * now_ms / 1000 + rate + 8 * 1_500, "{bits} in {now_ms} ms");
            let next_ms = schedule.next_ms(now_ms, &settings);
            prop_assert!(next_ms > now_ms, "else there would have been something");
            prop_assert!(schedule.clone().poll(next_ms - 1, &settings).is_none());
            prop_assert!(schedule.clone().poll(next_ms, &settings).is_some());
        }
    }
}
