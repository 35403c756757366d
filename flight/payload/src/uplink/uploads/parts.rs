//! Where uploads are kept, as a trait.

use core::fmt::Debug;
use std::io;
use std::path::PathBuf;

use super::about::UploadId;

/// What is kept of an upload besides what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Pieces.
    Part,
    /// A file that was proved whole.
    Whole,
    /// Nothing: the file was taken.
    Gone,
}

/// Where uploads are kept: a folder, or what stands for one.
pub trait Parts: Debug {
    /// All uploads, what is kept of each as [`super::About::encode`] wrote it. Removes what nothing speaks of.
    ///
    /// # Errors
    /// Those of the disk.
    fn list(&mut self) -> io::Result<Vec<(UploadId, Vec<u8>, Content)>>;

    /// Makes a file of so many zeros for an upload, then keeps `about`; both durably.
    ///
    /// # Errors
    /// Those of the disk.
    fn make(&mut self, id: UploadId, about: &[u8], bytes: u64) -> io::Result<()>;

    /// Fills `out` from its file.
    ///
    /// # Errors
    /// The file ends before that, or those of the disk.
    fn read(&mut self, id: UploadId, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes into its file, durably, in no order.
    ///
    /// # Errors
    /// Those of the disk: any of it may be written then.
    fn write(&mut self, id: UploadId, parts: [(u64, &[u8]); 2]) -> io::Result<()>;

    /// Makes its file one that is whole, of its first `size` bytes; durably, and as often as it likes.
    ///
    /// # Errors
    /// Those of the disk.
    fn finish(&mut self, id: UploadId, size: u64) -> io::Result<PathBuf>;

    /// Removes its file that is whole; one that isn't there is no error.
    ///
    /// # Errors
    /// Those of the disk.
    fn take(&mut self, id: UploadId) -> io::Result<()>;

    /// Removes all that is kept of it.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove(&mut self, id: UploadId) -> io::Result<()>;

    /// Free space, bytes, less what is to be left to others; `None` if it can't be told.
    fn free_bytes(&self) -> Option<u64>;
}
