//! Promises that are born resolved.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::promise::Promise;

/// A promise that is already fulfilled.
///
/// # Examples
///
/// ```
/// assert!(matches!(lwt_core::return_(42).state(), lwt_core::State::Return(42)));
/// ```
#[doc(alias = "Lwt.return")]
#[inline(always)]
pub fn return_<T>(value: T) -> Promise<T> {
    Promise::from_result(Ok(value))
}

/// A promise that has already failed.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::fail::<()>(lwt_core::EndOfFile);
/// assert!(matches!(promise.state(), lwt_core::State::Fail(e) if e.is::<lwt_core::EndOfFile>()));
/// ```
#[doc(alias = "Lwt.fail")]
#[inline]
pub fn fail<T>(error: impl Into<Error>) -> Promise<T> {
    Promise::from_result(Err(error.into()))
}

/// A promise that has failed with a text ([`Failure`](crate::Failure)).
///
/// # Examples
///
/// ```
/// assert!(!lwt_core::fail_with::<()>("no").is_sleeping());
/// ```
#[doc(alias = "Lwt.fail_with")]
pub fn fail_with<T>(text: impl Into<String>) -> Promise<T> {
    fail(Error::message(text))
}

/// A promise that has failed for a caller's mistake ([`InvalidArgument`](crate::InvalidArgument)).
///
/// # Examples
///
/// ```
/// assert!(!lwt_core::fail_invalid_argument::<()>("negative").is_sleeping());
/// ```
#[doc(alias = "Lwt.fail_invalid_arg")]
pub fn fail_invalid_argument<T>(text: impl Into<String>) -> Promise<T> {
    fail(Error::invalid_argument(text))
}

/// A promise that is resolved with a result.
///
/// # Examples
///
/// ```
/// assert!(matches!(lwt_core::of_result(Ok(1)).state(), lwt_core::State::Return(1)));
/// ```
#[doc(alias = "Lwt.of_result")]
#[inline(always)]
pub fn of_result<T>(result: Result<T>) -> Promise<T> {
    Promise::from_result(result)
}

/// A promise fulfilled with `()`.
///
/// # Examples
///
/// ```
/// assert!(!lwt_core::return_unit().is_sleeping());
/// ```
#[doc(alias = "Lwt.return_unit")]
#[inline(always)]
pub fn return_unit() -> Promise<()> {
    return_(())
}

/// A promise fulfilled with `None`.
#[doc(alias = "Lwt.return_none")]
#[inline(always)]
pub fn return_none<T>() -> Promise<Option<T>> {
    return_(None)
}

/// A promise fulfilled with `Some(value)`.
#[doc(alias = "Lwt.return_some")]
#[inline(always)]
pub fn return_some<T>(value: T) -> Promise<Option<T>> {
    return_(Some(value))
}

/// A promise fulfilled with the empty vector.
#[doc(alias = "Lwt.return_nil")]
#[inline(always)]
pub fn return_nil<T>() -> Promise<Vec<T>> {
    return_(Vec::new())
}

/// A promise fulfilled with `true`.
#[doc(alias = "Lwt.return_true")]
#[inline(always)]
pub fn return_true() -> Promise<bool> {
    return_(true)
}

/// A promise fulfilled with `false`.
#[doc(alias = "Lwt.return_false")]
#[inline(always)]
pub fn return_false() -> Promise<bool> {
    return_(false)
}

/// A promise fulfilled with `Ok(value)`.
#[doc(alias = "Lwt.return_ok")]
#[inline(always)]
pub fn return_ok<T, E>(value: T) -> Promise<std::result::Result<T, E>> {
    return_(Ok(value))
}

/// A promise *fulfilled* (not failed) with `Err(error)`.
#[doc(alias = "Lwt.return_error")]
#[inline(always)]
pub fn return_error<T, E>(error: E) -> Promise<std::result::Result<T, E>> {
    return_(Err(error))
}

/// Runs a plain function now; its error or panic is the promise's failure.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::wrap(|| Ok("7".parse::<u32>()?));
/// assert!(matches!(promise.state(), lwt_core::State::Return(7)));
/// ```
#[doc(alias = "Lwt.wrap")]
#[doc(alias = "Lwt.wrap1")]
#[doc(alias = "Lwt.wrap2")]
#[doc(alias = "Lwt.wrap3")]
#[doc(alias = "Lwt.wrap4")]
#[doc(alias = "Lwt.wrap5")]
#[doc(alias = "Lwt.wrap6")]
#[doc(alias = "Lwt.wrap7")]
pub fn wrap<T>(f: impl FnOnce() -> Result<T>) -> Promise<T> {
    let result = catch_unwind(AssertUnwindSafe(f));
    Promise::from_result(result.unwrap_or_else(|payload| Err(Error::from_panic(payload))))
}

/// Calls a function that makes a promise; its panic is the promise's failure.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::apply(lwt_core::return_, 3);
/// assert!(matches!(promise.state(), lwt_core::State::Return(3)));
/// ```
#[doc(alias = "Lwt.apply")]
pub fn apply<A, T: 'static>(f: impl FnOnce(A) -> Promise<T>, argument: A) -> Promise<T> {
    crate::kernel::node::at_once(|| f(argument).into_outcome())
}
