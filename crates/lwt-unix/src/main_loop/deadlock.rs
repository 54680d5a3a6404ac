//! When nothing can wake the main thread any more.
//!
//! The sources that count: timers, watched descriptors, jobs, user signal handlers, guards of `scheduler::keep_alive`,
//! and wakers that someone outside may still hold. Those that do not: the bell, the default Ctrl-C handling, events
//! that were told [`unref`](crate::engine::Event::unref).
//!
//! Wakers live on other OS threads, so whether none is left and the inbox is empty is one question, asked under the
//! inbox's lock: such a thread posts its wake first and lets go of its waker after.

use std::error::Error as StdError;
use std::fmt;

use lwt_core::Promise;
use lwt_core::scheduler::{self, Sleeping};

use crate::engine;

/// The failure of [`run`](crate::run) when nothing is left that could ever wake the main thread.
///
/// It carries the tree of what the main thread was waiting for.
///
/// # Examples
/// ```
/// use lwt_unix::{Deadlock, run};
///
/// let error = run(lwt_core::forever::<()>()).err().expect("nobody can wake it");
/// assert!(error.is::<Deadlock>());
/// assert!(error.to_string().starts_with("deadlock"));
/// ```
#[derive(Debug)]
pub struct Deadlock {
    sleeping: Vec<Sleeping>,
}

impl Deadlock {
    pub(super) fn of<T: 'static>(main: &Promise<T>) -> Deadlock {
        Deadlock {
            sleeping: scheduler::sleeping_tree(main),
        }
    }

    /// What the main thread hangs on: the thread itself first, below it what it waits for, and so on.
    pub fn sleeping(&self) -> &[Sleeping] {
        &self.sleeping
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "deadlock: the main thread sleeps, and no timer, descriptor, job, signal handler or waker is left to wake it",
        )?;
        for sleeping in &self.sleeping {
            write!(
                formatter,
                "\n{:indent$}- {}",
                "",
                sleeping.what,
                indent = 2 + 2 * sleeping.depth
            )?;
        }
        Ok(())
    }
}

impl StdError for Deadlock {}

/// Whether something may still happen. Asked when no thread is due.
pub(super) fn something_can_wake() -> bool {
    engine::keeping_alive() > 0
        || scheduler::kept_alive() > 0
        || scheduler::has_ready()
        || scheduler::inbox().if_silent(|| ()).is_none()
}
