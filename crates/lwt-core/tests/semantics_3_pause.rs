//! Section 3 of the behaviour of the core: pausing.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Log, balanced, is_canceled, sized, time_limit};
use lwt_core::*;

#[test]
fn s3_1_pause_is_cancelable_counts_and_calls_the_notifier_with_the_new_count() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let l = log.clone();
        register_pause_notifier(move |count| l.push((count, paused_count())));
        let first = pause();
        let second = pause();
        assert!(first.is_sleeping() && second.is_sleeping());
        assert_eq!(log.take(), [(1, 1), (2, 2)]);
        first.cancel();
        assert!(is_canceled(&first));
        register_pause_notifier(|_| ());
        wakeup_paused();
        assert!(!second.is_sleeping());
    });
}

#[test]
fn s3_2_wakeup_paused_takes_the_whole_queue_and_fulfils_oldest_first() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let mut results = Vec::new();
        for name in 0..3 {
            let (l, again) = (log.clone(), log.clone());
            results.push(pause().bind(move |()| {
                l.push((name, "first", paused_count()));
                pause().map(move |()| again.push((name, "second", paused_count())))
            }));
        }
        wakeup_paused();
        // Each sees the pauses that were made in this very call.
        assert_eq!(
            log.take(),
            [(0, "first", 0), (1, "first", 1), (2, "first", 2)]
        );
        assert_eq!(paused_count(), 3);
        wakeup_paused();
        assert_eq!(
            log.take(),
            [(0, "second", 0), (1, "second", 0), (2, "second", 0)]
        );
        assert!(results.iter().all(|result| !result.is_sleeping()));
    });
}

#[test]
fn s3_2_threads_that_pause_take_turns() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let threads: Vec<_> = (0..3)
            .map(|name| {
                let l = log.clone();
                spawn(async move {
                    for turn in 0..3 {
                        l.push((turn, name));
                        pause().await?;
                    }
                    Ok(())
                })
            })
            .collect();
        for _ in 0..3 {
            wakeup_paused();
        }
        let order: Vec<_> = (0..3)
            .flat_map(|turn| (0..3).map(move |name| (turn, name)))
            .collect();
        assert_eq!(log.take(), order);
        assert!(threads.iter().all(|thread| !thread.is_sleeping()));
    });
}

#[test]
fn s3_3_cancelling_takes_it_out_of_the_queue_but_does_not_lower_the_count() {
    let _limit = time_limit(10);
    balanced(|| {
        let promise = pause();
        promise.cancel();
        assert_eq!(paused_count(), 1);
        wakeup_paused();
        assert_eq!(paused_count(), 0);
        assert!(is_canceled(&promise));
        // With an empty queue the count is set to zero, too.
        wakeup_paused();
        assert_eq!(paused_count(), 0);
    });
}

#[test]
fn s3_4_a_pause_cancelled_by_an_earlier_ones_callback_is_passed_over() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        // A pause stands in the queue from when something is attached to it: ours, it is a number before.
        let first = pause();
        let second = Rc::new(pause());
        let third = pause();
        let canceled = second.clone();
        first.on_success(move |()| canceled.cancel());
        second.on_cancel(log.note("second cancelled"));
        third.on_success({
            let l = log.clone();
            move |()| l.push("third")
        });
        wakeup_paused();
        assert_eq!(log.take(), ["second cancelled", "third"]);
        assert!(is_canceled(&second));

        // The same with threads that await their pauses.
        let log = Log::new();
        let victim: Rc<RefCell<Option<Promise<()>>>> = Rc::default();
        let (l, slot) = (log.clone(), victim.clone());
        let first = spawn(async move {
            pause().await?;
            if let Some(victim) = slot.borrow().as_ref() {
                victim.cancel();
            }
            l.push("first");
            Ok(())
        });
        let l = log.clone();
        let second = spawn(async move {
            let result = pause().await;
            l.push(if result.is_err() {
                "cancelled"
            } else {
                "not cancelled"
            });
            result
        });
        *victim.borrow_mut() = Some(second);
        wakeup_paused();
        assert_eq!(log.take().len(), 2);
        assert!(is_canceled(victim.borrow().as_ref().unwrap()));
        drop(first);
    });
}

