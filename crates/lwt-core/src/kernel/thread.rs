//! Threads: spawned futures (D3, M6).
//!
//! One allocation holds the future and, after it, the result. A thread runs at once up to its first suspension. If
//! it ends there and nobody got to know its cell, the result is handed back inline and the cell is returned:
//! launching a thread that does not wait costs no more than that.
//!
//! | run state | woken by a promise | woken by its own waker | cancelled | its promise dropped |
//! |---|---|---|---|---|
//! | `Idle` | polled now or queued | queued (`Queued`) | its awaited promises are, or it is dropped | detached |
//! | `Running` | `RunningWoken`: queued after this poll | `RunningYielded`: queued behind the paused | nothing | detached |
//! | `RunningPaused` | `RunningWoken` | nothing more | nothing | detached |
//! | `Paused` | polled now or queued | queued | its pause and awaited promises are | detached |
//! | `Queued` | nothing more | nothing more | its other awaited promises, else what it awaits next | detached |
//! | `Done` | nothing | nothing | nothing | its value is dropped |

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::cell::{self, CellRef, Kind, Place, ResultOf, Run, Table, ThreadPart, flag};
use super::extras::Extras;
use super::handle::Handle;
use super::ownership::{add_owner, release_owner};
use super::resolve::{self, When};
use super::runtime::{self, Frame, OPERATIONS, Runtime};
use super::waiters;
use super::{registration, waker};
use crate::error::{Error, Result};
use crate::promise::Promise;

struct Thread<F, T>(PhantomData<(F, T)>);

impl<F, T> Thread<F, T>
where
    F: Future<Output = Result<T>> + 'static,
    T: 'static,
{
    const TABLE: Table = Table {
        kind: Kind::Thread,
        prefix: Place::<F, T>::THREAD_PREFIX,
        layout: Place::<F, T>::layout(Place::<F, T>::THREAD_PREFIX),
        class: super::memory::class_of(Place::<F, T>::layout(Place::<F, T>::THREAD_PREFIX)),
        plain: !std::mem::needs_drop::<T>(),
        notify: Self::notify,
        resume: Self::resume,
        drop_payload: Self::drop_payload,
        drop_value: ResultOf::<T>::drop_value,
        write_error: ResultOf::<T>::write_error,
        error: ResultOf::<T>::error,
        children: cell::none::children,
        name: std::any::type_name::<F>,
    };

    unsafe fn notify(thread: CellRef, _: CellRef) {
        thread.thread().awaiting.set(None);
        wake_by_promise(thread);
    }

    /// Polls the future; a panic is its failure.
    ///
    /// # Safety
    /// The cell is a thread of this future, `PAYLOAD` is set, and it is not being polled.
    #[inline(always)]
    unsafe fn poll(thread: CellRef) -> Poll<Result<T>> {
        let waker = waker::borrowed(thread);
        let mut context = Context::from_waker(&waker);
        let before = runtime::with(|runtime| Running::begin(runtime, thread));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the future lies in the heap cell and is never moved: it is dropped in place. Nobody else
            // makes a reference to it while it is polled.
            let future = unsafe { Pin::new_unchecked(thread.payload::<F, T>().as_mut()) };
            future.poll(&mut context)
        }));
        // Nothing above unwinds past the line before, so this is always reached.
        runtime::with(|runtime| before.end(runtime, thread));
        waker::adopt();
        match polled {
            Ok(polled) => polled,
            Err(payload) => Poll::Ready(Err(Error::from_panic(payload))),
        }
    }

    /// Drops the future in place; a panic of that becomes the result (M6).
    #[inline(always)]
    fn finish(thread: CellRef, result: Result<T>) -> Result<T> {
        if thread.thread().awaiting.get().is_some() || !thread.header().extras.get().is_null() {
            let_go(thread);
        }
        thread.clear(flag::PAYLOAD);
        if std::mem::needs_drop::<F>() {
            // SAFETY: the flag was set until now, so the future is there and is dropped once.
            let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
                thread.payload::<F, T>().drop_in_place()
            }));
            if let Err(payload) = dropped {
                runtime::protect(|| drop(result));
                return Err(Error::from_panic(payload));
            }
        }
        result
    }

    /// Polls after a suspension; takes over one owner count. The caller has a frame open.
    unsafe fn resume(thread: CellRef) {
        let part = thread.thread();
        part.run.set(Run::Running);
        // SAFETY: the thread was queued or idle, so it has its future and is not being polled.
        match unsafe { Self::poll(thread) } {
            Poll::Pending => suspend(thread),
            Poll::Ready(result) => {
                part.run.set(Run::Done);
                let result = Self::finish(thread, result);
                let root = thread.root_from_delegate();
                if root.has(flag::RESOLVED) {
                    runtime::protect(|| drop(result));
                } else {
                    resolve::resolve(root, result, When::Now);
                }
                release_owner(thread);
            }
        }
    }

    unsafe fn drop_payload(thread: CellRef) {
        // SAFETY: the caller has just cleared `PAYLOAD`; the future is dropped in place, once.
        unsafe { thread.payload::<F, T>().drop_in_place() }
    }
}

