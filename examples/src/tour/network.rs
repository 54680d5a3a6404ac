//! Everything at once: a server, a relay in front of it, hundreds of clients, a clock, and a long computation.
//!
//! All of it is threads of this one OS thread. Each client sends a message through the relay to the server, waits for it to
//! come back, compares, and begins again; every message crosses four sockets. The clock redraws one line of the
//! screen ten times a second, and the computation, which would take far too long, is cancelled when half of the time is
//! over.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lwt::unix::{Address, FileDescriptor, Shutdown, connect, listen, sleep};
use lwt::{Error, Group, Promise, Result};

use super::screen::{Screen, grouped};
use crate::ending::cancel_all;
use crate::limits::raise_descriptor_limit;
use crate::relay::relay_until;

/// The size of a message in bytes.
const MESSAGE: usize = 64;

/// What the threads tell the clock.
#[derive(Default)]
struct Tally {
    talking: Cell<u64>,
    messages: Cell<u64>,
    primes: Cell<u64>,
    is_computing: Cell<bool>,
}

/// Returns how many messages went to the server and back in a second.
pub(super) async fn everything_at_once(screen: &Screen) -> Result<f64> {
    // Both ends of both connections of each client are ours.
    let limit = raise_descriptor_limit().saturating_sub(50) / 4;
    let clients = screen.pace().either(300, 100).min(limit);
    let length = Duration::from_millis(screen.pace().either(3_500, 300));
    let text = format!(
        "{clients} clients talk over TCP, through a relay, with a server; a clock ticks; a computation looks for \
         primes and is cancelled half-way. One OS thread does it all."
    );
    screen
        .chapter("Everything at once", "manual 2.1 and 3.1", &text)
        .await?;

    let any_port: Address = "127.0.0.1:0".parse()?;
    let tally = Rc::new(Tally::default());
    let (server, door) = (listen(&any_port)?, listen(&any_port)?);
    let (server_address, address) = (server.local_address()?, door.local_address()?);
    let serving = Group::new();
    drop(serving.spawn(serve(server)));
    let (closing_time, close) = lwt::wait();
    let relaying = lwt::spawn(relay_until(closing_time, door, server_address));
    let computing = Group::new();
    drop(computing.spawn(find_primes(Rc::clone(&tally))));

    let start = Instant::now();
    let (end, ring) = lwt::wait::<()>();
    let talking = (0..clients).map(|number| {
        lwt::spawn(talk(
            number,
            address.clone(),
            end.clone(),
            Rc::clone(&tally),
        ))
    });
    let talking = lwt::join(talking.collect::<Vec<Promise<()>>>());
    let halfway = lwt::spawn(async move {
        sleep(length / 2).await?;
        cancel_all(&computing).await
    });

    watch(screen, &tally, start, length).await?;
    let (messages, seconds) = (tally.messages.get(), start.elapsed().as_secs_f64());
    ring.wakeup(());
    lwt::join([talking, halfway]).await?;
    close.wakeup(());
    relaying.await?;
    cancel_all(&serving).await?;

    let counted = format!("{} messages", grouped(messages));
    screen
        .row("sent, relayed, echoed, relayed, compared", counted)
        .await?;
    let fate = match tally.is_computing.get() {
        true => String::from("still going on"),
        false => format!("cancelled after {}", grouped(tally.primes.get())),
    };
    screen.row("the search for primes", fate).await?;
    Ok(messages as f64 / seconds)
}

/// The clock: redraws the line that changes until the time is over.
async fn watch(screen: &Screen, tally: &Tally, start: Instant, length: Duration) -> Result<()> {
    let mut ticks = 0;
    while start.elapsed() < length {
        sleep(Duration::from_millis(100)).await?;
        ticks += 1;
        let seconds = start.elapsed().as_secs_f64();
        let (clients, messages) = (tally.talking.get(), grouped(tally.messages.get()));
        let primes = grouped(tally.primes.get());
        let computation = if tally.is_computing.get() {
            "computing"
        } else {
            "cancelled"
        };
        let line = format!(
            "{seconds:4.1} s  {clients} clients  {messages:>9} messages  {primes:>7} primes, {computation}"
        );
        screen.live(&line, ticks % 10 == 0).await?;
    }
    Ok(())
}

/// Takes connections and sends back what arrives on them, until it is cancelled.
async fn serve(listener: FileDescriptor) -> Result<()> {
    let connections = Group::new();
    loop {
        let (client, _) = listener.accept().await?;
        connections.spawn(echo(client)).ignore_result();
    }
}

async fn echo(client: FileDescriptor) -> Result<()> {
    loop {
        let bytes = client.read_some(4096).await?;
        if bytes.is_empty() {
            return client.shutdown(Shutdown::Send);
        }
        client.write_all(&bytes).await?;
    }
}

/// One client: says something, and expects to hear the same, until the end.
async fn talk(number: u64, address: Address, end: Promise<()>, tally: Rc<Tally>) -> Result<()> {
    let connection = connect(&address).await?;
    tally.talking.set(tally.talking.get() + 1);
    let mut answer = [0; MESSAGE];
    for round in 0_u64.. {
        if !end.is_sleeping() {
            break;
        }
        let mut message = [0; MESSAGE];
        for (place, byte) in message.iter_mut().zip(
            number
                .to_le_bytes()
                .into_iter()
                .chain(round.to_le_bytes())
                .cycle(),
        ) {
            *place = byte;
        }
        connection.write_all(&message).await?;
        connection.read_exact(&mut answer).await?;
        if answer != message {
            return Err(Error::message(format!(
                "client {number}: round {round} came back changed"
            )));
        }
        tally.messages.set(tally.messages.get() + 1);
    }
    connection.shutdown(Shutdown::Send)?;
    match connection.read(&mut answer).await? {
        0 => Ok(()),
        count => Err(Error::message(format!(
            "client {number}: {count} bytes after the end"
        ))),
    }
}

/// Looks for primes, for ever, and lets others go first now and then.
async fn find_primes(tally: Rc<Tally>) -> Result<()> {
    let _computing = Computing::begin(Rc::clone(&tally));
    for number in 2_u64.. {
        let mut factors = (2..).take_while(|factor| factor * factor <= number);
        let is_prime = factors.all(|factor| number % factor != 0);
        tally.primes.set(tally.primes.get() + u64::from(is_prime));
        if number % 1_000 == 0 {
            lwt::pause().await?;
        }
    }
    Ok(())
}

/// Cleaning up is what Rust does anyway: a thread that is cancelled drops what it holds.
struct Computing(Rc<Tally>);

impl Computing {
    fn begin(tally: Rc<Tally>) -> Computing {
        tally.is_computing.set(true);
        Computing(tally)
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        self.0.is_computing.set(false);
    }
}
