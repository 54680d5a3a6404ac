//! Wakes from other OS threads: the bell, foreign wakers, deadlocks that are none (M7, M13).

mod common;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use common::check;
use lwt_core::{Promise, Result, pause, scheduler, spawn};
use lwt_unix::{Deadlock, run, sleep};

/// A future of another world: it hands its waker to whoever holds the other end, and is ready when told so.
#[derive(Default)]
struct Shared {
    is_ready: bool,
    waker: Option<Waker>,
}

fn foreign() -> (impl Future<Output = ()> + 'static, Arc<Mutex<Shared>>) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let theirs = Arc::clone(&shared);
    let future = std::future::poll_fn(move |context| {
        let mut shared = theirs.lock().expect("not poisoned");
        if shared.is_ready {
            return Poll::Ready(());
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    });
    (future, shared)
}

fn wake(shared: &Mutex<Shared>) {
    let mut shared = shared.lock().expect("not poisoned");
    shared.is_ready = true;
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[test]
fn a_wake_from_another_os_thread_wakes_a_loop_that_waits() {
    check(|| {
        for _ in 0..200 {
            let (future, shared) = foreign();
            let thread = spawn(async move {
                future.await;
                Ok(())
            });
            let waker = std::thread::spawn(move || wake(&shared));
            run(thread)?;
            waker.join().expect("the waker ends");
        }
        Ok(())
    });
}

#[test]
fn a_waker_that_nobody_holds_any_more_is_a_deadlock() {
    check(|| {
        let (future, shared) = foreign();
        let thread = spawn(async move {
            future.await;
            Ok(())
        });
        let dropper =
            std::thread::spawn(move || drop(shared.lock().expect("not poisoned").waker.take()));
        let error = run(thread).unwrap_err();
        assert!(error.is::<Deadlock>());
        dropper.join().expect("the dropper ends");
        Ok(())
    });
}

#[test]
fn work_posted_from_another_os_thread_runs_in_the_loop() {
    check(|| {
        let here = std::thread::current().id();
        let inbox = scheduler::inbox();
        let alive = scheduler::keep_alive();
        let (tell, told) = channel();
        let poster = std::thread::spawn(move || {
            for number in 0..100 {
                let tell = tell.clone();
                let posted = inbox.post(Box::new(move || {
                    let _ = tell.send((number, std::thread::current().id()));
                }));
                assert!(posted.is_ok());
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 100 {
            run(pause())?;
            seen.extend(told.try_iter());
        }
        assert!(
            seen.iter()
                .zip(0..)
                .all(|((number, thread), expected)| *number == expected && *thread == here)
        );
        poster.join().expect("the poster ends");
        drop(alive);
        Ok(())
    });
}

/// What was posted before the loop ran for the first time is served too.
#[test]
fn work_posted_before_the_first_run_is_served() {
    let _limit = common::limited();
    let outcome = std::thread::spawn(|| -> Result<()> {
        let inbox = scheduler::inbox();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            inbox
                .post(Box::new(move || {
                    let _ = tell.send(());
                }))
                .is_ok()
        })
        .join()
        .expect("the poster ends");
        run(pause())?;
        told.try_recv()?;
        Ok(())
    });
    outcome
        .join()
        .expect("the loop's thread ends")
        .expect("the post was served");
}

#[test]
fn a_wake_after_the_loop_has_gone_is_harmless() {
    check(|| {
        let (future, shared) = foreign();
        let ended = std::thread::spawn(move || {
            let asleep: Promise<()> = spawn(async move {
                future.await;
                Ok(())
            });
            let outcome = run(pause());
            drop(asleep);
            outcome
        });
        ended.join().expect("the loop's thread ends")?;
        wake(&shared);
        Ok(())
    });
}

#[test]
fn many_os_threads_wake_one_loop_while_its_timers_run() {
    check(|| {
        let (tell, told) = channel();
        let alive = scheduler::keep_alive();
        let posters: Vec<_> = (0..4)
            .map(|_| {
                let (inbox, tell) = (scheduler::inbox(), tell.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let tell = tell.clone();
                        assert!(
                            inbox
                                .post(Box::new(move || {
                                    let _ = tell.send(());
                                }))
                                .is_ok()
                        );
                    }
                })
            })
            .collect();
        let mut count = 0;
        while count < 2000 {
            run(sleep(Duration::from_micros(100)))?;
            count += told.try_iter().count();
        }
        for poster in posters {
            poster.join().expect("a poster ends");
        }
        drop(alive);
        Ok(())
    });
}