/// What was in force before a thread ran; put back afterwards.
struct Running {
    previous: Option<CellRef>,
    operations: u32,
    /// Whether the thread's storage was exchanged for the one in force (not when both were empty).
    exchanged: bool,
}

impl Running {
    #[inline(always)]
    fn begin(runtime: &Runtime, thread: CellRef) -> Running {
        let exchanged = !thread.header().extras.get().is_null()
            || runtime.storage.with(|storage| storage.is_some());
        if exchanged {
            exchange_storage(thread);
        }
        Running {
            previous: runtime.current.replace(Some(thread)),
            operations: runtime.operations.replace(OPERATIONS),
            exchanged,
        }
    }

    #[inline(always)]
    fn end(self, runtime: &Runtime, thread: CellRef) {
        runtime.current.set(self.previous);
        runtime.operations.set(self.operations);
        if self.exchanged {
            exchange_storage(thread);
        }
    }
}

/// Exchanges the storage in force and the one in the thread's extras.
#[cold]
fn exchange_storage(thread: CellRef) {
    thread.make_extras(|extras| {
        let own = extras.storage.take();
        extras.storage = runtime::swap_storage(own);
    });
}

/// The future returned "pending": decides what comes next. Takes over one owner count.
#[inline(always)]
fn suspend(thread: CellRef) {
    let part = thread.thread();
    if thread.has(flag::CANCEL_LATE) && part.run.get() != Run::RunningWoken {
        suspend_canceled(thread);
        return;
    }
    match part.run.get() {
        Run::RunningWoken => {
            part.run.set(Run::Queued);
            runtime::enqueue(thread);
        }
        Run::RunningYielded => {
            part.run.set(Run::Queued);
            runtime::enqueue_paused_thread(thread);
        }
        Run::RunningPaused => {
            part.run.set(Run::Paused);
            runtime::enqueue_paused_thread(thread);
        }
        _ => {
            part.run.set(Run::Idle);
            release_owner(thread);
        }
    }
}

/// The same for a thread that was cancelled while it was queued: the cancel finds what it awaits now. (One that gave
/// way for itself awaits nothing and is dropped.)
#[cold]
fn suspend_canceled(thread: CellRef) {
    thread.clear(flag::CANCEL_LATE);
    let part = thread.thread();
    if part.run.get() == Run::RunningPaused {
        part.run.set(Run::Paused);
        add_owner(thread);
        runtime::enqueue_paused_thread(thread);
    } else {
        part.run.set(Run::Idle);
    }
    super::cancel::cancel(thread, When::Later);
    release_owner(thread);
}

/// A cancel found the thread in the queue, or about to be told: it is kept for the next suspension.
pub(crate) fn cancel_late(thread: CellRef) {
    thread.set(flag::CANCEL_LATE);
}

/// Takes a cancel that was kept. Tells whether there was one.
pub(crate) fn take_late_cancel(thread: CellRef) -> bool {
    let canceled = thread.has(flag::CANCEL_LATE);
    thread.clear(flag::CANCEL_LATE);
    canceled
}

