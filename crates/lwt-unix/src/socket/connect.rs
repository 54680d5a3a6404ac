//! Making connections.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use lwt_core::{Error, Promise, Result};
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use rustix::net::sockopt::socket_error;

use crate::address::{Address, Domain};
use crate::descriptor::{FileDescriptor, Inner, Label};
use crate::engine::Direction;
use crate::sys::polling;
use crate::{SocketKind, failure, lookup, socket};

/// How long a client waits before it asks again a Unix-domain server whose queue of connections is full.
const FULL_QUEUE_REST: Duration = Duration::from_millis(5);

impl FileDescriptor {
    /// Connects the socket to an address.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the address: refused, unreachable, timed out; a closed or aborted
    /// descriptor.
    ///
    /// # Cancellation
    /// Stops waiting. The kernel may go on connecting: close the socket. The same when the promise is dropped.
    #[doc(alias = "Lwt_unix.connect")]
    pub fn connect(&self, address: &Address) -> Promise<()> {
        let system = match address.to_system() {
            Ok(system) => system,
            Err(errno) => {
                return lwt_core::fail(failure::system("connect", address.to_string(), errno));
            }
        };
        let target = address.clone();
        let mut progress = Progress::NotStarted;
        self.inner()
            .start(Direction::Write, "connect", move |inner| {
                match progress {
                    Progress::NotStarted => {
                        inner.set_label(Label::Connecting(target.clone()));
                        begin(inner, &system, &mut progress)?;
                    }
                    Progress::UnderWay => finish(inner)?,
                }
                inner.set_label(Label::Peer(target.clone()));
                Ok(())
            })
    }
}

#[derive(Clone, Copy)]
enum Progress {
    NotStarted,
    UnderWay,
}

/// The first call: connected, failed, or (as "would block") not yet.
fn begin(inner: &Rc<Inner>, address: &SocketAddrAny, progress: &mut Progress) -> io::Result<()> {
    inner.ready_for_socket_call(Direction::Write)?;
    let started = inner.io(|socket| Ok(rustix::net::connect(socket, address)))?;
    match started {
        // An interrupted connect goes on by itself, like one that would block.
        Err(Errno::INPROGRESS | Errno::INTR | Errno::ALREADY) => *progress = Progress::UnderWay,
        // Of the Unix domain: the server's queue is full, and no event tells when it is not.
        Err(Errno::AGAIN) => inner.rest(Direction::Write, FULL_QUEUE_REST),
        outcome => return outcome.map_err(io::Error::from),
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// The kernel was connecting: once the socket is writable, its pending error is the outcome.
fn finish(inner: &Rc<Inner>) -> io::Result<()> {
    if !polling::is_ready(inner.raw_descriptor(), libc::POLLOUT)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    inner
        .io(|socket| socket_error(socket))?
        .map_err(io::Error::from)
}

/// A new connection to an address: a socket that is closed again if it cannot be connected. TCP connections send small
/// writes at once.
///
/// # Errors
/// As for [`FileDescriptor::connect`] and [`socket`].
///
/// # Cancellation
/// The socket is closed. (It is a thread: dropping its promise lets it go on, and closes the connection when it is made.)
#[doc(alias = "Lwt_io.open_connection")]
pub fn connect(address: &Address) -> Promise<FileDescriptor> {
    let made = socket(address.domain(), SocketKind::Stream).and_then(|socket| {
        if address.domain() != Domain::Unix {
            socket.set_no_delay(true)?;
        }
        Ok(socket)
    });
    match made {
        Ok(socket) => socket.connect(address).map(move |()| socket),
        Err(error) => lwt_core::fail(error),
    }
}

/// A new connection to a host by its name and port, `example.org:80`: every address that the name has is tried, one after
/// the other.
///
/// # Errors
/// That of the look-up, or of the last address that was tried.
///
/// # Cancellation
/// Stops, and closes what it has opened.
pub fn connect_to_host(host_and_port: &str) -> Promise<FileDescriptor> {
    let looking = lookup::resolve(host_and_port);
    lwt_core::spawn(async move {
        let mut failure: Option<Error> = None;
        for address in looking.await? {
            match connect(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.is_canceled() => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        let outcome: Result<FileDescriptor> =
            Err(failure.unwrap_or_else(|| Error::message("the name has no address")));
        outcome
    })
}
