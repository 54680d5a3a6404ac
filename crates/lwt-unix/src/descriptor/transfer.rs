//! Reading and writing.
//!
//! Two families. The `async fn`s work on borrowed memory and, like every Rust future, do nothing until they are
//! awaited; they are what straight-line code uses. The functions that return a [`Promise`] start at once, own what
//! they need, and can be stored, picked from and cancelled.
//!
//! Neither loses bytes. A read takes bytes from the kernel only at the moment at which its reader gets them, so a read
//! that is cancelled, or whose future or promise is dropped while it waits, has taken nothing.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use lwt_core::{EndOfFile, Error, Promise, Result};
use rustix::buffer::spare_capacity;
use rustix::net::SendFlags;

use super::buffer::Buffer;
use super::handle::FileDescriptor;
use super::inner::{Inner, Kind};
use crate::engine::Direction;
use crate::sys::polling;

/// The largest vector that [`FileDescriptor::read_some`] makes.
const LARGEST_PIECE: usize = 1 << 20;

impl FileDescriptor {
    /// Reads at most `buffer.len()` bytes and returns how many; 0 at the end of the file.
    ///
    /// The number may be smaller than asked for: it is what is there. The end of the file is not sticky: a later call
    /// asks the kernel again.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor; the reason of an abort.
    ///
    /// # Cancellation
    /// Nothing has been read.
    ///
    /// # Examples
    /// ```
    /// use lwt_unix::{pipe, run};
    ///
    /// let (read, write) = pipe()?;
    /// run(lwt_core::spawn(async move {
    ///     write.write_all(b"hello").await?;
    ///     let mut buffer = [0; 16];
    ///     let count = read.read(&mut buffer).await?;
    ///     assert_eq!(&buffer[..count], b"hello");
    ///     Ok(())
    /// }))?;
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_unix.read")]
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.inner
            .lend(Direction::Read, "read", |inner| inner.read_once(buffer))
            .await
    }

    /// Fills the whole buffer.
    ///
    /// Two threads that call this at the same time do not get each other's bytes in between: the second waits for its
    /// turn.
    ///
    /// # Errors
    /// [`EndOfFile`] if the file ends before; else as for [`read`](FileDescriptor::read). What was read by then is in
    /// the buffer.
    ///
    /// # Cancellation
    /// What was read by then is in the buffer, but not how much it was: after a cancellation the stream is no longer
    /// aligned. Where that matters, loop over `read`.
    pub async fn read_exact(&self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        let complete = |inner: &Rc<Inner>| {
            let mut rounds = Rounds::new();
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                rounds.next()?;
                match inner.read_once(rest)? {
                    0 => return Ok(false),
                    count => filled += count,
                }
            }
            Ok(true)
        };
        match self.inner.lend(Direction::Read, "read", complete).await? {
            true => Ok(()),
            false => Err(Error::from(EndOfFile)),
        }
    }

    /// Writes as many of the bytes as there is room for, at least one, and returns how many.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor, with `BrokenPipe` if nobody can read any more;
    /// the reason of an abort.
    ///
    /// # Cancellation
    /// Nothing has been written. (On blocking descriptors, a write that a worker has begun goes on.)
    #[doc(alias = "Lwt_unix.write")]
    #[doc(alias = "Lwt_unix.write_string")]
    pub async fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut token = None;
        self.inner
            .lend(Direction::Write, "write", |inner| {
                inner.write_once(&mut token, bytes)
            })
            .await
    }

    /// Writes all the bytes.
    ///
    /// Two threads that call this at the same time do not mix their bytes: the second waits for its turn.
    ///
    /// # Errors
    /// As for [`write`](FileDescriptor::write).
    ///
    /// # Cancellation
    /// A part may have been written; [`write_all_from`](FileDescriptor::write_all_from) tells which.
    pub async fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        self.write_all_from(&mut rest).await
    }

    /// Writes all the bytes of `rest` and advances it: in every outcome, it is what the kernel has *not* taken.
    ///
    /// # Errors
    /// As for [`write`](FileDescriptor::write).
    ///
    /// # Cancellation
    /// `rest` tells what has not been written. The same when the future is dropped.
    pub async fn write_all_from(&self, rest: &mut &[u8]) -> Result<()> {
        let mut token = None;
        let complete = |inner: &Rc<Inner>| {
            let mut rounds = Rounds::new();
            while !rest.is_empty() {
                rounds.next()?;
                let count = inner.write_once(&mut token, rest)?;
                *rest = rest.get(count..).unwrap_or_default();
            }
            Ok(())
        };
        self.inner.lend(Direction::Write, "write", complete).await
    }

    /// Reads at most `at_most` bytes into a new vector; empty at the end of the file.
    ///
    /// No memory is held while it waits. At most 1 MiB is read at once, however much is allowed.
    ///
    /// # Errors
    /// As for [`read`](FileDescriptor::read).
    ///
    /// # Cancellation
    /// Nothing has been read; the same when the promise is dropped while it waits. Once it is resolved, the bytes are
    /// in the promise.
    ///
    /// # Examples
    /// ```
    /// use lwt_unix::{pipe, run};
    ///
    /// let (read, write) = pipe()?;
    /// let reading = read.read_some(100);
    /// run(write.write_bytes("first"))?;
    /// assert_eq!(run(reading)?, b"first");
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[must_use = "dropping the promise withdraws the read"]
    pub fn read_some(&self, at_most: usize) -> Promise<Vec<u8>> {
        self.inner.start(Direction::Read, "read", move |inner| {
            inner.read_vector(at_most)
        })
    }

    /// Reads into an owned buffer; the promise gives the number of bytes, 0 at the end of the file.
    ///
    /// The buffer is lent until the promise is settled or dropped, and yours again after *every* outcome.
    ///
    /// # Errors
    /// As for [`read`](FileDescriptor::read); an invalid-argument error if the buffer is lent already.
    ///
    /// # Cancellation
    /// Nothing has been read; the same when the promise is dropped while it waits.
    #[must_use = "dropping the promise withdraws the read"]
    #[doc(alias = "Lwt_unix.read_bigarray")]
    pub fn read_buffer(&self, buffer: &Buffer) -> Promise<usize> {
        match buffer.lend() {
            Ok(lent) => self.inner.start(Direction::Read, "read", move |inner| {
                lent.work(|bytes| inner.read_once(bytes))
            }),
            Err(error) => lwt_core::fail(error),
        }
    }

    /// Writes from an owned buffer; the promise gives the number of bytes written, which may be smaller than the range.
    ///
    /// # Errors
    /// As for [`write`](FileDescriptor::write); an invalid-argument error if the buffer is lent already, or the range is
    /// not within it.
    ///
    /// # Cancellation
    /// Nothing has been written; the same when the promise is dropped while it waits.
    #[must_use = "dropping the promise withdraws the write"]
    #[doc(alias = "Lwt_unix.write_bigarray")]
    pub fn write_buffer(&self, buffer: &Buffer, range: Range<usize>) -> Promise<usize> {
        if range.start > range.end || range.end > buffer.len() {
            let (start, end, length) = (range.start, range.end, buffer.len());
            return lwt_core::fail_invalid_argument(format!(
                "write: range {start}..{end} of a buffer of {length} bytes"
            ));
        }
        let lent = match buffer.lend() {
            Ok(lent) => lent,
            Err(error) => return lwt_core::fail(error),
        };
        let mut token = None;
        self.inner.start(Direction::Write, "write", move |inner| {
            lent.work(|bytes| {
                inner.write_once(&mut token, bytes.get(range.clone()).unwrap_or_default())
            })
        })
    }

    /// Writes all of these bytes, in the order of the calls.
    ///
    /// # Errors
    /// As for [`write`](FileDescriptor::write).
    ///
    /// # Cancellation
    /// A part may have been written; the same when the promise is dropped while it waits.
    #[must_use = "dropping the promise withdraws what has not been written"]
    pub fn write_bytes(&self, bytes: impl Into<Vec<u8>>) -> Promise<()> {
        let bytes = bytes.into();
        let (mut written, mut token) = (0, None);
        self.inner.start(Direction::Write, "write", move |inner| {
            let mut rounds = Rounds::new();
            while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
                rounds.next()?;
                written += inner.write_once(&mut token, rest)?;
            }
            Ok(())
        })
    }

    /// Waits until reading would not block: bytes, the end of the file, or an error. Nothing is consumed, and several
    /// waiters are all woken.
    ///
    /// # Errors
    /// As for [`read`](FileDescriptor::read).
    ///
    /// # Cancellation
    /// Stops waiting.
    #[doc(alias = "Lwt_unix.wait_read")]
    pub fn wait_read(&self) -> Promise<()> {
        self.inner.observe(Direction::Read, "wait_read")
    }

    /// Waits until writing would not block. See [`wait_read`](FileDescriptor::wait_read).
    #[doc(alias = "Lwt_unix.wait_write")]
    pub fn wait_write(&self) -> Promise<()> {
        self.inner.observe(Direction::Write, "wait_write")
    }

    /// Whether reading would not block at this moment (end of file and error states included).
    ///
    /// # Errors
    /// When the descriptor is closed or aborted.
    #[doc(alias = "Lwt_unix.readable")]
    pub fn readable(&self) -> Result<bool> {
        self.inner.is_ready(Direction::Read, "readable")
    }

    /// Whether writing would not block at this moment.
    ///
    /// # Errors
    /// When the descriptor is closed or aborted.
    #[doc(alias = "Lwt_unix.writable")]
    pub fn writable(&self) -> Result<bool> {
        self.inner.is_ready(Direction::Write, "writable")
    }
}

