//! The alert: the tiny sealed message that leaves on the alert radio as soon as a leak is sure.
//!
//! ```text
//! 0  magic "PA"   2  version = 1   3  kind = 1   4  spacecraft u16   6  key epoch u16
//! 8  nonce [12]   20  sealed record (postcard, AES-256-GCM, 16-byte tag; bytes 0–7 authenticated)
//! ```
//!
//! The nonce is random; an alert that is sent again is sent as the same bytes, so no nonce ever
//! covers two contents. At most [`MAX_ALERT_BYTES`] in all.

use core::fmt;

use aes_gcm::aead::AeadInOut;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::ids::BundleId;
use crate::keys::EpochKey;

/// The longest sealed alert, bytes.
pub const MAX_ALERT_BYTES: usize = 200;
/// Longest frame name in an alert, bytes of UTF-8; a longer one is cut.
pub const MAX_FRAME_NAME_BYTES: usize = 48;

const HEAD_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const MAX_RECORD_BYTES: usize = MAX_ALERT_BYTES - HEAD_BYTES - NONCE_BYTES - TAG_BYTES;
const START: [u8; 4] = [b'P', b'A', 1, 1];

/// A sealed alert, as it goes over the radio.
pub type SealedAlert = Vec<u8, MAX_ALERT_BYTES>;

/// Where on the ground, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Latitude, 10⁻⁷ degrees, north positive.
    pub lat_e7: i32,
    /// Longitude, 10⁻⁷ degrees, east positive.
    pub lon_e7: i32,
}

/// What an alert says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Number of this alert on its spacecraft, from 1.
    pub number: u32,
    /// When the frame was accepted on board, ms since 1970-01-01 UTC.
    pub time_unix_ms: u64,
    /// Name of the frame.
    pub frame: String<MAX_FRAME_NAME_BYTES>,
    /// Name of the target gas, such as "ch4".
    pub gas: String<12>,
    /// Probability that it is a leak, per mille.
    pub probability_permille: u16,
    /// Largest enhancement in the plume, ppm·m.
    pub peak_ppm_m: f32,
    /// Mean enhancement over the plume, ppm·m.
    pub mean_ppm_m: f32,
    /// Pixels of the plume.
    pub pixels: u32,
    /// Centre of the plume: line, from 0.
    pub line: u32,
    /// Centre of the plume: sample, from 0.
    pub sample: u32,
    /// Centre of the plume on the ground, where the frame's geometry is known.
    pub position: Option<Position>,
    /// Plumes found in the frame, this strongest one among them.
    pub plumes: u16,
    /// The bundle that carries the evidence.
    pub evidence: Option<BundleId>,
}

/// The longest beginning of `text` that fits into an alert's field.
#[must_use]
pub fn fit<const N: usize>(text: &str) -> String<N> {
    let mut out = String::new();
    for c in text.chars() {
        if out.push(c).is_err() {
            break;
        }
    }
    out
}

/// Seals an alert under the epoch's alert key; `nonce` must be fresh from a cryptographic random
/// source.
///
/// # Errors
/// [`AlertError::TooLong`] when the record doesn't fit; with the field types above it always does.
pub fn seal_alert(
    key: &EpochKey,
    nonce: [u8; NONCE_BYTES],
    alert: &Alert,
) -> Result<SealedAlert, AlertError> {
    let mut record = [0; MAX_RECORD_BYTES];
    let record = postcard::to_slice(alert, &mut record).map_err(|_| AlertError::TooLong)?;
    let head = head(key);
    let tag = key
        .alert_key()
        .cipher()
        .encrypt_inout_detached(&nonce.into(), &head, (&mut *record).into())
        .map_err(|_| AlertError::TooLong)?;
    let mut out = SealedAlert::new();
    for part in [head.as_slice(), &nonce, record, &tag] {
        out.extend_from_slice(part).map_err(|_| AlertError::TooLong)?;
    }
    Ok(out)
}

/// Whose alert it claims to be: `(spacecraft, epoch)`, to find the key by.
#[must_use]
pub fn sender(sealed: &[u8]) -> Option<(u16, u16)> {
    let head = sealed.first_chunk::<HEAD_BYTES>()?;
    let [m0, m1, version, kind, s0, s1, e0, e1] = *head;
    ([m0, m1, version, kind] == START).then(|| (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1])))
}

