//! Takes connections until it is told to end, and then ends in order.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use lwt::unix::{Address, FileDescriptor, Signals, listen, resolve, sleep};
use lwt::{Canceled, Error, Group, Promise, Result};
use rustix::process::Signal;

use super::Options;
use super::connection::{self, Moved};
use crate::ending::cancel_all;
use crate::limits::raise_descriptor_limit;

/// How long to wait before connections are taken again after the system refused to give one.
const REST: Duration = Duration::from_millis(100);

/// Relays until Ctrl-C (or `SIGTERM`), then waits for the connections that are there, for the grace time at most.
///
/// The address it listens at is the first line of the standard output.
///
/// # Errors
/// When it cannot listen. Nothing that happens to a connection is one.
pub async fn serve(options: Options) -> Result<()> {
    raise_descriptor_limit();
    let end = End::listen()?;
    let listener = listen_at(&options.listen).await?;
    let announcement = format!(
        "relay: listening at {}, relaying to {}\n",
        listener.local_address()?,
        options.target
    );
    FileDescriptor::stdout()
        .write_all(announcement.as_bytes())
        .await?;

    let relay = Rc::new(Relay::new(options.target));
    relay.take_until(end.told(), listener).await?;
    relay.finish(options.grace, &end).await
}

/// Relays inside another program, from a listener of its own, until `end`; then waits for the connections that are there.
///
/// # Errors
/// The failure of `end`.
///
/// # Cancellation
/// No more connections are taken; those that are there go on by themselves.
pub async fn relay_until(
    end: Promise<()>,
    listener: FileDescriptor,
    target: Address,
) -> Result<()> {
    let relay = Rc::new(Relay::new(target.to_string()));
    relay.take_until(end, listener).await?;
    relay.connections.wait().await
}

async fn listen_at(place: &str) -> Result<FileDescriptor> {
    let addresses = resolve(place).await?;
    let first = addresses
        .first()
        .ok_or_else(|| Error::message(format!("{place} has no address")))?;
    listen(first)
}

/// Takes connections for ever, and launches a thread for each.
async fn accept(relay: Rc<Relay>, listener: FileDescriptor) -> Result<()> {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                relay
                    .connections
                    .spawn(attend(Rc::clone(&relay), client, peer))
                    .ignore_result();
            }
            Err(error) if error.is_canceled() => return Err(error),
            // Trouble of the network that the kernel reports here; the listener itself is well.
            Err(error) => {
                relay.report(format_args!("{error:#}")).await;
                sleep(REST).await?;
            }
        }
    }
}

/// One connection from its first to its last byte, and what became of it.
async fn attend(relay: Rc<Relay>, client: FileDescriptor, peer: Address) -> Result<()> {
    // In a thread of its own, so that even a panic is no more than the failure of this connection.
    let outcome = lwt::spawn(connection::relay(client, relay.target.clone())).await;
    relay.served.set(relay.served.get() + 1);
    match outcome {
        Ok(moved) => relay.count(moved),
        Err(error) if error.is::<Canceled>() => relay.cut.set(relay.cut.get() + 1),
        Err(error) => relay.report(format_args!("{peer}: {error:#}")).await,
    }
    Ok(())
}

/// What the threads of the relay share.
struct Relay {
    target: String,
    connections: Group,
    served: Cell<u64>,
    cut: Cell<u64>,
    moved: Cell<Moved>,
}

impl Relay {
    fn new(target: String) -> Relay {
        Relay {
            target,
            connections: Group::new(),
            served: Cell::new(0),
            cut: Cell::new(0),
            moved: Cell::new(Moved::default()),
        }
    }

    /// Takes connections until `end`; then the listener is closed.
    async fn take_until(
        self: &Rc<Relay>,
        end: Promise<()>,
        listener: FileDescriptor,
    ) -> Result<()> {
        let accepting = Group::new();
        drop(accepting.spawn(accept(Rc::clone(self), listener)));
        end.await?;
        cancel_all(&accepting).await
    }

    fn count(&self, moved: Moved) {
        let before = self.moved.get();
        self.moved.set(Moved {
            there: before.there + moved.there,
            back: before.back + moved.back,
        });
    }

    /// One line on the standard error. If that is gone, nobody wants to know.
    async fn report(&self, message: fmt::Arguments<'_>) {
        let line = format!("relay: {message}\n");
        let _ = FileDescriptor::stderr().write_all(line.as_bytes()).await;
    }

    /// Lets the connections end by themselves, until the time is over or somebody insists; then cuts them.
    async fn finish(&self, grace: Duration, end: &End) -> Result<()> {
        let open = self.connections.running();
        if open > 0 {
            self.report(format_args!(
                "ending; {open} open, cut in {grace:?} or at the next Ctrl-C"
            ))
            .await;
        }
        lwt::pick([self.connections.wait(), sleep(grace), end.told()]).await?;
        cancel_all(&self.connections).await?;
        let (served, cut, moved) = (self.served.get(), self.cut.get(), self.moved.get());
        let bytes = format_args!("{} bytes there, {} back", moved.there, moved.back);
        self.report(format_args!(
            "ended; connections: {served} served, {cut} of them cut; {bytes}"
        ))
        .await;
        Ok(())
    }
}

/// Who may tell the relay to end.
struct End {
    interrupts: Signals,
    terminations: Signals,
}

impl End {
    fn listen() -> Result<End> {
        Ok(End {
            interrupts: Signals::listen(Signal::INT.as_raw())?,
            terminations: Signals::listen(Signal::TERM.as_raw())?,
        })
    }

    fn told(&self) -> Promise<()> {
        lwt::pick([self.interrupts.next(), self.terminations.next()])
    }
}
