//! Invariant I4: a callback may do anything to any promise, the one that is being resolved included.
//!
//! The matrix: from every place where foreign code runs inside the kernel (rows) do every operation (columns) to every
//! promise that is around: the one that is being resolved, the one being made from it, one that it is tied to, and one
//! that has nothing to do with it. After each combination nothing may be left, and nothing may be told twice.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Counted, DropCount, Hook, OnDrop, balanced, time_limit};
use lwt_core::*;

/// A value whose clone and drop run foreign code.
struct Value {
    on_clone: Option<Rc<dyn Fn()>>,
    on_drop: Option<Rc<dyn Fn()>>,
    counted: Counted,
}

impl Clone for Value {
    fn clone(&self) -> Value {
        if let Some(f) = &self.on_clone {
            f();
        }
        Value {
            on_clone: self.on_clone.clone(),
            on_drop: self.on_drop.clone(),
            counted: self.counted.clone(),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(f) = self.on_drop.take() {
            f();
        }
    }
}

/// The promises that are around, by name; operations take handles out and put others in.
#[derive(Default)]
struct World {
    handles: RefCell<Vec<Promise<Value>>>,
    resolvers: RefCell<Vec<Resolver<Value>>>,
    kept: RefCell<Vec<Promise<()>>>,
    cancelers: RefCell<Vec<Canceler>>,
    count: DropCount,
    depth: Cell<u32>,
}

impl World {
    fn value(&self, on_clone: Option<Rc<dyn Fn()>>, on_drop: Option<Rc<dyn Fn()>>) -> Value {
        Value {
            on_clone,
            on_drop,
            counted: self.count.value(),
        }
    }

    fn plain(&self) -> Value {
        self.value(None, None)
    }

    /// A second handle to one of the promises.
    fn handle(&self, index: usize) -> Option<Promise<Value>> {
        // Cloning a resolved promise clones nothing yet; looking at it must not hold the list while foreign code runs.
        let handles = self.handles.borrow();
        (!handles.is_empty()).then(|| handles[index % handles.len()].clone())
    }

    fn take(&self, index: usize) -> Option<Promise<Value>> {
        let mut handles = self.handles.borrow_mut();
        (!handles.is_empty()).then(|| {
            let index = index % handles.len();
            handles.swap_remove(index)
        })
    }

    fn keep(&self, promise: Promise<()>) {
        self.kept.borrow_mut().push(promise);
    }
}

/// Takes everything out, so that it can be dropped while the place is free.
fn emptied<T>(place: &RefCell<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *place.borrow_mut())
}

