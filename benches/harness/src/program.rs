//! The command line and the output of a benchmark program.
//!
//! `PROGRAM VARIANT WORKLOAD OPERATIONS time|count`, where the variant chooses among several ways to run the same runtime (tokio's
//! three spawners, monoio's two drivers). With `time` the workload runs once smaller, to warm up, and once timed; with `count` it
//! runs exactly once and is not timed: the driver has an instruction counter around the whole process and subtracts two sizes.
//!
//! The answer is one `name<TAB>value` per line on standard output. A workload that this runtime cannot express answers
//! `unsupported<TAB>reason`.

use std::fmt::Display;

use crate::catalogue::Workload;
use crate::measure::{self, Instant};

/// Hides a value from the optimiser. A call of its own, the same one for every runtime.
#[inline(never)]
pub fn opaque<T>(value: T) -> T {
    std::hint::black_box(value)
}

/// What this process was asked to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which way to run the runtime; its meaning is the program's own.
    pub variant: String,
    /// What to run.
    pub workload: Workload,
    /// How many operations in all.
    pub operations: u64,
    /// Whether to warm up and time, or only to run once under a counter.
    pub timed: bool,
}

impl Plan {
    /// Reads the command line; says how to use the program and ends it where that is not possible.
    pub fn from_arguments() -> Plan {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Plan::parse(&arguments).unwrap_or_else(|problem| {
            eprintln!("{problem}\nusage: PROGRAM VARIANT WORKLOAD OPERATIONS time|count");
            std::process::exit(2)
        })
    }

    fn parse(arguments: &[String]) -> Result<Plan, String> {
        let [variant, workload, operations, mode] = arguments else {
            return Err(format!(
                "four arguments expected, {} given",
                arguments.len()
            ));
        };
        Ok(Plan {
            variant: variant.clone(),
            workload: Workload::from_id(workload)
                .ok_or_else(|| format!("unknown workload {workload:?}"))?,
            operations: operations
                .parse()
                .map_err(|_| format!("not a number of operations: {operations:?}"))?,
            timed: match mode.as_str() {
                "time" => true,
                "count" => false,
                other => return Err(format!("neither time nor count: {other:?}")),
            },
        })
    }

    /// Runs what `launch` launches for a number of operations: once to warm up and once timed, or once.
    pub async fn measure<F: Future<Output = ()>>(&self, launch: impl Fn(u64) -> F) {
        if self.timed {
            launch(self.warm_up_operations()).await;
            let start = Instant::now();
            launch(self.operations).await;
            self.report_elapsed(start);
        } else {
            launch(self.operations).await;
        }
    }

    /// An eighth of the real size, but one whole batch at least.
    fn warm_up_operations(&self) -> u64 {
        (self.operations / 8).max(self.operations.min(1_000))
    }

    fn report_elapsed(&self, start: Instant) {
        let elapsed = start.elapsed();
        report("cpu_ns", elapsed.cpu_ns as f64 / self.operations as f64);
        report("wall_ns", elapsed.wall_ns as f64 / self.operations as f64);
        report("peak_resident_bytes", measure::peak_resident_bytes());
    }
}

/// Prints one measured value.
pub fn report(name: &str, value: impl Display) {
    println!("{name}\t{value}");
}

/// Prints which primitives of the runtime the workload used.
pub fn report_means(means: &str) {
    report("means", means);
}

/// Prints that this runtime cannot express the workload, and why.
pub fn report_unsupported(reason: &str) {
    report("unsupported", reason);
}
