//! Bytes, and the signatures over them.
//!
//! ```text
//!  0  magic "PR"   2  version = 1   3  kind: 1 root, 2 manifest   4  body bytes u16   6  body
//!  .  count u8     .  count times: key id [8], ed25519 signature [64]
//! ```
//!
//! What is signed is a text that signs nothing else, then everything before `count`: kind and length are covered, and
//! nothing may follow the last signature. Signatures are ed25519 (RFC 8032 §5.1), checked strictly: small orders and
//! malleable forms are refused. A key's id is the first 8 bytes of SHA-256 of a text and the key.
//!
//! Nothing of a body is handed out before enough distinct keys of the role have signed it, but by
//! [`Envelope::unverified`].

use core::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::Refusal;
use super::root::Role;
use crate::wire::Reader;

/// Longest envelope, bytes.
pub const MAX_ENVELOPE_BYTES: usize = 2_048;
/// Most signatures on one.
pub const MAX_SIGNATURES: usize = 16;
/// Bytes of a signature with its key's id.
pub const SIGNATURE_BYTES: usize = 72;

const START: [u8; 3] = [b'P', b'R', 1];
const HEAD_BYTES: usize = 6;
const CONTEXT: &[u8] = b"passband release 1\0";
const KEY_CONTEXT: &[u8] = b"passband release key 1\0";

/// What an envelope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The keys of the roles.
    Root = 1,
    /// The description of an image.
    Manifest = 2,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Manifest => "manifest",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Root, Self::Manifest].into_iter().find(|kind| *kind as u8 == code)
    }
}

/// The name of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// That of a public key.
    #[must_use]
    pub fn of(key: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(KEY_CONTEXT).chain_update(key).finalize();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A signed file, taken apart; nothing of its body can be had before [`Envelope::verify`].
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    kind: Kind,
    covered: &'a [u8],
    body: &'a [u8],
    signatures: &'a [u8],
    bytes: usize,
}

impl<'a> Envelope<'a> {
    /// Takes apart the envelope that `bytes` begin with; more may follow, see [`Envelope::bytes`].
    ///
    /// # Errors
    /// [`Refusal::Shape`].
    pub fn first(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (start, rest) = bytes.split_first_chunk::<4>().ok_or(Refusal::Shape("cut off"))?;
        let kind = match start {
            [a, b, c, code] if [*a, *b, *c] == START => Kind::from_code(*code),
            _ => None,
        };
        let kind = kind.ok_or(Refusal::Shape("it begins as none of a version known here"))?;
        Self::take(kind, bytes, rest).ok_or(Refusal::Shape("cut off, or too long"))
    }

    /// Takes apart an envelope.
    ///
    /// # Errors
    /// [`Refusal::Shape`]: also if anything follows it.
    pub fn whole(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let envelope = Self::first(bytes)?;
        if envelope.bytes != bytes.len() {
            return Err(Refusal::Shape("something follows the last signature"));
        }
        Ok(envelope)
    }

    fn take(kind: Kind, bytes: &'a [u8], after_start: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(after_start);
        let body_bytes = usize::from(r.u16()?);
        let body = r.slice(body_bytes)?;
        let covered = bytes.get(..HEAD_BYTES.checked_add(body_bytes)?)?;
        let count = usize::from(r.u8()?);
        let signatures = r.slice(count.checked_mul(SIGNATURE_BYTES)?)?;
        let whole = covered.len().checked_add(1)?.checked_add(signatures.len())?;
        let fits = whole <= MAX_ENVELOPE_BYTES && count <= MAX_SIGNATURES;
        fits.then_some(Self { kind, covered, body, signatures, bytes: whole })
    }

    /// What it says that it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its length, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who says that they signed it; not to be believed.
    pub fn claimed(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.pairs().map(|(key, _)| key)
    }

