//! What a board believes: a root, and how far the versions of each release key have come.
//!
//! A ratchet stands for each key that signed a confirmed image: nothing older that this key signed is installed any
//! more. It moves when an image is *confirmed*, never when one is merely seen: or else a bad release would bar the way
//! back to a good one. Ratchets are of keys, so that a stolen key that signed the highest version of all is got rid of
//! by the next root, together with its ratchet (the fast-forward attack of TUF §5.3.11).
//!
//! ```text
//! format u8 = 1 | latest u64 | count u8, each: key id [8], version u64, image [8] | root, with its signatures
//! ```

use super::envelope::{Envelope, KeyId, Kind, MAX_ENVELOPE_BYTES, Signers};
use super::manifest::{Manifest, StateFormats};
use super::root::Root;
use super::{ImageId, Refusal};
use crate::wire::Reader;

/// Longest form in which it is kept, bytes.
pub const MAX_TRUST_BYTES: usize = 2_048;
const MAX_RATCHETS: usize = 16;
const FORMAT: u8 = 1;

/// What a board believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    root: Root,
    root_bytes: Vec<u8>,
    ratchets: heapless::Vec<Ratchet, MAX_RATCHETS>,
    latest_unix_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ratchet {
    key: KeyId,
    version: u64,
    image: [u8; 8],
}

/// The board that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Board<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The version of what its launcher does.
    pub launcher: u16,
    /// The format of the state that is on its disk.
    pub state: u16,
    /// What the version that runs now can read.
    pub runs: StateFormats,
    /// The time, seconds since 1970, if the clock can be believed.
    pub now_unix_s: Option<u64>,
}

/// A manifest that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// What it says.
    pub manifest: Manifest,
    /// Who signed it, as far as they count.
    pub signers: Signers,
}

impl Trust {
    /// The belief of a board that knows only the root it came with.
    ///
    /// # Errors
    /// [`Refusal`]: it is no root, or isn't signed by its own keys.
    pub fn new(root: &[u8]) -> Result<Self, Refusal> {
        Ok(Self {
            root: Root::first(root)?,
            root_bytes: root.to_vec(),
            ratchets: heapless::Vec::new(),
            latest_unix_s: 0,
        })
    }

