//! Once, however often an order comes and whatever is cut off.

use super::*;

#[test]
fn a_sealed_order_is_done_once_however_often_it_comes() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let mut operator = Holder::new(2, Role::Operator, 0);
    let frame = operator.frame(1, PacketMode::Run, "pass start 300");
    (0..10).for_each(|_| commander.frame(&mut works, &frame));
    for _ in 0..10 {
        let again = operator.frame(1, PacketMode::Run, "pass start 300");
        commander.frame(&mut works, &again);
    }
    assert_eq!(works.done, ["pass start 300 --rate 0"]);
    assert_eq!(stage(&commander, 2, 1), Some((Stage::Done, Reason::None)));
    assert_eq!(
        works.codes().iter().filter(|code| **code == EventCode::UplinkRefused).count(),
        1,
        "throttled"
    );
    drop(commander);
    let (mut commander, told) = open(&disk);
    assert!(told.is_empty(), "{told:?}");
    commander.frame(&mut works, &frame);
    let again = operator.frame(1, PacketMode::Run, "pass start 300");
    commander.frame(&mut works, &again);
    assert_eq!(works.done.len(), 1, "nor after a restart");
}

#[test]
fn without_a_disk_to_write_to_nothing_is_taken_twice_and_nothing_is_lost_later() {
    let disk = new_disk();
    drop(opened(&disk));
    let (mut commander, mut works) = (open(&disk).0, Noting::default());
    let mut operator = Holder::new(2, Role::Operator, 0);
    let frame = operator.frame(1, PacketMode::Run, "pass stop");
    disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    commander.frame(&mut works, &frame);
    assert!(works.done.is_empty(), "what can't be kept isn't done");
    drop(commander);
    let (mut commander, told) = open(&disk);
    assert!(
        commander.records.in_memory.is_some() && told.iter().any(|r| r.text.contains("in memory")),
        "{told:?}"
    );
    let frame = operator.frame(1, PacketMode::Run, "pass stop");
    commander.frame(&mut works, &frame);
    assert_eq!(works.done, ["pass stop"], "in memory it goes on");
}

#[test]
fn whatever_is_cut_off_no_frame_is_taken_again_and_no_counter_skipped() {
    let disk = new_disk();
    let mut commander = opened(&disk);
    let cuts: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
    let (seen, mut seed) = (Arc::clone(&cuts), 0);
    disk.watch(move |disk| {
        seed += 1;
        seen.lock().unwrap().push(disk.after_cut(seed));
    });
    let (mut works, mut operator) = (Noting::default(), Holder::new(2, Role::Operator, 0));
    let frames: Vec<_> = (1..=6).map(|n| operator.frame(n, PacketMode::Run, "pass stop")).collect();
    frames.iter().for_each(|frame| commander.frame(&mut works, frame));
    disk.unwatch();
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    assert!(cuts.len() > 20, "{}", cuts.len());
    for cut in cuts {
        let mut works = Noting::default();
        let mut commander = open(&cut).0;
        commander.resume(&mut works).unwrap();
        let resumed = works.done.len();
        assert!(resumed <= 1);
        frames.iter().chain(&frames).for_each(|frame| commander.frame(&mut works, frame));
        let known = (1..=6).filter(|n| stage(&commander, 2, *n).is_some()).count();
        // A frame whose counter is kept, but not yet its order, is sent anew by the ground: one at most.
        assert!(known >= 5, "{known}");
        for number in 1..=6 {
            let again = operator.frame(number, PacketMode::Run, "pass stop");
            commander.frame(&mut works, &again);
            assert_eq!(stage(&commander, 2, number), Some((Stage::Done, Reason::None)));
        }
    }
}

#[test]
fn numbers_go_on_behind_those_that_others_remember() {
    let disk = new_disk();
    let mut commander = opened(&disk);
    assert_eq!(shell(&mut commander, Step::Run, "params set telemetry.beacon 7").stage, Stage::Done);
    drop(commander);
    disk.remove(&Path::new(STATE).join("command.redb")).unwrap();
    let mut commander = open(&disk).0;
    for value in ["8", "9", "10", "11", "12", "13"] {
        let row = shell(&mut commander, Step::Run, &format!("params set telemetry.beacon {value}"));
        assert!(row.text.contains(value), "{}", row.text);
    }
}
