//! The prelude beside everything of the standard one: nothing is ambiguous, no attribute changes its meaning.

#![deny(warnings)]
#![allow(unused_imports)]

use lwt::prelude::*;
use std::prelude::rust_2024::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Plain(u8);

impl AsRef<u8> for Plain {
    fn as_ref(&self) -> &u8 {
        &self.0
    }
}

impl From<u8> for Plain {
    fn from(number: u8) -> Plain {
        Plain(number)
    }
}

fn bounds<T>(value: T) -> Result<Option<Box<T>>, String>
where
    T: Send + Sync + Sized + Unpin + Copy + AsRef<u8> + PartialOrd + ToOwned,
{
    let _ = value;
    drop(String::new());
    let text: String = vec![1_u8].iter().map(ToString::to_string).collect();
    match Vec::from_iter(Some(1).into_iter().rev()).len().try_into() {
        Ok(1_u8) => Err(text),
        Ok(_) | Err(_) => None.ok_or(text),
    }
}

#[test]
fn the_attribute_test_is_the_standard_one() {}

fn future(future: impl IntoFuture<Output = Result<u8, lwt::Error>, IntoFuture = Promise<u8>>) -> impl Future {
    future.into_future()
}

fn main() {
    assert!(bounds(Plain::from(1)).is_err());
    assert_eq!(format!("{:?}", Plain::default()), "Plain(0)");
    let (promise, resolver): (Promise<u8>, Resolver<u8>) = wait();
    resolver.resolve(1);
    assert!(matches!(promise.state(), State::Return(1)));
    drop(future(promise));
}
