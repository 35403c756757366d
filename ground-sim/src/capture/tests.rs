use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::forge::{Flavour, TIME_S, datagram, datagrams, ether_type, ethernet, ipv4, ipv6, read};
use super::*;

fn raw(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    Flavour::RAW.pcap(&payloads.iter().map(|p| ipv4(p)).collect::<Vec<_>>())
}

/// Puts an IP packet on a link.
type Link<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn every_link_type_order_and_resolution_is_read() {
    let sent = datagrams(5);
    let cooked = |ip: &[u8]| [&[0; 14][..], &ether_type(ip), ip].concat();
    let cooked2 = |ip: &[u8]| [&ether_type(ip), &[0; 18][..], ip].concat();
    let family = |ip: &[u8]| [&[2, 0, 0, 0], ip].concat();
    let links: [(u32, Link<'_>); 13] = [
        (1, &|ip| ethernet(0, ip)),
        (1, &|ip| ethernet(1, ip)),
        (1, &|ip| ethernet(2, ip)),
        (1, &|ip| [ethernet(0, ip), vec![9; 4]].concat()),
        (113, &cooked),
        (276, &cooked2),
        (0, &family),
        (108, &family),
        (101, &<[u8]>::to_vec),
        (12, &<[u8]>::to_vec),
        (14, &<[u8]>::to_vec),
        (228, &<[u8]>::to_vec),
        (229, &<[u8]>::to_vec),
    ];
    for (link_type, link) in links {
        for network in [ipv4, ipv6] {
            let packets: Vec<_> = sent.iter().map(|d| link(&network(d))).collect();
            for (big_endian, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
                let flavour = Flavour { big_endian, nanos, link_type };
                for (file, _) in [flavour.pcap(&packets), flavour.pcapng(&packets)] {
                    let got = read(&file);
                    assert_eq!(got.payloads(), sent, "{flavour:?}");
                    assert_eq!(
                        (got.stats.udp, got.stats.salvaged, got.stats.resyncs),
                        (5, 0, 0),
                        "{flavour:?}"
                    );
                    assert!(matches!(got.all[0].1, Found::Udp { to, .. } if to.port() == 47000));
                    assert!(!got.stats.truncated && !got.stats.damaged_header);
                }
            }
        }
    }
}

#[test]
fn payloads_that_are_not_ours_are_given_too() {
    let sent = vec![b"PA\x01 an alert".to_vec(), b"x".to_vec(), Vec::new()];
    let got = read(&raw(&sent).0);
    assert_eq!(got.payloads(), sent);
    assert_eq!(got.stats.udp, 3);
}

#[test]
fn pcapng_has_sections_interfaces_and_blocks_of_all_kinds() {
    let sent = datagrams(6);
    let (little, big) = (Flavour::RAW, Flavour { big_endian: true, ..Flavour::RAW });
    let mut file = Vec::new();
    little.section(&mut file);
    little.block(&mut file, 0xBAD, &[1; 40]);
    little.interface(&mut file, 101);
    little.block(&mut file, 0x0BAD_CAFE, &[1; 400]);
    little.interface(&mut file, 1);
    little.enhanced(&mut file, 1, &ethernet(0, &ipv4(&sent[0])));
    little.enhanced(&mut file, 0, &ipv4(&sent[1]));
    little.simple(&mut file, &ipv6(&sent[2]));
    little.obsolete(&mut file, 1, &ethernet(1, &ipv6(&sent[3])));
    big.section(&mut file);
    big.interface(&mut file, 1);
    big.block(&mut file, 5, &[0; 20]);
    big.enhanced(&mut file, 0, &ethernet(0, &ipv4(&sent[4])));
    big.enhanced(&mut file, 9, &ethernet(0, &ipv4(&sent[5])));
    let got = read(&file);
    assert_eq!(got.payloads(), sent);
    assert_eq!((got.stats.udp, got.stats.salvaged, got.stats.resyncs), (5, 1, 0), "interface 9 isn't there");

    let mut reader =
        CaptureReader::from_reader("x", Cursor::new(little.pcapng(&[ipv4(&sent[0])]).0)).unwrap();
    let time = reader.next_candidate().unwrap().unwrap().time;
    assert_eq!(time, Duration::new(TIME_S.into(), 7), "resolution and offset of the interface");
}

#[test]
fn compressed_captures_are_told_by_their_bytes() {
    let sent = datagrams(3000);
    let (file, _) = raw(&sent);
    let gzip = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    };
    let zstd =
        |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let (front, back) = file.split_at(300_001);
    let skippable = [0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3].to_vec();
    for packed in [
        gzip(&file),
        [gzip(front), gzip(back)].concat(),
        zstd(&file),
        [skippable, zstd(front), zstd(back)].concat(),
    ] {
        let got = read(&packed);
        assert_eq!(got.payloads(), sent);
        assert_eq!(got.stats.damaged_compression, None);
    }
    for packed in [gzip(&file), zstd(&file)] {
        let got = read(&packed[..packed.len() * 9 / 10]);
        assert!(got.stats.damaged_compression.is_some());
        let whole = got.payloads().iter().zip(&sent).take_while(|(a, b)| a == b).count();
        assert!(whole >= 2000, "only {whole} before the cut");
    }
}

