//! CRC-32C (Castagnoli's polynomial, reflected: RFC 3720, section 12.1 and appendix B.4), a byte at a time by a table
//! of 256 words.

const POLYNOMIAL: u32 = 0x82F6_3B78;

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = n as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
};

/// A checksum over bytes that come one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// Of nothing.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Takes more bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let row = (self.0 as u8 ^ byte) as usize;
            self.0 = self.0 >> 8 ^ TABLE.get(row).copied().unwrap_or(0);
        }
    }

    /// The checksum of all so far.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }

    /// The checksum of these bytes.
    #[cfg(any(test, feature = "encode"))]
    pub(crate) fn of(bytes: &[u8]) -> u32 {
        let mut sum = Self::new();
        sum.add(bytes);
        sum.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_crc_32c() {
        // RFC 3720, B.4.
        assert_eq!(Checksum::of(&[0; 32]), 0x8A91_36AA);
        assert_eq!(Checksum::of(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(Checksum::of(b"123456789"), 0xE306_9283);
    }
}
