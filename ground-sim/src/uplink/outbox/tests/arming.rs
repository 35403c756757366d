//! What is armed, while answers are lost or late: what fires it, what disarms it, and what is said of that.

use super::*;

fn state(pair: &Pair, number: u32) -> String {
    pair.outbox.order(number).unwrap().state()
}

fn stage(pair: &Pair, number: u32) -> Stage {
    pair.outbox.order(number).unwrap().told.as_ref().unwrap().stage
}

#[test]
fn what_was_fired_and_then_given_up_says_that_it_may_have_been_done() {
    let mut pair = Pair::new(0.0, 31);
    let (arm, _) = armed(&mut pair);
    pair.downlink = false;
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.play(2_000);
    assert!(pair.outbox.drop_order(arm, &mut pair.paper).unwrap());
    let said = [arm, fire].map(|number| state(&pair, number));
    assert_eq!(said, ["armed, then given up", "dropped; sent once, may have been done"]);
    pair.downlink = true;
    pair.settle();
    pair.assert_once(2);
    assert!(state(&pair, fire).starts_with("done"), "{}", state(&pair, fire));
}

#[test]
fn a_firing_whose_number_was_taken_leaves_it_armed_and_the_others_waiting() {
    let mut pair = Pair::new(0.0, 32);
    pair.board.tells_keys = false;
    let old = pair.paper.clone();
    pair.paper.number = 12;
    let taken = pair.order(Mode::Run, "ping");
    pair.play(200);
    let mark = pair.paper.mark;
    pair.paper = Paper { mark, ..old };
    pair.restart();
    let (arm, behind) = armed(&mut pair);
    let fire = pair.order(Mode::Fire, "daemon restart");
    assert_eq!(fire, taken);
    pair.settle();
    assert!(state(&pair, fire).ends_with("it goes on as #14"), "{}", state(&pair, fire));
    assert_eq!([14, behind].map(|number| stage(&pair, number)), [Stage::Done; 2]);
    assert_eq!(state(&pair, arm), "armed, until #14 came to fire it");
}

#[test]
fn what_is_refused_as_nothing_is_armed_came_to_fire_nothing() {
    let mut pair = Pair::new(0.0, 33);
    let (arm, behind) = armed(&mut pair);
    pair.board.restart();
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.settle();
    assert_eq!([fire, behind].map(|number| stage(&pair, number)), [Stage::Refused, Stage::Done]);
    let again = "arm it again if it is still to be done";
    assert_eq!(state(&pair, arm), format!("disarmed: #{fire} came to fire it and was refused; {again}"));
}

#[test]
fn what_was_lost_before_an_arming_waits_until_that_is_answered_and_fired() {
    let mut pair = Pair::new(1.0, 34);
    let before = pair.order(Mode::Run, "ping");
    pair.play(1_000);
    pair.loss = 0.0;
    pair.downlink = false;
    let arm = pair.order(Mode::Arm, "daemon restart");
    pair.play(20_000);
    let waits = stands(&pair, before);
    assert!(waits.starts_with(&format!("sent once; waits: #{arm} is to be armed first")), "{waits}");
    pair.downlink = true;
    while pair.outbox.order(arm).unwrap().is_open() {
        pair.play(100);
    }
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.settle();
    assert_eq!([fire, before].map(|number| stage(&pair, number)), [Stage::Done; 2]);
    pair.assert_once(2);
}

/// Tells of another holder's order of the same bytes.
fn hear_other(pair: &mut Pair, arm: u32, unix: u64) {
    let entry = pair.outbox.order(arm).unwrap().clone();
    let answer = Answer {
        source: 3,
        number: 9,
        opcode: entry.opcode(),
        check: entry.check(),
        stage: Stage::Started,
        reason: Reason::None,
        unix,
        text: FixedText::default(),
    };
    hear(pair, unix, &answer);
}

fn is_armed(pair: &Pair, number: u32) -> bool {
    pair.outbox.order(number).unwrap().armed_until().is_some()
}

const FIRED_BY_ANOTHER: &str = "armed, then fired by the holder of another key";

#[test]
fn what_another_key_fires_is_armed_no_more() {
    let mut pair = Pair::new(0.0, 24);
    let (arm, _) = armed(&mut pair);
    let armed_ms = pair.outbox.order(arm).unwrap().told.as_ref().unwrap().unix_ms;
    hear_other(&mut pair, arm, armed_ms - 1);
    assert!(is_armed(&pair, arm), "that was another time");
    hear_other(&mut pair, arm, armed_ms + 1);
    assert!(!is_armed(&pair, arm));
    pair.settle();
    pair.assert_once(1);
}

