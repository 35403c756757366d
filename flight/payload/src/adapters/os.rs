//! Small questions to the operating system.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use passband_proto::keyring::KeyRing;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Largest key file that is read, bytes.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;
/// Longest file of procfs that is read, bytes.
const MAX_PROC_BYTES: u64 = 64 << 10;

/// Twelve bytes of the system's cryptographic random source.
pub fn random_12() -> io::Result<[u8; 12]> {
    let mut out = [0; 12];
    getrandom::fill(&mut out).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(out)
}

/// The number of the user that this process runs as.
pub fn own_uid() -> io::Result<u32> {
    // Procfs shows a process to belong to its effective user.
    fs::metadata("/proc/self").map(|about| about.uid())
}

/// Where the command socket is if its own folder can't be written: in memory, of the daemon's user and spacecraft.
pub fn spare_socket(uid: u32, spacecraft: u16) -> PathBuf {
    PathBuf::from(format!("/dev/shm/passband-{uid}-{spacecraft}.sock"))
}

/// Where else than at `socket` the daemon of a spacecraft may listen: as this user, or as the one whom the socket's
/// folder belongs to.
pub fn spare_sockets(socket: &Path, spacecraft: u16) -> Vec<PathBuf> {
    let owner = socket.parent().and_then(|folder| fs::metadata(folder).ok()).map(|about| about.uid());
    let mut out: Vec<_> =
        own_uid().ok().into_iter().chain(owner).map(|uid| (uid, spare_socket(uid, spacecraft))).collect();
    out.dedup();
    // Anybody may make files there: only a socket of that very user is the daemon's.
    out.retain(|(uid, path)| {
        fs::symlink_metadata(path).is_ok_and(|about| about.uid() == *uid && about.file_type().is_socket())
    });
    out.into_iter().map(|(_, path)| path).collect()
}

/// What this process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnUse {
    /// Memory that it has, bytes (`VmRSS`).
    pub memory_bytes: u64,
    /// Processor time since it began, ms.
    pub cpu_ms: u64,
}

/// What this process takes; `None`: procfs doesn't say.
pub fn own_use() -> Option<OwnUse> {
    let status = read_text(Path::new("/proc/self/status"), MAX_PROC_BYTES).ok()?;
    let stat = read_text(Path::new("/proc/self/stat"), MAX_PROC_BYTES).ok()?;
    Some(OwnUse { memory_bytes: kib_of(&status, "VmRSS:")?.saturating_mul(1024), cpu_ms: cpu_ms(&stat)? })
}

/// Memory that processes may still have, bytes; `None`: procfs doesn't say.
pub fn available_memory() -> Option<u64> {
    let text = read_text(Path::new("/proc/meminfo"), MAX_PROC_BYTES).ok()?;
    kib_of(&text, "MemAvailable:").map(|kib| kib.saturating_mul(1024))
}

/// The number of a line `NAME:   12345 kB`.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Processor time by `/proc/PID/stat`: user and system, in hundredths of a second (proc_pid_stat(5); Linux shows
/// `USER_HZ` of 100 on all machines that this runs on).
fn cpu_ms(stat: &str) -> Option<u64> {
    // The name before it, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()?.saturating_add(ticks()?).saturating_mul(10))
}

/// SHA-256 of the file that this process runs.
pub fn own_digest() -> io::Result<[u8; 32]> {
    let (mut file, mut hash, mut buffer) = (File::open("/proc/self/exe")?, Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            bytes => hash.update(buffer.get(..bytes).unwrap_or_default()),
        }
    }
}

/// Reads a text file of at most `max_bytes`.
pub fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("more than {max_bytes} bytes")));
    }
    Ok(text)
}

/// Reads a key file; also says whether others than its owner may read it.
///
/// # Errors
/// A sentence that names the file and never shows its content.
pub fn read_keys(path: &Path) -> Result<(KeyRing, bool), String> {
    let (text, exposed) = read_secret(path).map_err(|e| format!("key file {}: {e}", path.display()))?;
    let keys = KeyRing::parse(&text).map_err(|e| format!("key file {}: {e}", path.display()))?;
    Ok((keys, exposed))
}

