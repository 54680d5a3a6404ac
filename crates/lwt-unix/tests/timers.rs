//! Time (TIME-1 to TIME-10) under the virtual clock: exact order, determinism, scale.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{check, ms, virtually};
use lwt_core::{Canceled, State, Timeout, all, join, pause, pick, spawn};
use lwt_unix::{auto_yield, counters, loop_time, run, sleep, timeout, with_timeout, yield_now};

#[test]
fn an_hour_of_sleeps_takes_milliseconds() {
    check(|| {
        let start = Instant::now();
        virtually(|| {
            spawn(async {
                for _ in 0..3600 {
                    sleep(Duration::from_secs(1)).await?;
                }
                assert_eq!(loop_time(), Duration::from_secs(3600));
                Ok(())
            })
        })?;
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the time limit of a slow machine: {:?}",
            start.elapsed()
        );
        Ok(())
    });
}

#[test]
fn timers_wake_in_order_of_time_and_equal_ones_in_order_of_creation() {
    check(|| {
        let order: Rc<RefCell<Vec<u64>>> = Rc::default();
        let noting = Rc::clone(&order);
        virtually(move || {
            let threads =
                [50_u64, 20, 50, 10, 20]
                    .into_iter()
                    .enumerate()
                    .map(|(number, delay)| {
                        let order = Rc::clone(&noting);
                        sleep(ms(delay))
                            .map(move |()| order.borrow_mut().push(delay * 10 + number as u64))
                    });
            join(threads.collect::<Vec<_>>())
        })?;
        assert_eq!(*order.borrow(), [103, 201, 204, 500, 502]);
        Ok(())
    });
}

/// A little program full of choices; its trace depends on the seed and on nothing else.
fn trace(seed: u64) -> Vec<(Duration, u64)> {
    let log: Rc<RefCell<Vec<(Duration, u64)>>> = Rc::default();
    let noting = Rc::clone(&log);
    let ran = lwt_unix::Builder::new().virtual_time(seed).run(move || {
        spawn(async move {
            for round in 1..=50 {
                let racers = (0..4).map(|number| sleep(ms(round % 3)).map(move |()| number));
                let racers = racers.collect::<Vec<_>>();
                sleep(ms(3)).await?;
                let winner = pick(racers).await?;
                noting.borrow_mut().push((loop_time(), winner));
                sleep(ms(winner)).await?;
            }
            Ok(())
        })
    });
    ran.expect("the program ends");
    log.take()
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    check(|| {
        let first = trace(7);
        assert_eq!(first, trace(7));
        assert_ne!(first, trace(8), "another seed, other winners");
        Ok(())
    });
}

#[test]
fn a_sleep_of_zero_waits_for_the_loop() {
    check(|| {
        virtually(|| {
            let sleeping = sleep(Duration::ZERO);
            assert!(sleeping.is_sleeping());
            sleeping
        })
    });
}

#[test]
fn a_sleep_never_ends_early_on_the_real_clock() {
    check(|| {
        for microseconds in [0, 50, 700, 1_300] {
            let delay = Duration::from_micros(microseconds);
            let start = Instant::now();
            run(sleep(delay))?;
            assert!(start.elapsed() >= delay);
        }
        Ok(())
    });
}

/// TIME-2: the delay counts from the real current time, however long ago the loop last looked at the clock.
#[test]
fn a_delay_counts_from_now_even_after_a_long_computation() {
    check(|| {
        run(spawn(async {
            pause().await?;
            let busy = Instant::now();
            while busy.elapsed() < ms(3) {}
            let start = Instant::now();
            sleep(ms(2)).await?;
            assert!(start.elapsed() >= ms(2));
            Ok(())
        }))
    });
}

#[test]
fn cancelling_or_dropping_a_sleep_stops_its_timer() {
    check(|| {
        let before = counters().timers;
        let canceled = sleep(ms(5));
        let dropped = sleep(ms(5));
        let limit = timeout::<()>(ms(5));
        assert_eq!(counters().timers, before + 3);
        canceled.cancel();
        assert!(matches!(canceled.state(), State::Fail(error) if error.is::<Canceled>()));
        drop(dropped);
        limit.cancel();
        assert_eq!(counters().timers, before);
        Ok(())
    });
}

#[test]
fn a_timeout_fails_with_timeout() {
    check(|| {
        let error = virtually(|| timeout::<()>(ms(5))).unwrap_err();
        assert!(error.is::<Timeout>());
        Ok(())
    });
}

