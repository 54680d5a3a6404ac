//! Rules M9, M10, M12 and M13 of the model: what wakes at once, who may run, and what a panic or the end of an OS thread
//! leaves behind.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{
    Hook, Log, OnDrop, balanced, failure, is_canceled, quietly, sized, time_limit, value,
};
use lwt_core::*;

#[test]
fn m9_a_running_thread_is_not_entered_again_by_resolve() {
    let _limit = time_limit(10);
    balanced(|| {
        let state = Rc::new(RefCell::new(0));
        let (promise, resolver) = wait::<()>();
        let inside = state.clone();
        let reader = spawn(async move {
            promise.await?;
            *inside.borrow_mut() += 1;
            Ok(())
        });
        let borrowed = state.clone();
        let writer = spawn(async move {
            // A borrow around a call of the library is safe.
            let mut guard = borrowed.borrow_mut();
            resolver.resolve(());
            *guard += 10;
            Ok(())
        });
        assert!(!reader.is_sleeping() && !writer.is_sleeping());
        assert_eq!(*state.borrow(), 11);
    });
}

#[test]
fn m9_every_kind_of_frame_defers_what_is_resolved_later() {
    let _limit = time_limit(10);
    type Inside = fn(Box<dyn FnOnce()>);
    let frames: [(&str, Inside); 6] = [
        ("first poll", |f| {
            drop(spawn(async move {
                f();
                Ok(())
            }))
        }),
        ("callback", |f| {
            let (p, r) = wait::<()>();
            p.on_success(move |()| f());
            r.wakeup(());
        }),
        ("continuation", |f| {
            let (p, r) = wait::<()>();
            let q = p.map(move |()| f());
            r.wakeup(());
            drop(q);
        }),
        ("cancel callback", |f| {
            let (p, _r) = task::<()>();
            p.on_cancel(f);
            p.cancel();
        }),
        ("dispatch", |f| scheduler::frame(f)),
        ("posted work", |f| {
            // Work comes from other OS threads; the closure itself stays here.
            thread_local! { static WORK: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) }; }
            WORK.with(|work| *work.borrow_mut() = Some(f));
            let run = || {
                let f = WORK.with(|work| work.borrow_mut().take());
                if let Some(f) = f {
                    f()
                }
            };
            assert!(scheduler::inbox().post(Box::new(run)).is_ok());
            scheduler::drain_inbox();
        }),
    ];
    for (name, frame) in frames {
        balanced(|| {
            let log = Log::new();
            let (promise, resolver) = wait::<()>();
            let thread = spawn({
                let l = log.clone();
                async move {
                    promise.await?;
                    l.push("thread");
                    Ok(())
                }
            });
            let l = log.clone();
            frame(Box::new(move || {
                resolver.resolve(());
                l.push("frame");
            }));
            assert_eq!(log.take(), ["frame", "thread"], "{name}");
            drop(thread);
        });
    }
}

/// A loop without an engine: turns until the promise is there. Tells how many.
fn run_loop<T: 'static>(promise: &Promise<T>, most: usize, mut each: impl FnMut()) -> usize {
    let guard = scheduler::enter(Location::caller()).expect("no loop runs here");
    let mut turns = 0;
    while promise.is_sleeping() && turns < most {
        turns += 1;
        scheduler::begin_turn();
        scheduler::drain_inbox();
        scheduler::frame(&mut each);
        scheduler::run_ready(scheduler::turn_limit());
        wakeup_paused();
    }
    drop(guard);
    turns
}

