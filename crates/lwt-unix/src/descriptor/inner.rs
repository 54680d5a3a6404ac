//! What the handles of one descriptor share.
//!
//! The state lives here, not in the kernel: two wrappers of one raw number do not see each other's closing. A
//! descriptor is *open*; *closed* for good; or *aborted*, when every use fails with the error it was aborted with and
//! only closing is left.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use lwt_core::{Error, Result};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::blocking::Blocking;
use super::lane::Lane;
use crate::address::Address;
use crate::engine::Direction;
use crate::sys::polling;
use crate::{failure, job};

/// Who owns the kernel's descriptor.
pub(super) enum Handle {
    /// We alone.
    Owned(OwnedFd),
    /// We, and jobs that may be using it this moment: the last of them closes.
    Shared(Arc<OwnedFd>),
    /// The process: a standard descriptor, never closed by us.
    Standard(BorrowedFd<'static>),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Owned(descriptor) => descriptor.as_fd(),
            Handle::Shared(descriptor) => descriptor.as_fd(),
            Handle::Standard(descriptor) => descriptor.as_fd(),
        }
    }
}

pub(super) enum State {
    Open(Handle),
    Closed,
    Aborted(Handle, Error),
}

/// What kind of object the kernel has behind the descriptor, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not looked at yet.
    Unknown,
    Socket,
    Pipe,
    /// A regular file or a block device: always "ready", and slow all the same.
    File,
    /// Terminals and other character devices.
    Other,
}

/// What the errors call the descriptor, beside its number.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    None,
    Name(&'static str),
    Listening(Address),
    Connecting(Address),
    Peer(Address),
}

pub(crate) struct Inner {
    pub(super) raw: RawFd,
    pub(super) state: RefCell<State>,
    pub(super) kind: Cell<Kind>,
    /// `None` until the first use decides.
    pub(super) is_blocking: Cell<Option<bool>>,
    /// Whether the kernel's O_NONBLOCK flag is known to agree with the mode.
    pub(super) flag_agrees: Cell<bool>,
    pub(super) label: RefCell<Label>,
    pub(super) read: Lane,
    pub(super) write: Lane,
    pub(super) blocking: RefCell<Option<Box<Blocking>>>,
    /// Whether closing may take its time, so that it has to be done by a job.
    pub(crate) lingers: Cell<bool>,
}

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// How many descriptors of this OS thread exist.
pub(crate) fn live() -> usize {
    LIVE.try_with(Cell::get).unwrap_or(0)
}

/// What trying an operation gives.
pub(crate) enum Attempt<T> {
    Done(Result<T>),
    /// Not now: wait until the descriptor is ready.
    Later,
}

impl Inner {
    pub(super) fn new(
        handle: Handle,
        kind: Kind,
        is_blocking: Option<bool>,
        flag_agrees: bool,
        label: Label,
    ) -> Rc<Inner> {
        let _ = LIVE.try_with(|live| live.set(live.get() + 1));
        Rc::new(Inner {
            raw: handle.as_fd().as_raw_fd(),
            state: RefCell::new(State::Open(handle)),
            kind: Cell::new(kind),
            is_blocking: Cell::new(is_blocking),
            flag_agrees: Cell::new(flag_agrees),
            label: RefCell::new(label),
            read: Lane::new(),
            write: Lane::new(),
            blocking: RefCell::new(None),
            lingers: Cell::new(false),
        })
    }

    pub(crate) fn raw_descriptor(&self) -> RawFd {
        self.raw
    }

