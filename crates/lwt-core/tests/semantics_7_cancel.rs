//! Section 7 of the behaviour of the core: cancellation.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Log, balanced, failure, is_canceled, time_limit, value};
use lwt_core::*;

#[test]
fn s7_1_what_cancel_does_depends_on_how_the_promise_was_made() {
    let _limit = time_limit(10);
    balanced(|| {
        // Cancelable themselves.
        let (promise, _r) = task::<u32>();
        let (original, _s) = wait::<u32>();
        for cancelable in [
            promise.clone(),
            original.clone().protected(),
            original.clone().wrap_in_cancelable(),
            pause().map(|()| 1),
            scheduler::leaf::<u32>("leaf").0,
            forever(),
        ] {
            cancelable.cancel();
            assert!(is_canceled(&cancelable));
        }
        // Nothing happens.
        let (fixed, _t) = wait::<u32>();
        let unreachable = task::<u32>().0.no_cancel();
        for promise in [&fixed, &unreachable, &original] {
            promise.cancel();
            assert!(promise.is_sleeping());
        }
        // Through to what it waits for now, first stage.
        type Way = fn(Promise<u32>) -> Promise<u32>;
        let ways: [(&str, Way); 14] = [
            ("bind", |p| p.bind(return_)),
            ("map", |p| p.map(|x| x)),
            ("and_then", |p| p.and_then(Ok)),
            ("catch", |p| p.catch(fail)),
            ("try_bind", |p| p.try_bind(return_, fail)),
            ("finalize", |p| p.finalize(return_unit)),
            ("join", |p| join([p.map(|_| ())]).map(|()| 0)),
            ("both", |p| both(p, return_(1)).map(|_| 0)),
            ("all", |p| all([p, return_(2)]).map(|_| 0)),
            ("choose", |p| choose([forever().no_cancel(), p])),
            ("pick", |p| pick([p, forever().no_cancel()])),
            ("nchoose", |p| nchoose([p]).map(|_| 0)),
            ("npick", |p| npick([p]).map(|_| 0)),
            ("spawn", |p| spawn(async move { p.await })),
        ];
        for (name, way) in ways {
            let (promise, _resolver) = task::<u32>();
            let made = way(promise.clone());
            made.cancel();
            assert!(is_canceled(&promise), "{name}");
            assert!(is_canceled(&made), "{name}");
        }
        let (promise, _resolver) = task::<u32>();
        let split = nchoose_split([promise.clone()]);
        split.cancel();
        assert!(is_canceled(&promise) && is_canceled(&split));
        // The promise returned by the continuation, once that has run.
        let (stage, resolver) = task::<u32>();
        let (start, starter) = task::<()>();
        let second = stage.clone();
        let made = start.bind(move |()| second);
        starter.wakeup(());
        made.cancel();
        assert!(is_canceled(&stage));
        drop((resolver, _r, _s, _t));
        wakeup_paused();
    });
}

#[test]
fn s7_2_all_found_promises_are_rejected_first_then_callbacks_run_last_found_first() {
    let _limit = time_limit(10);
    for later in [false, true] {
        balanced(|| {
            let log = Log::new();
            let (promises, _resolvers): (Vec<_>, Vec<_>) = (0..3).map(|_| task::<()>()).unzip();
            for (index, promise) in promises.iter().enumerate() {
                let (l, all) = (log.clone(), promises.clone());
                promise.on_cancel(move || {
                    l.push((index, all.iter().filter(|p| is_canceled(p)).count()))
                });
            }
            let joined = join(promises);
            if later {
                joined.cancel_later();
            } else {
                joined.cancel();
            }
            assert_eq!(log.take(), [(2, 3), (1, 3), (0, 3)]);
            assert!(is_canceled(&joined));
        });
    }
}

