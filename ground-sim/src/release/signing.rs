//! One more signature on a root or a manifest, and who is still wanted. People sign one after another: the file is passed on,
//! and each adds a signature. Nothing is signed by a key that doesn't count for it, nor beside a signature that is wrong.

use anyhow::{Context, Result, bail, ensure};
use passband_proto::release::Refusal;
use passband_proto::release::envelope::{self, Envelope, KeyId, Kind};
use passband_proto::release::manifest::Manifest;
use passband_proto::release::root::{MAX_ROOT_BYTES, Role, Root};

use super::facts::Facts;
use super::keys::SecretKey;

/// How far the signatures of one role have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The version of the root whose keys these are.
    pub root: u32,
    /// The name of the role.
    pub role: &'static str,
    /// How many have to sign.
    pub threshold: u8,
    /// Who has.
    pub signed: Vec<KeyId>,
    /// Who may still.
    pub open: Vec<KeyId>,
}

impl Standing {
    /// Counts the signatures of a role; each of them was verified.
    ///
    /// # Errors
    /// [`Refusal`]: one of them is wrong, or there twice, or it is something else that was signed.
    pub fn of(envelope: &Envelope<'_>, kind: Kind, root: u32, role: &Role) -> Result<Self, Refusal> {
        match envelope.verify(kind, role) {
            Ok(_) | Err(Refusal::Threshold { .. }) => {}
            Err(other) => return Err(other),
        }
        let claimed: Vec<KeyId> = envelope.claimed().collect();
        let (signed, open) = role.keys.iter().map(KeyId::of).partition(|id| claimed.contains(id));
        Ok(Self { root, role: role.name, threshold: role.threshold, signed, open })
    }

    /// How many are still wanted.
    #[must_use]
    pub fn wanted(&self) -> usize {
        usize::from(self.threshold).saturating_sub(self.signed.len())
    }

    /// What is told of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let list = |ids: &[KeyId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let some = |ids: &[KeyId]| (!ids.is_empty()).then(|| list(ids));
        Facts::new()
            .with("role", self.role)
            .with("of_root", self.root)
            .with("threshold", self.threshold)
            .with("signed", self.signed.len())
            .with("wanted", self.wanted())
            .with("signed_by", some(&self.signed))
            .with("open", some(&self.open).filter(|_| self.wanted() > 0))
    }
}

/// What all roles lack.
#[must_use]
pub fn standings(all: &[Standing]) -> Facts {
    let complete = all.iter().all(|standing| standing.wanted() == 0);
    Facts::new()
        .with("signatures", all.iter().map(Standing::facts).collect::<Vec<_>>())
        .with("complete", complete)
}

/// The standings of a root: of the keys of the one before, if it is given, and of its own.
///
/// # Errors
/// It isn't a root, doesn't follow that one, or a signature is wrong.
pub fn of_root(bytes: &[u8], before: Option<&Root>) -> Result<(Root, Vec<Standing>)> {
    let envelope = Envelope::whole(bytes)?;
    let root = Root::read(envelope.unverified(Kind::Root)?)?;
    let mut all = Vec::new();
    if let Some(before) = before {
        let (version, believed) = (root.version, before.version);
        ensure!(Some(version) == believed.checked_add(1), Refusal::NotNext { version, believed });
        ensure!(root.mission == before.mission, Refusal::Mission);
        all.push(Standing::of(&envelope, Kind::Root, believed, &before.root)?);
    }
    all.push(Standing::of(&envelope, Kind::Root, root.version, &root.root)?);
    Ok((root, all))
}

/// The standing of a manifest under a root.
///
/// # Errors
/// It isn't a manifest, is of another mission or a root to come, or a signature is wrong.
pub fn of_manifest(bytes: &[u8], root: &Root) -> Result<(Manifest, Standing)> {
    let envelope = Envelope::whole(bytes)?;
    let manifest = Manifest::read(envelope.unverified(Kind::Manifest)?)?;
    let (version, believed) = (manifest.root, root.version);
    ensure!(version <= believed, Refusal::RootUnknown { version, believed });
    ensure!(manifest.mission == root.mission, Refusal::Mission);
    let standing = Standing::of(&envelope, Kind::Manifest, believed, &root.release)?;
    Ok((manifest, standing))
}

/// A root with one signature more, and its standings.
///
/// # Errors
/// Those of [`of_root`]; the key is none of the roles that sign it; or it would be too long.
pub fn sign_root(bytes: &[u8], key: &SecretKey, before: Option<&Root>) -> Result<(Vec<u8>, Vec<Standing>)> {
    let signed = envelope::add_signature(bytes, key.seed())?;
    let (root, all) = of_root(&signed, before)?;
    if root.version > 1 && before.is_none() {
        bail!(
            "root {} has to be signed by keys of root {}, too: name that one",
            root.version,
            root.version - 1
        );
    }
    counts(key, before.map(|before| &before.root).into_iter().chain([&root.root]))?;
    ensure!(
        signed.len() <= MAX_ROOT_BYTES,
        "with this signature the root would have {} bytes, {MAX_ROOT_BYTES} at most",
        signed.len()
    );
    Ok((signed, all))
}

/// A manifest with one signature more, and its standing.
///
/// # Errors
/// Those of [`of_manifest`]; or the key is none of the root's release keys.
pub fn sign_manifest(bytes: &[u8], key: &SecretKey, root: &Root) -> Result<(Vec<u8>, Standing)> {
    let signed = envelope::add_signature(bytes, key.seed())?;
    let (_, standing) = of_manifest(&signed, root)?;
    counts(key, [&root.release])?;
    Ok((signed, standing))
}

fn counts<'a>(key: &SecretKey, roles: impl IntoIterator<Item = &'a Role>) -> Result<()> {
    let public = key.public();
    let roles: Vec<_> = roles.into_iter().collect();
    if roles.iter().any(|role| role.keys.contains(&public.key)) {
        return Ok(());
    }
    let name = roles.first().context("a role")?.name;
    bail!("key {} ({}) is none of the {name} keys that sign this", public.id(), public.name)
}
