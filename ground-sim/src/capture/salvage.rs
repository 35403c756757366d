//! Finds Passband datagrams in bytes by nothing but themselves.
//!
//! A datagram begins with a magic and ends with a CRC-32C over all before it, so both its ends can be
//! told without any header around it: run the CRC from the magic on until the next four bytes equal it.
//! So a datagram is found behind damaged Ethernet, IP or UDP headers, in a tunnel, or among others in
//! one payload (segmentation offload). Four equal bytes happen by chance once in 2³² lengths, and the
//! keyed tag, which this module never checks, stands behind that.

use std::ops::Range;

use passband_proto::datagram::{Datagram, MAGIC, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES, OVERHEAD_BYTES};

const MIN_DATAGRAM_BYTES: usize = MIN_SYMBOL_BYTES as usize + OVERHEAD_BYTES;
const MAX_DATAGRAM_BYTES: usize = MAX_SYMBOL_BYTES as usize + OVERHEAD_BYTES;
const CRC_BYTES: usize = 4;
/// Fruitless CRC work that a stretch of bytes may cost, beyond its own length.
const WASTE_BYTES: usize = 2 << 20;

/// How an alert begins: `passband_proto::alert` gives its layout. It has no end of its own.
const ALERT_MAGIC: [u8; 4] = *b"PA\x01\x01";

/// Where the first datagram begins, going by its magic.
pub(super) fn find_magic(bytes: &[u8]) -> Option<usize> {
    find(bytes, MAGIC)
}

/// Where the first alert begins, going by its magic.
pub(super) fn find_alert(bytes: &[u8]) -> Option<usize> {
    find(bytes, ALERT_MAGIC)
}

fn find(bytes: &[u8], magic: [u8; 4]) -> Option<usize> {
    let [first, ..] = magic;
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|&b| b == first)?;
        if bytes.get(at..)?.starts_with(&magic) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Whether the bytes are exactly one datagram: structure and CRC.
pub(super) fn is_datagram(bytes: &[u8]) -> bool {
    Datagram::parse(bytes).is_ok()
}

/// Every datagram in `bytes`, first to last. The work is bounded by a small multiple of the length.
pub(super) fn find_datagrams(bytes: &[u8], found: &mut Vec<Range<usize>>) {
    let mut budget = bytes.len() + WASTE_BYTES;
    let mut hint = 0;
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(find_magic).map(|at| from + at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let reach = rest.len().min(MAX_DATAGRAM_BYTES);
        if budget < reach {
            return;
        }
        if let Some(length) = datagram_bytes(rest, hint) {
            found.push(at..at + length);
            hint = length;
            from = at + length;
            budget -= length;
        } else {
            from = at + MAGIC.len();
            budget -= reach;
        }
    }
}

/// The length of the datagram that `bytes` begin with; tries `hint`, the last one's, first.
fn datagram_bytes(bytes: &[u8], hint: usize) -> Option<usize> {
    if bytes.get(..hint).is_some_and(is_datagram) {
        return Some(hint);
    }
    let mut crc = u32::MAX;
    for (at, &byte) in bytes.iter().enumerate().take(MAX_DATAGRAM_BYTES - CRC_BYTES) {
        let end = at + CRC_BYTES;
        if end >= MIN_DATAGRAM_BYTES
            && bytes.get(at..end) == Some(&(!crc).to_be_bytes())
            && bytes.get(..end).is_some_and(is_datagram)
        {
            return Some(end);
        }
        let [.., low] = (crc ^ u32::from(byte)).to_be_bytes();
        crc = TABLE[usize::from(low)] ^ (crc >> 8);
    }
    let end = bytes.len().min(MAX_DATAGRAM_BYTES);
    bytes.get(..end).filter(|whole| is_datagram(whole)).map(<[u8]>::len)
}

/// CRC-32C a byte at a time, since its value is needed behind every byte. Polynomial 0x1EDC6F41
/// reflected (RFC 3720 §B.4).
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0x82F6_3B78 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::super::forge::datagram;
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        find_datagrams(bytes, &mut found);
        found
    }

    #[test]
    fn both_ends_are_found_whatever_is_around() {
        for symbol_bytes in [64, 65, 500, 1408, 8896] {
            let whole = datagram(7, symbol_bytes);
            for (front, back) in [(0, 0), (1, 0), (0, 1), (42, 4), (3, 300)] {
                let mut bytes = vec![b'P'; front];
                bytes.extend_from_slice(&whole);
                bytes.extend(std::iter::repeat_n(0x5A, back));
                let place = front..front + whole.len();
                assert_eq!(all(&bytes), vec![place], "{symbol_bytes} {front} {back}");
            }
        }
    }

    #[test]
    fn datagrams_back_to_back_are_told_apart_and_damaged_ones_left_out() {
        let mut bytes: Vec<u8> = (0..5).flat_map(|n| datagram(n, 256)).collect();
        assert_eq!(all(&bytes), [0..320, 320..640, 640..960, 960..1280, 1280..1600]);
        bytes[700] ^= 1;
        assert_eq!(all(&bytes), [0..320, 320..640, 960..1280, 1280..1600]);
    }

    #[test]
    fn a_wall_of_magic_costs_a_bounded_time() {
        let bytes = MAGIC.repeat(256 << 10);
        let start = std::time::Instant::now();
        assert_eq!(all(&bytes), []);
        assert!(start.elapsed().as_secs() < 5);
    }
}