#[test]
fn s7_3_a_promise_reached_by_two_ways_is_cancelled_once() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, _resolver) = task::<u32>();
        promise.on_cancel(log.note(()));
        let left = promise.clone().map(|_| ());
        let right = promise.clone().map(|_| ());
        let joined = join([left, right, promise.map(|_| ())]);
        joined.cancel();
        assert_eq!(log.take().len(), 1);
        assert!(is_canceled(&joined));
    });
}

#[test]
fn s7_4_the_cancelled_promise_itself_ends_by_propagation_and_may_end_otherwise() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, _r) = task::<u32>();
        let caught = promise.catch(|error| return_(u32::from(error.is_canceled())));
        caught.cancel();
        assert_eq!(value(&caught), 1);

        let (promise, _r) = task::<u32>();
        let ended = promise.finalize(|| fail(EndOfFile));
        ended.cancel();
        assert!(failure(&ended).is::<EndOfFile>() && failure(&ended).is::<Canceled>());

        let (cancelable, _r) = task::<()>();
        let (fixed, resolver) = wait::<()>();
        let joined = join([cancelable, fixed]);
        joined.cancel();
        assert!(joined.is_sleeping());
        resolver.wakeup(());
        assert!(is_canceled(&joined));

        let (promise, _r) = task::<u32>();
        let thread = spawn(async move { Ok(promise.await.unwrap_or(9)) });
        thread.cancel();
        assert_eq!(value(&thread), 9);
    });
}

#[test]
fn s7_5_cancelling_a_choice_rejects_the_cancelable_member_which_decides() {
    let _limit = time_limit(10);
    for way in [choose::<u32>, pick::<u32>] as [fn(Vec<Promise<u32>>) -> Promise<u32>; 2] {
        balanced(|| {
            let (cancelable, _r) = task::<u32>();
            let (fixed, resolver) = wait::<u32>();
            let chosen = way(vec![fixed.clone(), cancelable.clone()]);
            chosen.cancel();
            assert!(is_canceled(&chosen) && is_canceled(&cancelable) && fixed.is_sleeping());
            resolver.wakeup(1);
        });
    }
}

#[test]
fn s7_6_a_second_cancel_searches_anew() {
    let _limit = time_limit(10);
    balanced(|| {
        let (first, _r) = task::<u32>();
        let (second, _s) = task::<u32>();
        let next = second.clone();
        let made = first.clone().catch(move |_| next);
        made.cancel();
        assert!(is_canceled(&first) && second.is_sleeping() && made.is_sleeping());
        made.cancel();
        assert!(is_canceled(&second) && is_canceled(&made));
        // The same for a thread that goes on awaiting.
        let (first, _r) = task::<u32>();
        let (second, _s) = task::<u32>();
        let (one, two) = (first.clone(), second.clone());
        let thread = spawn(async move {
            let _ = one.await;
            two.await
        });
        thread.cancel();
        assert!(is_canceled(&first) && second.is_sleeping() && thread.is_sleeping());
        thread.cancel();
        assert!(is_canceled(&second) && is_canceled(&thread));
    });
}

#[test]
fn s7_7_cancelling_in_the_first_stage_never_runs_the_continuation() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (first, _r) = task::<u32>();
        let (second, _s) = task::<u32>();
        second.on_cancel(log.note("second"));
        let (next, l) = (second.clone(), log.clone());
        let made = first.bind(move |_| {
            l.push("continuation");
            next
        });
        made.cancel();
        assert!(is_canceled(&made) && second.is_sleeping());
        assert!(log.take().is_empty());
    });
}

