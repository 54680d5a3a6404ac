//! Section 10 of the behaviour of the core, the conditions (10.6 to 10.8); cancel and drop at every suspension.

mod common;

use common::{DropCount, Log, balanced, failure, is_canceled, sized, time_limit, value};
use lwt_core::*;

#[test]
fn s10_6_signal_wakes_the_oldest_and_is_lost_without_waiter() {
    let _limit = time_limit(10);
    balanced(|| {
        let condition = Condition::new();
        condition.signal(0);
        let (first, second) = (condition.wait(), condition.wait());
        assert!(first.is_sleeping());
        condition.signal(1);
        assert_eq!(value(&first), 1);
        assert!(second.is_sleeping());
        condition.signal(2);
        assert_eq!(value(&second), 2);
        condition.signal(3);
        assert!(condition.wait().is_sleeping());
    });
}

#[test]
fn s10_6_withdrawn_waiters_are_skipped() {
    let _limit = time_limit(10);
    balanced(|| {
        let condition = Condition::new();
        let first = condition.wait();
        drop(condition.wait());
        let third = condition.wait();
        first.cancel();
        assert!(is_canceled(&first));
        condition.signal(1);
        assert_eq!(value(&third), 1);
    });
}

#[test]
fn m3_a_signal_that_was_not_looked_at_goes_to_the_next_waiter() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let condition = Condition::new();
        let (first, second) = (condition.wait(), condition.wait());
        condition.signal(count.value());
        drop(first);
        assert!(!second.is_sleeping());
        drop(second);
        assert_eq!(count.alive(), 0, "with nobody waiting it is lost");
        // One who began to wait after the signal gets it too, if nobody took it before.
        let (first, late) = (condition.wait(), condition.wait());
        condition.signal(count.value());
        drop(first);
        assert!(!late.is_sleeping());
    });
}

#[test]
fn s10_7_broadcast_wakes_all_present_oldest_first() {
    let _limit = time_limit(10);
    balanced(|| {
        let condition = Condition::new();
        let log = Log::new();
        let threads: Vec<_> = (0..5)
            .map(|name| {
                let (condition, log) = (condition.clone(), log.clone());
                spawn(async move {
                    log.push((name, condition.wait().await?));
                    log.push((name, condition.wait().await?));
                    Ok(())
                })
            })
            .collect();
        condition.broadcast("a");
        assert_eq!(
            log.take(),
            [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (4, "a")]
        );
        // Those who wait again from within were not woken by the same broadcast.
        assert!(threads.iter().all(Promise::is_sleeping));
        condition.broadcast("b");
        assert_eq!(log.take().len(), 5);
        threads.iter().for_each(value);
        condition.broadcast("nobody");
    });
}

#[test]
fn m3_what_a_broadcast_gave_to_a_dropped_waiter_goes_to_nobody() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let condition = Condition::new();
        let (first, second) = (condition.wait(), condition.wait());
        condition.broadcast(count.value());
        let late = condition.wait();
        drop(first);
        assert!(late.is_sleeping());
        assert!(!second.is_sleeping());
        drop((second, late));
        assert_eq!((count.made(), count.alive()), (2, 0));
    });
}

#[test]
fn s10_7_broadcast_exn_fails_all_present() {
    let _limit = time_limit(10);
    balanced(|| {
        let condition = Condition::<()>::new();
        let (first, second) = (condition.wait(), condition.wait());
        first.cancel();
        condition.broadcast_exn(Error::message("over"));
        assert!(is_canceled(&first));
        assert_eq!(failure(&second).to_string(), "over");
        assert!(condition.wait().is_sleeping());
    });
}

#[test]
fn m12_a_panic_of_clone_fails_that_waiter_alone() {
    let _limit = time_limit(10);
    struct Fussy(u32);
    impl Clone for Fussy {
        fn clone(&self) -> Fussy {
            assert!(self.0 != 7, "no clones of seven");
            Fussy(self.0)
        }
    }
    balanced(|| {
        let condition = Condition::new();
        let (first, last) = (condition.wait(), condition.wait());
        condition.broadcast(Fussy(7));
        assert!(failure(&first).is_panic());
        assert!(matches!(last.state(), State::Return(Fussy(7))));
    });
}

