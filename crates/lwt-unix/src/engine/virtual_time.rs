//! The engine for tests: a clock that jumps.
//!
//! Time stands still while anything is ready, and jumps to the next timer when nothing is: an hour of sleeps runs in
//! milliseconds, and every run of the same program sees the same times. Real descriptors work: they are polled, without
//! waiting, before every jump; and where no timer is set the engine waits for them like any other.
//!
//! Three rules decide between "jump" and "wait":
//!
//! 1. Something is ready: report it, the clock stands still.
//! 2. A job is with a worker thread: wait for real, the clock stands still. The job's end is certain to come, and work
//!    that is really going on takes no virtual time, however loaded the machine is.
//! 3. A timer is set: jump to it. What another process or the network may be about to send is *not* waited for (nobody
//!    knows whether it will); a test that talks to the outside gives the outside a [`grace`](VirtualTime::grace).

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
}

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
        let deadline = match wait.until {
            Until::Now => return self.poll.wait_for(Some(Duration::ZERO), ready),
            Until::Forever => return self.poll.wait_for(None, ready),
            Until::Deadline(deadline) if deadline <= self.now => {
                return self.poll.wait_for(Some(Duration::ZERO), ready);
            }
            Until::Deadline(deadline) => deadline,
        };
        let patience = if wait.jobs_in_progress > 0 {
            None
        } else {
            Some(self.grace)
        };
        self.poll.wait_for(patience, ready)?;
        let interrupted = patience.is_none();
        if ready.len() == already && !interrupted {
            self.now = deadline;
        }
        Ok(())
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }
}