/// Launches a thread: runs the future at once, up to its first suspension.
#[inline]
pub(crate) fn spawn<F, T>(future: F) -> Promise<T>
where
    F: Future<Output = Result<T>> + 'static,
    T: 'static,
{
    let home = waker::home();
    // One handle for the caller, one owner while it runs.
    let word = flag::PAYLOAD | flag::OWNING | flag::OWNER;
    // SAFETY: the table fits; future and thread part are written right below, in fresh memory of the right layout.
    let thread = unsafe {
        let thread = cell::allocate(const { &Thread::<F, T>::TABLE }, 1, word);
        thread
            .0
            .as_ptr()
            .cast::<ThreadPart>()
            .sub(1)
            .write(ThreadPart {
                awaiting: Cell::new(None),
                index: Cell::new(0),
                run: Cell::new(Run::Running),
                home,
            });
        thread.payload::<F, T>().write(future);
        thread
    };
    runtime::remember_storage(thread);
    let frame = Frame::open();
    // SAFETY: the future was just written, and nobody polls it.
    let polled = unsafe { Thread::<F, T>::poll(thread) };
    let promise = match polled {
        Poll::Pending => {
            suspend(thread);
            // The caller's handle has been counted from the beginning.
            Promise::from_handle(Handle::adopt(thread))
        }
        Poll::Ready(result) => {
            thread.thread().run.set(Run::Done);
            let result = Thread::<F, T>::finish(thread, result);
            if thread.header().extras.get().is_null() && thread.owners() == 1 {
                // Nobody got to know the cell.
                debug_assert!(thread.header().handles.get() == 1 && !waiters::any(thread));
                // SAFETY: the future was dropped, no result was written, and nobody else can reach the cell.
                unsafe { cell::deallocate(thread) };
                Promise::from_result(result)
            } else {
                resolve::resolve(thread, result, When::Now);
                release_owner(thread);
                Promise::from_handle(Handle::adopt(thread))
            }
        }
    };
    drop(frame);
    promise
}

/// Something that the thread awaits was resolved; takes over one owner count.
#[inline]
pub(crate) fn wake_by_promise(thread: CellRef) {
    let part = thread.thread();
    match part.run.get() {
        Run::Idle | Run::Paused => {
            let nested = runtime::with(|runtime| runtime.depth.get() > runtime.nesting.get());
            if nested {
                part.run.set(Run::Queued);
                runtime::enqueue(thread);
            } else {
                // SAFETY: it is a thread, and the count is handed over.
                unsafe { (thread.table().resume)(thread) }
            }
        }
        Run::Running | Run::RunningYielded | Run::RunningPaused => {
            part.run.set(Run::RunningWoken);
            release_owner(thread);
        }
        Run::RunningWoken | Run::Queued | Run::Dropping | Run::Done => release_owner(thread),
    }
}

/// The thread's own waker was called on this OS thread: it is queued, never polled inside the call (M9).
pub(crate) fn wake_by_waker(thread: CellRef) {
    let part = thread.thread();
    match part.run.get() {
        Run::Idle | Run::Paused => {
            let frame = Frame::open();
            part.run.set(Run::Queued);
            add_owner(thread);
            runtime::enqueue(thread);
            drop(frame);
        }
        Run::Running => part.run.set(Run::RunningYielded),
        _ => {}
    }
}

/// Calls `visit` with each promise that the thread awaits.
pub(crate) fn awaited(thread: CellRef, visit: &mut dyn FnMut(CellRef)) {
    if let Some(cell) = thread.thread().awaiting.get() {
        visit(cell);
    }
    if thread.header().extras.get().is_null() {
        return;
    }
    let further = thread.with_extras(|extras| extras.registrations.clone());
    for registration in further.into_iter().flatten() {
        visit(registration::promise(registration));
    }
}

/// Whether a sleeping thread is about to be told: something that it awaits is resolved.
pub(crate) fn is_due(thread: CellRef) -> bool {
    let mut due = false;
    awaited(thread, &mut |promise| {
        due |= promise.root().has(flag::RESOLVED)
    });
    due
}

