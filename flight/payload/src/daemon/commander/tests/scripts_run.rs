//! Scripts, and how their orders are answered.

use super::*;

#[test]
fn a_script_is_answered_when_it_has_ended() {
    let disk = new_disk();
    let mut commander = opened(&disk);
    let (sender, orders) = std::sync::mpsc::channel();
    let mut works = Noting { scripts: Some(sender), ..Noting::default() };
    for (order, why) in [
        ("script run check", "there is no script check"),
        ("script remove check", "there is no script check"),
    ] {
        let order = Order::from_line(order).unwrap().encode();
        let (_, record) = commander.order(&mut works, Step::Run, &order).unwrap().unwrap();
        assert_eq!((record.reason, record.text.as_str()), (Reason::NotFound, why), "at once");
    }
    keep_script(&disk);
    let order = Order::from_line("script run check --args 'a b' --wall 600").unwrap().encode();
    let (id, record) = commander.order(&mut works, Step::Run, &order).unwrap().unwrap();
    assert_eq!(record.stage, Stage::Started);
    let Ok(ScriptOrder::Start { id: run, arguments, limits, .. }) = orders.try_recv() else { panic!() };
    assert_eq!(
        (run.number, arguments.len(), limits.wall_s),
        (id.number, 2, 300),
        "no more than is configured"
    );
    works.news.lock().unwrap().push_back(ScriptNews::Refused { id: run, why: "no script check".to_owned() });
    commander.poll(&mut works);
    let record = commander.desk().ledger().get(&id).unwrap();
    assert_eq!((record.stage, record.text.as_str()), (Stage::Failed, "no script check"));
}

fn keep_script(disk: &SimDisk) {
    let store = ScriptStore::open(Arc::new(disk.clone()), Path::new(STATE)).unwrap();
    store.put(&"check".parse().unwrap(), b"true\n").unwrap();
}

fn run_record(id: RunId) -> RunRecord {
    RunRecord {
        id,
        name: "check".parse().unwrap(),
        arguments: vec![],
        limits: Limits::default(),
        started_unix_ms: 1,
        ended_unix_ms: Some(id.number.into()),
        end: Some(End::Interrupted),
        output_bytes: 0,
        first_lines: String::new(),
    }
}

#[test]
fn a_script_cut_off_by_a_restart_is_told_once_with_its_bundle() {
    let disk = new_disk();
    keep_script(&disk);
    let (sender, orders) = std::sync::mpsc::channel();
    let works = &mut Noting { scripts: Some(sender), ..Noting::default() };
    let mut commander = opened(&disk);
    let order = Order::from_line("script run check").unwrap().encode();
    let (id, _) = commander.order(works, Step::Run, &order).unwrap().unwrap();
    drop(commander);
    let mut commander = open(&disk).0;
    commander.resume(works).unwrap();
    assert_eq!(orders.try_iter().count(), 2, "the order is followed again");
    let record = Box::new(run_record(RunId { source: id.source, number: id.number }));
    works.news.lock().unwrap().extend([
        ScriptNews::Ended { record: record.clone(), bundle: Some([5; 12]) },
        ScriptNews::Ran { record: record.clone() },
    ]);
    commander.poll(works);
    let told = |works: &Noting| works.desk.outside(|outside| outside.scripts.len());
    assert_eq!((commander.desk().ledger().get(&id).unwrap().stage, told(works)), (Stage::Failed, 1));
    let mut bundles = Vec::new();
    for now_s in 0..600 {
        if let Some(crate::telemetry::Due::Packet { apid, data }) =
            works.desk.schedule(|schedule, settings| schedule.poll(now_s * 1_000, settings))
            && apid == Script::DEF.apid
        {
            bundles.push(Script::read(&data).unwrap().bundle);
        }
    }
    assert_eq!(bundles, [[5; 12]]);
}

#[test]
fn a_run_that_ended_before_its_order_was_answered_is_told_when_the_order_comes_again() {
    let disk = new_disk();
    keep_script(&disk);
    let (sender, _orders) = std::sync::mpsc::channel();
    let works = &mut Noting { scripts: Some(sender), ..Noting::default() };
    let mut commander = opened(&disk);
    let order = Order::from_line("script run check").unwrap().encode();
    let (id, _) = commander.order(works, Step::Run, &order).unwrap().unwrap();
    let record = Box::new(run_record(RunId { source: id.source, number: id.number }));
    works.news.lock().unwrap().push_back(ScriptNews::Ran { record });
    commander.poll(works);
    assert_eq!(commander.desk().ledger().get(&id).unwrap().stage, Stage::Failed);
    assert_eq!(works.desk.outside(|outside| outside.scripts.len()), 1);
}

#[test]
fn the_digest_keeps_no_more_scripts_than_it_lists() {
    let disk = new_disk();
    let (mut commander, works) = (opened(&disk), &mut Noting::default());
    for number in 1..=100 {
        let record = Box::new(run_record(RunId { source: 2, number }));
        works.news.lock().unwrap().push_back(ScriptNews::Ended { record, bundle: None });
    }
    commander.poll(works);
    let kept: Vec<_> = works.desk.outside(|outside| outside.scripts.iter().map(|run| run.unix_ms).collect());
    assert_eq!(kept, (85..=100).collect::<Vec<u64>>());
}
