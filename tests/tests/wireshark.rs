//! The Wireshark dissector against our own parser: `tshark` reads a capture of good, damaged, cut and foreign
//! packets, and its fields have to be what the codec wrote.

use std::fs;
use std::path::Path;
use std::process::Command;

use passband_proto::alert::{Alert, seal_alert};
use passband_proto::crc32c;
use passband_proto::datagram::{FIELDS, SymbolHeader, encode};
use passband_proto::dict::{Event, EventCode, FixedText, Packet, Severity, Time};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;
use passband_proto::report::{Acknowledgement, AlertMark, Item, Report, seal_acknowledgement, seal_report};

fn key() -> EpochKey {
    EpochKey::new(513, 7, [3; 32])
}

fn header(esi: u32) -> SymbolHeader {
    SymbolHeader {
        spacecraft: 513,
        epoch: 7,
        bundle: BundleId([0xA1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        block: 70_000,
        class: Class::Suspect,
        esi,
        block_bytes: 6_400_000,
        block_count: 70_001,
        link_seq: (0x01_0203 << 40) | 0x05_0607_0809,
    }
}

fn datagram(esi: u32) -> Vec<u8> {
    let mut out = vec![0; 1472];
    encode(&header(esi), &[0x5A; 1408], &key().tag_key(), &mut out).unwrap();
    out
}

fn alert() -> Vec<u8> {
    let alert = Alert {
        number: 1,
        time_unix_ms: 2,
        frame: passband_proto::alert::fit("frame"),
        gas: passband_proto::alert::fit("ch4"),
        probability_permille: 990,
        peak_ppm_m: 1.0,
        mean_ppm_m: 1.0,
        pixels: 3,
        line: 4,
        sample: 5,
        position: None,
        plumes: 1,
        evidence: None,
    };
    seal_alert(&key(), [8; 12], &alert).unwrap().to_vec()
}

/// Frames of the slow link: a report, an acknowledgement, one of a kind to come.
fn slow_frames() -> [Vec<u8>; 3] {
    let items = vec![Item::Whole(BundleId([1; 12]))];
    let report = Report { station: 1, number: 1, link: None, items };
    let report = seal_report(&key(), [9; 12], &report).unwrap();
    let said =
        Acknowledgement { station: 1, number: 2, alerts: vec![AlertMark { number: 1, nonce: [8; 4] }] };
    let acknowledgement = seal_acknowledgement(&key(), [7; 12], &said).unwrap();
    let mut unknown = report.clone();
    unknown[3] = 3;
    [report, acknowledgement, unknown]
}

/// A pcap file of IPv4 packets without a link layer (type 228), each cut to its snap length.
fn pcap(packets: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 228] {
        out.extend(word.to_le_bytes());
    }
    for (payload, cut) in packets {
        let total = u16::try_from(payload.len() + 28).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(50_123_u16.to_be_bytes());
        packet.extend(47_000_u16.to_be_bytes());
        packet.extend((total - 20).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        let kept = packet.len() - cut;
        for word in [1, 0, kept, packet.len()] {
            out.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        out.extend(&packet[..kept]);
    }
    out
}

/// The fields that `tshark` finds, a row for each packet.
fn tshark(capture: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    tshark_with(&[], capture, fields)
}

fn tshark_with(options: &[&str], capture: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wireshark/passband.lua");
    let mut command = Command::new("tshark");
    command.arg("-X").arg(format!("lua_script:{}", script.display())).arg("-r").arg(capture);
    command.args(["-T", "fields", "-E", "separator=|"]).args(options);
    for field in fields {
        command.args(["-e", field]);
    }
    let out = command.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && !errors.contains("Lua"), "{errors}");
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

#[test]
fn tshark_sees_what_the_codec_wrote() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark is not installed");
        return;
    }
    let (source, repair) = (datagram(4000), datagram(5000));
    let mut damaged = source.clone();
    damaged[600] ^= 4;
    let [report, acknowledgement, unknown] = slow_frames();
    let mut later = source.clone();
    later[2] = 2;
    let packets = [
        (source.clone(), 0),
        (repair, 0),
        (damaged, 0),
        (source.clone(), 1000),
        (source, 1472 - 20),
        (alert(), 0),
        (report.clone(), 0),
        (later, 0),
        (b"PBnot of ours at all, but it begins alike".to_vec(), 0),
        (b"PCnot of ours at all".to_vec(), 0),
        (acknowledgement, 0),
        (unknown, 0),
    ];
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("sample.pcap");
    fs::write(&capture, pcap(&packets)).unwrap();

    let names: Vec<_> = FIELDS.iter().map(|field| format!("passband.{}", field.name)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let rows = tshark(&capture, &names);
    let h = header(4000);
    let numbers = |words: &[String]| -> Vec<String> { words.to_vec() };
    let expected = [
        "PB".to_owned(),
        "1".to_owned(),
        "1".to_owned(),
        h.spacecraft.to_string(),
        h.epoch.to_string(),
        h.bundle.to_string(),
        h.block.to_string(),
        (h.class as u8).to_string(),
        h.esi.to_string(),
        h.block_bytes.to_string(),
        h.block_count.to_string(),
        format!("0x{:016x}", h.link_seq),
    ];
    assert_eq!(numbers(&rows[0]), expected);
    assert_eq!(rows[1][8], "5000");
    assert_eq!(rows[3], expected, "the header of a cut packet");
    assert_eq!((rows[4][5].as_str(), rows[4][6].as_str()), (h.bundle.to_string().as_str(), ""));
    assert_eq!(rows[5][..5], ["PA", "1", "1", "513", "7"]);
    assert_eq!(rows[6][..5], ["PR", "1", "1", "513", "7"]);
    assert_eq!(rows[7][..4], ["PB", "2", "1", ""], "of a later version nothing is taken for known");
    assert_eq!(rows[8][1], "110");
    assert!(rows[9].iter().all(String::is_empty), "not ours");
    assert_eq!(rows[10][..5], ["PR", "1", "2", "513", "7"]);
    assert_eq!(rows[11][..4], ["PR", "1", "3", ""], "nor of a later kind");

    let more =
        ["session", "counter", "source_symbols", "repair", "crc.ok", "crc.bad", "cut", "sealed", "unknown"];
    let more: Vec<_> = more.iter().map(|name| format!("passband.{name}")).collect();
    let rows = tshark(&capture, &more.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rows[0][..5], ["66051", "21575960585", "4546", "0", "1"].map(truth));
    assert_eq!(truth(&rows[1][3]), "1", "a repair symbol");
    assert_eq!(truth(&rows[2][4]), "0", "its CRC is wrong");
    assert!(!rows[2][5].is_empty() && rows[0][5].is_empty());
    assert!(!rows[3][6].is_empty() && !rows[4][6].is_empty() && rows[0][6].is_empty());
    assert_eq!(rows[6][7].len(), 2 * (report.len() - 20));
    assert!(!rows[7][8].is_empty() && !rows[8][8].is_empty() && rows[0][8].is_empty());
    assert!(rows[10][8].is_empty() && rows[10][7].len() == 2 * (10 + 8 + 16), "known, and sealed");
    assert!(!rows[11][8].is_empty());
}

/// A packet of telemetry around user data: CCSDS 133.0-B-2, CUC time, no tag, CRC-32C.
fn telemetry<P: Packet>(packet: &P) -> Vec<u8> {
    let mut data = [0; 1475];
    let len = packet.write(&mut data).unwrap();
    let mut out = Vec::new();
    out.extend((0x0800 | P::DEF.apid).to_be_bytes());
    out.extend([0xC0, 5]);
    out.extend(u16::try_from(len + 18).unwrap().to_be_bytes());
    out.push(0x2E);
    out.extend(1_800_000_000_u32.to_be_bytes());
    out.extend([0x80, 0]);
    out.extend(&data[..len]);
    out.extend([0; 8]);
    out.extend(crc32c::checksum(&out).to_be_bytes());
    out
}

fn event() -> Event {
    Event {
        number: 9,
        unix: 1_800_000_000_000,
        severity: Severity::Error,
        code: EventCode::DiskFull,
        text: FixedText::cut("no room: 3 MiB \u{2264} 5 MiB"),
    }
}

/// A TC transfer frame of spacecraft 1, virtual channel 2, association 3, so long.
fn uplink(length: u16) -> Vec<u8> {
    let mut frame = vec![0; usize::from(length)];
    frame[..2].copy_from_slice(&(0x2000_u16 | 1).to_be_bytes());
    frame[2..4].copy_from_slice(&(2 << 10 | (length - 1)).to_be_bytes());
    frame[4..7].copy_from_slice(&[7, 0, 3]);
    frame
}

#[test]
fn tshark_sees_telemetry_and_the_clear_part_of_the_uplink() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark is not installed");
        return;
    }
    let time = telemetry(&Time { boot_count: 4, steady: 5, unix: 6, steps: 7 });
    let event = telemetry(&event());
    let mut damaged = event.clone();
    damaged[40] ^= 1;
    let packets = [
        (event.clone(), 0),
        (damaged, 0),
        ([time.clone(), event.clone()].concat(), 0),
        (event, 30),
        (uplink(64), 0),
    ];
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("telemetry.pcap");
    fs::write(&capture, pcap(&packets)).unwrap();

    let names = ["apid", "time", "crc.ok", "event.severity", "event.text", "time.steps"];
    let names: Vec<_> = names.iter().map(|name| format!("passband.tlm.{name}")).collect();
    let rows = tshark(&capture, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((rows[0][0].as_str(), rows[0][3].as_str()), ("0x0104", "2"));
    assert!(rows[0][1].starts_with("Jan 15, 2027 08:00:00.5"), "{}", rows[0][1]);
    assert_eq!(rows[0][4], "no room: 3 MiB \u{2264} 5 MiB");
    assert_eq!((truth(&rows[0][2]), truth(&rows[1][2])), ("1".to_owned(), "0".to_owned()));
    assert_eq!((rows[2][0].as_str(), rows[2][5].as_str()), ("0x0103,0x0104", "7"), "two in one datagram");
    assert!(rows[3].iter().all(String::is_empty), "cut: nothing is taken for telemetry");

    let names = ["spacecraft", "channel", "number", "spi"].map(|name| format!("passband.tc.{name}"));
    let names = names.each_ref().map(String::as_str);
    let with = |ports: &str| tshark_with(&["-o", &format!("passband.ports:{ports}")], &capture, &names);
    assert!(with("9")[4].iter().all(String::is_empty), "no port of ours");
    assert_eq!(with("9,40000-50000")[4], ["1", "2", "7", "3"]);
}

/// Booleans are `0` and `1`, or `False` and `True` in later versions.
fn truth(word: &str) -> String {
    match word {
        "False" => "0".to_owned(),
        "True" => "1".to_owned(),
        other => other.to_owned(),
    }
}
