//! What compiles and what does not, with the words of the errors.
//!
//! Each file of `ui/pass` is a program that compiles without a warning, and runs. Each file of `ui/fail` does not
//! compile; beside it stands what the compiler says. `TRYBUILD=overwrite cargo test -p lwt --test ui` writes these texts
//! anew; look at the difference before keeping it, since where an error points is what is tested here.
//!
//! The words are those of the compiler named as `rust-version`; others put things differently, so with those only the
//! programs that compile are tested, and a line on standard error says so.

use std::process::Command;

/// The version that `Cargo.toml` names, such as `1.95`.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

#[test]
fn programs() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    let compiler = compiler();
    if compiler.starts_with(&format!("rustc {RUST_VERSION}.")) {
        cases.compile_fail("tests/ui/fail/*.rs");
    } else {
        eprintln!(
            "the words of errors are not tested: they are those of rustc {RUST_VERSION}, and this is {compiler}"
        );
    }
}

/// The name and version of the compiler in use.
fn compiler() -> String {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .arg("--version")
        .output()
        .expect("a test that was compiled has a compiler");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
