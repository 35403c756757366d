//! The UDP payload out of a captured record, and the places in it where a datagram may lie.

use std::collections::{BTreeMap, VecDeque};

use etherparse::defrag::IpDefragBuf;
use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpSlice,
};
use passband_proto::datagram;

use super::CaptureStats;
use super::records::Record;

/// Packets whose fragments are waited for at a time.
const MAX_FRAGMENTED: usize = 256;
/// Places in one record where a datagram is looked for.
const MAX_CANDIDATES: usize = 256;
/// How an alert begins.
const ALERT_MAGIC: [u8; 4] = *b"PA\x01\x01";

/// Which radio a candidate belongs to, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Radio {
    /// A datagram of the fast link.
    Fast,
    /// A message of the alert radio.
    Alert,
}

/// A captured packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The payload of UDP, where headers and lengths say it is.
    pub udp: Option<Vec<u8>>,
    /// The whole record, in case they lie.
    record: Vec<u8>,
}

impl Packet {
    /// Slices that may be a datagram, the likeliest first: everything in the UDP payload (or, without one, in
    /// the record) that begins as a datagram does, up to where the next one begins, to the record's end, or to its end less
    /// an Ethernet check sequence. Several equal datagrams in one record (segmentation offload) come apart
    /// here. A candidate proves itself by CRC and tag; a false one is harmless. Once one has, the others that
    /// begin at the same place are no news.
    #[must_use]
    pub fn candidates(&self) -> Vec<(Radio, &[u8])> {
        let mut out = Vec::new();
        if let Some(udp) = &self.udp {
            inner(udp, &mut out);
        }
        if out.is_empty() {
            inner(&self.record, &mut out);
        }
        out
    }

    /// The places that headers and lengths don't tell: for when no candidate has proved itself.
    #[must_use]
    pub fn last_resort(&self) -> Vec<(Radio, &[u8])> {
        let mut out = Vec::new();
        inner(&self.record, &mut out);
        out
    }
}

/// Everything in `bytes` that begins as a datagram does.
fn inner<'a>(bytes: &'a [u8], out: &mut Vec<(Radio, &'a [u8])>) {
    let starts: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| radio(window).is_some())
        .map(|(at, _)| at)
        .take(MAX_CANDIDATES)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    for (start, end) in starts.iter().zip(ends) {
        let mut offer = |end: usize| {
            let slice = bytes.get(*start..end).unwrap_or_default();
            if let Some(radio) = radio(slice) {
                out.push((radio, slice));
            }
        };
        offer(end);
        if end != bytes.len() {
            offer(bytes.len());
        }
        offer(bytes.len().saturating_sub(4));
    }
}

fn radio(bytes: &[u8]) -> Option<Radio> {
    match bytes.first_chunk::<4>()? {
        magic if *magic == datagram::MAGIC => Some(Radio::Fast),
        magic if *magic == ALERT_MAGIC => Some(Radio::Alert),
        _ => None,
    }
}

/// Takes records apart; holds the fragments that wait for their others.
#[derive(Debug, Default)]
pub(super) struct Packets {
    fragmented: BTreeMap<FragmentKey, IpDefragBuf>,
    /// The keys of `fragmented`, oldest first.
    order: VecDeque<FragmentKey>,
}

type FragmentKey = (Vec<u8>, u32, u8);

impl Packets {
    pub(super) fn read(&mut self, record: &Record, stats: &mut CaptureStats) -> Packet {
        let udp = slice(record).and_then(|sliced| self.udp(&sliced, stats));
        Packet { udp, record: record.bytes.clone() }
    }

    fn udp(&mut self, sliced: &LaxSlicedPacket<'_>, stats: &mut CaptureStats) -> Option<Vec<u8>> {
        if let Some(TransportSlice::Udp(udp)) = &sliced.transport {
            return Some(udp.payload().to_vec());
        }
        let (key, offset, more, payload) = fragment(sliced.net.as_ref()?)?;
        stats.fragments += 1;
        if !self.fragmented.contains_key(&key) {
            if self.order.len() >= MAX_FRAGMENTED {
                self.order.pop_front().map(|oldest| self.fragmented.remove(&oldest));
            }
            self.order.push_back(key.clone());
        }
        let number = IpNumber(key.2);
        let buf = self
            .fragmented
            .entry(key.clone())
            .or_insert_with(|| IpDefragBuf::new(number, Vec::new(), Vec::new()));
        let added = buf.add(offset, more, payload);
        if added.is_ok() && !buf.is_complete() {
            return None;
        }
        let buf = self.fragmented.remove(&key)?;
        self.order.retain(|k| *k != key);
        added.ok()?;
        let (bytes, _) = buf.take_bufs();
        UdpSlice::from_slice_lax(&bytes).ok().map(|udp| udp.payload().to_vec())
    }
}

/// Takes the headers of a record apart, by its link type.
fn slice(record: &Record) -> Option<LaxSlicedPacket<'_>> {
    let bytes = record.bytes.as_slice();
    let ether_type = |at: usize| {
        let pair: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(EtherType(u16::from_be_bytes(pair)))
    };
    match record.link_type {
        1 => LaxSlicedPacket::from_ethernet(bytes).ok(),
        // Linux cooked, versions 1 and 2.
        113 => Some(LaxSlicedPacket::from_ether_type(ether_type(14)?, bytes.get(16..)?)),
        276 => Some(LaxSlicedPacket::from_ether_type(ether_type(0)?, bytes.get(20..)?)),
        // BSD loopback.
        0 | 108 => LaxSlicedPacket::from_ip(bytes.get(4..)?).ok(),
        // Raw IP, by any of its numbers.
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(bytes).ok(),
        _ => None,
    }
}

/// What to put a fragment together by, its offset, whether more follow, and its payload.
fn fragment<'a>(net: &'a LaxNetSlice<'_>) -> Option<(FragmentKey, etherparse::IpFragOffset, bool, &'a [u8])> {
    match net {
        LaxNetSlice::Ipv4(ip) if ip.is_payload_fragmented() => {
            let h = ip.header();
            let key = ([h.source(), h.destination()].concat(), u32::from(h.identification()), h.protocol().0);
            Some((key, h.fragments_offset(), h.more_fragments(), ip.payload().payload))
        }
        LaxNetSlice::Ipv6(ip) => {
            let h = ip.header();
            let addresses = [h.source(), h.destination()].concat();
            ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(f) => {
                    let key = (addresses.clone(), f.identification(), f.next_header().0);
                    Some((key, f.fragment_offset(), f.more_fragments(), ip.payload().payload))
                }
                _ => None,
            })
        }
        _ => None,
    }
}
