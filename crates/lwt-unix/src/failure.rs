//! What can go wrong, and how it is told.
//!
//! Every error of a system call names the call and the object it was made on, and keeps the system's own error as its
//! source. Panics of callbacks that nobody awaits, and trouble from which the library recovers by itself, have one
//! place each where they are reported.

use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use lwt_core::Error;

/// A system call that failed: which, on what, and why.
///
/// # Examples
/// ```
/// use lwt_unix::{Address, SystemError, listen};
///
/// let first = listen(&"127.0.0.1:0".parse()?)?;
/// let taken = first.local_address()?;
/// let error = listen(&taken).err().expect("the address is in use");
/// let system = error.downcast_ref::<SystemError>().expect("an error of a system call");
/// assert_eq!(system.operation(), "bind");
/// assert_eq!(system.object(), taken.to_string());
/// assert_eq!(system.kind(), std::io::ErrorKind::AddrInUse);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "Unix.Unix_error")]
pub struct SystemError {
    operation: &'static str,
    object: Cow<'static, str>,
    source: io::Error,
}

impl SystemError {
    /// The name of the operation: `read`, `bind`, `getaddrinfo` …
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What it was done to: a descriptor with its peer, an address, a name.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The system's error itself; also the [`source`](StdError::source) of this one.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}: {}",
            self.operation, self.object, self.source
        )
    }
}

impl StdError for SystemError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// The failure of `operation` on `object`.
pub(crate) fn system(
    operation: &'static str,
    object: impl Into<Cow<'static, str>>,
    source: impl Into<io::Error>,
) -> Error {
    Error::from(SystemError {
        operation,
        object: object.into(),
        source: source.into(),
    })
}

/// The kind of the system error somewhere in an error's chain, if there is one.
///
/// # Examples
/// ```
/// use lwt_unix::error_kind;
///
/// let error = lwt_core::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).context("sending");
/// assert_eq!(error_kind(&error), Some(std::io::ErrorKind::BrokenPipe));
/// assert_eq!(error_kind(&lwt_core::Error::message("no system call")), None);
/// ```
pub fn error_kind(error: &Error) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Runs a callback that nobody awaits; a panic in it goes to the asynchronous exception hook.
pub(crate) fn guard(callback: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
        report(&Error::from_panic(payload));
    }
}

/// Hands an error that nobody can receive to the asynchronous exception hook.
pub(crate) fn report(error: &Error) {
    let hook = lwt_core::async_exception_hook();
    hook(error);
}

type WarningHook = Rc<dyn Fn(&Error)>;

thread_local! {
    static WARNING_HOOK: RefCell<Option<WarningHook>> = const { RefCell::new(None) };
}

/// Sets who hears of trouble that the library recovers from by itself; `accept` that runs out of descriptors, for one.
///
/// The default writes one line to the standard error. The hook belongs to this OS thread.
pub fn set_warning_hook(hook: impl Fn(&Error) + 'static) {
    let former = WARNING_HOOK.try_with(|place| place.borrow_mut().replace(Rc::new(hook)));
    drop(former);
}

/// Reports recoverable trouble.
pub(crate) fn warn(error: &Error) {
    let hook = WARNING_HOOK
        .try_with(|place| place.borrow().clone())
        .ok()
        .flatten();
    match hook {
        Some(hook) => guard(|| hook(error)),
        None => {
            use std::io::Write as _;
            // Nobody is left to tell if the standard error does not take the line.
            let _ = writeln!(io::stderr(), "lwt: {error:#}");
        }
    }
}