#[test]
fn a_firing_that_is_heard_before_the_arming_or_after_its_time_lets_the_others_go() {
    // Nobody works the outbox while the order is armed and fired: the answers come as they come.
    let mut pair = Pair::new(0.0, 35);
    pair.downlink = false;
    let arm = pair.order(Mode::Arm, "daemon restart");
    let behind = pair.order(Mode::Run, "ping");
    pair.play(200);
    let armed_ms = pair.now_ms;
    pair.restart();
    hear_other(&mut pair, arm, armed_ms + 100);
    assert!(!is_armed(&pair, arm));
    pair.downlink = true;
    pair.play(10_000);
    assert_eq!(state(&pair, arm), FIRED_BY_ANOTHER);
    assert!(pair.outbox.order(behind).unwrap().sent > 0, "{}", stands(&pair, behind));

    let mut pair = Pair::new(0.0, 36);
    let (arm, _) = armed(&mut pair);
    let armed_ms = pair.outbox.order(arm).unwrap().told.as_ref().unwrap().unix_ms;
    pair.play(ARM_MS);
    let over = "disarmed: its time was over before it was fired; arm it again if it is still to be done";
    assert_eq!((state(&pair, arm), pair.paper.orders[&arm].state()), (over.to_owned(), over.to_owned()));
    hear_other(&mut pair, arm, armed_ms + 1_000_000);
    assert_eq!(state(&pair, arm), over, "that fired another arming");
    hear_other(&mut pair, arm, armed_ms + 50_000);
    assert_eq!(state(&pair, arm), FIRED_BY_ANOTHER);
}

#[test]
fn events_tell_what_no_answer_does_any_more() {
    let events = [
        (EventCode::OrderDone, "3/9 daemon restart: as told", true),
        (EventCode::OrderDone, "3/9 board reboot: as told", false),
        (EventCode::OrderDone, "2/1 daemon restart", false),
        (EventCode::OrderDisarmed, "2/11 is armed no more: order 2/12 came", true),
        (EventCode::OrderDisarmed, "2/12 is armed no more: order 2/13 came", false),
        (EventCode::OrderArmed, "3/9 daemon restart: armed for 60 s", false),
    ];
    for (code, text, ends) in events {
        let mut pair = Pair::new(0.0, 37);
        let (arm, behind) = armed(&mut pair);
        assert_eq!(arm, 11);
        hear_event(&mut pair, 1, code, text);
        assert!(is_armed(&pair, arm), "an event of before: {text}");
        let now_ms = pair.now_ms;
        hear_event(&mut pair, now_ms, code, text);
        assert_eq!(is_armed(&pair, arm), !ends, "{text}");
        pair.play(2_000);
        assert_eq!(pair.outbox.order(behind).unwrap().sent > 0, ends, "{text}");
    }
}

#[test]
fn a_restart_on_board_disarms_and_the_outbox_says_so() {
    for knows_boot in [true, false] {
        let mut pair = Pair::new(0.0, 38);
        if knows_boot {
            pair.play(10_000);
        }
        let (arm, behind) = armed(&mut pair);
        if !knows_boot {
            // As if no beacon was heard before.
            let paper = pair.paper.orders.get_mut(&arm).unwrap();
            assert_eq!(paper.armed_in_boot.take(), Some(1));
            pair.restart();
        }
        pair.board.restart();
        pair.play(6_000);
        let said = state(&pair, arm);
        assert_eq!(
            said,
            "disarmed: the satellite's software has started anew since; arm it again if it is still to be done"
        );
        assert!(pair.noticed.contains(&Noticed::Order(arm)));
        assert_eq!(pair.paper.orders[&arm].json()["disarmed"], "restart");
        assert!(pair.outbox.order(behind).unwrap().sent > 0);
    }
}

#[test]
fn a_restart_that_is_what_was_fired_is_no_disarming() {
    let mut pair = Pair::new(0.0, 39);
    let (arm, _) = armed(&mut pair);
    pair.downlink = false;
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.play(1_000);
    pair.board.restart();
    // The beacon of the new start is all that comes through.
    let now_ms = pair.now_ms;
    let beacon = pair.board.telemetry(now_ms).pop().unwrap();
    let now = pair.now();
    pair.outbox.hear(now, (beacon.0, beacon.1, &beacon.2), &mut pair.paper).unwrap();
    assert!(is_armed(&pair, arm), "{}", state(&pair, arm));
    pair.downlink = true;
    pair.settle();
    assert_eq!(state(&pair, arm), format!("armed, until #{fire} came to fire it"));
}
