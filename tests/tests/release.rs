//! `passband-ground release`, from keys to the update file: the whole workflow with the real binary, images that are the same
//! from two folders, thresholds, a change of keys, and tampering at each step.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use passband_tests::{binary, json, run, sha256, text};
use serde_json::Value;
use tempfile::TempDir;

const GROUND: &str = "passband-ground";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A folder in which releases are made.
struct Desk(TempDir);

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `release` with words of which those with an `@` are files of this folder; standard output.
    fn ok(&self, words: &str) -> String {
        let (status, out, err) = self.run(words);
        assert_eq!(status, 0, "{words}: {out}{err}");
        out
    }

    /// The same for what is refused: with this exit status and a reason; nothing is left half-written.
    fn refused(&self, words: &str, status: i32, reason: &str) {
        let (had, out, err) = self.run(words);
        assert_eq!(had, status, "{words}: {out}{err}");
        assert!(format!("{out}{err}").contains(reason), "{words}: {reason} isn't in {out}{err}");
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| text(Path::new(name)).starts_with(".passband")).count(), 0);
    }

    fn run(&self, words: &str) -> (i32, String, String) {
        let args = self.args(words);
        let out = run(GROUND, &args.iter().map(String::as_str).collect::<Vec<_>>());
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code().unwrap_or(-1), said(&out.stdout), said(&out.stderr))
    }

    fn json(&self, words: &str) -> Value {
        let args = self.args(&format!("{words} --json"));
        let (value, status) = json(GROUND, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((status, &value["schema"]), (0, &1.into()), "{words}: {value}");
        value
    }

    fn args(&self, words: &str) -> Vec<String> {
        let word = |word: &str| match word.split_once('@') {
            Some((before, name)) => format!("{before}{}", text(&self.path(name))),
            None => word.to_owned(),
        };
        std::iter::once("release".to_owned()).chain(words.split_ascii_whitespace().map(word)).collect()
    }

    /// Flips a bit of a file, into another file.
    fn flipped(&self, from: &str, to: &str, at: usize) {
        let mut bytes = fs::read(self.path(from)).unwrap();
        bytes[at] ^= 1;
        fs::write(self.path(to), bytes).unwrap();
    }
}

/// Keys of five people, a root of two of three and two of two, signed; an old image, a new one, and its deltas.
fn desk() -> Desk {
    let desk = Desk(tempfile::tempdir().unwrap());
    for name in ["ada", "ben", "cai", "dee", "eli"] {
        desk.ok(&format!("keys new {name} --dir @"));
    }
    desk.ok(
        "root new --mission leakwatch --root-key @ada.public --root-key @ben.public --root-key @cai.public \
         --root-threshold 2 --release-key @dee.public --release-key @eli.public --release-threshold 2 --out @1.pbr",
    );
    desk.ok("root sign @1.pbr --key @ada.secret");
    desk.ok("root sign @1.pbr --key @ben.secret");
    // A program that is there anyway, and the same with a few bytes of code changed.
    let mut program = fs::read(binary("passband-launch")).unwrap();
    program.truncate(120_000);
    fs::write(desk.path("old"), &program).unwrap();
    program[60_000..60_012].copy_from_slice(b"another text");
    fs::write(desk.path("new"), &program).unwrap();
    fs::write(desk.path("ch4.csv"), "gas,ch4\n").unwrap();
    desk.ok("build --program @old --file ch4.csv=@ch4.csv --out @old.img");
    desk.ok("build --program @new --file ch4.csv=@ch4.csv --out @new.img");
    desk.ok("delta --to @new.img --from @old.img --full --out @deltas");
    desk
}

fn manifest(desk: &Desk, name: &str, root: &str) {
    desk.ok(&format!(
        "manifest --image @new.img --deltas @deltas --root @{root} --board xcom --name 0.4.1 --version 41 --commit {COMMIT} \
         --state 2:1..2 --launcher 1..1 --built 2026-11-29 --expires 2099-06-30 --out @{name}"
    ));
}

