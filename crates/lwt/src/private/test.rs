//! What `#[lwt::test]` does: run the body under a main loop of its own, watch the time, and check what is left behind.
//!
//! In order:
//!
//! 1. what is ready on this operating-system thread runs (`settle`), and everything is counted (`Census`);
//! 2. a `Watchdog`, an operating-system thread, starts to wait for the time limit;
//! 3. the body runs as a thread under the main loop, with the virtual clock where asked for, and then the exit hooks;
//! 4. what is ready runs again, and a second count is compared with the first.
//!
//! A test fails by panicking, with a text that says why; a panic of the body goes on unchanged, so that `#[should_panic]`
//! sees it. Everything counted belongs to this operating-system thread, so tests run side by side as usual.
//!
//! The time limit is of real time and works in two steps. First the watchdog posts a closure to the loop's inbox, which
//! ends the run and lets the test fail with the list of what the body waits for. When that is not taken within as much time
//! again, the loop's thread is stuck in a computation or a blocking call; no other operating-system thread can end that,
//! so the process is aborted, with a message that names the test.

mod census;
mod watchdog;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::Output;
use crate::scheduler;
use crate::unix::{Builder, Deadlock};
use crate::{Error, Promise};

use census::Census;
use watchdog::{TimeLimit, Watchdog};

/// How many rounds of ready work may follow a test before its balance is taken. A thread that is always ready is left
/// behind too.
const SETTLE_ROUNDS: usize = 10_000;

/// The options of `#[lwt::test]`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The path of the test, for messages.
    pub name: &'static str,
    /// Whether time jumps to the next timer.
    pub virtual_clock: bool,
    /// The seed of the loop's random generator.
    pub seed: Option<u64>,
    /// How long the test may take, in milliseconds of real time.
    pub time_limit_ms: u64,
}

/// Runs the body of a test.
///
/// # Panics
///
/// When the test fails: see the module's text.
#[track_caller]
pub fn run<O, F>(options: Options, body: impl FnOnce() -> F + 'static) -> O
where
    O: Output,
    F: Future<Output = O> + 'static,
{
    warm_up();
    settle();
    let before = Census::take();
    let output = match run_body(options, body) {
        Ok(output) => output,
        Err(error) if error.is_panic() => error.resume(),
        Err(error) => panic!("{}: {error:?}", options.name),
    };
    if !output.is_failure() {
        settle();
        let left = Census::take().since(before);
        assert!(
            left.is_empty(),
            "{}: left behind: {left} (end or cancel every thread, and drop every handle, before the test ends)",
            options.name
        );
    }
    output
}

/// Runs the body under the main loop and gives its result.
fn run_body<O, F>(options: Options, body: impl FnOnce() -> F + 'static) -> Result<O, Error>
where
    O: 'static,
    F: Future<Output = O> + 'static,
{
    let mut builder = Builder::new();
    if options.virtual_clock {
        builder = builder.virtual_time(options.seed.unwrap_or(0));
    } else if let Some(seed) = options.seed {
        scheduler::seed_random(seed);
    }
    let mut watchdog = Watchdog::start(options.name, Duration::from_millis(options.time_limit_ms))?;
    let result: Rc<Cell<Option<O>>> = Rc::default();
    // A handle that stays here, to tell afterwards what the body hangs on.
    let thread: Rc<RefCell<Option<Promise<()>>>> = Rc::default();
    let outcome = builder.run({
        let (result, thread) = (result.clone(), thread.clone());
        let time_limit = watchdog.promise();
        move || {
            let body = body();
            let body = crate::spawn(async move {
                result.set(Some(body.await));
                Ok(())
            });
            *thread.borrow_mut() = Some(body.clone());
            crate::choose([body, time_limit])
        }
    });
    let thread = thread.borrow_mut().take();
    match outcome {
        Ok(()) => {
            crate::unix::run_exit_hooks()?;
            watchdog.check()?;
            let ended = result.take();
            ended.ok_or_else(|| Error::message("the test ended without a result"))
        }
        Err(error) => Err(explain(error, thread)),
    }
}

/// Adds what the body hangs on to an error that says that it does.
fn explain(error: Error, thread: Option<Promise<()>>) -> Error {
    let what = if error.is::<Deadlock>() {
        "nothing is left that could wake the test".to_owned()
    } else if let Some(limit) = error.downcast_ref::<TimeLimit>() {
        limit.to_string()
    } else {
        return error;
    };
    let mut text = format!("{what}; it waits for:");
    // The first line is the test itself.
    for sleeping in thread.iter().flat_map(scheduler::sleeping_tree).skip(1) {
        let indent = "  ".repeat(sleeping.depth);
        text.push_str(&format!("\n{indent}{}", sleeping.what));
    }
    Error::message(text)
}

/// Has the loop make what it keeps for good on an operating-system thread (its bell), so that the first test there does
/// not seem to leave it behind.
fn warm_up() {
    // Refused inside a loop; then the test is refused too, and says why.
    let _ = Builder::new().run(crate::return_unit);
}

/// Resumes what is ready, outside a loop, until nothing is.
fn settle() {
    for _ in 0..SETTLE_ROUNDS {
        scheduler::drain_inbox();
        if !scheduler::has_ready() && crate::paused_count() == 0 {
            return;
        }
        scheduler::begin_turn();
        crate::wakeup_paused();
        scheduler::run_ready(scheduler::turn_limit());
    }
}
