//! What few cells need: kept in a box of its own, made when first asked for.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::cell::CellRef;
use super::waker::Record;
use crate::storage::Storage;

/// A callback that is run or dropped, once.
pub(crate) type Thunk = Box<dyn FnOnce()>;

/// A link that goes dead with the cell: what a [`Canceler`](crate::Canceler) holds.
pub(crate) type WeakLink = Rc<Cell<Option<CellRef>>>;

/// Writes a clone of the result at the first address to the second.
pub(crate) type CloneResult = unsafe fn(*const (), *mut ());

#[derive(Default)]
pub(crate) struct Extras {
    /// How to clone the result; stored by the first `clone` of a handle, so that `bind` needs no bound.
    pub(crate) clone_result: Option<CloneResult>,
    /// The storage that was current when the continuation was attached (8.3).
    pub(crate) storage: Storage,
    /// Run first of all when the promise is cancelled, each in its storage.
    pub(crate) on_cancel: Vec<(Thunk, Storage)>,
    /// Run when a leaf wait's last handle goes (M3).
    pub(crate) on_abandon: Vec<Thunk>,
    /// Run when a leaf wait is cancelled or its last handle goes, whichever comes first.
    pub(crate) on_withdrawn: Vec<Thunk>,
    pub(crate) weak: Vec<WeakLink>,
    /// Threads: what its wakers share (M7).
    pub(crate) records: Vec<Arc<Record>>,
    /// Threads: the promises awaited beside the first one.
    pub(crate) registrations: Vec<CellRef>,
    /// Threads: pauses with a lower number that it awaits were cancelled.
    pub(crate) canceled_pauses: u64,
    /// Leaf waits: what to say when a foreign executor awaits it without a loop.
    pub(crate) operation: Option<&'static str>,
}

impl CellRef {
    /// The extras, if there are any.
    ///
    /// The closure must not run user code or touch this cell's extras again.
    #[inline(always)]
    pub(crate) fn with_extras<R>(self, f: impl FnOnce(&mut Extras) -> R) -> Option<R> {
        let extras = self.header().extras.get();
        if extras.is_null() {
            return None;
        }
        // SAFETY: a non-null pointer leads to the cell's own box. The closure does not come back here (see
        // above), so the reference is unique while it lives.
        Some(f(unsafe { &mut *extras }))
    }

    /// The extras, made if there are none. The closure obeys the same rule.
    pub(crate) fn make_extras<R>(self, f: impl FnOnce(&mut Extras) -> R) -> R {
        let slot = &self.header().extras;
        if slot.get().is_null() {
            slot.set(Box::into_raw(Box::default()));
        }
        // SAFETY: as above.
        f(unsafe { &mut *slot.get() })
    }

    /// Takes the extras out.
    pub(crate) fn take_extras(self) -> Option<Box<Extras>> {
        let extras = self.header().extras.replace(std::ptr::null_mut());
        // SAFETY: the pointer came from a box, and the cell has forgotten it.
        (!extras.is_null()).then(|| unsafe { Box::from_raw(extras) })
    }
}
