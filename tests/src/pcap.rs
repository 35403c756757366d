//! A pcap file as a list of packets, and what can happen to it: written apart from the project's own reader,
//! so that one does not share the other's mistakes.

use std::fs;
use std::path::Path;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A capture in memory; little endian, as tcpdump writes it here.
#[derive(Debug, Clone)]
pub struct Pcap {
    header: [u8; 24],
    /// Time stamp (8 bytes as they stand in the file) and packet.
    pub packets: Vec<([u8; 8], Vec<u8>)>,
}

impl Pcap {
    /// Reads a capture.
    ///
    /// # Panics
    /// It is not one.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("a capture");
        let header: [u8; 24] = bytes[..24].try_into().expect("a header");
        assert!(
            matches!(header[..4], [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]),
            "little-endian pcap"
        );
        let mut packets = Vec::new();
        let mut at = 24;
        while at + 16 <= bytes.len() {
            let n = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four")) as usize;
            let Some(packet) = bytes.get(at + 16..at + 16 + n) else { break };
            packets.push((bytes[at..at + 8].try_into().expect("eight"), packet.to_vec()));
            at += 16 + n;
        }
        Self { header, packets }
    }

    /// The bytes of the file.
    ///
    /// # Panics
    /// A packet is too long.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header.to_vec();
        for (time, packet) in &self.packets {
            let n = u32::try_from(packet.len()).expect("short").to_le_bytes();
            out.extend_from_slice(time);
            out.extend_from_slice(&n);
            out.extend_from_slice(&n);
            out.extend_from_slice(packet);
        }
        out
    }

    /// What a bad link does: loss in bursts of this mean length, flipped bits, duplicates, disorder.
    #[must_use]
    pub fn damaged(&self, loss: f64, burst: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut bad = false;
        let mut packets = Vec::new();
        for (time, packet) in &self.packets {
            let change = if bad { 1.0 / burst } else { loss / (burst * (1.0 - loss)) };
            bad ^= rng.random_bool(change.min(1.0));
            if bad {
                continue;
            }
            let mut packet = packet.clone();
            if rng.random_bool(0.02) {
                let at = rng.random_range(0..packet.len());
                packet[at] ^= 1 << (rng.next_u32() % 8);
            }
            if rng.random_bool(0.01) {
                packets.push((*time, packet.clone()));
            }
            packets.push((*time, packet));
        }
        for _ in 0..packets.len() / 20 {
            let at = rng.random_range(0..packets.len());
            let to = (at + rng.random_range(0..30)).min(packets.len() - 1);
            packets.swap(at, to);
        }
        Self { header: self.header, packets }
    }

    /// The capture cut into several.
    #[must_use]
    pub fn cut(&self, parts: usize) -> Vec<Self> {
        let size = self.packets.len().div_ceil(parts.max(1)).max(1);
        self.packets.chunks(size).map(|p| Self { header: self.header, packets: p.to_vec() }).collect()
    }
}
