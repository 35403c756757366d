//! The datagram of the fast link: one fountain symbol that says by itself what it belongs to.
//!
//! ```text
//!  0  magic "PB"        8  bundle id [12]      28  block_bytes u32
//!  2  version = 1      20  block u32           32  block_count u32
//!  3  kind = 1         24  class u8            36  link_seq u64
//!  4  spacecraft u16   25  esi u24             44  symbol [T]
//!  6  key epoch u16                          44+T  tag [16]   60+T  crc u32
//! ```
//!
//! Integers are big endian. The tag is AES-128-CMAC over everything before it; the CRC-32C covers
//! everything before it, the tag too. A reader checks in that order from the back: the CRC tells
//! damage (anyone can), the tag tells forgery (whoever holds the epoch's key can), and only then is
//! the symbol let near a decoder. T, the symbol size, is the datagram's length less
//! [`OVERHEAD_BYTES`]; a block's K is ⌈`block_bytes` / T⌉.
//!
//! This module never looks at a symbol's content and keeps no state.

use core::fmt;

use crate::crc32c;
use crate::ids::{BundleId, Class};
use crate::keys::TagKey;
use crate::wire::{Reader, Writer};

/// Bytes in front of the symbol.
pub const HEADER_BYTES: usize = 44;
/// Bytes of the keyed tag behind the symbol.
pub const TAG_BYTES: usize = 16;
/// Bytes of the CRC behind the tag.
pub const CRC_BYTES: usize = 4;
/// All bytes that are not symbol: 4.35 % of a datagram of [`DEFAULT_SYMBOL_BYTES`].
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES + CRC_BYTES;
/// Symbol size that fills an Ethernet frame: 1,408 + 64 + 8 (UDP) + 20 (IPv4) = 1,500 bytes.
pub const DEFAULT_SYMBOL_BYTES: u16 = 1408;
/// Smallest symbol.
pub const MIN_SYMBOL_BYTES: u16 = 64;
/// Largest symbol: fits a jumbo frame of 9,000 bytes.
pub const MAX_SYMBOL_BYTES: u16 = 8896;
/// Most source symbols of a block: beyond, a RaptorQ decoder becomes slow (four times at 20,000).
pub const MAX_BLOCK_SYMBOLS: u32 = 10_000;
/// The largest block, sealed bytes: bounds what a receiver has to hold in memory to put one together.
pub const MAX_BLOCK_BYTES: u32 = 16 << 20;
/// One past the largest encoding symbol id (RFC 6330 §3.2: 24 bits).
pub const ESI_LIMIT: u32 = 1 << 24;
/// The bytes that begin every datagram of this version and kind.
pub const MAGIC: [u8; 4] = [b'P', b'B', VERSION, KIND_SYMBOL];

const VERSION: u8 = 1;
const KIND_SYMBOL: u8 = 1;

/// A field of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where it begins, bytes from the beginning of the datagram.
    pub offset: usize,
    /// Its size, bytes.
    pub bytes: usize,
    /// What it says, for people.
    pub what: &'static str,
}

/// The header, field after field: the one table that other descriptions of it are made from.
pub const FIELDS: [Field; 12] = [
    field("magic", 0, 2, "Magic"),
    field("version", 2, 1, "Version"),
    field("kind", 3, 1, "Kind"),
    field("spacecraft", 4, 2, "Spacecraft"),
    field("epoch", 6, 2, "Key epoch"),
    field("bundle", 8, 12, "Bundle"),
    field("block", 20, 4, "Block"),
    field("class", 24, 1, "Class"),
    field("esi", 25, 3, "Encoding symbol id"),
    field("block_bytes", 28, 4, "Sealed bytes of the block"),
    field("block_count", 32, 4, "Blocks of the bundle"),
    field("link_seq", 36, 8, "Link sequence number"),
];

const fn field(name: &'static str, offset: usize, bytes: usize, what: &'static str) -> Field {
    Field { name, offset, bytes, what }
}

