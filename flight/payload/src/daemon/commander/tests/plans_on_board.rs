//! Plans and the agenda.

use super::*;

#[test]
fn an_order_on_the_agenda_runs_by_itself_also_after_a_restart() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let row = shell(&mut commander, Step::Run, "agenda add 'after 1s' -- pass start 60");
    assert_eq!((row.stage, row.text.as_str()), (Stage::Done, "on the agenda as one-65535-6"));
    drop(commander);
    let mut commander = open(&disk).0;
    commander.resume(&mut works).unwrap();
    assert!(works.done.is_empty());
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    (0..3).for_each(|_| commander.poll(&mut works));
    assert_eq!(works.done, ["pass start 60 --rate 0"], "{:?}", works.told);
    let now = commander.moment(&works);
    assert!(commander.agenda_answer(now, 9).plans.is_empty(), "what is through is cleared away");
    drop(commander);
    let mut commander = open(&disk).0;
    commander.resume(&mut works).unwrap();
    (0..3).for_each(|_| commander.poll(&mut works));
    assert_eq!(works.done.len(), 1, "nor again");
    let row = shell(&mut commander, Step::Run, "agenda add 'event no-such-event' -- pass stop");
    assert_eq!(row.stage, Stage::Failed, "{}", row.text);
}

#[test]
fn plans_rest_in_safe_mode() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting { safe: true, ..Noting::default() });
    let add = Order::from_line("agenda add 'after 0s' -- pass start 60").unwrap().encode();
    commander.order(&mut works, Step::Run, &add).unwrap();
    (0..3).for_each(|_| commander.poll(&mut works));
    assert!(works.done.is_empty());
    works.safe = false;
    (0..3).for_each(|_| commander.poll(&mut works));
    assert_eq!(works.done.len(), 1);
}

/// A plan of so many entries, signed.
fn signed(name: &str, version: u32, (spi, role): (u16, Role), entries: usize) -> Vec<u8> {
    let body = "after 9h do ping\n".repeat(entries);
    let plan = compile(&format!("plan {name}\nversion {version}\n{body}"), name, &Dictionary::default());
    sign(&plan.unwrap(), spi, &role_key(spi, role).plan_key()).unwrap()
}

fn load(disk: &SimDisk, commander: &mut Commander, name: &str, bytes: &[u8]) -> Result<String, String> {
    let path = Path::new(STATE).join("came-up");
    crate::adapters::disk::write_file(disk, &path, bytes).unwrap();
    commander.load(&mut Noting::default(), UploadKind::Plan, name, &path)
}

#[test]
fn a_plan_that_is_refused_leaves_what_is_on_board_as_it_is() {
    const PLANNER: (u16, Role) = (6, Role::Planner);
    let disk = new_disk();
    let mut commander = opened(&disk);
    let file = |name: &str| disk.files().get(&Path::new(STATE).join(format!("plans/{name}.plan"))).cloned();
    for n in 0..crate::sequence::MAX_PLANS {
        let name = format!("p{n}");
        load(&disk, &mut commander, &name, &signed(&name, 1, PLANNER, 2)).unwrap();
    }
    let before = file("p0");
    assert!(before.is_some());
    load(&disk, &mut commander, "more", &signed("more", 1, PLANNER, 2)).unwrap_err();
    assert_eq!(file("more"), None);
    let by_science = load(&disk, &mut commander, "p0", &signed("p0", 2, (4, Role::Science), 2)).unwrap_err();
    assert!(by_science.contains("is not for science"), "{by_science}");
    shell(&mut commander, Step::Run, "plan start p0");
    load(&disk, &mut commander, "p0", &signed("p0", 2, PLANNER, 2)).unwrap_err();
    assert_eq!(file("p0"), before);
    for n in 0..crate::sequence::MAX_SINGLE {
        let row = shell(&mut commander, Step::Run, "agenda add 'after 9h' -- ping");
        assert_eq!(row.stage, Stage::Done, "{n}: {}", row.text);
    }
    let row = shell(&mut commander, Step::Run, "agenda add 'after 9h' -- ping");
    assert_eq!((row.stage, row.reason), (Stage::Failed, Reason::Busy));
    drop(commander);
    let commander = again(&disk, &mut Noting::default());
    let now = commander.moment(&Noting::default());
    assert_eq!(commander.agenda_answer(now, 999).pending.len(), 2 + crate::sequence::MAX_SINGLE);
}

#[test]
fn a_channel_that_is_not_known_is_above_no_threshold() {
    let channels = crate::telemetry::Sample::default().housekeeping();
    let all = (0..200).collect();
    let known = crate::daemon::commander::plans::known_of(&channels, &all);
    assert!(!known.is_empty() && known.iter().all(|(_, value)| *value < f64::from(u32::MAX)), "{known:?}");
    let frame_age = passband_proto::plan::Orders::channel(&Dictionary::default(), "frame_age").unwrap();
    assert!(known.iter().all(|(channel, _)| *channel != frame_age), "no frame was taken yet");
}
