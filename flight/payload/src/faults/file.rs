//! An open file of a simulated disk.

use std::io;

use super::SimDisk;
use crate::adapters::disk::DiskFile;

/// An open file: it stays readable when its name goes, as with Linux.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    inode: u64,
    bytes: u64,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, inode: u64, bytes: u64) -> Self {
        Self { disk, inode, bytes }
    }
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(self.inode, self.bytes, bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_watched(self.inode, offset, buf)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(self.inode)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn forget_cached(&self) {}
}
