//! The relay as a program, between real peers.
//!
//! | file    | what is tested                                                                  |
//! |---------|---------------------------------------------------------------------------------|
//! | `bytes` | what goes through, both ways; ends, resets, refusals, names and families          |
//! | `http`  | `curl` and an HTTP server of Python: 100 MB up and down, kept connections, kills   |
//! | `load`  | 1,000 idle connections, peers that do not read, no descriptors left, Ctrl-C        |

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the place where it did"
)]

#[path = "relay/bytes.rs"]
mod bytes;
mod common;
#[path = "relay/http.rs"]
mod http;
#[path = "relay/load.rs"]
mod load;