#[test]
fn s7_8_after_the_continuation_the_returned_promise_is_cancelled_through_nested_binds() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (start, starter) = wait::<u32>();
        let (first, _r) = task::<u32>();
        let (second, _s) = task::<u32>();
        first.on_cancel(log.note("first"));
        second.on_cancel(log.note("second"));
        let (one, two) = (first.clone(), second.clone());
        let nested_a = start.clone().bind(move |_| return_(0).bind(move |_| one));
        let nested_b = start.clone().bind(move |_| two.bind(return_)).bind(return_);
        nested_a.on_cancel(log.note("result a"));
        nested_b.on_cancel(log.note("result b"));
        starter.wakeup(1);
        nested_a.cancel();
        assert_eq!(log.take(), ["result a", "first"]);
        nested_b.cancel();
        assert_eq!(log.take(), ["second", "result b"]);
        assert!([first, second, nested_a, nested_b].iter().all(is_canceled));
    });
}

#[test]
fn s7_9_on_cancel_runs_for_canceled_by_whatever_means_and_for_nothing_else() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, resolver) = wait::<u32>();
        promise.on_cancel(log.note("resolver"));
        resolver.wakeup_exn(Canceled);
        fail::<u32>(Canceled).on_cancel(log.note("fail"));
        promise.on_cancel(log.note("already"));
        assert_eq!(log.take(), ["resolver", "fail", "already"]);
        let (promise, resolver) = task::<u32>();
        promise.on_cancel(log.note("value"));
        resolver.wakeup(1);
        promise.on_cancel(log.note("value"));
        let (promise, resolver) = task::<u32>();
        promise.on_cancel(log.note("failure"));
        resolver.wakeup_exn(EndOfFile);
        let (promise, _r) = task::<u32>();
        let caught = promise.catch(|_| return_(1));
        caught.on_cancel(log.note("intercepted"));
        caught.cancel();
        return_(1).on_cancel(log.note("return"));
        assert!(log.take().is_empty());
    });
}

#[test]
fn s7_10_protected_follows_and_is_cancelled_alone() {
    let _limit = time_limit(10);
    balanced(|| {
        let (original, resolver) = task::<u32>();
        let (followed, cancelled) = (original.clone().protected(), original.clone().protected());
        cancelled.cancel();
        assert!(is_canceled(&cancelled) && original.is_sleeping());
        resolver.wakeup(4);
        assert_eq!(value(&followed), 4);
        assert!(is_canceled(&cancelled));
        let (original, _r) = task::<u32>();
        let copy = original.clone().protected();
        original.cancel();
        assert!(is_canceled(&copy));
        let (original, resolver) = task::<u32>();
        let copy = original.protected();
        resolver.wakeup_exn(EndOfFile);
        assert!(failure(&copy).is::<EndOfFile>());
    });
}

#[test]
fn s7_11_no_cancel_is_not_cancelled_but_follows() {
    let _limit = time_limit(10);
    balanced(|| {
        let (original, resolver) = task::<u32>();
        let copy = original.clone().no_cancel();
        copy.cancel();
        assert!(copy.is_sleeping() && original.is_sleeping());
        resolver.wakeup(1);
        assert_eq!(value(&copy), 1);
        let (original, _r) = task::<u32>();
        let copy = original.clone().no_cancel();
        original.cancel();
        assert!(is_canceled(&copy));
    });
}

#[test]
fn s7_12_wrap_in_cancelable_rejects_the_copy_and_tries_the_original() {
    let _limit = time_limit(10);
    balanced(|| {
        let (original, _r) = task::<u32>();
        let copy = original.clone().wrap_in_cancelable();
        copy.cancel();
        assert!(is_canceled(&copy) && is_canceled(&original));
        let (original, resolver) = wait::<u32>();
        let copy = original.clone().wrap_in_cancelable();
        copy.cancel();
        assert!(is_canceled(&copy) && original.is_sleeping());
        resolver.wakeup(2);
        assert_eq!(value(&original), 2);
    });
}

