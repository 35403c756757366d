//! What is signed, and what is made of it: on board and on the ground.

use passband_ground::release::inspect::inspect;
use passband_ground::release::update::Parts;
use passband_ground::release::verify::{Known, verify};
use passband_proto::release::envelope::{self, Kind};
use passband_proto::release::image::{self, MAX_FILES, TRAILER_BYTES, Trailer};
use passband_proto::release::manifest::{Manifest, StateFormats};
use passband_proto::release::root::{Role, Root};
use passband_proto::release::trust::{Board, Trust};

/// Secrets of the root and release keys of the seeds.
pub const SECRETS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// The first root that the seeds' releases are signed under.
#[must_use]
pub fn first_root() -> Vec<u8> {
    let role = |name, secret: &[u8; 32]| Role {
        name,
        threshold: 1,
        keys: [envelope::public_key(secret)].into_iter().collect(),
    };
    let [root, release] = &SECRETS;
    let mission = "fuzz".parse().unwrap_or_default();
    let body =
        Root { version: 1, mission, root: role("root", root), release: role("release", release) }.body();
    envelope::seal(Kind::Root, &body)
        .and_then(|bare| envelope::add_signature(&bare, root))
        .unwrap_or_default()
}

/// Roots, manifests, what is kept of a belief, and ends of images: what is understood is written again to the same
/// bytes, and nothing is believed that wasn't signed.
pub fn release(data: &[u8]) {
    let mut trust = Trust::new(&first_root()).expect("the seeds' root");
    let before = trust.clone();
    if trust.rotate(data).is_err() {
        assert_eq!(trust, before);
    }
    let runs = StateFormats { writes: 1, least: 1, most: 1 };
    let board = Board { kind: "fuzz", launcher: 1, state: 1, runs, now_unix_s: Some(5) };
    if let Ok(approved) = before.check(data, &board) {
        assert!(!approved.signers.is_empty());
        trust.confirm(&approved, Some(6));
    }
    for kept in [&trust.encode()[..], data].into_iter().filter_map(|bytes| Trust::decode(bytes).ok()) {
        assert_eq!(Trust::decode(&kept.encode()), Ok(kept));
    }
    if let Ok(manifest) = Manifest::read(data) {
        assert_eq!(manifest.body(), data);
    }
    if let Ok(root) = Root::read(data) {
        assert_eq!(root.body(), data);
    }
    if let Some((index, end)) = data.split_last_chunk::<TRAILER_BYTES>()
        && let Ok(Some(trailer)) = Trailer::read(end, data.len() as u64)
    {
        let listed = image::members(index, &trailer).take(MAX_FILES * 2).filter_map(Result::ok);
        assert!(listed.count() <= usize::from(trailer.files));
    }
    on_the_ground(data, &before);
}

/// What the ground tells of it: an update file is taken apart without a byte lost, and holds only with a signature.
fn on_the_ground(data: &[u8], trust: &Trust) {
    let _ = inspect(data);
    let Ok(parts) = Parts::of(data) else { return };
    assert_eq!([&parts.roots.concat(), parts.manifest, parts.delta].concat(), data);
    if verify(data, trust, &Known::default(), &[]).refusal.is_none() {
        assert!(envelope::Envelope::whole(parts.manifest).is_ok_and(|signed| signed.claimed().count() > 0));
    }
}