    pub(super) fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Uses the kernel's descriptor, if this one is open.
    pub(crate) fn with_open<R>(
        &self,
        operation: &'static str,
        body: impl FnOnce(BorrowedFd<'_>) -> R,
    ) -> Result<R> {
        match &*self.state.borrow() {
            State::Open(handle) => Ok(body(handle.as_fd())),
            State::Closed => Err(self.closed_error(operation)),
            State::Aborted(_, error) => Err(error.clone()),
        }
    }

    /// A system call that does not wait, on an open descriptor; interrupted ones are repeated.
    pub(crate) fn call<T>(
        &self,
        operation: &'static str,
        mut body: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let result = self.with_open(operation, |descriptor| {
            rustix::io::retry_on_intr(|| body(descriptor))
        })?;
        result.map_err(|errno| self.error(operation, errno))
    }

    /// Tries an operation that the kernel may put off.
    pub(super) fn attempt<T>(
        self: &Rc<Inner>,
        operation: &'static str,
        call: &mut impl FnMut(&Rc<Inner>) -> io::Result<T>,
    ) -> Attempt<T> {
        if let Err(error) = self.with_open(operation, |_| ()) {
            return Attempt::Done(Err(error));
        }
        loop {
            match call(self) {
                Ok(value) => return Attempt::Done(Ok(value)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Attempt::Later,
                    io::ErrorKind::Interrupted => {}
                    _ => return Attempt::Done(Err(self.error(operation, error))),
                },
            }
        }
    }

    /// The descriptor for a system call inside an attempt, which has checked that it is open.
    pub(crate) fn io<T>(
        &self,
        body: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match &*self.state.borrow() {
            State::Open(handle) | State::Aborted(handle, _) => {
                body(handle.as_fd()).map_err(io::Error::from)
            }
            State::Closed => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    /// The kind of object, looked up on first use; a failing look counts as "other".
    pub(super) fn kind(&self) -> Kind {
        if self.kind.get() == Kind::Unknown {
            let kind = self
                .io(|descriptor| fstat(descriptor))
                .map_or(Kind::Other, |status| {
                    match FileType::from_raw_mode(status.st_mode) {
                        FileType::Socket => Kind::Socket,
                        FileType::Fifo => Kind::Pipe,
                        FileType::RegularFile | FileType::BlockDevice | FileType::Directory => {
                            Kind::File
                        }
                        _ => Kind::Other,
                    }
                });
            self.kind.set(kind);
        }
        self.kind.get()
    }

    /// Whether reads and writes are done by jobs; decided, and the kernel told, on first use.
    pub(super) fn is_blocking(&self) -> io::Result<bool> {
        let blocking = match self.is_blocking.get() {
            Some(blocking) => blocking,
            None => {
                let blocking = !matches!(self.kind(), Kind::Socket | Kind::Pipe);
                self.is_blocking.set(Some(blocking));
                // What is found to be blocking is left as it is; it may be shared with other processes.
                self.flag_agrees.set(blocking);
                blocking
            }
        };
        if !self.flag_agrees.get() {
            self.io(|descriptor| {
                let flags = fcntl_getfl(descriptor)?;
                let wanted = if blocking {
                    flags - OFlags::NONBLOCK
                } else {
                    flags | OFlags::NONBLOCK
                };
                if wanted != flags {
                    fcntl_setfl(descriptor, wanted)?;
                }
                Ok(())
            })?;
            self.flag_agrees.set(true);
        }
        Ok(blocking)
    }

    /// Before a call on a socket that would otherwise block the loop: makes sure that the kernel knows the mode. A socket that
    /// was told to be blocking is only used where `direction` is ready.
    pub(crate) fn ready_for_socket_call(&self, direction: Direction) -> io::Result<()> {
        let events = match direction {
            Direction::Read => libc::POLLIN,
            Direction::Write => libc::POLLOUT,
        };
        if self.is_blocking()? && !polling::is_ready(self.raw, events)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    pub(crate) fn set_label(&self, label: Label) {
        self.label.replace(label);
    }

    /// The failure of an operation on this descriptor.
    pub(crate) fn error(&self, operation: &'static str, source: impl Into<io::Error>) -> Error {
        failure::system(operation, self.name(), source)
    }

    pub(super) fn closed_error(&self, operation: &'static str) -> Error {
        let object = format!("{}, which has been closed", self.name());
        failure::system(operation, object, io::Error::from_raw_os_error(libc::EBADF))
    }

    /// The descriptor's name in errors: its number, and what is behind it where that is known.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match (&*self.label.borrow(), self.raw) {
            (Label::None, raw) => format!("descriptor {raw}").into(),
            (Label::Name(name), raw) => format!("descriptor {raw} ({name})").into(),
            (Label::Listening(address), raw) => {
                format!("descriptor {raw} (listening at {address})").into()
            }
            (Label::Connecting(address), raw) => {
                format!("descriptor {raw} (connecting to {address})").into()
            }
            (Label::Peer(address), raw) => {
                format!("descriptor {raw} (connected to {address})").into()
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = LIVE.try_with(|live| live.set(live.get() - 1));
        if self.lingers.get() {
            let state = self.state.replace(State::Closed);
            if let State::Open(Handle::Owned(descriptor))
            | State::Aborted(Handle::Owned(descriptor), _) = state
            {
                job::run_unseen(move || drop(descriptor));
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}
