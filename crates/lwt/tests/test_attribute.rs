//! `#[lwt::test]`: its options, and everything that makes a test fail.
//!
//! The two tests of the time limit wait on the wall clock, since that is what a time limit is about; all others use the
//! virtual one, or none.

use std::cell::Cell;
use std::mem;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lwt::__private::test::{Options, run};
use lwt::Result;
use lwt::unix::{pipe, sleep};

const HOUR: Duration = Duration::from_secs(3600);

/// The options of `#[lwt::test(virtual_clock)]`.
fn options() -> Options {
    Options {
        name: "inner",
        virtual_clock: true,
        seed: None,
        time_limit_ms: 20_000,
    }
}

/// What a test panics with.
fn failure<F: Future<Output = ()> + 'static>(body: impl FnOnce() -> F + 'static) -> String {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(options(), body)));
    let payload = result.expect_err("the inner test fails");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("the payload is a text")).to_owned(),
    }
}

#[lwt::test]
async fn a_test_may_return_nothing() {
    assert_eq!(lwt::return_(42).await.ok(), Some(42));
}

#[lwt::test(virtual_clock)]
async fn an_hour_takes_no_time() -> Result<()> {
    let (start, virtual_start) = (Instant::now(), lwt::unix::loop_time());
    sleep(HOUR).await?;
    assert!(lwt::unix::loop_time() - virtual_start >= HOUR);
    assert!(start.elapsed() < Duration::from_secs(60));
    Ok(())
}

#[lwt::test(virtual_clock)]
#[should_panic(expected = "the words of the panic")]
async fn a_panic_goes_on() {
    sleep(HOUR).await.expect("nobody cancels this");
    panic!("the words of the panic");
}

#[lwt::test]
#[ignore = "shows that other attributes of tests are kept"]
async fn is_ignored() {
    panic!("this test is ignored");
}

/// What `choose` takes in a row of ties.
async fn choices() -> Result<Vec<u32>> {
    let mut chosen = Vec::new();
    for _ in 0..32 {
        chosen.push(lwt::choose((0..8).map(lwt::return_)).await?);
    }
    Ok(chosen)
}

#[test]
fn a_seed_makes_ties_reproducible() {
    for virtual_clock in [false, true] {
        let with_seed = |seed| {
            let options = Options {
                virtual_clock,
                seed,
                ..options()
            };
            run(options, choices).expect("nothing fails here")
        };
        assert_eq!(with_seed(Some(7)), with_seed(Some(7)));
        assert_ne!(with_seed(Some(7)), with_seed(Some(8)));
        if virtual_clock {
            assert_eq!(with_seed(None), with_seed(None));
        }
    }
}

#[test]
fn an_error_is_the_result_and_hides_no_balance() {
    let result: Result<()> = run(options(), || async {
        mem::forget(lwt::forever::<()>());
        Err(lwt::Error::message("the error of the test"))
    });
    assert_eq!(
        result.map_err(|error| error.to_string()),
        Err("the error of the test".to_owned())
    );
}

#[test]
fn a_deadlock_fails_and_tells_what_the_test_waits_for() {
    let text = failure(|| async {
        let (promise, resolver) = lwt::wait::<()>();
        let kept = Rc::new(Cell::new(Some(resolver)));
        let _ = promise.await;
        drop(kept);
    });
    assert!(
        text.contains("nothing is left that could wake the test; it waits for:\n"),
        "{text}"
    );
}

#[test]
fn a_promise_left_behind_fails() {
    let text = failure(|| async { mem::forget(lwt::wait::<u32>()) });
    assert!(
        text.contains("inner: left behind: 1 promise, thread or waiter ("),
        "{text}"
    );
}

