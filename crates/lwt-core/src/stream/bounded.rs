//! [`BoundedPush`]: the writing end of a stream with a limit.

use std::fmt;
use std::rc::Rc;

use super::error::{Closed, Full, ReadersGone};
use super::hub::{End, Shared, Source, deliver, finish};
use super::waiter;
use crate::compose::{fail, return_};
use crate::error::Error;
use crate::promise::Promise;
use crate::resolver::{Resolver, task};
use crate::scheduler;
use crate::wait_queue::Waiter;

/// The one push that waits for room.
pub(super) struct Blocked<T> {
    value: T,
    writer: Resolver<()>,
}

impl<T> Blocked<T> {
    pub(super) fn refuse(self, error: Error) {
        waiter::fail(self.writer, error);
        drop(self.value);
    }
}

/// Pushes elements into a stream of limited length; made by
/// [`Stream::create_bounded`](super::Stream::create_bounded).
///
/// One push may wait for room; a further one fails with [`Full`] meanwhile. A clone pushes into the same stream. What is
/// said at [`Push`](super::Push) about the end and about dropping the last handle holds here too; a push that waits when
/// the last handle goes is let in, beyond the limit.
///
/// # Examples
///
/// ```
/// use lwt_core::{State, Stream};
///
/// let (stream, push) = Stream::create_bounded(1);
/// assert!(!push.push("a").is_sleeping());
/// let blocked = push.push("b");
/// assert!(blocked.is_sleeping());
/// assert!(matches!(stream.get().state(), State::Return(Some("a"))));
/// assert!(!blocked.is_sleeping());
/// ```
#[doc(alias = "Lwt_stream.bounded_push")]
pub struct BoundedPush<T: 'static> {
    end: Rc<WritingEnd<T>>,
}

struct WritingEnd<T: 'static> {
    shared: Shared<T>,
}

impl<T> BoundedPush<T> {
    pub(super) fn new(shared: Shared<T>) -> BoundedPush<T> {
        BoundedPush {
            end: Rc::new(WritingEnd { shared }),
        }
    }

    /// Adds an element: fulfilled at once if there is room, else when an element was read. At capacity 0 it waits until a
    /// [`resize`](BoundedPush::resize), even if a reader waits too.
    ///
    /// # Errors
    ///
    /// [`Full`] if another push waits already, [`Closed`] when the stream is closed before or while it waits,
    /// [`ReadersGone`] when nobody can read the stream any more. The element is dropped; see
    /// [`try_push`](BoundedPush::try_push) for a push that gives it back.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping the waiting promise withdraws the element, and frees the place for another push. (The
    /// element itself is dropped when the stream is next used.) Once fulfilled, the element is in.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{stream::Full, State, Stream};
    ///
    /// let (stream, push) = Stream::create_bounded(0);
    /// let blocked = push.push(1);
    /// assert!(matches!(push.push(2).state(), State::Fail(error) if error.is::<Full>()));
    /// blocked.cancel();
    /// assert!(push.push(3).is_sleeping());
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.push")]
    pub fn push(&self, value: T) -> Promise<()> {
        match self.offer(value) {
            Ok(()) => return_(()),
            Err((_, Refusal::Fails(error))) => fail(error),
            Err((value, Refusal::Waits)) => {
                let (promise, writer) = task();
                let mut hub = self.end.shared.borrow_mut();
                if let Source::Bounded { blocked, .. } = &mut hub.source {
                    *blocked = Some(Blocked { value, writer });
                }
                hub.choose_ways();
                promise
            }
        }
    }

    /// Adds an element if there is room.
    ///
    /// # Errors
    ///
    /// Gives the element back if a [`push`](BoundedPush::push) would wait or fail.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create_bounded(1);
    /// assert_eq!(push.try_push("a"), Ok(()));
    /// assert_eq!(push.try_push("b"), Err("b"));
    /// # drop(stream);
    /// ```
    pub fn try_push(&self, value: T) -> Result<(), T> {
        self.offer(value).map_err(|(value, _)| value)
    }

    fn offer(&self, value: T) -> Result<(), (T, Refusal)> {
        self.forget_withdrawn();
        let hub = self.end.shared.borrow();
        let Source::Bounded { capacity, blocked } = &hub.source else {
            return Err((value, Refusal::Fails(Closed.into())));
        };
        if hub.end != End::Open {
            return Err((value, Refusal::Fails(Closed.into())));
        }
        if !hub.is_read() {
            return Err((value, Refusal::Fails(ReadersGone.into())));
        }
        if blocked.is_some() {
            return Err((value, Refusal::Fails(Full.into())));
        }
        if hub.count() >= *capacity {
            return Err((value, Refusal::Waits));
        }
        drop(hub);
        deliver(&self.end.shared, value);
        Ok(())
    }

