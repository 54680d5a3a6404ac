//! Promises and resolvers that nobody looks at are reported.

#![deny(unused_must_use)]

#[lwt::thread]
async fn thread() -> lwt::Result<()> {
    Ok(())
}

fn main() {
    lwt::pause();
    lwt::wait::<u32>();
    lwt::unix::sleep(std::time::Duration::ZERO);
    lwt::return_(1).map(|number| number + 1);
    lwt::join([lwt::pause()]);
    thread();
    let (_promise, resolver) = lwt::task::<u32>();
    resolver.clone();
}
