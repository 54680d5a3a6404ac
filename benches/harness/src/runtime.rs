//! What a runtime has to offer so that the generic workloads run on it: [`Runtime`] launches and joins threads (that is: tasks),
//! [`Primitives`] are the channels and locks that a program on that runtime would use.
//!
//! [`Io`] adds sockets and timers.
//!
//! [`Latch`], [`pass`] and [`OneThread`] are small helpers that belong to no runtime.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A runtime of tasks on one operating-system thread.
pub trait Runtime: 'static {
    /// How tasks are cancelled here, for the record.
    const CANCELS_BY: &'static str;
    /// The channels and locks in use with this runtime.
    type Primitives: Primitives;
    /// The promise of a task's result.
    type Handle<T: 'static>: Future<Output = T> + 'static;
    /// The handle of a task that can be cancelled from outside.
    type Cancelable: 'static;

    /// Runs `main` as a task to its end.
    fn run(main: impl Future<Output = ()> + 'static);
    /// Launches a task.
    fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Self::Handle<T>;
    /// Launches a task nobody waits for.
    fn detach(future: impl Future<Output = ()> + 'static);
    /// The runtime's own way to let the others run.
    fn pause() -> impl Future<Output = ()>;
    /// Launches a task that can be cancelled.
    fn spawn_cancelable(future: impl Future<Output = ()> + 'static) -> Self::Cancelable;
    /// Asks for the task's end.
    fn cancel(task: &mut Self::Cancelable);
    /// Waits until a cancelled task is gone, as far as the runtime offers that.
    fn reap(task: Self::Cancelable) -> impl Future<Output = ()>;
}

/// A runtime that also waits for the system.
pub trait Io: Runtime {
    /// One end of a pair of connected sockets.
    type Socket: 'static;

    /// A pair of connected Unix-domain stream sockets.
    fn socket_pair() -> (Self::Socket, Self::Socket);
    /// Sends one byte.
    fn send_byte(socket: &mut Self::Socket, byte: u8) -> impl Future<Output = ()>;
    /// Receives one byte.
    fn receive_byte(socket: &mut Self::Socket) -> impl Future<Output = u8>;
    /// Sleeps until a moment.
    fn sleep_until(deadline: Instant) -> impl Future<Output = ()>;
}

/// The channels and locks that go with a runtime.
pub trait Primitives: 'static {
    /// Which they are, for the record.
    const CHANNELS: &'static str;
    /// Which lock, for the record.
    const LOCK: &'static str;
    /// Which event, for the record.
    const EVENT: &'static str;

    /// Sends the one value of a promise.
    type Promised: 'static;
    /// A promise of one value.
    type Promise: Future + Unpin + 'static;
    /// A promise and the means to keep it.
    fn promise() -> (Self::Promised, Self::Promise);
    /// Keeps it.
    fn keep(promised: Self::Promised, value: u64);

    /// Puts into a mailbox of one place.
    type MailboxIn: 'static;
    /// Takes from a mailbox of one place.
    type MailboxOut: 'static;
    /// A mailbox of one place.
    fn mailbox() -> (Self::MailboxIn, Self::MailboxOut);
    /// Puts, waiting for the place to be free.
    fn put(mailbox: &mut Self::MailboxIn, value: u64) -> impl Future<Output = ()>;
    /// Takes, waiting for a value.
    fn take(mailbox: &mut Self::MailboxOut) -> impl Future<Output = u64>;

    /// Pushes into an unbounded stream; dropping it ends the stream.
    type StreamIn: 'static;
    /// Reads an unbounded stream.
    type StreamOut: 'static;
    /// An unbounded stream.
    fn stream() -> (Self::StreamIn, Self::StreamOut);
    /// Pushes one element.
    fn push(stream: &mut Self::StreamIn, value: u64);
    /// The next element, or `None` at the end.
    fn next(stream: &mut Self::StreamOut) -> impl Future<Output = Option<u64>>;

    /// A lock for tasks.
    type Lock: 'static;
    /// Holds the lock until dropped.
    type Guard<'a>;
    /// A lock nobody holds.
    fn lock() -> Self::Lock;
    /// Acquires it.
    fn acquire(lock: &Self::Lock) -> impl Future<Output = Self::Guard<'_>>;

    /// An event that any number of tasks wait for and that happens once.
    type Event: 'static;
    /// An event that has not happened.
    fn event() -> Self::Event;
    /// Waits for it.
    fn wait_for(event: &Self::Event) -> impl Future<Output = ()>;
    /// Makes it happen.
    fn happen(event: &Self::Event);
}

/// Counts down to zero, for one task that waits for many detached ones.
#[derive(Clone, Debug)]
pub struct Latch(Rc<LatchState>);

#[derive(Debug)]
struct LatchState {
    left: Cell<u64>,
    waiter: RefCell<Option<Waker>>,
}

impl Latch {
    /// A latch that opens after `count` calls of [`Latch::count_down`].
    pub fn new(count: u64) -> Latch {
        Latch(Rc::new(LatchState {
            left: Cell::new(count),
            waiter: RefCell::new(None),
        }))
    }

    /// One fewer.
    pub fn count_down(&self) {
        let left = self.0.left.get() - 1;
        self.0.left.set(left);
        if left == 0
            && let Some(waiter) = self.0.waiter.take()
        {
            waiter.wake();
        }
    }

    /// Waits until the count is zero.
    pub async fn open(&self) {
        poll_fn(|context| {
            if self.0.left.get() == 0 {
                return Poll::Ready(());
            }
            self.0.waiter.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Lets the other tasks run in the way that every executor understands: wakes itself and is pending once.
pub fn pass() -> Pass {
    Pass { passed: false }
}

/// See [`pass`].
#[derive(Debug)]
pub struct Pass {
    passed: bool,
}

impl Future for Pass {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.passed {
            return Poll::Ready(());
        }
        self.passed = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// For spawners that ask for `Send` although their executor stays on one OS thread.
#[derive(Debug)]
pub struct OneThread<T>(T);

impl<T> OneThread<T> {
    /// Vouches that neither `value` nor what is made of it leaves the OS thread.
    ///
    /// # Safety
    /// The value must be used and dropped on the OS thread that made it.
    pub unsafe fn new(value: T) -> OneThread<T> {
        OneThread(value)
    }

    /// The value again.
    pub fn into_inner(self) -> T {
        self.0
    }
}

// SAFETY: whoever made this value promised that it stays on its OS thread (see `new`).
unsafe impl<T> Send for OneThread<T> {}

impl<F: Future> Future for OneThread<F> {
    type Output = OneThread<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned whenever the wrapper is, and is never moved out of a pinned wrapper.
        unsafe { self.map_unchecked_mut(|wrapper| &mut wrapper.0) }
            .poll(context)
            .map(OneThread)
    }
}
