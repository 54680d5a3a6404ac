//! Signals as wake-ups (SIG-1 to SIG-10, Ctrl-C). One test at a time: signals belong to the process.

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::check;
use lwt_core::{State, both, forever, join, pause, pick, spawn};
use lwt_unix::{Builder, Deadlock, Signals, interrupted, run, signal, sleep};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set for the process that the test of default effects starts, and that a signal ends.
const CHILD: &str = "LWT_UNIX_TEST_OF_DEFAULT_EFFECTS";

fn raise(signal: i32) {
    // SAFETY: raising a signal that has a handler runs that handler, and nothing else.
    unsafe { libc::raise(signal) };
}

#[test]
fn ctrl_c_is_an_ordinary_wake_up() {
    let _alone = alone();
    check(|| {
        let waiting = interrupted();
        assert!(waiting.is_sleeping());
        raise(libc::SIGINT);
        run(waiting)
    });
}

#[test]
fn several_listeners_all_hear_a_signal() {
    let _alone = alone();
    check(|| {
        let waiting = [signal(libc::SIGUSR1), signal(libc::SIGUSR1)];
        raise(libc::SIGUSR1);
        run(join(waiting))
    });
}

#[test]
fn a_listener_loses_no_delivery_between_two_waits() {
    let _alone = alone();
    check(|| {
        let signals = Signals::listen(libc::SIGUSR1)?;
        raise(libc::SIGUSR1);
        run(pause())?;
        run(pause())?;
        raise(libc::SIGUSR1);
        run(signals.next())?;
        run(signals.next())?;
        assert!(signals.next().is_sleeping());
        Ok(())
    });
}

#[test]
fn a_wait_that_gives_up_takes_no_delivery() {
    let _alone = alone();
    check(|| {
        let signals = Signals::listen(libc::SIGUSR1)?;
        let canceled = signals.next();
        drop(signals.next());
        let kept = signals.next();
        canceled.cancel();
        assert!(matches!(canceled.state(), State::Fail(error) if error.is_canceled()));
        raise(libc::SIGUSR1);
        run(kept)
    });
}

#[test]
fn a_signal_that_nobody_waits_for_has_its_default_effect_again() {
    let _alone = alone();
    check(|| {
        // In a child, because the default effect of Ctrl-C is the end.
        let child = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", "the_child_of_the_test_of_default_effects"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::null())
            .status()?;
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.signal(), Some(libc::SIGINT));
        Ok(())
    });
}

#[test]
fn the_child_of_the_test_of_default_effects() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let waiting = interrupted();
    raise(libc::SIGINT);
    run(waiting).expect("the first one only wakes");
    drop(interrupted());
    raise(libc::SIGINT);
}

#[test]
fn numbers_that_are_no_signals_are_refused() {
    let _alone = alone();
    check(|| {
        for number in [-1, 0, 65, 1000, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
            let error = Signals::listen(number).map(drop).unwrap_err();
            assert!(error.is::<lwt_core::InvalidArgument>(), "{number}: {error}");
            assert!(run(signal(number)).is_err());
        }
        Ok(())
    });
}

/// A handler that somebody asked for keeps the loop alive: the signal may come at any time.
#[test]
fn waiting_for_a_signal_is_no_deadlock() {
    let _alone = alone();
    check(|| {
        let waiting = signal(libc::SIGUSR1);
        // SAFETY: asks for the own identity only.
        let target = unsafe { libc::pthread_self() } as usize;
        let sender = std::thread::spawn(move || {
            // SAFETY: that thread joins this one, so it lives; the signal is listened to already.
            unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGUSR1) };
        });
        let outcome = run(pick([waiting, forever()]));
        sender.join().expect("the sender ends");
        outcome
    });
}

#[test]
fn ctrl_c_cancels_the_main_thread_by_request() {
    let _alone = alone();
    check(|| {
        let outcome = Builder::new().cancel_on_interrupt().run(|| {
            spawn(async {
                pause().await?;
                raise(libc::SIGINT);
                let interrupted = sleep(std::time::Duration::from_secs(3600)).await;
                pause().await?;
                interrupted.map_err(|error| error.context("cleaned up"))
            })
        });
        let error = outcome.unwrap_err();
        assert_eq!(error.to_string(), "cleaned up");
        assert!(error.is::<lwt_core::Canceled>());
        Ok(())
    });
}

/// The handling by request does not keep the loop alive.
#[test]
fn cancelling_at_ctrl_c_does_not_hide_a_deadlock() {
    let _alone = alone();
    check(|| {
        let error = Builder::new()
            .cancel_on_interrupt()
            .run(forever::<()>)
            .unwrap_err();
        assert!(error.is::<Deadlock>());
        Ok(())
    });
}

#[test]
fn a_signal_wakes_the_loops_of_all_os_threads_that_listen() {
    let _alone = alone();
    check(|| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let waiting = signal(libc::SIGUSR1);
            let _ = ready.send(());
            run(waiting)
        });
        let waiting = signal(libc::SIGUSR1);
        is_ready.recv()?;
        raise(libc::SIGUSR1);
        run(both(waiting, pause()))?;
        other.join().expect("the other loop ends")
    });
}
