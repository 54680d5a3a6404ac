//! Wakers (M7): how foreign futures and other OS threads wake our threads.
//!
//! The waker in the context of a poll is *borrowed*: its data is the cell, it costs nothing to make, and a promise
//! that finds it registers the thread directly. Only a foreign future clones it. Every clone is an *owned* waker:
//! a counted [`Record`] which outlives the thread, leads to it while it lives, and to the inbox of its OS thread.
//!
//! `&Waker` is `Sync`, so both kinds may be used on another OS thread. Each operation first compares the OS thread;
//! a foreign one touches only what is atomic or immutable: the record, the number of the home inbox in the
//! thread's prefix, and the registry of inboxes. A clone of the *borrowed* waker on a foreign OS thread makes a
//! record of its own and hands it over through the inbox's list of adoptions, which [`adopt`] empties after
//! every poll, hence before the thread's counts can be looked at.
//!
//! While any owned waker lives, the thread has an owner (M1): the first one adds it, the last one releases it, from a
//! foreign OS thread through the inbox.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::{CellRef, Header, ThreadPart};
use super::extras::Extras;
use super::ownership::{add_owner, release_owner};
use super::{memory, runtime, thread};
use crate::inbox::Inbox;

/// What reaches an OS thread from others.
pub(crate) enum Message {
    /// Run this in the loop.
    Run(Box<dyn FnOnce() + Send>),
    /// An owned waker was called.
    Wake(Arc<Record>),
    /// The last owned waker of a record was dropped.
    Release(Arc<Record>),
}

/// The inbox of an OS thread, with what only wakers need.
#[derive(Debug)]
pub(crate) struct LoopInbox {
    pub(crate) messages: Inbox<Message>,
    /// Records made on foreign OS threads that their thread does not know of yet.
    adoptions: Mutex<Vec<Arc<Record>>>,
    has_adoptions: AtomicBool,
    /// Records with live wakers.
    pub(crate) live_records: AtomicUsize,
}

/// What the owned wakers of one thread share.
pub(crate) struct Record {
    /// The inbox of the home OS thread; also tells whether an operation is at home.
    inbox: Arc<LoopInbox>,
    /// The thread, while it has its future. Read and written on the home OS thread only.
    cell: AtomicPtr<Header>,
    /// Owned wakers.
    wakers: AtomicUsize,
    /// A `Wake` message is on its way.
    queued: AtomicBool,
    /// The thread's owner count for this record is there. Home OS thread only.
    counted: AtomicBool,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("wakers", &self.wakers)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Message::Run(_) => "Run",
            Message::Wake(_) => "Wake",
            Message::Release(_) => "Release",
        })
    }
}

/// All inboxes, by the number of their OS thread minus one.
static REGISTRY: Mutex<Vec<Option<Arc<LoopInbox>>>> = Mutex::new(Vec::new());

fn registry() -> std::sync::MutexGuard<'static, Vec<Option<Arc<LoopInbox>>>> {
    REGISTRY.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// The number of this OS thread's inbox, as it is kept in a thread's prefix.
#[inline(always)]
pub(crate) fn home() -> [u8; 3] {
    let home = runtime::with(|runtime| runtime.home.get());
    let [a, b, c, _] = if home == 0 {
        open().to_le_bytes()
    } else {
        home.to_le_bytes()
    };
    [a, b, c]
}

