//! The cell: what stands behind every promise that is not born resolved.
//!
//! ```text
//!            ┌───────────┐  only threads: what it awaits, its run state
//!            │ ThreadPart│
//! CellRef ─> ├───────────┤
//!            │ Header    │  table 8 | handles 4, flags and owners 4 | waiters 8 | extras 8
//!            ├───────────┤
//!            │ slot      │  one after another: the payload (closure, future), then a delegate, then the result
//!            └───────────┘
//! ```
//!
//! The three uses of the slot never overlap in time: `PAYLOAD` says that the payload lives there; after it was
//! taken out and until the cell is resolved, the slot of a [`node`](super::node) holds the *delegate* (the cell
//! that its continuation returned, M5); `VALUE` says that the result lives there.
//!
//! # Safety
//!
//! A [`CellRef`] is a plain copyable pointer. The rule that all of the kernel's unsafe code rests on:
//! **whoever uses a `CellRef` holds, or was lent by its caller, a count on that cell**: a handle
//! ([`Header::handles`]), an owner (the high bits of [`Header::word`]), or a registration whose other end is
//! removed before the cell goes. Cells are freed in one place, [`ownership`](super::ownership), when both counts
//! are zero. Nothing of the kernel crosses OS threads, so `Cell` is all the interior mutability that it needs.
//! References to a `Header` cover the header alone, never the slot, so a running future (which has `&mut` to
//! its slot) and the header's cells do not alias (M8).

use std::alloc::Layout;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::extras::Extras;
use crate::error::{Error, Result};

/// What kind of cell this is, for the few places that must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `wait`, `task`, leaf waits: only a resolver resolves it.
    Wait,
    /// A leaf wait that only a running main loop resolves.
    LoopWait,
    /// A wait of a library primitive whose untaken value goes back there; the way lies behind the result.
    HomingWait,
    /// The result of a combinator, with the continuation as payload.
    Node,
    /// A spawned future.
    Thread,
    /// A callback that lends the value (`on_success` and kin): a waiter without a result.
    Callback,
    /// A waker, or the second promise that a thread awaits at once.
    Registration,
}

/// What a cell can do, whatever its types; one constant per combination of payload and result.
pub(crate) struct Table {
    pub(crate) kind: Kind,
    /// Bytes in front of the header (threads only, else 0).
    pub(crate) prefix: usize,
    /// Layout of the whole allocation, prefix included.
    pub(crate) layout: Layout,
    /// The free list for that layout.
    pub(crate) class: usize,
    /// Whether dropping a value of the result's type runs no code; an error inside a result never reaches a cell,
    /// since errors are `Send` and promises are not.
    pub(crate) plain: bool,
    /// A promise that this cell is registered with was resolved (second argument: its root). Takes over the
    /// owner count that the registration carried.
    pub(crate) notify: unsafe fn(CellRef, CellRef),
    /// Polls a thread; takes over one owner count. Only for [`Kind::Thread`].
    pub(crate) resume: unsafe fn(CellRef),
    /// Drops the payload in place (`PAYLOAD` is set and will be cleared by the caller).
    pub(crate) drop_payload: unsafe fn(CellRef),
    /// Drops the result in place.
    pub(crate) drop_value: unsafe fn(CellRef),
    /// Writes a failure as the result. The payload is gone already.
    pub(crate) write_error: unsafe fn(CellRef, Error),
    /// The failure inside a resolved cell that still has its value.
    pub(crate) error: unsafe fn(CellRef) -> Option<NonNull<Error>>,
    /// The promises that the payload waits for. Called while `PAYLOAD` is set.
    pub(crate) children: unsafe fn(CellRef, &mut dyn FnMut(CellRef)),
    /// The payload's type, for people.
    pub(crate) name: fn() -> &'static str,
}

/// The part that all cells have.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) table: &'static Table,
    /// Consumers: promise handles that point here; a forwarding cell with handles counts as one.
    pub(crate) handles: Cell<u32>,
    /// The flags (low bits) and the number of live producers (the rest). See [`Flags`](flag).
    pub(crate) word: Cell<u32>,
    /// Who is to be told; encoded in [`waiters`](super::waiters).
    pub(crate) waiters: Cell<super::waiters::Word>,
    /// What few cells need; null in the common case.
    pub(crate) extras: Cell<*mut Extras>,
}

