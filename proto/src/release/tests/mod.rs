//! What is believed. The attacks, each refused with its own reason, stand in a file of their own.

mod attacks;
mod images;

use heapless::Vec as Few;
use proptest::prelude::*;

use super::envelope::{Envelope, KeyId, Kind, SIGNATURE_BYTES, add_signature, public_key, seal};
use super::manifest::{DeltaInfo, Manifest, StateFormats};
use super::root::{MAX_ROOT_BYTES, Role, Root};
use super::trust::{Approved, Board, Trust};
use super::{ImageId, Refusal};

const ROOT_KEYS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];
const RELEASE_KEYS: [[u8; 32]; 3] = [[11; 32], [12; 32], [13; 32]];
const NOW: u64 = 1_800_000_000;

fn role(name: &'static str, threshold: u8, secrets: &[[u8; 32]]) -> Role {
    Role { name, threshold, keys: secrets.iter().map(public_key).collect() }
}

fn root(version: u32, root_keys: &[[u8; 32]], release_keys: &[[u8; 32]]) -> Root {
    Root {
        version,
        mission: "leakwatch".try_into().unwrap(),
        root: role("root", 2, root_keys),
        release: role("release", 2, release_keys),
    }
}

fn signed(kind: Kind, body: &[u8], secrets: &[[u8; 32]]) -> Vec<u8> {
    let bare = seal(kind, body).unwrap();
    secrets.iter().fold(bare, |envelope, secret| add_signature(&envelope, secret).unwrap())
}

fn first_root() -> Vec<u8> {
    signed(Kind::Root, &root(1, &ROOT_KEYS, &RELEASE_KEYS).body(), &ROOT_KEYS[..2])
}

fn trust() -> Trust {
    Trust::new(&first_root()).unwrap()
}

fn manifest(version: u64, image: u8) -> Manifest {
    let delta =
        |base, digest, bytes| DeltaInfo { base: ImageId([base; 32]), digest: ImageId([digest; 32]), bytes };
    Manifest {
        root: 1,
        mission: "leakwatch".try_into().unwrap(),
        board: "jetson-tx2i".try_into().unwrap(),
        name: "0.4.1".try_into().unwrap(),
        version,
        commit: [0xC0; 20],
        built_unix_s: NOW - 1_000,
        expires_unix_s: Some(NOW + 1_000),
        launcher: (1, 2),
        state: StateFormats { writes: 4, least: 3, most: 5 },
        image: ImageId([image; 32]),
        image_bytes: 3_600_000,
        deltas: Few::from_slice(&[delta(0, 90, 1_100_000), delta(7, 91, 650), delta(8, 92, 6_000)]).unwrap(),
    }
}

fn release(manifest: &Manifest) -> Vec<u8> {
    signed(Kind::Manifest, &manifest.body(), &RELEASE_KEYS[..2])
}

fn board() -> Board<'static> {
    let runs = StateFormats { writes: 4, least: 3, most: 5 };
    Board { kind: "jetson-tx2i", launcher: 1, state: 4, runs, now_unix_s: Some(NOW) }
}

fn confirmed(version: u64, image: u8) -> (Trust, Approved) {
    let mut trust = trust();
    let approved = trust.check(&release(&manifest(version, image)), &board()).unwrap();
    trust.confirm(&approved, Some(NOW));
    (trust, approved)
}

fn id(secret: [u8; 32]) -> KeyId {
    KeyId::of(&public_key(&secret))
}

#[test]
fn a_release_signed_by_enough_keys_is_believed_and_says_what_was_written() {
    let wanted = manifest(7, 70);
    let approved = trust().check(&release(&wanted), &board()).unwrap();
    assert_eq!(approved.manifest, wanted);
    assert_eq!(approved.signers.as_slice(), [id(RELEASE_KEYS[0]), id(RELEASE_KEYS[1])]);
    assert!(release(&wanted).len() < 600, "{}", release(&wanted).len());
}

#[test]
fn what_is_believed_comes_back_from_what_is_kept() {
    let (trust, _) = confirmed(7, 70);
    let kept = Trust::decode(&trust.encode()).unwrap();
    assert_eq!(kept, trust);
    assert_eq!(kept.confirmed(), 7);
}

#[test]
fn a_version_that_was_only_seen_bars_nothing() {
    let trust = trust();
    trust.check(&release(&manifest(9, 90)), &board()).unwrap();
    assert!(trust.check(&release(&manifest(7, 70)), &board()).is_ok());
}

