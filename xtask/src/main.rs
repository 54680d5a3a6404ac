//! The project's own commands: `cargo xtask test` runs everything that must hold before a change is done.
//!
//! The parts:
//!
//! - [`steps`]: the list of steps, in the order in which `test` runs them, and what each of them calls;
//! - [`runner`]: runs some of them, times them, and prints the summary;
//! - [`needs`]: what a step wants to find on the machine, and how to get it there;
//! - [`process`]: one child process, with a time limit and its lines on the way through;
//! - [`tally`]: how many tests passed and failed, read from what `cargo test` prints.
//!
//! Nothing here is asynchronous and nothing depends on the crates it checks: a broken crate must not keep the
//! command that shows the breakage from building.
#![allow(
    clippy::print_stdout,
    reason = "printing is what these commands are for"
)]

mod needs;
mod process;
mod runner;
mod steps;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::process::Call;
use crate::steps::{STEPS, Step};

/// What the words of the command line and the machine say about this run.
#[derive(Debug)]
pub(crate) struct Context {
    /// The directory that holds the workspace's `Cargo.toml`.
    root: PathBuf,
    /// Where cargo builds; the instrumented builds get directories of their own inside.
    target: PathBuf,
    /// Print the line of each test that passes, too.
    verbose: bool,
    /// Run the other steps after one that failed.
    keep_going: bool,
    /// Words after `--`, which go to the test binaries (a filter, `--nocapture` …).
    test_words: Vec<String>,
}

impl Context {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => root.join(directory),
            None => root.join("target"),
        };
        Context {
            root,
            target,
            verbose: false,
            keep_going: false,
            test_words: Vec::new(),
        }
    }
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "bench") {
        return bench(words.split_off(1));
    }
    let mut context = Context::new();
    if let Some(place) = words.iter().position(|word| word == "--") {
        context.test_words = words.split_off(place).split_off(1);
    }
    words.retain(|word| match word.as_str() {
        "--verbose" => {
            context.verbose = true;
            false
        }
        "--keep-going" => {
            context.keep_going = true;
            false
        }
        _ => true,
    });

    match chosen(&words) {
        Ok(Chosen::Help) => {
            print!("{}", help());
            ExitCode::SUCCESS
        }
        Ok(Chosen::Needs) => needs::install(&context, STEPS),
        Ok(Chosen::Steps(steps)) => runner::run(&context, &steps),
        Err(word) => {
            eprintln!("xtask: no command is called {word:?}\n\n{}", help());
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Chosen {
    Help,
    Needs,
    Steps(Vec<&'static Step>),
}

/// `test` and `ci` stand for all steps; any other words name the steps to run, in their own order.
fn chosen(words: &[String]) -> Result<Chosen, String> {
    let mut steps = Vec::new();
    for word in words {
        match word.as_str() {
            "help" | "--help" | "-h" => return Ok(Chosen::Help),
            "install-needs" => return Ok(Chosen::Needs),
            "test" | "ci" => steps.extend(STEPS),
            name => match STEPS.iter().find(|step| step.name == name) {
                Some(step) => steps.push(step),
                None => return Err(word.clone()),
            },
        }
    }
    if steps.is_empty() {
        return Ok(Chosen::Help);
    }
    Ok(Chosen::Steps(steps))
}

fn help() -> String {
    let mut text = String::from(
        "cargo xtask test             everything below, in this order (`ci` is the same)\n\
         cargo xtask STEP…            only these steps:\n\n",
    );
    for step in STEPS {
        text.push_str(&format!("    {:<10} {}\n", step.name, step.about));
    }
    text.push_str(
        "\ncargo xtask install-needs    install what the steps need, and nothing else\n\
         cargo xtask bench …          run the benchmarks; the words that follow go to their driver\n\n\
         --keep-going   run the other steps after one that failed\n\
         --verbose      print the line of each test that passes, too\n\
         -- WORDS…      give these words to the test binaries, such as a part of a test's name\n",
    );
    text
}

/// Hands over to the benchmarks' driver, which is a workspace of its own.
fn bench(words: Vec<String>) -> ExitCode {
    let context = Context::new();
    Call::cargo(&context)
        .words(&["run", "--quiet", "--release"])
        .words(&["--manifest-path", "benches/driver/Cargo.toml", "--"])
        .words(&words)
        .hand_over()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn test_stands_for_every_step() {
        let Ok(Chosen::Steps(steps)) = chosen(&words("test")) else {
            panic!("`test` names steps");
        };
        assert_eq!(steps.len(), STEPS.len());
    }

    #[test]
    fn steps_run_in_the_order_they_are_named() {
        let Ok(Chosen::Steps(steps)) = chosen(&words("docs fmt")) else {
            panic!("these are steps");
        };
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        assert_eq!(names, ["docs", "fmt"]);
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert_eq!(chosen(&words("fmt tset")).err().as_deref(), Some("tset"));
    }

    #[test]
    fn help_names_every_step() {
        let help = help();
        for step in STEPS {
            assert!(help.contains(step.name), "{} is missing", step.name);
        }
    }
}
