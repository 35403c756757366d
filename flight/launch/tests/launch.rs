//! The real launcher over folders like a board's, with shell scripts in place of the flight software.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use passband_launch::copies::COPIES;
use passband_proto::release::image;
use passband_proto::slot::{Cause, Mark, Phase, SLOT_RECORD_BYTES, Slot, SlotRecord};
use tempfile::TempDir;

const SAYS: &str = "#!/bin/sh\necho \"$PASSBAND_SLOT $PASSBAND_LAUNCH:$*\"\nexit 7\n";

/// A board whose three slots hold scripts that say who they are. Its `/proc` and `/sys` stand beside them.
struct Board(TempDir);

impl Board {
    fn new() -> Self {
        let board = Self(TempDir::new().unwrap());
        for slot in Slot::ALL {
            board.install(slot, format!("{SAYS}# {slot}\n"));
        }
        board.boot(1, false);
        board
    }

    /// With slot a confirmed and b on trial.
    fn on_trial(attempts: u8) -> Self {
        let board = Self::new();
        board.done("set --slot a");
        board.done(&format!("set --slot b --attempts {attempts}"));
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn install(&self, slot: Slot, program: impl AsRef<[u8]>) {
        let path = self.path(slot.name()).join("passband");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, program).unwrap();
    }

    fn remove(&self, slot: Slot) {
        fs::remove_file(self.path(slot.name()).join("passband")).unwrap();
    }

    /// The board is in another boot, after the watchdog or a power cut.
    fn boot(&self, number: u32, by_watchdog: bool) {
        let put = |name: &str, text: String| {
            let path = self.path("system").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/sys/kernel/random/boot_id", format!("{number:08x}-0000-0000-0000-000000000000\n"));
        put("sys/class/watchdog/watchdog0/bootstatus", format!("{}\n", if by_watchdog { 32 } else { 0 }));
    }

    fn launch<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let program = env!("CARGO_BIN_EXE_passband-launch");
        let mut command = Command::new(program);
        command.arg("--root").arg(self.0.path()).arg("--system").arg(self.path("system"));
        command.args(args).output().unwrap()
    }

    /// What a start says, without arguments for the flight software.
    fn start(&self) -> String {
        let output = self.launch(["--"]);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn done(&self, line: &str) {
        let output = self.launch(line.split(' '));
        assert!(output.status.success(), "{line}: {output:?}");
    }

    fn refused(&self, line: &str, why: &str) {
        let output = self.launch(line.split(' '));
        assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("passband-launch: ") && told.contains(why), "{told}");
    }

    fn record(&self) -> SlotRecord {
        let records = COPIES.map(|name| SlotRecord::decode(&fs::read(self.path(name)).unwrap()).unwrap());
        assert!(records.iter().all(|record| *record == records[0]), "{records:?}");
        records[0]
    }

    /// What the flight software notes of its start.
    fn got(&self, slot: Slot, phase: Phase) {
        let record = self.record().got(slot, phase).unwrap().unwrap();
        COPIES.iter().for_each(|name| fs::write(self.path(name), record.encode()).unwrap());
    }
}

#[test]
fn a_board_without_a_record_starts_golden_with_the_arguments() {
    let output = Board::new().launch(["--", "run", "--config", "a file"]);
    assert_eq!(output.stdout, b"golden no-record:run --config a file\n");
    assert_eq!(output.status.code(), Some(7), "the flight software's own status");
}

#[test]
fn a_trial_that_is_confirmed_stays() {
    let board = Board::new();
    board.done("set --slot a");
    assert_eq!(board.start(), "a confirmed:");
    board.done("set --slot b --attempts 2");
    assert_eq!(board.start(), "b trial:");
    assert_eq!(board.record().fallback(), Slot::A);
    board.refused("confirm --slot a", "the active slot is b, not a");
    board.done("confirm --slot b");
    board.done("confirm --slot b");
    for _ in 0..4 {
        assert_eq!(board.start(), "b confirmed:");
    }
}

#[test]
fn a_trial_that_ends_by_itself_reverts_for_good() {
    let board = Board::on_trial(2);
    let starts: Vec<_> = (0..4).map(|_| board.start()).collect();
    assert_eq!(starts, ["b trial:", "b trial:", "a reverted:", "a confirmed:"]);
    assert_eq!(board.record().reverted, Some((Slot::B, Cause::Crashed)));
    let told = String::from_utf8(board.launch(["--print"]).stdout).unwrap();
    assert!(told.contains("slot a confirmed; the trial of b failed (crashed)"), "{told}");
}

