//! [`Promise`]: a thread as a first-class value.
//!
//! A promise that was born resolved holds its result inline: no allocation, no pointer, no scheduler. A pending
//! one is a counted handle to a cell of the [`kernel`](crate::model).

use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cancel::Canceler;
use crate::error::{Error, NoLoop, Result};
use crate::kernel::cell::{Kind, flag};
use crate::kernel::handle::{Handle, Taken};
use crate::kernel::resolve::{Outcome, When};
use crate::kernel::{callback, registration, runtime, thread, waker};
use crate::pause;

/// A snapshot of a promise's state; see [`Promise::state`].
///
/// # Examples
///
/// ```
/// use lwt_core::{return_, wait, State};
///
/// assert!(matches!(return_(42).state(), State::Return(42)));
/// let (promise, _resolver) = wait::<()>();
/// assert!(matches!(promise.state(), State::Sleep));
/// ```
#[doc(alias = "Lwt.state")]
#[derive(Debug)]
pub enum State<'a, T> {
    /// The thread has ended with this value.
    Return(&'a T),
    /// The thread has failed with this error.
    Fail(&'a Error),
    /// The thread has not ended yet.
    Sleep,
}

enum Repr<T> {
    Value(T),
    Failed(Error),
    Pending(Handle),
    /// A pause of this number: only in a `Promise<()>`. Becomes `Pending` when it needs a cell.
    Paused(u64),
    /// Polled to its end.
    Taken,
}

/// A light-weight cooperative thread that gives a `T`, or fails with an [`Error`].
///
/// A promise is a value: it can be looked at ([`state`](Promise::state)), composed ([`bind`](Promise::bind) and the
/// other methods, [`join`](crate::join), [`pick`](crate::pick), …), cancelled, cloned (if `T` can be) and awaited.
/// **The thread behind it is already running** when you get it; unlike most futures it needs no polling.
///
/// Dropping a promise neither cancels nor stops the thread behind it. Dropping a *leaf wait* (what a library
/// primitive such as a timer or a read returns) withdraws it.
///
/// # Cancellation
///
/// [`cancel`](Promise::cancel) fails the deepest cancelable promises that this one hangs on with
/// [`Canceled`](crate::Canceled).
///
/// # Examples
///
/// ```
/// use lwt_core::{wait, State};
///
/// let (promise, resolver) = wait();
/// let sum = promise.map(|x: u32| x + 1);
/// assert!(matches!(sum.state(), State::Sleep));
/// resolver.wakeup(41);
/// assert!(matches!(sum.state(), State::Return(42)));
/// ```
#[doc(alias = "Lwt.t")]
#[must_use = "dropping a promise detaches its thread, or withdraws a leaf wait; use `ignore_result` to say so"]
pub struct Promise<T> {
    /// Changed behind a shared reference only from `Paused` to `Pending`; nothing borrows from the former.
    /// Dropped by [`Promise::drop`], which sees at a glance that there is nothing to drop.
    repr: UnsafeCell<ManuallyDrop<Repr<T>>>,
    /// Invariant in `T` (M8), and of one OS thread.
    marker: PhantomData<*mut T>,
}

impl<T> Unpin for Promise<T> {}

impl<T> Drop for Promise<T> {
    /// A promise that was awaited, or holds a plain value, has nothing to drop; the compiler's own way to find that out is a
    /// call that costs as much as an `.await`.
    #[inline(always)]
    fn drop(&mut self) {
        match self.repr_mut() {
            Repr::Taken => {}
            Repr::Value(_) if !std::mem::needs_drop::<T>() => {}
            _ => self.drop_repr(),
        }
    }
}

impl<T> Promise<T> {
    #[inline(always)]
    const fn of(repr: Repr<T>) -> Promise<T> {
        Promise {
            repr: UnsafeCell::new(ManuallyDrop::new(repr)),
            marker: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn from_result(result: Result<T>) -> Promise<T> {
        Promise::of(match result {
            Ok(value) => Repr::Value(value),
            Err(error) => Repr::Failed(error),
        })
    }

    #[inline(always)]
    pub(crate) fn from_handle(handle: Handle) -> Promise<T> {
        Promise::of(Repr::Pending(handle))
    }

    #[inline(always)]
    pub(crate) fn from_outcome(outcome: Outcome<T>) -> Promise<T> {
        match outcome {
            Outcome::Done(result) | Outcome::DoneLater(result) => Promise::from_result(result),
            Outcome::Tie(handle) => Promise::from_handle(handle),
        }
    }

    #[inline(always)]
    fn repr(&self) -> &Repr<T> {
        // SAFETY: a promise belongs to one OS thread, and its representation changes behind a shared reference only
        // in `with_cell`, from `Paused`, which lends nothing out.
        unsafe { &*self.repr.get() }
    }

    #[inline(always)]
    fn repr_mut(&mut self) -> &mut Repr<T> {
        self.repr.get_mut()
    }

    /// Takes the representation out.
    #[inline(always)]
    fn into_repr(self) -> Repr<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the promise is not dropped, so this moves its representation out once.
        unsafe { ManuallyDrop::take(this.repr.get_mut()) }
    }

    /// Replaces a representation that needs no drop, or whose content was moved out.
    #[inline(always)]
    fn set(&mut self, repr: Repr<T>) {
        *self.repr.get_mut() = ManuallyDrop::new(repr);
    }

    #[inline(never)]
    fn drop_repr(&mut self) {
        // SAFETY: called by `drop` alone, so this is the end of the promise.
        unsafe { ManuallyDrop::drop(self.repr.get_mut()) }
    }

    /// The representation, with a pause that is not over given its cell.
    #[inline(always)]
    fn with_cell(&self) -> &Repr<T> {
        if let Repr::Paused(number) = *self.repr()
            && !pause::is_over(number)
        {
            // SAFETY: `Paused` lends nothing out and needs no drop, so it may be replaced; see the field.
            unsafe {
                self.repr
                    .get()
                    .write(ManuallyDrop::new(Repr::Pending(pause::cell_for(number))))
            };
        }
        self.repr()
    }

    #[inline(always)]
    pub(crate) fn into_outcome(self) -> Outcome<T> {
        match self.into_repr() {
            Repr::Value(value) => Outcome::Done(Ok(value)),
            Repr::Failed(error) => Outcome::Done(Err(error)),
            Repr::Pending(handle) => Outcome::Tie(handle),
            Repr::Paused(number) => match paused_ready(number) {
                Ok(result) => Outcome::Done(result),
                Err(handle) => Outcome::Tie(handle),
            },
            Repr::Taken => Outcome::Done(Err(taken())),
        }
    }

    /// The value, if the promise was born with it; else the promise.
    #[inline(always)]
    pub(crate) fn into_value(self) -> std::result::Result<T, Promise<T>> {
        match self.into_repr() {
            Repr::Value(value) => Ok(value),
            repr => Err(Promise::of(repr)),
        }
    }

    /// The result, if a consumer may have it now; else the handle.
    #[inline(always)]
    pub(crate) fn into_ready(self) -> std::result::Result<Result<T>, Handle> {
        match self.into_repr() {
            Repr::Value(value) => Ok(Ok(value)),
            Repr::Failed(error) => Ok(Err(error)),
            Repr::Pending(handle) => match handle.take::<T>() {
                Taken::Result(result) => Ok(result),
                Taken::Pending(handle) => Err(handle),
            },
            Repr::Paused(number) => paused_ready(number),
            Repr::Taken => Ok(Err(taken())),
        }
    }

    pub(crate) fn into_handle(self) -> Option<Handle> {
        match self.into_repr() {
            Repr::Pending(handle) => Some(handle),
            Repr::Paused(number) => paused_ready::<T>(number).err(),
            _ => None,
        }
    }

    /// The handle of a promise that has a cell.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        match self.with_cell() {
            Repr::Pending(handle) => Some(handle),
            _ => None,
        }
    }

    pub(crate) fn handle_mut(&mut self) -> Option<&mut Handle> {
        self.with_cell();
        match self.repr_mut() {
            Repr::Pending(handle) => Some(handle),
            _ => None,
        }
    }

    /// Whether a consumer would get the result without waiting.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        match self.repr() {
            Repr::Pending(handle) => handle.is_ready(),
            Repr::Paused(number) => pause::is_over(*number),
            _ => true,
        }
    }

    /// What the promise is now, without taking anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{fail_with, State};
    ///
    /// match fail_with::<u32>("no").state() {
    ///     State::Fail(error) => assert_eq!(error.to_string(), "no"),
    ///     other => panic!("{other:?}"),
    /// }
    /// ```
    #[doc(alias = "Lwt.state")]
    #[doc(alias = "Lwt.debug_state_is")]
    #[inline]
    pub fn state(&self) -> State<'_, T> {
        match self.repr() {
            Repr::Value(value) => State::Return(value),
            Repr::Failed(error) => State::Fail(error),
            Repr::Pending(handle) => match handle.peek::<T>() {
                Some(Ok(value)) => State::Return(value),
                Some(Err(error)) => State::Fail(error),
                None => State::Sleep,
            },
            Repr::Paused(number) if pause::is_over(*number) => State::Return(unit_ref()),
            Repr::Paused(_) | Repr::Taken => State::Sleep,
        }
    }

    /// Whether the promise is still pending.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait::<()>();
    /// assert!(promise.is_sleeping());
    /// resolver.wakeup(());
    /// assert!(!promise.is_sleeping());
    /// ```
    #[doc(alias = "Lwt.is_sleeping")]
    #[inline]
    pub fn is_sleeping(&self) -> bool {
        matches!(self.state(), State::Sleep)
    }

    /// The value, if the thread has ended with one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(lwt_core::return_(42).value(), Some(&42));
    /// ```
    #[inline]
    pub fn value(&self) -> Option<&T> {
        match self.state() {
            State::Return(value) => Some(value),
            _ => None,
        }
    }

    /// The error, if the thread has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(lwt_core::fail_with::<()>("no").error().is_some());
    /// ```
    #[inline]
    pub fn error(&self) -> Option<&Error> {
        match self.state() {
            State::Fail(error) => Some(error),
            _ => None,
        }
    }

    /// The result if it is there, else the promise back.
    ///
    /// # Errors
    ///
    /// Gives the promise itself when it is pending (or its value is lent to a callback right now).
    ///
    /// # Examples
    ///
    /// ```
    /// let promise = lwt_core::return_(1);
    /// assert_eq!(promise.try_take().ok().and_then(Result::ok), Some(1));
    /// ```
    #[doc(alias = "Lwt.poll")]
    pub fn try_take(self) -> std::result::Result<Result<T>, Promise<T>> {
        self.into_ready().map_err(Promise::from_handle)
    }
}

