//! A file of a simulated disk as the catalogue's database uses one.

use std::io;

use redb::StorageBackend;

use super::SimDisk;

/// A database file.
#[derive(Debug)]
pub(super) struct SimDatabase {
    disk: SimDisk,
    inode: u64,
}

impl SimDatabase {
    pub(super) fn new(disk: SimDisk, inode: u64) -> Self {
        Self { disk, inode }
    }
}

impl StorageBackend for SimDatabase {
    fn len(&self) -> io::Result<u64> {
        self.disk.len(self.inode)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(self.inode, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(self.inode, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(self.inode)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(self.inode, offset, data)
    }
}
