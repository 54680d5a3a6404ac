//! What compiles and what does not, with the words of the errors.
//!
//! Each file of `ui/pass` is a program that compiles without a warning, and runs. Each file of `ui/fail` does not
//! compile; beside it stands what the compiler says. `TRYBUILD=overwrite cargo test -p lwt --test ui` writes these texts
//! anew; look at the difference before keeping it, since where an error points is what is tested here.

#[test]
fn programs() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
