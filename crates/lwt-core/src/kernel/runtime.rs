//! The state of the scheduler of one OS thread, and frames: who is "in progress" (M9).
//!
//! A *frame* is open while any code of ours is on the stack: a resolution, a poll, a callback, an engine's
//! dispatch. Inside a frame the library's own primitives only queue what they wake; the outermost frame
//! empties the queue when it ends. Immediate resumption (`wakeup`, and everything that propagates) nests
//! up to [`NESTING`] frames, beyond which it is queued too; the limit is a count, so order never depends on the
//! build (M9).
//!
//! Inside a main loop the queue is emptied only as far as the turn's limit allows (M10); the loop takes what is
//! left up in its next turn.
//!
//! The thread-local is `const`-initialised and has no destructor (M12): everything in it is a `Cell` of something
//! plain, or a collection in `ManuallyDrop` which [`end_of_thread`] empties. No borrow of a collection is held
//! while foreign code runs.

use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::cell::{CellRef, Run, flag};
use super::waker::{LoopInbox, Record};
use super::{ownership, resolve};
use crate::error::Error;
use crate::storage::Storage;

/// How many resumptions may nest inside each other before further ones are queued, unless set otherwise.
pub(crate) const NESTING: u32 = 16;
/// How many queued resumptions a main loop runs in one turn, unless set otherwise.
pub(crate) const TURN_LIMIT: usize = 4_096;
/// How many operations in a row a thread may find completed before it has to let others go first.
pub(crate) const OPERATIONS: u32 = 128;

/// What is done with a failure that nobody handles.
pub(crate) type Hook = Rc<dyn Fn(&Error)>;
/// Told the new count at each pause.
pub(crate) type Notifier = Rc<dyn Fn(usize)>;

/// A place for a value that is only ever moved in and out, never borrowed across foreign code.
pub(crate) struct Slot<T>(UnsafeCell<ManuallyDrop<T>>);

impl<T> Slot<T> {
    const fn new(value: T) -> Slot<T> {
        Slot(UnsafeCell::new(ManuallyDrop::new(value)))
    }

    /// Access for one operation.
    ///
    /// The closure must not run foreign code (no drop of a user's value, no callback), hence cannot come back.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the slot belongs to one OS thread, and the closure does not reach the slot again.
        f(unsafe { &mut *self.0.get() })
    }
}

pub(crate) struct Runtime {
    /// Open frames.
    pub(crate) depth: Cell<u32>,
    pub(crate) nesting: Cell<u32>,
    /// The thread whose future is being polled.
    pub(crate) current: Cell<Option<CellRef>>,
    /// Completed operations that the current thread may still see before it must pause.
    pub(crate) operations: Cell<u32>,
    /// Resumptions left in this turn of the loop.
    pub(crate) turn: Cell<usize>,
    pub(crate) turn_limit: Cell<usize>,
    /// Where the running main loop was started.
    pub(crate) main_loop: Cell<Option<&'static Location<'static>>>,
    /// Number of this OS thread's inbox; zero until it has one.
    pub(crate) home: Cell<u32>,
    /// Resolved cells whose waiters are to be told, and threads to be polled; each entry owns one count.
    pub(crate) queue: Slot<VecDeque<CellRef>>,
    /// Paused promises, and threads that woke themselves; each entry owns one count.
    pub(crate) paused: Slot<VecDeque<CellRef>>,
    /// An empty queue that keeps its room from turn to turn.
    pub(crate) paused_spare: Slot<VecDeque<CellRef>>,
    pub(crate) paused_count: Cell<usize>,
    /// Number of the next pause, and of the first that is not over.
    pub(crate) next_pause: Cell<u64>,
    pub(crate) first_paused: Cell<u64>,
    /// Pauses that will never be over, as ranges of numbers (after a fork).
    pub(crate) abandoned_pauses: Slot<Vec<std::ops::Range<u64>>>,
    /// Cells whose counts went to zero, and whether somebody is already working on them.
    pub(crate) settling: Slot<Vec<CellRef>>,
    pub(crate) is_settling: Cell<bool>,
    pub(crate) storage: Slot<Storage>,
    pub(crate) hook: Slot<Option<Hook>>,
    pub(crate) notifier: Slot<Option<Notifier>>,
    pub(crate) inbox: Slot<Option<Arc<LoopInbox>>>,
    /// The records of all threads that gave wakers away.
    pub(crate) records: Slot<Vec<Weak<Record>>>,
    /// Sources beside the inbox that may still wake something (M13).
    pub(crate) kept_alive: Cell<usize>,
    pub(crate) random: Cell<u64>,
}

