//! The handle inside a pending [`Promise`](crate::Promise): a counted consumer of a cell, and the owner of at most
//! one registration with it (M4).
//!
//! A registration belongs to the handle, not to the waiter: polling again by the same thread is a no-op, dropping
//! the handle or polling it elsewhere takes the registration back, and nothing is ever left pointing into
//! another thread.

use super::cell::{CellRef, Kind, flag};
use super::ownership::{add_handle, add_owner, release_handle, release_owner};
use super::waiters::{self, NOWHERE, Waiter};
use super::{registration, resolve};
use crate::error::Result;

/// One value only: its niches keep `Promise<u64>` at 16 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Niche {
    Pending = 1,
}

/// See the head of this module.
pub(crate) struct Handle {
    pub(crate) cell: CellRef,
    /// The registration's place with `cell`, or [`NOWHERE`].
    place: u32,
    _niche: Niche,
}

/// What became of an attempt to take the value.
pub(crate) enum Taken<T> {
    Result(Result<T>),
    /// Not resolved, or the value is lent to callbacks right now.
    Pending(Handle),
}

impl Handle {
    /// A handle for a count that the caller has added (or that the cell was made with).
    #[inline(always)]
    pub(crate) fn adopt(cell: CellRef) -> Handle {
        Handle {
            cell,
            place: NOWHERE,
            _niche: Niche::Pending,
        }
    }

