//! [`Mvar`]: a mailbox variable, which holds at most one value.
//!
//! Invariants of the state, between two calls:
//!
//! - while a reader waits there is no value: not in the place, not among the returned;
//! - a writer waits only while there is a value.
//!
//! A value that was handed to a reader whose promise was dropped before it looked goes back to the front (M3): it
//! stands with the *returned*, which are taken before the value in the place. Several that come back stand in the
//! order in which their readers had arrived, which is the one in which they had been handed out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};

use crate::compose::return_;
use crate::kernel::node::Home;
use crate::promise::Promise;
use crate::resolver::{Resolver, homing_leaf, task};
use crate::wait_queue::{WaitQueue, Waiter};

/// A mailbox variable: a place for one value, and queues of those who want to put one in or take it out.
///
/// A thread that [puts](Mvar::put) into a full mailbox waits until there is room, one that [takes](Mvar::take) from an
/// empty one until there is a value; both are served in order of arrival. With `()` as value it is a
/// semaphore for one; with messages, a channel that keeps the writer in step with the reader.
///
/// A clone is another handle to the same mailbox. When the last handle is dropped while threads wait, nothing can wake
/// them any more (see [`wait`](crate::wait) on what becomes of them).
///
/// # Examples
///
/// ```
/// use lwt_core::{spawn, Mvar, State};
///
/// let mailbox = Mvar::new_empty();
/// let reader = spawn({
///     let mailbox = mailbox.clone();
///     async move { Ok((mailbox.take().await?, mailbox.take().await?)) }
/// });
/// let writer = spawn(async move {
///     mailbox.put("first").await?;
///     mailbox.put("second").await
/// });
/// assert!(matches!(writer.state(), State::Return(())));
/// assert!(matches!(reader.state(), State::Return(("first", "second"))));
/// ```
#[doc(alias = "Lwt_mvar.t")]
pub struct Mvar<T> {
    state: Rc<RefCell<Mailbox<T>>>,
}

struct Mailbox<T> {
    value: Option<T>,
    /// Values that came back, each with its reader's number.
    returned: VecDeque<(u64, T)>,
    /// The number of the next reader.
    arrival: u64,
    readers: WaitQueue<Resolver<T>>,
    writers: WaitQueue<(T, Resolver<()>)>,
}

