//! What the example programs are made of. The programs themselves, in `src/bin`, only read their command line.
//!
//! - [`relay`]: a relay of TCP connections, the library at daily work;
//! - [`tour`]: a guided tour through the library's ideas, each shown live;
//! - [`limits`] and [`ending`]: what both need.

pub mod ending;
pub mod limits;
pub mod relay;
pub mod tour;
