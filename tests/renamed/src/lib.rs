//! Shows that the macros work in a crate that renames `lwt` in its `Cargo.toml` and has nothing called `lwt`.

/// Starts a thread that gives the number back, doubled.
#[threads::thread]
pub async fn doubled(number: u32) -> threads::Result<u32> {
    threads::pause().await?;
    Ok(2 * number)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::doubled;

    #[threads::main]
    async fn program() -> threads::Result<u32> {
        doubled(21).await
    }

    #[test]
    fn main_and_thread_find_the_facade() {
        assert_eq!(program().ok(), Some(42));
    }

    #[threads::test(virtual_clock, seed = 1, time_limit = "20s")]
    async fn test_finds_the_facade() -> threads::Result<()> {
        threads::unix::sleep(Duration::from_secs(3600)).await?;
        assert_eq!(doubled(4).await?, 8);
        Ok(())
    }
}
