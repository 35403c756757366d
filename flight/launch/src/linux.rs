//! The board's own disk.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use passband_proto::slot::Slot;

use crate::copies::Folder;
use crate::{PROGRAM, program};

const LOCK_TRIES: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// The folder that holds the slots and the record.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// The one at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the image of a slot belongs.
    #[must_use]
    pub fn image(&self, slot: Slot) -> PathBuf {
        self.0.join(slot.name()).join(PROGRAM)
    }

    /// The image of a slot, if it can be started as far as can be seen from outside.
    ///
    /// # Errors
    /// Where, and why it can't.
    pub fn startable(&self, slot: Slot) -> Result<Image, String> {
        let path = self.image(slot);
        let look = || -> io::Result<(File, u64, bool)> {
            let meta = fs::metadata(&path)?;
            if !meta.is_file() {
                return Err(io::Error::other("not a file"));
            }
            let mut file = File::open(&path)?;
            let mut head = Vec::with_capacity(program::HEAD_BYTES);
            (&file).take(program::HEAD_BYTES as u64).read_to_end(&mut head)?;
            io::Seek::rewind(&mut file)?;
            let is_script = program::check(&head, meta.len()).map_err(io::Error::other)?;
            Ok((file, meta.len(), is_script))
        };
        let (file, bytes, is_script) = look().map_err(|error| told(&path, &error))?;
        Ok(Image { path, file, bytes, is_script })
    }

    /// Keeps others from the record while the returned file lives.
    ///
    /// # Errors
    /// Somebody else has it for seconds, or there is no such folder.
    pub fn lock(&self) -> Result<File, String> {
        let file = File::open(&self.0).map_err(|error| told(&self.0, &error))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => sleep(LOCK_WAIT),
                Err(TryLockError::Error(error)) => return Err(told(&self.0, &error)),
            }
        }
        Err(format!("{}: somebody else is at the slot record", self.0.display()))
    }
}

/// An image that might be started.
#[derive(Debug)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes, from the first one on.
    pub file: File,
    /// How many they are.
    pub bytes: u64,
    /// Whether it is a script, which its interpreter opens again.
    pub is_script: bool,
}

impl Folder for Root {
    fn read(&self, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let path = self.0.join(name);
        // A pipe or device in its place would block the start of the board.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut bytes = Vec::with_capacity(most);
        File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.0.join(name))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
