//! The first root, and the one after another: made here, signed in [`super::signing`].

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use passband_proto::release::envelope::{self, KeyId, Kind, SIGNATURE_BYTES};
use passband_proto::release::root::{MAX_KEYS, MAX_MISSION_BYTES, MAX_ROOT_BYTES, Role, Root};

use super::facts::Facts;
use super::files;
use super::keys::PublicKey;

/// Keys of a role, and how many of them have to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// So many of them.
    pub threshold: u8,
}

impl Holders {
    fn role(&self, name: &'static str) -> Result<Role> {
        let count = self.keys.len();
        ensure!(
            (1..=MAX_KEYS).contains(&count),
            "the {name} role has {count} keys, 1 to {MAX_KEYS} are wanted"
        );
        ensure!(
            (1..=count).contains(&usize::from(self.threshold)),
            "the {name} role has {count} keys: its threshold can't be {}",
            self.threshold
        );
        let mut keys = heapless::Vec::new();
        for key in &self.keys {
            ensure!(!keys.contains(&key.key), "the {name} role has key {} ({}) twice", key.id(), key.name);
            keys.push(key.key).map_err(|_| anyhow!("the {name} role has too many keys"))?;
        }
        Ok(Role { name, threshold: self.threshold, keys })
    }
}

/// The first root of a mission, unsigned.
///
/// # Errors
/// A field can't be that.
pub fn first(mission: &str, root: &Holders, release: &Holders) -> Result<Vec<u8>> {
    let text = heapless::String::try_from(mission).ok().filter(|_| !mission.is_empty());
    let text =
        text.filter(|text: &heapless::String<MAX_MISSION_BYTES>| text.bytes().all(|b| b.is_ascii_graphic()));
    let mission = text.with_context(|| {
        format!("the mission's name isn't of printable ASCII without spaces, {MAX_MISSION_BYTES} at most: '{mission}'")
    })?;
    let root = Root { version: 1, mission, root: root.role("root")?, release: release.role("release")? };
    sealed(&root, 0)
}

/// The root after this one, unsigned. Roles that aren't given stay as they are.
///
/// # Errors
/// A field can't be that, or nothing changes.
pub fn next(before: &Root, root: Option<&Holders>, release: Option<&Holders>) -> Result<Vec<u8>> {
    let version = before.version.checked_add(1).context("there is no version after this root's")?;
    let given = |holders: Option<&Holders>, old: &Role| {
        holders.map_or_else(|| Ok(old.clone()), |holders| holders.role(old.name))
    };
    let next = Root {
        version,
        mission: before.mission.clone(),
        root: given(root, &before.root)?,
        release: given(release, &before.release)?,
    };
    ensure!(
        next.root != before.root || next.release != before.release,
        "neither keys nor thresholds would change: no root is needed for that"
    );
    let stay = next.root.keys.iter().filter(|key| before.root.keys.contains(key)).count();
    let of_before =
        usize::from(before.root.threshold).saturating_sub(stay.min(usize::from(next.root.threshold)));
    sealed(&next, of_before)
}

/// Reads a root that is signed by its own keys.
///
/// # Errors
/// The file can't be read, or isn't one.
pub fn read(path: &Path) -> Result<Root> {
    let bytes = files::read(path, MAX_ROOT_BYTES)?;
    Root::first(&bytes).with_context(|| format!("root {}", path.display()))
}

/// What is told of a root.
#[must_use]
pub fn facts(root: &Root) -> Facts {
    let role = |role: &Role| format!("{} of {}", role.threshold, role.keys.len());
    let key = |role: &Role, key: &[u8; 32]| {
        Facts::new()
            .with("role", role.name)
            .with("id", KeyId::of(key).to_string())
            .with("key", crate::station::hex(key))
    };
    let keys = [&root.root, &root.release]
        .map(|role| role.keys.iter().map(|one| key(role, one)).collect::<Vec<_>>());
    Facts::new()
        .with("kind", "root")
        .with("mission", root.mission.as_str())
        .with("version", root.version)
        .with("root_role", role(&root.root))
        .with("release_role", role(&root.release))
        .with("keys", keys.concat())
}

/// The envelope, if there is room for the signatures that it needs: those of its own, and so many of keys that go.
fn sealed(root: &Root, of_before: usize) -> Result<Vec<u8>> {
    let bytes = envelope::seal(Kind::Root, &root.body())?;
    let signed = bytes.len() + SIGNATURE_BYTES * (usize::from(root.root.threshold) + of_before);
    ensure!(
        signed <= MAX_ROOT_BYTES,
        "signed it would have {signed} bytes, {MAX_ROOT_BYTES} at most: take fewer keys, or change them in two steps"
    );
    Ok(bytes)
}