#[test]
fn s3_5_the_notifier_may_pause_or_wake_what_is_paused() {
    let _limit = time_limit(10);
    balanced(|| {
        // Waking: the count is then zero when `pause` returns, and its promise fulfilled.
        register_pause_notifier(|_| wakeup_paused());
        let promise = pause();
        assert_eq!(paused_count(), 0);
        assert!(!promise.is_sleeping());

        // Pausing: called again, nested.
        let log = Log::new();
        let depth = Rc::new(Cell::new(0));
        let (l, d) = (log.clone(), depth.clone());
        register_pause_notifier(move |count| {
            d.set(d.get() + 1);
            l.push((d.get(), count));
            if count < 3 {
                pause().ignore_result();
            }
            d.set(d.get() - 1);
        });
        let promise = pause();
        assert_eq!(log.take(), [(1, 1), (2, 2), (3, 3)]);
        // One notifier only: registering replaces it, also from inside itself.
        let count = Rc::new(Cell::new(0));
        let c = count.clone();
        register_pause_notifier(move |_| {
            let c = c.clone();
            register_pause_notifier(move |_| c.set(c.get() + 1));
        });
        let more = [pause(), pause(), pause()];
        assert_eq!(count.get(), 2);
        register_pause_notifier(|_| ());
        wakeup_paused();
        assert!(!promise.is_sleeping() && more.iter().all(|promise| !promise.is_sleeping()));
    });
}

#[test]
fn s3_6_abandoned_pauses_stay_pending_for_ever() {
    let _limit = time_limit(10);
    balanced(|| {
        let promise = pause();
        let thread = spawn(async {
            pause().await?;
            Ok(1)
        });
        abandon_paused();
        assert_eq!(paused_count(), 0);
        wakeup_paused();
        assert!(promise.is_sleeping() && thread.is_sleeping());
        // They can still be cancelled.
        promise.cancel();
        thread.cancel();
        assert!(is_canceled(&promise) && is_canceled(&thread));
    });
}

#[test]
fn s3_7_a_loop_that_pauses_keeps_the_number_of_cells_constant() {
    let _limit = time_limit(60);
    balanced(|| {
        let turns = sized(100_000, 500);
        fn endless(left: usize) -> Promise<()> {
            pause().bind(move |()| {
                if left == 0 {
                    return_(())
                } else {
                    endless(left - 1)
                }
            })
        }
        let by_bind = endless(turns);
        let by_thread = spawn(async move {
            for _ in 0..=turns {
                pause().await?;
            }
            Ok(())
        });
        wakeup_paused();
        let cells = scheduler::counters().cells;
        for _ in 1..turns {
            wakeup_paused();
            assert!(scheduler::counters().cells <= cells);
        }
        wakeup_paused();
        assert!(!by_bind.is_sleeping() && !by_thread.is_sleeping());
    });
}

#[test]
fn s3_1_a_thread_that_was_cancelled_in_one_pause_may_pause_again() {
    let _limit = time_limit(10);
    balanced(|| {
        let thread = spawn(async {
            match pause().await {
                Ok(()) => Ok(1),
                Err(error) if error.is_canceled() => {
                    pause().await?;
                    Ok(2)
                }
                Err(error) => Err(error),
            }
        });
        thread.cancel();
        assert!(thread.is_sleeping());
        wakeup_paused();
        assert!(matches!(thread.state(), State::Return(2)));
        // A copy of a pause, made before it is cancelled, is the same pause.
        let promise = pause();
        let copy = promise.clone();
        promise.cancel();
        assert!(is_canceled(&promise) && is_canceled(&copy));
        let both = join([pause(), pause()]);
        wakeup_paused();
        assert!(!both.is_sleeping());
    });
}