/// The future is over: nothing that it registered or gave away may lead to it any more.
#[cold]
fn let_go(thread: CellRef) {
    let taken = thread.with_extras(|extras| {
        (
            std::mem::take(&mut extras.registrations),
            extras.records.clone(),
        )
    });
    let (registrations, records) = taken.unwrap_or_default();
    registrations
        .into_iter()
        .for_each(registration::forget_thread);
    leave_awaited(thread);
    records.iter().for_each(|record| waker::forget(record));
}

/// Leaves a tombstone where the thread is registered, since the handle may have moved elsewhere.
fn leave_awaited(thread: CellRef) {
    let part = thread.thread();
    if let Some(cell) = part.awaiting.take()
        && waiters::replace(cell, part.index.get(), None).is_some()
        && cell.root().has(flag::OWNING)
    {
        release_owner(thread);
    }
}

/// The cell is being freed with its future: nothing may point to it any more. Its extras were taken out.
pub(crate) fn before_drop(thread: CellRef, extras: Option<&Extras>) {
    thread.thread().run.set(Run::Done);
    for registration in extras
        .into_iter()
        .flat_map(|extras| extras.registrations.iter())
    {
        registration::forget_thread(*registration);
    }
    leave_awaited(thread);
}

/// A sleeping thread that a cancel is going to drop is not woken any more.
pub(crate) fn claim(thread: CellRef) {
    if thread.is_thread() && thread.thread().run.get() == Run::Idle && !is_due(thread) {
        thread.thread().run.set(Run::Dropping);
    }
}

/// Drops the future of a thread that was claimed for that and fails its promise, without telling anybody yet. The
/// caller holds an owner count.
pub(crate) fn drop_future(thread: CellRef) {
    if !thread.is_thread() || thread.thread().run.get() != Run::Dropping {
        return;
    }
    thread.thread().run.set(Run::Done);
    let_go(thread);
    thread.clear(flag::PAYLOAD);
    // SAFETY: the flag was set, so the future is there and is dropped once; nobody polls it.
    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
        (thread.table().drop_payload)(thread)
    }));
    let error = match dropped {
        Ok(()) => Error::canceled(),
        Err(payload) => Error::from_panic(payload),
    };
    let root = thread.root_from_delegate();
    if root.has(flag::RESOLVED) {
        return;
    }
    resolve::fail_silently(root, error);
}

/// The running thread awaits a pause: it will be polled when what is paused now is woken.
#[inline(always)]
pub(crate) fn await_pause(thread: CellRef) {
    let part = thread.thread();
    if matches!(part.run.get(), Run::Running | Run::RunningYielded) {
        part.run.set(Run::RunningPaused);
    }
}

/// Whether the pause of this number, which the running thread awaits, was cancelled.
#[inline(always)]
pub(crate) fn is_pause_canceled(thread: CellRef, number: u64) -> bool {
    !thread.header().extras.get().is_null()
        && thread.with_extras(|extras| number < extras.canceled_pauses) == Some(true)
}

/// Cancels the pauses that a thread awaits, without waking it yet.
pub(crate) fn cancel_pauses(thread: CellRef) {
    let next = runtime::with(|runtime| runtime.next_pause.get());
    thread.make_extras(|extras| extras.canceled_pauses = next);
}

/// Wakes a thread whose pause was cancelled.
pub(crate) fn wake_canceled(thread: CellRef, when: When) {
    if thread.thread().run.get() != Run::Paused {
        return;
    }
    add_owner(thread);
    if when == When::Now {
        wake_by_promise(thread);
    } else {
        thread.thread().run.set(Run::Queued);
        runtime::enqueue(thread);
    }
}

/// The running thread awaits the promise of `handle`: registers it there, directly if this is the only one.
#[inline(never)]
pub(crate) fn await_promise(thread: CellRef, handle: &mut Handle) {
    let part = thread.thread();
    match handle.registered() {
        Some(waiter) if waiter == thread => return,
        Some(waiter)
            if waiter.table().kind == Kind::Registration && registration::is_same(waiter, None) =>
        {
            return;
        }
        _ => {}
    }
    if part.awaiting.get().is_none() {
        part.index.set(handle.register(thread));
        part.awaiting.set(Some(handle.cell));
    } else {
        registration::register(handle, None);
    }
}
