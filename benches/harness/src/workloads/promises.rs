//! Workloads about one promise and what hangs on it.

use std::future::ready;

use futures::future::{Either, select};

use super::batches;
use crate::program::{Plan, opaque};
use crate::runtime::{Latch, Primitives, Runtime, pass};

/// A promise kept before anybody awaits it.
pub(super) async fn kept_before<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            for number in 0..operations {
                let (promised, promise) = R::Primitives::promise();
                R::Primitives::keep(promised, opaque(number));
                opaque(promise.await);
            }
        })
    })
    .await;
}

/// The floor: a future that is ready, without any runtime.
pub(super) async fn bare_ready<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let mut sum = 0_u64;
            for number in 0..operations {
                sum = opaque(sum + opaque(ready(number)).await);
            }
            opaque(sum);
        })
    })
    .await;
}

/// One task at a time falls asleep on a promise, which is then kept, and is joined.
pub(super) async fn wait_one<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            for number in 0..operations {
                let (promised, promise) = R::Primitives::promise();
                let task = R::spawn(async move {
                    opaque(promise.await);
                });
                pass().await; // until the task sleeps
                R::Primitives::keep(promised, opaque(number));
                task.await;
            }
        })
    })
    .await;
}

/// A thousand tasks fall asleep, each on a promise of its own; all are kept; all are waited for.
pub(super) async fn wait_batch<R: Runtime>(plan: &Plan) {
    let workload = plan.workload;
    plan.measure(|operations| {
        R::spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut promises = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                let all_woken = Latch::new(batch);
                for _ in 0..batch {
                    let (promised, promise) = R::Primitives::promise();
                    promises.push(promised);
                    let woken = all_woken.clone();
                    R::detach(async move {
                        opaque(promise.await);
                        woken.count_down();
                    });
                }
                pass().await;
                for (number, promised) in promises.drain(..).enumerate() {
                    R::Primitives::keep(promised, number as u64);
                }
                all_woken.open().await;
            }
        })
    })
    .await;
}

/// Each task awaits the handle of the one before; the first awaits a promise.
pub(super) async fn chain<R: Runtime>(plan: &Plan) {
    let workload = plan.workload;
    plan.measure(|operations| {
        R::spawn(async move {
            let (links, times) = batches(workload, operations);
            for _ in 0..times {
                let (promised, promise) = R::Primitives::promise();
                let mut last = R::spawn(async move {
                    opaque(promise.await);
                    0_u64
                });
                for _ in 1..links {
                    last = R::spawn(async move { last.await + 1 });
                }
                pass().await;
                R::Primitives::keep(promised, 1);
                assert_eq!(last.await, links - 1);
            }
        })
    })
    .await;
}

/// A choice whose second arm is ready.
pub(super) async fn pick_ready<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            for number in 0..operations {
                let (promised, promise) = R::Primitives::promise();
                match select(promise, ready(number)).await {
                    Either::Left(_) => unreachable!("nobody keeps that promise"),
                    Either::Right((number, _)) => opaque(number),
                };
                drop(promised);
            }
        })
    })
    .await;
}

/// A task sleeps on two promises; the second is kept.
pub(super) async fn pick_woken<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            for number in 0..operations {
                let (never, first) = R::Primitives::promise();
                let (promised, second) = R::Primitives::promise();
                let task = R::spawn(async move {
                    select(first, second).await;
                });
                pass().await;
                R::Primitives::keep(promised, number);
                task.await;
                drop(never);
            }
        })
    })
    .await;
}
