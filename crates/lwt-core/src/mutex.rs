//! [`Mutex`]: a lock for threads of one OS thread, strictly first come, first served.
//!
//! The content lives in a box that travels: it lies in the mutex while that is free, and in the guard while it is
//! held. So a guard owns what it guards, needs no lifetime, and a release with somebody waiting moves
//! two pointers from the old guard into the new one; nobody can get in between, because the mutex never
//! has the content meanwhile. (With `()` as content the box takes no memory.)
//!
//! The guard is the value of the waiting promise. One that is dropped untaken unlocks like any other, so no way back is
//! needed for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use crate::compose::{return_, spawn};
use crate::error::Result;
use crate::promise::Promise;
use crate::resolver::{Resolver, task};
use crate::wait_queue::WaitQueue;

/// A lock that threads hold across suspensions, around a content (by default, around nothing).
///
/// Threads are cooperative: between two suspensions nobody else runs, and no lock is needed. It is for what must not be
/// mixed with other threads' doings *across* an `.await`. Waiters are served strictly in order of arrival. The mutex is
/// not re-entrant: a thread that locks it twice waits for itself.
///
/// A clone is another handle to the same mutex.
///
/// # Examples
///
/// ```
/// use lwt_core::{pause, spawn, wakeup_paused, Mutex, State};
///
/// let counter = Mutex::new(0);
/// let threads: Vec<_> = (0..10)
///     .map(|_| {
///         let counter = counter.clone();
///         spawn(async move {
///             let mut count = counter.lock().await?;
///             let before = *count;
///             pause().await?;
///             *count = before + 1;
///             Ok(())
///         })
///     })
///     .collect();
/// while threads.iter().any(|thread| thread.is_sleeping()) {
///     wakeup_paused();
/// }
/// assert_eq!(counter.try_lock().as_deref(), Some(&10));
/// ```
#[doc(alias = "Lwt_mutex.t")]
pub struct Mutex<T: 'static = ()> {
    inner: Rc<Inner<T>>,
}

struct Inner<T: 'static> {
    /// The content; none while the mutex is held.
    content: Cell<Option<Box<T>>>,
    waiters: RefCell<WaitQueue<Resolver<MutexGuard<T>>>>,
}

/// Holds a [`Mutex`] and gives access to its content; dropping it unlocks the mutex.
///
/// It borrows nothing, so it may be kept in a value, sent to another thread of this OS thread, and held across
/// suspensions.
///
/// # Examples
///
/// ```
/// let mutex = lwt_core::Mutex::new(vec![1]);
/// let mut guard = mutex.try_lock().unwrap();
/// guard.push(2);
/// assert!(mutex.is_locked());
/// drop(guard);
/// assert!(!mutex.is_locked());
/// ```
#[must_use = "the mutex is unlocked when the guard is dropped"]
#[doc(alias = "Lwt_mutex.unlock")]
pub struct MutexGuard<T: 'static = ()> {
    /// Always there until the guard is dropped.
    held: Option<Held<T>>,
}

struct Held<T: 'static> {
    inner: Rc<Inner<T>>,
    content: Box<T>,
}

impl<T> Mutex<T> {
    /// An unlocked mutex around `content`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// assert!(!mutex.is_locked());
    /// ```
    #[doc(alias = "Lwt_mutex.create")]
    pub fn new(content: T) -> Mutex<T> {
        Mutex {
            inner: Rc::new(Inner {
                content: Cell::new(Some(Box::new(content))),
                waiters: RefCell::new(WaitQueue::new()),
            }),
        }
    }

    /// Locks the mutex: fulfilled at once if it is free, else when all who came before have had their turn.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping the waiting promise leaves the queue. If it is dropped when the lock was
    /// handed to it already, the mutex is unlocked again (the guard is dropped with it).
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// let first = mutex.try_lock();
    /// let second = mutex.lock();
    /// assert!(second.is_sleeping());
    /// drop(first);
    /// assert!(!second.is_sleeping());
    /// ```
    #[doc(alias = "Lwt_mutex.lock")]
    #[inline]
    pub fn lock(&self) -> Promise<MutexGuard<T>> {
        if let Some(guard) = self.try_lock() {
            return return_(guard);
        }
        let (promise, waiter) = task();
        let swept = self.inner.waiters.borrow_mut().push(waiter);
        drop(swept);
        promise
    }

