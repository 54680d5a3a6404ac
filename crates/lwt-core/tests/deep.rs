//! Invariant I1: chains of a million pending promises need no stack, however they were made and however they end. Each
//! test runs on an OS thread with 1 MiB of stack.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{balanced, is_canceled, sized, time_limit, value};
use lwt_core::*;

const LENGTH: usize = sized(1_000_000, 200);

/// Runs `f` with little stack, and checks the balance there.
fn with_little_stack(f: impl FnOnce() + Send + 'static) {
    let outcome = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(|| balanced(f))
        .expect("the system starts a thread")
        .join();
    if let Err(payload) = outcome {
        std::panic::resume_unwind(payload);
    }
}

type Chain = fn(Promise<u64>, usize) -> Promise<u64>;

fn by_bind(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        promise = promise.bind(|x| return_(x + 1));
    }
    promise
}

fn by_spawn(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        promise = spawn(async move { Ok(promise.await? + 1) });
    }
    promise
}

fn by_tie(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        let (start, starter) = wait::<()>();
        let inner = promise;
        promise = start.bind(move |()| inner);
        starter.wakeup(());
    }
    promise
}

/// Nothing is tied before the first promise of the chain is there.
fn by_late_tie(promise: Promise<u64>, length: usize) -> Promise<u64> {
    let mut promise = promise;
    for _ in 0..length {
        promise = promise.bind(|x| pause().map(move |()| x + 1));
    }
    promise
}

fn by_choose(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        promise = choose([promise]).map(|x| x + 1);
    }
    promise
}

fn by_protected(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        promise = promise.wrap_in_cancelable();
    }
    promise
}

fn by_finalize(mut promise: Promise<u64>, length: usize) -> Promise<u64> {
    for _ in 0..length {
        promise = promise.finalize(return_unit);
    }
    promise
}

/// Name, how to make it, how long it is, and what each link adds.
const CHAINS: [(&str, Chain, usize, u64); 6] = [
    ("bind", by_bind, LENGTH, 1),
    ("spawn", by_spawn, LENGTH, 1),
    ("tie", by_tie, LENGTH, 0),
    ("choose", by_choose, LENGTH / 10, 1),
    ("wrap_in_cancelable", by_protected, LENGTH / 10, 0),
    ("finalize", by_finalize, LENGTH / 10, 0),
];

#[test]
fn i1_chains_are_resolved() {
    let _limit = time_limit(300);
    for (name, chain, length, step) in CHAINS {
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            let end = chain(promise, length);
            resolver.wakeup(0);
            assert_eq!(value(&end), length as u64 * step, "{name}");
        });
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            let end = chain(promise, length);
            resolver.reject(EndOfFile);
            assert!(
                matches!(end.state(), State::Fail(error) if error.is::<EndOfFile>()),
                "{name}"
            );
        });
    }
}

#[test]
fn i1_chains_are_cancelled() {
    let _limit = time_limit(300);
    for (name, chain, length, _) in CHAINS {
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            let end = chain(promise, length);
            end.cancel();
            assert!(is_canceled(&end), "{name}");
            drop(resolver);
        });
    }
}

#[test]
fn i1_chains_are_dropped_in_every_order() {
    let _limit = time_limit(300);
    for (_, chain, length, _) in CHAINS {
        // The end first: detached, then abandoned.
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            drop(chain(promise, length));
            drop(resolver);
        });
        // The resolver first: unowned, then dropped.
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            let end = chain(promise, length);
            drop(resolver);
            assert!(end.is_sleeping());
            drop(end);
        });
        // The resolver first, then cancelled.
        with_little_stack(move || {
            let (promise, resolver) = task::<u64>();
            let end = chain(promise, length);
            drop(resolver);
            end.cancel();
            assert!(is_canceled(&end));
        });
    }
}

