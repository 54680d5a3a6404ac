//! Section 11 of the behaviour of the core: mailbox variables; cancel and drop at every suspension; and random programs
//! in which nothing may be lost, doubled or mixed up.

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use common::{DropCount, Log, balanced, is_canceled, sized, time_limit};
use lwt_core::*;
use proptest::prelude::*;

fn value_of<T: Clone>(promise: &Promise<T>) -> Option<T> {
    match promise.state() {
        State::Return(value) => Some(value.clone()),
        _ => None,
    }
}

#[test]
fn s11_1_a_value_is_stored_only_if_no_reader_waits() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        assert!(mailbox.is_empty());
        let reader = mailbox.take();
        assert!(mailbox.put(1).try_take().is_ok());
        assert!(mailbox.is_empty());
        assert_eq!(value_of(&reader), Some(1));
        assert!(mailbox.put(2).try_take().is_ok());
        assert!(!mailbox.is_empty());
        assert_eq!(mailbox.take_available(), Some(2));
        assert_eq!(mailbox.take_available(), None);
    });
}

#[test]
fn s11_1_readers_and_writers_are_served_in_order_of_arrival() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let readers: Vec<_> = (0..5).map(|_| mailbox.take()).collect();
        for number in 0..5 {
            assert!(!mailbox.put(number).is_sleeping());
        }
        let got: Vec<_> = readers.iter().map(value_of).collect();
        assert_eq!(got, (0..5).map(Some).collect::<Vec<_>>());

        let writers: Vec<_> = (0..5).map(|number| mailbox.put(number)).collect();
        assert!(!writers[0].is_sleeping());
        for number in 0..5 {
            assert!(writers[number + 1..].iter().all(Promise::is_sleeping));
            assert_eq!(value_of(&mailbox.take()), Some(number));
            if number < 4 {
                assert!(!writers[number + 1].is_sleeping());
            }
        }
        assert!(mailbox.is_empty());
    });
}

#[test]
fn s11_2_take_lets_the_oldest_writer_in_at_once() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new("first");
        let second = mailbox.put("second");
        let third = mailbox.put("third");
        assert_eq!(value_of(&mailbox.take()), Some("first"));
        assert!(!mailbox.is_empty(), "the mailbox stays full");
        assert!(!second.is_sleeping());
        assert!(third.is_sleeping());
        assert_eq!(mailbox.take_available(), Some("second"));
        assert!(!third.is_sleeping());
    });
}

#[test]
fn s11_3_a_cancelled_writers_value_never_appears() {
    let _limit = time_limit(10);
    balanced(|| {
        for withdraw in [Promise::cancel as fn(&Promise<()>), Promise::cancel_later] {
            let count = DropCount::default();
            let mailbox = Mvar::new((0, count.value()));
            let second = mailbox.put((1, count.value()));
            let third = mailbox.put((2, count.value()));
            withdraw(&second);
            assert!(is_canceled(&second));
            assert_eq!(mailbox.take_available().map(|(name, _)| name), Some(0));
            assert!(!third.is_sleeping());
            assert_eq!(mailbox.take_available().map(|(name, _)| name), Some(2));
            assert!(mailbox.is_empty());
            assert_eq!(count.alive(), 0);
        }
    });
}

#[test]
fn m3_a_dropped_writers_value_never_appears() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let mailbox = Mvar::new((0, count.value()));
        drop(mailbox.put((1, count.value())));
        let third = mailbox.put((2, count.value()));
        assert_eq!(mailbox.take_available().map(|(name, _)| name), Some(0));
        assert!(!third.is_sleeping());
        assert_eq!(mailbox.take_available().map(|(name, _)| name), Some(2));
        drop(mailbox);
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn s11_3_a_cancelled_reader_never_swallows_a_value() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let (first, second) = (mailbox.take(), mailbox.take());
        first.cancel();
        assert!(is_canceled(&first));
        assert!(!mailbox.put(1).is_sleeping());
        assert_eq!(value_of(&second), Some(1));
        let third = mailbox.take();
        third.cancel();
        drop(mailbox.put(2));
        assert_eq!(mailbox.take_available(), Some(2));
    });
}

#[test]
fn m3_a_dropped_reader_never_swallows_a_value() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        drop(mailbox.take());
        let second = mailbox.take();
        drop(mailbox.take());
        drop(mailbox.put(1));
        assert_eq!(value_of(&second), Some(1));
        drop(mailbox.put(2));
        assert_eq!(mailbox.take_available(), Some(2));
    });
}

