//! The names that nearly every program of Lwt uses: `use lwt::prelude::*;`.
//!
//! Nothing here has a name of the standard prelude or of one of its attributes, so importing it changes the meaning of no
//! line of a program. That is why `Result`, `Error` and the attributes `main`, `test` and `thread` are not among them:
//! write `lwt::Result`, `#[lwt::main]`.
//!
//! # Examples
//!
//! ```
//! use lwt::prelude::*;
//!
//! fn doubled(number: Promise<u32>) -> Promise<u32> {
//!     number.map(|number| number * 2)
//! }
//! # fn main() -> lwt::Result<()> {
//! let (number, resolver) = wait();
//! let result = doubled(number);
//! resolver.resolve(21);
//! assert!(matches!(result.state(), State::Return(42)));
//! # Ok(())
//! # }
//! ```

pub use crate::{Canceler, Group, Promise, Resolver, State};
pub use crate::{all, both, choose, fail, join, pause, pick, return_, spawn, task, wait};
