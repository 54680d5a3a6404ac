//! [`Stream`]: a sequence of values that come in time.
//!
//! - [`Stream`]: reading, in this file; [`Stream::iter`] and kin in `traverse`;
//! - [`Push`], [`BoundedPush`]: the writing ends;
//! - `source`: streams that ask a function for each element;
//! - `hub`: what readers and source share, and how elements get from one to the other; `log`: the elements of a
//!   stream that was cloned; `position`: what a reader holds;
//! - the errors.
//!
//! # How it differs from OCaml Lwt
//!
//! Readers who wait at one stream get elements of their own, in the order in which they came; in OCaml Lwt 6.1 they
//! all get the same one (9.3). To share, [`clone`](Stream::clone). A source that fails or goes away, a full stream and
//! the end are different outcomes: a failure of the source's call, [`SourceDropped`], [`Full`], and `None` (or [`Empty`]). An
//! immediate failure of the source is a failed promise like any other (9.8).

mod bounded;
mod error;
mod hub;
mod log;
mod position;
mod push;
mod queue;
mod source;
mod traverse;
mod waiter;

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use self::hub::{End, Hub, Source};
use self::position::Position;
use self::queue::Queue;
use crate::compose::{fail, return_};
use crate::error::Result;
use crate::promise::Promise;
use crate::resolver::wait;

pub use self::bounded::BoundedPush;
pub use self::error::{Closed, Empty, Full, ReadersGone, SourceDropped};
pub use self::push::Push;

/// A sequence of values that come in time, read one after another.
///
/// Reading an element takes it away. A **clone** is a reader of its own: it sees every element that this one had not
/// read when the clone was made, and all later ones, and the source is asked once for each. To share *one* reader
/// between threads, put the stream into an [`Rc`](std::rc::Rc): all methods take `&self`, and each waiting reader gets an
/// element of its own, first come, first served.
///
/// Made by [`create`](Stream::create) (push), [`create_bounded`](Stream::create_bounded) (push with a limit),
/// [`from`](Stream::from) (a function that is asked), [`of_iter`](Stream::of_iter) or [`of_vec`](Stream::of_vec). It is
/// also a `futures_core::Stream`.
///
/// # Cancellation
///
/// Cancelling or dropping a waiting read takes nothing from the stream. If a read had to wait, and its promise is dropped
/// after an element was handed to it and before anybody looked, the element goes back to the front. Nothing is lost by
/// that.
///
/// An element that is there when the read is called is taken by the call itself: the promise is born with it, and
/// dropping such a promise drops the element. To decide later, wait with [`is_empty`](Stream::is_empty) or look with
/// [`peek`](Stream::peek), which take nothing.
///
/// # Examples
///
/// ```
/// use lwt_core::{spawn, State, Stream};
///
/// let (stream, push) = Stream::create();
/// let sum = spawn(async move {
///     let mut sum = 0;
///     while let Some(number) = stream.get().await? {
///         sum += number;
///     }
///     Ok(sum)
/// });
/// push.push(40)?;
/// push.push(2)?;
/// push.close();
/// assert!(matches!(sum.state(), State::Return(42)));
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_stream.t")]
pub struct Stream<T: 'static> {
    /// The read that [`futures_core::Stream::poll_next`] waits for. Dropped before the position.
    polled: Option<Promise<Option<T>>>,
    /// Whether `poll_next` has told that the source was dropped.
    told: bool,
    position: Position<T>,
}

impl<T> Stream<T> {
    fn new(source: Source<T>, queue: Queue<T>, end: End) -> Stream<T> {
        Stream {
            polled: None,
            told: false,
            position: Position::first(Hub::new(source, queue, end)),
        }
    }

    /// A stream whose elements `source` gives: it is called when an element is needed, `None` ends the stream.
    ///
    /// At most one call is outstanding; readers who come meanwhile wait for it, and for the calls that follow.
    /// A call that fails (or panics) fails the readers who wait then, with its error; it ends nothing and is not
    /// remembered: the next read calls again. The same holds, with [`SourceDropped`], for a promise that nothing can
    /// resolve any more.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping a read does not cancel the call. Its element is there for the next read.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{return_, State, Stream};
    ///
    /// let mut left = 3;
    /// let countdown = Stream::from(move || {
    ///     left -= 1;
    ///     return_((left >= 0).then_some(left))
    /// });
    /// assert!(matches!(countdown.to_vec().state(), State::Return(all) if *all == [2, 1, 0]));
    /// ```
    #[doc(alias = "Lwt_stream.from")]
    #[doc(alias = "Lwt_stream.from_direct")]
    #[allow(clippy::should_implement_trait)] // The name is the manual's; a conversion trait would not infer.
    pub fn from(source: impl FnMut() -> Promise<Option<T>> + 'static) -> Stream<T> {
        let source = Source::Function {
            function: Some(Box::new(source)),
            asked: false,
        };
        Stream::new(source, Queue::new(), End::Open)
    }

