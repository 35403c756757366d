//! An outbox against a board, over links that lose, with kills of either side at any moment.

mod arming;
mod pair;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use passband_proto::dict::{
    Answer, Event, EventCode, FixedText, Order, Packet, Parameter, ParameterId, ParametersState, Reason,
    Severity, Stage, UploadFate, UploadKind,
};
use passband_proto::sdls::{Channel, Frame, Role, RoleKeys};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::hold::ARM_MS;
use super::super::model::BoardModel;
use super::super::upload::About;
use super::*;
use pair::{CHANNEL, Pair, Paper, T0_MS, content, hear, hear_event, key};

#[test]
fn a_file_goes_up_between_orders_over_losses_and_restarts_of_both_ends() {
    for (seed, downlink) in [(11, true), (12, false)] {
        let mut pair = Pair::new(0.3, seed);
        pair.downlink = downlink;
        let id = pair.upload();
        for n in 0..6 {
            pair.order(Mode::Run, &format!("pass start {}", n + 1));
            pair.play(8_000);
            if n == 2 {
                pair.board.restart();
                pair.restart();
            }
        }
        pair.play(if downlink { 120_000 } else { 200_000 });
        let there = pair.board.uploads[&id].there.values().flatten().copied().collect::<Vec<_>>();
        assert!(there == content(), "{seed}: {} of {} bytes", there.len(), content().len());
        pair.downlink = true;
        pair.settle();
        let most = if downlink { 150_000 } else { 300_000 };
        assert!(pair.paper.uploads[&id].whole && pair.sent_bytes < most, "{} bytes", pair.sent_bytes);
        pair.assert_once(7);
    }
}

#[test]
fn every_order_is_done_once_over_lossy_links_and_restarts_of_both_ends() {
    for (seed, loss) in [(1, 0.0), (2, 0.2), (3, 0.5), (4, 0.5)] {
        let mut pair = Pair::new(loss, seed);
        for n in 0..30 {
            pair.order(Mode::Run, &format!("pass start {}", n + 1));
            pair.play(1_500);
            match n {
                7 | 19 => pair.board.restart(),
                11 | 23 => pair.restart(),
                _ => {}
            }
        }
        pair.settle();
        pair.assert_once(30);
        assert!(pair.outbox.orders().all(|entry| entry.told.as_ref().unwrap().stage == Stage::Done));
    }
}

#[test]
fn a_dead_downlink_stops_nothing_and_the_rate_is_kept() {
    let mut pair = Pair::new(0.5, 5);
    pair.downlink = false;
    for n in 0..20 {
        pair.order(Mode::Run, &format!("pass start {}", n + 1));
    }
    pair.play(900_000);
    pair.assert_once(20);
    assert!(pair.outbox.orders().all(|entry| (5..=20).contains(&entry.sent)), "growing distances");
    assert!(pair.sent_bytes * 8 <= 9_600 * 900);
    pair.downlink = true;
    pair.settle();
    pair.assert_once(20);
}

