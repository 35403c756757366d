//! Descriptors that this process has from whoever started the daemon, and that a script must not get: a file that was
//! left open in a shell, say. The daemon's own are closed by any exec (`O_CLOEXEC`); so are these from here on.
//!
//! The one block of unsafe code of this crate: that a number is an open descriptor can only be said, not proved, to
//! the compiler.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

/// Has every descriptor but the first three be closed by the next exec. For a process of one thread.
///
/// # Errors
/// They can't be listed or changed; some may be inherited then.
pub(super) fn close_at_exec() -> io::Result<()> {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in listed.into_iter().filter(|fd| *fd > 2) {
        match mark(fd) {
            // That of the listing itself is closed by now.
            Ok(()) | Err(Errno::BADF) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "a descriptor of which only the number is known can't be borrowed otherwise")]
fn mark(fd: i32) -> Result<(), Errno> {
    // SAFETY: the number was listed as open, and is not -1. This process has no other thread that could close it
    // meanwhile; were it closed, the calls below would fail with EBADF and touch nothing. It is not kept.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let flags = fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)
}
