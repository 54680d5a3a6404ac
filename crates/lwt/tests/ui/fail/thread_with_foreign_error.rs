//! The error of a thread is `lwt::Error`.

#[lwt::thread]
async fn read(path: String) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[lwt::thread]
async fn number() -> u32 {
    42
}

fn main() {}
