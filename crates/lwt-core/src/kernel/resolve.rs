//! Resolution: state first, then the waiters (1.1), and tying (M5).

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cell::{CellRef, Run, flag};
use super::extras::Thunk;
use super::handle::{Handle, Taken};
use super::ownership::{add_owner, release_handle, release_owner};
use super::runtime::{self, Frame};
use super::waiters::{self, Delivery, Waiter};
use crate::error::{Error, Result};

/// When the waiters are told (M9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Inside this call, unless too many resumptions are nested already.
    Now,
    /// Inside this call if nothing is in progress, else when the outermost frame ends.
    Later,
}

/// Writes the result and tells the waiters. The cell is a pending root whose payload is gone, and the caller
/// holds an owner count on it (or on a cell that forwards to it).
#[inline(always)]
pub(crate) fn resolve<T>(root: CellRef, result: Result<T>, when: When) {
    debug_assert!(!root.has(flag::RESOLVED | flag::PAYLOAD | flag::FORWARD));
    let canceled = match &result {
        Ok(_) => 0,
        Err(error) => before_failure(root, error),
    };
    // SAFETY: the slot is free (no payload, no value) and belongs to a cell whose result is a `T`.
    unsafe { root.result::<T>().write(result) };
    root.set(flag::RESOLVED | flag::VALUE | canceled);
    tell(root, when);
}

/// The root is about to fail: sees to it that an ignored failure is reported. Gives the flag that a cancellation
/// leaves.
#[inline(never)]
pub(crate) fn before_failure(root: CellRef, error: &Error) -> u32 {
    if error.is_canceled() {
        return flag::CANCELED;
    }
    if root.has(flag::IGNORED) {
        super::callback::attach_reporter(root);
    }
    0
}

/// Fails a pending root, whose payload is gone, without telling anybody yet.
pub(crate) fn fail_silently(root: CellRef, error: Error) {
    let canceled = before_failure(root, &error);
    // SAFETY: the slot is free, and `VALUE` is set right below.
    unsafe { (root.table().write_error)(root, error) };
    root.set(flag::RESOLVED | flag::VALUE | canceled);
    keep_for_borrowers(root);
}

/// Tells the waiters of a root that was just resolved.
#[inline(always)]
pub(crate) fn tell(root: CellRef, when: When) {
    if !waiters::any(root) && (root.header().extras.get().is_null() || !has_callbacks(root)) {
        return;
    }
    tell_waiters(root, when);
}

/// Whether there is anything to be run or dropped besides the waiters. A cell may have extras for other reasons; what
/// is queued, and so the order of others, must not depend on them.
#[cold]
fn has_callbacks(root: CellRef) -> bool {
    root.with_extras(|extras| !extras.on_cancel.is_empty() || !extras.on_withdrawn.is_empty())
        == Some(true)
}

/// Lends the value of a root that was just resolved until its borrowers were told: whatever runs before them may
/// look at the value, but not take it (M2).
#[inline(always)]
pub(crate) fn keep_for_borrowers(root: CellRef) {
    if waiters::any_borrower(root) {
        root.set(flag::LENT);
    }
}

#[inline]
fn tell_waiters(root: CellRef, when: When) {
    let (depth, nesting) = runtime::with(|runtime| (runtime.depth.get(), runtime.nesting.get()));
    let at_once = match when {
        When::Now => depth < nesting,
        When::Later => depth == 0,
    };
    if at_once && root.header().extras.get().is_null() {
        // The usual cases: one waiter.
        if let Some(waiter) = waiters::sole_consumer(root) {
            let _frame = Frame::open();
            waiters::clear_sole(root);
            deliver(waiter, root);
            return;
        }
        if let Some(callback) = waiters::take_sole_borrower(root) {
            let _frame = Frame::open();
            // A callback does not unwind, so no guard is needed.
            root.set(flag::LENT);
            deliver(callback, root);
            root.clear(flag::LENT);
            if waiters::any(root) {
                tell_several(root);
            }
            return;
        }
    }
    keep_for_borrowers(root);
    if at_once {
        let _frame = Frame::open();
        notify(root);
    } else if !hand_to_queue(root) && (waiters::any_live(root) || has_callbacks(root)) {
        add_owner(root);
        runtime::enqueue(root);
    }
}

