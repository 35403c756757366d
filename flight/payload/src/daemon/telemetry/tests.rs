use super::*;
use crate::adapters::last::load;
use crate::config::Config;
use crate::digest::screen;
use crate::health::Action;
use passband_proto::dict::{Answer, Beacon, Housekeeping, ParameterId, Reason, Stage, Value};
use passband_proto::keys::EpochKey;
use passband_proto::packet::TelemetryPacket;
use std::collections::BTreeSet;
use std::net::UdpSocket;

struct Bench {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    ground: UdpSocket,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// One whose start finds what `change` makes of it.
    fn with(change: impl FnOnce(&mut Shared)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ground = UdpSocket::bind("127.0.0.1:0").unwrap();
        ground.set_nonblocking(true).unwrap();
        let config = Config::parse("", &dir.path().join("c.toml")).unwrap();
        let config = Config {
            paths: crate::config::Paths { state: dir.path().to_owned(), ..config.paths.clone() },
            telemetry: crate::config::Telemetry {
                target: Some(ground.local_addr().unwrap()),
                ..config.telemetry.clone()
            },
            ..config
        };
        let mut shared = Shared::for_tests(config, dir.path());
        change(&mut shared);
        let shared = Arc::new(shared);
        Self { dir, shared, ground }
    }

    fn telemetry(&self) -> Telemetry {
        let mut telemetry = Telemetry::new(Arc::clone(&self.shared));
        self.shared.desk.settings(|settings| settings.rate_bps = 10_000_000);
        std::thread::sleep(Duration::from_millis(20));
        telemetry.send();
        telemetry
    }

    fn received(&self) -> Vec<Vec<u8>> {
        std::thread::sleep(Duration::from_millis(20));
        let mut buffer = [0; 2_000];
        std::iter::from_fn(|| self.ground.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec())).collect()
    }

    fn codes(&self) -> Vec<String> {
        self.shared.catalogue.events(None, 100).unwrap().into_iter().map(|event| event.code).collect()
    }
}

#[test]
fn packets_go_down_one_a_datagram_counted_and_tagged() {
    let bench = Bench::new();
    let key = EpochKey::new(1, 1, [9; 32]);
    let mut line = String::new();
    key.write_line(&mut line).unwrap();
    bench.shared.set_keys(KeyRing::parse(&line).unwrap());
    bench.shared.event(&Report::error(EventCode::SendError, "it"));
    let mut telemetry = bench.telemetry();
    let answer = Answer {
        source: 2,
        number: 7,
        opcode: 1,
        check: 0,
        stage: Stage::Done,
        reason: Reason::None,
        unix: 1,
        text: FixedText::default(),
    };
    bench.shared.desk.answer(bench.shared.clock.now_ms(), answer.clone());
    telemetry.send();
    let all = bench.received();
    let packets: Vec<_> = all.iter().map(|bytes| TelemetryPacket::parse(bytes).unwrap()).collect();
    assert!(packets.iter().all(|packet| packet.verify(&key.telemetry_key()) && packet.sequence_count() == 0));
    let apids: BTreeSet<u16> = packets.iter().map(TelemetryPacket::apid).collect();
    let expected =
        [Beacon::DEF, Housekeeping::DEF, Time::DEF, EventPacket::DEF, Answer::DEF].map(|def| def.apid);
    assert_eq!(apids, BTreeSet::from(expected));
    let of = |apid| packets.iter().find(|packet| packet.apid() == apid).unwrap().data();
    assert_eq!(Answer::read(of(Answer::DEF.apid)), Some(answer));
    let event = EventPacket::read(of(EventPacket::DEF.apid)).unwrap();
    assert_eq!((event.number, event.code, event.text.0.as_str()), (1, EventCode::SendError, "it"));
    let beacon = Beacon::read(of(Beacon::DEF.apid)).unwrap();
    assert_eq!((beacon.spacecraft, beacon.worst, beacon.last_event), (1, Severity::Error, 1));
    bench.shared.desk.ask(Due::Beacon).unwrap();
    telemetry.send();
    let again = bench.received();
    assert_eq!(TelemetryPacket::parse(&again[0]).unwrap().sequence_count(), 1);
}

#[test]
fn a_red_channel_is_told_and_its_plan_is_asked_for() {
    let bench = Bench::new();
    let mut telemetry = bench.telemetry();
    bench.shared.desk.others(|others| others.readings.temperature_c = Some(95.0));
    bench.shared.desk.settings(|s| s.set(ParameterId::TemperatureAction, &Value::Text("cool-down")));
    (0..5).for_each(|_| telemetry.look());
    assert_eq!(bench.codes(), ["limit-red"]);
    assert_eq!(bench.shared.desk.take_plans(), ["cool-down"]);
    let latest = bench.shared.desk.latest().unwrap();
    assert_eq!(latest.facts.wrong.channels[0].channel, "temperature");
    let text = screen(&latest.facts, latest.facts.now_unix_ms);
    assert!(
        text.contains("\n  red temperature 95.0 degC\n") && text.contains("error limit-red #1"),
        "{text}"
    );
}

