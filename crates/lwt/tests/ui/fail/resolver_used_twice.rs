//! A resolver is consumed by waking.

fn main() {
    let (promise, resolver) = lwt::wait();
    resolver.resolve(1);
    resolver.resolve(2);
    drop(promise);
}
