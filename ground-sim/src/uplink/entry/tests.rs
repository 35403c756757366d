//! Documents of orders, and the words for where they stand.

use super::*;

#[test]
fn an_order_survives_its_document() {
    let mut entry = Entry::new(7, Mode::Arm, &Order::BoardReboot {}, 5);
    assert_eq!(Entry::parse(&serde_json::to_vec(&entry.json()).unwrap()).unwrap(), entry);
    assert_eq!((entry.state(), entry.words()), ("waiting".to_owned(), "board reboot".to_owned()));
    entry.sent = 3;
    entry.sent_unix_ms = Some(9);
    assert_eq!(entry.state(), "sent 3 times");
    entry.told = Some(Told { stage: Stage::Refused, reason: Reason::Busy, unix_ms: 3, text: "later".into() });
    assert!(entry.is_open() && !entry.is_there());
    assert_eq!(entry.state(), "refused (busy): later");
    assert_eq!(Entry::parse(&serde_json::to_vec(&entry.json()).unwrap()).unwrap(), entry);
    entry.expired = true;
    assert!(
        !entry.is_open()
            && entry.state().starts_with("expired")
            && entry.state().contains("may have arrived")
    );
    entry.told =
        Some(Told { stage: Stage::Refused, reason: Reason::NumberTaken, unix_ms: 3, text: String::new() });
    entry.goes_on_as = Some(9);
    assert_eq!(entry.state(), "refused (number-taken); it goes on as #9");
    assert_eq!(Entry::parse(&serde_json::to_vec(&entry.json()).unwrap()).unwrap(), entry);
    (entry.disarmed, entry.armed_in_boot) = (Some(Disarmed::Restart), Some(4));
    assert_eq!(Entry::parse(&serde_json::to_vec(&entry.json()).unwrap()).unwrap(), entry);
    let next = entry.renumbered().unwrap();
    assert_eq!((next.number, next.queued_unix_ms, next.told, next.goes_on_as), (9, 5, None, None));
    assert!(Entry::parse(b"{}").is_err());
}

#[test]
fn what_the_board_says_steers_no_terminal() {
    let answer = Answer {
        source: 2,
        number: 1,
        opcode: 1,
        check: 0,
        stage: Stage::Done,
        reason: Reason::None,
        unix: 0,
        text: passband_proto::dict::FixedText::cut("a\u{1b}[2Jb\u{9b}c"),
    };
    assert_eq!(Told::from(&answer).to_string(), "done: a [2Jb c");
}
