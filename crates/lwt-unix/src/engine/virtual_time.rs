//! The engine for tests: a clock that jumps.
//!
//! Time stands still while anything is ready, and jumps to the next timer when nothing is: an hour of sleeps runs in
//! milliseconds, and every run of the same program sees the same times. Real descriptors work: they are polled, without
//! waiting, before every jump; and where no timer is set the engine waits for them like any other.
//!
//! Four rules decide between "jump" and "wait":
//!
//! 1. Something is ready: report it, the clock stands still.
//! 2. A job is with a worker thread: wait for real, the clock stands still. The job's end is certain to come, and work
//!    that is really going on takes no virtual time, however loaded the machine is.
//! 3. A timer is set: jump to it. What another process or the network may be about to send is *not* waited for (nobody
//!    knows whether it will); a test that talks to the outside gives the outside a [`grace`](VirtualTime::grace).
//! 4. Nobody stops the clock for ever: after a thousand turns in a row in which something was always ready, it jumps all
//!    the same, so that a time-out around a thread that is never idle ends it, here as in real time.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::{Engine, Interest, Moment, Poll, Ready, Until, Wait};

/// The engine with the virtual clock.
///
/// It starts at zero. When it is installed it seeds the loop's generator of random choices (the ties of `choose` and
/// `pick`), so that a run is the same every time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{Builder, VirtualTime, loop_time, sleep};
///
/// Builder::new().engine(VirtualTime::seeded(7)).run(|| sleep(Duration::from_secs(3600)).map(|()| {
///     assert_eq!(loop_time(), Duration::from_secs(3600));
/// }))?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Debug)]
pub struct VirtualTime {
    poll: Poll,
    now: Moment,
    seed: u64,
    grace: Duration,
    /// Turns in a row in which a timer was set and the clock stood still.
    busy_turns: u32,
}

/// Rule 4: after so many turns without rest the clock jumps.
const BUSY_TURNS: u32 = 1_000;

impl VirtualTime {
    /// The engine with seed 0.
    pub const fn new() -> VirtualTime {
        VirtualTime::seeded(0)
    }

    /// The engine with a seed of the caller's choice.
    pub const fn seeded(seed: u64) -> VirtualTime {
        VirtualTime {
            poll: Poll::new(),
            now: Moment::ORIGIN,
            seed,
            grace: Duration::ZERO,
            busy_turns: 0,
        }
    }

    /// Real time that a watched descriptor gets to become ready before the clock jumps; zero unless set.
    ///
    /// For tests with real peers behind the descriptors, whose answers would otherwise lose against every time-out.
    #[must_use]
    pub fn grace(self, grace: Duration) -> VirtualTime {
        VirtualTime { grace, ..self }
    }
}

impl VirtualTime {
    fn jump(&mut self, to: Moment) {
        self.now = to;
        self.busy_turns = 0;
    }

    /// The clock stands still in this turn, unless that has gone on for too long (rule 4).
    fn stay(&mut self, first_timer: Option<Moment>) {
        let Some(due) = first_timer.filter(|due| *due > self.now) else {
            self.busy_turns = 0;
            return;
        };
        self.busy_turns += 1;
        if self.busy_turns >= BUSY_TURNS {
            self.jump(due);
        }
    }
}

impl Default for VirtualTime {
    fn default() -> VirtualTime {
        VirtualTime::new()
    }
}

impl Engine for VirtualTime {
    fn name(&self) -> &'static str {
        "virtual time"
    }

    fn now(&self) -> Moment {
        self.now
    }

    fn watch(&mut self, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        self.poll.watch(descriptor, interest)
    }

    fn wait(&mut self, wait: Wait, ready: &mut Vec<Ready>) -> io::Result<()> {
        let already = ready.len();
        let jump = match wait.until {
            Until::Deadline(deadline) if deadline > self.now => Some(deadline),
            _ => None,
        };
        let holds_the_clock = wait.jobs_in_progress > 0;
        let patience = match (wait.until, jump) {
            (Until::Forever, _) => None,
            (_, Some(_)) if holds_the_clock => None,
            (_, Some(_)) => Some(self.grace),
            (_, None) => Some(Duration::ZERO),
        };
        self.poll.wait_for(patience, ready)?;
        let is_idle = ready.len() == already;
        match jump {
            // Without patience the poll can have ended for nothing but an interruption.
            Some(deadline) if is_idle && patience.is_some() => self.jump(deadline),
            _ if holds_the_clock => {}
            _ => self.stay(wait.first_timer),
        }
        Ok(())
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }
}