/// The usual case of deferring: one waiter, which is a sleeping thread. The thread itself is queued.
#[inline(always)]
fn hand_to_queue(root: CellRef) -> bool {
    if !root.has(flag::OWNING) || !root.header().extras.get().is_null() && has_callbacks(root) {
        return false;
    }
    let Some(waiter) = waiters::sole_consumer(root) else {
        return false;
    };
    if !waiter.is_thread() || waiter.thread().run.get() != Run::Idle {
        return false;
    }
    waiters::clear_sole(root);
    waiter.thread().awaiting.set(None);
    waiter.thread().run.set(Run::Queued);
    // The registration's owner count becomes the queue's.
    runtime::enqueue(waiter);
    true
}

/// Tells everybody who waits for a resolved root. The caller holds an owner count on it and has a frame open.
#[inline]
pub(crate) fn notify(root: CellRef) {
    debug_assert!(root.has(flag::RESOLVED) && root.has(flag::OWNING));
    if !root.header().extras.get().is_null() {
        run_cancel_callbacks(root);
    }
    if let Some(waiter) = waiters::sole_consumer(root) {
        waiters::clear_sole(root);
        deliver(waiter, root);
        return;
    }
    tell_several(root);
}

#[inline(never)]
fn tell_several(root: CellRef) {
    if let Some(callback) = waiters::take_sole_borrower(root) {
        lend(root, || deliver(callback, root));
    }
    while !waiters::finish(root) {
        let mut borrowers = Delivery::new(root, true);
        lend(root, || {
            while let Some(waiter) = borrowers.next() {
                deliver(waiter, root);
            }
        });
        let mut consumers = Delivery::new(root, false);
        while let Some(waiter) = consumers.next() {
            deliver(waiter, root);
        }
    }
}

#[inline(always)]
fn deliver(waiter: CellRef, root: CellRef) {
    // SAFETY: the registration carried an owner count on the waiter (the root owns its waiters while it is
    // notified), which is handed over.
    unsafe { (waiter.table().notify)(waiter, root) }
}

/// Marks the value as lent while `f` runs.
pub(crate) fn lend(root: CellRef, f: impl FnOnce()) {
    struct GiveBack(CellRef);
    impl Drop for GiveBack {
        fn drop(&mut self) {
            self.0.clear(flag::LENT);
        }
    }
    root.set(flag::LENT);
    let _guard = GiveBack(root);
    f();
}

fn run_cancel_callbacks(root: CellRef) {
    let callbacks = root.with_extras(|extras| {
        (
            std::mem::take(&mut extras.on_withdrawn),
            std::mem::take(&mut extras.on_cancel),
        )
    });
    let (withdrawn, canceled) = callbacks.unwrap_or_default();
    if withdrawn.is_empty() && canceled.is_empty() {
        return;
    }
    // Whoever consumed the failure meanwhile.
    if root.has(flag::CANCELED) {
        withdrawn.into_iter().for_each(runtime::protect);
        for (callback, storage) in canceled {
            runtime::protect(|| runtime::with_storage(storage, callback));
        }
    } else {
        runtime::protect(|| drop((withdrawn, canceled)));
    }
}

/// What a continuation came to.
pub(crate) enum Outcome<T> {
    /// A result, to be passed on at once.
    Done(Result<T>),
    /// A result whose waiters are told behind what is queued already (`pick`, whose losers go first).
    DoneLater(Result<T>),
    /// The result of a pending cell.
    Tie(Handle),
}

/// Runs a continuation with its storage and turns a panic into a failure.
#[inline(always)]
pub(crate) fn run_continuation<T>(cell: CellRef, f: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let storage = if cell.header().extras.get().is_null() {
        None
    } else {
        cell.with_extras(|extras| extras.storage.take()).flatten()
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime::with_storage(storage, f)));
    outcome.unwrap_or_else(|payload| Outcome::Done(Err(Error::from_panic(payload))))
}

/// Passes a continuation's outcome on as the result of `node`, or of what it was tied to meanwhile (4.5). The
/// caller holds a count on `node`.
#[inline(always)]
pub(crate) fn conclude<T: 'static>(node: CellRef, outcome: Outcome<T>) {
    match outcome {
        Outcome::Done(result) => conclude_with(node, result, When::Now),
        Outcome::DoneLater(result) => {
            // With nothing queued there is nothing to go behind.
            let alone = runtime::with(|runtime| runtime.queue.with(|queue| queue.is_empty()));
            conclude_with(node, result, if alone { When::Now } else { When::Later });
        }
        Outcome::Tie(handle) => tie::<T>(node, handle),
    }
}

