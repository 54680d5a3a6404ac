//! Events: watchers and timers as the loop dispatches them (ENG-2 to ENG-12), on every engine.

mod common;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use common::{check, ms, turns};
use lwt_core::{Promise, Result, spawn};
use lwt_unix::engine::{self, Event};
use lwt_unix::{Builder, Poll, VirtualTime, loop_time, sleep};

/// Runs one test body on every engine.
fn on_every_engine(body: impl Fn() -> Promise<()>) {
    check(|| {
        Builder::new().engine(Poll::new()).run(&body)?;
        Builder::new().engine(VirtualTime::seeded(3)).run(&body)
    });
}

type Log = Rc<RefCell<Vec<&'static str>>>;

fn log() -> Log {
    Rc::default()
}

fn noting(log: &Log, what: &'static str) -> impl FnMut(&Event) + 'static {
    let log = Rc::clone(log);
    move |_| log.borrow_mut().push(what)
}

fn pipe_with_a_byte() -> (OwnedFd, OwnedFd) {
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    rustix::io::write(&write, b"x").expect("room for a byte");
    (read, write)
}

#[test]
fn watchers_are_called_every_turn_until_they_are_stopped() {
    on_every_engine(|| {
        spawn(async {
            let (read, _write) = pipe_with_a_byte();
            let calls = Rc::new(Cell::new(0));
            let counting = Rc::clone(&calls);
            let event = engine::on_readable(read.as_raw_fd(), move |event| {
                counting.set(counting.get() + 1);
                if counting.get() == 3 {
                    event.stop();
                }
            });
            turns(10).await?;
            assert_eq!(calls.get(), 3);
            assert!(!event.is_active());
            Ok(())
        })
    });
}

#[test]
fn stopping_twice_and_stopping_a_stale_handle_is_harmless() {
    on_every_engine(|| {
        let (read, _write) = pipe_with_a_byte();
        let first = engine::on_readable(read.as_raw_fd(), |_| ());
        first.stop();
        first.stop();
        let second = engine::on_readable(read.as_raw_fd(), |_| ());
        first.stop();
        assert!(
            second.is_active(),
            "the stale handle does not reach the one that took its place"
        );
        second.stop();
        Event::dead().stop();
        assert!(!Event::dead().is_active());
        lwt_core::return_unit()
    });
}

#[test]
fn an_event_stopped_in_the_turn_in_which_it_is_due_is_not_called() {
    on_every_engine(|| {
        spawn(async {
            let (read, _write) = pipe_with_a_byte();
            let log = log();
            let victims: Rc<RefCell<Vec<Event>>> = Rc::default();
            let (killing, doomed) = (Rc::clone(&log), Rc::clone(&victims));
            let killer = engine::on_readable(read.as_raw_fd(), move |event| {
                killing.borrow_mut().push("killer");
                event.stop();
                for victim in doomed.borrow().iter() {
                    victim.stop();
                }
            });
            let victim = engine::on_readable(read.as_raw_fd(), noting(&log, "victim"));
            victims.borrow_mut().push(victim);
            let timer_killer = engine::on_timer(Duration::ZERO, false, {
                let victims = Rc::clone(&victims);
                move |_| victims.borrow().iter().skip(1).for_each(Event::stop)
            });
            let timer_victim =
                engine::on_timer(Duration::ZERO, false, noting(&log, "timer victim"));
            victims.borrow_mut().push(timer_victim);
            turns(3).await?;
            assert_eq!(*log.borrow(), ["killer"]);
            assert!(!killer.is_active() && !timer_killer.is_active());
            victims.borrow_mut().clear();
            Ok(())
        })
    });
}

#[test]
fn timers_fire_before_watchers_and_watchers_in_the_order_of_registration() {
    on_every_engine(|| {
        spawn(async {
            let (read, _write) = pipe_with_a_byte();
            let log = log();
            let first = engine::on_readable(read.as_raw_fd(), noting(&log, "first watcher"));
            let second = engine::on_readable(read.as_raw_fd(), noting(&log, "second watcher"));
            engine::on_timer(Duration::ZERO, false, noting(&log, "timer"));
            turns(1).await?;
            first.stop();
            second.stop();
            assert_eq!(
                log.borrow()[..3],
                ["timer", "first watcher", "second watcher"]
            );
            Ok(())
        })
    });
}

#[test]
fn a_callback_may_register_and_stop_anything_itself_included() {
    on_every_engine(|| {
        spawn(async {
            let (read, _write) = pipe_with_a_byte();
            let log = log();
            let (inner_log, number) = (Rc::clone(&log), read.as_raw_fd());
            engine::on_readable(number, move |event| {
                event.stop();
                inner_log.borrow_mut().push("outer");
                let logging = Rc::clone(&inner_log);
                engine::on_readable(number, move |event| {
                    event.stop();
                    logging.borrow_mut().push("inner");
                });
            });
            turns(4).await?;
            assert_eq!(*log.borrow(), ["outer", "inner"]);
            Ok(())
        })
    });
}

#[test]
fn fake_io_calls_the_watchers_of_both_directions_at_once() {
    on_every_engine(|| {
        let (read, _write) = rustix::pipe::pipe().expect("a pipe");
        let log = log();
        let reading = engine::on_readable(read.as_raw_fd(), noting(&log, "readable"));
        let writing = engine::on_writable(read.as_raw_fd(), noting(&log, "writable"));
        engine::fake_io(read.as_raw_fd());
        reading.stop();
        writing.stop();
        engine::fake_io(read.as_raw_fd());
        assert_eq!(*log.borrow(), ["readable", "writable"]);
        lwt_core::return_unit()
    });
}

#[test]
fn a_callback_that_makes_itself_fire_is_not_called_inside_itself() {
    on_every_engine(|| {
        let (read, _write) = rustix::pipe::pipe().expect("a pipe");
        let calls = Rc::new(Cell::new(0));
        let (counting, number) = (Rc::clone(&calls), read.as_raw_fd());
        let event = engine::on_readable(number, move |_| {
            counting.set(counting.get() + 1);
            engine::fake_io(number);
        });
        engine::fake_io(number);
        event.stop();
        assert_eq!(calls.get(), 1);
        lwt_core::return_unit()
    });
}

#[test]
fn counts_tell_what_is_registered() {
    check(|| {
        let (readable, writable, timers) = (
            engine::readable_count(),
            engine::writable_count(),
            engine::timer_count(),
        );
        let (read, write) = rustix::pipe::pipe()?;
        let events = [
            engine::on_readable(read.as_raw_fd(), |_| ()),
            engine::on_readable(read.as_raw_fd(), |_| ()),
            engine::on_writable(write.as_raw_fd(), |_| ()),
            engine::on_timer(ms(5), false, |_| ()),
        ];
        assert_eq!(engine::readable_count(), readable + 2);
        assert_eq!(engine::writable_count(), writable + 1);
        assert_eq!(engine::timer_count(), timers + 1);
        events.iter().for_each(Event::stop);
        assert_eq!(engine::timer_count(), timers);
        Ok(())
    });
}

#[test]
fn a_fired_timer_is_no_longer_counted() {
    check(|| {
        Builder::new().virtual_time(0).run(|| {
            let before = engine::timer_count();
            let event = engine::on_timer(ms(5), false, |_| ());
            sleep(ms(6)).map(move |()| {
                assert!(!event.is_active());
                assert_eq!(engine::timer_count(), before);
            })
        })
    });
}

#[test]
fn a_panic_of_a_callback_goes_to_the_hook_and_the_others_are_called() {
    on_every_engine(|| {
        spawn(async {
            let seen = Rc::new(Cell::new(0));
            let counting = Rc::clone(&seen);
            let former = lwt_core::set_async_exception_hook(move |error| {
                assert!(error.is_panic());
                counting.set(counting.get() + 1);
            });
            let log = log();
            let quiet = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| ()));
            engine::on_timer(Duration::ZERO, false, |_| panic!("a bad callback"));
            engine::on_timer(Duration::ZERO, false, noting(&log, "a good one"));
            turns(2).await?;
            std::panic::set_hook(quiet);
            lwt_core::set_async_exception_hook(move |error| former(error));
            assert_eq!((seen.get(), log.borrow().len()), (1, 1));
            Ok(())
        })
    });
}