#[test]
fn m10_threads_that_wake_each_other_without_end_do_not_keep_the_loop_from_its_engine() {
    let _limit = time_limit(30);
    balanced(|| {
        let count = Rc::new(Cell::new(0usize));
        let stop = Rc::new(Cell::new(false));
        let (done, finish) = task::<()>();
        fn next(count: Rc<Cell<usize>>, stop: Rc<Cell<bool>>) {
            // Each hands over to the next one through the queue.
            let (promise, resolver) = wait::<()>();
            drop(spawn(async move {
                promise.await?;
                count.set(count.get() + 1);
                if !stop.get() {
                    next(count, stop);
                }
                Ok(())
            }));
            resolver.resolve(());
        }
        scheduler::set_turn_limit(100);
        let (c, s) = (count.clone(), stop.clone());
        let start = pause().map(move |()| next(c, s));
        let mut finish = Some(finish);
        let mut looked = 0;
        run_loop(&done, 50, || {
            // The engine is looked at in every turn, within the limit.
            looked += 1;
            assert!(
                count.get() <= 110 * looked,
                "{} resumptions in {looked} turns",
                count.get()
            );
            if looked == 20
                && let Some(finish) = finish.take()
            {
                finish.resolve(());
            }
        });
        assert!(!done.is_sleeping() && (20..=25).contains(&looked));
        assert!(count.get() > 100);
        scheduler::set_turn_limit(4096);
        stop.set(true);
        scheduler::frame(|| ());
        drop(start);
    });
}

#[test]
fn m10_a_thread_whose_operations_always_complete_gives_way() {
    let _limit = time_limit(30);
    balanced(|| {
        let stop = Rc::new(Cell::new(false));
        let inside = stop.clone();
        let done = Rc::new(Cell::new(0usize));
        let count = done.clone();
        let thread = spawn(async move {
            pause().await?;
            while !inside.get() {
                return_(()).await?;
                count.set(count.get() + 1);
            }
            Ok(())
        });
        let mut looked = 0;
        run_loop(&thread, 100, || {
            looked += 1;
            if looked == 10 {
                stop.set(true);
            }
        });
        assert!(!thread.is_sleeping());
        assert!(
            done.get() <= 130 * looked && done.get() > 100,
            "{} in {looked} turns",
            done.get()
        );
        // Outside a loop nobody is kept waiting.
        let steps = sized(100_000, 1_000);
        let thread = spawn(async move {
            for _ in 0..steps {
                return_(()).await?;
            }
            Ok(())
        });
        assert!(!thread.is_sleeping());
    });
}

#[test]
fn m10_what_is_woken_in_a_turn_runs_in_it_or_is_announced() {
    let _limit = time_limit(10);
    balanced(|| {
        let guard = scheduler::enter(Location::caller()).expect("no loop runs here");
        assert!(scheduler::in_loop());
        let nested = scheduler::enter(Location::caller())
            .unwrap_err()
            .to_string();
        assert_eq!(nested.matches("model_5_guards.rs").count(), 2, "{nested}");
        scheduler::set_turn_limit(3);
        scheduler::begin_turn();
        let (promises, resolvers): (Vec<_>, Vec<_>) = (0..5).map(|_| wait::<()>()).unzip();
        let threads: Vec<_> = promises
            .into_iter()
            .map(|promise| spawn(async move { promise.await }))
            .collect();
        scheduler::frame(|| {
            resolvers
                .into_iter()
                .for_each(|resolver| resolver.resolve(()))
        });
        assert_eq!(
            threads.iter().filter(|thread| thread.is_sleeping()).count(),
            2
        );
        assert!(scheduler::has_ready());
        scheduler::begin_turn();
        assert!(!scheduler::run_ready(10));
        assert!(threads.iter().all(|thread| !thread.is_sleeping()));
        scheduler::set_turn_limit(4096);
        drop(guard);
        assert!(!scheduler::in_loop());
    });
}

