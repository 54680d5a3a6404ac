//! The kernel: the only part of the core that uses unsafe code, and the whole of its bookkeeping.
//!
//! Read in this order: [`cell`] (what stands behind a promise), [`waiters`] (who is told), [`ownership`] (who keeps
//! what alive), [`runtime`] (frames and the queue), [`resolve`] (resolution and tying), [`node`] (continuations),
//! [`thread`] (spawned futures), [`cancel`]. [`handle`] and [`registration`] are the two ends of waiting;
//! [`waker`] lets foreign code and other OS threads in; [`memory`] and [`extras`] are where things lie.

pub(crate) mod callback;
pub(crate) mod cancel;
pub(crate) mod cell;
pub(crate) mod extras;
pub(crate) mod handle;
pub(crate) mod memory;
pub(crate) mod node;
pub(crate) mod ownership;
pub(crate) mod registration;
pub(crate) mod resolve;
pub(crate) mod runtime;
pub(crate) mod thread;
pub(crate) mod waiters;
pub(crate) mod waker;
