//! `bind` and its family: what to do with the result of one promise.
//!
//! Each is a closure over [`then`](crate::kernel::node::then): run at once when the promise is resolved already (a
//! plain call), else held together with its result in one allocation.

use crate::error::{Error, Result};
use crate::kernel::node::{at_once, then};
use crate::kernel::resolve::Outcome;
use crate::promise::Promise;

impl<T: 'static> Promise<T> {
    /// Passes the value to `f` and becomes the promise that it returns. A failure is passed on.
    ///
    /// If this promise is fulfilled already, `f` is called at once. A panic of `f` is a failure.
    ///
    /// # Cancellation
    ///
    /// Cancelling the result cancels whichever stage is pending; `f` is never called if that is the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{return_, State};
    ///
    /// let promise = return_(20).bind(|x| return_(x * 2)).bind(|x| return_(x + 2));
    /// assert!(matches!(promise.state(), State::Return(42)));
    /// ```
    #[doc(alias = "Lwt.bind")]
    #[doc(alias = "Lwt.backtrace_bind")]
    #[doc(alias = "Lwt.>>=")]
    #[doc(alias = "Lwt.=<<")]
    #[inline]
    pub fn bind<U, F>(self, f: F) -> Promise<U>
    where
        U: 'static,
        F: FnOnce(T) -> Promise<U> + 'static,
    {
        then(self, move |result| match result {
            Ok(value) => f(value).into_outcome(),
            Err(error) => Outcome::Done(Err(error)),
        })
    }

    /// Like [`bind`](Promise::bind), for a function that gives a plain result.
    ///
    /// # Cancellation
    ///
    /// Cancelling the result cancels this promise.
    ///
    /// # Examples
    ///
    /// ```
    /// let promise = lwt_core::return_("7").and_then(|text| Ok(text.parse::<u32>()?));
    /// assert!(matches!(promise.state(), lwt_core::State::Return(7)));
    /// ```
    #[inline]
    pub fn and_then<U, F>(self, f: F) -> Promise<U>
    where
        U: 'static,
        F: FnOnce(T) -> Result<U> + 'static,
    {
        then(self, move |result| Outcome::Done(result.and_then(f)))
    }

    /// Applies a plain function to the value. A failure is passed on, a panic of `f` is a failure.
    ///
    /// # Cancellation
    ///
    /// Cancelling the result cancels this promise.
    ///
    /// # Examples
    ///
    /// ```
    /// let promise = lwt_core::return_(20).map(|x| x + 1);
    /// assert!(matches!(promise.state(), lwt_core::State::Return(21)));
    /// ```
    #[doc(alias = "Lwt.map")]
    #[doc(alias = "Lwt.>|=")]
    #[doc(alias = "Lwt.=|<")]
    #[inline]
    pub fn map<U, F>(self, f: F) -> Promise<U>
    where
        U: 'static,
        F: FnOnce(T) -> U + 'static,
    {
        then(self, move |result| Outcome::Done(result.map(f)))
    }

    /// Handles a failure: becomes the promise that `handler` returns. A value is passed on.
    ///
    /// The free function [`catch`] also catches a panic of the function that makes the promise.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{fail_with, return_, State};
    ///
    /// let promise = fail_with("no").catch(|error| return_(error.to_string()));
    /// assert!(matches!(promise.state(), State::Return(text) if text == "no"));
    /// ```
    #[doc(alias = "Lwt.catch")]
    #[inline]
    pub fn catch<F>(self, handler: F) -> Promise<T>
    where
        F: FnOnce(Error) -> Promise<T> + 'static,
    {
        then(self, move |result| match result {
            Ok(value) => Outcome::Done(Ok(value)),
            Err(error) => handler(error).into_outcome(),
        })
    }

    /// [`bind`](Promise::bind) and [`catch`](Promise::catch) in one: exactly one of the two functions runs, and a
    /// failure of the first is not given to the second.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{return_, State};
    ///
    /// let promise = return_(1).try_bind(|x| return_(x + 1), |_| return_(0));
    /// assert!(matches!(promise.state(), State::Return(2)));
    /// ```
    #[doc(alias = "Lwt.try_bind")]
    #[inline]
    pub fn try_bind<U, F, G>(self, success: F, failure: G) -> Promise<U>
    where
        U: 'static,
        F: FnOnce(T) -> Promise<U> + 'static,
        G: FnOnce(Error) -> Promise<U> + 'static,
    {
        then(self, move |result| match result {
            Ok(value) => success(value).into_outcome(),
            Err(error) => failure(error).into_outcome(),
        })
    }

    /// Runs a clean-up when the promise has ended in any way (also cancelled), waits for it, and gives the promise's
    /// own result.
    ///
    /// If the clean-up fails, its error is *the* error; the body's is attached to it
    /// ([`Error::suppressed`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{return_, return_unit, State};
    ///
    /// let promise = return_(7).finalize(return_unit);
    /// assert!(matches!(promise.state(), State::Return(7)));
    /// ```
    #[doc(alias = "Lwt.finalize")]
    pub fn finalize<F>(self, cleanup: F) -> Promise<T>
    where
        F: FnOnce() -> Promise<()> + 'static,
    {
        then(self, move |result| {
            // The clean-up's panic is its failure, and the body's error must not be lost in it.
            let cleaned = at_once(|| cleanup().into_outcome());
            then(cleaned, move |outcome| {
                Outcome::Done(match (result, outcome) {
                    (result, Ok(())) => result,
                    (Ok(_), Err(error)) => Err(error),
                    (Err(body), Err(error)) => Err(error.suppressing(body)),
                })
            })
            .into_outcome()
        })
    }
}

