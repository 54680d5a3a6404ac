//! Counting (M1): consumers hold handles, producers own; a cell owns its waiters only while it has an owner.
//!
//! * [`release_handle`], [`release_owner`]: when a count goes to zero the cell is *settled*: without owners it lets
//!   go of its waiters (which may leave them without owners too), without owners and handles it is freed. Both
//!   cascade, so both go through one list that the outermost call empties: chains of a million need no stack.
//! * [`add_owner`]: a cell that had lost its owners gets one again (a cancelled wait woke the thread behind it), and
//!   owns its waiters again.
//! * Whether the waiters are counted is a flag of its own (`OWNING`), since a count of zero is noticed at once but
//!   acted upon by the outermost call. A registration is counted if and only if the root it is with has the flag.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::cell::{CellRef, Kind, deallocate, flag};
use super::{runtime, thread, waiters};
use crate::error::Error;

/// The most owners that a cell can have: 2²¹ − 1. More members of one `join` than this is refused.
const MOST_OWNERS: u32 = u32::MAX / flag::OWNER;

#[inline(always)]
pub(crate) fn add_handle(cell: CellRef) {
    let handles = &cell.header().handles;
    match handles.get().checked_add(1) {
        Some(more) => handles.set(more),
        None => panic!("more than four thousand million handles on one promise"),
    }
}

#[inline(always)]
pub(crate) fn release_handle(cell: CellRef) {
    let handles = &cell.header().handles;
    debug_assert!(handles.get() > 0);
    handles.set(handles.get() - 1);
    if handles.get() == 0 {
        last_handle(cell);
    }
}

#[inline]
fn last_handle(cell: CellRef) {
    if cell.has(flag::LEAF | flag::FORWARD) {
        special_last_handle(cell);
    } else if cell.owners() == 0 {
        settle(cell);
    }
}

#[cold]
fn special_last_handle(mut cell: CellRef) {
    // A forwarding cell with handles counts as one handle of its target.
    while cell.has(flag::FORWARD) {
        let target = waiters::forward_target(cell);
        if cell.owners() == 0 {
            if !cell.has(flag::OWNING | flag::DELEGATED) {
                // It is about to go, perhaps after its target, which it holds no more: the link goes now.
                unlink(cell, target);
            }
            settle(cell);
        }
        cell = target;
        let handles = &cell.header().handles;
        handles.set(handles.get() - 1);
        if handles.get() != 0 {
            return;
        }
    }
    if cell.has(flag::LEAF) && !cell.has(flag::RESOLVED) {
        // A leaf wait that nobody wants any more is withdrawn.
        add_owner(cell);
        let hooks = cell.with_extras(|extras| {
            (
                std::mem::take(&mut extras.on_withdrawn),
                std::mem::take(&mut extras.on_abandon),
            )
        });
        let (withdrawn, abandoned) = hooks.unwrap_or_default();
        for hook in withdrawn.into_iter().chain(abandoned) {
            runtime::protect(hook);
        }
        release_owner(cell);
        return;
    }
    if cell.owners() == 0 {
        settle(cell);
    }
}

#[inline(always)]
pub(crate) fn add_owner(cell: CellRef) {
    let word = &cell.header().word;
    if word.get() >= MOST_OWNERS * flag::OWNER {
        panic!("more than {MOST_OWNERS} producers of one promise");
    }
    word.set(word.get() + flag::OWNER);
    if !cell.has(flag::OWNING) {
        own_waiters(cell);
    }
}

/// The cell has an owner (again): so have those who wait for it.
#[inline]
fn own_waiters(cell: CellRef) {
    if cell.header().waiters.get().is_null() {
        // Nobody waits yet, as is usual for a first owner.
        cell.set(flag::OWNING);
    } else {
        own_waiters_of(cell);
    }
}

#[cold]
fn own_waiters_of(cell: CellRef) {
    let mut stack = vec![cell];
    while let Some(cell) = stack.pop() {
        if cell.has(flag::OWNING) {
            continue;
        }
        cell.set(flag::OWNING);
        let mut gain = |waiter: CellRef| {
            let word = &waiter.header().word;
            word.set(word.get() + flag::OWNER);
            if !waiter.has(flag::OWNING) {
                stack.push(waiter);
            }
        };
        if cell.has(flag::FORWARD) {
            gain(waiters::forward_target(cell));
        } else {
            waiters::for_each(cell, gain);
        }
    }
}

