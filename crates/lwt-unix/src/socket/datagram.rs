//! Single messages to and from named peers.

use lwt_core::Promise;
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags};

use crate::address::Address;
use crate::descriptor::FileDescriptor;
use crate::engine::Direction;
use crate::failure;

/// No protocol has longer messages.
const LARGEST_MESSAGE: usize = 1 << 20;

impl FileDescriptor {
    /// Waits for a message and takes it; gives its first `at_most` bytes and the address of the sender.
    ///
    /// What a message has beyond `at_most` bytes is thrown away by the kernel, as the protocol of such sockets has it.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor.
    ///
    /// # Cancellation
    /// No message has been taken; the same when the promise is dropped while it waits.
    ///
    /// # Examples
    /// ```
    /// use lwt_unix::{Domain, SocketKind, run, socket};
    ///
    /// let (sender, receiver) = (socket(Domain::Ipv4, SocketKind::Datagram)?, socket(Domain::Ipv4, SocketKind::Datagram)?);
    /// receiver.bind(&"127.0.0.1:0".parse()?)?;
    /// sender.bind(&"127.0.0.1:0".parse()?)?;
    /// run(sender.send_to("a message", &receiver.local_address()?))?;
    /// let (message, from) = run(receiver.receive_from(100))?;
    /// assert_eq!((message.as_slice(), from), (&b"a message"[..], sender.local_address()?));
    /// # Ok::<(), lwt_core::Error>(())
    /// ```
    #[must_use = "dropping the promise withdraws it"]
    #[doc(alias = "Lwt_unix.recvfrom")]
    pub fn receive_from(&self, at_most: usize) -> Promise<(Vec<u8>, Address)> {
        self.inner()
            .start(Direction::Read, "recvfrom", move |inner| {
                inner.ready_for_socket_call(Direction::Read)?;
                let mut bytes = Vec::with_capacity(at_most.clamp(1, LARGEST_MESSAGE));
                let received = inner.io(|socket| {
                    rustix::net::recvfrom(socket, spare_capacity(&mut bytes), RecvFlags::empty())
                });
                let (_, _, from) = received?;
                bytes.truncate(at_most);
                Ok((bytes, Address::from_peer(from)))
            })
    }

    /// Sends one message to an address; gives the number of bytes sent.
    ///
    /// # Errors
    /// A [`SystemError`](crate::SystemError) that names the descriptor: the message is too long, nobody can be reached.
    ///
    /// # Cancellation
    /// Nothing has been sent; the same when the promise is dropped while it waits.
    #[must_use = "dropping the promise withdraws it"]
    #[doc(alias = "Lwt_unix.sendto")]
    pub fn send_to(&self, bytes: impl Into<Vec<u8>>, address: &Address) -> Promise<usize> {
        let bytes = bytes.into();
        let system = match address.to_system() {
            Ok(system) => system,
            Err(errno) => {
                return lwt_core::fail(failure::system("sendto", address.to_string(), errno));
            }
        };
        self.inner()
            .start(Direction::Write, "sendto", move |inner| {
                inner.ready_for_socket_call(Direction::Write)?;
                inner.io(|socket| rustix::net::sendto(socket, &bytes, SendFlags::NOSIGNAL, &system))
            })
    }
}