/// Runs `body`; a failure or panic of it, now or later, is given to `handler`.
///
/// # Examples
///
/// ```
/// use lwt_core::{catch, return_, State};
///
/// let promise = catch(|| panic!("boom"), |error| return_(error.is_panic()));
/// assert!(matches!(promise.state(), State::Return(true)));
/// ```
#[doc(alias = "Lwt.catch")]
#[doc(alias = "Lwt.backtrace_catch")]
pub fn catch<T: 'static>(
    body: impl FnOnce() -> Promise<T>,
    handler: impl FnOnce(Error) -> Promise<T> + 'static,
) -> Promise<T> {
    at_once(|| body().into_outcome()).catch(handler)
}

/// Runs `body`, then one of the two functions; see [`Promise::try_bind`].
///
/// # Examples
///
/// ```
/// use lwt_core::{fail_with, return_, try_bind, State};
///
/// let promise = try_bind(|| fail_with::<()>("no"), |()| return_("yes"), |_| return_("caught"));
/// assert!(matches!(promise.state(), State::Return(&"caught")));
/// ```
#[doc(alias = "Lwt.try_bind")]
#[doc(alias = "Lwt.backtrace_try_bind")]
pub fn try_bind<T: 'static, U: 'static>(
    body: impl FnOnce() -> Promise<T>,
    success: impl FnOnce(T) -> Promise<U> + 'static,
    failure: impl FnOnce(Error) -> Promise<U> + 'static,
) -> Promise<U> {
    at_once(|| body().into_outcome()).try_bind(success, failure)
}

/// Runs `body`, then `cleanup` in any case; see [`Promise::finalize`].
///
/// # Examples
///
/// ```
/// use lwt_core::{finalize, return_, return_unit, State};
///
/// let promise = finalize(|| return_(1), return_unit);
/// assert!(matches!(promise.state(), State::Return(1)));
/// ```
#[doc(alias = "Lwt.finalize")]
#[doc(alias = "Lwt.backtrace_finalize")]
pub fn finalize<T: 'static>(
    body: impl FnOnce() -> Promise<T>,
    cleanup: impl FnOnce() -> Promise<()> + 'static,
) -> Promise<T> {
    at_once(|| body().into_outcome()).finalize(cleanup)
}