    /// Drops a blocked push that was withdrawn.
    fn forget_withdrawn(&self) {
        let mut hub = self.end.shared.borrow_mut();
        if let Source::Bounded { blocked, .. } = &mut hub.source
            && blocked
                .as_ref()
                .is_some_and(|blocked| !blocked.writer.is_live())
        {
            let withdrawn = blocked.take();
            hub.choose_ways();
            drop(hub);
            drop(withdrawn);
        }
    }

    /// How many elements the stream takes before pushes have to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create_bounded(3);
    /// assert_eq!(push.size(), 3);
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.size")]
    pub fn size(&self) -> usize {
        match self.end.shared.borrow().source {
            Source::Bounded { capacity, .. } => capacity,
            _ => 0,
        }
    }

    /// Changes the capacity. A greater one lets a waiting push in. A smaller one removes nothing; pushes then wait until
    /// there are fewer elements than that, but one that waits already is let in by the next read.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create_bounded(0);
    /// let blocked = push.push(1);
    /// push.resize(1);
    /// assert!(!blocked.is_sleeping());
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.resize")]
    pub fn resize(&self, size: usize) {
        let mut hub = self.end.shared.borrow_mut();
        if let Source::Bounded { capacity, .. } = &mut hub.source {
            *capacity = size;
        }
        let room = hub.count() < size;
        drop(hub);
        if room {
            admit(&self.end.shared);
        }
    }

    /// Announces the end. A waiting push fails with [`Closed`] and its element is dropped; what is in the stream can still
    /// be read; readers who wait are told. Closing twice does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{State, Stream};
    ///
    /// let (stream, push) = Stream::create_bounded(1);
    /// drop(push.push(1));
    /// push.close();
    /// assert!(matches!(stream.to_vec().state(), State::Return(all) if *all == [1]));
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.close")]
    pub fn close(&self) {
        let mut hub = self.end.shared.borrow_mut();
        let mut refused = None;
        if let Source::Bounded { blocked, .. } = &mut hub.source {
            refused = blocked.take();
        }
        drop(hub);
        scheduler::frame(|| {
            finish(&self.end.shared, End::Closed);
            if let Some(refused) = refused {
                refused.refuse(Closed.into());
            }
        });
    }

    /// Number of elements in the stream that were not read yet; that of a waiting push does not count.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create_bounded(1);
    /// drop(push.push(1));
    /// let waiting = push.push(2);
    /// assert_eq!(push.count(), 1);
    /// # drop((stream, waiting));
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.count")]
    pub fn count(&self) -> usize {
        self.end.shared.borrow().count()
    }

    /// Whether a push waits for room.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create_bounded(0);
    /// let waiting = push.push(1);
    /// assert!(push.is_blocked());
    /// drop(waiting);
    /// assert!(!push.is_blocked());
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.blocked")]
    pub fn is_blocked(&self) -> bool {
        self.forget_withdrawn();
        matches!(
            self.end.shared.borrow().source,
            Source::Bounded {
                blocked: Some(_),
                ..
            }
        )
    }

    /// Whether the end was announced.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create_bounded(1);
    /// push.close();
    /// assert!(push.is_closed());
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.bounded_push.closed")]
    pub fn is_closed(&self) -> bool {
        self.end.shared.borrow().end == End::Closed
    }
}

enum Refusal {
    Waits,
    Fails(Error),
}

/// Lets the blocked push in, if there is one.
#[inline]
pub(super) fn admit<T: 'static>(shared: &Shared<T>) {
    let mut hub = shared.borrow_mut();
    if let Source::Bounded { blocked, .. } = &mut hub.source
        && let Some(blocked) = blocked.take()
    {
        hub.choose_ways();
        drop(hub);
        if !blocked.writer.is_live() {
            return;
        }
        // In a frame, so that neither the writer nor a reader runs before both know.
        scheduler::frame(|| {
            let _ = blocked.writer.try_wakeup(());
            deliver(shared, blocked.value);
        });
    }
}

impl<T> Clone for BoundedPush<T> {
    /// Another handle that pushes into the same stream.
    fn clone(&self) -> BoundedPush<T> {
        BoundedPush {
            end: self.end.clone(),
        }
    }
}

impl<T> Drop for WritingEnd<T> {
    fn drop(&mut self) {
        scheduler::frame(|| {
            admit(&self.shared);
            finish(&self.shared, End::Dropped);
        });
    }
}

impl<T> fmt::Debug for BoundedPush<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedPush")
            .field("count", &self.count())
            .field("size", &self.size())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
