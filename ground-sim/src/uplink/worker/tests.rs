//! A worker between its folder and a board on sockets of its own.

use super::*;
use crate::telemetry::TagKeys;
use crate::telemetry::feed::Source;
use crate::uplink::model::BoardModel;
use passband_proto::dict::{Order, Stage};
use passband_proto::packet::{Cuc, Mode, seal_telemetry};
use passband_proto::sdls::{Channel, Role, RoleKeys};

fn key() -> RoleKey {
    RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap()
}

/// A board on sockets of its own, which sends its telemetry to `to`; where it listens.
fn board(to: SocketAddr) -> SocketAddr {
    let mut keys = RoleKeys::default();
    keys.insert(key()).unwrap();
    let mut board = BoardModel::new(Channel { spacecraft: 1, vcid: 0 }, keys);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut count = 0;
        while let Ok(bytes) = socket.recv(&mut buffer) {
            board.take(1, &buffer[..bytes]);
            for (apid, _, data) in board.telemetry(1) {
                let mut packet = [0; 1500];
                let len = seal_telemetry(&mut packet, apid, count, Cuc::new(9, 0), &data, None).unwrap();
                socket.send_to(&packet[..len], to).unwrap();
                count += 1;
            }
        }
    });
    address
}

fn spare() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn work(dir: &std::path::Path, to: SocketAddr, ear: SocketAddr, verified_only: bool) -> Worker {
    let folder = Folder::open(dir, &key()).unwrap();
    let lock = folder.lock().unwrap().unwrap();
    let feed = Feed::open(&[Source::Udp(ear)], TagKeys::default()).unwrap();
    let uplink = Uplink { to, rate_bps: 256_000, vcid: 0, verified_only, arm_ms: None };
    Worker::open(folder, lock, &key(), uplink, feed).unwrap()
}

#[test]
fn what_another_process_queues_is_sent_answered_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let ear = spare();
    let mut worker = work(dir.path(), board(ear), ear, false);
    let other = Folder::open(dir.path(), &key()).unwrap();
    assert!(other.lock().unwrap().is_none());
    let number = other.queue(Mode::Run, &Order::Ping {}, unix_ms()).unwrap().number;
    let dropped = other.queue(Mode::Run, &Order::PassStop {}, unix_ms()).unwrap().number;
    other.drop_later(Drop::Order(dropped)).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !worker.outbox().is_settled() || worker.outbox().orders().count() < 2 {
        worker.turn(Duration::from_millis(50)).unwrap();
        assert!(Instant::now() < until, "{:?}", worker.outbox().orders().collect::<Vec<_>>());
    }
    let entry = other.order(number).unwrap().unwrap();
    assert_eq!(entry.told.unwrap().stage, Stage::Done);
    let entry = other.order(dropped).unwrap().unwrap();
    assert!(entry.dropped && entry.sent == 0);
    assert!(other.drops().unwrap().is_empty() && worker.hears());
}

#[test]
fn a_document_that_is_damaged_is_set_aside_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ear = spare();
    let folder = Folder::open(dir.path(), &key()).unwrap();
    let damaged = folder.queue(Mode::Run, &Order::PassStop {}, unix_ms()).unwrap().number;
    let number = folder.queue(Mode::Run, &Order::Ping {}, unix_ms()).unwrap().number;
    let name = |ending: &str| dir.path().join(format!("orders/{damaged:010}.json{ending}"));
    std::fs::write(name(""), "{").unwrap();
    std::fs::write(dir.path().join("uploads/01020304.json"), "{}").unwrap();
    let worker = work(dir.path(), board(ear), ear, false);
    assert!(worker.outbox().order(number).is_some() && worker.outbox().order(damaged).is_none());
    assert!(name(".damaged").exists() && !name("").exists());
    assert!(dir.path().join("uploads/01020304.json.damaged").exists());
}

#[test]
fn packets_without_a_tag_are_not_believed_by_who_has_keys() {
    let dir = tempfile::tempdir().unwrap();
    let ear = spare();
    let mut worker = work(dir.path(), board(ear), ear, true);
    let number = worker.folder().queue(Mode::Run, &Order::Ping {}, unix_ms()).unwrap().number;
    let mut heard = 0;
    for _ in 0..20 {
        heard += usize::from(worker.turn(Duration::from_millis(50)).unwrap().heard.is_some());
    }
    assert!(heard > 0 && worker.outbox().order(number).unwrap().told.is_none());
}
