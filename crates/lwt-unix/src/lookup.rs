//! Names to addresses, by jobs on the worker threads.

use lwt_core::{Promise, Result};

use crate::address::{Address, Domain};
use crate::socket::SocketKind;
use crate::sys::lookup::{self, Failure, Hints};
use crate::{failure, job};

/// What a look-up is restricted to. Without restriction every address comes once for each kind of socket.
///
/// # Examples
/// ```
/// use lwt_unix::{Lookup, getaddrinfo, run};
///
/// let found = run(getaddrinfo("127.0.0.1", "80", Lookup::new().stream().numeric()))?;
/// assert_eq!(found[0].address.to_string(), "127.0.0.1:80");
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a restriction does nothing until it is used"]
#[doc(alias = "Lwt_unix.getaddrinfo_option")]
pub struct Lookup {
    hints: Hints,
}

impl Lookup {
    /// No restriction.
    pub fn new() -> Lookup {
        Lookup::default()
    }

    /// Only addresses for stream sockets: one answer per address.
    pub fn stream(self) -> Lookup {
        self.kind(SocketKind::Stream)
    }

    /// Only addresses for sockets of this kind.
    pub fn kind(mut self, kind: SocketKind) -> Lookup {
        self.hints.kind = match kind {
            SocketKind::Stream => libc::SOCK_STREAM,
            SocketKind::Datagram => libc::SOCK_DGRAM,
            SocketKind::SeqPacket => libc::SOCK_SEQPACKET,
        };
        self
    }

    /// Only addresses of this domain.
    pub fn family(mut self, domain: Domain) -> Lookup {
        self.hints.family = match domain {
            Domain::Ipv4 => libc::AF_INET,
            Domain::Ipv6 => libc::AF_INET6,
            Domain::Unix => libc::AF_UNIX,
        };
        self
    }

    /// Host and service are numbers: nothing is asked of any server.
    pub fn numeric(self) -> Lookup {
        self.flag(libc::AI_NUMERICHOST | libc::AI_NUMERICSERV)
    }

    /// Addresses to listen at: an empty host means every address of this machine.
    pub fn passive(self) -> Lookup {
        self.flag(libc::AI_PASSIVE)
    }

    /// The first answer tells the canonical name.
    pub fn canonical_name(self) -> Lookup {
        self.flag(libc::AI_CANONNAME)
    }

    fn flag(mut self, flag: libc::c_int) -> Lookup {
        self.hints.flags |= flag;
        self
    }
}

/// One answer of [`getaddrinfo`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "Lwt_unix.addr_info")]
pub struct AddressInfo {
    /// The address, with the port of the service.
    pub address: Address,
    /// The kind of socket it is for, where it is one of those we know.
    pub kind: Option<SocketKind>,
    /// The number of the protocol.
    pub protocol: i32,
    /// The canonical name of the host, in the first answer and if it was asked for.
    pub canonical_name: Option<String>,
}

/// Looks a host and a service up, as the machine's configuration says; an empty string stands for "not given".
///
/// An unknown name gives an empty list.
///
/// # Errors
/// A [`SystemError`](crate::SystemError) that names the host and the service, when the resolver fails: no server answers,
/// a name that cannot be one.
///
/// # Cancellation
/// At once; a look-up that a worker has begun goes on unseen.
#[doc(alias = "Lwt_unix.getaddrinfo")]
#[doc(alias = "Lwt_unix.gethostbyname")]
pub fn getaddrinfo(host: &str, service: &str, lookup: Lookup) -> Promise<Vec<AddressInfo>> {
    let (host, service) = (host.to_owned(), service.to_owned());
    job::try_run(move || look_up(&host, &service, lookup.hints))
}

/// The addresses of a host and port, `localhost:80` or `[::1]:80`, for stream sockets.
///
/// # Errors
/// As for [`getaddrinfo`]; a clear failure when the name is unknown, or the text has no port.
///
/// # Cancellation
/// As for [`getaddrinfo`].
///
/// # Examples
/// ```
/// use lwt_unix::{resolve, run};
///
/// assert_eq!(run(resolve("127.0.0.1:80"))?[0].to_string(), "127.0.0.1:80");
/// assert!(run(resolve("127.0.0.1")).is_err(), "no port");
/// # Ok::<(), lwt_core::Error>(())
/// ```
pub fn resolve(host_and_port: &str) -> Promise<Vec<Address>> {
    if let Ok(address) = host_and_port.parse::<Address>() {
        return lwt_core::return_(vec![address]);
    }
    let text = host_and_port.to_owned();
    let Some((host, port)) = host_and_port.rsplit_once(':') else {
        return lwt_core::fail_invalid_argument(format!(
            "resolve: {text:?} has no port; write host:port"
        ));
    };
    let looking = getaddrinfo(host.trim_matches(['[', ']']), port, Lookup::new().stream());
    looking.and_then(move |answers| match answers.is_empty() {
        true => Err(failure::system("getaddrinfo", text, not_found())),
        false => Ok(answers.into_iter().map(|answer| answer.address).collect()),
    })
}

fn not_found() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotFound, "no such host or service")
}

/// On a worker thread.
fn look_up(host: &str, service: &str, hints: Hints) -> Result<Vec<AddressInfo>> {
    let failed = |source| failure::system("getaddrinfo", format!("{host}:{service}"), source);
    match lookup::getaddrinfo(host, service, hints) {
        Ok(answers) => Ok(answers.into_iter().map(describe).collect()),
        Err(Failure::Unknown) => Ok(Vec::new()),
        Err(Failure::System(error)) => Err(failed(error)),
        Err(Failure::Resolver(text)) => Err(failed(std::io::Error::other(text))),
    }
}

fn describe(answer: lookup::Answer) -> AddressInfo {
    AddressInfo {
        address: Address::Ip(answer.address),
        kind: match answer.kind {
            libc::SOCK_STREAM => Some(SocketKind::Stream),
            libc::SOCK_DGRAM => Some(SocketKind::Datagram),
            libc::SOCK_SEQPACKET => Some(SocketKind::SeqPacket),
            _ => None,
        },
        protocol: answer.protocol,
        canonical_name: answer.canonical_name,
    }
}
