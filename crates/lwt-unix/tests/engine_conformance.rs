//! The duties of an engine (listed at the top of `lwt_unix::engine`), checked on every engine.

mod common;

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lwt_unix::engine::{Interest, Moment, Ready, Until, Wait};
use lwt_unix::{Engine, Poll, VirtualTime};

/// Makes one test per engine out of each function of the suite.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod poll {
            $(#[test] fn $name() { let _limit = super::common::limited(); super::$name(&mut super::Poll::new()); })*
        }
        mod virtual_time {
            $(#[test] fn $name() { let _limit = super::common::limited(); super::$name(&mut super::VirtualTime::seeded(1)); })*
        }
    };
}

suite!(
    is_level_triggered,
    keeps_one_entry_for_a_descriptor,
    forgets_at_once_so_that_the_number_can_be_used_again,
    reports_only_what_is_watched_and_each_once,
    reports_a_hang_up_in_the_watched_directions,
    reports_a_closed_descriptor_to_its_own_watchers_only,
    takes_an_interruption_for_an_empty_wait,
    never_waits_when_told_not_to,
    never_ends_a_wait_before_its_deadline,
    reports_readiness_before_the_deadline,
    has_no_limit_at_1024,
    reports_in_the_same_order_every_time,
    has_a_name,
);

fn pipe() -> (OwnedFd, std::fs::File) {
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    (read, write.into())
}

fn look(engine: &mut dyn Engine) -> Vec<Ready> {
    wait(engine, Until::Now)
}

fn wait(engine: &mut dyn Engine, until: Until) -> Vec<Ready> {
    let mut ready = Vec::new();
    engine.wait(Wait::new(until), &mut ready).expect("waiting");
    ready
}

fn watch(engine: &mut dyn Engine, descriptor: RawFd, interest: Interest) {
    engine.watch(descriptor, interest).expect("watching");
}

fn report(descriptor: RawFd, interest: Interest) -> Ready {
    Ready {
        descriptor,
        interest,
    }
}

fn is_level_triggered(engine: &mut dyn Engine) {
    let (read, mut write) = pipe();
    watch(engine, read.as_raw_fd(), Interest::READ);
    assert_eq!(look(engine), []);
    write.write_all(b"x").expect("room for a byte");
    let readable = [report(read.as_raw_fd(), Interest::READ)];
    assert_eq!(look(engine), readable);
    assert_eq!(
        look(engine),
        readable,
        "nothing was read, so it is reported again"
    );
    rustix::io::read(&read, &mut [0; 8]).expect("a byte");
    assert_eq!(look(engine), []);
}

fn keeps_one_entry_for_a_descriptor(engine: &mut dyn Engine) {
    let (left, right) = std::os::unix::net::UnixStream::pair().expect("a pair");
    (&right).write_all(b"x").expect("room for a byte");
    let number = left.as_raw_fd();
    for interest in [
        Interest::READ,
        Interest::WRITE,
        Interest::BOTH,
        Interest::READ,
    ] {
        watch(engine, number, interest);
        assert_eq!(look(engine), [report(number, interest)]);
    }
    watch(engine, number, Interest::NONE);
    watch(engine, number, Interest::NONE);
    assert_eq!(look(engine), []);
}

fn forgets_at_once_so_that_the_number_can_be_used_again(engine: &mut dyn Engine) {
    let (read, write) = pipe();
    let number = read.as_raw_fd();
    watch(engine, number, Interest::READ);
    drop(write);
    assert_eq!(look(engine).len(), 1);
    watch(engine, number, Interest::NONE);

    // Another open file takes the very same number, as `close` and `open` would do it; nobody can come in between.
    let (other, mut other_write) = pipe();
    let mut number_again = read;
    rustix::io::dup2(&other, &mut number_again).expect("the number is ours");
    assert_eq!(number_again.as_raw_fd(), number);
    assert_eq!(look(engine), [], "the old file was forgotten");
    watch(engine, number, Interest::READ);
    assert_eq!(look(engine), []);
    other_write.write_all(b"x").expect("room for a byte");
    assert_eq!(
        look(engine),
        [report(number, Interest::READ)],
        "the new one is watched"
    );
}