#[test]
fn m12_a_panic_of_anything_leaves_the_scheduler_in_order() {
    let _limit = time_limit(10);
    type Panic = fn();
    let panics: [(&str, Panic); 10] = [
        ("future", || drop(spawn::<_, ()>(async { panic!("here") }))),
        ("future, later", || {
            let (p, r) = wait::<()>();
            let t = spawn::<_, ()>(async move {
                p.await?;
                panic!("here")
            });
            r.wakeup(());
            drop(t)
        }),
        ("closure", || {
            let (p, r) = wait::<()>();
            let q = p.map(|()| panic!("here"));
            r.wakeup(());
            drop::<Promise<()>>(q)
        }),
        ("closure's drop", || {
            let (p, r) = wait::<()>();
            let g = OnDrop::new(|| panic!("here"));
            drop(p.map(move |()| drop(g)));
            drop(r)
        }),
        ("value's drop", || {
            let (p, r) = wait::<OnDrop>();
            r.wakeup(OnDrop::new(|| panic!("here")));
            drop(p)
        }),
        ("future's drop", || {
            let g = OnDrop::new(|| panic!("here"));
            let t = spawn(async move {
                let _g = g;
                forever::<()>().await
            });
            drop(t)
        }),
        ("cancelled future's drop", || {
            let g = OnDrop::new(|| panic!("here"));
            let t = spawn::<_, ()>(async move {
                let _g = g;
                std::future::pending().await
            });
            t.cancel();
            drop(t)
        }),
        ("hook", || {
            let f = set_async_exception_hook(|_| panic!("here"));
            async_(|| fail(EndOfFile));
            set_async_exception_hook(move |e| f(e));
        }),
        ("notifier", || {
            register_pause_notifier(|_| panic!("here"));
            drop(pause());
            register_pause_notifier(|_| ());
            wakeup_paused()
        }),
        ("withdrawal", || {
            let (p, r) = scheduler::leaf::<()>("leaf");
            r.on_abandon(|| panic!("here"));
            drop(p)
        }),
    ];
    let key = Key::new();
    for (name, panic) in panics {
        for nested in [false, true] {
            balanced(|| {
                let hook = Hook::install();
                key.with_value(Some(name), || {
                    if nested {
                        // Inside a resolution the others are still told.
                        let log = Log::new();
                        let (promise, resolver) = wait::<()>();
                        promise.on_success(log_note(&log));
                        promise.on_success(move |()| panic());
                        promise.on_success(log_note(&log));
                        let after = promise.map(log_note_owned(&log));
                        let _ = quietly(|| resolver.wakeup(()));
                        assert_eq!(log.take().len(), 3, "{name}");
                        drop(after);
                    } else {
                        let _ = quietly(panic);
                    }
                    assert_eq!(key.get(), Some(name));
                });
                // Depth: what is resolved later runs at once again. Current thread: a foreign poll is none of ours.
                let (promise, resolver) = wait::<u32>();
                let mapped = promise.map(|x| x + 1);
                resolver.resolve(1);
                assert_eq!(value(&mapped), 2, "{name}");
                assert_eq!(key.get(), None);
                assert!(futures::executor::block_on(pause()).is_err());
                wakeup_paused();
                drop(hook);
            });
        }
    }
    fn log_note(log: &Log<()>) -> impl FnOnce(&()) + 'static {
        let log = log.clone();
        move |()| log.push(())
    }
    fn log_note_owned(log: &Log<()>) -> impl FnOnce(()) + 'static {
        let log = log.clone();
        move |()| log.push(())
    }
}

#[test]
fn m12_a_panicking_foreign_waker_keeps_nobody_from_being_told() {
    let _limit = time_limit(10);
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }
    balanced(|| {
        let hook = Hook::install();
        let (promise, resolver) = wait::<u32>();
        let mut polled = promise.clone();
        let waker = Arc::new(Panics).into();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(
            std::pin::Pin::new(&mut polled)
                .poll(&mut context)
                .is_pending()
        );
        let mapped = promise.map(|x| x);
        resolver.wakeup(1);
        assert_eq!(value(&mapped), 1);
        assert_eq!(hook.texts(), ["the thread panicked: waker"]);
        drop(polled);
    });
}

