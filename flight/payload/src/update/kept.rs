//! What is kept of an update from start to start, beside the slots, so that every version on the board finds it.
//!
//! ```text
//! format u8 = 1 | upload [4] | phase u8 | slot u8: 'a', 'b', or 0 | time on trial u32, s | passes on trial u16
//! manifest, with its signatures: length u16, bytes | why: length u8, text
//! ```
//!
//! Numbers are big endian. It is kept in a [twin](crate::adapters::twin), which knows damage.

use passband_proto::release::envelope::MAX_ENVELOPE_BYTES;
use passband_proto::slot::Slot;

/// Longest record, bytes.
pub const MAX_KEPT_BYTES: usize = 13 + 2 + MAX_ENVELOPE_BYTES + 1 + MAX_WHY_BYTES;
/// Longest reason, bytes.
pub const MAX_WHY_BYTES: usize = 200;
const FORMAT: u8 = 1;

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its file comes up, is looked at, or is made an image of.
    Wanted = 1,
    /// Its image is in a slot.
    Staged = 2,
    /// It was started, or is to be at the next start.
    Trying = 3,
    /// It came to nothing.
    Failed = 4,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Wanted, Self::Staged, Self::Trying, Self::Failed];
}

/// An update that is under way, or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The upload that brings it: the first bytes of the SHA-256 of its file.
    pub id: [u8; 4],
    /// How far it is.
    pub phase: Phase,
    /// The slot it goes into.
    pub slot: Option<Slot>,
    /// How long it has been on trial, s.
    pub used_s: u32,
    /// Passes that ended since.
    pub passes: u16,
    /// Its manifest, with its signatures; empty as long as it wasn't believed.
    pub manifest: Vec<u8>,
    /// Why it failed.
    pub why: String,
}

impl Kept {
    /// One that has just been wanted.
    pub fn wanted(id: [u8; 4]) -> Self {
        let (manifest, why) = (Vec::new(), String::new());
        Self { id, phase: Phase::Wanted, slot: None, used_s: 0, passes: 0, manifest, why }
    }

    /// The record as it is kept; a reason that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.id);
        let slot = self.slot.map_or(0, |slot| slot.name().bytes().next().unwrap_or_default());
        out.extend_from_slice(&[self.phase as u8, slot]);
        out.extend_from_slice(&self.used_s.to_be_bytes());
        out.extend_from_slice(&self.passes.to_be_bytes());
        out.extend_from_slice(&u16::try_from(self.manifest.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&self.manifest);
        let why = self.why.get(..self.why.floor_char_boundary(MAX_WHY_BYTES)).unwrap_or_default();
        out.push(u8::try_from(why.len()).unwrap_or(0));
        out.extend_from_slice(why.as_bytes());
        out
    }

    /// Reads that; `None`: it is none of this format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<15>()?;
        let [format, a, b, c, d, phase, slot, u0, u1, u2, u3, p0, p1, m0, m1] = *head;
        let phase = Phase::ALL.into_iter().find(|known| *known as u8 == phase)?;
        let slot = match slot {
            0 => None,
            b'a' => Some(Slot::A),
            b'b' => Some(Slot::B),
            _ => return None,
        };
        let (manifest, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([m0, m1])))?;
        let (why_bytes, why) = rest.split_first()?;
        let whole =
            format == FORMAT && manifest.len() <= MAX_ENVELOPE_BYTES && why.len() == usize::from(*why_bytes);
        whole.then_some(Self {
            id: [a, b, c, d],
            phase,
            slot,
            used_s: u32::from_be_bytes([u0, u1, u2, u3]),
            passes: u16::from_be_bytes([p0, p1]),
            manifest: manifest.to_vec(),
            why: String::from_utf8(why.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_comes_back_and_no_bytes_panic(
            id: [u8; 4], phase in 0..4_usize, slot in 0..3_usize, used_s: u32, passes: u16,
            manifest in prop::collection::vec(any::<u8>(), 0..2_048), why in "[a-z ä]{0,90}",
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let slot = [None, Some(Slot::A), Some(Slot::B)][slot];
            let kept = Kept { id, phase: Phase::ALL[phase], slot, used_s, passes, manifest, why };
            prop_assert_eq!(Kept::decode(&kept.encode()), Some(kept.clone()));
            prop_assert!(kept.encode().len() <= MAX_KEPT_BYTES);
            for cut in 0..kept.encode().len().min(60) {
                prop_assert_eq!(Kept::decode(&kept.encode()[..cut]), None);
            }
            let _ = Kept::decode(&bytes);
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let kept = Kept { why: "ä".repeat(300), ..Kept::wanted([1; 4]) };
        let why = Kept::decode(&kept.encode()).unwrap().why;
        assert!(why.len() <= MAX_WHY_BYTES && why.starts_with("äää"));
    }
}
