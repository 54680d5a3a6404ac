//! What this OS thread's loop holds at the moment: for tests, and for programs that watch themselves.

use crate::{descriptor, engine, job};

/// How much of each kind of resource is in use on this OS thread.
///
/// # Examples
/// ```
/// let before = lwt_unix::counters();
/// let (read, write) = lwt_unix::pipe()?;
/// assert_eq!(lwt_unix::counters().descriptors, before.descriptors + 2);
/// drop((read, write));
/// assert_eq!(lwt_unix::counters(), before);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Timers that have not fired.
    pub timers: usize,
    /// Watchers of descriptors, both directions; the loop's own bell is one once the loop has run.
    pub watchers: usize,
    /// Descriptors that exist.
    pub descriptors: usize,
    /// Jobs that have not ended.
    pub jobs: usize,
}

/// Counts the resources in use.
pub fn counters() -> Counters {
    Counters {
        timers: engine::timer_count(),
        watchers: engine::readable_count() + engine::writable_count(),
        descriptors: descriptor::live(),
        jobs: job::in_progress(),
    }
}
