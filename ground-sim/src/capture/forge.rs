//! Makes captures of every flavour, for tests.

use etherparse::PacketBuilder;
use passband_proto::datagram::{self, OVERHEAD_BYTES, SymbolHeader};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keys::EpochKey;

use super::{CaptureReader, CaptureStats, Found};

pub(super) const TIME_S: u32 = 1_750_000_000;

/// Datagram number `n`, with a symbol that looks random.
pub(super) fn datagram(n: u32, symbol_bytes: usize) -> Vec<u8> {
    let header = SymbolHeader {
        spacecraft: 1,
        epoch: 1,
        bundle: BundleId([7; 12]),
        block: 0,
        class: Class::Routine,
        esi: n,
        block_bytes: 64 * 100,
        block_count: 1,
        link_seq: n.into(),
    };
    let mut x = n.wrapping_mul(0x9E37_79B9) | 1;
    let symbol: Vec<u8> = std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_be_bytes()[0]
    })
    .take(symbol_bytes)
    .collect();
    let mut out = vec![0; symbol_bytes + OVERHEAD_BYTES];
    datagram::encode(&header, &symbol, &EpochKey::new(1, 1, [3; 32]).tag_key(), &mut out).unwrap();
    out
}

/// Several of them.
pub(super) fn datagrams(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|n| datagram(n, 256)).collect()
}

/// An IPv4 packet around a payload.
pub(super) fn ipv4(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(5000, 47000).write(&mut out, payload).unwrap();
    out
}

/// An IPv6 packet around a payload.
pub(super) fn ipv6(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(5000, 47000).write(&mut out, payload).unwrap();
    out
}

/// An Ethernet frame around an IP packet, with VLAN tags.
pub(super) fn ethernet(vlan_tags: usize, ip: &[u8]) -> Vec<u8> {
    let mut out = vec![2; 12];
    for tag in 0..vlan_tags {
        out.extend(if tag + 1 < vlan_tags { [0x88, 0xA8, 0, 5] } else { [0x81, 0x00, 0, 6] });
    }
    out.extend(ether_type(ip));
    out.extend_from_slice(ip);
    out
}

/// The EtherType of an IP packet.
pub(super) fn ether_type(ip: &[u8]) -> [u8; 2] {
    if ip[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xDD] }
}

/// How to write a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flavour {
    pub(super) big_endian: bool,
    pub(super) nanos: bool,
    pub(super) link_type: u32,
}

impl Flavour {
    pub(super) const RAW: Self = Self { big_endian: false, nanos: true, link_type: 101 };

    fn put(self, out: &mut Vec<u8>, fields: &[u32]) {
        for f in fields {
            out.extend(if self.big_endian { f.to_be_bytes() } else { f.to_le_bytes() });
        }
    }

    fn put_halves(self, out: &mut Vec<u8>, fields: &[u16]) {
        for f in fields {
            out.extend(if self.big_endian { f.to_be_bytes() } else { f.to_le_bytes() });
        }
    }

    /// A pcap file; and where each record begins in it.
    pub(super) fn pcap(self, packets: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        self.put(&mut out, &[if self.nanos { 0xA1B2_3C4D } else { 0xA1B2_C3D4 }]);
        self.put_halves(&mut out, &[2, 4]);
        self.put(&mut out, &[0, 0, 262_144, self.link_type]);
        let mut starts = Vec::new();
        for (n, packet) in (0..).zip(packets) {
            starts.push(out.len());
            let bytes = u32::try_from(packet.len()).unwrap();
            self.put(&mut out, &[TIME_S + n / 100, n % 100 * 1000 + 7, bytes, bytes]);
            out.extend_from_slice(packet);
        }
        (out, starts)
    }

    /// A section header, without interfaces.
    pub(super) fn section(self, out: &mut Vec<u8>) {
        self.put(out, &[0x0A0D_0D0A, 28, 0x1A2B_3C4D]);
        self.put_halves(out, &[1, 0]);
        self.put(out, &[u32::MAX, u32::MAX, 28]);
    }

    /// An interface with nanoseconds and an offset of 1,000 s.
    pub(super) fn interface(self, out: &mut Vec<u8>, link_type: u16) {
        let mut options = Vec::new();
        self.put_halves(&mut options, &[9, 1]);
        options.extend([9, 0, 0, 0]);
        self.put_halves(&mut options, &[14, 8]);
        let offset = 1000_i64;
        options.extend(if self.big_endian { offset.to_be_bytes() } else { offset.to_le_bytes() });
        self.put(&mut options, &[0]);
        let mut body = Vec::new();
        self.put_halves(&mut body, &[link_type, 0]);
        self.put(&mut body, &[0]);
        body.extend(options);
        self.block(out, 1, &body);
    }

    pub(super) fn enhanced(self, out: &mut Vec<u8>, interface: u32, packet: &[u8]) {
        let bytes = u32::try_from(packet.len()).unwrap();
        let ticks = u64::from(TIME_S - 1000) * 1_000_000_000 + 7;
        let mut body = Vec::new();
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        self.put(&mut body, &[interface, (ticks >> 32) as u32, ticks as u32, bytes, bytes]);
        body.extend_from_slice(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(out, 6, &body);
    }

    pub(super) fn simple(self, out: &mut Vec<u8>, packet: &[u8]) {
        let mut body = Vec::new();
        self.put(&mut body, &[u32::try_from(packet.len()).unwrap()]);
        body.extend_from_slice(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(out, 3, &body);
    }

    pub(super) fn obsolete(self, out: &mut Vec<u8>, interface: u16, packet: &[u8]) {
        let bytes = u32::try_from(packet.len()).unwrap();
        let mut body = Vec::new();
        self.put_halves(&mut body, &[interface, 3]);
        self.put(&mut body, &[0, 0, bytes, bytes]);
        body.extend_from_slice(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(out, 2, &body);
    }

    pub(super) fn block(self, out: &mut Vec<u8>, kind: u32, body: &[u8]) {
        let bytes = u32::try_from(body.len() + 12).unwrap();
        self.put(out, &[kind, bytes]);
        out.extend_from_slice(body);
        self.put(out, &[bytes]);
    }

    /// A pcapng file of one interface; and where each packet's block begins in it.
    pub(super) fn pcapng(self, packets: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        self.section(&mut out);
        self.interface(&mut out, u16::try_from(self.link_type).unwrap());
        let mut starts = Vec::new();
        for packet in packets {
            starts.push(out.len());
            self.enhanced(&mut out, 0, packet);
        }
        (out, starts)
    }
}

/// Everything a reader finds in a capture.
pub(super) struct Read {
    pub(super) all: Vec<(Vec<u8>, Found)>,
    pub(super) stats: CaptureStats,
}

impl Read {
    pub(super) fn payloads(&self) -> Vec<Vec<u8>> {
        self.all.iter().map(|(bytes, _)| bytes.clone()).collect()
    }

    pub(super) fn holds(&self, datagram: &[u8]) -> bool {
        self.all.iter().any(|(bytes, _)| bytes == datagram)
    }
}

/// Reads a capture to its end.
pub(super) fn read(capture: &[u8]) -> Read {
    let mut reader = CaptureReader::from_reader("test", std::io::Cursor::new(capture.to_vec())).unwrap();
    let mut all = Vec::new();
    while let Some(candidate) = reader.next_candidate().unwrap() {
        all.push((candidate.bytes.to_vec(), candidate.how));
    }
    assert_eq!(reader.next_candidate().unwrap(), None, "the end stays the end");
    Read { all, stats: reader.stats().clone() }
}
