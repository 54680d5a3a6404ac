//! A relay of TCP connections: whoever connects here talks to a host somewhere else.
//!
//! It shows what the library is for: thousands of conversations at once, each written as straight code.
//!
//! - [`options`](Options): what the command line says;
//! - `server`: takes connections, one thread for each, until Ctrl-C ends it in order;
//! - `connection`: one connection: two threads, one for each direction.
//!
//! # What can be relied on
//!
//! - *Half-close.* When one side has no more to say, the other side is told so, and can still answer.
//! - *Resets.* When one side is cut off, the other side sees a reset, not an orderly end.
//! - *Back-pressure.* At most one chunk per direction is here at any time, and only while it cannot be passed on: a
//!   receiver that does not read stops its sender, and an idle connection holds no buffer.
//! - *Errors* belong to their connection. They are reported on the standard error with the address of who connected; the
//!   relay goes on, also when the process runs out of descriptors.
//!
//! What it does not do: it never looks at the bytes, and it has no idle time-out. A side that is cut off while the other
//! one neither reads nor writes is noticed when the other one goes on.

mod connection;
mod options;
mod server;

pub use options::{Options, Request, USAGE};
pub use server::{relay_until, serve};