#[test]
fn from_keys_to_an_update_that_a_board_takes() {
    let desk = desk();
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ada.secret"), mode("new.img")), (0o600, 0o755));
    desk.refused("keys new ada --dir @", 2, "there already");
    manifest(&desk, "m", "1.pbr");
    desk.refused("pack @m --deltas @deltas --trust @1.pbr --out @u", 2, "signed by 0 keys");
    assert!(desk.ok("sign @m --key @dee.secret --root @1.pbr").contains("signed 1, wanted 1"));
    assert!(
        desk.ok("sign @m --key @dee.secret --root @1.pbr").contains("signed 1, wanted 1"),
        "one key twice"
    );
    desk.refused(
        "pack @m --deltas @deltas --trust @1.pbr --out @u",
        2,
        "signed by 1 keys of the release role, 2",
    );
    desk.refused("sign @m --key @ada.secret --root @1.pbr", 2, "none of the release keys");
    assert!(!desk.path("u").exists());
    let signed = desk.json("sign @m --key @eli.secret --root @1.pbr");
    assert_eq!((&signed["complete"], &signed["signatures"][0]["wanted"]), (&true.into(), &0.into()));

    let packed = desk.json("pack @m --deltas @deltas --trust @1.pbr --has @old.img --out @u");
    assert_eq!(packed["from"], sha256(&desk.path("old.img")));
    assert_eq!(packed["bytes"], fs::metadata(desk.path("u")).unwrap().len());
    assert!(packed["bytes"].as_u64().unwrap() < 1_000, "{packed}");
    let full = desk.json("pack @m --deltas @deltas --trust @1.pbr --has @new --out @full");
    assert!(full["from"].is_null() && full["delta_bytes"].as_u64() > packed["delta_bytes"].as_u64());

    let verified = desk.json("verify @u --trust @1.pbr --base @old.img --board xcom");
    assert_eq!((&verified["holds"], &verified["refused"]), (&true.into(), &Value::Null));
    desk.ok("verify @full --trust @1.pbr --launcher 1 --state 1 --runs 1:1..2");
    for (more, reason) in [
        ("--base @old.img --board ycom", "another type of board"),
        ("--base @old.img --launcher 2", "needs a launcher"),
        ("--base @old.img --state 3", "reads state"),
        ("--base @old.img --runs 1:1..1", "after a revert"),
        ("--base @old.img --at 2099-07-01", "its time was over"),
        ("--base @new.img", "which isn't given"),
    ] {
        desk.refused(&format!("verify @u --trust @1.pbr {more}"), 1, reason);
    }
    for (file, kind) in
        [("1.pbr", "root"), ("m", "manifest"), ("u", "update"), ("new.img", "image"), ("new", "program")]
    {
        assert_eq!(desk.json(&format!("inspect @{file}"))["kind"], kind, "{file}");
    }
    assert_eq!(desk.json("inspect @ada.public")["name"], "ada");
    let secret = fs::read_to_string(desk.path("ada.secret")).unwrap();
    let seed = secret.split_ascii_whitespace().next_back().unwrap();
    assert!(
        !desk.ok("inspect @ada.secret").contains(seed) && !desk.ok("keys show @ada.secret").contains(seed)
    );
    desk.refused("inspect @ch4.csv", 2, "ch4.csv");
    desk.refused("inspect @none", 2, "none");
}

#[test]
fn the_same_image_comes_of_two_folders() {
    let [one, two] = [(); 2].map(|()| Desk(tempfile::tempdir().unwrap()));
    for (desk, named) in [(&one, "a"), (&two, "somewhere-else")] {
        fs::copy(binary("passband-launch"), desk.path(named)).unwrap();
        fs::write(desk.path("params"), "x = 1\n").unwrap();
        fs::write(desk.path("table"), "1,2\n").unwrap();
    }
    let first = one.json("build --program @a --file p.toml=@params --file t.csv=@table --out @image");
    let second =
        two.json("build --program @somewhere-else --file t.csv=@table --file p.toml=@params --out @image");
    assert_eq!(first, second);
    assert_eq!(fs::read(one.path("image")).unwrap(), fs::read(two.path("image")).unwrap());
    assert_eq!(first["id"], sha256(&one.path("image")));
}

