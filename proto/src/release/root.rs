//! The root: which keys speak for which role.
//!
//! ```text
//! version u32 | mission: length u8, text | root role | release role
//! role: threshold u8, count u8, keys [32] each
//! ```
//!
//! Version N + 1 is believed once it is signed by a threshold of the root keys of N and of its own (TUF §5.3.3 to
//! 5.3.5): so those who hold the keys now hand over, and those who get them show that they have them. With three keys a role and thresholds of two
//! such a step is some 500 bytes.

use super::Refusal;
use super::envelope::{self, Envelope, Kind};
use crate::wire::Reader;

/// Most keys of a role.
pub const MAX_KEYS: usize = 5;
/// Longest root with its signatures, bytes.
pub const MAX_ROOT_BYTES: usize = 1_024;
/// Longest name of a mission, bytes.
pub const MAX_MISSION_BYTES: usize = 24;

/// Who may sign one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// "root" or "release".
    pub name: &'static str,
    /// So many distinct keys have to sign.
    pub threshold: u8,
    /// Their ed25519 public keys.
    pub keys: heapless::Vec<[u8; 32], MAX_KEYS>,
}

/// The keys that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Counts up by one with every change.
    pub version: u32,
    /// Whose satellites: printable ASCII.
    pub mission: heapless::String<MAX_MISSION_BYTES>,
    /// Who says which root comes next.
    pub root: Role,
    /// Who says what may be installed.
    pub release: Role,
}

impl Root {
    /// The body of its envelope.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = self.version.to_be_bytes().to_vec();
        put_text(&mut out, &self.mission);
        for role in [&self.root, &self.release] {
            out.extend([role.threshold, u8::try_from(role.keys.len()).unwrap_or(u8::MAX)]);
            role.keys.iter().for_each(|key| out.extend_from_slice(key));
        }
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal::Field`] names what can't be.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(body);
        let version = r.u32().ok_or(Refusal::Field("length"))?;
        let mission = text(&mut r).ok_or(Refusal::Field("mission"))?;
        let root = role(&mut r, "root").ok_or(Refusal::Field("root role"))?;
        let release = role(&mut r, "release").ok_or(Refusal::Field("release role"))?;
        if !r.is_empty() {
            return Err(Refusal::Field("length"));
        }
        Ok(Self { version, mission, root, release })
    }

    /// The first root of all, which is believed because it came with the board: only that it is signed by its own keys is
    /// asked.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn first(bytes: &[u8]) -> Result<Self, Refusal> {
        let envelope = envelope(bytes)?;
        let claimed = Self::read(envelope.unverified(Kind::Root)?)?;
        let (body, _) = envelope.verify(Kind::Root, &claimed.root)?;
        Self::read(body)
    }

    /// The root after this one.
    ///
    /// # Errors
    /// [`Refusal`]: among others, its version isn't the next.
    pub fn next(&self, bytes: &[u8]) -> Result<Self, Refusal> {
        let envelope = envelope(bytes)?;
        let (body, _) = envelope.verify(Kind::Root, &self.root)?;
        let next = Self::read(body)?;
        envelope.verify(Kind::Root, &next.root)?;
        if Some(next.version) != self.version.checked_add(1) {
            return Err(Refusal::NotNext { version: next.version, believed: self.version });
        }
        if next.mission != self.mission {
            return Err(Refusal::Mission);
        }
        Ok(next)
    }
}

fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, Refusal> {
    if bytes.len() > MAX_ROOT_BYTES {
        return Err(Refusal::Shape("a root of more than 1,024 bytes"));
    }
    envelope::Envelope::whole(bytes)
}

fn role(r: &mut Reader<'_>, name: &'static str) -> Option<Role> {
    let (threshold, count) = (r.u8()?, r.u8()?);
    let mut keys = heapless::Vec::new();
    for _ in 0..count {
        let key = r.array()?;
        // Under two names one key would count twice.
        if keys.contains(&key) {
            return None;
        }
        keys.push(key).ok()?;
    }
    (threshold > 0 && threshold <= count).then_some(Role { name, threshold, keys })
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// A text of printable ASCII, not empty.
pub(super) fn text<const N: usize>(r: &mut Reader<'_>) -> Option<heapless::String<N>> {
    let bytes = usize::from(r.u8()?);
    let text = core::str::from_utf8(r.slice(bytes)?).ok()?;
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    heapless::String::try_from(text).ok().filter(|_| plain)
}
