//! The dynamic error that a failed promise carries (OCaml's `exn`).
//!
//! [`Error`] is one word: a pointer to a counted record that begins with an [`ErrorTable`], so that
//! `Promise<()>` stays at 16 bytes and `Result<(), Error>` at 8. The errors that the library itself makes all
//! the time ([`Canceled`], [`Timeout`], [`EndOfFile`]) are statics that are never counted and never freed.
//!
//! Like the error-report types that Rust people know, `Error` takes anything that is
//! `std::error::Error + Send + Sync + 'static` through `?` and therefore does not implement
//! `std::error::Error` itself; it converts into the boxed standard errors, whose source chain is kept.
//!
//! All unsafe code of this file rests on one invariant: the pointer in an `Error` leads to a `Record<E>` whose
//! first field is the table made for exactly that `E`, and which is either a static or a live `Box` with a
//! count of at least one.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// The result of a thread: `E` is [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxedStdError = Box<dyn StdError + Send + Sync + 'static>;

/// What an erased record can do. One static per error type.
struct ErrorTable {
    /// Whether records of this table are statics, which nobody counts or frees.
    is_static: bool,
    as_std: unsafe fn(NonNull<Head>) -> *const (dyn StdError + Send + Sync + 'static),
    free: unsafe fn(NonNull<Head>),
}

/// The part of a record that does not depend on the error type.
#[repr(C)]
struct Head {
    table: &'static ErrorTable,
    count: AtomicUsize,
    /// The errors that clean-up replaced (see [`Error::suppressed`]).
    suppressed: Mutex<Vec<Error>>,
}

#[repr(C)]
struct Record<E> {
    head: Head,
    error: E,
}

/// A cheap, cloneable, dynamic error: the exception of OCaml Lwt's `Fail exn`.
///
/// `?` turns any `std::error::Error + Send + Sync + 'static` into it. It is `Send + Sync`, so that it travels
/// through other libraries' errors; cloning it counts a reference.
///
/// # Examples
///
/// ```
/// use lwt_core::{Canceled, Error};
///
/// fn parse(text: &str) -> lwt_core::Result<u32> {
///     Ok(text.parse::<u32>()?)
/// }
/// let error = parse("x").unwrap_err();
/// assert!(error.is::<std::num::ParseIntError>());
/// assert!(!error.is::<Canceled>());
/// let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
/// assert_eq!(boxed.to_string(), "invalid digit found in string");
/// ```
#[doc(alias = "exn")]
pub struct Error {
    record: NonNull<Head>,
}

// SAFETY: a record holds an `E: Send + Sync`, an atomic count and a mutex around `Error`s; the count is
// changed with atomic operations only, and the record is freed by whoever takes the count to zero.
unsafe impl Send for Error {}
// SAFETY: as above; `&Error` gives out `&E`, and `E: Sync`.
unsafe impl Sync for Error {}

struct TableOf<E>(std::marker::PhantomData<E>);

impl<E: StdError + Send + Sync + 'static> TableOf<E> {
    const COUNTED: ErrorTable = ErrorTable {
        is_static: false,
        as_std: as_std::<E>,
        free: free::<E>,
    };
    const STATIC: ErrorTable = ErrorTable {
        is_static: true,
        as_std: as_std::<E>,
        free: free::<E>,
    };
}

/// The error inside a record.
///
/// # Safety
/// `head` must lead to a live `Record<E>`.
unsafe fn as_std<E: StdError + Send + Sync + 'static>(
    head: NonNull<Head>,
) -> *const (dyn StdError + Send + Sync + 'static) {
    // SAFETY: the caller says that this is a live `Record<E>`; no reference is made, only an address.
    unsafe { &raw const (*head.cast::<Record<E>>().as_ptr()).error }
}

/// Frees a counted record.
///
/// # Safety
/// `head` must lead to a `Record<E>` that came from a `Box` and that nobody else can reach.
unsafe fn free<E>(head: NonNull<Head>) {
    // SAFETY: the caller gives up the only way to this box.
    drop(unsafe { Box::from_raw(head.cast::<Record<E>>().as_ptr()) });
}

