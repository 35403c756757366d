//! Which boot of the board this is, as Linux tells it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use passband_proto::slot::decide::Boot;

const MAX_BYTES: u64 = 64;
/// Of a watchdog's boot status: it reset the board (`WDIOF_CARDRESET`, Linux's include/uapi/linux/watchdog.h).
pub const CARD_RESET: u64 = 0x20;

/// Asks the system whose `/proc` and `/sys` stand in `system`. What it doesn't tell counts as 0 and as no watchdog.
#[must_use]
pub fn this(system: &Path) -> Boot {
    let id = text(&system.join("proc/sys/kernel/random/boot_id")).map_or(0, |text| start_of(&text));
    let status = text(&system.join("sys/class/watchdog/watchdog0/bootstatus"));
    let by_watchdog = status.and_then(|text| number(&text)).is_some_and(|status| status & CARD_RESET != 0);
    Boot { id, by_watchdog }
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// The first 16 hexadecimal digits of a UUID.
fn start_of(uuid: &str) -> u64 {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// A number as `/sys` has it: decimal, or hexadecimal behind `0x`.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_told_by_linux_or_not_known() {
        let system = tempfile::tempdir().unwrap();
        assert_eq!(this(system.path()), Boot { id: 0, by_watchdog: false });
        let put = |name: &str, text: &str| {
            let path = system.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0000-000000000000\n");
        for (status, by_watchdog) in
            [("0\n", false), ("32\n", true), ("0x21\n", true), ("1\n", false), ("?", false)]
        {
            put("sys/class/watchdog/watchdog0/bootstatus", status);
            assert_eq!(this(system.path()), Boot { id: 0x0123_4567_89ab_cdef, by_watchdog }, "{status:?}");
        }
        assert_ne!(this(Path::new("/")).id, 0, "this very machine");
    }
}
