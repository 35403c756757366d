//! What the bus computer tells the payload boards: a wire inside the spacecraft, UDP on its local
//! network, not a radio. The bus computer repeats its message while it holds, so that a board that
//! restarts in mid-pass resumes; a message that stops coming runs out by itself.
//!
//! ```text
//! 0  magic "PX"   2  version = 1   3  kind = 1   4  on_for_ms u32   8  rate_kbps u32   12  crc u32
//! ```

use crate::crc32c;
use crate::wire::{Reader, Writer};

/// Bytes of a bus message.
pub const BUS_MESSAGE_BYTES: usize = 16;
/// The longest time one message may open the transmitter for: a pass and a half, ms.
pub const MAX_ON_FOR_MS: u32 = 15 * 60 * 1000;

const START: [u8; 4] = [b'P', b'X', 1, 1];

/// Opens or closes the fast transmitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// For how long from now the transmitter may be used, ms; 0 closes it at once.
    pub on_for_ms: u32,
    /// The rate of the link, kbit/s of UDP payload; 0: as configured.
    pub rate_kbps: u32,
}

impl Transmit {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; BUS_MESSAGE_BYTES] {
        let mut out = [0; BUS_MESSAGE_BYTES];
        let mut w = Writer::new(&mut out);
        w.put(&START).put(&self.on_for_ms.to_be_bytes()).put(&self.rate_kbps.to_be_bytes());
        let body = out.first_chunk::<12>().map_or(0, |body| crc32c::checksum(body));
        if let Some(place) = out.last_chunk_mut::<4>() {
            *place = body.to_be_bytes();
        }
        out
    }

    /// Reads a message; `None` if it isn't one, is damaged, or opens the transmitter for more than
    /// [`MAX_ON_FOR_MS`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BUS_MESSAGE_BYTES] = bytes.try_into().ok()?;
        let mut r = Reader::new(bytes);
        let start: [u8; 4] = r.array()?;
        let message = Self { on_for_ms: r.u32()?, rate_kbps: r.u32()? };
        let sound = start == START
            && crc32c::checksum(bytes.first_chunk::<12>()?) == r.u32()?
            && message.on_for_ms <= MAX_ON_FOR_MS;
        sound.then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire_and_no_flip_does() {
        let message = Transmit { on_for_ms: 2_000, rate_kbps: 40_000 };
        let good = message.encode();
        assert_eq!(Transmit::decode(&good), Some(message));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Transmit::decode(&bad), None, "bit {bit}");
        }
        assert_eq!(Transmit::decode(&good[..15]), None);
        let long = Transmit { on_for_ms: MAX_ON_FOR_MS + 1, rate_kbps: 0 }.encode();
        assert_eq!(Transmit::decode(&long), None);
    }
}