impl Error {
    /// Wraps an error value.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = lwt_core::Error::new(std::fmt::Error);
    /// assert!(error.is::<std::fmt::Error>());
    /// ```
    pub fn new<E: StdError + Send + Sync + 'static>(error: E) -> Error {
        let record = Box::new(Record {
            head: Head {
                table: const { &TableOf::<E>::COUNTED },
                count: AtomicUsize::new(1),
                suppressed: Mutex::new(Vec::new()),
            },
            error,
        });
        let record: NonNull<Record<E>> = NonNull::from(Box::leak(record));
        Error {
            record: record.cast(),
        }
    }

    /// An error that is just a text, of type [`Failure`].
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(lwt_core::Error::message("no more tea").to_string(), "no more tea");
    /// ```
    #[doc(alias = "Failure")]
    pub fn message(text: impl Into<String>) -> Error {
        Error::new(Failure { text: text.into() })
    }

    /// An error for a caller's mistake, of type [`InvalidArgument`].
    ///
    /// # Examples
    ///
    /// ```
    /// let error = lwt_core::Error::invalid_argument("choose: empty list");
    /// assert!(error.is::<lwt_core::InvalidArgument>());
    /// ```
    #[doc(alias = "Invalid_argument")]
    pub fn invalid_argument(text: impl Into<String>) -> Error {
        Error::new(InvalidArgument { text: text.into() })
    }

    const fn from_static<E: StdError + Send + Sync + 'static>(record: &'static Record<E>) -> Error {
        // Only ever read through this pointer.
        Error {
            record: NonNull::from_ref(record).cast(),
        }
    }

    /// The error of a thread that was cancelled; equal to `Canceled.into()`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(lwt_core::Error::canceled().is_canceled());
    /// ```
    #[doc(alias = "Lwt.Canceled")]
    pub const fn canceled() -> Error {
        Error::from_static(&CANCELED)
    }

    /// The failure that a caught panic is: of type [`Panic`], with the payload inside.
    ///
    /// # Examples
    ///
    /// ```
    /// let payload = std::panic::catch_unwind(|| panic!("boom")).unwrap_err();
    /// assert_eq!(lwt_core::Error::from_panic(payload).to_string(), "the thread panicked: boom");
    /// ```
    pub fn from_panic(payload: Box<dyn Any + Send>) -> Error {
        let text = if let Some(text) = payload.downcast_ref::<&'static str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "a value that is not text".to_owned()
        };
        Error::new(Panic {
            text,
            payload: Mutex::new(Some(payload)),
        })
    }

    fn head(&self) -> &Head {
        // SAFETY: the record lives as long as this counted (or static) pointer.
        unsafe { self.record.as_ref() }
    }

    fn as_std(&self) -> &(dyn StdError + Send + Sync + 'static) {
        // SAFETY: the table belongs to the record's type, and the record lives as long as `self`.
        unsafe { &*(self.head().table.as_std)(self.record) }
    }

    /// The error value, if it is an `E`. Looks at the value itself, then along its source chain.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::Error;
    ///
    /// let error = Error::from(std::io::Error::from(std::io::ErrorKind::AddrInUse)).context("bind 127.0.0.1:80");
    /// let inner = error.downcast_ref::<std::io::Error>();
    /// assert_eq!(inner.map(std::io::Error::kind), Some(std::io::ErrorKind::AddrInUse));
    /// ```
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.chain().find_map(|error| error.downcast_ref::<E>())
    }

    /// Whether the error, a source of it, or an error that it suppressed is an `E`.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{Canceled, Error};
    /// assert!(Error::from(Canceled).is::<Canceled>());
    /// ```
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some() || self.suppressed().iter().any(|error| error.is::<E>())
    }

    /// Whether this is exactly [`Canceled`]: the outcome that counts as a cancellation.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!lwt_core::Error::message("no").is_canceled());
    /// ```
    #[inline]
    pub fn is_canceled(&self) -> bool {
        let canceled: *const Record<Canceled> = &CANCELED;
        std::ptr::eq(self.record.as_ptr(), canceled.cast()) || self.wraps_canceled()
    }

    /// For a `Canceled` that was put into a record of its own.
    fn wraps_canceled(&self) -> bool {
        let error: &(dyn StdError + 'static) = self.as_std();
        match error.downcast_ref::<Replaced>() {
            Some(replaced) => replaced.source.is_canceled(),
            None => error.is::<Canceled>(),
        }
    }

    /// Whether this is a panic that was caught at a thread's edge.
    ///
    /// # Examples
    ///
    /// ```
    /// let promise = lwt_core::spawn(async { if true { panic!("boom") } Ok(()) });
    /// let lwt_core::State::Fail(error) = promise.state() else { unreachable!() };
    /// assert!(error.is_panic());
    /// ```
    pub fn is_panic(&self) -> bool {
        self.downcast_ref::<Panic>().is_some()
    }

    /// Goes on with a caught panic as if it had not been caught; for any other error, panics with its text.
    ///
    /// # Panics
    ///
    /// Always: with the original payload the first time, with its text if somebody resumed it already.
    pub fn resume(self) -> ! {
        if let Some(panic) = self.downcast_ref::<Panic>() {
            let payload = panic
                .payload
                .lock()
                .unwrap_or_else(|poison| poison.into_inner())
                .take();
            if let Some(payload) = payload {
                std::panic::resume_unwind(payload);
            }
        }
        std::panic::resume_unwind(Box::new(self.to_string()))
    }

    /// The error and its sources, outermost first.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = lwt_core::Error::message("inner").context("outer");
    /// let texts: Vec<String> = error.chain().map(|e| e.to_string()).collect();
    /// assert_eq!(texts, ["outer", "inner"]);
    /// ```
    pub fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first: &(dyn StdError + 'static) = self.as_std();
        std::iter::successors(Some(first), |error| (*error).source())
    }

    /// The same error with a sentence in front that says what was being done.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = lwt_core::Error::message("refused").context("connect to [::1]:80");
    /// assert_eq!(format!("{error}"), "connect to [::1]:80");
    /// assert_eq!(format!("{error:#}"), "connect to [::1]:80: refused");
    /// ```
    pub fn context(self, text: impl Into<String>) -> Error {
        Error::new(Context {
            text: text.into(),
            source: self,
        })
    }

    /// The errors that this one replaced: the failure of a body whose clean-up failed too.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{fail_with, Error, State};
    ///
    /// let promise = fail_with::<()>("body").finalize(|| fail_with("clean-up"));
    /// let State::Fail(error) = promise.state() else { unreachable!() };
    /// assert_eq!(error.to_string(), "clean-up");
    /// assert_eq!(error.suppressed()[0].to_string(), "body");
    /// ```
    pub fn suppressed(&self) -> Vec<Error> {
        self.head()
            .suppressed
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .clone()
    }

    /// This error, with `other` noted as suppressed by it.
    pub(crate) fn suppressing(self, other: Error) -> Error {
        if self.record == other.record {
            return self;
        }
        let head = self.head();
        let this = if head.table.is_static || head.count.load(Ordering::Acquire) != 1 {
            // Others hold this record: wrap it, so that only this failure remembers the other one, and nothing can
            // come to remember itself.
            Error::new(Replaced { source: self })
        } else {
            self
        };
        this.head()
            .suppressed
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .push(other);
        this
    }
}