/// The flags in a header's word.
pub(crate) mod flag {
    /// The result is decided (or, on a forwarding cell: never set; look at its root).
    pub(crate) const RESOLVED: u32 = 1;
    /// The result lies in the slot. Without it a resolved cell's value was moved out.
    pub(crate) const VALUE: u32 = 1 << 1;
    /// The payload lies in the slot.
    pub(crate) const PAYLOAD: u32 = 1 << 2;
    /// The value is lent to callbacks: consumers see "pending" and stay attached (M2).
    pub(crate) const LENT: u32 = 1 << 3;
    /// The same bit on a forwarding cell: it is the delegate of the cell that it forwards to, which keeps it, so that a
    /// cancel finds what the promise hangs on also when nothing can wake it any more.
    pub(crate) const DELEGATED: u32 = LENT;
    /// `cancel` resolves this cell.
    pub(crate) const CANCELABLE: u32 = 1 << 4;
    /// The same bit on a thread, which is never cancelable in that sense: it stands among the paused.
    pub(crate) const AMONG_PAUSED: u32 = CANCELABLE;
    /// Seen by the cancel walk that is going on.
    pub(crate) const VISITED: u32 = 1 << 5;
    /// The same bit on a resolved cell: it failed with `Canceled`, whoever may have taken the failure since.
    pub(crate) const CANCELED: u32 = VISITED;
    /// Tied: everything of this cell now belongs to another one (M5).
    pub(crate) const FORWARD: u32 = 1 << 6;
    /// A leaf wait: withdrawn when its last handle is dropped (M3); needs a loop to be woken.
    pub(crate) const LEAF: u32 = 1 << 7;
    /// The same bit on a thread: it was cancelled while it was queued, and will be when it suspends again.
    pub(crate) const CANCEL_LATE: u32 = LEAF;
    /// The waiters are counted as owned by this cell (M1). Follows "has an owner", lazily when it goes.
    pub(crate) const OWNING: u32 = 1 << 8;
    /// In the list of cells whose counts went to zero.
    pub(crate) const SETTLING: u32 = 1 << 9;
    /// Nobody will look at the result: a failure goes to the asynchronous exception hook.
    pub(crate) const IGNORED: u32 = 1 << 10;
    /// One owner.
    pub(crate) const OWNER: u32 = 1 << 11;
}

/// How a thread stands with the scheduler (M6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Run {
    /// Asleep.
    Idle,
    /// Its future is being polled.
    Running,
    /// Being polled, and something that it awaits was resolved meanwhile.
    RunningWoken,
    /// Being polled, and its own waker was called meanwhile.
    RunningYielded,
    /// Being polled, and it awaits a pause.
    RunningPaused,
    /// Asleep among the paused; a cancel wakes it.
    Paused,
    /// In the run queue, or among the paused because it woke itself.
    Queued,
    /// Found by a cancel that is going to drop its future.
    Dropping,
    /// Over, or its future is being dropped: wake and cancel are ignored.
    Done,
}

/// What only threads have; lies in front of the header.
#[repr(C)]
pub(crate) struct ThreadPart {
    /// The one promise it awaits, as is usual. Further ones are registrations in the extras. The handle inside
    /// the future keeps the cell alive.
    pub(crate) awaiting: Cell<Option<CellRef>>,
    /// Where in that promise's waiters it stands.
    pub(crate) index: Cell<u32>,
    pub(crate) run: Cell<Run>,
    /// Number of the OS thread's inbox; never changes. Read by wakers on foreign OS threads.
    pub(crate) home: [u8; 3],
}

/// A counted-by-somebody pointer to a cell; see the head of this module for the rule of its use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellRef(pub(crate) NonNull<Header>);

impl std::fmt::Debug for CellRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cell {:p}", self.0)
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Where things lie in a cell with payload `P` and result `T`.
pub(crate) struct Place<P, T>(PhantomData<(P, T)>);

