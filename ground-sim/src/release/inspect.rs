//! What a file is, told by how it begins and ends, and what it holds. Nothing of it was verified but what it proves by itself.

use anyhow::{Context, Result, bail};
use passband_delta::{Delta, MAGIC};
use passband_proto::release::envelope::{Envelope, Kind};
use passband_proto::release::manifest::Manifest;
use passband_proto::release::root::Root;

use super::facts::Facts;
use super::update::{Parts, size_facts};
use super::{id_of, images, manifests, roots};

/// What is told of a file.
///
/// # Errors
/// It is none of a release, or damaged.
pub fn inspect(bytes: &[u8]) -> Result<Facts> {
    if bytes.starts_with(b"PR\x01") {
        return match Envelope::whole(bytes) {
            Ok(envelope) => self::envelope(&envelope, bytes.len()),
            Err(_) => update(bytes),
        };
    }
    if bytes.starts_with(&MAGIC) {
        return delta(bytes);
    }
    if images::trailer(bytes).context("image")?.is_some() {
        return images::facts(bytes).context("image");
    }
    if bytes.starts_with(b"\x7fELF") {
        let facts = Facts::new().with("kind", "program").with("machine", images::machine(bytes));
        return Ok(facts.with("bytes", bytes.len()).with("sha256", id_of(bytes).to_string()));
    }
    bail!("it is no root, manifest, update file, image or delta")
}

fn envelope(envelope: &Envelope<'_>, bytes: usize) -> Result<Facts> {
    let facts = match envelope.kind() {
        Kind::Root => roots::facts(&Root::read(envelope.unverified(Kind::Root)?)?),
        Kind::Manifest => manifests::facts(&Manifest::read(envelope.unverified(Kind::Manifest)?)?),
    };
    Ok(facts.with("bytes", bytes).with("signatures_not_verified", claimed(envelope)))
}

fn update(bytes: &[u8]) -> Result<Facts> {
    let parts = Parts::of(bytes).context("it begins as a signed file, and is no update file")?;
    let root = |bytes: &&[u8]| -> Result<Facts> {
        let envelope = Envelope::whole(bytes)?;
        let root = Root::read(envelope.unverified(Kind::Root)?)?;
        Ok(Facts::new()
            .with("version", root.version)
            .with("bytes", bytes.len())
            .with("signed_by", claimed(&envelope)))
    };
    let roots: Vec<_> = parts.roots.iter().map(root).collect::<Result<_>>()?;
    let manifest = Envelope::whole(parts.manifest)?;
    let said = Manifest::read(manifest.unverified(Kind::Manifest)?)?;
    let digest = id_of(parts.delta);
    let is_named = said.deltas.iter().any(|info| info.digest == digest);
    let facts = manifests::fields(&said).with("signatures_not_verified", claimed(&manifest));
    Ok(Facts::new()
        .with("kind", "update")
        .and(size_facts(&parts))
        .with("roots", roots)
        .and(facts)
        .with("delta_digest", digest.to_string())
        .with("delta_is_named", is_named))
}

fn delta(bytes: &[u8]) -> Result<Facts> {
    let head = Delta::read(bytes)?;
    let base_bytes = head.base_bytes();
    Ok(Facts::new()
        .with("kind", "delta")
        .with("digest", id_of(bytes).to_string())
        .with("bytes", bytes.len())
        .with("base_bytes", (base_bytes > 0).then_some(base_bytes))
        .with("image_bytes", head.result_bytes())
        .with("copied_bytes", head.copied_bytes())
        .with("segments", head.segments())
        .with("memory_bytes", head.memory_bytes()))
}

fn claimed(envelope: &Envelope<'_>) -> Option<String> {
    let ids: Vec<_> = envelope.claimed().map(|id| id.to_string()).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}
