//! The main loop (MAIN-1 to MAIN-11, M13): runs, nesting, hooks, exit hooks, deadlocks.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{check, ms, text_of, virtually};
use lwt_core::{NestedRun, Promise, fail_with, forever, pause, return_, spawn, wait};
use lwt_unix::{Builder, Deadlock, at_exit, engine, exit_hooks, hooks, run, run_exit_hooks, sleep};

#[test]
fn a_promise_that_has_ended_is_answered_without_a_turn() {
    check(|| {
        let turns = Rc::new(Cell::new(0));
        let counting = Rc::clone(&turns);
        let hook = hooks::enter_iteration().add_last(move || counting.set(counting.get() + 1));
        assert_eq!(run(return_(5))?, 5);
        assert_eq!(text_of(run(fail_with::<()>("no"))), "no");
        assert_eq!(turns.get(), 0);
        run(pause())?;
        assert!(turns.get() > 0);
        hook.remove();
        Ok(())
    });
}

#[test]
fn other_threads_stay_asleep_and_go_on_in_the_next_run() {
    check(|| {
        let steps = Rc::new(Cell::new(0));
        let counting = Rc::clone(&steps);
        let other = spawn(async move {
            for _ in 0..3 {
                pause().await?;
                counting.set(counting.get() + 1);
            }
            Ok(())
        });
        run(pause())?;
        assert!(other.is_sleeping() && steps.get() < 3);
        run(other)?;
        assert_eq!(steps.get(), 3);
        Ok(())
    });
}

#[test]
fn a_nested_run_is_refused_with_both_places_and_the_outer_goes_on() {
    check(|| {
        run(spawn(async {
            pause().await?;
            let error = run(sleep(ms(1))).unwrap_err();
            assert!(error.is::<NestedRun>());
            let text = error.to_string();
            assert_eq!(text.matches("tests/running.rs").count(), 2, "{text}");
            let error = Builder::new().run(|| sleep(ms(1))).unwrap_err();
            assert!(error.is::<NestedRun>());
            assert_eq!(run(return_(1))?, 1, "what has ended needs no loop");
            pause().await
        }))
    });
}

#[test]
fn two_os_threads_run_loops_at_the_same_time() {
    check(|| {
        let other = std::thread::spawn(|| run(sleep(ms(1)).map(|()| 7)));
        run(sleep(ms(1)))?;
        assert_eq!(other.join().expect("the other loop ends")?, 7);
        Ok(())
    });
}

#[test]
fn nothing_left_to_wake_the_main_thread_is_a_deadlock() {
    check(|| {
        let error = run(forever::<()>()).unwrap_err();
        let deadlock = error.downcast_ref::<Deadlock>().expect("a deadlock");
        assert_eq!(deadlock.sleeping().len(), 1);
        Ok(())
    });
}

#[test]
fn a_deadlock_tells_what_the_main_thread_hangs_on() {
    check(|| {
        let (promise, resolver) = wait::<()>();
        let error = run(spawn(async move {
            spawn(async move {
                promise.await?;
                Ok(())
            })
            .await
        }))
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("deadlock: the main thread sleeps"),
            "{text}"
        );
        let deadlock = error.downcast_ref::<Deadlock>().expect("a deadlock");
        assert_eq!(
            deadlock
                .sleeping()
                .iter()
                .map(|line| line.depth)
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(text.lines().count(), 4, "{text}");
        drop(resolver);
        Ok(())
    });
}

#[test]
fn a_deadlock_after_real_work_is_found_too() {
    check(|| {
        let error = virtually(|| {
            spawn(async {
                sleep(ms(5)).await?;
                pause().await?;
                lwt_unix::job::run(|| ()).await?;
                forever::<()>().await
            })
        });
        assert!(error.unwrap_err().is::<Deadlock>());
        Ok(())
    });
}

/// What counts as something that may still wake: everything that is watched, unless it says otherwise.
#[test]
fn unreferenced_events_do_not_keep_the_loop_alive() {
    check(|| {
        let (read, _write) = rustix::pipe::pipe()?;
        let watcher = engine::on_readable(std::os::fd::AsRawFd::as_raw_fd(&read), |_| ());
        let timer = engine::on_timer(Duration::from_secs(3600), true, |_| ());
        watcher.unref();
        timer.unref();
        assert!(run(forever::<()>()).unwrap_err().is::<Deadlock>());
        watcher.stop();
        timer.stop();
        Ok(())
    });
}

#[test]
fn a_source_that_is_kept_alive_is_waited_for() {
    check(|| {
        let (promise, resolver) = wait();
        engine::on_timer(ms(1), false, {
            let mut resolver = Some(resolver);
            move |_| {
                if let Some(resolver) = resolver.take() {
                    resolver.resolve(3);
                }
            }
        });
        assert_eq!(run(promise)?, 3);
        Ok(())
    });
}

