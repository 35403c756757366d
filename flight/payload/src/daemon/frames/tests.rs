use std::fs;
use std::path::Path;

use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use rustix::io::Errno;

use super::*;
use crate::adapters::disk::{Disk, LinuxDisk, SickDisk};
use crate::config::Config;
use crate::daemon::shared::lock;

/// The thread on a spool of `disk`, not running.
fn frames(folder: &Path, disk: Arc<dyn Disk>) -> (Frames, Camera) {
    let config = Config::parse("", &folder.join("c.toml")).unwrap();
    let shared = Arc::new(Shared::for_tests(config, folder));
    let mut keys = KeyRing::default();
    keys.insert(EpochKey::new(1, 1, [8; 32]));
    shared.set_keys(keys);
    let spool = Spool::open(disk, &folder.join("spool"), &folder.join("rejected"), 1 << 20).unwrap();
    let frames = Frames {
        shared,
        spool,
        target: Target::ch4(),
        queue: std::sync::mpsc::channel().0,
        alerts: tokio::sync::mpsc::unbounded_channel().0,
        waiting: RefCell::default(),
    };
    let limits = Limits { settle_ms: 0, orphan_ms: 0, max_frame_bytes: 1 << 20 };
    (frames, Camera::new(limits))
}

/// Looks at once, and again when what lies there is steady.
fn look_twice(frames: &Frames, camera: &mut Camera) {
    frames.look(camera);
    frames.sleep(40);
    frames.look(camera);
}

fn put(folder: &Path, name: &str) {
    let header = "ENVI\nsamples = 2\nlines = 1\nbands = 3\ndata type = 12\ninterleave = bil\n";
    fs::write(folder.join(format!("spool/{name}.bil")), [0; 12]).unwrap();
    fs::write(folder.join(format!("spool/{name}.hdr")), header).unwrap();
}

/// Codes and texts of what was told, the oldest first.
fn told(frames: &Frames) -> Vec<(String, String)> {
    let mut events = frames.shared.catalogue.events(None, 1_000).unwrap();
    events.sort_by_key(|event| event.seq);
    events.into_iter().map(|event| (event.code, event.text)).collect()
}

#[test]
fn many_frames_that_wait_are_told_of_in_one_event_and_a_new_one_is_looked_at_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, mut camera) = frames(dir.path(), Arc::new(LinuxDisk));
    lock(&frames.shared.health).failed(frames.shared.clock.now_ms(), "syncing", &Errno::IO.into());
    for n in 0..50 {
        put(dir.path(), &format!("w{n}"));
        let need = Need { bytes: 1_000, class: Class::Routine };
        frames.waiting.borrow_mut().insert(format!("w{n}.hdr"), need);
    }
    frames.waiting.borrow_mut().insert("gone.hdr".into(), Need { bytes: 1, class: Class::Routine });
    look_twice(&frames, &mut camera);
    let events = told(&frames);
    assert!(
        matches!(&events[..], [(code, text)] if code == "frame-delayed" && text.starts_with("50 frames")),
        "{events:?}"
    );
    assert_eq!(frames.waiting.borrow().len(), 50, "what is gone waits no more");
    assert!(events[0].1.ends_with("the disk is failing"), "{events:?}");
    put(dir.path(), "new");
    frames.sleep(RETRY_MS);
    look_twice(&frames, &mut camera);
    assert!(frames.waiting.borrow().contains_key("new.hdr"), "it was examined, and has no room either");
    assert_eq!(told(&frames), events);
}

#[test]
fn a_refusal_that_cannot_be_carried_out_is_told_once_and_makes_nothing_in_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SickDisk::over(Arc::new(LinuxDisk), |operation, path| {
        let fails = operation == "rename" && path.parent().is_some_and(|folder| folder.ends_with("spool"));
        fails.then(|| Errno::XDEV.into())
    });
    let (frames, mut camera) = frames(dir.path(), disk);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("spool/link")).unwrap();
    fs::create_dir(dir.path().join("spool/lost+found")).unwrap();
    fs::create_dir(dir.path().join("spool/mine")).unwrap();
    for _ in 0..20 {
        look_twice(&frames, &mut camera);
    }
    let codes: Vec<_> = told(&frames).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["spool-folders", "frame-rejected", "spool-error"]);
    assert_eq!(fs::read_dir(dir.path().join("rejected")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 3);
}

#[test]
fn under_stress_a_frame_waits_in_the_spool_and_is_taken_once_the_board_is_calm() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, mut camera) = frames(dir.path(), Arc::new(LinuxDisk));
    let hot = crate::health::Readings { temperature_c: Some(99.0), ..crate::health::Readings::default() };
    let pulse = Arc::clone(&frames.shared.pulse);
    pulse.strain_for_tests(&hot);
    assert_eq!(pulse.level().number(), 1);
    put(dir.path(), "a");
    look_twice(&frames, &mut camera);
    frames.sleep(40);
    frames.look(&mut camera);
    let shed = frames.shared.counters().frames_shed;
    assert_eq!((shed.total(), frames.shared.counters().frames_accepted.total()), (1, 0), "counted once");
    assert!(dir.path().join("spool/a.bil").exists());
    assert!(
        told(&frames).iter().any(|(code, text)| code == "frame-delayed" && text.contains("load level is 1"))
    );
    pulse.strain_for_tests(&crate::health::Readings { temperature_c: Some(20.0), ..hot });
    assert_eq!(pulse.level().number(), 0);
    frames.sleep(RETRY_MS);
    look_twice(&frames, &mut camera);
    assert_eq!(frames.shared.counters().frames_accepted.total(), 1);
    assert!(!dir.path().join("spool/a.bil").exists());
}
