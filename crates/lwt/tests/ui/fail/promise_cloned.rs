//! A clone of a promise needs values that can be cloned.

struct Unique;

fn main() {
    let (promise, _resolver) = lwt::wait::<Unique>();
    let _second = promise.clone();
}
