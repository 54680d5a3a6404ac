//! Child processes: benchmark programs with a time limit, and small helpers of the system.

use std::process::{Command, Stdio};

/// No single run takes longer than this; one that does is recorded as a failure.
const LIMIT_SECONDS: &str = "60";

/// Runs a command under the time limit and gives its standard output and standard error, or says how it failed.
pub fn run_limited(command: &[String]) -> Result<(String, String), String> {
    let output = Command::new("timeout")
        // Some block the polite signal.
        .args(["--kill-after=5", LIMIT_SECONDS])
        .args(command)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start timeout: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), errors));
    }
    Err(match output.status.code() {
        Some(124 | 137) => format!("over {LIMIT_SECONDS} s"),
        _ => {
            // Neither valgrind's own lines nor what a panic says about backtraces.
            let is_message = |line: &&str| {
                !line.trim().is_empty() && !line.starts_with("==") && !line.starts_with("note:")
            };
            let last = errors
                .lines()
                .rev()
                .find(is_message)
                .unwrap_or("no message");
            format!("{}: {}", output.status, last.trim())
        }
    })
}

/// The standard output of a command that is expected to work; `None` if it does not, or does not exist.
pub fn answer_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