#[test]
fn i1_a_chain_of_continuations_that_each_pause() {
    let _limit = time_limit(300);
    with_little_stack(|| {
        let length = sized(100_000, 100);
        let (promise, resolver) = task::<u64>();
        let end = by_late_tie(promise, length);
        resolver.wakeup(0);
        for _ in 0..length {
            wakeup_paused();
        }
        assert_eq!(value(&end), length as u64);
        // Dropped in the middle.
        let (promise, resolver) = task::<u64>();
        let end = by_late_tie(promise, length);
        resolver.wakeup(0);
        for _ in 0..length / 2 {
            wakeup_paused();
        }
        drop(end);
        abandon_paused();
    });
}

#[test]
fn i1_nested_closures_and_futures_that_hold_each_other_are_dropped_without_stack() {
    let _limit = time_limit(300);
    // Each closure holds the next promise, which nothing waits for yet.
    with_little_stack(|| {
        let (mut promise, resolver) = task::<u64>();
        let mut gates = Vec::new();
        for _ in 0..LENGTH {
            let (gate, opener) = wait::<()>();
            let held = promise;
            promise = gate.bind(move |()| held);
            gates.push(opener);
        }
        drop(gates);
        drop(promise);
        drop(resolver);
    });
    with_little_stack(|| {
        let (mut promise, resolver) = task::<u64>();
        let mut gates = Vec::new();
        for _ in 0..LENGTH {
            let (gate, opener) = wait::<()>();
            let held = promise;
            promise = spawn(async move {
                gate.await?;
                held.await
            });
            gates.push(opener);
        }
        drop(promise);
        drop(gates);
        drop(resolver);
    });
}

#[test]
fn i1_a_thread_that_launches_and_awaits_in_a_loop() {
    let _limit = time_limit(300);
    with_little_stack(|| {
        let steps = sized(10_000_000, 500) as u64 / if cfg!(debug_assertions) { 10 } else { 1 };
        let thread = spawn(async move {
            let mut sum = 0;
            for step in 0..steps {
                sum += spawn(async move { Ok(step & 1) }).await?;
                sum += return_(step & 1).await?;
            }
            Ok(sum)
        });
        assert_eq!(value(&thread), steps);
    });
}

#[test]
fn i1_wake_ups_that_wake_each_other() {
    let _limit = time_limit(300);
    with_little_stack(|| {
        // Threads in a row, each of which wakes the next one at once.
        let row: Rc<RefCell<Vec<Option<Resolver<()>>>>> = Rc::default();
        let mut threads = Vec::new();
        for index in 0..LENGTH {
            let (promise, resolver) = wait::<()>();
            row.borrow_mut().push(Some(resolver));
            let row = row.clone();
            threads.push(spawn(async move {
                promise.await?;
                let next = row.borrow_mut().get_mut(index + 1).and_then(Option::take);
                if let Some(next) = next {
                    next.wakeup(());
                }
                Ok(())
            }));
        }
        let first = row.borrow_mut()[0].take();
        if let Some(first) = first {
            first.wakeup(());
        }
        assert!(threads.iter().all(|thread| !thread.is_sleeping()));
    });
}

#[test]
fn m11_resolving_and_cancelling_diamonds_is_linear() {
    let _limit = time_limit(60);
    // 2^60 ways from the top to the bottom.
    fn diamond(source: Promise<()>) -> Promise<()> {
        let mut promise = source;
        for _ in 0..60 {
            let (left, right) = (promise.clone().map(|()| ()), promise.map(|()| ()));
            promise = join([left, right]);
        }
        promise
    }
    balanced(|| {
        let (source, resolver) = task::<()>();
        let top = diamond(source);
        resolver.wakeup(());
        value(&top);
        let (source, resolver) = task::<()>();
        let top = diamond(source.clone());
        top.cancel();
        assert!(is_canceled(&top) && is_canceled(&source));
        drop(resolver);
        let (source, resolver) = task::<()>();
        drop(diamond(source));
        drop(resolver);
        // A wide one.
        let (source, resolver) = task::<()>();
        let wide = join((0..sized(100_000, 300)).map(|_| source.clone()));
        wide.cancel();
        assert!(is_canceled(&wide));
        drop(resolver);
    });
}
