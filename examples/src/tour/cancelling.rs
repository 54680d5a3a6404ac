//! How a thread is ended before its time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lwt::Result;
use lwt::unix::{pipe, with_timeout};

use super::screen::{Screen, state};

/// `cancel`, `on_cancel`, `protected`, and a time-out, which is a cancel by the clock.
pub(super) async fn cancelling(screen: &Screen) -> Result<()> {
    let text = "Cancelling goes down to what a thread waits for: that fails with Canceled, and so does everything that was waiting for it. What is protected goes on.";
    screen.chapter("Cancelling", "manual 2.1.3", text).await?;

    let (waiter, _wakener) = lwt::task::<u32>();
    let thread = waiter.clone().map(|number| number + 1);
    let was_told = Rc::new(Cell::new(false));
    let telling = Rc::clone(&was_told);
    waiter.on_cancel(move || telling.set(true));
    screen
        .row("t = waiter.map(|x| x + 1)", state(&thread))
        .await?;
    thread.cancel();
    screen.row("t.cancel(), and t is", state(&thread)).await?;
    screen.row("the waiter", state(&waiter)).await?;
    screen
        .row(
            "its on_cancel function was called",
            was_told.get().to_string(),
        )
        .await?;

    let (waiter, wakener) = lwt::task::<u32>();
    let shield = waiter.clone().protected();
    shield.cancel();
    screen
        .row("t = waiter.protected(); t.cancel(); t is", state(&shield))
        .await?;
    screen.row("the waiter behind it", state(&waiter)).await?;
    wakener.wakeup(7);
    screen
        .row("wakener.wakeup(7), and the waiter is", state(&waiter))
        .await?;

    let (input, output) = pipe()?;
    let slow = with_timeout(Duration::from_millis(50), || input.read_some(1));
    let outcome = slow.clone();
    let _ = slow.await;
    screen
        .row(
            "with_timeout(50 ms, || input.read_some(1))",
            state(&outcome),
        )
        .await?;
    output.write_all(b"x").await?;
    let next = input.read_some(1).await?;
    let next = String::from_utf8_lossy(&next).into_owned();
    screen
        .row("that read took no byte; the next one has", next)
        .await
}
