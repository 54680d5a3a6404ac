//! `poll(2)` over raw descriptor numbers.
//!
//! The table of descriptors holds plain numbers on purpose: an engine is told of numbers that their owner may close
//! behind its back, and the kernel's answer to that (`POLLNVAL`) is what the owner has to see. A `BorrowedFd` would
//! promise that this cannot happen.

use std::io;
use std::time::Duration;

pub(crate) use libc::pollfd as PollEntry;

/// Waits until one of `entries` is ready, or the timeout has passed; `None` waits without limit.
///
/// Returns how many entries have a non-empty `revents`. Time is rounded up, never down, so that a timer that sets the
/// timeout does not fire early.
pub(crate) fn poll(entries: &mut [PollEntry], timeout: Option<Duration>) -> io::Result<usize> {
    let count = entries.len() as libc::nfds_t;
    // SAFETY: the pointer and the count describe exactly the exclusive slice `entries`, which outlives the call; the
    // kernel writes only the `revents` fields. The timeout, where there is one, lives until the call returns.
    let result = unsafe { system_poll(entries.as_mut_ptr(), count, timeout) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// # Safety
/// `entries` must point to `count` entries that may be written during the call.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
unsafe fn system_poll(
    entries: *mut PollEntry,
    count: libc::nfds_t,
    timeout: Option<Duration>,
) -> libc::c_int {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let limit_pointer = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the caller vouches for `entries`; `limit_pointer` is null or points to `limit`, which lives to the end
    // of this function; a null signal mask leaves the mask as it is.
    unsafe { libc::ppoll(entries, count, limit_pointer, std::ptr::null()) }
}

/// # Safety
/// `entries` must point to `count` entries that may be written during the call.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
unsafe fn system_poll(
    entries: *mut PollEntry,
    count: libc::nfds_t,
    timeout: Option<Duration>,
) -> libc::c_int {
    let milliseconds = timeout.map_or(-1, |timeout| {
        let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(rounded_up).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: the caller vouches for `entries` and `count`.
    unsafe { libc::poll(entries, count, milliseconds) }
}

/// Whether one descriptor is ready for any of `events` at this moment (error states count as ready).
pub(crate) fn is_ready(descriptor: libc::c_int, events: libc::c_short) -> io::Result<bool> {
    let mut entry = [PollEntry {
        fd: descriptor,
        events,
        revents: 0,
    }];
    loop {
        match poll(&mut entry, Some(Duration::ZERO)) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_empty_pipe_is_writable_and_not_readable() -> io::Result<()> {
        let (read, write) = rustix::pipe::pipe()?;
        assert!(!is_ready(read.as_raw_fd(), libc::POLLIN)?);
        assert!(is_ready(write.as_raw_fd(), libc::POLLOUT)?);
        drop(write);
        assert!(
            is_ready(read.as_raw_fd(), libc::POLLIN)?,
            "end of file counts as readable"
        );
        Ok(())
    }

    #[test]
    fn a_closed_number_is_reported_and_does_not_fail_the_call() -> io::Result<()> {
        let mut entry = [PollEntry {
            fd: i32::MAX,
            events: libc::POLLIN,
            revents: 0,
        }];
        assert_eq!(poll(&mut entry, Some(Duration::ZERO))?, 1);
        assert_eq!(entry[0].revents & libc::POLLNVAL, libc::POLLNVAL);
        Ok(())
    }
}
