//! The loop itself. The head of [the module](super) describes a turn.

use std::fmt;
use std::panic::Location;

use lwt_core::{Error, Promise, Result, scheduler};

use super::deadlock::{self, Deadlock};
use super::{bell, hooks};
use crate::engine::{self, Engine, VirtualTime};
use crate::{descriptor, signal};

/// Runs the main loop of this OS thread until `promise` has ended, and returns its value or its error.
///
/// Other threads that are asleep when it returns stay asleep, with their timers and descriptors, and go on in the next
/// run. A promise that has ended already is answered at once, without a turn of the loop.
///
/// # Errors
/// * The failure of `promise`.
/// * [`Deadlock`] when nothing is left that could ever wake it.
/// * [`NestedRun`](lwt_core::NestedRun) when a loop already runs on this OS thread; the outer one is unharmed. (Other
///   OS threads may run loops of their own at the same time.)
/// * A [`SystemError`](crate::SystemError) when the engine cannot wait at all.
///
/// # Panics
/// With the panic of a loop hook. (A panic inside a thread is that thread's failure.)
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let answer = lwt_unix::run(lwt_unix::sleep(Duration::from_millis(5)).map(|()| 42))?;
/// assert_eq!(answer, 42);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_main.run")]
#[doc(alias = "Lwt_unix.run")]
#[track_caller]
pub fn run<T: 'static>(promise: Promise<T>) -> Result<T> {
    if promise.is_sleeping() {
        let _entered = scheduler::enter(Location::caller())?;
        drive(promise)
    } else {
        outcome(promise)
    }
}

/// A run of the loop with settings of its own.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{Builder, loop_time, sleep};
///
/// // A year of sleep takes no time at all.
/// let year = Duration::from_secs(365 * 24 * 3600);
/// let end = Builder::new().virtual_time(42).run(|| sleep(year).map(|()| loop_time()))?;
/// assert_eq!(end, year);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until `run` is called"]
pub struct Builder {
    engine: Option<Box<dyn Engine>>,
    turn_limit: Option<usize>,
    cancel_on_interrupt: bool,
}

impl Builder {
    /// The settings of [`run`].
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Uses this engine for the run. The former one is put back afterwards; timers that are left over keep their
    /// remaining time.
    #[doc(alias = "Lwt_engine.set")]
    pub fn engine(self, engine: impl Engine) -> Builder {
        Builder {
            engine: Some(Box::new(engine)),
            ..self
        }
    }

    /// Uses a virtual clock for the run, see [`VirtualTime`].
    pub fn virtual_time(self, seed: u64) -> Builder {
        self.engine(VirtualTime::seeded(seed))
    }

    /// At most this many threads are resumed before the engine is looked at again (4,096 unless set; at least 1).
    pub fn turn_limit(self, limit: usize) -> Builder {
        Builder {
            turn_limit: Some(limit.max(1)),
            ..self
        }
    }

    /// The first Ctrl-C cancels the main thread, which can clean up; the second ends the program as usual.
    ///
    /// This does not keep the loop alive: a deadlock is still reported.
    pub fn cancel_on_interrupt(self) -> Builder {
        Builder {
            cancel_on_interrupt: true,
            ..self
        }
    }

    /// Runs the loop until the thread that `main` launches has ended. See [`run`].
    ///
    /// `main` is called when the engine is in place, so its timers count on that engine's clock.
    ///
    /// # Errors
    /// Those of [`run`].
    #[track_caller]
    pub fn run<T: 'static>(self, main: impl FnOnce() -> Promise<T>) -> Result<T> {
        let _entered = scheduler::enter(Location::caller())?;
        let _engine = self.engine.map(RestoreEngine::install).transpose()?;
        let _limit = self.turn_limit.map(RestoreLimit::install);
        let promise = lwt_core::catch(main, lwt_core::fail);
        let _interrupt = match self.cancel_on_interrupt {
            true => Some(signal::CancelOnInterrupt::start(promise.canceler())?),
            false => None,
        };
        drive(promise)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("engine", &self.engine.as_ref().map(|engine| engine.name()))
            .field("turn_limit", &self.turn_limit)
            .field("cancel_on_interrupt", &self.cancel_on_interrupt)
            .finish()
    }
}

struct RestoreEngine(Option<Box<dyn Engine>>);

impl RestoreEngine {
    fn install(engine: Box<dyn Engine>) -> Result<RestoreEngine> {
        engine::set(engine).map(|former| RestoreEngine(Some(former)))
    }
}

impl Drop for RestoreEngine {
    fn drop(&mut self) {
        if let Some(former) = self.0.take() {
            // Refused only while the engine waits, and it does not: the run is over.
            drop(engine::set(former));
        }
    }
}

struct RestoreLimit(usize);

impl RestoreLimit {
    fn install(limit: usize) -> RestoreLimit {
        let former = scheduler::turn_limit();
        scheduler::set_turn_limit(limit);
        RestoreLimit(former)
    }
}

impl Drop for RestoreLimit {
    fn drop(&mut self) {
        scheduler::set_turn_limit(self.0);
    }
}

/// Runs turns until the promise has ended; the caller has entered the loop.
pub(super) fn drive<T: 'static>(promise: Promise<T>) -> Result<T> {
    bell::installed()?;
    // What was posted before there was a bell; all later posts ring it.
    scheduler::drain_inbox();
    let mut looks_saved = 0;
    while promise.is_sleeping() {
        turn(&promise, &mut looks_saved)?;
    }
    descriptor::sweep();
    outcome(promise)
}

/// How many turns in a row may do without the engine when no timer and no descriptor is waited for: threads that only
/// yield to each other would pay a system call in every turn otherwise. The bell and signals wait no longer.
const LOOKS_SAVED: u32 = 32;

/// One turn, as the head of the module describes it.
fn turn<T: 'static>(main: &Promise<T>, looks_saved: &mut u32) -> Result<()> {
    hooks::enter_iteration().run();
    scheduler::begin_turn();
    let left_over = scheduler::run_ready(scheduler::turn_limit());
    if main.is_sleeping() {
        descriptor::sweep();
        let wait = !left_over;
        if wait && !deadlock::something_can_wake() {
            return Err(Error::from(Deadlock::of(main)));
        }
        if wait || engine::keeping_alive() > 0 || *looks_saved == LOOKS_SAVED {
            *looks_saved = 0;
            engine::iter(wait)?;
        } else {
            *looks_saved += 1;
        }
        lwt_core::wakeup_paused();
    }
    hooks::leave_iteration().run();
    Ok(())
}

/// The outcome of a promise that has ended.
fn outcome<T: 'static>(promise: Promise<T>) -> Result<T> {
    let asleep = |_| {
        Err(Error::message(
            "the main thread was still asleep when its outcome was asked for",
        ))
    };
    promise.try_take().unwrap_or_else(asleep)
}
