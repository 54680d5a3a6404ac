//! Rules M1 and M3 of the model: who owns a sleeping thread, and what dropping means.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{DropCount, Foreign, Log, OnDrop, balanced, is_canceled, time_limit, value};
use lwt_core::*;

/// Ways of waiting for a promise; each holds the guard for as long as it sleeps.
type Way = fn(Promise<u32>, common::Counted) -> Promise<u32>;
const WAYS: [(&str, Way); 13] = [
    ("bind", |p, guard| {
        p.bind(move |x| {
            drop(guard);
            return_(x)
        })
    }),
    ("map", |p, guard| {
        p.map(move |x| {
            drop(guard);
            x
        })
    }),
    ("catch", |p, guard| {
        p.catch(move |error| {
            drop(guard);
            fail(error)
        })
    }),
    ("try_bind", |p, guard| {
        p.try_bind(
            move |x| {
                drop(guard);
                return_(x)
            },
            fail,
        )
    }),
    ("finalize", |p, guard| {
        p.finalize(move || {
            drop(guard);
            return_unit()
        })
    }),
    ("spawn", |p, guard| {
        spawn(async move {
            let _guard = guard;
            p.await
        })
    }),
    ("thread on thread", |p, guard| {
        let inner = spawn(async move {
            let _guard = guard;
            p.await
        });
        spawn(async move { inner.await })
    }),
    ("join", |p, guard| {
        join([p.map(|_| ()), return_(())]).map(move |()| {
            drop(guard);
            0
        })
    }),
    ("all", |p, guard| {
        all([p, return_(2)]).map(move |all| {
            drop(guard);
            all[0]
        })
    }),
    ("choose", |p, guard| {
        choose([p, wait::<u32>().0]).map(move |x| {
            drop(guard);
            x
        })
    }),
    ("pick", |p, guard| {
        pick([p, wait::<u32>().0]).map(move |x| {
            drop(guard);
            x
        })
    }),
    ("protected", |p, guard| {
        p.map(move |x| {
            drop(guard);
            x
        })
        .protected()
    }),
    ("no_cancel", |p, guard| {
        p.map(move |x| {
            drop(guard);
            x
        })
        .no_cancel()
    }),
];

#[test]
fn m1_a_waiter_that_nothing_else_owns_goes_with_the_last_resolver() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        balanced(|| {
            let count = DropCount::default();
            let (promise, resolver) = task::<u32>();
            let made = way(promise, count.value());
            drop(made);
            // Detached: it goes on sleeping, since something can still wake it.
            assert_eq!(count.alive(), 1, "{name}");
            drop(resolver);
            assert_eq!(count.alive(), 0, "{name}");
        });
    }
}

#[test]
fn m1_a_detached_thread_goes_on() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        balanced(|| {
            let count = DropCount::default();
            let (promise, resolver) = task::<u32>();
            let done = Rc::new(Cell::new(false));
            let finished = done.clone();
            let made = way(promise, count.value()).map(move |x| {
                finished.set(true);
                x
            });
            drop(made);
            resolver.wakeup(1);
            assert!(done.get(), "{name}");
            assert_eq!(count.alive(), 0, "{name}");
        });
    }
}

#[test]
fn m1_a_waiter_that_a_handle_holds_stays_asleep_and_can_be_cancelled() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        balanced(|| {
            let count = DropCount::default();
            let (promise, resolver) = task::<u32>();
            let source = promise.clone();
            let made = way(promise, count.value());
            drop(resolver);
            assert!(made.is_sleeping(), "{name}");
            assert_eq!(count.alive(), 1, "{name}");
            made.cancel();
            let reaches = !matches!(name, "protected" | "no_cancel");
            assert_eq!(is_canceled(&source), reaches, "{name}");
            assert_eq!(is_canceled(&made), name != "no_cancel", "{name}");
            drop(made);
            if reaches {
                assert_eq!(count.alive(), 0, "{name}");
            }
            drop(source);
            assert_eq!(count.alive(), 0, "{name}");
        });
    }
}