    /// A stream of what an iterator gives, which is asked when an element is read. So it is closed only when its end was
    /// met.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{State, Stream};
    ///
    /// let stream = Stream::of_iter(1..);
    /// assert!(matches!(stream.next().state(), State::Return(1)));
    /// assert!(matches!(stream.next().state(), State::Return(2)));
    /// ```
    #[doc(alias = "Lwt_stream.of_seq")]
    #[doc(alias = "Lwt_stream.of_string")]
    pub fn of_iter<I>(elements: I) -> Stream<T>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: 'static,
    {
        let mut elements = elements.into_iter();
        Stream::from(move || return_(elements.next()))
    }

    /// A stream of the elements of a vector, closed from the start.
    ///
    /// # Examples
    ///
    /// ```
    /// let stream = lwt_core::Stream::of_vec(vec![1, 2]);
    /// assert!(stream.is_closed());
    /// assert_eq!(stream.get_available()?, [1, 2]);
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_stream.of_list")]
    #[doc(alias = "Lwt_stream.of_array")]
    pub fn of_vec(elements: Vec<T>) -> Stream<T> {
        Stream::new(Source::Push, elements.into(), End::Closed)
    }

    /// A stream and what pushes into it, without limit.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create();
    /// push.push("early")?;
    /// assert!(matches!(stream.next().state(), lwt_core::State::Return(&"early")));
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_stream.create")]
    #[doc(alias = "Lwt_stream.create_with_reference")]
    pub fn create() -> (Stream<T>, Push<T>) {
        let stream = Stream::new(Source::Push, Queue::new(), End::Open);
        let push = Push::new(stream.position.shared.clone());
        (stream, push)
    }

    /// A stream that holds up to `size` elements, and what pushes into it: a push beyond that waits. It cannot be
    /// cloned.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create_bounded(1);
    /// assert!(!push.push(1).is_sleeping());
    /// assert!(push.push(2).is_sleeping());
    /// # drop(stream);
    /// ```
    #[doc(alias = "Lwt_stream.create_bounded")]
    pub fn create_bounded(size: usize) -> (Stream<T>, BoundedPush<T>) {
        let source = Source::Bounded {
            capacity: size,
            blocked: None,
        };
        let stream = Stream::new(source, Queue::new(), End::Open);
        let push = BoundedPush::new(stream.position.shared.clone());
        (stream, push)
    }

    /// Takes the next element, waiting for it if needed; gives `None` at the end, as often as asked.
    ///
    /// # Errors
    ///
    /// What the source's call failed with; [`SourceDropped`].
    ///
    /// # Cancellation
    ///
    /// Nothing is lost; see [`Stream`].
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{State, Stream};
    ///
    /// let stream = Stream::of_iter(["only"]);
    /// assert!(matches!(stream.get().state(), State::Return(Some("only"))));
    /// assert!(matches!(stream.get().state(), State::Return(None)));
    /// ```
    #[doc(alias = "Lwt_stream.get")]
    #[inline]
    pub fn get(&self) -> Promise<Option<T>> {
        self.position.get()
    }

    /// Like [`get`](Stream::get), but fails with [`Empty`] at the end.
    ///
    /// # Errors
    ///
    /// [`Empty`], and those of [`get`](Stream::get).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost; see [`Stream`].
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{stream::Empty, State, Stream};
    ///
    /// let stream = Stream::of_iter([1]);
    /// assert!(matches!(stream.next().state(), State::Return(1)));
    /// assert!(matches!(stream.next().state(), State::Fail(error) if error.is::<Empty>()));
    /// ```
    #[doc(alias = "Lwt_stream.next")]
    #[inline]
    pub fn next(&self) -> Promise<T> {
        self.position.next()
    }

    /// A clone of the next element, which stays where it is; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Stream::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{State, Stream};
    ///
    /// let stream = Stream::of_iter(["x"]);
    /// assert!(matches!(stream.peek().state(), State::Return(Some("x"))));
    /// assert!(matches!(stream.get().state(), State::Return(Some("x"))));
    /// ```
    #[doc(alias = "Lwt_stream.peek")]
    pub fn peek(&self) -> Promise<Option<T>>
    where
        T: Clone,
    {
        self.position.peek()
    }

