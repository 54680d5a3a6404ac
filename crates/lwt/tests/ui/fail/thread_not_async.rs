//! The attribute stands on `async fn` and nothing else.

#[lwt::thread]
fn plain() -> lwt::Result<()> {
    Ok(())
}

#[lwt::thread]
struct Thread;

#[lwt::thread(seed = 1)]
async fn option() -> lwt::Result<()> {
    Ok(())
}

fn main() {}
