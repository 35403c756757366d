use passband_proto::transfer::belief::{Group, LossBelief};

use super::super::tests::{T0, drain, id, item, numbers, queue, sharing};
use super::*;
use crate::queue::Item;

/// 1 Mbyte a second for ten minutes, an hour after [`T0`] and two orbits after that.
fn passes() -> [Contact; 2] {
    [3_600_000, 14_400_000].map(|after_ms| Contact {
        aos_unix_ms: T0 + after_ms,
        los_unix_ms: T0 + after_ms + 600_000,
        rate_bps: 8_000_000,
    })
}

fn explain(queue: &Queue, n: u32, now: u64) -> Explanation {
    let explanation = queue.explain(&id(n), now, &passes(), &LinkBelief::expecting(0.2)).unwrap();
    let text = explanation.to_text();
    assert!(text.lines().count() <= 23 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation, "{json}");
    explanation
}

fn says(explanation: &Explanation, what: &str) {
    let text = explanation.to_text();
    assert!(text.contains(what), "{what:?} is not in\n{text}");
}

#[test]
fn places_are_those_of_the_order() {
    let class = |n: u32| Class::ALL[n as usize * 7 % 4];
    let tasking = |n: u32| u16::try_from(n % 3).unwrap();
    let mut queue = Queue::new(sharing(&[2, 5])).unwrap();
    for n in 0..60 {
        assert!(queue.insert(&Item { class: class(n), tasking: tasking(n), ..item(n) }).is_ok());
    }
    assert!(queue.promote(&id(31)).is_ok() && queue.promote(&id(7)).is_ok());
    // Some of it is overdue.
    let now = T0 + 86_430_000;
    for (place, n) in (1..).zip(numbers(queue.upcoming(now).map(|next| next.id))) {
        let explanation = explain(&queue, n, now);
        assert_eq!(explanation.place, Some(place));
        assert_eq!(explanation.ahead.bundles, place - 1);
    }
    says(&explain(&queue, 7, now), "promoted by operator, 1 promoted before it");
}

#[test]
fn reasons_are_told() {
    let mut settings = sharing(&[2, 4]);
    settings.taskings[1].name = "x".repeat(64);
    let mut queue = Queue::new(settings).unwrap();
    let of = |n, class, tasking| Item { class, tasking, ..item(n) };
    let evidence = Item { kind: Kind::Evidence, ..of(5, Class::Suspect, 1) };
    for item in
        [of(0, Class::Alert, 0), of(1, Class::Suspect, 1), of(2, Class::Suspect, 2), evidence, item(6)]
    {
        assert!(queue.insert(&item).is_ok());
    }
    let waits = explain(&queue, 1, T0);
    says(&waits, "class suspect, 1 of higher class ahead, 2 of its own");
    says(&waits, "has share 2 of 6");
    says(&waits, "1 smaller of its class and tasking go first");
    says(&waits, "due in 1 h 30 min");
    let taken = queue.next(T0).unwrap().id;
    says(&explain(&queue, 0, T0), "on the link, with 0 other(s)");
    let served = queue.next(T0).unwrap().id;
    assert_eq!((taken, served), (id(0), id(5)));
    says(&explain(&queue, 1, T0 + 5_701_000), "ahead by 1.0 MB");
    says(&explain(&queue, 1, T0 + 5_701_000), "overdue by 300 s");
    assert!(queue.put_back(&taken, 600).is_ok() && queue.hold(&taken, T0).is_ok());
    says(&explain(&queue, 0, T0), "held by operator since 2023-11-14T22:13:20Z");
    says(&explain(&queue, 0, T0), "600 symbols of it were sent; it has 1000");
    says(&explain(&queue, 0, T0), "not expected it is held");
    assert!(queue.presume(&served, 1_300, 0.9).is_ok());
    says(&explain(&queue, 5, T0), "presumed down with probability 0.90");
    assert!(queue.known(&served).is_ok() && queue.damaged(&id(2)).is_ok());
    assert!((explain(&queue, 5, T0).probability - 1.0).abs() < 1e-9);
    says(&explain(&queue, 2, T0), "found broken on the disk");
    assert!(matches!(
        queue.explain(&id(9), T0, &[], &LinkBelief::expecting(0.2)),
        Err(QueueError::Unknown { .. })
    ));
}

#[test]
fn symbols_ahead_reach_the_targets_and_hardly_more() {
    let queue = queue((0..3).map(item));
    let explanation = explain(&queue, 2, T0);
    let belief = LossBelief::expecting(0.2);
    let each = u32::try_from(explanation.own.symbols).unwrap();
    let down = |sent| belief.all_down(&[Group { need: 1_001, sent, count: 1 }]);
    assert!(down(each) >= 0.8 && down(each - each / 20) < 0.8, "{each}: {}", down(each));
    assert_eq!(
        explanation.ahead,
        Cost { bundles: 2, symbols: 2 * u64::from(each), link_bytes: 2 * u64::from(each) * 1064 }
    );
}

#[test]
fn the_moment_follows_from_the_passes() {
    let mut queue = queue((0..700).map(item));
    let Forecast::Expected { first, last, probability } = explain(&queue, 0, T0).forecast else { panic!() };
    assert_eq!((first.unix_ms, first.aos_unix_ms), (T0 + 3_600_001, T0 + 3_600_000));
    assert!((1_300..1_700).contains(&(last.unix_ms - first.unix_ms)) && probability >= 0.8);
    let Forecast::Expected { first, .. } = explain(&queue, 600, T0).forecast else { panic!() };
    assert_eq!(first.aos_unix_ms, T0 + 14_400_000, "the first pass is full");
    // What the sender has goes before, too.
    let alone = explain(&queue, 600, T0).ahead;
    (0..50).for_each(|_| assert!(queue.next(T0).is_some()));
    assert_eq!(explain(&queue, 600, T0).ahead, alone);
    assert_eq!(drain(&mut queue, T0).len(), 650);
    let shared = queue.explain(&id(3), T0, &[], &LinkBelief::expecting(0.2)).unwrap();
    assert_eq!(shared.forecast, Forecast::NotExpected { because: NotExpected::NoPass });
    let too_short = explain(&queue, 3, T0 + 14_400_000 + 599_000).forecast;
    assert!(matches!(too_short, Forecast::NotExpected { because: NotExpected::TooShort { .. } }));
}

#[test]
fn odd_beliefs_are_survived() {
    let queue = queue([Item { source_symbols: u32::MAX, bytes: 1 << 44, ..item(0) }]);
    for loss in [f64::NAN, -1.0, 2.0] {
        let link = LinkBelief { targets: [f64::NAN, -1.0, 7.0, 1.0], ..LinkBelief::expecting(loss) };
        assert!(queue.explain(&id(0), T0, &passes(), &link).unwrap().own.link_bytes > 1 << 44);
    }
}
