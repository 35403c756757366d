//! Epoch keys, and the keys derived from them.
//!
//! An epoch key is 32 random bytes shared by one spacecraft and its ground for one key epoch. It is
//! used for nothing but derivation (HKDF-SHA-256, RFC 5869):
//!
//! | derived key | salt | info |
//! | --- | --- | --- |
//! | bundle key, AES-256-GCM | the bundle's id | `passband/v1/bundle` |
//! | datagram tag key, AES-128-CMAC | none | `passband/v1/datagram-tag` |
//! | telemetry tag key, AES-128-CMAC | none | `passband/v1/telemetry-tag` |
//! | alert key, AES-256-GCM | none | `passband/v1/alert` |
//! | report key, AES-256-GCM | none | `passband/v1/report` |
//! | fingerprint, 4 bytes, not secret | none | `passband/v1/fingerprint` |
//!
//! with the spacecraft and epoch numbers (two bytes each, big endian) appended to the info.
//! Secrets are zeroised when dropped and never shown by `Debug`.

use core::fmt;

use aes::Aes128;
use cmac::{Cmac, KeyInit, Mac};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::{BundleId, parse_hex};

/// Bytes of an epoch key's secret.
pub const SECRET_BYTES: usize = 32;

/// The first word of a line of a key file.
const LINE_WORD: &str = "passband-key";

/// The secret of one spacecraft and key epoch.
#[derive(Clone)]
pub struct EpochKey {
    spacecraft: u16,
    epoch: u16,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl EpochKey {
    /// A key of a secret that was drawn from a cryptographic random source.
    #[must_use]
    pub fn new(spacecraft: u16, epoch: u16, secret: [u8; SECRET_BYTES]) -> Self {
        Self { spacecraft, epoch, secret: Zeroizing::new(secret) }
    }

    /// The spacecraft it belongs to.
    #[must_use]
    pub fn spacecraft(&self) -> u16 {
        self.spacecraft
    }

    /// The key epoch it belongs to.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The key that seals the segments of one bundle.
    #[must_use]
    pub fn bundle_key(&self, id: &BundleId) -> SealKey {
        SealKey(self.derive(Some(&id.0), b"passband/v1/bundle"))
    }

    /// The key that seals alerts.
    #[must_use]
    pub fn alert_key(&self) -> SealKey {
        SealKey(self.derive(None, b"passband/v1/alert"))
    }

    /// The key that seals reports.
    #[must_use]
    pub fn report_key(&self) -> SealKey {
        SealKey(self.derive(None, b"passband/v1/report"))
    }

    /// The key that tags datagrams.
    #[must_use]
    pub fn tag_key(&self) -> TagKey {
        TagKey::new(&self.derive(None, b"passband/v1/datagram-tag"))
    }

    /// The key that tags telemetry packets.
    #[must_use]
    pub fn telemetry_key(&self) -> TagKey {
        TagKey::new(&self.derive(None, b"passband/v1/telemetry-tag"))
    }

    /// What tells this key from others in a listing: says nothing of the secret.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        *self.derive(None, b"passband/v1/fingerprint")
    }

    /// Reads one line of a key file; `None` for a blank line or a comment.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse_line(line: &str) -> Result<Option<Self>, BadKeyLine> {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(None);
        }
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(LINE_WORD) || words.next() != Some("v1") {
            return Err(BadKeyLine::Start);
        }
        let spacecraft = number(words.next(), "spacecraft=").ok_or(BadKeyLine::Spacecraft)?;
        let epoch = number(words.next(), "epoch=").ok_or(BadKeyLine::Epoch)?;
        let secret = Zeroizing::new(words.next().and_then(parse_hex).ok_or(BadKeyLine::Secret)?);
        match words.next() {
            None => Ok(Some(Self { spacecraft, epoch, secret })),
            Some(_) => Err(BadKeyLine::Trailing),
        }
    }

    /// Writes the line of a key file that [`EpochKey::parse_line`] reads: the secret in clear.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_line(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{LINE_WORD} v1 spacecraft={} epoch={} ", self.spacecraft, self.epoch)?;
        self.secret.iter().try_for_each(|b| write!(out, "{b:02x}"))
    }

    fn derive<const N: usize>(&self, salt: Option<&[u8]>, label: &[u8]) -> Zeroizing<[u8; N]> {
        expand(&self.secret, salt, label, [self.spacecraft, self.epoch])
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey(spacecraft {}, epoch {}, secret hidden)", self.spacecraft, self.epoch)
    }
}

/// HKDF-SHA-256 (RFC 5869) of a secret; the info is the label and two numbers, big endian.
pub(crate) fn expand<const N: usize>(
    secret: &[u8; SECRET_BYTES],
    salt: Option<&[u8]>,
    label: &[u8],
    numbers: [u16; 2],
) -> Zeroizing<[u8; N]> {
    let mut okm = Zeroizing::new([0; N]);
    let numbers = numbers.map(u16::to_be_bytes);
    let hkdf = Hkdf::<Sha256>::new(salt, secret);
    let expanded = hkdf.expand_multi_info(&[label, numbers.as_flattened()], okm.as_mut_slice());
    debug_assert!(expanded.is_ok(), "RFC 5869 allows 255 × 32 bytes");
    okm
}

