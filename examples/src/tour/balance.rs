//! That nothing is left behind: everything is counted before and after.

use lwt::unix::{Counters, counters};
use lwt::{Error, Result, scheduler};

use super::screen::Screen;

/// What there was before the first chapter.
pub(super) struct Balance {
    core: scheduler::Counters,
    unix: Counters,
    descriptors: usize,
}

impl Balance {
    /// Counts, when whoever woke this thread is done with that.
    ///
    /// # Errors
    /// None of its own.
    pub(super) async fn take() -> Result<Balance> {
        lwt::pause().await?;
        Ok(Balance {
            core: scheduler::counters(),
            unix: counters(),
            descriptors: open_descriptors(),
        })
    }

    /// Counts again, and prints the differences.
    ///
    /// # Errors
    /// If there is more than before.
    pub(super) async fn check(&self, screen: &Screen) -> Result<()> {
        screen
            .chapter(
                "Left behind",
                "",
                "More than there was before the first chapter:",
            )
            .await?;
        let now = Balance::take().await?;
        let rows = [
            ("promises, and threads", now.core.cells, self.core.cells),
            (
                "wake-ups that were not delivered",
                now.core.queued,
                self.core.queued,
            ),
            ("timers", now.unix.timers, self.unix.timers),
            (
                "watchers of descriptors",
                now.unix.watchers,
                self.unix.watchers,
            ),
            ("jobs on other OS threads", now.unix.jobs, self.unix.jobs),
            (
                "descriptors, counted by the library",
                now.unix.descriptors,
                self.unix.descriptors,
            ),
            (
                "descriptors, counted by the system",
                now.descriptors,
                self.descriptors,
            ),
        ];
        let mut left_behind = Vec::new();
        for (what, now, before) in rows {
            let more = now.saturating_sub(before);
            screen.figure(what, &more.to_string()).await?;
            if more > 0 {
                left_behind.push(format!("{more} {what}"));
            }
        }
        match left_behind.is_empty() {
            true => Ok(()),
            false => Err(Error::message(format!(
                "left behind: {}",
                left_behind.join(", ")
            ))),
        }
    }
}

/// How many descriptors the process has; none where the system does not tell.
fn open_descriptors() -> usize {
    std::fs::read_dir("/dev/fd").map_or(0, Iterator::count)
}