impl<T: 'static> Promise<T> {
    /// Cancels what this promise hangs on, and runs what waits for that **inside this call**.
    ///
    /// The walk goes back from the promise to the cancelable ones that it waits for now ([`task`](crate::task),
    /// sleeps, I/O, [`protected`](Promise::protected) copies) and fails those with [`Canceled`](crate::Canceled); the
    /// failure then travels forward in the ordinary way, so handlers and clean-up run and may replace it. A thread
    /// that awaits only foreign futures is dropped. Resolved promises are left alone.
    ///
    /// A thread that runs right now awaits nothing, so nothing happens to it. One that is *due* (what it awaited is there,
    /// but it was not resumed yet) goes on to its next suspension and is cancelled there; one that always finds
    /// everything at hand is, when it has to give way.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{task, State};
    ///
    /// let (waiter, _resolver) = task::<u32>();
    /// let next = waiter.map(|x| x + 1);
    /// next.cancel();
    /// assert!(matches!(next.state(), State::Fail(error) if error.is_canceled()));
    /// ```
    #[doc(alias = "Lwt.cancel")]
    pub fn cancel(&self) {
        if let Some(handle) = self.handle() {
            crate::kernel::cancel::cancel(handle.cell, When::Now);
        }
    }

    /// Like [`cancel`](Promise::cancel), but when called while anything of the library is in progress, the waiters of
    /// what was cancelled are told afterwards, so that no thread is re-entered.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, _resolver) = lwt_core::task::<()>();
    /// promise.cancel_later();
    /// assert!(!promise.is_sleeping());
    /// ```
    #[doc(alias = "Lwt.cancel")]
    pub fn cancel_later(&self) {
        if let Some(handle) = self.handle() {
            crate::kernel::cancel::cancel(handle.cell, When::Later);
        }
    }

    /// A means to cancel this promise later on that does not count as a consumer and keeps nothing alive: for a
    /// promise whose only handle is being awaited.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{spawn, task, State};
    ///
    /// let (promise, _resolver) = task::<()>();
    /// let canceler = promise.canceler();
    /// let thread = spawn(async move { promise.await });
    /// canceler.cancel();
    /// assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
    /// ```
    pub fn canceler(&self) -> Canceler {
        Canceler::of(self.handle())
    }

    /// Runs `f` when the promise fails with [`Canceled`](crate::Canceled), before everything else that waits for
    /// it; at once if it already has. A panic of `f` goes to the asynchronous exception hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let (promise, _resolver) = lwt_core::task::<()>();
    /// let seen = Rc::new(Cell::new(false));
    /// promise.on_cancel({ let seen = seen.clone(); move || seen.set(true) });
    /// promise.cancel();
    /// assert!(seen.get());
    /// ```
    #[doc(alias = "Lwt.on_cancel")]
    pub fn on_cancel(&self, f: impl FnOnce() + 'static) {
        match self.state() {
            State::Fail(error) if error.is_canceled() => runtime::protect(f),
            State::Sleep => {
                if let Some(handle) = self.handle() {
                    let entry = (Box::new(f) as Box<dyn FnOnce()>, runtime::current_storage());
                    handle
                        .cell
                        .root()
                        .make_extras(|extras| extras.on_cancel.push(entry));
                }
            }
            _ => {}
        }
    }

    /// Runs `f` with the value, which it is lent, when there is one; at once if it is there. A panic of `f` goes to
    /// the asynchronous exception hook.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, resolver) = lwt_core::wait();
    /// promise.on_success(|value: &u32| assert_eq!(*value, 7));
    /// resolver.wakeup(7);
    /// ```
    #[doc(alias = "Lwt.on_success")]
    pub fn on_success(&self, f: impl FnOnce(&T) + 'static) {
        self.attach(move |result| {
            if let Ok(value) = result {
                f(value);
            }
        });
    }

    /// Like [`on_success`](Promise::on_success), for a failure (also by cancellation).
    ///
    /// # Examples
    ///
    /// ```
    /// lwt_core::fail_with::<()>("no").on_failure(|error| assert_eq!(error.to_string(), "no"));
    /// ```
    #[doc(alias = "Lwt.on_failure")]
    pub fn on_failure(&self, f: impl FnOnce(&Error) + 'static) {
        self.attach(move |result| {
            if let Err(error) = result {
                f(error);
            }
        });
    }

    /// Like [`on_success`](Promise::on_success), for any end.
    ///
    /// # Examples
    ///
    /// ```
    /// lwt_core::return_(()).on_termination(|| println!("over"));
    /// ```
    #[doc(alias = "Lwt.on_termination")]
    pub fn on_termination(&self, f: impl FnOnce() + 'static) {
        self.attach(move |_| f());
    }

    /// Two callbacks, one of which runs.
    ///
    /// # Examples
    ///
    /// ```
    /// lwt_core::return_(1).on_any(|value| assert_eq!(*value, 1), |error| panic!("{error}"));
    /// ```
    #[doc(alias = "Lwt.on_any")]
    pub fn on_any(
        &self,
        success: impl FnOnce(&T) + 'static,
        failure: impl FnOnce(&Error) + 'static,
    ) {
        self.attach(move |result| match result {
            Ok(value) => success(value),
            Err(error) => failure(error),
        });
    }

    fn attach(&self, f: impl FnOnce(std::result::Result<&T, &Error>) + 'static) {
        match self.with_cell() {
            Repr::Pending(handle) => callback::attach::<T, _>(handle, f),
            Repr::Value(value) => runtime::protect(|| f(Ok(value))),
            Repr::Failed(error) => runtime::protect(|| f(Err(error))),
            Repr::Paused(_) => runtime::protect(|| f(Ok(unit_ref()))),
            Repr::Taken => {}
        }
    }

    /// Drops the promise; a failure, now or later, goes to the asynchronous exception hook.
    ///
    /// A plain cancellation is not reported: whoever cancels a thread that nobody waits for has been heard. (OCaml
    /// Lwt reports it too.)
    ///
    /// # Examples
    ///
    /// ```
    /// lwt_core::return_(3).ignore_result();
    /// ```
    #[doc(alias = "Lwt.ignore_result")]
    pub fn ignore_result(self) {
        match self.with_cell() {
            // Noted in the cell: nothing is attached unless it fails.
            Repr::Pending(handle) if handle.peek::<T>().is_none() => {
                handle.cell.root().set(flag::IGNORED);
            }
            _ => self.on_failure(runtime::report_ignored),
        }
    }
}

