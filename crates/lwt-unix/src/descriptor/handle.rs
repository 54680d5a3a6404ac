//! The handle of a descriptor: making, looking, closing.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use lwt_core::{Error, Promise, Result};

use super::inner::{Handle, Inner, Kind, Label, State};
use crate::{job, sys};

/// A descriptor that threads read, write, and wait for.
///
/// A handle: clones are the same descriptor, and it belongs to its OS thread. Dropping the last handle closes it, unless
/// an operation still waits on it: then that operation keeps it open until it is settled or given up. Errors of
/// closing are seen only with [`close`](FileDescriptor::close).
///
/// How operations run, queue, and share the descriptor is told at the top of [the module](crate::FileDescriptor).
///
/// # Examples
/// ```
/// use lwt_unix::{FileDescriptor, run};
///
/// let mut child = std::process::Command::new("echo").arg("hello").stdout(std::process::Stdio::piped()).spawn()?;
/// let output = FileDescriptor::from(child.stdout.take().expect("the output is piped"));
/// assert_eq!(run(output.read_some(100))?, b"hello\n");
/// child.wait()?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.file_descr")]
pub struct FileDescriptor {
    pub(super) inner: Rc<Inner>,
}

/// The state of a descriptor.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[doc(alias = "Lwt_unix.state")]
pub enum DescriptorState {
    /// It can be used.
    Open,
    /// It has been closed; every use fails with `EBADF`.
    Closed,
    /// It was aborted with this error, with which every use fails.
    Aborted(Error),
}

impl FileDescriptor {
    /// Wraps a descriptor.
    ///
    /// Whether it can block is found out at the first use: pipes and sockets are put into non-blocking mode then, all
    /// else is left as it is and used through jobs.
    #[doc(alias = "Lwt_unix.of_unix_file_descr")]
    pub fn new(descriptor: OwnedFd) -> FileDescriptor {
        sys::signals::ignore_broken_pipes();
        FileDescriptor::wrap(
            Handle::Owned(descriptor),
            Kind::Unknown,
            None,
            false,
            Label::None,
        )
    }

    /// The standard input. It is shared with other processes, so it stays in blocking mode and is read by jobs; nothing
    /// here closes it.
    #[doc(alias = "Lwt_unix.stdin")]
    pub fn stdin() -> FileDescriptor {
        FileDescriptor::standard(rustix::stdio::stdin(), "standard input")
    }

    /// The standard output. See [`stdin`](FileDescriptor::stdin).
    #[doc(alias = "Lwt_unix.stdout")]
    pub fn stdout() -> FileDescriptor {
        FileDescriptor::standard(rustix::stdio::stdout(), "standard output")
    }

    /// The standard error output. See [`stdin`](FileDescriptor::stdin).
    #[doc(alias = "Lwt_unix.stderr")]
    pub fn stderr() -> FileDescriptor {
        FileDescriptor::standard(rustix::stdio::stderr(), "standard error")
    }

    fn standard(descriptor: BorrowedFd<'static>, name: &'static str) -> FileDescriptor {
        sys::signals::ignore_broken_pipes();
        FileDescriptor::wrap(
            Handle::Standard(descriptor),
            Kind::Unknown,
            Some(true),
            true,
            Label::Name(name),
        )
    }

    /// Wraps what this library has made itself: non-blocking already.
    pub(crate) fn made_here(descriptor: OwnedFd, kind: Kind, label: Label) -> FileDescriptor {
        FileDescriptor::wrap(Handle::Owned(descriptor), kind, Some(false), true, label)
    }

    fn wrap(
        handle: Handle,
        kind: Kind,
        is_blocking: Option<bool>,
        flag_agrees: bool,
        label: Label,
    ) -> FileDescriptor {
        FileDescriptor {
            inner: Inner::new(handle, kind, is_blocking, flag_agrees, label),
        }
    }

    pub(crate) fn inner(&self) -> &Rc<Inner> {
        &self.inner
    }

    /// The kernel's number, in any state; after closing it may belong to another file.
    #[doc(alias = "Lwt_unix.unix_file_descr")]
    pub fn raw(&self) -> RawFd {
        self.inner.raw
    }

    /// The state: open, closed, or aborted.
    #[doc(alias = "Lwt_unix.state()")]
    pub fn state(&self) -> DescriptorState {
        match &*self.inner.state.borrow() {
            State::Open(_) => DescriptorState::Open,
            State::Closed => DescriptorState::Closed,
            State::Aborted(_, error) => DescriptorState::Aborted(error.clone()),
        }
    }

