//! Invariant I5: every operation that waits can be cancelled, and can be dropped, at every point, and behaves after it.
//!
//! Each operation is run once to count its suspension points; then once for each point and each of cancel, cancel later,
//! drop of the promise, drop of its source, and both. After that, nothing is left, and what the operation used is usable.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{DropCount, balanced, time_limit};
use lwt_core::*;

/// The world in which an operation runs: every wait of it comes from here, and is ended one at a time.
struct World {
    pending: RefCell<Vec<Resolver<u32>>>,
    count: DropCount,
}

impl World {
    /// A wait, of each kind in turn.
    fn next(&self) -> Promise<u32> {
        let kind = self.count.made() % 3;
        let (promise, resolver) = match kind {
            0 => task(),
            1 => scheduler::leaf("a leaf"),
            _ => wait(),
        };
        self.pending.borrow_mut().push(resolver);
        let guard = self.count.value();
        promise.map(move |x| {
            drop(guard);
            x
        })
    }

    /// Ends the oldest wait. Tells whether there was one.
    fn step(&self) -> bool {
        let oldest = {
            let mut pending = self.pending.borrow_mut();
            (!pending.is_empty()).then(|| pending.remove(0))
        };
        match oldest {
            Some(resolver) => {
                let _ = resolver.try_wakeup(1);
                true
            }
            None => {
                let paused = scheduler::counters().paused > 0 || paused_count() > 0;
                wakeup_paused();
                paused
            }
        }
    }
}

type Operation = fn(Rc<World>) -> Promise<u32>;
const OPERATIONS: [(&str, Operation); 20] = [
    ("bind", |w| {
        let v = w.clone();
        w.next().bind(move |_| {
            let u = v.clone();
            v.next().bind(move |_| u.next())
        })
    }),
    ("map", |w| w.next().map(|x| x)),
    ("catch", |w| {
        let v = w.clone();
        w.next()
            .bind(|_| fail::<u32>(EndOfFile))
            .catch(move |_| v.next())
    }),
    ("try_bind", |w| {
        let v = w.clone();
        w.next().try_bind(move |_| v.next(), fail)
    }),
    ("finalize", |w| {
        let v = w.clone();
        w.next().finalize(move || v.next().map(|_| ()))
    }),
    ("iterate", |w| {
        iterate(0, move |n| {
            let next = w.next();
            next.map(move |_| {
                if n == 3 {
                    std::ops::ControlFlow::Break(n)
                } else {
                    std::ops::ControlFlow::Continue(n + 1)
                }
            })
        })
    }),
    ("join", |w| {
        join([w.next().map(|_| ()), w.next().map(|_| ())]).map(|()| 0)
    }),
    ("all", |w| {
        all([w.next(), w.next(), w.next()]).map(|all| all[0])
    }),
    ("both", |w| both(w.next(), w.next()).map(|(x, _)| x)),
    ("choose", |w| choose([w.next(), w.next()])),
    ("pick", |w| pick([w.next(), w.next(), w.next()])),
    ("nchoose", |w| {
        nchoose([w.next(), w.next()]).map(|all| all[0])
    }),
    ("npick", |w| npick([w.next(), w.next()]).map(|all| all[0])),
    ("nchoose_split", |w| {
        nchoose_split([w.next(), w.next()])
            .bind(|(_, rest)| all(rest))
            .map(|_| 0)
    }),
    ("protected", |w| {
        w.next().protected().bind(move |_| w.next().no_cancel())
    }),
    ("wrap_in_cancelable", |w| w.next().wrap_in_cancelable()),
    ("pause", |w| {
        pause().bind(move |()| {
            let v = w.clone();
            w.next().bind(move |_| pause().bind(move |()| v.next()))
        })
    }),
    ("thread", |w| {
        spawn(async move {
            let first = w.next().await?;
            pause().await?;
            let inner = spawn({
                let w = w.clone();
                async move { w.next().await }
            });
            let second = inner.await.unwrap_or(5);
            let (third, fourth) = futures::join!(w.next(), w.next());
            Ok(first + second + third? + fourth?)
        })
    }),
    ("thread that cleans up", |w| {
        spawn(async move {
            let result = w.next().await;
            // After a cancel, too.
            w.next().await?;
            pause().await?;
            result
        })
    }),
    ("group", |w| {
        let group = Group::new();
        for _ in 0..2 {
            let w = w.clone();
            group
                .spawn(async move { w.next().await })
                .on_termination(|| ());
        }
        let all = group.wait();
        all.map(move |()| {
            drop(group);
            0
        })
    }),
];

/// What is done at a suspension point.
const ACTS: usize = 7;

fn run(operation: Operation, point: usize, act: usize) -> usize {
    let count = DropCount::default();
    let mut steps = 0;
    balanced(|| {
        let world = Rc::new(World {
            pending: RefCell::default(),
            count: count.clone(),
        });
        let promise = operation(world.clone());
        let mut promise = Some(promise);
        loop {
            if steps == point {
                match act {
                    0 => {}
                    1 => promise.as_ref().expect("it is dropped once").cancel(),
                    2 => promise.as_ref().expect("it is dropped once").cancel_later(),
                    3 => drop(promise.take()),
                    4 => drop(world.pending.take()),
                    5 => {
                        drop(world.pending.take());
                        promise.as_ref().expect("it is dropped once").cancel();
                    }
                    _ => {
                        promise.as_ref().expect("it is dropped once").cancel();
                        drop(promise.take());
                    }
                }
            }
            if !world.step() {
                break;
            }
            steps += 1;
            assert!(steps < 50, "it does not end");
        }
        let sleeps = promise.as_ref().is_some_and(Promise::is_sleeping);
        // It may sleep on only where its sources went and nobody cancelled.
        assert!(
            !sleeps || act == 4 || act == 5,
            "asleep after {act} at {point}"
        );
        drop(promise);
        drop(world.pending.take());
        while world.step() {}
        assert_eq!(count.alive(), 0, "after {act} at {point}");
        drop(world);
    });
    steps
}

#[test]
fn i5_every_operation_at_every_suspension_point() {
    let _limit = time_limit(60);
    for (name, operation) in OPERATIONS {
        let outcome = std::panic::catch_unwind(|| {
            let points = run(operation, usize::MAX, 0);
            assert!(points > 0);
            for point in 0..=points {
                for act in 1..ACTS {
                    run(operation, point, act);
                }
            }
        });
        if let Err(payload) = outcome {
            eprintln!("in {name}");
            std::panic::resume_unwind(payload);
        }
    }
}