#[test]
fn a_capture_that_is_cut_ends_early_and_says_so() {
    let sent = datagrams(3);
    let packets: Vec<_> = sent.iter().map(|d| ipv4(d)).collect();
    let flavours = [(Flavour::RAW.pcap(&packets), 24), (Flavour::RAW.pcapng(&packets), 28)];
    for ((file, starts), header_bytes) in flavours {
        for end in 1..file.len() {
            let Ok(mut reader) = CaptureReader::from_reader("cut", Cursor::new(file[..end].to_vec())) else {
                assert!(end < 4, "{end}");
                continue;
            };
            let mut got = Vec::new();
            while let Some(candidate) = reader.next_candidate().unwrap() {
                got.push(candidate.bytes.to_vec());
            }
            let whole = starts.iter().skip(1).chain([&file.len()]).filter(|&&s| s <= end).count();
            assert!(got.starts_with(&sent[..whole]), "{end}: {whole} whole, {} got", got.len());
            let between = end == header_bytes || starts.contains(&end);
            assert_eq!(reader.stats().truncated, !between, "{end}");
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_by_name_and_what_is_empty_is_not() {
    let open = |bytes: &[u8]| CaptureReader::from_reader("pass.pcap", Cursor::new(bytes.to_vec()));
    let error = open(b"%PDF-1.7 and so on").unwrap_err().to_string();
    assert!(
        error.contains("pass.pcap") && error.contains("byte 0") && error.contains("25 50 44 46 2d 31 2e 37"),
        "{error}"
    );
    assert!(open(&[0; 5000]).is_err());
    assert!(matches!(CaptureReader::open(Path::new("/no/such")), Err(CaptureError::Io { .. })));
    for empty in [Vec::new(), raw(&[]).0, Flavour::RAW.pcapng(&[]).0] {
        let got = read(&empty);
        assert_eq!((got.all.len(), got.stats), (0, CaptureStats::default()));
    }
}

#[test]
fn datagrams_without_any_capture_format_are_found() {
    let sent = datagrams(5000);
    let got = read(&sent.concat());
    let mut payloads = got.payloads();
    payloads.dedup();
    assert!(sent.iter().all(|d| got.holds(d)));
    assert!(payloads.len() < sent.len() + 200, "little is found twice");
}

#[test]
fn a_damaged_length_costs_no_datagram() {
    let sent = datagrams(20);
    let packets: Vec<_> = sent.iter().map(|d| ethernet(0, &ipv4(d))).collect();
    let flavour = Flavour { link_type: 1, ..Flavour::RAW };
    for ((file, starts), header_bytes) in [(flavour.pcap(&packets), 16), (flavour.pcapng(&packets), 28)] {
        for victim in [0, 1, 10, 18, 19] {
            for at in 0..header_bytes {
                for flip in [1, 0x10, 0x80, 0xFF] {
                    let mut damaged = file.clone();
                    damaged[starts[victim] + at] ^= flip;
                    let got = read(&damaged);
                    for (n, d) in sent.iter().enumerate() {
                        assert!(got.holds(d), "record {victim}, byte {at} ^ {flip:#x}: {n} is lost");
                    }
                }
            }
        }
    }
}

#[test]
fn a_damaged_file_header_costs_no_datagram() {
    let sent = datagrams(20);
    let packets: Vec<_> = sent.iter().map(|d| ethernet(0, &ipv4(d))).collect();
    let flavour = Flavour { link_type: 1, ..Flavour::RAW };
    for ((file, _), header_bytes) in [(flavour.pcap(&packets), 24), (flavour.pcapng(&packets), 68)] {
        for at in 0..header_bytes {
            for flip in [1, 0x80, 0xFF] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                let got = read(&damaged);
                assert!(sent.iter().all(|d| got.holds(d)), "byte {at} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn a_hole_of_zeros_or_noise_costs_only_what_lay_in_it() {
    let sent = datagrams(12_000);
    let (file, starts) = raw(&sent);
    for (from, bytes, noise) in [(100_000, 40, false), (100_000, 5_000, true), (100_003, 1_500_000, false)] {
        let mut damaged = file.clone();
        for (i, byte) in damaged[from..from + bytes].iter_mut().enumerate() {
            *byte = if noise { ((i * i) >> 3).to_le_bytes()[0] } else { 0 };
        }
        let got = read(&damaged);
        let ends = starts.iter().skip(1).copied().chain([file.len()]);
        for ((d, &start), end) in sent.iter().zip(&starts).zip(ends) {
            let touched = start + 44 < from + bytes && from < end;
            assert!(touched || got.holds(d), "record at {start}, hole {from}+{bytes}");
        }
        assert!((got.stats.resyncs > 0) == (bytes > 400), "a small hole within a packet needs no search");
        assert!(got.stats.udp > 6_000, "the way was found again");
    }
}

#[test]
fn captures_joined_by_cat_are_read_on() {
    let sent = datagrams(9);
    let parts: Vec<_> = sent.chunks(3).map(|c| c.iter().map(|d| ipv4(d)).collect::<Vec<_>>()).collect();
    let big = Flavour { big_endian: true, nanos: false, link_type: 12 };
    let file =
        [Flavour::RAW.pcap(&parts[0]).0, big.pcap(&parts[1]).0, Flavour::RAW.pcap(&parts[2]).0].concat();
    let got = read(&file);
    assert_eq!(got.payloads(), sent);
    assert_eq!((got.stats.udp, got.stats.resyncs), (9, 0));
}

#[test]
fn damaged_headers_inside_a_packet_cost_no_datagram() {
    let sent = datagram(1, 1408);
    for packet in [ethernet(1, &ipv4(&sent)), ethernet(0, &ipv6(&sent))] {
        let headers = packet.len() - sent.len();
        for bit in 0..headers * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let got = read(&Flavour { link_type: 1, ..Flavour::RAW }.pcap(&[damaged]).0);
            assert_eq!(got.payloads(), std::slice::from_ref(&sent), "bit {bit}");
        }
    }
}

#[test]
fn a_datagram_damaged_itself_is_given_once_to_be_counted() {
    let sent = datagram(1, 1408);
    for at in [4, 50, 1470] {
        let mut damaged = sent.clone();
        damaged[at] ^= 1;
        assert_eq!(read(&raw(&[damaged.clone()]).0).payloads(), [damaged.clone()]);
        let mut packet = ipv4(&damaged);
        packet[9] = 6; // not UDP either
        let got = read(&Flavour::RAW.pcap(&[packet]).0);
        assert_eq!(got.payloads(), [damaged]);
        assert_eq!((got.stats.other_ip, got.all[0].1), (1, Found::Salvaged));
    }
}

#[test]
fn an_alert_is_found_behind_damaged_headers() {
    let sent = b"PA\x01\x01 the sealed rest of an alert, without an end of its own".to_vec();
    let packet = ethernet(0, &ipv4(&sent));
    let flavour = Flavour { link_type: 1, ..Flavour::RAW };
    for bit in 0..(packet.len() - sent.len()) * 8 {
        let mut damaged = packet.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flavour.pcap(&[damaged]).0).holds(&sent), "bit {bit}");
    }
}

#[test]
fn extension_headers_that_are_cut_or_make_no_sense_are_survived() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    for (next, rest) in
        [(44, &[0_u8; 3][..]), (43, &[0, 255, 0]), (0, &[]), (51, &[17]), (60, &[44]), (44, &[])]
    {
        let mut packet = ipv6(&[])[..40].to_vec();
        packet[6] = 0;
        packet[4..6].copy_from_slice(&u16::try_from(8 + rest.len()).unwrap().to_be_bytes());
        packet.extend([&options(next), rest].concat());
        let got = read(&Flavour::RAW.pcap(&[packet.clone(), packet]).0);
        assert_eq!((got.all.len(), got.stats.records, got.stats.udp), (0, 2, 0));
    }
}

#[test]
fn a_payload_of_several_datagrams_is_split() {
    let sent = datagrams(40);
    let got = read(&raw(&[sent.concat()]).0);
    assert_eq!(got.payloads(), sent);
    assert_eq!((got.stats.udp, got.stats.joined, got.stats.salvaged), (1, 1, 0));
    assert!(got.all.iter().all(|(_, how)| matches!(how, Found::Udp { .. })));
}

#[test]
fn fragments_become_whole_in_both_ip_versions() {
    let sent = datagram(1, 8000);
    let whole4 = ipv4(&sent);
    let mut packets: Vec<_> = (0..whole4.len() - 20)
        .step_by(1480)
        .map(|at| {
            let body = &whole4[20 + at..whole4.len().min(20 + at + 1480)];
            let more = u16::from(20 + at + 1480 < whole4.len()) << 13;
            let mut packet = whole4[..20].to_vec();
            packet[2..4].copy_from_slice(&u16::try_from(20 + body.len()).unwrap().to_be_bytes());
            packet[4..6].copy_from_slice(&99_u16.to_be_bytes());
            packet[6..8].copy_from_slice(&(u16::try_from(at / 8).unwrap() | more).to_be_bytes());
            [&packet, body].concat()
        })
        .collect();
    let whole6 = ipv6(&sent);
    packets.extend((0..whole6.len() - 40).step_by(1232).map(|at| {
        let body = &whole6[40 + at..whole6.len().min(40 + at + 1232)];
        let more = u16::from(40 + at + 1232 < whole6.len());
        let offset = u16::try_from(at).unwrap() | more;
        let mut packet = whole6[..40].to_vec();
        packet[4..6].copy_from_slice(&u16::try_from(16 + body.len()).unwrap().to_be_bytes());
        packet[6] = 60; // destination options, then the fragment header
        let extensions =
            [&[44, 0, 1, 4, 0, 0, 0, 0, 17, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 5]].concat();
        [&packet, &extensions[..], body].concat()
    }));
    packets.rotate_left(3);
    let got = read(&Flavour::RAW.pcap(&packets).0);
    assert_eq!(got.payloads(), [sent.clone(), sent.clone()]);
    assert_eq!((got.stats.fragments, got.stats.reassembled, got.stats.incomplete), (13, 2, 0));
    packets.remove(4);
    let got = read(&Flavour::RAW.pcap(&packets).0);
    assert_eq!((got.payloads(), got.stats.incomplete), (vec![sent], 1));
}

#[test]
fn packets_cut_by_the_snapshot_length_are_counted() {
    let (mut file, starts) = raw(&datagrams(3));
    let at = starts[1];
    let bytes = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap());
    file[at + 8..at + 12].copy_from_slice(&96_u32.to_le_bytes());
    file.drain(at + 16 + 96..at + 16 + bytes as usize);
    let got = read(&file);
    assert_eq!((got.all.len(), got.stats.truncated_records, got.stats.resyncs), (3, 1, 0));
    assert!(!got.stats.truncated);
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcap");
    let mut writer = CaptureWriter::create(&path).unwrap();
    assert!(CaptureWriter::create(&path).is_err(), "never writes over a capture");
    let time = UNIX_EPOCH + Duration::new(u64::from(TIME_S), 123_456_789);
    let v4: [SocketAddr; 2] = ["10.1.2.3:4".parse().unwrap(), "10.1.2.4:5".parse().unwrap()];
    let v6: [SocketAddr; 2] = ["[::1]:4".parse().unwrap(), "[::2]:5".parse().unwrap()];
    let ends = [v4, v6, [v4[0], v6[1]]];
    let mut sent = datagrams(2_000);
    sent.push(Vec::new());
    sent.push(vec![7; 65_507]);
    for (payload, [from, to]) in sent.iter().zip(ends.iter().cycle()) {
        writer.write(time, *from, *to, payload).unwrap();
    }
    assert!(matches!(writer.write(time, v4[0], v4[1], &vec![0; 65_508]), Err(CaptureError::TooLong { .. })));
    writer.flush().unwrap();
    let mut reader = CaptureReader::open(&path).unwrap();
    for (payload, [from, to]) in sent.iter().zip(ends.iter().cycle()) {
        let got = reader.next_candidate().unwrap().unwrap();
        assert_eq!((got.bytes, got.time), (payload.as_slice(), Duration::new(TIME_S.into(), 123_456_789)));
        let Found::Udp { from: f, to: t } = got.how else { panic!("{got:?}") };
        assert_eq!((f.ip().to_canonical(), t.ip().to_canonical(), f.port()), (from.ip(), to.ip(), 4));
    }
    assert_eq!(reader.next_candidate().unwrap(), None);
    assert_eq!(reader.stats().records, writer.records());
}

fn base(pcapng: bool) -> (Vec<u8>, Vec<usize>, Vec<Vec<u8>>) {
    let sent = datagrams(30);
    let packets: Vec<_> = sent.iter().map(|d| ethernet(0, &ipv4(d))).collect();
    let flavour = Flavour { link_type: 1, ..Flavour::RAW };
    let (file, starts) = if pcapng { flavour.pcapng(&packets) } else { flavour.pcap(&packets) };
    (file, starts, sent)
}

proptest! {
    #[test]
    fn any_bytes_never_panic(
        head in prop::sample::select(vec![
            &[][..], &[0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0], &[0xA1, 0xB2, 0x3C, 0x4D, 0, 2, 0, 4],
            &[0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 0x4D, 0x3C, 0x2B, 0x1A], &[0x1F, 0x8B, 8, 0],
            &[0x28, 0xB5, 0x2F, 0xFD, 0x24],
        ]),
        body in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let bytes = [head, &body].concat();
        if let Ok(mut reader) = CaptureReader::from_reader("any", Cursor::new(bytes)) {
            while reader.next_candidate().unwrap().is_some() {}
        }
    }

    #[test]
    fn any_packet_never_panics(link_type in 0_u32..300, packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let got = read(&Flavour { link_type, ..Flavour::RAW }.pcap(&[packet.clone(), packet]).0);
        prop_assert_eq!(got.stats.records, 2);
    }

    #[test]
    fn a_mutated_capture_gives_every_record_not_touched(
        pcapng in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..=255), 1..20),
        cut in prop::option::of((any::<prop::sample::Index>(), 1_usize..2000)),
    ) {
        let (mut file, starts, sent) = base(pcapng);
        let ends: Vec<_> = starts.iter().skip(1).copied().chain([file.len()]).collect();
        let mut touched = vec![false; sent.len()];
        let mut touch = |from: usize, to: usize| {
            for (n, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
                touched[n] |= from < end && start < to;
            }
        };
        for (at, mask) in flips {
            let at = at.index(file.len());
            file[at] ^= mask;
            touch(at, at + 1);
        }
        if let Some((at, bytes)) = cut {
            let at = at.index(file.len());
            let end = (at + bytes).min(file.len());
            file.drain(at..end);
            touch(at, end);
        }
        let mut reader = match CaptureReader::from_reader("mutated", Cursor::new(file)) {
            Ok(reader) => reader,
            Err(e) => return Err(TestCaseError::fail(e.to_string())),
        };
        let mut found = std::collections::BTreeSet::new();
        while let Some(candidate) = reader.next_candidate().unwrap() {
            found.insert(candidate.bytes.to_vec());
        }
        for (n, d) in sent.iter().enumerate() {
            prop_assert!(touched[n] || found.contains(d), "datagram {} is lost", n);
        }
    }
}
