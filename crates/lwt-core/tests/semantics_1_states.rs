//! Section 1 of the behaviour of the core: states and resolution. The number in a test's name is the statement's.

mod common;

use std::panic::Location;

use common::{Log, balanced, is_canceled, quietly, time_limit, value};
use lwt_core::*;

fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload
            .downcast::<&'static str>()
            .expect("the payload is a text"))
        .to_owned(),
    }
}

#[test]
fn s1_1_the_state_changes_once_and_before_any_callback() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (promise, resolver) = wait::<u32>();
        assert!(promise.is_sleeping());
        let (seen, looked_at) = (log.clone(), promise.clone());
        promise.on_success(move |_| seen.push(looked_at.is_sleeping()));
        let (seen, looked_at) = (log.clone(), promise.clone());
        let mapped = promise
            .clone()
            .map(move |_| seen.push(looked_at.is_sleeping()));
        let (seen, looked_at) = (log.clone(), promise.clone());
        let thread = spawn({
            let promise = promise.clone();
            async move {
                promise.await?;
                seen.push(looked_at.is_sleeping());
                Ok(())
            }
        });
        resolver.wakeup(5);
        assert_eq!(log.take(), [false, false, false]);
        assert_eq!(value(&promise), 5);
        assert!(!mapped.is_sleeping() && !thread.is_sleeping());

        // The same for a cancel.
        let (promise, resolver) = task::<u32>();
        let (seen, looked_at) = (log.clone(), promise.clone());
        promise.on_cancel(move || seen.push(looked_at.is_sleeping()));
        promise.cancel();
        assert_eq!(log.take(), [false]);
        // Neither a wake-up nor a second cancel changes it again.
        resolver.wakeup(1);
        promise.cancel();
        assert!(is_canceled(&promise));
    });
}

#[test]
fn s1_2_resolving_twice_panics_and_names_the_function_and_the_caller() {
    let _limit = time_limit(10);
    type Wake = fn(Resolver<u32>) -> &'static Location<'static>;
    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }
    let ways: [(&str, Wake); 8] = [
        ("Resolver::wakeup", |r| {
            r.wakeup(2);
            here()
        }),
        ("Resolver::wakeup_exn", |r| {
            r.wakeup_exn(EndOfFile);
            here()
        }),
        ("Resolver::wakeup_result", |r| {
            r.wakeup_result(Ok(2));
            here()
        }),
        ("Resolver::wakeup_later", |r| {
            r.wakeup_later(2);
            here()
        }),
        ("Resolver::wakeup_later_exn", |r| {
            r.wakeup_later_exn(EndOfFile);
            here()
        }),
        ("Resolver::wakeup_later_result", |r| {
            r.wakeup_later_result(Ok(2));
            here()
        }),
        ("Resolver::resolve", |r| {
            r.resolve(2);
            here()
        }),
        ("Resolver::reject", |r| {
            r.reject(EndOfFile);
            here()
        }),
    ];
    for first_fails in [false, true] {
        for (name, way) in ways {
            balanced(|| {
                let (promise, resolver) = wait::<u32>();
                let again = resolver.clone();
                if first_fails {
                    resolver.wakeup_exn(EndOfFile);
                } else {
                    resolver.wakeup(1);
                }
                let text = panic_text(quietly(|| way(again)).unwrap_err());
                assert!(text.contains("invalid argument"), "{text}");
                assert!(text.contains(&format!("{name}:")), "{name}: {text}");
                assert!(text.contains("semantics_1_states.rs"), "{text}");
                assert_eq!(first_fails, matches!(promise.state(), State::Fail(_)));
            });
        }
    }
}

#[test]
fn s1_2_a_refused_wake_up_gives_the_value_back_where_asked_to() {
    let _limit = time_limit(10);
    balanced(|| {
        let (promise, resolver) = wait::<String>();
        let again = resolver.clone();
        resolver.wakeup("one".to_owned());
        assert_eq!(again.try_wakeup("two".to_owned()), Err("two".to_owned()));
        assert_eq!(value(&promise), "one");
    });
}

