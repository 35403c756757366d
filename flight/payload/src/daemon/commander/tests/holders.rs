//! Holders of keys: who is served, what takes two keys, and how keys come and go.

use super::*;

#[test]
fn a_file_of_command_keys_that_changes_is_read_again_and_counters_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("command-keys.txt");
    let write = |keys: &[RoleKey]| {
        let mut text = String::new();
        for key in keys {
            key.write_line(&mut text).unwrap();
            text.push('\n');
        }
        std::fs::write(&path, text).unwrap();
    };
    let (two, three) = (role_key(2, Role::Operator), role_key(3, Role::Recovery));
    write(&[two.clone(), three.clone()]);
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    commander.key_file = Some(KeyFile::new(FileState::of(&path)));
    let mut operator = Holder::new(2, Role::Operator, 0);
    let before = operator.frame(1, PacketMode::Run, "pass start 300");
    commander.frame(&mut works, &before);
    let run = |commander: &mut Commander, works: &mut Noting, steps: u64| {
        for _ in 0..steps {
            commander.key_file.as_mut().unwrap().next_ms = 0;
            commander.poll(works);
        }
    };
    run(&mut commander, &mut works, 8);
    assert!(!works.codes().contains(&EventCode::CommandKeysChanged), "it has not changed");

    write(&[two.clone(), three.clone(), role_key(9, Role::Operator)]);
    run(&mut commander, &mut works, 8);
    let told = works.told.lock().unwrap().clone();
    let (_, text) = told.iter().find(|(code, _)| *code == EventCode::CommandKeysChanged).unwrap();
    assert!(text.ends_with("new: 9; other than before: none; gone: 4, 5, 6"), "{text}");
    assert!(
        told.iter().any(|(code, text)| *code == EventCode::UplinkCountersLost && text.contains("key 9:")),
        "{told:?}"
    );
    commander.frame(&mut works, &before);
    let after = operator.frame(2, PacketMode::Run, "pass start 60");
    commander.frame(&mut works, &after);
    assert_eq!(works.done, ["pass start 300 --rate 0", "pass start 60 --rate 0"], "no counter is free again");

    // Someone in a shell needn't wait. A key that is gone gives no orders, and knows its counters when it is back.
    write(std::slice::from_ref(&three));
    assert_eq!(shell(&mut commander, Step::Run, "keys accept 2").reason, Reason::NotFound);
    let unknown = operator.frame(3, PacketMode::Run, "pass start 61");
    commander.frame(&mut works, &unknown);
    write(&[two, three]);
    let row = shell(&mut commander, Step::Run, "keys accept 2");
    assert_eq!(row.text, "key 2 is operational");
    commander.frame(&mut works, &after);
    assert_eq!(works.done.len(), 2);
    commander.frame(&mut works, &unknown);
    assert_eq!(works.done.len(), 3, "it came before its key was known");

    std::fs::write(&path, "no keys\n").unwrap();
    run(&mut commander, &mut works, 8);
    write(&[role_key(2, Role::Operator)]);
    run(&mut commander, &mut works, 8);
    let told = works.told.lock().unwrap().clone();
    let stay: Vec<_> = told.iter().filter(|(code, _)| *code == EventCode::CommandKeysStay).collect();
    assert_eq!(stay.len(), 2, "each once: {stay:?}");
    assert!(stay[1].1.starts_with("the command key file holds no recovery key"), "{stay:?}");
    let last = operator.frame(4, PacketMode::Run, "pass start 62");
    commander.frame(&mut works, &last);
    assert_eq!(works.done.len(), 4, "the keys that were read before stay");
}

#[test]
fn what_takes_two_keys_is_armed_by_one_and_fired_by_another() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let (mut operator, mut recovery) = (Holder::new(2, Role::Operator, 0), Holder::new(3, Role::Recovery, 0));
    let mut science = Holder::new(4, Role::Science, 0);
    let frame = operator.frame(1, PacketMode::Arm, "keys retire 4");
    commander.frame(&mut works, &frame);
    let frame = operator.frame(2, PacketMode::Fire, "keys retire 4");
    commander.frame(&mut works, &frame);
    assert_eq!(stage(&commander, 2, 2), Some((Stage::Refused, Reason::SameKey)));
    let frame = operator.frame(3, PacketMode::Arm, "keys retire 4");
    commander.frame(&mut works, &frame);
    let frame = recovery.frame(1, PacketMode::Fire, "keys retire 4");
    commander.frame(&mut works, &frame);
    assert_eq!(stage(&commander, 3, 1), Some((Stage::Done, Reason::None)));
    drop(commander);
    let mut commander = open(&disk).0;
    let frame = science.frame(1, PacketMode::Run, "queue hold 0123");
    commander.frame(&mut works, &frame);
    assert!(works.done.is_empty() && stage(&commander, 4, 1).is_none(), "a retired key stays so");
}

#[test]
fn with_the_records_gone_only_a_resynchronisation_is_taken() {
    let disk = new_disk();
    drop(opened(&disk));
    let lost = new_disk();
    let (mut commander, mut works) = (open(&lost).0, Noting::default());
    let mut operator = Holder::new(2, Role::Operator, 50);
    let recorded = operator.frame(1, PacketMode::Run, "pass stop");
    commander.frame(&mut works, &recorded);
    assert!(works.done.is_empty());
    let resync = operator.0.resynchronise([7; 8], [9; 8]).unwrap();
    commander.frame(&mut works, &resync);
    assert!(works.codes().contains(&EventCode::UplinkResynchronised), "{:?}", works.told);
    commander.frame(&mut works, &recorded);
    assert!(works.done.is_empty(), "what was recorded before stays refused");
    let new = operator.frame(2, PacketMode::Run, "pass stop");
    commander.frame(&mut works, &new);
    assert_eq!(works.done, ["pass stop"]);
}

#[test]
fn frames_of_all_holders_are_served_in_turns() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let (mut operator, mut recovery) = (Holder::new(2, Role::Operator, 0), Holder::new(3, Role::Recovery, 0));
    for number in 1..=100 {
        commander.receive(&mut works, &operator.frame(number, PacketMode::Run, "pass stop"));
    }
    commander.receive(&mut works, &recovery.frame(1, PacketMode::Run, "pass start 60"));
    assert!(commander.serve(&mut works) && commander.serve(&mut works));
    assert!(works.done.contains(&"pass start 60 --rate 0".to_owned()), "{:?}", works.done);
    while commander.serve(&mut works) {}
    assert_eq!(works.done.len(), 1 + MAX_WAITING, "what is too much comes again");
}

#[test]
fn where_a_key_stands_is_told_when_a_frame_under_it_is_refused_for_that() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let mut operator = Holder::new(2, Role::Operator, 0);
    let frame = operator.frame(1, PacketMode::Run, "pass stop");
    (0..2).for_each(|_| commander.frame(&mut works, &frame));
    assert!(commander.parts().keys_wanted.contains(&2));
    commander.poll(&mut works);
    assert!(commander.parts().keys_wanted.is_empty());
}
