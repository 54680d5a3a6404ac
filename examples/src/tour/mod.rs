//! A guided tour: each idea of the manual's sections 2.1 and 2.4, shown live with real resources.
//!
//! Each chapter is a function that explains itself in a line or two, does something, and shows what it saw: nothing
//! that is printed as an outcome is written down here. In the order of the tour:
//!
//! | file          | chapters                                                            |
//! |---------------|---------------------------------------------------------------------|
//! | `promises`    | states, `wait` and `wakeup`, `bind`, `catch`, `async`                |
//! | `cancelling`  | `cancel`, `protected`, time-outs                                    |
//! | `together`    | `join`, `choose`, `pick`, storage that follows a thread, `pause`     |
//! | `sharing`     | mailboxes, locks, conditions, streams                               |
//! | `child`       | the output of another process, through a pipe                       |
//! | `network`     | a server, a relay, hundreds of clients, a clock and a computation    |
//! | `measure`     | how fast and how small it is on this machine                        |
//! | `balance`     | that nothing is left behind                                         |
//!
//! [`Screen`] is how they all speak: it sets the lines, the colours and the pace.

mod balance;
mod cancelling;
mod child;
mod measure;
mod network;
mod promises;
mod screen;
mod sharing;
mod together;

use std::time::Instant;

use lwt::Result;
use lwt::unix::error_kind;

use balance::Balance;
pub use screen::{Pace, Screen};

/// Shows everything.
///
/// # Errors
/// Of whatever failed; that something was left behind at the end. That nobody reads the output any more is none.
pub async fn run(screen: Screen) -> Result<()> {
    match chapters(&screen).await {
        Err(error) if error_kind(&error) == Some(std::io::ErrorKind::BrokenPipe) => Ok(()),
        outcome => outcome,
    }
}

async fn chapters(screen: &Screen) -> Result<()> {
    let start = Instant::now();
    screen.title().await?;
    // The first wait has had the loop make what it keeps for good.
    let balance = Balance::take().await?;
    promises::states(screen).await?;
    promises::composition(screen).await?;
    cancelling::cancelling(screen).await?;
    together::several(screen).await?;
    together::storage(screen).await?;
    together::pausing(screen).await?;
    sharing::mailbox(screen).await?;
    sharing::locks(screen).await?;
    sharing::streams(screen).await?;
    child::output(screen).await?;
    let messages = network::everything_at_once(screen).await?;
    measure::figures(screen, messages).await?;
    balance.check(screen).await?;
    screen.end(start.elapsed()).await
}
