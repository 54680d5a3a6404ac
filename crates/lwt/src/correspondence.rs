//! For those who know OCaml Lwt: what became of each name.
//!
//! Every name of a module of OCaml Lwt has a row, with the Rust item that does its work, or *none* and the reason why
//! Rust has no need of it. The search of these pages finds the original names too: `Lwt.bind` leads to
//! [`Promise::bind`](crate::Promise::bind). Where a behaviour differs on purpose, the documentation of the item says so.
//!
//! Some things to know before the rows:
//!
//! - A promise is consumed by `bind`, `map`, `.await` and the rest, since the value moves to who asked for it. To use it
//!   twice, clone it; the value is then cloned for all but the last.
//! - *Raise* is `Err` or `?`; a panic is caught at the edge of its thread and is a failure too.
//! - Callbacks run in the order in which they were attached.
//! - `async`/`.await` takes the place of the syntax extension: `let x = promise.await?;` is `let%lwt x = promise in`, or
//!   `let* x = promise in`.
//!
//! Modules so far: `Lwt` with its submodules.
#![doc = include_str!("correspondence.md")]