#[test]
fn m1_a_waiter_whose_resolver_went_goes_with_its_last_handle_without_an_error() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        balanced(|| {
            let count = DropCount::default();
            let log = Log::new();
            let (promise, resolver) = task::<u32>();
            let made = way(promise, count.value());
            // None of these is told: nothing is delivered, nothing cleans up asynchronously.
            made.on_termination(log.note("termination"));
            made.on_cancel(log.note("cancel"));
            let (l, m) = (log.clone(), log.clone());
            let outer = made.try_bind(
                move |_| return_(l.push("value")),
                move |_| return_(m.push("failure")),
            );
            drop(resolver);
            assert_eq!(count.alive(), 1, "{name}");
            drop(outer);
            assert_eq!(count.alive(), 0, "{name}");
            assert!(log.take().is_empty(), "{name}");
        });
    }
}

#[test]
fn m1_with_two_sources_a_thread_lives_while_one_can_wake_it() {
    let _limit = time_limit(10);
    for first_goes in [false, true] {
        for way in 0..4 {
            balanced(|| {
                let count = DropCount::default();
                let guard = count.value();
                let (a, ra) = task::<u32>();
                let (b, rb) = task::<u32>();
                let made = match way {
                    0 => choose([a, b]).map(move |x| {
                        drop(guard);
                        x
                    }),
                    1 => all([a, b]).map(move |_| {
                        drop(guard);
                        0
                    }),
                    2 => both(a, b).map(move |_| {
                        drop(guard);
                        0
                    }),
                    _ => spawn(async move {
                        let _guard = guard;
                        futures::join!(a, b).0
                    }),
                };
                drop(made);
                let (first, second) = if first_goes { (ra, rb) } else { (rb, ra) };
                drop(first);
                assert_eq!(count.alive(), 1);
                drop(second);
                assert_eq!(count.alive(), 0);
            });
        }
    }
}

#[test]
fn m1_several_resolvers_keep_the_thread_until_the_last_goes() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let guard = count.value();
        let (promise, resolver) = wait::<u32>();
        let another = resolver.clone();
        drop(promise.map(move |_| drop(guard)));
        drop(resolver);
        assert_eq!(count.alive(), 1);
        drop(another);
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn m1_a_wait_that_is_cancelled_wakes_and_owns_its_waiters_again() {
    let _limit = time_limit(10);
    balanced(|| {
        // Without a resolver; the thread then awaits something that lives, and must live with it.
        let (first, resolver) = task::<u32>();
        let canceler = first.clone();
        let (second, second_resolver) = task::<u32>();
        let done = Rc::new(Cell::new(0));
        let result = done.clone();
        let thread = spawn(async move {
            let _ = first.await;
            result.set(second.await?);
            Ok(())
        });
        drop(resolver);
        canceler.cancel();
        drop((thread, canceler));
        second_resolver.wakeup(8);
        assert_eq!(done.get(), 8);
    });
}

#[test]
fn m1_forever_never_resolves_and_can_be_cancelled() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let guard = count.value();
        let thread = spawn(async move {
            let _guard = guard;
            forever::<()>().await
        });
        assert!(thread.is_sleeping());
        thread.cancel();
        assert!(is_canceled(&thread));
        assert_eq!(count.alive(), 0);
        // `let (promise, _) = wait()` drops its resolver at once.
        let (promise, _) = wait::<u32>();
        assert!(promise.is_sleeping());
    });
}

#[test]
fn m1_a_foreign_waker_that_lives_keeps_the_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (guard, foreign) = (count.value(), Foreign::new());
        let inside = foreign.clone();
        drop(spawn(async move {
            let _guard = guard;
            inside.await;
            Ok(())
        }));
        assert_eq!(count.alive(), 1);
        assert_eq!(scheduler::foreign_wakers(), 1);
        let waker = foreign.waker();
        drop(waker);
        assert_eq!(count.alive(), 0);
        assert_eq!(scheduler::foreign_wakers(), 0);
    });
}

