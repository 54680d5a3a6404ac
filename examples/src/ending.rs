//! Ending threads that would go on for ever.

use lwt::{Group, Result};

/// Cancels all threads of a group, and waits until they are over.
///
/// A thread that was just woken and has not run yet waits for nothing, so a single cancel might pass it by; it is met at
/// its next wait.
///
/// # Errors
/// None of its own.
///
/// # Cancellation
/// Those that are not over go on.
pub async fn cancel_all(group: &Group) -> Result<()> {
    while group.running() > 0 {
        group.cancel();
        lwt::pause().await?;
    }
    Ok(())
}
