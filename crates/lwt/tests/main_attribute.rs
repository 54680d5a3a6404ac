//! `#[lwt::main]`: what becomes of results, panics, failures of the loop, and exit hooks.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use lwt::Result;
use lwt::unix::Deadlock;

thread_local! {
    static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn log(entry: &'static str) {
    LOG.with_borrow_mut(|log| log.push(entry));
}

#[lwt::main]
async fn hangs() -> Result<()> {
    lwt::forever().await
}

#[lwt::main]
async fn panics() -> Result<()> {
    lwt::pause().await?;
    panic!("the words of the panic")
}

#[lwt::main]
async fn leaves_a_hook() -> Result<u32> {
    lwt::unix::at_exit(|| {
        log("hook");
        lwt::pause().map(|()| log("end of hook"))
    });
    log("body");
    Ok(42)
}

#[lwt::main]
async fn outer() -> Result<()> {
    lwt::unix::at_exit(|| lwt::pause().map(|()| log("hook of the outer loop")));
    let result = inner();
    log("end of the outer body");
    result
}

#[lwt::main]
async fn inner() -> Result<()> {
    Ok(())
}

#[test]
fn a_deadlock_is_the_result() {
    let error = hangs().expect_err("nobody wakes this");
    assert!(error.is::<Deadlock>(), "{error:?}");
}

#[test]
fn a_panic_goes_on() {
    let payload = catch_unwind(AssertUnwindSafe(panics)).expect_err("the body panics");
    assert_eq!(payload.downcast_ref(), Some(&"the words of the panic"));
}

#[test]
fn exit_hooks_run_after_the_body() {
    assert_eq!(leaves_a_hook().ok(), Some(42));
    LOG.with_borrow(|log| assert_eq!(*log, ["body", "hook", "end of hook"]));
}

#[test]
fn a_loop_inside_a_loop_is_refused_with_both_places() {
    let error = outer().expect_err("the inner loop is refused");
    assert!(error.is::<lwt::NestedRun>(), "{error:?}");
    assert_eq!(
        error.to_string().matches("main_attribute.rs:").count(),
        2,
        "{error}"
    );
}

#[lwt::main]
async fn hangs_with_nothing_to_return() {
    let _ = lwt::forever::<()>().await;
}

/// The other half of the next test: it ends the process.
#[test]
#[ignore = "run by `without_a_result_the_error_is_printed`"]
fn ends_the_process() {
    hangs_with_nothing_to_return();
}

#[test]
fn without_a_result_the_error_is_printed() {
    let program = std::env::current_exe().expect("a test knows its own file");
    let output = Command::new(program)
        .args(["--exact", "ends_the_process", "--ignored", "--nocapture"])
        .output()
        .expect("a test can be run by itself");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.starts_with("Error: ") || text.contains("\nError: "),
        "{text}"
    );
}
