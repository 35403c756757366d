//! The test vectors of the wire format: what this codec writes has to be what stands in `vectors/v1.txt`,
//! byte for byte, and it has to refuse what is wrong, for the reason named there.
//!
//! `PASSBAND_WRITE_VECTORS=1 cargo test -p passband-proto --test vectors` writes the file anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use passband_proto::alert::{Alert, Position, fit, open_alert, seal_alert};
use passband_proto::bundle::{FileEntry, FileHeader, Manifest, Opener, SealOptions, seal_bundle};
use passband_proto::bus::Transmit;
use passband_proto::crc32c;
use passband_proto::datagram::{Datagram, SymbolHeader, encode};
use passband_proto::fountain::{BlockDecoder, BlockEncoder};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use passband_proto::packet::{CommandPacket, Cuc, MAX_PACKET_BYTES, Mode, TelemetryPacket, seal_telemetry};
use passband_proto::report::{
    Acknowledgement, AlertMark, Item, Report, codes, open_acknowledgement, open_report, seal_acknowledgement,
    seal_report,
};
use passband_proto::sdls::{
    Associations, Channel, Content, Limits, Mark, Opened, Reject, Role, RoleKey, RoleKeys, Sender,
};
use passband_proto::transfer::belief::Observation;
use sha2::{Digest, Sha256};

