//! The engine and the registrations of this OS thread, and one turn of waiting and dispatching.
//!
//! # A turn ([`iter`])
//!
//! 1. The engine waits: not at all, until the first timer, or without limit.
//! 2. Timers that are due fire, earliest first, equal ones in the order of creation; those that are made meanwhile
//!    wait for the next turn.
//! 3. The watchers of the descriptors that are ready are called, in the engine's order; each is looked up again just
//!    before its call, so one that was stopped meanwhile is not called. One that was registered after the wait is not
//!    called either: what is ready may be another file, under the same number.
//!
//! Each of the steps 2 and 3 is a *frame* of the scheduler: sleepers and readers are resolved there, and the threads they
//! wake run when the frame ends, not in the middle of the walk. They are two frames and not one so that a time-out which is
//! due finds a busy reader still waiting, and can cancel it; in one frame the next bytes would have saved it, every turn.
//!
//! # Borrowing
//!
//! `events` and `engine` are borrowed for single steps only, never across code of the program. While the engine
//! waits it is borrowed; a change of interest that arrives then (from the callbacks of a foreign loop) goes to `late`.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use lwt_core::{Error, Result, scheduler};

use super::events::{Action, Change, Event, Events, Key, Watcher};
use super::{Direction, Engine, Interest, Moment, Poll, Ready, Until, Wait};
use crate::{failure, job};

struct Control {
    events: RefCell<Events>,
    engine: RefCell<Box<dyn Engine>>,
    /// What the clock showed before the engine began to wait.
    before_wait: Cell<Moment>,
    /// Changes of interest that could not be told because the engine was waiting.
    late: RefCell<Vec<(RawFd, Interest)>>,
    /// Descriptors that the engine refused to watch: reported as ready in the next turn.
    refused: RefCell<Vec<Ready>>,
    /// Buffers of the dispatch, kept from turn to turn.
    ready: Cell<Vec<Ready>>,
    keys: Cell<Vec<Key>>,
}

thread_local! {
    static CONTROL: Control = Control {
        events: const { RefCell::new(Events::new()) },
        engine: RefCell::new(Box::new(Poll::new())),
        before_wait: const { Cell::new(Moment::ORIGIN) },
        late: const { RefCell::new(Vec::new()) },
        refused: const { RefCell::new(Vec::new()) },
        ready: const { Cell::new(Vec::new()) },
        keys: const { Cell::new(Vec::new()) },
    };
}

/// `None` when the OS thread is ending and its registrations are gone already.
fn with<R>(body: impl FnOnce(&Control) -> R) -> Option<R> {
    CONTROL.try_with(body).ok()
}

impl Control {
    fn tell(&self, change: Change) {
        let Some((descriptor, interest)) = change else {
            return;
        };
        let Ok(mut engine) = self.engine.try_borrow_mut() else {
            self.late.borrow_mut().push((descriptor, interest));
            return;
        };
        let told = engine.watch(descriptor, interest);
        drop(engine);
        self.refused
            .borrow_mut()
            .retain(|ready| ready.descriptor != descriptor);
        if told.is_err() && !interest.is_empty() {
            self.refused.borrow_mut().push(Ready {
                descriptor,
                interest,
            });
        }
    }

    fn tell_late_changes(&self) {
        for change in self.late.take() {
            self.tell(Some(change));
        }
    }

    fn now(&self) -> Moment {
        self.engine
            .try_borrow()
            .map_or_else(|_| self.before_wait.get(), |engine| engine.now())
    }

