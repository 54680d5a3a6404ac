//! Section 2 of the behaviour of the core: the order of callbacks. Ours is the order of attachment (OCaml: newest first):
//! cancel callbacks, then those that borrow the value, then those that consume it.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Log, balanced, sized, time_limit, value};
use lwt_core::*;

#[test]
fn s2_1_callbacks_run_in_the_order_of_attachment_borrowers_first() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, resolver) = wait::<u32>();
        let mut results = Vec::new();
        let l = log.clone();
        results.push(promise.clone().map(move |_| l.push("map 1")));
        promise.on_success({
            let l = log.clone();
            move |_| l.push("success 2")
        });
        let l = log.clone();
        results.push(promise.clone().bind(move |_| return_(l.push("bind 3"))));
        promise.on_termination(log.note("termination 4"));
        let (l, awaited) = (log.clone(), promise.clone());
        results.push(spawn(async move {
            awaited.await?;
            l.push("await 5");
            Ok(())
        }));
        promise.on_any(
            {
                let l = log.clone();
                move |_| l.push("any 6")
            },
            |_| (),
        );
        let l = log.clone();
        results.push(
            promise
                .clone()
                .protected()
                .map(move |_| l.push("protected 7")),
        );
        let l = log.clone();
        results.push(join([promise.clone().map(|_| ())]).map(move |_| l.push("join 8")));
        resolver.wakeup(0);
        assert_eq!(
            log.take(),
            [
                "success 2",
                "termination 4",
                "any 6",
                "map 1",
                "bind 3",
                "await 5",
                "protected 7",
                "join 8"
            ]
        );
        drop((results, promise));
    });
}

#[test]
fn s2_2_tied_promises_tell_the_outers_callbacks_then_the_inners_then_later_ones() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (inner, resolver) = wait::<u32>();
        let kept = inner.clone();
        let (start, starter) = wait::<()>();
        let returned = inner.clone();
        let outer = start.bind(move |()| returned);
        let mut results = Vec::new();
        for name in ["inner 1", "inner 2"] {
            inner.on_success({
                let l = log.clone();
                move |_| l.push(name)
            });
            let l = log.clone();
            results.push(inner.clone().map(move |_| {
                l.push(if name == "inner 1" {
                    "INNER 1"
                } else {
                    "INNER 2"
                })
            }));
        }
        for name in ["outer 1", "outer 2"] {
            outer.on_success({
                let l = log.clone();
                move |_| l.push(name)
            });
            let l = log.clone();
            results.push(outer.clone().map(move |_| {
                l.push(if name == "outer 1" {
                    "OUTER 1"
                } else {
                    "OUTER 2"
                })
            }));
        }
        starter.wakeup(());
        for (name, upper, promise) in [("late 1", "LATE 1", &kept), ("late 2", "LATE 2", &outer)] {
            promise.on_success({
                let l = log.clone();
                move |_| l.push(name)
            });
            let l = log.clone();
            results.push(promise.clone().map(move |_| l.push(upper)));
        }
        resolver.wakeup(1);
        let borrowers = [
            "outer 1", "outer 2", "inner 1", "inner 2", "late 1", "late 2",
        ];
        let consumers = [
            "OUTER 1", "OUTER 2", "INNER 1", "INNER 2", "LATE 1", "LATE 2",
        ];
        assert_eq!(log.take(), [borrowers, consumers].concat());
    });
}

#[test]
fn s2_3_cancel_callbacks_run_first_of_all() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, resolver) = task::<u32>();
        let caught = promise.clone().catch({
            let l = log.clone();
            move |_| {
                l.push("consumer");
                return_(0)
            }
        });
        promise.on_failure({
            let l = log.clone();
            move |_| l.push("borrower")
        });
        promise.on_cancel(log.note("cancel 1"));
        promise.on_cancel(log.note("cancel 2"));
        promise.cancel();
        assert_eq!(log.take(), ["cancel 1", "cancel 2", "borrower", "consumer"]);
        drop((resolver, caught));
        // Also when the rejection comes through the resolver.
        let (promise, resolver) = wait::<u32>();
        promise.on_failure({
            let l = log.clone();
            move |_| l.push("borrower")
        });
        promise.on_cancel(log.note("cancel"));
        resolver.wakeup_exn(Canceled);
        assert_eq!(log.take(), ["cancel", "borrower"]);
    });
}