#[test]
fn s7_13_the_copies_work_after_they_were_tied() {
    let _limit = time_limit(10);
    type Copy = fn(Promise<u32>) -> Promise<u32>;
    let copies: [(Copy, bool, bool); 3] = [
        (|p| p.protected(), true, false),
        (|p| p.no_cancel(), false, false),
        (|p| p.wrap_in_cancelable(), true, true),
    ];
    for (copy, cancels_copy, cancels_original) in copies {
        balanced(|| {
            let tie = |promise: Promise<u32>| {
                let (start, starter) = wait::<()>();
                let outer = start.bind(move |()| promise);
                starter.wakeup(());
                outer
            };
            // Followed.
            let (original, resolver) = task::<u32>();
            let outer = tie(copy(original));
            resolver.wakeup(5);
            assert_eq!(value(&outer), 5);
            // Cancelled through the outer promise.
            let (original, resolver) = task::<u32>();
            let inner = copy(original.clone());
            let outer = tie(inner.clone());
            outer.cancel();
            assert_eq!(is_canceled(&outer), cancels_copy);
            assert_eq!(is_canceled(&inner), cancels_copy);
            assert_eq!(is_canceled(&original), cancels_original);
            resolver.wakeup(6);
            assert_eq!(is_canceled(&outer), cancels_copy);
            // Cancelled through the inner one.
            let (original, resolver) = task::<u32>();
            let inner = copy(original.clone());
            let outer = tie(inner.clone());
            inner.cancel();
            assert_eq!(is_canceled(&outer), cancels_copy);
            drop(resolver);
        });
    }
}

#[test]
fn s7_14_which_callbacks_run_for_a_cancel() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, _r) = task::<u32>();
        promise.on_success({
            let l = log.clone();
            move |_| l.push("success")
        });
        promise.on_failure({
            let l = log.clone();
            move |error| {
                assert!(error.is_canceled());
                l.push("failure")
            }
        });
        promise.on_termination(log.note("termination"));
        let (l, m) = (log.clone(), log.clone());
        promise.on_any(
            move |_| l.push("any value"),
            move |error| {
                assert!(error.is_canceled());
                m.push("any failure")
            },
        );
        promise.cancel();
        assert_eq!(log.take(), ["failure", "termination", "any failure"]);
    });
}

#[test]
fn s7_15_a_cancel_inside_a_callback_of_a_cancel_is_completed_before_it_returns() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (first, _r) = task::<u32>();
        let (second, _s) = task::<u32>();
        second.on_cancel(log.note("second"));
        let caught = second.clone().catch({
            let l = log.clone();
            move |_| {
                l.push("handler");
                return_(0)
            }
        });
        let (l, target) = (log.clone(), second.clone());
        first.on_cancel(move || {
            l.push("before");
            target.cancel();
            l.push("after");
        });
        first.cancel();
        assert_eq!(log.take(), ["before", "second", "handler", "after"]);
        drop(caught);
    });
}

#[test]
fn s7_15_cancel_later_sets_states_at_once_and_runs_callbacks_when_the_outermost_frame_ends() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (first, resolver) = wait::<u32>();
        let (second, _s) = task::<u32>();
        let target: Rc<RefCell<Option<Promise<u32>>>> = Rc::default();
        second.on_cancel(log.note("second"));
        *target.borrow_mut() = Some(second);
        let (l, kept) = (log.clone(), target.clone());
        first.on_success(move |_| {
            let target = kept.borrow();
            let target = target.as_ref().unwrap();
            target.cancel_later();
            assert!(is_canceled(target));
            l.push("in progress");
        });
        resolver.wakeup(1);
        assert_eq!(log.take(), ["in progress", "second"]);
        drop(target);
    });
}

#[test]
fn s7_17_a_thread_that_was_woken_and_still_stands_in_the_queue_is_not_cancelled() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = task::<u32>();
        let thread = spawn(async move { promise.await });
        let (outer, outer_resolver) = wait::<()>();
        let canceler = thread.canceler();
        outer.on_success(move |()| {
            resolver.resolve(3);
            canceler.cancel();
        });
        outer_resolver.wakeup(());
        assert_eq!(value(&thread), 3);
    });
}
