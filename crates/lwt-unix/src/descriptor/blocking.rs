//! Reading and writing descriptors that block: by jobs on worker threads.
//!
//! At most one job per direction runs for a descriptor. It works on bytes of its own, which are copied here, on the
//! loop's thread, so cancelling a read can never lose what the kernel has already handed over: bytes that arrive after
//! their reader has given up wait in `arrived` for the next one. A write whose writer has given up goes on, and its
//! outcome is dropped.
//!
//! A job holds the kernel's descriptor: closing while it runs makes the descriptor closed for us at once, and the
//! kernel's number is freed when the job has ended, never under its feet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::io::{read, retry_on_intr, write};

use super::inner::{Handle, Inner, Kind, State};
use crate::engine::Direction;
use crate::job;
use crate::sys::polling;

/// The most one job reads or writes, so that a large buffer is not copied for a small transfer.
const PIECE: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct Blocking {
    read_runs: bool,
    write_runs: bool,
    /// Bytes that a job has read and nobody has taken; `taken` of them are gone.
    arrived: Vec<u8>,
    taken: usize,
    /// A read that ended without bytes: the end of the file, or an error; told once.
    read_ended: Option<io::Result<()>>,
    /// The outcome of the last write job, for the writer with this token.
    written: Option<(u64, io::Result<usize>)>,
    next_token: u64,
}

/// The kernel's descriptor in the hands of a job.
enum Borrowed {
    Shared(Arc<OwnedFd>),
    Standard(BorrowedFd<'static>),
}

impl AsFd for Borrowed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Borrowed::Shared(descriptor) => descriptor.as_fd(),
            Borrowed::Standard(descriptor) => descriptor.as_fd(),
        }
    }
}

fn not_now<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}

impl Inner {
    fn blocking<R>(&self, body: impl FnOnce(&mut Blocking) -> R) -> R {
        body(self.blocking.borrow_mut().get_or_insert_with(Box::default))
    }

    /// Whether a job reads or writes for this direction, so that neither the engine nor the queue is to be asked.
    pub(super) fn job_runs(&self, direction: Direction) -> bool {
        self.blocking
            .borrow()
            .as_deref()
            .is_some_and(|blocking| match direction {
                Direction::Read => blocking.read_runs,
                Direction::Write => blocking.write_runs,
            })
    }

    /// Whether bytes, an end of file or an error have arrived that nobody has taken.
    pub(super) fn has_arrived(&self) -> bool {
        self.blocking.borrow().as_deref().is_some_and(|blocking| {
            blocking.taken < blocking.arrived.len() || blocking.read_ended.is_some()
        })
    }

    /// Reads at most `wanted` bytes by a job; `take` gets what has arrived and says how much of it it has taken.
    pub(super) fn read_by_job(
        self: &Rc<Inner>,
        wanted: usize,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> io::Result<usize> {
        let arrived = self.blocking(|blocking| {
            if blocking.taken < blocking.arrived.len() {
                let count = take(blocking.arrived.get(blocking.taken..).unwrap_or_default());
                blocking.taken += count;
                if blocking.taken == blocking.arrived.len() {
                    blocking.arrived = Vec::new();
                    blocking.taken = 0;
                }
                return Some(Ok(count));
            }
            blocking.read_ended.take().map(|ended| ended.map(|()| 0))
        });
        if let Some(outcome) = arrived {
            return outcome;
        }
        if self.job_runs(Direction::Read) || !self.job_may_start(Direction::Read)? {
            return not_now();
        }
        let descriptor = self.lend_to_job()?;
        self.blocking(|blocking| blocking.read_runs = true);
        let job = job::run(move || {
            let mut buffer = Vec::with_capacity(wanted.min(PIECE));
            retry_on_intr(|| read(&descriptor, spare_capacity(&mut buffer))).map(|_| buffer)
        });
        let inner = Rc::clone(self);
        let ended = move |outcome: Result<Vec<u8>, io::Error>| {
            inner.blocking(|blocking| {
                blocking.read_runs = false;
                match outcome {
                    Ok(bytes) if bytes.is_empty() => blocking.read_ended = Some(Ok(())),
                    Ok(bytes) => blocking.arrived = bytes,
                    Err(error) => blocking.read_ended = Some(Err(error)),
                }
            });
            inner.serve(Direction::Read);
        };
        after(job, ended);
        not_now()
    }

    /// Writes a piece of `bytes` by a job. `token` belongs to the writer: it recognises its own outcome by it.
    pub(super) fn write_by_job(
        self: &Rc<Inner>,
        token: &mut Option<u64>,
        bytes: &[u8],
    ) -> io::Result<usize> {
        if self.job_runs(Direction::Write) {
            return not_now();
        }
        let outcome = self.blocking(|blocking| blocking.written.take());
        if let (Some((of, outcome)), Some(mine)) = (outcome, *token)
            && of == mine
        {
            *token = None;
            return outcome;
        }
        if !self.job_may_start(Direction::Write)? {
            return not_now();
        }
        let descriptor = self.lend_to_job()?;
        let mine = self.blocking(|blocking| {
            blocking.write_runs = true;
            blocking.next_token += 1;
            blocking.next_token
        });
        *token = Some(mine);
        let piece: Vec<u8> = bytes.iter().copied().take(PIECE).collect();
        let job = job::run(move || retry_on_intr(|| write(&descriptor, &piece)));
        let inner = Rc::clone(self);
        let ended = move |outcome| {
            inner.blocking(|blocking| {
                blocking.write_runs = false;
                blocking.written = Some((mine, outcome));
            });
            inner.serve(Direction::Write);
        };
        after(job, ended);
        not_now()
    }

    /// Files are always ready, and slow; anything else is first waited for with the engine, to occupy no worker.
    fn job_may_start(&self, direction: Direction) -> io::Result<bool> {
        let events = match direction {
            Direction::Read => libc::POLLIN,
            Direction::Write => libc::POLLOUT,
        };
        Ok(self.kind() == Kind::File || polling::is_ready(self.raw, events)?)
    }

    fn lend_to_job(&self) -> io::Result<Borrowed> {
        let mut state = self.state.borrow_mut();
        let (handle, lent) = match std::mem::replace(&mut *state, State::Closed) {
            State::Open(handle) => {
                let (handle, lent) = lend(handle);
                (State::Open(handle), Ok(lent))
            }
            other => (other, Err(io::Error::from_raw_os_error(libc::EBADF))),
        };
        *state = handle;
        lent
    }
}

fn lend(handle: Handle) -> (Handle, Borrowed) {
    match handle {
        Handle::Owned(descriptor) => {
            let descriptor = Arc::new(descriptor);
            (
                Handle::Shared(Arc::clone(&descriptor)),
                Borrowed::Shared(descriptor),
            )
        }
        Handle::Shared(descriptor) => (
            Handle::Shared(Arc::clone(&descriptor)),
            Borrowed::Shared(descriptor),
        ),
        Handle::Standard(descriptor) => {
            (Handle::Standard(descriptor), Borrowed::Standard(descriptor))
        }
    }
}

/// Calls `ended` with the job's outcome; a job that could not be run at all counts as a failed call.
fn after<T: 'static>(
    job: lwt_core::Promise<rustix::io::Result<T>>,
    ended: impl FnOnce(io::Result<T>) + 'static,
) {
    let outcome = job.map(|outcome| outcome.map_err(io::Error::from));
    let recovered = outcome.catch(|error| lwt_core::return_(Err(io::Error::other(error))));
    recovered.map(ended).ignore_result();
}
