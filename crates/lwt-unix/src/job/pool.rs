//! The worker threads, shared by all loops of the process.
//!
//! A plain pool: one queue under one lock. Threads are started on demand up to a limit, never end, and run with all
//! signals blocked, so that signals reach a loop. When the limit is reached work queues; it never runs on the thread
//! that submits it.
//!
//! # How work is handed over
//!
//! `idle` counts workers that wait and have not been *promised* anything. Whoever submits work to an idle worker takes
//! one off `idle` and adds one `promise`, in the same critical section; the worker that wakes up redeems the promise.
//! So two submissions never count on the same worker, whatever order the operating system wakes them in. A worker that
//! finishes takes queued work without going to sleep; a promise then finds the queue empty, and its worker counts as
//! idle again.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::sys;

/// The default of [`pool_size`]: enough for slow name servers and disks, few enough not to drown a machine.
const DEFAULT_LIMIT: usize = 64;

/// A piece of work.
pub(super) struct Task {
    pub(super) work: Box<dyn FnOnce() + Send>,
    /// Set when nobody wants the result any more: a task that has not started is dropped unrun.
    pub(super) unwanted: Arc<AtomicBool>,
}

struct State {
    queue: VecDeque<Task>,
    threads: usize,
    idle: usize,
    promises: usize,
    limit: usize,
}

static STATE: Mutex<State> = Mutex::new(State {
    queue: VecDeque::new(),
    threads: 0,
    idle: 0,
    promises: 0,
    limit: DEFAULT_LIMIT,
});
static PROMISED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    // No code of the program runs under the lock, so a poisoned state is a consistent one.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most worker threads there will be (64 unless set).
#[doc(alias = "Lwt_unix.pool_size")]
pub fn pool_size() -> usize {
    state().limit
}

/// Sets the most worker threads there will be, at least one; threads that exist already stay.
#[doc(alias = "Lwt_unix.set_pool_size")]
pub fn set_pool_size(limit: usize) {
    state().limit = limit.max(1);
}

/// The number of worker threads there are.
#[doc(alias = "Lwt_unix.thread_count")]
pub fn thread_count() -> usize {
    state().threads
}

/// The number of worker threads that have nothing to do.
#[doc(alias = "Lwt_unix.thread_waiting_count")]
pub fn waiting_count() -> usize {
    state().idle
}

/// Gives work to the pool.
///
/// # Errors
/// When no thread can be started and there is none: then the task would wait for ever, and is dropped.
pub(super) fn submit(task: Task) -> io::Result<()> {
    let mut state = state();
    state.queue.push_back(task);
    if state.idle > 0 {
        state.idle -= 1;
        state.promises += 1;
        drop(state);
        PROMISED.notify_one();
        return Ok(());
    }
    if state.threads >= state.limit {
        return Ok(());
    }
    state.threads += 1;
    drop(state);
    start_worker().or_else(give_up)
}

fn start_worker() -> io::Result<()> {
    let builder = thread::Builder::new().name("lwt worker".to_owned());
    sys::signals::with_all_blocked(|| builder.spawn(work)).map(drop)
}

/// A thread could not be started: no harm if there are others, which will come to the task.
fn give_up(error: io::Error) -> io::Result<()> {
    let mut state = state();
    state.threads -= 1;
    if state.threads > 0 {
        return Ok(());
    }
    let stranded = std::mem::take(&mut state.queue);
    drop(state);
    drop(stranded);
    Err(error)
}

/// What a worker does all its life.
fn work() {
    let mut task = state().queue.pop_front();
    loop {
        // The task catches the panics of its function; this is for values whose destructors panic.
        let _ = catch_unwind(AssertUnwindSafe(|| run(task.take())));
        task = Some(next_task());
    }
}

fn run(task: Option<Task>) {
    if let Some(Task { work, unwanted }) = task
        && !unwanted.load(Ordering::Acquire)
    {
        work();
    }
}

fn next_task() -> Task {
    let mut state = state();
    if let Some(task) = state.queue.pop_front() {
        return task;
    }
    state.idle += 1;
    loop {
        state = PROMISED
            .wait_while(state, |state| state.promises == 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.promises -= 1;
        match state.queue.pop_front() {
            Some(task) => return task,
            None => state.idle += 1,
        }
    }
}
