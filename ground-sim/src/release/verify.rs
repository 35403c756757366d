//! All that a board checks of an update file before it would start what comes of it, with the code that flies: the chain of
//! roots, the signatures, whether it is for this board, the delta's digest, the decoding, and the digests of the result.

use passband_delta::{Delta, DeltaError, Nothing, Piece, Stored};
use passband_proto::release::manifest::{DeltaInfo, Manifest, StateFormats};
use passband_proto::release::trust::{Approved, Board, Trust};
use passband_proto::release::{ImageId, Refusal};

use super::facts::Facts;
use super::update::Parts;
use super::{id_of, images};

/// What is known of the board; what isn't is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its type.
    pub board: Option<String>,
    /// The version of what its launcher does.
    pub launcher: Option<u16>,
    /// The format of the state on its disk.
    pub state: Option<u16>,
    /// What the version that runs there reads.
    pub runs: Option<StateFormats>,
    /// The time, seconds since 1970.
    pub now_unix_s: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    checks: Vec<(&'static str, String)>,
    /// Why a board would refuse it; `None`: it wouldn't.
    pub refusal: Option<String>,
}

impl Verdict {
    /// What is told of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let row = |(what, found): &(&'static str, String)| {
            Facts::new().with("check", *what).with("found", found.as_str())
        };
        Facts::new()
            .with("checks", self.checks.iter().map(row).collect::<Vec<_>>())
            .with("refused", self.refusal.clone())
            .with("holds", self.refusal.is_none())
    }

    fn found(&mut self, what: &'static str, found: impl Into<String>) {
        self.checks.push((what, found.into()));
    }
}

/// Why it is refused: where, and what.
type Refused = String;

/// Checks an update file as a board would that believes `trust` and has these images.
#[must_use]
pub fn verify(update: &[u8], trust: &Trust, known: &Known, bases: &[Vec<u8>]) -> Verdict {
    let mut verdict = Verdict { checks: Vec::new(), refusal: None };
    verdict.refusal = checked(update, trust.clone(), known, bases, &mut verdict).err();
    verdict
}

fn checked(
    update: &[u8],
    mut trust: Trust,
    known: &Known,
    bases: &[Vec<u8>],
    verdict: &mut Verdict,
) -> Result<(), Refused> {
    let parts = Parts::of(update).map_err(|e| format!("update file: {e}"))?;
    for root in &parts.roots {
        trust.rotate(root).map_err(|e| format!("root: {e}"))?;
        verdict.found("root", format!("version {} follows", trust.root().version));
    }
    let approved = signed(&trust, parts.manifest, known, verdict).map_err(|e| format!("manifest: {e}"))?;
    let manifest = &approved.manifest;
    let info = named(manifest, parts.delta).map_err(|e| format!("delta: {e}"))?;
    verdict.found("delta", format!("{} bytes, digest {:.8}, named by the manifest", info.bytes, info.digest));
    let image = decoded(info, parts.delta, bases, verdict).map_err(|e| format!("delta: {e}"))?;
    result(manifest, &image, verdict).map_err(|e| format!("image: {e}"))
}

/// Whether the manifest holds for the board, as far as that is known.
fn signed(trust: &Trust, bytes: &[u8], known: &Known, verdict: &mut Verdict) -> Result<Approved, Refusal> {
    let approved = trust.authentic(bytes)?;
    let manifest = &approved.manifest;
    let ids: Vec<_> = approved.signers.iter().map(ToString::to_string).collect();
    let root = trust.root();
    verdict.found(
        "signatures",
        format!("{} of root {}, {} wanted", ids.join(" "), root.version, root.release.threshold),
    );
    // What isn't known of the board is taken to be as the manifest wants it.
    let board = Board {
        kind: known.board.as_deref().unwrap_or(&manifest.board),
        launcher: known.launcher.unwrap_or(manifest.launcher.1),
        state: known.state.unwrap_or(manifest.state.writes),
        runs: known.runs.unwrap_or(manifest.state),
        now_unix_s: known.now_unix_s,
    };
    trust.check(bytes, &board)?;
    verdict.found("release", format!("{}, version {}", manifest.name, manifest.version));
    let all = [
        ("board", known.board.is_some()),
        ("launcher", known.launcher.is_some()),
        ("state on the disk", known.state.is_some()),
        ("what runs there", known.runs.is_some()),
        ("time", known.now_unix_s.is_some()),
    ];
    for (what, is_known) in all {
        verdict.found(what, if is_known { "fits" } else { "not checked: not told" });
    }
    Ok(approved)
}

fn named<'a>(manifest: &'a Manifest, delta: &[u8]) -> Result<&'a DeltaInfo, Refusal> {
    let digest = id_of(delta);
    let info = manifest.deltas.iter().find(|info| info.digest == digest);
    info.filter(|info| info.bytes as usize == delta.len()).ok_or(Refusal::Delta)
}

fn decoded(
    info: &DeltaInfo,
    delta: &[u8],
    bases: &[Vec<u8>],
    verdict: &mut Verdict,
) -> Result<Vec<u8>, Refused> {
    let image = if info.base == ImageId::NONE {
        verdict.found("base", "needs none");
        apply(delta, &Nothing)
    } else {
        let base = bases.iter().find(|base| id_of(base) == info.base);
        let base = base.ok_or_else(|| format!("it begins with image {}, which isn't given", info.base))?;
        verdict.found("base", format!("{:.8}, {} bytes", info.base, base.len()));
        apply(delta, base.as_slice())
    };
    image.map_err(|e| e.to_string())
}

/// Applies a delta with the decoder that flies.
///
/// # Errors
/// [`DeltaError`].
pub fn apply(delta: &[u8], base: &(impl Stored + ?Sized)) -> Result<Vec<u8>, DeltaError> {
    let head = Delta::read(delta)?;
    let mut image = Vec::new();
    let mut piece = vec![0; 1 << 16];
    for segment in 0..head.segments() {
        let mut run = head.begin(segment, base, delta)?;
        loop {
            let made = run.piece(base, delta, &mut piece)?;
            let (Piece::More(bytes) | Piece::Done(bytes)) = made;
            image.extend_from_slice(piece.get(..bytes).unwrap_or_default());
            if matches!(made, Piece::Done(_)) {
                break;
            }
        }
    }
    Ok(image)
}

fn result(manifest: &Manifest, image: &[u8], verdict: &mut Verdict) -> Result<(), Refused> {
    let (have, told) = (image.len(), manifest.image_bytes);
    if have != told as usize {
        return Err(format!("it has {have} bytes, the manifest says {told}"));
    }
    let id = id_of(image);
    if id != manifest.image {
        return Err(format!("its id is {id:.8}, the manifest says {:.8}", manifest.image));
    }
    let trailer = images::proved(image).map_err(|e| format!("{e:#}"))?;
    verdict.found(
        "image",
        format!("{id:.8}, {have} bytes, {} files, {}", trailer.files, images::machine(image)),
    );
    Ok(())
}
