//! The main loop of Lwt for Rust, and what its threads wait for on Unix: time, descriptors, jobs, signals.
//!
//! ```
//! use std::time::Duration;
//! use lwt_unix::{connect, listen, run, sleep};
//!
//! let listener = listen(&"127.0.0.1:0".parse()?)?;
//! let address = listener.local_address()?;
//!
//! // One thread serves, one is a client; both run on this OS thread.
//! let server = lwt_core::spawn(async move {
//!     let (client, _) = listener.accept().await?;
//!     client.write_all(b"welcome\n").await
//! });
//! let client = lwt_core::spawn(async move {
//!     let connection = connect(&address).await?;
//!     let mut line = [0; 8];
//!     connection.read_exact(&mut line).await?;
//!     Ok(line)
//! });
//! assert_eq!(&run(lwt_core::both(server, client))?.1, b"welcome\n");
//! # Ok::<(), lwt_core::Error>(())
//! ```
//!
//! # The map
//!
//! | module        | what it is for                                                                   |
//! |---------------|----------------------------------------------------------------------------------|
//! | `main_loop`   | [`run`], hooks, exit hooks, [`Deadlock`], the bell for other OS threads           |
//! | [`engine`]    | what the loop waits with: the [`Engine`] trait, [`Poll`], [`VirtualTime`], events and timers |
//! | `time`        | [`sleep`], [`timeout`], [`with_timeout`]                                         |
//! | `descriptor`  | [`FileDescriptor`]: reading, writing, closing; pipes                              |
//! | `socket`      | [`socket()`], [`connect`], [`listen`] and the rest                                |
//! | `address`, `lookup` | [`Address`]; names to addresses                                            |
//! | [`job`]       | blocking work on worker threads                                                   |
//! | `signal`      | Ctrl-C and other signals as wake-ups                                              |
//! | `failure`     | [`SystemError`]: which call failed, on what, and why                              |
//! | `sys`         | the few system calls that need `unsafe`                                           |
//!
//! Everything here starts at once when it is called and gives a promise, except the `async fn`s that work on borrowed
//! memory: those, like every Rust future, run when they are awaited.

#![warn(missing_docs)]
#![deny(unsafe_code)]

mod address;
mod counters;
mod descriptor;
pub mod engine;
mod failure;
pub mod job;
mod lookup;
mod main_loop;
mod signal;
mod socket;
#[allow(unsafe_code)]
mod sys;
mod time;

pub use self::address::{Address, Domain, UnixAddress};
pub use self::counters::{Counters, counters};
pub use self::descriptor::{Buffer, DescriptorState, FileDescriptor, pipe, pipe_in, pipe_out};
pub use self::engine::{Engine, Event, Poll, VirtualTime};
pub use self::failure::{SystemError, error_kind, set_warning_hook};
pub use self::lookup::{AddressInfo, Lookup, getaddrinfo, resolve};
pub use self::main_loop::{
    Builder, Deadlock, ExitHookHandle, ExitHooks, at_exit, exit, exit_hooks, hooks, run,
    run_exit_hooks,
};
pub use self::signal::{Signals, interrupted, signal};
pub use self::socket::{
    Shutdown, SocketKind, connect, connect_to_host, listen, socket, socketpair,
};
pub use self::time::{auto_yield, loop_time, sleep, timeout, with_timeout, yield_now};