impl Inner {
    fn read_once(self: &Rc<Inner>, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_blocking()? {
            let wanted = buffer.len();
            return self.read_by_job(wanted, |arrived| copy(arrived, buffer));
        }
        self.io(|descriptor| rustix::io::read(descriptor, buffer))
    }

    fn read_vector(self: &Rc<Inner>, at_most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.is_blocking()? {
            let take = |arrived: &[u8]| {
                bytes.extend(arrived.iter().take(at_most));
                arrived.len().min(at_most)
            };
            return self.read_by_job(at_most, take).map(|_| bytes);
        }
        let at_most = at_most.min(LARGEST_PIECE);
        if at_most == 0 {
            return Ok(bytes);
        }
        bytes.reserve_exact(at_most);
        self.io(|descriptor| rustix::io::read(descriptor, spare_capacity(&mut bytes)))?;
        Ok(bytes)
    }

    fn write_once(self: &Rc<Inner>, token: &mut Option<u64>, bytes: &[u8]) -> io::Result<usize> {
        if self.is_blocking()? {
            return self.write_by_job(token, bytes);
        }
        let count = match self.kind() {
            Kind::Socket => {
                self.io(|descriptor| rustix::net::send(descriptor, bytes, SendFlags::NOSIGNAL))
            }
            _ => self.io(|descriptor| rustix::io::write(descriptor, bytes)),
        }?;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(count)
    }

    pub(super) fn is_ready(&self, direction: Direction, operation: &'static str) -> Result<bool> {
        self.with_open(operation, |_| ())?;
        let events = match direction {
            Direction::Read if self.has_arrived() => return Ok(true),
            Direction::Read => libc::POLLIN,
            Direction::Write => libc::POLLOUT,
        };
        polling::is_ready(self.raw, events).map_err(|error| self.error(operation, error))
    }
}

/// The system calls that one operation makes in a row: after some it waits for the next turn, in its place in the queue, so
/// that a large transfer does not keep the loop.
struct Rounds(u32);

impl Rounds {
    const LIMIT: u32 = 32;

    const fn new() -> Rounds {
        Rounds(0)
    }

    fn next(&mut self) -> io::Result<()> {
        if self.0 == Rounds::LIMIT {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0 += 1;
        Ok(())
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    for (place, byte) in to.iter_mut().zip(from) {
        *place = *byte;
    }
    count
}
