//! The real launcher over folders like a board's, with shell scripts in place of the flight software.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use passband_proto::slot::{SLOT_RECORD_BYTES, Slot, SlotRecord, SlotState};
use tempfile::TempDir;

const COPIES: [&str; 3] = ["slot.0", "slot.1", "slot.2"];

/// A board whose three slots hold scripts that say who they are.
struct Board(TempDir);

impl Board {
    fn new() -> Self {
        let board = Self(TempDir::new().unwrap());
        for slot in Slot::ALL {
            board.install(slot, "#!/bin/sh\necho \"$PASSBAND_SLOT $PASSBAND_LAUNCH:$*\"\nexit 7\n");
        }
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn install(&self, slot: Slot, program: &str) {
        let path = self.path(slot.name()).join("passband");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Made by another process: while any thread of this one forks, a file it has written could still
        // be open for writing, and can't be executed.
        let text = path.with_extension("text");
        fs::write(&text, program).unwrap();
        let status = Command::new("install").arg("-m755").args([&text, &path]).status().unwrap();
        assert!(status.success());
    }

    fn remove(&self, slot: Slot) {
        fs::remove_file(self.path(slot.name()).join("passband")).unwrap();
    }

    fn launch<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let program = env!("CARGO_BIN_EXE_passband-launch");
        Command::new(program).arg("--root").arg(self.0.path()).args(args).output().unwrap()
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

    fn records(&self) -> [SlotRecord; 3] {
        COPIES.map(|name| SlotRecord::decode(&fs::read(self.path(name)).unwrap()).unwrap())
    }

    fn state(&self) -> SlotState {
        let records = self.records();
        assert!(records.iter().all(|record| *record == records[0]), "{records:?}");
        records[0].state
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
    assert_eq!(board.state(), SlotState::Trial { attempts_left: 1, fallback: Slot::A });
    board.refused("confirm --slot a", "the active slot is b, not a");
    board.done("confirm --slot b");
    board.done("confirm --slot b");
    for _ in 0..4 {
        assert_eq!(board.start(), "b confirmed:");
    }
}

#[test]
fn a_trial_that_is_never_confirmed_reverts_for_good() {
    let board = Board::new();
    board.done("set --slot a");
    board.done("set --slot b --attempts 2");
    let starts: Vec<_> = (0..4).map(|_| board.start()).collect();
    assert_eq!(starts, ["b trial:", "b trial:", "a reverted:", "a confirmed:"]);
    assert_eq!(board.state(), SlotState::Confirmed);
    assert_eq!(board.records()[0].reverted, Some(Slot::B));
    let told = String::from_utf8(board.launch(["--print"]).stdout).unwrap();
    assert!(told.contains("slot a confirmed; the trial of b failed"), "{told}");
}

#[test]
fn any_flipped_bit_in_any_copy_changes_nothing_and_is_mended() {
    let board = Board::new();
    board.done("set --slot a");
    let good = fs::read(board.path("slot.0")).unwrap();
    // Every bit is tried in the unit tests; here a few through the real files.
    for (name, bit) in COPIES.into_iter().flat_map(|name| [0, 37, 99, 191].map(|bit| (name, bit))) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(board.path(name), &bad).unwrap();
        assert_eq!(board.start(), "a confirmed:", "{name} bit {bit}");
        assert_eq!(fs::read(board.path(name)).unwrap(), good, "{name} bit {bit} mended");
    }
}

#[test]
fn a_write_cut_anywhere_leaves_the_old_record_or_the_new_one() {
    let board = Board::new();
    board.done("set --slot a");
    let old = fs::read(board.path("slot.0")).unwrap();
    let trial = SlotState::Trial { attempts_left: 3, fallback: Slot::A };
    let new = SlotRecord { generation: 2, active: Slot::B, state: trial, reverted: None }.encode();
    for (whole, torn) in COPIES.into_iter().enumerate() {
        for cut in [0, 1, SLOT_RECORD_BYTES / 2, SLOT_RECORD_BYTES] {
            for (n, name) in COPIES.into_iter().enumerate() {
                fs::write(board.path(name), if n < whole { new.as_slice() } else { &old }).unwrap();
            }
            fs::write(board.path(&format!("{torn}.new")), &new[..cut]).unwrap();
            let expected = if whole == 0 { "a confirmed:" } else { "b trial:" };
            assert_eq!(board.start(), expected, "{whole} copies written, the next cut at {cut}");
            board.state();
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
    let board = Board::new();
    board.done("set --slot a");
    board.done("set --slot b --attempts 9");
    board.remove(Slot::B);
    assert_eq!(board.start(), "a not-startable:", "a trial falls back to the confirmed slot");
    board.install(Slot::B, "\x7fELF but no more");
    assert_eq!(board.start(), "a not-startable:", "a program the kernel refuses");
    board.remove(Slot::A);
    assert_eq!(board.start(), "golden not-startable:");
    board.remove(Slot::Golden);
    board.install(Slot::A, "#!/bin/sh\necho \"$PASSBAND_SLOT $PASSBAND_LAUNCH:$*\"\nexit 7\n");
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
        "slot.0    generation 2: slot b on trial, attempts left 1, falls back to a\n",
        "slot.2    4 bytes where a slot record has 24\n",
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
    board.refused("set --slot golden --attempts 3", "falls back to");
    fs::set_permissions(board.path("a/passband"), fs::Permissions::from_mode(0o644)).unwrap();
    board.refused("set --slot a", "not an executable file");
    let output = board.launch(["set", "--slot", "c"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!board.path("slot.0").exists());
}
