//! One child process: its words, its environment, its time limit, and its lines on the way through.
//!
//! What a child writes to its standard error (cargo's progress, the compiler's messages) goes straight to ours. Its
//! standard output comes through here line by line, so that the closing lines of test binaries can be counted and the
//! lines of tests that pass can be left out. When the time limit is over, the child and everything it started
//! is killed: a test that hangs becomes a failure with a name. The child stays in our process group, so Ctrl-C at the
//! terminal reaches it as usual.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Context;
use crate::tally::Tally;

/// No call may take longer than this unless it says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A process that has not been started yet.
#[derive(Debug)]
pub(crate) struct Call {
    command: Command,
    limit: Duration,
}

/// Why a call, and with it its step, failed, and the tests it ran until then.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) tally: Tally,
}

impl Call {
    /// `program`, run in the root of the workspace.
    pub(crate) fn new(context: &Context, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command
            .current_dir(&context.root)
            // Cargo prefers these to what a step sets in RUSTFLAGS.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_RUSTFLAGS");
        Call {
            command,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Cargo of the toolchain that runs this program.
    pub(crate) fn cargo(context: &Context) -> Self {
        Call::new(context, "cargo")
    }

    /// Cargo of the nightly toolchain, building into `target/<directory>`.
    pub(crate) fn nightly_cargo(context: &Context, directory: &str) -> Self {
        Call::cargo(context)
            .word("+nightly")
            .target(context, directory)
    }

    /// Builds into a directory of its own, so that other flags do not throw away what is built already.
    pub(crate) fn target(self, context: &Context, directory: &str) -> Self {
        self.variable("CARGO_TARGET_DIR", context.target.join(directory))
            .variable("CARGO_INCREMENTAL", "0")
    }

    pub(crate) fn word(mut self, word: impl AsRef<OsStr>) -> Self {
        self.command.arg(word);
        self
    }

    pub(crate) fn words<W: AsRef<OsStr>>(mut self, words: &[W]) -> Self {
        self.command.args(words);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Kills the call when it runs for longer than this.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs tests, and fails if there was none.
    pub(crate) fn run_tests(self, context: &Context) -> Result<Tally, Failure> {
        let tally = self.with_test_words(context).run(context)?;
        some_tests(tally, context)
    }

    /// Appends the words that the command line has for test binaries.
    fn with_test_words(self, context: &Context) -> Self {
        match context.test_words.as_slice() {
            [] => self,
            words => self.word("--").words(words),
        }
    }

    /// Starts the process, shows what it prints, and waits until it has ended.
    pub(crate) fn run(self, context: &Context) -> Result<Tally, Failure> {
        self.run_and_show(context, |line| println!("{line}"))
    }

    fn run_and_show(
        mut self,
        context: &Context,
        mut show: impl FnMut(&str),
    ) -> Result<Tally, Failure> {
        let line = self.line(context);
        show(&format!("$ {line}"));
        let mut tally = Tally::default();
        let failed = |reason, tally| Err(Failure { reason, tally });

        let mut child = match self.command.stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("cannot start `{line}`: {error}"), tally),
        };
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }

        let deadline = Instant::now() + self.limit;
        let mut filter = Filter::new(context.verbose);
        let in_time = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let line = String::from_utf8_lossy(&line);
                    if let Some(more) = Tally::of_line(&line) {
                        tally += more;
                    }
                    if filter.shows(&line) {
                        show(&line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        if !in_time {
            kill_tree(child.id());
        }
        match child.wait() {
            _ if !in_time => {
                let minutes = self.limit.as_secs() / 60;
                failed(
                    format!("`{line}` was killed after {minutes} minutes"),
                    tally,
                )
            }
            Ok(status) if status.success() => Ok(tally),
            Ok(status) => failed(format!("`{line}` ended with {status}"), tally),
            Err(error) => failed(format!("`{line}` cannot be waited for: {error}"), tally),
        }
    }

    /// Runs the process with our own output and for as long as it likes; what it says in the end is what we say.
    pub(crate) fn hand_over(mut self) -> ExitCode {
        match self.command.status() {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(status) => {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                code.map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Err(error) => {
                eprintln!("xtask: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// True if the process starts and ends well; its output is thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// What the process prints, or nothing if it fails.
    pub(crate) fn output(mut self) -> String {
        match self.command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            _ => String::new(),
        }
    }

    /// The call as one would type it into a shell in the root of the workspace.
    fn line(&self, context: &Context) -> String {
        let mut line = String::new();
        for (name, value) in self.command.get_envs() {
            let Some(value) = value else { continue };
            let value = relative(Path::new(value), &context.root);
            line.push_str(&format!("{}={} ", name.to_string_lossy(), quoted(&value)));
        }
        line.push_str(&self.command.get_program().to_string_lossy());
        for word in self.command.get_args() {
            line.push(' ');
            line.push_str(&quoted(&word.to_string_lossy()));
        }
        line
    }
}

/// Runs tests side by side, as many calls as there are processors, and shows the output of each when it has ended.
/// All of them run, also after one that failed.
pub(crate) fn run_tests_together(calls: Vec<Call>, context: &Context) -> Result<Tally, Failure> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let calls = Mutex::new(calls.into_iter());
    let sum: Mutex<(Tally, Vec<String>)> = Mutex::default();
    let work = || {
        while let Some(call) = lock(&calls).next() {
            let mut shown = String::new();
            let call = call.with_test_words(context);
            let result = call.run_and_show(context, |line| shown.extend([line, "\n"]));
            let mut sum = lock(&sum);
            print!("{shown}");
            match result {
                Ok(tally) => sum.0 += tally,
                Err(failure) => {
                    sum.0 += failure.tally;
                    sum.1.push(failure.reason);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let (tally, reasons) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if reasons.is_empty() {
        return some_tests(tally, context);
    }
    Err(Failure {
        reason: reasons.join("; "),
        tally,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run of tests that ran none has gone wrong, except where the command line asks for some tests only.
fn some_tests(tally: Tally, context: &Context) -> Result<Tally, Failure> {
    if tally.is_empty() && context.test_words.is_empty() {
        let reason = String::from("no test ran");
        return Err(Failure { reason, tally });
    }
    Ok(tally)
}

/// Decides which lines of a test run are worth showing: all but those of tests that passed and the blank lines
/// between them.
struct Filter {
    verbose: bool,
    after_blank: bool,
}

impl Filter {
    fn new(verbose: bool) -> Self {
        Filter {
            verbose,
            after_blank: true,
        }
    }

    fn shows(&mut self, line: &str) -> bool {
        if self.verbose {
            return true;
        }
        if line.starts_with("test ") && line.ends_with(" ... ok") {
            return false;
        }
        let blank = line.trim().is_empty();
        let shows = !(blank && self.after_blank);
        self.after_blank = blank;
        shows
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=+:,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{word}'")
}

/// Kills a process and all its descendants, deepest last. Where there is no `/proc`, only the process itself.
fn kill_tree(process: u32) {
    let mut doomed = vec![process];
    let parents = parents();
    let mut next = 0;
    while let Some(&parent) = doomed.get(next) {
        doomed.extend(
            parents
                .iter()
                .filter(|(_, its_parent)| *its_parent == parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    let doomed = doomed.iter().map(u32::to_string);
    // The processes may have ended by themselves meanwhile: no answer of `kill` matters.
    let _ = Command::new("kill").arg("-KILL").args(doomed).status();
}

/// Every process of the machine with its parent, from `/proc`.
fn parents() -> Vec<(u32, u32)> {
    let Ok(directory) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    directory
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            Some((process, parent_in_stat(&stat)?))
        })
        .collect()
}

/// The parent in a line of `/proc/<process>/stat`, where the program's name, which may hold anything, is in brackets.
fn parent_in_stat(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::new()
    }

    #[test]
    fn a_process_that_ends_well() {
        assert!(Call::new(&context(), "true").run(&context()).is_ok());
    }

    #[test]
    fn a_process_that_fails_is_named_with_its_status() {
        let failure = Call::new(&context(), "false").run(&context()).err();
        let reason = failure.expect("`false` fails").reason;
        assert_eq!(reason, "`false` ended with exit status: 1");
    }

    #[test]
    fn a_process_that_does_not_exist() {
        let failure = Call::new(&context(), "no-such-program").run(&context());
        let reason = failure.expect_err("it cannot start").reason;
        assert!(
            reason.starts_with("cannot start `no-such-program`: "),
            "{reason}"
        );
    }

    #[test]
    fn a_process_over_its_limit_is_killed_with_its_children() {
        let call = Call::new(&context(), "sh")
            .words(&["-c", "sleep 3600; true"])
            .limit(Duration::from_millis(50));
        let reason = call.run(&context()).expect_err("it is killed").reason;
        assert!(reason.contains("was killed after"), "{reason}");
    }

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        let call = Call::new(&context(), "echo").word(line);
        let tally = call.run(&context()).expect("echo works");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (2, 0, 1));
    }

    #[test]
    fn a_step_without_tests_fails() {
        let failure = Call::new(&context(), "true").run_tests(&context()).err();
        assert_eq!(failure.expect("nothing ran").reason, "no test ran");
    }

    #[test]
    fn calls_side_by_side_are_summed_and_all_run() {
        let context = context();
        let closing = |passed| {
            let line = format!("test result: ok. {passed} passed; 0 failed; 0 ignored");
            Call::new(&context, "echo").word(line)
        };
        let calls = vec![closing(2), Call::new(&context, "false"), closing(3)];
        let failure = run_tests_together(calls, &context).expect_err("`false` fails");
        assert_eq!(failure.tally.passed, 5);
        assert_eq!(failure.reason, "`false` ended with exit status: 1");

        let tally = run_tests_together(vec![closing(2), closing(3)], &context);
        assert_eq!(tally.expect("both end well").passed, 5);
    }

    #[test]
    fn passed_tests_are_left_out() {
        let mut filter = Filter::new(false);
        assert!(!filter.shows(""));
        assert!(filter.shows("running 2 tests"));
        assert!(!filter.shows("test cancel::twice ... ok"));
        assert!(filter.shows("test cancel::thrice ... FAILED"));
        assert!(filter.shows(""));
        assert!(!filter.shows(""));
        assert!(Filter::new(true).shows("test cancel::twice ... ok"));
    }

    #[test]
    fn the_parent_is_found_behind_an_odd_name() {
        assert_eq!(parent_in_stat("12 (a) b (c) S 7 12 12 0"), Some(7));
    }

    #[test]
    fn words_with_blanks_are_quoted() {
        let context = context();
        let call = Call::new(&context, "cargo")
            .variable("RUSTFLAGS", "--cfg loom")
            .word("test");
        let line = call.line(&context);
        assert_eq!(line, "RUSTFLAGS='--cfg loom' cargo test");
    }
}
