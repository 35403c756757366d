//! The real daemon on bad disks: full, read-only, failing, with damaged files. What was accepted goes down, whole.
//!
//! Where this process may not mount file systems, the tests that need one of their own say so and pass.

mod common;
#[path = "common/mount.rs"]
mod mount;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{Ground, Payload, plume_frame, spacecraft};
use mount::Mounted;
use passband_proto::alert::open_alert;
use serde_json::Value;

const SMALL: &str = "rate_bps = 20000000\nsymbol_bytes = 512\nsegment_symbols = 100";
/// Files that are no frame.
const ODD: u32 = 30;
/// Disk space that the daemon leaves to others, bytes, and some more.
const SPARE: u64 = 33 << 20;

/// A payload whose state folder is a file system of its own.
fn payload_on(
    spool: &str,
    more: &str,
    mount: impl FnOnce(&std::path::Path) -> Option<Mounted>,
) -> Option<(Payload, Mounted)> {
    let mut disk = None;
    let payload = Payload::on(spool, "manual", &format!("{SMALL}{more}"), |state| disk = mount(state));
    if disk.is_none() {
        println!("skipped: no file system of its own can be mounted here");
    }
    disk.map(|disk| (payload, disk))
}

fn accepted(payload: &Payload) -> u64 {
    let status = payload.json(&["status"]);
    status["counters"]["frames_accepted"].as_object().unwrap().values().filter_map(Value::as_u64).sum()
}

fn wait_for_frames(payload: &Payload, frames: u64) {
    payload.wait_until("the frame is taken", |p| (accepted(p) == frames).then_some(()));
}

/// The file of the first bundle of a frame's product, and how many there are.
fn sealed(payload: &Payload, frame: &str, product: &str) -> PathBuf {
    let queue = payload.json(&["queue"]);
    let rows = queue["bundles"].as_array().unwrap();
    let row = rows.iter().find(|row| row["frame"] == frame && row["product"] == product).unwrap();
    payload.state("bundles").join(format!("{}.pbb", row["id"].as_str().unwrap()))
}

