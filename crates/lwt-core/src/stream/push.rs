//! [`Push`]: the writing end of a stream without limit.

use std::fmt;
use std::rc::Rc;

use super::error::{Closed, ReadersGone};
use super::hub::{End, Shared, deliver, finish};
use crate::error::Result;

/// Pushes elements into a stream; made by [`Stream::create`](super::Stream::create).
///
/// A clone pushes into the same stream. [`close`](Push::close) ends the stream. If the last handle is dropped without
/// that, readers fail with [`SourceDropped`](super::SourceDropped) when they have read everything: a
/// producer that was cut off half-way does not look like one that was done.
///
/// # Examples
///
/// ```
/// use lwt_core::{State, Stream};
///
/// let (stream, push) = Stream::create();
/// push.push(1)?;
/// push.push(2)?;
/// push.close();
/// assert!(matches!(stream.to_vec().state(), State::Return(all) if *all == [1, 2]));
/// # Ok::<(), lwt_core::Error>(())
/// ```
pub struct Push<T: 'static> {
    end: Rc<WritingEnd<T>>,
}

/// What all handles share; dropped with the last of them.
struct WritingEnd<T: 'static> {
    shared: Shared<T>,
}

impl<T> Push<T> {
    pub(super) fn new(shared: Shared<T>) -> Push<T> {
        Push {
            end: Rc::new(WritingEnd { shared }),
        }
    }

    /// Adds an element: the reader who has waited longest gets it, or it stays in the stream until it is read. There is no
    /// limit; for one, use [`Stream::create_bounded`](super::Stream::create_bounded).
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`close`](Push::close), [`ReadersGone`] when nobody can read the stream any more. The element
    /// is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{stream::Closed, Stream};
    ///
    /// let (stream, push) = Stream::create();
    /// assert!(push.push("one").is_ok());
    /// push.close();
    /// assert!(push.push("two").unwrap_err().is::<Closed>());
    /// # drop(stream);
    /// ```
    #[inline]
    pub fn push(&self, value: T) -> Result<()> {
        let mut hub = self.end.shared.borrow_mut();
        if hub.direct {
            hub.queue.push(value);
            return Ok(());
        }
        drop(hub);
        self.push_slowly(value)
    }

    #[inline(never)]
    fn push_slowly(&self, value: T) -> Result<()> {
        let hub = self.end.shared.borrow();
        if hub.end != End::Open {
            return Err(Closed.into());
        }
        if !hub.plain && !hub.is_read() {
            return Err(ReadersGone.into());
        }
        drop(hub);
        deliver(&self.end.shared, value);
        Ok(())
    }

    /// Announces the end. What was pushed can still be read; readers who wait are told. Closing twice does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create();
    /// let waiting = stream.get();
    /// push.close();
    /// assert!(matches!(waiting.state(), lwt_core::State::Return(None)));
    /// ```
    pub fn close(&self) {
        finish(&self.end.shared, End::Closed);
    }

    /// Whether the end was announced.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create();
    /// push.close();
    /// assert!(push.is_closed());
    /// # drop(stream);
    /// ```
    pub fn is_closed(&self) -> bool {
        self.end.shared.borrow().end == End::Closed
    }

    /// Whether nobody can read the stream any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create();
    /// drop(stream);
    /// assert!(push.is_abandoned());
    /// ```
    pub fn is_abandoned(&self) -> bool {
        !self.end.shared.borrow().is_read()
    }
}

impl<T> Clone for Push<T> {
    /// Another handle that pushes into the same stream.
    fn clone(&self) -> Push<T> {
        Push {
            end: self.end.clone(),
        }
    }
}

impl<T> Drop for WritingEnd<T> {
    fn drop(&mut self) {
        finish(&self.shared, End::Dropped);
    }
}

impl<T> fmt::Debug for Push<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
