//! CRC-32C (Castagnoli; RFC 3720 §B.4): tells damage from forgery, for everyone, without a key.
//!
//! By the processor's own instruction where it has one (SSE 4.2, Armv8's CRC extension), by a table where it
//! hasn't and in builds without `std`.

#[cfg(any(not(feature = "std"), test))]
static TABLE: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// The CRC-32C of `bytes`.
#[must_use]
#[cfg(feature = "std")]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The CRC-32C of `bytes`.
#[must_use]
#[cfg(not(feature = "std"))]
pub fn checksum(bytes: &[u8]) -> u32 {
    TABLE.checksum(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(super::checksum(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn instruction_and_table_agree_at_every_length() {
        let bytes: [u8; 600] = core::array::from_fn(|i| u8::try_from(i * 31 % 256).unwrap());
        for length in 0..bytes.len() {
            let part = &bytes[length / 3..length];
            assert_eq!(super::checksum(part), super::TABLE.checksum(part), "{length} bytes");
        }
    }
}
