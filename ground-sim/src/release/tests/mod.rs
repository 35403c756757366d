//! Releases made and signed, and what is not made. The whole workflow on the command line is tested in `tests/`.

mod tampering;

use std::fs;
use std::path::Path;

use passband_proto::release::envelope::SIGNATURE_BYTES;
use passband_proto::release::image::TRAILER_BYTES;
use passband_proto::release::manifest::{Manifest, StateFormats};
use passband_proto::release::root::Root;
use passband_proto::release::trust::Trust;
use passband_proto::release::{ImageId, Refusal};
use tempfile::TempDir;

use super::images::Part;
use super::keys::{SecretKey, make};
use super::manifests::Said;
use super::roots::{Holders, first, next};
use super::signing::{of_root, sign_manifest, sign_root};
use super::update::{choose, pack, passes};
use super::verify::{Known, verify};
use super::{deltas, id_of, images, inspect, manifests};

/// A mission: a root of two of three and two of two keys, an old image and a new one with its deltas.
struct Mission {
    dir: TempDir,
    root_keys: Vec<SecretKey>,
    release_keys: Vec<SecretKey>,
    root: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

fn key(dir: &Path, name: &str) -> SecretKey {
    let (_, secret, _) = make(name, dir).unwrap();
    SecretKey::read(&secret).unwrap()
}

fn holders(keys: &[&SecretKey], threshold: u8) -> Holders {
    Holders { keys: keys.iter().map(|key| key.public()).collect(), threshold }
}

fn program(dir: &Path, byte: u8) -> std::path::PathBuf {
    let path = dir.join(format!("program-{byte}"));
    let mut code = b"\x7fELF\x02\x01".to_vec();
    code.extend((0..4_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    code[2_000] = byte;
    fs::write(&path, code).unwrap();
    path
}

impl Mission {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = |names: &[&str]| names.iter().map(|name| key(dir.path(), name)).collect::<Vec<_>>();
        let (root_keys, release_keys) = (keys(&["r1", "r2", "r3"]), keys(&["s1", "s2"]));
        let refs = |keys: &[SecretKey], n| Holders {
            keys: keys.iter().map(SecretKey::public).collect(),
            threshold: n,
        };
        let bare = first("leakwatch", &refs(&root_keys, 2), &refs(&release_keys, 2)).unwrap();
        let once = sign_root(&bare, &root_keys[0], None).unwrap().0;
        let root = sign_root(&once, &root_keys[1], None).unwrap().0;
        let image = |byte| images::build(&program(dir.path(), byte), &[]).unwrap();
        let (old, new) = (image(1), image(2));
        deltas::make(&new, &[Some(old.clone()), None], None, dir.path(), &mut |_| {}).unwrap();
        Self { dir, root_keys, release_keys, root, old, new }
    }

    fn root(&self) -> Root {
        Root::first(&self.root).unwrap()
    }

    fn deltas(&self) -> Vec<(passband_proto::release::manifest::DeltaInfo, Vec<u8>)> {
        deltas::list(self.dir.path(), &id_of(&self.new)).unwrap()
    }

    fn manifest(&self, change: impl Fn(&mut Said)) -> Vec<u8> {
        let mut said = said();
        change(&mut said);
        let infos: Vec<_> = self.deltas().into_iter().map(|(info, _)| info).collect();
        let bare = manifests::make(&said, &self.root(), &self.new, &infos).unwrap();
        let sign = |bytes: Vec<u8>, key| sign_manifest(&bytes, key, &self.root()).unwrap().0;
        self.release_keys.iter().fold(bare, sign)
    }

    fn update(&self, base: bool) -> Vec<u8> {
        let delta =
            self.deltas().into_iter().find(|(info, _)| (info.base != ImageId::NONE) == base).unwrap().1;
        let trust = Trust::new(&self.root).unwrap();
        pack(&trust, &[], &self.manifest(|_| {}), &delta).unwrap().0
    }

    fn refusal(&self, update: &[u8], known: &Known) -> Option<String> {
        verify(update, &Trust::new(&self.root).unwrap(), known, std::slice::from_ref(&self.old)).refusal
    }
}

fn said() -> Said {
    Said {
        board: "xcom".to_owned(),
        name: "0.4.1".to_owned(),
        version: 41,
        commit: [0xC0; 20],
        built_unix_s: 1_800_000_000,
        expires_unix_s: Some(1_900_000_000),
        launcher: (1, 2),
        state: StateFormats { writes: 4, least: 3, most: 5 },
    }
}

fn text(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

#[test]
fn a_root_that_can_never_be_signed_or_makes_no_sense_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let keys: Vec<_> = (0..11).map(|n| key(dir.path(), &format!("k{n}"))).collect();
    let all: Vec<_> = keys.iter().collect();
    let why = |root: &Holders, release: &Holders| text(&first("m", root, release).unwrap_err());
    let good = holders(&all[..1], 1);
    assert!(why(&holders(&all[..2], 3), &good).contains("threshold can't be 3"));
    assert!(why(&holders(&all[..2], 0), &good).contains("threshold can't be 0"));
    assert!(why(&good, &holders(&[&keys[0], &keys[0]], 1)).contains("release role has key"));
    assert!(why(&good, &holders(&all[..6], 1)).contains("6 keys, 1 to 5"));
    for mission in ["", "two words", "abcdefghijklmnopqrstuvwxy"] {
        assert!(first(mission, &good, &good).is_err_and(|e| text(&e).contains("mission")), "{mission}");
    }
    let five = |n: usize| holders(&all[n..n + 5], 5);
    let bare = first("m", &five(0), &five(0)).unwrap();
    let signed = keys[..5].iter().fold(bare, |bytes, key| sign_root(&bytes, key, None).unwrap().0);
    let before = Root::first(&signed).unwrap();
    assert!(text(&next(&before, Some(&five(5)), None).unwrap_err()).contains("two steps"));
    assert!(text(&next(&before, None, Some(&five(0))).unwrap_err()).contains("neither keys"));
    let half = holders(&[&keys[0], &keys[1], &keys[2], &keys[3], &keys[6]], 5);
    next(&before, Some(&half), None).unwrap();
}

#[test]
fn who_still_has_to_sign_is_told_for_old_and_new_keys() {
    let mission = Mission::new();
    let before = mission.root();
    let fresh = key(mission.dir.path(), "fresh");
    let [r1, r2, r3] = mission.root_keys.as_slice() else { panic!("three keys") };
    let bare = next(&before, Some(&holders(&[r1, r2, &fresh], 2)), None).unwrap();
    let wanted = |bytes: &[u8]| {
        let (_, all) = of_root(bytes, Some(&before)).unwrap();
        all.iter().map(super::signing::Standing::wanted).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&bare), [2, 2]);
    let one = sign_root(&bare, r3, Some(&before)).unwrap().0;
    assert_eq!(wanted(&one), [1, 2], "a key that goes counts for the old root only");
    let two = sign_root(&one, r1, Some(&before)).unwrap().0;
    assert_eq!(wanted(&two), [0, 1]);
    let again = sign_root(&two, r1, Some(&before)).unwrap().0;
    assert_eq!(wanted(&again), [0, 1], "one key counts once");
    assert!(before.next(&two).is_err());
    let three = sign_root(&two, &fresh, Some(&before)).unwrap().0;
    assert_eq!(before.next(&three).unwrap().version, 2);

    assert!(text(&sign_root(&two, &fresh, None).unwrap_err()).contains("name that one"));
    let foreign = &mission.release_keys[0];
    assert!(text(&sign_root(&two, foreign, Some(&before)).unwrap_err()).contains("none of the root keys"));
    assert!(text(&of_root(&mission.root, Some(&before)).unwrap_err()).contains("doesn't follow"));
}

#[test]
fn nobody_signs_beside_a_wrong_signature_but_who_made_it() {
    let mission = Mission::new();
    let root = mission.root();
    let [s1, s2] = mission.release_keys.as_slice() else { panic!("two keys") };
    let infos: Vec<_> = mission.deltas().into_iter().map(|(info, _)| info).collect();
    let bare = manifests::make(&said(), &root, &mission.new, &infos).unwrap();
    let mut once = sign_manifest(&bare, s1, &root).unwrap().0;
    *once.last_mut().unwrap() ^= 1;
    assert!(text(&sign_manifest(&once, s2, &root).unwrap_err()).contains("is wrong"));
    assert_eq!(sign_manifest(&once, s1, &root).unwrap().1.wanted(), 1);
    let foreign = &mission.root_keys[0];
    assert!(text(&sign_manifest(&bare, foreign, &root).unwrap_err()).contains("none of the release keys"));
    let of_other = Root { mission: "other".try_into().unwrap(), ..root.clone() };
    assert!(text(&sign_manifest(&bare, s1, &of_other).unwrap_err()).contains("another mission"));
    assert!(text(&sign_manifest(&mission.root, s1, &root).unwrap_err()).contains("not a manifest"));
    let later = manifests::make(&said(), &Root { version: 2, ..root.clone() }, &mission.new, &infos).unwrap();
    assert!(text(&sign_manifest(&later, s1, &root).unwrap_err()).contains("made under root 2"));
}

#[test]
fn an_image_hangs_on_nothing_but_its_bytes() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let built = |dir: &Path, order: [&str; 2]| {
        let part = |name: &str| {
            let path = dir.join(name).with_extension("on-this-disk");
            fs::write(&path, format!("what {name} holds")).unwrap();
            Part { name: name.to_owned(), path }
        };
        images::build(&program(dir, 1), &order.map(part)).unwrap()
    };
    let image = built(one.path(), ["a", "b"]);
    assert_eq!(image, built(two.path(), ["b", "a"]));
    let told = images::facts(&image).unwrap().json();
    assert_eq!((&told["files"][0]["name"], &told["files"][1]["bytes"]), (&"a".into(), &12.into()));
    let path = |name: &str, bytes: &[u8]| {
        fs::write(one.path().join(name), bytes).unwrap();
        one.path().join(name)
    };
    let why = |program: &Path, parts: &[Part]| text(&images::build(program, parts).unwrap_err());
    assert!(why(&path("image", &image), &[]).contains("image already"));
    assert!(why(&path("script", b"#!/bin/sh"), &[]).contains("not an ELF"));
    let part = |name: &str| Part { name: name.to_owned(), path: one.path().join("script") };
    assert!(why(&program(one.path(), 1), &[part("../x")]).contains("'../x'"));
    assert!(why(&program(one.path(), 1), &[part("x"), part("x")]).contains("one name"));
    assert!(why(&one.path().join("none"), &[]).contains("none"));
    for at in [0, 100, image.len() - TRAILER_BYTES - 1, image.len() - 1] {
        let mut damaged = image.clone();
        damaged[at] ^= 4;
        assert!(images::proved(&damaged).is_err(), "byte {at}");
    }
    assert!(images::proved(&image[..image.len() - 1]).is_err_and(|e| text(&e).contains("no trailer")));
}