#[inline(always)]
pub(crate) fn release_owner(cell: CellRef) {
    let word = &cell.header().word;
    debug_assert!(word.get() >= flag::OWNER);
    word.set(word.get() - flag::OWNER);
    if word.get() < flag::OWNER {
        settle(cell);
    }
}

/// A count went to zero.
#[inline]
pub(crate) fn settle(cell: CellRef) {
    let header = cell.header();
    let word = header.word.get();
    if header.waiters.get().is_null() && word & (flag::FORWARD | flag::SETTLING) == 0 {
        debug_assert!(cell.owners() == 0);
        if header.handles.get() > 0 {
            // Nobody waits, so there is nobody to let go of.
            header.word.set(word & !flag::OWNING);
            return;
        }
        if word & flag::PAYLOAD == 0
            && header.extras.get().is_null()
            && (word & flag::VALUE == 0
                || header.table.plain && header.table.kind != Kind::HomingWait)
            && (word & flag::RESOLVED != 0 || header.table.kind != Kind::Node)
        {
            if word & flag::VALUE != 0 {
                header.word.set(word & !flag::VALUE);
                // SAFETY: the flag said that the result is there; it is cleared. No code that could reach a cell runs.
                unsafe { (header.table.drop_value)(cell) };
            }
            if header.table.kind == Kind::HomingWait {
                // SAFETY: the way home is there from the beginning, and this is the end. Its drop runs no foreign code.
                unsafe { (header.table.drop_payload)(cell) };
            }
            // SAFETY: both counts are zero and the cell is empty.
            unsafe { deallocate(cell) };
            return;
        }
    }
    settle_full(cell);
}

#[inline(never)]
fn settle_full(cell: CellRef) {
    if cell.has(flag::SETTLING) {
        return;
    }
    let busy = runtime::with(|runtime| runtime.is_settling.replace(true));
    cell.set(flag::SETTLING);
    if busy {
        runtime::with(|runtime| runtime.settling.with(|list| list.push(cell)));
        return;
    }
    // A panic of a value's `drop` must not keep the other cells from going.
    let mut panic = catch_unwind(AssertUnwindSafe(|| settle_one(cell))).err();
    while let Some(cell) = runtime::with(|runtime| runtime.settling.with(Vec::pop)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| settle_one(cell))) {
            panic.get_or_insert(payload);
        }
    }
    let in_progress = runtime::with(|runtime| {
        runtime.is_settling.set(false);
        runtime.depth.get() > 0
    });
    if let Some(payload) = panic {
        settle_panicked(payload, in_progress);
    }
}

#[cold]
fn settle_panicked(payload: Box<dyn std::any::Any + Send>, in_progress: bool) {
    if in_progress || std::thread::panicking() {
        runtime::report(&Error::from_panic(payload));
    } else {
        resume_unwind(payload);
    }
}

/// Runs `f` while cells whose counts go to zero only gather; they are settled afterwards.
pub(crate) fn settle_later<R>(f: impl FnOnce() -> R) -> R {
    struct Settle;
    impl Drop for Settle {
        fn drop(&mut self) {
            runtime::with(|runtime| runtime.is_settling.set(false));
            if let Some(cell) = runtime::with(|runtime| runtime.settling.with(Vec::pop)) {
                cell.clear(flag::SETTLING);
                settle(cell);
            }
        }
    }
    if runtime::with(|runtime| runtime.is_settling.replace(true)) {
        return f();
    }
    let _settle = Settle;
    f()
}

fn settle_one(cell: CellRef) {
    cell.clear(flag::SETTLING);
    if cell.owners() > 0 {
        return;
    }
    if cell.has(flag::OWNING) {
        cell.clear(flag::OWNING);
        if waiters::any(cell) {
            disown_waiters(cell);
        }
    }
    let kept = cell.has(flag::FORWARD) && cell.has(flag::DELEGATED);
    if cell.header().handles.get() == 0 && cell.owners() == 0 && !kept {
        free(cell);
    }
}

