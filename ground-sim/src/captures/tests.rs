use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use etherparse::{EtherType, PacketBuilder};
use passband_proto::datagram::{SymbolHeader, encode};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use proptest::prelude::*;

use super::*;

fn datagram(n: u32, symbol_bytes: usize) -> Vec<u8> {
    let header = SymbolHeader {
        spacecraft: 1,
        epoch: 1,
        bundle: BundleId([1; 12]),
        block: 0,
        class: Class::Alert,
        esi: n,
        block_bytes: 100_000,
        block_count: 1,
        link_seq: u64::from(n),
    };
    let mut out = vec![0; symbol_bytes + 64];
    encode(&header, &vec![7; symbol_bytes], &EpochKey::new(1, 1, [1; 32]).tag_key(), &mut out).unwrap();
    out
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).udp(1, 2).write(&mut out, payload).unwrap();
    out
}

/// A pcap file in any of its flavours.
fn pcap(link_type: u32, big: bool, nanos: bool, packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = word(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    out.extend([version, [0; 4], [0; 4], word(65_535), word(link_type)].concat());
    for (n, packet) in (0..).zip(packets) {
        let bytes = word(u32::try_from(packet.len()).unwrap());
        out.extend([word(1_700_000_000 + n), word(n), bytes, bytes].concat());
        out.extend_from_slice(packet);
    }
    out
}

fn pcapng(big: bool, link_type: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let half = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let bytes = word(u32::try_from(body.len() + 12).unwrap());
        [&word(kind), &bytes, body, &bytes].concat()
    };
    let mut out = block(0x0a0d_0d0a, &[&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat());
    out.extend(block(1, &[&half(link_type)[..], &[0, 0], &word(0)].concat()));
    out.extend(block(5, &[0; 12]));
    for (n, packet) in packets.iter().enumerate() {
        let bytes = word(u32::try_from(packet.len()).unwrap());
        let mut body = packet.clone();
        body.resize(packet.len().div_ceil(4) * 4, 0);
        out.extend(match n % 2 {
            0 => block(6, &[&word(0)[..], &word(0), &word(0), &bytes, &bytes, &body].concat()),
            _ => block(3, &[&bytes[..], &body].concat()),
        });
    }
    out
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// The datagrams found in a capture, each once, and what was counted.
fn found(bytes: &[u8]) -> (Vec<u32>, CaptureStats) {
    let (_dir, path) = file(bytes);
    let mut reader = CaptureReader::open(&path).unwrap();
    let mut out = std::collections::BTreeSet::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        let candidates = packet.candidates().into_iter().chain(packet.last_resort());
        let sound = candidates.filter_map(|(_, b)| passband_proto::datagram::Datagram::parse(b).ok());
        out.extend(sound.map(|d| d.header().esi));
    }
    (out.into_iter().collect(), reader.stats())
}

fn numbers(n: u32) -> Vec<u32> {
    (0..n).collect()
}

#[test]
fn every_flavour_of_pcap_and_pcapng_and_every_link_type() {
    let ip: Vec<Vec<u8>> = (0..5).map(|n| udp(&datagram(n, 1408))).collect();
    for (big, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(found(&pcap(101, big, nanos, &ip)).0, numbers(5), "big {big}, nanos {nanos}");
    }
    for big in [false, true] {
        let (got, stats) = found(&pcapng(big, 101, &ip));
        assert_eq!((got, stats.records, stats.udp), (numbers(5), 5, 5));
    }
    let prefixed = |prefix: &[u8]| ip.iter().map(|p| [prefix, p].concat()).collect::<Vec<_>>();
    let mut sll = vec![0; 16];
    sll[14..].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
    let mut sll2 = vec![0; 20];
    sll2[..2].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
    let ethernet = [&[0; 12][..], &[8, 0]].concat();
    let vlan = [&[0; 12][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0]].concat();
    for (link, prefix) in
        [(1, &ethernet), (1, &vlan), (113, &sll), (276, &sll2), (0, &vec![2, 0, 0, 0]), (228, &vec![])]
    {
        let (got, stats) = found(&pcap(link, false, false, &prefixed(prefix)));
        assert_eq!((got, stats.udp), (numbers(5), 5), "link type {link}");
    }
}

#[test]
fn ip_fragments_are_put_together_also_out_of_order() {
    let whole = udp(&datagram(0, 4000));
    let (header, payload) = whole.split_at(20);
    let mut fragments: Vec<Vec<u8>> = payload
        .chunks(1480)
        .enumerate()
        .map(|(n, chunk)| {
            let mut h = header.to_vec();
            let more = if (n + 1) * 1480 < payload.len() { 0x2000 } else { 0 };
            let field = u16::try_from(n * 185).unwrap() | more;
            h[2..4].copy_from_slice(&u16::try_from(20 + chunk.len()).unwrap().to_be_bytes());
            h[6..8].copy_from_slice(&field.to_be_bytes());
            [h, chunk.to_vec()].concat()
        })
        .collect();
    fragments.swap(0, 2);
    let (got, stats) = found(&pcap(101, false, false, &fragments));
    assert_eq!((got, stats.fragments), (numbers(1), 3));
}

#[test]
fn compressed_glued_and_cut_captures() {
    let ip: Vec<Vec<u8>> = (0..20).map(|n| udp(&datagram(n, 256))).collect();
    let plain = pcap(101, false, false, &ip);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(found(&gzip).0, numbers(20));
    let (got, stats) = found(&gzip[..gzip.len() - 20]);
    assert!(got.len() < 20 && stats.cut_short, "{stats:?}");
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    assert_eq!(found(&zstd).0, numbers(20));
    assert_eq!(found(&[zstd.clone(), zstd].concat()).1.records, 40);
    let (got, stats) =
        found(&[pcap(101, true, true, &ip[..10]), pcap(101, false, false, &ip[10..])].concat());
    assert_eq!((got, stats.resyncs), (numbers(20), 0));
    let (got, stats) = found(&plain[..plain.len() - 100]);
    assert_eq!((got, stats.cut_short), (numbers(19), true));
    assert_eq!(found(&plain[..24]).0, numbers(0));
    assert_eq!(found(&[]).1, CaptureStats::default());
}

#[test]
fn a_capture_may_be_cut_anywhere() {
    let ip: Vec<Vec<u8>> = (0..3).map(|n| udp(&datagram(n, 64))).collect();
    for whole in [pcap(101, false, false, &ip), pcapng(true, 101, &ip)] {
        for cut in 4..whole.len() {
            let (got, stats) = found(&whole[..cut]);
            assert!(got.len() <= 3 && stats.records <= 3, "cut at {cut}");
        }
        assert_eq!(found(&whole).0, numbers(3));
    }
}

#[test]
fn several_datagrams_in_one_packet_and_headers_that_lie() {
    let four: Vec<u8> = (0..4).flat_map(|n| datagram(n, 512)).collect();
    assert_eq!(found(&pcap(101, false, false, &[udp(&four)])).0, numbers(4));
    let mut lying = udp(&datagram(0, 512));
    lying[0] = 0xff;
    lying[24..26].copy_from_slice(&[0, 9]);
    let with_check_sequence = [udp(&datagram(1, 512)), vec![1, 2, 3, 4]].concat();
    assert_eq!(found(&pcap(101, false, false, &[lying, with_check_sequence])).0, numbers(2));
}

#[test]
fn a_damaged_record_header_costs_at_most_its_neighbours() {
    let ip: Vec<Vec<u8>> = (0..50).map(|n| udp(&datagram(n, 300))).collect();
    let good = pcap(101, false, false, &ip);
    let record = ip[0].len() + 16;
    for byte in 0..16 {
        let mut bad = good.clone();
        bad[24 + 20 * record + byte] ^= 0x5a;
        let (got, _) = found(&bad);
        assert!(got.len() >= 48, "byte {byte}: {} of 50", got.len());
    }
    let cut: Vec<u8> = [&good[..24 + 10 * record + 77], &good[24 + 12 * record + 5..]].concat();
    assert!(found(&cut).0.len() >= 46, "a piece cut out of the middle");
}

#[test]
fn what_the_writer_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcap");
    let mut writer = CaptureWriter::create(&path).unwrap();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (n, to) in [(0, "127.0.0.1:9"), (1, "[::1]:9")] {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let from = if n == 0 { address("127.0.0.1:5") } else { address("[::1]:5") };
        writer.write(time, from, address(to), &datagram(n, 1408)).unwrap();
    }
    writer.flush().unwrap();
    let (got, stats) = found(&std::fs::read(&path).unwrap());
    assert_eq!((got, stats.udp), (numbers(2), 2));
    assert!(CaptureWriter::create(&path).is_err(), "never overwrites");
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let (_dir, path) = file(b"hello, I am a text");
    let error = CaptureReader::open(&path).unwrap_err().to_string();
    assert!(error.contains("capture") && error.contains("not"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_anywhere_never_panics_and_never_hangs(flips in proptest::collection::vec((0_usize..20_000, any::<u8>()), 0..60), ng: bool) {
        let ip: Vec<Vec<u8>> = (0..40).map(|n| udp(&datagram(n, 300))).collect();
        let mut bytes = if ng { pcapng(false, 101, &ip) } else { pcap(101, false, false, &ip) };
        let skip = if ng { 68 } else { 24 };
        for (at, mask) in flips {
            let at = skip + at % (bytes.len() - skip);
            bytes[at] ^= mask;
        }
        found(&bytes);
    }
}
