//! compio, with the channels and locks of the futures crate, as it has none of its own. One variant: `ring`.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use compio::BufResult;
use compio::io::{AsyncReadExt, AsyncWriteExt};
use compio::net::UnixStream;
use compio::runtime::{self, JoinHandle};
use futures::channel::{mpsc, oneshot};
use futures::future::Shared;
use futures::lock::{Mutex, MutexGuard};
use futures::{FutureExt, SinkExt, StreamExt};
use harness::runtime::{Io, Primitives, Runtime};
use harness::{Plan, run_workload};

fn main() {
    run_workload::<Compio>(Plan::from_arguments());
}

struct Compio;

/// A join handle that gives the value: no task here panics or is joined after its end was asked for.
struct Joined<T>(JoinHandle<T>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|result| match result {
                Ok(value) => value,
                Err(_) => panic!("the task did not end by itself"),
            })
    }
}

impl Runtime for Compio {
    const CANCELS_BY: &'static str = "drop of the JoinHandle";
    type Primitives = FuturesCrate;
    type Handle<T: 'static> = Joined<T>;
    type Cancelable = Option<JoinHandle<()>>;

    fn run(main: impl Future<Output = ()> + 'static) {
        let runtime = runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move { Self::spawn(main).await });
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Joined<T> {
        Joined(runtime::spawn(future))
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        runtime::spawn(future).detach();
    }

    fn pause() -> impl Future<Output = ()> {
        harness::runtime::pass()
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable {
        Some(runtime::spawn(future))
    }

    fn cancel(task: &mut Self::Cancelable) {
        drop(task.take());
    }

    async fn reap(_: Self::Cancelable) {}
}

impl Io for Compio {
    type Socket = UnixStream;

    fn socket_pair() -> (UnixStream, UnixStream) {
        let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        let wrap = |socket| UnixStream::from_std(socket).expect("a socket");
        (wrap(one), wrap(other))
    }

    async fn send_byte(socket: &mut UnixStream, byte: u8) {
        socket.write_all([byte]).await.0.expect("an open socket");
    }

    async fn receive_byte(socket: &mut UnixStream) -> u8 {
        let BufResult(result, buffer) = socket.read_exact([0_u8; 1]).await;
        result.expect("an open socket");
        buffer[0]
    }

    async fn sleep_until(deadline: Instant) {
        compio::time::sleep_until(deadline).await;
    }
}

/// The crate that goes with it.
struct FuturesCrate;

impl Primitives for FuturesCrate {
    const CHANNELS: &'static str = "futures oneshot and mpsc";
    const LOCK: &'static str = "futures::lock::Mutex";
    const EVENT: &'static str = "futures Shared of a oneshot";

    type Promised = oneshot::Sender<u64>;
    type Promise = oneshot::Receiver<u64>;

    fn promise() -> (Self::Promised, Self::Promise) {
        oneshot::channel()
    }

    fn keep(promised: Self::Promised, value: u64) {
        promised.send(value).expect("somebody waits");
    }

    type MailboxIn = mpsc::Sender<u64>;
    type MailboxOut = mpsc::Receiver<u64>;

    fn mailbox() -> (Self::MailboxIn, Self::MailboxOut) {
        mpsc::channel(0) // one place for each sender
    }

    async fn put(mailbox: &mut Self::MailboxIn, value: u64) {
        mailbox.send(value).await.expect("a reader");
    }

    async fn take(mailbox: &mut Self::MailboxOut) -> u64 {
        mailbox.next().await.expect("a writer")
    }

    type StreamIn = mpsc::UnboundedSender<u64>;
    type StreamOut = mpsc::UnboundedReceiver<u64>;

    fn stream() -> (Self::StreamIn, Self::StreamOut) {
        mpsc::unbounded()
    }

    fn push(stream: &mut Self::StreamIn, value: u64) {
        stream.unbounded_send(value).expect("a reader");
    }

    async fn next(stream: &mut Self::StreamOut) -> Option<u64> {
        stream.next().await
    }

    type Lock = Mutex<()>;
    type Guard<'a> = MutexGuard<'a, ()>;

    fn lock() -> Self::Lock {
        Mutex::new(())
    }

    async fn acquire(lock: &Self::Lock) -> Self::Guard<'_> {
        lock.lock().await
    }

    type Event = (
        Cell<Option<oneshot::Sender<()>>>,
        Shared<oneshot::Receiver<()>>,
    );

    fn event() -> Self::Event {
        let (sender, receiver) = oneshot::channel();
        (Cell::new(Some(sender)), receiver.shared())
    }

    async fn wait_for(event: &Self::Event) {
        event.1.clone().await.expect("the event");
    }

    fn happen(event: &Self::Event) {
        event
            .0
            .take()
            .expect("happens once")
            .send(())
            .expect("somebody waits");
    }
}
