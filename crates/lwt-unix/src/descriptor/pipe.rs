//! Making pipes.

use std::os::fd::OwnedFd;

use lwt_core::Result;
use rustix::pipe::{PipeFlags, pipe_with};

use super::handle::FileDescriptor;
use super::inner::{Kind, Label};
use crate::failure;
use crate::sys;

/// A pipe: what is written to the second descriptor is read from the first.
///
/// Both ends are non-blocking and close-on-exec.
///
/// # Errors
/// Those of `pipe(2)`: too many open descriptors.
///
/// # Examples
/// ```
/// use lwt_unix::{pipe, run};
///
/// let (read, write) = pipe()?;
/// run(write.write_bytes("through"))?;
/// drop(write);
/// assert_eq!(run(read.read_some(100))?, b"through");
/// assert_eq!(run(read.read_some(100))?, b"", "the writer is gone: the end");
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.pipe")]
pub fn pipe() -> Result<(FileDescriptor, FileDescriptor)> {
    let (read, write) = open(true, true)?;
    let wrap = |end, name| FileDescriptor::made_here(end, Kind::Pipe, Label::Name(name));
    Ok((
        wrap(read, "the read end of a pipe"),
        wrap(write, "the write end of a pipe"),
    ))
}

/// A pipe whose read end is ours and whose write end is raw and blocking, for a child process.
///
/// Both are close-on-exec: hand the raw one to the child as its standard output.
///
/// # Errors
/// As for [`pipe`].
#[doc(alias = "Lwt_unix.pipe_in")]
pub fn pipe_in() -> Result<(FileDescriptor, OwnedFd)> {
    let (read, write) = open(true, false)?;
    Ok((
        FileDescriptor::made_here(read, Kind::Pipe, Label::Name("the read end of a pipe")),
        write,
    ))
}

/// A pipe whose write end is ours and whose read end is raw and blocking, for a child process. See [`pipe_in`].
///
/// # Errors
/// As for [`pipe`].
#[doc(alias = "Lwt_unix.pipe_out")]
pub fn pipe_out() -> Result<(OwnedFd, FileDescriptor)> {
    let (read, write) = open(false, true)?;
    Ok((
        read,
        FileDescriptor::made_here(write, Kind::Pipe, Label::Name("the write end of a pipe")),
    ))
}

fn open(read_is_ours: bool, write_is_ours: bool) -> Result<(OwnedFd, OwnedFd)> {
    sys::signals::ignore_broken_pipes();
    raw_pipe(read_is_ours, write_is_ours)
        .map_err(|errno| failure::system("pipe", "a new pipe", errno))
}

/// A close-on-exec pipe with the ends in non-blocking mode that are asked for.
pub(crate) fn raw_pipe(
    read_is_ours: bool,
    write_is_ours: bool,
) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let both = read_is_ours && write_is_ours;
    let flags = if both {
        PipeFlags::CLOEXEC | PipeFlags::NONBLOCK
    } else {
        PipeFlags::CLOEXEC
    };
    let (read, write) = pipe_with(flags)?;
    if !both && read_is_ours {
        rustix::io::ioctl_fionbio(&read, true)?;
    }
    if !both && write_is_ours {
        rustix::io::ioctl_fionbio(&write, true)?;
    }
    Ok((read, write))
}
