//! Invariant I2: when everything is gone, every closure, future and value was dropped exactly once, whatever happened
//! before.

mod common;

use common::{Counted, DropCount, balanced, time_limit};
use lwt_core::*;

type Make = fn(Promise<Counted>, Counted) -> Promise<Counted>;
const MAKERS: [(&str, Make); 17] = [
    ("bind", |p, g| {
        p.bind(move |x| {
            drop(g);
            return_(x)
        })
    }),
    ("bind to pending", |p, g| {
        p.bind(move |x| {
            pause().map(move |()| {
                drop(g);
                x
            })
        })
    }),
    ("map", |p, g| {
        p.map(move |x| {
            drop(g);
            x
        })
    }),
    ("and_then", |p, g| {
        p.and_then(move |x| {
            drop(g);
            Ok(x)
        })
    }),
    ("catch", |p, g| {
        p.catch(move |e| {
            drop(g);
            fail(e)
        })
    }),
    ("try_bind", |p, g| {
        p.try_bind(return_, move |e| {
            drop(g);
            fail(e)
        })
    }),
    ("finalize", |p, g| {
        p.finalize(move || {
            drop(g);
            return_unit()
        })
    }),
    ("finalize with a wait", |p, g| {
        p.finalize(move || {
            drop(g);
            pause()
        })
    }),
    ("protected", |p, g| {
        p.on_termination(move || drop(g));
        p.protected()
    }),
    ("callbacks", |p, g| {
        let (a, b) = (g.clone(), g.clone());
        p.on_success(move |_| drop(a));
        p.on_failure(move |_| drop(b));
        p.on_cancel(move || drop(g));
        p
    }),
    ("spawn", |p, g| {
        spawn(async move {
            let _g = g;
            p.await
        })
    }),
    ("spawn with a pause", |p, g| {
        spawn(async move {
            let x = p.await;
            pause().await?;
            drop(g);
            x
        })
    }),
    ("choose", |p, g| choose([p, forever().map(move |()| g)])),
    ("pick", |p, g| pick([forever().map(move |()| g), p])),
    ("all", |p, g| {
        all([p, return_(g)]).map(|mut all| all.remove(0))
    }),
    ("both", |p, g| both(return_(g), p).map(|(_, x)| x)),
    ("group", |p, g| {
        let group = Group::new();
        let t = group.spawn(async move {
            let _g = g;
            p.await
        });
        drop(group);
        t
    }),
];

/// What happens to the source and to the result, and in which order.
type Fate = fn(Promise<Counted>, Resolver<Counted>, &DropCount);
const FATES: [(&str, Fate); 14] = [
    ("resolved, taken", |p, r, c| {
        r.wakeup(c.value());
        drop(p.try_take())
    }),
    ("resolved, dropped", |p, r, c| {
        r.wakeup(c.value());
        drop(p)
    }),
    ("resolved later, dropped", |p, r, c| {
        r.resolve(c.value());
        drop(p)
    }),
    ("failed", |p, r, _| {
        r.wakeup_exn(EndOfFile);
        drop(p)
    }),
    ("cancelled", |p, r, _| {
        p.cancel();
        drop((p, r))
    }),
    ("cancelled, then resolved", |p, r, c| {
        p.cancel();
        r.wakeup(c.value());
        drop(p)
    }),
    ("cancelled without resolver", |p, r, _| {
        drop(r);
        p.cancel();
        drop(p)
    }),
    ("cancelled later", |p, r, _| {
        p.cancel_later();
        drop((p, r))
    }),
    ("dropped, then resolved", |p, r, c| {
        drop(p);
        r.wakeup(c.value())
    }),
    ("dropped, then the resolver", |p, r, _| {
        drop(p);
        drop(r)
    }),
    ("the resolver, then dropped", |p, r, _| {
        drop(r);
        drop(p)
    }),
    ("cloned, resolved", |p, r, c| {
        let q = p.clone();
        r.wakeup(c.value());
        drop(p.try_take());
        drop(q)
    }),
    ("cloned, both consumed", |p, r, c| {
        let q = p.clone().map(drop);
        let s = spawn(async move { p.await.map(drop) });
        r.wakeup(c.value());
        wakeup_paused();
        drop((q, s))
    }),
    ("cancelled in the middle", |p, r, c| {
        r.wakeup(c.value());
        p.cancel();
        drop(p)
    }),
];

#[test]
fn i2_every_combinator_with_every_fate() {
    let _limit = time_limit(30);
    for (maker_name, maker) in MAKERS {
        for (fate_name, fate) in FATES {
            for twice in [false, true] {
                let count = DropCount::default();
                balanced(|| {
                    let (promise, resolver) = task::<Counted>();
                    let mut made = maker(promise, count.value());
                    if twice {
                        made = maker(made, count.value());
                    }
                    fate(made, resolver, &count);
                    for _ in 0..6 {
                        wakeup_paused();
                    }
                });
                assert_eq!(count.alive(), 0, "{maker_name}, {fate_name}");
                assert_eq!(count.made(), count.dropped(), "{maker_name}, {fate_name}");
            }
        }
    }
}

#[test]
fn i2_every_pair_of_combinators_with_every_fate() {
    let _limit = time_limit(60);
    for (first_name, first) in MAKERS {
        for (second_name, second) in MAKERS {
            for (index, (fate_name, fate)) in FATES.into_iter().enumerate() {
                if cfg!(miri) && index % 5 != 0 {
                    continue;
                }
                let count = DropCount::default();
                balanced(|| {
                    let (promise, resolver) = task::<Counted>();
                    let made = second(first(promise, count.value()), count.value());
                    fate(made, resolver, &count);
                    for _ in 0..6 {
                        wakeup_paused();
                    }
                });
                assert_eq!(count.alive(), 0, "{first_name}, {second_name}, {fate_name}");
            }
        }
    }
}

#[test]
fn i2_errors_are_dropped_once() {
    let _limit = time_limit(10);
    use std::sync::Arc;
    #[derive(Debug, Clone)]
    struct Shared(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Shared {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("shared")
        }
    }
    impl std::error::Error for Shared {}
    let token = Arc::new(());
    balanced(|| {
        let (promise, resolver) = wait::<u32>();
        let copies: Vec<_> = (0..5).map(|_| promise.clone().map(|x| x)).collect();
        let finalized = promise.clone().finalize(|| fail(Error::message("cleanup")));
        let context = promise.catch(|error| fail(error.context("around")));
        resolver.wakeup_exn(Shared(token.clone()));
        assert!(
            copies
                .iter()
                .all(|copy| matches!(copy.state(), State::Fail(e) if e.is::<Shared>()))
        );
        assert!(matches!(finalized.state(), State::Fail(e) if e.is::<Shared>()));
        assert!(matches!(context.state(), State::Fail(e) if e.is::<Shared>()));
        drop((copies, finalized, context));
        assert_eq!(Arc::strong_count(&token), 1);
    });
}
