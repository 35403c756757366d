//! Attacks on releases, by the names that The Update Framework gives them (TUF specification 1.0.33, §1.5.2); each is
//! refused with its own reason.

use super::*;

#[test]
fn attack_forged_signature() {
    let mut forged = release(&manifest(7, 70));
    let at = forged.len() - 1;
    forged[at] ^= 1;
    assert_eq!(trust().check(&forged, &board()), Err(Refusal::Forged { key: id(RELEASE_KEYS[1]) }));
    let unsigned = seal(Kind::Manifest, &manifest(7, 70).body()).unwrap();
    let none = Refusal::Threshold { role: "release", signed: 0, wanted: 2 };
    assert_eq!(trust().check(&unsigned, &board()), Err(none));
}

#[test]
fn attack_threshold_by_one_key_twice() {
    let once = signed(Kind::Manifest, &manifest(7, 70).body(), &RELEASE_KEYS[..1]);
    let (head, pair) = once.split_at(once.len() - SIGNATURE_BYTES);
    let mut twice = head.to_vec();
    *twice.last_mut().unwrap() = 2;
    twice.extend_from_slice(pair);
    twice.extend_from_slice(pair);
    assert_eq!(trust().check(&twice, &board()), Err(Refusal::Twice { key: id(RELEASE_KEYS[0]) }));
    let few = Refusal::Threshold { role: "release", signed: 1, wanted: 2 };
    assert_eq!(trust().check(&once, &board()), Err(few));
}

#[test]
fn attack_threshold_by_a_key_listed_twice_in_the_root() {
    let doubled = root(1, &[ROOT_KEYS[0], ROOT_KEYS[0], ROOT_KEYS[1]], &RELEASE_KEYS);
    let bytes = signed(Kind::Root, &doubled.body(), &ROOT_KEYS[..2]);
    assert_eq!(Trust::new(&bytes), Err(Refusal::Field("root role")));
}

#[test]
fn attack_keys_of_another_role() {
    let by_root = signed(Kind::Manifest, &manifest(7, 70).body(), &ROOT_KEYS);
    let none = Refusal::Threshold { role: "release", signed: 0, wanted: 2 };
    assert_eq!(trust().check(&by_root, &board()), Err(none));
    let by_release = signed(Kind::Root, &root(2, &ROOT_KEYS, &RELEASE_KEYS).body(), &RELEASE_KEYS);
    let none = Refusal::Threshold { role: "root", signed: 0, wanted: 2 };
    assert_eq!(trust().rotate(&by_release), Err(none));
}

#[test]
fn attack_roll_back_to_a_version_before_the_confirmed_one() {
    let (trust, _) = confirmed(7, 70);
    let older = Refusal::Older { version: 6, confirmed: 7 };
    assert_eq!(trust.check(&release(&manifest(6, 60)), &board()), Err(older.clone()));
    assert!(trust.check(&release(&manifest(7, 70)), &board()).is_ok(), "the same again is no roll-back");
    assert!(trust.check(&release(&manifest(8, 80)), &board()).is_ok());
    // One of its keys is enough.
    let mixed = signed(Kind::Manifest, &manifest(6, 60).body(), &RELEASE_KEYS[1..]);
    assert_eq!(trust.check(&mixed, &board()), Err(older));
}

#[test]
fn attack_freeze_by_a_release_whose_time_is_over() {
    let late = Board { now_unix_s: Some(NOW + 1_000), ..board() };
    let over = Refusal::Expired { at_unix_s: NOW + 1_000 };
    assert_eq!(trust().check(&release(&manifest(7, 70)), &late), Err(over.clone()));
    let without_clock = Board { now_unix_s: None, ..board() };
    assert!(trust().check(&release(&manifest(7, 70)), &without_clock).is_ok());
    // A clock that was set back doesn't help: the latest time that was believed counts.
    let (mut trust, approved) = confirmed(6, 60);
    trust.confirm(&approved, Some(NOW + 1_000));
    let set_back = Board { now_unix_s: Some(5), ..board() };
    for board in [without_clock, set_back] {
        assert_eq!(trust.check(&release(&manifest(7, 70)), &board), Err(over.clone()));
    }
}

