//! The asynchronous exception hook: where failures go that nobody waits for.

use std::rc::Rc;

use crate::error::Error;
use crate::kernel::{memory, runtime};

/// Replaces the function that is given failures which nobody handles: of [`async_`](crate::async_),
/// [`spawn_detached`](crate::spawn_detached), [`Promise::ignore_result`](crate::Promise::ignore_result), and panics of
/// callbacks. Gives the former one, to be put back.
///
/// The default prints the error on standard error and ends the process with status 2. A hook that panics
/// itself is reported on standard error. There is one hook for each OS thread.
///
/// # Examples
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let before = lwt_core::set_async_exception_hook({
///     let seen = seen.clone();
///     move |error| seen.borrow_mut().push(error.to_string())
/// });
/// lwt_core::async_(|| lwt_core::fail_with("lost"));
/// lwt_core::restore_async_exception_hook(before);
/// assert_eq!(*seen.borrow(), ["lost"]);
/// ```
#[doc(alias = "Lwt.async_exception_hook")]
pub fn set_async_exception_hook(hook: impl Fn(&Error) + 'static) -> Rc<dyn Fn(&Error)> {
    restore_async_exception_hook(Rc::new(hook))
}

/// Puts a hook back that [`set_async_exception_hook`] gave. Gives the one that was in force.
///
/// # Examples
///
/// ```
/// let before = lwt_core::set_async_exception_hook(|error| println!("{error}"));
/// lwt_core::restore_async_exception_hook(before);
/// ```
#[doc(alias = "Lwt.async_exception_hook")]
pub fn restore_async_exception_hook(hook: Rc<dyn Fn(&Error)>) -> Rc<dyn Fn(&Error)> {
    memory::clean_up_at_end();
    let before = runtime::with(|runtime| runtime.hook.with(|slot| slot.replace(hook)));
    before.unwrap_or_else(|| Rc::new(default_hook))
}

/// The function in force.
///
/// # Examples
///
/// ```
/// let hook = lwt_core::async_exception_hook();
/// # drop(hook);
/// ```
#[doc(alias = "Lwt.async_exception_hook")]
pub fn async_exception_hook() -> Rc<dyn Fn(&Error)> {
    let hook = runtime::with(|runtime| runtime.hook.with(|slot| slot.clone()));
    hook.unwrap_or_else(|| Rc::new(default_hook))
}

#[cold]
#[allow(clippy::print_stderr)]
pub(crate) fn default_hook(error: &Error) {
    eprintln!("lwt: a failure that nobody handles: {error:?}");
    std::process::exit(2);
}

/// The hook itself panicked.
#[cold]
#[allow(clippy::print_stderr)]
pub(crate) fn last_resort(error: &Error) {
    eprintln!("lwt: the asynchronous exception hook failed: {error:?}");
}
