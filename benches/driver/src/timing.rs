//! CPU time per operation: rounds in which the runtimes take turns, one process each, on one processor.

use crate::options::Options;
use crate::process::{answer_of, run_limited};
use crate::results::Results;
use crate::runtimes::Runtime;

/// Times every chosen workload of every runtime and variant.
pub fn run(options: &Options, runtimes: &[Runtime], results: &mut Results) {
    let pinned = pinned_prefix();
    for (workload, runtimes) in crate::runs(options, runtimes) {
        let sizes = workload.sizes();
        let operations = if options.quick {
            sizes.quick
        } else {
            sizes.timed
        }
        .to_string();
        eprintln!("timing {}", workload.id());
        for _ in 0..options.rounds {
            for runtime in &runtimes {
                for variant in runtime.variants {
                    let measured = results.entry(workload, runtime.name, variant);
                    if measured.unsupported.is_some() || measured.failure.is_some() {
                        continue; // it would say the same again
                    }
                    let mut command = pinned.clone();
                    command.push(runtime.program.display().to_string());
                    command
                        .extend([*variant, workload.id(), &operations, "time"].map(String::from));
                    let output = run_limited(&command);
                    measured.take_in(
                        output
                            .as_ref()
                            .map(|(text, _)| text.as_str())
                            .map_err(String::as_str),
                    );
                }
            }
        }
    }
}

/// What to put before a command so that it stays on the last processor we may use; nothing where that cannot be said.
fn pinned_prefix() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let last = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .and_then(|list| list.rsplit([',', '-', '\t', ' ']).next())
        .map(str::trim)
        .filter(|processor| processor.parse::<u32>().is_ok());
    match (last, answer_of("taskset", &["--version"])) {
        (Some(processor), Some(_)) => ["taskset", "-c", processor].map(String::from).to_vec(),
        _ => Vec::new(),
    }
}