impl<P, T> Place<P, T> {
    const PAYLOAD: usize = max(size_of::<Header>(), align_of::<P>());
    pub(crate) const RESULT: usize = max(size_of::<Header>(), align_of::<Result<T>>());
    const DELEGATE_END: usize = size_of::<Header>() + size_of::<Option<CellRef>>();
    const ALIGN: usize = max(max(align_of::<P>(), align_of::<Result<T>>()), 16);
    const END: usize = max(
        max(
            Self::PAYLOAD + size_of::<P>(),
            Self::RESULT + size_of::<Result<T>>(),
        ),
        Self::DELEGATE_END,
    );
    /// Bytes in front of a thread's header: the thread part, rounded up to the alignment.
    pub(crate) const THREAD_PREFIX: usize = max(size_of::<ThreadPart>(), Self::ALIGN);

    /// Layout of a whole cell with `prefix` bytes in front of the header.
    pub(crate) const fn layout(prefix: usize) -> Layout {
        match Layout::from_size_align(prefix + Self::END, Self::ALIGN) {
            Ok(layout) => layout.pad_to_align(),
            Err(_) => panic!("a promise's payload or value is too large"),
        }
    }
}

impl CellRef {
    #[inline(always)]
    pub(crate) fn header<'a>(self) -> &'a Header {
        // SAFETY: the rule of this module: somebody holds a count, so the header is live. The reference is used
        // within one statement or function of the kernel and covers the header only.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn table(self) -> &'static Table {
        self.header().table
    }

    #[inline(always)]
    pub(crate) fn has(self, flags: u32) -> bool {
        self.header().word.get() & flags != 0
    }

    #[inline(always)]
    pub(crate) fn set(self, flags: u32) {
        let word = &self.header().word;
        word.set(word.get() | flags);
    }

    #[inline(always)]
    pub(crate) fn clear(self, flags: u32) {
        let word = &self.header().word;
        word.set(word.get() & !flags);
    }

    #[inline(always)]
    pub(crate) fn owners(self) -> u32 {
        self.header().word.get() / flag::OWNER
    }

    /// The thread part. Only for threads.
    #[inline(always)]
    pub(crate) fn thread<'a>(self) -> &'a ThreadPart {
        debug_assert_eq!(self.table().kind, Kind::Thread);
        // SAFETY: a thread's allocation begins with the prefix, whose last bytes are the thread part; the
        // pointer has the provenance of the allocation. Live by the rule of this module.
        unsafe { &*self.0.as_ptr().cast::<ThreadPart>().sub(1) }
    }

    #[inline(always)]
    pub(crate) fn is_thread(self) -> bool {
        self.table().kind == Kind::Thread
    }

    #[inline(always)]
    pub(crate) fn payload<P, T>(self) -> NonNull<P> {
        // SAFETY: the offset lies inside the allocation of a cell made for these types.
        unsafe { self.0.byte_add(Place::<P, T>::PAYLOAD).cast() }
    }

    #[inline(always)]
    pub(crate) fn result<T>(self) -> NonNull<Result<T>> {
        // SAFETY: the offset depends on `T` alone, and lies inside every cell whose result is a `T`.
        unsafe { self.0.byte_add(Place::<(), T>::RESULT).cast() }
    }

    /// The cell that a node's continuation returned and that this one waits for now.
    pub(crate) fn delegate(self) -> Option<CellRef> {
        debug_assert!(self.table().kind == Kind::Node);
        debug_assert!(!self.has(flag::PAYLOAD | flag::VALUE));
        // SAFETY: a node without payload and without value has a delegate in its slot (see the module's head).
        unsafe { self.delegate_slot().read() }
    }

    pub(crate) fn set_delegate(self, delegate: Option<CellRef>) {
        debug_assert!(self.table().kind == Kind::Node);
        debug_assert!(!self.has(flag::PAYLOAD | flag::VALUE));
        // SAFETY: every node has room for a delegate, and nothing else lives in the slot now.
        unsafe { self.delegate_slot().write(delegate) }
    }

    fn delegate_slot(self) -> NonNull<Option<CellRef>> {
        // SAFETY: within the allocation, right after the header, aligned like a pointer.
        unsafe { self.0.add(1).cast() }
    }

    /// The cell that holds the state: this one, or where it forwards to.
    #[inline(always)]
    pub(crate) fn root(self) -> CellRef {
        if self.has(flag::FORWARD) {
            self.far_root()
        } else {
            self
        }
    }

