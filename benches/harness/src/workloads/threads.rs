//! Workloads about many tasks: launching, joining, letting others run, cancelling, sleeping.

use std::rc::Rc;

use super::batches;
use crate::measure::{Instant, resident_bytes};
use crate::program::{Plan, opaque, report};
use crate::runtime::{Latch, Primitives, Runtime, pass};

/// Launches a batch of tasks that end at once, or after one pause, and joins them.
pub(super) async fn launch<R: Runtime>(plan: &Plan, pause: bool) {
    let workload = plan.workload;
    plan.measure(|operations| {
        R::spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut tasks = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                for number in 0..batch {
                    tasks.push(R::spawn(async move {
                        if pause {
                            R::pause().await;
                        }
                        number
                    }));
                }
                let mut sum = 0;
                for task in tasks.drain(..) {
                    sum += task.await;
                }
                assert_eq!(sum, batch * (batch - 1) / 2);
            }
        })
    })
    .await;
}

/// Two tasks pause in turn.
pub(super) async fn yield_two<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let launch = || {
                R::spawn(async move {
                    for _ in 0..operations / 2 {
                        R::pause().await;
                    }
                })
            };
            let (one, other) = (launch(), launch());
            one.await;
            other.await;
        })
    })
    .await;
}

/// Cancels tasks that sleep on a promise which nobody gave up.
pub(super) async fn cancel<R: Runtime>(plan: &Plan) {
    let workload = plan.workload;
    plan.measure(|operations| {
        R::spawn(async move {
            let (batch, times) = batches(workload, operations);
            let mut tasks = Vec::with_capacity(batch as usize);
            for _ in 0..times {
                let mut unkept = Vec::with_capacity(batch as usize);
                for _ in 0..batch {
                    let (promised, promise) = R::Primitives::promise();
                    unkept.push(promised);
                    tasks.push(R::spawn_cancelable(async move {
                        opaque(promise.await);
                    }));
                }
                pass().await;
                pass().await;
                for task in &mut tasks {
                    R::cancel(task);
                }
                for task in tasks.drain(..) {
                    R::reap(task).await;
                }
            }
        })
    })
    .await;
}

/// Many tasks fall asleep on one event, which then happens. Reports launching, waking and memory apart; the memory is that of the
/// first round, in a heap that nothing has used before.
pub(super) async fn sleepers<R: Runtime>(plan: &Plan) {
    let rounds = if plan.timed { 2 } else { 1 };
    for round in 0..rounds {
        let before = resident_bytes();
        let event = Rc::new(R::Primitives::event());
        let all_woken = Latch::new(plan.operations);
        let launch = Instant::now();
        for _ in 0..plan.operations {
            let (event, woken) = (event.clone(), all_woken.clone());
            R::detach(async move {
                R::Primitives::wait_for(&event).await;
                woken.count_down();
            });
        }
        pass().await;
        pass().await;
        let launched = launch.elapsed();
        let asleep = resident_bytes();
        let wake = Instant::now();
        R::Primitives::happen(&event);
        all_woken.open().await;
        let woken = wake.elapsed();
        if !plan.timed {
            return;
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
}