thread_local! {
    static RUNTIME: Runtime = const {
        Runtime {
            depth: Cell::new(0),
            nesting: Cell::new(NESTING),
            current: Cell::new(None),
            operations: Cell::new(OPERATIONS),
            turn: Cell::new(0),
            turn_limit: Cell::new(TURN_LIMIT),
            main_loop: Cell::new(None),
            home: Cell::new(0),
            queue: Slot::new(VecDeque::new()),
            paused: Slot::new(VecDeque::new()),
            paused_spare: Slot::new(VecDeque::new()),
            paused_count: Cell::new(0),
            next_pause: Cell::new(0),
            first_paused: Cell::new(0),
            abandoned_pauses: Slot::new(Vec::new()),
            settling: Slot::new(Vec::new()),
            is_settling: Cell::new(false),
            storage: Slot::new(None),
            hook: Slot::new(None),
            notifier: Slot::new(None),
            inbox: Slot::new(None),
            records: Slot::new(Vec::new()),
            kept_alive: Cell::new(0),
            random: Cell::new(0x9e37_79b9_7f4a_7c15),
        }
    };
}

/// This OS thread's state.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Runtime) -> R) -> R {
    RUNTIME.with(f)
}

/// An open frame. The outermost one empties the queue when it ends.
pub(crate) struct Frame(());

impl Frame {
    #[inline(always)]
    pub(crate) fn open() -> Frame {
        with(|runtime| runtime.depth.set(runtime.depth.get() + 1));
        Frame(())
    }
}

impl Drop for Frame {
    #[inline(always)]
    fn drop(&mut self) {
        with(|runtime| {
            let depth = runtime.depth.get();
            if depth == 1 && !runtime.queue.with(|queue| queue.is_empty()) {
                drain(runtime);
            }
            runtime.depth.set(depth - 1);
        });
    }
}

/// Runs what is queued: everything outside a loop, up to the turn's limit inside one.
#[inline(never)]
fn drain(runtime: &Runtime) {
    while let Some(entry) = next_entry(runtime) {
        run_entry(entry);
    }
}

/// The next entry to be served, if the turn's limit allows for one more.
#[inline(always)]
pub(crate) fn next_entry(runtime: &Runtime) -> Option<CellRef> {
    if runtime.main_loop.get().is_some() {
        let left = runtime.turn.get();
        if left == 0 {
            return None;
        }
        let entry = runtime.queue.with(VecDeque::pop_front)?;
        runtime.turn.set(left - 1);
        return Some(entry);
    }
    runtime.queue.with(VecDeque::pop_front)
}

/// Serves one entry of the queue or of the paused; takes over its owner count.
#[inline]
pub(crate) fn run_entry(entry: CellRef) {
    if entry.is_thread() && entry.thread().run.get() == Run::Queued {
        resume_entry(entry);
        return;
    }
    if entry.has(flag::RESOLVED) {
        resolve::notify(entry);
    }
    ownership::release_owner(entry);
}

/// Polls a thread that is queued or paused; takes over the entry's owner count. A frame is open.
#[inline(always)]
pub(crate) fn resume_entry(thread: CellRef) {
    debug_assert!(thread.is_thread());
    // SAFETY: it is a thread, and the entry's owner count is handed over.
    unsafe { (thread.table().resume)(thread) };
}

/// Queues an entry; takes over one owner count.
#[inline(always)]
pub(crate) fn enqueue(entry: CellRef) {
    with(|runtime| runtime.queue.with(|queue| queue.push_back(entry)));
}

/// Puts a promise among the paused; takes over one owner count.
pub(crate) fn enqueue_paused(entry: CellRef) {
    with(|runtime| runtime.paused.with(|paused| paused.push_back(entry)));
}

/// Puts a thread that pauses or woke itself among the paused; takes over one owner count. It may stand there already,
/// if something else has woken it since: more entries would only multiply.
pub(crate) fn enqueue_paused_thread(thread: CellRef) {
    if thread.has(flag::AMONG_PAUSED) {
        ownership::release_owner(thread);
    } else {
        thread.set(flag::AMONG_PAUSED);
        enqueue_paused(thread);
    }
}

