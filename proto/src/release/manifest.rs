//! What is said of one image.
//!
//! ```text
//! root version u32 | mission, board, name: length u8, text each | version u64 | commit [20]
//! built u64 | expires u64 (0: never), both seconds since 1970
//! launcher: least u16, most u16 | state: writes u16, reads least u16, reads most u16
//! image SHA-256 [32], bytes u32 | count of deltas u8, each: base [32] (zero: none), SHA-256 [32], bytes u32
//! ```

use super::root::{self, MAX_MISSION_BYTES};
use super::{ImageId, Refusal};
use crate::wire::Reader;

/// Most deltas that one manifest names.
pub const MAX_DELTAS: usize = 8;
/// Longest image, bytes: what memory and disk of a board are good for.
pub const MAX_IMAGE_BYTES: u32 = 32 << 20;

/// What is said of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The root under whose keys it was signed.
    pub root: u32,
    /// Whose satellites it is for.
    pub mission: heapless::String<MAX_MISSION_BYTES>,
    /// Which type of board it is for.
    pub board: heapless::String<24>,
    /// What people call it: "0.4.1".
    pub name: heapless::String<32>,
    /// Counts up from release to release: what the ratchets hold against.
    pub version: u64,
    /// The Git commit it was built from.
    pub commit: [u8; 20],
    /// When that was, seconds since 1970.
    pub built_unix_s: u64,
    /// After this it isn't to be installed any more, seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Versions of the launcher that it works with: least and most.
    pub launcher: (u16, u16),
    /// What it does to the state on the disk.
    pub state: StateFormats,
    /// Its digest.
    pub image: ImageId,
    /// Its length, bytes.
    pub image_bytes: u32,
    /// Ways to get it.
    pub deltas: heapless::Vec<DeltaInfo, MAX_DELTAS>,
}

/// Formats of the state folder that a version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateFormats {
    /// The one it writes.
    pub writes: u16,
    /// The oldest it reads.
    pub least: u16,
    /// The newest it reads: a version before this one may have to run on what this one left.
    pub most: u16,
}

/// One delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaInfo {
    /// The image it begins with; [`ImageId::NONE`]: it needs none.
    pub base: ImageId,
    /// SHA-256 of the delta.
    pub digest: ImageId,
    /// Its length, bytes.
    pub bytes: u32,
}

impl Manifest {
    /// The body of its envelope.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = self.root.to_be_bytes().to_vec();
        for text in [self.mission.as_str(), &self.board, &self.name] {
            root::put_text(&mut out, text);
        }
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.commit);
        for time in [self.built_unix_s, self.expires_unix_s.unwrap_or(0)] {
            out.extend_from_slice(&time.to_be_bytes());
        }
        let (least, most) = self.launcher;
        for number in [least, most, self.state.writes, self.state.least, self.state.most] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.image.0);
        out.extend_from_slice(&self.image_bytes.to_be_bytes());
        out.push(u8::try_from(self.deltas.len()).unwrap_or(u8::MAX));
        for delta in &self.deltas {
            out.extend_from_slice(&delta.base.0);
            out.extend_from_slice(&delta.digest.0);
            out.extend_from_slice(&delta.bytes.to_be_bytes());
        }
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal::Field`] names what can't be.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(body);
        let manifest = Self {
            root: r.u32().ok_or(Refusal::Field("length"))?,
            mission: root::text(&mut r).ok_or(Refusal::Field("mission"))?,
            board: root::text(&mut r).ok_or(Refusal::Field("board"))?,
            name: root::text(&mut r).ok_or(Refusal::Field("name"))?,
            version: r.u64().ok_or(Refusal::Field("length"))?,
            commit: r.array().ok_or(Refusal::Field("length"))?,
            built_unix_s: r.u64().ok_or(Refusal::Field("length"))?,
            expires_unix_s: Some(r.u64().ok_or(Refusal::Field("length"))?).filter(|time| *time > 0),
            launcher: range(&mut r).ok_or(Refusal::Field("range of launchers"))?,
            state: state(&mut r).ok_or(Refusal::Field("state format"))?,
            image: ImageId(r.array().ok_or(Refusal::Field("length"))?),
            image_bytes: r
                .u32()
                .filter(|bytes| (1..=MAX_IMAGE_BYTES).contains(bytes))
                .ok_or(Refusal::Field("image length"))?,
            deltas: deltas(&mut r).ok_or(Refusal::Field("list of deltas"))?,
        };
        if r.is_empty() { Ok(manifest) } else { Err(Refusal::Field("length")) }
    }

    /// The shortest delta that begins with an image that `has` knows, or with none.
    #[must_use]
    pub fn delta(&self, mut has: impl FnMut(&ImageId) -> bool) -> Option<&DeltaInfo> {
        let usable = self.deltas.iter().filter(|delta| delta.base == ImageId::NONE || has(&delta.base));
        usable.min_by_key(|delta| delta.bytes)
    }
}

fn range(r: &mut Reader<'_>) -> Option<(u16, u16)> {
    let (least, most) = (r.u16()?, r.u16()?);
    (least <= most).then_some((least, most))
}

fn state(r: &mut Reader<'_>) -> Option<StateFormats> {
    let writes = r.u16()?;
    let (least, most) = range(r)?;
    (least..=most).contains(&writes).then_some(StateFormats { writes, least, most })
}

fn deltas(r: &mut Reader<'_>) -> Option<heapless::Vec<DeltaInfo, MAX_DELTAS>> {
    let mut out: heapless::Vec<DeltaInfo, MAX_DELTAS> = heapless::Vec::new();
    for _ in 0..r.u8()? {
        let delta = DeltaInfo { base: ImageId(r.array()?), digest: ImageId(r.array()?), bytes: r.u32()? };
        if delta.bytes == 0 || out.iter().any(|other| other.digest == delta.digest) {
            return None;
        }
        out.push(delta).ok()?;
    }
    Some(out)
}
