//! What every test of this crate uses: a time limit, and the check that nothing is left behind.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use lwt_core::{Promise, Result, scheduler};
use lwt_unix::{Builder, counters};

/// How long a test may take before the process is ended with its name. Ten times what the slowest needs.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs a test: within the time limit, and checking that promises, waiters, timers, watchers, descriptors and jobs of
/// this OS thread are back where they were.
#[track_caller]
pub fn check(body: impl FnOnce() -> Result<()>) {
    let _limit = limited();
    warm_up();
    let before = Balance::now();
    if let Err(error) = body() {
        panic!("the test failed: {error:?}");
    }
    warm_up();
    let after = Balance::now();
    assert_eq!(
        after, before,
        "something was left behind (left: after, right: before)"
    );
}

/// Makes what a loop makes once (its bell), and gives a loop that has ended the turn in which it tidies up.
fn warm_up() {
    lwt_unix::run(lwt_core::pause()).expect("a pause ends");
}

/// What must be the same before and after a test.
#[derive(Debug, PartialEq)]
struct Balance {
    unix: lwt_unix::Counters,
    core: scheduler::Counters,
}

impl Balance {
    fn now() -> Balance {
        Balance {
            unix: counters(),
            core: scheduler::counters(),
        }
    }
}

/// Ends the process, with the test's name, if the returned guard lives too long.
pub fn limited() -> TimeLimit {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (alive, watched) = channel();
    std::thread::spawn(move || watch(&name, &watched));
    TimeLimit(alive)
}

#[derive(Debug)]
pub struct TimeLimit(std::sync::mpsc::Sender<()>);

fn watch(name: &str, watched: &Receiver<()>) {
    if watched.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
        eprintln!("the test {name} has taken longer than {TIME_LIMIT:?}");
        std::process::abort();
    }
}

/// Runs a thread under the virtual clock.
#[track_caller]
pub fn virtually<T: 'static>(main: impl FnOnce() -> Promise<T>) -> Result<T> {
    Builder::new().virtual_time(1).run(main)
}

/// The text of an error that must have happened.
#[track_caller]
pub fn text_of<T: Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => panic!("expected an error, got {value:?}"),
        Err(error) => error.to_string(),
    }
}

/// The operation and the kind of a system call's error that must have happened.
#[track_caller]
pub fn system_error<T: Debug>(result: Result<T>) -> (&'static str, std::io::ErrorKind) {
    match result {
        Ok(value) => panic!("expected an error, got {value:?}"),
        Err(error) => match error.downcast_ref::<lwt_unix::SystemError>() {
            Some(system) => (system.operation(), system.kind()),
            None => panic!("expected the error of a system call, got {error:?}"),
        },
    }
}

/// Lets the engine look at timers and descriptors this many times. (A pause would not do: the loop may wake those that are
/// paused several times before it asks the engine.)
pub async fn turns(count: usize) -> Result<()> {
    // The timer of a turn is served before its descriptors: one more, so that the last turn is complete.
    for _ in 0..=count {
        lwt_unix::sleep(Duration::ZERO).await?;
    }
    Ok(())
}

/// Milliseconds, for tests that are full of them.
pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