#[test]
fn s11_4_put_with_a_waiting_reader_leaves_the_mailbox_empty() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let reader = mailbox.take();
        let put = mailbox.put(1);
        assert!(!put.is_sleeping() && mailbox.is_empty());
        assert!(!mailbox.put(2).is_sleeping());
        assert_eq!(value_of(&reader), Some(1));
        assert_eq!(mailbox.take_available(), Some(2));
    });
}

#[test]
fn m3_a_value_that_was_not_looked_at_goes_back_to_the_front() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let mailbox = Mvar::new_empty();
        let (first, second) = (mailbox.take(), mailbox.take());
        drop(mailbox.put((1, count.value())));
        drop(mailbox.put((2, count.value())));
        drop(mailbox.put((3, count.value())));
        let blocked = mailbox.put((4, count.value()));
        // Whatever the order in which they are dropped.
        drop(first);
        drop(second);
        assert!(blocked.is_sleeping());
        let mut names = Vec::new();
        while let Some((name, _)) = mailbox.take_available() {
            names.push(name);
        }
        assert_eq!(names, [1, 2, 3, 4]);
        assert!(!blocked.is_sleeping());
        assert_eq!((count.made(), count.alive()), (4, 0));
    });
}

#[test]
fn m3_a_value_that_was_not_looked_at_goes_to_the_next_reader() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let (first, second) = (mailbox.take(), mailbox.take());
        drop(mailbox.put("only"));
        assert!(second.is_sleeping());
        drop(first);
        assert_eq!(value_of(&second), Some("only"));
        assert!(mailbox.is_empty());
    });
}

#[test]
fn m3_a_value_that_only_callbacks_saw_goes_back() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let log = Log::new();
        scheduler::frame(|| {
            let reader = mailbox.take();
            reader.on_success({
                let log = log.clone();
                move |number: &i32| log.push(*number)
            });
            drop(mailbox.put(1));
            drop(reader);
        });
        assert_eq!(log.take(), [1]);
        assert_eq!(mailbox.take_available(), Some(1));
        // A cancel that comes too late changes nothing.
        let reader = mailbox.take();
        drop(mailbox.put(2));
        reader.cancel();
        assert_eq!(value_of(&reader), Some(2));
        // Clones of the promise share one value; it goes back when none of them took it.
        let reader = mailbox.take();
        let clone = reader.clone();
        drop(mailbox.put(3));
        drop(reader);
        assert!(mailbox.is_empty());
        drop(clone);
        assert_eq!(mailbox.take_available(), Some(3));
    });
}

#[test]
fn m3_the_losing_arm_of_a_choice_swallows_nothing() {
    let _limit = time_limit(10);
    balanced(|| {
        let (left, right) = (Mvar::new_empty(), Mvar::new_empty());
        let picked = pick([left.take(), right.take()]);
        drop(left.put(1));
        drop(right.put(2));
        assert_eq!(value_of(&picked), Some(1));
        assert_eq!(right.take_available(), Some(2));
        // Both arms get a value before the one who waits runs; the loser's goes back.
        let chosen = scheduler::frame(|| {
            let (a, b) = (left.take(), right.take());
            drop(left.put(3));
            drop(right.put(4));
            drop(b);
            a
        });
        assert_eq!(value_of(&chosen), Some(3));
        assert_eq!(right.take_available(), Some(4));
    });
}

#[test]
fn cancel_and_drop_at_the_suspension_of_a_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        // Cancelled while it waits to take, and while it waits to put.
        let mailbox = Mvar::new_empty();
        let taker = spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.take().await }
        });
        taker.cancel();
        assert!(is_canceled(&taker));
        drop(mailbox.put(1));
        let putter = spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.put(2).await }
        });
        putter.cancel();
        assert!(is_canceled(&putter));
        assert_eq!(mailbox.take_available(), Some(1));
        assert_eq!(mailbox.take_available(), None);

        // Dropping the promise of a thread detaches it.
        let log = Log::new();
        drop(spawn({
            let (mailbox, log) = (mailbox.clone(), log.clone());
            async move {
                log.push(mailbox.take().await?);
                Ok(())
            }
        }));
        drop(mailbox.put(3));
        assert_eq!(log.take(), [3]);
    });
}

