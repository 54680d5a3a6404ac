//! Section 5 of the behaviour of the core: failures. Ours differs on purpose: an `Err` or a panic of any function
//! becomes the failure of the promise that it was to make, whether the first promise was pending or not.

mod common;

use common::{Hook, Log, balanced, failure, quietly, time_limit, value};
use lwt_core::*;

/// A promise that is resolved already, or that will be when the resolver is used.
fn given(result: Result<u32>, immediate: bool) -> (Promise<u32>, impl FnOnce()) {
    let (promise, resolver) = wait();
    let mut resolver = Some(resolver);
    if immediate && let Some(resolver) = resolver.take() {
        resolver.wakeup_result(result.clone());
    }
    (promise, move || {
        if let Some(resolver) = resolver {
            resolver.wakeup_result(result);
        }
    })
}

#[test]
fn s5_1_a_panic_of_a_body_is_a_failure() {
    let _limit = time_limit(10);
    balanced(|| {
        let hook = Hook::install();
        let caught = catch(|| panic!("body"), |error| return_(error.is_panic()));
        assert!(value(&caught));
        let tried = try_bind(
            || -> Promise<u32> { panic!("body") },
            |_| return_(1),
            |_| return_(2),
        );
        assert_eq!(value(&tried), 2);
        let log = Log::new();
        let ended = finalize(|| -> Promise<u32> { panic!("body") }, {
            let l = log.clone();
            move || {
                l.push(());
                return_unit()
            }
        });
        assert!(failure(&ended).is_panic());
        assert_eq!(log.take().len(), 1);
        async_(|| panic!("async body"));
        let l = log.clone();
        dont_wait(
            || panic!("other body"),
            move |error| {
                assert!(error.is_panic());
                l.push(())
            },
        );
        assert_eq!(log.take().len(), 1);
        assert_eq!(hook.texts(), ["the thread panicked: async body"]);
        let spawned = spawn::<_, ()>(async { panic!("future") });
        assert!(failure(&spawned).is_panic());
    });
}

#[test]
fn s5_2_a_panic_of_a_continuation_is_a_failure_immediate_or_not() {
    let _limit = time_limit(10);
    type Way = fn(Promise<u32>) -> Promise<u32>;
    let of_value: [(&str, Way); 4] = [
        ("bind", |p| p.bind(|_| -> Promise<u32> { panic!("second") })),
        ("and_then", |p| {
            p.and_then(|_| -> Result<u32> { panic!("second") })
        }),
        ("try_bind", |p| {
            p.try_bind(|_| -> Promise<u32> { panic!("second") }, return_error_value)
        }),
        ("finalize", |p| p.finalize(|| panic!("second"))),
    ];
    let of_failure: [(&str, Way); 3] = [
        ("catch", |p| p.catch(|_| panic!("second"))),
        ("try_bind", |p| p.try_bind(return_, |_| panic!("second"))),
        ("finalize", |p| p.finalize(|| panic!("second"))),
    ];
    fn return_error_value(_: Error) -> Promise<u32> {
        return_(0)
    }
    for immediate in [true, false] {
        for (result, ways) in [
            (Ok(1), &of_value[..]),
            (Err(Error::from(EndOfFile)), &of_failure[..]),
        ] {
            for (name, way) in ways {
                balanced(|| {
                    let (promise, resolve) = given(result.clone(), immediate);
                    let made = way(promise);
                    assert_eq!(made.is_sleeping(), !immediate);
                    resolve();
                    let error = failure(&made);
                    assert!(
                        error.is_panic() && error.to_string().contains("second"),
                        "{name}: {error}"
                    );
                });
            }
        }
    }
}

#[test]
fn s5_3_a_panic_of_maps_function_is_a_failure() {
    let _limit = time_limit(10);
    for immediate in [true, false] {
        balanced(|| {
            let (promise, resolve) = given(Ok(1), immediate);
            let mapped = promise.map(|_| -> u32 { panic!("map") });
            resolve();
            assert!(failure(&mapped).is_panic());
            let (promise, resolve) = given(Err(EndOfFile.into()), immediate);
            let mapped = promise.map(|_| -> u32 { panic!("never called") });
            resolve();
            assert!(failure(&mapped).is::<EndOfFile>());
        });
    }
}

