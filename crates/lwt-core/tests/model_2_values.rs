//! Rule M2 of the model: values that are lent, moved and cloned.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{DropCount, Hook, Log, OnDrop, balanced, failure, quietly, time_limit, value};
use lwt_core::*;

/// No `Clone`; counts its end.
struct Unique(#[allow(dead_code)] common::Counted, &'static str);

#[test]
fn m2_a_value_without_clone_moves_through_every_combinator() {
    let _limit = time_limit(10);
    let count = DropCount::default();
    balanced(|| {
        let (promise, resolver) = wait::<Unique>();
        let made = promise
            .bind(return_)
            .map(|x| x)
            .catch(fail)
            .finalize(return_unit)
            .protected();
        let thread = spawn(async move { made.await });
        let chosen = choose([thread, wait().0]);
        let all = all([chosen]);
        resolver.wakeup(Unique(count.value(), "the one"));
        let Ok(Ok(mut values)) = all.try_take() else {
            panic!("resolved")
        };
        assert_eq!(values.remove(0).1, "the one");
    });
    assert_eq!((count.made(), count.dropped()), (1, 1));
}

#[test]
fn m2_the_value_moves_to_the_last_consumer_and_is_cloned_for_others() {
    let _limit = time_limit(10);
    for consumers in 1..5 {
        let count = DropCount::default();
        balanced(|| {
            let (promise, resolver) = wait::<common::Counted>();
            let mut made = Vec::new();
            for index in 1..consumers {
                let copy = promise.clone();
                made.push(if index % 2 == 0 {
                    copy.map(|_| ())
                } else {
                    spawn(async move { copy.await.map(|_| ()) })
                });
            }
            made.push(promise.map(|_| ()));
            resolver.wakeup(count.value());
            assert!(made.iter().all(|made| !made.is_sleeping()));
            assert_eq!(count.made(), consumers, "one for each, and none more");
            assert_eq!(count.alive(), 0);
        });
    }
    // Through a tie, with handles on both sides.
    let count = DropCount::default();
    balanced(|| {
        let (inner, resolver) = wait::<common::Counted>();
        let (start, starter) = wait::<()>();
        let kept = inner.clone();
        let outer = start.bind(move |()| inner);
        starter.wakeup(());
        resolver.wakeup(count.value());
        drop(kept.try_take());
        assert_eq!((count.made(), count.alive()), (2, 1));
        drop(outer.try_take());
        assert_eq!((count.made(), count.alive()), (2, 0));
    });
}

#[test]
fn m2_a_lent_value_is_not_moved_by_a_consumer_that_comes_meanwhile() {
    let _limit = time_limit(10);
    type Consume = fn(Promise<Unique>, Log<&'static str>);
    let ways: [(&str, Consume); 8] = [
        ("try_take", |promise, log| match promise.try_take() {
            Ok(_) => panic!("taken while lent"),
            Err(promise) => drop(promise.map(move |x| log.push(x.1))),
        }),
        ("map", |promise, log| {
            drop(promise.map(move |x| log.push(x.1)))
        }),
        ("bind", |promise, log| {
            drop(promise.bind(move |x| {
                log.push(x.1);
                return_(())
            }))
        }),
        ("spawn", |promise, log| {
            drop(spawn(async move {
                log.push(promise.await?.1);
                Ok(())
            }))
        }),
        ("choose", |promise, log| {
            drop(choose([promise, forever()]).map(move |x| log.push(x.1)))
        }),
        ("pick", |promise, log| {
            drop(pick([promise]).map(move |x| log.push(x.1)))
        }),
        ("all", |promise, log| {
            drop(all([promise]).map(move |x| log.push(x[0].1)))
        }),
        ("both", |promise, log| {
            drop(both(promise, return_(0)).map(move |x| log.push(x.0.1)))
        }),
    ];
    for (name, consume) in ways {
        for tied in [false, true] {
            let count = DropCount::default();
            balanced(|| {
                let log = Log::new();
                let slot: Rc<RefCell<Option<Promise<Unique>>>> = Rc::default();
                let (promise, resolver) = wait::<Unique>();
                let promise = if tied {
                    let (start, starter) = wait::<()>();
                    let outer = start.bind(move |()| promise);
                    starter.wakeup(());
                    outer
                } else {
                    promise
                };
                let (l, taken) = (log.clone(), slot.clone());
                promise.on_success(move |lent| {
                    // The last handle is consumed while the value is lent.
                    let promise = taken.borrow_mut().take().unwrap();
                    assert!(matches!(promise.state(), State::Return(x) if x.1 == "lent"));
                    consume(promise, l.clone());
                    assert_eq!(lent.1, "lent");
                    l.push("borrower");
                });
                let l = log.clone();
                promise.on_success(move |lent| l.push(lent.1));
                *slot.borrow_mut() = Some(promise);
                resolver.wakeup(Unique(count.value(), "lent"));
                assert_eq!(log.take(), ["borrower", "lent", "lent"], "{name}");
            });
            assert_eq!((count.made(), count.alive()), (1, 0), "{name}");
        }
    }
}

#[test]
fn m2_a_borrower_may_drop_the_last_handle() {
    let _limit = time_limit(10);
    let count = DropCount::default();
    balanced(|| {
        let slot: Rc<RefCell<Option<Promise<Unique>>>> = Rc::default();
        let (promise, resolver) = wait::<Unique>();
        let (taken, alive) = (slot.clone(), count.clone());
        promise.on_success(move |lent| {
            drop(taken.borrow_mut().take());
            assert_eq!((lent.1, alive.alive()), ("lent", 1));
        });
        *slot.borrow_mut() = Some(promise);
        resolver.wakeup(Unique(count.value(), "lent"));
        assert_eq!(count.alive(), 0);
    });
}

/// Does something when it is cloned.
struct OnClone(Rc<dyn Fn()>);

impl Clone for OnClone {
    fn clone(&self) -> OnClone {
        (self.0)();
        OnClone(self.0.clone())
    }
}

#[test]
fn m2_a_panicking_clone_harms_only_its_consumer() {
    let _limit = time_limit(10);
    balanced(|| {
        let hook = Hook::install();
        let panics = Rc::new(Cell::new(true));
        let armed = panics.clone();
        let (promise, resolver) = wait::<OnClone>();
        let log = Log::new();
        let l = log.clone();
        let first = promise.clone().map(move |_| l.push("first"));
        let thread = {
            let promise = promise.clone();
            spawn(async move { promise.await.map(|_| ()) })
        };
        let chosen = choose([promise.clone()]).map(|_| ());
        let (start, starter) = wait::<()>();
        let late = promise.clone();
        let tied = start.bind(move |()| late).map(|_| ());
        let l = log.clone();
        let last = promise.clone().map(move |_| l.push("last"));
        resolver.wakeup(OnClone(Rc::new(move || {
            if armed.get() {
                panic!("clone");
            }
        })));
        starter.wakeup(());
        for failed in [&first, &thread, &chosen, &tied, &last] {
            assert!(failure(failed).is_panic());
        }
        assert!(log.take().is_empty());
        // Where there is no promise to fail, it goes to the caller.
        assert!(quietly(|| promise.clone().try_take()).is_err());
        panics.set(false);
        let l = log.clone();
        drop(promise.map(move |_| l.push("at the end")));
        assert_eq!(log.take(), ["at the end"]);
        assert!(hook.take().is_empty());
    });
}

#[test]
fn m2_a_clone_may_do_anything_to_its_own_promise() {
    let _limit = time_limit(10);
    type Act = fn(&Promise<OnClone>, &Log<&'static str>);
    let acts: [(&str, Act); 7] = [
        ("take another", |p, _| drop(p.clone().try_take())),
        ("drop another", |p, _| drop(p.clone())),
        ("map", |p, l| {
            drop({
                let l = l.clone();
                p.clone().map(move |_| l.push("nested"))
            })
        }),
        ("await", |p, l| {
            drop({
                let (p, l) = (p.clone(), l.clone());
                spawn(async move {
                    p.await?;
                    l.push("nested");
                    Ok(())
                })
            })
        }),
        ("callback", |p, l| {
            p.on_success({
                let l = l.clone();
                move |_| l.push("nested")
            })
        }),
        ("cancel", |p, _| p.cancel()),
        ("choose", |p, _| drop(choose([p.clone(), p.clone()]))),
    ];
    for (name, act) in acts {
        balanced(|| {
            let log = Log::new();
            let (promise, resolver) = wait::<OnClone>();
            let slot = Rc::new(RefCell::new(Some(promise.clone())));
            let consumers: Vec<_> = (0..3)
                .map(|_| {
                    promise.clone().map({
                        let l = log.clone();
                        move |_| l.push("consumer")
                    })
                })
                .collect();
            let (inside, l) = (slot.clone(), log.clone());
            let depth = Cell::new(0);
            resolver.wakeup(OnClone(Rc::new(move || {
                if depth.get() == 0 {
                    depth.set(1);
                    if let Some(promise) = &*inside.borrow() {
                        act(promise, &l);
                    }
                    depth.set(0);
                }
            })));
            assert!(consumers.iter().all(|made| !made.is_sleeping()), "{name}");
            assert_eq!(
                log.take()
                    .iter()
                    .filter(|entry| **entry == "consumer")
                    .count(),
                3,
                "{name}"
            );
            drop((promise, slot.borrow_mut().take()));
        });
    }
}

#[test]
fn m2_a_clone_may_consume_all_other_handles() {
    let _limit = time_limit(10);
    let count = DropCount::default();
    #[derive(Default)]
    struct Greedy {
        others: Rc<RefCell<Vec<Promise<Greedy>>>>,
        _counted: Option<common::Counted>,
    }
    impl Clone for Greedy {
        fn clone(&self) -> Greedy {
            let others = std::mem::take(&mut *self.others.borrow_mut());
            for other in others {
                drop(other.try_take());
            }
            Greedy {
                others: self.others.clone(),
                _counted: self._counted.clone(),
            }
        }
    }
    balanced(|| {
        let (promise, resolver) = wait::<Greedy>();
        let others: Vec<_> = (0..3).map(|_| promise.clone()).collect();
        let greedy = Greedy {
            others: Rc::new(RefCell::new(others)),
            _counted: Some(count.value()),
        };
        resolver.wakeup(greedy);
        assert!(promise.try_take().is_ok());
    });
    assert_eq!(count.alive(), 0);
}

#[test]
fn m2_a_consumer_that_comes_between_resolution_and_the_borrowers_waits_for_them() {
    let _limit = time_limit(10);
    // The three ways in which something of ours runs before the borrowers are told.
    for way in 0..3 {
        balanced(|| {
            let log = Log::new();
            let (promise, resolver) = task::<String>();
            let l = log.clone();
            promise.on_termination(move || l.push("borrower"));
            match way {
                0 => {
                    let (outer, outer_resolver) = wait::<()>();
                    let l = log.clone();
                    outer.on_success(move |()| {
                        resolver.resolve("later".to_owned());
                        drop(promise.map(move |_| l.push("consumer")));
                    });
                    outer_resolver.wakeup(());
                }
                1 => {
                    let slot = Rc::new(RefCell::new(Some(promise.clone())));
                    let (inside, l) = (slot.clone(), log.clone());
                    promise.on_cancel(move || {
                        let promise = inside.borrow_mut().take().unwrap();
                        drop(promise.catch(move |_| {
                            l.push("consumer");
                            return_(String::new())
                        }));
                    });
                    let canceler = promise.canceler();
                    drop(promise);
                    canceler.cancel();
                    drop(resolver);
                }
                _ => {
                    // The callbacks of the promise found last run first.
                    let (last, last_resolver) = task::<String>();
                    let canceler = all([promise.clone(), last.clone()]);
                    let l = log.clone();
                    last.on_cancel(move || {
                        drop(promise.catch(move |_| {
                            l.push("consumer");
                            return_(String::new())
                        }))
                    });
                    drop(last);
                    canceler.cancel();
                    drop((resolver, last_resolver));
                }
            }
            assert_eq!(log.take(), ["borrower", "consumer"], "{way}");
        });
    }
}

#[test]
fn m2_state_lends_the_value_for_as_long_as_the_promise_is_borrowed() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = wait::<String>();
        let other = promise.clone();
        resolver.wakeup("long enough to be on the heap".to_owned());
        let State::Return(text) = promise.state() else {
            panic!("resolved")
        };
        // Other handles get clones meanwhile.
        assert_eq!(other.try_take().unwrap().unwrap(), *text);
        assert_eq!(promise.clone().try_take().unwrap().unwrap(), *text);
    });
}

