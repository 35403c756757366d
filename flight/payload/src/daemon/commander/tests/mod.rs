//! The commander as it takes frames and orders, on a disk that loses what was not synced.

mod holders;
mod once;
mod plans_on_board;
mod records_lost;
mod scripts_run;
mod starts;
mod uploaded;

use std::path::Path;
use std::sync::{Arc, Mutex};

use passband_proto::dict::{Packet, Script, Stage};
use passband_proto::packet::CommandPacket;
use passband_proto::plan::{Dictionary, compile, sign};
use passband_proto::sdls::{Channel, Role, RoleKey, RoleKeys, Sender as FrameSender};
use sha2::{Digest, Sha256};

use super::*;
use crate::adapters::slots::Slots;
use crate::config::Config;
use crate::faults::{Faults, SimDisk};
use crate::script::{End, RunId, RunRecord};
use crate::update::updater::{Running, Updater};

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
    let slots = Slots::new(Arc::clone(&disk), Path::new(STATE));
    let (updater, _told) = Updater::open(slots, Running::BY_HAND, Config::default().update.policy(), None);
    let begin = Begin {
        updater: Some(updater),
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

/// Starts the daemon anew: what is open goes on.
fn again(disk: &SimDisk, works: &mut Noting) -> Commander {
    let mut commander = open(disk).0;
    commander.resume(works).unwrap();
    commander
}
