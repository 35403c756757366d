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
    assert_eq!(state(&pair, arm), format!("armed, and no more so when #{fire} came, which was refused"));
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
