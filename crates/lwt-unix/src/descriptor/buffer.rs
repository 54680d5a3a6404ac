//! Owned bytes for operations that outlive the caller's stack frame.
//!
//! A promise may live longer than the function that made it, so an operation behind a promise cannot work on borrowed
//! memory. A [`Buffer`] is memory that the operation and its caller share: the operation has it *lent* while it may
//! touch it, and the caller has it back in every outcome: a value, an error, a cancellation, a dropped promise.
//!
//! Engines that let the kernel write into memory after the call has returned keep the buffer lent until the kernel is
//! done, so the bytes cannot change under a reader, nor be freed under the kernel.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use lwt_core::{Error, Result};

/// Shared, owned bytes that come back after every outcome of the operation they were lent to.
///
/// Clones are the same bytes. Access is refused, with an error, while the buffer is lent.
///
/// # Examples
/// ```
/// use lwt_unix::{Buffer, pipe, run};
///
/// let (read, write) = pipe()?;
/// let buffer = Buffer::new(16);
/// let reading = read.read_buffer(&buffer);
/// assert!(buffer.is_lent());
/// reading.cancel();
/// assert!(!buffer.is_lent(), "yours again, and nothing was taken from the pipe");
///
/// run(write.write_bytes("hello"))?;
/// let count = run(read.read_buffer(&buffer))?;
/// assert_eq!(buffer.with(|bytes| bytes[..count].to_vec())?, b"hello");
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Buffer {
    shared: Rc<Shared>,
}

struct Shared {
    bytes: RefCell<Vec<u8>>,
    is_lent: Cell<bool>,
}

impl Buffer {
    /// A buffer of `length` zeros.
    pub fn new(length: usize) -> Buffer {
        Buffer::from(vec![0; length])
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.shared.bytes.borrow().len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a pending operation has the buffer.
    pub fn is_lent(&self) -> bool {
        self.shared.is_lent.get()
    }

    /// Looks at the bytes.
    ///
    /// # Errors
    /// An invalid-argument error while the buffer is lent.
    pub fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        self.check()?;
        Ok(look(&self.shared.bytes.borrow()))
    }

    /// Changes the bytes, or their number.
    ///
    /// # Errors
    /// An invalid-argument error while the buffer is lent, or in use by a call of this function further up.
    pub fn with_mut<R>(&self, change: impl FnOnce(&mut Vec<u8>) -> R) -> Result<R> {
        self.check()?;
        match self.shared.bytes.try_borrow_mut() {
            Ok(mut bytes) => Ok(change(&mut bytes)),
            Err(_) => Err(Error::invalid_argument("the buffer is being looked at")),
        }
    }

    /// Takes the bytes out; an empty buffer stays.
    ///
    /// # Errors
    /// As for [`with_mut`](Buffer::with_mut).
    pub fn take(&self) -> Result<Vec<u8>> {
        self.with_mut(std::mem::take)
    }

    fn check(&self) -> Result<()> {
        if self.is_lent() {
            Err(Error::invalid_argument(
                "the buffer is lent to an operation that waits",
            ))
        } else {
            Ok(())
        }
    }

    /// Lends the buffer to an operation.
    pub(super) fn lend(&self) -> Result<Lent> {
        self.check()?;
        self.shared.is_lent.set(true);
        Ok(Lent {
            shared: Rc::clone(&self.shared),
        })
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer {
            shared: Rc::new(Shared {
                bytes: RefCell::new(bytes),
                is_lent: Cell::new(false),
            }),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.shared.bytes.try_borrow().map(|bytes| bytes.len()).ok();
        formatter
            .debug_struct("Buffer")
            .field("length", &length)
            .field("is_lent", &self.is_lent())
            .finish()
    }
}

/// The side of the operation: gives the buffer back when it is dropped.
pub(super) struct Lent {
    shared: Rc<Shared>,
}

impl Lent {
    /// Works on the bytes. Nothing of the program runs inside, so nobody else can have them borrowed.
    pub(super) fn work<R>(&self, body: impl FnOnce(&mut [u8]) -> R) -> R {
        body(&mut self.shared.bytes.borrow_mut())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shared.is_lent.set(false);
    }
}
