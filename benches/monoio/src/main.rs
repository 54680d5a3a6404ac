//! monoio with local-sync's single-threaded channels. Variants: `ring` (io_uring), `epoll`; the driver shows the best.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Instant;

use futures::FutureExt;
use futures::channel::oneshot as shared_oneshot;
use futures::future::{AbortHandle, Abortable, Shared};
use harness::runtime::{Io, Primitives, Runtime};
use harness::{Plan, run_workload};
use local_sync::mpsc::{bounded, unbounded};
use local_sync::oneshot;
use local_sync::semaphore::{Semaphore, SemaphorePermit};
use monoio::io::{AsyncReadRentExt, AsyncWriteRentExt};
use monoio::net::UnixStream;
use monoio::task::JoinHandle;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

fn main() {
    let plan = Plan::from_arguments();
    match plan.variant.as_str() {
        "ring" => run_workload::<Monoio<Ring>>(plan),
        "epoll" => run_workload::<Monoio<Epoll>>(plan),
        other => panic!("unknown variant {other:?}"),
    }
}

/// What waits for the kernel.
trait Driver: 'static {
    fn block_on(main: impl Future<Output = ()> + 'static);
}

struct Ring;

impl Driver for Ring {
    fn block_on(main: impl Future<Output = ()> + 'static) {
        RuntimeBuilder::<IoUringDriver>::new()
            .enable_timer()
            .build()
            .expect("a runtime")
            .block_on(main);
    }
}

struct Epoll;

impl Driver for Epoll {
    fn block_on(main: impl Future<Output = ()> + 'static) {
        RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()
            .expect("a runtime")
            .block_on(main);
    }
}

struct Monoio<D>(PhantomData<D>);

impl<D: Driver> Runtime for Monoio<D> {
    const CANCELS_BY: &'static str = "futures Abortable around the task (monoio has no abort)";
    type Primitives = LocalSync;
    type Handle<T: 'static> = JoinHandle<T>;
    type Cancelable = (AbortHandle, JoinHandle<()>);

    fn run(main: impl Future<Output = ()> + 'static) {
        D::block_on(async move { monoio::spawn(main).await });
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        monoio::spawn(future)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(future));
    }

    fn pause() -> impl Future<Output = ()> {
        harness::runtime::pass()
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable {
        let (handle, registration) = AbortHandle::new_pair();
        let abortable = Abortable::new(future, registration);
        (
            handle,
            monoio::spawn(async move { abortable.await.unwrap_or(()) }),
        )
    }

    fn cancel(task: &mut Self::Cancelable) {
        task.0.abort();
    }

    async fn reap(task: Self::Cancelable) {
        task.1.await;
    }
}

impl<D: Driver> Io for Monoio<D> {
    type Socket = UnixStream;

    fn socket_pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a pair of sockets")
    }

    async fn send_byte(socket: &mut UnixStream, byte: u8) {
        socket
            .write_all(vec![byte])
            .await
            .0
            .expect("an open socket");
    }

    async fn receive_byte(socket: &mut UnixStream) -> u8 {
        let (result, buffer) = socket.read_exact(vec![0_u8]).await;
        result.expect("an open socket");
        buffer[0]
    }

    async fn sleep_until(deadline: Instant) {
        monoio::time::sleep_until(deadline.into()).await;
    }
}

/// The crate that goes with it.
struct LocalSync;

impl Primitives for LocalSync {
    const CHANNELS: &'static str = "local-sync oneshot and mpsc";
    const LOCK: &'static str = "local-sync semaphore of one";
    const EVENT: &'static str = "futures Shared of a oneshot";

    type Promised = oneshot::Sender<u64>;
    type Promise = oneshot::Receiver<u64>;

    fn promise() -> (Self::Promised, Self::Promise) {
        oneshot::channel()
    }

    fn keep(promised: Self::Promised, value: u64) {
        promised.send(value).expect("somebody waits");
    }

    type MailboxIn = bounded::Tx<u64>;
    type MailboxOut = bounded::Rx<u64>;

    fn mailbox() -> (Self::MailboxIn, Self::MailboxOut) {
        bounded::channel(1)
    }

    async fn put(mailbox: &mut Self::MailboxIn, value: u64) {
        assert!(mailbox.send(value).await.is_ok(), "a reader");
    }

    async fn take(mailbox: &mut Self::MailboxOut) -> u64 {
        mailbox.recv().await.expect("a writer")
    }

    type StreamIn = unbounded::Tx<u64>;
    type StreamOut = unbounded::Rx<u64>;

    fn stream() -> (Self::StreamIn, Self::StreamOut) {
        unbounded::channel()
    }

    fn push(stream: &mut Self::StreamIn, value: u64) {
        assert!(stream.send(value).is_ok(), "a reader");
    }

    async fn next(stream: &mut Self::StreamOut) -> Option<u64> {
        stream.recv().await
    }

    type Lock = Semaphore;
    type Guard<'a> = SemaphorePermit<'a>;

    fn lock() -> Semaphore {
        Semaphore::new(1)
    }

    async fn acquire(lock: &Semaphore) -> SemaphorePermit<'_> {
        lock.acquire().await.expect("an open semaphore")
    }

    type Event = (
        Cell<Option<shared_oneshot::Sender<()>>>,
        Shared<shared_oneshot::Receiver<()>>,
    );

    fn event() -> Self::Event {
        let (sender, receiver) = shared_oneshot::channel();
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
