//! What a function under `#[lwt::main]` may return. It may have any name; a call runs a loop of its own.

#![deny(warnings)]

use std::error::Error;
use std::process::ExitCode;

#[lwt::main]
async fn unit() {
    lwt::pause().await.expect("a pause ends");
}

#[lwt::main]
async fn exit_code() -> ExitCode {
    ExitCode::from(7)
}

#[lwt::main]
async fn with_a_value() -> lwt::Result<u32> {
    Ok(lwt::spawn(async { Ok(41) }).await? + 1)
}

#[lwt::main]
async fn boxed() -> Result<(), Box<dyn Error>> {
    Err("no".into())
}

#[lwt::main]
async fn exit_code_in_a_result() -> lwt::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

fn main() {
    unit();
    let _ = exit_code();
    assert_eq!(with_a_value().ok(), Some(42));
    assert!(boxed().is_err());
    assert!(exit_code_in_a_result().is_ok());
}
