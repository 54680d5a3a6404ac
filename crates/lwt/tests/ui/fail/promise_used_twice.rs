//! A promise gives its value away: a second consumer needs a clone.

fn main() {
    let (promise, _resolver) = lwt::wait::<u32>();
    let _sum = promise.map(|number| number + 1);
    let _product = promise.map(|number| number * 2);
}
