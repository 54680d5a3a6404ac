//! Section 4 of the behaviour of the core: `bind`, tying and memory. How much memory the kernel holds is looked at in
//! `constant_memory.rs`.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{DropCount, Log, balanced, is_canceled, sized, time_limit, value};
use lwt_core::*;

/// Each way of making a promise that continues with another one.
type Continue = fn(Promise<u32>, Promise<u32>) -> Promise<u32>;
const WAYS: [(&str, Continue); 4] = [
    ("bind", |start, next| start.bind(|_| next)),
    ("try_bind, value", |start, next| {
        start.try_bind(|_| next, fail)
    }),
    ("catch", |start, next| {
        start.bind(|_| fail::<u32>(EndOfFile)).catch(|_| next)
    }),
    ("try_bind, failure", |start, next| {
        start
            .bind(|_| fail::<u32>(EndOfFile))
            .try_bind(return_, |_| next)
    }),
];

#[test]
fn s4_1_result_and_returned_promise_become_one() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        // The same state.
        balanced(|| {
            let (start, starter) = wait::<u32>();
            let (inner, resolver) = task::<u32>();
            let kept = inner.clone();
            let outer = way(start, inner);
            starter.wakeup(0);
            assert!(outer.is_sleeping(), "{name}");
            resolver.wakeup(7);
            assert_eq!((value(&outer), value(&kept)), (7, 7), "{name}");
        });
        // The same cancellation, in both directions.
        for from_inner in [false, true] {
            balanced(|| {
                let log = Log::new();
                let (start, starter) = wait::<u32>();
                let (inner, resolver) = task::<u32>();
                let kept = inner.clone();
                inner.on_cancel(log.note("inner"));
                let outer = way(start, inner);
                outer.on_cancel(log.note("outer"));
                starter.wakeup(0);
                kept.on_cancel(log.note("late"));
                if from_inner {
                    kept.cancel();
                } else {
                    outer.cancel();
                }
                assert_eq!(log.take(), ["outer", "inner", "late"], "{name}");
                assert!(is_canceled(&outer) && is_canceled(&kept), "{name}");
                drop(resolver);
            });
        }
    }
}

#[test]
fn s4_1_the_finalizer_is_waited_for_and_cancelled_through_the_result() {
    let _limit = time_limit(10);
    balanced(|| {
        let (body, body_resolver) = wait::<u32>();
        let (cleanup, cleanup_resolver) = task::<()>();
        let kept = cleanup.clone();
        let result = body.finalize(move || cleanup);
        body_resolver.wakeup(3);
        assert!(result.is_sleeping());
        result.cancel();
        assert!(is_canceled(&kept) && is_canceled(&result));
        drop(cleanup_resolver);
    });
}

#[test]
fn s4_1_endless_recursion_keeps_the_number_of_cells_constant() {
    let _limit = time_limit(60);
    balanced(|| {
        fn endless(left: usize, way: usize) -> Promise<u32> {
            let next = move |()| {
                if left == 0 {
                    return_(5)
                } else {
                    endless(left - 1, way)
                }
            };
            match way {
                0 => pause().bind(next),
                1 => pause().try_bind(next, fail),
                2 => pause()
                    .bind(|()| fail::<()>(EndOfFile))
                    .try_bind(|()| return_(0), move |_| next(())),
                _ => spawn(async { pause().await }).bind(next),
            }
        }
        for way in 0..4 {
            let turns = sized(20_000, 200);
            let promise = endless(turns, way);
            let mut most = 0;
            for turn in 0..=turns {
                wakeup_paused();
                let cells = scheduler::counters().cells;
                if turn == 10 {
                    most = cells;
                }
                assert!(
                    turn <= 10 || cells <= most,
                    "way {way}, turn {turn}: {cells} > {most}"
                );
            }
            assert_eq!(value(&promise), 5);
        }
    });
}

#[test]
fn s4_2_chains_of_references_are_followed() {
    let _limit = time_limit(30);
    balanced(|| {
        let (inner, resolver) = wait::<u32>();
        let first = inner.clone();
        let mut promise = inner;
        let mut kept = Vec::new();
        for _ in 0..sized(10_000, 100) {
            let (start, starter) = wait::<()>();
            let tied = promise;
            let next = start.bind(move |()| tied);
            kept.push(next.clone());
            starter.wakeup(());
            promise = next;
        }
        resolver.wakeup(8);
        assert_eq!(value(&first), 8);
        assert!(
            kept.iter()
                .all(|promise| matches!(promise.state(), State::Return(8)))
        );
    });
}