fn home_number(bytes: [u8; 3]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

/// Gives this OS thread an inbox and a number.
#[cold]
fn open() -> u32 {
    memory::clean_up_at_end();
    let inbox = Arc::new(LoopInbox {
        messages: Inbox::new(),
        adoptions: Mutex::new(Vec::new()),
        has_adoptions: AtomicBool::new(false),
        live_records: AtomicUsize::new(0),
    });
    let mut registry = registry();
    let index = match registry.iter().position(Option::is_none) {
        Some(index) => index,
        None => {
            registry.push(None);
            registry.len() - 1
        }
    };
    registry[index] = Some(inbox.clone());
    drop(registry);
    let number = match u32::try_from(index + 1) {
        Ok(number) if number < 1 << 24 => number,
        _ => panic!("more than sixteen million OS threads run threads of lwt"),
    };
    runtime::with(|runtime| {
        runtime.home.set(number);
        runtime.inbox.with(|slot| *slot = Some(inbox));
    });
    number
}

/// This OS thread's inbox.
pub(crate) fn inbox() -> Arc<LoopInbox> {
    if let Some(inbox) = runtime::with(|runtime| runtime.inbox.with(|inbox| inbox.clone())) {
        return inbox;
    }
    open();
    inbox()
}

/// The OS thread ends: late messages are refused, and those that are there are dropped.
pub(crate) fn close() {
    if let Some(inbox) = runtime::with(|runtime| runtime.inbox.with(|inbox| inbox.clone())) {
        drop(inbox.messages.close());
    }
}

/// No cell is left that a waker could lead to: gives the inbox and its number up.
pub(crate) fn give_up() {
    let (home, inbox) =
        runtime::with(|runtime| (runtime.home.replace(0), runtime.inbox.with(Option::take)));
    if let Some(slot) = registry().get_mut((home as usize).wrapping_sub(1)) {
        *slot = None;
    }
    drop(inbox);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

// ---------------------------------------------------------------------------------------------- borrowed wakers

static BORROWED: RawWakerVTable =
    RawWakerVTable::new(clone_borrowed, wake_borrowed, wake_borrowed, |_| {});

/// The waker of a thread's own poll. Must not outlive the poll.
#[inline(always)]
pub(crate) fn borrowed(thread: CellRef) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(thread.0.as_ptr().cast_const().cast(), &BORROWED);
    // SAFETY: the functions of the table keep the contract of `RawWaker` for as long as the poll lasts, which is
    // as long as anybody can hold a reference to this waker; clones are owned wakers.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// The thread whose own waker this is, if it is one of this OS thread.
#[inline(always)]
pub(crate) fn is_of(waker: &Waker, thread: CellRef) -> bool {
    std::ptr::eq(waker.data(), thread.0.as_ptr().cast_const().cast())
        && std::ptr::eq(waker.vtable(), &BORROWED)
}

fn cell_of(data: *const ()) -> CellRef {
    // SAFETY: the data of a borrowed waker is a cell's address, never null.
    CellRef(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) })
}

/// The number in the thread's prefix; may be read on any OS thread.
fn home_of(cell: CellRef) -> u32 {
    // SAFETY: the cell lives during the poll, `home` never changes and no reference to its neighbours is made.
    let bytes = unsafe { (&raw const (*cell.0.as_ptr().cast::<ThreadPart>().sub(1)).home).read() };
    home_number(bytes)
}

fn clone_borrowed(data: *const ()) -> RawWaker {
    let cell = cell_of(data);
    let home = home_of(cell);
    let record = if home == runtime::with(|runtime| runtime.home.get()) {
        record_of(cell)
    } else {
        foreign_record(cell, home)
    };
    RawWaker::new(Arc::into_raw(record).cast(), &OWNED)
}

fn wake_borrowed(data: *const ()) {
    let cell = cell_of(data);
    let home = home_of(cell);
    if home == runtime::with(|runtime| runtime.home.get()) {
        thread::wake_by_waker(cell);
    } else {
        let record = foreign_record(cell, home);
        wake_far(&record);
        drop_far(record);
    }
}