    /// The root that is believed.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The highest version that was confirmed of those whose keys are believed; 0: none was.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        let of_role =
            |ratchet: &&Ratchet| self.root.release.keys.iter().any(|key| KeyId::of(key) == ratchet.key);
        self.ratchets.iter().filter(of_role).map(|ratchet| ratchet.version).max().unwrap_or(0)
    }

    /// Believes the next root. One that is believed already is no error.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn rotate(&mut self, root: &[u8]) -> Result<(), Refusal> {
        if root == self.root_bytes {
            return Ok(());
        }
        let next = self.root.next(root)?;
        // Without their keys these ratchets hold nothing.
        self.ratchets.retain(|ratchet| next.release.keys.iter().any(|key| KeyId::of(key) == ratchet.key));
        self.root = next;
        self.root_bytes = root.to_vec();
        Ok(())
    }

    /// The manifest, if it holds for this board.
    ///
    /// # Errors
    /// [`Refusal`] says what stands against it.
    pub fn check(&self, manifest: &[u8], board: &Board<'_>) -> Result<Approved, Refusal> {
        let approved = self.authentic(manifest)?;
        self.fits(&approved, board)?;
        Ok(approved)
    }

    /// The manifest, if it is signed as it has to be, and what it says can be read.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn authentic(&self, manifest: &[u8]) -> Result<Approved, Refusal> {
        let envelope = Envelope::whole(manifest)?;
        let (body, signers) = match envelope.verify(Kind::Manifest, &self.root.release) {
            // Of one that was made under keys to come, that is the better reason.
            Err(refusal @ Refusal::Threshold { .. }) => {
                let claimed = Manifest::read(envelope.unverified(Kind::Manifest)?);
                let newer = claimed.ok().map(|claimed| claimed.root).filter(|root| *root > self.root.version);
                return Err(match newer {
                    Some(version) => Refusal::RootUnknown { version, believed: self.root.version },
                    None => refusal,
                });
            }
            other => other?,
        };
        Ok(Approved { manifest: Manifest::read(body)?, signers })
    }

    fn fits(&self, approved: &Approved, board: &Board<'_>) -> Result<(), Refusal> {
        let manifest = &approved.manifest;
        if manifest.root > self.root.version {
            return Err(Refusal::RootUnknown { version: manifest.root, believed: self.root.version });
        }
        if manifest.mission != self.root.mission {
            return Err(Refusal::Mission);
        }
        if manifest.board.as_str() != board.kind {
            return Err(Refusal::Board);
        }
        for ratchet in self.ratchets.iter().filter(|ratchet| approved.signers.contains(&ratchet.key)) {
            if manifest.version < ratchet.version {
                return Err(Refusal::Older { version: manifest.version, confirmed: ratchet.version });
            }
            if manifest.version == ratchet.version && start(&manifest.image) != ratchet.image {
                return Err(Refusal::SameVersion { version: manifest.version });
            }
        }
        self.in_time(manifest, board)?;
        needs(manifest, board)
    }

    /// Without a clock the latest time that was ever believed still counts.
    fn in_time(&self, manifest: &Manifest, board: &Board<'_>) -> Result<(), Refusal> {
        let now = board.now_unix_s.unwrap_or(0).max(self.latest_unix_s);
        match manifest.expires_unix_s {
            Some(at_unix_s) if now >= at_unix_s => Err(Refusal::Expired { at_unix_s }),
            _ => Ok(()),
        }
    }

    /// The image of this manifest was confirmed: nothing older is to come after it.
    pub fn confirm(&mut self, approved: &Approved, now_unix_s: Option<u64>) {
        let manifest = &approved.manifest;
        for key in &approved.signers {
            let new = Ratchet { key: *key, version: manifest.version, image: start(&manifest.image) };
            match self.ratchets.iter_mut().find(|ratchet| ratchet.key == *key) {
                Some(old) if old.version <= new.version => *old = new,
                Some(_) => {}
                // There is room: no more than the keys of one role are ever in it.
                None => drop(self.ratchets.push(new)),
            }
        }
        self.latest_unix_s = self.latest_unix_s.max(now_unix_s.unwrap_or(0)).max(manifest.built_unix_s);
    }

    /// The form in which it is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.latest_unix_s.to_be_bytes());
        out.push(u8::try_from(self.ratchets.len()).unwrap_or(u8::MAX));
        for ratchet in &self.ratchets {
            out.extend_from_slice(&ratchet.key.0);
            out.extend_from_slice(&ratchet.version.to_be_bytes());
            out.extend_from_slice(&ratchet.image);
        }
        out.extend_from_slice(&self.root_bytes);
        out
    }

    /// Reads that; the root's own signatures are checked again.
    ///
    /// # Errors
    /// [`Refusal`] says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(bytes);
        let cut_off = Refusal::Shape("what is kept of it is cut off");
        if r.u8() != Some(FORMAT) {
            return Err(Refusal::Shape("kept in a format unknown here"));
        }
        let latest_unix_s = r.u64().ok_or(cut_off.clone())?;
        let count = usize::from(r.u8().ok_or(cut_off.clone())?);
        let mut ratchets = heapless::Vec::new();
        for _ in 0..count {
            let ratchet = ratchet(&mut r).ok_or(cut_off.clone())?;
            ratchets.push(ratchet).map_err(|_| cut_off.clone())?;
        }
        let root = bytes.get(10 + count * 24..).filter(|root| root.len() <= MAX_ENVELOPE_BYTES);
        let known = Self::new(root.ok_or(cut_off)?)?;
        Ok(Self { ratchets, latest_unix_s, ..known })
    }
}

fn ratchet(r: &mut Reader<'_>) -> Option<Ratchet> {
    Some(Ratchet { key: KeyId(r.array()?), version: r.u64()?, image: r.array()? })
}

fn start(image: &ImageId) -> [u8; 8] {
    image.0.first_chunk().copied().unwrap_or_default()
}

/// What the image needs of the board, and the way back of the state.
fn needs(manifest: &Manifest, board: &Board<'_>) -> Result<(), Refusal> {
    let (least, most) = manifest.launcher;
    if !(least..=most).contains(&board.launcher) {
        return Err(Refusal::Launcher { has: board.launcher, least, most });
    }
    let StateFormats { writes, least, most } = manifest.state;
    if !(least..=most).contains(&board.state) {
        return Err(Refusal::State { format: board.state, least, most, back: false });
    }
    let (least, most) = (board.runs.least, board.runs.most);
    if !(least..=most).contains(&writes) {
        return Err(Refusal::State { format: writes, least, most, back: true });
    }
    Ok(())
}
