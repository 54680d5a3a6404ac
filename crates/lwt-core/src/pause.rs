//! Pausing: letting other ready work go first.
//!
//! A pause is a number: it is over when [`wakeup_paused`] was called after it. A thread that awaits it is itself
//! put among the paused; a cell is made only when the pause is bound, cloned, cancelled or awaited otherwise.

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
    let (number, count, notify) = runtime::with(|runtime| {
        let number = runtime.next_pause.get();
        runtime.next_pause.set(number + 1);
        let count = runtime.paused_count.get() + 1;
        runtime.paused_count.set(count);
        (
            number,
            count,
            runtime.notifier.with(|notifier| notifier.is_some()),
        )
    });
    if notify {
        call_notifier(count);
    }
    Promise::paused(number)
}

/// In a pause's number: the thread that holds it awaits it, so that a cancel of the thread reaches it.
pub(crate) const AWAITED: u64 = 1 << 63;

/// Whether the pause of this number is over.
#[inline(always)]
pub(crate) fn is_over(number: u64) -> bool {
    let number = number & !AWAITED;
    runtime::with(|runtime| number < runtime.first_paused.get()) && !is_abandoned(number)
}

#[inline(always)]
fn is_abandoned(number: u64) -> bool {
    runtime::with(|runtime| {
        runtime
            .abandoned_pauses
            .with(|ranges| !ranges.is_empty() && ranges.iter().any(|range| range.contains(&number)))
    })
}

/// A cell for a pause that is not just awaited by a thread: bound, cloned, cancelled, or awaited elsewhere.
#[cold]
pub(crate) fn cell_for(number: u64) -> Handle {
    let number = number & !AWAITED;
    let cell = Wait::<()>::allocate_of_loop(flag::CANCELABLE);
    if is_abandoned(number) {
        release_owner(cell);
    } else {
        runtime::enqueue_paused(cell);
    }
    Handle::adopt(cell)
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
        runtime.first_paused.set(runtime.next_pause.get());
        if runtime.paused.with(|paused| paused.is_empty()) {
            return VecDeque::new();
        }
        let spare = runtime.paused_spare.with(std::mem::take);
        runtime
            .paused
            .with(|paused| std::mem::replace(paused, spare))
    });
    if batch.is_empty() {
        return;
    }
    let frame = Frame::open();
    // They count as resumptions of this turn.
    runtime::with(|runtime| {
        runtime
            .turn
            .set(runtime.turn.get().saturating_sub(batch.len()))
    });
    while let Some(entry) = batch.pop_front() {
        serve(entry);
    }
    // The next turn finds the room again.
    drop(runtime::with(|runtime| {
        runtime
            .paused_spare
            .with(|spare| std::mem::replace(spare, batch))
    }));
    drop(frame);
}

/// Fulfils one paused promise, or polls a thread that woke itself; takes over the entry's owner count.
#[inline]
fn serve(entry: CellRef) {
    if entry.is_thread() {
        entry.clear(flag::AMONG_PAUSED);
        if matches!(entry.thread().run.get(), Run::Paused | Run::Queued) {
            runtime::resume_entry(entry);
        } else {
            // It was woken by something else meanwhile.
            release_owner(entry);
        }
        return;
    }
    let root = entry.root_from_delegate();
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
        let range = runtime.first_paused.get()..runtime.next_pause.get();
        if !range.is_empty() {
            runtime.abandoned_pauses.with(|ranges| ranges.push(range));
        }
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