fn reports_only_what_is_watched_and_each_once(engine: &mut dyn Engine) {
    let (left, right) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let (unwatched, mut unwatched_write) = pipe();
    unwatched_write.write_all(b"x").expect("room for a byte");
    (&right).write_all(b"x").expect("room for a byte");
    watch(engine, left.as_raw_fd(), Interest::BOTH);
    assert_eq!(look(engine), [report(left.as_raw_fd(), Interest::BOTH)]);
    drop(unwatched);
}

fn reports_a_hang_up_in_the_watched_directions(engine: &mut dyn Engine) {
    let (left, right) = std::os::unix::net::UnixStream::pair().expect("a pair");
    drop(right);
    for interest in [Interest::READ, Interest::WRITE, Interest::BOTH] {
        watch(engine, left.as_raw_fd(), interest);
        assert_eq!(look(engine), [report(left.as_raw_fd(), interest)]);
    }
    let (read, write) = pipe();
    watch(engine, left.as_raw_fd(), Interest::NONE);
    watch(engine, write.as_raw_fd(), Interest::WRITE);
    drop(read);
    assert_eq!(
        look(engine),
        [report(write.as_raw_fd(), Interest::WRITE)],
        "a pipe without a reader"
    );
}

/// A number that is certainly not open, nor will be: far above all others.
const NOT_OPEN: RawFd = 900_000;

fn reports_a_closed_descriptor_to_its_own_watchers_only(engine: &mut dyn Engine) {
    let (read, _write) = pipe();
    watch(engine, read.as_raw_fd(), Interest::READ);
    // An engine may refuse it at once; then the loop reports it. If it does not, it has to report it itself.
    if engine.watch(NOT_OPEN, Interest::BOTH).is_ok() {
        assert_eq!(look(engine), [report(NOT_OPEN, Interest::BOTH)]);
        assert_eq!(look(engine), [report(NOT_OPEN, Interest::BOTH)]);
    }
    watch(engine, NOT_OPEN, Interest::NONE);
    assert_eq!(look(engine), [], "the others never noticed");
}

fn takes_an_interruption_for_an_empty_wait(engine: &mut dyn Engine) {
    // SAFETY: the handler does nothing.
    let handler =
        unsafe { signal_hook_registry::register(libc::SIGUSR2, || ()) }.expect("a handler");
    let (read, _write) = pipe();
    watch(engine, read.as_raw_fd(), Interest::READ);
    // SAFETY: asks for the own identity only.
    let waiting = unsafe { libc::pthread_self() } as usize;
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let nagger = std::thread::spawn(move || {
        // Signals that come before the wait has begun are lost: nag until it is over.
        while !seen.load(Ordering::Acquire) {
            // SAFETY: the thread is joined by that very thread, so it lives.
            unsafe { libc::pthread_kill(waiting as libc::pthread_t, libc::SIGUSR2) };
            std::thread::yield_now();
        }
    });
    assert_eq!(wait(engine, Until::Forever), []);
    is_over.store(true, Ordering::Release);
    nagger.join().expect("the nagger ends");
    signal_hook_registry::unregister(handler);
}

fn never_waits_when_told_not_to(engine: &mut dyn Engine) {
    let before = engine.now();
    assert_eq!(look(engine), []);
    assert_eq!(
        wait(engine, Until::Deadline(before)),
        [],
        "a deadline that has passed"
    );
    assert_eq!(wait(engine, Until::Deadline(Moment::ORIGIN)), []);
}

/// On the system's clock, which is what the duty is about: three waits of a millisecond.
fn never_ends_a_wait_before_its_deadline(engine: &mut dyn Engine) {
    for microseconds in [1, 300, 1_000, 1_999] {
        let deadline = engine.now() + Duration::from_micros(microseconds);
        while engine.now() < deadline {
            let before = engine.now();
            assert_eq!(wait(engine, Until::Deadline(deadline)), []);
            assert!(engine.now() >= before, "time never goes back");
        }
        assert!(engine.now() >= deadline);
    }
}

fn reports_readiness_before_the_deadline(engine: &mut dyn Engine) {
    let (read, mut write) = pipe();
    watch(engine, read.as_raw_fd(), Interest::READ);
    write.write_all(b"x").expect("room for a byte");
    let deadline = engine.now() + Duration::from_secs(3600);
    assert_eq!(
        wait(engine, Until::Deadline(deadline)),
        [report(read.as_raw_fd(), Interest::READ)]
    );
    assert!(engine.now() < deadline);
    assert_eq!(
        wait(engine, Until::Forever),
        [report(read.as_raw_fd(), Interest::READ)]
    );
}

