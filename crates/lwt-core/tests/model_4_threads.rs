//! Rules M6 and M7 of the model: a thread's run state, and wakers in other hands.
#![allow(
    clippy::waker_clone_wake,
    reason = "a clone on a foreign OS thread is what is tested"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::{
    CountPolls, DropCount, Foreign, Log, OnDrop, balanced, is_canceled, time_limit, value,
};
use lwt_core::*;

/// What a thread does once, in the middle of its own poll, to itself.
type Meanwhile = fn(&Promise<u32>, &mut Context<'_>);

/// A thread that does something to itself in its first poll after `start`, then waits for `end`.
fn meddling(
    meanwhile: Meanwhile,
    log: &Log<&'static str>,
) -> (Promise<u32>, Resolver<()>, Resolver<u32>) {
    let (start, starter) = task::<()>();
    let (end, ender) = task::<u32>();
    let own: Rc<RefCell<Option<Promise<u32>>>> = Rc::default();
    let (slot, l) = (own.clone(), log.clone());
    let thread = spawn(async move {
        start.await?;
        let mut end = end;
        let mut first = true;
        std::future::poll_fn(move |context| {
            l.push("poll");
            if std::mem::take(&mut first) {
                let own = slot.borrow_mut().take();
                if let Some(own) = own {
                    meanwhile(&own, context);
                }
                l.push("end of first poll");
            }
            Pin::new(&mut end).poll(context)
        })
        .await
    });
    *own.borrow_mut() = Some(thread.clone());
    (thread, starter, ender)
}

#[test]
fn m6_woken_by_a_promise_while_running_is_polled_again_through_the_queue() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, resolver) = wait::<u32>();
        let (start, starter) = wait::<()>();
        let l = log.clone();
        let mut resolver = Some(resolver);
        let mut promise = promise;
        let mut start = Some(start);
        let thread = spawn(std::future::poll_fn(move |context| {
            if let Some(gate) = &mut start {
                if Pin::new(gate).poll(context).is_pending() {
                    return Poll::Pending;
                }
                start = None;
            }
            l.push("begin");
            let polled = Pin::new(&mut promise).poll(context);
            if let Some(resolver) = resolver.take() {
                // Awaited already: this wakes the thread that is running now, which must not be polled in place.
                resolver.wakeup(1);
            }
            l.push("end");
            polled
        }));
        starter.wakeup(());
        assert_eq!(log.take(), ["begin", "end", "begin", "end"]);
        assert_eq!(value(&thread), 1);
    });
}

#[test]
fn m6_woken_by_its_own_waker_while_running_is_polled_behind_the_paused() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (thread, starter, ender) = meddling(|_, context| context.waker().wake_by_ref(), &log);
        let paused = pause().map(log.note("paused").into_fn());
        starter.wakeup(());
        assert_eq!(log.take(), ["poll", "end of first poll"]);
        wakeup_paused();
        assert_eq!(log.take(), ["paused", "poll"]);
        // Woken twice, by itself and by a promise, it runs once.
        ender.wakeup(2);
        assert_eq!(log.take(), ["poll"]);
        assert_eq!(value(&thread), 2);
        drop(paused);
    });
}

trait IntoFn {
    fn into_fn(self) -> impl FnOnce(()) + 'static;
}

impl<F: FnOnce() + 'static> IntoFn for F {
    fn into_fn(self) -> impl FnOnce(()) + 'static {
        move |()| self()
    }
}

#[test]
fn m6_cancelled_while_running_nothing_happens() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (thread, starter, ender) = meddling(|own, _| own.cancel(), &log);
        starter.wakeup(());
        assert!(thread.is_sleeping());
        ender.wakeup(3);
        assert_eq!(value(&thread), 3);
        // By `cancel_later` neither.
        let (thread, starter, ender) = meddling(|own, _| own.cancel_later(), &log);
        starter.wakeup(());
        assert!(thread.is_sleeping());
        ender.wakeup(4);
        assert_eq!(value(&thread), 4);
    });
}