/// Takes a forwarding cell that nobody can reach any more off its target.
fn unlink(cell: CellRef, target: CellRef) {
    move_links(cell, target);
    if target.table().kind == Kind::Node
        && !target.has(flag::VALUE | flag::PAYLOAD | flag::RESOLVED)
        && target.delegate() == Some(cell)
    {
        target.set_delegate(None);
    }
    waiters::abandon(cell, drop_callback);
    cell.clear(flag::FORWARD);
}

/// A node that is being freed lets go of the cell that it delegates to, which nothing else holds: else the node would
/// be held by it.
fn release_delegate(cell: CellRef) {
    if cell.table().kind != Kind::Node || cell.has(flag::PAYLOAD | flag::VALUE | flag::RESOLVED) {
        return;
    }
    if let Some(delegate) = cell.delegate()
        && delegate.has(flag::FORWARD)
        && delegate.has(flag::DELEGATED)
    {
        debug_assert!(delegate.owners() == 0 && delegate.header().handles.get() == 0);
        // It must not look for the node that goes before it.
        waiters::abandon(delegate, drop_callback);
        delegate.clear(flag::FORWARD | flag::DELEGATED);
        settle(delegate);
    }
}

/// The last producer is gone: the waiters stay linked, unowned.
#[inline(never)]
fn disown_waiters(cell: CellRef) {
    let lose = |waiter: CellRef| {
        let word = &waiter.header().word;
        debug_assert!(word.get() >= flag::OWNER);
        word.set(word.get() - flag::OWNER);
        if word.get() < flag::OWNER && !waiter.has(flag::SETTLING) {
            waiter.set(flag::SETTLING);
            runtime::with(|runtime| runtime.settling.with(|list| list.push(waiter)));
        }
    };
    if cell.has(flag::FORWARD) {
        lose(waiters::forward_target(cell));
    } else {
        waiters::for_each(cell, lose);
    }
}

/// Drops what a cell holds and gives its memory back. Nobody can reach it any more.
fn free(cell: CellRef) {
    struct Deallocate(CellRef);
    impl Drop for Deallocate {
        fn drop(&mut self) {
            // SAFETY: both counts are zero and everything inside was dropped (or its drop panicked and is over).
            unsafe { deallocate(self.0) }
        }
    }
    let _deallocate = Deallocate(cell);
    if cell.has(flag::FORWARD) {
        unlink(cell, waiters::forward_target(cell));
    }
    let extras = cell.take_extras();
    if let Some(extras) = &extras {
        super::waker::detach(cell, extras);
        extras.weak.iter().for_each(|link| link.set(None));
    }
    if waiters::any(cell) {
        waiters::abandon(cell, drop_callback);
    }
    release_delegate(cell);
    if cell.has(flag::PAYLOAD) {
        if cell.is_thread() {
            thread::before_drop(cell, extras.as_deref());
        }
        cell.clear(flag::PAYLOAD);
        // SAFETY: the flag said that the payload lies in the slot; it is cleared, so this happens once.
        unsafe { (cell.table().drop_payload)(cell) };
    } else if cell.has(flag::VALUE) {
        cell.clear(flag::VALUE);
        // SAFETY: as above.
        unsafe { (cell.table().drop_value)(cell) };
    }
    if cell.table().kind == Kind::HomingWait {
        // SAFETY: such a cell has its way home from the beginning, and this is its end.
        unsafe { (cell.table().drop_payload)(cell) };
    }
    drop(extras);
}

/// The links that cancelers hold go on to the cell that this one was tied to.
fn move_links(cell: CellRef, target: CellRef) {
    let links = cell.with_extras(|extras| std::mem::take(&mut extras.weak));
    let links = links.unwrap_or_default();
    if links.is_empty() {
        return;
    }
    // Only now: looking for the root at every link of a long chain would take quadratic time.
    let root = target.root();
    links.iter().for_each(|link| link.set(Some(root)));
    root.make_extras(|extras| extras.weak.extend(links));
}

/// A callback goes with the cell it was attached to.
fn drop_callback(callback: CellRef) {
    release_handle(callback);
}
