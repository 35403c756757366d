use std::path::Path;
use std::sync::{Arc, Mutex};

use passband_proto::dict::Stage;
use passband_proto::packet::CommandPacket;
use passband_proto::plan::{Dictionary, compile, sign};
use passband_proto::sdls::{Channel, Role, RoleKey, RoleKeys, Sender as FrameSender};
use sha2::{Digest, Sha256};

use super::*;
use crate::config::Config;
use crate::faults::{Faults, SimDisk};

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
        Mode::Nominal
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

/// The orders that bring a file up, sealed.
fn upload(holder: &mut Holder, kind: &str, name: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let sha256 = Sha256::digest(bytes);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let id = hex(&sha256[..4]);
    let begin = format!("upload begin {id} {kind} {name} {} 64 {}", bytes.len(), hex(&sha256));
    let mut frames = vec![holder.frame(1_000, PacketMode::Run, &begin)];
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
        for frame in upload(&mut planner, "plan", "night", &signed) {
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

#[test]
fn a_channel_that_is_not_known_is_above_no_threshold() {
    let channels = crate::telemetry::Sample::default().housekeeping();
    let all = (0..200).collect();
    let known = super::plans::known_of(&channels, &all);
    assert!(!known.is_empty() && known.iter().all(|(_, value)| *value < f64::from(u32::MAX)), "{known:?}");
    let frame_age = passband_proto::plan::Orders::channel(&Dictionary::default(), "frame_age").unwrap();
    assert!(known.iter().all(|(channel, _)| *channel != frame_age), "no frame was taken yet");
}