#[cold]
fn taken() -> Error {
    Error::invalid_argument("this promise was awaited to its end before")
}

impl<T: Clone> Clone for Promise<T> {
    /// Another handle to the same thread. Each consumer gets a clone of the value, the last one the value itself.
    fn clone(&self) -> Promise<T> {
        Promise::of(match self.with_cell() {
            Repr::Value(value) => Repr::Value(value.clone()),
            Repr::Failed(error) => Repr::Failed(error.clone()),
            Repr::Pending(handle) => Repr::Pending(handle.share::<T>()),
            Repr::Paused(number) => Repr::Paused(*number),
            Repr::Taken => Repr::Taken,
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state() {
            State::Return(value) => f.debug_tuple("Return").field(value).finish(),
            State::Fail(error) => f.debug_tuple("Fail").field(error).finish(),
            State::Sleep => f.write_str("Sleep"),
        }
    }
}

impl<T: 'static> Future for Promise<T> {
    type Output = Result<T>;

    /// Awaited inside one of our threads, the thread itself is registered: no waker is cloned.
    ///
    /// # Panics
    ///
    /// When polled again after it was ready.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        if let Repr::Value(value) = this.repr_mut()
            && operations_left()
        {
            // SAFETY: the value is moved out once: nothing is left to be dropped in what is `Taken`.
            let value = unsafe { std::ptr::read(value) };
            this.set(Repr::Taken);
            return Poll::Ready(Ok(value));
        }
        this.poll_other(context)
    }
}

