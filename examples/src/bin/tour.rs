//! What does the library do? `cargo run --release` shows it, live, in about fifteen seconds.
//!
//! `--quick`, or `LWT_TOUR_QUICK=1`, shows the same in about two. The chapters are in `src/tour`.

use std::process::ExitCode;

use lwt_examples::tour::{Pace, Screen, run};

const USAGE: &str = "\
usage: tour [--quick]

Shows what Lwt for Rust does. With --quick, or LWT_TOUR_QUICK=1, it does not wait for the reader.
";

#[lwt::main]
async fn main() -> ExitCode {
    let mut is_quick = std::env::var_os("LWT_TOUR_QUICK").is_some_and(|value| value == "1");
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--quick" => is_quick = true,
            "--help" | "-h" => {
                eprint!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            word => {
                eprintln!("tour: unknown word {word}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let pace = if is_quick { Pace::Quick } else { Pace::Calm };
    match run(Screen::standard_output(pace)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tour: {error:#}");
            ExitCode::FAILURE
        }
    }
}
