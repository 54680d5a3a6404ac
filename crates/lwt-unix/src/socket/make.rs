//! Making sockets, and the calls on them that do not wait.

use std::time::Duration;

use lwt_core::Result;
use rustix::net::sockopt::{
    set_socket_keepalive, set_socket_linger, set_socket_reuseaddr, set_socket_reuseport,
    set_tcp_nodelay,
};
use rustix::net::{SocketFlags, SocketType};

use crate::address::{Address, Domain};
use crate::descriptor::{FileDescriptor, Kind, Label};
use crate::{failure, sys};

/// How many connections may wait to be accepted, unless said otherwise: as many as the system allows.
const BACKLOG: i32 = libc::SOMAXCONN;

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Lwt_unix.socket_type")]
pub enum SocketKind {
    /// Bytes in order (TCP).
    Stream,
    /// Single messages (UDP).
    Datagram,
    /// Messages in order.
    SeqPacket,
}

impl SocketKind {
    pub(crate) fn to_system(self) -> SocketType {
        match self {
            SocketKind::Stream => SocketType::STREAM,
            SocketKind::Datagram => SocketType::DGRAM,
            SocketKind::SeqPacket => SocketType::SEQPACKET,
        }
    }
}

/// Which directions of a connection [`FileDescriptor::shutdown`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Lwt_unix.shutdown_command")]
pub enum Shutdown {
    /// Nothing more is received.
    Receive,
    /// Nothing more is sent; the peer reads an end of file.
    Send,
    /// Both.
    All,
}

/// A new socket.
///
/// # Errors
/// Those of `socket(2)`: too many open descriptors, a domain that this system does not have.
#[doc(alias = "Lwt_unix.socket")]
pub fn socket(domain: Domain, kind: SocketKind) -> Result<FileDescriptor> {
    sys::signals::ignore_broken_pipes();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = rustix::net::socket_with(domain.to_system(), kind.to_system(), flags, None);
    let descriptor =
        made.map_err(|errno| failure::system("socket", format!("{domain:?} {kind:?}"), errno))?;
    Ok(FileDescriptor::made_here(
        descriptor,
        Kind::Socket,
        Label::Name("a socket"),
    ))
}

/// Two sockets that are connected to each other.
///
/// # Errors
/// Those of `socketpair(2)`.
///
/// # Examples
/// ```
/// use lwt_unix::{Domain, SocketKind, run, socketpair};
///
/// let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
/// run(left.write_bytes("over there"))?;
/// assert_eq!(run(right.read_some(100))?, b"over there");
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.socketpair")]
pub fn socketpair(domain: Domain, kind: SocketKind) -> Result<(FileDescriptor, FileDescriptor)> {
    sys::signals::ignore_broken_pipes();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = rustix::net::socketpair(domain.to_system(), kind.to_system(), flags, None);
    let (left, right) =
        made.map_err(|errno| failure::system("socketpair", format!("{domain:?} {kind:?}"), errno))?;
    let wrap =
        |end| FileDescriptor::made_here(end, Kind::Socket, Label::Name("one of a pair of sockets"));
    Ok((wrap(left), wrap(right)))
}

/// A stream socket that listens at an address: made, told to reuse it, bound, and listening.
///
/// With port 0 the system chooses a free one; [`FileDescriptor::local_address`] tells which.
///
/// # Errors
/// Those of the four calls; the address being in use, for one, which the error names.
pub fn listen(address: &Address) -> Result<FileDescriptor> {
    let socket = socket(address.domain(), SocketKind::Stream)?;
    if address.domain() != Domain::Unix {
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

impl FileDescriptor {
    /// Gives the socket an address.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the address: in use, not of this machine, not allowed; a closed
    /// descriptor.
    #[doc(alias = "Lwt_unix.bind")]
    pub fn bind(&self, address: &Address) -> Result<()> {
        let system = address
            .to_system()
            .map_err(|errno| failure::system("bind", address.to_string(), errno))?;
        let bound = self
            .inner()
            .with_open("bind", |descriptor| rustix::net::bind(descriptor, &system))?;
        bound.map_err(|errno| failure::system("bind", address.to_string(), errno))
    }

    /// Makes the socket take connections; at most `backlog` wait to be accepted.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    #[doc(alias = "Lwt_unix.listen")]
    #[doc(alias = "Lwt_unix.somaxconn")]
    pub fn listen(&self, backlog: i32) -> Result<()> {
        self.inner().call("listen", |descriptor| {
            rustix::net::listen(descriptor, backlog)
        })?;
        if let Ok(address) = self.local_address() {
            self.inner().set_label(Label::Listening(address));
        }
        Ok(())
    }

    /// Ends one or both directions of a connection; the descriptor stays open.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor; `NotConnected` when the peer has gone already.
    #[doc(alias = "Lwt_unix.shutdown")]
    pub fn shutdown(&self, which: Shutdown) -> Result<()> {
        let which = match which {
            Shutdown::Receive => rustix::net::Shutdown::Read,
            Shutdown::Send => rustix::net::Shutdown::Write,
            Shutdown::All => rustix::net::Shutdown::Both,
        };
        self.inner().call("shutdown", |descriptor| {
            rustix::net::shutdown(descriptor, which)
        })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    #[doc(alias = "Lwt_unix.getsockname")]
    pub fn local_address(&self) -> Result<Address> {
        self.inner().call("getsockname", |descriptor| {
            Address::from_system(rustix::net::getsockname(descriptor)?)
        })
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor; `NotConnected` when there is no other end.
    #[doc(alias = "Lwt_unix.getpeername")]
    pub fn peer_address(&self) -> Result<Address> {
        self.inner().call("getpeername", |descriptor| {
            rustix::net::getpeername(descriptor).map(Address::from_peer)
        })
    }

    /// Whether `bind` may take an address whose former connections are not forgotten yet.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    #[doc(alias = "Lwt_unix.setsockopt")]
    pub fn set_reuse_address(&self, reuse: bool) -> Result<()> {
        self.inner().call("setsockopt", |descriptor| {
            set_socket_reuseaddr(descriptor, reuse)
        })
    }

    /// Whether several sockets may listen at one address, each with a share of the connections.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    pub fn set_reuse_port(&self, reuse: bool) -> Result<()> {
        self.inner().call("setsockopt", |descriptor| {
            set_socket_reuseport(descriptor, reuse)
        })
    }

    /// What closing does with data that has not been sent: `None`, the usual way, sends it in the background; `Some` waits for
    /// that long (on a worker thread: the loop goes on); `Some` of zero throws the connection away, and the peer sees a reset.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    pub fn set_linger(&self, linger: Option<Duration>) -> Result<()> {
        self.inner().call("setsockopt", |descriptor| {
            set_socket_linger(descriptor, linger)
        })?;
        self.inner()
            .lingers
            .set(linger.is_some_and(|linger| !linger.is_zero()));
        Ok(())
    }

    /// Whether an idle connection is tested now and then, so that a peer that has vanished is noticed.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    pub fn set_keep_alive(&self, keep_alive: bool) -> Result<()> {
        self.inner().call("setsockopt", |descriptor| {
            set_socket_keepalive(descriptor, keep_alive)
        })
    }

    /// Whether small writes of a TCP connection are sent at once instead of being collected.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor; other sockets do not have this option.
    pub fn set_no_delay(&self, no_delay: bool) -> Result<()> {
        self.inner().call("setsockopt", |descriptor| {
            set_tcp_nodelay(descriptor, no_delay)
        })
    }
}