    /// Whether the end is reached: waits for an element or the end, and takes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Stream::get).
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create();
    /// let empty = stream.is_empty();
    /// assert!(empty.is_sleeping());
    /// push.push(1)?;
    /// assert!(matches!(empty.state(), lwt_core::State::Return(false)));
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_stream.is_empty")]
    pub fn is_empty(&self) -> Promise<bool> {
        self.position.is_more().map(|more| !more)
    }

    /// Takes all elements that are there, without waiting. A source that is a function is called for as long as it answers
    /// at once.
    ///
    /// # Errors
    ///
    /// What a call of the source failed with at once. The elements taken before go back to the front.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::create();
    /// push.push(1)?;
    /// push.push(2)?;
    /// assert_eq!(stream.get_available()?, [1, 2]);
    /// assert_eq!(stream.get_available()?, []);
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[doc(alias = "Lwt_stream.get_available")]
    pub fn get_available(&self) -> Result<Vec<T>> {
        self.position.get_available()
    }

    /// Fulfilled when the end is announced (elements may be unread then); cannot be cancelled. For a stream that asks a
    /// function or an iterator, that is when a read meets the end.
    ///
    /// # Errors
    ///
    /// [`SourceDropped`], if the source goes away without ending the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// let (stream, push) = lwt_core::Stream::<u32>::create();
    /// let closed = stream.closed();
    /// push.close();
    /// assert!(!closed.is_sleeping());
    /// ```
    #[doc(alias = "Lwt_stream.closed")]
    pub fn closed(&self) -> Promise<()> {
        let mut hub = self.position.shared.borrow_mut();
        match hub.end {
            End::Closed => return_(()),
            End::Dropped => fail(SourceDropped),
            End::Open => {
                let (promise, resolver) = wait();
                let swept = hub.closing.push(resolver);
                drop(hub);
                drop(swept);
                promise
            }
        }
    }

    /// Whether the end was announced. Then no read waits, though elements may be unread.
    ///
    /// # Examples
    ///
    /// ```
    /// let stream = lwt_core::Stream::of_iter([1]);
    /// drop(stream.get());
    /// assert!(!stream.is_closed());
    /// drop(stream.get());
    /// assert!(stream.is_closed());
    /// ```
    #[doc(alias = "Lwt_stream.is_closed")]
    pub fn is_closed(&self) -> bool {
        self.position.shared.borrow().end == End::Closed
    }
}

impl<T: Clone> Clone for Stream<T> {
    /// A reader of its own at the same position: both see all elements that are not read yet and all that come, and the
    /// source is asked once for each. Takes constant time once the stream was cloned before; each element is
    /// kept until the slowest reader has read it.
    ///
    /// # Panics
    ///
    /// On a bounded stream, which cannot be cloned.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{State, Stream};
    ///
    /// let first = Stream::of_iter(1..=3);
    /// drop(first.next());
    /// let second = first.clone();
    /// assert!(matches!(first.to_vec().state(), State::Return(all) if *all == [2, 3]));
    /// assert!(matches!(second.to_vec().state(), State::Return(all) if *all == [2, 3]));
    /// ```
    #[track_caller]
    fn clone(&self) -> Stream<T> {
        let caller = Location::caller();
        let mut hub = self.position.shared.borrow_mut();
        if let Source::Bounded { .. } = hub.source {
            drop(hub);
            panic!("invalid argument: a bounded stream cannot be cloned (cloned at {caller})");
        }
        let slot = hub.split(self.position.slot, T::clone);
        drop(hub);
        Stream {
            polled: None,
            told: false,
            position: Position {
                shared: self.position.shared.clone(),
                slot,
            },
        }
    }
}

impl<T> futures_core::Stream for Stream<T> {
    type Item = Result<T>;

    /// The next element; what a call of the source failed with; `None` at the end. That the source was dropped is told
    /// once, then the stream is over.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        if self.told {
            return Poll::Ready(None);
        }
        let mut read = match self.polled.take() {
            Some(read) => read,
            None => self.get(),
        };
        match Pin::new(&mut read).poll(context) {
            Poll::Ready(Err(error)) => {
                self.told = error.is::<SourceDropped>() && self.is_over();
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Ok(element)) => Poll::Ready(element.map(Ok)),
            Poll::Pending => {
                self.polled = Some(read);
                Poll::Pending
            }
        }
    }
}

impl<T> Stream<T> {
    /// Whether nothing can come any more.
    fn is_over(&self) -> bool {
        let hub = self.position.shared.borrow();
        hub.end != End::Open && !hub.is_available(self.position.slot)
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
