//! Callbacks that borrow: what `on_success` and kin attach to a pending promise.
//!
//! A callback is a waiter without a result. It is held by the promise it is attached to (one handle count) and goes
//! with it, run or not.

use std::marker::PhantomData;

use super::cell::{self, CellRef, Kind, Place, Table, flag, none};
use super::handle::Handle;
use super::ownership::{release_handle, release_owner};
use super::{resolve, runtime};
use crate::error::Error;

/// A result that is lent.
pub(crate) type Lent<'a, T> = Result<&'a T, &'a Error>;

struct Callback<F, T>(PhantomData<(F, T)>);

impl<F: FnOnce(Lent<'_, T>) + 'static, T: 'static> Callback<F, T> {
    const TABLE: Table = Table {
        kind: Kind::Callback,
        prefix: 0,
        layout: Place::<F, ()>::layout(0),
        class: super::memory::class_of(Place::<F, ()>::layout(0)),
        plain: !std::mem::needs_drop::<()>(),
        notify: Self::notify,
        resume: none::resume,
        drop_payload: Self::drop_payload,
        drop_value: none::drop_value,
        write_error: none::write_error,
        error: none::error,
        children: none::children,
        name: std::any::type_name::<F>,
    };

    unsafe fn notify(callback: CellRef, promise: CellRef) {
        if callback.has(flag::PAYLOAD) {
            callback.clear(flag::PAYLOAD);
            // SAFETY: the flag was set, so the closure is there and is moved out once.
            let f = unsafe { callback.payload::<F, ()>().read() };
            let storage = callback
                .with_extras(|extras| extras.storage.take())
                .flatten();
            debug_assert!(promise.has(flag::LENT) && promise.has(flag::VALUE));
            // SAFETY: the promise's result is a `T`. While it is lent (which lasts longer than this call) nobody
            // moves it out, and the caller holds a count on the cell.
            let result = unsafe { promise.result::<T>().as_ref() };
            runtime::protect(|| runtime::with_storage(storage, || f(result.as_ref())));
        }
        release_owner(callback);
        release_handle(callback);
    }

    unsafe fn drop_payload(callback: CellRef) {
        // SAFETY: the caller has just cleared `PAYLOAD`.
        unsafe { callback.payload::<F, ()>().drop_in_place() }
    }
}

/// A callback that reports a failure to the asynchronous exception hook; it needs no closure.
struct Reporter;

impl Reporter {
    const TABLE: Table = Table {
        kind: Kind::Callback,
        prefix: 0,
        layout: Place::<(), ()>::layout(0),
        class: super::memory::class_of(Place::<(), ()>::layout(0)),
        plain: true,
        notify: Self::notify,
        resume: none::resume,
        drop_payload: none::drop_payload,
        drop_value: none::drop_value,
        write_error: none::write_error,
        error: none::error,
        children: none::children,
        name: std::any::type_name::<Reporter>,
    };

    unsafe fn notify(callback: CellRef, promise: CellRef) {
        // The failure cannot go meanwhile (it is lent), but the hook may do anything, so it gets a copy.
        if let Some(error) = promise.error().cloned() {
            runtime::report(&error);
        }
        release_owner(callback);
        release_handle(callback);
    }
}

/// Has the failure that a pending root is about to get reported.
pub(crate) fn attach_reporter(root: CellRef) {
    // SAFETY: there is no payload.
    let callback = unsafe { cell::allocate(&Reporter::TABLE, 1, 0) };
    resolve::attach_borrower(root, callback);
}

/// Calls `f` with the result: at once if it is there, else when it comes.
pub(crate) fn attach<T: 'static, F: FnOnce(Lent<'_, T>) + 'static>(handle: &Handle, f: F) {
    if let Some(result) = handle.peek::<T>() {
        runtime::protect(|| f(result.as_ref()));
        return;
    }
    // SAFETY: the closure is written right below.
    let callback = unsafe { cell::allocate(const { &Callback::<F, T>::TABLE }, 1, flag::PAYLOAD) };
    // SAFETY: fresh memory of the right layout.
    unsafe { callback.payload::<F, ()>().write(f) };
    runtime::remember_storage(callback);
    resolve::attach_borrower(handle.cell.root(), callback);
}
