//! The time limit of a test: an operating-system thread that waits beside it.
//!
//! A promise is not `Send`, so what the watchdog can reach is the loop's inbox: it posts a closure, which finds the
//! resolver of the time limit in a variable of the loop's own thread. The closure carries the number of its test, since
//! it may be taken only after that test has ended, while the next one runs on the same thread.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::scheduler::{self, Inbox};
use crate::{Error, Promise, Resolver};

/// How long a test that was told to end may take to come back to the loop: as long again as its time limit, within these
/// bounds.
const GRACE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(30);

thread_local! {
    /// The time limit of the test that runs on this thread.
    static CURRENT: RefCell<Option<(u64, Resolver<()>)>> = const { RefCell::new(None) };
    /// The number of the last test that ran on this thread.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// The failure of a test that took too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    limit: Duration,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the test was not over after its time limit of {:?}",
            self.limit
        )
    }
}

impl std::error::Error for TimeLimit {}

/// Watches one test; ends with it, when dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Dropped to tell the thread that the test has ended.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Fails when the time is over; taken by the test.
    promise: Option<Promise<()>>,
    started: Instant,
    limit: Duration,
}

impl Watchdog {
    /// Starts to wait for the time limit of the test `name`.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub(super) fn start(name: &'static str, limit: Duration) -> Result<Self, Error> {
        let number = LAST.get() + 1;
        LAST.set(number);
        let (running, ended) = channel();
        let inbox = scheduler::inbox();
        let thread = thread::Builder::new()
            .name("time limit of a test".to_owned())
            .spawn(move || watch(name, number, limit, &inbox, &ended))?;
        let (promise, resolver) = crate::wait();
        CURRENT.set(Some((number, resolver)));
        Ok(Watchdog {
            running: Some(running),
            thread: Some(thread),
            promise: Some(promise),
            started: Instant::now(),
            limit,
        })
    }

    /// The promise that fails with [`TimeLimit`] when the time is over.
    pub(super) fn promise(&mut self) -> Promise<()> {
        self.promise.take().unwrap_or_else(crate::forever)
    }

    /// Checks that the test, which has ended, did so in time: one that held the loop's thread until then was not ended.
    pub(super) fn check(&self) -> Result<(), TimeLimit> {
        if self.started.elapsed() <= self.limit {
            Ok(())
        } else {
            Err(TimeLimit { limit: self.limit })
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // The thread only waits and writes: it does not panic, and there is nobody to tell.
            let _ = thread.join();
        }
        CURRENT.set(None);
    }
}

/// What the watchdog's own thread does.
fn watch(name: &str, number: u64, limit: Duration, inbox: &Inbox, ended: &Receiver<()>) {
    if has_ended(ended, limit) {
        return;
    }
    let end_test = Box::new(move || {
        let current = CURRENT.take();
        match current {
            Some((running, resolver)) if running == number => resolver.reject(TimeLimit { limit }),
            other => CURRENT.set(other),
        }
    });
    // A closed inbox is that of a loop that is gone: then the test is ending.
    let _ = inbox.post(end_test);
    if has_ended(ended, limit.clamp(*GRACE.start(), *GRACE.end())) {
        return;
    }
    // Written past the capture of the test harness, which would go down with the process.
    let _ = writeln!(
        io::stderr(),
        "{name}: not over after its time limit of {limit:?}, and its thread does not come back to the main loop: a \
         computation or a blocking call holds it; aborting the test process"
    );
    std::process::abort()
}

/// Waits until the test has ended, at most for the given time.
fn has_ended(ended: &Receiver<()>, wait: Duration) -> bool {
    !matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}
