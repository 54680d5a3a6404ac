//! A thread may fail, be cancelled, or panic: its function says so in its type.

#[lwt::thread]
async fn greet(name: String) {
    println!("hello {name}");
}

fn main() {}
