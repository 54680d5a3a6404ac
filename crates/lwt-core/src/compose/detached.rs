//! Launching: `spawn`, and threads that nobody waits for.

use std::future::Future;

use crate::error::{Error, Result};
use crate::kernel::node::at_once;
use crate::kernel::thread;
use crate::promise::Promise;

/// Launches a thread: runs the future **at once**, up to its first suspension, and gives its promise.
///
/// Whatever the future awaits resumes it; nobody needs to poll or await the promise, and dropping it lets the thread
/// go on by itself. A panic inside is caught at the thread's edge and is its failure.
///
/// # Cancellation
///
/// Cancelling the promise cancels all that the thread awaits right now; the future sees
/// `Err(`[`Canceled`](crate::Canceled)`)` at its `.await` and can clean up. If it awaits only something foreign, it is
/// dropped and its promise fails.
///
/// # Examples
///
/// ```
/// use lwt_core::{spawn, wait, State};
///
/// let (promise, resolver) = wait::<u32>();
/// let thread = spawn(async move { Ok(promise.await? + 1) });
/// resolver.wakeup(41);
/// assert!(matches!(thread.state(), State::Return(42)));
/// ```
#[inline]
pub fn spawn<F, T>(future: F) -> Promise<T>
where
    F: Future<Output = Result<T>> + 'static,
    T: 'static,
{
    thread::spawn(future)
}

/// Launches a thread that nobody waits for: a failure goes to the asynchronous exception hook.
///
/// # Examples
///
/// ```
/// lwt_core::spawn_detached(async { Ok(()) });
/// ```
#[doc(alias = "Lwt.async")]
pub fn spawn_detached<F>(future: F)
where
    F: Future<Output = Result<()>> + 'static,
{
    thread::spawn(future).ignore_result();
}

/// Starts a computation that nobody waits for: a failure or panic, now or later, goes to the asynchronous exception
/// hook.
///
/// # Examples
///
/// ```
/// lwt_core::async_(lwt_core::return_unit);
/// ```
#[doc(alias = "Lwt.async")]
pub fn async_(f: impl FnOnce() -> Promise<()>) {
    at_once(|| f().into_outcome()).ignore_result();
}

/// Starts a computation that nobody waits for: a failure or panic, now or later, is given to `handler`. A panic of the
/// handler goes to the asynchronous exception hook.
///
/// # Examples
///
/// ```
/// lwt_core::dont_wait(|| lwt_core::fail_with("no"), |error| assert_eq!(error.to_string(), "no"));
/// ```
#[doc(alias = "Lwt.dont_wait")]
pub fn dont_wait(f: impl FnOnce() -> Promise<()>, handler: impl FnOnce(Error) + 'static) {
    let promise = at_once(|| f().into_outcome());
    promise.on_failure(move |error| handler(error.clone()));
}