#[test]
fn s5_4_wrap_and_apply_turn_errors_and_panics_into_failures() {
    let _limit = time_limit(10);
    assert_eq!(value(&wrap(|| Ok(3))), 3);
    assert!(failure(&wrap(|| Ok("x".parse::<u32>()?))).is::<std::num::ParseIntError>());
    assert!(failure(&wrap(|| -> Result<u32> { panic!("wrapped") })).is_panic());
    assert_eq!(value(&apply(|x| return_(x + 1), 3)), 4);
    assert!(failure(&apply(|()| -> Promise<u32> { panic!("applied") }, ())).is_panic());
}

#[test]
fn s5_5_a_failing_cleanup_replaces_the_result_which_else_is_given_unchanged() {
    let _limit = time_limit(10);
    for immediate in [true, false] {
        for body in [Ok(1), Err(Error::from(EndOfFile))] {
            balanced(|| {
                // It succeeds, after a wait.
                let (promise, resolve) = given(body.clone(), immediate);
                let (cleanup, cleaned) = wait::<()>();
                let result = promise.finalize(move || cleanup);
                resolve();
                assert!(result.is_sleeping());
                cleaned.wakeup(());
                match (&body, result.state()) {
                    (Ok(x), State::Return(y)) => assert_eq!(x, y),
                    (Err(_), State::Fail(error)) => assert!(error.is::<EndOfFile>()),
                    state => panic!("{state:?}"),
                }
                // It fails, at once or later, or it panics.
                for way in 0..3 {
                    let (promise, resolve) = given(body.clone(), immediate);
                    let (cleanup, cleaned) = wait::<()>();
                    let result = promise.finalize(move || match way {
                        0 => fail(Error::message("cleanup")),
                        1 => cleanup,
                        _ => panic!("cleanup"),
                    });
                    resolve();
                    if way == 1 {
                        cleaned.wakeup_exn(Error::message("cleanup"));
                    }
                    let error = failure(&result);
                    assert!(error.to_string().contains("cleanup"), "{error}");
                    // Ours: the body's failure is attached, and is found.
                    assert_eq!(error.suppressed().len(), usize::from(body.is_err()));
                    assert_eq!(error.is::<EndOfFile>(), body.is_err());
                }
            });
        }
    }
}

#[test]
fn s5_6_a_failure_of_the_success_continuation_is_not_seen_by_the_other() {
    let _limit = time_limit(10);
    for immediate in [true, false] {
        for panics in [true, false] {
            balanced(|| {
                let (promise, resolve) = given(Ok(1), immediate);
                let result = promise.try_bind(
                    move |_| {
                        if panics {
                            panic!("first")
                        } else {
                            fail::<u32>(EndOfFile)
                        }
                    },
                    |_| return_(99),
                );
                resolve();
                assert_eq!(failure(&result).is_panic(), panics);
            });
        }
    }
}

#[test]
fn s5_7_a_panic_of_a_callback_goes_to_the_hook_and_the_others_still_run() {
    let _limit = time_limit(10);
    for immediate in [true, false] {
        balanced(|| {
            let hook = Hook::install();
            let log = Log::new();
            let (promise, resolve) = given(Ok(1), immediate);
            promise.on_success(|_| panic!("success"));
            promise.on_success({
                let l = log.clone();
                move |_| l.push("success")
            });
            promise.on_termination(|| panic!("termination"));
            promise.on_termination(log.note("termination"));
            promise.on_any(|_| panic!("any"), |_| ());
            let consumer = promise.clone().map({
                let l = log.clone();
                move |_| l.push("map")
            });
            resolve();
            assert_eq!(log.take(), ["success", "termination", "map"]);
            assert_eq!(hook.take().len(), 3);
            drop(consumer);

            let (promise, resolve) = given(Err(Canceled.into()), immediate);
            promise.on_cancel(|| panic!("cancel"));
            promise.on_cancel(log.note("cancel"));
            promise.on_failure(|_| panic!("failure"));
            promise.on_failure({
                let l = log.clone();
                move |_| l.push("failure")
            });
            resolve();
            assert_eq!(log.take(), ["cancel", "failure"]);
            assert_eq!(hook.take().len(), 2);
        });
    }
}

#[test]
fn s5_8_a_panic_of_an_on_cancel_callback_never_escapes() {
    let _limit = time_limit(10);
    balanced(|| {
        let hook = Hook::install();
        let (promise, resolver) = task::<u32>();
        promise.on_cancel(|| panic!("pending"));
        promise.cancel();
        promise.on_cancel(|| panic!("immediate"));
        assert_eq!(
            hook.texts(),
            [
                "the thread panicked: pending",
                "the thread panicked: immediate"
            ]
        );
        drop(resolver);
    });
}

