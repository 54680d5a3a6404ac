//! [`Resolver`]: the write side of a promise, and the functions that make pairs.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use crate::error::{Error, Result};
use crate::kernel::cell::{CellRef, flag};
use crate::kernel::handle::Handle;
use crate::kernel::node::{Home, Wait, homing_wait};
use crate::kernel::ownership::{add_handle, add_owner, release_owner};
use crate::kernel::resolve::{self, When};
use crate::promise::Promise;

/// The write side of one promise (the manual's *wakener*).
///
/// Waking consumes it, so that the plain mistake of waking twice does not compile. A clone that is used after the
/// promise was resolved panics with a message that names the caller; after a cancellation it is ignored.
///
/// [`resolve`](Resolver::resolve) and [`reject`](Resolver::reject) never re-enter a running thread: while anything of
/// the library is in progress, the waiters are told when the outermost of it ends. [`wakeup`](Resolver::wakeup) and
/// its variants run the waiters **inside the call**, as the manual has it.
///
/// Dropping the last resolver of a promise leaves the promise asleep for as long as somebody holds it, and lets
/// go of the threads that wait for it.
///
/// # Examples
///
/// ```
/// let (promise, resolver) = lwt_core::wait();
/// resolver.resolve("done");
/// assert!(matches!(promise.state(), lwt_core::State::Return(&"done")));
/// ```
#[doc(alias = "Lwt.u")]
#[must_use = "dropping the last resolver of a promise leaves it asleep for ever"]
pub struct Resolver<T> {
    cell: CellRef,
    marker: PhantomData<*mut T>,
}

impl<T> Resolver<T> {
    /// For an owner count that the caller has added (or that the cell was made with).
    #[inline(always)]
    fn adopt(cell: CellRef) -> Resolver<T> {
        Resolver {
            cell,
            marker: PhantomData,
        }
    }
}