#[test]
fn an_order_is_done_once_over_a_kill_at_every_write() {
    let mut at = 1;
    loop {
        let mut pair = Pair::new(0.2, at);
        let orders = [pair.order(Mode::Run, "ping"), pair.order(Mode::Run, "pass stop")];
        let begun = pair.paper.writes;
        pair.paper.killed_at = Some((begun + at.div_ceil(2), at.is_multiple_of(2)));
        pair.settle();
        pair.assert_once(orders.len());
        if pair.paper.killed_at.is_some() {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "{at}");
}

#[test]
fn a_board_that_lost_its_counters_is_asked_to_go_on_from_ours() {
    let mut pair = Pair::new(0.3, 6);
    pair.order(Mode::Run, "ping");
    pair.settle();
    pair.loss = 0.0;
    pair.board.marks.clear();
    pair.board.restart();
    pair.order(Mode::Run, "pass stop");
    pair.settle();
    pair.assert_once(2);
    assert!(pair.noticed.contains(&Noticed::CountersLost));
    // Ours may be an old copy: only the time is above all that was used.
    assert!(*pair.counters.last().unwrap() > T0_MS);
}

#[test]
fn lost_counters_are_mended_within_half_a_minute_of_a_pass() {
    for tells_keys in [true, false] {
        let mut pair = Pair::new(0.0, 13);
        pair.order(Mode::Run, "ping");
        pair.settle();
        pair.board.forget();
        pair.board.tells_keys = tells_keys;
        pair.order(Mode::Run, "ping");
        pair.downlink = false;
        // Passes that are too short for it, and long silences, make it no slower.
        for _ in 0..3 {
            pair.play(600_000);
        }
        assert_eq!(pair.board.done.len(), 1);
        pair.downlink = true;
        pair.play(30_000);
        assert_eq!(pair.board.done.len(), 2, "tells keys: {tells_keys}");
        pair.settle();
        pair.assert_once(2);
    }
}

#[test]
fn an_old_copy_of_the_outbox_goes_ahead_of_what_was_used() {
    let mut pair = Pair::new(0.0, 7);
    let old = pair.paper.clone();
    for n in 0..90 {
        pair.order(Mode::Run, &format!("pass start {}", n + 1));
    }
    pair.settle();
    pair.paper = old;
    pair.counters.clear();
    pair.restart();
    let number = pair.order(Mode::Run, "pass stop");
    assert_eq!(number, 11, "which was another order's");
    pair.settle();
    assert!(pair.noticed.iter().any(|noticed| matches!(noticed, Noticed::CounterBehind { .. })));
    assert!(pair.noticed.iter().any(|noticed| matches!(noticed, Noticed::NumbersBehind { board: 100 })));
    pair.assert_once(91);
    let taken = &pair.paper.orders[&number];
    assert_eq!(taken.state(), "refused (number-taken): it was pass start; it goes on as #101");
    assert_eq!(pair.paper.orders[&101].told.as_ref().unwrap().stage, Stage::Done);
}

#[test]
fn an_answer_to_another_order_of_that_number_is_none_to_ours() {
    let mut pair = Pair::new(0.0, 14);
    let old = pair.paper.clone();
    let number = pair.order(Mode::Run, "pass start 1");
    pair.play(200);
    let unseen = pair.board.telemetry(pair.now_ms);
    pair.paper = old;
    pair.counters.clear();
    pair.restart();
    // The same opcode, and the number again.
    assert_eq!(pair.order(Mode::Run, "pass start 300"), number);
    let now = pair.now();
    for (apid, unix_ms, data) in &unseen {
        let noticed = pair.outbox.hear(now, (*apid, *unix_ms, data), &mut pair.paper).unwrap();
        pair.noticed.extend(noticed);
    }
    assert!(pair.outbox.order(number).unwrap().told.is_none());
    assert!(pair.noticed.contains(&Noticed::NumberTaken(number)));
    pair.settle();
    pair.assert_once(2);
}

#[test]
fn a_step_of_a_hazardous_order_does_not_wait_for_ever() {
    let mut pair = Pair::new(1.0, 15);
    let arm = pair.order(Mode::Arm, "board reboot");
    let fire = pair.order(Mode::Fire, "board reboot");
    let ping = pair.order(Mode::Run, "ping");
    pair.play(ARM_MS - 1_000);
    assert!(pair.paper.orders[&fire].is_open());
    pair.play(2_000);
    let state = |pair: &Pair, number| pair.paper.orders[&number].state();
    assert!(state(&pair, arm).contains("may have arrived") && state(&pair, fire).starts_with("expired"));
    pair.loss = 0.0;
    pair.restart();
    pair.settle();
    pair.assert_once(1);
    assert!(pair.outbox.order(ping).unwrap().told.is_some());
}

#[test]
fn what_came_up_before_comes_up_again() {
    let mut pair = Pair::new(0.1, 16);
    let id = pair.upload();
    pair.settle();
    assert!(pair.paper.uploads[&id].is_in_place());
    let before = pair.sent_bytes;
    assert_eq!(pair.upload(), id);
    pair.settle();
    assert!(pair.paper.uploads[&id].is_in_place());
    assert!(pair.sent_bytes - before > 20_000, "{} bytes", pair.sent_bytes - before);
    assert_eq!(pair.board.done.len(), 2);
}

#[test]
fn what_the_board_does_not_take_is_not_in_its_place() {
    for (fate, reason) in [(UploadFate::Refused, Reason::NotAllowed), (UploadFate::Waits, Reason::Busy)] {
        let mut pair = Pair::new(0.1, 17);
        pair.board.fate = (UploadFate::Waits, Reason::None);
        let id = pair.upload();
        pair.play(120_000);
        assert!(pair.paper.uploads[&id].is_open(), "what becomes of it is still to be told");
        pair.board.fate = (fate, reason);
        pair.settle();
        let about = &pair.paper.uploads[&id];
        assert_eq!(
            (about.is_open(), about.is_in_place(), about.fate()),
            (false, false, Some((fate, reason)))
        );
    }
}

#[test]
fn counters_that_came_apart_unnoticed_come_together_again() {
    let mut pair = Pair::new(0.0, 8);
    pair.order(Mode::Run, "ping");
    pair.settle();
    // A board whose counter stands above all of ours, and a downlink that carries nothing about keys.
    let key = key();
    let mut far = passband_proto::sdls::Sender::new(&key, 0, [9; 4], 1_000).unwrap();
    far.persisted(2_000);
    pair.board.take(pair.now_ms, &far.seal(&[1]).unwrap());
    pair.board.tells_keys = false;
    pair.order(Mode::Run, "pass stop");
    pair.settle();
    pair.assert_once(2);
}

#[test]
fn what_is_between_two_steps_is_not_disarmed_by_what_waits_behind() {
    let mut pair = Pair::new(0.3, 9);
    let arm = pair.order(Mode::Arm, "daemon restart");
    let behind = pair.order(Mode::Run, "ping");
    pair.play(3_000);
    assert_eq!(pair.outbox.order(behind).unwrap().sent, 0);
    while pair.outbox.order(arm).unwrap().is_open() {
        pair.play(100);
    }
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.settle();
    let stage = |number| pair.outbox.order(number).unwrap().told.as_ref().unwrap().stage;
    assert_eq!([arm, fire, behind].map(stage), [Stage::Armed, Stage::Done, Stage::Done]);
    pair.assert_once(2);
}

/// An order that is armed, one behind it that waits, and the state in which that is shown.
fn armed(pair: &mut Pair) -> (u32, u32) {
    let arm = pair.order(Mode::Arm, "daemon restart");
    let behind = pair.order(Mode::Run, "ping");
    while pair.outbox.order(arm).unwrap().is_open() {
        pair.play(100);
    }
    pair.play(10_000);
    (arm, behind)
}

fn stands(pair: &Pair, number: u32) -> String {
    pair.outbox.hold(pair.now()).state(pair.outbox.order(number).unwrap())
}

#[test]
fn what_waits_for_an_armed_order_says_so_and_goes_when_that_is_fired_or_its_time_is_over() {
    for fires in [true, false] {
        let mut pair = Pair::new(0.0, 21);
        let (arm, behind) = armed(&mut pair);
        let waits = stands(&pair, behind);
        assert!(waits.starts_with(&format!("waits: #{arm} is armed until 10:01:")), "{waits}");
        assert!(stands(&pair, arm).starts_with("armed until 10:01:"), "{}", stands(&pair, arm));
        // A process that takes the outbox up knows it, too.
        pair.restart();
        pair.play(5_000);
        assert_eq!(pair.outbox.order(behind).unwrap().sent, 0);
        let begun = pair.now_ms;
        if fires {
            let fire = pair.order(Mode::Fire, "daemon restart");
            pair.play(10_000);
            assert_eq!(stands(&pair, arm), format!("armed, until #{fire} came to fire it"));
            assert!(pair.outbox.order(behind).unwrap().sent > 0, "as soon as the answer is there");
        }
        pair.settle();
        pair.assert_once(1 + usize::from(fires));
        assert!(fires || pair.now_ms - begun <= 70_000, "its time was over");
    }
}

#[test]
fn what_is_armed_and_given_up_lets_the_others_go_and_is_not_fired() {
    let mut pair = Pair::new(0.0, 22);
    let (arm, behind) = armed(&mut pair);
    pair.loss = 1.0;
    let fire = pair.order(Mode::Fire, "daemon restart");
    pair.play(2_000);
    assert!(pair.outbox.drop_order(arm, &mut pair.paper).unwrap());
    pair.loss = 0.0;
    pair.play(10_000);
    let state = |number| pair.outbox.order(number).unwrap().state();
    assert_eq!([arm, fire].map(state), ["armed, then given up", "dropped; sent once, may have been done"]);
    assert_eq!(pair.outbox.order(behind).unwrap().told.as_ref().unwrap().stage, Stage::Done);
    pair.assert_once(1);
    assert!(!pair.outbox.drop_order(behind, &mut pair.paper).unwrap(), "it is settled");
}

#[test]
fn an_order_from_before_that_goes_again_disarms_nothing() {
    let mut pair = Pair::new(1.0, 23);
    let before = pair.order(Mode::Run, "ping");
    pair.play(3_000);
    pair.loss = 0.0;
    let arm = pair.order(Mode::Arm, "daemon restart");
    // It reaches the board before what it lost goes again.
    let entry = pair.outbox.order(arm).unwrap().clone();
    let mut sender = passband_proto::sdls::Sender::new(&key(), 0, [9; 4], T0_MS * 2).unwrap();
    sender.persisted(T0_MS * 2 + 100);
    let mut packet = [0; 200];
    let command = passband_proto::packet::CommandPacket {
        sequence_count: 1,
        mode: Mode::Arm,
        number: arm,
        order: &entry.bytes,
    };
    let bytes = command.write(&mut packet).unwrap();
    pair.board.take(pair.now_ms, &sender.seal(&packet[..bytes]).unwrap());
    let now = pair.now();
    for (apid, unix_ms, data) in pair.board.telemetry(pair.now_ms) {
        pair.outbox.hear(now, (apid, unix_ms, &data), &mut pair.paper).unwrap();
    }
    let sent = pair.outbox.order(before).unwrap().sent;
    pair.play(30_000);
    assert_eq!(pair.outbox.order(before).unwrap().sent, sent);
    assert!(stands(&pair, before).contains("; waits: #"), "{}", stands(&pair, before));
}

/// What is noticed as the board says that it refused a frame of an association.
fn hear_refusal(pair: &mut Pair, spi: u16) -> Vec<Noticed> {
    hear_event(pair, 1, EventCode::UplinkRefused, &format!("84 bytes: SPI {spi}: the tag doesn't hold"))
}

#[test]
fn a_board_that_refuses_or_holds_another_key_is_told_once() {
    let mut pair = Pair::new(1.0, 26);
    pair.order(Mode::Run, "ping");
    assert!(hear_refusal(&mut pair, 3).is_empty());
    pair.play(2_000);
    for (spi, wanted) in [(3, 0), (2, 1), (2, 0)] {
        assert_eq!(hear_refusal(&mut pair, spi).len(), wanted, "{spi}");
    }
    let mut other = RoleKeys::default();
    other.insert(RoleKey::new(CHANNEL.spacecraft, 2, Role::Operator, [4; 32]).unwrap()).unwrap();
    let mut pair = Pair::new(0.0, 27);
    pair.board = BoardModel::new(CHANNEL, other);
    pair.order(Mode::Run, "ping");
    pair.play(60_000);
    let told = pair.noticed.iter().filter(|noticed| matches!(noticed, Noticed::OtherKey { .. })).count();
    assert_eq!(told, 1, "{:?}", pair.noticed);
}

#[test]
fn a_forged_frame_is_not_taken_for_ours_and_hides_no_other_key() {
    let mut pair = Pair::new(0.0, 28);
    pair.order(Mode::Run, "ping");
    pair.settle();
    assert_eq!(hear_refusal(&mut pair, 2), [], "ours is done");
    // What is forged while ours are on their way is told once, and again after ours went through.
    for _ in 0..2 {
        pair.downlink = false;
        pair.order(Mode::Run, "ping");
        pair.play(1_000);
        assert_eq!([0; 2].map(|_| hear_refusal(&mut pair, 2).len()), [1, 0]);
        pair.downlink = true;
        pair.settle();
    }
    let mut other = RoleKeys::default();
    other.insert(RoleKey::new(CHANNEL.spacecraft, 2, Role::Operator, [4; 32]).unwrap()).unwrap();
    pair.board = BoardModel::new(CHANNEL, other);
    pair.order(Mode::Run, "ping");
    pair.play(60_000);
    let told = pair.noticed.iter().filter(|noticed| matches!(noticed, Noticed::OtherKey { .. })).count();
    assert_eq!(told, 1, "{:?}", pair.noticed);
}

#[test]
fn for_how_long_orders_stay_armed_is_learnt_from_telemetry() {
    let mut pair = Pair::new(0.0, 25);
    let parameter = Parameter {
        id: ParameterId::ArmFor,
        value: FixedText::cut("120"),
        staged: FixedText::cut("300"),
        state: ParametersState::Confirmed,
        source: 0,
        number: 0,
        unix: 0,
    };
    let mut data = vec![0; Parameter::DEF.data_bytes()];
    parameter.write(&mut data).unwrap();
    let now = pair.now();
    let heard = (Parameter::DEF.apid, 1, data.as_slice());
    let noticed = pair.outbox.hear(now, heard, &mut pair.paper).unwrap();
    assert_eq!(noticed, [Noticed::ArmedFor(120_000)]);
    pair.restart();
    assert_eq!(pair.outbox.arm_ms(), 120_000, "it outlives the process");
    // What is armed says for how long itself.
    let (arm, behind) = armed(&mut pair);
    assert_eq!((pair.outbox.arm_ms(), pair.paper.arm_ms), (60_000, Some(60_000)));
    let until = pair.outbox.order(arm).unwrap().armed_until().unwrap();
    assert!(until <= pair.now().unix_ms + 60_000, "{}", stands(&pair, behind));
}

#[test]
fn what_is_taken_back_is_sent_no_more_and_what_is_refused_is_told() {
    let mut pair = Pair::new(0.0, 10);
    let refused = pair.order(Mode::Run, "board reboot");
    let gone = pair.order(Mode::Run, "pass stop");
    assert!(pair.outbox.drop_order(gone, &mut pair.paper).unwrap());
    pair.settle();
    let state = |number| pair.outbox.order(number).unwrap().state();
    assert_eq!(state(refused), "refused (not-armed): board reboot is to be armed, then fired");
    assert_eq!((state(gone), pair.paper.orders[&gone].dropped), ("dropped".to_owned(), true));
    assert!(pair.board.done.is_empty());
}

#[test]
fn telemetry_of_another_spacecraft_than_the_key_is_told_once_something_is_unanswered() {
    // The board has the key under its own number, and takes no frame of the other one.
    let (there, noticed) =
        (Channel { spacecraft: 9, ..CHANNEL }, Noticed::OtherSpacecraft { board: Some(9) });
    let mut pair = Pair::new(0.0, 40);
    pair.board = BoardModel::new(there, RoleKeys::default());
    pair.play(40_000);
    assert_eq!(pair.noticed, [], "nothing was given");
    pair.order(Mode::Run, "ping");
    pair.play(60_000);
    assert_eq!(pair.noticed, [noticed]);
    // One that takes our orders is heard beside it.
    let mut pair = Pair::new(0.0, 41);
    pair.play(5_000);
    pair.downlink = false;
    pair.order(Mode::Run, "ping");
    pair.play(2_000);
    let other = BoardModel::new(there, RoleKeys::default()).telemetry(1).pop().unwrap();
    let now = pair.now();
    assert_eq!(pair.outbox.hear(now, (other.0, other.1, &other.2), &mut pair.paper).unwrap(), []);
    for (scid, wanted) in [(8, 0), (7, 1), (7, 0)] {
        let text = format!("84 bytes: for another spacecraft, SCID {scid}");
        let heard = hear_event(&mut pair, 1, EventCode::UplinkRefused, &text);
        assert_eq!(heard.len(), wanted, "{scid}: {heard:?}");
    }
}
