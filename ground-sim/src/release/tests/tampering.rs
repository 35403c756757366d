//! Update files that were tampered with, are of others, or aren't for this board: each is refused with its own reason.

use passband_proto::release::manifest::StateFormats;
use passband_proto::release::trust::Trust;
use proptest::prelude::*;

use super::super::signing::sign_manifest;
use super::super::update::Parts;
use super::super::verify::{Known, verify};
use super::super::{inspect, manifests};
use super::{Mission, said};

#[test]
fn every_tampering_with_an_update_file_is_refused_with_its_reason() {
    let mission = Mission::new();
    let update = mission.update(true);
    let parts = Parts::of(&update).unwrap();
    let (manifest, delta) = (parts.manifest.len(), parts.delta.len());
    let why = |bytes: &[u8]| mission.refusal(bytes, &Known::default()).expect("it is refused");
    let flipped = |at: usize| {
        let mut bytes = update.clone();
        bytes[at] ^= 1;
        why(&bytes)
    };
    assert!(flipped(0).starts_with("update file: not a signed file"));
    assert!(flipped(40).contains("is wrong"), "the body is covered: {}", flipped(40));
    assert!(flipped(manifest - 1).contains("is wrong"), "a signature");
    for at in [0, 20, delta - 1] {
        assert_eq!(flipped(manifest + at), "delta: its delta isn't one that the manifest names");
    }
    assert!(why(&update[..manifest]).starts_with("delta: its delta"), "cut behind the manifest");
    assert!(why(&update[..manifest - 1]).contains("cut off"));
    assert!(why(&[update.as_slice(), &[0]].concat()).starts_with("delta: its delta"), "something behind it");
    assert!(why(&[]).contains("cut off"));
    // The roots of another mission, and a root that was believed long ago.
    let other = Mission::new();
    assert!(other.refusal(&update, &Known::default()).unwrap().contains("signed by 0 keys"));
    assert!(why(&[other.root.as_slice(), &update].concat()).starts_with("root: "));
    assert_eq!(mission.refusal(&[mission.root.as_slice(), &update].concat(), &Known::default()), None);
}

#[test]
fn a_board_that_it_is_not_for_refuses_it() {
    let mission = Mission::new();
    let update = mission.update(true);
    let why = |known: Known| mission.refusal(&update, &known);
    let good = || Known {
        board: Some("xcom".to_owned()),
        launcher: Some(1),
        state: Some(4),
        runs: Some(StateFormats { writes: 4, least: 4, most: 4 }),
        now_unix_s: Some(1_850_000_000),
    };
    assert_eq!(why(good()), None);
    let refused = |known, reason: &str| assert!(why(known).unwrap().contains(reason), "{reason}");
    refused(Known { board: Some("ycom".to_owned()), ..good() }, "another type of board");
    refused(Known { launcher: Some(3), ..good() }, "needs a launcher");
    refused(Known { state: Some(6), ..good() }, "reads state of format 3 to 5");
    refused(Known { runs: Some(StateFormats { writes: 3, least: 3, most: 3 }), ..good() }, "after a revert");
    refused(Known { now_unix_s: Some(1_900_000_000), ..good() }, "its time was over");
    let trust = Trust::new(&mission.root).unwrap();
    let nothing = verify(&update, &trust, &good(), &[]).refusal.unwrap();
    assert!(nothing.contains("which isn't given"), "{nothing}");
}

/// Signed by all, and yet wrong: a manifest whose image isn't what its delta comes to.
#[test]
fn an_image_that_is_not_the_one_that_was_signed_is_refused() {
    let mission = Mission::new();
    let infos: Vec<_> = mission.deltas().into_iter().map(|(info, _)| info).collect();
    let root = mission.root();
    let bare = manifests::make(&said(), &root, &mission.old, &infos).unwrap();
    let sign = |bytes: Vec<u8>, key| sign_manifest(&bytes, key, &root).unwrap().0;
    let manifest = mission.release_keys.iter().fold(bare, sign);
    let update = [manifest.as_slice(), &mission.deltas()[1].1].concat();
    let why = mission.refusal(&update, &Known::default()).unwrap();
    assert!(why.starts_with("image: its id is"), "{why}");
}

#[test]
fn no_byte_of_an_update_file_can_be_another() {
    let mission = Mission::new();
    let trust = Trust::new(&mission.root).unwrap();
    for base in [true, false] {
        let update = mission.update(base);
        let signed = Parts::of(&update).unwrap().manifest.len();
        // Of a long delta, which one digest covers, some.
        let places = (0..update.len()).filter(|at| *at < signed + 64 || at % 97 == 0);
        for at in places {
            let mut bytes = update.clone();
            bytes[at] ^= 1 << (at % 8);
            let verdict = verify(&bytes, &trust, &Known::default(), std::slice::from_ref(&mission.old));
            assert!(verdict.refusal.is_some(), "byte {at}");
            assert_eq!(verdict.facts().json()["holds"], false);
            let _ = inspect::inspect(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_hold_or_panic(mut bytes: Vec<u8>, kind in 0..5_usize) {
        const STARTS: [&[u8]; 5] = [b"", b"PR\x01\x01", b"PR\x01\x02", b"PbDl", b"\x7fELF"];
        bytes.splice(..0, STARTS[kind].iter().copied());
        let _ = inspect::inspect(&bytes);
        if let Ok(parts) = Parts::of(&bytes) {
            prop_assert_eq!([&parts.roots.concat(), parts.manifest, parts.delta].concat(), bytes);
        }
    }
}