#[test]
fn keys_change_hands_and_boards_that_do_not_know_it_are_told() {
    let desk = desk();
    desk.ok("keys new fay --dir @");
    desk.ok("keys new gil --dir @");
    // Cai's root key is lost, Eli's release key stolen.
    desk.ok(
        "root next @1.pbr --root-key @ada.public --root-key @ben.public --root-key @fay.public --root-threshold 2 \
         --release-key @dee.public --release-key @gil.public --release-threshold 2 --out @2.pbr",
    );
    desk.refused(
        "root next @1.pbr --root-key @ada.public --root-threshold 1 --out @2.pbr",
        2,
        "there already",
    );
    desk.refused("root sign @2.pbr --key @ada.secret", 2, "has to be signed by keys of root 1");
    desk.refused("root sign @2.pbr --key @dee.secret --before @1.pbr", 2, "none of the root keys");
    desk.ok("root sign @2.pbr --key @fay.secret --before @1.pbr");
    desk.ok("root sign @2.pbr --key @ada.secret --before @1.pbr");
    let shown = desk.json("root show @2.pbr --before @1.pbr");
    let wanted = |n: usize| shown["signatures"][n]["wanted"].as_u64();
    assert_eq!((wanted(0), wanted(1)), (Some(1), Some(0)), "{shown}");
    fs::copy(desk.path("2.pbr"), desk.path("early")).unwrap();
    desk.ok("root sign @2.pbr --key @ben.secret --before @1.pbr");
    assert_eq!(desk.json("root show @2.pbr --before @1.pbr")["complete"], true);
    assert!(fs::metadata(desk.path("2.pbr")).unwrap().len() <= 1_024);

    manifest(&desk, "m", "2.pbr");
    desk.refused("sign @m --key @dee.secret --root @1.pbr", 2, "made under root 2");
    desk.refused("sign @m --key @eli.secret --root @2.pbr", 2, "none of the release keys");
    desk.ok("sign @m --key @dee.secret --root @2.pbr");
    desk.ok("sign @m --key @gil.secret --root @2.pbr");
    desk.refused("pack @m --deltas @deltas --trust @1.pbr --out @u", 2, "send the roots between first");
    desk.refused(
        "pack @m --deltas @deltas --trust @1.pbr --root @early --out @u",
        2,
        "signed by 1 keys of the root role",
    );
    desk.ok("pack @m --deltas @deltas --trust @2.pbr --out @u");
    desk.refused("verify @u --trust @1.pbr --base @old.img", 1, "made under root 2");
    desk.ok("pack @m --deltas @deltas --trust @1.pbr --root @2.pbr --out @u");
    desk.ok("verify @u --trust @1.pbr --base @old.img");
    desk.ok("verify @u --trust @2.pbr --base @old.img");
}

#[test]
fn what_was_tampered_with_is_refused_at_each_step() {
    let desk = desk();
    desk.flipped("1.pbr", "bad.pbr", 30);
    desk.refused("root sign @bad.pbr --key @cai.secret", 2, "is wrong");
    desk.refused("root next @bad.pbr --root-key @ada.public --root-threshold 1 --out @2.pbr", 2, "is wrong");
    desk.flipped("old.img", "bad.img", 5_000);
    desk.refused("delta --to @bad.img --full --out @other", 2, "damaged");
    desk.refused("delta --to @new.img --from @bad.img --out @other", 2, "damaged");
    desk.refused("delta --to @old --full --out @other", 2, "no trailer");
    assert!(!desk.path("other").exists());
    manifest(&desk, "m", "1.pbr");
    desk.ok("sign @m --key @dee.secret --root @1.pbr");
    desk.flipped("m", "bad.m", 40);
    desk.refused("sign @bad.m --key @eli.secret --root @1.pbr", 2, "is wrong");
    desk.ok("sign @m --key @eli.secret --root @1.pbr");
    desk.ok("pack @m --deltas @deltas --trust @1.pbr --out @u");
    let packed = fs::metadata(desk.path("u")).unwrap().len();
    let (signed, packed) = (fs::metadata(desk.path("m")).unwrap().len(), usize::try_from(packed).unwrap());
    let signed = usize::try_from(signed).unwrap();
    for (at, reason) in [
        (1, "update file: not a signed file"),
        (60, "manifest: the signature of key"),
        (signed - 1, "manifest: the signature of key"),
        (signed, "delta: its delta isn't one that the manifest names"),
        (packed - 1, "delta: its delta isn't one that the manifest names"),
    ] {
        desk.flipped("u", "bad.u", at);
        desk.refused("verify @bad.u --trust @1.pbr --base @old.img", 1, reason);
    }
    let delta =
        format!("{}-from-{}.pbd", &sha256(&desk.path("new.img"))[..8], &sha256(&desk.path("old.img"))[..8]);
    desk.flipped(&format!("deltas/{delta}"), &format!("deltas/{delta}"), 40);
    desk.refused("pack @m --deltas @deltas --trust @1.pbr --out @v", 2, "digest is another");
    desk.refused(&format!("pack @m --delta @deltas/{delta} --trust @1.pbr --out @v"), 2, "names no delta");
    desk.refused("verify @u --trust @m --base @old.img", 2, "signed, but not a root");
    desk.refused("build --program @ch4.csv --out @x", 2, "not an ELF program");
    desk.refused("build --program @old --file ../x=@ch4.csv --out @x", 2, "can't be a file's name");
    desk.refused("build --program @old --out @no/such/folder", 2, "no/such/folder");
    assert!(!desk.path("x").exists() && !desk.path("v").exists());
}
