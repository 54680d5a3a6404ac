//! What the procedural macros call. Not part of the public interface: its names may change with any release.
//!
//! The macros write as little as they can; the rest is here, where it is ordinary code. [`spawn`] serves
//! `#[lwt::thread]`, [`main()`] serves `#[lwt::main]`, [`test`] serves `#[lwt::test]`. The traits say, in words of their
//! own, which results a function may have.

#[cfg(feature = "unix")]
pub mod test;

#[cfg(feature = "unix")]
use std::process::ExitCode;

use crate::{Error, Promise};

/// The result of a function under `#[lwt::thread]`: `Result<T, lwt::Error>`, by whatever name.
#[diagnostic::on_unimplemented(
    message = "a thread cannot return `{Self}`",
    label = "not a `lwt::Result`",
    note = "a function under `#[lwt::thread]` returns `lwt::Result<T>`; `?` turns other errors into `lwt::Error`"
)]
pub trait ThreadOutput: Sized {
    /// What the promise resolves to.
    type Value: 'static;

    /// Starts the body of the function.
    #[track_caller]
    fn spawn<F: Future<Output = Self> + 'static>(body: F) -> Promise<Self::Value>;
}

impl<T: 'static> ThreadOutput for Result<T, Error> {
    type Value = T;

    #[inline]
    fn spawn<F: Future<Output = Self> + 'static>(body: F) -> Promise<T> {
        crate::spawn(body)
    }
}

/// Starts the body of a function under `#[lwt::thread]`. The type of its result comes first, so that the macro can name it.
#[inline]
#[track_caller]
pub fn spawn<R, T, F>(body: F) -> Promise<T>
where
    R: ThreadOutput<Value = T>,
    F: Future<Output = R> + 'static,
{
    R::spawn(body)
}

/// The result of a function under `#[lwt::main]` or `#[lwt::test]`.
#[cfg(feature = "unix")]
#[diagnostic::on_unimplemented(
    message = "a function under `#[lwt::main]` or `#[lwt::test]` cannot return `{Self}`",
    label = "not `()`, `Result<(), E>` or `ExitCode`",
    note = "return `lwt::Result<()>`, or a `Result<T, E>` where `E: From<lwt::Error>`"
)]
pub trait Output: Sized + 'static {
    /// The result of a program whose main loop failed.
    fn of_error(error: Error) -> Self;

    /// Whether this result says by itself that something went wrong.
    fn is_failure(&self) -> bool {
        false
    }
}

#[cfg(feature = "unix")]
impl Output for () {
    /// There is nobody to give the error to: it is reported as a program reports the `Err` of its `main`.
    fn of_error(error: Error) -> Self {
        report(&error);
        std::process::exit(1)
    }
}

#[cfg(feature = "unix")]
impl Output for ExitCode {
    fn of_error(error: Error) -> Self {
        report(&error);
        ExitCode::FAILURE
    }
}

#[cfg(feature = "unix")]
impl<T: 'static, E: From<Error> + 'static> Output for Result<T, E> {
    fn of_error(error: Error) -> Self {
        Err(error.into())
    }

    fn is_failure(&self) -> bool {
        self.is_err()
    }
}

/// Runs the body of `#[lwt::main]` under the main loop, then the exit hooks.
#[cfg(feature = "unix")]
#[track_caller]
pub fn main<O, F>(body: impl FnOnce() -> F) -> O
where
    O: Output,
    F: Future<Output = O> + 'static,
{
    let start = || {
        let body = body();
        crate::spawn(async move { Ok(body.await) })
    };
    let result = match crate::unix::Builder::new().run(start) {
        // The hooks are for the end of the loop that runs already.
        Err(error) if error.is::<crate::NestedRun>() => return O::of_error(error),
        result => result,
    };
    if let Err(error) = crate::unix::run_exit_hooks() {
        report(&error);
    }
    match result {
        Ok(output) => output,
        Err(error) if error.is_panic() => error.resume(),
        Err(error) => O::of_error(error),
    }
}

/// Prints an error as a program prints the `Err` of its `main`.
#[cfg(feature = "unix")]
fn report(error: &Error) {
    eprintln!("Error: {error:?}");
}