#[test]
fn m6_a_thread_whose_promise_is_dropped_while_it_runs_is_detached() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (start, starter) = wait::<()>();
        let (end, ender) = wait::<()>();
        let slot: Rc<RefCell<Option<Promise<()>>>> = Rc::default();
        let (own, l) = (slot.clone(), log.clone());
        *slot.borrow_mut() = Some(spawn(async move {
            start.await?;
            own.borrow_mut().take();
            l.push("dropped");
            end.await?;
            l.push("went on");
            Ok(())
        }));
        starter.wakeup(());
        ender.wakeup(());
        assert_eq!(log.take(), ["dropped", "went on"]);
        // Dropped with nothing left that could wake it: it goes when its poll is over, not before.
        let count = DropCount::default();
        let guard = count.value();
        let (start, starter) = wait::<()>();
        let (own, l, alive) = (slot.clone(), log.clone(), count.clone());
        *slot.borrow_mut() = Some(spawn(async move {
            let _guard = guard;
            start.await?;
            own.borrow_mut().take();
            l.push(if alive.alive() == 1 {
                "still there"
            } else {
                "gone"
            });
            forever::<()>().await
        }));
        starter.wakeup(());
        assert_eq!(log.take(), ["still there"]);
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn m6_a_queued_thread_is_not_queued_twice_and_its_other_promises_are_cancelled() {
    let _limit = time_limit(10);
    balanced(|| {
        let polls = Rc::new(Cell::new(0));
        let (a, ra) = task::<u32>();
        let (b, rb) = task::<u32>();
        let (c, rc) = task::<u32>();
        let watched = c.clone();
        let thread = spawn(CountPolls::new(&polls, async move {
            let (a, b, c) = futures::join!(a, b, c);
            Ok((a?, b?, c.is_err()))
        }));
        let canceler = thread.canceler();
        let (outer, resolver) = wait::<()>();
        outer.on_success(move |()| {
            ra.resolve(1);
            rb.resolve(2);
            canceler.cancel_later();
            assert!(is_canceled(&watched));
        });
        resolver.wakeup(());
        assert_eq!(polls.get(), 2, "once at first, once for all three");
        assert_eq!(value(&thread), (1, 2, true));
        drop(rc);
    });
}

#[test]
fn m6_a_done_thread_ignores_wake_and_cancel_also_while_its_future_is_dropped() {
    let _limit = time_limit(10);
    for ending in 0..4 {
        balanced(|| {
            let log = Log::new();
            let foreign = Foreign::new();
            let slot: Rc<RefCell<Option<Promise<u32>>>> = Rc::default();
            let (own, waking, l) = (slot.clone(), foreign.clone(), log.clone());
            let guard = OnDrop::new(move || {
                // Its own waker, its own promise, its own cancel.
                waking.wake();
                let own = own.borrow();
                if let Some(own) = own.as_ref() {
                    own.cancel();
                    l.push(own.is_sleeping());
                }
            });
            let (start, starter) = task::<()>();
            let thread = spawn(async move {
                let _guard = guard;
                if ending == 3 {
                    foreign.clone().await;
                }
                std::future::poll_fn(|context| {
                    let _ = Pin::new(&mut foreign.clone()).poll(context);
                    Poll::Ready(())
                })
                .await;
                start.await?;
                if ending == 1 {
                    panic!("ending");
                }
                Ok(1)
            });
            *slot.borrow_mut() = Some(thread.clone());
            match ending {
                0 | 1 => starter.wakeup(()),
                2 => thread.cancel(),
                _ => thread.cancel(),
            }
            // The future is dropped before the result is published.
            assert_eq!(log.take(), [true], "{ending}");
            match thread.state() {
                State::Return(1) => assert_eq!(ending, 0),
                State::Fail(error) => {
                    assert!(error.is_panic() && ending == 1 || error.is_canceled() && ending >= 2)
                }
                state => panic!("{state:?}"),
            }
            slot.borrow_mut().take();
        });
    }
}

#[test]
fn m6_a_panic_of_the_futures_drop_is_the_failure() {
    let _limit = time_limit(10);
    for cancelled in [false, true] {
        balanced(|| {
            let count = DropCount::default();
            let result = count.value();
            let (start, starter) = wait::<()>();
            // Held by the future itself, not by the body that has ended.
            let guard = OnDrop::new(|| panic!("drop"));
            let (mut start, mut result) = (start, Some(Rc::new(result)));
            let thread = spawn(std::future::poll_fn(move |context| {
                let _ = &guard;
                if cancelled {
                    return Poll::Pending;
                }
                Pin::new(&mut start)
                    .poll(context)
                    .map(|_| Ok(result.take()))
            }));
            if cancelled {
                thread.cancel();
            } else {
                starter.wakeup(());
            }
            assert!(matches!(thread.state(), State::Fail(error) if error.is_panic()));
            assert_eq!(count.alive(), 0);
        });
    }
}

