//! The sealing that all frames of the slow link have in common: a head in the clear, a nonce, a sealed body.
//!
//! Knows nothing of what a body says.

use aes_gcm::aead::AeadInOut;

use super::{MAX_REPORT_BYTES, ReportError};
use crate::keys::EpochKey;
use crate::wire::Writer;

const HEAD_BYTES: usize = 8;
pub(super) const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Most bytes of a body.
pub(super) const MAX_BODY_BYTES: usize = MAX_REPORT_BYTES - HEAD_BYTES - NONCE_BYTES - TAG_BYTES;
const START: [u8; 3] = [b'P', b'R', 1];
/// The kind of a report.
pub(super) const KIND_REPORT: u8 = 1;
/// The kind of an acknowledgement of alerts.
pub(super) const KIND_ACKNOWLEDGEMENT: u8 = 2;

/// Whom a frame claims to speak to: `(spacecraft, epoch)`, to find the key by. `None`: neither a report nor an
/// acknowledgement.
#[must_use]
pub fn addressee(frame: &[u8]) -> Option<(u16, u16)> {
    head_of(frame).map(|(_, addressee)| addressee)
}

/// The kind of a frame of this version, if it is one that is known.
pub(super) fn kind_of(frame: &[u8]) -> Option<u8> {
    head_of(frame).map(|(kind, _)| kind)
}

fn head_of(frame: &[u8]) -> Option<(u8, (u16, u16))> {
    let [m0, m1, version, kind, s0, s1, e0, e1] = *frame.first_chunk::<HEAD_BYTES>()?;
    let known = [m0, m1, version] == START && matches!(kind, KIND_REPORT | KIND_ACKNOWLEDGEMENT);
    known.then(|| (kind, (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1]))))
}

/// Seals a body into a frame of this kind.
pub(super) fn seal(
    key: &EpochKey,
    kind: u8,
    nonce: [u8; NONCE_BYTES],
    mut body: Vec<u8>,
) -> Result<Vec<u8>, ReportError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(ReportError::TooLong);
    }
    let head = head(key, kind);
    let tag = key
        .report_key()
        .cipher()
        .encrypt_inout_detached(&nonce.into(), &head, body.as_mut_slice().into())
        .map_err(|_| ReportError::TooLong)?;
    Ok([head.as_slice(), &nonce, &body, &tag].concat())
}

/// The body of a frame of this kind.
pub(super) fn open(key: &EpochKey, kind: u8, frame: &[u8]) -> Result<Vec<u8>, ReportError> {
    if frame.len() > MAX_REPORT_BYTES {
        return Err(ReportError::TooLong);
    }
    let (head, rest) = frame.split_first_chunk::<HEAD_BYTES>().ok_or(ReportError::NotAReport)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(ReportError::NotAReport)?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(ReportError::NotAReport)?;
    match head_of(frame) {
        Some((its, who)) if its == kind => {
            if who != (key.spacecraft(), key.epoch()) {
                return Err(ReportError::OtherKey);
            }
        }
        _ => return Err(ReportError::NotAReport),
    }
    let mut body = body.to_vec();
    key.report_key()
        .cipher()
        .decrypt_inout_detached(&(*nonce).into(), head, body.as_mut_slice().into(), &(*tag).into())
        .map_err(|_| ReportError::Seal)?;
    Ok(body)
}

fn head(key: &EpochKey, kind: u8) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let mut w = Writer::new(&mut head);
    w.put(&START).put(&[kind]).put(&key.spacecraft().to_be_bytes()).put(&key.epoch().to_be_bytes());
    debug_assert!(w.fitted());
    head
}