impl<T: 'static> Promise<T> {
    /// Polls a promise that may have no value inline.
    #[inline(always)]
    fn poll_other(&mut self, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self;
        match this.repr_mut() {
            Repr::Pending(_) => return this.poll_cell(context),
            Repr::Paused(number) => {
                let number = *number;
                return this.poll_pause(number, context);
            }
            // Its operation was counted already, and was one too many.
            Repr::Value(_) => {
                if let Some(instead) = give_way(context) {
                    return instead;
                }
            }
            _ => {
                if let Some(instead) = out_of_operations(context) {
                    return instead;
                }
            }
        }
        match std::mem::replace(this.repr_mut(), Repr::Taken) {
            Repr::Value(value) => Poll::Ready(Ok(value)),
            Repr::Failed(error) => Poll::Ready(Err(error)),
            _ => polled_again(),
        }
    }
}

/// The result of a pause that is over, or a cell for it.
#[cold]
fn paused_ready<T>(number: u64) -> std::result::Result<Result<T>, Handle> {
    if pause::is_over(number) {
        Ok(Ok(unit()))
    } else {
        Err(pause::cell_for(number))
    }
}

/// The value of a pause.
fn unit<T>() -> T {
    assert!(size_of::<T>() == 0, "a pause is a Promise<()>");
    // SAFETY: `Paused` is made by `Promise::<()>::paused` alone, so `T` is `()`, which can be read from
    // any aligned address: it has no bytes.
    unsafe { std::ptr::NonNull::<T>::dangling().read() }
}

