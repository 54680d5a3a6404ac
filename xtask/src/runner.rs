//! Runs steps one after another and says what came of them.
//!
//! The first step that fails ends the run (unless `--keep-going` is given), with the line that runs it alone. A step with an unmet need is not run and
//! the others go on; the run as a whole then still fails, since something was not checked. The last lines are the
//! table of the steps and, alone on its line, `N passed, N failed`: the sum over all test binaries of all steps, where a
//! step that failed without a failing test, or was not run, counts as one failure, so that `0 failed` means that
//! everything holds.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::Context;
use crate::process::Failure;
use crate::steps::Step;
use crate::tally::Tally;

/// What came of one step.
struct Outcome {
    step: &'static Step,
    result: Result<(), Trouble>,
    tally: Tally,
    time: Duration,
}

enum Trouble {
    /// The line that says what to install.
    NotRun(String),
    /// What went wrong.
    Failed(String),
}

/// Runs the steps up to the first one that fails, and prints the summary.
pub(crate) fn run(context: &Context, steps: &[&'static Step]) -> ExitCode {
    let mut outcomes = Vec::new();
    for step in steps {
        println!("\n=== {}: {}", step.name, step.about);
        let outcome = run_step(context, step);
        let failed = matches!(outcome.result, Err(Trouble::Failed(_)));
        println!(
            "=== {}: {}, {}",
            step.name,
            verdict(&outcome),
            seconds(outcome.time)
        );
        outcomes.push(outcome);
        if failed && !context.keep_going {
            break;
        }
    }
    print!("\n{}", summary(&outcomes, steps));
    match outcomes.iter().all(|outcome| outcome.result.is_ok()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run_step(context: &Context, step: &'static Step) -> Outcome {
    let start = Instant::now();
    let unmet = step.needs.iter().find_map(|need| need.meet(context).err());
    let (result, tally) = match unmet {
        Some(line) => (Err(Trouble::NotRun(line)), Tally::default()),
        None => match (step.run)(context) {
            Ok(tally) => (Ok(()), tally),
            Err(Failure { reason, tally }) => (Err(Trouble::Failed(reason)), tally),
        },
    };
    Outcome {
        step,
        result,
        tally,
        time: start.elapsed(),
    }
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome.result {
        Ok(()) => "ok",
        Err(Trouble::NotRun(_)) => "NOT RUN",
        Err(Trouble::Failed(_)) => "FAILED",
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The table, what to do about the steps that are not well, and the sum.
fn summary(outcomes: &[Outcome], steps: &[&'static Step]) -> String {
    let mut text = format!("{:<10} {:<8} {:>9}   tests\n", "step", "result", "time");
    let mut sum = Tally::default();
    for outcome in outcomes {
        let time = seconds(outcome.time);
        let line = format!(
            "{:<10} {:<8} {time:>9}   {}",
            outcome.step.name,
            verdict(outcome),
            tests(outcome.tally)
        );
        text.push_str(line.trim_end());
        text.push('\n');
        sum += outcome.tally;
        if outcome.result.is_err() && outcome.tally.failed == 0 {
            sum.failed += 1;
        }
    }
    for step in steps.iter().skip(outcomes.len()) {
        text.push_str(&format!("{:<10} not reached\n", step.name));
    }
    let total = outcomes.iter().map(|outcome| outcome.time).sum();
    text.push_str(&format!("{:<19} {:>9}\n", "all", seconds(total)));

    for outcome in outcomes {
        let name = outcome.step.name;
        match &outcome.result {
            Ok(()) => {}
            Err(Trouble::NotRun(line)) => {
                text.push_str(&format!("{name} was not run. It {line}\n"));
            }
            Err(Trouble::Failed(reason)) => {
                text.push_str(&format!(
                    "{name} failed: {reason}. To run it alone: cargo xtask {name}\n"
                ));
            }
        }
    }
    text.push_str(&format!("\n{} passed, {} failed\n", sum.passed, sum.failed));
    text
}

fn tests(tally: Tally) -> String {
    let mut text = String::new();
    if !tally.is_empty() {
        text.push_str(&format!("{} passed", tally.passed));
    }
    if tally.failed > 0 {
        text.push_str(&format!(", {} failed", tally.failed));
    }
    if tally.ignored > 0 {
        text.push_str(&format!(", {} ignored", tally.ignored));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::STEPS;

    fn outcome(place: usize, result: Result<(), Trouble>, passed: u64) -> Outcome {
        Outcome {
            step: &STEPS[place],
            result,
            tally: Tally {
                passed,
                ..Tally::default()
            },
            time: Duration::from_millis(1_500),
        }
    }

    fn all_steps() -> Vec<&'static Step> {
        STEPS.iter().collect()
    }

    #[test]
    fn the_sum_stands_alone_on_the_last_line() {
        let text = summary(&[outcome(0, Ok(()), 7), outcome(1, Ok(()), 5)], &[]);
        assert_eq!(text.lines().next_back(), Some("12 passed, 0 failed"));
    }

    #[test]
    fn a_failing_step_says_how_to_run_it_alone() {
        let trouble = Trouble::Failed(String::from("`cargo fmt` ended with exit status: 1"));
        let text = summary(&[outcome(0, Err(trouble), 0)], &all_steps());
        assert!(text.contains("To run it alone: cargo xtask"), "{text}");
        assert!(text.contains("not reached"), "{text}");
        assert!(text.ends_with("\n0 passed, 1 failed\n"), "{text}");
    }

    #[test]
    fn a_step_with_an_unmet_need_is_not_passed_over_in_silence() {
        let trouble = Trouble::NotRun(String::from("needs curl: apt-get install curl"));
        let text = summary(&[outcome(0, Err(trouble), 0)], &[]);
        assert!(
            text.contains("was not run. It needs curl: apt-get install curl"),
            "{text}"
        );
        assert!(text.ends_with("\n0 passed, 1 failed\n"), "{text}");
    }
}