#[test]
fn hooks_run_around_every_turn_in_order_and_can_be_removed() {
    check(|| {
        let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let noting = |what: &'static str| {
            let log = Rc::clone(&log);
            move || log.borrow_mut().push(what)
        };
        let hooks = [
            hooks::enter_iteration().add_last(noting("enter 2")),
            hooks::enter_iteration().add_first(noting("enter 1")),
            hooks::leave_iteration().add_last(noting("leave")),
        ];
        run(pause())?;
        assert_eq!(log.take()[..3], ["enter 1", "enter 2", "leave"]);
        for hook in &hooks {
            hook.remove();
            hook.remove();
        }
        run(pause())?;
        assert!(log.borrow().is_empty());
        hooks::enter_iteration().add_last(noting("removed with all"));
        hooks::enter_iteration().remove_all();
        run(pause())?;
        assert!(log.borrow().is_empty());
        Ok(())
    });
}

#[test]
fn a_panic_of_a_hook_leaves_the_run_and_the_loop_can_run_again() {
    check(|| {
        let hook = hooks::enter_iteration().add_last(|| panic!("a bad hook"));
        let panicked = std::panic::catch_unwind(|| run(pause()));
        assert!(panicked.is_err());
        hook.remove();
        run(pause())
    });
}

#[test]
fn exit_hooks_run_newest_first_once_each_and_survive_failures() {
    check(|| {
        let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let warned = Rc::new(Cell::new(0));
        let counting = Rc::clone(&warned);
        lwt_unix::set_warning_hook(move |_| counting.set(counting.get() + 1));
        let hook = |name: &'static str| {
            let log = Rc::clone(&log);
            move || -> Promise<()> {
                log.borrow_mut().push(name);
                sleep(ms(1))
            }
        };
        at_exit(hook("first"));
        at_exit(|| fail_with("an exit hook that fails"));
        at_exit({
            let (hook, added) = (hook("second"), hook("added by a hook"));
            move || {
                at_exit(added);
                hook()
            }
        });
        exit_hooks().add_last(hook("last"));
        let removed = at_exit(hook("removed"));
        removed.remove();
        run_exit_hooks()?;
        assert_eq!(
            *log.borrow(),
            ["second", "added by a hook", "first", "last"]
        );
        assert_eq!(warned.get(), 1);
        run_exit_hooks()?;
        assert_eq!(log.borrow().len(), 4, "each once");
        Ok(())
    });
}

/// Set for the process that the next test starts.
const CHILD: &str = "LWT_UNIX_TEST_OF_EXIT";

/// `exit` inside a thread, inside the loop: wake-ups are given up, and the hooks get the loop.
#[test]
fn exit_runs_the_hooks_from_anywhere() {
    check(|| {
        let child = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", "the_child_of_the_test_of_exit", "--nocapture"])
            .env(CHILD, "1")
            .output()?;
        let text = String::from_utf8_lossy(&child.stdout);
        assert_eq!(child.status.code(), Some(7), "{text}");
        assert!(text.contains("the hook slept and ended"), "{text}");
        assert!(!text.contains("never reached"), "{text}");
        Ok(())
    });
}

#[test]
fn the_child_of_the_test_of_exit() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    at_exit(|| sleep(ms(2)).map(|()| println!("the hook slept and ended")));
    let ended = run(spawn(async {
        sleep(ms(1)).await?;
        let (promise, resolver) = wait::<()>();
        promise.on_success(|()| lwt_unix::exit(7));
        resolver.wakeup(());
        println!("never reached");
        Ok(())
    }));
    panic!("never reached: {ended:?}");
}

#[test]
fn a_builder_puts_the_former_engine_back() {
    check(|| {
        assert_eq!(engine::name(), "poll");
        let name = Builder::new()
            .virtual_time(0)
            .run(|| return_(engine::name()))?;
        assert_eq!((name, engine::name()), ("virtual time", "poll"));
        let panicked = Builder::new()
            .virtual_time(0)
            .run(|| -> Promise<()> { panic!("in main") });
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(engine::name(), "poll");
        Ok(())
    });
}

#[test]
fn an_os_thread_may_end_with_threads_asleep() {
    check(|| {
        let ended = std::thread::spawn(|| {
            let asleep = spawn(async {
                sleep(Duration::from_secs(3600)).await?;
                Ok(())
            });
            let (read, _write) = lwt_unix::pipe()?;
            let reading = read.read_some(10);
            run(pause())?;
            drop(asleep);
            drop(reading);
            Ok::<(), lwt_core::Error>(())
        });
        ended.join().expect("no destructor complains")
    });
}
