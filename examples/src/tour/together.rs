//! Several threads at once: waiting for them, what follows each of them, and how they take turns.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lwt::unix::sleep;
use lwt::{Key, Promise, Result};

use super::screen::{Screen, states};

/// Three sleepers of 100, 200 and 300 milliseconds, all launched at once; each returns its number.
fn sleepers() -> [Promise<u64>; 3] {
    [100, 200, 300].map(|ms| sleep(Duration::from_millis(ms)).map(move |()| ms))
}

/// `join`, `choose`, `pick`.
pub(super) async fn several(screen: &Screen) -> Result<()> {
    let text = "Three threads sleep for 100, 200 and 300 ms, all at once. `join` waits for all, `choose` for the first, and `pick` cancels the others then.";
    screen
        .chapter("Several at once", "manual 2.1.4", text)
        .await?;

    let start = Instant::now();
    let threads = sleepers();
    lwt::join(threads.clone().map(|thread| thread.map(drop))).await?;
    screen
        .row(
            &format!("join, after {} ms", start.elapsed().as_millis()),
            states(&threads),
        )
        .await?;

    let start = Instant::now();
    let threads = sleepers();
    lwt::choose(threads.clone()).await?;
    screen
        .row(
            &format!("choose, after {} ms", start.elapsed().as_millis()),
            states(&threads),
        )
        .await?;

    let start = Instant::now();
    let threads = sleepers();
    lwt::pick(threads.clone()).await?;
    screen
        .row(
            &format!("pick, after {} ms", start.elapsed().as_millis()),
            states(&threads),
        )
        .await
}

/// Values that follow a thread through everything it waits for.
pub(super) async fn storage(screen: &Screen) -> Result<()> {
    let text = "A key can have another value in each thread, and keeps it while others run in between. Here two threads log in turns, each with its own name.";
    screen
        .chapter("Storage that follows a thread", "manual 2.1.5", text)
        .await?;

    let name = Key::<&'static str>::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    let logging = |words: [&'static str; 2]| {
        let log = Rc::clone(&log);
        lwt::spawn(async move {
            for word in words {
                let line = format!("{}: {word}", name.get().unwrap_or("main"));
                log.borrow_mut().push(line);
                lwt::pause().await?;
            }
            Ok(())
        })
    };
    lwt::join([
        name.with_value(Some("thread 1"), || logging(["foo", "fee"])),
        name.with_value(Some("thread 2"), || logging(["bar", "baz"])),
        logging(["hum", "hem"]),
    ])
    .await?;
    for (turn, lines) in ["first turn", "second turn"]
        .iter()
        .zip(log.take().chunks(3))
    {
        screen.row(turn, lines.join("  ")).await?;
    }
    Ok(())
}

/// A thread runs until it waits: `pause` is how it lets others go first.
pub(super) async fn pausing(screen: &Screen) -> Result<()> {
    let text = "A thread is never interrupted: it runs until it waits. A long computation is polite when it pauses. Two threads write their letters:";
    screen.chapter("Taking turns", "manual 2.1.6", text).await?;

    screen.row("without pause", written(false).await?).await?;
    screen
        .row("lwt::pause().await after each letter", written(true).await?)
        .await
}

/// What two threads write onto one page, one with `a` and the other with `b`.
async fn written(politely: bool) -> Result<String> {
    let page = Rc::new(RefCell::new(String::new()));
    let writer = |letter| {
        let page = Rc::clone(&page);
        lwt::spawn(async move {
            for _ in 0..8 {
                page.borrow_mut().push(letter);
                if politely {
                    lwt::pause().await?;
                }
            }
            Ok(())
        })
    };
    lwt::join([writer('a'), writer('b')]).await?;
    Ok(page.take())
}
