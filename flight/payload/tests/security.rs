//! What an attacker does to the real daemon: floods the uplink, replays what was heard, uses keys of others and old ones,
//! loads it with plans and uploads, and races the two steps of a hazardous order. THREATS.md says what each shows.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::station::{Holder, Station, role_key};
use common::{Payload, key, spacecraft};
use passband_proto::dict::{Answer, Beacon, Packet, Reason, Stage};
use passband_proto::packet::{Mode, TelemetryPacket};
use passband_proto::plan::{Dictionary, MAX_ENTRIES, compile, sign};
use passband_proto::sdls::{Role, RoleKey, Sender};
use serde_json::Value;

/// 256 kbit/s.
const LINE_BYTES_PER_S: usize = 32_000;

/// Frames at line rate, until it is stopped.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Flood {
    fn begin(to: &UdpSocket, mut make: impl FnMut() -> Vec<u8> + Send + 'static) -> Self {
        let (to, stop) = (to.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (begun, mut bytes, mut frames) = (Instant::now(), 0, 0);
            while !stopped.load(Ordering::Relaxed) {
                let due = usize::try_from(begun.elapsed().as_millis()).unwrap() * LINE_BYTES_PER_S / 1000;
                while bytes < due {
                    let frame = make();
                    bytes += frame.len();
                    frames += 1;
                    to.send(&frame).unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            frames
        });
        Self { stop, thread }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Sends an order a second under flood; how many seconds each waited for its answer, and beacons that came.
fn answered_under_flood(station: &Station, holder: &mut Holder) -> (Vec<Duration>, usize) {
    let (begun, mut buffer, mut beacons) = (Instant::now(), [0; 2_000], 0);
    let (mut sent, mut waited) = (Vec::new(), vec![None; 4]);
    // For some seconds at least, so that there is time for beacons.
    while waited.iter().any(Option::is_none) || begun.elapsed() < Duration::from_secs(8) {
        assert!(begun.elapsed() < common::PATIENCE, "{waited:?}; log:\n{}", station.payload.log());
        let number = sent.len();
        if number < waited.len() && begun.elapsed() >= Duration::from_secs(number as u64) {
            let frame = holder.frame(u32::try_from(number).unwrap() + 1, Mode::Run, "ping");
            station.uplink.send(&frame).unwrap();
            sent.push(Instant::now());
        }
        let Ok(bytes) = station.telemetry.recv(&mut buffer) else { continue };
        let packet = TelemetryPacket::parse(&buffer[..bytes]).unwrap();
        assert!(packet.verify(&key().telemetry_key()));
        beacons += usize::from(packet.apid() == Beacon::DEF.apid);
        let Some(answer) = Answer::read(packet.data()).filter(|_| packet.apid() == Answer::DEF.apid) else {
            continue;
        };
        if answer.source == 3 && answer.stage == Stage::Done {
            let place = answer.number as usize - 1;
            waited[place].get_or_insert_with(|| sent[place].elapsed());
        }
    }
    (waited.into_iter().flatten().collect(), beacons)
}

fn stands_a_flood(make: impl FnMut() -> Vec<u8> + Send + 'static) -> Value {
    // The slow line's slowest rate downward.
    let mut station = Station::with("rate_bps = 9600\nbeacon_s = 1");
    station.start();
    let flood = Flood::begin(&station.uplink, make);
    let mut recovery = Holder::new(3, Role::Recovery);
    let (waited, beacons) = answered_under_flood(&station, &mut recovery);
    let begun = Instant::now();
    assert!(station.payload.ask(&["status"]).status.success(), "the shell is answered, too");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let frames = flood.end();
    assert!(frames > 100, "{frames} frames are no flood");
    assert!(waited.iter().all(|waited| *waited < Duration::from_secs(5)), "{waited:?}");
    assert!(beacons >= 2, "{beacons} beacons");
    station.payload.json(&["keys"])
}

#[test]
fn a_flood_of_garbage_holds_nobody_up() {
    let mut n = 0_u64;
    let keys = stands_a_flood(move || {
        n += 1;
        n.to_be_bytes().repeat(5)
    });
    assert!(keys["refused"].as_array().is_some_and(|refused| !refused.is_empty()), "{keys}");
}

#[test]
fn a_flood_of_forged_frames_holds_nobody_up() {
    // Authentic but for the key, and of the holder whose answers are waited for.
    let mut stranger =
        Sender::new(&RoleKey::new(spacecraft(), 3, Role::Recovery, [0xEE; 32]).unwrap(), 0, [1, 2, 3, 4], 0)
            .unwrap();
    stranger.persisted(u64::MAX);
    let keys = stands_a_flood(move || stranger.seal(b"let me in").unwrap());
    assert_eq!(keys["refused"][0][0], "tag", "{keys}");
}

#[test]
fn a_flood_of_one_holder_holds_no_other_up() {
    let (mut operator, mut number) = (Holder::new(2, Role::Operator), 0);
    operator.0.persisted(u64::MAX);
    let keys = stands_a_flood(move || {
        number += 1;
        operator.frame(number, Mode::Run, "ping")
    });
    let refused = keys["refused"].as_array().unwrap();
    assert!(refused.iter().any(|row| row[0] == "busy"), "{keys}");
}

#[test]
fn frames_of_others_old_keys_and_replays_are_refused_by_name() {
    let mut station = Station::started();
    let (mut operator, mut recovery) = (Holder::new(2, Role::Operator), Holder::new(3, Role::Recovery));
    let mut science = Holder::new(4, Role::Science);
    let recorded = operator.frame(1, Mode::Run, "ping");
    station.uplink.send(&recorded).unwrap();
    station.wait_for(2, 1, Stage::Done);
    station.uplink.send(&recorded).unwrap();
    let foreign = RoleKey::new(spacecraft() + 1, 2, Role::Operator, [2; 32]).unwrap();
    let mut foreign = Sender::new(&foreign, 0, [1, 2, 3, 4], 0).unwrap();
    foreign.persisted(9);
    station.uplink.send(&foreign.seal(b"for another").unwrap()).unwrap();
    station.uplink.send(&operator.frame(2, Mode::Arm, "keys retire 4")).unwrap();
    station.wait_for(2, 2, Stage::Armed);
    station.uplink.send(&recovery.frame(1, Mode::Fire, "keys retire 4")).unwrap();
    station.wait_for(3, 1, Stage::Done);
    for start in 0..2 {
        station.uplink.send(&science.frame(1, Mode::Run, "ping")).unwrap();
        station.uplink.send(&recovery.frame(2 + start, Mode::Run, "ping")).unwrap();
        assert!(station.wait_for(3, 2 + start, Stage::Done).source == 3, "others go on");
        let keys = station.payload.json(&["keys"]);
        let refused: Vec<&str> =
            keys["refused"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
        let expected: &[&str] =
            if start == 0 { &["spacecraft", "retired", "replayed"] } else { &["retired"] };
        assert!(expected.iter().all(|name| refused.contains(name)), "{refused:?}");
        station.payload.kill();
        station.payload.start();
    }
}

/// The answer to each of some orders that can't be done, of which the first has this number.
fn failures(
    station: &Station,
    holder: &mut Holder,
    source: u16,
    first: u32,
    orders: &[String],
) -> Vec<Stage> {
    let mut stages = Vec::new();
    for (number, order) in (first..).zip(orders) {
        station.uplink.send(&holder.frame(number, Mode::Run, order)).unwrap();
        stages.push(loop {
            let answer = station.answer();
            let settled = matches!(answer.stage, Stage::Done | Stage::Failed | Stage::Refused);
            if (answer.source, answer.number) == (source, number) && settled {
                break answer.stage;
            }
        });
    }
    stages
}

/// The files below a folder.
fn names_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { names_below(&path) } else { vec![path] }).collect()
}

#[test]
fn uploads_take_no_other_place_and_no_more_room_than_they_may() {
    let station = Station::started();
    let begin = |id: u8, name: &str, size: u32, piece: u16| {
        let sha256 = format!("{id:02x}").repeat(32);
        format!("upload begin {} file {name} {size} {piece} {sha256}", &sha256[..8])
    };
    let before = names_below(station.payload.dir.path());
    let odd = [
        begin(1, "../keys.txt", 64, 64),
        begin(2, "/etc/passwd", 64, 64),
        begin(3, "a/b", 64, 64),
        begin(4, ".hidden", 64, 64),
        begin(5, "large", 67_108_864, 16),
        "upload begin 01020304 file wrong 64 64 ".to_owned() + &"05".repeat(32),
    ];
    let mut operator = Holder::new(2, Role::Operator);
    let stages = failures(&station, &mut operator, 2, 1, &odd);
    assert!(stages.iter().all(|stage| *stage == Stage::Failed), "{stages:?}");
    let after = names_below(station.payload.dir.path());
    let new: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    assert!(new.iter().all(|path| path.starts_with(station.payload.state("uploads"))), "{new:?}");
    // Nothing but plans comes from whoever may command little, and no plan of any size.
    let mut science = Holder::new(4, Role::Science);
    let plan = begin(9, "p", 50_000_000, 768).replace(" file ", " plan ");
    let refused = failures(&station, &mut science, 4, 1, &[begin(8, "f", 64, 64), plan]);
    assert_eq!(refused, [Stage::Failed, Stage::Failed]);
    // One holder begins all that can be begun; another makes room for his own.
    let many: Vec<_> = (10..30).map(|id| begin(id, &format!("f{id}"), 50_000_000, 768)).collect();
    let stages = failures(&station, &mut operator, 2, 100, &many);
    let taken = stages.iter().filter(|stage| **stage == Stage::Done).count();
    assert!((1..=8).contains(&taken), "{taken} of 20");
    let rows = station.payload.json(&["update"])["uploads"].as_array().unwrap().len();
    assert!(rows <= 8, "{rows}");
    let mut recovery = Holder::new(3, Role::Recovery);
    let own = ["upload drop 0a0a0a0a".to_owned(), begin(77, "own", 64, 64)];
    assert_eq!(failures(&station, &mut recovery, 3, 1, &own), [Stage::Done, Stage::Done]);
}

#[test]
fn of_many_who_fire_at_once_one_does() {
    let station = Station::started();
    let payload = &station.payload;
    let mut recovery = Holder::new(3, Role::Recovery);
    station.uplink.send(&recovery.frame(1, Mode::Arm, "update start 0a0b0c0d")).unwrap();
    station.wait_for(3, 1, Stage::Armed);
    let done = std::thread::scope(|scope| {
        let fire = || payload.ask(&["fire", "update", "start", "0a0b0c0d"]).status.success();
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(fire)).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!(done, 1);
    // What its giver sends in between disarms; nobody else can.
    let mut operator = Holder::new(2, Role::Operator);
    for (number, by_another) in [(2, true), (4, false)] {
        station.uplink.send(&recovery.frame(number, Mode::Arm, "update abort")).unwrap();
        station.wait_for(3, number, Stage::Armed);
        let (source, between) = if by_another { (2, &mut operator) } else { (3, &mut recovery) };
        station.uplink.send(&between.frame(number + 10, Mode::Run, "ping")).unwrap();
        station.wait_for(source, number + 10, Stage::Done);
        station.uplink.send(&recovery.frame(number + 1, Mode::Fire, "update abort")).unwrap();
        let (stage, reason) =
            if by_another { (Stage::Done, Reason::None) } else { (Stage::Refused, Reason::NotArmed) };
        assert_eq!(station.wait_for(3, number + 1, stage).reason, reason);
    }
}

fn load_plan(payload: &Payload, name: &str, text: &str, signer: (u16, Role)) -> Result<(), String> {
    let plan = compile(text, name, &Dictionary::default()).map_err(|faults| format!("{faults:?}"))?;
    let file = payload.dir.path().join(format!("{name}.plan"));
    fs::write(&file, sign(&plan, signer.0, &role_key(signer.0, signer.1).plan_key()).unwrap()).unwrap();
    let loaded = payload.ask(&["load", "plan", file.to_str().unwrap()]);
    if loaded.status.success() { Ok(()) } else { Err(String::from_utf8(loaded.stderr).unwrap()) }
}

#[test]
fn a_plan_of_thousands_of_orders_at_once_goes_a_few_a_second_and_can_be_ended() {
    let station = Station::started();
    let payload = &station.payload;
    let text = format!("plan bomb\nversion 1\n{}", "after 0s do ping\n".repeat(MAX_ENTRIES));
    load_plan(payload, "bomb", &text, (6, Role::Planner)).unwrap();
    assert_eq!(payload.json(&["plan", "start", "bomb"])["stage"], "done");
    let (begun, mut recovery) = (Instant::now(), Holder::new(3, Role::Recovery));
    for number in 1..=3 {
        let asked = Instant::now();
        station.uplink.send(&recovery.frame(number, Mode::Run, "ping")).unwrap();
        station.wait_for(3, number, Stage::Done);
        assert!(payload.ask(&["status"]).status.success());
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    assert_eq!(payload.json(&["plan", "cancel", "bomb"])["stage"], "done");
    let newest = payload.json(&["orders", "--limit", "1000"]);
    let number = |row: &Value| row["id"].as_str()?.strip_prefix("plan/")?.parse::<u64>().ok();
    let ran = newest["orders"].as_array().unwrap().iter().filter_map(number).max().unwrap_or(0);
    assert!((1..=20 + begun.elapsed().as_secs() * 10).contains(&ran), "{ran} in {:?}", begun.elapsed());
    std::thread::sleep(Duration::from_millis(500));
    let pending = payload.json(&["agenda"]);
    assert!(pending["pending"].as_array().unwrap().is_empty(), "nothing of it is left");
}

#[test]
fn plans_that_start_each_other_end_and_none_restarts_the_daemon() {
    let station = Station::started();
    let payload = &station.payload;
    for (name, other) in [("a", "b"), ("b", "a")] {
        load_plan(
            payload,
            name,
            &format!("plan {name}\nversion 1\nafter 0s start {other}\n"),
            (6, Role::Planner),
        )
        .unwrap();
    }
    payload.ask(&["plan", "start", "a"]);
    payload.wait_until("both have ended", |payload| {
        let agenda = payload.json(&["agenda"]);
        agenda["pending"].as_array()?.is_empty().then_some(())
    });
    let again = "plan again\nversion 1\non reboot restart\nafter 0s do daemon restart\n";
    if load_plan(payload, "again", again, (3, Role::Recovery)).is_ok() {
        payload.ask(&["plan", "start", "again"]);
        payload.wait_until("it has ended", |payload| {
            payload.json(&["agenda"])["pending"].as_array()?.is_empty().then_some(())
        });
    }
    assert_eq!(payload.json(&["status"])["boot_count"], 1);
}

#[test]
fn a_script_that_forks_without_end_holds_nobody_up() {
    let station = Station::started();
    let payload = &station.payload;
    let file = payload.dir.path().join("bomb.sh");
    fs::write(&file, "f() { sleep 600.9375 & f; }\nf\n").unwrap();
    payload.json(&["load", "script", file.to_str().unwrap()]);
    let begun = payload.ask(&["script", "run", "bomb", "--wall", "9"]);
    assert!(begun.status.success(), "{begun:?}");
    let mut recovery = Holder::new(3, Role::Recovery);
    station.uplink.send(&recovery.frame(1, Mode::Run, "ping")).unwrap();
    station.wait_for(3, 1, Stage::Done);
    payload.wait_until("the script has ended", |payload| {
        let runs = payload.json(&["script"]);
        (!runs["runs"][0]["end"].is_null()).then_some(())
    });
}
