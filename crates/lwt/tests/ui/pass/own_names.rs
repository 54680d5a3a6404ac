//! The macros rely on no name of the crate that uses them: here all the usual ones mean something else.

#![deny(warnings)]
#![allow(dead_code, unused_macros)]

mod core {}
mod std {}
mod threads {
    pub(crate) use lwt::Result;
}
struct Option;
struct Result;
struct Some;
struct None;
struct Ok;
struct Err;
struct Box;
trait Future {}
macro_rules! panic {
    () => {
        compile_error!("the macros called a macro of the user")
    };
}
mod lwt {}

#[::lwt::thread]
async fn answer(output: u32, (argument_1, b): (u32, u32)) -> threads::Result<u32> {
    threads::Result::Ok(output + argument_1 + b)
}

#[::lwt::main]
async fn main() -> threads::Result<()> {
    let threads::Result::Ok(42) = answer(40, (1, 1)).await else {
        ::std::process::exit(1);
    };
    threads::Result::Ok(())
}
