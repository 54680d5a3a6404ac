//! Cooperative light-weight threads for Rust, on one operating-system thread.
//!
//! A program of Lwt talks to the kernel, the user, the screen and the network at once, and is still written as straight
//! code: without locks, without `Send`, and without an `Arc` anywhere. A *thread* is a [`Promise<T>`](Promise), a
//! first-class value that starts running when it is made, and can be looked at, shared, bound, cancelled, picked from,
//! and awaited. It is the library of that name for OCaml, made again for Rust.
//!
//! ```
//! use std::time::Duration;
//! use lwt::unix::sleep;
//!
//! #[lwt::main]
//! async fn main() -> lwt::Result<()> {
//!     let tea = lwt::spawn(async { sleep(Duration::from_millis(3)).await?; Ok("tea") }); // is already under way
//!     let toast = sleep(Duration::from_millis(2)).map(|()| "toast");
//!     println!("{:?} are ready", lwt::both(tea, toast).await?);
//!     Ok(())
//! }
//! ```
//!
//! # The crates
//!
//! | crate | here | what it is |
//! | --- | --- | --- |
//! | `lwt` | the root | the facade: everything below under one name |
//! | `lwt-core` | the root | promises, threads, composition, cancellation, storage, mailboxes, locks, streams; no operating system in it |
//! | `lwt-syntax` | `#[lwt::main]`, `#[lwt::test]`, `#[lwt::thread]` | the procedural macros; feature `syntax` |
//! | `lwt-unix` | `lwt::unix` | engines, the main loop, time, signals, descriptors, sockets; feature `unix` |
//!
//! Both features are on unless `default-features = false` is given. With neither, the crate is the core alone and builds
//! for systems without an operating system, such as `wasm32-unknown-unknown`.
//!
//! # Where to go next
//!
//! - [`Promise`] for what can be done with a thread, [`spawn`] for how one is made from an `async` block, and
//!   [`run`] for the main loop.
//! - [`join`], [`all`], [`both`], [`choose`] and [`pick`] to wait for several threads; [`Promise::cancel`] to end one;
//!   [`Group`] to own some.
//! - [`unix`] for descriptors, sockets, timers and signals.
//! - [`correspondence`] for those who know OCaml Lwt: what became of each name.
//! - The book, in the directory `book` of the repository, is the manual.

// The text above is written for the usual features.
#![cfg_attr(not(feature = "unix"), allow(rustdoc::broken_intra_doc_links))]

// The macros name the crate as its users do; inside it, this makes the name known.
extern crate self as lwt;

#[doc(inline)]
pub use lwt_core::*;
#[cfg(feature = "syntax")]
#[doc(inline)]
pub use lwt_syntax::thread;
#[cfg(all(feature = "syntax", feature = "unix"))]
#[doc(inline)]
pub use lwt_syntax::{main, test};
#[cfg(feature = "unix")]
#[doc(inline)]
pub use lwt_unix as unix;
#[cfg(feature = "unix")]
#[doc(inline)]
pub use lwt_unix::run;

pub mod correspondence;
pub mod prelude;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
