//! How many of everything there are on this operating-system thread: taken before a test and after it.

use std::fmt;

use crate::scheduler;
use crate::unix;

/// The names of what is counted, in the order of [`Census::numbers`].
const NAMES: [(&str, &str); 7] = [
    ("promise, thread or waiter", "promises, threads or waiters"),
    ("paused thread", "paused threads"),
    ("waker in foreign hands", "wakers in foreign hands"),
    (
        "source that keeps the loop alive",
        "sources that keep the loop alive",
    ),
    ("timer", "timers"),
    ("watcher", "watchers"),
    ("descriptor", "descriptors"),
];

/// One count of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    numbers: [usize; NAMES.len()],
}

/// What there is more of than before. Printed as `2 paused threads, 1 timer`.
///
/// Less is no fault of a test: something that an earlier one left behind on this operating-system thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    numbers: [usize; NAMES.len()],
}

impl Census {
    /// Counts.
    pub(super) fn take() -> Self {
        let core = scheduler::counters();
        let unix = unix::counters();
        Census {
            numbers: [
                core.cells,
                core.paused,
                core.foreign_wakers,
                core.kept_alive,
                unix.timers,
                unix.watchers,
                unix.descriptors,
            ],
        }
    }

    /// What has been added since an earlier count.
    pub(super) fn since(self, before: Census) -> Growth {
        let mut numbers = self.numbers;
        for (number, before) in numbers.iter_mut().zip(before.numbers) {
            *number = number.saturating_sub(before);
        }
        Growth { numbers }
    }
}

impl Growth {
    /// Whether nothing has been added.
    pub(super) fn is_empty(self) -> bool {
        self.numbers.iter().all(|number| *number == 0)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grown = self
            .numbers
            .into_iter()
            .zip(NAMES)
            .filter(|(number, _)| *number > 0);
        for (index, (number, (one, many))) in grown.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let name = if number == 1 { one } else { many };
            write!(f, "{comma}{number} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_reads_as_a_sentence() {
        let mut before = Census {
            numbers: [3; NAMES.len()],
        };
        let mut after = before;
        assert!(after.since(before).is_empty());
        assert_eq!(after.since(before).to_string(), "");
        before.numbers[6] = 4;
        after.numbers[0] = 5;
        after.numbers[4] = 4;
        let growth = after.since(before);
        assert!(!growth.is_empty());
        assert_eq!(
            growth.to_string(),
            "2 promises, threads or waiters, 1 timer"
        );
    }
}