/// What a datagram says of its symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolHeader {
    /// The spacecraft that sent it.
    pub spacecraft: u16,
    /// The key epoch of its tag and of the bundle's seal.
    pub epoch: u16,
    /// The bundle it belongs to.
    pub bundle: BundleId,
    /// The block (sealed segment) of the bundle, from 0.
    pub block: u32,
    /// The class by which the bundle was sent.
    pub class: Class,
    /// Encoding symbol id: below K a source symbol, from K on a repair symbol.
    pub esi: u32,
    /// Sealed bytes of this block, 17 or more.
    pub block_bytes: u32,
    /// Blocks of the bundle.
    pub block_count: u32,
    /// Counts datagrams of one sender session: session in the upper 24 bits, counter in the lower 40.
    pub link_seq: u64,
}

impl SymbolHeader {
    /// K, the number of source symbols of the block, with symbols of `symbol_bytes`.
    #[must_use]
    pub fn source_symbols(&self, symbol_bytes: u16) -> u32 {
        self.block_bytes.div_ceil(u32::from(symbol_bytes.max(1)))
    }

    fn check(&self, symbol_bytes: u16) -> Result<(), DatagramError> {
        let out_of_range = |field| Err(DatagramError::Range { field });
        if self.block_count == 0 || self.block >= self.block_count {
            return out_of_range("block");
        }
        let bytes = 17..=MAX_BLOCK_BYTES;
        if !bytes.contains(&self.block_bytes) || self.source_symbols(symbol_bytes) > MAX_BLOCK_SYMBOLS {
            return out_of_range("block_bytes");
        }
        if self.esi >= ESI_LIMIT {
            return out_of_range("esi");
        }
        Ok(())
    }
}

/// Writes a datagram to the front of `out` and returns its length.
///
/// # Errors
/// A header or symbol outside the limits of this module, or `out` too short.
pub fn encode(
    header: &SymbolHeader,
    symbol: &[u8],
    key: &TagKey,
    out: &mut [u8],
) -> Result<usize, DatagramError> {
    let symbol_bytes = symbol_size(symbol.len())?;
    header.check(symbol_bytes)?;
    let total = symbol.len() + OVERHEAD_BYTES;
    let short = DatagramError::Length { bytes: out.len() };
    let out = out.get_mut(..total).ok_or(short)?;
    let (tagged, trailer) = out.split_at_mut_checked(HEADER_BYTES + symbol.len()).ok_or(short)?;
    let [_, esi @ ..] = header.esi.to_be_bytes();
    let mut w = Writer::new(tagged);
    w.put(&MAGIC)
        .put(&header.spacecraft.to_be_bytes())
        .put(&header.epoch.to_be_bytes())
        .put(&header.bundle.0)
        .put(&header.block.to_be_bytes())
        .put(&[header.class as u8])
        .put(&esi)
        .put(&header.block_bytes.to_be_bytes())
        .put(&header.block_count.to_be_bytes())
        .put(&header.link_seq.to_be_bytes())
        .put(symbol);
    debug_assert!(w.fitted());
    let tag = key.tag(tagged);
    Writer::new(trailer).put(&tag);
    let crc = {
        let (body, _) = out.split_at_checked(total - CRC_BYTES).ok_or(short)?;
        crc32c::checksum(body)
    };
    if let Some(place) = out.last_chunk_mut::<CRC_BYTES>() {
        *place = crc.to_be_bytes();
    }
    Ok(total)
}

/// A datagram whose structure and CRC are right. Its tag is not checked yet.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    header: SymbolHeader,
    tagged: &'a [u8],
    symbol: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Datagram<'a> {
    /// Reads exactly the bytes of one datagram.
    ///
    /// # Errors
    /// What keeps them from being one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DatagramError> {
        let length = DatagramError::Length { bytes: bytes.len() };
        if bytes.get(..2) != Some(b"PB") {
            return Err(if bytes.len() < 2 { length } else { DatagramError::Magic });
        }
        let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(length)?;
        let (tagged, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(length)?;
        let (head, symbol) = tagged.split_first_chunk::<HEADER_BYTES>().ok_or(length)?;
        let symbol_bytes = symbol_size(symbol.len())?;
        if crc32c::checksum(body) != u32::from_be_bytes(*crc) {
            return Err(DatagramError::Crc);
        }
        let header = read_header(head)?;
        header.check(symbol_bytes)?;
        Ok(Self { header, tagged, symbol, tag })
    }

    /// What it says of its symbol; to be believed once [`Datagram::verify`] holds.
    #[must_use]
    pub fn header(&self) -> &SymbolHeader {
        &self.header
    }

    /// The symbol's bytes.
    #[must_use]
    pub fn symbol(&self) -> &'a [u8] {
        self.symbol
    }

    /// The symbol size T, bytes.
    #[must_use]
    pub fn symbol_bytes(&self) -> u16 {
        u16::try_from(self.symbol.len()).unwrap_or(u16::MAX)
    }

    /// K of its block.
    #[must_use]
    pub fn source_symbols(&self) -> u32 {
        self.header.source_symbols(self.symbol_bytes())
    }

    /// Whether its tag was made with this key.
    #[must_use]
    pub fn verify(&self, key: &TagKey) -> bool {
        key.verify(self.tagged, self.tag)
    }
}

