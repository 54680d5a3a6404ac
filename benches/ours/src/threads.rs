//! Workloads about many threads: launching, joining, yielding, cancelling, sleeping.

use std::cell::Cell;
use std::rc::Rc;

use harness::measure::{Instant, resident_bytes};
use harness::program::report;
use harness::{Plan, opaque};
use lwt_core::{
    Promise, Resolver, Result, all, pause, return_, return_unit, spawn, spawn_detached, task, wait,
};

use crate::{batches, measure};

/// Launches a batch with `launch` and awaits one after the other; each thread returns its number.
async fn launch_and_join(
    plan: &Plan,
    launch: impl Fn(u64) -> Promise<u64> + Copy + 'static,
) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut threads = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                for number in 0..batch {
                    threads.push(launch(number));
                }
                let mut sum = 0;
                for thread in threads.drain(..) {
                    sum += thread.await?;
                }
                assert_eq!(sum, batch * (batch - 1) / 2);
            }
            Ok(())
        })
    })
    .await
}

/// Spawned threads that end at once.
pub(crate) async fn launch_spawn(plan: &Plan) -> Result<()> {
    launch_and_join(plan, |number| spawn(async move { Ok(opaque(number)) })).await
}

/// Threads in the original's sense: what a function that returns a promise began.
pub(crate) async fn launch_promise(plan: &Plan) -> Result<()> {
    #[inline(never)]
    fn thread(number: u64) -> Promise<u64> {
        return_unit().bind(move |()| return_(number))
    }
    launch_and_join(plan, thread).await
}

/// Spawned threads that let the others run once. They are joined by `all`, which is told of each end but resumes once.
pub(crate) async fn launch_yield(plan: &Plan) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (batch, times) = batches(workload, operations);
            for _ in 0..times {
                let threads = (0..batch).map(|number| {
                    spawn(async move {
                        pause().await?;
                        Ok(number)
                    })
                });
                let sum: u64 = all(threads).await?.into_iter().sum();
                assert_eq!(sum, batch * (batch - 1) / 2);
            }
            Ok(())
        })
    })
    .await
}

/// Two threads let each other run, in turn.
pub(crate) async fn yield_two(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let launch = || {
                spawn(async move {
                    for _ in 0..operations / 2 {
                        pause().await?;
                    }
                    Ok(())
                })
            };
            let (one, other) = (launch(), launch());
            one.await?;
            other.await
        })
    })
    .await
}

/// Launches a batch with `launch`, each asleep on a cancelable promise of its own, cancels and reaps it.
async fn cancel_and_reap(
    plan: &Plan,
    launch: impl Fn(Promise<u64>) -> Promise<()> + Copy + 'static,
) -> Result<()> {
    let workload = plan.workload;
    measure(plan, |operations| {
        spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut threads = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                let mut resolvers = Vec::with_capacity(batch as usize);
                for _ in 0..batch {
                    let (promise, resolver) = task();
                    resolvers.push(resolver);
                    threads.push(launch(promise));
                }
                for thread in &threads {
                    thread.cancel();
                }
                for thread in threads.drain(..) {
                    assert!(thread.await.is_err_and(|error| error.is_canceled()));
                }
            }
            Ok(())
        })
    })
    .await
}

/// Spawned threads are cancelled.
pub(crate) async fn cancel_threads(plan: &Plan) -> Result<()> {
    cancel_and_reap(plan, |promise| {
        spawn(async move {
            opaque(promise.await?);
            Ok(())
        })
    })
    .await
}

/// Continuations are cancelled.
pub(crate) async fn cancel_binds(plan: &Plan) -> Result<()> {
    cancel_and_reap(plan, |promise| {
        promise.bind(|number| {
            opaque(number);
            return_unit()
        })
    })
    .await
}

/// Who still sleeps, and the promise that nobody does.
struct Sleepers {
    asleep: Cell<u64>,
    all_awake: Cell<Option<Resolver<()>>>,
}

impl Sleepers {
    fn wake_one(&self) {
        self.asleep.set(self.asleep.get() - 1);
        if self.asleep.get() == 0
            && let Some(resolver) = self.all_awake.take()
        {
            resolver.resolve(());
        }
    }
}

/// Spawned threads sleep on one event.
pub(crate) async fn sleepers(plan: &Plan) -> Result<()> {
    fall_asleep_and_wake(plan, |event, sleepers| {
        spawn_detached(async move {
            event.await?;
            sleepers.wake_one();
            Ok(())
        });
    })
    .await
}

/// Continuations wait for one event.
pub(crate) async fn sleeping_binds(plan: &Plan) -> Result<()> {
    fall_asleep_and_wake(plan, |event, sleepers| {
        let thread = event.bind(move |()| {
            sleepers.wake_one();
            return_unit()
        });
        drop(thread); // it goes on by itself
    })
    .await
}

/// Many threads fall asleep on one event, which then happens; see the generic form of this workload.
async fn fall_asleep_and_wake(
    plan: &Plan,
    launch_one: impl Fn(Promise<()>, Rc<Sleepers>),
) -> Result<()> {
    let rounds = if plan.timed { 2 } else { 1 };
    for round in 0..rounds {
        let before = resident_bytes();
        let (event, happen) = wait::<()>();
        let (all_awake, resolver) = wait::<()>();
        let sleepers = Rc::new(Sleepers {
            asleep: Cell::new(plan.operations),
            all_awake: Cell::new(Some(resolver)),
        });
        let launch = Instant::now();
        for _ in 0..plan.operations {
            launch_one(event.clone(), sleepers.clone());
        }
        let launched = launch.elapsed();
        let asleep = resident_bytes();
        let wake = Instant::now();
        happen.wakeup(());
        all_awake.await?;
        let woken = wake.elapsed();
        if !plan.timed {
            break;
        }
        let each = |total: u64| total as f64 / plan.operations as f64;
        if round == 0 {
            report("bytes", each(asleep.saturating_sub(before)));
        } else {
            report("launch_cpu_ns", each(launched.cpu_ns));
            report("wake_cpu_ns", each(woken.cpu_ns));
            report("cpu_ns", each(launched.cpu_ns + woken.cpu_ns));
        }
    }
    Ok(())
}