    /// Step 1 of a turn.
    fn wait(&self, block: bool, ready: &mut Vec<Ready>) -> Result<()> {
        ready.extend(self.refused.borrow().iter());
        let first_due = self
            .events
            .borrow_mut()
            .first_due()
            .filter(|due| *due != Moment::END);
        let until = match first_due {
            _ if !block || !ready.is_empty() => Until::Now,
            Some(due) => Until::Deadline(due),
            None => Until::Forever,
        };
        self.before_wait.set(self.now());
        let wait = Wait {
            until,
            first_timer: first_due,
            jobs_in_progress: job::in_progress(),
        };
        let waited = match self.engine.try_borrow_mut() {
            Ok(mut engine) => engine
                .wait(wait, ready)
                .map_err(|error| (engine.name(), error)),
            Err(_) => {
                return Err(Error::invalid_argument(
                    "the engine was asked to wait while it waits",
                ));
            }
        };
        self.tell_late_changes();
        waited.map_err(|(name, error)| failure::system("wait", format!("engine {name}"), error))
    }

    /// Steps 2 and 3 of a turn.
    fn dispatch(&self, ready: &[Ready]) {
        let mut keys = self.keys.take();
        self.find_watchers(ready, &mut keys);
        let now = self.now();
        let first_due = self.events.borrow_mut().first_due();
        if first_due.is_some_and(|due| due <= now) {
            scheduler::frame(|| self.fire_timers(now));
        }
        if !keys.is_empty() {
            scheduler::frame(|| self.call_watchers(&mut keys));
        }
        self.keys.set(keys);
    }

    fn fire_timers(&self, now: Moment) {
        let limit = self.events.borrow().turn_limit();
        loop {
            let due = self.events.borrow_mut().take_due_timer(now, limit);
            match due {
                None => return,
                Some((_, Action::Wake(resolver))) => resolver.resolve(()),
                Some((_, Action::Once(function))) => failure::guard(function),
                Some((key, Action::Call(watcher))) => watcher.fired(&Event::new(key), None),
            }
        }
    }

    fn find_watchers(&self, ready: &[Ready], keys: &mut Vec<Key>) {
        let events = self.events.borrow();
        for report in ready {
            events.watchers(report.descriptor, report.interest, keys);
        }
    }

    fn call_watchers(&self, keys: &mut Vec<Key>) {
        for key in keys.drain(..) {
            let watcher = self.events.borrow().watcher(key);
            if let Some((watcher, direction)) = watcher {
                watcher.fired(&Event::new(key), Some(direction));
            }
        }
    }
}

impl Event {
    /// Ends the registration: its callback is not called again, not even if it was about to be in this turn.
    ///
    /// Stopping twice, or after a timer has fired, is harmless. The callback is dropped.
    #[doc(alias = "Lwt_engine.stop_event")]
    pub fn stop(&self) {
        let action = with(|control| {
            let (action, change) = control.events.borrow_mut().stop(self.key);
            control.tell(change);
            action
        });
        // Dropped here, where nothing is borrowed: it may hold anything, the last handle of other events included.
        drop(action);
    }

    /// Lets the loop end, or report a deadlock, although this event is still registered.
    pub fn unref(&self) {
        with(|control| control.events.borrow_mut().unreference(self.key));
    }

    /// Whether the callback may still be called.
    pub fn is_active(&self) -> bool {
        with(|control| control.events.borrow().is_active(self.key)).unwrap_or(false)
    }
}

pub(crate) fn watch_descriptor(
    descriptor: RawFd,
    direction: Direction,
    watcher: Rc<dyn Watcher>,
) -> Event {
    let registered = with(|control| {
        let (key, change) =
            control
                .events
                .borrow_mut()
                .watch(descriptor, direction, Action::Call(watcher));
        control.tell(change);
        Event::new(key)
    });
    registered.unwrap_or(Event::dead())
}

pub(crate) fn timer(delay: Duration, repeat: Option<Duration>, action: Action) -> Event {
    let registered = with(|control| {
        let due = control.now() + delay;
        Event::new(control.events.borrow_mut().start_timer(due, repeat, action))
    });
    registered.unwrap_or(Event::dead())
}

/// The engine's clock at this moment.
pub(crate) fn now() -> Moment {
    with(Control::now).unwrap_or_default()
}

