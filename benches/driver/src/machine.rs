//! Where and when the figures were taken.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::process::answer_of;
use crate::runtimes::{Runtime, benches_directory};

/// A description of the machine, the moment, and what was compared.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Year-month-day, in universal time.
    pub date: String,
    /// Hour:minute, in universal time.
    pub time: String,
    /// The processor's own name for itself.
    pub processor: String,
    /// How many of them we may use.
    pub processors: usize,
    /// In GiB.
    pub memory_gib: u64,
    /// System and kernel.
    pub system: String,
    /// The compiler.
    pub rust: String,
    /// Our commit, with a mark if the files differ from it.
    pub commit: String,
    /// Each runtime's name and the versions of what it stands for.
    pub versions: Vec<(&'static str, Vec<(String, String)>)>,
}

impl Machine {
    /// This machine, now.
    pub fn here(runtimes: &[Runtime]) -> Machine {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |passed| passed.as_secs());
        let (year, month, day) = civil_date(seconds / 86_400);
        let unknown = || "unknown".to_owned();
        Machine {
            date: format!("{year:04}-{month:02}-{day:02}"),
            time: format!("{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60),
            processor: field_of("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: field_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok())
                .map_or(0, |kib| kib.div_ceil(1 << 20)),
            system: answer_of("uname", &["-sr"]).unwrap_or_else(unknown),
            rust: answer_of("rustc", &["--version"]).unwrap_or_else(unknown),
            commit: commit().unwrap_or_else(unknown),
            versions: runtimes
                .iter()
                .map(|runtime| (runtime.name, runtime.versions()))
                .collect(),
        }
    }
}

fn commit() -> Option<String> {
    let directory = benches_directory().display().to_string();
    answer_of(
        "git",
        &["-C", &directory, "describe", "--always", "--dirty"],
    )
}

/// The first `name : value` line of a file.
fn field_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil_date(day: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, day);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(59), (1970, 3, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(20_779), (2026, 11, 22));
        assert_eq!(civil_date(20_453), (2025, 12, 31));
    }
}
