//! Section 10 of the behaviour of the core, the locks (10.1 to 10.5): hand-over, fairness, release in every outcome;
//! cancel and drop at every suspension; and random programs.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use common::{DropCount, Log, balanced, failure, is_canceled, sized, time_limit, value};
use lwt_core::*;
use proptest::prelude::*;

#[test]
fn s10_1_unlock_passes_the_lock_on_without_freeing_it() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(1);
        let first = mutex.try_lock().unwrap();
        let second = mutex.lock();
        assert!(second.is_sleeping() && mutex.is_locked() && !mutex.is_empty());
        scheduler::frame(|| {
            drop(first);
            assert!(mutex.is_locked(), "locked all along");
            assert!(mutex.try_lock().is_none(), "nobody gets in between");
            assert!(mutex.is_empty());
        });
        let State::Return(guard) = second.state() else {
            panic!("the waiter has the lock");
        };
        assert_eq!(**guard, 1);
        drop(second);
        assert!(!mutex.is_locked());
    });
}

#[test]
fn s10_1_nobody_overtakes_between_hand_over_and_resumption() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        let log = Log::new();
        let guard = mutex.try_lock();
        let waiter = spawn({
            let (mutex, log) = (mutex.clone(), log.clone());
            async move {
                let _guard = mutex.lock().await?;
                log.push("waiter");
                Ok(())
            }
        });
        let late = scheduler::frame(|| {
            drop(guard);
            let late = spawn({
                let (mutex, log) = (mutex.clone(), log.clone());
                async move {
                    let _guard = mutex.lock().await?;
                    log.push("late");
                    Ok(())
                }
            });
            assert!(late.is_sleeping());
            late
        });
        value(&waiter);
        value(&late);
        assert_eq!(log.take(), ["waiter", "late"]);
    });
}

#[test]
fn s10_2_first_come_first_served() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(Vec::new());
        let guard = mutex.try_lock();
        let threads: Vec<_> = (0..100)
            .map(|name| {
                let mutex = mutex.clone();
                spawn(async move {
                    for _ in 0..3 {
                        let mut guard = mutex.lock().await?;
                        guard.push(name);
                        pause().await?;
                    }
                    Ok(())
                })
            })
            .collect();
        drop(guard);
        while threads.iter().any(Promise::is_sleeping) {
            wakeup_paused();
        }
        let order = mutex.try_lock().unwrap();
        let expected: Vec<_> = (0..3).flat_map(|_| 0..100).collect();
        assert_eq!(*order, expected);
    });
}

#[test]
fn s10_2_withdrawn_waiters_are_skipped() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let cancelled = mutex.lock();
        drop(mutex.lock());
        let third = mutex.lock();
        cancelled.cancel();
        assert!(is_canceled(&cancelled));
        drop(guard);
        assert!(!third.is_sleeping());
        let last = mutex.lock();
        last.cancel();
        assert!(mutex.is_empty());
        drop(third);
        assert!(!mutex.is_locked());
    });
}

#[test]
fn s10_3_there_is_no_owner_and_no_re_entry() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        // A guard may be dropped by another thread than the one that locked.
        let thread = spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await }
        });
        let guard = thread.try_take().ok().unwrap().unwrap();
        let again = guard.mutex().lock();
        assert!(again.is_sleeping(), "locking twice waits for itself");
        drop(guard);
        assert!(!again.is_sleeping());
    });
}

#[test]
fn s10_4_with_lock_releases_in_every_outcome() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(0);
        let success = mutex.with_lock(async |content: &mut i32| {
            *content += 1;
            Ok(*content)
        });
        assert_eq!(value(&success), 1);
        assert!(!mutex.is_locked());

        let failed =
            mutex.with_lock(async |_: &mut i32| -> Result<()> { Err(Error::message("no")) });
        assert_eq!(failure(&failed).to_string(), "no");
        assert!(!mutex.is_locked());

        let panicked = mutex.with_lock(async |content: &mut i32| -> Result<()> {
            *content += 1;
            panic!("boom")
        });
        assert!(failure(&panicked).is_panic());
        assert!(!mutex.is_locked());

        let cancelled = mutex.with_lock(async |content: &mut i32| {
            *content += 1;
            forever::<()>().await
        });
        assert!(mutex.is_locked());
        let next = mutex.with_lock(async |content: &mut i32| Ok(*content));
        cancelled.cancel();
        assert!(is_canceled(&cancelled));
        assert_eq!(value(&next), 3);
        assert!(!mutex.is_locked());
    });
}