fn flip_a_bit(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn on_a_full_disk_frames_wait_and_the_link_goes_on_until_there_is_room() {
    let tmpfs = |state: &std::path::Path| Mounted::tmpfs(state, 64);
    let Some((mut payload, disk)) = payload_on("state/spool", "", tmpfs) else { return };
    payload.start();
    let one = payload.put_frame("one", 200, 1);
    wait_for_frames(&payload, 1);
    // Files of a camera that lies: to be moved to rejected/, with the reason.
    for n in 0..ODD {
        fs::write(payload.state(&format!("odd{n}")), "no header").unwrap();
    }
    disk.fill("ballast", SPARE);
    let two = payload.put_frame("two", 2_000, 2);
    payload.wait_for_event("store-full");
    // The catalogue's file may shrink once more, and what that frees is filled, too.
    let mut odd = 0..ODD;
    payload.wait_until("the disk is full", |p| {
        let n = odd.next()?;
        disk.fill(&format!("more ballast {n}"), 0);
        fs::rename(p.state(&format!("odd{n}")), p.state(&format!("spool/odd{n}.hdr"))).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        p.codes().iter().any(|code| code == "disk-full").then_some(())
    });
    assert_eq!(payload.json(&["status"])["store"]["disk"], "full");
    let mut ground = Ground::default();
    ground.receive(&payload, 2);
    assert!(ground.has(&one) && payload.state("spool/two.bil").exists());
    assert_eq!(accepted(&payload), 1);
    disk.remount("size=256m");
    payload.wait_for_event("disk-good");
    wait_for_frames(&payload, 2);
    ground.receive(&payload, 4);
    assert!(ground.has(&two));
    assert_eq!(payload.json(&["status"])["boot_count"], 1, "no restart was needed");
}

#[test]
fn on_a_disk_that_turned_read_only_all_goes_on_but_storing() {
    let ext4 = |state: &std::path::Path| Mounted::ext4(state, 96);
    let Some((mut payload, disk)) = payload_on("spool", "", ext4) else { return };
    // Durable before the error; of all else the daemon takes care.
    fs::File::open(payload.state("keys.txt")).unwrap().sync_all().unwrap();
    payload.start();
    let one = payload.put_frame("one", 80, 1);
    wait_for_frames(&payload, 1);
    disk.fail();
    let leak = payload.put("leak", plume_frame(9));
    let said = payload.wait_for_end();
    assert!(said.contains("the catalogue's disk failed (it is read-only)"), "{said}");

    payload.start();
    let codes = payload.codes();
    for code in ["catalogue-in-memory", "socket-elsewhere"] {
        assert!(codes.iter().any(|c| c == code), "{code}: {codes:?}");
    }
    let socket = format!("/dev/shm/passband-{}-{}.sock", rustix::process::geteuid().as_raw(), spacecraft());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    payload.alerts.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut buffer = [0; 300];
    let n = payload.alerts.recv(&mut buffer).expect("an alert");
    assert_eq!(open_alert(&common::key(), &buffer[..n]).unwrap().frame, "leak");
    let status = payload.json(&["status"]);
    assert_eq!(
        (&status["store"]["in_memory"], &status["store"]["disk"]),
        (&true.into(), &"read-only".into())
    );
    let mut ground = Ground::default();
    ground.receive(&payload, 2);
    assert!(ground.has(&one));
    assert_eq!(accepted(&payload), 0, "nothing is stored");
    let second = payload.ask(&["run"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("another daemon listens there"), "{second:?}");

    // Repaired, it is first mounted to be read only.
    payload.terminate();
    assert!(!PathBuf::from(&socket).exists());
    disk.unmount();
    disk.mount();
    disk.remount("ro");
    payload.start();
    disk.remount("rw");
    let said = payload.wait_for_end();
    assert!(said.contains("the disk can be written again"), "{said}");
    payload.start();
    wait_for_frames(&payload, 1);
    assert_eq!(payload.json(&["status"])["store"]["in_memory"], false);
    assert!(payload.state("passband.sock").exists() && !PathBuf::from(&socket).exists());
    let rows = payload.json(&["queue"])["bundles"].as_array().unwrap().len();
    ground.receive(&payload, rows);
    assert!(ground.has(&leak), "the frame that had waited");
}

#[test]
fn a_catalogue_of_garbage_is_set_aside_and_what_is_sealed_goes_down_whole() {
    let mut payload = Payload::new("manual", "rate_bps = 2000000\nsymbol_bytes = 512\nsegment_symbols = 100");
    payload.start();
    let one = payload.put_frame("one", 200, 1);
    wait_for_frames(&payload, 1);
    let catalogue = payload.state("catalogue.redb");
    let bytes = usize::try_from(fs::metadata(&catalogue).unwrap().len()).unwrap();
    // Symbols that were sent count as new no more: the ground refuses any that comes twice.
    let mut ground = Ground::default();
    for garbage in [vec![0xA5; bytes], vec![], vec![0; bytes], vec![7; 100]] {
        payload.json(&["pass", "start", "--seconds", "60"]);
        ground.listen(&payload.downlink, std::time::Duration::from_millis(300));
        payload.kill();
        fs::write(&catalogue, garbage).unwrap();
        payload.start();
        let codes = payload.codes();
        assert!(codes.iter().any(|code| code == "catalogue-damaged"), "{codes:?}");
        assert!(codes.iter().any(|code| code == "bundles-adopted"), "{codes:?}");
        assert_eq!(payload.json(&["queue"])["total"], 2);
    }
    assert!(payload.state("catalogue.damaged-4").exists());
    ground.receive(&payload, 2);
    assert!(ground.has(&one));
}

#[test]
fn the_scrub_finds_a_flipped_bit_and_makes_anew_what_has_a_source() {
    let more = "\n[store]\nscrub_bytes_per_s = 1000000000\n[products]\nstrip_bytes = 60000\n\
                [products.routine]\nquicklook = \"none\"\nevidence = \"routine\"\nregion = \"none\"\ncube = \"routine\"";
    let mut payload = Payload::new("manual", &format!("{SMALL}{more}"));
    payload.start();
    for (frames, name) in [(1, "whole"), (2, "broken")] {
        payload.put_frame(name, 60, u32::try_from(frames).unwrap());
        wait_for_frames(&payload, frames);
    }
    let (evidence, strip) = (sealed(&payload, "whole", "evidence"), sealed(&payload, "broken", "cube"));
    let before = payload.json(&["queue"])["bundles"].as_array().unwrap().len();
    payload.terminate();
    flip_a_bit(&evidence);
    flip_a_bit(&strip);
    payload.start();
    payload.wait_for_event("bundle-resealed");
    payload.wait_for_event("bundle-damaged");
    let events = payload.json(&["events", "--limit", "1000"]);
    let text = |code: &str| {
        let event = events["events"].as_array().unwrap().iter().find(|event| event["code"] == code).unwrap();
        event["text"].as_str().unwrap().to_owned()
    };
    assert!(text("bundle-resealed").contains("whole evidence"), "{}", text("bundle-resealed"));
    let told = text("bundle-damaged");
    assert!(told.contains("broken cube 1 of") && told.contains("blocks still open"), "{told}");
    assert!(!evidence.exists() && sealed(&payload, "whole", "evidence").exists());
    assert!(strip.exists(), "what has no source is kept");
    let queue = payload.json(&["queue"]);
    let rows = queue["bundles"].as_array().unwrap();
    let kept =
        rows.iter().find(|row| strip.ends_with(format!("{}.pbb", row["id"].as_str().unwrap()))).unwrap();
    assert_eq!(kept["state"], "damaged");
    assert_eq!(payload.json(&["status"])["counters"]["bundles_damaged"], 2);
    let mut ground = Ground::default();
    ground.receive(&payload, before - 1);
    let whole =
        |head: &str| ground.bundles().values().filter(|(h, _)| h.manifest.name.starts_with(head)).count();
    assert_eq!((whole("whole evidence"), whole("broken evidence")), (1, 1));
}
