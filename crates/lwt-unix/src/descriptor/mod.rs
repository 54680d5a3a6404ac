//! File descriptors: pipes, sockets, terminals and files, read and written by threads.
//!
//! # How an operation runs
//!
//! 1. It is *tried at once*. A read that finds data, a write that finds room, is one system call and a promise that is
//!    born resolved: no allocation, no turn of the loop.
//! 2. If the kernel says "not now" (`EAGAIN`), it takes the last place in the *queue* of its direction. The engine
//!    watches the descriptor while a queue is not empty.
//! 3. When the engine reports the descriptor, the queue is served from the front, first come first served; an operation
//!    that still gets `EAGAIN` keeps its place.
//! 4. A caller that is served again and again without ever waiting is made to queue after 128 times in one turn of the
//!    loop, so that a busy connection cannot starve the others.
//!
//! Interrupted calls (`EINTR`) are repeated. Every descriptor made here is close-on-exec. Writing to a pipe or socket
//! whose reader is gone fails with `EPIPE`; no signal is raised.
//!
//! # Blocking descriptors
//!
//! Pipes and sockets are put into non-blocking mode at their first use. Everything else (terminals, files, and always
//! the standard input and outputs, which are shared with other processes) is left alone and read and written by jobs
//! on worker threads, one at a time for each direction; a terminal is first waited for with the engine, so that no
//! worker sits in a `read` where nothing is to be read.
//!
//! # Handles, closing, dropping
//!
//! A [`FileDescriptor`] is a shared handle: clones are the same descriptor. The kernel's descriptor is closed by
//! [`close`](FileDescriptor::close), which fails what waits on it, or when the last handle is dropped. An operation
//! that waits keeps the descriptor open.
//!
//! | file       | what it holds                                                        |
//! |------------|----------------------------------------------------------------------|
//! | `handle`   | the handle: constructors, mode, state, `close`, `abort`               |
//! | `inner`    | what handles share, its states, errors with the object's name         |
//! | `lane`     | the queue of one direction and its link to the engine                 |
//! | `transfer` | `read`, `write` and their kin                                         |
//! | `blocking` | the same by jobs                                                      |
//! | `buffer`   | owned bytes that come back after every outcome                        |
//! | `pipe`     | making pipes                                                          |

mod blocking;
mod buffer;
mod handle;
mod inner;
mod lane;
mod pipe;
mod transfer;

pub use self::buffer::Buffer;
pub use self::handle::{DescriptorState, FileDescriptor};
pub use self::pipe::{pipe, pipe_in, pipe_out};

pub(crate) use self::inner::{Inner, Kind, Label, live};
pub(crate) use self::lane::sweep;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use self::pipe::raw_pipe;
