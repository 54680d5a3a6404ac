//! Addresses of sockets.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lwt_core::Error;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

/// The address of a socket: IPv4, IPv6, or of the Unix domain.
///
/// # Examples
/// ```
/// use lwt_unix::Address;
///
/// let v4: Address = "127.0.0.1:80".parse()?;
/// let v6: Address = "[::1]:80".parse()?;
/// let unix: Address = "unix:/run/service.socket".parse()?;
/// assert_eq!((v4.port(), v6.port(), unix.port()), (Some(80), Some(80), None));
/// assert_eq!(unix, Address::unix("/run/service.socket"));
/// assert_eq!(v6.to_string(), "[::1]:80");
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Lwt_unix.sockaddr")]
pub enum Address {
    /// An Internet address and a port.
    Ip(SocketAddr),
    /// An address of the Unix domain.
    Unix(UnixAddress),
}

/// An address of the Unix domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace.
    Abstract(Vec<u8>),
    /// None: the address of a socket that was never bound.
    Unnamed,
}

impl Address {
    /// The Unix-domain address of a path.
    pub fn unix(path: impl Into<PathBuf>) -> Address {
        Address::Unix(UnixAddress::Path(path.into()))
    }

    /// The port of an Internet address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Ip(address) => Some(address.port()),
            Address::Unix(_) => None,
        }
    }

    /// The path of a Unix-domain address that has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Address::Unix(UnixAddress::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// The domain in which a socket must be made to use this address.
    pub fn domain(&self) -> Domain {
        match self {
            Address::Ip(SocketAddr::V4(_)) => Domain::Ipv4,
            Address::Ip(SocketAddr::V6(_)) => Domain::Ipv6,
            Address::Unix(_) => Domain::Unix,
        }
    }

    /// The address in the form that system calls take.
    pub(crate) fn to_system(&self) -> rustix::io::Result<SocketAddrAny> {
        Ok(match self {
            Address::Ip(address) => SocketAddrAny::from(*address),
            Address::Unix(UnixAddress::Path(path)) => SocketAddrUnix::new(path.as_path())?.into(),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Address::Unix(UnixAddress::Abstract(name)) => {
                SocketAddrUnix::new_abstract_name(name)?.into()
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Address::Unix(UnixAddress::Unnamed) => SocketAddrUnix::new_unnamed().into(),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Address::Unix(_) => return Err(rustix::io::Errno::OPNOTSUPP),
        })
    }

    pub(crate) fn from_system(address: SocketAddrAny) -> rustix::io::Result<Address> {
        if address.address_family() == AddressFamily::UNIX {
            let unix = SocketAddrUnix::try_from(address)?;
            return Ok(Address::Unix(UnixAddress::from_system(&unix)));
        }
        Ok(Address::Ip(SocketAddr::try_from(address)?))
    }

    /// For a peer whose address the kernel does not give (a Unix-domain client that was never bound).
    pub(crate) fn from_peer(address: Option<SocketAddrAny>) -> Address {
        let known = address.and_then(|address| Address::from_system(address).ok());
        known.unwrap_or(Address::Unix(UnixAddress::Unnamed))
    }
}

impl UnixAddress {
    fn from_system(address: &SocketAddrUnix) -> UnixAddress {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.abstract_name().filter(|name| !name.is_empty()) {
            return UnixAddress::Abstract(name.to_vec());
        }
        match address.path_bytes() {
            Some(path) if !path.is_empty() => {
                UnixAddress::Path(PathBuf::from(OsStr::from_bytes(path)))
            }
            _ => UnixAddress::Unnamed,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(formatter),
            Address::Unix(UnixAddress::Path(path)) => write!(formatter, "unix:{}", path.display()),
            Address::Unix(UnixAddress::Abstract(name)) => {
                write!(formatter, "unix:@{}", name.escape_ascii())
            }
            Address::Unix(UnixAddress::Unnamed) => formatter.write_str("unix:"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// `127.0.0.1:80`, `[::1]:80`, `unix:/path`, or `unix:@name` for an abstract name.
    fn from_str(text: &str) -> Result<Address, Error> {
        match text.strip_prefix("unix:") {
            Some("") => Ok(Address::Unix(UnixAddress::Unnamed)),
            Some(path) => Ok(match path.strip_prefix('@') {
                Some(name) => Address::Unix(UnixAddress::Abstract(name.as_bytes().to_vec())),
                None => Address::unix(path),
            }),
            None => text.parse().map(Address::Ip).map_err(|error| {
                Error::from(error).context(format!(
                    "{text:?} is not an address like 127.0.0.1:80, [::1]:80 or unix:/path"
                ))
            }),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from(address: (I, u16)) -> Address {
        Address::Ip(SocketAddr::from(address))
    }
}

/// The communication domain of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Lwt_unix.socket_domain")]
pub enum Domain {
    /// Internet, version 4.
    Ipv4,
    /// Internet, version 6.
    Ipv6,
    /// Within this machine, by path or name.
    Unix,
}

impl Domain {
    pub(crate) fn to_system(self) -> AddressFamily {
        match self {
            Domain::Ipv4 => AddressFamily::INET,
            Domain::Ipv6 => AddressFamily::INET6,
            Domain::Unix => AddressFamily::UNIX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_address_agree() -> Result<(), Error> {
        for text in [
            "127.0.0.1:80",
            "[::1]:8080",
            "unix:/tmp/a socket",
            "unix:@name",
            "unix:",
        ] {
            assert_eq!(text.parse::<Address>()?.to_string(), text);
        }
        Ok(())
    }

    #[test]
    fn a_bad_address_is_told_with_the_text_and_the_forms() {
        let error = "localhost"
            .parse::<Address>()
            .map(|_| ())
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("\"localhost\"") && text.contains("127.0.0.1:80")));
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error_and_not_cut() {
        assert!(Address::unix("x".repeat(500)).to_system().is_err());
    }
}
