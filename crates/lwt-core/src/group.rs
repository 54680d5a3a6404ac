//! [`Group`]: structured concurrency. Threads that are cancelled when their group is dropped.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;

use crate::cancel::Canceler;
use crate::compose::spawn;
use crate::error::Result;
use crate::promise::Promise;
use crate::resolver::{Resolver, task};

#[derive(Default)]
struct Members {
    cancelers: Vec<Canceler>,
    /// Members that are not over.
    running: usize,
    waiters: Vec<Resolver<()>>,
}

/// A set of threads that is cancelled when the group is dropped.
///
/// The members' promises stay with whoever launched them; the group holds only the means to cancel them.
///
/// # Examples
///
/// ```
/// use lwt_core::{forever, Group, State};
///
/// let group = Group::new();
/// let thread = group.spawn(async { forever::<()>().await });
/// drop(group);
/// assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
/// ```
#[derive(Default)]
pub struct Group {
    members: Rc<RefCell<Members>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("running", &self.running())
            .finish()
    }
}

impl Group {
    /// A group without members.
    pub fn new() -> Group {
        Group::default()
    }

    /// Launches a thread in the group.
    ///
    /// # Cancellation
    ///
    /// Cancelling or dropping its promise is as for any thread; dropping the group cancels it.
    pub fn spawn<T: 'static>(
        &self,
        future: impl Future<Output = Result<T>> + 'static,
    ) -> Promise<T> {
        let promise = spawn(future);
        self.add(&promise);
        promise
    }

    /// Adds a promise that exists already.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, _resolver) = lwt_core::task::<()>();
    /// let group = lwt_core::Group::new();
    /// group.add(&promise);
    /// group.cancel();
    /// assert!(!promise.is_sleeping());
    /// ```
    pub fn add<T: 'static>(&self, promise: &Promise<T>) {
        if !promise.is_sleeping() {
            return;
        }
        let mut members = self.members.borrow_mut();
        if members.cancelers.len() >= 32 && members.cancelers.len() >= 2 * members.running {
            members.cancelers.retain(|canceler| !canceler.is_over());
        }
        members.cancelers.push(promise.canceler());
        members.running += 1;
        drop(members);
        let leave = Leave(Rc::downgrade(&self.members));
        promise.on_termination(move || drop(leave));
    }

    /// Number of members that have not ended.
    pub fn running(&self) -> usize {
        self.members.borrow().running
    }

    /// Cancels all members. The group can be used again.
    pub fn cancel(&self) {
        let cancelers = std::mem::take(&mut self.members.borrow_mut().cancelers);
        for canceler in &cancelers {
            canceler.cancel_later();
        }
        // Members that answered the cancel with more work are still members.
        let left = cancelers.into_iter().filter(|canceler| !canceler.is_over());
        self.members.borrow_mut().cancelers.extend(left);
    }

    /// Waits until every member has ended, in whatever way.
    ///
    /// # Cancellation
    ///
    /// Only the waiting is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = lwt_core::Group::new();
    /// assert!(!group.wait().is_sleeping());
    /// ```
    pub fn wait(&self) -> Promise<()> {
        let mut members = self.members.borrow_mut();
        if members.running == 0 {
            return crate::compose::return_unit();
        }
        let (promise, resolver) = task();
        members
            .waiters
            .retain(|waiter| waiter.is_pending() && !waiter.is_abandoned());
        members.waiters.push(resolver);
        promise
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A member's end: it was resolved, or its thread went without a word.
struct Leave(std::rc::Weak<RefCell<Members>>);

impl Drop for Leave {
    fn drop(&mut self) {
        let Some(members) = self.0.upgrade() else {
            return;
        };
        let mut borrowed = members.borrow_mut();
        borrowed.running -= 1;
        if borrowed.running > 0 {
            return;
        }
        let waiters = std::mem::take(&mut borrowed.waiters);
        drop(borrowed);
        for waiter in waiters {
            let _ = waiter.try_wakeup(());
        }
    }
}
