//! How many tests ran, read from the closing line that each test binary prints under `cargo test`.
//!
//! The line reads `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s`,
//! for unit, integration and documentation tests alike, also under Miri. The format has been the same for years,
//! but is promised nowhere: a step that should have run tests and shows none fails ([`Tally::is_empty`]).

use std::ops::AddAssign;

/// Sums over test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Reads one line of output; `None` for any line that closes no test binary.
    pub(crate) fn of_line(line: &str) -> Option<Tally> {
        let counts = line.trim_start().strip_prefix("test result: ")?;
        let (_verdict, counts) = counts.split_once(". ")?;
        let mut tally = Tally::default();
        for part in counts.split(';') {
            let Some((number, name)) = part.trim().split_once(' ') else {
                continue;
            };
            let place = match name {
                "passed" => &mut tally.passed,
                "failed" => &mut tally.failed,
                "ignored" => &mut tally.ignored,
                _ => continue,
            };
            *place = number.parse().ok()?;
        }
        Some(tally)
    }

    /// True if no test ran at all.
    pub(crate) fn is_empty(self) -> bool {
        self.passed + self.failed == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_closing_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        let expected = Tally {
            passed: 12,
            failed: 3,
            ignored: 1,
        };
        assert_eq!(Tally::of_line(line), Some(expected));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "",
            "test bind::ready ... ok",
            "running 3 tests",
            "test result: ok",
        ] {
            assert_eq!(Tally::of_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn sums() {
        let mut sum = Tally::default();
        assert!(sum.is_empty());
        sum += Tally {
            passed: 1,
            failed: 2,
            ignored: 3,
        };
        sum += Tally {
            passed: 1,
            failed: 1,
            ignored: 1,
        };
        let expected = Tally {
            passed: 2,
            failed: 3,
            ignored: 4,
        };
        assert_eq!(sum, expected);
    }
}
