//! The signature of a plan, and the only way from bytes to a plan.
//!
//! ```text
//! plan | spi u16 | AES-128-CMAC [16] over all before it
//! ```
//!
//! `spi` names the association whose plan key it is (CCSDS 355.0-B-2 calls it the security parameter index); which key
//! that is, is told by who verifies. The CMAC is that of NIST SP 800-38B, with a key that signs nothing else.

use sha2::{Digest, Sha256};

use super::{MAX_PLAN_BYTES, Plan, PlanError, binary};
use crate::keys::TagKey;

/// Bytes behind a plan.
pub const SIGNATURE_BYTES: usize = 18;

/// A plan as it goes up: checked, compact and signed.
///
/// # Errors
/// What can't stand in a plan, or that it is too long.
pub fn sign(plan: &Plan, spi: u16, key: &TagKey) -> Result<Vec<u8>, PlanError> {
    plan.check()?;
    let mut bytes = binary::encode(plan)?;
    bytes.extend_from_slice(&spi.to_be_bytes());
    let tag = key.tag(&bytes);
    bytes.extend_from_slice(&tag);
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(PlanError::Long { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Bytes that end as a signed plan does; nothing of them is read before the signature.
#[derive(Debug, Clone, Copy)]
pub struct SignedPlan<'a> {
    plan: &'a [u8],
    signed: &'a [u8],
    spi: u16,
    tag: &'a [u8; 16],
}

impl<'a> SignedPlan<'a> {
    /// Splits the signature off.
    ///
    /// # Errors
    /// Too short or too long.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PlanError> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(PlanError::Long { bytes: bytes.len() });
        }
        let short = PlanError::Short { bytes: bytes.len() };
        let (signed, tag) = bytes.split_last_chunk::<16>().ok_or(short.clone())?;
        let (plan, spi) = signed.split_last_chunk::<2>().ok_or(short)?;
        Ok(Self { plan, signed, spi: u16::from_be_bytes(*spi), tag })
    }

    /// The association whose plan key it claims; not to be believed before [`Self::verify`].
    pub fn spi(&self) -> u16 {
        self.spi
    }

    /// The plan, if the signature is that of `key`.
    ///
    /// # Errors
    /// Another signature; bytes that are no plan; what can't stand in one.
    pub fn verify(&self, key: &TagKey) -> Result<Plan, PlanError> {
        if !key.verify(self.signed, self.tag) {
            return Err(PlanError::Signature);
        }
        binary::decode(self.plan)
    }
}

impl Plan {
    /// Tells a plan from any other: the first 8 bytes of the SHA-256 of its compact form without the signature.
    pub fn digest(&self) -> [u8; 8] {
        let bytes = binary::encode(self).unwrap_or_default();
        let mut digest = [0; 8];
        digest.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
        digest
    }
}
