//! Small file systems of a test's own, that can be filled, fail and be made read-only.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system that goes with this.
pub struct Mounted {
    at: PathBuf,
    image: Option<PathBuf>,
}

impl Mounted {
    /// One in memory, of so many MiB; `None`, and a word why, where this process may not mount.
    pub fn tmpfs(at: &Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], at).then(|| Self { at: at.to_owned(), image: None })
    }

    /// One in an image file beside `at`, that turns read-only on errors; `None`, and a word why, where this process may
    /// not.
    pub fn ext4(at: &Path, mib: u64) -> Option<Self> {
        let image = at.with_extension("img");
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let made = works(Command::new("mkfs.ext4").arg("-q").arg(&image));
        (made && mount_image(&image, at)).then(|| Self { at: at.to_owned(), image: Some(image) })
    }

    /// Mounts it again, after [`Self::unmount`].
    pub fn mount(&self) {
        assert!(mount_image(self.image.as_ref().unwrap(), &self.at));
    }

    pub fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.at));
    }

    /// Unmounts it and repairs it.
    pub fn unmount(&self) {
        assert!(works(Command::new("umount").arg(&self.at)));
        // 1: it was repaired.
        let checked = Command::new("e2fsck").arg("-fy").arg(self.image.as_ref().unwrap()).output().unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
    }

    /// Has the kernel find an error in it, by which it turns read-only.
    pub fn fail(&self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == self.at.to_str()).unwrap();
        let device = line.split(' ').next().unwrap().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// Writes a file that leaves so many bytes free, or none.
    pub fn fill(&self, name: &str, leave_bytes: u64) {
        let mut file = fs::File::create(self.at.join(name)).unwrap();
        let stat = rustix::fs::statvfs(&self.at).unwrap();
        let mut left = (stat.f_bavail * stat.f_frsize).saturating_sub(leave_bytes);
        while left > 0 && file.write_all(&[0; 4096]).is_ok() {
            left = left.saturating_sub(4096);
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A daemon may still be there; it goes with the test.
        works(Command::new("umount").arg("-l").arg(&self.at));
    }
}

fn mount_image(image: &Path, at: &Path) -> bool {
    mount(&["-o", "loop,errors=remount-ro", image.to_str().unwrap()], at)
}

fn mount(args: &[&str], at: &Path) -> bool {
    works(Command::new("mount").args(args).arg(at))
}

/// Whether a command can be run and succeeds; where not, it says why.
fn works(command: &mut Command) -> bool {
    match command.output() {
        Ok(done) if done.status.success() => true,
        Ok(done) => {
            println!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
            false
        }
        Err(e) => {
            println!("{command:?}: {e}");
            false
        }
    }
}
