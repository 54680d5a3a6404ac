//! What every test of the core uses: balance, counts of drops and polls, logs, and a limit of time.
//!
//! The tests run on threads of the test harness, each with a scheduler of its own, so that counting needs no locks.

#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lwt_core::{Error, Promise, State, scheduler};

/// Runs `f` and asserts that cells, queues, pauses and wakers are then as they were before.
#[track_caller]
pub fn balanced<R>(f: impl FnOnce() -> R) -> R {
    let before = scheduler::counters();
    let result = f();
    let after = scheduler::counters();
    assert_eq!(after, before, "left: after, right: before");
    result
}

/// Ends the process, naming the test, unless dropped in time.
pub struct TimeLimit {
    stop: Option<Sender<()>>,
}

/// A limit for the test that runs on this OS thread, in seconds (more under Miri, where all is slow).
pub fn time_limit(seconds: u64) -> TimeLimit {
    let seconds = if cfg!(any(miri, lwt_no_free_lists)) {
        seconds * 30
    } else {
        seconds
    };
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (stop, stopped) = channel();
    std::thread::spawn(move || {
        if stopped.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} took more than {seconds} seconds");
            std::process::abort();
        }
    });
    TimeLimit { stop: Some(stop) }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.stop.take();
    }
}

/// The number of steps of a test, smaller where everything is slow.
pub const fn sized(usual: usize, under_miri: usize) -> usize {
    if cfg!(miri) {
        under_miri
    } else if cfg!(lwt_no_free_lists) && usual / 10 > under_miri {
        usual / 10
    } else {
        usual
    }
}

/// Hands out values that count how many of them are alive and how many were dropped.
#[derive(Clone, Default)]
pub struct DropCount {
    made: Rc<Cell<usize>>,
    dropped: Rc<Cell<usize>>,
}

impl DropCount {
    pub fn value(&self) -> Counted {
        self.made.set(self.made.get() + 1);
        Counted {
            count: self.clone(),
        }
    }

    pub fn made(&self) -> usize {
        self.made.get()
    }

    pub fn dropped(&self) -> usize {
        self.dropped.get()
    }

    pub fn alive(&self) -> usize {
        self.made.get() - self.dropped.get()
    }
}

/// See [`DropCount`]. Dropping one twice makes the count of living ones overflow, which panics.
pub struct Counted {
    count: DropCount,
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        self.count.value()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let dropped = &self.count.dropped;
        dropped.set(dropped.get() + 1);
        assert!(dropped.get() <= self.count.made.get(), "dropped twice");
    }
}

/// Runs a closure when it is dropped.
pub struct OnDrop(Option<Box<dyn FnOnce()>>);

impl OnDrop {
    pub fn new(f: impl FnOnce() + 'static) -> OnDrop {
        OnDrop(Some(Box::new(f)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// A list that callbacks write to.
pub struct Log<E>(Rc<RefCell<Vec<E>>>);

impl<E> Clone for Log<E> {
    fn clone(&self) -> Log<E> {
        Log(self.0.clone())
    }
}

impl<E> Default for Log<E> {
    fn default() -> Log<E> {
        Log(Rc::default())
    }
}

impl<E: 'static> Log<E> {
    pub fn new() -> Log<E> {
        Log::default()
    }

    pub fn push(&self, entry: E) {
        self.0.borrow_mut().push(entry);
    }

    /// Takes what was written so far.
    pub fn take(&self) -> Vec<E> {
        std::mem::take(&mut self.0.borrow_mut())
    }

    /// A callback that writes an entry.
    pub fn note(&self, entry: E) -> impl FnOnce() + 'static {
        let log = self.clone();
        move || log.push(entry)
    }
}

/// A future that ends when told to, woken only through the waker it was polled with.
#[derive(Clone, Default)]
pub struct Foreign {
    waker: Rc<RefCell<Option<Waker>>>,
    done: Rc<Cell<bool>>,
    polls: Rc<Cell<usize>>,
}

impl Foreign {
    pub fn new() -> Foreign {
        Foreign::default()
    }

    /// Ends it and wakes whoever polled it last.
    pub fn finish(&self) {
        self.done.set(true);
        self.wake();
    }

    /// Wakes whoever polled it last.
    pub fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The waker of the last poll.
    pub fn waker(&self) -> Option<Waker> {
        self.waker.borrow_mut().take()
    }

    pub fn polls(&self) -> usize {
        self.polls.get()
    }
}

impl Future for Foreign {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.polls.set(self.polls.get() + 1);
        if self.done.get() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Counts the polls of a future.
pub struct CountPolls<F> {
    future: Pin<Box<F>>,
    polls: Rc<Cell<usize>>,
}

impl<F: Future> CountPolls<F> {
    pub fn new(polls: &Rc<Cell<usize>>, future: F) -> CountPolls<F> {
        CountPolls {
            future: Box::pin(future),
            polls: polls.clone(),
        }
    }
}

impl<F: Future> Future for CountPolls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.set(self.polls.get() + 1);
        self.future.as_mut().poll(context)
    }
}

type AsyncHook = Rc<dyn Fn(&Error)>;

/// Collects what goes to the asynchronous exception hook while it lives, then puts the former hook back.
pub struct Hook {
    seen: Rc<RefCell<Vec<Error>>>,
    former: Option<AsyncHook>,
}

impl Hook {
    pub fn install() -> Hook {
        let seen: Rc<RefCell<Vec<Error>>> = Rc::default();
        let sink = seen.clone();
        let former = lwt_core::set_async_exception_hook(move |error| {
            sink.borrow_mut().push(error.clone());
        });
        Hook {
            seen,
            former: Some(former),
        }
    }

    pub fn take(&self) -> Vec<Error> {
        std::mem::take(&mut self.seen.borrow_mut())
    }

    /// What was seen, as text.
    pub fn texts(&self) -> Vec<String> {
        self.take().iter().map(Error::to_string).collect()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(former) = self.former.take() {
            lwt_core::set_async_exception_hook(move |error| former(error));
        }
    }
}

/// Runs something that is expected to panic without printing the panic of this OS thread.
pub fn quietly<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
}

/// The value of a promise that is fulfilled.
#[track_caller]
pub fn value<T: Clone>(promise: &Promise<T>) -> T {
    match promise.state() {
        State::Return(value) => value.clone(),
        State::Fail(error) => panic!("failed: {error}"),
        State::Sleep => panic!("still asleep"),
    }
}

/// The failure of a promise that failed.
#[track_caller]
pub fn failure<T>(promise: &Promise<T>) -> Error {
    match promise.state() {
        State::Fail(error) => error.clone(),
        State::Return(_) => panic!("fulfilled"),
        State::Sleep => panic!("still asleep"),
    }
}

/// Whether a promise failed with `Canceled`.
pub fn is_canceled<T>(promise: &Promise<T>) -> bool {
    matches!(promise.state(), State::Fail(error) if error.is_canceled())
}

/// The seed of a property test: always the same, so that a run says something about the change and not about chance;
/// `PROPTEST_RNG_SEED=random` (or a number) explores.
pub fn rng_seed() -> proptest::test_runner::RngSeed {
    use proptest::test_runner::RngSeed;
    match std::env::var("PROPTEST_RNG_SEED") {
        Ok(text) => text.parse().map_or(RngSeed::Random, RngSeed::Fixed),
        Err(_) => RngSeed::Fixed(2_011),
    }
}
