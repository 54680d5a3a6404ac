//! The main loop of an OS thread.
//!
//! # One turn
//!
//! 1. The enter hooks run.
//! 2. Threads that are due are resumed, at most [`Builder::turn_limit`] of them (4,096 unless set).
//! 3. The engine looks at timers and descriptors: *without waiting* if a thread is still due, or paused; else until
//!    something happens. So nothing that is always ready can starve a timer, and no timer
//!    can starve a thread.
//!    What other OS threads have posted rings the bell, which is one of the descriptors. While threads only yield and
//!    nobody waits for a timer or a descriptor, the engine looks in every 33rd turn.
//! 4. The threads that are paused are woken, each once: a pause made now waits for the next turn.
//! 5. The leave hooks run, and the loop looks whether its thread has ended.
//!
//! A thread that has ended already is answered without a turn.
//!
//! | file       | what it holds                                                             |
//! |------------|---------------------------------------------------------------------------|
//! | `run`      | the loop itself, [`run`], [`Builder`]                                      |
//! | `hooks`    | functions that run in every turn                                           |
//! | `exit`     | threads that run at the end of the program                                 |
//! | `deadlock` | when nothing can wake the thread any more                                  |
//! | `bell`     | the descriptor through which other OS threads and signals wake the engine  |

pub(crate) mod bell;
mod deadlock;
mod exit;
pub mod hooks;
mod run;

pub use self::deadlock::Deadlock;
pub use self::exit::{ExitHookHandle, ExitHooks, at_exit, exit, exit_hooks, run_exit_hooks};
pub use self::run::{Builder, run};