type Operation = fn(&Rc<World>, usize);
const OPERATIONS: [(&str, Operation); 24] = [
    ("cancel", |w, i| {
        if let Some(p) = w.handle(i) {
            p.cancel()
        }
    }),
    ("cancel_later", |w, i| {
        if let Some(p) = w.handle(i) {
            p.cancel_later()
        }
    }),
    ("canceler", |w, i| {
        let canceler = {
            let c = w.cancelers.borrow();
            (!c.is_empty()).then(|| c[i % c.len()].clone())
        };
        if let Some(canceler) = canceler {
            canceler.cancel()
        }
    }),
    ("wakeup", |w, _| {
        let resolver = w.resolvers.borrow_mut().pop();
        if let Some(resolver) = resolver.filter(Resolver::is_pending) {
            resolver.wakeup(w.plain())
        }
    }),
    ("fail", |w, _| {
        let resolver = w.resolvers.borrow_mut().pop();
        if let Some(resolver) = resolver.filter(Resolver::is_pending) {
            resolver.wakeup_exn(EndOfFile)
        }
    }),
    ("resolve", |w, _| {
        let resolver = w.resolvers.borrow_mut().pop();
        if let Some(resolver) = resolver.filter(Resolver::is_pending) {
            resolver.resolve(w.plain())
        }
    }),
    ("try_wakeup", |w, _| {
        let resolver = w.resolvers.borrow_mut().pop();
        if let Some(resolver) = resolver {
            drop(resolver.try_wakeup(w.plain()))
        }
    }),
    ("drop a resolver", |w, _| {
        let resolver = w.resolvers.borrow_mut().pop();
        drop(resolver);
    }),
    ("drop a handle", |w, i| drop(w.take(i))),
    ("drop all handles", |w, _| drop(emptied(&w.handles))),
    ("drop what is kept", |w, _| drop(emptied(&w.kept))),
    ("clone", |w, i| {
        let p = w.handle(i);
        w.handles.borrow_mut().extend(p)
    }),
    ("promise of a resolver", |w, _| {
        let p = w.resolvers.borrow().last().map(Resolver::promise);
        w.handles.borrow_mut().extend(p);
    }),
    ("state", |w, i| {
        if let Some(p) = w.handle(i) {
            let _ = p.is_sleeping();
        }
    }),
    ("take the value", |w, i| {
        if let Some(p) = w.take(i) {
            match p.try_take() {
                Ok(r) => drop(r),
                Err(p) => w.handles.borrow_mut().push(p),
            }
        }
    }),
    ("bind", |w, i| {
        if let Some(p) = w.take(i) {
            w.keep(p.bind(|_| return_(())))
        }
    }),
    ("map", |w, i| {
        if let Some(p) = w.handle(i) {
            w.keep(p.map(|_| ()))
        }
    }),
    ("await", |w, i| {
        if let Some(p) = w.take(i) {
            w.keep(spawn(async move { p.await.map(|_| ()) }))
        }
    }),
    ("choose", |w, i| {
        if let (Some(a), Some(b)) = (w.handle(i), w.handle(i + 1)) {
            w.keep(choose([a, b]).map(|_| ()))
        }
    }),
    ("pick", |w, i| {
        if let (Some(a), Some(b)) = (w.handle(i), w.handle(i + 1)) {
            w.keep(pick([a, b]).map(|_| ()))
        }
    }),
    ("all", |w, i| {
        if let (Some(a), Some(b)) = (w.handle(i), w.handle(i + 1)) {
            w.keep(all([a, b]).map(|_| ()))
        }
    }),
    ("callbacks", |w, i| {
        if let Some(p) = w.handle(i) {
            let (a, b) = (w.clone(), w.clone());
            p.on_success(move |_| a.depth.set(a.depth.get()));
            p.on_cancel(move || b.depth.set(b.depth.get()));
        }
    }),
    ("tie", |w, i| {
        if let (Some(a), Some(b)) = (w.handle(i), w.take(i + 1)) {
            // Dropped before the result is there: what a function returns leaks if its argument's drop panics afterwards
            // (a known defect of the compiler).
            let tied = a.bind(move |value| {
                drop(value);
                b
            });
            w.cancelers.borrow_mut().push(tied.canceler());
            w.handles.borrow_mut().push(tied);
        }
    }),
    ("panic", |_, _| panic!("operation")),
];

/// Builds a place where `act` runs inside the kernel, and what sets it off.
type Place = fn(&Rc<World>, Promise<Value>, Rc<dyn Fn()>) -> Trigger;

/// Makes the value to resolve with.
type Choice = Box<dyn FnOnce(&Rc<World>) -> Value>;

enum Trigger {
    /// Resolve the first promise with this value.
    Wake(Choice),
    Fail,
    Cancel,
    Drop,
}

fn plain() -> Trigger {
    Trigger::Wake(Box::new(|w| w.plain()))
}

