//! Section 8 of the behaviour of the core: implicit storage.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Foreign, Log, balanced, quietly, time_limit, value};
use lwt_core::*;

#[test]
fn s8_1_with_value_changes_the_storage_for_its_extent_and_puts_the_whole_map_back() {
    let _limit = time_limit(10);
    balanced(|| {
        let (a, b): (Key<u32>, Key<&str>) = (Key::new(), Key::new());
        a.with_value(Some(1), || {
            b.with_value(Some("x"), || {
                a.with_value(Some(2), || {
                    assert_eq!((a.get(), b.get()), (Some(2), Some("x")))
                });
                assert_eq!((a.get(), b.get()), (Some(1), Some("x")));
            });
            assert_eq!((a.get(), b.get()), (Some(1), None));
            // Also when it panics.
            assert!(quietly(|| b.with_value(Some("y"), || panic!("inside"))).is_err());
            assert_eq!((a.get(), b.get()), (Some(1), None));
        });
        assert_eq!((a.get(), b.get()), (None, None));
    });
}

#[test]
fn s8_2_none_removes_the_key_inside() {
    let _limit = time_limit(10);
    let key = Key::new();
    key.with_value(Some(1), || {
        key.with_value(None, || {
            assert_eq!(key.get(), None);
            key.with_value(Some(3), || assert_eq!(key.get(), Some(3)));
            assert_eq!(key.get(), None);
        });
        assert_eq!(key.get(), Some(1));
    });
}

#[test]
fn s8_3_callbacks_run_in_the_storage_that_was_current_when_they_were_attached() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        let log = Log::new();
        for fails in [false, true] {
            let (promise, resolver) = wait::<u32>();
            // A callback is written in one storage and attached in another: the latter counts.
            let note = |name: &'static str| {
                let l = log.clone();
                key.with_value(Some("written"), move || move || l.push((name, key.get())))
            };
            key.with_value(Some("attached"), || {
                let f = note("bind");
                promise.clone().bind(move |_| return_(f())).ignore_failure();
                let f = note("map");
                promise.clone().map(move |_| f()).ignore_failure();
                let f = note("and_then");
                promise
                    .clone()
                    .and_then(move |_| {
                        f();
                        Ok(())
                    })
                    .ignore_failure();
                let f = note("catch");
                promise
                    .clone()
                    .catch(move |_| {
                        f();
                        return_(0)
                    })
                    .ignore_failure();
                let (f, g) = (note("try_bind"), note("try_bind"));
                promise
                    .clone()
                    .try_bind(move |_| return_(f()), move |_| return_(g()))
                    .ignore_failure();
                let f = note("finalize");
                promise
                    .clone()
                    .finalize(move || return_(f()))
                    .ignore_failure();
                let f = note("on_success");
                promise.on_success(move |_| f());
                let f = note("on_failure");
                promise.on_failure(move |_| f());
                promise.on_termination(note("on_termination"));
                let (f, g) = (note("on_any"), note("on_any"));
                promise.on_any(move |_| f(), move |_| g());
                promise.on_cancel(note("on_cancel"));
            });
            key.with_value(Some("waker"), || {
                resolver.wakeup_result(if fails { Err(Canceled.into()) } else { Ok(1) })
            });
            let seen = log.take();
            assert_eq!(seen.len(), if fails { 7 } else { 8 }, "{seen:?}");
            assert!(
                seen.iter().all(|(_, storage)| *storage == Some("attached")),
                "{seen:?}"
            );
        }
    });
}

trait IgnoreFailure {
    fn ignore_failure(self);
}

impl<T: 'static> IgnoreFailure for Promise<T> {
    /// Keeps the promise alive until it is resolved, whatever it comes to.
    fn ignore_failure(self) {
        self.on_any(|_| (), |_| ());
    }
}

#[test]
fn s8_3_a_thread_takes_its_storage_along_through_every_await() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        let log = Log::new();
        let (promise, resolver) = wait::<()>();
        let foreign = Foreign::new();
        let (l, f) = (log.clone(), foreign.clone());
        let thread = key.with_value(Some(1), || {
            spawn(async move {
                l.push(key.get());
                promise.await?;
                l.push(key.get());
                f.await;
                l.push(key.get());
                pause().await?;
                l.push(key.get());
                let inner = spawn(async move {
                    pause().await?;
                    Ok(key.get())
                });
                l.push(key.with_value(Some(5), || key.get()));
                l.push(inner.await?);
                Ok(())
            })
        });
        assert_eq!(key.get(), None);
        key.with_value(Some(2), || resolver.wakeup(()));
        key.with_value(Some(3), || foreign.finish());
        key.with_value(Some(4), wakeup_paused);
        wakeup_paused();
        assert_eq!(
            log.take(),
            [Some(1), Some(1), Some(1), Some(1), Some(5), Some(1)]
        );
        assert!(!thread.is_sleeping());
        assert_eq!(key.get(), None);
    });
}