#[test]
fn s4_3_a_cycle_stays_pending_and_neither_fails_nor_loops() {
    let _limit = time_limit(10);
    for (name, way) in WAYS {
        balanced(|| {
            let slot: Rc<RefCell<Option<Promise<u32>>>> = Rc::default();
            let (start, starter) = wait::<u32>();
            // The continuation returns the very promise that it makes.
            let own = slot.clone();
            let (gate, opener) = wait::<u32>();
            let outer = start.bind(move |_| own.borrow_mut().take().unwrap_or_else(|| return_(0)));
            *slot.borrow_mut() = Some(outer.clone());
            let _ = way(gate, return_(0));
            opener.wakeup(0);
            starter.wakeup(0);
            assert!(outer.is_sleeping(), "{name}");
            outer.cancel();
            assert!(outer.is_sleeping());
        });
    }
    // A cycle of two, and one of three.
    for length in 2..=3 {
        balanced(|| {
            let slots: Vec<Rc<RefCell<Option<Promise<u32>>>>> =
                (0..length).map(|_| Rc::default()).collect();
            let mut starters = Vec::new();
            let mut promises = Vec::new();
            for index in 0..length {
                let (start, starter) = wait::<()>();
                let next = slots[(index + 1) % length].clone();
                let promise = start.bind(move |()| next.borrow_mut().take().unwrap());
                *slots[index].borrow_mut() = Some(promise.clone());
                starters.push(starter);
                promises.push(promise);
            }
            for starter in starters {
                starter.wakeup(());
            }
            assert!(promises.iter().all(Promise::is_sleeping));
            promises[0].cancel();
            assert!(promises.iter().all(Promise::is_sleeping));
        });
    }
}

#[test]
fn s4_4_returning_the_promise_it_was_attached_to_gives_its_result() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = wait::<u32>();
        let again = promise.clone();
        let bound = promise.clone().bind(move |_| again);
        resolver.wakeup(6);
        assert_eq!(value(&bound), 6);
        let (promise, resolver) = wait::<u32>();
        let again = promise.clone();
        let caught = promise.catch(move |_| again);
        resolver.wakeup_exn(EndOfFile);
        assert!(matches!(caught.state(), State::Fail(error) if error.is::<EndOfFile>()));
    });
}

#[test]
fn s4_5_the_outer_may_be_tied_while_its_own_callback_runs() {
    let _limit = time_limit(10);
    // What the callback comes to in the end: a value, a failure, a panic, a pending promise.
    for ending in 0..4 {
        balanced(|| {
            let (start, starter) = wait::<()>();
            let (trigger, trigger_resolver) = wait::<()>();
            let (last, last_resolver) = wait::<u32>();
            let slot: Rc<RefCell<Option<Promise<u32>>>> = Rc::default();
            let inner = start.bind(move |()| {
                // Resolves something whose continuation returns this very promise.
                trigger_resolver.wakeup(());
                match ending {
                    0 => return_(4),
                    1 => fail(EndOfFile),
                    2 => panic!("ending"),
                    _ => last,
                }
            });
            *slot.borrow_mut() = Some(inner);
            let taken = slot.clone();
            let outer = trigger.bind(move |()| taken.borrow_mut().take().unwrap());
            starter.wakeup(());
            if ending == 3 {
                assert!(outer.is_sleeping());
                last_resolver.wakeup(4);
            }
            match outer.state() {
                State::Return(4) => assert!(matches!(ending, 0 | 3)),
                State::Fail(error) => assert!(
                    error.is::<EndOfFile>() && ending == 1 || error.is_panic() && ending == 2
                ),
                state => panic!("{state:?}"),
            }
        });
    }
}

#[test]
fn s4_6_choosing_from_a_long_lived_promise_leaves_the_other_waiters_alone() {
    let _limit = time_limit(30);
    balanced(|| {
        let log = Log::new();
        let (long, resolver) = wait::<u32>();
        let mut kept = Vec::new();
        for turn in 0..sized(2_000, 100) {
            if turn % 50 == 0 {
                let l = log.clone();
                kept.push(long.clone().map(move |_| l.push(turn)));
            }
            let (other, waker) = wait::<u32>();
            let chosen = choose([long.clone(), other]);
            waker.wakeup(1);
            assert_eq!(value(&chosen), 1);
        }
        resolver.wakeup(2);
        let expected: Vec<_> = (0..sized(2_000, 100)).step_by(50).collect();
        assert_eq!(log.take(), expected);
        drop(kept);
    });
}

#[test]
fn s4_7_protecting_and_cancelling_leaves_nothing_behind() {
    let _limit = time_limit(30);
    balanced(|| {
        let count = DropCount::default();
        let (long, resolver) = wait::<u32>();
        let cells = scheduler::counters().cells;
        for _ in 0..sized(2_000, 50) {
            let guard = count.value();
            let copy = long.clone().protected();
            copy.on_cancel(move || drop(guard));
            copy.cancel();
            assert!(is_canceled(&copy));
            let lost = long.clone().protected().map(|x| x);
            lost.cancel();
            let thread = {
                let long = long.clone();
                spawn(async move { long.protected().await })
            };
            thread.cancel();
            assert!(is_canceled(&thread));
        }
        assert_eq!(count.alive(), 0);
        assert_eq!(scheduler::counters().cells, cells);
        resolver.wakeup(1);
        assert_eq!(value(&long), 1);
    });
}

#[test]
fn s4_8_catch_of_an_immediate_success_makes_no_cell() {
    let _limit = time_limit(10);
    let before = scheduler::counters();
    let promise = catch(|| return_(1), |_| return_(2));
    assert_eq!(scheduler::counters(), before);
    assert_eq!(value(&promise), 1);
}
