//! `close(2)` that tells whether it failed.
//!
//! Dropping an `OwnedFd` swallows the error. For files on a network file system that error is the only report that
//! data was lost, so the explicit [`close`] of a descriptor hands it to the caller.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// Closes the descriptor and returns the kernel's verdict.
///
/// The descriptor is gone in every case. An interrupted close counts as done: on Linux and the BSDs the number is
/// free again, and closing it a second time could hit a descriptor that another thread has just opened.
pub(crate) fn close(descriptor: OwnedFd) -> io::Result<()> {
    let raw = descriptor.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the ownership of `raw` to us, nobody else owns the number, and it is not used
    // again after this call whatever the call returns.
    if unsafe { libc::close(raw) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_descriptor_closes_without_an_error() -> io::Result<()> {
        let (read, _write) = rustix::pipe::pipe()?;
        close(read)
    }
}
