//! [`Condition`]: a condition variable that carries a value from whoever notifies to whoever waits.
//!
//! A value that was handed over by [`signal`](Condition::signal) and not taken goes on to the next waiter, since it was
//! meant for one of them. One that came by a [`broadcast`](Condition::broadcast) is simply dropped: everybody
//! who was there had their own. The two are told apart by the waiters' numbers: a broadcast reaches all numbers
//! given out so far, so nobody below them waits any more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use crate::compose::spawn;
use crate::error::Error;
use crate::kernel::node::Home;
use crate::mutex::MutexGuard;
use crate::promise::Promise;
use crate::resolver::{Resolver, homing_leaf};
use crate::scheduler;
use crate::wait_queue::WaitQueue;

/// A condition variable: threads wait for it, others notify one or all of them, with a value.
///
/// A notification that nobody waits for is lost. A clone is another handle to the same condition.
///
/// # Examples
///
/// A queue that readers wait for:
///
/// ```
/// use lwt_core::{spawn, Condition, Mutex, State};
///
/// let queue = Mutex::new(Vec::new());
/// let changed = Condition::new();
/// let reader = spawn({
///     let (queue, changed) = (queue.clone(), changed.clone());
///     async move {
///         let mut guard = queue.lock().await?;
///         loop {
///             if let Some(item) = guard.pop() {
///                 return Ok(item);
///             }
///             ((), guard) = changed.wait_with(guard).await?;
///         }
///     }
/// });
/// queue.try_lock().unwrap().push("item");
/// changed.signal(());
/// assert!(matches!(reader.state(), State::Return(&"item")));
/// ```
#[doc(alias = "Lwt_condition.t")]
pub struct Condition<T> {
    state: Rc<RefCell<Waiting<T>>>,
}

struct Waiting<T> {
    waiters: WaitQueue<Resolver<T>>,
    /// The number of the next waiter.
    arrival: u64,
    /// All below this were woken by a broadcast, if by nothing before.
    broadcast: u64,
}

impl<T: 'static> Condition<T> {
    /// A condition that nobody waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = lwt_core::Condition::new();
    /// condition.signal(1); // lost
    /// assert!(condition.wait().is_sleeping());
    /// ```
    #[doc(alias = "Lwt_condition.create")]
    pub fn new() -> Condition<T> {
        Condition {
            state: Rc::new(RefCell::new(Waiting {
                waiters: WaitQueue::new(),
                arrival: 0,
                broadcast: 0,
            })),
        }
    }

    /// Waits for a notification, and gives its value.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping the promise leaves the queue. If it is dropped when a [`signal`](Condition::signal) had
    /// reached it and nobody had looked, the signal goes to the next waiter; with none, it is lost, as any signal that
    /// nobody waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{Condition, State};
    ///
    /// let condition = Condition::new();
    /// let promise = condition.wait();
    /// condition.signal("now");
    /// assert!(matches!(promise.state(), State::Return(&"now")));
    /// ```
    #[doc(alias = "Lwt_condition.wait")]
    pub fn wait(&self) -> Promise<T> {
        let mut waiting = self.state.borrow_mut();
        let arrival = waiting.arrival;
        waiting.arrival += 1;
        let (promise, waiter) = homing_leaf(PassOn {
            state: Rc::downgrade(&self.state),
            arrival,
        });
        let swept = waiting.waiters.push(waiter);
        drop(waiting);
        drop(swept);
        promise
    }

    /// Unlocks the mutex that `guard` holds, waits for a notification, and gives its value when the mutex was locked
    /// again, with the guard.
    ///
    /// The mutex is unlocked inside the call, after the wait has begun, so that no notification is missed. The lock
    /// is taken again in the mutex's ordinary queue.
    ///
    /// # Cancellation
    ///
    /// A cancelled wait leaves the queue of the condition, then waits for the mutex and fails when it has it, so that
    /// the failure is not seen while somebody else is in the middle of something. Waiting for the mutex is not
    /// cancelled. The new guard is dropped with the failure. Dropping the promise detaches the thread that
    /// does all this: it still waits for a notification.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{Condition, Mutex, State};
    ///
    /// let (mutex, condition) = (Mutex::new(1), Condition::new());
    /// let promise = condition.wait_with(mutex.try_lock().unwrap());
    /// assert!(!mutex.is_locked());
    /// condition.signal("now");
    /// assert!(mutex.is_locked());
    /// assert!(matches!(promise.state(), State::Return(("now", guard)) if **guard == 1));
    /// ```
    #[doc(alias = "Lwt_condition.wait")]
    pub fn wait_with<M: 'static>(&self, guard: MutexGuard<M>) -> Promise<(T, MutexGuard<M>)> {
        let mutex = guard.mutex();
        let promise = self.wait();
        drop(guard);
        spawn(async move {
            let outcome = promise.await;
            let guard = mutex.lock().no_cancel().await?;
            Ok((outcome?, guard))
        })
    }

    /// Wakes the one who has waited longest, with `value`. With nobody waiting the value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = lwt_core::Condition::new();
    /// let (first, second) = (condition.wait(), condition.wait());
    /// condition.signal(1);
    /// assert!(!first.is_sleeping());
    /// assert!(second.is_sleeping());
    /// ```
    #[doc(alias = "Lwt_condition.signal")]
    pub fn signal(&self, value: T) {
        signal(&self.state, value);
    }

    /// Fails all who wait now with `error`, oldest first.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = lwt_core::Condition::<()>::new();
    /// let promise = condition.wait();
    /// condition.broadcast_exn(lwt_core::EndOfFile);
    /// assert!(matches!(promise.state(), lwt_core::State::Fail(e) if e.is::<lwt_core::EndOfFile>()));
    /// ```
    #[doc(alias = "Lwt_condition.broadcast_exn")]
    pub fn broadcast_exn(&self, error: impl Into<Error>) {
        let error = error.into();
        let waiters = self.take_all();
        scheduler::frame(|| {
            for waiter in waiters {
                if waiter.is_pending() {
                    waiter.reject(error.clone());
                }
            }
        });
    }

    fn take_all(&self) -> VecDeque<Resolver<T>> {
        let mut waiting = self.state.borrow_mut();
        waiting.broadcast = waiting.arrival;
        waiting.waiters.take()
    }
}

