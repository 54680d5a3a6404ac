//! lwt-unix