impl<T: 'static> Mvar<T> {
    /// A full mailbox.
    ///
    /// # Examples
    ///
    /// ```
    /// let mailbox = lwt_core::Mvar::new(1);
    /// assert!(!mailbox.is_empty());
    /// ```
    #[doc(alias = "Lwt_mvar.create")]
    pub fn new(value: T) -> Mvar<T> {
        Mvar::with(Some(value))
    }

    /// An empty mailbox.
    ///
    /// # Examples
    ///
    /// ```
    /// let mailbox = lwt_core::Mvar::<String>::new_empty();
    /// assert!(mailbox.is_empty());
    /// ```
    #[doc(alias = "Lwt_mvar.create_empty")]
    pub fn new_empty() -> Mvar<T> {
        Mvar::with(None)
    }

    fn with(value: Option<T>) -> Mvar<T> {
        Mvar {
            state: Rc::new(RefCell::new(Mailbox {
                value,
                returned: VecDeque::new(),
                arrival: 0,
                readers: WaitQueue::new(),
                writers: WaitQueue::new(),
            })),
        }
    }

    /// Puts a value in. Fulfilled at once if the mailbox is empty: the value then goes to the reader who has waited
    /// longest, or stays in the mailbox. If it is full the promise waits for its turn, and the value is seen by nobody
    /// until then.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping the waiting promise withdraws the value: no reader ever sees it. It is dropped when the
    /// mailbox next meets it, at the latest when as many further writers have come as are waiting.
    /// Once fulfilled, the value is in, whatever becomes of the promise. Nothing is lost either way.
    ///
    /// # Examples
    ///
    /// ```
    /// let mailbox = lwt_core::Mvar::new(1);
    /// let blocked = mailbox.put(2);
    /// assert!(blocked.is_sleeping());
    /// assert_eq!(mailbox.take_available(), Some(1));
    /// assert!(!blocked.is_sleeping());
    /// ```
    #[doc(alias = "Lwt_mvar.put")]
    pub fn put(&self, mut value: T) -> Promise<()> {
        loop {
            let mut mailbox = self.state.borrow_mut();
            let Some(reader) = mailbox.readers.pop() else {
                if mailbox.value.is_some() || !mailbox.returned.is_empty() {
                    let (promise, writer) = task();
                    let swept = mailbox.writers.push((value, writer));
                    drop(mailbox);
                    drop(swept);
                    return promise;
                }
                mailbox.value = Some(value);
                return return_(());
            };
            drop(mailbox);
            match reader.try_wakeup(value) {
                Ok(()) => return return_(()),
                Err(back) => value = back,
            }
        }
    }

    /// Takes the value out. Fulfilled at once if there is one: the writer who has waited longest then gets its own in,
    /// so that the mailbox stays full. If there is none the promise waits for its turn.
    ///
    /// # Cancellation
    ///
    /// A cancelled or dropped reader takes no value. If the promise had to wait and is dropped after a value was
    /// handed to it and before anybody looked, the value goes to the next reader, or back to the front of the mailbox
    /// (which then may hold more than one for a while). Nothing is lost by that.
    ///
    /// A value that is there when the call is made is taken by the call itself: the promise is born with it, and
    /// dropping such a promise drops the value, as it does for [`take_available`](Mvar::take_available).
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{Mvar, State};
    ///
    /// let mailbox = Mvar::new_empty();
    /// let promise = mailbox.take();
    /// drop(mailbox.put(7));
    /// assert!(matches!(promise.state(), State::Return(7)));
    /// ```
    #[doc(alias = "Lwt_mvar.take")]
    pub fn take(&self) -> Promise<T> {
        let mut mailbox = self.state.borrow_mut();
        if mailbox.value.is_some() || !mailbox.returned.is_empty() {
            drop(mailbox);
            if let Some(value) = self.take_available() {
                return return_(value);
            }
            mailbox = self.state.borrow_mut();
        }
        let arrival = mailbox.arrival;
        mailbox.arrival += 1;
        let (promise, reader) = homing_leaf(Back {
            state: Rc::downgrade(&self.state),
            arrival,
        });
        let swept = mailbox.readers.push(reader);
        drop(mailbox);
        drop(swept);
        promise
    }

    /// Takes the value out if there is one, without waiting. Lets a waiting writer in, as [`take`](Mvar::take) does.
    ///
    /// # Examples
    ///
    /// ```
    /// let mailbox = lwt_core::Mvar::new(1);
    /// assert_eq!(mailbox.take_available(), Some(1));
    /// assert_eq!(mailbox.take_available(), None);
    /// ```
    #[doc(alias = "Lwt_mvar.take_available")]
    pub fn take_available(&self) -> Option<T> {
        let mut mailbox = self.state.borrow_mut();
        if !mailbox.returned.is_empty() {
            return self.take_returned(mailbox);
        }
        let value = mailbox.value.take()?;
        if !mailbox.writers.is_empty() {
            self.let_writer_in(mailbox);
        }
        Some(value)
    }

    /// Whether a [`put`](Mvar::put) would not have to wait.
    ///
    /// # Examples
    ///
    /// ```
    /// let mailbox = lwt_core::Mvar::new_empty();
    /// assert!(mailbox.is_empty());
    /// drop(mailbox.put(1));
    /// assert!(!mailbox.is_empty());
    /// ```
    #[doc(alias = "Lwt_mvar.is_empty")]
    pub fn is_empty(&self) -> bool {
        let mailbox = self.state.borrow();
        mailbox.value.is_none() && mailbox.returned.is_empty()
    }

    #[cold]
    fn take_returned(&self, mut mailbox: std::cell::RefMut<'_, Mailbox<T>>) -> Option<T> {
        let (_, value) = mailbox.returned.pop_front()?;
        if mailbox.value.is_none() && mailbox.returned.is_empty() {
            self.let_writer_in(mailbox);
        }
        Some(value)
    }

    /// Moves the value of the writer who has waited longest into the empty place, and tells it.
    fn let_writer_in(&self, mut mailbox: std::cell::RefMut<'_, Mailbox<T>>) {
        let mut dead = Vec::new();
        let mut admitted = None;
        while let Some(place) = mailbox.writers.pop() {
            if place.is_live() {
                let (value, writer) = place;
                mailbox.value = Some(value);
                admitted = Some(writer);
                break;
            }
            dead.push(place);
        }
        drop(mailbox);
        drop(dead);
        if let Some(writer) = admitted {
            writer.resolve(());
        }
    }
}

/// The way back for a value that its reader did not take.
struct Back<T> {
    state: Weak<RefCell<Mailbox<T>>>,
    arrival: u64,
}

impl<T: 'static> Home<T> for Back<T> {
    fn give_back(&self, mut value: T) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        loop {
            let mut mailbox = state.borrow_mut();
            let Some(reader) = mailbox.readers.pop() else {
                let place = mailbox
                    .returned
                    .partition_point(|(arrival, _)| *arrival < self.arrival);
                mailbox.returned.insert(place, (self.arrival, value));
                return;
            };
            drop(mailbox);
            match reader.try_wakeup(value) {
                Ok(()) => return,
                Err(back) => value = back,
            }
        }
    }
}

impl<T> Clone for Mvar<T> {
    /// Another handle to the same mailbox.
    fn clone(&self) -> Mvar<T> {
        Mvar {
            state: self.state.clone(),
        }
    }
}

impl<T: 'static> Default for Mvar<T> {
    /// An empty mailbox.
    fn default() -> Mvar<T> {
        Mvar::new_empty()
    }
}

impl<T: 'static> From<T> for Mvar<T> {
    fn from(value: T) -> Mvar<T> {
        Mvar::new(value)
    }
}

impl<T: 'static> fmt::Debug for Mvar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mvar")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}
