//! `getaddrinfo(3)`: names to addresses, as the machine's own configuration says.
//!
//! Blocking: it is called from a worker thread of the job pool only.

use std::ffi::{CStr, CString};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What a look-up is restricted to; zero means "any" in every field but `flags`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) flags: libc::c_int,
    pub(crate) family: libc::c_int,
    pub(crate) kind: libc::c_int,
    pub(crate) protocol: libc::c_int,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) address: SocketAddr,
    pub(crate) kind: libc::c_int,
    pub(crate) protocol: libc::c_int,
    pub(crate) canonical_name: Option<String>,
}

/// How a look-up can fail.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such name or service.
    Unknown,
    /// The system failed (`EAI_SYSTEM`).
    System(io::Error),
    /// Any other code of the resolver, with its text.
    Resolver(String),
}

/// Looks `host` and `service` up; an empty string stands for "not given".
pub(crate) fn getaddrinfo(host: &str, service: &str, hints: Hints) -> Result<Vec<Answer>, Failure> {
    let host = optional(host)?;
    let service = optional(service)?;
    // SAFETY: `addrinfo` consists of integers and pointers, for which all-zero is a valid value, and the resolver
    // requires the fields that are not hints to be zero.
    let mut wanted: libc::addrinfo = unsafe { std::mem::zeroed() };
    wanted.ai_flags = hints.flags;
    wanted.ai_family = hints.family;
    wanted.ai_socktype = hints.kind;
    wanted.ai_protocol = hints.protocol;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    let as_pointer =
        |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: both names are null or NUL-terminated strings that outlive the call, `wanted` is initialised, and
    // `list` is a place for one pointer.
    let code =
        unsafe { libc::getaddrinfo(as_pointer(&host), as_pointer(&service), &wanted, &mut list) };
    if code != 0 {
        return Err(failure(code));
    }
    let answers = collect(list);
    // SAFETY: `list` came from a successful `getaddrinfo`, is freed once, and `collect` copied all it needs.
    unsafe { libc::freeaddrinfo(list) };
    Ok(answers)
}

fn optional(text: &str) -> Result<Option<CString>, Failure> {
    match text {
        "" => Ok(None),
        text => CString::new(text)
            .map(Some)
            .map_err(|_| Failure::Resolver("the name contains a NUL byte".to_owned())),
    }
}

fn failure(code: libc::c_int) -> Failure {
    match code {
        libc::EAI_NONAME | libc::EAI_SERVICE => Failure::Unknown,
        #[cfg(target_os = "linux")]
        libc::EAI_NODATA => Failure::Unknown,
        libc::EAI_SYSTEM => Failure::System(io::Error::last_os_error()),
        code => {
            // SAFETY: `gai_strerror` returns a NUL-terminated static text for every code.
            let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
            Failure::Resolver(text.to_string_lossy().into_owned())
        }
    }
}

fn collect(list: *mut libc::addrinfo) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut next = list;
    // SAFETY: `next` is null or points into the list that `getaddrinfo` made and that nobody has freed yet.
    while let Some(entry) = unsafe { next.as_ref() } {
        if let Some(address) = socket_address(entry) {
            let canonical_name = (!entry.ai_canonname.is_null()).then(|| {
                // SAFETY: a canonical name that is not null is NUL-terminated and lives as long as the list.
                unsafe { CStr::from_ptr(entry.ai_canonname) }
                    .to_string_lossy()
                    .into_owned()
            });
            answers.push(Answer {
                address,
                kind: entry.ai_socktype,
                protocol: entry.ai_protocol,
                canonical_name,
            });
        }
        next = entry.ai_next;
    }
    answers
}

fn socket_address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let length = entry.ai_addrlen as usize;
    match entry.ai_family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family and the length say that a `sockaddr_in` is stored there; it is copied out without
            // any demand on alignment.
            let raw = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(
                ip,
                u16::from_be(raw.sin_port),
            )))
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for `sockaddr_in6`.
            let raw = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(
                ip,
                port,
                raw.sin6_flowinfo,
                raw.sin6_scope_id,
            )))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_address_needs_no_resolver() -> Result<(), Failure> {
        let hints = Hints {
            flags: libc::AI_NUMERICHOST | libc::AI_NUMERICSERV,
            kind: libc::SOCK_STREAM,
            ..Hints::default()
        };
        let answers = getaddrinfo("127.0.0.1", "80", hints)?;
        assert_eq!(
            answers
                .iter()
                .map(|answer| answer.address.to_string())
                .collect::<Vec<_>>(),
            ["127.0.0.1:80"]
        );
        let answers = getaddrinfo("::1", "80", hints)?;
        assert_eq!(
            answers
                .iter()
                .map(|answer| answer.address.to_string())
                .collect::<Vec<_>>(),
            ["[::1]:80"]
        );
        Ok(())
    }

    #[test]
    fn a_name_that_is_no_number_is_unknown_when_only_numbers_are_allowed() {
        let hints = Hints {
            flags: libc::AI_NUMERICHOST,
            ..Hints::default()
        };
        assert!(matches!(
            getaddrinfo("no.such.name.invalid", "", hints),
            Err(Failure::Unknown)
        ));
        assert!(matches!(
            getaddrinfo("nul\0byte", "", hints),
            Err(Failure::Resolver(_))
        ));
    }
}
