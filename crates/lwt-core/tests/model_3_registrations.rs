//! Rules M4 and M5 of the model: registrations belong to handles, and tying. See `constant_memory.rs` for what the
//! lists of waiters cost.

mod common;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use common::{CountPolls, DropCount, Log, balanced, is_canceled, sized, time_limit, value};
use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use lwt_core::*;

/// A promise in a place where several threads find it.
type Shared<T> = Rc<RefCell<Option<Promise<T>>>>;

/// Polls the promise in the place, and is never ready by itself.
fn poll_in_place<T: 'static>(place: Shared<T>) -> impl Future<Output = Result<T>> {
    std::future::poll_fn(move |context| match &mut *place.borrow_mut() {
        Some(promise) => Pin::new(promise).poll(context),
        None => Poll::Pending,
    })
}

#[test]
fn m4_the_running_thread_is_registered_without_a_waker() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = wait::<u32>();
        let thread = spawn(async move {
            let result = promise.await;
            assert_eq!(scheduler::foreign_wakers(), 0);
            result
        });
        assert_eq!(scheduler::foreign_wakers(), 0);
        resolver.wakeup(3);
        assert_eq!(value(&thread), 3);
    });
}

#[test]
fn m4_polling_again_by_the_same_thread_registers_nothing_new() {
    let _limit = time_limit(10);
    balanced(|| {
        let polls = Rc::new(Cell::new(0));
        let (promise, resolver) = wait::<u32>();
        let (other, mut pulses) = futures::channel::mpsc::unbounded::<()>();
        let thread = spawn(CountPolls::new(&polls, async move {
            let mut promise = promise.fuse();
            loop {
                futures::select! {
                    result = promise => return result,
                    _ = pulses.next() => (),
                }
            }
        }));
        let cells = scheduler::counters().cells;
        for _ in 0..sized(1_000, 30) {
            other.unbounded_send(()).unwrap();
        }
        assert_eq!(scheduler::counters().cells, cells);
        let before = polls.get();
        resolver.wakeup(4);
        // Told once, however often it was polled.
        assert_eq!(polls.get(), before + 1);
        assert_eq!(value(&thread), 4);
        drop(other);
    });
}

#[test]
fn m4_a_dropped_await_takes_its_registration_back() {
    let _limit = time_limit(10);
    balanced(|| {
        let polls = Rc::new(Cell::new(0));
        let (long, resolver) = wait::<u32>();
        let (short, short_resolver) = wait::<u32>();
        let (last, last_resolver) = wait::<u32>();
        let again = long.clone();
        let thread = spawn(CountPolls::new(&polls, async move {
            {
                let mut again = again.fuse();
                let mut short = short.fuse();
                futures::select! { _ = again => (), _ = short => () }
            }
            last.await
        }));
        short_resolver.wakeup(1);
        assert_eq!(polls.get(), 2);
        resolver.wakeup(2);
        assert_eq!(polls.get(), 2, "nobody awaits it any more");
        last_resolver.wakeup(3);
        assert_eq!(value(&thread), 3);
        drop(long);
    });
}

#[test]
fn m4_a_handle_that_moves_from_thread_to_thread_between_polls() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = wait::<u32>();
        let place: Shared<u32> = Rc::new(RefCell::new(Some(promise)));
        let polls: Vec<_> = (0..3).map(|_| Rc::new(Cell::new(0))).collect();
        // Each polls the same handle; the registration is the last one's.
        let threads: Vec<_> = polls
            .iter()
            .map(|polls| spawn(CountPolls::new(polls, poll_in_place(place.clone()))))
            .collect();
        resolver.wakeup(5);
        assert_eq!(
            polls.iter().map(|polls| polls.get()).collect::<Vec<_>>(),
            [1, 1, 2]
        );
        assert_eq!(value(&threads[2]), 5);
        assert!(threads[0].is_sleeping() && threads[1].is_sleeping());
        // Cancelling a thread that lost the handle reaches nothing of ours: it is dropped.
        threads[0].cancel();
        assert!(is_canceled(&threads[0]));
    });
}

#[test]
fn m4_a_handle_moved_out_of_a_thread_that_ended_or_was_cancelled() {
    let _limit = time_limit(10);
    for way in 0..4 {
        balanced(|| {
            let (promise, resolver) = wait::<u32>();
            let place: Shared<u32> = Rc::new(RefCell::new(Some(promise)));
            let (end, ender) = task::<()>();
            let inside = place.clone();
            let thread = spawn(async move {
                let mut polled = poll_in_place(inside).boxed_local().fuse();
                let mut end = end.fuse();
                futures::select! { _ = polled => (), _ = end => () }
                if way == 1 {
                    panic!("ended");
                }
                Ok(())
            });
            match way {
                0 | 1 => ender.wakeup(()),
                2 => thread.cancel(),
                _ => {
                    drop(thread);
                    drop(ender);
                }
            }
            // The promise is still there, with the place of a waiter that is gone.
            let promise = place.borrow_mut().take().unwrap();
            assert!(promise.is_sleeping());
            let other = promise.clone().map(|x| x + 1);
            let next = spawn(async move { promise.await });
            resolver.wakeup(6);
            assert_eq!((value(&next), value(&other)), (6, 7), "{way}");
        });
    }
}

