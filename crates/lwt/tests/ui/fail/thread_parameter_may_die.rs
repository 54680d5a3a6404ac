//! A type parameter needs `'static`.

#[lwt::thread]
async fn keep<T>(value: T) -> lwt::Result<u32> {
    drop(value);
    Ok(1)
}

fn main() {}