#[test]
fn s10_4_the_content_is_borrowed_across_suspensions() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(String::new());
        let (gate, open) = wait::<&str>();
        let thread = mutex.with_lock(async move |content: &mut String| {
            content.push_str("a ");
            let text = gate.await?;
            content.push_str(text);
            Ok(())
        });
        assert!(mutex.try_lock().is_none());
        open.resolve("b");
        value(&thread);
        assert_eq!(mutex.try_lock().as_deref().map(String::as_str), Some("a b"));
    });
}

#[test]
fn s10_5_unlocking_many_waiters_needs_no_stack() {
    let _limit = time_limit(30);
    balanced(|| {
        let mutex = Mutex::new(0);
        let guard = mutex.try_lock();
        let count = sized(200_000, 200);
        let threads: Vec<_> = (0..count)
            .map(|_| mutex.lock().map(|mut guard| *guard += 1))
            .collect();
        drop(guard);
        assert!(threads.iter().all(|thread| !thread.is_sleeping()));
        assert_eq!(mutex.try_lock().as_deref(), Some(&count));
    });
}

#[test]
fn m3_a_guard_handed_to_a_dropped_waiter_unlocks_by_itself() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let (second, third) = (mutex.lock(), mutex.lock());
        drop(guard);
        assert!(!second.is_sleeping() && third.is_sleeping());
        drop(second);
        assert!(!third.is_sleeping());
        drop(third);
        assert!(!mutex.is_locked());
    });
}

#[test]
fn m3_the_losing_arm_of_a_choice_holds_nothing() {
    let _limit = time_limit(10);
    balanced(|| {
        let (left, right) = (Mutex::new(1), Mutex::new(2));
        let guards = (left.try_lock(), right.try_lock());
        let picked = pick([left.lock(), right.lock()]);
        drop(guards);
        drop(picked);
        assert!(!left.is_locked() && !right.is_locked());
    });
}

#[test]
fn cancel_and_drop_at_each_suspension_of_a_thread_that_locks() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        let launch = || {
            let mutex = mutex.clone();
            spawn(async move {
                let _guard = mutex.lock().await?;
                pause().await?;
                Ok(())
            })
        };
        // While it waits for the lock.
        let guard = mutex.try_lock();
        let thread = launch();
        thread.cancel();
        assert!(is_canceled(&thread) && mutex.is_empty());
        let detached = launch();
        drop(detached);
        drop(guard);
        assert!(mutex.is_locked(), "a detached thread goes on");
        wakeup_paused();
        assert!(!mutex.is_locked());
        // While it holds the lock.
        let thread = launch();
        assert!(mutex.is_locked());
        thread.cancel();
        assert!(is_canceled(&thread) && !mutex.is_locked());
        // When the lock was handed to it and it has not run yet.
        let guard = mutex.try_lock();
        let thread = launch();
        scheduler::frame(|| {
            drop(guard);
            thread.cancel();
        });
        wakeup_paused();
        assert!(!thread.is_sleeping() && !mutex.is_locked());
    });
}