const ID: BundleId = BundleId([0xB0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

fn key(epoch: u16) -> EpochKey {
    let secret = |i: usize| u8::try_from(i).unwrap() ^ u8::try_from(epoch).unwrap();
    EpochKey::new(258, epoch, std::array::from_fn(secret))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Content of the sample bundle: 1,000 bytes.
fn content() -> Vec<u8> {
    (0..1000_u32).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

fn bundle() -> (Vec<u8>, FileHeader) {
    let content = content();
    let entry = |name: &str, bytes: &[u8]| FileEntry {
        name: name.into(),
        bytes: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
    };
    let mut manifest = Manifest::new("sample", "file", Class::Routine, 1_700_000_000_123);
    manifest.frame = Some("frame-7".into());
    manifest.labels = vec![("gas".into(), "ch4".into())];
    manifest.preview = Some(entry("look.png", b"not a picture"));
    manifest.files = vec![entry("a.bin", &content[..300]), entry("b.bin", &content[300..])];
    let options = SealOptions { symbol_bytes: 64, segment_symbols: 10, ..SealOptions::default() };
    let mut out = Vec::new();
    let geometry =
        seal_bundle(&key(1), ID, &manifest, b"not a picture", &mut content.as_slice(), &mut out, &options)
            .unwrap();
    let header = FileHeader::decode(out.first_chunk().unwrap()).unwrap();
    assert_eq!(header.geometry, geometry);
    (out, header)
}

fn datagram(sealed: &[u8], header: &FileHeader, epoch: u16, block: u32, esi: u32) -> Vec<u8> {
    let g = header.geometry;
    let start = usize::try_from(g.block_offset(block).unwrap()).unwrap();
    let bytes = g.block_bytes(block).unwrap();
    let mut encoder = BlockEncoder::new(&sealed[start..start + bytes as usize], g.symbol_bytes).unwrap();
    let mut out = vec![0; usize::from(g.symbol_bytes) + 64];
    let header = SymbolHeader {
        spacecraft: 258,
        epoch,
        bundle: ID,
        block,
        class: Class::Suspect,
        esi,
        block_bytes: bytes,
        block_count: g.block_count,
        link_seq: (5 << 40) + 77,
    };
    let write = |_: u32, symbol: &[u8]| {
        encode(&header, symbol, &key(epoch).tag_key(), &mut out).unwrap();
    };
    encoder.symbols(esi, 1, write).unwrap();
    out
}

fn alert() -> Alert {
    Alert {
        number: 9,
        time_unix_ms: 1_700_000_000_456,
        frame: fit("frame-7"),
        gas: fit("ch4"),
        probability_permille: 987,
        peak_ppm_m: 2500.5,
        mean_ppm_m: 800.25,
        pixels: 61,
        line: 300,
        sample: 17,
        position: Some(Position { lat_e7: -123_456_789, lon_e7: 987_654_321 }),
        plumes: 2,
        evidence: Some(ID),
    }
}

fn report() -> Report {
    let missing = [0, 0, 7, 33, 34, 10_000, 10_000, 10_000].map(|m| codes::value(codes::code(m)));
    let blocks = Item::Blocks {
        id: BundleId([0xCC; 12]),
        first_block: 4,
        as_of: 0x01_0203,
        missing: missing.to_vec(),
    };
    let link = Some(Observation { station: 4, first_seq: (5 << 40) + 70, span: 5000, heard: 4001 });
    Report { station: 4, number: 1_700_000_000_789, link, items: vec![Item::Whole(ID), blocks] }
}

/// The sample alert, and one that is not among the vectors.
fn acknowledgement(alert: &[u8]) -> Acknowledgement {
    let alerts =
        vec![AlertMark::of(9, alert).unwrap(), AlertMark { number: 0x0102_0304, nonce: [5, 6, 7, 8] }];
    Acknowledgement { station: 4, number: 1_700_000_000_790, alerts }
}

const CHALLENGE: [u8; 8] = [0xC0, 1, 2, 3, 4, 5, 6, 7];

/// The holder of an SPI: an operator whose secret counts down from 255.
fn role_key(spacecraft: u16, spi: u16) -> RoleKey {
    let secret = std::array::from_fn(|i| 255 - u8::try_from(i).unwrap());
    RoleKey::new(spacecraft, spi, Role::Operator, secret).unwrap()
}

fn sender(spacecraft: u16, spi: u16, vcid: u8, used: u64) -> Sender {
    let mut sender = Sender::new(&role_key(spacecraft, spi), vcid, [0xA1, 0xA2, 0xA3, 0xA4], used).unwrap();
    sender.persisted(used + 16);
    sender
}

/// The satellite as the vectors want it: it knows SPI 7 alone, has used counters up to 256, and names the challenge.
fn board() -> Associations {
    let mut keys = RoleKeys::default();
    keys.insert(role_key(258, 7)).unwrap();
    let mut board = Associations::new(Channel { spacecraft: 258, vcid: 0 }, &keys, Limits::default());
    assert!(board.restore(&Mark { spi: 7, highest: 256, seen: u64::MAX, retired: false }));
    board.set_challenge(CHALLENGE, 0);
    board
}

/// Role keys and protected frames, taken and refused.
fn uplink(add: &mut impl FnMut(&str, String)) {
    let mut line = String::new();
    role_key(258, 7).write_line(&mut line).unwrap();
    add("role-key-file-line", line);
    add("role-key/fingerprint", hex(&role_key(258, 7).fingerprint()));
    add("role-key/plan-tag/abc", hex(&role_key(258, 7).plan_key().tag(b"abc")));
    add("telemetry-tag/epoch-1/abc", hex(&key(1).telemetry_key().tag(b"abc")));
    let mut us = sender(258, 7, 0, 256);
    let good = us.seal(b"an order").unwrap();
    add("uplink/frame", hex(&good));
    add("uplink/longest", hex(&us.seal(&content()[..987]).unwrap()));
    add("uplink/far-ahead", hex(&sender(258, 7, 0, 0x0102_0304_0506_0708).seal(b"x").unwrap()));
    add("uplink/resync", hex(&sender(258, 7, 0, 999).resynchronise(CHALLENGE, [0xE7; 8]).unwrap()));
    let other = |spacecraft, spi, vcid| hex(&sender(spacecraft, spi, vcid, 256).seal(b"an order").unwrap());
    let flipped = |at: usize| hex(&[&good[..at], &[good[at] ^ 1], &good[at + 1..]].concat());
    add("uplink-refused/truncated", hex(&good[..37]));
    add("uplink-refused/too-long", hex(&[0x21; 1025]));
    add("uplink-refused/not-a-frame/flags", flipped(0).replacen("20", "30", 1));
    add("uplink-refused/not-a-frame/length", hex(&good[..good.len() - 1]));
    add("uplink-refused/fecf", flipped(25));
    add("uplink-refused/spacecraft", other(259, 7, 0));
    add("uplink-refused/channel", other(258, 7, 5));
    add("uplink-refused/unknown-spi", other(258, 8, 0));
    add("uplink-refused/tag", other(258 + 1024, 7, 0));
    add("uplink-refused/replayed", hex(&sender(258, 7, 0, 200).seal(b"an order").unwrap()));
    add("uplink-refused/too-old", hex(&sender(258, 7, 0, 100).seal(b"an order").unwrap()));
    add("uplink-refused/challenge", hex(&us.resynchronise([1; 8], [0xE8; 8]).unwrap()));
    add("uplink-refused/backward", hex(&sender(258, 7, 0, 200).resynchronise(CHALLENGE, [0xE9; 8]).unwrap()));
}

fn telemetry(tagged: bool) -> Vec<u8> {
    let (mut out, tag_key) = ([0; MAX_PACKET_BYTES], key(1).telemetry_key());
    let time = Cuc::from_unix_ms(1_700_000_000_789).unwrap();
    let bytes =
        seal_telemetry(&mut out, 0x123, 0x2ABC, time, &content()[..30], tagged.then_some(&tag_key)).unwrap();
    out[..bytes].to_vec()
}

const ORDER: CommandPacket<'_> =
    CommandPacket { sequence_count: 5, mode: Mode::Arm, number: 0x0102_0304, order: b"\x12\x34arguments" };

/// Every vector, by name.
fn vectors() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: String| out.push((name.to_owned(), value));
    let mut line = String::new();
    key(1).write_line(&mut line).unwrap();
    add("key-file-line", line);
    add("crc32c/123456789", hex(&crc32c::checksum(b"123456789").to_be_bytes()));
    for epoch in [1, 2] {
        add(&format!("tag/epoch-{epoch}/abc"), hex(&key(epoch).tag_key().tag(b"abc")));
        add(&format!("fingerprint/epoch-{epoch}"), hex(&key(epoch).fingerprint()));
    }
    let (sealed, header) = bundle();
    add("bundle/file", hex(&sealed));
    add("bundle/content-sha256", hex(&Sha256::digest(content())));
    for (name, epoch, block, esi) in
        [("source", 1, 1, 3), ("repair", 1, 1, 12), ("epoch-2", 2, 0, 0), ("tail", 1, 2, 0)]
    {
        add(&format!("datagram/{name}"), hex(&datagram(&sealed, &header, epoch, block, esi)));
    }
    let block: Vec<u8> = (0..640_u32).map(|i| u8::try_from(i * 3 % 241).unwrap()).collect();
    let mut encoder = BlockEncoder::new(&block, 64).unwrap();
    add("fountain/block", hex(&block));
    encoder.symbols(10, 5, |esi, symbol| add(&format!("fountain/esi-{esi}"), hex(symbol))).unwrap();
    let sealed_alert = seal_alert(&key(1), [0x11; 12], &alert()).unwrap();
    add("alert", hex(&sealed_alert));
    add("report", hex(&seal_report(&key(1), [0x22; 12], &report()).unwrap()));
    let acknowledged = seal_acknowledgement(&key(1), [0x33; 12], &acknowledgement(&sealed_alert)).unwrap();
    add("alert-acknowledgement", hex(&acknowledged));
    add("bus", hex(&Transmit { on_for_ms: 300_000, rate_kbps: 40_000 }.encode()));
    add("telemetry/tagged", hex(&telemetry(true)));
    add("telemetry/untagged", hex(&telemetry(false)));
    let mut command = [0; CommandPacket::MAX_BYTES];
    let bytes = ORDER.write(&mut command).unwrap();
    add("command", hex(&command[..bytes]));
    bad(&datagram(&sealed, &header, 1, 1, 3), &mut add);
    uplink(&mut add);
    out
}

/// Datagrams that are refused, by the reason.
fn bad(good: &[u8], add: &mut impl FnMut(&str, String)) {
    let last = good.len() - 4;
    let with_crc = |mut bytes: Vec<u8>| {
        let crc = crc32c::checksum(&bytes[..last]);
        bytes[last..].copy_from_slice(&crc.to_be_bytes());
        bytes
    };
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        bytes
    };
    add("refused/crc", hex(&changed(50, good[50] ^ 1)));
    add("refused/tag", hex(&with_crc(changed(50, good[50] ^ 1))));
    add("refused/version", hex(&with_crc(changed(2, 2))));
    add("refused/kind", hex(&with_crc(changed(3, 9))));
    add("refused/magic", hex(&with_crc(changed(0, b'Q'))));
    add("refused/range/class", hex(&with_crc(changed(24, 4))));
    add("refused/range/block", hex(&with_crc(changed(23, 200))));
    add("refused/range/block_bytes", hex(&with_crc(changed(28, 0xFF))));
    add("refused/length", hex(&good[..good.len() - 1]));
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1.txt")
}

fn shipped() -> BTreeMap<String, String> {
    let text = fs::read_to_string(path()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once(" = ").unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn bytes(of: &BTreeMap<String, String>, name: &str) -> Vec<u8> {
    let hex = &of[name];
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn what_the_codec_writes_is_what_is_shipped() {
    let made = vectors();
    if std::env::var_os("PASSBAND_WRITE_VECTORS").is_some() {
        let mut text = String::from("# Test vectors of Passband's wire format, version 1: see FORMAT.md.\n");
        made.iter().for_each(|(name, value)| writeln!(text, "{name} = {value}").unwrap());
        fs::write(path(), text).unwrap();
    }
    let shipped = shipped();
    assert_eq!(shipped.len(), made.len());
    for (name, value) in made {
        assert_eq!(shipped.get(&name), Some(&value), "{name}");
    }
}

#[test]
fn what_is_shipped_is_read_and_what_is_wrong_is_refused_by_name() {
    let v = shipped();
    assert_eq!(
        EpochKey::parse_line(&v["key-file-line"]).unwrap().unwrap().fingerprint(),
        key(1).fingerprint()
    );
    let file = bytes(&v, "bundle/file");
    let header = FileHeader::decode(file.first_chunk().unwrap()).unwrap();
    let opener = Opener::new(&key(1), &ID, header.geometry.block_count);
    let block = |i| {
        let start = usize::try_from(header.geometry.block_offset(i).unwrap()).unwrap();
        file[start..start + header.geometry.block_bytes(i).unwrap() as usize].to_vec()
    };
    assert_eq!(opener.open_head(block(0)).unwrap().manifest.name, "sample");
    let mut plain = Vec::new();
    for i in 1..header.geometry.block_count {
        let mut part = block(i);
        opener.open(i, &mut part).unwrap();
        plain.extend(part);
    }
    assert_eq!(plain, content());
    let repair = bytes(&v, "datagram/repair");
    let repair = Datagram::parse(&repair).unwrap();
    assert!(repair.verify(&key(1).tag_key()) && repair.header().esi == 12);
    let symbols = (10..15).map(|esi| (esi, bytes(&v, &format!("fountain/esi-{esi}"))));
    let whole = bytes(&v, "fountain/block");
    let sources = whole.chunks(64).enumerate().skip(5).map(|(i, s)| (u32::try_from(i).unwrap(), s.to_vec()));
    let mut decoder = BlockDecoder::new(640, 64).unwrap();
    assert_eq!(decoder.decode(symbols.chain(sources)), Some(whole.clone()));
    assert_eq!(open_alert(&key(1), &bytes(&v, "alert")).unwrap(), alert());
    assert_eq!(open_report(&key(1), &bytes(&v, "report")).unwrap(), report());
    let said = open_acknowledgement(&key(1), &bytes(&v, "alert-acknowledgement")).unwrap();
    assert_eq!(said, acknowledgement(&bytes(&v, "alert")));
    let transmit = Transmit { on_for_ms: 300_000, rate_kbps: 40_000 };
    assert_eq!(Transmit::decode(&bytes(&v, "bus")), Some(transmit));
    let tagged = bytes(&v, "telemetry/tagged");
    let packet = TelemetryPacket::parse(&tagged).unwrap();
    assert!(packet.verify(&key(1).telemetry_key()) && packet.time().to_unix_ms() == 1_700_000_000_789);
    assert_eq!(CommandPacket::parse(&bytes(&v, "command")), Ok(ORDER));

    for (name, value) in v.iter().filter(|(name, _)| name.starts_with("refused/")) {
        let bytes: Vec<u8> =
            (0..value.len()).step_by(2).map(|i| u8::from_str_radix(&value[i..i + 2], 16).unwrap()).collect();
        let reason = name.trim_start_matches("refused/").split('/').next().unwrap();
        match Datagram::parse(&bytes) {
            Ok(datagram) => assert!(reason == "tag" && !datagram.verify(&key(1).tag_key()), "{name}"),
            Err(e) => assert_eq!(e.name(), reason, "{name}"),
        }
    }
}

#[test]
fn protected_frames_are_taken_and_refused_as_shipped() {
    let v = shipped();
    let key = RoleKey::parse_line(&v["role-key-file-line"]).unwrap().unwrap();
    assert_eq!((key.spi(), key.fingerprint().to_vec()), (7, bytes(&v, "role-key/fingerprint")));
    let open = |name: &str| board().open(0, &bytes(&v, name));
    let data = |opened: Result<Opened, Reject>| match opened.unwrap().content {
        Content::Data(data) => data,
        Content::Resynchronised => panic!("no data"),
    };
    assert_eq!(data(open("uplink/frame")), b"an order");
    assert_eq!(data(open("uplink/longest")), content()[..987]);
    assert_eq!(open("uplink/far-ahead").unwrap().counter, 0x0102_0304_0506_0709);
    let resync = open("uplink/resync").unwrap();
    assert_eq!((resync.counter, resync.content), (999, Content::Resynchronised));
    for name in v.keys().filter(|name| name.starts_with("uplink-refused/")) {
        let reason = name.split('/').nth(1).unwrap();
        assert_eq!(open(name).unwrap_err().reason().name(), reason, "{name}");
    }
}
