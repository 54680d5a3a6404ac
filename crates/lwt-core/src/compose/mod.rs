//! Composition: everything that makes a promise of promises (the manual's 2.1.2 and 2.1.4).

mod basic;
mod bind;
mod choose;
mod detached;
mod iterate;
mod join;

pub use basic::{
    apply, fail, fail_invalid_argument, fail_with, of_result, return_, return_error, return_false,
    return_nil, return_none, return_ok, return_some, return_true, return_unit, wrap,
};
pub use bind::{catch, finalize, try_bind};
pub use choose::{choose, nchoose, nchoose_split, npick, pick};
pub use detached::{async_, dont_wait, spawn, spawn_detached};
pub use iterate::iterate;
pub use join::{all, both, join};
