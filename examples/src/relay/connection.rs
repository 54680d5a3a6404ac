//! One connection: two directions, each a thread that reads, writes, and reads again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use lwt::unix::{FileDescriptor, Shutdown, connect_to_host, with_timeout};
use lwt::{Error, Result};

/// How much one direction takes at a time, and so the most it ever holds.
const CHUNK: usize = 64 * 1024;

/// How long the target may take to answer the call.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a side that has gone may still be heard: what it sent before is delivered, if the other side takes it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How many bytes went each way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// From who connected to the target.
    pub(super) there: u64,
    /// From the target back.
    pub(super) back: u64,
}

/// Connects to the target and moves bytes until both sides have ended.
///
/// # Errors
/// The first failure of either side. Both sides see a reset then, as they do when this thread is cancelled.
pub(super) async fn relay(client: FileDescriptor, target: String) -> Result<Moved> {
    let connecting = with_timeout(CONNECT_LIMIT, || connect_to_host(&target));
    let server = match connecting.await {
        Ok(server) => server,
        Err(error) => {
            reset_on_close(&client);
            return Err(error.context(format!("{target} cannot be reached")));
        }
    };
    for socket in [&client, &server] {
        tune(socket);
    }
    let (client, server) = (Side::new(client), Side::new(server));
    let outcome = converse(&client, &server).await;
    if outcome.is_err() {
        reset_on_close(&client.socket);
        reset_on_close(&server.socket);
    }
    outcome
}

/// Both directions, until both have ended; or one of them has failed, and the other has had its last words.
async fn converse(client: &Rc<Side>, server: &Rc<Side>) -> Result<Moved> {
    let there = lwt::spawn(forward(Rc::clone(client), Rc::clone(server)));
    let back = lwt::spawn(forward(Rc::clone(server), Rc::clone(client)));
    let both = lwt::both(there.clone(), back.clone());
    match lwt::choose([there, back]).await {
        Ok(_) => both.await.map(|(there, back)| Moved { there, back }),
        Err(error) => {
            let _ = with_timeout(LAST_WORDS, || both).await;
            Err(error)
        }
    }
}

/// One side of the connection.
struct Side {
    socket: FileDescriptor,
    /// Why nothing can be sent there any more.
    failure: RefCell<Option<Error>>,
}

impl Side {
    fn new(socket: FileDescriptor) -> Rc<Side> {
        Rc::new(Side {
            socket,
            failure: RefCell::new(None),
        })
    }
}

/// Moves what arrives at one side to the other, and then its end. Returns how many bytes that were.
///
/// When reading from a side fails, both directions are over: nobody is left to whom the other one could deliver. When
/// only writing fails, the other direction goes on for a while: that side may have sent an answer before it went.
async fn forward(from: Rc<Side>, to: Rc<Side>) -> Result<u64> {
    let mut moved = 0;
    loop {
        let bytes = match from.socket.read_some(CHUNK).await {
            Ok(bytes) => bytes,
            Err(error) => return Err(cut(&from, &to, error)),
        };
        if bytes.is_empty() {
            break;
        }
        if let Err(error) = to.socket.write_all(&bytes).await {
            to.failure.replace(Some(error.clone()));
            return Err(error);
        }
        moved += bytes.len() as u64;
    }
    // The kernel tells of a reset once. If the writer has heard of it, the reader sees an end that looks like any other.
    if let Some(error) = from.failure.take() {
        return Err(cut(&from, &to, error));
    }
    to.socket.shutdown(Shutdown::Send)?;
    Ok(moved)
}

/// Ends the other direction too: whatever it waits for fails with this error.
fn cut(from: &Side, to: &Side, error: Error) -> Error {
    for side in [from, to] {
        reset_on_close(&side.socket);
        side.socket.abort(error.clone());
    }
    error
}

/// Small messages go at once, and a peer that vanished without a word is noticed in the end.
fn tune(socket: &FileDescriptor) {
    // Refused by sockets that are not TCP, or that are over already.
    let _ = socket.set_no_delay(true);
    let _ =
        socket.with_descriptor(|socket| rustix::net::sockopt::set_socket_keepalive(socket, true));
}

/// Has closing the socket send a reset: its peer must not take what it has got so far for the whole.
fn reset_on_close(socket: &FileDescriptor) {
    let no_time = Some(Duration::ZERO);
    // Refused only by a socket that has been cut already, which had this done before.
    let _ =
        socket.with_descriptor(|socket| rustix::net::sockopt::set_socket_linger(socket, no_time));
}
