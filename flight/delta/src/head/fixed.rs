//! The fixed part of a head: lengths and settings.

use crate::error::DeltaError;
use crate::layout::MAX_IMAGE_BYTES;
use crate::model::{MAX_WINDOW_BITS, MIN_WINDOW_BITS, Settings};

/// First bytes of a delta.
pub const MAGIC: [u8; 4] = *b"PbDl";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u8 = 1;
/// Bytes of the head before what is coded.
pub const FIXED_BYTES: usize = 28;
/// Most segments of a delta.
pub const MAX_SEGMENTS: u32 = 1 << 12;
/// Bytes that tell a segment.
pub(crate) const SEGMENT_BYTES: usize = 8;
/// Flag: the model learns from what is copied as well.
const LEARNS: u8 = 1;
/// Most bytes of what is coded: more than any copies take.
const MAX_CODED_BYTES: u32 = 1 << 20;

/// The fixed part of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) settings: Settings,
    pub(crate) base_bytes: u32,
    pub(crate) result_bytes: u32,
    pub(crate) segment_bytes: u32,
    /// Bytes of what is coded.
    pub(crate) coded_bytes: u32,
}

impl Fixed {
    /// Reads and checks it.
    pub(super) fn read(bytes: &[u8; FIXED_BYTES]) -> Result<Self, DeltaError> {
        let [a, b, c, d, version, flags, table, window, rest @ ..] = *bytes;
        if [a, b, c, d] != MAGIC {
            return Err(DeltaError::NotADelta);
        }
        if version != VERSION {
            return Err(DeltaError::Version(version));
        }
        let (words, _) = rest.as_chunks::<4>();
        let word = |n: usize| u32::from_be_bytes(words.get(n).copied().unwrap_or_default());
        let fixed = Self {
            settings: Settings { table, window, learns: flags & LEARNS != 0 },
            base_bytes: word(0),
            result_bytes: word(1),
            segment_bytes: word(2),
            coded_bytes: word(3),
        };
        fixed.check(flags)?;
        Ok(fixed)
    }

    fn check(&self, flags: u8) -> Result<(), DeltaError> {
        let Settings { table, window, .. } = self.settings;
        let windows = MIN_WINDOW_BITS..=MAX_WINDOW_BITS;
        let fields = [
            ("flags", u64::from(flags), flags <= LEARNS),
            ("table", u64::from(table), table > 0),
            ("window", u64::from(window), windows.contains(&window)),
            ("base length", u64::from(self.base_bytes), self.base_bytes <= MAX_IMAGE_BYTES),
            ("result length", u64::from(self.result_bytes), self.result_bytes <= MAX_IMAGE_BYTES),
            ("segment length", u64::from(self.segment_bytes), self.segment_bytes > 0),
            ("number of segments", u64::from(self.segments()), self.segments() <= MAX_SEGMENTS),
            ("coded length", u64::from(self.coded_bytes), self.coded_bytes <= MAX_CODED_BYTES),
        ];
        match fields.into_iter().find(|(.., right)| !right) {
            Some((field, value, _)) => Err(DeltaError::Field { field, value }),
            None => Ok(()),
        }
    }

    /// Writes it, without the checksum.
    #[cfg(feature = "encode")]
    pub(crate) fn write(&self) -> Vec<u8> {
        let flags = if self.settings.learns { LEARNS } else { 0 };
        let mut out = MAGIC.to_vec();
        out.extend([VERSION, flags, self.settings.table, self.settings.window]);
        for word in [self.base_bytes, self.result_bytes, self.segment_bytes, self.coded_bytes] {
            out.extend(word.to_be_bytes());
        }
        out
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u32 {
        self.result_bytes.div_ceil(self.segment_bytes.max(1))
    }
}
