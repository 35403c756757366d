//! The health of the disk: what its errors and its pace say, and what is left undone for it.
//!
//! | mode | begins | meanwhile | ends |
//! | --- | --- | --- | --- |
//! | [`Mode::Full`] | no space | frames wait in the spool, what may be dropped is dropped | something that took new space was synced |
//! | [`Mode::ReadOnly`] | nothing can be changed | frames are looked at and alerts go out, nothing is stored; what is stored goes on down | something was changed |
//! | [`Mode::Failing`] | input or output errors | frames wait, tried again now and then; no scrubbing | three syncs in a row worked |
//! | [`Mode::Slow`] | three of five syncs took too long | alert and suspect frames only; no scrubbing | five in a row did not |
//!
//! Pure: handed outcomes and times, it says what to tell and what to do. It never touches a disk.

use core::fmt;
use std::collections::VecDeque;
use std::io::ErrorKind;

use passband_proto::dict::EventCode;

use crate::telemetry::{Report, Severity};

/// What a sync may take for each byte that was written, ns: 4 MB/s.
const NS_PER_BYTE: u64 = 250;
/// Syncs that are looked at.
const WINDOW: usize = 5;
/// Slow ones among them that begin [`Mode::Slow`].
const SLOW_OF_WINDOW: usize = 3;
/// Good syncs in a row that end [`Mode::Failing`].
const GOOD_IN_A_ROW: u32 = 3;
/// After so long in [`Mode::Failing`] or [`Mode::ReadOnly`] storing is tried again, ms.
const TRY_AGAIN_MS: u64 = 10_000;

/// How well the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Mode {
    /// As it should.
    #[default]
    Good,
    /// Slower than it may be.
    Slow,
    /// There is no space.
    Full,
    /// Input or output errors.
    Failing,
    /// Nothing can be changed.
    ReadOnly,
}

