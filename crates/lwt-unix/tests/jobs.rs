//! Jobs on the worker threads (JOB-1 to JOB-19, with our difference 8).
//!
//! The pool belongs to the process, so tests that change its size or count its threads share one lock.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{check, ms, text_of, virtually};
use lwt_core::{Error, State, all, pause, pick};
use lwt_unix::{counters, job, run, sleep, with_timeout};

static POOL: Mutex<()> = Mutex::new(());

#[test]
fn a_job_runs_on_another_os_thread_and_gives_its_result() {
    check(|| {
        let here = std::thread::current().id();
        let there = run(job::run(|| std::thread::current().id()))?;
        assert_ne!(here, there);
        Ok(())
    });
}

#[test]
fn errors_and_panics_become_failures() {
    check(|| {
        let failed = run(job::try_run(|| {
            std::fs::metadata("/no/such/file").map(|_| ())
        }));
        assert!(failed.unwrap_err().is::<std::io::Error>());
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let panicked = run(job::run(|| -> () { panic!("inside a job") }));
        std::panic::set_hook(former);
        assert!(panicked.as_ref().is_err_and(Error::is_panic));
        assert!(text_of(panicked).contains("inside a job"));
        assert_eq!(run(job::run(|| 1))?, 1, "the pool is unharmed");
        Ok(())
    });
}

/// Difference 8: the promise fails at once, the late result is dropped.
#[test]
fn a_cancelled_job_fails_at_once_and_its_late_result_is_dropped() {
    check(|| {
        struct Noisy(Arc<AtomicUsize>);
        impl Drop for Noisy {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let (release, gate) = channel::<()>();
        let (started, start) = channel::<()>();
        let result = Noisy(Arc::clone(&dropped));
        let job = job::run(move || {
            let _ = started.send(());
            let _ = gate.recv();
            result
        });
        start.recv()?;
        let before = counters().jobs;
        job.cancel();
        assert!(matches!(job.state(), State::Fail(error) if error.is_canceled()));
        assert_eq!(counters().jobs, before - 1);
        release.send(())?;
        while dropped.load(Ordering::SeqCst) == 0 {
            run(pause())?;
        }
        Ok(())
    });
}

#[test]
fn a_dropped_job_counts_no_more() {
    check(|| {
        let (release, gate) = channel::<()>();
        drop(job::run(move || gate.recv().is_ok()));
        assert_eq!(counters().jobs, 0);
        drop(release);
        Ok(())
    });
}

#[test]
fn a_full_pool_queues_and_a_cancelled_job_in_the_queue_never_runs() {
    let _alone = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    check(|| {
        let former = job::pool_size();
        job::set_pool_size(1);
        let ran = Arc::new(AtomicUsize::new(0));
        let (release, gate) = channel::<()>();
        // As many blockers as there are threads already; those that wait for the gate hold them all.
        let gate = Arc::new(Mutex::new(gate));
        let blockers: Vec<_> = (0..job::thread_count().max(1) + 1)
            .map(|_| {
                let gate = Arc::clone(&gate);
                job::run(move || {
                    let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
                })
            })
            .collect();
        let counted = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            job::run(move || ran.fetch_add(1, Ordering::SeqCst))
        };
        let kept = counted(&ran);
        let canceled = counted(&ran);
        canceled.cancel();
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        drop(release);
        run(all(blockers))?;
        run(kept)?;
        run(job::run(|| ()))?;
        assert_eq!(
            ran.load(Ordering::SeqCst),
            1,
            "the cancelled one was taken out of the queue"
        );
        job::set_pool_size(0);
        assert_eq!(job::pool_size(), 1, "at least one");
        job::set_pool_size(former);
        Ok(())
    });
}

#[test]
fn workers_are_bounded_and_reused() {
    let _alone = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    check(|| {
        for _ in 0..20 {
            run(all((0..200)
                .map(|number| job::run(move || number))
                .collect::<Vec<_>>()))?;
        }
        assert!(job::thread_count() <= job::pool_size().max(64));
        assert!(job::waiting_count() <= job::thread_count());
        Ok(())
    });
}

#[test]
fn a_thousand_jobs_each_give_their_own_result() {
    check(|| {
        let results = run(all((0..1000_u64)
            .map(|number| job::run(move || number * number))
            .collect::<Vec<_>>()))?;
        assert!(
            results
                .iter()
                .zip(0..)
                .all(|(result, number)| *result == number * number)
        );
        Ok(())
    });
}

#[test]
fn the_loop_goes_on_while_a_job_runs() {
    check(|| {
        let (release, gate) = channel::<()>();
        let job = job::run(move || gate.recv().is_ok());
        run(sleep(ms(1)))?;
        release.send(())?;
        assert!(run(job)?);
        Ok(())
    });
}

/// Under the virtual clock a job takes no time, so a time-out around it does not fire by accident; a cancelled job no
/// longer holds the clock.
#[test]
fn a_cancelled_job_no_longer_holds_the_virtual_clock() {
    check(|| {
        let (release, gate) = channel::<()>();
        virtually(move || {
            let job = job::run(move || gate.recv().is_ok());
            job.cancel();
            sleep(Duration::from_secs(3600))
        })?;
        drop(release);
        assert_eq!(virtually(|| with_timeout(ms(1), || job::run(|| 5)))?, 5);
        Ok(())
    });
}

/// JOB-13: workers have all signals blocked.
#[test]
fn workers_take_no_signals() {
    check(|| {
        let blocked = run(job::run(|| {
            // SAFETY: all-zero is a valid signal set, and with a null new set the call only reads the mask into it.
            unsafe {
                let mut mask: libc::sigset_t = std::mem::zeroed();
                libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut mask);
                libc::sigismember(&mask, libc::SIGINT) == 1
                    && libc::sigismember(&mask, libc::SIGTERM) == 1
            }
        }))?;
        assert!(blocked);
        Ok(())
    });
}

#[test]
fn a_loop_that_ends_before_its_job_is_no_trouble() {
    check(|| {
        let (release, gate) = channel::<()>();
        let loop_thread = std::thread::spawn(move || {
            let job = job::run(move || {
                let _ = gate.recv();
            });
            run(pick([job, pause()]))
        });
        loop_thread.join().expect("the loop's thread ends")?;
        drop(release);
        run(job::run(|| ()))
    });
}