#[test]
fn s2_4_wakeup_runs_callbacks_nested_up_to_the_limit_and_then_queues() {
    let _limit = time_limit(10);
    balanced(|| {
        // Nested: the inner wake-up's callback runs before the outer one goes on.
        let log = Log::new();
        let (first, first_resolver) = wait::<()>();
        let (second, second_resolver) = wait::<()>();
        second.on_success({
            let l = log.clone();
            move |()| l.push("second")
        });
        first.on_success({
            let l = log.clone();
            move |()| {
                l.push("before");
                second_resolver.wakeup(());
                l.push("after");
            }
        });
        first_resolver.wakeup(());
        assert_eq!(log.take(), ["before", "second", "after"]);

        // The nesting is bounded: the depth that is seen stays below the limit, and everything has run at the end.
        let steps = sized(10_000, 200);
        let (depth, deepest, ran) = (
            Rc::new(Cell::new(0)),
            Rc::new(Cell::new(0)),
            Rc::new(Cell::new(0)),
        );
        let pairs: Vec<_> = (0..steps).map(|_| wait::<()>()).collect();
        let mut resolvers: Vec<Option<Resolver<()>>> = Vec::new();
        let mut promises = Vec::new();
        for (promise, resolver) in pairs {
            promises.push(promise);
            resolvers.push(Some(resolver));
        }
        let first = resolvers[0].take();
        for (index, promise) in promises.iter().enumerate() {
            let next = resolvers.get_mut(index + 1).and_then(Option::take);
            let (depth, deepest, ran) = (depth.clone(), deepest.clone(), ran.clone());
            promise.on_success(move |()| {
                depth.set(depth.get() + 1);
                deepest.set(deepest.get().max(depth.get()));
                ran.set(ran.get() + 1);
                if let Some(next) = next {
                    next.wakeup(());
                }
                depth.set(depth.get() - 1);
            });
        }
        if let Some(first) = first {
            first.wakeup(());
        }
        assert_eq!(ran.get(), steps);
        assert!((2..=16).contains(&deepest.get()), "{}", deepest.get());
    });
}

#[test]
fn s2_5_wakeup_later_sets_the_state_at_once_and_queues_first_in_first_out() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        // Nothing is in progress: like `wakeup`.
        let (promise, resolver) = wait::<()>();
        promise.on_success({
            let l = log.clone();
            move |()| l.push("at once")
        });
        resolver.resolve(());
        assert_eq!(log.take(), ["at once"]);
        // Something is in progress.
        let (outer, outer_resolver) = wait::<()>();
        let (first, first_resolver) = wait::<()>();
        let (second, second_resolver) = wait::<()>();
        let states = [first.clone(), second.clone()];
        first.on_success({
            let l = log.clone();
            move |()| l.push("first")
        });
        second.on_success({
            let l = log.clone();
            move |()| l.push("second")
        });
        outer.on_success({
            let l = log.clone();
            move |()| {
                first_resolver.wakeup_later(());
                second_resolver.resolve(());
                assert!(states.iter().all(|promise| !promise.is_sleeping()));
                l.push("in progress");
            }
        });
        outer.on_success({
            let l = log.clone();
            move |()| l.push("still in progress")
        });
        outer_resolver.wakeup(());
        assert_eq!(
            log.take(),
            ["in progress", "still in progress", "first", "second"]
        );
    });
}

#[test]
fn s2_6_everything_queued_has_run_when_the_outermost_call_returns() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let mut resolvers = Vec::new();
        // Each callback wakes the next one later; the last of them are added while the queue is emptied.
        let (promise, first) = wait::<()>();
        let mut promise = promise;
        for index in 0..50 {
            let (next, resolver) = wait::<()>();
            let l = log.clone();
            promise.on_success(move |()| {
                l.push(index);
                resolver.resolve(());
            });
            resolvers.push(promise);
            promise = next;
        }
        first.resolve(());
        assert_eq!(log.take(), (0..50).collect::<Vec<_>>());
        assert_eq!(scheduler::counters().queued, 0);
    });
}

#[test]
fn s2_7_inside_a_callback_later_has_set_the_state_only_and_wakeup_has_run_the_callbacks() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (outer, outer_resolver) = wait::<()>();
        let (second, second_resolver) = wait::<()>();
        let (third, third_resolver) = wait::<()>();
        let (two, three) = (second.clone().map(|()| ()), third.clone().map(|()| ()));
        let l = log.clone();
        outer.on_success(move |()| {
            second_resolver.wakeup_later(());
            l.push((second.is_sleeping(), two.is_sleeping()));
            third_resolver.wakeup(());
            l.push((third.is_sleeping(), three.is_sleeping()));
        });
        outer_resolver.wakeup(());
        assert_eq!(log.take(), [(false, true), (false, false)]);
    });
}

#[test]
fn s2_8_a_long_chain_of_later_wake_ups_needs_no_stack() {
    let _limit = time_limit(60);
    balanced(|| {
        let steps = sized(300_000, 2_000);
        let (mut promise, first) = wait::<u64>();
        let last = Rc::new(Cell::new(0));
        let mut kept = Vec::with_capacity(steps);
        for _ in 0..steps {
            let (next, resolver) = wait::<u64>();
            let last = last.clone();
            promise.on_success(move |count| {
                last.set(*count);
                resolver.wakeup_later(count + 1);
            });
            kept.push(promise);
            promise = next;
        }
        first.wakeup_later(1);
        assert_eq!(last.get(), steps as u64);
        drop(kept);
    });
}