    /// Locks the mutex if it is free.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// let guard = mutex.try_lock();
    /// assert!(guard.is_some());
    /// assert!(mutex.try_lock().is_none());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<T>> {
        let content = self.inner.content.take()?;
        Some(MutexGuard {
            held: Some(Held {
                inner: self.inner.clone(),
                content,
            }),
        })
    }

    /// Locks the mutex, runs `body` on its content as a thread, and unlocks: when the thread ends, by success, failure,
    /// panic or cancellation.
    ///
    /// # Cancellation
    ///
    /// Leaves the queue, or cancels what the body waits for. Dropping the promise detaches the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{Mutex, State};
    ///
    /// let mutex = Mutex::new(20);
    /// let thread = mutex.with_lock(async |content: &mut i32| {
    ///     *content += 1;
    ///     Ok(*content * 2)
    /// });
    /// assert!(matches!(thread.state(), State::Return(42)));
    /// assert!(!mutex.is_locked());
    /// ```
    #[doc(alias = "Lwt_mutex.with_lock")]
    pub fn with_lock<R, F>(&self, body: F) -> Promise<R>
    where
        R: 'static,
        F: AsyncFnOnce(&mut T) -> Result<R> + 'static,
    {
        let lock = self.lock();
        spawn(async move {
            let mut guard = lock.await?;
            body(&mut guard).await
        })
    }

    /// Whether somebody holds the mutex.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// let guard = mutex.try_lock();
    /// assert!(mutex.is_locked());
    /// # drop(guard);
    /// ```
    #[doc(alias = "Lwt_mutex.is_locked")]
    pub fn is_locked(&self) -> bool {
        let content = self.inner.content.take();
        let locked = content.is_none();
        self.inner.content.set(content);
        locked
    }

    /// Whether nobody waits for the mutex.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// let guard = mutex.try_lock();
    /// assert!(mutex.is_empty());
    /// let waiting = mutex.lock();
    /// assert!(!mutex.is_empty());
    /// # drop((guard, waiting));
    /// ```
    #[doc(alias = "Lwt_mutex.is_empty")]
    pub fn is_empty(&self) -> bool {
        !self.inner.waiters.borrow().has_live()
    }
}

impl<T> MutexGuard<T> {
    /// The mutex that this guard holds.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = lwt_core::Mutex::new(());
    /// let guard = mutex.try_lock().unwrap();
    /// let waiting = guard.mutex().lock();
    /// assert!(waiting.is_sleeping());
    /// ```
    pub fn mutex(&self) -> Mutex<T> {
        match &self.held {
            Some(held) => Mutex {
                inner: held.inner.clone(),
            },
            None => unreachable!("a guard holds its mutex until it is dropped"),
        }
    }
}

impl<T> Held<T> {
    /// Hands the lock to the one who has waited longest, or frees the mutex.
    #[inline]
    fn unlock(mut self) {
        loop {
            let waiter = self.inner.waiters.borrow_mut().pop();
            let Some(waiter) = waiter else {
                self.inner.content.set(Some(self.content));
                return;
            };
            match waiter.try_wakeup(MutexGuard { held: Some(self) }) {
                Ok(()) => return,
                Err(mut guard) => match guard.held.take() {
                    Some(held) => self = held,
                    None => return,
                },
            }
        }
    }
}

impl<T> Drop for MutexGuard<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.unlock();
        }
    }
}

impl<T> Deref for MutexGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.held {
            Some(held) => &held.content,
            None => unreachable!("a guard holds its mutex until it is dropped"),
        }
    }
}

impl<T> DerefMut for MutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Some(held) => &mut held.content,
            None => unreachable!("a guard holds its mutex until it is dropped"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&**self).finish()
    }
}

impl<T> Clone for Mutex<T> {
    /// Another handle to the same mutex.
    fn clone(&self) -> Mutex<T> {
        Mutex {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(content: T) -> Mutex<T> {
        Mutex::new(content)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("is_locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}