/// How many registrations may wake the main thread.
pub(crate) fn keeping_alive() -> usize {
    with(|control| control.events.borrow().keeping_alive()).unwrap_or(0)
}

/// Waits once with the engine of this OS thread and dispatches what happened.
///
/// With `block`, waits until a timer is due or a descriptor is ready (for ever, if there is neither); without, only
/// looks. The loop calls this once per turn; programs rarely do.
///
/// # Errors
/// When the engine cannot wait at all.
#[doc(alias = "Lwt_engine.iter")]
pub fn iter(block: bool) -> Result<()> {
    let turn = with(|control| {
        let mut ready = control.ready.take();
        let waited = control.wait(block, &mut ready);
        control.dispatch(&ready);
        ready.clear();
        control.ready.set(ready);
        waited
    });
    turn.unwrap_or(Ok(()))
}

/// Calls the watchers of a descriptor, in both directions, now, as if it were ready.
#[doc(alias = "Lwt_engine.fake_io")]
pub fn fake_io(descriptor: RawFd) {
    with(|control| {
        let ready = [Ready {
            descriptor,
            interest: Interest::BOTH,
        }];
        let mut keys = Vec::new();
        control.find_watchers(&ready, &mut keys);
        scheduler::frame(|| control.call_watchers(&mut keys));
    });
}

/// The name of the engine of this OS thread.
#[doc(alias = "Lwt_engine.id")]
pub fn name() -> &'static str {
    with(|control| {
        control
            .engine
            .try_borrow()
            .map_or("waiting", |engine| engine.name())
    })
    .unwrap_or("none")
}

/// Replaces the engine of this OS thread, at any time between two waits; returns the former one.
///
/// What is watched is watched by the new engine, every event handle keeps working, and each timer keeps its
/// *remaining* time, whatever the two clocks show. (OCaml Lwt starts the timers again with their full delay.) If the
/// new engine has a seed, the loop's random choices start again from it.
///
/// # Errors
/// When called while the engine waits (from inside an engine that runs a foreign loop).
///
/// # Examples
/// ```
/// use lwt_unix::{Poll, VirtualTime, engine};
///
/// let former = engine::set(Box::new(VirtualTime::seeded(1)))?;
/// assert_eq!(former.name(), "poll");
/// assert_eq!(engine::name(), "virtual time");
/// engine::set(former)?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_engine.set")]
#[doc(alias = "Lwt_engine.abstract#transfer")]
pub fn set(engine: Box<dyn Engine>) -> Result<Box<dyn Engine>> {
    let replaced = with(|control| {
        let Ok(mut place) = control.engine.try_borrow_mut() else {
            return Err(Error::invalid_argument(
                "the engine cannot be replaced while it waits",
            ));
        };
        let former = std::mem::replace(&mut *place, engine);
        let (from, to, seed) = (former.now(), place.now(), place.seed());
        drop(place);
        control.events.borrow_mut().move_clock(from, to);
        control.refused.borrow_mut().clear();
        let watched: Vec<_> = control.events.borrow().watched().collect();
        for change in watched {
            control.tell(Some(change));
        }
        if let Some(seed) = seed {
            scheduler::seed_random(seed);
        }
        Ok(former)
    });
    replaced.unwrap_or_else(|| Err(Error::message("this OS thread is ending")))
}

/// The number of registered readable watchers.
#[doc(alias = "Lwt_engine.readable_count")]
pub fn readable_count() -> usize {
    with(|control| control.events.borrow().readable_count()).unwrap_or(0)
}

/// The number of registered writable watchers.
#[doc(alias = "Lwt_engine.writable_count")]
pub fn writable_count() -> usize {
    with(|control| control.events.borrow().writable_count()).unwrap_or(0)
}

/// The number of timers that have neither fired for the last time nor been stopped.
#[doc(alias = "Lwt_engine.timer_count")]
pub fn timer_count() -> usize {
    with(|control| control.events.borrow().timer_count()).unwrap_or(0)
}
