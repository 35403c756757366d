use std::path::Path;
use std::sync::{Arc, Mutex};

use passband_proto::dict::Stage;
use passband_proto::packet::CommandPacket;
use passband_proto::sdls::{Channel, Limits, RoleKey, RoleKeys, Sender};

use super::*;
use crate::faults::{Faults, SimDisk};

const CHANNEL: Channel = Channel { spacecraft: 1, vcid: 0 };
const STATE: &str = "/state";

/// A rest of the daemon that notes what it is asked.
#[derive(Default)]
struct Noting {
    done: Vec<String>,
    told: Mutex<Vec<(EventCode, String)>>,
}

impl Works for Noting {
    fn daily(&mut self, _now: Moment, run: &Run) -> Outcome {
        self.done.push(run.order.to_string());
        Outcome::done("")
    }

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
    for (spi, role) in [(2, Role::Operator), (3, Role::Recovery), (4, Role::Science), (5, Role::Recovery)] {
        keys.insert(role_key(spi, role)).unwrap();
    }
    keys
}

/// A holder of a key on the ground.
struct Holder(Sender);

impl Holder {
    fn new(spi: u16, role: Role, used: u64) -> Self {
        let mut sender = Sender::new(&role_key(spi, role), 0, [1, 2, 3, 4], used).unwrap();
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
    let begin = Begin {
        disk,
        state: Path::new(STATE),
        clock: Clock::default(),
        associations: Associations::new(CHANNEL, &keys(), Limits::UNLIMITED),
        challenge: [7; 8],
        board_up_ms: Some(0),
    };
    Commander::open(begin).unwrap()
}

/// With all keys put to use.
fn opened(disk: &SimDisk) -> Commander {
    let (mut commander, told) = open(disk);
    assert!(told.iter().any(|report| report.code == EventCode::UplinkCountersLost));
    for spi in 2..=5 {
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
    assert!(commander.in_memory().is_some() && told.iter().any(|r| r.text.contains("in memory")), "{told:?}");
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
