use std::os::unix::ffi::OsStringExt;

use super::*;

const LIMITS: Limits = Limits { settle_ms: 2_000, orphan_ms: 60_000, max_frame_bytes: 1_000_000 };

fn file(name: impl Into<OsString>, bytes: u64) -> Entry {
    Entry { name: name.into(), kind: Kind::File, bytes, changed_ns: 1, inode: 1 }
}

fn frame(name: &str, header: &str, data: &str) -> Vec<Action> {
    vec![Action::Take(FrameFiles { name: name.into(), header: header.into(), data: data.into() })]
}

/// Looks at the same listing at each time; every header describes 100 bytes.
fn looks(listing: &[Entry], times: &[u64]) -> Vec<Action> {
    let mut camera = Camera::new(LIMITS);
    times.iter().flat_map(|t| camera.look(*t, listing.to_vec(), |_| Ok(100))).collect()
}

fn refusal(listing: &[Entry]) -> (String, Vec<OsString>, String) {
    assert_eq!(looks(listing, &[0, 200, 1_999]), [], "must wait until it is quiet");
    match looks(listing, &[0, 2_000]).as_slice() {
        [Action::Refuse { name, files, reason }] => (name.clone(), files.clone(), reason.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_frame_is_taken_at_the_second_look() {
    for (data, header, name) in [
        ("a.bil", "a.hdr", "a"),
        ("a.BSQ", "a.HDR", "a"),
        ("a", "a.hdr", "a"),
        ("a.img", "a.img.hdr", "a"),
        ("a.v2", "a.v2.hdr", "a.v2"),
    ] {
        let listing = [file(data, 100), file(header, 50)];
        assert_eq!(looks(&listing, &[0, 19]), []);
        assert_eq!(looks(&listing, &[0, 200]), frame(name, header, data));
    }
}

#[test]
fn a_growing_file_is_waited_for() {
    let mut camera = Camera::new(LIMITS);
    let mut look = |t, bytes| camera.look(t, vec![file("a.bil", bytes), file("a.hdr", 5)], |_| Ok(100));
    assert_eq!(look(0, 10), []);
    assert_eq!(look(1_900, 50), []);
    assert_eq!(look(3_800, 99), [], "it grew 1.9 s ago");
    assert_eq!(look(3_900, 100), [], "it changed since the last look");
    assert_eq!(look(4_000, 100), frame("a", "a.hdr", "a.bil"));
}

#[test]
fn what_never_becomes_a_frame_is_refused_with_a_reason() {
    let (name, files, reason) = refusal(&[file("a.bil", 99), file("a.hdr", 5)]);
    assert_eq!((name.as_str(), files), ("a", vec!["a.bil".into(), "a.hdr".into()]));
    assert_eq!(reason, "the header describes 100 bytes, the data file has 99");
    assert!(refusal(&[file("a.hdr", 5)]).2.contains("no data file"));
    assert!(refusal(&[file("a.bil", 100), file("a.img", 100), file("a.hdr", 5)]).2.contains("2 data files"));
    assert!(refusal(&[file("a.bil", 100), file("a.hdr", 2 << 20)]).2.contains("a header of 2097152 bytes"));
    assert!(refusal(&[file("a.bil", 1_000_001), file("a.hdr", 5)]).2.contains("at most 1000000"));
    let mut link = file("a.bil", 100);
    link.kind = Kind::Other("a symbolic link");
    assert!(refusal(&[link, file("a.hdr", 5)]).2.contains("a symbolic link, not a regular file"));
}

#[test]
fn a_header_that_lies_is_asked_once_and_refused() {
    let mut camera = Camera::new(LIMITS);
    let mut asked = 0;
    let mut actions = Vec::new();
    for t in [0, 1_000, 2_000] {
        actions = camera.look(t, vec![file("a.bil", 9), file("a.hdr", 5)], |_| {
            asked += 1;
            Err("`samples` is missing".into())
        });
    }
    assert!(matches!(&actions[..], [Action::Refuse { reason, .. }] if reason == "`samples` is missing"));
    assert_eq!(asked, 1);
}

#[test]
fn odd_names_are_refused() {
    let odd = OsString::from_vec(b"fr\xffame.hdr".to_vec());
    let data = OsString::from_vec(b"fr\xffame.bil".to_vec());
    let (name, files, reason) = refusal(&[file(data, 100), file(odd, 5)]);
    assert!(name == "fr_ame" && files.len() == 2 && reason.contains("not UTF-8"), "{name} {reason}");
    let (name, _, reason) = refusal(&[file("a\nb.bil", 100), file("a\nb.hdr", 5)]);
    assert!(name == "a_b" && reason.contains("characters"), "{reason}");
    let long = "n".repeat(200);
    assert!(refusal(&[file(format!("{long}.bil"), 100), file(format!("{long}.hdr"), 5)]).0.len() <= 100);
}

#[test]
fn strangers_wait_longer_and_hidden_files_are_passed_over() {
    let strangers = [file("notes.txt", 1), file(".x.hdr", 1), file("b.bil.part", 9), file("c.TMP", 9)];
    assert_eq!(looks(&strangers, &[0, 59_999]), []);
    let actions = looks(&strangers, &[0, 60_000]);
    assert!(matches!(&actions[..], [Action::Refuse { files, .. }] if *files == ["notes.txt"]));
    let mut pipe = file("pipe", 0);
    pipe.kind = Kind::Other("a pipe");
    assert_eq!(looks(&[pipe], &[0, 2_000]).len(), 1);
}

#[test]
fn what_the_disk_cannot_tell_anything_of_is_waited_for() {
    let times = [0, 2_000, 100_000];
    let [data, header] = [file("a.bil", 100), file("a.hdr", 5)];
    assert_eq!(looks(&[Entry::unknown("a.bil".into()), header.clone()], &times), []);
    assert_eq!(looks(&[data, Entry::unknown("a.hdr".into())], &times), []);
    assert_eq!(looks(&[Entry::unknown("lone".into())], &times), []);
    assert!(refusal(&[header]).2.contains("no data file"));
}

#[test]
fn a_deferred_frame_is_left_alone_for_a_while() {
    let mut camera = Camera::new(LIMITS);
    let listing = || vec![file("a.bil", 100), file("a.hdr", 5)];
    camera.look(0, listing(), |_| Ok(100));
    camera.defer("a.hdr", 9_000);
    assert_eq!(camera.look(1_000, listing(), |_| Ok(100)), []);
    assert_eq!(camera.look(8_999, listing(), |_| Ok(100)), []);
    assert_eq!(camera.look(9_000, listing(), |_| Ok(100)), frame("a", "a.hdr", "a.bil"));
}
#[test]
fn folders_are_left_alone_and_told_once() {
    let folder = |name: &str| Entry { kind: Kind::Other(FOLDER), ..file(name, 0) };
    let mut camera = Camera::new(LIMITS);
    for (t, new) in [(0, vec!["a.bil", "d.hdr"]), (2_000, vec![]), (700_000, vec![])] {
        let listing = ["lost+found", "a.bil", "d.hdr", ".hidden"].map(folder);
        assert_eq!(camera.look(t, listing.to_vec(), |_| Ok(100)), []);
        assert_eq!(camera.take_new_folders(), new);
    }
    camera.look(800_000, vec![folder("e")], |_| Ok(100));
    assert_eq!(camera.take_new_folders(), ["e"]);
}

#[test]
fn a_refusal_that_failed_is_tried_again_less_and_less_often() {
    let mut camera = Camera::new(LIMITS);
    for (listing, files) in
        [(vec![file("a.hdr", 5)], vec![OsString::from("a.hdr")]), (vec![file("x", 5)], vec!["x".into()])]
    {
        camera.look(0, listing.clone(), |_| Ok(100));
        let mut refusals = Vec::new();
        for t in (60_000..10_000_000).step_by(500) {
            let actions = camera.look(t, listing.clone(), |_| Ok(100));
            assert_eq!(camera.was_refused(&files), !refusals.is_empty());
            if !actions.is_empty() {
                refusals.push(t);
                camera.refusal_failed(&files, t);
            }
        }
        let gaps: Vec<_> = refusals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps[..4], [2_000, 4_000, 8_000, 16_000]);
        assert!(gaps.len() < 15 && gaps.iter().all(|gap| *gap <= 3_600_000), "{gaps:?}");
    }
}

#[test]
fn frames_that_were_never_tried_go_first_and_those_that_were_go_last() {
    let mut camera = Camera::new(LIMITS);
    let pair = |name: &str, age: i128| {
        [("bil", 100), ("hdr", 5)]
            .map(|(end, bytes)| Entry { changed_ns: age, ..file(format!("{name}.{end}"), bytes) })
    };
    let mut listing = [pair("old", 1), pair("older", 0)].concat();
    camera.look(0, listing.clone(), |_| Ok(100));
    for name in ["old.hdr", "older.hdr"] {
        camera.defer(name, 3_000);
    }
    assert_eq!(camera.waiting(), 2);
    listing.push(file("odd.hdr", 5));
    listing.extend(pair("new", 9));
    camera.look(1_000, listing.clone(), |_| Ok(100));
    let actions = camera.look(3_000, listing, |_| Ok(100));
    let names: Vec<_> = actions
        .iter()
        .map(|action| match action {
            Action::Take(files) => files.name.as_str(),
            Action::Refuse { name, .. } => name.as_str(),
        })
        .collect();
    assert_eq!(names, ["new", "odd", "older", "old"]);
}
