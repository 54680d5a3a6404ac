//! What threads share: mailboxes, locks, conditions, streams.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lwt::{Condition, Mutex, Mvar, Promise, Result, Stream};

use super::screen::{Screen, state, states};

/// A mailbox variable holds one value, and keeps writer and reader in step.
pub(super) async fn mailbox(screen: &Screen) -> Result<()> {
    let text = "A mailbox holds one letter. Who takes from an empty one waits, and so does who puts into a full one.";
    screen
        .chapter("Mailbox variables", "manual 2.4.4", text)
        .await?;

    let mailbox = Mvar::new_empty();
    let taking = mailbox.take();
    screen
        .row("t = mailbox.take(), and it is empty", state(&taking))
        .await?;
    mailbox.put("a letter").await?;
    screen
        .row("mailbox.put(\"a letter\"), and t is", state(&taking))
        .await?;
    let (first, second) = (mailbox.put("first"), mailbox.put("second"));
    screen
        .row(
            "put(\"first\") and put(\"second\")",
            states(&[first, second.clone()]),
        )
        .await?;
    let taken = mailbox.take().await?;
    screen.row("mailbox.take()", taken).await?;
    screen
        .row("there is room for the second now: it is", state(&second))
        .await?;
    mailbox.take().await.map(drop)
}

/// A lock makes several steps one; a condition tells many at once.
pub(super) async fn locks(screen: &Screen) -> Result<()> {
    let text = "Nothing is interrupted, so locks are only needed around steps with a wait in between. Three threads write [, pause, write their letter, pause, write ].";
    screen
        .chapter("Mutexes and conditions", "manual 2.4.1", text)
        .await?;

    screen.row("without a mutex", written(None).await?).await?;
    screen
        .row(
            "each with a guard: mutex.lock().await?",
            written(Some(Mutex::new(()))).await?,
        )
        .await?;

    let condition = Condition::new();
    let waiting: [Promise<&str>; 3] = std::array::from_fn(|_| condition.wait());
    screen
        .row("three threads: condition.wait()", states(&waiting))
        .await?;
    condition.signal("go");
    screen
        .row("condition.signal(\"go\")", states(&waiting))
        .await?;
    condition.broadcast("all");
    screen
        .row("condition.broadcast(\"all\")", states(&waiting))
        .await
}

/// What three threads write onto one page.
async fn written(mutex: Option<Mutex>) -> Result<String> {
    let page = Rc::new(RefCell::new(String::new()));
    let writer = |letter| {
        let (page, mutex) = (Rc::clone(&page), mutex.clone());
        lwt::spawn(async move {
            let _guard = match mutex {
                Some(mutex) => Some(mutex.lock().await?),
                None => None,
            };
            for character in ['[', letter, ']'] {
                page.borrow_mut().push(character);
                lwt::pause().await?;
            }
            Ok(())
        })
    };
    lwt::join(['a', 'b', 'c'].map(writer)).await?;
    Ok(page.take())
}

/// A stream gives its elements one after another, to each clone all of them.
pub(super) async fn streams(screen: &Screen) -> Result<()> {
    let text = "A stream gives elements one after another, and waits for those that are not there yet. A clone gives the same ones: reading one does not consume the other.";
    screen.chapter("Data streams", "manual 2.4.3", text).await?;

    let (stream, source) = Stream::create();
    for number in [1, 2, 3] {
        source.push(number)?;
    }
    let copy = stream.clone();
    let taken: [Promise<u32>; 4] = std::array::from_fn(|_| stream.next());
    screen
        .row("push 1, 2, 3; four next() calls", states(&taken))
        .await?;
    source.push(4)?;
    screen.row("push 4", states(&taken)).await?;
    let again: [Promise<u32>; 4] = std::array::from_fn(|_| copy.next());
    screen
        .row("its clone: four next() calls", states(&again))
        .await?;

    let asked = Rc::new(Cell::new(0));
    let counting = Rc::clone(&asked);
    let squares = Stream::from(move || {
        counting.set(counting.get() + 1);
        lwt::return_(Some(counting.get() * counting.get()))
    });
    let before = asked.get();
    let taken: [Promise<u32>; 3] = std::array::from_fn(|_| squares.next());
    screen
        .row("Stream::from(squares); three next() calls", states(&taken))
        .await?;
    let times = format!("{before}, then {} times", asked.get());
    screen
        .row("its source is asked only when needed:", times)
        .await
}