#[test]
fn s8_4_on_an_immediate_promise_the_callers_storage_is_in_force() {
    let _limit = time_limit(10);
    let key = Key::new();
    key.with_value(Some(1), || {
        assert_eq!(value(&return_(()).map(move |()| key.get())), Some(1));
        assert_eq!(
            value(&return_(()).bind(move |()| return_(key.get()))),
            Some(1)
        );
        assert_eq!(
            value(&fail(EndOfFile).catch(move |_| return_(key.get()))),
            Some(1)
        );
    });
}

#[test]
fn s8_5_after_a_wake_up_or_cancel_the_callers_storage_is_in_force_again() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        for way in 0..4 {
            let (promise, resolver) = task::<()>();
            let thread = key.with_value(Some(9), || {
                let promise = promise.clone();
                spawn(async move {
                    let _ = promise.await;
                    key.with_value(Some(10), || assert_eq!(key.get(), Some(10)));
                    if way == 0 {
                        panic!("in a thread");
                    }
                    Ok(())
                })
            });
            key.with_value(Some(1), || {
                match way {
                    0 => resolver.wakeup(()),
                    1 => resolver.wakeup_later(()),
                    2 => promise.cancel(),
                    _ => thread.cancel(),
                }
                assert_eq!(key.get(), Some(1));
            });
            assert!(!thread.is_sleeping());
        }
    });
}

#[test]
fn s8_6_join_and_choose_install_nothing() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        let log = Log::new();
        let (promise, resolver) = wait::<()>();
        let joined = key.with_value(Some("join"), || join([promise.clone()]));
        let chosen = key.with_value(Some("choose"), || choose([promise]));
        // What is attached to them has the storage of its own attachment.
        let l = log.clone();
        joined.on_success(move |()| l.push(key.get()));
        let l = log.clone();
        key.with_value(Some("mine"), || {
            chosen.on_success(move |()| l.push(key.get()))
        });
        key.with_value(Some("waker"), || resolver.wakeup(()));
        assert_eq!(log.take(), [None, Some("mine")]);
    });
}

#[test]
fn s8_7_a_key_that_was_never_set_or_set_only_elsewhere_reads_as_none() {
    let _limit = time_limit(10);
    balanced(|| {
        let (a, b): (Key<u32>, Key<u32>) = (Key::new(), Key::new());
        assert_eq!(a.get(), None);
        a.with_value(Some(1), || assert_eq!(b.get(), None));
        let seen = Rc::new(RefCell::new(None));
        let inside = seen.clone();
        let (promise, resolver) = wait::<()>();
        let other = promise
            .clone()
            .map(move |()| *inside.borrow_mut() = Some(a.get()));
        let within = a.with_value(Some(1), || promise.map(move |()| a.get()));
        resolver.wakeup(());
        assert_eq!(*seen.borrow(), Some(None));
        assert_eq!(value(&within), Some(1));
        drop(other);
    });
}

#[test]
fn s8_scope_is_in_force_at_every_poll_of_the_future_and_at_its_drop() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        let log = Log::new();
        struct Guard(Log<Option<u32>>, Key<u32>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.push(self.1.get());
            }
        }
        let (promise, resolver) = wait::<()>();
        let (never, _r) = task::<()>();
        let l = log.clone();
        let thread = spawn(async move {
            let guard = Guard(l.clone(), key);
            key.scope(Some(1), async {
                l.push(key.get());
                let _ = promise.await;
                l.push(key.get());
            })
            .await;
            l.push(key.get());
            key.scope(Some(2), async move {
                let _guard = guard;
                let _ = never.await;
            })
            .await;
            Ok(())
        });
        resolver.wakeup(());
        assert_eq!(log.take(), [Some(1), Some(1), None]);
        drop((thread, _r));
        assert_eq!(log.take(), [Some(2)]);
    });
}
