//! The steps, in the order in which `cargo xtask test` runs them: what fails most often and costs least comes first,
//! the instrumented builds come last.
//!
//! Each step is one or two calls of cargo. Those on the everyday toolchain share one target directory; each kind of
//! instrumented build has its own below it (see [`memory`]), so that no step throws away what another one built.

mod memory;
mod tidy;

use crate::Context;
use crate::needs::Need;
use crate::process::{Call, Failure};
use crate::tally::Tally;

/// One thing to check.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(&Context) -> Result<Tally, Failure>,
}

/// All of them.
pub(crate) static STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the format of every source file",
        needs: &[Need::Component("rustfmt", "fmt")],
        run: fmt,
    },
    Step {
        name: "tidy",
        about: "the rules of the project that no other tool knows",
        needs: &[],
        run: tidy::run,
    },
    Step {
        name: "clippy",
        about: "lints of all targets; a warning is an error",
        needs: &[Need::Component("clippy", "clippy")],
        run: clippy,
    },
    Step {
        name: "docs",
        about: "the documentation, its links and lints; a warning is an error",
        needs: &[],
        run: docs,
    },
    Step {
        name: "unit",
        about: "unit, scenario, property and compile-fail tests",
        needs: &[],
        run: unit,
    },
    Step {
        name: "doctest",
        about: "the examples in the documentation",
        needs: &[],
        run: doctest,
    },
    Step {
        name: "book",
        about: "every code block of the book and of the README",
        needs: &[],
        run: book,
    },
    Step {
        name: "examples",
        about: "the tour, quickly, and the programs with real peers",
        needs: &[
            Need::Program("curl", "curl"),
            Need::Program("python3", "python3"),
        ],
        run: examples,
    },
    Step {
        name: "features",
        about: "the facade with some of its features only",
        needs: &[],
        run: features,
    },
    Step {
        name: "wasm",
        about: "the core where there is no operating system",
        needs: &[Need::Target("wasm32-unknown-unknown")],
        run: wasm,
    },
    Step {
        name: "loom",
        about: "every order in which other OS threads may touch the inbox",
        needs: &[],
        run: memory::loom,
    },
    Step {
        name: "asan",
        about: "AddressSanitizer over the tests: memory used after it is freed",
        needs: &[Need::Nightly("rustc"), Need::LinuxX86],
        run: memory::asan,
    },
    Step {
        name: "lsan",
        about: "LeakSanitizer over the tests: memory that nobody frees",
        needs: &[Need::Nightly("rustc"), Need::LinuxX86],
        run: memory::lsan,
    },
    Step {
        name: "miri",
        about: "Miri over the core's tests: any undefined behaviour",
        needs: &[Need::Nightly("miri"), Need::Nightly("rust-src")],
        run: memory::miri,
    },
];

fn fmt(context: &Context) -> Result<Tally, Failure> {
    let fmt = || Call::cargo(context).words(&["fmt", "--all", "--check"]);
    fmt().run(context)?;
    fmt()
        .words(&["--manifest-path", "benches/Cargo.toml"])
        .run(context)
}

/// Of the benchmarks only our side and the driver: the others would bring every runtime they measure.
fn clippy(context: &Context) -> Result<Tally, Failure> {
    let clippy = || Call::cargo(context).words(&["clippy", "--all-targets"]);
    clippy()
        .words(&["--workspace", "--", "--deny=warnings"])
        .run(context)?;
    clippy()
        .words(&["--manifest-path", "benches/Cargo.toml"])
        .words(&["--package=harness", "--package=ours", "--package=driver"])
        .words(&["--", "--deny=warnings"])
        .run(context)
}

fn docs(context: &Context) -> Result<Tally, Failure> {
    Call::cargo(context)
        .words(&["doc", "--workspace", "--no-deps"])
        .variable("RUSTDOCFLAGS", "--deny=warnings")
        .run(context)
}

fn unit(context: &Context) -> Result<Tally, Failure> {
    cargo_test(context)
        .words(&["--workspace", "--exclude", "lwt-examples"])
        .words(&["--lib", "--bins", "--tests"])
        .run_tests(context)
}

fn doctest(context: &Context) -> Result<Tally, Failure> {
    cargo_test(context)
        .words(&["--workspace", "--exclude", "lwt-book", "--doc"])
        .run_tests(context)
}

fn book(context: &Context) -> Result<Tally, Failure> {
    cargo_test(context)
        .words(&["--package", "lwt-book", "--doc"])
        .run_tests(context)
}

/// The tour in release, as users run it; the tests, which are many programs, in the build that is there already.
fn examples(context: &Context) -> Result<Tally, Failure> {
    Call::cargo(context)
        .words(&["run", "--release", "--bin", "tour", "--", "--quick"])
        .run(context)?;
    cargo_test(context)
        .words(&["--package", "lwt-examples"])
        .run_tests(context)
}

fn features(context: &Context) -> Result<Tally, Failure> {
    for features in ["", "syntax", "unix"] {
        Call::cargo(context)
            .words(&[
                "clippy",
                "--package",
                "lwt",
                "--lib",
                "--no-default-features",
            ])
            .words(&["--features", features, "--", "--deny=warnings"])
            .run(context)?;
    }
    Ok(Tally::default())
}

fn wasm(context: &Context) -> Result<Tally, Failure> {
    Call::cargo(context)
        .words(&["build", "--package", "lwt-core", "--lib"])
        .words(&["--target", "wasm32-unknown-unknown"])
        .run(context)
}

fn cargo_test(context: &Context) -> Call {
    Call::cargo(context).words(&["test", "--no-fail-fast"])
}