#[test]
fn m12_a_panic_keeps_its_payload() {
    let _limit = time_limit(10);
    let promise = spawn::<_, ()>(async { std::panic::panic_any(vec![1, 2, 3]) });
    let error = failure(&promise);
    drop(promise);
    let payload = quietly(|| error.resume()).unwrap_err();
    assert_eq!(*payload.downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
}

/// Counts, also on other OS threads.
struct Counted(Arc<AtomicUsize>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn m12_an_os_thread_that_ends_with_threads_asleep_leaks_nothing() {
    let _limit = time_limit(20);
    let dropped = Arc::new(AtomicUsize::new(0));
    let inside = dropped.clone();
    std::thread::spawn(move || {
        let guard = || Counted(inside.clone());
        let loop_guard = scheduler::enter(Location::caller()).expect("no loop runs here");
        // Paused, queued, waiting for wakers and for nothing, with hooks and notifiers in place.
        let g = guard();
        drop(spawn(async move {
            let _g = g;
            pause().await?;
            pause().await
        }));
        let g = guard();
        drop(pause().map(move |()| drop(g)));
        let g = guard();
        let (promise, resolver) = wait::<()>();
        drop(spawn(async move {
            let _g = g;
            promise.await
        }));
        scheduler::set_turn_limit(1);
        scheduler::begin_turn();
        scheduler::run_ready(0);
        let filler = wait::<()>();
        drop(filler.0.map(|()| ()));
        scheduler::frame(|| {
            filler.1.resolve(());
            resolver.resolve(())
        });
        let g = guard();
        let former = set_async_exception_hook(move |_| {
            let _ = &g;
        });
        drop(former);
        let g = guard();
        register_pause_notifier(move |_| {
            let _ = &g;
        });
        drop(loop_guard);
    })
    .join()
    .unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 5);
}

#[test]
fn m12_handles_may_be_dropped_from_a_later_destructor() {
    let _limit = time_limit(20);
    type Kept = Vec<Box<dyn std::any::Any>>;
    thread_local! {
        static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) };
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    // Registered before or after the library's own destructor, so that it runs after or before it.
    for first in [false, true] {
        dropped.store(0, Ordering::SeqCst);
        let inside = dropped.clone();
        std::thread::spawn(move || {
            if first {
                KEPT.with(|kept| kept.borrow_mut().push(Box::new(())));
            } else {
                drop(wait::<()>());
            }
            let keep =
                |thing: Box<dyn std::any::Any>| KEPT.with(|kept| kept.borrow_mut().push(thing));
            let (promise, resolver) = task::<Counted>();
            resolver.on_abandon(|| ());
            keep(Box::new(promise.canceler()));
            // Chains, so that dropping cascades.
            let mut chain = promise.map(|x| x);
            for _ in 0..5 {
                chain = spawn(async move { chain.await });
            }
            let guard = Counted(inside.clone());
            keep(Box::new(chain.map(move |_| drop(guard))));
            keep(Box::new(resolver));
            let (promise, resolver) = wait::<Counted>();
            resolver.wakeup(Counted(inside.clone()));
            keep(Box::new(promise));
            let group = Group::new();
            let guard = Counted(inside.clone());
            let member = group.spawn(async move {
                let _guard = guard;
                forever::<()>().await
            });
            keep(Box::new(group));
            keep(Box::new(member));
            keep(Box::new(pause()));
            keep(Box::new(scheduler::keep_alive()));
            keep(Box::new(OnDrop::new(|| {
                // Even new threads may be made there.
                let (promise, resolver) = wait::<u32>();
                let thread = spawn(async move { promise.await });
                resolver.resolve(1);
                assert_eq!(value(&thread), 1);
                drop(spawn(async { forever::<()>().await }));
            })));
        })
        .join()
        .unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 3, "{first}");
    }
}

#[test]
fn m11_all_that_a_thread_awaits_at_once_is_cancelled() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promises, _resolvers): (Vec<_>, Vec<_>) = (0..6).map(|_| task::<()>()).unzip();
        let watched = promises.clone();
        let thread = spawn(async move {
            let mut promises = promises.into_iter();
            let mut next = || promises.next().unwrap();
            let (a, b, c) = (next(), next(), next());
            let unordered: futures::stream::FuturesUnordered<_> =
                [next(), next()].into_iter().collect();
            let rest = futures::StreamExt::collect::<Vec<_>>(unordered);
            let boxed = Box::pin(next());
            let _ = futures::join!(a, rest, b, boxed, c);
            Ok(())
        });
        wakeup_paused();
        thread.cancel();
        assert!(watched.iter().all(is_canceled));
        for _ in 0..3 {
            wakeup_paused();
        }
        assert!(!thread.is_sleeping());
    });
}
