//! Engines: what the loop waits with.
//!
//! # The division of labour
//!
//! The *registrations* (who wants to hear of which descriptor, which timer is due when) belong to the loop, not to the
//! engine: they live in the `events` and `timers` modules and are the same code for every engine. An [`Engine`] is
//! only the back end: it keeps the set of descriptors that the kernel is to be asked about, it has a clock, and it
//! waits. That is what makes the engine replaceable while the program runs ([`set`]): the new one is told the same
//! set of descriptors, the timers are moved to its clock, and no handle that anybody holds notices.
//!
//! ```text
//!      sleep, FileDescriptor, on_readable, on_timer …
//!                    │  register / stop
//!              events + timers          one table per OS thread, indexed by descriptor number
//!                    │  watch(descriptor, interest)      │  wait(until, ready)
//!                 Engine: poll │ virtual time │ (epoll, io_uring, libev, … to come)
//! ```
//!
//! # The duties of an engine
//!
//! 1. **Level-triggered.** A descriptor that is ready is reported by every [`wait`](Engine::wait) for as long as it
//!    stays ready and watched. An engine over an edge-triggered interface has to remember what it has not yet seen
//!    go away.
//! 2. **One entry for one descriptor.** [`watch`](Engine::watch) replaces what was said before; an empty interest
//!    forgets the descriptor at once, so that its number may be closed and given to another file right after.
//! 3. **Nothing invented, nothing lost.** Only watched descriptors are reported, each at most once per wait.
//!    A hang-up or an error state is reported in the directions that are watched, because that is where the owner
//!    will find out by trying. A descriptor that is no longer open is reported to exactly its own watchers, in the
//!    directions they watch; it must not make the whole wait fail.
//! 4. **Interruptions.** A wait that a signal interrupts ends with nothing ready and without an error.
//! 5. **Time.** [`now`](Engine::now) never goes back. A wait with a deadline must not end before it unless something
//!    is ready (or a signal came), so that no timer fires early; it rounds up where the kernel is coarse.
//!    `Until::Now` never blocks; `Until::Forever` blocks until something is ready.
//! 6. **No limit lowered in silence.** The number of descriptors is limited by the kernel only.
//! 7. **No calls back.** `watch` runs no code of the program, and `wait` reports by its list only. (An engine on top of a
//!    foreign loop, whose other callbacks run inside `wait`, may be told of changes only after that wait.)
//! 8. **Deterministic order.** For the same calls and the same readiness, the order of the reports is the same.
//! 9. **Dropping frees everything** that the engine holds; the descriptors it watches are not its own.
//!
//! One suite, `tests/engine_conformance.rs`, checks these duties on every engine.

mod callback;
mod control;
mod events;
mod heap;
mod moment;
mod poll;
mod timers;
mod virtual_time;

use std::io;
use std::os::fd::RawFd;

pub use self::callback::{on_readable, on_timer, on_writable};
pub use self::control::{fake_io, iter, name, readable_count, set, timer_count, writable_count};
pub use self::events::Event;
pub use self::moment::Moment;
pub use self::poll::Poll;
pub use self::virtual_time::VirtualTime;

pub(crate) use self::control::{keeping_alive, now, timer, watch_descriptor};
pub(crate) use self::events::{Action, Watcher};

/// A back end of the loop. The duties of an implementation are listed at the top of [this module](self).
#[doc(alias = "Lwt_engine.abstract")]
#[doc(alias = "Lwt_engine.t")]
pub trait Engine: 'static {
    /// The name of the engine, for people and for choosing it ("poll", "virtual time").
    #[doc(alias = "Lwt_engine.id")]
    fn name(&self) -> &'static str;

    /// The engine's clock at this moment.
    fn now(&self) -> Moment;

    /// From now on, `interest` is what is wanted of `descriptor`; an empty interest forgets it.
    ///
    /// # Errors
    /// When the kernel refuses to watch the descriptor at all. The loop then reports it as ready, so that its owner
    /// meets the error by trying.
    fn watch(&mut self, descriptor: RawFd, interest: Interest) -> io::Result<()>;

    /// Waits as `wait` says and appends what is ready to `ready`.
    ///
    /// # Errors
    /// Only those that make waiting impossible altogether (out of memory); they end the run of the loop.
    #[doc(alias = "Lwt_engine.iter")]
    fn wait(&mut self, wait: Wait, ready: &mut Vec<Ready>) -> io::Result<()>;

    /// The seed for the loop's random choices when this engine is installed; `None` leaves the generator alone.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// Called in the child after a fork: make anew whatever is shared with the parent.
    ///
    /// # Errors
    /// Those of making it.
    #[doc(alias = "Lwt_engine.fork")]
    fn after_fork(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The directions in which a descriptor is watched, or ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Reading would not block (end of file and errors included).
    pub read: bool,
    /// Writing would not block (errors included).
    pub write: bool,
}

impl Interest {
    /// Neither direction.
    pub const NONE: Interest = Interest {
        read: false,
        write: false,
    };
    /// Reading only.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
    };
    /// Writing only.
    pub const WRITE: Interest = Interest {
        read: false,
        write: true,
    };
    /// Both directions.
    pub const BOTH: Interest = Interest {
        read: true,
        write: true,
    };

    /// Whether no direction is set.
    pub const fn is_empty(self) -> bool {
        !self.read && !self.write
    }
}

/// One report of an engine: what is ready, of the directions that were watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The descriptor.
    pub descriptor: RawFd,
    /// The directions that are ready.
    pub interest: Interest,
}

/// How long an engine waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Not at all: report what is ready.
    Now,
    /// Until this instant of the engine's clock, or something is ready.
    Deadline(Moment),
    /// Until something is ready.
    Forever,
}

/// What the loop tells an engine when it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// How long.
    pub until: Until,
    /// When the first timer is due, whatever `until` says.
    pub first_timer: Option<Moment>,
    /// How many jobs of this loop are with the worker threads. Their end will wake the loop through its bell, which is
    /// one of the watched descriptors. A virtual clock stands still meanwhile: work that is really going on takes no
    /// virtual time.
    pub jobs_in_progress: usize,
}

impl Wait {
    /// A wait without jobs in progress, whose deadline, if any, is the first timer.
    pub const fn new(until: Until) -> Wait {
        let first_timer = match until {
            Until::Deadline(deadline) => Some(deadline),
            Until::Now | Until::Forever => None,
        };
        Wait {
            until,
            first_timer,
            jobs_in_progress: 0,
        }
    }
}

/// Which side of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}