#[test]
fn m2_a_value_may_do_anything_when_it_is_dropped() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        for way in 0..4 {
            let (promise, resolver) = wait::<OnDrop>();
            let canceler = promise.canceler();
            let (l, lost) = (log.clone(), wait::<u32>());
            let value = OnDrop::new(move || {
                let (promise, resolver) = lost;
                drop(promise.map(|x| x));
                resolver.wakeup(1);
                canceler.cancel();
                l.push(way);
            });
            match way {
                0 => {
                    resolver.wakeup(value);
                    drop(promise);
                }
                1 => {
                    drop(promise);
                    resolver.wakeup(value);
                }
                2 => {
                    let mapped = promise.map(|_| ());
                    resolver.wakeup(value);
                    drop(mapped);
                }
                _ => {
                    let thread = spawn(async move { promise.await.map(|_| ()) });
                    resolver.wakeup(value);
                    drop(thread);
                }
            }
            assert_eq!(log.take(), [way]);
        }
    });
}

#[test]
fn m2_values_of_any_size_and_alignment_are_carried() {
    let _limit = time_limit(10);
    #[derive(Clone, PartialEq, Debug)]
    #[repr(align(64))]
    struct Aligned([u8; 64]);
    fn carry<T: Clone + PartialEq + std::fmt::Debug + 'static>(given: T) {
        balanced(|| {
            let (promise, resolver) = wait::<T>();
            let copy = promise.clone();
            let mapped = promise.clone().map(|x| (x, 1u8)).map(|(x, _)| x);
            let awaited = {
                let promise = promise.clone();
                spawn(async move {
                    let x = promise.await?;
                    pause().await?;
                    Ok(x)
                })
            };
            let gathered = all([promise.clone(), return_(given.clone())]);
            resolver.wakeup(given.clone());
            wakeup_paused();
            assert_eq!(value(&mapped), given);
            assert_eq!(value(&awaited), given);
            assert_eq!(value(&gathered), vec![given.clone(), given.clone()]);
            assert_eq!(copy.try_take().unwrap().unwrap(), given);
            assert!(
                std::ptr::from_ref(match promise.state() {
                    State::Return(x) => x,
                    _ => panic!(),
                })
                .is_aligned()
            );
        });
    }
    carry(());
    carry(1u8);
    carry(u128::MAX);
    carry([7u64; 100]);
    carry(vec![1, 2, 3]);
    carry(Aligned([9; 64]));
    carry((Aligned([8; 64]), "text".to_owned()));
}
