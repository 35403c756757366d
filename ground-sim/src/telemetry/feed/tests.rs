//! Telemetry from sockets and files at once.

use super::*;
use passband_proto::dict::{Packet, Time};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::keys::TagKey;
use passband_proto::packet::{Cuc, seal_telemetry};
use std::io::Write;

fn packet(count: u16, key: Option<&TagKey>) -> Vec<u8> {
    let mut data = [0; 64];
    let time = Time { boot_count: 1, steady: 2, unix: 3, steps: 4 };
    let bytes = time.write(&mut data).unwrap();
    let mut out = vec![0; 100];
    let apid = Time::DEF.apid;
    let len = seal_telemetry(&mut out, apid, count, Cuc::new(9, 0), &data[..bytes], key).unwrap();
    out.truncate(len);
    out
}

#[test]
fn packets_come_once_from_sockets_and_growing_files_with_what_their_tags_say() {
    let keys =
        KeyRing::parse(&format!("passband-key v1 spacecraft=1 epoch=1 {}\n", "0b".repeat(32))).unwrap();
    let good = EpochKey::new(1, 1, [0x0B; 32]).telemetry_key();
    let bad = EpochKey::new(1, 1, [0x0C; 32]).telemetry_key();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    std::fs::write(&path, packet(1, Some(&good))).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let sources = [Source::File(path.clone()), Source::Udp(address)];
    let mut feed = Feed::open(&sources, TagKeys::new(&keys, None)).unwrap();
    let patience = Duration::from_secs(5);
    assert_eq!(feed.next(patience).unwrap().proof, Proof::Verified);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[&[1, 2, 3][..], &packet(2, Some(&bad))].concat()).unwrap();
    assert_eq!(feed.next(patience).unwrap().proof, Proof::Forged);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in [packet(1, Some(&good)), packet(3, None)] {
        sender.send_to(&bytes, address).unwrap();
    }
    let heard = feed.next(patience).unwrap();
    assert_eq!((heard.proof, heard.packet().unwrap().sequence_count()), (Proof::Unverified, 3));
    assert_eq!(feed.packets().stats().skipped_bytes, 3);
}