#[test]
fn power_cuts_cost_a_trial_nothing_and_resets_by_the_watchdog_do() {
    let board = Board::on_trial(2);
    for boot in 0..30 {
        board.boot(boot, false);
        let expected = if boot % 9 == 8 { "a interlude:" } else { "b trial:" };
        assert_eq!(board.start(), expected, "boot {boot}");
    }
    board.boot(100, true);
    assert_eq!(board.start(), "b trial:");
    assert_eq!(board.record().trial.unwrap().attempts_left, 1);
    board.got(Slot::B, Phase::Well);
    board.boot(101, true);
    assert_eq!(board.start(), "a reverted:");
    assert_eq!(board.record().reverted, Some((Slot::B, Cause::Watchdog)));
}

#[test]
fn a_trial_that_is_ended_by_order_loses_nothing() {
    let board = Board::on_trial(1);
    for _ in 0..3 {
        assert_eq!(board.start(), "b trial:");
        board.got(Slot::B, Phase::Ordered);
    }
}

#[test]
fn a_trial_that_nobody_confirms_is_ended_by_the_kernel() {
    let board = Board::new();
    board.install(Slot::B, "#!/bin/sh\nexec sleep 20\n");
    board.done("set --slot b --attempts 1 --deadline 1");
    let output = board.launch(["--"]);
    assert_eq!(output.status.code(), None, "ended by a signal: {output:?}");
    assert_eq!(board.start(), "golden reverted:");
}

#[test]
fn any_flipped_bit_in_any_copy_changes_nothing_and_is_mended() {
    let board = Board::new();
    board.done("set --slot a");
    let good = fs::read(board.path("slot.0")).unwrap();
    // Every bit is tried in the unit tests; here a few through the real files.
    for (name, bit) in COPIES.into_iter().flat_map(|name| [0, 37, 99, 400, 831].map(|bit| (name, bit))) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(board.path(name), &bad).unwrap();
        assert_eq!(board.start(), "a confirmed:", "{name} bit {bit}");
        assert_eq!(fs::read(board.path(name)).unwrap(), good, "{name} bit {bit} mended");
    }
}

#[test]
fn any_flipped_bit_in_an_image_is_seen() {
    let board = Board::on_trial(3);
    let good = fs::read(board.path("b/passband")).unwrap();
    for bit in [7, 100, good.len() * 8 - 1] {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        board.install(Slot::B, &bad);
        assert_eq!(board.start(), "a reverted:", "bit {bit}");
        let record = board.record();
        assert_eq!((record.reverted, record.b.mark), (Some((Slot::B, Cause::Damaged)), Mark::Failed));
        board.install(Slot::B, &good);
        board.done("set --slot b --attempts 3");
    }
    board.done("confirm");
    board.install(Slot::B, [&good[..], b"#"].concat());
    assert_eq!(board.start(), "a not-startable:", "the version before it");
    board.install(Slot::A, "#!/bin/sh\nexit 1\n");
    assert_eq!(board.start(), "golden not-startable:", "both are damaged");
    assert_eq!(board.record().active, Slot::B, "which is for the flight software to settle");
}

#[test]
fn a_golden_image_with_a_wrong_digest_of_its_own_is_the_last_resort() {
    let board = Board::new();
    let mut image = image::build(SAYS.as_bytes(), &[("defaults.toml", b"x = 1")]).unwrap();
    board.install(Slot::Golden, &image);
    assert_eq!(board.start(), "golden no-record:");
    let at = image.len() - 60;
    image[at] ^= 1;
    board.install(Slot::Golden, &image);
    assert_eq!(board.start(), "a not-startable:");
    board.remove(Slot::A);
    board.remove(Slot::B);
    assert_eq!(board.start(), "golden not-startable:", "anything rather than nothing");
    board.refused("set --slot golden", "its own digest");
}

#[test]
fn what_is_started_runs_from_memory() {
    let board = Board::new();
    // A real program, which the system finds in memory.
    board.install(Slot::Golden, fs::read("/bin/sleep").unwrap());
    let program = env!("CARGO_BIN_EXE_passband-launch");
    let mut child =
        Command::new(program).arg("--root").arg(board.0.path()).args(["--", "20"]).spawn().unwrap();
    let exe = format!("/proc/{}/exe", child.id());
    let in_memory = |path: &PathBuf| path.as_os_str().as_encoded_bytes().starts_with(b"/memfd:passband");
    let began = std::time::Instant::now();
    let running = loop {
        let running = fs::read_link(&exe).unwrap();
        if in_memory(&running) || began.elapsed().as_secs() > 10 {
            break running;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(in_memory(&running), "{}", running.display());
}

#[test]
fn the_shell_s_passband_is_the_active_slot_s_and_counts_nothing() {
    let board = Board::on_trial(1);
    let link = board.path("bin-passband").join("passband");
    fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_passband-launch"), &link).unwrap();
    let before = board.record();
    let digest = || Command::new(&link).arg("digest").env("PASSBAND_ROOT", board.0.path()).output().unwrap();
    assert_eq!(digest().stdout, b" :digest\n");
    assert_eq!(board.record(), before);
    board.remove(Slot::B);
    assert_eq!(digest().status.code(), Some(7), "that of the slot before it");
    Slot::ALL.into_iter().filter(|slot| *slot != Slot::B).for_each(|slot| board.remove(slot));
    let none = digest();
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stderr).unwrap().contains("PASSBAND_ROOT"));
}

