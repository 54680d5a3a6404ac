//! The core of light-weight cooperative threads: promises, and everything that needs no operating system.
//!
//! A [`Promise`] is a thread as a value. It starts running when it is made, runs as far as it can, can be looked at
//! ([`Promise::state`]), composed ([`Promise::bind`], [`join`], [`pick`], …), cancelled ([`Promise::cancel`]) and awaited.
//! Programs use the `lwt` crate, which re-exports this one at its root and adds the main loop.
//!
//! Read [`model`] for the rules, [`Promise`] for the type, [`spawn`] for `async` code.
//!
//! # Examples
//!
//! ```
//! use lwt_core::{spawn, wait, State};
//!
//! let (line, keyboard) = wait::<&str>();
//! let thread = spawn(async move {
//!     let line = line.await?;
//!     Ok(format!("You typed {line:?}"))
//! });
//! assert!(matches!(thread.state(), State::Sleep));
//! keyboard.wakeup("hello");
//! assert!(matches!(thread.state(), State::Return(text) if text == "You typed \"hello\""));
//! ```

pub mod model;

mod cancel;
mod compose;
mod condition;
mod error;
mod group;
mod hook;
mod inbox;
mod kernel;
mod mutex;
mod mvar;
mod pause;
mod promise;
mod resolver;
pub mod scheduler;
mod storage;
pub mod stream;
mod wait_queue;

pub use cancel::Canceler;
pub use compose::{
    all, apply, async_, both, catch, choose, dont_wait, fail, fail_invalid_argument, fail_with,
    finalize, iterate, join, nchoose, nchoose_split, npick, of_result, pick, return_, return_error,
    return_false, return_nil, return_none, return_ok, return_some, return_true, return_unit, spawn,
    spawn_detached, try_bind, wrap,
};
pub use condition::Condition;
pub use error::{
    Canceled, EndOfFile, Error, Failure, InvalidArgument, NestedRun, NoLoop, Panic, Result, Timeout,
};
pub use group::Group;
pub use hook::{async_exception_hook, restore_async_exception_hook, set_async_exception_hook};
pub use mutex::{Mutex, MutexGuard};
pub use mvar::Mvar;
pub use pause::{
    abandon_paused, abandon_wakeups, pause, paused_count, register_pause_notifier, wakeup_paused,
};
pub use promise::{Promise, State};
pub use resolver::{Resolver, forever, task, wait};
pub use storage::{Key, Scope};
pub use stream::Stream;
