//! tokio, current thread. Variants: `spawn` (tasks must be `Send`), `local-set`, `local-runtime`; the driver shows the best.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use harness::runtime::{Io, OneThread, Primitives, Runtime};
use harness::{Plan, run_workload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc, oneshot};
use tokio::task::{self, JoinHandle, LocalSet};

fn main() {
    let plan = Plan::from_arguments();
    match plan.variant.as_str() {
        "spawn" => run_workload::<Spawn>(plan),
        "local-set" => run_workload::<Local<OnLocalSet>>(plan),
        "local-runtime" => run_workload::<Local<OnLocalRuntime>>(plan),
        other => panic!("unknown variant {other:?}"),
    }
}

/// `tokio::spawn` on a current-thread runtime.
struct Spawn;

/// A join handle that gives the value: no task here panics or is joined after an abort.
struct Joined<T>(JoinHandle<OneThread<T>>);

impl<T> Future for Joined<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|result| result.expect("the task ended by itself").into_inner())
    }
}

/// Vouches for a future of this single-threaded program.
fn sendable<F>(future: F) -> OneThread<F> {
    // SAFETY: the current-thread runtime polls and drops its tasks on the OS thread that runs it, the only one of this program.
    unsafe { OneThread::new(future) }
}

impl Runtime for Spawn {
    const CANCELS_BY: &'static str = "JoinHandle::abort, then join";
    type Primitives = Tokio;
    type Handle<T: 'static> = Joined<T>;
    type Cancelable = JoinHandle<OneThread<()>>;

    fn run(main: impl Future<Output = ()> + 'static) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async { Self::spawn(main).await })
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Joined<T> {
        Joined(tokio::spawn(sendable(future)))
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(tokio::spawn(sendable(future)));
    }

    fn pause() -> impl Future<Output = ()> {
        task::yield_now()
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable {
        tokio::spawn(sendable(future))
    }

    fn cancel(task: &mut Self::Cancelable) {
        task.abort();
    }

    async fn reap(task: Self::Cancelable) {
        drop(task.await);
    }
}

impl Io for Spawn {
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
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// `spawn_local`, on whatever allows it.
struct Local<H>(PhantomData<H>);

/// What lets `spawn_local` work.
trait LocalHost: 'static {
    fn run(main: impl Future<Output = ()> + 'static);
}

struct OnLocalSet;

impl LocalHost for OnLocalSet {
    fn run(main: impl Future<Output = ()> + 'static) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            task::spawn_local(main).await.expect("the main task")
        });
    }
}

struct OnLocalRuntime;

impl LocalHost for OnLocalRuntime {
    fn run(main: impl Future<Output = ()> + 'static) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())
            .expect("a runtime");
        runtime.block_on(async { task::spawn_local(main).await.expect("the main task") });
    }
}

/// As [`Joined`], without the wrapper.
struct JoinedLocal<T>(JoinHandle<T>);

impl<T> Future for JoinedLocal<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|result| result.expect("the task ended by itself"))
    }
}

impl<H: LocalHost> Runtime for Local<H> {
    const CANCELS_BY: &'static str = "JoinHandle::abort, then join";
    type Primitives = Tokio;
    type Handle<T: 'static> = JoinedLocal<T>;
    type Cancelable = JoinHandle<()>;

    fn run(main: impl Future<Output = ()> + 'static) {
        H::run(main);
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinedLocal<T> {
        JoinedLocal(task::spawn_local(future))
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        drop(task::spawn_local(future));
    }

    fn pause() -> impl Future<Output = ()> {
        task::yield_now()
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        task::spawn_local(future)
    }

    fn cancel(task: &mut JoinHandle<()>) {
        task.abort();
    }

    async fn reap(task: JoinHandle<()>) {
        drop(task.await);
    }
}

impl<H: LocalHost> Io for Local<H> {
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
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// `tokio::sync`.
struct Tokio;

impl Primitives for Tokio {
    const CHANNELS: &'static str = "tokio::sync oneshot and mpsc";
    const LOCK: &'static str = "tokio::sync::Mutex";
    const EVENT: &'static str = "tokio::sync::Notify";

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
        mpsc::channel(1)
    }

    async fn put(mailbox: &mut Self::MailboxIn, value: u64) {
        mailbox.send(value).await.expect("a reader");
    }

    async fn take(mailbox: &mut Self::MailboxOut) -> u64 {
        mailbox.recv().await.expect("a writer")
    }

    type StreamIn = mpsc::UnboundedSender<u64>;
    type StreamOut = mpsc::UnboundedReceiver<u64>;

    fn stream() -> (Self::StreamIn, Self::StreamOut) {
        mpsc::unbounded_channel()
    }

    fn push(stream: &mut Self::StreamIn, value: u64) {
        stream.send(value).expect("a reader");
    }

    async fn next(stream: &mut Self::StreamOut) -> Option<u64> {
        stream.recv().await
    }

    type Lock = Mutex<()>;
    type Guard<'a> = MutexGuard<'a, ()>;

    fn lock() -> Self::Lock {
        Mutex::new(())
    }

    async fn acquire(lock: &Self::Lock) -> Self::Guard<'_> {
        lock.lock().await
    }

    type Event = Notify;

    fn event() -> Notify {
        Notify::new()
    }

    async fn wait_for(event: &Notify) {
        event.notified().await;
    }

    fn happen(event: &Notify) {
        event.notify_waiters();
    }
}
