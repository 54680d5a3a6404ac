//! The portable engine: `poll(2)`.
//!
//! One array of entries, which is what the kernel takes, and an index from descriptor numbers into it. Watching and
//! forgetting are O(1) (the last entry moves into the gap); waiting is O(watched descriptors), as it must be with this
//! system call. There is no limit on the number of descriptors but the kernel's own.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::{Engine, Interest, Moment, Ready, Until, Wait};
use crate::sys::clock;
use crate::sys::polling::{self, PollEntry};

/// The place of a descriptor that is not watched.
const ABSENT: u32 = u32::MAX;

/// The engine over `poll(2)`; works on every Unix.
///
/// # Examples
/// ```
/// use lwt_unix::{Builder, Poll, sleep};
/// use std::time::Duration;
///
/// Builder::new().engine(Poll::new()).run(|| sleep(Duration::from_millis(1)))?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Default)]
#[doc(alias = "Lwt_engine.poll_based")]
#[doc(alias = "Lwt_engine.select")]
pub struct Poll {
    entries: Vec<PollEntry>,
    places: Vec<u32>,
}

impl Poll {
    /// An engine that watches nothing yet.
    pub const fn new() -> Poll {
        Poll {
            entries: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Waits for at most `timeout` (`None`: without limit) and appends what is ready, in the order of the entries.
    pub(super) fn wait_for(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        let mut left = match polling::poll(&mut self.entries, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        };
        for entry in &mut self.entries {
            if left == 0 {
                break;
            }
            if entry.revents != 0 {
                left -= 1;
                ready.push(Ready {
                    descriptor: entry.fd,
                    interest: reported(entry),
                });
                entry.revents = 0;
            }
        }
        Ok(())
    }

    fn place(&mut self, descriptor: RawFd) -> Option<&mut u32> {
        let index = usize::try_from(descriptor).ok()?;
        if index >= self.places.len() {
            self.places.resize(index + 1, ABSENT);
        }
        self.places.get_mut(index)
    }

    fn forget(&mut self, place: u32) {
        let index = place as usize;
        if index >= self.entries.len() {
            return;
        }
        self.entries.swap_remove(index);
        if let Some(moved) = self.entries.get(index).map(|entry| entry.fd)
            && let Some(its_place) = self.place(moved)
        {
            *its_place = place;
        }
    }
}

/// The directions in which an entry that the kernel has reported is ready, of those that are watched.
fn reported(entry: &PollEntry) -> Interest {
    let troubled = entry.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0;
    Interest {
        read: entry.events & libc::POLLIN != 0
            && (troubled || entry.revents & (libc::POLLIN | libc::POLLPRI) != 0),
        write: entry.events & libc::POLLOUT != 0
            && (troubled || entry.revents & libc::POLLOUT != 0),
    }
}

fn requested(interest: Interest) -> libc::c_short {
    let read = if interest.read { libc::POLLIN } else { 0 };
    let write = if interest.write { libc::POLLOUT } else { 0 };
    read | write
}

impl Engine for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn now(&self) -> Moment {
        Moment::from_nanoseconds(clock::monotonic_nanoseconds())
    }

    fn watch(&mut self, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        let next = u32::try_from(self.entries.len()).unwrap_or(ABSENT);
        let Some(place) = self.place(descriptor) else {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        };
        match (*place, interest.is_empty()) {
            (ABSENT, true) => {}
            (ABSENT, false) => {
                *place = next;
                self.entries.push(PollEntry {
                    fd: descriptor,
                    events: requested(interest),
                    revents: 0,
                });
            }
            (index, true) => {
                *place = ABSENT;
                self.forget(index);
            }
            (index, false) => {
                if let Some(entry) = self.entries.get_mut(index as usize) {
                    entry.events = requested(interest);
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, wait: Wait, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = match wait.until {
            Until::Now => Some(Duration::ZERO),
            Until::Deadline(deadline) => Some(deadline.since(self.now())),
            Until::Forever => None,
        };
        self.wait_for(timeout, ready)
    }
}

impl std::fmt::Debug for Poll {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Poll")
            .field("watched", &self.entries.len())
            .finish()
    }
}
