//! Rules M4 and M5, invariant I1: what must not grow. The bytes that this OS thread holds are counted by an allocator of
//! the test's own (not under Miri, which sees what is lost, but not what grows).
#![allow(
    clippy::waker_clone_wake,
    reason = "a clone on a foreign OS thread is what is tested"
)]
#![cfg(not(miri))]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use common::{balanced, sized, time_limit, value};
use lwt_core::*;

struct Counting;

/// Of the whole process: what one OS thread allocates another one may free.
static HELD: AtomicIsize = AtomicIsize::new(0);
/// One test at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn held() -> isize {
    HELD.load(Ordering::Relaxed)
}

/// Runs a step many times and asserts that after the first tenth nothing more is held.
fn stays_constant(name: &str, steps: usize, mut step: impl FnMut()) {
    for _ in 0..steps / 10 {
        step();
    }
    // Room for a chunk of cells and for the growth of a vector.
    let before = held();
    for _ in steps / 10..steps {
        step();
    }
    let more = held() - before;
    assert!(
        more < 40_000,
        "{name}: {more} bytes more after {steps} steps"
    );
}

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poison| poison.into_inner())
}

const STEPS: usize = sized(100_000, 400);

#[test]
fn m4_choosing_from_a_long_lived_promise_again_and_again() {
    let _alone = alone();
    let _limit = time_limit(60);
    balanced(|| {
        let (long, resolver) = task::<u32>();
        let keep = long.clone().map(|x| x);
        stays_constant("choose", STEPS, || {
            let (other, waker) = wait::<u32>();
            let chosen = choose([long.clone(), other]);
            waker.wakeup(1);
            assert_eq!(value(&chosen), 1);
        });
        stays_constant("protected", STEPS, || long.clone().protected().cancel());
        stays_constant("select", STEPS, || {
            let (other, waker) = wait::<u32>();
            let long = long.clone();
            let thread = spawn(async move {
                let mut long = futures::FutureExt::fuse(long);
                let mut other = futures::FutureExt::fuse(other);
                futures::select! { _ = long => Ok(0), x = other => x }
            });
            waker.wakeup(2);
            assert_eq!(value(&thread), 2);
        });
        // In the order of a queue: one always stays while others come and go.
        let mut last = long.clone().protected();
        stays_constant("queue", STEPS, || {
            let next = long.clone().protected();
            std::mem::replace(&mut last, next).cancel();
        });
        resolver.wakeup(3);
        assert_eq!((value(&keep), value(&last)), (3, 3));
    });
}

#[test]
fn m5_endless_recursion_through_bind() {
    let _alone = alone();
    let _limit = time_limit(60);
    fn endless(left: usize) -> Promise<u32> {
        pause().bind(move |()| {
            if left == 0 {
                return_(7)
            } else {
                endless(left - 1)
            }
        })
    }
    fn by_thread(left: usize) -> Promise<u32> {
        spawn(async { pause().await }).bind(move |()| {
            if left == 0 {
                return_(7)
            } else {
                by_thread(left - 1)
            }
        })
    }
    balanced(|| {
        let turns = if cfg!(miri) {
            1_000
        } else if cfg!(debug_assertions) {
            300_000
        } else {
            10_000_000
        };
        for way in [endless, by_thread] {
            let promise = way(turns);
            stays_constant("recursion", turns, wakeup_paused);
            wakeup_paused();
            assert_eq!(value(&promise), 7);
        }
    });
}

#[test]
fn m5_recursion_whose_steps_had_waiters_that_left() {
    let _alone = alone();
    let _limit = time_limit(60);
    fn step(left: usize) -> Promise<u32> {
        let next = pause().bind(move |()| {
            if left == 0 {
                return_(7)
            } else {
                step(left - 1)
            }
        });
        // Waiters of the inner promise, which leave after it was tied.
        let (other, waker) = wait::<u32>();
        let chosen = choose([next.clone(), other.clone()]);
        let also = choose([next.clone(), other]);
        drop(pause().map(move |()| waker.wakeup(1)));
        chosen.ignore_result();
        also.ignore_result();
        next
    }
    balanced(|| {
        let turns = sized(20_000, 400);
        let promise = step(turns);
        stays_constant("recursion", turns, wakeup_paused);
        wakeup_paused();
        assert_eq!(value(&promise), 7);
    });
}

#[test]
fn m6_pauses_and_wakers_leave_nothing() {
    let _alone = alone();
    let _limit = time_limit(60);
    balanced(|| {
        let thread = spawn(async {
            loop {
                pause().await?;
                if false {
                    return Ok::<(), Error>(());
                }
            }
        });
        stays_constant("pauses", STEPS, wakeup_paused);
        drop(thread);
        abandon_paused();
        stays_constant("wakers", STEPS, || {
            let foreign = common::Foreign::new();
            let inside = foreign.clone();
            let thread = spawn(async move {
                inside.await;
                Ok(())
            });
            foreign.finish();
            assert!(!thread.is_sleeping());
        });
    });
}

#[test]
fn m7_a_thread_that_gives_wakers_to_other_os_threads_in_every_poll() {
    let _alone = alone();
    let _limit = time_limit(60);
    balanced(|| {
        let thread = spawn(std::future::poll_fn(
            |context: &mut std::task::Context<'_>| {
                let waker = context.waker();
                std::thread::scope(|scope| {
                    scope.spawn(|| waker.clone().wake());
                });
                std::task::Poll::<Result<()>>::Pending
            },
        ));
        stays_constant("foreign records", sized(2_000, 40), || {
            scheduler::drain_inbox();
        });
        thread.cancel();
        scheduler::drain_inbox();
        drop(thread);
    });
}