const PLACES: [(&str, Place); 22] = [
    ("bind", |w, p, act| {
        w.keep(p.bind(move |_| {
            act();
            return_(())
        }));
        plain()
    }),
    ("bind to pending", |w, p, act| {
        let (next, resolver) = task::<Value>();
        w.resolvers.borrow_mut().insert(0, resolver);
        let made = p.bind(move |value| {
            drop(value);
            act();
            next
        });
        w.cancelers.borrow_mut().push(made.canceler());
        w.handles.borrow_mut().push(made);
        plain()
    }),
    ("map", |w, p, act| {
        w.keep(p.map(move |_| act()));
        plain()
    }),
    ("catch", |w, p, act| {
        w.keep(
            p.catch(move |e| {
                act();
                fail(e)
            })
            .map(|_| ()),
        );
        Trigger::Fail
    }),
    ("catch a cancel", |w, p, act| {
        w.keep(
            p.catch(move |e| {
                act();
                fail(e)
            })
            .map(|_| ()),
        );
        Trigger::Cancel
    }),
    ("finalize", |w, p, act| {
        w.keep(
            p.finalize(move || {
                act();
                return_unit()
            })
            .map(|_| ()),
        );
        plain()
    }),
    ("thread", |w, p, act| {
        w.keep(spawn(async move {
            let r = p.await;
            act();
            r.map(|_| ())
        }));
        plain()
    }),
    ("thread, cancelled", |w, p, act| {
        w.keep(spawn(async move {
            let r = p.await;
            act();
            r.map(|_| ())
        }));
        Trigger::Cancel
    }),
    ("on_success", |w, p, act| {
        p.on_success(move |_| act());
        w.handles.borrow_mut().push(p);
        plain()
    }),
    ("on_failure", |w, p, act| {
        p.on_failure(move |_| act());
        w.handles.borrow_mut().push(p);
        Trigger::Fail
    }),
    ("on_termination", |w, p, act| {
        p.on_termination(move || act());
        w.handles.borrow_mut().push(p);
        plain()
    }),
    ("on_cancel", |w, p, act| {
        p.on_cancel(move || act());
        w.handles.borrow_mut().push(p);
        Trigger::Cancel
    }),
    ("on_cancel of several", |w, p, act| {
        let (other, resolver) = task::<Value>();
        w.resolvers.borrow_mut().push(resolver);
        let act_too = act.clone();
        other.on_cancel(move || act_too());
        p.on_cancel(move || act());
        p.on_failure(|_| ());
        w.handles.borrow_mut().push(p.clone());
        w.handles.borrow_mut().push(other.clone());
        w.keep(join([p.map(|_| ()), other.map(|_| ())]));
        Trigger::Cancel
    }),
    ("clone of the value", |w, p, act| {
        w.keep(p.clone().map(|_| ()));
        w.keep(spawn({
            let p = p.clone();
            async move { p.await.map(|_| ()) }
        }));
        w.keep(nchoose([p.clone(), p.clone()]).map(|_| ()));
        w.keep(p.map(|_| ()));
        Trigger::Wake(Box::new(move |w| w.value(Some(act), None)))
    }),
    ("drop of the value", |w, p, act| {
        w.keep(p.map(drop));
        Trigger::Wake(Box::new(move |w| w.value(None, Some(act))))
    }),
    ("drop of the unwanted value", |w, p, act| {
        w.keep(p.map(|_| ()));
        drop(emptied(&w.handles));
        Trigger::Wake(Box::new(move |w| w.value(None, Some(act))))
    }),
    ("drop of a closure", |w, p, act| {
        let guard = OnDrop::new(move || act());
        w.keep(p.map(move |_| drop(guard)));
        Trigger::Drop
    }),
    ("drop of a callback", |w, p, act| {
        let guard = OnDrop::new(move || act());
        p.on_success(move |_| drop(guard));
        w.handles.borrow_mut().push(p);
        Trigger::Drop
    }),
    ("drop of a future", |w, p, act| {
        let guard = OnDrop::new(move || act());
        w.keep(spawn(async move {
            let _guard = guard;
            p.await.map(|_| ())
        }));
        Trigger::Drop
    }),
    ("drop of a cancelled future", |w, p, act| {
        let guard = OnDrop::new(move || act());
        let alone = spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
            Ok(())
        });
        w.keep(join([alone, p.map(|_| ())]));
        Trigger::Cancel
    }),
    ("withdrawal of a losing leaf", |w, p, act| {
        let (leaf, resolver) = scheduler::leaf::<Value>("leaf");
        resolver.on_abandon(move || act());
        w.resolvers.borrow_mut().insert(0, resolver);
        w.keep(choose([leaf, p]).map(|_| ()));
        plain()
    }),
    ("losers of a pick", |w, p, act| {
        let (loser, resolver) = task::<Value>();
        let act_too = act.clone();
        loser.on_cancel(move || act());
        w.handles.borrow_mut().push(loser.clone());
        w.resolvers.borrow_mut().insert(0, resolver);
        let guard = OnDrop::new(move || act_too());
        let alone = spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
            fail(EndOfFile).await
        });
        w.keep(pick([loser, alone, p]).map(|_| ()));
        plain()
    }),
];

