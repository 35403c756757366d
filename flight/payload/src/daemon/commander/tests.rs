use std::path::Path;
use std::sync::{Arc, Mutex};

use passband_proto::dict::{Packet, Script, Stage};
use passband_proto::packet::CommandPacket;
use passband_proto::plan::{Dictionary, compile, sign};
use passband_proto::sdls::{Channel, Role, RoleKey, RoleKeys, Sender as FrameSender};
use sha2::{Digest, Sha256};

use super::*;
use crate::config::Config;
use crate::faults::{Faults, SimDisk};
use crate::script::{End, RunId, RunRecord};

const CHANNEL: Channel = Channel { spacecraft: 1, vcid: 0 };
const STATE: &str = "/state";

/// A rest of the daemon that notes what it is asked.
#[derive(Default)]
struct Noting {
    done: Vec<String>,
    told: Mutex<Vec<(EventCode, String)>>,
    desk: Notices,
    scripts: Option<Sender<ScriptOrder>>,
    news: Mutex<VecDeque<ScriptNews>>,
    safe: bool,
}

impl Works for Noting {
    fn daily(&mut self, _now: Moment, run: &Run) -> Outcome {
        self.done.push(run.order.to_string());
        Outcome::done("")
    }

    fn desk(&self) -> &Notices {
        &self.desk
    }

    fn scripts(&self) -> Option<Sender<ScriptOrder>> {
        self.scripts.clone()
    }

    fn script_news(&self) -> VecDeque<ScriptNews> {
        std::mem::take(&mut self.news.lock().unwrap())
    }

    fn script_limits(&self) -> Limits {
        Limits::default()
    }

    fn scripts_running(&self) -> u64 {
        0
    }

    fn pass_plan(&self) -> usize {
        1
    }

    fn passes(&self, _from_unix_ms: u64, _count: usize) -> Vec<Pass> {
        Vec::new()
    }

    fn shed(&self, _level: Shed) {}

    fn shed_at_least(&self, _level: Shed) {}

    fn vitals(&self, _others: &mut Others) {}

    fn next_start(&mut self, _safe: bool) -> Result<(), String> {
        Ok(())
    }

    fn event(&self, report: &Report) {
        self.told.lock().unwrap().push((report.code, report.text.clone()));
    }

    fn mode(&self) -> Mode {
        if self.safe { Mode::Safe } else { Mode::Nominal }
    }
}

impl Noting {
    fn codes(&self) -> Vec<EventCode> {
        self.told.lock().unwrap().iter().map(|(code, _)| *code).collect()
    }
}

fn role_key(spi: u16, role: Role) -> RoleKey {
    RoleKey::new(1, spi, role, [u8::try_from(spi).unwrap(); 32]).unwrap()
}

fn keys() -> RoleKeys {
    let mut keys = RoleKeys::default();
    for (spi, role) in [
        (2, Role::Operator),
        (3, Role::Recovery),
        (4, Role::Science),
        (5, Role::Recovery),
        (6, Role::Planner),
    ] {
        keys.insert(role_key(spi, role)).unwrap();
    }
    keys
}

/// A holder of a key on the ground.
struct Holder(FrameSender);

impl Holder {
    fn new(spi: u16, role: Role, used: u64) -> Self {
        let mut sender = FrameSender::new(&role_key(spi, role), 0, [1, 2, 3, 4], used).unwrap();
        sender.persisted(used + 1000);
        Self(sender)
    }