#[test]
fn s10_8_wait_with_a_mutex_releases_it_at_the_call() {
    let _limit = time_limit(10);
    balanced(|| {
        let (mutex, condition) = (Mutex::new(1), Condition::new());
        let waiting = condition.wait_with(mutex.try_lock().unwrap());
        assert!(!mutex.is_locked());
        // The notifier holds the mutex: the result comes when it is free, in the mutex's ordinary queue.
        let guard = mutex.try_lock().unwrap();
        let before = mutex.lock();
        condition.signal("now");
        assert!(waiting.is_sleeping());
        let after = mutex.lock();
        drop(guard);
        assert!(!before.is_sleeping() && waiting.is_sleeping());
        drop(before);
        assert!(after.is_sleeping());
        let (notice, guard) = waiting.try_take().ok().unwrap().unwrap();
        assert_eq!((notice, *guard), ("now", 1));
        drop(guard);
        assert!(!after.is_sleeping());
    });
}

#[test]
fn s10_8_no_notification_is_missed_between_release_and_wait() {
    let _limit = time_limit(10);
    balanced(|| {
        let (mutex, condition) = (Mutex::new(()), Condition::new());
        let guard = mutex.try_lock().unwrap();
        // Runs as soon as the mutex is released, inside the call of `wait_with`.
        let notifier = mutex.lock().map({
            let condition = condition.clone();
            move |guard| {
                condition.signal(1);
                drop(guard);
            }
        });
        let waiting = condition.wait_with(guard);
        value(&notifier);
        assert!(matches!(waiting.state(), State::Return((1, _))));
    });
}

#[test]
fn s10_8_a_cancelled_wait_locks_again_before_the_failure_shows() {
    let _limit = time_limit(10);
    balanced(|| {
        let (mutex, condition) = (Mutex::new(()), Condition::<()>::new());
        let waiting = condition.wait_with(mutex.try_lock().unwrap());
        let guard = mutex.try_lock().unwrap();
        waiting.cancel();
        assert!(waiting.is_sleeping(), "not while somebody holds the mutex");
        waiting.cancel();
        assert!(waiting.is_sleeping(), "locking again is not cancelled");
        drop(guard);
        assert!(is_canceled(&waiting));
        assert!(!mutex.is_locked());
        condition.signal(());

        let waiting = condition.wait_with(mutex.try_lock().unwrap());
        condition.broadcast_exn(Error::message("over"));
        assert!(failure(&waiting).is::<Failure>());
        assert!(!mutex.is_locked());
    });
}

#[test]
fn cancel_and_drop_at_each_suspension() {
    let _limit = time_limit(10);
    balanced(|| {
        let (mutex, condition) = (Mutex::new(()), Condition::new());
        // Waiting for the notification: a thread, so dropping detaches it.
        drop(condition.wait_with(mutex.try_lock().unwrap()));
        assert!(!mutex.is_locked());
        condition.signal(1);
        assert!(
            !mutex.is_locked(),
            "the detached one has locked and unlocked"
        );
        // Waiting for the mutex.
        let waiting = condition.wait_with(mutex.try_lock().unwrap());
        let guard = mutex.try_lock().unwrap();
        condition.signal(2);
        drop(waiting);
        drop(guard);
        assert!(!mutex.is_locked());
        // Nobody can notify any more.
        let waiting = condition.wait_with(mutex.try_lock().unwrap());
        drop(condition);
        assert!(waiting.is_sleeping());
        drop(waiting);
        assert!(!mutex.is_locked());
    });
}

#[test]
fn waiters_who_come_and_go_do_not_pile_up() {
    let _limit = time_limit(20);
    balanced(|| {
        let condition = Condition::<()>::new();
        let before = scheduler::counters().cells;
        for _ in 0..sized(100_000, 500) {
            drop(condition.wait());
            condition.wait().cancel();
            assert!(scheduler::counters().cells - before < 100);
        }
    });
}
