//! Jobs: blocking work on the worker threads, seen as a promise.
//!
//! A job is a function that may block (look a name up, read a file, compute for a long time). [`run`] gives it to the
//! pool and returns at once; the function's result, or its panic, comes back through the inbox of the loop that
//! started it.
//!
//! # What crosses, and what does not
//!
//! Promises belong to one OS thread, so the resolver of a job stays here, in a table; what travels is the function,
//! the key of its entry, and the result. A key carries a generation: a result that arrives after its job was cancelled
//! finds no entry and is dropped, and so is one whose loop is gone.
//!
//! An entry keeps the loop alive ([`scheduler::keep_alive`]): a job's end is certain to come.

mod pool;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lwt_core::scheduler::{self, KeepAlive};
use lwt_core::{Error, Promise, Resolver, Result};

use crate::failure;

pub use self::pool::{pool_size, set_pool_size, thread_count, waiting_count};

/// Runs `function` on a worker thread; the promise gives its result.
///
/// A job starts when a worker is free: an idle one, else a new one while there are fewer than [`pool_size`], else it
/// queues. It never runs on the loop's own thread. Jobs of one loop start in order; they end in any order.
///
/// # Errors
/// A panic of `function` is the failure of the promise ([`Error::is_panic`]). If no worker can be started and there is
/// none, the promise fails with the system's error.
///
/// # Cancellation
/// The promise fails at once (the same when it is dropped). A job that has not started is taken out of the queue; one
/// that runs goes on to its end, unseen, and its result is dropped.
///
/// # Examples
/// ```
/// let sum = lwt_unix::run(lwt_unix::job::run(|| (1..=1_000_u64).sum::<u64>()))?;
/// assert_eq!(sum, 500_500);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_preemptive.detach")]
#[doc(alias = "Lwt_unix.execute_job")]
#[doc(alias = "Lwt_unix.run_job")]
pub fn run<R: Send + 'static>(function: impl FnOnce() -> R + Send + 'static) -> Promise<R> {
    start(move || Ok(function()))
}

/// Runs a function that can fail on a worker thread: as [`run`], with the function's error as the promise's failure.
///
/// # Errors
/// The error of `function`, and those of [`run`].
///
/// # Cancellation
/// As for [`run`].
///
/// # Examples
/// ```
/// let text = lwt_unix::job::try_run(|| std::fs::read_to_string("/no/such/file"));
/// assert!(lwt_unix::run(text).is_err());
/// ```
pub fn try_run<R, E>(
    function: impl FnOnce() -> std::result::Result<R, E> + Send + 'static,
) -> Promise<R>
where
    R: Send + 'static,
    E: Into<Error> + 'static,
{
    start(move || function().map_err(Into::into))
}

fn start<R: Send + 'static>(function: impl FnOnce() -> Result<R> + Send + 'static) -> Promise<R> {
    let (promise, resolver) = scheduler::leaf::<R>("job");
    let unwanted = Arc::new(AtomicBool::new(false));
    let Some(key) = enter(resolver.clone()) else {
        return lwt_core::fail_with("this OS thread is ending");
    };
    let flag = Arc::clone(&unwanted);
    resolver.on_withdrawn(move || {
        flag.store(true, Ordering::Release);
        drop(leave(key));
    });
    let inbox = scheduler::inbox();
    let work = move || {
        let result = catch_unwind(AssertUnwindSafe(function));
        // An error says that the loop is gone: then the result is dropped with the message.
        let _ = inbox.post(Box::new(move || finish(key, result)));
    };
    if let Err(error) = pool::submit(pool::Task {
        work: Box::new(work),
        unwanted,
    }) {
        drop(leave(key));
        return lwt_core::fail(failure::system("start", "a worker thread", error));
    }
    promise
}

/// Runs work on a worker thread whose end nobody waits for. Where no worker can be had, it is dropped here.
pub(crate) fn run_unseen(work: impl FnOnce() + Send + 'static) {
    let unwanted = Arc::new(AtomicBool::new(false));
    // The only failure is that there is no worker; then the work has been dropped, and nobody is to be told.
    let _ = pool::submit(pool::Task {
        work: Box::new(work),
        unwanted,
    });
}

/// On the loop's thread: hands a result to whoever still waits for it.
fn finish<R: 'static>(key: Key, result: thread::Result<Result<R>>) {
    let Some(entry) = leave(key) else {
        return;
    };
    if let Ok(resolver) = entry.resolver.downcast::<Resolver<R>>() {
        match result {
            Ok(Ok(value)) => resolver.resolve(value),
            Ok(Err(error)) => resolver.reject(error),
            Err(payload) => resolver.reject(Error::from_panic(payload)),
        }
    }
}

/// How many jobs of this OS thread's loop have not ended.
pub(crate) fn in_progress() -> usize {
    JOBS.try_with(|jobs| jobs.borrow().live).unwrap_or(0)
}

#[derive(Clone, Copy)]
struct Key {
    index: usize,
    generation: u64,
}

struct Entry {
    /// A `Resolver<R>`; only `finish`, which was made together with it, knows the `R`.
    resolver: Box<dyn Any>,
    _alive: KeepAlive,
}

#[derive(Default)]
struct Slot {
    generation: u64,
    entry: Option<Entry>,
}

#[derive(Default)]
struct Jobs {
    slots: Vec<Slot>,
    free: Vec<usize>,
    live: usize,
}

thread_local! {
    static JOBS: RefCell<Jobs> = RefCell::new(Jobs::default());
}

fn enter<R: 'static>(resolver: Resolver<R>) -> Option<Key> {
    let entry = Entry {
        resolver: Box::new(resolver),
        _alive: scheduler::keep_alive(),
    };
    let entered = JOBS.try_with(|jobs| {
        let mut jobs = jobs.borrow_mut();
        jobs.live += 1;
        let index = match jobs.free.pop() {
            Some(index) => index,
            None => {
                jobs.slots.push(Slot::default());
                jobs.slots.len() - 1
            }
        };
        let slot = jobs.slots.get_mut(index)?;
        slot.entry = Some(entry);
        Some(Key {
            index,
            generation: slot.generation,
        })
    });
    entered.ok().flatten()
}

/// Ends an entry; the caller drops what comes out of it while nothing is borrowed.
fn leave(key: Key) -> Option<Entry> {
    let left = JOBS.try_with(|jobs| {
        let mut jobs = jobs.borrow_mut();
        let slot = jobs
            .slots
            .get_mut(key.index)
            .filter(|slot| slot.generation == key.generation)?;
        let entry = slot.entry.take()?;
        slot.generation += 1;
        jobs.free.push(key.index);
        jobs.live -= 1;
        Some(entry)
    });
    left.ok().flatten()
}