#[test]
fn a_thread_cancelled_after_the_value_was_handed_to_it_still_gets_it() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let log = Log::new();
        let thread = spawn({
            let (mailbox, log) = (mailbox.clone(), log.clone());
            async move {
                log.push(mailbox.take().await?);
                Ok(())
            }
        });
        scheduler::frame(|| {
            drop(mailbox.put(1));
            thread.cancel();
        });
        let lost = log.take().is_empty() && mailbox.is_empty();
        assert!(!lost, "the value was lost");
    });
}

#[test]
fn m9_put_and_take_never_re_enter_a_running_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        let mailbox = Mvar::new_empty();
        let shared = Rc::new(RefCell::new(Vec::new()));
        let reader = spawn({
            let (mailbox, shared) = (mailbox.clone(), shared.clone());
            async move {
                for _ in 0..10 {
                    let number = mailbox.take().await?;
                    shared.borrow_mut().push(number);
                }
                Ok(())
            }
        });
        let writer = spawn({
            let (mailbox, shared) = (mailbox.clone(), shared.clone());
            async move {
                for number in 0..10 {
                    // Borrowed around the call: the reader must not run inside.
                    let borrowed = shared.borrow();
                    let put = mailbox.put(number);
                    drop(borrowed);
                    put.await?;
                }
                Ok(())
            }
        });
        assert!(!reader.is_sleeping() && !writer.is_sleeping());
        assert_eq!(*shared.borrow(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn a_values_drop_may_use_the_mailbox() {
    let _limit = time_limit(10);
    struct Talkative(Option<Mvar<Talkative>>);
    impl Drop for Talkative {
        fn drop(&mut self) {
            if let Some(mailbox) = self.0.take() {
                drop(mailbox.put(Talkative(None)));
                let _ = mailbox.is_empty();
            }
        }
    }
    balanced(|| {
        let mailbox = Mvar::new(Talkative(None));
        let writers: Vec<_> = (0..100)
            .map(|_| mailbox.put(Talkative(Some(mailbox.clone()))))
            .collect();
        for writer in &writers {
            writer.cancel();
        }
        for _ in 0..100 {
            drop(mailbox.put(Talkative(None)));
        }
        while mailbox.take_available().is_some() {}
        drop(writers);
        while mailbox.take_available().is_some() {}
    });
}

#[test]
fn i2_who_waits_goes_with_the_mailbox() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let mailbox = Mvar::new(count.value());
        let (put, other) = (mailbox.put(count.value()), Mvar::<u32>::new_empty());
        let kept = count.value();
        drop(other.take().map(move |_| drop(kept)));
        assert_eq!(count.alive(), 3);
        drop((mailbox, other));
        assert_eq!(count.alive(), 0);
        assert!(put.is_sleeping());
    });
}