fn read_header(head: &[u8; HEADER_BYTES]) -> Result<SymbolHeader, DatagramError> {
    let mut r = Reader::new(head);
    let mut fields = || {
        let [_, _, version, kind] = r.array()?;
        let spacecraft = r.u16()?;
        let epoch = r.u16()?;
        let bundle = BundleId(r.array()?);
        let block = r.u32()?;
        let class = r.u8()?;
        let [a, b, c] = r.array()?;
        let esi = u32::from_be_bytes([0, a, b, c]);
        Some(((version, kind, class), spacecraft, epoch, bundle, block, esi, r.u32()?, r.u32()?, r.u64()?))
    };
    let (codes, spacecraft, epoch, bundle, block, esi, block_bytes, block_count, link_seq) =
        fields().ok_or(DatagramError::Length { bytes: head.len() })?;
    let (version, kind, class) = codes;
    if version != VERSION {
        return Err(DatagramError::Version { version });
    }
    if kind != KIND_SYMBOL {
        return Err(DatagramError::Kind { kind });
    }
    let class = Class::from_code(class).ok_or(DatagramError::Range { field: "class" })?;
    Ok(SymbolHeader { spacecraft, epoch, bundle, block, class, esi, block_bytes, block_count, link_seq })
}

fn symbol_size(bytes: usize) -> Result<u16, DatagramError> {
    u16::try_from(bytes)
        .ok()
        .filter(|size| (MIN_SYMBOL_BYTES..=MAX_SYMBOL_BYTES).contains(size))
        .ok_or(DatagramError::Length { bytes: bytes.saturating_add(OVERHEAD_BYTES) })
}

/// Why bytes are not a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramError {
    /// Too short or too long for any symbol size.
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// It does not begin with the magic.
    Magic,
    /// A version this code does not know.
    Version {
        /// The version it names.
        version: u8,
    },
    /// A kind this code does not know.
    Kind {
        /// The kind it names.
        kind: u8,
    },
    /// Damaged on the way.
    Crc,
    /// A field outside its range.
    Range {
        /// Which field.
        field: &'static str,
    },
}

impl DatagramError {
    /// A short fixed name, to count by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Length { .. } => "length",
            Self::Magic => "magic",
            Self::Version { .. } => "version",
            Self::Kind { .. } => "kind",
            Self::Crc => "crc",
            Self::Range { .. } => "range",
        }
    }
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(f, "{bytes} bytes can't be a datagram"),
            Self::Magic => f.write_str("does not begin with 'PB'"),
            Self::Version { version } => write!(f, "datagram version {version} is not known"),
            Self::Kind { kind } => write!(f, "datagram kind {kind} is not known"),
            Self::Crc => f.write_str("CRC-32C does not match: damaged on the way"),
            Self::Range { field } => write!(f, "field '{field}' is out of range"),
        }
    }
}

