//! The model, fed with packets; and packets for the tests of other screens.

use super::*;
use crate::telemetry::TagKeys;
use passband_flight::passes::Window;
use passband_flight::telemetry::Level;
use passband_proto::dict::{EventCode, FixedText, Mode, Opcode, Reason, Severity, Stage};
use passband_proto::keys::{EpochKey, TagKey};
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, seal_telemetry};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// All numbers zero, all that can be unknown unknown.
pub(crate) fn housekeeping() -> Housekeeping {
    let zero = vec![0; Housekeeping::DEF.data_bytes()];
    Housekeeping {
        frame_age: u32::MAX,
        memory_free: f32::NAN,
        disk_free: f32::NAN,
        ..Housekeeping::read(&zero).unwrap()
    }
}

pub(crate) fn beacon() -> Beacon {
    let zero = vec![0; Beacon::DEF.data_bytes()];
    Beacon { spacecraft: 7, boot_count: 3, ..Beacon::read(&zero).unwrap() }
}

pub(crate) fn event(number: u32, unix: u64, severity: Severity) -> Event {
    Event {
        number,
        unix,
        severity,
        code: EventCode::FrameRejected,
        text: FixedText::cut("a frame\nof no lines"),
    }
}

pub(crate) fn answer(number: u32, stage: Stage, unix: u64) -> Answer {
    let (opcode, reason, text) = (Opcode::PassStart.code(), Reason::None, FixedText::default());
    Answer { source: 2, number, opcode, check: 0, stage, reason, unix, text }
}

/// A packet's user data.
pub(crate) fn data_of<P: Packet>(packet: &P) -> Vec<u8> {
    let mut data = vec![0; P::DEF.data_bytes()];
    packet.write(&mut data).unwrap();
    data
}

/// The whole packet, made at a time.
pub(crate) fn sealed<P: Packet>(packet: &P, count: u16, unix_ms: u64, key: Option<&TagKey>) -> Vec<u8> {
    let mut out = [0; MAX_PACKET_BYTES];
    let time = Cuc::saturating_from_unix_ms(unix_ms);
    let bytes = seal_telemetry(&mut out, P::DEF.apid, count, time, &data_of(packet), key).unwrap();
    out[..bytes].to_vec()
}

fn take<P: Packet>(model: &mut Model, packet: &P, unix_ms: u64, received_unix_ms: u64) {
    let bytes = sealed(packet, 0, unix_ms, None);
    assert!(model.take(&TelemetryPacket::parse(&bytes).unwrap(), received_unix_ms));
}

fn plan() -> PassPlan {
    let window = Window { station: "Kiruna".into(), aos_unix_ms: 1000, los_unix_ms: 50_000, rate_bps: None };
    PassPlan::new(vec![window], None, &[], 0).unwrap()
}

#[test]
fn a_snapshot_says_what_is_wrong_and_what_happened_since_the_last_pass() {
    let mut model = Model::new(plan());
    assert_eq!(model.snapshot(0, Ground::default()).satellite, None);
    take(&mut model, &event(1, 49_000, Severity::Critical), 49_000, 49_100);
    take(&mut model, &event(2, 60_000, Severity::Error), 60_000, 60_100);
    take(&mut model, &event(2, 60_000, Severity::Error), 61_000, 61_100);
    take(&mut model, &Housekeeping { power: 99.0, mode: Mode::Shedding, ..housekeeping() }, 62_000, 62_100);
    take(&mut model, &beacon(), 63_000, 63_100);
    take(&mut model, &answer(9, Stage::Done, 64_000), 64_000, 64_100);
    let shown = model.snapshot(70_000, Ground::default());
    assert_eq!((shown.red, shown.yellow, shown.events.len()), (1, 0, 2));
    assert_eq!(shown.since.los_unix_ms, Some(50_000));
    assert_eq!(
        (shown.since.error, shown.since.critical),
        (1, 0),
        "what was before the last LOS isn't counted"
    );
    let satellite = shown.satellite.unwrap();
    assert_eq!((satellite.mode, satellite.boot_count), (Mode::Nominal, 3), "the beacon is newer");
    assert!(!satellite.beacon.unwrap().dictionary_agrees);
    assert_eq!(satellite.queue.unwrap().waiting, [0; 4]);
    assert_eq!(shown.answers[0].order, "pass start");
    let power = shown.channels.iter().find(|channel| channel.name == "power").unwrap();
    assert_eq!(power.level, Some(Level::Red));
}

