//! async-executor's local executor. Variants: `reactor` (under `async_io::block_on`), `bare` (under `futures_lite`'s, with no
//! reactor at all); the driver shows the best.

use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use async_channel::{Receiver, Sender};
use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer};
use async_lock::{Mutex, MutexGuard};
use event_listener::Event;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use harness::runtime::{Io, Primitives, Runtime};
use harness::{Plan, run_workload};

fn main() {
    let plan = Plan::from_arguments();
    match plan.variant.as_str() {
        "reactor" => run_workload::<Smol<Reactor>>(plan),
        "bare" => run_workload::<Smol<Bare>>(plan),
        other => panic!("unknown variant {other:?}"),
    }
}

thread_local! {
    static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
}

fn executor() -> &'static LocalExecutor<'static> {
    EXECUTOR.with(|executor| *executor)
}

/// What the executor runs under.
trait Driver: 'static {
    fn block_on(future: impl Future<Output = ()>);
}

struct Reactor;

impl Driver for Reactor {
    fn block_on(future: impl Future<Output = ()>) {
        async_io::block_on(future);
    }
}

struct Bare;

impl Driver for Bare {
    fn block_on(future: impl Future<Output = ()>) {
        future::block_on(future);
    }
}

struct Smol<D>(PhantomData<D>);

impl<D: Driver> Runtime for Smol<D> {
    const CANCELS_BY: &'static str = "drop of the Task";
    type Primitives = SmolCrates;
    type Handle<T: 'static> = Task<T>;
    type Cancelable = Option<Task<()>>;

    fn run(main: impl Future<Output = ()> + 'static) {
        let main = executor().spawn(main);
        D::block_on(executor().run(main));
    }

    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
        executor().spawn(future)
    }

    fn detach(future: impl Future<Output = ()> + 'static) {
        executor().spawn(future).detach();
    }

    fn pause() -> impl Future<Output = ()> {
        future::yield_now()
    }

    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable {
        Some(executor().spawn(future))
    }

    fn cancel(task: &mut Self::Cancelable) {
        drop(task.take());
    }

    async fn reap(_: Self::Cancelable) {}
}

impl<D: Driver> Io for Smol<D> {
    type Socket = Async<UnixStream>;

    fn socket_pair() -> (Self::Socket, Self::Socket) {
        Async::<UnixStream>::pair().expect("a pair of sockets")
    }

    async fn send_byte(socket: &mut Self::Socket, byte: u8) {
        socket.write_all(&[byte]).await.expect("an open socket");
    }

    async fn receive_byte(socket: &mut Self::Socket) -> u8 {
        let mut buffer = [0];
        socket
            .read_exact(&mut buffer)
            .await
            .expect("an open socket");
        buffer[0]
    }

    async fn sleep_until(deadline: Instant) {
        Timer::at(deadline).await;
    }
}

/// The crates that go with it.
struct SmolCrates;

impl Primitives for SmolCrates {
    const CHANNELS: &'static str = "oneshot and async-channel";
    const LOCK: &'static str = "async_lock::Mutex";
    const EVENT: &'static str = "event_listener::Event";

    type Promised = oneshot::Sender<u64>;
    type Promise = oneshot::AsyncReceiver<u64>;

    fn promise() -> (Self::Promised, Self::Promise) {
        oneshot::async_channel()
    }

    fn keep(promised: Self::Promised, value: u64) {
        promised.send(value).expect("somebody waits");
    }

    type MailboxIn = Sender<u64>;
    type MailboxOut = Receiver<u64>;

    fn mailbox() -> (Self::MailboxIn, Self::MailboxOut) {
        async_channel::bounded(1)
    }

    async fn put(mailbox: &mut Self::MailboxIn, value: u64) {
        mailbox.send(value).await.expect("a reader");
    }

    async fn take(mailbox: &mut Self::MailboxOut) -> u64 {
        mailbox.recv().await.expect("a writer")
    }

    type StreamIn = Sender<u64>;
    type StreamOut = Receiver<u64>;

    fn stream() -> (Self::StreamIn, Self::StreamOut) {
        async_channel::unbounded()
    }

    fn push(stream: &mut Self::StreamIn, value: u64) {
        stream.try_send(value).expect("a reader");
    }

    async fn next(stream: &mut Self::StreamOut) -> Option<u64> {
        stream.recv().await.ok()
    }

    type Lock = Mutex<()>;
    type Guard<'a> = MutexGuard<'a, ()>;

    fn lock() -> Self::Lock {
        Mutex::new(())
    }

    async fn acquire(lock: &Self::Lock) -> Self::Guard<'_> {
        lock.lock().await
    }

    type Event = Event;

    fn event() -> Event {
        Event::new()
    }

    async fn wait_for(event: &Event) {
        event.listen().await;
    }

    fn happen(event: &Event) {
        event.notify(usize::MAX);
    }
}