#[test]
fn m7_a_waker_cloned_woken_and_dropped_on_other_os_threads() {
    let _limit = time_limit(20);
    balanced(|| {
        let foreign = Foreign::new();
        let inside = foreign.clone();
        let thread = spawn(async move {
            inside.await;
            Ok(5)
        });
        let waker = foreign.waker().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let waker = waker.clone();
                scope.spawn(move || {
                    let another = waker.clone();
                    another.wake_by_ref();
                    drop(waker);
                    another.wake();
                });
            }
        });
        assert!(thread.is_sleeping());
        assert!(scheduler::foreign_wakers() > 0);
        foreign.finish();
        scheduler::drain_inbox();
        assert_eq!(value(&thread), 5);
        drop(waker);
    });
}

#[test]
fn m7_a_waker_used_by_other_os_threads_during_the_poll() {
    let _limit = time_limit(20);
    balanced(|| {
        // Cloned, woken and dropped while the poll that lends it goes on, in all combinations.
        for actions in 0..8u32 {
            let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
            let keep = kept.clone();
            let polls = Rc::new(Cell::new(0));
            let count = polls.clone();
            let thread = spawn(std::future::poll_fn(move |context| {
                count.set(count.get() + 1);
                if count.get() > 1 {
                    return Poll::Ready(Ok(7));
                }
                let waker = context.waker();
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            let copy = (actions & 1 != 0).then(|| waker.clone());
                            if actions & 2 != 0 {
                                waker.wake_by_ref();
                            }
                            if actions & 4 != 0 {
                                keep.lock().unwrap().extend(copy);
                            }
                        });
                    }
                });
                Poll::Pending
            }));
            let keeps = actions & 5 == 5;
            assert!(thread.is_sleeping());
            scheduler::drain_inbox();
            if actions & 2 == 0 {
                assert!(thread.is_sleeping());
                for waker in kept.lock().unwrap().drain(..) {
                    std::thread::spawn(move || waker.wake()).join().unwrap();
                }
                scheduler::drain_inbox();
            }
            assert_eq!(
                thread.is_sleeping(),
                actions & 2 == 0 && !keeps,
                "{actions}"
            );
            kept.lock().unwrap().clear();
            drop(thread);
            scheduler::drain_inbox();
        }
    });
}

#[test]
fn m7_many_polls_with_foreign_clones_do_not_pile_up() {
    let _limit = time_limit(60);
    balanced(|| {
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let rounds = common::sized(500, 20);
        let thread = spawn(std::future::poll_fn(move |context| {
            count.set(count.get() + 1);
            if count.get() > rounds {
                return Poll::Ready(Ok(()));
            }
            let waker = context.waker();
            std::thread::scope(|scope| {
                scope.spawn(|| waker.clone().wake());
            });
            Poll::Pending
        }));
        while thread.is_sleeping() {
            assert!(scheduler::drain_inbox() <= 2);
        }
        assert_eq!(polls.get(), rounds + 1);
        scheduler::drain_inbox();
    });
}

#[test]
fn m7_wakers_after_the_thread_ended() {
    let _limit = time_limit(20);
    for cancelled in [false, true] {
        balanced(|| {
            let foreign = Foreign::new();
            let (inside, outside) = (foreign.clone(), Foreign::new());
            let last = outside.clone();
            let thread = spawn(async move {
                // A waker of an earlier wait stays elsewhere.
                futures::future::select(inside, last).await;
                Ok(1)
            });
            let waker = foreign.waker().unwrap();
            if cancelled {
                thread.cancel();
            } else {
                outside.finish();
            }
            assert!(!thread.is_sleeping());
            // On this OS thread and on another one.
            waker.wake_by_ref();
            let copy = waker.clone();
            std::thread::spawn(move || copy.wake()).join().unwrap();
            drop(thread);
            waker.wake_by_ref();
            scheduler::drain_inbox();
            drop((waker, outside.waker()));
            scheduler::drain_inbox();
        });
    }
}

