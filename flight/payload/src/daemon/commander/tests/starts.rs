//! Orders that change how the payload runs, over its starts.

use super::*;

#[test]
fn a_parameter_is_staged_committed_and_put_back() {
    let disk = new_disk();
    let mut commander = opened(&disk);
    let value = |commander: &Commander| {
        let now = commander.moment(&Noting::default());
        commander.parameters(now, "telemetry.beacon").unwrap().parameters[0].value.clone()
    };
    assert_eq!(shell(&mut commander, Step::Run, "params set telemetry.beacon 7").stage, Stage::Done);
    assert_eq!(value(&commander), "30", "staged alone changes nothing");
    let row = shell(&mut commander, Step::Run, "params commit --within 60");
    assert_eq!((row.stage, value(&commander).as_str()), (Stage::Done, "7"), "{}", row.text);
    drop(commander);
    let mut commander = open(&disk).0;
    assert_eq!(value(&commander), "7");
    assert_eq!(shell(&mut commander, Step::Run, "params rollback").stage, Stage::Done);
    assert_eq!(value(&commander), "30");
    assert_eq!(shell(&mut commander, Step::Run, "params rollback").stage, Stage::Failed);
}

#[test]
fn leaving_safe_mode_is_tried_once() {
    let disk = new_disk();
    let mut works = Noting { safe: true, ..Noting::default() };
    let mut commander = opened(&disk);
    let leave = Order::SafeLeave {}.encode();
    let (id, record) = commander.order(&mut works, Step::Run, &leave).unwrap().unwrap();
    assert_eq!((record.stage, commander.parts().then.take()), (Stage::Started, Some(Then::Restart)));
    drop(commander);
    // The start in normal operation fails, and safe mode comes up.
    let mut commander = again(&disk, &mut works);
    assert_eq!(stage(&commander, id.source, id.number), Some((Stage::Failed, Reason::Interrupted)));
    assert_eq!(commander.parts().then, None);
}

#[test]
fn the_board_is_restarted_once_whatever_its_clock_says() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    assert_eq!(shell(&mut commander, Step::Arm, "board reboot").stage, Stage::Armed);
    let reboot = Order::BoardReboot {}.encode();
    let (id, record) = commander.order(&mut works, Step::Fire, &reboot).unwrap().unwrap();
    assert_eq!((record.stage, commander.parts().then.take()), (Stage::Started, Some(Then::Reboot)));
    drop(commander);
    let mut commander = again(&disk, &mut works);
    assert_eq!(commander.parts().then, Some(Then::Reboot), "the daemon ended before it could");
    let note = record_of(REBOOT, &(id, crate::adapters::os::board_number().wrapping_add(1)));
    commander.desk.change(&[note]).unwrap();
    drop(commander);
    let mut commander = again(&disk, &mut works);
    assert_eq!(stage(&commander, id.source, id.number), Some((Stage::Done, Reason::None)));
    assert_eq!(commander.parts().then, None);
}

fn record_of<T: serde::Serialize>(key: &[u8], value: &T) -> Change {
    record(Kind::Note, key, value)
}

#[test]
fn the_black_box_is_answered_for_when_it_is_a_bundle_and_not_made_in_safe_mode() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let order = Order::BlackboxSend {}.encode();
    let (id, record) = commander.order(&mut works, Step::Run, &order).unwrap().unwrap();
    assert_eq!(record.stage, Stage::Started);
    let wanted = works.desk.take_blackbox_wanted();
    assert_eq!(wanted, [id]);
    works.desk.blackbox_made(&wanted, &Ok("bundle 01".to_owned()));
    commander.poll(&mut works);
    assert_eq!(commander.desk().ledger().get(&id).unwrap().text, "bundle 01");
    works.safe = true;
    let (_, record) = commander.order(&mut works, Step::Run, &order).unwrap().unwrap();
    assert_eq!((record.stage, record.reason), (Stage::Failed, Reason::WrongMode));
}