/// The record of a thread of this OS thread, with one more waker counted.
fn record_of(cell: CellRef) -> Arc<Record> {
    let known = cell
        .with_extras(|extras| extras.records.first().cloned())
        .flatten();
    let record = known.unwrap_or_else(|| {
        let record = Arc::new(Record {
            inbox: inbox(),
            cell: AtomicPtr::new(cell.0.as_ptr()),
            wakers: AtomicUsize::new(0),
            queued: AtomicBool::new(false),
            counted: AtomicBool::new(false),
        });
        let kept = record.clone();
        cell.make_extras(|extras| extras.records.push(kept));
        enlist(&record);
        record
    });
    if record.wakers.fetch_add(1, Ordering::Relaxed) == 0 {
        record.inbox.live_records.fetch_add(1, Ordering::Relaxed);
        if !record.counted.swap(true, Ordering::Relaxed) {
            add_owner(cell);
        }
    }
    record
}

/// A record made on a foreign OS thread, during the poll of the cell at home.
#[cold]
fn foreign_record(cell: CellRef, home: u32) -> Arc<Record> {
    let inbox = registry().get(home as usize - 1).cloned().flatten();
    let Some(inbox) = inbox else {
        unreachable!("an OS thread that polls has an inbox");
    };
    let record = Arc::new(Record {
        inbox: inbox.clone(),
        cell: AtomicPtr::new(cell.0.as_ptr()),
        wakers: AtomicUsize::new(1),
        queued: AtomicBool::new(false),
        counted: AtomicBool::new(false),
    });
    inbox.live_records.fetch_add(1, Ordering::Relaxed);
    lock(&inbox.adoptions).push(record.clone());
    inbox.has_adoptions.store(true, Ordering::Release);
    record
}

/// Takes over the records that foreign OS threads made during a poll.
#[inline(always)]
pub(crate) fn adopt() {
    let any = runtime::with(|runtime| {
        runtime.inbox.with(|inbox| {
            inbox
                .as_ref()
                .is_some_and(|inbox| inbox.has_adoptions.load(Ordering::Acquire))
        })
    });
    if any {
        adopt_all();
    }
}

#[cold]
fn adopt_all() {
    let inbox = inbox();
    inbox.has_adoptions.store(false, Ordering::Relaxed);
    let records = std::mem::take(&mut *lock(&inbox.adoptions));
    for record in records {
        let Some(cell) = record.cell() else { continue };
        if record.wakers.load(Ordering::Acquire) > 0
            && !record.counted.swap(true, Ordering::Relaxed)
        {
            add_owner(cell);
        }
        enlist(&record);
        cell.make_extras(|extras| {
            extras.records.retain(|record| !record.is_spent());
            extras.records.push(record);
        });
    }
}

/// Notes a record for the end of the OS thread.
fn enlist(record: &Arc<Record>) {
    runtime::with(|runtime| {
        runtime.records.with(|records| {
            if records.len() == records.capacity() {
                records.retain(|record| record.strong_count() > 0);
            }
            records.push(Arc::downgrade(record));
        });
    });
}

/// The OS thread ends: wakers that live on elsewhere keep no thread of it.
pub(crate) fn forget_all() {
    let records = runtime::with(|runtime| runtime.records.with(std::mem::take));
    for record in records {
        if let Some(record) = record.upgrade() {
            forget(&record);
        }
    }
}

// ------------------------------------------------------------------------------------------------- owned wakers

static OWNED: RawWakerVTable =
    RawWakerVTable::new(clone_owned, wake_owned, wake_owned_by_ref, drop_owned);

impl Record {
    fn cell(&self) -> Option<CellRef> {
        NonNull::new(self.cell.load(Ordering::Relaxed)).map(CellRef)
    }

    /// Whether no waker of it is left, and no message of it is on its way. Forgets the thread if so.
    fn is_spent(&self) -> bool {
        let spent = self.wakers.load(Ordering::Acquire) == 0
            && !self.counted.load(Ordering::Relaxed)
            && !self.queued.load(Ordering::Acquire);
        if spent {
            self.cell.store(std::ptr::null_mut(), Ordering::Relaxed);
        }
        spent
    }

    fn is_home(&self) -> bool {
        runtime::with(|runtime| {
            runtime.inbox.with(|inbox| {
                inbox
                    .as_ref()
                    .is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox))
            })
        })
    }
}