#[test]
fn m4_awaiting_through_foreign_combinators() {
    let _limit = time_limit(10);
    balanced(|| {
        // FuturesUnordered, with more than one round.
        let (promises, resolvers): (Vec<_>, Vec<_>) = (0..20).map(|_| wait::<usize>()).unzip();
        let thread = spawn(async move {
            let mut unordered: FuturesUnordered<_> = promises.into_iter().collect();
            let mut seen = Vec::new();
            while let Some(result) = unordered.next().await {
                seen.push(result?);
            }
            Ok(seen)
        });
        let mut expected = Vec::new();
        for (index, resolver) in resolvers.into_iter().enumerate().rev() {
            // It wakes itself after each round over all of its futures: such a thread waits among the paused.
            wakeup_paused();
            resolver.wakeup(index);
            expected.push(index);
        }
        wakeup_paused();
        assert_eq!(value(&thread), expected);
        // Shared.
        let (promise, resolver) = wait::<u32>();
        let shared =
            FutureExt::map(promise, |result| result.map_err(|error| error.to_string())).shared();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                spawn(async move { shared.await.map_err(Error::message) })
            })
            .collect();
        drop(shared);
        resolver.wakeup(9);
        assert!(
            threads
                .iter()
                .all(|thread| matches!(thread.state(), State::Return(9)))
        );
        // select_all, join_all.
        let (promises, mut resolvers): (Vec<_>, Vec<_>) = (0..5).map(|_| wait::<u32>()).unzip();
        let thread = spawn(async move {
            let (first, index, rest) = futures::future::select_all(promises).await;
            let mut all = vec![first?, index as u32];
            for result in futures::future::join_all(rest).await {
                all.push(result?);
            }
            Ok(all)
        });
        resolvers.remove(2).wakeup(100);
        for (index, resolver) in resolvers.into_iter().enumerate() {
            resolver.wakeup(index as u32);
        }
        assert_eq!(value(&thread), [100, 2, 0, 1, 3, 2]);
    });
}

#[test]
fn m4_a_waker_that_would_wake_the_same_task_is_not_stored_again() {
    let _limit = time_limit(10);
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    balanced(|| {
        let counts: Vec<_> = (0..2)
            .map(|_| Arc::new(Count(AtomicUsize::new(0))))
            .collect();
        let wakers: Vec<Waker> = counts.iter().map(|count| count.clone().into()).collect();
        let (mut promise, resolver) = wait::<u32>();
        let mut poll = |index: usize| {
            let mut context = Context::from_waker(&wakers[index]);
            assert!(Pin::new(&mut promise).poll(&mut context).is_pending());
        };
        poll(0);
        poll(0);
        assert_eq!(
            Arc::strong_count(&counts[0]),
            3,
            "one here, one in the waker, one stored"
        );
        // Another task's waker takes its place.
        poll(1);
        assert_eq!(Arc::strong_count(&counts[0]), 2);
        assert_eq!(Arc::strong_count(&counts[1]), 3);
        resolver.wakeup(1);
        assert_eq!(counts.each_count(), [0, 1]);
        assert_eq!(Arc::strong_count(&counts[1]), 2);
        // Dropping the handle gives the waker back.
        let (mut promise, resolver) = wait::<u32>();
        let mut context = Context::from_waker(&wakers[0]);
        assert!(Pin::new(&mut promise).poll(&mut context).is_pending());
        assert_eq!(Arc::strong_count(&counts[0]), 3);
        drop(promise);
        assert_eq!(Arc::strong_count(&counts[0]), 2);
        drop(resolver);
        // A waker that does nothing.
        let (mut promise, resolver) = wait::<u32>();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut promise).poll(&mut context).is_pending());
        resolver.wakeup(1);
        assert!(Pin::new(&mut promise).poll(&mut context).is_ready());
    });
    trait EachCount {
        fn each_count(&self) -> Vec<usize>;
    }
    impl EachCount for Vec<Arc<Count>> {
        fn each_count(&self) -> Vec<usize> {
            self.iter()
                .map(|count| count.0.load(Ordering::SeqCst))
                .collect()
        }
    }
}

