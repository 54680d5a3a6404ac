//! Instructions per operation, by valgrind: the difference of two sizes.
//!
//! Counting is free of noise, so the runs share the machine: one worker per processor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::Workload;

use crate::options::Options;
use crate::process::run_limited;
use crate::results::Results;
use crate::runtimes::Runtime;
use crate::tools::VALGRIND;

/// Counts every chosen workload of every runtime and variant.
pub fn run(options: &Options, runtimes: &[Runtime], results: &mut Results) -> Result<(), String> {
    VALGRIND.ensure(options.install)?;
    let jobs: Vec<(Workload, &Runtime, &'static str)> = crate::runs(options, runtimes)
        .into_iter()
        .flat_map(|(workload, runtimes)| {
            runtimes.into_iter().map(move |runtime| (workload, runtime))
        })
        .flat_map(|(workload, runtime)| {
            runtime
                .variants
                .iter()
                .map(move |&variant| (workload, runtime, variant))
        })
        .filter(|(workload, ..)| workload.is_countable())
        .filter(|(workload, runtime, variant)| {
            let entry = results.entry(*workload, runtime.name, variant);
            entry.instructions.is_none()
        })
        .collect();
    eprintln!("counting instructions: {} programs", jobs.len());
    let next = AtomicUsize::new(0);
    let shared = Mutex::new(results);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(&(workload, runtime, variant)) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let counted = count(runtime, variant, workload);
                    let mut results = shared
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner());
                    let measured = results.entry(workload, runtime.name, variant);
                    match counted {
                        Ok((instructions, output)) => {
                            measured.instructions = instructions;
                            measured.take_in(Ok(&output));
                        }
                        Err(problem) => measured.take_in(Err(&problem)),
                    }
                }
            });
        }
    });
    Ok(())
}

/// Instructions per operation, and what the program printed; no number where the runtime has no form of the workload.
fn count(
    runtime: &Runtime,
    variant: &str,
    workload: Workload,
) -> Result<(Option<f64>, String), String> {
    let (small, large) = workload.sizes().counted;
    let (small_total, output) = total(runtime, variant, workload, small)?;
    let Some(small_total) = small_total else {
        return Ok((None, output));
    };
    let (Some(large_total), _) = total(runtime, variant, workload, large)? else {
        return Err("supported at one size only".to_owned());
    };
    let difference = large_total as f64 - small_total as f64;
    Ok((Some(difference / (large - small) as f64), output))
}

/// All instructions of one run, and what it printed.
fn total(
    runtime: &Runtime,
    variant: &str,
    workload: Workload,
    operations: u64,
) -> Result<(Option<u64>, String), String> {
    let valgrind = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ];
    let mut command: Vec<String> = valgrind.map(String::from).to_vec();
    command.push(runtime.program.display().to_string());
    command.extend([variant, workload.id(), &operations.to_string(), "count"].map(String::from));
    let (output, log) = run_limited(&command)?;
    if output.contains("unsupported\t") {
        return Ok((None, output));
    }
    match instructions_in(&log) {
        Some(instructions) => Ok((Some(instructions), output)),
        None => Err("valgrind gave no count".to_owned()),
    }
}

/// The total in valgrind's log: a line such as `==1== I   refs:      34,292,667`.
fn instructions_in(log: &str) -> Option<u64> {
    let line = log
        .lines()
        .find(|line| line.contains("refs:") && line.contains(" I "))?;
    let (_, number) = line.rsplit_once(':')?;
    number.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_log() {
        let log = "==12== Command: ./x\n--12-- warning: simulated LL cache\n==12== \n==12== I   refs:      34,292,667\n";
        assert_eq!(instructions_in(log), Some(34_292_667));
        assert_eq!(instructions_in("==12== killed"), None);
    }
}