#[test]
fn a_delta_is_taken_only_as_it_is_listed() {
    let mission = Mission::new();
    let (dir, id) = (mission.dir.path(), id_of(&mission.new));
    let list = dir.join(format!("{id:.8}-deltas.json"));
    let good = fs::read_to_string(&list).unwrap();
    let why = |from: &str, to: &str| {
        fs::write(&list, good.replacen(from, to, 1)).unwrap();
        let error = text(&deltas::list(dir, &id).unwrap_err());
        fs::write(&list, &good).unwrap();
        error
    };
    assert!(why(&format!("{id:.8}-from"), "../x-from").contains("not the name of a file"));
    assert!(why("\"schema\": 1", "\"schema\": 2").contains("schema 2"));
    assert!(why(&id.to_string(), &"0".repeat(64)).contains("another image"));
    assert!(why("\"bytes\": ", "\"bytes\": 1").contains("length"));
    assert!(why("\"base\": \"", "\"base\": \"x").contains("base of"));
    assert!(why("\"base\"", "\"bass\"").contains("bass"));
    let file = dir.join(format!("{id:.8}-full.pbd"));
    fs::write(&file, b"other").unwrap();
    assert!(text(&deltas::list(dir, &id).unwrap_err()).contains("digest is another"));
    let made = |bases: &[Option<Vec<u8>>]| deltas::make(&mission.new, bases, None, dir, &mut |_| {});
    assert!(text(&made(&[None, None]).unwrap_err()).contains("twice"));
    assert!(text(&made(&[Some(mission.new.clone())]).unwrap_err()).contains("very image"));
    assert!(made(&[]).is_err());
}