#[test]
fn m4_many_waiters_come_and_go_in_any_order() {
    let _limit = time_limit(30);
    balanced(|| {
        let log = Log::new();
        let waiters = sized(500, 60);
        let (promise, resolver) = wait::<u32>();
        let mut kept: Vec<Option<Promise<()>>> = (0..waiters)
            .map(|name| {
                let l = log.clone();
                let protected = promise.clone().protected();
                Some(protected.map(move |_| l.push(name)))
            })
            .collect();
        // Two of three leave, from the middle, the end and the start.
        for name in (0..waiters)
            .rev()
            .filter(|name| name % 3 == 0)
            .chain((0..waiters).filter(|name| name % 3 == 1))
        {
            if let Some(promise) = kept[name].take() {
                promise.cancel();
                // Cancelled before the protected copy: nothing of it waits any more.
                assert!(promise.is_sleeping() || is_canceled(&promise));
            }
        }
        for name in waiters..2 * waiters {
            let l = log.clone();
            kept.push(Some(promise.clone().map(move |_| l.push(name))));
        }
        log.take();
        resolver.wakeup(1);
        let expected: Vec<_> = (0..waiters)
            .filter(|name| name % 3 == 2)
            .chain(waiters..2 * waiters)
            .collect();
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn m5_tying_an_inner_promise_with_waiters_callbacks_and_clones() {
    let _limit = time_limit(10);
    for consumers in 0..4 {
        for cancelled in [false, true] {
            balanced(|| {
                let count = DropCount::default();
                let log = Log::new();
                let (start, starter) = wait::<()>();
                let (inner, resolver) = task::<Rc<common::Counted>>();
                let mut made = Vec::new();
                for _ in 0..consumers {
                    let l = log.clone();
                    let inner = inner.clone();
                    made.push(spawn(async move {
                        l.push(inner.await.is_ok());
                        Ok(())
                    }));
                }
                let clone = (consumers > 1).then(|| inner.clone());
                inner.on_termination({
                    let l = log.clone();
                    move || l.push(true)
                });
                inner.on_cancel({
                    let l = log.clone();
                    move || l.push(true)
                });
                let outer = start.bind(move |()| inner);
                made.push({
                    let (l, outer) = (log.clone(), outer.clone());
                    spawn(async move {
                        l.push(outer.await.is_ok());
                        Ok(())
                    })
                });
                starter.wakeup(());
                if cancelled {
                    outer.cancel();
                } else {
                    resolver.clone().wakeup(Rc::new(count.value()));
                }
                let told = log.take();
                assert_eq!(told.len(), consumers + 2 + usize::from(cancelled));
                assert!(made.iter().all(|made| !made.is_sleeping()));
                drop((clone, resolver));
            });
        }
    }
}

#[test]
fn m5_waiters_of_the_inner_promise_can_leave_after_the_tie() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (inner, resolver) = wait::<u32>();
        let protected: Vec<_> = (0..6).map(|_| inner.clone().protected()).collect();
        for (name, copy) in protected.iter().enumerate() {
            copy.on_success({
                let l = log.clone();
                move |_| l.push(name)
            });
        }
        let (start, starter) = wait::<()>();
        let kept = inner.clone();
        let outer = start.bind(move |()| inner);
        starter.wakeup(());
        protected[1].cancel();
        protected[4].cancel();
        protected[5].cancel();
        let late = kept.clone().map({
            let l = log.clone();
            move |_| l.push(100)
        });
        drop(kept);
        resolver.wakeup(1);
        assert_eq!(log.take(), [0, 2, 3, 100]);
        assert_eq!(value(&outer), 1);
        drop(late);
    });
}

#[test]
fn m5_a_tied_inner_promise_keeps_what_holds_it_apart() {
    let _limit = time_limit(10);
    // Every order in which the three ends can go.
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        balanced(|| {
            let count = DropCount::default();
            let guard = count.value();
            let (start, starter) = wait::<()>();
            let (inner, resolver) = wait::<u32>();
            let kept = inner.clone();
            let outer = start.bind(move |()| inner);
            starter.wakeup(());
            drop(outer.clone().map(move |_| drop(guard)));
            let mut ends = [
                Some(Box::new(kept) as Box<dyn std::any::Any>),
                Some(Box::new(outer)),
                Some(Box::new(resolver)),
            ];
            for (step, index) in order.into_iter().enumerate() {
                ends[index].take();
                // The waiter lives as long as it can be woken.
                let alive = order[..=step].contains(&2);
                assert_eq!(count.alive(), usize::from(!alive), "{order:?} {step}");
            }
        });
    }
}

#[test]
fn m5_cancelers_follow_a_promise_that_is_tied() {
    let _limit = time_limit(10);
    balanced(|| {
        let (start, starter) = wait::<()>();
        let (inner, resolver) = task::<u32>();
        let canceler = inner.canceler();
        let outer = start.bind(move |()| inner);
        let other = outer.canceler();
        starter.wakeup(());
        assert!(!canceler.is_over() && !other.is_over());
        canceler.cancel();
        assert!(is_canceled(&outer) && canceler.is_over() && other.is_over());
        drop(resolver);
        // The inner cell goes while the outer lives.
        let (start, starter) = wait::<()>();
        let (first, first_resolver) = task::<()>();
        let (second, second_resolver) = task::<u32>();
        let middle = first.bind(move |()| second);
        let canceler = middle.canceler();
        let outer = start.bind(move |()| middle);
        starter.wakeup(());
        first_resolver.wakeup(());
        assert!(outer.is_sleeping() && !canceler.is_over());
        canceler.cancel();
        assert!(is_canceled(&outer));
        drop(second_resolver);
    });
}
