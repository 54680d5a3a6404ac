//! The ways in which reading from or pushing into a stream fails.

use std::error::Error as StdError;
use std::fmt;

/// [`Stream::next`](super::Stream::next) met the end.
#[doc(alias = "Lwt_stream.Empty")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty;

/// A push after the stream was closed, or the stream was closed while the push was blocked.
#[doc(alias = "Lwt_stream.Closed")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A push into a bounded stream while another push is blocked already.
#[doc(alias = "Lwt_stream.Full")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The source of a stream went away without ending it: all handles that push were dropped without
/// [`close`](super::Push::close), or nothing can resolve the promise of the source any more. More elements may have
/// been meant to come, so this is not the same as the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDropped;

/// A push into a stream that nobody can read any more: all its readers were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadersGone;

macro_rules! texts {
    ($($type:ty => $text:literal),* $(,)?) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl StdError for $type {}
    )*};
}

texts! {
    Empty => "the stream has ended",
    Closed => "push: the stream is closed",
    Full => "push: the stream is full, and another push is blocked already",
    SourceDropped => "the source of the stream was dropped before the stream ended",
    ReadersGone => "push: nobody can read the stream any more",
}
