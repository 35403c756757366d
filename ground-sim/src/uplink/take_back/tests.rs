//! Taking back, with nobody and with another process at work.

use super::*;
use passband_proto::dict::{Reason, Stage};
use passband_proto::sdls::{Role, RoleKey};

const NO_TIME: Duration = Duration::ZERO;

fn armed(entry: Entry) -> Entry {
    let text = "for 60 s".to_owned();
    let told = Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text });
    Entry { told, sent: 1, armed_until_unix_ms: Some(unix_ms() + 60_000), ..entry }
}

#[test]
fn what_nobody_works_is_taken_back_at_once_and_what_is_armed_with_what_would_fire_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
    let mut folder = Folder::open(dir.path(), &key).unwrap();
    let queue = |folder: &Folder, step| folder.queue(step, &Order::BoardReboot {}, unix_ms()).unwrap();
    let unsent = queue(&folder, Mode::Arm).number;
    assert_eq!(take_back(&mut folder, unsent, NO_TIME).unwrap(), TakenBack::Unsent);
    assert!(matches!(take_back(&mut folder, unsent, NO_TIME).unwrap(), TakenBack::Settled(_)));
    let mut sent = queue(&folder, Mode::Arm);
    sent.sent = 2;
    folder.keep_order(&sent).unwrap();
    let said = take_back(&mut folder, sent.number, NO_TIME).unwrap().to_string();
    assert!(said.starts_with("too late: it was sent 2 times"), "{said}");
    let (armed, fire) = (armed(queue(&folder, Mode::Arm)), queue(&folder, Mode::Fire));
    folder.keep_order(&armed).unwrap();
    let TakenBack::Armed { by } = take_back(&mut folder, armed.number, NO_TIME).unwrap() else {
        panic!("it was armed")
    };
    let state = |number| folder.order(number).unwrap().unwrap().state();
    assert_eq!((state(armed.number), state(fire.number)), ("armed, then given up".into(), "dropped".into()));
    assert_eq!(folder.order(by).unwrap().unwrap().words(), "ping");
    assert!(take_back(&mut folder, 1, NO_TIME).is_err());
}

#[test]
fn what_was_sent_to_fire_it_may_have_fired_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
    let mut folder = Folder::open(dir.path(), &key).unwrap();
    let queue = |step| folder.queue(step, &Order::BoardReboot {}, unix_ms()).unwrap();
    let (armed, mut fire) = (armed(queue(Mode::Arm)), queue(Mode::Fire));
    fire.sent = 1;
    folder.keep_order(&armed).unwrap();
    folder.keep_order(&fire).unwrap();
    let said = take_back(&mut folder, armed.number, NO_TIME).unwrap().to_string();
    let wanted =
        format!("too late: #{}, which fires it, was sent once, and is done if it arrived", fire.number);
    assert!(said.starts_with(&wanted), "{said}");
    assert_eq!(folder.order(fire.number).unwrap().unwrap().state(), "dropped; sent once, may have been done");
    assert_eq!(folder.order(fire.number + 1).unwrap().unwrap().words(), "ping");
}

#[test]
fn what_is_armed_while_it_is_taken_back_is_disarmed() {
    let dir = tempfile::tempdir().unwrap();
    let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
    let mut folder = Folder::open(dir.path(), &key).unwrap();
    let lock = folder.lock().unwrap().unwrap();
    let mut worked = Folder::open(dir.path(), &key).unwrap();
    let mut arm = folder.queue(Mode::Arm, &Order::BoardReboot {}, unix_ms()).unwrap();
    arm.sent = 1;
    folder.keep_order(&arm).unwrap();
    let number = arm.number;
    let works = std::thread::spawn(move || {
        while worked.drops().unwrap().is_empty() {
            std::thread::sleep(LOOK_EVERY);
        }
        // Its answer comes first.
        worked.keep_order(&Entry { dropped: true, ..armed(arm) }).unwrap();
        worked.dropped(Drop::Order(number)).unwrap();
        drop(lock);
    });
    let taken = take_back(&mut folder, number, Duration::from_secs(20)).unwrap();
    works.join().unwrap();
    assert_eq!(taken, TakenBack::Armed { by: number + 1 });
    assert_eq!(folder.order(number + 1).unwrap().unwrap().words(), "ping");
}

#[test]
fn who_works_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let key = RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
    let mut folder = Folder::open(dir.path(), &key).unwrap();
    let _works = folder.lock().unwrap().unwrap();
    let number = folder.queue(Mode::Run, &Order::Ping {}, unix_ms()).unwrap().number;
    assert_eq!(take_back(&mut folder, number, NO_TIME).unwrap(), TakenBack::Asked);
    assert_eq!(folder.drops().unwrap(), [Drop::Order(number)]);
}