impl<T: Clone + 'static> Condition<T> {
    /// Wakes all who wait now with the value, oldest first. Who begins to wait meanwhile is not woken. If cloning the value
    /// panics, the waiter that it was for fails with that.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = lwt_core::Condition::new();
    /// let (first, second) = (condition.wait(), condition.wait());
    /// condition.broadcast(1);
    /// assert!(!first.is_sleeping() && !second.is_sleeping());
    /// ```
    #[doc(alias = "Lwt_condition.broadcast")]
    pub fn broadcast(&self, value: T) {
        let mut waiters = self.take_all();
        let Some(last) = waiters.pop_back() else {
            return;
        };
        scheduler::frame(|| {
            for waiter in waiters {
                match catch_unwind(AssertUnwindSafe(|| value.clone())) {
                    // Whoever was dropped or cancelled gets nothing.
                    Ok(copy) => drop(waiter.try_wakeup(copy)),
                    Err(panic) => waiter.reject(Error::from_panic(panic)),
                }
            }
            let _ = last.try_wakeup(value);
        });
    }
}

fn signal<T: 'static>(state: &RefCell<Waiting<T>>, mut value: T) {
    loop {
        let waiter = state.borrow_mut().waiters.pop();
        let Some(waiter) = waiter else {
            return;
        };
        match waiter.try_wakeup(value) {
            Ok(()) => return,
            Err(back) => value = back,
        }
    }
}

/// The way of a signal whose waiter did not look at it.
struct PassOn<T> {
    state: Weak<RefCell<Waiting<T>>>,
    arrival: u64,
}

impl<T: 'static> Home<T> for PassOn<T> {
    fn give_back(&self, value: T) {
        if let Some(state) = self.state.upgrade()
            && self.arrival >= state.borrow().broadcast
        {
            signal(&state, value);
        }
    }
}

impl<T> Clone for Condition<T> {
    /// Another handle to the same condition.
    fn clone(&self) -> Condition<T> {
        Condition {
            state: self.state.clone(),
        }
    }
}

impl<T: 'static> Default for Condition<T> {
    fn default() -> Condition<T> {
        Condition::new()
    }
}

impl<T: 'static> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("somebody_waits", &self.state.borrow().waiters.has_live())
            .finish_non_exhaustive()
    }
}
