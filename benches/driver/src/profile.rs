//! Where the instructions of our missed rows go: callgrind's own costs per operation, by source file.
//!
//! By file rather than by function: in a program that is optimised as a whole, most functions are inlined into a few, but the
//! debug information still tells which file an instruction was written in.

use std::collections::BTreeMap;

use harness::Workload;
use harness::catalogue::{ROWS, Value};

use crate::options::Options;
use crate::process::{answer_of, run_limited};
use crate::results::Results;
use crate::runtimes::{Kind, Runtime, build_directory};
use crate::verdict;

/// How many files to name.
const FILES: usize = 10;

/// The profile of one workload of ours.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Which.
    pub workload: Workload,
    /// The most expensive files: instructions per operation, and name.
    pub files: Vec<(f64, String)>,
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
            Ok(files) => profiles.push(Profile {
                workload: row.workload,
                files,
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

/// Sums the lines of callgrind_annotate's listing, such as `1,234 (5.6%)  path/file.rs:function [program]`, by file.
fn costs_in(listing: &str, operations: u64) -> Vec<(f64, String)> {
    let mut costs: BTreeMap<String, u64> = BTreeMap::new();
    for line in listing.lines() {
        if let Some((cost, file)) = cost_and_file(line) {
            *costs.entry(file).or_default() += cost;
        }
    }
    let mut costs: Vec<(f64, String)> = costs
        .into_iter()
        .map(|(file, cost)| (cost as f64 / operations as f64, file))
        .filter(|(cost, _)| *cost >= 1.0)
        .collect();
    costs.sort_by(|one, other| other.0.total_cmp(&one.0));
    costs.truncate(FILES);
    costs
}

fn cost_and_file(line: &str) -> Option<(u64, String)> {
    let (number, rest) = line.trim_start().split_once(' ')?;
    let cost = number.replace(',', "").parse().ok()?;
    let (_, place) = rest.trim_start().split_once(')')?;
    let (path, _function) = place.trim().split_once(':')?;
    // The last three parts of the path tell crate or module, and file.
    let parts: Vec<&str> = path.rsplit('/').take(3).collect();
    let parts: Vec<&str> = parts.into_iter().rev().collect();
    Some((cost, parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_becomes_costs_per_operation() {
        let listing = "2,000 (100.0%)  PROGRAM TOTALS\n\n1,500 (75.00%)  /a/b/c/cell.rs:core::wake [/x/ours]\n  \
            300 (15.0%)  /a/b/c/cell.rs:core::sleep\n  400 (20.0%)  ???:malloc\n";
        let costs = costs_in(listing, 100);
        assert_eq!(
            costs,
            [(18.0, "b/c/cell.rs".to_owned()), (4.0, "???".to_owned())]
        );
    }
}
