//! Where the instructions of our missed rows go: callgrind's functions by their own cost, per operation.

use harness::Workload;
use harness::catalogue::{ROWS, Value};

use crate::options::Options;
use crate::process::{answer_of, run_limited};
use crate::results::Results;
use crate::runtimes::{Kind, Runtime, build_directory};
use crate::verdict;

/// How many functions to name.
const FUNCTIONS: usize = 10;

/// The profile of one workload of ours.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Which.
    pub workload: Workload,
    /// The most expensive functions: instructions per operation, and name.
    pub functions: Vec<(f64, String)>,
}

/// Profiles each workload of ours that misses its target.
pub fn of_missed_rows(options: &Options, runtimes: &[Runtime], results: &Results) -> Vec<Profile> {
    let Some(ours) = runtimes.iter().find(|runtime| runtime.kind == Kind::Ours) else {
        return Vec::new();
    };
    let mut profiles: Vec<Profile> = Vec::new();
    for row in ROWS
        .into_iter()
        .filter(|row| options.wants(row.workload) && row.value == Value::Cpu)
    {
        let missed = verdict::of(&row, ours, runtimes, results).met == Some(false);
        if !missed
            || profiles
                .iter()
                .any(|profile| profile.workload == row.workload)
        {
            continue;
        }
        eprintln!("profiling {}", row.workload.id());
        match of_workload(ours, row.workload) {
            Ok(functions) => profiles.push(Profile {
                workload: row.workload,
                functions,
            }),
            Err(problem) => eprintln!("no profile of {}: {problem}", row.workload.id()),
        }
    }
    profiles
}

fn of_workload(ours: &Runtime, workload: Workload) -> Result<Vec<(f64, String)>, String> {
    let operations = workload.sizes().counted.1;
    let file = build_directory()?
        .join(format!("callgrind.{}", workload.id()))
        .display()
        .to_string();
    let mut command: Vec<String> = ["valgrind", "--tool=callgrind"].map(String::from).to_vec();
    command.push(format!("--callgrind-out-file={file}"));
    command.push(ours.program.display().to_string());
    command.extend(
        [
            ours.variants[0],
            workload.id(),
            &operations.to_string(),
            "count",
        ]
        .map(String::from),
    );
    run_limited(&command)?;
    let listing = answer_of(
        "callgrind_annotate",
        &["--inclusive=no", "--auto=no", "--threshold=100", &file],
    )
    .ok_or("callgrind_annotate failed")?;
    drop(std::fs::remove_file(&file));
    Ok(costs_in(&listing, operations))
}

/// The functions in callgrind_annotate's listing: lines such as `1,234 (5.6%)  file.rs:name [program]`. Costs of one function
/// in several files (what was inlined into it) are listed apart, as callgrind does: the file says what was inlined.
fn costs_in(listing: &str, operations: u64) -> Vec<(f64, String)> {
    let costs = listing.lines().filter_map(|line| {
        let (number, rest) = line.trim_start().split_once(' ')?;
        let cost: u64 = number.replace(',', "").parse().ok()?;
        let (_, name) = rest.trim_start().split_once(')')?;
        let name = name.trim().split(" [").next()?.trim();
        if name == "PROGRAM TOTALS" {
            return None;
        }
        Some((cost as f64 / operations as f64, shortened(name)))
    });
    costs
        .take(FUNCTIONS)
        .filter(|(cost, _)| *cost >= 1.0)
        .collect()
}

/// Only the end of the path of the file, and no hash in the name.
fn shortened(name: &str) -> String {
    let (path, function) = name.split_once(':').unwrap_or(("", name));
    let file: Vec<&str> = path.rsplit('/').take(3).collect();
    let file: Vec<&str> = file.into_iter().rev().collect();
    format!("{}: {function}", file.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_becomes_costs_per_operation() {
        let listing = "2,000 (100.0%)  PROGRAM TOTALS\n\n1,500 (75.00%)  /a/b/c/d/cell.rs:core::wake [/x/ours]\n  400 (20.0%)  ???:malloc\n";
        let costs = costs_in(listing, 100);
        assert_eq!(
            costs,
            [
                (15.0, "c/d/cell.rs: core::wake".to_owned()),
                (4.0, "???: malloc".to_owned())
            ]
        );
    }
}
