//! What a thread is, and how one is made from another.

use lwt::unix::{Domain, SocketKind, connect, pipe, socket};
use lwt::{Error, Result};

use super::screen::{Screen, state};

/// Sleep, Return, Fail; and who wakes.
pub(super) async fn states(screen: &Screen) -> Result<()> {
    let text = "Reading from an empty pipe does not block: it gives a thread that sleeps. A thread is a value, and its state can be looked at: Sleep, Return or Fail.";
    screen
        .chapter("A thread is a promise", "manual 2.1", text)
        .await?;

    let (input, output) = pipe()?;
    let letter = input.read_some(1).map(as_text);
    screen
        .row("t = input.read_some(1), nothing is there", state(&letter))
        .await?;
    output.write_all(b"a").await?;
    letter.clone().await?;
    screen
        .row("output.write_all(b\"a\"), and t is", state(&letter))
        .await?;

    let (promise, wakener) = lwt::wait::<u32>();
    screen
        .row("(t, wakener) = lwt::wait()", state(&promise))
        .await?;
    wakener.wakeup(42);
    screen.row("wakener.wakeup(42)", state(&promise)).await?;
    let (promise, wakener) = lwt::wait::<u32>();
    wakener.wakeup_exn(Error::message("no luck"));
    screen
        .row(
            "wakener.wakeup_exn(\"no luck\") of another",
            state(&promise),
        )
        .await?;
    screen
        .remark("A wakener is used up by waking: doing it twice does not compile.")
        .await
}

/// `bind` and `catch`, and what became of them in Rust.
pub(super) async fn composition(screen: &Screen) -> Result<()> {
    let text = "`bind` says what comes after a thread, and `catch` what comes after its failure. An `async` block says the same as straight code; it starts at once.";
    screen
        .chapter("One after the other", "manual 2.1.2", text)
        .await?;

    let (input, output) = pipe()?;
    let typed = |line| format!("typed {}", as_text(line));
    let bound = input
        .read_some(80)
        .bind(move |line| lwt::return_(typed(line)));
    screen
        .row("t = input.read_some(80).bind(|line| ...)", state(&bound))
        .await?;
    output.write_all(b"tea").await?;
    bound.clone().await?;
    screen
        .row("\"tea\" is typed, and t is", state(&bound))
        .await?;

    let thread = lwt::spawn(async move {
        let line = input.read_some(80).await?;
        Ok(typed(line))
    });
    screen
        .row("t = lwt::spawn(async { ... .await? ... })", state(&thread))
        .await?;
    output.write_all(b"toast").await?;
    thread.clone().await?;
    screen
        .row("\"toast\" is typed, and t is", state(&thread))
        .await?;

    // A port that is taken, and at which nobody listens.
    let deaf = socket(Domain::Ipv4, SocketKind::Stream)?;
    deaf.bind(&"127.0.0.1:0".parse()?)?;
    let nobody = deaf.local_address()?;
    let refused = connect(&nobody).map(|_| "connected");
    let caught = connect(&nobody)
        .map(|_| "connected")
        .catch(|_| lwt::return_("no answer"));
    let reason = refused.clone().await.err().map(|error| error.to_string());
    screen
        .row("t = connect(&where_nobody_listens)", state(&refused))
        .await?;
    caught.clone().await?;
    screen
        .row("t.catch(|error| return_(\"no answer\"))", state(&caught))
        .await?;
    screen.remark(&reason.unwrap_or_default()).await
}

fn as_text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
