//! What the benchmark programs of all runtimes have in common.
//!
//! A benchmark program runs *one* workload on *one* runtime and prints what it measured; the driver starts many of them in
//! turn. The parts, in the order in which to read them:
//!
//! - [`catalogue`]: the workloads, their sizes, and the rows of the table with their targets. Driver and programs share it.
//! - [`program`]: the command line and the output of a benchmark program, warm-up and timing.
//! - [`measure`]: clocks and memory of the process.
//! - [`runtime`]: what a runtime has to offer so that the generic workloads run on it.
//! - [`run_workload`]: the generic workloads themselves. Our own library does not use them: its program states each workload the
//!   way a user of promises would write it, with the same operations.

pub mod catalogue;
pub mod measure;
pub mod program;
pub mod runtime;
mod workloads;

pub use catalogue::Workload;
pub use program::{Plan, opaque};
pub use workloads::{Moments, run_workload};
