//! The steps that look at memory and at the order of events with other means than tests: loom, the sanitizers, Miri.
//!
//! Each is a build of its own: other flags, another toolchain. Two rules hold for all of them:
//!
//! - `--cfg lwt_no_free_lists` makes the core take every cell from the allocator and give it back at once. With free
//!   lists, memory that is used after it was freed would still be memory of ours, and no tool could see it.
//! - Each builds into `target/<step>`, so the everyday build stays as it is.
//!
//! Miri cannot call the system, so it sees the core alone; the sanitizers see the crates that do input and output, too.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Context;
use crate::process::{self, Call, Failure};
use crate::tally::Tally;

/// Sanitizers want a target named, so that build scripts and procedural macros stay without them.
const SANITIZER_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Only the tests that are written for loom: its types work nowhere else.
pub(super) fn loom(context: &Context) -> Result<Tally, Failure> {
    Call::cargo(context)
        .target(context, "loom")
        .words(&[
            "test",
            "--release",
            "--package",
            "lwt-core",
            "--lib",
            "loom_tests",
        ])
        .variable("RUSTFLAGS", "--cfg loom")
        .variable("CARGO_PROFILE_RELEASE_LTO", "off")
        .run_tests(context)
}

pub(super) fn asan(context: &Context) -> Result<Tally, Failure> {
    sanitizer(context, "address", "asan")
        // A test that leaks is for the next step to report.
        .variable(
            "ASAN_OPTIONS",
            "detect_leaks=0:detect_stack_use_after_return=1",
        )
        .run_tests(context)
}

pub(super) fn lsan(context: &Context) -> Result<Tally, Failure> {
    sanitizer(context, "leak", "lsan").run_tests(context)
}

fn sanitizer(context: &Context, sanitizer: &str, directory: &str) -> Call {
    let flags = format!(
        "-Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer --cfg lwt_no_free_lists"
    );
    Call::nightly_cargo(context, directory)
        .words(&["test", "--no-fail-fast", "--target", SANITIZER_TARGET])
        .words(&["--package", "lwt-core", "--package", "lwt-unix"])
        .words(&["--lib", "--tests"])
        .variable("RUSTFLAGS", flags)
}

/// Miri is slow and uses one processor, so the test binaries run side by side.
pub(super) fn miri(context: &Context) -> Result<Tally, Failure> {
    let miri = |words: &[&str]| {
        Call::nightly_cargo(context, "miri")
            .words(&["miri", "test", "--package", "lwt-core"])
            .words(words)
            .variable("RUSTFLAGS", "--cfg lwt_no_free_lists")
            .variable("MIRIFLAGS", "-Zmiri-strict-provenance")
            .limit(Duration::from_secs(25 * 60))
    };
    miri(&["--no-run", "--lib", "--tests"]).run(context)?;
    let mut calls = vec![
        miri(&["--no-fail-fast", "--doc"]),
        miri(&["--no-fail-fast", "--lib"]),
    ];
    for name in test_binaries(&context.root.join("crates/lwt-core/tests")) {
        calls.push(miri(&["--no-fail-fast", "--test", &name]));
    }
    process::run_tests_together(calls, context)
}

/// The names of the integration tests in a directory.
fn test_binaries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_stem()?.to_str()?.to_owned();
            path.extension()
                .is_some_and(|extension| extension == "rs")
                .then_some(name)
        })
        .collect();
    names.sort();
    names
}
