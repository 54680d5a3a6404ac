//! A thread gives a value away; it cannot lend one.

#[lwt::thread]
async fn longest(names: &Vec<String>) -> lwt::Result<&str> {
    Ok(&names[0])
}

fn main() {}