    fn pairs(&self) -> impl Iterator<Item = (KeyId, &'a [u8; 64])> + '_ {
        let (each, _) = self.signatures.as_chunks::<SIGNATURE_BYTES>();
        each.iter().filter_map(|pair| {
            let (key, signature) = pair.split_first_chunk::<8>()?;
            Some((KeyId(*key), signature.first_chunk()?))
        })
    }

    /// The body, if enough keys of the role signed it; and which did. Keys of others don't count and do no harm.
    ///
    /// # Errors
    /// [`Refusal::Kind`], [`Refusal::Twice`], [`Refusal::Forged`], [`Refusal::Threshold`].
    pub fn verify(&self, kind: Kind, role: &Role) -> Result<(&'a [u8], Signers), Refusal> {
        if self.kind != kind {
            return Err(Refusal::Kind { wanted: kind.name() });
        }
        let mut message = CONTEXT.to_vec();
        message.extend_from_slice(self.covered);
        let mut signers = Signers::new();
        for (id, signature) in self.pairs() {
            let Some(key) = role.keys.iter().find(|key| KeyId::of(key) == id) else { continue };
            if signers.contains(&id) {
                return Err(Refusal::Twice { key: id });
            }
            if !holds(key, &message, signature) || signers.push(id).is_err() {
                return Err(Refusal::Forged { key: id });
            }
        }
        let signed = u8::try_from(signers.len()).unwrap_or(u8::MAX);
        if signed < role.threshold || signed == 0 {
            return Err(Refusal::Threshold { role: role.name, signed, wanted: role.threshold });
        }
        Ok((self.body, signers))
    }
}

impl<'a> Envelope<'a> {
    /// The body, whoever signed it: for what can only be verified by what it says itself, and for those who make, sign
    /// and show. Nothing is to be done because of it.
    ///
    /// # Errors
    /// [`Refusal::Kind`].
    pub fn unverified(&self, kind: Kind) -> Result<&'a [u8], Refusal> {
        if self.kind == kind { Ok(self.body) } else { Err(Refusal::Kind { wanted: kind.name() }) }
    }
}

/// The distinct keys of a role that signed.
pub type Signers = heapless::Vec<KeyId, MAX_SIGNATURES>;

fn holds(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// An envelope without signatures.
///
/// # Errors
/// [`Refusal::Shape`]: the body is too long.
pub fn seal(kind: Kind, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let long = Refusal::Shape("too long");
    let most = MAX_ENVELOPE_BYTES.saturating_sub(HEAD_BYTES).saturating_sub(1);
    let bytes = u16::try_from(body.len()).ok().filter(|_| body.len() <= most).ok_or(long)?;
    let mut out = START.to_vec();
    out.push(kind as u8);
    out.extend_from_slice(&bytes.to_be_bytes());
    out.extend_from_slice(body);
    out.push(0);
    Ok(out)
}

/// The envelope with one signature more. One that the key made before is replaced.
///
/// # Errors
/// [`Refusal::Shape`]: it is none, or there is no room for more.
pub fn add_signature(envelope: &[u8], secret: &[u8; 32]) -> Result<Vec<u8>, Refusal> {
    let taken = Envelope::whole(envelope)?;
    let key = SigningKey::from_bytes(secret);
    let id = KeyId::of(key.verifying_key().as_bytes());
    let mut message = CONTEXT.to_vec();
    message.extend_from_slice(taken.covered);
    let mut pairs: Vec<(KeyId, [u8; 64])> =
        taken.pairs().filter(|(other, _)| *other != id).map(|(id, signature)| (id, *signature)).collect();
    pairs.push((id, key.sign(&message).to_bytes()));
    let full = Refusal::Shape("no room for another signature");
    let count = u8::try_from(pairs.len()).ok().filter(|count| usize::from(*count) <= MAX_SIGNATURES);
    let mut out = taken.covered.to_vec();
    out.push(count.ok_or(full.clone())?);
    for (id, signature) in pairs {
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&signature);
    }
    if out.len() > MAX_ENVELOPE_BYTES { Err(full) } else { Ok(out) }
}

/// The public key of a secret one.
#[must_use]
pub fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}
