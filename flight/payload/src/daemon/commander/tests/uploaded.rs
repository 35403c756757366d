//! What comes up in pieces.

use super::*;

/// The orders that bring a file up, sealed; the first has this number.
fn upload(holder: &mut Holder, number: u32, kind: &str, name: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let sha256 = Sha256::digest(bytes);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let id = hex(&sha256[..4]);
    let begin = format!("upload begin {id} {kind} {name} {} 64 {}", bytes.len(), hex(&sha256));
    let mut frames = vec![holder.frame(number, PacketMode::Run, &begin)];
    for (index, piece) in bytes.chunks(64).enumerate() {
        let order = format!("upload piece {id} {index} {}", hex(piece));
        frames.push(holder.frame(0, PacketMode::Run, &order));
    }
    frames
}

#[test]
fn a_signed_plan_comes_up_in_pieces_and_runs_one_signed_by_who_may_not_is_refused() {
    let text = "plan night\nversion 3\na: after 0s do pass start 60\nafter a do pass stop\n";
    let plan = compile(text, "night.plan", &Dictionary::default()).unwrap();
    for (spi, role, taken) in [(6, Role::Planner, true), (4, Role::Science, false)] {
        let disk = new_disk();
        let (mut commander, mut works) = (opened(&disk), Noting::default());
        let signed = sign(&plan, spi, &role_key(spi, role).plan_key()).unwrap();
        let mut planner = Holder::new(spi, role, 0);
        for frame in upload(&mut planner, 1_000, "plan", "night", &signed) {
            commander.frame(&mut works, &frame);
        }
        let codes = works.codes();
        let expected = if taken { EventCode::PlanLoaded } else { EventCode::PlanRefused };
        assert!(codes.contains(&expected), "{:?}", works.told);
        commander.settle(&mut works);
        drop(commander);
        let mut commander = open(&disk).0;
        commander.resume(&mut works).unwrap();
        let start = planner.frame(7, PacketMode::Run, "plan start night");
        commander.frame(&mut works, &start);
        (0..5).for_each(|_| commander.poll(&mut works));
        let done: &[&str] = if taken { &["pass start 60 --rate 0", "pass stop"] } else { &[] };
        assert_eq!(works.done, done, "{:?}", works.told);
    }
}

#[test]
fn what_came_up_once_comes_up_again_and_who_may_not_brings_nothing_up() {
    let disk = new_disk();
    let (mut commander, mut works) = (opened(&disk), Noting::default());
    let (mut operator, mut science) = (Holder::new(2, Role::Operator, 0), Holder::new(4, Role::Science, 0));
    let script = || {
        let files = disk.files();
        let found = files.iter().find(|(path, _)| path.to_string_lossy().contains("/scripts/check"));
        found.map(|(_, bytes)| bytes.clone())
    };
    for (number, content) in [(1, "echo a"), (2, "echo b"), (3, "echo a")] {
        for frame in upload(&mut operator, number, "script", "check", content.as_bytes()) {
            commander.frame(&mut works, &frame);
        }
        assert_eq!(script().as_deref(), Some(content.as_bytes()), "{:?}", works.told);
    }
    for frame in upload(&mut science, 1, "script", "check", b"rm -r /") {
        commander.frame(&mut works, &frame);
    }
    assert_eq!(stage(&commander, 4, 1), Some((Stage::Failed, Reason::NotAllowed)));
    assert_eq!(script().as_deref(), Some(b"echo a".as_slice()));
    assert!(commander.parts().wanted.contains(&Wanted::Uploads), "what became of uploads is told");
}
