//! How are thousands of connections relayed by straight code? `relay 8080 host:80`; `relay --help` says more.
//!
//! The answer is in `src/relay`: `connection.rs` is the heart of it.

use std::io::Write;
use std::process::ExitCode;

use lwt_examples::relay::{Request, USAGE, serve};

#[lwt::main]
async fn main() -> ExitCode {
    let options = match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Relay(options)) => options,
        Ok(Request::Help) => {
            // Nobody is left to tell if the help cannot be printed.
            let _ = std::io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            eprintln!("relay: {complaint}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}