impl Mode {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Slow => "slow",
            Self::Full => "full",
            Self::Failing => "failing",
            Self::ReadOnly => "read-only",
        }
    }

    /// The code of the event that tells of its begin.
    fn code(self) -> EventCode {
        match self {
            Self::Good => EventCode::DiskGood,
            Self::Slow => EventCode::DiskSlow,
            Self::Full => EventCode::DiskFull,
            Self::Failing => EventCode::DiskFailing,
            Self::ReadOnly => EventCode::DiskReadOnly,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Good => "the disk is good again",
            Self::Slow => {
                "only alert and suspect frames are stored, and nothing is scrubbed, until it is faster"
            }
            Self::Full => "frames wait in the spool until there is space",
            Self::Failing => "frames wait in the spool, and nothing is scrubbed, until syncs work again",
            Self::ReadOnly => {
                "frames are looked at and alerts go out, but nothing is stored; what is stored goes on down"
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was done to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A file or name was changed.
    Change,
    /// Something was made durable.
    Sync {
        /// Written since the last sync, bytes.
        bytes: u64,
        /// Whether that took new space: a database that has space of its own says nothing of the disk's.
        grew: bool,
        /// How long it took, ms.
        took_ms: u64,
    },
}

/// Follows the disk.
#[derive(Debug)]
pub struct Health {
    slow_sync_ms: u64,
    mode: Mode,
    /// Since when, and when storing was last tried, ms.
    since_ms: u64,
    failed_ms: u64,
    /// Whether the last syncs were slow.
    pace: VecDeque<bool>,
    good: u32,
    news: Vec<Report>,
}

impl Health {
    /// A sync may take `slow_sync_ms`, and a second for each 4 MB.
    pub fn new(slow_sync_ms: u64) -> Self {
        let pace = VecDeque::with_capacity(WINDOW);
        Self { slow_sync_ms, mode: Mode::Good, since_ms: 0, failed_ms: 0, pace, good: 0, news: Vec::new() }
    }

    /// How the disk does.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether frames of a class worth waiting for (`urgent`) or not may be stored at `now_ms`.
    pub fn may_store(&self, now_ms: u64, urgent: bool) -> bool {
        match self.mode {
            Mode::Good | Mode::Full => true,
            Mode::Slow => urgent,
            Mode::Failing | Mode::ReadOnly => now_ms.saturating_sub(self.failed_ms) >= TRY_AGAIN_MS,
        }
    }

    /// Whether the disk may be read for its own sake.
    pub fn may_scrub(&self) -> bool {
        matches!(self.mode, Mode::Good | Mode::Full | Mode::ReadOnly)
    }

    /// What there is to tell the operator, once.
    pub fn take_news(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.news)
    }

    /// Notes an operation that worked.
    pub fn worked(&mut self, now_ms: u64, operation: Operation) {
        match operation {
            Operation::Change if self.mode == Mode::ReadOnly => self.enter(now_ms, Mode::Good, ""),
            Operation::Change => {}
            Operation::Sync { bytes, grew, took_ms } => {
                self.good = self.good.saturating_add(1);
                // That nothing can be changed keeps no sync from working.
                let over = match self.mode {
                    Mode::Full => grew,
                    Mode::Failing => self.good >= GOOD_IN_A_ROW,
                    Mode::Good | Mode::Slow | Mode::ReadOnly => false,
                };
                if over {
                    self.enter(now_ms, Mode::Good, "");
                }
                self.note_pace(now_ms, bytes, took_ms);
            }
        }
    }

    /// Notes an operation that failed.
    pub fn failed(&mut self, now_ms: u64, what: &str, error: &std::io::Error) {
        let mode = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Mode::Full,
            ErrorKind::ReadOnlyFilesystem => Mode::ReadOnly,
            // Not the disk's fault.
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::CrossesDevices
            | ErrorKind::PermissionDenied
            | ErrorKind::WouldBlock
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::UnexpectedEof => return,
            _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Mode::Failing,
            _ => return,
        };
        (self.good, self.failed_ms) = (0, now_ms);
        // A worse mode stays: what is read-only isn't merely full.
        if mode > self.mode {
            self.enter(now_ms, mode, &format!("{what}: {error}"));
        }
    }

    fn note_pace(&mut self, now_ms: u64, bytes: u64, took_ms: u64) {
        let may_ms = self.slow_sync_ms.saturating_add(bytes.saturating_mul(NS_PER_BYTE) / 1_000_000);
        if self.pace.len() >= WINDOW {
            self.pace.pop_front();
        }
        self.pace.push_back(took_ms > may_ms);
        let slow = self.pace.iter().filter(|slow| **slow).count();
        if self.mode == Mode::Good && slow >= SLOW_OF_WINDOW {
            let text =
                format!("{slow} of the last {} syncs took long, the last {took_ms} ms", self.pace.len());
            self.enter(now_ms, Mode::Slow, &text);
        } else if self.mode == Mode::Slow && slow == 0 {
            self.enter(now_ms, Mode::Good, "");
        }
    }

    fn enter(&mut self, now_ms: u64, mode: Mode, why: &str) {
        let report = if mode == Mode::Good {
            let lasted_s = now_ms.saturating_sub(self.since_ms) / 1000;
            Report::info(mode.code(), format!("{} after {lasted_s} s ({})", mode.says(), self.mode))
        } else {
            let severity = match mode {
                Mode::ReadOnly | Mode::Failing => Severity::Critical,
                Mode::Good | Mode::Slow | Mode::Full => Severity::Error,
            };
            Report { severity, code: mode.code(), text: format!("{why}: {}", mode.says()) }
        };
        self.news.push(report);
        (self.mode, self.since_ms) = (mode, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const QUICK: Operation = Operation::Sync { bytes: 9, grew: true, took_ms: 5 };

    fn codes(health: &mut Health) -> Vec<&'static str> {
        health.take_news().into_iter().map(|report| report.code.name()).collect()
    }

    #[test]
    fn each_fault_has_its_mode_and_event_and_ends_when_the_disk_is_good_again() {
        let eio = || io::Error::from_raw_os_error(5);
        for (error, mode, code) in [
            (ErrorKind::StorageFull.into(), Mode::Full, "disk-full"),
            (ErrorKind::ReadOnlyFilesystem.into(), Mode::ReadOnly, "disk-read-only"),
            (eio(), Mode::Failing, "disk-failing"),
        ] {
            let mut health = Health::new(1_000);
            health.failed(50, "syncing x", &error);
            health.failed(60, "syncing x", &error);
            assert_eq!((health.mode(), codes(&mut health)), (mode, vec![code]), "told once");
            assert_eq!(health.may_store(70, true), mode == Mode::Full);
            assert!(health.may_store(60 + TRY_AGAIN_MS, true), "tried again now and then");
            for _ in 0..3 {
                health.worked(20_000, Operation::Sync { bytes: 9, grew: false, took_ms: 5 });
            }
            assert_eq!(health.mode() == Mode::Good, mode == Mode::Failing, "{mode}: syncs prove little");
            if mode == Mode::ReadOnly {
                health.worked(20_000, Operation::Change);
            }
            health.worked(20_000, QUICK);
            assert_eq!((health.mode(), codes(&mut health)), (Mode::Good, vec!["disk-good"]));
        }
        let mut health = Health::new(1_000);
        health.failed(1, "x", &ErrorKind::StorageFull.into());
        health.failed(2, "x", &ErrorKind::ReadOnlyFilesystem.into());
        health.failed(3, "x", &ErrorKind::StorageFull.into());
        health.failed(3, "x", &ErrorKind::NotFound.into());
        assert_eq!(
            (health.mode(), codes(&mut health)),
            (Mode::ReadOnly, vec!["disk-full", "disk-read-only"])
        );
    }

    #[test]
    fn a_single_good_sync_does_not_end_a_failing_disk() {
        let mut health = Health::new(1_000);
        health.failed(1, "x", &io::Error::from_raw_os_error(5));
        health.worked(2, QUICK);
        health.worked(3, QUICK);
        health.failed(4, "x", &io::Error::from_raw_os_error(5));
        health.worked(5, QUICK);
        health.worked(6, QUICK);
        assert_eq!(health.mode(), Mode::Failing);
        assert!(!health.may_scrub());
    }

    #[test]
    fn a_slow_disk_keeps_only_what_is_urgent() {
        let mut health = Health::new(1_000);
        let sync = |health: &mut Health, bytes, took_ms| {
            health.worked(9, Operation::Sync { bytes, grew: true, took_ms });
        };
        for _ in 0..5 {
            sync(&mut health, 8_000_000, 2_900);
        }
        assert_eq!(health.mode(), Mode::Good, "much was written");
        for took_ms in [1_500, 10, 1_500, 1_500] {
            sync(&mut health, 0, took_ms);
        }
        assert_eq!((health.mode(), codes(&mut health)), (Mode::Slow, vec!["disk-slow"]));
        assert!(health.may_store(9, true) && !health.may_store(9, false) && !health.may_scrub());
        for _ in 0..5 {
            sync(&mut health, 0, 10);
        }
        assert_eq!((health.mode(), codes(&mut health)), (Mode::Good, vec!["disk-good"]));
    }
}