impl core::error::Error for DatagramError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::EpochKey;
    use proptest::prelude::*;

    fn key() -> TagKey {
        EpochKey::new(1, 1, [9; 32]).tag_key()
    }

    fn header() -> SymbolHeader {
        SymbolHeader {
            spacecraft: 1,
            epoch: 2,
            bundle: BundleId([5; 12]),
            block: 3,
            class: Class::Suspect,
            esi: 0x0001_0203,
            block_bytes: 1_000_000,
            block_count: 4,
            link_seq: (7 << 40) + 99,
        }
    }

    fn datagram() -> Vec<u8> {
        let mut out = vec![0; 1472];
        let n = encode(&header(), &[0xAA; 1408], &key(), &mut out).unwrap();
        assert_eq!(n, 1472);
        out
    }

    #[test]
    fn survives_the_wire_and_overhead_is_within_the_budget() {
        let bytes = datagram();
        let read = Datagram::parse(&bytes).unwrap();
        assert_eq!(*read.header(), header());
        assert_eq!(read.symbol(), [0xAA; 1408]);
        assert_eq!(read.source_symbols(), 711);
        assert!(read.verify(&key()));
        assert!(!read.verify(&EpochKey::new(1, 2, [9; 32]).tag_key()));
        assert!(OVERHEAD_BYTES as f64 / bytes.len() as f64 <= 0.045);
    }

    #[test]
    fn every_byte_of_the_header_belongs_to_one_field_and_a_value_changes_only_its_own() {
        let mut at = 0;
        for field in FIELDS {
            assert_eq!(field.offset, at, "{}", field.name);
            at += field.bytes;
        }
        assert_eq!(at, HEADER_BYTES);
        let bytes_of = |header: &SymbolHeader| {
            let mut out = vec![0; 1472];
            encode(header, &[0xAA; 1408], &key(), &mut out).unwrap();
            out
        };
        let changed = [
            ("spacecraft", SymbolHeader { spacecraft: 0xFEFE, ..header() }),
            ("epoch", SymbolHeader { epoch: 0xFEFD, ..header() }),
            ("bundle", SymbolHeader { bundle: BundleId([0xFE; 12]), ..header() }),
            ("block", SymbolHeader { block: 1, ..header() }),
            ("class", SymbolHeader { class: Class::Alert, ..header() }),
            ("esi", SymbolHeader { esi: 0x00FE_FEFE, ..header() }),
            ("block_bytes", SymbolHeader { block_bytes: 0x00BE_EEEE, ..header() }),
            ("block_count", SymbolHeader { block_count: 0xFEFE_FEFE, ..header() }),
            ("link_seq", SymbolHeader { link_seq: !header().link_seq, ..header() }),
        ];
        for (name, other) in changed {
            let field = FIELDS.iter().find(|field| field.name == name).unwrap();
            let (before, after) = (bytes_of(&header()), bytes_of(&other));
            let differ = |i: &usize| before[*i] != after[*i];
            let differing: Vec<_> = (0..HEADER_BYTES).filter(differ).collect();
            assert!(!differing.is_empty(), "{name}");
            assert!(
                differing.iter().all(|i| (field.offset..field.offset + field.bytes).contains(i)),
                "{name}"
            );
        }
    }

    #[test]
    fn every_single_bit_flip_is_refused() {
        let good = datagram();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Datagram::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_flip_with_a_repaired_crc_fails_the_tag() {
        let good = datagram();
        for byte in 4..good.len() - 4 {
            let mut bad = good.clone();
            bad[byte] ^= 0x10;
            let n = bad.len();
            let crc = crc32c::checksum(&bad[..n - 4]);
            bad[n - 4..].copy_from_slice(&crc.to_be_bytes());
            assert!(Datagram::parse(&bad).map_or(true, |d| !d.verify(&key())), "byte {byte}");
        }
    }

    #[test]
    fn refuses_what_is_out_of_range() {
        let mut out = [0; 2000];
        let mut encode_with = |change: fn(&mut SymbolHeader), symbol: &[u8]| {
            let mut h = header();
            change(&mut h);
            encode(&h, symbol, &key(), &mut out).unwrap_err()
        };
        let range = |field| DatagramError::Range { field };
        assert_eq!(encode_with(|h| h.block = 4, &[0; 1408]), range("block"));
        assert_eq!(encode_with(|h| h.block_count = 0, &[0; 1408]), range("block"));
        assert_eq!(encode_with(|h| h.esi = 1 << 24, &[0; 1408]), range("esi"));
        assert_eq!(encode_with(|h| h.block_bytes = 16, &[0; 1408]), range("block_bytes"));
        assert_eq!(encode_with(|h| h.block_bytes = u32::MAX, &[0; 1408]), range("block_bytes"));
        assert_eq!(encode_with(|_| (), &[0; 3]), DatagramError::Length { bytes: 67 });
        assert_eq!(encode_with(|_| (), &[0; 1990]), DatagramError::Length { bytes: 2000 });
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), magic: bool) {
            if magic {
                bytes.splice(0..bytes.len().min(4), MAGIC);
            }
            let _ = Datagram::parse(&bytes);
        }
    }
}