#[test]
fn a_sleeping_thread_left_behind_fails() {
    let text = failure(|| async {
        lwt::spawn_detached(async { sleep(HOUR).await });
    });
    for part in ["promises, threads or waiters", "1 timer"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_thread_that_is_always_ready_fails() {
    let text = failure(|| async {
        lwt::spawn_detached(async {
            loop {
                lwt::pause().await?;
            }
        });
    });
    assert!(text.contains("1 paused thread"), "{text}");
}

#[test]
fn a_descriptor_left_behind_fails() {
    let text = failure(|| async {
        mem::forget(pipe().expect("the system gives a pipe"));
    });
    assert!(text.contains("2 descriptors"), "{text}");
}

#[test]
fn a_watcher_left_behind_fails() {
    let text = failure(|| async {
        let (read, write) = pipe().expect("the system gives a pipe");
        mem::forget(read.wait_read());
        mem::forget((read, write));
    });
    assert!(text.contains("1 watcher"), "{text}");
}

/// Whatever a test has used properly counts for nothing: descriptors, watchers, timers, jobs, losers of a choice.
#[lwt::test]
async fn what_was_used_properly_is_not_left_behind() -> Result<()> {
    let (read, write) = pipe()?;
    let reading = read.read_some(16);
    let timeout = lwt::unix::timeout(HOUR);
    write.write_all(b"bytes").await?;
    assert_eq!(lwt::pick([reading, timeout]).await?, b"bytes");
    let abandoned = read.read_some(16);
    drop(abandoned);
    write.close().await?;
    assert!(read.read_some(16).await?.is_empty());
    assert_eq!(lwt::unix::job::run(|| 6 * 7).await?, 42);
    let (waiting, resolver) = lwt::task::<u32>();
    let doubled = waiting.map(|number| number * 2);
    doubled.cancel();
    assert!(doubled.await.is_err_and(|error| error.is_canceled()));
    drop(resolver);
    Ok(())
}

/// Threads that are ready when the test ends may end too.
#[lwt::test(virtual_clock)]
async fn ready_threads_may_end() -> Result<()> {
    for _ in 0..100 {
        lwt::spawn_detached(async {
            for _ in 0..10 {
                lwt::pause().await?;
            }
            Ok(())
        });
    }
    Ok(())
}

#[test]
fn exit_hooks_run_at_the_end() {
    let log = Rc::new(Cell::new(0));
    let seen = log.clone();
    run(options(), move || async move {
        lwt::unix::at_exit(move || lwt::pause().map(move |()| seen.set(1)));
    });
    assert_eq!(log.get(), 1);
}

/// Tests on one operating-system thread do not disturb each other.
#[test]
fn tests_follow_each_other_on_one_thread() {
    for _ in 0..10 {
        run(options(), || sleep(HOUR)).expect("nobody cancels this");
    }
}

/// On the wall clock: that is what a time limit is about.
#[lwt::test(time_limit = "50ms")]
#[should_panic(expected = "the test was not over after its time limit of 50ms; it waits for:")]
async fn the_time_limit_ends_a_test_that_waits() {
    let _ = sleep(HOUR).await;
}

/// The other half of the next test.
#[lwt::test(time_limit = "50ms")]
#[ignore = "run by `the_time_limit_ends_a_test_that_blocks`"]
async fn blocks() {
    loop {
        std::thread::park();
    }
}

/// On the wall clock, as above: the limit and some seconds of grace.
#[test]
fn the_time_limit_ends_a_test_that_blocks() {
    let program = std::env::current_exe().expect("a test knows its own file");
    let output = Command::new(program)
        .args(["--exact", "blocks", "--ignored"])
        .output()
        .expect("a test can be run by itself");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("blocks: not over after its time limit of 50ms"),
        "{text}"
    );
}

/// A test that holds the thread for too long but comes back is over, but not in time.
#[test]
fn a_late_end_fails() {
    let options = Options {
        time_limit_ms: 1,
        ..options()
    };
    let result = std::panic::catch_unwind(|| {
        run(options, || async {
            // The wall clock: the time limit is one of real time.
            std::thread::sleep(Duration::from_millis(2))
        });
    });
    assert!(result.is_err());
}
