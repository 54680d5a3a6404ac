//! The program behind `cargo xtask bench`: builds the benchmark programs, runs us beside the others in one go, and writes a table
//! (Markdown) and the full figures (JSON).
//!
//! Two quantities are measured, in two passes:
//!
//! 1. **Instructions per operation** ([`counting`]): each program runs twice under valgrind, at two sizes, and the difference is
//!    divided by the difference of the sizes, which takes out start-up. Free of noise; the figure to steer by.
//! 2. **CPU time per operation** ([`timing`]): one process per runtime, workload and round, the runtimes taking turns within each
//!    round, all on one processor. The minimum over the rounds counts.
//!
//! The parts: [`options`] reads the command line; [`runtimes`] knows the programs and builds them; [`tools`] finds or installs what is
//! needed beside cargo; [`results`] holds what was measured; [`verdict`] compares it with the targets; [`profile`] says where the
//! instructions of a missed row go; [`machine`] describes where all this ran; [`report`] writes it down; [`earlier`] reads it again. Workloads and targets are
//! in `harness::catalogue`.

mod counting;
mod earlier;
mod machine;
mod options;
mod process;
mod profile;
mod report;
mod results;
mod runtimes;
mod timing;
mod tools;
mod verdict;

use std::process::ExitCode;

use harness::Workload;
use harness::catalogue::ROWS;

use crate::machine::Machine;
use crate::options::Options;
use crate::results::Results;
use crate::runtimes::Runtime;

fn main() -> ExitCode {
    let options = match Options::from_arguments() {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if options.list {
        for workload in Workload::ALL {
            println!("{:<18} {}", workload.id(), workload.meaning());
        }
        return Ok(());
    }
    let runtimes = runtimes::prepare(options)?;
    let mut results = Results::default();
    if let Some(file) = &options.counts_from {
        earlier::take_counts(file, &runtimes, &mut results)?;
    }
    if options.count {
        counting::run(options, &runtimes, &mut results)?;
    }
    if options.time {
        timing::run(options, &runtimes, &mut results);
    }
    let profiles = match options.profile {
        true => profile::of_missed_rows(options, &runtimes, &results),
        false => Vec::new(),
    };
    let report = report::Report {
        machine: Machine::here(&runtimes),
        options,
        runtimes: &runtimes,
        results: &results,
        profiles,
    };
    let text = report.markdown();
    println!("{text}");
    for path in report.write(&text)? {
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// The workloads that the command line asks for: those of the rows whose name it contains, in the order of the table.
fn chosen_workloads(options: &Options) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for row in ROWS {
        if options.wants(row.workload) && !workloads.contains(&row.workload) {
            workloads.push(row.workload);
        }
    }
    workloads
}

/// The workload that `runtime` runs for this one of ours.
fn counterpart(runtime: &Runtime, workload: Workload) -> Option<Workload> {
    match runtime.kind {
        runtimes::Kind::Ours => Some(workload),
        runtimes::Kind::Peer => workload.peers_run(),
        runtimes::Kind::Original => workload.original_runs(),
    }
}

/// Every (runtime, workload) that has to be run for the chosen rows, each once, ours first.
fn runs<'a>(options: &Options, runtimes: &'a [Runtime]) -> Vec<(Workload, Vec<&'a Runtime>)> {
    let chosen = chosen_workloads(options);
    Workload::ALL
        .into_iter()
        .map(|run| {
            let wanted_of = |runtime: &&Runtime| {
                chosen
                    .iter()
                    .any(|&workload| counterpart(runtime, workload) == Some(run))
            };
            (run, runtimes.iter().filter(wanted_of).collect::<Vec<_>>())
        })
        .filter(|(_, runtimes)| !runtimes.is_empty())
        .collect()
}