#[inline(always)]
fn conclude_with<T: 'static>(node: CellRef, result: Result<T>, when: When) {
    let root = node.root_from_delegate();
    if root.has(flag::RESOLVED) {
        // Cancelled meanwhile.
        runtime::protect(|| drop(result));
        return;
    }
    resolve(root, result, when);
}

/// Makes the promise behind `handle` and the one of `node` the same (4.1).
pub(crate) fn tie<T: 'static>(node: CellRef, handle: Handle) {
    // The handle is consumed: it stands with the root, and is no longer anybody's registration.
    let handle = handle.into_root();
    let inner = handle.cell;
    let outer = node.root_from_delegate();
    if outer.has(flag::RESOLVED) {
        runtime::protect(|| drop(handle));
        return;
    }
    if inner.has(flag::RESOLVED) {
        match catch_unwind(AssertUnwindSafe(|| handle.take::<T>())) {
            Ok(Taken::Result(result)) => conclude_with(node, result, When::Now),
            Ok(Taken::Pending(handle)) => follow_lent::<T>(outer, handle),
            Err(payload) => conclude_with::<T>(node, Err(Error::from_panic(payload)), When::Now),
        }
        return;
    }
    if inner == outer {
        // A cycle: the continuation returned its own promise. It stays pending for ever (4.3).
        drop(handle);
        return;
    }
    add_owner(inner);
    drop_count_of(handle);

    let outer_owning = outer.has(flag::OWNING);
    if !outer_owning {
        add_owner(outer);
    }
    // From here both own their waiters, so the merged list is counted alike.
    if outer.table().kind == super::cell::Kind::Node && !outer.has(flag::PAYLOAD) {
        outer.set_delegate(Some(inner));
    }
    if inner.header().handles.get() > 0 {
        super::ownership::add_handle(outer);
    }
    if inner.has(flag::IGNORED) {
        outer.set(flag::IGNORED);
    }
    let on_abandon = merge_extras(inner, outer);
    waiters::tie(inner, outer);
    inner.set(flag::DELEGATED);
    // The inner cell owns the outer one from now on, as long as it has producers.
    add_owner(outer);
    if !outer_owning {
        release_owner(outer);
    }
    release_owner(inner);
    // What tells a leaf wait that it is abandoned has no meaning for a thread, which goes on by itself.
    if !on_abandon.is_empty() {
        runtime::protect(|| drop(on_abandon));
    }
}

/// Takes a handle apart without telling the cell that its last consumer went: it went into a tie.
fn drop_count_of(handle: Handle) {
    let cell = handle.cell;
    std::mem::forget(handle);
    let handles = &cell.header().handles;
    handles.set(handles.get() - 1);
}

/// Moves to the outer cell what concerns the shared promise. What tells a leaf wait that it is abandoned has no
/// meaning for a thread, which goes on by itself; what withdraws it when it is cancelled has.
/// Gives the callbacks that are to be dropped when both cells are in order again.
fn merge_extras(inner: CellRef, outer: CellRef) -> Vec<Thunk> {
    let moved = inner.with_extras(|extras| {
        let on_abandon = std::mem::take(&mut extras.on_abandon);
        let on_cancel = std::mem::take(&mut extras.on_cancel);
        let on_withdrawn = std::mem::take(&mut extras.on_withdrawn);
        (extras.clone_result, on_cancel, on_withdrawn, on_abandon)
    });
    let Some((clone_result, on_cancel, on_withdrawn, on_abandon)) = moved else {
        return Vec::new();
    };
    if clone_result.is_some() || !on_cancel.is_empty() || !on_withdrawn.is_empty() {
        outer.make_extras(|extras| {
            extras.clone_result = extras.clone_result.or(clone_result);
            extras.on_cancel.extend(on_cancel);
            extras.on_withdrawn.extend(on_withdrawn);
        });
    }
    on_abandon
}

/// The inner promise is resolved, but its value is lent to callbacks that run right now: wait until they are
/// done, as any other consumer does.
#[cold]
fn follow_lent<T: 'static>(outer: CellRef, handle: Handle) {
    super::node::follow::<T>(outer, handle);
}

/// Releases a handle whose value was taken.
#[inline(always)]
pub(crate) fn consumed(cell: CellRef) {
    release_handle(cell);
}

/// Registers a borrower.
pub(crate) fn attach_borrower(root: CellRef, callback: CellRef) {
    waiters::push(
        root,
        Waiter {
            cell: callback,
            borrows: true,
        },
    );
    if root.has(flag::OWNING) {
        add_owner(callback);
    }
}