#[test]
fn s1_3_after_canceled_every_use_of_the_resolver_is_ignored() {
    let _limit = time_limit(10);
    balanced(|| {
        // By cancel, by the resolver of a `task`, and by the resolver of a `wait`.
        for way in 0..3 {
            let (promise, resolver) = if way == 2 {
                wait::<u32>()
            } else {
                task::<u32>()
            };
            match way {
                0 => promise.cancel(),
                _ => resolver.clone().wakeup_exn(Canceled),
            }
            assert!(is_canceled(&promise));
            resolver.clone().wakeup(1);
            resolver.clone().wakeup_exn(EndOfFile);
            resolver.clone().wakeup_result(Ok(1));
            resolver.clone().resolve(1);
            resolver.clone().reject(EndOfFile);
            resolver.clone().wakeup_later_result(Ok(1));
            assert_eq!(resolver.try_wakeup(3), Err(3));
            assert!(is_canceled(&promise));
        }
    });
}

#[test]
fn s1_4_a_resolver_resolves_what_its_promise_was_tied_to() {
    let _limit = time_limit(10);
    balanced(|| {
        let (inner, resolver) = wait::<u32>();
        let kept = inner.clone();
        let (start, starter) = wait::<()>();
        let outer = start.bind(move |()| inner);
        starter.wakeup(());
        assert!(outer.is_sleeping());
        assert!(resolver.is_pending());
        resolver.wakeup(9);
        assert_eq!(value(&outer), 9);
        assert_eq!(value(&kept), 9);
        // Through several ties.
        let (inner, resolver) = wait::<u32>();
        let mut promise = inner;
        for _ in 0..10 {
            let (start, starter) = wait::<()>();
            let next = start.bind(move |()| promise);
            starter.wakeup(());
            promise = next;
        }
        resolver.wakeup(4);
        assert_eq!(value(&promise), 4);
    });
}

#[test]
fn s1_5_looking_at_a_promise_sees_through_ties() {
    let _limit = time_limit(10);
    balanced(|| {
        let (inner, resolver) = wait::<u32>();
        let copies = [inner.clone(), inner.clone()];
        let (start, starter) = wait::<()>();
        let outer = start.bind(move |()| inner);
        starter.wakeup(());
        assert!(copies.iter().all(Promise::is_sleeping) && outer.is_sleeping());
        assert_eq!(format!("{outer:?}"), "Sleep");
        resolver.wakeup(2);
        assert!(
            copies
                .iter()
                .all(|copy| matches!(copy.state(), State::Return(2)))
        );
        assert_eq!(format!("{:?}", copies[0]), "Return(2)");
        assert_eq!(outer.try_take().unwrap().unwrap(), 2);
        let [one, other] = copies;
        assert_eq!(one.try_take().unwrap().unwrap(), 2);
        assert_eq!(other.try_take().unwrap().unwrap(), 2);
    });
}

#[test]
fn s1_6_what_is_resolved_already_is_given_back_without_a_cell() {
    let _limit = time_limit(10);
    // OCaml gives the very promise; here a promise that is born resolved has no identity, so none is made.
    let before = scheduler::counters();
    let (asleep, _resolver) = wait::<u32>();
    let one = scheduler::counters().cells;
    let chosen = choose([return_(1), asleep.clone()]);
    let picked = pick([asleep, return_(2)]);
    let copies = [
        return_(3).protected(),
        return_(4).no_cancel(),
        return_(5).wrap_in_cancelable(),
    ];
    assert_eq!(scheduler::counters().cells, one);
    assert_eq!((value(&chosen), value(&picked)), (1, 2));
    assert_eq!(copies.each_ref().map(value), [3, 4, 5]);
    drop(_resolver);
    assert_eq!(scheduler::counters(), before);
}

#[test]
fn s1_7_cancel_has_no_effect_on_return_and_fail() {
    let _limit = time_limit(10);
    balanced(|| {
        let promise = return_(1);
        promise.cancel();
        promise.cancel_later();
        promise.canceler().cancel();
        assert_eq!(value(&promise), 1);
        let promise = fail::<u32>(EndOfFile);
        promise.cancel();
        promise.canceler().cancel_later();
        assert!(matches!(promise.state(), State::Fail(error) if error.is::<EndOfFile>()));
    });
}