#[test]
fn a_root_hands_over_in_less_than_a_kilobyte() {
    let mut trust = trust();
    let (new_root, new_release) = ([[1; 32], [5; 32], [6; 32]], [[31; 32], [32; 32], [33; 32]]);
    let body = root(2, &new_root, &new_release).body();
    let next = signed(Kind::Root, &body, &[ROOT_KEYS[0], ROOT_KEYS[1], new_root[1]]);
    assert!(next.len() <= MAX_ROOT_BYTES, "{} bytes", next.len());
    trust.rotate(&next).unwrap();
    trust.rotate(&next).unwrap();
    assert_eq!(trust.root().version, 2);
    assert_eq!(Trust::decode(&trust.encode()), Ok(trust.clone()));
    // Many at most: five keys each, thresholds of three, none of the old ones stays.
    let (old, new): (Vec<_>, Vec<_>) =
        ((40..45).map(|n| [n; 32]).collect(), (50..55).map(|n| [n; 32]).collect());
    let wide = |version, keys: &[[u8; 32]]| {
        let mut wide = root(version, keys, keys);
        (wide.root.threshold, wide.release.threshold) = (3, 3);
        wide.body()
    };
    let mut trust = Trust::new(&signed(Kind::Root, &wide(1, &old), &old[..3])).unwrap();
    let step = signed(Kind::Root, &wide(2, &new), &[&old[..3], &new[..3]].concat());
    assert!(step.len() <= MAX_ROOT_BYTES, "{} bytes", step.len());
    trust.rotate(&step).unwrap();
}

#[test]
fn a_release_under_a_root_to_come_says_that_it_is_missing() {
    let fresh = [[21; 32], [22; 32]];
    let new = Manifest { root: 3, ..manifest(8, 80) };
    let bytes = signed(Kind::Manifest, &new.body(), &fresh);
    assert_eq!(trust().check(&bytes, &board()), Err(Refusal::RootUnknown { version: 3, believed: 1 }));
}

#[test]
fn no_more_signatures_than_there_is_room_for() {
    let mut envelope = seal(Kind::Manifest, &manifest(7, 70).body()).unwrap();
    for n in 0..16 {
        envelope = add_signature(&envelope, &[100 + n; 32]).unwrap();
    }
    let again = add_signature(&envelope, &[100; 32]).unwrap();
    assert_eq!(again.len(), envelope.len(), "a key signs once");
    assert!(add_signature(&envelope, &[99; 32]).is_err());
}

#[test]
fn the_ratchets_keep_room_for_all_keys_of_a_root() {
    let mut trust = trust();
    for version in 1..40 {
        let keys = [[100 + u8::try_from(version).unwrap(); 32], [200; 32]];
        let next = signed(Kind::Root, &root(version + 1, &ROOT_KEYS, &keys).body(), &ROOT_KEYS[..2]);
        trust.rotate(&next).unwrap();
        let new = Manifest { root: version + 1, ..manifest(u64::from(version), 1) };
        let approved = trust.check(&signed(Kind::Manifest, &new.body(), &keys), &board()).unwrap();
        trust.confirm(&approved, None);
        assert_eq!(trust.confirmed(), u64::from(version));
        assert!(trust.encode().len() <= super::trust::MAX_TRUST_BYTES);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Trust::new(&bytes);
        let _ = Trust::decode(&bytes);
        let _ = Manifest::read(&bytes);
        let _ = Root::read(&bytes);
        let _ = trust().check(&bytes, &board());
    }

    #[test]
    fn what_is_read_is_what_was_written(version: u64, image: u8, deltas in 0..8_usize, at in 0..200_usize, flip: u8) {
        let mut manifest = manifest(version, image);
        manifest.deltas = (0..deltas)
            .map(|n| DeltaInfo {
                base: ImageId([image; 32]),
                digest: ImageId([u8::try_from(n).unwrap(); 32]),
                bytes: 1 + u32::try_from(n).unwrap(),
            })
            .collect();
        let mut body = manifest.body();
        prop_assert_eq!(Manifest::read(&body), Ok(manifest));
        if let Some(byte) = body.get_mut(at) {
            *byte ^= flip;
        }
        if let Ok(read) = Manifest::read(&body) {
            prop_assert_eq!(read.body(), body);
        }
    }
}