impl<T: 'static> Resolver<T> {
    /// Fulfils the promise. Waiters are told now, or at the end of what is in progress.
    ///
    /// # Panics
    ///
    /// When the promise was resolved through a clone of this resolver before (not when it was cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait();
    /// resolver.resolve(1);
    /// assert!(!promise.is_sleeping());
    /// ```
    #[doc(alias = "Lwt.wakeup_later")]
    #[track_caller]
    #[inline]
    pub fn resolve(self, value: T) {
        self.settle(Ok(value), When::Later, "Resolver::resolve");
    }

    /// Fails the promise. Waiters are told now, or at the end of what is in progress.
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait::<()>();
    /// resolver.reject(lwt_core::EndOfFile);
    /// assert!(matches!(promise.state(), lwt_core::State::Fail(e) if e.is::<lwt_core::EndOfFile>()));
    /// ```
    #[doc(alias = "Lwt.wakeup_later_exn")]
    #[track_caller]
    pub fn reject(self, error: impl Into<Error>) {
        self.settle(Err(error.into()), When::Later, "Resolver::reject");
    }

    /// Fulfils the promise and **runs what waits for it inside this call**, unless too many wake-ups are nested
    /// already.
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait();
    /// let next = promise.map(|x: i32| x + 1);
    /// resolver.wakeup(1);
    /// assert!(matches!(next.state(), lwt_core::State::Return(2)));
    /// ```
    #[doc(alias = "Lwt.wakeup")]
    #[track_caller]
    #[inline]
    pub fn wakeup(self, value: T) {
        self.settle(Ok(value), When::Now, "Resolver::wakeup");
    }

    /// Fails the promise and **runs what waits for it inside this call**.
    ///
    /// Failing with [`Canceled`](crate::Canceled) counts as a cancellation.
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    #[doc(alias = "Lwt.wakeup_exn")]
    #[track_caller]
    pub fn wakeup_exn(self, error: impl Into<Error>) {
        self.settle(Err(error.into()), When::Now, "Resolver::wakeup_exn");
    }

    /// [`wakeup`](Resolver::wakeup) or [`wakeup_exn`](Resolver::wakeup_exn), as the result says.
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    #[doc(alias = "Lwt.wakeup_result")]
    #[track_caller]
    pub fn wakeup_result(self, result: Result<T>) {
        self.settle(result, When::Now, "Resolver::wakeup_result");
    }

    /// The manual's name for [`resolve`](Resolver::resolve).
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    #[doc(alias = "Lwt.wakeup_later")]
    #[track_caller]
    pub fn wakeup_later(self, value: T) {
        self.settle(Ok(value), When::Later, "Resolver::wakeup_later");
    }

    /// The manual's name for [`reject`](Resolver::reject).
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    #[doc(alias = "Lwt.wakeup_later_exn")]
    #[track_caller]
    pub fn wakeup_later_exn(self, error: impl Into<Error>) {
        self.settle(Err(error.into()), When::Later, "Resolver::wakeup_later_exn");
    }

    /// [`resolve`](Resolver::resolve) or [`reject`](Resolver::reject), as the result says.
    ///
    /// # Panics
    ///
    /// Like [`resolve`](Resolver::resolve).
    #[doc(alias = "Lwt.wakeup_later_result")]
    #[track_caller]
    pub fn wakeup_later_result(self, result: Result<T>) {
        self.settle(result, When::Later, "Resolver::wakeup_later_result");
    }

    /// Fulfils the promise like [`resolve`](Resolver::resolve), if somebody can still get the value.
    ///
    /// # Errors
    ///
    /// Gives the value back when the promise was resolved or cancelled, or when nobody holds it any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait();
    /// drop(promise);
    /// assert_eq!(resolver.try_wakeup(5), Err(5));
    /// ```
    #[inline]
    pub fn try_wakeup(self, value: T) -> std::result::Result<(), T> {
        let root = self.cell.root_from_delegate();
        if root.has(flag::RESOLVED) || self.is_abandoned() {
            return Err(value);
        }
        resolve::resolve(root, Ok(value), When::Later);
        Ok(())
    }

    /// Whether nobody holds the promise (or anything made from it) any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait::<()>();
    /// assert!(!resolver.is_abandoned());
    /// drop(promise);
    /// assert!(resolver.is_abandoned());
    /// ```
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        !self.cell.has(flag::FORWARD) && self.cell.header().handles.get() == 0
    }

    /// Whether the promise is still waiting for this resolver.
    #[inline]
    pub fn is_pending(&self) -> bool {
        !self.cell.root().has(flag::RESOLVED)
    }

    /// Runs `f` when the last holder of the pending promise lets go of it; at once if that has happened. For
    /// library primitives that withdraw what nobody waits for. A panic of `f` goes to the asynchronous
    /// exception hook.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait::<()>();
    /// resolver.on_abandon(|| println!("nobody waits any more"));
    /// drop(promise);
    /// ```
    pub fn on_abandon(&self, f: impl FnOnce() + 'static) {
        if self.is_abandoned() {
            crate::kernel::runtime::protect(f);
            return;
        }
        if self.is_pending() && !self.cell.has(flag::FORWARD) {
            self.cell.set(flag::LEAF);
            self.cell
                .make_extras(|extras| extras.on_abandon.push(Box::new(f)));
        }
    }

    /// Runs `f` once when the pending promise is cancelled, or when its last holder lets go of it, whichever comes
    /// first: what a timer or a queued read needs to take itself back. Dropped unrun when the promise is resolved
    /// otherwise. A panic of `f` goes to the asynchronous exception hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let (promise, resolver) = lwt_core::task::<()>();
    /// let withdrawn = Rc::new(Cell::new(0));
    /// resolver.on_withdrawn({ let withdrawn = withdrawn.clone(); move || withdrawn.set(withdrawn.get() + 1) });
    /// promise.cancel();
    /// drop(promise);
    /// assert_eq!(withdrawn.get(), 1);
    /// ```
    pub fn on_withdrawn(&self, f: impl FnOnce() + 'static) {
        let root = self.cell.root();
        if root.has(flag::RESOLVED) {
            if root.error().is_some_and(Error::is_canceled) {
                crate::kernel::runtime::protect(f);
            }
        } else if self.is_abandoned() {
            crate::kernel::runtime::protect(f);
        } else {
            self.cell.set(flag::LEAF);
            root.make_extras(|extras| extras.on_withdrawn.push(Box::new(f)));
        }
    }

    #[track_caller]
    #[inline]
    fn settle(self, result: Result<T>, when: When, operation: &'static str) {
        let root = self.cell.root_from_delegate();
        if root.has(flag::RESOLVED) {
            already(root, operation, Location::caller());
            return;
        }
        resolve::resolve(root, result, when);
    }
}