#[test]
fn waiters_who_come_and_go_do_not_pile_up() {
    let _limit = time_limit(20);
    balanced(|| {
        let mailbox = Mvar::<u64>::new_empty();
        let before = scheduler::counters().cells;
        for _ in 0..sized(100_000, 500) {
            drop(mailbox.take());
            let cancelled = mailbox.take();
            cancelled.cancel();
            assert!(scheduler::counters().cells - before < 100);
        }
        let count = DropCount::default();
        let full = Mvar::new(count.value());
        for _ in 0..sized(100_000, 500) {
            drop(full.put(count.value()));
            assert!(count.alive() < 100);
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Put,
    Take,
    TakeAvailable,
    CancelWriter(usize),
    CancelReader(usize),
    DropWriter(usize),
    DropReader(usize),
    /// Several of them with nothing resumed between.
    InFrame(Vec<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        4 => Just(Step::Put),
        4 => Just(Step::Take),
        1 => Just(Step::TakeAvailable),
        1 => any::<usize>().prop_map(Step::CancelWriter),
        1 => any::<usize>().prop_map(Step::CancelReader),
        1 => any::<usize>().prop_map(Step::DropWriter),
        2 => any::<usize>().prop_map(Step::DropReader),
    ];
    plain.prop_recursive(1, 8, 8, |step| {
        prop::collection::vec(step, 1..8).prop_map(Step::InFrame)
    })
}

/// The mailbox, and what a simple model says about it: a queue of what was put, readers in order.
struct Program {
    mailbox: Mvar<(u32, common::Counted)>,
    count: DropCount,
    next: u32,
    writers: Vec<(u32, Promise<()>)>,
    readers: Vec<Promise<(u32, common::Counted)>>,
    got: Vec<u32>,
    withdrawn: Vec<u32>,
}

impl Program {
    fn run(&mut self, step: &Step) {
        match step {
            Step::Put => {
                let name = self.next;
                self.next += 1;
                let promise = self.mailbox.put((name, self.count.value()));
                self.writers.push((name, promise));
            }
            Step::Take => {
                let promise = self.mailbox.take();
                if promise.is_sleeping() {
                    self.readers.push(promise);
                } else {
                    // Born with its value, which nobody else can get.
                    self.collect(promise);
                }
            }
            Step::TakeAvailable => {
                let taken = self.mailbox.take_available();
                self.got.extend(taken.map(|(name, _)| name));
            }
            Step::CancelWriter(which) => {
                if let Some((name, promise)) = pick_one(&mut self.writers, *which)
                    && promise.is_sleeping()
                {
                    promise.cancel();
                    assert!(is_canceled(&promise));
                    self.withdrawn.push(name);
                }
            }
            Step::DropWriter(which) => {
                if let Some((name, promise)) = pick_one(&mut self.writers, *which)
                    && promise.is_sleeping()
                {
                    self.withdrawn.push(name);
                }
            }
            Step::CancelReader(which) => {
                if let Some(promise) = pick_one(&mut self.readers, *which) {
                    promise.cancel();
                    self.collect(promise);
                }
            }
            Step::DropReader(which) => drop(pick_one(&mut self.readers, *which)),
            Step::InFrame(steps) => scheduler::frame(|| {
                for step in steps {
                    self.run(step);
                }
            }),
        }
    }

    fn collect(&mut self, promise: Promise<(u32, common::Counted)>) {
        if let Ok(Ok((name, _))) = promise.try_take() {
            self.got.push(name);
        }
    }
}

fn pick_one<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    if list.is_empty() {
        return None;
    }
    let index = which % list.len();
    Some(list.remove(index))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: sized(128, 1) as u32, failure_persistence: None, rng_seed: common::rng_seed(), ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_doubled(steps in prop::collection::vec(step(), 0..60)) {
        balanced(|| {
            let count = DropCount::default();
            let mut program = Program {
                mailbox: Mvar::new_empty(),
                count: count.clone(),
                next: 0,
                writers: Vec::new(),
                readers: Vec::new(),
                got: Vec::new(),
                withdrawn: Vec::new(),
            };
            for step in &steps {
                program.run(step);
            }
            for promise in std::mem::take(&mut program.readers) {
                program.collect(promise);
            }
            while let Some((name, _)) = program.mailbox.take_available() {
                program.got.push(name);
            }
            let mut all = program.got.clone();
            all.extend(&program.withdrawn);
            all.sort_unstable();
            assert_eq!(all, (0..program.next).collect::<Vec<_>>());
            drop(program);
            assert_eq!(count.alive(), 0);
            assert_eq!(count.made(), count.dropped());
        });
    }

    #[test]
    fn one_reader_sees_what_one_writer_put_in_order(
        script in prop::collection::vec((any::<bool>(), 0..4u8), 1..80)
    ) {
        balanced(|| {
            let mailbox = Mvar::new_empty();
            let mut expected = VecDeque::new();
            let mut waiting: VecDeque<Promise<u32>> = VecDeque::new();
            let mut blocked: VecDeque<(u32, Promise<()>)> = VecDeque::new();
            let mut seen = Vec::new();
            for (next, (is_put, fate)) in (0u32..).zip(script) {
                if is_put {
                    let promise = mailbox.put(next);
                    if promise.is_sleeping() {
                        match fate {
                            0 => promise.cancel(),
                            1 => drop(promise),
                            _ => {
                                expected.push_back(next);
                                blocked.push_back((next, promise));
                            }
                        }
                    } else {
                        expected.push_back(next);
                    }
                } else {
                    let promise = mailbox.take();
                    match fate {
                        0 if promise.is_sleeping() => promise.cancel(),
                        1 if promise.is_sleeping() => drop(promise),
                        _ => waiting.push_back(promise),
                    }
                }
                while let Some(promise) = waiting.pop_front() {
                    match promise.try_take() {
                        Ok(result) => seen.push(result.unwrap()),
                        Err(promise) => {
                            waiting.push_front(promise);
                            break;
                        }
                    }
                }
            }
            while let Some(number) = mailbox.take_available() {
                seen.push(number);
            }
            assert!(blocked.iter().all(|(_, promise)| !promise.is_sleeping()));
            assert_eq!(seen, Vec::from(expected));
        });
    }
}
