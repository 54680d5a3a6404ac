//! The tour as a program: it ends well, shows what it says, and its colours are for terminals only.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the place where it did"
)]

mod common;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Process, Watch};

const LIMIT: Duration = Duration::from_secs(60);

fn start(watch: &Watch, command: &mut Command) -> Process {
    watch.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn tour(word: &str) -> Command {
    let mut tour = Command::new(env!("CARGO_BIN_EXE_tour"));
    tour.arg(word)
        .env_remove("LWT_TOUR_QUICK")
        .env_remove("NO_COLOR");
    tour
}

/// All that it prints; it must end well.
fn printed(process: &mut Process) -> String {
    let mut text = String::new();
    process
        .output
        .as_mut()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let status = process.wait();
    assert!(status.success(), "{status}: {:?}\n{text}", process.errors());
    text
}

/// The outcome of the row that begins with these words.
fn outcome<'a>(text: &'a str, row: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(row));
    line.unwrap_or_else(|| panic!("no row begins with {row:?}:\n{text}"))
        .trim()
}

fn figure(text: &str, row: &str) -> f64 {
    outcome(text, row).replace(',', "").parse().unwrap()
}

#[test]
fn it_shows_what_it_says() {
    let watch = Watch::start(LIMIT);
    let text = printed(&mut start(&watch, &mut tour("--quick")));
    assert!(!text.contains('\x1b'), "colours in a pipe");
    let chapters = text.lines().filter(|line| {
        line.get(..4)
            .is_some_and(|start| start.trim().parse::<u32>().is_ok() && start.ends_with(' '))
    });
    assert_eq!(chapters.count(), 13, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 78, "too long: {line}");
        assert_eq!(line, line.trim_end());
    }

    let rows = [
        ("t = input.read_some(1), nothing is there", "Sleep"),
        ("output.write_all(b\"a\"), and t is", "Return(\"a\")"),
        ("wakener.wakeup(42)", "Return(42)"),
        ("\"tea\" is typed, and t is", "Return(\"typed tea\")"),
        ("\"toast\" is typed, and t is", "Return(\"typed toast\")"),
        (
            "t = connect(&where_nobody_listens)",
            "Fail(ConnectionRefused)",
        ),
        (
            "t.catch(|error| return_(\"no answer\"))",
            "Return(\"no answer\")",
        ),
        ("t.cancel(), and t is", "Fail(Canceled)"),
        ("its on_cancel function was called", "true"),
        ("the waiter behind it", "Sleep"),
        ("wakener.wakeup(7), and the waiter is", "Return(7)"),
        (
            "with_timeout(50 ms, || input.read_some(1))",
            "Fail(Timeout)",
        ),
        ("that read took no byte; the next one has", "x"),
        ("first turn", "thread 1: foo  thread 2: bar  main: hum"),
        ("second turn", "thread 1: fee  thread 2: baz  main: hem"),
        ("without pause", "aaaaaaaabbbbbbbb"),
        ("lwt::pause().await after each letter", "abababababababab"),
        ("put(\"first\") and put(\"second\")", "Return(()) Sleep"),
        ("there is room for the second now: it is", "Return(())"),
        ("without a mutex", "[[[abc]]]"),
        ("each with a guard: mutex.lock().await?", "[a][b][c]"),
        ("condition.signal(\"go\")", "Return(\"go\") Sleep Sleep"),
        (
            "push 1, 2, 3; four next() calls",
            "Return(1) Return(2) Return(3) Sleep",
        ),
        (
            "its clone: four next() calls",
            "Return(1) Return(2) Return(3) Return(4)",
        ),
        ("the end of the pipe, and of the child", "exit status: 0"),
    ];
    for (row, wanted) in rows {
        assert_eq!(outcome(&text, row), wanted, "{row}");
    }
    let ends = |row, end: &str| assert!(outcome(&text, row).ends_with(end), "{row}");
    ends("join, after", "Return(100) Return(200) Return(300)");
    ends("choose, after", "Return(100) Sleep Sleep");
    ends("pick, after", "Return(100) Fail(Canceled) Fail(Canceled)");
    assert!(outcome(&text, "the search for primes").starts_with("cancelled after "));

    assert!(figure(&text, "threads launched per second") > 1_000.0);
    let bytes = figure(&text, "bytes per sleeping thread, of 200,000");
    assert!((16.0..1_000.0).contains(&bytes), "{bytes}");
    assert!(figure(&text, "switches per second") > 1_000.0);
    assert!(figure(&text, "messages per second through a mailbox") > 1_000.0);
    assert!(figure(&text, "messages per second over TCP and back") > 10.0);
    for row in [
        "promises, and threads",
        "timers",
        "watchers of descriptors",
        "jobs on other OS threads",
        "descriptors, counted by the system",
    ] {
        assert_eq!(figure(&text, row), 0.0, "{row}");
    }
}

/// Runs it with a terminal for its output, which Python's standard library can make.
fn on_a_terminal(watch: &Watch, name: &str, value: &str) -> String {
    let script =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = Command::new("python3");
    python.args(["-c", script, env!("CARGO_BIN_EXE_tour"), "--quick"]);
    python
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .env(name, value)
        .stdin(Stdio::null());
    printed(&mut start(watch, &mut python))
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let watch = Watch::start(LIMIT);
    let coloured = on_a_terminal(&watch, "LANG", "C");
    assert!(coloured.contains("\x1b[32mReturn(42)\x1b[0m"), "{coloured}");
    assert!(
        coloured.contains("\r\x1b[K"),
        "no line that changes: {coloured}"
    );
    let plain = on_a_terminal(&watch, "NO_COLOR", "1");
    assert!(
        plain.contains("Return(42)") && !plain.contains("\x1b[32m"),
        "{plain}"
    );
}

#[test]
fn it_ends_calmly_when_nobody_reads_on() {
    let watch = Watch::start(LIMIT);
    let mut process = start(&watch, tour("--quick").env("LWT_TOUR_QUICK", "1"));
    process.first_line();
    process.output = None;
    assert!(process.wait().success());
    assert_eq!(process.errors(), [""; 0]);
}

#[test]
fn an_unknown_word() {
    let watch = Watch::start(LIMIT);
    let mut process = start(&watch, &mut tour("--fast"));
    assert_eq!(process.wait().code(), Some(2));
    process.error_with(&["tour: unknown word --fast"]);
}
