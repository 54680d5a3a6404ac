//! Registrations that are cells of their own (M4): a foreign waker, or a further promise that a thread awaits at once.
//!
//! The handle that made it holds it (one handle count), and the promise owns it like any waiter. A registration
//! made while a thread runs is known to that thread, so that a cancel finds all that it awaits, also what is
//! polled through a foreign waker inside it.
//!
//! A registration without waker has the thread as its one waiter, so that ownership (M1) passes through it.

use std::marker::PhantomData;
use std::task::Waker;

use super::cell::{self, CellRef, Kind, Place, Table, flag, none};
use super::handle::Handle;
use super::ownership::{release_handle, release_owner};
use super::waiters::{self, Waiter};
use super::{runtime, thread};

struct Registration {
    /// Whom to wake; `None`: the thread below.
    waker: Option<Waker>,
    /// The thread that awaits this, and where it notes so.
    thread: Option<(CellRef, usize)>,
    /// The promise; kept alive by the handle.
    promise: CellRef,
}

struct Of(PhantomData<()>);

impl Of {
    const TABLE: Table = Table {
        kind: Kind::Registration,
        prefix: 0,
        layout: Place::<Registration, ()>::layout(0),
        class: super::memory::class_of(Place::<Registration, ()>::layout(0)),
        plain: !std::mem::needs_drop::<()>(),
        notify,
        resume: none::resume,
        drop_payload,
        drop_value: none::drop_value,
        write_error: none::write_error,
        error: none::error,
        children: none::children,
        name: std::any::type_name::<Waker>,
    };
}

/// The registration's content, for one statement that runs no foreign code.
fn content<'a>(registration: CellRef) -> &'a mut Registration {
    debug_assert!(
        registration.table().kind == Kind::Registration && registration.has(flag::PAYLOAD)
    );
    // SAFETY: registrations have their payload until they are freed; see above for the reference's life.
    unsafe { registration.payload::<Registration, ()>().as_mut() }
}

/// Registers a waker, or (without one) the running thread, with the handle's promise.
pub(crate) fn register(handle: &mut Handle, waker: Option<Waker>) {
    handle.unregister();
    // SAFETY: the payload is written right below.
    let registration = unsafe { cell::allocate(&Of::TABLE, 1, flag::PAYLOAD) };
    let thread = runtime::with(|runtime| runtime.current.get());
    let thread = thread.map(|thread| {
        let position = thread.make_extras(|extras| {
            extras.registrations.push(registration);
            extras.registrations.len() - 1
        });
        (thread, position)
    });
    if let (None, Some((thread, _))) = (&waker, thread) {
        waiters::push(
            registration,
            Waiter {
                cell: thread,
                borrows: false,
            },
        );
    }
    let content = Registration {
        waker,
        thread,
        promise: handle.cell,
    };
    // SAFETY: fresh memory of the right layout.
    unsafe { registration.payload::<Registration, ()>().write(content) };
    handle.register(registration);
    // Registering may have led the handle on to the root.
    self::content(registration).promise = handle.cell;
}

/// Whether this registration wakes the same task as `waker` (for the running thread: `None`).
pub(crate) fn is_same(registration: CellRef, waker: Option<&Waker>) -> bool {
    let content = content(registration);
    match (&content.waker, waker) {
        (Some(old), Some(new)) => old.will_wake(new),
        (None, None) => {
            content.thread.map(|(thread, _)| thread)
                == runtime::with(|runtime| runtime.current.get())
        }
        _ => false,
    }
}

/// The promise that is awaited through a registration.
pub(crate) fn promise(registration: CellRef) -> CellRef {
    content(registration).promise
}

/// The thread is over: the registration wakes nobody any more.
pub(crate) fn forget_thread(registration: CellRef) {
    content(registration).thread = None;
    disconnect(registration);
}

/// Takes the thread off the registration's waiters, with the owner count that it had by that.
fn disconnect(registration: CellRef) {
    if let Some(thread) = waiters::sole_consumer(registration) {
        waiters::clear_sole(registration);
        if registration.has(flag::OWNING) {
            release_owner(thread);
        }
    }
}

/// Takes the registration off its thread's list.
fn unlink(registration: CellRef) {
    let Some((thread, position)) = content(registration).thread.take() else {
        return;
    };
    let moved = thread.with_extras(|extras| {
        extras.registrations.swap_remove(position);
        extras.registrations.get(position).copied()
    });
    if let Some(Some(moved)) = moved
        && let Some((_, moved_position)) = &mut content(moved).thread
    {
        *moved_position = position;
    }
}

/// The handle took its registration back.
pub(crate) fn withdraw(registration: CellRef) {
    unlink(registration);
    disconnect(registration);
    release_handle(registration);
}

/// The promise was resolved: wake.
unsafe fn notify(registration: CellRef, _: CellRef) {
    unlink(registration);
    if let Some(thread) = waiters::sole_consumer(registration) {
        // Its promise is being told, hence owns it, so it owns the thread: that count is handed over.
        debug_assert!(registration.has(flag::OWNING));
        waiters::clear_sole(registration);
        thread::wake_by_promise(thread);
    } else if let Some(waker) = content(registration).waker.take() {
        runtime::protect(|| waker.wake());
    }
    // The handle knows that a promise that was resolved has no registration, so both counts go here.
    release_owner(registration);
    release_handle(registration);
}

unsafe fn drop_payload(registration: CellRef) {
    // SAFETY: the caller has just cleared `PAYLOAD`.
    unsafe { registration.payload::<Registration, ()>().drop_in_place() }
}