#[test]
fn s5_9_async_reports_to_the_hook_in_force_at_the_time_of_the_failure() {
    let _limit = time_limit(10);
    balanced(|| {
        let early = Hook::install();
        let log = Log::new();
        let (promise, resolver) = wait::<()>();
        let l = log.clone();
        async_(move || {
            l.push("started");
            promise
        });
        assert_eq!(log.take(), ["started"]);
        spawn_detached(async { Err(Error::message("detached")) });
        assert_eq!(early.texts(), ["detached"]);
        let late = Hook::install();
        resolver.wakeup_exn(Error::message("later"));
        assert_eq!(late.texts(), ["later"]);
        assert!(early.take().is_empty());
        drop(late);
        async_(|| fail(Error::message("again")));
        assert_eq!(early.texts(), ["again"]);
    });
}

#[test]
fn s5_10_dont_wait_gives_failures_to_its_handler_and_restores_the_depth() {
    let _limit = time_limit(10);
    balanced(|| {
        let hook = Hook::install();
        let log = Log::new();
        let l = log.clone();
        dont_wait(
            || fail(Error::message("now")),
            move |error| l.push(error.to_string()),
        );
        let (promise, resolver) = wait::<()>();
        let l = log.clone();
        dont_wait(move || promise, move |error| l.push(error.to_string()));
        resolver.wakeup_exn(Error::message("later"));
        assert_eq!(log.take(), ["now", "later"]);
        assert!(hook.take().is_empty());
        // Ours: a panic of the handler goes to the hook.
        let (promise, resolver) = wait::<()>();
        dont_wait(move || promise, |_| panic!("handler"));
        resolver.wakeup_exn(EndOfFile);
        dont_wait(|| fail(EndOfFile), |_| panic!("handler"));
        assert_eq!(hook.take().len(), 2);
        // The depth is as before: what is woken later runs before the call returns.
        let (promise, resolver) = wait::<u32>();
        let mapped = promise.map(|x| x);
        resolver.resolve(1);
        assert_eq!(value(&mapped), 1);
    });
}

#[test]
fn s5_11_ignored_failures_go_to_the_hook_and_the_other_callbacks_run() {
    let _limit = time_limit(10);
    balanced(|| {
        let hook = Hook::install();
        fail::<()>(Error::message("at once")).ignore_result();
        assert_eq!(hook.texts(), ["at once"]);
        let log = Log::new();
        let (promise, resolver) = wait::<u32>();
        promise.on_failure({
            let l = log.clone();
            move |_| l.push("older")
        });
        promise.clone().ignore_result();
        promise.on_failure({
            let l = log.clone();
            move |_| l.push("newer")
        });
        resolver.wakeup_exn(Error::message("later"));
        assert_eq!(log.take(), ["older", "newer"]);
        assert_eq!(hook.texts(), ["later"]);
        // Values are ignored in silence.
        return_(1).ignore_result();
        assert!(hook.take().is_empty());
    });
}

#[test]
fn s5_12_the_hook_can_be_read_replaced_and_put_back() {
    let _limit = time_limit(10);
    let outer = Hook::install();
    let log = Log::new();
    let l = log.clone();
    let former = set_async_exception_hook(move |error| l.push(error.to_string()));
    async_hook_call("new");
    assert_eq!(log.take(), ["new"]);
    set_async_exception_hook(move |error| former(error));
    async_hook_call("old");
    assert!(log.take().is_empty());
    assert_eq!(outer.texts(), ["old"]);
    // A hook that panics hurts nobody.
    let former = set_async_exception_hook(|_| panic!("hook"));
    let (promise, resolver) = wait::<()>();
    promise.on_termination(|| panic!("callback"));
    let (l, other) = (log.clone(), promise.clone());
    let after = other.map(move |()| l.push("after".to_owned()));
    assert!(quietly(|| resolver.wakeup(())).is_ok());
    assert_eq!(log.take(), ["after"]);
    set_async_exception_hook(move |error| former(error));
    drop(after);

    fn async_hook_call(text: &str) {
        (async_exception_hook())(&Error::message(text));
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn s5_12_the_default_hook_prints_and_ends_the_process_with_status_2() {
    let _limit = time_limit(60);
    const MARK: &str = "LWT_CORE_TEST_DEFAULT_HOOK";
    if std::env::var_os(MARK).is_some() {
        async_(|| fail(Error::message("nobody cares").context("while testing")));
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "s5_12_the_default_hook_prints_and_ends_the_process_with_status_2",
            "--nocapture",
        ])
        .env(MARK, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("while testing") && text.contains("nobody cares"),
        "{text}"
    );
}
