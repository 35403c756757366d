//! The watchdog of the board: `/dev/watchdog` of Linux (the kernel's Documentation/watchdog/watchdog-api.rst).
//!
//! Opening it starts it; it resets the board unless something is written in time. How long that is, the driver or the
//! boot loader says: setting it takes an ioctl that can't be made without unsafe code, so that it is only told here.
//! A file that is closed in any other way than by [`Watchdog::stop`] leaves the watchdog running.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use passband_launch::boot::{CARD_RESET, number};

use super::os::read_text;

/// Longest attribute, bytes.
const MAX_BYTES: u64 = 64;

/// A watchdog that runs.
#[derive(Debug)]
pub struct Watchdog {
    file: File,
}

impl Watchdog {
    /// Starts it, and feeds it for the first time, as opening does.
    pub fn open(device: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().write(true).open(device)? })
    }

    /// Feeds it.
    pub fn feed(&mut self) -> io::Result<()> {
        self.file.write_all(b"\0")
    }

    /// Stops it, where the driver lets it be stopped: with `nowayout` it runs on.
    pub fn stop(mut self) -> io::Result<()> {
        self.file.write_all(b"V")
    }
}

/// What Linux says of a watchdog, below `root`, which is `/` but in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About {
    /// It resets the board when it wasn't fed for so long, s.
    pub timeout_s: Option<u64>,
    /// The last reset of the board was its own.
    pub reset_the_board: bool,
}

/// Asks what Linux says of the watchdog `device`; nothing where it says nothing.
pub fn about(root: &Path, device: &Path) -> About {
    let name = device.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    // The device without a number is the first one's other name.
    let name = if name == "watchdog" { "watchdog0".into() } else { name };
    let folder = root.join("sys/class/watchdog").join(name.as_ref());
    let text = |name: &str| read_text(&folder.join(name), MAX_BYTES).ok();
    let number = |name| text(name).as_deref().and_then(number);
    About {
        timeout_s: number("timeout"),
        reset_the_board: number("bootstatus").is_some_and(|status| status & CARD_RESET != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_fed_and_stopped_with_the_magic_letter() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("watchdog");
        assert!(Watchdog::open(&device).is_err(), "one that isn't there is not made");
        fs::write(&device, "").unwrap();
        let mut watchdog = Watchdog::open(&device).unwrap();
        watchdog.feed().unwrap();
        watchdog.feed().unwrap();
        assert_eq!(fs::read(&device).unwrap(), b"\0\0");
        drop(watchdog);
        assert_eq!(fs::read(&device).unwrap(), b"\0\0", "a process that dies doesn't stop it");
        Watchdog::open(&device).unwrap().stop().unwrap();
        assert_eq!(fs::read(&device).unwrap()[0], b'V');
    }

    #[test]
    fn linux_says_its_timeout_and_whether_it_reset_the_board() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sys/class/watchdog/watchdog0");
        fs::create_dir_all(&folder).unwrap();
        let device = Path::new("/dev/watchdog");
        assert_eq!(about(dir.path(), device), About::default());
        fs::write(folder.join("timeout"), "120\n").unwrap();
        for (status, reset) in
            [("0\n", false), ("32\n", true), ("0x21\n", true), ("1\n", false), ("x", false)]
        {
            fs::write(folder.join("bootstatus"), status).unwrap();
            let expected = About { timeout_s: Some(120), reset_the_board: reset };
            assert_eq!(about(dir.path(), device), expected, "{status:?}");
        }
        assert_eq!(about(dir.path(), Path::new("/dev/watchdog1")), About::default());
    }
}