    /// Uses the kernel's descriptor for a call of one's own that does not wait.
    ///
    /// # Errors
    /// When the descriptor is closed or aborted.
    ///
    /// # Panics
    /// When `body` closes or aborts this very descriptor.
    #[doc(alias = "Lwt_unix.check_descriptor")]
    pub fn with_descriptor<R>(&self, body: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R> {
        self.inner.with_open("with_descriptor", body)
    }

    /// Whether reads and writes are done by jobs, because the kernel would block in them.
    ///
    /// # Errors
    /// When the descriptor is closed or aborted, or its mode cannot be set.
    #[doc(alias = "Lwt_unix.blocking")]
    pub fn is_blocking(&self) -> Result<bool> {
        self.inner.with_open("is_blocking", |_| ())?;
        self.inner
            .is_blocking()
            .map_err(|error| self.inner.error("fcntl", error))
    }

    /// Decides whether reads and writes are done by jobs.
    ///
    /// With `set_flag` the kernel's flag follows, at the next use; without, only our idea of the descriptor changes.
    ///
    /// # Errors
    /// When the descriptor is closed or aborted.
    #[doc(alias = "Lwt_unix.set_blocking")]
    pub fn set_blocking(&self, blocking: bool, set_flag: bool) -> Result<()> {
        self.inner.with_open("set_blocking", |_| ())?;
        self.inner.is_blocking.set(Some(blocking));
        self.inner.flag_agrees.set(!set_flag);
        Ok(())
    }

    /// A second descriptor for the same open file, as `dup(2)` makes it; close-on-exec, and with the same mode.
    ///
    /// # Errors
    /// When this one is closed or aborted, or there are too many open descriptors.
    #[doc(alias = "Lwt_unix.dup")]
    pub fn duplicate(&self) -> Result<FileDescriptor> {
        let inner = &self.inner;
        let copy = inner.call("dup", |descriptor| {
            rustix::io::fcntl_dupfd_cloexec(descriptor, 0)
        })?;
        let label = inner.label.borrow().clone();
        let (mode, agrees) = (inner.is_blocking.get(), inner.flag_agrees.get());
        Ok(FileDescriptor::wrap(
            Handle::Owned(copy),
            inner.kind.get(),
            mode,
            agrees,
            label,
        ))
    }

    /// Closes the descriptor.
    ///
    /// It is closed for everybody the moment this is called: operations that wait on it fail, with an error that says
    /// so. The promise is resolved when the kernel has closed it; it fails with the kernel's error (a file on a network
    /// may report lost data only here), and the descriptor is closed all the same. An aborted descriptor can be closed.
    /// For a standard descriptor only this handle is closed.
    ///
    /// # Errors
    /// `EBADF` if it has been closed before.
    ///
    /// # Cancellation
    /// The descriptor is closed nevertheless, and its error is not seen.
    ///
    /// # Examples
    /// ```
    /// use lwt_unix::{error_kind, pipe, run};
    ///
    /// let (read, _write) = pipe()?;
    /// let reading = read.read_some(10);
    /// run(read.close())?;
    /// let error = run(reading).unwrap_err();
    /// assert!(error.to_string().contains("has been closed"), "{error}");
    /// assert!(run(read.close()).is_err(), "closing twice is an error");
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_unix.close")]
    pub fn close(&self) -> Promise<()> {
        let handle = match self.inner.state.replace(State::Closed) {
            State::Open(handle) | State::Aborted(handle, _) => handle,
            State::Closed => return lwt_core::fail(self.inner.closed_error("close")),
        };
        self.inner.fail_waiting(None);
        let descriptor = match handle {
            Handle::Owned(descriptor) => Some(descriptor),
            Handle::Shared(descriptor) => Arc::into_inner(descriptor),
            Handle::Standard(_) => None,
        };
        let Some(descriptor) = descriptor else {
            return lwt_core::return_unit();
        };
        let inner = Rc::clone(&self.inner);
        match inner.kind.get() {
            Kind::Socket | Kind::Pipe if !inner.lingers.get() => {
                lwt_core::of_result(closed(&inner, sys::closing::close(descriptor)))
            }
            _ => job::run(move || sys::closing::close(descriptor))
                .and_then(move |result| closed(&inner, result)),
        }
    }

    /// Makes every use of the descriptor fail with `reason`, waiting operations at once; only closing it is left.
    ///
    /// Nothing happens if it is closed; an aborted one gets the new reason. Jobs that worker threads have begun go on.
    #[doc(alias = "Lwt_unix.abort")]
    pub fn abort(&self, reason: impl Into<Error>) {
        let reason = reason.into();
        let mut state = self.inner.state.borrow_mut();
        let (next, was_open) = match std::mem::replace(&mut *state, State::Closed) {
            State::Open(handle) => (State::Aborted(handle, reason.clone()), true),
            State::Aborted(handle, _) => (State::Aborted(handle, reason.clone()), false),
            State::Closed => (State::Closed, false),
        };
        *state = next;
        drop(state);
        if was_open {
            self.inner.fail_waiting(Some(&reason));
        }
    }
}

fn closed(inner: &Inner, result: io::Result<()>) -> Result<()> {
    result.map_err(|error| inner.error("close", error))
}

impl Clone for FileDescriptor {
    fn clone(&self) -> FileDescriptor {
        FileDescriptor {
            inner: Rc::clone(&self.inner),
        }
    }
}

impl Drop for FileDescriptor {
    fn drop(&mut self) {
        self.inner.release_if_unused();
    }
}

impl fmt::Debug for FileDescriptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileDescriptor")
            .field("name", &format_args!("{}", self.inner.name()))
            .field("state", &self.state())
            .finish()
    }
}

macro_rules! from_owner {
    ($($owner:ty),* $(,)?) => {
        $(impl From<$owner> for FileDescriptor {
            fn from(owner: $owner) -> FileDescriptor {
                FileDescriptor::new(OwnedFd::from(owner))
            }
        })*
    };
}

from_owner!(
    OwnedFd,
    std::fs::File,
    io::PipeReader,
    io::PipeWriter,
    std::net::TcpListener,
    std::net::TcpStream,
    std::net::UdpSocket,
    std::os::unix::net::UnixDatagram,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixStream,
    std::process::ChildStderr,
    std::process::ChildStdin,
    std::process::ChildStdout,
);

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn standard_descriptors_are_blocking_and_survive_their_handles() -> Result<()> {
        let output = FileDescriptor::stderr();
        assert!(output.is_blocking()?);
        drop(output.close());
        assert!(matches!(output.state(), DescriptorState::Closed));
        assert!(rustix::io::fcntl_getfd(rustix::stdio::stderr().as_fd()).is_ok());
        Ok(())
    }
}