    /// Whether a consumer would find the value.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        let word = self.cell.root().header().word.get();
        word & (flag::RESOLVED | flag::LENT) == flag::RESOLVED
    }

    /// The result, lent for as long as the handle stays where it is: it keeps the value from being moved out.
    #[inline(always)]
    pub(crate) fn peek<T>(&self) -> Option<&Result<T>> {
        let root = self.cell.root();
        // SAFETY: `VALUE` says that the result lies in the slot. It is moved out by the last consumer only, and
        // this handle is a consumer that cannot be consumed while it is borrowed.
        root.has(flag::VALUE)
            .then(|| unsafe { root.result::<T>().as_ref() })
    }

    /// The result, moved out by the last consumer and cloned by others.
    ///
    /// # Panics
    /// If the value's `clone` does; the handle is then dropped.
    #[inline(always)]
    pub(crate) fn take<T>(mut self) -> Taken<T> {
        let root = self.cell.root();
        let word = root.header().word.get();
        if word & (flag::RESOLVED | flag::LENT) != flag::RESOLVED {
            return Taken::Pending(self);
        }
        // The state may be set while the waiters are still to be told.
        self.unregister();
        debug_assert!(word & flag::VALUE != 0);
        if self.cell == root && root.header().handles.get() == 1 {
            let cell = self.cell;
            std::mem::forget(self);
            root.clear(flag::VALUE);
            // SAFETY: `VALUE` was set, so the result lies in the slot; it is cleared, so it is read once. This is
            // the last consumer, and the value is not lent.
            let result = unsafe { root.result::<T>().read() };
            resolve::consumed(cell);
            return Taken::Result(result);
        }
        self.take_shared(root)
    }

    /// The usual case of an await that resumes: the only handle, of a cell that has told its waiters.
    #[inline(always)]
    pub(crate) fn is_resolved_alone(&self) -> bool {
        let header = self.cell.header();
        header.word.get() & (flag::RESOLVED | flag::LENT | flag::FORWARD) == flag::RESOLVED
            && header.handles.get() == 1
            && header.waiters.get().is_null()
    }

    /// Takes the value in that case. The handle is to be forgotten: its count goes with the value.
    #[inline(always)]
    pub(crate) fn take_alone<T>(&mut self) -> Result<T> {
        debug_assert!(self.is_resolved_alone() && self.cell.has(flag::VALUE));
        self.cell.clear(flag::VALUE);
        // SAFETY: the value of a resolved cell lies in the slot as long as a handle exists; its flag is cleared, so it
        // is read once. This is the last consumer, and the value is not lent.
        let result = unsafe { self.cell.result::<T>().read() };
        release_handle(self.cell);
        result
    }

    /// The usual case of an await that suspends: nobody waits yet, and the thread awaits nothing else.
    #[inline(always)]
    pub(crate) fn await_alone(&mut self, thread: CellRef) -> bool {
        let header = self.cell.header();
        let part = thread.thread();
        if header.word.get() & (flag::RESOLVED | flag::FORWARD | flag::OWNING) != flag::OWNING
            || !header.waiters.get().is_null()
            || part.awaiting.get().is_some()
            || self.place != NOWHERE
        {
            return false;
        }
        self.place = waiters::push(
            self.cell,
            Waiter {
                cell: thread,
                borrows: false,
            },
        );
        part.index.set(self.place);
        part.awaiting.set(Some(self.cell));
        add_owner(thread);
        true
    }

    #[inline(never)]
    fn take_shared<T>(self, root: CellRef) -> Taken<T> {
        if !self.is_last(root)
            && let Some(clone_result) = root.with_extras(|extras| extras.clone_result).flatten()
        {
            let mut copy = std::mem::MaybeUninit::<Result<T>>::uninit();
            // SAFETY: the function was stored for this result type; the value stays where it is while this
            // handle, which is dropped after the copy, is one of several.
            unsafe {
                clone_result(root.result::<T>().as_ptr().cast(), copy.as_mut_ptr().cast());
                return Taken::Result(copy.assume_init());
            }
        }
        root.clear(flag::VALUE);
        // SAFETY: as in `take`. Without a clone function there never was a second consumer.
        let result = unsafe { root.result::<T>().read() };
        drop(self);
        Taken::Result(result)
    }

    /// Whether no other handle leads to the root, on the whole way there.
    fn is_last(&self, root: CellRef) -> bool {
        let mut cell = self.cell;
        loop {
            if cell.header().handles.get() != 1 {
                return false;
            }
            if cell == root {
                return true;
            }
            cell = waiters::forward_target(cell);
        }
    }

    /// A second handle; stores how to clone the result for when it is needed.
    pub(crate) fn share<T: Clone>(&self) -> Handle {
        let root = self.cell.root();
        root.make_extras(|extras| extras.clone_result = Some(clone_result::<T>));
        add_handle(self.cell);
        Handle::adopt(self.cell)
    }

    /// Leads to the root directly from now on; gives a registration back first.
    pub(crate) fn into_root(mut self) -> Handle {
        self.unregister();
        self.shorten();
        self
    }

    fn shorten(&mut self) {
        let root = self.cell.root();
        if root != self.cell {
            add_handle(root);
            let old = std::mem::replace(&mut self.cell, root);
            release_handle(old);
        }
    }

    /// Registers `waiter` as a consumer, in the place of whoever this handle had registered.
    #[inline(always)]
    pub(crate) fn register(&mut self, waiter: CellRef) -> u32 {
        if self.place != NOWHERE {
            self.unregister();
        }
        if self.cell.has(flag::FORWARD) {
            self.shorten();
        }
        self.place = waiters::push(
            self.cell,
            Waiter {
                cell: waiter,
                borrows: false,
            },
        );
        if self.cell.has(flag::OWNING) {
            add_owner(waiter);
        }
        self.place
    }

    /// Who is registered by this handle and was not told yet.
    #[inline(always)]
    pub(crate) fn registered(&self) -> Option<CellRef> {
        if self.place == NOWHERE {
            return None;
        }
        waiters::get(self.cell, self.place).map(|waiter| waiter.cell)
    }

    /// Takes the registration back.
    #[inline(always)]
    pub(crate) fn unregister(&mut self) {
        let place = std::mem::replace(&mut self.place, NOWHERE);
        if place == NOWHERE || !waiters::any(self.cell) {
            return;
        }
        if let Some(waiter) = waiters::remove(self.cell, place) {
            left(self.cell, waiter.cell);
        }
    }
}

/// Clones a result whose type only the cell knows.
///
/// # Safety
/// `from` leads to a `Result<T>` that stays there, `to` to room for one.
unsafe fn clone_result<T: Clone>(from: *const (), to: *mut ()) {
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<Result<T>>()
            .write((*from.cast::<Result<T>>()).clone())
    }
}

/// `waiter` does not stand with `cell` any more.
#[inline]
fn left(cell: CellRef, waiter: CellRef) {
    match waiter.table().kind {
        Kind::Thread => waiter.thread().awaiting.set(None),
        Kind::Registration => registration::withdraw(waiter),
        _ => {}
    }
    if cell.root().has(flag::OWNING) {
        release_owner(waiter);
    }
}

impl Drop for Handle {
    #[inline(always)]
    fn drop(&mut self) {
        if self.place != NOWHERE {
            self.unregister();
        }
        release_handle(self.cell);
    }
}

#[cfg(test)]
mod tests {
    use super::Handle;

    #[test]
    fn leaves_niches_beside_the_place() {
        assert_eq!(size_of::<Handle>(), 16);
        assert_eq!(size_of::<Option<Handle>>(), 16);
    }
}