impl Clone for Error {
    #[inline]
    fn clone(&self) -> Error {
        let head = self.head();
        if !head.table.is_static {
            let before = head.count.fetch_add(1, Ordering::Relaxed);
            if before > usize::MAX / 2 {
                std::process::abort();
            }
        }
        Error {
            record: self.record,
        }
    }
}

impl Drop for Error {
    #[inline]
    fn drop(&mut self) {
        let head = self.head();
        if head.table.is_static {
            return;
        }
        if head.count.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let free = head.table.free;
            // SAFETY: the count went to zero, so this was the last pointer, and the record was a box.
            unsafe { free(self.record) };
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        let any: &dyn Any = &error;
        if any.is::<Canceled>() {
            return Error::from_static(&CANCELED);
        }
        if any.is::<Timeout>() {
            return Error::from_static(&TIMEOUT);
        }
        if any.is::<EndOfFile>() {
            return Error::from_static(&END_OF_FILE);
        }
        Error::new(error)
    }
}

/// An `Error` in the clothes of a standard error; gives the wrapped one as itself, not as its source.
struct Dressed(Error);

impl fmt::Debug for Dressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Dressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_std(), f)
    }
}

impl StdError for Dressed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.0.as_std())
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync + 'static> {
    fn from(error: Error) -> BoxedStdError {
        Box::new(Dressed(error))
    }
}

impl From<Error> for Box<dyn StdError + 'static> {
    fn from(error: Error) -> Box<dyn StdError + 'static> {
        Box::new(Dressed(error))
    }
}

impl fmt::Display for Error {
    /// `{}` is the error's own text; `{:#}` goes on with its sources, separated by `: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_std())?;
        if f.alternate() {
            for error in distinct_sources(self) {
                write!(f, ": {error}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// The report: the text, the sources, and what was suppressed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return fmt::Debug::fmt(self.as_std(), f);
        }
        write!(f, "{}", self.as_std())?;
        for error in distinct_sources(self) {
            write!(f, "\n  caused by: {error}")?;
        }
        for error in self.suppressed() {
            write!(f, "\n  suppressed: {error:#}")?;
        }
        Ok(())
    }
}

/// The texts of the sources, without those that the one before ends with (wrappers that show what they wrap).
fn distinct_sources(error: &Error) -> impl Iterator<Item = String> + '_ {
    let mut last = error.as_std().to_string();
    error.chain().skip(1).filter_map(move |source| {
        let text = source.to_string();
        (!last.ends_with(&text)).then(|| {
            last.clone_from(&text);
            text
        })
    })
}