impl<T: Clone + 'static> Resolver<T> {
    /// Another handle to the promise that belongs to this resolver.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait();
    /// let again = resolver.promise();
    /// resolver.wakeup(1);
    /// assert!(matches!(promise.state(), lwt_core::State::Return(1)));
    /// assert!(matches!(again.state(), lwt_core::State::Return(1)));
    /// ```
    #[doc(alias = "Lwt.waiter_of_wakener")]
    pub fn promise(&self) -> Promise<T> {
        let root = self.cell.root();
        if root.has(flag::RESOLVED) && !root.has(flag::VALUE) {
            return Promise::from_result(Err(Error::invalid_argument(
                "Resolver::promise: the promise was awaited to its end before",
            )));
        }
        add_handle(root);
        let handle = Handle::adopt(root);
        Promise::from_handle(handle.share::<T>())
    }
}

#[cold]
fn already(root: CellRef, operation: &'static str, caller: &'static Location<'static>) {
    if !root.has(flag::CANCELED) {
        panic!(
            "invalid argument: {operation}: the promise is resolved already (called at {caller})"
        );
    }
}

impl<T> Clone for Resolver<T> {
    /// Another way to resolve the same promise. Only one may be used; see [`Resolver`].
    fn clone(&self) -> Resolver<T> {
        add_owner(self.cell);
        Resolver::adopt(self.cell)
    }
}

impl<T> Drop for Resolver<T> {
    #[inline(always)]
    fn drop(&mut self) {
        release_owner(self.cell);
    }
}

impl<T> fmt::Debug for Resolver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = !self.cell.root().has(flag::RESOLVED);
        f.debug_struct("Resolver")
            .field("pending", &pending)
            .finish_non_exhaustive()
    }
}

/// A pending promise that cannot be cancelled, with its resolver.
///
/// `let (promise, _) = wait()` drops the resolver at once, so that the promise sleeps for ever; say
/// [`forever`] if that is meant.
///
/// # Examples
///
/// ```
/// let (promise, resolver) = lwt_core::wait();
/// promise.cancel(); // does nothing
/// resolver.wakeup(1);
/// assert!(matches!(promise.state(), lwt_core::State::Return(1)));
/// ```
#[doc(alias = "Lwt.wait")]
#[inline]
pub fn wait<T: 'static>() -> (Promise<T>, Resolver<T>) {
    pair(Wait::<T>::allocate(0))
}

/// A pending promise that [`cancel`](Promise::cancel) fails with [`Canceled`](crate::Canceled), with its resolver.
///
/// # Examples
///
/// ```
/// let (promise, resolver) = lwt_core::task::<u32>();
/// promise.cancel();
/// resolver.wakeup(1); // too late: ignored
/// assert!(matches!(promise.state(), lwt_core::State::Fail(error) if error.is_canceled()));
/// ```
#[doc(alias = "Lwt.task")]
#[inline]
pub fn task<T: 'static>() -> (Promise<T>, Resolver<T>) {
    pair(Wait::<T>::allocate(flag::CANCELABLE))
}

/// A promise that never resolves, and that can be cancelled.
///
/// # Examples
///
/// ```
/// assert!(lwt_core::forever::<()>().is_sleeping());
/// ```
pub fn forever<T: 'static>() -> Promise<T> {
    let (promise, resolver) = task();
    drop(resolver);
    promise
}

/// A wait that only a running main loop ends: cancelable, told when it is abandoned, and failing with
/// [`NoLoop`](crate::NoLoop) when a foreign executor awaits it where no loop runs. `operation` names it then.
pub(crate) fn loop_leaf<T: 'static>(operation: &'static str) -> (Promise<T>, Resolver<T>) {
    let cell = Wait::<T>::allocate_of_loop(flag::CANCELABLE);
    cell.make_extras(|extras| extras.operation = Some(operation));
    pair(cell)
}

/// A cancelable wait of a library primitive. A value that was handed over and not taken goes `home`.
pub(crate) fn homing_leaf<T: 'static, H: Home<T>>(home: H) -> (Promise<T>, Resolver<T>) {
    pair(homing_wait(home))
}

#[inline(always)]
fn pair<T>(cell: CellRef) -> (Promise<T>, Resolver<T>) {
    (
        Promise::from_handle(Handle::adopt(cell)),
        Resolver::adopt(cell),
    )
}