/// The nonce that a sealed alert carries in the clear: fresh for each alert, so it tells one from any other.
#[must_use]
pub fn nonce_of(sealed: &[u8]) -> Option<[u8; NONCE_BYTES]> {
    sealed.get(HEAD_BYTES..)?.first_chunk().copied()
}

/// Opens a sealed alert.
///
/// # Errors
/// Not an alert, not of this key, damaged or forged, or of a shape this version doesn't know.
pub fn open_alert(key: &EpochKey, sealed: &[u8]) -> Result<Alert, AlertError> {
    if sealed.len() > MAX_ALERT_BYTES {
        return Err(AlertError::TooLong);
    }
    let (head, rest) = sealed.split_first_chunk::<HEAD_BYTES>().ok_or(AlertError::NotAnAlert)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(AlertError::NotAnAlert)?;
    let (record, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(AlertError::NotAnAlert)?;
    match sender(sealed) {
        None => return Err(AlertError::NotAnAlert),
        Some(who) if who != (key.spacecraft(), key.epoch()) => return Err(AlertError::OtherKey),
        Some(_) => {}
    }
    let mut record = Vec::<u8, MAX_RECORD_BYTES>::from_slice(record).map_err(|_| AlertError::TooLong)?;
    key.alert_key()
        .cipher()
        .decrypt_inout_detached(&(*nonce).into(), head, record.as_mut_slice().into(), &(*tag).into())
        .map_err(|_| AlertError::Seal)?;
    postcard::from_bytes(&record).map_err(|_| AlertError::Record)
}

fn head(key: &EpochKey) -> [u8; HEAD_BYTES] {
    let [m0, m1, version, kind] = START;
    let [s0, s1] = key.spacecraft().to_be_bytes();
    let [e0, e1] = key.epoch().to_be_bytes();
    [m0, m1, version, kind, s0, s1, e0, e1]
}

/// Why bytes are not a usable alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertError {
    /// Not the shape of an alert.
    NotAnAlert,
    /// Longer than [`MAX_ALERT_BYTES`].
    TooLong,
    /// It names another spacecraft or key epoch than the key's.
    OtherKey,
    /// The seal does not hold: damaged or forged.
    Seal,
    /// The seal holds, but the record is of a shape this version does not know.
    Record,
}

impl fmt::Display for AlertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnAlert => "not an alert",
            Self::TooLong => "longer than an alert may be",
            Self::OtherKey => "an alert of another spacecraft or key epoch",
            Self::Seal => "the alert's seal does not hold: damaged or forged",
            Self::Record => "an authentic alert whose record this version does not know",
        })
    }
}

impl core::error::Error for AlertError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest() -> Alert {
        Alert {
            number: u32::MAX,
            time_unix_ms: u64::MAX,
            frame: fit(&"f".repeat(99)),
            gas: fit("methane-and-more"),
            probability_permille: u16::MAX,
            peak_ppm_m: f32::MAX,
            mean_ppm_m: f32::MAX,
            pixels: u32::MAX,
            line: u32::MAX,
            sample: u32::MAX,
            position: Some(Position { lat_e7: i32::MIN, lon_e7: i32::MIN }),
            plumes: u16::MAX,
            evidence: Some(BundleId([255; 12])),
        }
    }

    #[test]
    fn the_longest_alert_fits_and_survives() {
        let key = EpochKey::new(1, 2, [3; 32]);
        let sealed = seal_alert(&key, [4; 12], &longest()).unwrap();
        assert!(sealed.len() <= MAX_ALERT_BYTES, "{}", sealed.len());
        assert_eq!(sender(&sealed), Some((1, 2)));
        assert_eq!((nonce_of(&sealed), nonce_of(&sealed[..19])), (Some([4; 12]), None));
        assert_eq!(open_alert(&key, &sealed), Ok(longest()));
    }

    #[test]
    fn damage_forgery_and_strangers_are_refused() {
        let key = EpochKey::new(1, 2, [3; 32]);
        let sealed = seal_alert(&key, [4; 12], &longest()).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open_alert(&key, &bad).is_err(), "bit {bit}");
        }
        for cut in 0..sealed.len() {
            assert!(open_alert(&key, &sealed[..cut]).is_err(), "cut at {cut}");
        }
        let other = EpochKey::new(1, 3, [3; 32]);
        assert_eq!(open_alert(&other, &sealed), Err(AlertError::OtherKey));
        assert_eq!(open_alert(&key, &[0; 300]), Err(AlertError::TooLong));
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        assert_eq!(fit::<4>("aé€").as_str(), "aé");
    }
}