#[test]
fn with_timeout_cancels_what_takes_too_long() {
    check(|| {
        virtually(|| {
            spawn(async {
                let (slow, _resolver) = lwt_core::task::<()>();
                let canceler = slow.canceler();
                let error = with_timeout(ms(10), || slow).await.unwrap_err();
                assert!(error.is::<Timeout>());
                assert!(canceler.is_over(), "the slow one was cancelled");
                assert_eq!(loop_time(), ms(10));
                assert_eq!(counters().timers, 0);
                Ok(())
            })
        })
    });
}

#[test]
fn with_timeout_gives_the_result_and_stops_the_timer() {
    check(|| {
        virtually(|| {
            spawn(async {
                let value = with_timeout(ms(10), || sleep(ms(3)).map(|()| 42)).await?;
                assert_eq!((value, loop_time(), counters().timers), (42, ms(3), 0));
                let failed =
                    with_timeout(ms(10), || lwt_core::fail_with::<()>("own failure")).await;
                assert_eq!(common::text_of(failed), "own failure");
                Ok(())
            })
        })
    });
}

#[test]
fn with_timeout_of_zero_lets_what_has_ended_win() {
    check(|| {
        let value = virtually(|| with_timeout(Duration::ZERO, || lwt_core::return_(1)))?;
        assert_eq!(value, 1);
        Ok(())
    });
}

#[test]
fn cancelling_with_timeout_cancels_both() {
    check(|| {
        let before = counters().timers;
        let limited = with_timeout(ms(10), || sleep(ms(20)));
        assert_eq!(counters().timers, before + 2);
        limited.cancel();
        assert!(matches!(limited.state(), State::Fail(error) if error.is_canceled()));
        assert_eq!(counters().timers, before);
        Ok(())
    });
}

/// TIME-7 and TIME-8: each pause is woken once per turn.
#[test]
fn pauses_take_turns() {
    check(|| {
        let log: Rc<RefCell<Vec<(char, u32)>>> = Rc::default();
        let thread = |name: char| {
            let log = Rc::clone(&log);
            spawn(async move {
                for round in 0..3 {
                    log.borrow_mut().push((name, round));
                    yield_now().await?;
                }
                Ok(())
            })
        };
        let threads = [thread('a'), thread('b')];
        virtually(|| join(threads))?;
        assert_eq!(
            *log.borrow(),
            [('a', 0), ('b', 0), ('a', 1), ('b', 1), ('a', 2), ('b', 2)]
        );
        Ok(())
    });
}

#[test]
fn auto_yield_yields_when_its_interval_has_passed() {
    check(|| {
        virtually(|| {
            spawn(async {
                let mut breathe = auto_yield(ms(10));
                assert!(
                    !breathe().is_sleeping(),
                    "the first interval starts when it is made"
                );
                sleep(ms(10)).await?;
                let first = breathe();
                assert!(first.is_sleeping());
                first.await?;
                assert!(
                    !breathe().is_sleeping(),
                    "the interval starts again after the yield"
                );
                pause().await
            })
        })
    });
}

#[test]
fn ten_thousand_timers_in_random_order_fire_in_order() {
    check(|| {
        let mut state = 12345_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            state >> 33
        };
        let delays: Vec<u64> = (0..10_000).map(|_| random() % 5_000).collect();
        let order: Rc<RefCell<Vec<(u64, usize)>>> = Rc::default();
        let noting = Rc::clone(&order);
        let mut expected: Vec<(u64, usize)> = delays.iter().copied().zip(0..).collect();
        expected.sort_unstable();
        virtually(move || {
            let threads = delays.into_iter().enumerate().map(|(number, delay)| {
                let order = Rc::clone(&noting);
                sleep(ms(delay)).map(move |()| order.borrow_mut().push((delay, number)))
            });
            all(threads.collect::<Vec<_>>())
        })?;
        assert_eq!(*order.borrow(), expected);
        Ok(())
    });
}

/// The virtual clock does not run away while a worker is busy.
#[test]
fn a_job_takes_no_virtual_time() {
    check(|| {
        virtually(|| {
            let computing = lwt_unix::job::run(|| (0..2_000_000_u64).fold(0, u64::wrapping_add));
            with_timeout(ms(1), || computing).map(|_| assert_eq!(loop_time(), Duration::ZERO))
        })
    });
}

#[test]
fn a_sleep_without_end_never_ends() {
    check(|| {
        virtually(|| {
            let endless = sleep(Duration::MAX);
            pick([endless, sleep(Duration::from_secs(1_000_000_000))])
        })
    });
}