/// ENG-4, with our difference 9: handles keep working, and timers keep their *remaining* time.
#[test]
fn replacing_the_engine_moves_everything_and_keeps_the_remaining_time() {
    check(|| {
        Builder::new().virtual_time(1).run(|| {
            spawn(async {
                let (read, write) = rustix::pipe::pipe()?;
                let log = log();
                let watcher = engine::on_readable(read.as_raw_fd(), noting(&log, "readable"));
                let stopped = engine::on_readable(read.as_raw_fd(), noting(&log, "stopped"));
                let long = sleep(ms(100));
                sleep(ms(60)).await?;

                let former = engine::set(Box::new(VirtualTime::seeded(9)))?;
                assert_eq!(former.name(), "virtual time");
                assert_eq!(loop_time(), Duration::ZERO, "another clock");
                stopped.stop();
                long.await?;
                assert_eq!(loop_time(), ms(40), "what remained of the hundred");

                rustix::io::write(&write, b"x").expect("room for a byte");
                turns(2).await?;
                watcher.stop();
                assert!(
                    log.borrow().iter().all(|what| *what == "readable") && !log.borrow().is_empty()
                );
                Ok(())
            })
        })
    });
}

#[test]
fn the_engine_may_be_replaced_from_inside_a_callback() {
    check(|| {
        Builder::new().virtual_time(1).run(|| {
            let second = engine::on_timer(ms(5), false, |_| ());
            engine::on_timer(ms(5), false, move |_| {
                assert!(!second.is_active(), "it fired before");
                engine::set(Box::new(VirtualTime::new())).expect("the engine does not wait now");
            });
            sleep(ms(5)).bind(|()| sleep(ms(5)))
        })
    });
}

/// A descriptor that the engine reports as not open: its owner hears of it, nobody else does.
#[test]
fn a_descriptor_that_is_not_open_is_reported_to_its_owner_only() {
    on_every_engine(|| {
        spawn(async {
            let (read, _write) = rustix::pipe::pipe()?;
            let log = log();
            let innocent = engine::on_readable(read.as_raw_fd(), noting(&log, "innocent"));
            let bad = engine::on_readable(800_000, {
                let log = Rc::clone(&log);
                move |event| {
                    event.stop();
                    log.borrow_mut().push("bad");
                }
            });
            turns(3).await?;
            innocent.stop();
            assert_eq!(*log.borrow(), ["bad"]);
            assert!(!bad.is_active());
            Ok(())
        })
    });
}

/// `iter` outside a run: the engine alone.
#[test]
fn one_turn_of_the_engine_can_be_asked_for() -> Result<()> {
    let _limit = common::limited();
    let log = log();
    engine::on_timer(Duration::ZERO, false, noting(&log, "timer"));
    engine::iter(true)?;
    engine::iter(false)?;
    assert_eq!(*log.borrow(), ["timer"]);
    Ok(())
}
