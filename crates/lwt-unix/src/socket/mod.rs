//! Sockets.
//!
//! A socket is a [`FileDescriptor`] with a few more operations. All are non-blocking and close-on-exec, those that
//! `accept` makes included. Reading, writing and their queues are those of every descriptor.
//!
//! | file      | what it holds                                          |
//! |-----------|--------------------------------------------------------|
//! | `make`    | `socket`, `socketpair`, `bind`, `listen`, options       |
//! | `accept`  | taking connections                                     |
//! | `connect` | making connections, by address and by name             |
//! | `datagram` | single messages                                       |

mod accept;
mod connect;
mod datagram;
mod make;

pub use self::connect::{connect, connect_to_host};
pub use self::make::{Shutdown, SocketKind, listen, socket, socketpair};
