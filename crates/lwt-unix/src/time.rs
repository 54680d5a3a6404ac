//! Waiting for time to pass.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lwt_core::{Promise, Timeout, scheduler};

use crate::engine::{self, Action};

/// A thread that ends after `delay`.
///
/// The delay counts from now on the engine's clock, and the thread never ends early. A delay of zero still waits for
/// the loop to come round. `Duration::MAX` never ends.
///
/// # Cancellation
/// The timer is stopped and the promise fails with `Canceled`; the same when the promise is dropped.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{run, sleep};
///
/// run(sleep(Duration::from_millis(3)))?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.sleep")]
pub fn sleep(delay: Duration) -> Promise<()> {
    let (promise, resolver) = scheduler::leaf("sleep");
    let event = engine::timer(delay, None, Action::Wake(resolver.clone()));
    resolver.on_withdrawn(move || event.stop());
    promise
}

/// A thread that fails with [`Timeout`] after `delay`; it never succeeds.
///
/// # Cancellation
/// As for [`sleep`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{run, timeout};
///
/// let error = run(timeout::<()>(Duration::from_millis(1))).unwrap_err();
/// assert!(error.is::<lwt_core::Timeout>());
/// ```
#[doc(alias = "Lwt_unix.timeout")]
pub fn timeout<T: 'static>(delay: Duration) -> Promise<T> {
    let (promise, resolver) = scheduler::leaf("timeout");
    let ending = resolver.clone();
    let event = engine::timer(
        delay,
        None,
        Action::Once(Box::new(move || ending.reject(Timeout))),
    );
    resolver.on_withdrawn(move || event.stop());
    promise
}

/// What `body` gives, unless it takes longer than `delay`: then that thread is cancelled and the result is the failure
/// [`Timeout`].
///
/// A thread that has ended when `body` returns wins, even with a delay of zero, and no timer is made. A thread that
/// cannot be cancelled (a protected one) goes on unseen.
///
/// # Cancellation
/// Cancels the thread of `body` and stops the timer.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{Builder, sleep, with_timeout};
///
/// let second = Duration::from_secs(1);
/// let error = Builder::new().virtual_time(0).run(|| with_timeout(second, || sleep(second * 2))).unwrap_err();
/// assert!(error.is::<lwt_core::Timeout>());
/// ```
#[doc(alias = "Lwt_unix.with_timeout")]
pub fn with_timeout<T: 'static>(delay: Duration, body: impl FnOnce() -> Promise<T>) -> Promise<T> {
    let promise = lwt_core::catch(body, lwt_core::fail);
    if promise.is_sleeping() {
        lwt_core::pick([timeout(delay), promise])
    } else {
        promise
    }
}

/// Lets everything else that is ready run first: a thread that ends in the next turn of the loop.
#[doc(alias = "Lwt_unix.yield")]
#[doc(alias = "Lwt_main.yield")]
pub fn yield_now() -> Promise<()> {
    lwt_core::pause()
}

/// A function that yields, but only if `interval` has passed since it last did (or since it was made).
///
/// For long computations that want to be polite without paying for a turn of the loop in every round. The time is
/// looked at only when the function is called. The interval starts again when the computation goes on after a yield, so
/// that it gets its interval of work however long the others' turn was. (OCaml Lwt counts from the moment of the yield.)
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{auto_yield, run};
///
/// run(lwt_core::spawn(async {
///     let mut breathe = auto_yield(Duration::from_millis(10));
///     let mut sum = 0_u64;
///     for number in 0..10_000 {
///         sum += number;
///         breathe().await?;
///     }
///     assert_eq!(sum, 49_995_000);
///     Ok(())
/// }))?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.auto_yield")]
#[doc(alias = "Lwt_unix.auto_pause")]
pub fn auto_yield(interval: Duration) -> impl FnMut() -> Promise<()> {
    let next = Rc::new(Cell::new(engine::now() + interval));
    move || {
        if engine::now() < next.get() {
            return lwt_core::return_unit();
        }
        let next = Rc::clone(&next);
        yield_now().map(move |()| next.set(engine::now() + interval))
    }
}

/// The engine's clock: the time since its origin. Under [`VirtualTime`](crate::VirtualTime) it starts at zero and jumps.
pub fn loop_time() -> Duration {
    engine::now().since_origin()
}