pub(crate) fn number(word: Option<&str>, prefix: &str) -> Option<u16> {
    word?.strip_prefix(prefix)?.parse().ok()
}

/// A derived AES-256-GCM key.
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    #[cfg(feature = "std")]
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(crate) fn cipher(&self) -> aes_gcm::Aes256Gcm {
        aes_gcm::Aes256Gcm::new(&(*self.0).into())
    }

    /// The block cipher alone, for pieces of a sealed block.
    #[cfg(feature = "std")]
    pub(crate) fn block_cipher(&self) -> aes::Aes256 {
        aes::Aes256::new(&(*self.0).into())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(hidden)")
    }
}

/// A derived key that tags: AES-128-CMAC (NIST SP 800-38B), a MAC that needs no nonce.
#[derive(Clone)]
pub struct TagKey(Cmac<Aes128>);

impl TagKey {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(Cmac::new(key.into()))
    }

    /// The tag of `bytes`.
    #[must_use]
    pub fn tag(&self, bytes: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the tag of `bytes`, in constant time.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], tag: &[u8; 16]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify(tag.into()).is_ok()
    }

    /// Whether `tag` is the first half of the tag of `bytes`, in constant time. NIST SP 800-38B, appendix A.2 asks
    /// for 64 bits or more.
    #[must_use]
    pub fn verify_short(&self, bytes: &[u8], tag: &[u8; 8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify_truncated_left(tag).is_ok()
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(hidden)")
    }
}

/// What is wrong with a line of a key file. Never shows any of the line: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKeyLine {
    /// It doesn't begin with `passband-key v1`.
    Start,
    /// The second field is not `spacecraft=N` with N from 0 to 65535.
    Spacecraft,
    /// The third field is not `epoch=N` with N from 0 to 65535.
    Epoch,
    /// The secret is not 64 hexadecimal digits.
    Secret,
    /// There is something behind the secret.
    Trailing,
}

impl fmt::Display for BadKeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "does not begin with 'passband-key v1'",
            Self::Spacecraft => "second field is not 'spacecraft=N', N from 0 to 65535",
            Self::Epoch => "third field is not 'epoch=N', N from 0 to 65535",
            Self::Secret => "the secret is not 64 hexadecimal digits",
            Self::Trailing => "there is text behind the secret",
        })
    }
}

impl core::error::Error for BadKeyLine {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EpochKey {
        EpochKey::new(7, 3, [0x42; 32])
    }

    #[test]
    fn derived_keys_differ_by_purpose_bundle_spacecraft_and_epoch() {
        let id = BundleId([1; 12]);
        let keys = [
            *key().bundle_key(&id).0,
            *key().bundle_key(&BundleId([2; 12])).0,
            *key().alert_key().0,
            *EpochKey::new(8, 3, [0x42; 32]).bundle_key(&id).0,
            *EpochKey::new(7, 4, [0x42; 32]).bundle_key(&id).0,
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(*key().bundle_key(&id).0, keys[0], "the same every time");
    }

    #[test]
    fn a_tag_is_checked() {
        let tag = key().tag_key().tag(b"symbol");
        assert!(key().tag_key().verify(b"symbol", &tag));
        assert!(!key().tag_key().verify(b"symbul", &tag));
        assert!(!EpochKey::new(7, 4, [0x42; 32]).tag_key().verify(b"symbol", &tag));
        assert!(!key().telemetry_key().verify(b"symbol", &tag), "a key for each purpose");
    }

    #[test]
    fn half_a_tag_is_checked() {
        let tag = key().telemetry_key().tag(b"packet");
        let half = tag.first_chunk().unwrap();
        assert!(key().telemetry_key().verify_short(b"packet", half));
        assert!(!key().telemetry_key().verify_short(b"pocket", half));
        assert!(!key().telemetry_key().verify_short(b"packet", tag.last_chunk().unwrap()));
        assert!(!key().tag_key().verify_short(b"packet", half));
    }

    #[test]
    fn a_line_survives_and_errors_show_no_secret() {
        let mut line = String::new();
        key().write_line(&mut line).unwrap();
        let read = EpochKey::parse_line(&line).unwrap().unwrap();
        assert_eq!((read.spacecraft, read.epoch, *read.secret), (7, 3, [0x42; 32]));
        assert!(!format!("{read:?}").contains("42"));
        assert!(matches!(EpochKey::parse_line("  # nothing"), Ok(None)));
        assert_eq!(EpochKey::parse_line("key v1").unwrap_err(), BadKeyLine::Start);
        let cut = line.get(..line.len() - 1).unwrap();
        assert_eq!(EpochKey::parse_line(cut).unwrap_err(), BadKeyLine::Secret);
        assert_eq!(EpochKey::parse_line(&format!("{line} x")).unwrap_err(), BadKeyLine::Trailing);
    }
}
