//! The cancel walk (M11, semantics 7): from a promise back to the cancelable ones that it hangs on.
//!
//! First the walk, with an explicit stack and a mark on every cell seen, so that it is linear even where joins share
//! members; then all promises found become `Canceled`; then their callbacks run, for the last found first (7.2).
//! A thread that awaits nothing of ours is dropped in place.

use std::collections::VecDeque;

use super::cell::{CellRef, Kind, Run, flag};
use super::ownership::{add_owner, release_owner, settle_later};
use super::resolve::{self, When};
use super::{runtime, thread};
use crate::error::Error;

/// Cancels what the promise of `cell` hangs on. The caller holds a count on `cell`.
pub(crate) fn cancel(cell: CellRef, when: When) {
    let root = cell.root();
    if root.has(flag::RESOLVED) || cancel_lonely_wait(cell) {
        return;
    }
    let frame = runtime::Frame::open();
    if let Some(found) = straight_walk(root) {
        if let Some(found) = found {
            cancel_one(found, when);
        }
        return;
    }
    let found = walk(root);
    // What the drop of one future wakes must not be another one that is about to go.
    found.iter().copied().for_each(thread::claim);
    // Each found cell keeps one owner until its callbacks were run.
    settle_later(|| {
        for cell in &found {
            set_canceled(*cell);
        }
    });
    for cell in &found {
        thread::drop_future(*cell);
    }
    // `Later`: the outermost frame, which may be this one, tells the waiters; never nested in somebody's poll.
    for cell in found.iter().rev() {
        tell(*cell, when);
    }
    for cell in found {
        release_owner(cell);
    }
    drop(frame);
}

/// A wait that nobody waits for: it only changes its state, and hangs on nothing. Tells whether it was one.
#[inline]
fn cancel_lonely_wait(cell: CellRef) -> bool {
    let header = cell.header();
    let is_wait = matches!(
        header.table.kind,
        Kind::Wait | Kind::LoopWait | Kind::HomingWait
    );
    if !is_wait || cell.has(flag::FORWARD) {
        return false;
    }
    if !cell.has(flag::CANCELABLE) {
        return true;
    }
    if !header.waiters.get().is_null() || !header.extras.get().is_null() {
        return false;
    }
    set_canceled(cell);
    true
}

/// The usual case: every cell hangs on at most one other, so there is at most one to be resolved. `None` when it is
/// not so, or when the way is long (it might be a circle, which only marks can tell).
fn straight_walk(root: CellRef) -> Option<Option<CellRef>> {
    let mut cell = root;
    for _ in 0..64 {
        if cell.has(flag::RESOLVED) {
            return Some(None);
        }
        let mut next = None;
        let mut several = false;
        children(cell, &mut |child| several |= next.replace(child).is_some());
        if several || next.is_some() && is_target(cell, true) {
            return None;
        }
        match next {
            Some(child) => cell = child,
            None => return Some(is_target(cell, false).then_some(cell)),
        }
    }
    None
}

/// Whether a cancel that reached this cell resolves it.
fn is_target(cell: CellRef, hangs_on_others: bool) -> bool {
    if !cell.is_thread() {
        return cell.has(flag::CANCELABLE);
    }
    match cell.thread().run.get() {
        Run::Paused => true,
        Run::Idle | Run::Queued => !hangs_on_others,
        _ => false,
    }
}

fn cancel_one(cell: CellRef, when: When) {
    add_owner(cell);
    thread::claim(cell);
    settle_later(|| set_canceled(cell));
    thread::drop_future(cell);
    tell(cell, when);
    release_owner(cell);
}

/// Tells those who wait for a cell that was found.
fn tell(cell: CellRef, when: When) {
    if cell.is_thread() && !cell.root().has(flag::RESOLVED) {
        thread::wake_canceled(cell, when);
    } else {
        resolve::tell(cell.root(), when);
    }
}

/// The cells that a cancel of `root` resolves, each with an owner added.
fn walk(root: CellRef) -> Vec<CellRef> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    let mut stack = VecDeque::from([root]);
    while let Some(cell) = stack.pop_front() {
        // A forwarding cell is reached only as the delegate of a pending one; looking for its root each time would
        // make the walk through a chain of ties quadratic.
        if cell.has(flag::VISITED | flag::RESOLVED) {
            continue;
        }
        cell.set(flag::VISITED);
        seen.push(cell);
        let mut hangs_on = 0;
        let first = stack.len();
        children(cell, &mut |child| {
            hangs_on += 1;
            stack.push_back(child);
        });
        // Depth first, members in order.
        stack.rotate_left(first);
        if is_target(cell, hangs_on > 0) {
            add_owner(cell);
            found.push(cell);
        }
    }
    for cell in seen {
        cell.clear(flag::VISITED);
    }
    found
}

/// The cells that `cell` hangs on, seen as what it is itself, not as what it forwards to.
pub(crate) fn children(cell: CellRef, visit: &mut dyn FnMut(CellRef)) {
    match cell.table().kind {
        Kind::Node if cell.has(flag::PAYLOAD) => {
            // SAFETY: the payload is there.
            unsafe { (cell.table().children)(cell, &mut |child| visit(child.root())) }
        }
        Kind::Node if !cell.has(flag::RESOLVED) => {
            // Not the delegate's root, which is this cell.
            if let Some(delegate) = cell.delegate() {
                visit(delegate);
            }
        }
        Kind::Thread => thread::awaited(cell, &mut |child| {
            // What is resolved and about to be told is no longer waited for: the thread is due.
            let root = child.root();
            if !root.has(flag::RESOLVED) {
                visit(root);
            }
        }),
        _ => {}
    }
}

/// The first phase for one cell: the state, without telling anybody.
fn set_canceled(cell: CellRef) {
    let root = cell.root_from_delegate();
    if cell.is_thread() {
        match cell.thread().run.get() {
            Run::Paused => thread::cancel_pauses(cell),
            Run::Queued => thread::cancel_late(cell),
            Run::Idle if thread::is_due(cell) => thread::cancel_late(cell),
            _ => {}
        }
        return;
    }
    if root.has(flag::RESOLVED) {
        return;
    }
    if cell.has(flag::PAYLOAD) {
        // Its own payload, also when it forwards to a promise that it was tied to.
        cell.clear(flag::PAYLOAD);
        // SAFETY: the payload was there and the flag is cleared, so this drops it once.
        runtime::protect(|| unsafe { (cell.table().drop_payload)(cell) });
        if root.has(flag::RESOLVED) {
            return;
        }
    }
    resolve::fail_silently(root, Error::canceled());
}
