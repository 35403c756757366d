//! Records that can't be written for a while.

use super::*;

/// Syncs fail from the `n`th operation on of putting an order on the agenda and doing it, or one sync does: it is done once,
/// also when the daemon is started anew.
#[test]
fn while_the_records_can_t_be_written_plans_wait_and_nothing_is_done_twice() {
    let (mut waited, mut at) = (0, 0);
    loop {
        let mut reached = false;
        for once in [false, true] {
            let disk = new_disk();
            let (mut commander, mut works) = (opened(&disk), Noting::default());
            let mut operator = Holder::new(2, Role::Operator, 0);
            let first = disk.operations() + at;
            disk.watch(move |disk| {
                let now = disk.operations();
                let sync_fails = now == first || (now > first && !once);
                disk.set_faults(Faults { sync_fails, ..Faults::default() });
            });
            let add = operator.frame(1, PacketMode::Run, "agenda add 'after 0s' -- pass start 60");
            commander.frame(&mut works, &add);
            commander.poll(&mut works);
            disk.unwatch();
            reached |= disk.operations() > first;
            waited += u32::from(works.done.is_empty());
            disk.set_faults(Faults::default());
            (0..3).for_each(|_| commander.poll(&mut works));
            let again = operator.frame(1, PacketMode::Run, "agenda add 'after 0s' -- pass start 60");
            commander.frame(&mut works, &again);
            (0..3).for_each(|_| commander.poll(&mut works));
            assert_eq!(works.done, ["pass start 60 --rate 0"], "operation {at}, once {once}");
            assert_eq!(stage(&commander, 2, 1), Some((Stage::Done, Reason::None)));
            assert!(!commander.desk.owes());
            put_back(&mut commander, &mut works);
            drop(commander);
            let mut commander = open(&disk).0;
            commander.resume(&mut works).unwrap();
            commander.frame(
                &mut works,
                &operator.frame(1, PacketMode::Run, "agenda add 'after 0s' -- pass start 60"),
            );
            (0..3).for_each(|_| commander.poll(&mut works));
            assert_eq!(works.done.len(), 1, "operation {at}, once {once}: nor at the next start");
        }
        if !reached {
            break;
        }
        at += 1;
    }
    assert!(at > 10 && waited > 10, "{waited} of {at}");
}

/// A minute later.
fn put_back(commander: &mut Commander, works: &mut Noting) {
    commander.records.tried_ms = None;
    commander.poll(works);
    assert_eq!(commander.records.in_memory, None, "{:?}", works.told);
}

#[test]
fn records_that_can_t_be_written_are_kept_in_memory_and_put_back() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let mut operator = Holder::new(2, Role::Operator, 0);
    disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    for number in 1..=3 {
        let frame = operator.frame(number, PacketMode::Run, "pass stop");
        commander.frame(&mut works, &frame);
        commander.poll(&mut works);
        let again = operator.frame(number, PacketMode::Run, "pass stop");
        commander.frame(&mut works, &again);
        assert_eq!(stage(&commander, 2, number), Some((Stage::Done, Reason::None)));
    }
    assert_eq!(works.done.len(), 3);
    assert!(commander.records.in_memory.is_some());
    commander.records.tried_ms = None;
    commander.poll(&mut works);
    assert!(commander.records.in_memory.is_some(), "it can't be written still");
    disk.set_faults(Faults::default());
    put_back(&mut commander, &mut works);
    assert!(works.codes().contains(&EventCode::DiskGood));
    drop(commander);
    let mut commander = open(&disk.after_cut(1)).0;
    commander.resume(&mut works).unwrap();
    for number in 1..=3 {
        commander.frame(&mut works, &operator.frame(number, PacketMode::Run, "pass stop"));
    }
    assert_eq!(works.done.len(), 3, "what was done meanwhile is known");
}