fn unit_ref<'a, T>() -> &'a T {
    assert!(size_of::<T>() == 0, "a pause is a Promise<()>");
    // SAFETY: as above; a dangling pointer is a valid reference to a value without bytes.
    unsafe { std::ptr::NonNull::<T>::dangling().as_ref() }
}

impl Promise<()> {
    /// A pause of this number.
    #[inline(always)]
    pub(crate) fn paused(number: u64) -> Promise<()> {
        Promise::of(Repr::Paused(number))
    }
}

#[cold]
fn polled_again() -> ! {
    panic!("a promise was polled after it was ready");
}

impl<T: 'static> Promise<T> {
    /// Polls a promise that has a cell: the two usual cases here, the others out of line.
    #[inline]
    fn poll_cell(&mut self, context: &mut Context<'_>) -> Poll<Result<T>> {
        let Repr::Pending(handle) = self.repr_mut() else {
            polled_again()
        };
        if handle.is_resolved_alone() {
            if let Some(instead) = out_of_operations(context) {
                return instead;
            }
            let result = handle.take_alone::<T>();
            // Its count went with the value.
            self.set(Repr::Taken);
            return Poll::Ready(result);
        }
        let current = runtime::with(|runtime| runtime.current.get());
        if let Some(thread) = current
            && waker::is_of(context.waker(), thread)
            && handle.await_alone(thread)
        {
            return Poll::Pending;
        }
        self.poll_shared(context)
    }

    #[inline(never)]
    fn poll_shared(&mut self, context: &mut Context<'_>) -> Poll<Result<T>> {
        let Repr::Pending(handle) = self.repr_mut() else {
            polled_again()
        };
        if handle.is_ready() {
            return match out_of_operations(context) {
                Some(instead) => instead,
                None => self.take_cell(),
            };
        }
        let current = runtime::with(|runtime| runtime.current.get());
        match wait_for(handle, context, current) {
            None => Poll::Pending,
            Some(error) => Poll::Ready(Err(error)),
        }
    }

    /// Polls a pause: inside a thread of ours the thread itself is put among the paused.
    #[inline]
    fn poll_pause(&mut self, number: u64, context: &mut Context<'_>) -> Poll<Result<T>> {
        let current = runtime::with(|runtime| runtime.current.get());
        if let Some(thread) = current
            && waker::is_of(context.waker(), thread)
        {
            let canceled = thread::is_pause_canceled(thread, number & !pause::AWAITED);
            if canceled && number & pause::AWAITED != 0 {
                self.set(Repr::Taken);
                return Poll::Ready(Err(Error::canceled()));
            }
            if pause::is_over(number) {
                self.set(Repr::Taken);
                return Poll::Ready(Ok(unit()));
            }
            if canceled {
                // Not awaited yet when others were cancelled: its number cannot tell it from them any more.
                self.with_cell();
                return self.poll_cell(context);
            }
            thread::await_pause(thread);
            self.set(Repr::Paused(number | pause::AWAITED));
            return Poll::Pending;
        }
        if pause::is_over(number) {
            self.set(Repr::Taken);
            return Poll::Ready(Ok(unit()));
        }
        self.with_cell();
        self.poll_cell(context)
    }

    #[inline(never)]
    fn take_cell(&mut self) -> Poll<Result<T>> {
        let Repr::Pending(handle) = std::mem::replace(self.repr_mut(), Repr::Taken) else {
            polled_again()
        };
        match handle.take::<T>() {
            Taken::Result(result) => Poll::Ready(result),
            Taken::Pending(handle) => {
                self.set(Repr::Pending(handle));
                Poll::Pending
            }
        }
    }
}

