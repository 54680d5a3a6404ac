//! Taking connections.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use lwt_core::Promise;
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags};

use crate::address::Address;
use crate::descriptor::{FileDescriptor, Inner, Kind, Label};
use crate::engine::Direction;
use crate::failure;

/// So many connections that were gone already are skipped in a row; then their error is told, for it is the listener's.
const SKIPPED: usize = 64;

/// How long a listener rests when the process has run out of descriptors: somebody has to close one first.
const REST: Duration = Duration::from_millis(100);

impl FileDescriptor {
    /// Waits for a connection and takes it; gives its socket and the address of the peer.
    ///
    /// A connection that is already waiting is taken at once. Connections that the peer or the network has given up meanwhile
    /// are skipped. When the process has no descriptor left, the listener rests for a tenth of a second and tries again, for as
    /// long as it takes, and reports that through the [warning hook](crate::set_warning_hook): a server survives it.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the listening address; a closed or aborted descriptor.
    ///
    /// # Cancellation
    /// No connection has been taken; the same when the promise is dropped while it waits. (Once it is resolved, dropping
    /// it closes the connection.)
    ///
    /// # Examples
    /// ```
    /// use lwt_unix::{connect, listen, run};
    ///
    /// let listener = listen(&"127.0.0.1:0".parse()?)?;
    /// let address = listener.local_address()?;
    /// let (client, (server, _peer)) = run(lwt_core::both(connect(&address), listener.accept()))?;
    /// run(client.write_bytes("hello"))?;
    /// assert_eq!(run(server.read_some(100))?, b"hello");
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[must_use = "dropping the promise withdraws it"]
    #[doc(alias = "Lwt_unix.accept")]
    pub fn accept(&self) -> Promise<(FileDescriptor, Address)> {
        let mut reported = false;
        self.inner().start(Direction::Read, "accept", move |inner| {
            let (descriptor, address) = take(inner, &mut reported)?;
            let peer = Address::from_peer(address);
            let label = Label::Peer(peer.clone());
            Ok((
                FileDescriptor::made_here(descriptor, Kind::Socket, label),
                peer,
            ))
        })
    }
}

fn take(inner: &Rc<Inner>, reported: &mut bool) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let mut skipped = 0;
    loop {
        inner.ready_for_socket_call(Direction::Read)?;
        let taken = inner.io(|listener| Ok(rustix::net::acceptfrom_with(listener, flags)))?;
        match taken {
            Ok(connection) => return Ok(connection),
            Err(errno) if is_lack_of_resources(errno) => {
                if !std::mem::replace(reported, true) {
                    let trouble = inner.error("accept", errno);
                    failure::warn(&trouble.context("no connection can be taken; trying again"));
                }
                inner.rest(Direction::Read, REST);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(errno) if is_trouble_of_the_connection(errno) && skipped < SKIPPED => skipped += 1,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Somebody has to give something back first.
fn is_lack_of_resources(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
    )
}

/// The errors of the *new* connection, which some systems hand over with it: it is gone, the listener is well.
fn is_trouble_of_the_connection(errno: Errno) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if errno == Errno::NONET {
        return true;
    }
    matches!(
        errno,
        Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
    )
}