#[test]
fn m7_wakers_after_the_os_thread_ended() {
    let _limit = time_limit(20);
    let dropped = Arc::new(AtomicUsize::new(0));
    struct OnEnd(Arc<AtomicUsize>);
    impl Drop for OnEnd {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for detached in [false, true] {
        let (end, dropped_before) = (OnEnd(dropped.clone()), dropped.load(Ordering::SeqCst));
        let waker = std::thread::spawn(move || {
            let kept: Arc<Mutex<Option<Waker>>> = Arc::default();
            let keep = kept.clone();
            let thread = spawn(async move {
                let _end = end;
                std::future::poll_fn(|context| {
                    *keep.lock().unwrap() = Some(context.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
                Ok(())
            });
            let waker = kept.lock().unwrap().take();
            if detached {
                drop(thread);
            } else {
                thread.cancel();
            }
            waker.unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), dropped_before + 1);
        let copy = waker.clone();
        waker.wake();
        std::thread::spawn(move || copy.wake_by_ref())
            .join()
            .unwrap();
    }
}

#[test]
fn m7_a_closed_inbox_refuses_messages() {
    let _limit = time_limit(20);
    let inbox = std::thread::spawn(|| {
        let inbox = scheduler::inbox();
        assert!(inbox.post(Box::new(|| ())).is_ok());
        inbox
    })
    .join()
    .unwrap();
    assert!(inbox.post(Box::new(|| ())).is_err());
    assert!(inbox.is_empty());
}

#[test]
fn m7_work_posted_from_other_os_threads_runs_here_in_order_and_rings_once() {
    let _limit = time_limit(20);
    balanced(|| {
        let rings = Arc::new(AtomicUsize::new(0));
        let bell = rings.clone();
        let inbox = scheduler::inbox();
        inbox.set_bell(Some(Box::new(move || {
            bell.fetch_add(1, Ordering::SeqCst);
        })));
        let ran: Arc<Mutex<Vec<(usize, std::thread::ThreadId)>>> = Arc::default();
        let (poster, sink) = (inbox.clone(), ran.clone());
        std::thread::spawn(move || {
            for index in 0..5 {
                let sink = sink.clone();
                let work = move || {
                    sink.lock()
                        .unwrap()
                        .push((index, std::thread::current().id()))
                };
                assert!(poster.post(Box::new(work)).is_ok());
            }
        })
        .join()
        .unwrap();
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert!(!inbox.is_empty() && inbox.if_silent(|| ()).is_none());
        assert_eq!(scheduler::drain_inbox(), 5);
        assert!(inbox.is_empty() && inbox.if_silent(|| ()).is_some());
        let here = std::thread::current().id();
        let expected: Vec<_> = (0..5).map(|index| (index, here)).collect();
        assert_eq!(*ran.lock().unwrap(), expected);
        inbox.set_bell(None);
    });
}

#[test]
fn m13_a_live_foreign_waker_is_counted_until_its_last_clone_goes() {
    let _limit = time_limit(20);
    balanced(|| {
        let foreign = Foreign::new();
        let inside = foreign.clone();
        let thread = spawn(async move {
            inside.await;
            Ok(())
        });
        let inbox = scheduler::inbox();
        assert_eq!(scheduler::foreign_wakers(), 1);
        assert!(inbox.if_silent(|| ()).is_none());
        let waker = foreign.waker().unwrap();
        let copy = waker.clone();
        drop(waker);
        assert_eq!(scheduler::foreign_wakers(), 1);
        std::thread::spawn(move || drop(copy)).join().unwrap();
        // The message that tells so is there before the count goes down.
        assert_eq!(scheduler::foreign_wakers(), 0);
        assert!(!inbox.is_empty() && inbox.if_silent(|| ()).is_none());
        assert_eq!(scheduler::drain_inbox(), 1);
        assert!(inbox.if_silent(|| ()).is_some());
        assert!(thread.is_sleeping());
        // Nothing can wake it; a handle still holds it.
        let tree = scheduler::sleeping_tree(&thread);
        assert!(
            tree[0].what.contains("which nobody can wake"),
            "{}",
            tree[0].what
        );
        let guard = scheduler::keep_alive();
        assert_eq!(scheduler::kept_alive(), 1);
        drop(guard);
        assert_eq!(scheduler::kept_alive(), 0);
    });
}

#[test]
fn m13_the_sleeping_tree_names_what_a_thread_hangs_on() {
    let _limit = time_limit(20);
    balanced(|| {
        let (leaf, _r) = scheduler::leaf::<()>("read of the test's descriptor");
        let (other, _s) = wait::<u32>();
        let thread = spawn(async move {
            let (a, b) = futures::join!(leaf, both(other.map(|_| ()), pause().map(|()| ())));
            a.and(b.map(|_| ()))
        });
        let lines = scheduler::sleeping_tree(&thread);
        let texts: Vec<_> = lines
            .iter()
            .map(|line| format!("{}{}", " ".repeat(line.depth), line.what))
            .collect();
        let text = texts.join("\n");
        assert!(text.starts_with("thread "), "{text}");
        assert!(text.contains("read of the test's descriptor"), "{text}");
        assert!(text.contains("wait for a u32"), "{text}");
        assert!(text.contains("pause"), "{text}");
        assert_eq!(lines[0].depth, 0);
        assert!(lines.iter().any(|line| line.depth >= 3));
        drop(thread);
        wakeup_paused();
    });
}