#[test]
fn a_restart_goes_on_where_the_run_before_was() {
    let bench = Bench::new();
    bench.shared.event(&Report::info(EventCode::PassClosed, "LOS"));
    bench.shared.event(&Report::error(EventCode::DiskFull, "full"));
    bench.shared.count(|c| c.bytes_sent += 1_000);
    let mut first = bench.telemetry();
    first.save();
    drop(first);
    bench.shared.event(&Report::info(EventCode::DaemonStart, "again"));
    bench.shared.event(&Report::warning(EventCode::DiskSlow, "slow"));
    drop(bench.received());
    // Counters begin at zero with a start; here they go on, so that they count once more.
    let second = bench.telemetry();
    let since = second.tally.since();
    assert_eq!((since.progress.bytes_sent, since.restarts), (2_000, 1));
    assert_eq!(second.tally.wrong().0.len(), 2);
    let events = bench
        .received()
        .iter()
        .filter_map(|bytes| {
            let packet = TelemetryPacket::parse(bytes).unwrap();
            (packet.apid() == EventPacket::DEF.apid).then(|| EventPacket::read(packet.data()).unwrap().number)
        })
        .collect::<Vec<_>>();
    assert_eq!(events, [4], "the others were told before");
}

#[test]
fn plans_are_not_told_again_what_happened_in_an_earlier_run() {
    let bench = Bench::with(|shared| {
        shared.event(&Report::error(EventCode::DiskFull, "full"));
        shared.events_before = 1;
        shared.event(&Report::info(EventCode::DaemonStart, "again"));
    });
    let telemetry = bench.telemetry();
    let told: Vec<_> = bench.shared.desk.take_events().into_iter().map(|(code, _)| code).collect();
    assert_eq!(told, [Some(EventCode::DaemonStart.code())]);
    assert_eq!(telemetry.told_seq, 2, "all the same the ground is told of both");
}

#[test]
fn numbers_of_safe_mode_are_not_taken_for_those_of_the_store() {
    let bench = Bench::new();
    (0..5).for_each(|_| bench.shared.event(&Report::warning(EventCode::DiskSlow, "slow")));
    bench.telemetry().save();
    let last_seq =
        |bench: &Bench| load(bench.shared.disk.as_ref(), bench.dir.path()).unwrap().tally.last_seq();
    assert_eq!(last_seq(&bench), 5);
    let safe = Bench::with(|shared| shared.in_memory = true);
    std::fs::copy(bench.dir.path().join("last.json"), safe.dir.path().join("last.json")).unwrap();
    (0..9).for_each(|_| safe.shared.event(&Report::warning(EventCode::DiskSlow, "slow")));
    let mut telemetry = safe.telemetry();
    assert_eq!(telemetry.told_seq, 9);
    telemetry.save();
    assert_eq!(last_seq(&safe), 5);
}

#[test]
fn what_was_told_is_not_told_again_unless_that_is_not_known() {
    assert_eq!(told_before(Some(950), 1_000), 950);
    assert_eq!((told_before(None, 1_000), told_before(Some(3), 1_000)), (800, 800));
    assert_eq!(told_before(Some(1_000), 5), 0, "the catalogue was lost since");
}

#[test]
fn the_last_state_has_an_answer_to_every_question() {
    let bench = Bench::new();
    bench.shared.event(&Report::error(EventCode::DiskFull, "full"));
    let mut telemetry = bench.telemetry();
    bench.shared.desk.keep("agenda", serde_json::json!({ "schema": 1 }));
    telemetry.save();
    let saved = load(bench.shared.disk.as_ref(), bench.dir.path()).unwrap();
    let names: Vec<&str> = saved.answers.keys().map(String::as_str).collect();
    assert_eq!(names, ["agenda", "alerts", "digest", "events", "passes", "queue", "status", "tlm"]);
    assert!(saved.answers.values().all(|answer| answer["schema"] == 1));
    let bytes = std::fs::metadata(bench.dir.path().join("last.json")).unwrap().len();
    assert!(bytes < 20_000, "{bytes}");
}

#[test]
fn an_event_from_error_on_is_saved_soon() {
    let bench = Bench::new();
    let mut telemetry = bench.telemetry();
    let quiet_ms = telemetry.save_ms;
    bench.shared.event(&Report::warning(EventCode::DiskSlow, "slow"));
    telemetry.follow();
    assert_eq!(telemetry.save_ms, quiet_ms);
    bench.shared.event(&Report::error(EventCode::DiskFull, "full"));
    telemetry.follow();
    assert_eq!(telemetry.save_ms, telemetry.saved_ms + SAVE_SOON_MS);
}

#[test]
fn telemetry_that_hangs_ends_the_process() {
    let bench = Bench::new();
    let (telemetry, shared) = (bench.telemetry(), Arc::clone(&bench.shared));
    let thread = std::thread::spawn(|| telemetry.run());
    let is_stuck = |action: &Action| matches!(action, Action::EndProcess { task: Task::Telemetry, .. });
    let begun = std::time::Instant::now();
    while !shared.pulse.poll_tasks_in(LOOKING_MS + 60_000).iter().any(is_stuck) {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody misses it");
        std::thread::sleep(Duration::from_millis(5));
    }
    shared.stop();
    thread.join().unwrap();
}
