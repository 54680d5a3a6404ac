//! A promise and a resolver are invariant in their value (rule M8 of the model): the clone function that a promise keeps,
//! and the value that a resolver sends, are those of exactly one type.

use lwt::{Promise, Resolver};

type Any = for<'a> fn(&'a u8);
type Static = fn(&'static u8);

fn covariant_lifetime<'a>(promise: Promise<&'static str>, _: &'a str) -> Promise<&'a str> {
    promise
}

fn covariant(promise: Promise<Any>) -> Promise<Static> {
    promise
}

fn contravariant(promise: Promise<Static>) -> Promise<Any> {
    promise
}

fn covariant_resolver(resolver: Resolver<Any>) -> Resolver<Static> {
    resolver
}

fn contravariant_resolver(resolver: Resolver<Static>) -> Resolver<Any> {
    resolver
}

fn main() {}