#[test]
fn a_write_cut_anywhere_leaves_the_old_record_or_the_new_one() {
    let board = Board::new();
    board.done("set --slot a");
    let old = fs::read(board.path("slot.0")).unwrap();
    board.done("set --slot b --attempts 3");
    let new = fs::read(board.path("slot.0")).unwrap();
    for (whole, torn) in COPIES.into_iter().enumerate() {
        for cut in [0, 1, SLOT_RECORD_BYTES / 2, SLOT_RECORD_BYTES] {
            for (n, name) in COPIES.into_iter().enumerate() {
                fs::write(board.path(name), if n < whole { &new } else { &old }).unwrap();
            }
            fs::write(board.path(&format!("{torn}.new")), &new[..cut]).unwrap();
            let expected = if whole == 0 { "a confirmed:" } else { "b trial:" };
            assert_eq!(board.start(), expected, "{whole} copies written, the next cut at {cut}");
            board.record();
        }
    }
}

#[test]
fn no_sound_copy_means_golden() {
    let board = Board::new();
    board.done("set --slot a");
    for name in COPIES {
        fs::write(board.path(name), b"PS\x01\x01").unwrap();
    }
    assert_eq!(board.start(), "golden no-record:");
}

#[test]
fn a_trial_that_cannot_be_counted_is_not_started() {
    let board = Board::new();
    board.done("set --slot a");
    board.done("set --slot b --attempts 9");
    // Folders where two of the asides go: works for root, whom no permission stops.
    for name in ["slot.1.new", "slot.2.new"] {
        fs::create_dir(board.path(name)).unwrap();
    }
    assert_eq!(board.start(), "golden unwritable:");
    assert_eq!(board.start(), "golden unwritable:");
    fs::remove_dir(board.path("slot.2.new")).unwrap();
    assert_eq!(board.start(), "b trial:", "two copies are enough");
    board.done("set --slot a");
    fs::create_dir(board.path("slot.2.new")).unwrap();
    assert_eq!(board.start(), "a confirmed:", "a confirmed slot needs no write");
    board.refused("set --slot b", "can't be written");
}

#[test]
fn something_is_started_as_long_as_there_is_something() {
    let board = Board::on_trial(9);
    board.remove(Slot::B);
    assert_eq!(board.start(), "a reverted:", "a trial falls back to the confirmed slot");
    board.install(Slot::A, "\x7fELF but no more");
    assert_eq!(board.start(), "golden not-startable:", "a program the kernel refuses");
    board.remove(Slot::Golden);
    board.install(Slot::A, SAYS);
    assert_eq!(board.start(), "a not-startable:", "not its image, but nothing else is there");
    for name in COPIES {
        fs::remove_file(board.path(name)).unwrap();
    }
    assert_eq!(board.start(), "a not-startable:", "no record, no golden");
    board.remove(Slot::A);
    board.refused("--", "no slot holds anything");
}

#[test]
fn print_changes_nothing() {
    let board = Board::new();
    board.done("set --slot a");
    board.done("set --slot b --attempts 1");
    fs::write(board.path("slot.2"), b"torn").unwrap();
    let output = board.launch(["--print"]);
    let told = String::from_utf8(output.stdout).unwrap();
    for part in [
        "slot.0    generation 4: slot b on trial, attempts left 1, falls back to a\n",
        "slot.2    4 bytes where a slot record has 104\n",
        "start     slot b (trial): ",
        "else      slot a: ",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(fs::read(board.path("slot.2")).unwrap(), b"torn");
    assert_eq!(board.start(), "b trial:");
}

#[test]
fn wishes_that_cannot_be_met_are_refused() {
    let board = Board::new();
    board.refused("confirm", "nothing to confirm");
    board.refused("set --slot golden --attempts 3", "never written nor tried out");
    board.remove(Slot::A);
    fs::create_dir(board.path("a/passband")).unwrap();
    board.refused("set --slot a", "not a file");
    let output = board.launch(["set", "--slot", "c"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!board.path("slot.0").exists());
}