#[test]
fn a_manifest_that_makes_no_sense_is_not_made() {
    let mission = Mission::new();
    let infos: Vec<_> = mission.deltas().into_iter().map(|(info, _)| info).collect();
    let why = |change: &dyn Fn(&mut Said)| {
        let mut said = said();
        change(&mut said);
        text(&manifests::make(&said, &mission.root(), &mission.new, &infos).unwrap_err())
    };
    assert!(why(&|said| said.board = "two words".to_owned()).contains("board"));
    assert!(why(&|said| said.name = String::new()).contains("name"));
    assert!(why(&|said| said.version = 0).contains("version"));
    assert!(why(&|said| said.expires_unix_s = Some(1_700_000_000)).contains("before it was built"));
    assert!(why(&|said| said.launcher = (2, 1)).contains("launchers"));
    assert!(why(&|said| said.state.writes = 9).contains("state format"));
    assert!(manifests::make(&said(), &mission.root(), &mission.new, &[]).is_err());
}

#[test]
fn the_shortest_delta_that_can_be_used_goes_up() {
    let mission = Mission::new();
    let manifest = manifests::claimed(&mission.manifest(|_| {})).unwrap();
    let [from_old, full] = [0, 1].map(|n: usize| manifest.deltas[n]);
    assert!(from_old.bytes < full.bytes);
    assert_eq!(choose(&manifest, None), Ok(from_old.digest));
    assert_eq!(choose(&manifest, Some(&[id_of(&mission.old)])), Ok(from_old.digest));
    assert_eq!(choose(&manifest, Some(&[])), Ok(full.digest));
    let without = Manifest { deltas: heapless::Vec::from_slice(&[from_old]).unwrap(), ..manifest };
    assert_eq!(choose(&without, Some(&[id_of(&mission.new)])), Err(Refusal::Base));
    assert!((passes(720_000) - 2.0).abs() < 1e-9);
}

#[test]
fn what_is_packed_holds_and_what_would_be_refused_is_not_packed() {
    let mission = Mission::new();
    for base in [true, false] {
        let update = mission.update(base);
        assert_eq!(mission.refusal(&update, &Known::default()), None);
        let told = inspect::inspect(&update).unwrap().json();
        assert_eq!((&told["kind"], &told["version"]), (&"update".into(), &41.into()));
        assert_eq!(told["delta_is_named"], true);
    }
    let trust = Trust::new(&mission.root).unwrap();
    let delta = &mission.deltas()[0].1;
    let mut once = mission.manifest(|_| {});
    once.truncate(once.len() - SIGNATURE_BYTES);
    let counted = once.len() - SIGNATURE_BYTES - 1;
    once[counted] = 1;
    let why = |manifest: &[u8], delta: &[u8]| text(&pack(&trust, &[], manifest, delta).unwrap_err());
    assert!(why(&once, delta).contains("signed by 1 keys of the release role, 2 wanted"));
    assert!(why(&mission.manifest(|_| {}), b"other").contains("names no delta"));
    assert!(why(&mission.root, delta).contains("not a manifest"));
}
