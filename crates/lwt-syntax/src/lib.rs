//! lwt-syntax
