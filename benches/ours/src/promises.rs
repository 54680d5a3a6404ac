//! Workloads about one promise and what hangs on it.

use std::cell::Cell;
use std::rc::Rc;

use harness::{Plan, opaque};
use lwt_core::{Result, pick, return_, spawn, spawn_detached, task, wait};

use crate::{batches, measure, number_in};

/// A continuation bound to a promise that is born resolved.
pub(crate) async fn bind_ready(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let mut sum = 0_u64;
            for number in 0..operations {
                let bound = opaque(return_(number)).bind(move |found| return_(sum + found));
                sum = opaque(number_in(&bound));
            }
            opaque(sum);
            Ok(())
        })
    })
    .await
}

/// The same, awaited inside a thread.
pub(crate) async fn await_ready(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let mut sum = 0_u64;
            for number in 0..operations {
                sum = opaque(sum + opaque(return_(number)).await?);
            }
            opaque(sum);
            Ok(())
        })
    })
    .await
}

/// A callback that borrows the value.
pub(crate) async fn wait_callback(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            for number in 0..operations {
                let (promise, resolver) = wait();
                promise.on_success(|found| {
                    opaque(*found);
                });
                resolver.wakeup(number);
            }
            Ok(())
        })
    })
    .await
}

/// A continuation bound to a pending promise runs inside the wake-up.
pub(crate) async fn wait_bind(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            for number in 0..operations {
                let (promise, resolver) = wait();
                let thread = promise.bind(|found| return_(opaque(found)));
                resolver.wakeup(number);
                assert_eq!(number_in(&thread), number);
            }
            Ok(())
        })
    })
    .await
}

/// A thread that awaits a pending promise goes on inside the wake-up.
pub(crate) async fn wait_await(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            for number in 0..operations {
                let (promise, resolver) = wait();
                let thread = spawn(async move { Ok(opaque(promise.await?)) });
                resolver.wakeup(number);
                assert_eq!(number_in(&thread), number);
            }
            Ok(())
        })
    })
    .await
}

/// As [`wait_bind`], a batch at a time.
pub(crate) async fn wait_bind_batch(plan: &Plan) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut resolvers = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                let asleep = Rc::new(Cell::new(batch));
                for _ in 0..batch {
                    let (promise, resolver) = wait();
                    resolvers.push(resolver);
                    let asleep = asleep.clone();
                    let thread = promise.bind(move |found: u64| {
                        asleep.set(asleep.get() - 1);
                        return_(opaque(found))
                    });
                    drop(thread); // it goes on by itself
                }
                for (number, resolver) in resolvers.drain(..).enumerate() {
                    resolver.wakeup(number as u64);
                }
                assert_eq!(asleep.get(), 0);
            }
            Ok(())
        })
    })
    .await
}

/// As [`wait_await`], a batch at a time.
pub(crate) async fn wait_await_batch(plan: &Plan) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut resolvers = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                let asleep = Rc::new(Cell::new(batch));
                for _ in 0..batch {
                    let (promise, resolver) = wait::<u64>();
                    resolvers.push(resolver);
                    let asleep = asleep.clone();
                    spawn_detached(async move {
                        opaque(promise.await?);
                        asleep.set(asleep.get() - 1);
                        Ok(())
                    });
                }
                for (number, resolver) in resolvers.drain(..).enumerate() {
                    resolver.wakeup(number as u64);
                }
                assert_eq!(asleep.get(), 0);
            }
            Ok(())
        })
    })
    .await
}

/// Each promise is bound to the one before.
pub(crate) async fn chain_of_binds(plan: &Plan) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (links, times) = batches(workload, operations);
            for _ in 0..times {
                let (mut last, resolver) = wait();
                for _ in 0..links {
                    last = last.bind(|sum: u64| return_(sum + 1));
                }
                resolver.wakeup(0);
                assert_eq!(last.await?, links);
            }
            Ok(())
        })
    })
    .await
}

/// Each thread awaits the one before.
pub(crate) async fn chain_of_threads(plan: &Plan) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (links, times) = batches(workload, operations);
            for _ in 0..times {
                let (mut last, resolver) = wait::<u64>();
                for _ in 0..links {
                    last = spawn(async move { Ok(last.await? + 1) });
                }
                resolver.wakeup(0);
                assert_eq!(last.await?, links);
            }
            Ok(())
        })
    })
    .await
}

/// A choice whose second arm is ready.
pub(crate) async fn pick_ready(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            for number in 0..operations {
                let (pending, resolver) = task();
                opaque(number_in(&pick([pending, return_(number)])));
                drop(resolver);
            }
            Ok(())
        })
    })
    .await
}

/// A choice between two pending promises, the second of which is resolved.
pub(crate) async fn pick_woken(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            for number in 0..operations {
                let (first, never) = task();
                let (second, resolver) = task();
                let picked = pick([first, second]);
                resolver.wakeup(number);
                opaque(number_in(&picked));
                drop(never);
            }
            Ok(())
        })
    })
    .await
}
