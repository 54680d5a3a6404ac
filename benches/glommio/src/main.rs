//! glommio, with its own local channels and semaphores. One variant: `ring`.

use std::cell::Cell;
use std::time::Instant;

use futures::channel::oneshot;
use futures::future::Shared;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use glommio::channels::local_channel::{self, LocalReceiver, LocalSender};
use glommio::net::UnixStream;
use glommio::sync::{Permit, Semaphore};
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement, Task};
use harness::runtime::{Io, Primitives, Runtime};
use harness::{Plan, run_workload};

fn main() {
    run_workload::<Glommio>(Plan::from_arguments());
}

struct Glommio;

impl Runtime for Glommio {
    const CANCELS_BY: &'static str = "drop of the Task";
    type Primitives = GlommioOwn;
    type Handle<T: 'static> = Task<T>;
    type Cancelable = Option<Task<()>>;

    fn run(main: impl Future<Output = ()> + 'static) {
        // A small I/O arena: the default does not fit into the usual limit of locked memory.
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(1 << 20)
            .make()
            .expect("an executor");
        executor.run(async move { glommio::spawn_local(main).await });
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
        glommio::spawn_local(future)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(future).detach();
    }

    async fn pause() {
        glommio::executor().yield_now().await;
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable {
        Some(glommio::spawn_local(future))
    }

    fn cancel(task: &mut Self::Cancelable) {
        drop(task.take());
    }

    async fn reap(_: Self::Cancelable) {}
}

impl Io for Glommio {
    type Socket = UnixStream;

    fn socket_pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a pair of sockets")
    }

    async fn send_byte(socket: &mut UnixStream, byte: u8) {
        socket.write_all(&[byte]).await.expect("an open socket");
    }

    async fn receive_byte(socket: &mut UnixStream) -> u8 {
        let mut buffer = [0];
        socket
            .read_exact(&mut buffer)
            .await
            .expect("an open socket");
        buffer[0]
    }

    async fn sleep_until(deadline: Instant) {
        Timer::new(deadline.saturating_duration_since(Instant::now())).await;
    }
}

/// Its own primitives, but for the one-shot channel that it lacks.
struct GlommioOwn;

impl Primitives for GlommioOwn {
    const CHANNELS: &'static str = "futures oneshot, glommio local_channel";
    const LOCK: &'static str = "glommio Semaphore of one";
    const EVENT: &'static str = "futures Shared of a oneshot";

    type Promised = oneshot::Sender<u64>;
    type Promise = oneshot::Receiver<u64>;

    fn promise() -> (Self::Promised, Self::Promise) {
        oneshot::channel()
    }

    fn keep(promised: Self::Promised, value: u64) {
        promised.send(value).expect("somebody waits");
    }

    type MailboxIn = LocalSender<u64>;
    type MailboxOut = LocalReceiver<u64>;

    fn mailbox() -> (Self::MailboxIn, Self::MailboxOut) {
        local_channel::new_bounded(1)
    }

    async fn put(mailbox: &mut Self::MailboxIn, value: u64) {
        assert!(mailbox.send(value).await.is_ok(), "a reader");
    }

    async fn take(mailbox: &mut Self::MailboxOut) -> u64 {
        mailbox.recv().await.expect("a writer")
    }

    type StreamIn = LocalSender<u64>;
    type StreamOut = LocalReceiver<u64>;

    fn stream() -> (Self::StreamIn, Self::StreamOut) {
        local_channel::new_unbounded()
    }

    fn push(stream: &mut Self::StreamIn, value: u64) {
        assert!(stream.try_send(value).is_ok(), "a reader");
    }

    async fn next(stream: &mut Self::StreamOut) -> Option<u64> {
        stream.recv().await
    }

    type Lock = Semaphore;
    type Guard<'a> = Permit<'a>;

    fn lock() -> Semaphore {
        Semaphore::new(1)
    }

    async fn acquire(lock: &Semaphore) -> Permit<'_> {
        lock.acquire_permit(1).await.expect("an open semaphore")
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