/// Takes an owned waker's data for the record that it counts.
///
/// # Safety
/// `data` is that of an owned waker which is given up.
unsafe fn record_from(data: *const ()) -> Arc<Record> {
    // SAFETY: the data came from `Arc::into_raw`, and the caller gives up its count.
    unsafe { Arc::from_raw(data.cast()) }
}

unsafe fn clone_owned(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned counts the record; `ManuallyDrop` leaves its count alone.
    let record = ManuallyDrop::new(unsafe { record_from(data) });
    record.wakers.fetch_add(1, Ordering::Relaxed);
    RawWaker::new(Arc::into_raw(Arc::clone(&record)).cast(), &OWNED)
}

unsafe fn wake_owned(data: *const ()) {
    // SAFETY: as the contract of `RawWaker` says, this waker is given up.
    unsafe {
        wake_owned_by_ref(data);
        drop_owned(data);
    }
}

unsafe fn wake_owned_by_ref(data: *const ()) {
    // SAFETY: as in `clone_owned`.
    let record = ManuallyDrop::new(unsafe { record_from(data) });
    if record.is_home() {
        if let Some(cell) = record.cell() {
            thread::wake_by_waker(cell);
        }
    } else {
        wake_far(&record);
    }
}

unsafe fn drop_owned(data: *const ()) {
    // SAFETY: as the contract of `RawWaker` says, this waker is given up.
    let record = unsafe { record_from(data) };
    if record.is_home() {
        if record.wakers.fetch_sub(1, Ordering::Release) == 1 {
            record.inbox.live_records.fetch_sub(1, Ordering::Relaxed);
            release(&record);
        }
    } else {
        drop_far(record);
    }
}

fn wake_far(record: &Arc<Record>) {
    if !record.queued.swap(true, Ordering::AcqRel) {
        let _ = record.inbox.messages.post(Message::Wake(record.clone()));
    }
}

fn drop_far(record: Arc<Record>) {
    if record.wakers.fetch_sub(1, Ordering::Release) == 1 {
        let inbox = record.inbox.clone();
        // Posted before the record counts as dead, so that a loop which finds nothing alive has the message.
        let _ = inbox.messages.post(Message::Release(record));
        inbox.live_records.fetch_sub(1, Ordering::Release);
    }
}

/// The record's last waker is gone (as far as was known when the message was sent).
fn release(record: &Record) {
    if record.wakers.load(Ordering::Acquire) == 0
        && record.counted.swap(false, Ordering::Relaxed)
        && let Some(cell) = record.cell()
    {
        release_owner(cell);
    }
}

/// The thread is over: its wakers do nothing any more, and do not keep its cell.
pub(crate) fn forget(record: &Record) {
    if let Some(cell) = NonNull::new(record.cell.swap(std::ptr::null_mut(), Ordering::Relaxed))
        && record.counted.swap(false, Ordering::Relaxed)
    {
        release_owner(CellRef(cell));
    }
}

/// The cell is being freed: no record leads to it any more.
pub(crate) fn detach(_cell: CellRef, extras: &Extras) {
    for record in &extras.records {
        record.counted.store(false, Ordering::Relaxed);
        record.cell.store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Serves what other OS threads have sent. Tells how many messages there were.
pub(crate) fn drain() -> usize {
    let Some(inbox) = runtime::with(|runtime| runtime.inbox.with(|inbox| inbox.clone())) else {
        return 0;
    };
    let messages = inbox.messages.take();
    let count = messages.len();
    if count == 0 {
        return 0;
    }
    let frame = runtime::Frame::open();
    for message in messages {
        match message {
            Message::Run(work) => runtime::protect(work),
            Message::Wake(record) => {
                record.queued.store(false, Ordering::Release);
                if let Some(cell) = record.cell() {
                    thread::wake_by_waker(cell);
                }
            }
            Message::Release(record) => release(&record),
        }
    }
    drop(frame);
    count
}