#[test]
fn m1_an_abandoned_thread_may_do_anything_in_its_destructors() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (other, other_resolver) = wait::<u32>();
        let mapped = other.map({
            let l = log.clone();
            move |_| l.push("other")
        });
        let l = log.clone();
        let guard = OnDrop::new(move || {
            other_resolver.wakeup(1);
            l.push("guard");
            let (p, r) = wait::<u32>();
            drop(p.map(|x| x));
            drop(r);
            spawn(async { pause().await }).cancel();
        });
        let (promise, resolver) = wait::<u32>();
        drop(spawn(async move {
            let _guard = guard;
            promise.await
        }));
        drop(resolver);
        assert_eq!(log.take(), ["other", "guard"]);
        wakeup_paused();
        drop(mapped);
    });
}

#[test]
fn m3_dropping_the_promise_of_a_thread_detaches_and_of_a_leaf_withdraws() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        // A leaf: dropped, or awaited by something that is dropped.
        type Use = fn(Promise<u32>);
        let uses: [Use; 5] = [
            |leaf| drop(leaf),
            |leaf| drop(choose([leaf, return_(1)])),
            |leaf| {
                let (other, resolver) = wait::<u32>();
                let chosen = choose([leaf, other]);
                resolver.wakeup(1);
                assert_eq!(value(&chosen), 1);
            },
            |leaf| {
                let (promise, resolver) = wait::<()>();
                let thread = spawn(async move {
                    let mut leaf = leaf;
                    let mut promise = promise;
                    futures::select! {
                        _ = futures::FutureExt::fuse(&mut leaf) => (),
                        _ = futures::FutureExt::fuse(&mut promise) => (),
                    }
                    Ok(())
                });
                resolver.wakeup(());
                assert!(!thread.is_sleeping());
            },
            |leaf| {
                let copy = leaf.protected();
                copy.cancel();
            },
        ];
        for (index, way) in uses.into_iter().enumerate() {
            let (leaf, resolver) = scheduler::leaf::<u32>("leaf");
            resolver.on_abandon(log.note(index));
            assert!(!resolver.is_abandoned());
            way(leaf);
            assert!(resolver.is_abandoned(), "{index}");
            assert_eq!(log.take(), [index]);
            assert_eq!(resolver.try_wakeup(7), Err(7));
        }
        // Not before the last handle is gone, and not when it was resolved before.
        let (leaf, resolver) = scheduler::leaf::<u32>("leaf");
        resolver.on_abandon(log.note(100));
        let another = leaf.clone();
        drop(leaf);
        assert!(log.take().is_empty() && !resolver.is_abandoned());
        resolver.wakeup(2);
        assert_eq!(value(&another), 2);
        drop(another);
        assert!(log.take().is_empty());
        // At once when that has happened already.
        let (leaf, resolver) = scheduler::leaf::<u32>("leaf");
        drop(leaf);
        resolver.on_abandon(log.note(200));
        assert_eq!(log.take(), [200]);
    });
}

#[test]
fn m3_a_withdrawal_may_run_anything() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (leaf, resolver) = scheduler::leaf::<u32>("leaf");
        let again = resolver.clone();
        let l = log.clone();
        resolver.on_abandon(move || {
            // Resolving what nobody wants any more, and getting it back.
            let revived = again.promise();
            again.wakeup(4);
            l.push(value(&revived));
        });
        drop(leaf);
        assert_eq!(log.take(), [4]);
        drop(resolver);
    });
}

#[test]
fn m3_a_leaf_that_a_continuation_returned_belongs_to_a_thread_and_is_not_withdrawn() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (leaf, resolver) = scheduler::leaf::<u32>("leaf");
        resolver.on_abandon(log.note("abandoned"));
        let (start, starter) = wait::<()>();
        let thread = start.bind(move |()| leaf);
        starter.wakeup(());
        drop(thread);
        assert!(log.take().is_empty());
        assert!(!resolver.is_abandoned());
        resolver.wakeup(1);
    });
}
