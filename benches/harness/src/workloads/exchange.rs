//! Workloads in which tasks hand things to each other: mailboxes, locks, streams.

use std::cell::Cell;
use std::rc::Rc;

use crate::program::{Plan, opaque};
use crate::runtime::{Primitives, Runtime, pass};

/// A number goes to and fro between two tasks.
pub(super) async fn mailbox<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let (mut there_in, mut there_out) = R::Primitives::mailbox();
            let (mut back_in, mut back_out) = R::Primitives::mailbox();
            let asking = R::spawn(async move {
                for number in 0..operations / 2 {
                    R::Primitives::put(&mut there_in, number).await;
                    opaque(R::Primitives::take(&mut back_out).await);
                }
            });
            let answering = R::spawn(async move {
                for _ in 0..operations / 2 {
                    let number = R::Primitives::take(&mut there_out).await;
                    R::Primitives::put(&mut back_in, number).await;
                }
            });
            asking.await;
            answering.await;
        })
    })
    .await;
}

/// A hundred tasks count under one lock; every sixteenth count is spread over a pause.
pub(super) async fn mutex<R: Runtime>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let lock = Rc::new(R::Primitives::lock());
            let counter = Rc::new(Cell::new(0_u64));
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let (lock, counter) = (lock.clone(), counter.clone());
                    R::spawn(async move {
                        for turn in 0..operations / 100 {
                            let guard = R::Primitives::acquire(&lock).await;
                            let count = counter.get();
                            if turn % 16 == 0 {
                                pass().await;
                            }
                            counter.set(count + 1);
                            drop(guard);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            assert_eq!(counter.get(), operations / 100 * 100);
        })
    })
    .await;
}

/// One task reads what the main one pushes; the writer lets the reader run after every `burst` elements.
pub(super) async fn stream<R: Runtime>(plan: &Plan, burst: u64) {
    plan.measure(|operations| {
        R::spawn(async move {
            let (mut input, mut output) = R::Primitives::stream();
            let reader = async move {
                let mut sum = 0_u64;
                while let Some(number) = R::Primitives::next(&mut output).await {
                    sum += number;
                }
                sum
            };
            let sum = if burst > operations {
                for number in 0..operations {
                    R::Primitives::push(&mut input, number);
                }
                drop(input);
                R::spawn(reader).await
            } else {
                let reading = R::spawn(reader);
                for number in 0..operations {
                    R::Primitives::push(&mut input, number);
                    if number % burst == burst - 1 {
                        pass().await;
                    }
                }
                drop(input);
                reading.await
            };
            assert_eq!(sum, operations * (operations - 1) / 2);
        })
    })
    .await;
}