/// Reads a file with secrets; also says whether others than its owner may read it.
///
/// # Errors
/// Those of the file.
pub fn read_secret(path: &Path) -> io::Result<(Zeroizing<String>, bool)> {
    let text = Zeroizing::new(read_text(path, MAX_KEY_FILE_BYTES)?);
    let exposed = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    Ok((text, exposed))
}

/// Steady time since the board was started, ms; goes on over restarts of the program (CLOCK_BOOTTIME).
pub fn board_clock_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let s = u64::try_from(time.tv_sec).unwrap_or_default();
    s.saturating_mul(1000).saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or_default())
}

/// What tells this run of [`board_clock_ms`] from others: the first bytes of the kernel's number of this boot.
pub fn board_number() -> u32 {
    boot_id().and_then(|id| id.first_chunk().copied()).map_or(0, u32::from_be_bytes)
}

/// Becomes a new process of the same program and arguments; comes back only if that can't be done, with the reason.
pub fn start_anew() -> io::Error {
    use std::os::unix::process::CommandExt;
    std::process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec()
}

/// Restarts the board, after everything was written; comes back only if that can't be done, with the reason.
pub fn reboot() -> io::Error {
    rustix::fs::sync();
    match rustix::system::reboot(rustix::system::RebootCommand::Restart) {
        Ok(()) => io::Error::other("the system didn't restart"),
        Err(e) => e.into(),
    }
}

/// Eight bytes of the system's cryptographic random source.
pub fn random_8() -> io::Result<[u8; 8]> {
    let mut out = [0; 8];
    getrandom::fill(&mut out).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(out)
}

/// The kernel's random number of this boot; `None` where it can't be read.
pub fn boot_id() -> Option<[u8; 16]> {
    let text = read_text(Path::new("/proc/sys/kernel/random/boot_id"), 64).ok()?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 32).map(u128::to_be_bytes)
}

/// What tells whether a file has changed, or who may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    path: PathBuf,
    /// Its inode, its size, and when it or what is told of it was changed last (ctime: whatever moves mtime moves it).
    seen: Option<(u64, u64, i64, i64)>,
}

impl FileState {
    /// The state of a file as it is now, also of one that isn't there.
    pub fn of(path: &Path) -> Self {
        let about = fs::metadata(path).ok();
        let seen = about.map(|about| (about.ino(), about.len(), about.ctime(), about.ctime_nsec()));
        Self { path: path.to_owned(), seen }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state of the same file now.
    #[must_use]
    pub fn now(&self) -> Self {
        Self::of(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::keys::EpochKey;

    #[test]
    fn a_file_has_changed_when_others_may_read_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.txt");
        let missing = FileState::of(&path);
        fs::write(&path, "a").unwrap();
        let before = FileState::of(&path);
        assert!(missing != before && before == before.now());
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(before, before.now());
    }

    #[test]
    fn a_key_file_is_read_and_its_permissions_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.txt");
        fs::write(&path, format!("passband-key v1 spacecraft=1 epoch=2 {}\n", "0f".repeat(32))).unwrap();
        for (mode, exposed) in [(0o600, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let (keys, is) = read_keys(&path).unwrap();
            assert_eq!((keys.newest(1).map(EpochKey::epoch), is), (Some(2), exposed), "{mode:o}");
        }
        fs::write(&path, "passband-key v1 spacecraft=1 epoch=2 secretsecret").unwrap();
        let error = read_keys(&path).unwrap_err();
        assert!(error.contains("keys.txt: line 1") && !error.contains("secretsecret"), "{error}");
        assert!(read_keys(&dir.path().join("none")).unwrap_err().contains("none"));
    }

    #[test]
    fn the_kernel_numbers_its_boot() {
        let id = boot_id().unwrap();
        assert_eq!(boot_id(), Some(id));
        assert_ne!(id, [0; 16]);
    }

    #[test]
    fn what_the_process_takes_is_read() {
        let stat = "1 (a ) b) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20";
        assert_eq!((cpu_ms(stat), cpu_ms("1 (a) S 1")), (Some(1_680), None));
        assert_eq!(kib_of("VmHWM:\t 9 kB\nVmRSS:\t    8252 kB\n", "VmRSS:"), Some(8_252));
        assert!(own_use().unwrap().memory_bytes > 100_000 && available_memory().unwrap() > 1 << 20);
        assert_eq!(own_digest().unwrap(), own_digest().unwrap());
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_12().unwrap(), random_12().unwrap());
    }
}