    /// The root, for one who is going to resolve it, or to tie it to another cell: the cells on the way there, which
    /// the caller's count keeps until it is done, are delegates no more.
    #[inline(always)]
    pub(crate) fn root_from_delegate(self) -> CellRef {
        if self.has(flag::FORWARD) {
            self.far_root_from_delegate()
        } else {
            self
        }
    }

    #[cold]
    fn far_root_from_delegate(self) -> CellRef {
        let mut cell = self;
        while cell.has(flag::FORWARD) {
            cell.clear(flag::DELEGATED);
            cell = super::waiters::forward_target(cell);
        }
        cell
    }

    #[cold]
    fn far_root(self) -> CellRef {
        let mut cell = self;
        while cell.has(flag::FORWARD) {
            cell = super::waiters::forward_target(cell);
        }
        cell
    }

    /// The failure that a resolved cell holds.
    pub(crate) fn error<'a>(self) -> Option<&'a Error> {
        if !self.has(flag::VALUE) {
            return None;
        }
        // SAFETY: `VALUE` says that the result lies in the slot; the table belongs to the cell. The reference
        // is used before anything could move the result.
        unsafe { (self.table().error)(self).map(|error| error.as_ref()) }
    }
}

/// Entries of a [`Table`] that depend on the result type alone.
pub(crate) struct ResultOf<T>(PhantomData<T>);

impl<T> ResultOf<T> {
    /// # Safety
    /// The cell's result is a `T`, it lies in the slot, and the caller clears `VALUE`.
    pub(crate) unsafe fn drop_value(cell: CellRef) {
        // SAFETY: the caller's promise.
        unsafe { cell.result::<T>().drop_in_place() }
    }

    /// # Safety
    /// The cell's result is a `T`, its slot is free, and the caller sets `VALUE`.
    pub(crate) unsafe fn write_error(cell: CellRef, error: Error) {
        // SAFETY: the caller's promise.
        unsafe { cell.result::<T>().write(Err(error)) }
    }

    /// # Safety
    /// The cell's result is a `T` and lies in the slot.
    pub(crate) unsafe fn error(cell: CellRef) -> Option<NonNull<Error>> {
        // SAFETY: the caller's promise.
        unsafe {
            cell.result::<T>()
                .as_ref()
                .as_ref()
                .err()
                .map(NonNull::from)
        }
    }
}

/// For tables of cells without the thing in question.
pub(crate) mod none {
    use super::{CellRef, Error, NonNull};

    pub(crate) unsafe fn notify(_: CellRef, _: CellRef) {
        debug_assert!(false, "a cell without continuation was notified");
    }
    pub(crate) unsafe fn resume(_: CellRef) {
        debug_assert!(false, "only threads are resumed");
    }
    pub(crate) unsafe fn drop_payload(_: CellRef) {}
    pub(crate) unsafe fn drop_value(_: CellRef) {}
    pub(crate) unsafe fn write_error(_: CellRef, error: Error) {
        drop(error);
    }
    pub(crate) unsafe fn error(_: CellRef) -> Option<NonNull<Error>> {
        None
    }
    pub(crate) unsafe fn children(_: CellRef, _: &mut dyn FnMut(CellRef)) {}
}

/// Takes a cell from the free lists and writes its header.
///
/// # Safety
/// `table` describes a cell of payload `P` and result `T`; the caller puts the payload where `word` says.
#[inline(always)]
pub(crate) unsafe fn allocate(table: &'static Table, handles: u32, word: u32) -> CellRef {
    let base = super::memory::allocate(table.layout, table.class);
    // SAFETY: the layout has room for prefix and header, and is aligned for both.
    unsafe {
        let header = base.byte_add(table.prefix).cast::<Header>();
        header.write(Header {
            table,
            handles: Cell::new(handles),
            word: Cell::new(word),
            waiters: Cell::new(std::ptr::null_mut()),
            extras: Cell::new(std::ptr::null_mut()),
        });
        CellRef(header)
    }
}

/// Gives a cell's memory back.
///
/// # Safety
/// Everything inside was dropped, and nobody uses the cell any more.
#[inline(always)]
pub(crate) unsafe fn deallocate(cell: CellRef) {
    let table = cell.table();
    // SAFETY: the allocation begins `prefix` bytes before the header and was made with this layout.
    unsafe {
        super::memory::deallocate(
            cell.0.byte_sub(table.prefix).cast(),
            &table.layout,
            table.class,
        )
    }
}