    fn frame(&mut self, number: u32, mode: PacketMode, order: &str) -> Vec<u8> {
        let order = Order::from_line(order).unwrap().encode();
        let packet = CommandPacket { sequence_count: 0, mode, number, order: &order };
        let mut out = [0; CommandPacket::MAX_BYTES];
        let len = packet.write(&mut out).unwrap();
        self.0.seal(&out[..len]).unwrap()
    }
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> (Commander, Vec<Report>) {
    let (disk, config) = (Arc::new(disk.clone()) as Arc<dyn Disk>, Config::default());
    let (parameters, _told) = ParameterFile::open(Arc::clone(&disk), Path::new(STATE), config);
    let begin = Begin {
        disk,
        state: PathBuf::from(STATE),
        clock: Clock::default(),
        channel: CHANNEL,
        keys: keys(),
        key_file: None,
        challenge: [7; 8],
        parameters: Some(parameters),
        uploads_bytes: 1 << 20,
    };
    Commander::open(begin).unwrap()
}

/// With all keys put to use.
fn opened(disk: &SimDisk) -> Commander {
    let (mut commander, told) = open(disk);
    assert!(told.iter().any(|report| report.code == EventCode::UplinkCountersLost));
    for spi in 2..=6 {
        let row = shell(&mut commander, Step::Run, &format!("keys accept {spi}"));
        assert_eq!(row.stage, Stage::Done, "{}", row.text);
    }
    commander
}

fn shell(commander: &mut Commander, step: Step, order: &str) -> Record {
    let order = Order::from_line(order).unwrap().encode();
    commander.order(&mut Noting::default(), step, &order).unwrap().unwrap().1
}

fn stage(commander: &Commander, source: u16, number: u32) -> Option<(Stage, Reason)> {
    commander.desk().ledger().get(&OrderId { source, number }).map(|record| (record.stage, record.reason))
}

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

/// The orders that bring a file up, sealed; the first has this number.
fn upload(holder: &mut Holder, number: u32, kind: &str, name: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let sha256 = Sha256::digest(bytes);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let id = hex(&sha256[..4]);
    let begin = format!("upload begin {id} {kind} {name} {} 64 {}", bytes.len(), hex(&sha256));
    let mut frames = vec![holder.frame(number, PacketMode::Run, &begin)];
    for (index, piece) in bytes.chunks(64).enumerate() {
        let order = format!("upload piece {id} {index} {}", hex(piece));
        frames.push(holder.frame(0, PacketMode::Run, &order));
    }
    frames
}

#[test]
fn a_signed_plan_comes_up_in_pieces_and_runs_one_signed_by_who_may_not_is_refused() {
    let text = "plan night\nversion 3\na: after 0s do pass start 60\nafter a do pass stop\n";
    let plan = compile(text, "night.plan", &Dictionary::default()).unwrap();
    for (spi, role, taken) in [(6, Role::Planner, true), (4, Role::Science, false)] {
        let disk = new_disk();
        let (mut commander, mut works) = (opened(&disk), Noting::default());
        let signed = sign(&plan, spi, &role_key(spi, role).plan_key()).unwrap();
        let mut planner = Holder::new(spi, role, 0);
        for frame in upload(&mut planner, 1_000, "plan", "night", &signed) {
            commander.frame(&mut works, &frame);
        }
        let codes = works.codes();
        let expected = if taken { EventCode::PlanLoaded } else { EventCode::PlanRefused };
        assert!(codes.contains(&expected), "{:?}", works.told);
        commander.settle(&mut works);
        drop(commander);
        let mut commander = open(&disk).0;
        commander.resume(&mut works).unwrap();
        let start = planner.frame(7, PacketMode::Run, "plan start night");
        commander.frame(&mut works, &start);
        (0..5).for_each(|_| commander.poll(&mut works));
        let done: &[&str] = if taken { &["pass start 60 --rate 0", "pass stop"] } else { &[] };
        assert_eq!(works.done, done, "{:?}", works.told);
    }
}

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

/// Starts the daemon anew: what is open goes on.
fn again(disk: &SimDisk, works: &mut Noting) -> Commander {
    let mut commander = open(disk).0;
    commander.resume(works).unwrap();
    commander
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
fn what_came_up_once_comes_up_again_and_who_may_not_brings_nothing_up() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let (mut operator, mut science) = (Holder::new(2, Role::Operator, 0), Holder::new(4, Role::Science, 0));
    let script = || {
        let files = disk.files();
        let found = files.iter().find(|(path, _)| path.to_string_lossy().contains("/scripts/check"));
        found.map(|(_, bytes)| bytes.clone())
    };
    for (number, content) in [(1, "echo a"), (2, "echo b"), (3, "echo a")] {
        for frame in upload(&mut operator, number, "script", "check", content.as_bytes()) {
            commander.frame(&mut works, &frame);
        }
        assert_eq!(script().as_deref(), Some(content.as_bytes()), "{:?}", works.told);
    }
    for frame in upload(&mut science, 1, "script", "check", b"rm -r /") {
        commander.frame(&mut works, &frame);
    }
    assert_eq!(stage(&commander, 4, 1), Some((Stage::Failed, Reason::NotAllowed)));
    assert_eq!(script().as_deref(), Some(b"echo a".as_slice()));
    assert!(commander.parts().wanted.contains(&Wanted::Uploads), "what became of uploads is told");
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

#[test]
fn a_channel_that_is_not_known_is_above_no_threshold() {
    let channels = crate::telemetry::Sample::default().housekeeping();
    let all = (0..200).collect();
    let known = super::plans::known_of(&channels, &all);
    assert!(!known.is_empty() && known.iter().all(|(_, value)| *value < f64::from(u32::MAX)), "{known:?}");
    let frame_age = passband_proto::plan::Orders::channel(&Dictionary::default(), "frame_age").unwrap();
    assert!(known.iter().all(|(channel, _)| *channel != frame_age), "no frame was taken yet");
}
