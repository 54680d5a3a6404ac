//! Pausing: letting other ready work go first.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::kernel::cell::{CellRef, Run, flag};
use crate::kernel::handle::Handle;
use crate::kernel::memory;
use crate::kernel::node::Wait;
use crate::kernel::ownership::release_owner;
use crate::kernel::resolve::{self, When};
use crate::kernel::runtime::{self, Frame};
use crate::promise::Promise;

/// A cancelable promise that is fulfilled at the next [`wakeup_paused`], which the main loop calls once in every
/// turn: other ready work runs first.
///
/// # Errors
///
/// Awaited by a foreign executor on an OS thread that runs no main loop, it fails with
/// [`NoLoop`](crate::NoLoop).
///
/// # Cancellation
///
/// Fails at once; the count of paused promises is not lowered.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::pause();
/// assert!(promise.is_sleeping());
/// lwt_core::wakeup_paused();
/// assert!(!promise.is_sleeping());
/// ```
#[doc(alias = "Lwt.pause")]
#[doc(alias = "Lwt_main.yield")]
#[doc(alias = "Lwt_unix.yield")]
pub fn pause() -> Promise<()> {
    let cell = Wait::<()>::allocate_of_loop(flag::CANCELABLE);
    let (count, notify) = runtime::with(|runtime| {
        runtime.paused.with(|paused| paused.push_back(cell));
        let count = runtime.paused_count.get() + 1;
        runtime.paused_count.set(count);
        (count, runtime.notifier.with(|notifier| notifier.is_some()))
    });
    if notify {
        call_notifier(count);
    }
    Promise::from_handle(Handle::adopt(cell))
}

#[cold]
fn call_notifier(count: usize) {
    let notifier = runtime::with(|runtime| runtime.notifier.with(|notifier| notifier.clone()));
    if let Some(notifier) = notifier {
        runtime::protect(|| notifier(count));
    }
}

/// Fulfils all promises paused so far, oldest first, each with what waits for it. What is paused meanwhile waits for
/// the next call.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::pause().bind(|()| lwt_core::pause());
/// lwt_core::wakeup_paused();
/// assert!(promise.is_sleeping());
/// lwt_core::wakeup_paused();
/// assert!(!promise.is_sleeping());
/// ```
#[doc(alias = "Lwt.wakeup_paused")]
pub fn wakeup_paused() {
    let mut batch = runtime::with(|runtime| {
        runtime.paused_count.set(0);
        if runtime.paused.with(|paused| paused.is_empty()) {
            return VecDeque::new();
        }
        let spare = runtime.paused_spare.with(std::mem::take);
        runtime.paused.with(|paused| std::mem::replace(paused, spare))
    });
    if batch.is_empty() {
        return;
    }
    let frame = Frame::open();
    while let Some(entry) = batch.pop_front() {
        serve(entry);
    }
    // The next turn finds the room again.
    drop(runtime::with(|runtime| {
        runtime.paused_spare.with(|spare| std::mem::replace(spare, batch))
    }));
    drop(frame);
}

/// Fulfils one paused promise, or polls a thread that woke itself; takes over the entry's owner count.
#[inline]
fn serve(entry: CellRef) {
    if entry.is_thread() && entry.thread().run.get() == Run::Queued {
        runtime::run_entry(entry);
        return;
    }
    let root = entry.root();
    if !root.has(flag::RESOLVED) {
        resolve::resolve::<()>(root, Ok(()), When::Now);
    }
    release_owner(entry);
}

/// Number of [`pause`]s since the last [`wakeup_paused`]; cancelling one does not lower it.
///
/// # Examples
///
/// ```
/// let _promise = lwt_core::pause();
/// assert_eq!(lwt_core::paused_count(), 1);
/// # lwt_core::wakeup_paused();
/// ```
#[doc(alias = "Lwt.paused_count")]
pub fn paused_count() -> usize {
    runtime::with(|runtime| runtime.paused_count.get())
}

/// Sets the one function that is called at each [`pause`], with the new count. It may pause or wake what is
/// paused itself. Replaces the former one.
///
/// # Examples
///
/// ```
/// lwt_core::register_pause_notifier(|count| println!("{count} paused"));
/// ```
#[doc(alias = "Lwt.register_pause_notifier")]
pub fn register_pause_notifier(notifier: impl Fn(usize) + 'static) {
    memory::clean_up_at_end();
    let notifier: Rc<dyn Fn(usize)> = Rc::new(notifier);
    let before = runtime::with(|runtime| runtime.notifier.with(|slot| slot.replace(notifier)));
    drop(before);
}

/// Forgets all paused promises, which then stay pending for ever, and sets the count to zero: for use after a
/// fork.
///
/// # Examples
///
/// ```
/// let promise = lwt_core::pause();
/// lwt_core::abandon_paused();
/// lwt_core::wakeup_paused();
/// assert!(promise.is_sleeping());
/// ```
#[doc(alias = "Lwt.abandon_paused")]
pub fn abandon_paused() {
    let paused = runtime::with(|runtime| {
        runtime.paused_count.set(0);
        runtime.paused.with(std::mem::take)
    });
    paused.into_iter().for_each(runtime::forget_entry);
}

/// Forgets all wake-ups that are queued: for use after a fork, or when a main loop is left in the middle of a turn
/// for good.
///
/// # Examples
///
/// ```
/// lwt_core::abandon_wakeups();
/// ```
#[doc(alias = "Lwt.abandon_wakeups")]
pub fn abandon_wakeups() {
    while let Some(entry) = runtime::with(|runtime| runtime.queue.with(VecDeque::pop_front)) {
        runtime::forget_entry(entry);
    }
}
