//! How many symbols a block misses, in a byte.
//!
//! | code | says |
//! | --- | --- |
//! | 0 | the block is whole |
//! | c in 1 … 239 | it needs [`value`]`(c)` symbols more: v(1) = 1, v(c + 1) = v(c) + ⌈v(c) × 31 / 1024⌉ |
//! | 240 + j | the code before is said of 2^(j + 1) blocks more |
//!
//! So up to 33 the number is exact, and beyond it is rounded up by 3 % at most.

/// The first code that repeats the one before it.
const REPEAT: u8 = 240;

/// `VALUES[c]`: what code c says.
const VALUES: [u32; REPEAT as usize] = values();

const fn values() -> [u32; REPEAT as usize] {
    let mut values = [0; REPEAT as usize];
    let mut code = 1;
    let mut value = 1_u32;
    while code < values.len() {
        #[expect(clippy::indexing_slicing, reason = "code < length, and evaluated when compiled")]
        {
            values[code] = value;
        }
        value += (value * 31).div_ceil(1024);
        code += 1;
    }
    values
}

/// What a code below 240 says; 0 for those that repeat.
#[must_use]
pub fn value(code: u8) -> u32 {
    VALUES.get(usize::from(code)).copied().unwrap_or_default()
}

/// The code for a number, rounded up; numbers beyond the last code's get that.
#[must_use]
pub fn code(missing: u32) -> u8 {
    let code = VALUES.partition_point(|value| *value < missing);
    u8::try_from(code).unwrap_or(u8::MAX).min(REPEAT - 1)
}

/// The codes of blocks in a row.
#[must_use]
pub fn encode(missing: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut codes = missing.iter().map(|missing| code(*missing)).peekable();
    while let Some(this) = codes.next() {
        out.push(this);
        let mut more = 0_usize;
        while codes.next_if_eq(&this).is_some() {
            more += 1;
        }
        for power in (0..16).rev() {
            let count = 2_usize << power;
            while more >= count {
                out.push(REPEAT + power);
                more -= count;
            }
        }
        out.extend(std::iter::repeat_n(this, more));
    }
    out
}

/// The numbers that codes say; `None` when they begin with a repeat or say more than `most` numbers.
#[must_use]
pub fn decode(codes: &[u8], most: usize) -> Option<Vec<u32>> {
    let mut out = Vec::new();
    for &code in codes {
        if let Some(power) = code.checked_sub(REPEAT) {
            let last = *out.last()?;
            let count = 2_usize << power;
            if out.len() + count > most {
                return None;
            }
            out.extend(std::iter::repeat_n(last, count));
        } else {
            out.push(value(code));
        }
    }
    (out.len() <= most).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::MAX_BLOCK_SYMBOLS;

    #[test]
    fn every_number_a_block_can_miss_is_rounded_up_by_three_percent_at_most() {
        for missing in 0..=MAX_BLOCK_SYMBOLS + 10 {
            let says = value(code(missing));
            assert!(says >= missing, "{missing}: {says}");
            assert!(missing > 33 || says == missing, "{missing}: {says}");
            assert!(f64::from(says) <= f64::from(missing) * 1.0312 + 1.0, "{missing}: {says}");
            assert_eq!(code(says), code(missing));
        }
        assert_eq!(code(u32::MAX), 239);
    }

    #[test]
    fn blocks_alike_take_few_bytes_and_come_back() {
        for (missing, bytes) in [
            (vec![], 0),
            (vec![7], 1),
            (vec![0; 78], 5),
            (vec![9999; 4900], 7),
            ((0..30).collect(), 30),
            (vec![3, 3, 3, 0, 0, 5], 5),
        ] {
            let codes = encode(&missing);
            assert!(codes.len() <= bytes, "{missing:?}: {codes:?}");
            let back = decode(&codes, 5000).unwrap();
            assert_eq!(back.len(), missing.len());
            assert!(back.iter().zip(&missing).all(|(b, m)| b == &value(code(*m))));
        }
    }

    #[test]
    fn what_nobody_encodes_is_refused_or_bounded() {
        assert_eq!(decode(&[240], 100), None, "nothing to repeat");
        assert_eq!(decode(&[5, 255], 65_536), None, "1 + 65,536");
        assert_eq!(decode(&[5, 254, 254], 65_537).unwrap().len(), 65_537);
        assert_eq!(decode(&[1; 11], 10), None);
    }
}