/// Runs `f` with other storage in force, and puts the present one back whatever happens.
#[inline(always)]
pub(crate) fn with_storage<R>(storage: Storage, f: impl FnOnce() -> R) -> R {
    struct Restore(Storage);
    impl Drop for Restore {
        fn drop(&mut self) {
            drop(swap_storage(self.0.take()));
        }
    }
    if storage.is_none() && with(|runtime| runtime.storage.with(|current| current.is_none())) {
        return f();
    }
    let _restore = Restore(swap_storage(storage));
    f()
}

/// Puts other storage in force; gives the one that was.
#[inline(always)]
pub(crate) fn swap_storage(storage: Storage) -> Storage {
    with(|runtime| {
        runtime
            .storage
            .with(|current| std::mem::replace(current, storage))
    })
}

/// Notes the storage in force in a cell, if there is any.
#[inline(always)]
pub(crate) fn remember_storage(cell: CellRef) {
    if with(|runtime| runtime.storage.with(|storage| storage.is_some())) {
        note_storage(cell);
    }
}

#[cold]
fn note_storage(cell: CellRef) {
    let storage = current_storage();
    cell.make_extras(|extras| extras.storage = storage);
}

/// The storage in force.
#[inline(always)]
pub(crate) fn current_storage() -> Storage {
    with(|runtime| runtime.storage.with(|current| current.clone()))
}

/// Hands a failure that nobody handles to the asynchronous exception hook.
#[cold]
pub(crate) fn report(error: &Error) {
    let hook = with(|runtime| runtime.hook.with(|hook| hook.clone()));
    let called = catch_unwind(AssertUnwindSafe(|| match hook {
        Some(hook) => hook(error),
        None => crate::hook::default_hook(error),
    }));
    if let Err(payload) = called {
        let panic = Error::from_panic(payload);
        crate::hook::last_resort(&panic);
    }
}

/// Reports the failure of a promise whose result is ignored, unless it was cancelled.
pub(crate) fn report_ignored(error: &Error) {
    if !error.is_canceled() {
        report(error);
    }
}

/// Runs foreign code whose panic has nowhere to go but the asynchronous exception hook.
#[inline]
pub(crate) fn protect(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        report(&Error::from_panic(payload));
    }
}

/// A number from the loop's own generator (wyrand-style mixing of a counter): cheap, and seeded in tests.
pub(crate) fn random() -> u64 {
    with(|runtime| {
        let state = runtime.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        runtime.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// The OS thread ends: lets go of everything that the thread-local holds.
pub(crate) fn end_of_thread() {
    super::waker::close();
    super::waker::forget_all();
    let hooks = with(|runtime| {
        (
            runtime.hook.with(Option::take),
            runtime.notifier.with(Option::take),
        )
    });
    drop(hooks);
    while let Some(entry) = with(|runtime| runtime.queue.with(VecDeque::pop_front)) {
        forget_entry(entry);
    }
    while let Some(entry) = with(|runtime| runtime.paused.with(VecDeque::pop_front)) {
        forget_entry(entry);
    }
    free_buffers();
}

/// Gives the room of the collections back: no cell is left that could stand in one, or none is served any more.
/// Called again when handles that later destructors dropped have filled them once more.
pub(crate) fn free_buffers() {
    with(|runtime| {
        runtime.queue.with(|queue| *queue = VecDeque::new());
        runtime.records.with(|records| *records = Vec::new());
        runtime.paused.with(|paused| *paused = VecDeque::new());
        runtime.paused_spare.with(|spare| *spare = VecDeque::new());
        runtime.settling.with(|settling| *settling = Vec::new());
        runtime.abandoned_pauses.with(|ranges| *ranges = Vec::new());
    });
}

/// An entry that will never be served lets go of its cell.
pub(crate) fn forget_entry(entry: CellRef) {
    if entry.is_thread() {
        entry.clear(flag::AMONG_PAUSED);
        if matches!(entry.thread().run.get(), Run::Queued | Run::Paused) {
            entry.thread().run.set(Run::Idle);
        }
    }
    if entry.has(flag::RESOLVED) {
        // Its borrowers will never be told.
        entry.clear(flag::LENT);
    }
    ownership::release_owner(entry);
}