/// Runs one combination and takes everything apart again.
fn combination(place: Place, operations: [Operation; 2], target: usize, how: usize) {
    let world = Rc::new(World::default());
    balanced(|| {
        let (promise, resolver) = task::<Value>();
        let (other, other_resolver) = task::<Value>();
        // The promise as it is, or tied to an outer one that is around, too.
        let (promise, resolved) = if how & 1 == 0 {
            (promise.clone(), promise)
        } else {
            let (start, starter) = wait::<()>();
            let inner = promise.clone();
            let outer = start.bind(move |()| inner);
            starter.wakeup(());
            world.handles.borrow_mut().push(promise);
            (outer.clone(), outer)
        };
        world
            .cancelers
            .borrow_mut()
            .extend([resolved.canceler(), other.canceler()]);
        world.handles.borrow_mut().extend([resolved.clone(), other]);
        world
            .resolvers
            .borrow_mut()
            .extend([resolver.clone(), other_resolver]);
        let inside = world.clone();
        let act: Rc<dyn Fn()> = Rc::new(move || {
            // Not without end: operations set off others of the same kind.
            if inside.depth.get() < 3 {
                inside.depth.set(inside.depth.get() + 1);
                for operation in operations {
                    operation(&inside, target);
                }
                inside.depth.set(inside.depth.get() - 1);
            }
        });
        let canceler = resolved.canceler();
        drop(resolved);
        let trigger = place(&world, promise, act);
        let nested = how & 2 != 0;
        let set_off = {
            let world = world.clone();
            move || match trigger {
                Trigger::Wake(value) => {
                    let value = value(&world);
                    if nested {
                        drop(resolver.try_wakeup(value))
                    } else if resolver.is_pending() {
                        resolver.wakeup(value)
                    }
                }
                Trigger::Fail => resolver.wakeup_exn(EndOfFile),
                Trigger::Cancel => {
                    let all: Vec<Canceler> =
                        world.kept.borrow().iter().map(Promise::canceler).collect();
                    all.iter().for_each(Canceler::cancel);
                    canceler.cancel();
                    drop(resolver);
                }
                Trigger::Drop => {
                    drop(resolver);
                    drop(emptied(&world.handles));
                    drop(emptied(&world.resolvers));
                    drop(emptied(&world.kept));
                }
            }
        };
        // From outside, or from inside another resolution, where the later kind is queued. A panic of the operation
        // may reach the caller where a value is dropped or cloned on its behalf; never more than that.
        if nested {
            let (gate, opener) = wait::<()>();
            gate.on_success(move |()| set_off());
            opener.wakeup(());
        } else {
            let _ = common::quietly(set_off);
        }
        // Take apart, in the end without further operations.
        world.depth.set(3);
        for _ in 0..8 {
            let handles = emptied(&world.handles);
            for promise in &handles {
                promise.cancel();
            }
            let resolvers = emptied(&world.resolvers);
            drop((handles, resolvers));
            drop(emptied(&world.kept));
            drop(emptied(&world.cancelers));
        }
        assert_eq!(scheduler::counters().queued, 0);
    });
    assert_eq!(world.count.alive(), 0, "values");
}

fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some("operation") {
                former(info);
            }
        }));
    });
}

fn run_matrix(hows: &[usize], pairs: bool) {
    quiet_panics();
    let hook = Hook::install();
    let nothing: Operation = |_, _| ();
    for (row, (place_name, place)) in PLACES.into_iter().enumerate() {
        for (column, (first_name, first)) in OPERATIONS.into_iter().enumerate() {
            // Under Miri a part of the matrix, another one in each row.
            if cfg!(miri) && (row + column) % 4 != 0 {
                continue;
            }
            let seconds: Vec<(&str, Operation)> = if pairs {
                OPERATIONS.to_vec()
            } else {
                vec![("nothing", nothing)]
            };
            for (second_name, second) in seconds {
                for target in 0..if pairs || cfg!(miri) { 1 } else { 3 } {
                    for how in hows {
                        let outcome = std::panic::catch_unwind(|| {
                            combination(place, [first, second], target, *how)
                        });
                        hook.take();
                        if let Err(payload) = outcome {
                            eprintln!(
                                "in {place_name}: {first_name}, {second_name} on {target}, way {how}"
                            );
                            std::panic::resume_unwind(payload);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn i4_every_operation_from_every_place() {
    let _limit = time_limit(60);
    run_matrix(if cfg!(miri) { &[0, 3] } else { &[0, 1, 2, 3] }, false);
}

#[test]
#[cfg_attr(miri, ignore = "the single operations are enough there")]
fn i4_every_pair_of_operations_from_every_place() {
    let _limit = time_limit(120);
    run_matrix(&[0, 1, 2, 3], true);
}
