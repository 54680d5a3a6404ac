//! The procedural macros of Lwt for Rust. Use them through the facade, as `#[lwt::main]`, `#[lwt::test]` and
//! `#[lwt::thread]`.
//!
//! The macros are thin: each turns an `async fn` into a plain one whose body is a single call into the facade
//! (`lwt::__private`), so that what happens at run time is ordinary code that can be read, stepped through and tested.
//! Nothing here knows about promises or loops.
//!
//! How the crate is cut:
//!
//! - `arguments` reads what stands between the parentheses of an attribute;
//! - `facade` finds the path under which the calling crate knows `lwt` (renamed, re-exported, or plain);
//! - `function` is an `async fn` taken apart just enough: its body stays unparsed tokens, so mistakes in it are reported
//!   by the compiler itself, at the user's own tokens;
//! - `entry` writes `main` and `test`, `thread` writes `thread`;
//! - `borrow` finds what a thread cannot borrow, and words the remedy. Read this one for the style of our error texts.
//!
//! What it does not do: it never inspects or rewrites the body of a function.

mod arguments;
mod borrow;
mod entry;
mod facade;
mod function;
mod thread;

use proc_macro::TokenStream;

/// Runs an `async fn main` as a thread under the main loop.
///
/// The function becomes a plain `fn main` that starts the thread, runs `lwt::unix::run` until it has ended, and gives its
/// result. It takes no parameters and returns `()`, an `ExitCode`, or a `Result<T, E>` with any `E: From<lwt::Error>`,
/// usually `lwt::Result<()>`. An `Err` that `main` returns is printed on standard error and makes the exit code 1, as
/// in every Rust program.
///
/// When the loop itself fails (nothing is left that could ever wake the thread: `Deadlock`; or a loop runs already on
/// this operating-system thread), that error is the result; a `main` that returns `()` or an `ExitCode` prints it, and
/// the exit code is 1. A panic of the thread goes on as a panic of `main`.
///
/// # Options
///
/// `crate = "path"`: the path of the facade, where it cannot be found in `Cargo.toml` because another crate re-exports
/// it: `#[framework::lwt::main(crate = "framework::lwt")]`. A crate that is merely renamed in `Cargo.toml` is found.
///
/// # Examples
///
/// ```
/// #[lwt::main]
/// async fn main() -> lwt::Result<()> {
///     let answer = lwt::spawn(async { Ok(42) }).await?;
///     assert_eq!(answer, 42);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::main(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Runs an `async fn` as a test: a thread under a main loop of its own, with a time limit, and with a check at the end
/// that nothing was left behind.
///
/// The test fails when
///
/// - its thread panics, or returns `Err`;
/// - it is not over after the time limit, 30 seconds unless said otherwise (the text lists what the thread is waiting for;
///   a thread that never comes back to the loop ends the whole test process, with a message);
/// - nothing is left that could ever wake the thread (`Deadlock`);
/// - afterwards there are more promises, threads, waiters, timers, watchers or descriptors than before it. Threads that
///   the test started and that are ready to go on may do so first; those that wait for something must have been ended or
///   cancelled by the test. The check is left out where the test has already failed.
///
/// # Options
///
/// - `virtual_clock`: time jumps to the next timer instead of passing, so that a test of an hour of sleeps takes
///   milliseconds and its order is reproducible;
/// - `seed = N`: the seed of the loop's random generator, which settles ties in `choose` and `pick`. Under the virtual
///   clock it is 0 unless given, else different at each run;
/// - `time_limit = "10s"`: always of real time; units `ms`, `s`, `min`, `h`;
/// - `crate = "path"`: as in [`macro@main`].
///
/// Other attributes of tests (`#[should_panic]`, `#[ignore]`) work as usual.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// #[lwt::test(virtual_clock, seed = 7, time_limit = "10s")]
/// async fn an_hour_goes_by() -> lwt::Result<()> {
///     lwt::unix::sleep(Duration::from_secs(3600)).await
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::test(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes calling an `async fn` start a thread: the function runs at once, up to its first wait, and gives its promise.
///
/// `async fn f(..) -> lwt::Result<T>` becomes `fn f(..) -> lwt::Promise<T>`, with the body given to `lwt::spawn`. A
/// Rust `async fn` does nothing until it is awaited; a thread is under way when the call returns. Generics, where
/// clauses, visibility, attributes and documentation stay as they are. It works on functions, on functions of an
/// `impl`, and in traits (where the promise makes the method fit for `dyn`).
///
/// A thread outlives the call that starts it, so it owns what it works on: `&self`, references and types with lifetimes
/// other than `'static` are refused, with the remedy in the message. `self`, `self: Rc<Self>` and owned parameters are
/// fine; type parameters need `'static`.
///
/// # Options
///
/// `crate = "path"`: as in [`macro@main`].
///
/// # Cancellation
///
/// That of `lwt::spawn`: cancelling the promise cancels what the thread is waiting for; dropping the promise lets the
/// thread go on.
///
/// # Examples
///
/// ```
/// #[lwt::thread]
/// async fn sum(left: lwt::Promise<u32>, right: lwt::Promise<u32>) -> lwt::Result<u32> {
///     Ok(left.await? + right.await?)
/// }
///
/// # fn main() -> lwt::Result<()> {
/// let (left, resolver) = lwt::wait();
/// let total = sum(left, lwt::return_(2)); // is already waiting for `left`
/// resolver.resolve(40);
/// assert_eq!(lwt::unix::run(total)?, 42);
/// # Ok(())
/// # }
/// ```
///
/// What it refuses:
///
/// ```compile_fail
/// #[lwt::thread]
/// async fn greet(name: &str) -> lwt::Result<String> { // take `String`
///     Ok(format!("hello {name}"))
/// }
/// ```
#[proc_macro_attribute]
pub fn thread(arguments: TokenStream, item: TokenStream) -> TokenStream {
    thread::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