#[test]
fn attack_fast_forward_is_undone_by_a_root_without_the_stolen_keys() {
    let (mut trust, _) = confirmed(u64::MAX, 66);
    let older = Refusal::Older { version: 8, confirmed: u64::MAX };
    assert_eq!(trust.check(&release(&manifest(8, 80)), &board()), Err(older));
    let fresh = [[21; 32], [22; 32], [13; 32]];
    let next = signed(Kind::Root, &root(2, &ROOT_KEYS, &fresh).body(), &ROOT_KEYS[..2]);
    trust.rotate(&next).unwrap();
    let new = Manifest { root: 2, ..manifest(8, 80) };
    let by_fresh = signed(Kind::Manifest, &new.body(), &fresh[..2]);
    assert!(trust.check(&by_fresh, &board()).is_ok());
    let by_stolen = Refusal::Threshold { role: "release", signed: 0, wanted: 2 };
    assert_eq!(trust.check(&release(&manifest(8, 80)), &board()), Err(by_stolen));
}

#[test]
fn attack_mix_and_match() {
    // The version stays, the image is another one.
    let (trust, _) = confirmed(7, 70);
    let other = Refusal::SameVersion { version: 7 };
    assert_eq!(trust.check(&release(&manifest(7, 71)), &board()), Err(other));
    // Signatures of one manifest under another.
    let (one, two) = (release(&manifest(8, 80)), release(&manifest(9, 90)));
    let cut = one.len() - 2 * SIGNATURE_BYTES;
    let mixed = [&one[..cut], &two[cut..]].concat();
    assert_eq!(trust.check(&mixed, &board()), Err(Refusal::Forged { key: id(RELEASE_KEYS[0]) }));
    // A manifest as a root.
    let as_root = signed(Kind::Manifest, &root(2, &ROOT_KEYS, &RELEASE_KEYS).body(), &ROOT_KEYS);
    assert_eq!(trust.clone().rotate(&as_root), Err(Refusal::Kind { wanted: "root" }));
    let mut renamed = as_root;
    renamed[3] = Kind::Root as u8;
    assert_eq!(trust.clone().rotate(&renamed), Err(Refusal::Forged { key: id(ROOT_KEYS[0]) }));
}

#[test]
fn attack_wrong_base() {
    let manifest = manifest(7, 70);
    let has = |image: u8| move |base: &ImageId| *base == ImageId([image; 32]);
    assert_eq!(manifest.delta(has(7)).map(|delta| delta.bytes), Some(650));
    assert_eq!(
        manifest.delta(has(9)).map(|delta| delta.bytes),
        Some(1_100_000),
        "the whole image always goes"
    );
    let mut without = manifest.clone();
    without.deltas.remove(0);
    assert_eq!(without.delta(has(9)), None);
    assert_eq!(without.delta(|_| true).map(|delta| delta.bytes), Some(650), "the shortest of all");
}

#[test]
fn attack_truncated_signature_coverage() {
    let good = release(&manifest(7, 70));
    // Whatever byte before the signatures is another one, it isn't covered by them any more.
    for at in 0..good.len() - 2 * SIGNATURE_BYTES {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        assert!(trust().check(&bad, &board()).is_err(), "byte {at}");
    }
    for cut in 0..good.len() {
        assert!(matches!(trust().check(&good[..cut], &board()), Err(Refusal::Shape(_))), "{cut} bytes");
    }
    let mut longer = good;
    longer.push(0);
    let follows = Refusal::Shape("something follows the last signature");
    assert_eq!(trust().check(&longer, &board()), Err(follows));
}

