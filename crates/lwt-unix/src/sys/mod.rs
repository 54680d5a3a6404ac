//! The system layer: every call into the kernel that `rustix` does not offer safely, and nothing else.
//!
//! One small file per idea, all of the same shape: a safe function, the `unsafe` call inside it, and the reason why
//! it is sound. Nothing here knows about promises, the loop or the engine; whoever calls these functions turns the
//! `io::Error` into one that names the operation and its object.
//!
//! | file         | what it wraps                                             | why not `rustix`                       |
//! |--------------|-----------------------------------------------------------|----------------------------------------|
//! | `polling`    | `ppoll`/`poll` over raw descriptor numbers                | its `PollFd` wants descriptors that stay open |
//! | `clock`      | the monotonic clock                                       | its search for the fast clock crashes under valgrind |
//! | `closing`    | `close` with its error                                    | it throws the error away               |
//! | `lookup`     | `getaddrinfo`                                             | it has no resolver                     |
//! | `signals`    | dispositions and masks of signals                         | it has no `sigaction`                  |

pub(crate) mod clock;
pub(crate) mod closing;
pub(crate) mod lookup;
pub(crate) mod polling;
pub(crate) mod signals;