fn has_no_limit_at_1024(engine: &mut dyn Engine) {
    let (read, mut write) = pipe();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted)
        .expect("up to the hard limit");
    if limit.maximum.is_some_and(|maximum| maximum <= 1_500) {
        return;
    }
    let high = rustix::io::fcntl_dupfd_cloexec(read.as_fd(), 1_400).expect("a high number");
    watch(engine, high.as_raw_fd(), Interest::READ);
    assert_eq!(look(engine), []);
    write.write_all(b"x").expect("room for a byte");
    assert_eq!(look(engine), [report(high.as_raw_fd(), Interest::READ)]);
}

fn reports_in_the_same_order_every_time(engine: &mut dyn Engine) {
    let pipes: Vec<_> = (0..50).map(|_| pipe()).collect();
    for (_, write) in &pipes {
        watch(engine, write.as_raw_fd(), Interest::WRITE);
    }
    // Some go, some come back: what remains keeps one order.
    for (_, write) in pipes.iter().step_by(3) {
        watch(engine, write.as_raw_fd(), Interest::NONE);
    }
    for (_, write) in pipes.iter().step_by(6) {
        watch(engine, write.as_raw_fd(), Interest::WRITE);
    }
    let first = look(engine);
    let mut numbers: Vec<_> = first.iter().map(|ready| ready.descriptor).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), first.len(), "each at most once");
    assert_eq!(first.len(), 50 - 17 + 9);
    assert_eq!(look(engine), first);
}

fn has_a_name(engine: &mut dyn Engine) {
    assert!(!engine.name().is_empty());
    engine
        .after_fork()
        .expect("nothing is shared with a parent");
}

/// Rule 2 of the virtual engine: a job freezes the clock.
#[test]
fn the_virtual_clock_stands_still_while_a_job_runs() {
    let _limit = common::limited();
    let mut engine = VirtualTime::new();
    let (read, mut write) = pipe();
    watch(&mut engine, read.as_raw_fd(), Interest::READ);
    write.write_all(b"x").expect("room for a byte");
    let mut held = Wait::new(Until::Deadline(Moment::from_nanoseconds(50)));
    held.jobs_in_progress = 1;
    let mut ready = Vec::new();
    engine.wait(held, &mut ready).expect("waiting");
    assert_eq!(ready, [report(read.as_raw_fd(), Interest::READ)]);
    assert_eq!(engine.now(), Moment::ORIGIN);
    rustix::io::read(&read, &mut [0; 8]).expect("a byte");
    assert_eq!(
        wait(&mut engine, Until::Deadline(Moment::from_nanoseconds(50))),
        []
    );
    assert_eq!(engine.now(), Moment::from_nanoseconds(50));
}

/// The reports are appended: what the list held before stays.
#[test]
fn reports_are_appended() {
    let _limit = common::limited();
    let (_read, write) = pipe();
    let mut engine = Poll::new();
    watch(&mut engine, write.as_raw_fd(), Interest::WRITE);
    let mut ready = vec![report(1, Interest::READ)];
    engine
        .wait(Wait::new(Until::Now), &mut ready)
        .expect("waiting");
    assert_eq!(
        ready,
        [
            report(1, Interest::READ),
            report(write.as_raw_fd(), Interest::WRITE)
        ]
    );
}

/// Rule 4 of the virtual engine: nobody stops the clock for ever.
#[test]
fn the_virtual_clock_jumps_in_the_end_although_something_is_always_ready() {
    let _limit = common::limited();
    let mut engine = VirtualTime::new();
    let (_read, write) = pipe();
    watch(&mut engine, write.as_raw_fd(), Interest::WRITE);
    let due = Moment::from_nanoseconds(50);
    for _ in 0..999 {
        assert_eq!(wait(&mut engine, Until::Deadline(due)).len(), 1);
        assert_eq!(engine.now(), Moment::ORIGIN);
    }
    assert_eq!(wait(&mut engine, Until::Deadline(due)).len(), 1);
    assert_eq!(engine.now(), due);
}
