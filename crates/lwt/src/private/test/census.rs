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

/// What there is more or less of than before. Printed as `2 paused threads, 1 timer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    numbers: [isize; NAMES.len()],
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

    /// The change since an earlier count.
    pub(super) fn since(self, before: Census) -> Change {
        let mut numbers = [0; NAMES.len()];
        for (change, (now, before)) in numbers
            .iter_mut()
            .zip(self.numbers.iter().zip(before.numbers))
        {
            *change = now.wrapping_sub(before).cast_signed();
        }
        Change { numbers }
    }
}

impl Change {
    /// Whether everything is back where it was.
    pub(super) fn is_empty(self) -> bool {
        self.numbers.iter().all(|number| *number == 0)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self
            .numbers
            .iter()
            .zip(NAMES)
            .filter(|(number, _)| **number != 0);
        for (index, (number, (one, many))) in changed.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let name = if *number == 1 { one } else { many };
            write!(f, "{comma}{number} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_a_sentence() {
        let mut before = Census {
            numbers: [3; NAMES.len()],
        };
        let mut after = before;
        assert!(after.since(before).is_empty());
        assert_eq!(after.since(before).to_string(), "");
        before.numbers[6] = 4;
        after.numbers[0] = 5;
        after.numbers[4] = 4;
        let change = after.since(before);
        assert!(!change.is_empty());
        assert_eq!(
            change.to_string(),
            "2 promises, threads or waiters, 1 timer, -1 descriptors"
        );
    }
}