#[test]
fn attack_another_mission_board_launcher_or_state() {
    let check =
        |manifest: &Manifest, board: &Board<'_>| trust().check(&release(manifest), board).unwrap_err();
    let good = manifest(7, 70);
    let elsewhere = Manifest { mission: "weather".try_into().unwrap(), ..good.clone() };
    assert_eq!(check(&elsewhere, &board()), Refusal::Mission);
    assert_eq!(check(&good, &Board { kind: "jetson-nano", ..board() }), Refusal::Board);
    let launcher = Refusal::Launcher { has: 3, least: 1, most: 2 };
    assert_eq!(check(&good, &Board { launcher: 3, ..board() }), launcher);
    let unread = Refusal::State { format: 6, least: 3, most: 5, back: false };
    assert_eq!(check(&good, &Board { state: 6, ..board() }), unread);
    let runs = StateFormats { writes: 3, least: 2, most: 3 };
    let no_way_back = Refusal::State { format: 4, least: 2, most: 3, back: true };
    assert_eq!(check(&good, &Board { runs, ..board() }), no_way_back);
    let future = Manifest { root: 2, ..good };
    assert_eq!(check(&future, &board()), Refusal::RootUnknown { version: 2, believed: 1 });
}

#[test]
fn attack_a_root_that_skips_goes_back_or_lacks_either_side() {
    let next = |version| root(version, &[[4; 32], [5; 32], [6; 32]], &RELEASE_KEYS).body();
    let both = [ROOT_KEYS[0], ROOT_KEYS[1], [4; 32], [5; 32]];
    let refusal = |bytes: &[u8]| trust().rotate(bytes).unwrap_err();
    for version in [0, 1, 3, u32::MAX] {
        let skips = Refusal::NotNext { version, believed: 1 };
        assert_eq!(refusal(&signed(Kind::Root, &next(version), &both)), skips);
    }
    let few = |signed| Refusal::Threshold { role: "root", signed, wanted: 2 };
    assert_eq!(refusal(&signed(Kind::Root, &next(2), &both[2..])), few(0), "the old keys");
    assert_eq!(refusal(&signed(Kind::Root, &next(2), &both[..3])), few(1), "the new keys");
    let elsewhere = Root { mission: "weather".try_into().unwrap(), ..root(2, &ROOT_KEYS, &RELEASE_KEYS) };
    assert_eq!(refusal(&signed(Kind::Root, &elsewhere.body(), &ROOT_KEYS)), Refusal::Mission);
}

#[test]
fn attack_small_order_keys_and_malleable_signatures() {
    // The neutral element as a key: a lax verifier takes R = A = 1, s = 0 for any message (RFC 8032 §5.1.7, no cofactor).
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = Role { name: "release", threshold: 1, keys: Few::from_slice(&[neutral]).unwrap() };
    let mut bytes = seal(Kind::Manifest, b"anything").unwrap();
    *bytes.last_mut().unwrap() = 1;
    bytes.extend_from_slice(&KeyId::of(&neutral).0);
    bytes.extend_from_slice(&neutral);
    bytes.extend_from_slice(&[0; 32]);
    let forged = Refusal::Forged { key: KeyId::of(&neutral) };
    assert_eq!(Envelope::whole(&bytes).unwrap().verify(Kind::Manifest, &weak).unwrap_err(), forged);
    // s + L in place of s.
    let good = signed(Kind::Manifest, b"anything", &RELEASE_KEYS[..1]);
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut bad, mut carry) = (good.clone(), 0);
    let from = good.len() - 32;
    for (byte, add) in bad[from..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    let one = role("release", 1, &RELEASE_KEYS[..1]);
    assert!(Envelope::whole(&good).unwrap().verify(Kind::Manifest, &one).is_ok());
    let forged = Refusal::Forged { key: id(RELEASE_KEYS[0]) };
    assert_eq!(Envelope::whole(&bad).unwrap().verify(Kind::Manifest, &one).unwrap_err(), forged);
}