/// The failure of a thread that was cancelled.
///
/// A promise that fails with it, by whatever means, counts as cancelled.
///
/// # Examples
///
/// ```
/// let (promise, _resolver) = lwt_core::task::<()>();
/// promise.cancel();
/// assert!(matches!(promise.state(), lwt_core::State::Fail(e) if e.is::<lwt_core::Canceled>()));
/// ```
#[doc(alias = "Lwt.Canceled")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canceled;

/// The failure of something that took too long.
#[doc(alias = "Lwt_unix.Timeout")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout;

/// The failure of reading past the end.
#[doc(alias = "End_of_file")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfFile;

/// A failure that is just a text (OCaml's `Failure`); made by [`Error::message`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    text: String,
}

/// A caller's mistake (OCaml's `Invalid_argument`); made by [`Error::invalid_argument`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidArgument {
    text: String,
}

/// A panic that was caught at a thread's edge and became its failure.
pub struct Panic {
    text: String,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Something that needs a running main loop was awaited by a foreign executor on an OS thread that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoLoop {
    pub(crate) operation: &'static str,
}

/// A main loop was started on an OS thread that already runs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NestedRun {
    pub(crate) outer: &'static Location<'static>,
    pub(crate) inner: &'static Location<'static>,
}

#[derive(Debug)]
struct Context {
    text: String,
    source: Error,
}

#[derive(Debug)]
struct Replaced {
    source: Error,
}

macro_rules! plain_error {
    ($type:ty, $self:ident, $f:ident => $text:expr) => {
        impl fmt::Display for $type {
            fn fmt(&$self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $text
            }
        }
        impl StdError for $type {}
    };
}

plain_error!(Canceled, self, f => f.write_str("the thread was canceled"));
plain_error!(Timeout, self, f => f.write_str("the operation took too long"));
plain_error!(EndOfFile, self, f => f.write_str("end of file"));
plain_error!(Failure, self, f => f.write_str(&self.text));
plain_error!(InvalidArgument, self, f => write!(f, "invalid argument: {}", self.text));
plain_error!(Panic, self, f => write!(f, "the thread panicked: {}", self.text));
plain_error!(NoLoop, self, f => write!(
    f,
    "{} needs a running main loop on this OS thread: wrap the program in lwt::run, or await it inside a thread of lwt",
    self.operation
));
plain_error!(NestedRun, self, f => write!(
    f,
    "a main loop already runs on this OS thread: started at {}, started again at {}",
    self.outer, self.inner
));

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Context {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_std())
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl StdError for Replaced {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_std())
    }
}

macro_rules! static_record {
    ($name:ident, $type:ty, $value:expr) => {
        static $name: Record<$type> = Record {
            head: Head {
                table: &TableOf::<$type>::STATIC,
                count: AtomicUsize::new(0),
                suppressed: Mutex::new(Vec::new()),
            },
            error: $value,
        };
    };
}

static_record!(CANCELED, Canceled, Canceled);
static_record!(TIMEOUT, Timeout, Timeout);
static_record!(END_OF_FILE, EndOfFile, EndOfFile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_word_and_leaves_a_niche() {
        let word = size_of::<usize>();
        assert_eq!(size_of::<Error>(), word);
        assert_eq!(size_of::<std::result::Result<(), Error>>(), word);
    }

    #[test]
    fn converts_to_boxed_errors_and_back_through_the_chain() {
        let boxed: BoxedStdError = Error::message("inner").context("outer").into();
        let again = Error::new(std::io::Error::other(boxed));
        assert!(again.is::<Failure>());
        assert!(
            std::io::Error::other(Error::from(Canceled))
                .source()
                .is_some()
        );
    }

    #[test]
    fn statics_are_recognised_and_not_counted() {
        let error = Error::from(Canceled);
        assert_eq!(error.record, Error::canceled().record);
        let kept = error.clone();
        drop(error);
        assert!(kept.is_canceled());
        assert!(Error::from(Timeout).is::<Timeout>());
        assert!(!Error::from(EndOfFile).is_canceled());
    }

    #[test]
    fn suppressed_errors_do_not_leak_into_the_statics() {
        let error = Error::from(Canceled).suppressing(Error::message("body"));
        assert!(error.is::<Failure>() && error.is::<Canceled>());
        assert!(Error::canceled().suppressed().is_empty());
    }

    #[test]
    fn crosses_threads() {
        let error = Error::message("far");
        let copy = error.clone();
        let text = std::thread::spawn(move || copy.to_string()).join();
        assert_eq!(text.ok().as_deref(), Some("far"));
    }
}
