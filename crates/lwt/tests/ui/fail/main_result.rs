//! The result of `main` must be one that a program can have when its loop fails.

mod number {
    #[lwt::main]
    async fn main() -> u32 {
        42
    }
}

mod error {
    #[derive(Debug)]
    pub struct Mine;

    #[lwt::main]
    async fn main() -> Result<(), Mine> {
        Err(Mine)
    }
}

fn main() {}
