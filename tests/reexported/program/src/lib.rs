//! Shows that the macros work in a crate that reaches `lwt` only through another crate, with the option `crate`.

use lwt_test_framework::threads::lwt as facade;

/// Starts a thread that gives the number back, doubled. The path is a string.
#[facade::thread(crate = "lwt_test_framework::threads::lwt")]
pub async fn doubled(number: u32) -> facade::Result<u32> {
    facade::pause().await?;
    Ok(2 * number)
}

/// Starts a thread that gives the number back, plus one. The path is a path, and starts in this crate.
#[facade::thread(crate = crate::facade)]
pub async fn next(number: u32) -> facade::Result<u32> {
    Ok(number + 1)
}

lwt_test_framework::number! {
    /// Starts a thread that gives seven. The path comes from a macro of the framework.
    pub seven = 7
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{doubled, facade, next, seven};

    #[facade::main(crate = "lwt_test_framework::threads::lwt")]
    async fn program() -> facade::Result<u32> {
        next(doubled(21).await?).await
    }

    #[test]
    fn main_and_thread_take_the_path() {
        assert_eq!(program().ok(), Some(43));
    }

    #[facade::test(virtual_clock, crate = "lwt_test_framework::threads::lwt")]
    async fn test_takes_the_path() -> facade::Result<()> {
        facade::unix::sleep(Duration::from_secs(3600)).await?;
        assert_eq!(doubled(seven().await?).await?, 14);
        Ok(())
    }
}