#[test]
fn what_comes_late_changes_nothing_but_a_board_whose_clock_was_set_back_does() {
    let mut model = Model::new(PassPlan::default());
    let with = |power| Housekeeping { power, ..housekeeping() };
    let power = |model: &mut Model| {
        let shown = model.snapshot(0, Ground::default());
        shown.channels.iter().find(|channel| channel.name == "power").unwrap().value
    };
    take(&mut model, &with(2.0), 100_000, 200_000);
    take(&mut model, &with(1.0), 90_000, 200_500);
    assert_eq!(power(&mut model), Some(2.0));
    take(&mut model, &with(3.0), 5_000, 300_000);
    assert_eq!(power(&mut model), Some(3.0));
}

#[test]
fn a_packet_that_the_dictionary_does_not_know_is_left_alone() {
    let mut out = [0; 60];
    let bytes = seal_telemetry(&mut out, 0x1F0, 0, Cuc::new(1, 0), &[1; 20], None).unwrap();
    let mut model = Model::new(PassPlan::default());
    assert!(!model.take(&TelemetryPacket::parse(&out[..bytes]).unwrap(), 1));
    assert!(model.snapshot(0, Ground::default()).telemetry.is_empty());
}

/// Waits until something is so, a few seconds at most.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn telemetry_over_udp_is_shown_and_kept_and_read_along_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Some(dir.path().join("archive"));
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let sources = Sources { archive: archive.clone(), telemetry: Some(any), ..Sources::default() };
    let key = EpochKey::new(7, 1, [5; 32]).telemetry_key();
    let line = format!("passband-key v1 spacecraft=7 epoch=1 {}\n", "05".repeat(32));
    let keys = passband_proto::keyring::KeyRing::parse(&line).unwrap();
    let feed =
        Feed::start(&sources, PassPlan::default(), TagKeys::new(&keys, Some("keys.txt".as_ref()))).unwrap();
    let to = feed.telemetry_address().unwrap();
    let along = Sources { archive, ..Sources::default() };
    let other = Feed::start(&along, PassPlan::default(), TagKeys::default()).unwrap();
    let socket = UdpSocket::bind(any).unwrap();
    let forged = sealed(&beacon(), 1, 1000, Some(&EpochKey::new(7, 1, [6; 32]).telemetry_key()));
    socket.send_to(&forged, to).unwrap();
    let good = sealed(&Beacon { boot_count: 42, ..beacon() }, 2, 2000, Some(&key));
    // With the count, time and CRC of the good one: a multiple of CRC-32C's polynomial (as its bits are sent) changes no CRC.
    let mut twin = good.clone();
    let tag = twin.len() - 12;
    twin[tag..].iter_mut().zip(0x1_05EC_76F1_u64.to_le_bytes()).for_each(|(byte, flip)| *byte ^= flip);
    assert!(TelemetryPacket::parse(&twin).is_ok() && twin != good);
    socket.send_to(&twin, to).unwrap();
    socket.send_to(&sealed(&beacon(), 3, 1500, None), to).unwrap();
    socket.send_to(&good, to).unwrap();
    let boots = |feed: &Feed| feed.snapshot().satellite.map(|satellite| satellite.boot_count);
    wait_for("the packet is shown", || boots(&feed) == Some(42));
    assert_eq!((feed.refused(), feed.untagged()), (2, 1), "those forged and without a tag aren't");
    let hint = feed.snapshot().hint.unwrap();
    assert!(hint.contains("its key is none of keys.txt") && other.snapshot().hint.is_none(), "{hint}");
    let bare = Sources { telemetry: Some(any), archive: Some(dir.path().join("bare")), ..Sources::default() };
    let bare = Feed::start(&bare, PassPlan::default(), TagKeys::new(&keys, None)).unwrap();
    socket.send_to(&sealed(&beacon(), 3, 1500, None), bare.telemetry_address().unwrap()).unwrap();
    wait_for("what has no tag is counted", || bare.untagged() == 1);
    let hint = bare.snapshot().hint.unwrap();
    assert!(bare.refused() == 0 && hint.starts_with("telemetry comes without a tag"), "{hint}");
    wait_for("and read along", || boots(&other) == Some(42));
    let history = |feed: &Feed, unix_ms| {
        let mut packets = Vec::new();
        feed.history(Beacon::DEF.apid, unix_ms, |packet| packets.push(packet.bytes().to_vec())).unwrap();
        packets
    };
    assert_eq!(history(&feed, (0, u64::MAX)).len(), 1, "nor is it kept");
    assert_eq!(history(&other, (0, 1999)).len(), 0);
    assert_eq!(history(&other, (2000, 2000)), [good]);
    let (last, packets) = feed.packets_since(0);
    assert_eq!((last, packets.len(), feed.packets_since(last).1.len()), (1, 1, 0));
}