/// Registers whoever polls.
#[inline(never)]
fn wait_for(
    handle: &mut Handle,
    context: &mut Context<'_>,
    current: Option<crate::kernel::cell::CellRef>,
) -> Option<Error> {
    if let Some(thread) = current
        && waker::is_of(context.waker(), thread)
    {
        thread::await_promise(thread, handle);
        return None;
    }
    wait_foreign(handle, context, current.is_some())
}

#[cold]
fn wait_foreign(handle: &mut Handle, context: &mut Context<'_>, in_thread: bool) -> Option<Error> {
    let root = handle.cell.root();
    let in_loop = runtime::with(|runtime| runtime.main_loop.get().is_some());
    if !in_thread && !in_loop && root.table().kind == Kind::LoopWait {
        let operation = root
            .with_extras(|extras| extras.operation)
            .flatten()
            .unwrap_or("a pause");
        return Some(Error::new(NoLoop { operation }));
    }
    let waker = context.waker();
    let same = handle.registered().is_some_and(|waiter| {
        waiter.table().kind == Kind::Registration && registration::is_same(waiter, Some(waker))
    });
    if !same {
        registration::register(handle, Some(waker.clone()));
    }
    None
}

/// Counts an operation that completed at once; false after too many in a row (M10).
#[inline(always)]
fn operations_left() -> bool {
    runtime::with(|runtime| {
        let left = runtime.operations.get().wrapping_sub(1);
        runtime.operations.set(left);
        left != 0
    })
}

/// Counts an operation that completed at once; after too many in a row the thread waits for the next turn (M10). Gives
/// what the poll answers in that case, the value staying where it is.
#[inline(always)]
fn out_of_operations<T>(context: &mut Context<'_>) -> Option<Poll<Result<T>>> {
    if operations_left() {
        None
    } else {
        give_way(context)
    }
}

#[cold]
fn give_way<T>(context: &mut Context<'_>) -> Option<Poll<Result<T>>> {
    let thread = runtime::with(|runtime| {
        runtime.operations.set(runtime::OPERATIONS);
        runtime
            .current
            .get()
            .filter(|_| runtime.main_loop.get().is_some())
    })?;
    if thread::take_late_cancel(thread) {
        // Here the thread would have been suspended, so here a cancel reaches it that came while it was queued.
        return Some(Poll::Ready(Err(Error::canceled())));
    }
    context.waker().wake_by_ref();
    Some(Poll::Pending)
}