#[test]
fn s2_9_the_nesting_limit_can_be_set() {
    let _limit = time_limit(10);
    // OCaml's limit of 42 cannot be seen; ours can, and it is a count, so the order never depends on the build.
    balanced(|| {
        let order = |limit| {
            scheduler::set_nesting_limit(limit);
            let log = Log::new();
            let (mut promise, first) = wait::<()>();
            let mut kept = Vec::new();
            for index in 0..4 {
                let (next, resolver) = wait::<()>();
                let l = log.clone();
                promise.on_success(move |()| {
                    resolver.wakeup(());
                    l.push(index);
                });
                kept.push(promise);
                promise = next;
            }
            first.wakeup(());
            log.take()
        };
        assert_eq!(order(16), [3, 2, 1, 0]);
        assert_eq!(order(1), [0, 1, 2, 3]);
        scheduler::set_nesting_limit(16);
    });
}

#[test]
fn s2_10_functions_on_a_resolved_promise_are_called_at_once_even_during_a_resolution() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (outer, resolver) = wait::<()>();
        let l = log.clone();
        outer.on_success(move |()| {
            let n = |name| {
                let l = l.clone();
                move || l.push(name)
            };
            let _ = return_(()).bind({
                let n = n("bind");
                move |()| {
                    n();
                    return_(())
                }
            });
            let _ = return_(()).map({
                let n = n("map");
                move |()| n()
            });
            let _ = return_(()).and_then({
                let n = n("and_then");
                move |()| {
                    n();
                    Ok(())
                }
            });
            let _ = fail::<()>(EndOfFile).catch({
                let n = n("catch");
                move |_| {
                    n();
                    return_(())
                }
            });
            let _ = return_(()).try_bind(
                {
                    let n = n("try_bind");
                    move |()| {
                        n();
                        return_(())
                    }
                },
                |_| return_(()),
            );
            let _ = return_(()).finalize({
                let n = n("finalize");
                move || {
                    n();
                    return_unit()
                }
            });
            return_(()).on_success({
                let n = n("on_success");
                move |()| n()
            });
            fail::<()>(EndOfFile).on_failure({
                let n = n("on_failure");
                move |_| n()
            });
            return_(()).on_termination(n("on_termination"));
            return_(()).on_any(
                {
                    let n = n("on_any");
                    move |()| n()
                },
                |_| (),
            );
            fail::<()>(Canceled).on_cancel(n("on_cancel"));
            l.push("end");
        });
        resolver.wakeup(());
        assert_eq!(
            log.take(),
            [
                "bind",
                "map",
                "and_then",
                "catch",
                "try_bind",
                "finalize",
                "on_success",
                "on_failure",
                "on_termination",
                "on_any",
                "on_cancel",
                "end"
            ]
        );
    });
}

#[test]
fn s2_11_iterate_is_the_loop_that_needs_no_stack() {
    let _limit = time_limit(60);
    use std::ops::ControlFlow::{Break, Continue};
    balanced(|| {
        let steps: u64 = if cfg!(miri) { 10_000 } else { 10_000_000 };
        let promise = iterate(0, move |n| {
            return_(if n == steps {
                Break(n)
            } else {
                Continue(n + 1)
            })
        });
        assert_eq!(value(&promise), steps);
        // With a wait in the middle.
        let (gate, opener) = wait::<()>();
        let mut gate = Some(gate);
        let promise = iterate(0, move |n: u64| match gate.take() {
            Some(gate) => gate.map(move |()| Continue(n + 1)),
            None => return_(if n == steps {
                Break(n)
            } else {
                Continue(n + 1)
            }),
        });
        assert!(promise.is_sleeping());
        opener.wakeup(());
        assert_eq!(value(&promise), steps);
    });
}

#[test]
fn s2_12_abandon_wakeups_empties_the_queue() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (outer, outer_resolver) = wait::<()>();
        let (inner, inner_resolver) = wait::<()>();
        inner.on_success({
            let l = log.clone();
            move |()| l.push("never")
        });
        let mapped = inner.clone().map(|()| ());
        outer.on_success(move |()| {
            inner_resolver.resolve(());
            assert_eq!(scheduler::counters().queued, 1);
            abandon_wakeups();
            assert_eq!(scheduler::counters().queued, 0);
        });
        outer_resolver.wakeup(());
        assert!(!inner.is_sleeping() && mapped.is_sleeping());
        assert!(log.take().is_empty());
        // Later resolutions work as ever, and the value is not lent for ever.
        assert!(inner.try_take().is_ok());
        let (promise, resolver) = wait::<()>();
        promise.on_success({
            let l = log.clone();
            move |()| l.push("after")
        });
        resolver.resolve(());
        assert_eq!(log.take(), ["after"]);
        drop(mapped);
    });
}