#[test]
fn i2_the_content_is_dropped_with_the_last_holder() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let mutex = Mutex::new(count.value());
        let guard = mutex.try_lock();
        let waiting = mutex.lock();
        drop(mutex);
        assert_eq!(count.alive(), 1);
        drop(guard);
        assert!(!waiting.is_sleeping(), "the guard keeps the mutex");
        drop(waiting);
        assert_eq!(count.alive(), 0);
        drop(Mutex::new(count.value()));
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn m9_unlocking_never_re_enters_a_running_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        let mutex = Mutex::new(());
        let shared = Rc::new(RefCell::new(0));
        let guard = mutex.try_lock();
        let threads: Vec<_> = (0..10)
            .map(|_| {
                let (mutex, shared) = (mutex.clone(), shared.clone());
                spawn(async move {
                    let guard = mutex.lock().await?;
                    let mut borrowed = shared.borrow_mut();
                    drop(guard);
                    *borrowed += 1;
                    Ok(())
                })
            })
            .collect();
        drop(guard);
        threads.iter().for_each(value);
        assert_eq!(*shared.borrow(), 10);
    });
}

#[test]
fn waiters_who_come_and_go_do_not_pile_up() {
    let _limit = time_limit(20);
    balanced(|| {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        let before = scheduler::counters().cells;
        for _ in 0..sized(100_000, 500) {
            drop(mutex.lock());
            mutex.lock().cancel();
            assert!(scheduler::counters().cells - before < 100);
        }
        drop(guard);
        assert!(!mutex.is_locked());
    });
}

#[derive(Clone, Debug)]
enum Step {
    Lock,
    Cancel(usize),
    Drop(usize),
    Unlock(usize),
    InFrame(Vec<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        4 => Just(Step::Lock),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Drop),
        3 => any::<usize>().prop_map(Step::Unlock),
    ];
    plain.prop_recursive(1, 8, 8, |step| {
        prop::collection::vec(step, 1..8).prop_map(Step::InFrame)
    })
}

#[derive(Default)]
struct Program {
    /// Who should hold or get the lock, oldest first.
    line: VecDeque<usize>,
    promises: Vec<(usize, Promise<MutexGuard<Cell<usize>>>)>,
    next: usize,
}

impl Program {
    fn run(&mut self, mutex: &Mutex<Cell<usize>>, step: &Step) {
        match step {
            Step::Lock => {
                self.promises.push((self.next, mutex.lock()));
                self.line.push_back(self.next);
                self.next += 1;
            }
            Step::Cancel(which) => {
                let Some((name, promise)) = self.choose(*which) else {
                    return;
                };
                if promise.is_sleeping() {
                    promise.cancel();
                    self.line.retain(|other| *other != name);
                } else {
                    self.promises.push((name, promise));
                }
            }
            Step::Drop(which) => {
                if let Some((name, promise)) = self.choose(*which) {
                    drop(promise);
                    self.line.retain(|other| *other != name);
                }
            }
            Step::Unlock(which) => {
                if let Some((name, promise)) = self.choose(*which) {
                    match promise.try_take() {
                        Ok(guard) => {
                            assert_eq!(self.line.pop_front(), Some(name));
                            drop(guard);
                        }
                        Err(promise) => self.promises.push((name, promise)),
                    }
                }
            }
            Step::InFrame(steps) => scheduler::frame(|| {
                for step in steps {
                    self.run(mutex, step);
                }
            }),
        }
        // Exactly the first in line has the lock.
        for (name, promise) in &self.promises {
            assert_eq!(promise.is_sleeping(), self.line.front() != Some(name));
        }
        assert_eq!(mutex.is_locked(), !self.line.is_empty());
        assert_eq!(mutex.is_empty(), self.line.len() <= 1);
    }

    fn choose(&mut self, which: usize) -> Option<(usize, Promise<MutexGuard<Cell<usize>>>)> {
        if self.promises.is_empty() {
            return None;
        }
        let index = which % self.promises.len();
        Some(self.promises.remove(index))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: sized(128, 1) as u32, failure_persistence: None, rng_seed: common::rng_seed(), ..ProptestConfig::default() })]

    #[test]
    fn the_first_in_line_holds_the_lock_and_nobody_else(steps in prop::collection::vec(step(), 0..60)) {
        balanced(|| {
            let mutex = Mutex::new(Cell::new(0));
            let mut program = Program::default();
            for step in &steps {
                program.run(&mutex, step);
            }
            drop(program);
            assert!(!mutex.is_locked());
        });
    }
}
