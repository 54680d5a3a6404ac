//! For authors of main loops and of library primitives: the scheduler of this OS thread from outside.
//!
//! A main loop is entered with [`enter`]. In each turn it calls [`begin_turn`], serves the inbox
//! ([`drain_inbox`]), lets the engine dispatch inside [`frame`], resumes what is queued ([`run_ready`]) and
//! what is paused ([`wakeup_paused`](crate::wakeup_paused)). If [`has_ready`] then says that something is left, the
//! engine is polled without blocking. See `lwt_unix::run` for the one that comes with the library.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::NestedRun;
use crate::inbox::Bell;
use crate::kernel::cell::{CellRef, Kind, Run};
use crate::kernel::runtime::{self, Frame};
use crate::kernel::waker::{self, LoopInbox, Message};
use crate::kernel::{cancel, memory};
use crate::promise::Promise;
use crate::resolver::{Resolver, loop_leaf};

/// A main loop runs on this OS thread; ends when this is dropped. Made by [`enter`].
#[derive(Debug)]
#[must_use = "the loop is left when the guard is dropped"]
pub struct LoopGuard(());

/// Says that a main loop, started at `place`, runs on this OS thread from now on.
///
/// # Errors
///
/// [`NestedRun`], with both places, when one runs already.
///
/// # Examples
///
/// ```
/// use lwt_core::scheduler;
///
/// let guard = scheduler::enter(std::panic::Location::caller())?;
/// assert!(scheduler::enter(std::panic::Location::caller()).is_err());
/// drop(guard);
/// # Ok::<(), lwt_core::NestedRun>(())
/// ```
pub fn enter(place: &'static Location<'static>) -> Result<LoopGuard, NestedRun> {
    runtime::with(|runtime| match runtime.main_loop.get() {
        Some(outer) => Err(NestedRun {
            outer,
            inner: place,
        }),
        None => {
            runtime.main_loop.set(Some(place));
            runtime.turn.set(runtime.turn_limit.get());
            Ok(LoopGuard(()))
        }
    })
}

impl Drop for LoopGuard {
    fn drop(&mut self) {
        runtime::with(|runtime| runtime.main_loop.set(None));
        memory::trim();
    }
}

/// Whether a main loop runs on this OS thread.
pub fn in_loop() -> bool {
    runtime::with(|runtime| runtime.main_loop.get().is_some())
}

/// A new turn of the loop begins: its limit of resumptions starts afresh.
pub fn begin_turn() {
    runtime::with(|runtime| runtime.turn.set(runtime.turn_limit.get()));
}

/// Whether this turn's limit of resumptions is used up.
pub fn is_turn_over() -> bool {
    runtime::with(|runtime| runtime.turn.get() == 0)
}

/// Sets how many queued resumptions run in one turn before the engine is polled again (4,096 unless set; at
/// least one).
pub fn set_turn_limit(limit: usize) {
    runtime::with(|runtime| runtime.turn_limit.set(limit.max(1)));
}

/// How many queued resumptions run in one turn.
pub fn turn_limit() -> usize {
    runtime::with(|runtime| runtime.turn_limit.get())
}

/// Sets how many resumptions may nest inside each other before further ones are queued (16 unless set).
pub fn set_nesting_limit(limit: u32) {
    runtime::with(|runtime| runtime.nesting.set(limit));
}

/// Resumes what is queued, at most `limit` entries and no more than the turn's limit allows. Tells whether anything is left.
pub fn run_ready(limit: usize) -> bool {
    if runtime::with(|runtime| runtime.queue.with(|queue| queue.is_empty())) {
        return has_ready();
    }
    let frame = Frame::open();
    for _ in 0..limit {
        let Some(entry) = runtime::with(runtime::next_entry) else {
            break;
        };
        runtime::run_entry(entry);
    }
    // What is left stays for the next turn.
    let turn = runtime::with(|runtime| runtime.turn.replace(0));
    drop(frame);
    runtime::with(|runtime| runtime.turn.set(turn));
    has_ready()
}

/// Whether anything is queued or paused.
pub fn has_ready() -> bool {
    runtime::with(|runtime| {
        !runtime.queue.with(|queue| queue.is_empty())
            || runtime.paused_count.get() > 0
            || !runtime.paused.with(|paused| paused.is_empty())
    })
}

/// Runs `f` as something in progress: what the library's primitives wake inside is queued, and the queue is emptied at
/// the end of the outermost frame (inside a loop: as far as the turn's limit allows).
pub fn frame<R>(f: impl FnOnce() -> R) -> R {
    let _frame = Frame::open();
    f()
}

/// How other OS threads reach this one's loop. Outlives it; cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<LoopInbox>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// The inbox of this OS thread.
///
/// # Examples
///
/// ```
/// use lwt_core::scheduler;
///
/// let inbox = scheduler::inbox();
/// let sender = std::thread::spawn(move || inbox.post(Box::new(|| println!("in the loop"))).is_ok());
/// assert!(sender.join().unwrap());
/// assert_eq!(scheduler::drain_inbox(), 1);
/// ```
pub fn inbox() -> Inbox {
    Inbox {
        inner: waker::inbox(),
    }
}

/// Work that another OS thread sends to the loop.
pub type Work = Box<dyn FnOnce() + Send>;

impl Inbox {
    /// Has `work` run in the loop, from any OS thread.
    ///
    /// # Errors
    ///
    /// Gives it back when the OS thread of the loop has ended.
    pub fn post(&self, work: Work) -> Result<(), Work> {
        self.inner
            .messages
            .post(Message::Run(work))
            .map_err(|message| match message {
                Message::Run(work) => work,
                _ => unreachable!("what was posted comes back"),
            })
    }

    /// Puts a bell on the inbox: rung, on the OS thread that posts, once when the inbox goes from empty to non-empty.
    pub fn set_bell(&self, bell: Option<Box<dyn Fn() + Send + Sync>>) {
        self.inner.messages.set_bell(bell.map(Bell::from));
    }

    /// Whether nothing has been posted since the last [`drain_inbox`].
    pub fn is_empty(&self) -> bool {
        self.inner.messages.is_empty()
    }

    /// Runs `f` if nothing can come any more from what is known here: the inbox is empty and no foreign waker
    /// lives. Nobody can post while `f` runs.
    pub fn if_silent<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.inner
            .messages
            .if_empty(|| (self.inner.live_records.load(Ordering::Acquire) == 0).then(f))
            .flatten()
    }
}

/// Serves what other OS threads have sent to this one. Tells how many messages there were.
pub fn drain_inbox() -> usize {
    waker::drain()
}

/// Number of threads with wakers in foreign hands, which may wake them at any time.
pub fn foreign_wakers() -> usize {
    runtime::with(|runtime| {
        runtime.inbox.with(|inbox| {
            inbox
                .as_ref()
                .map_or(0, |inbox| inbox.live_records.load(Ordering::Acquire))
        })
    })
}

/// A source that may still wake something: while one exists, the loop does not call a deadlock.
#[derive(Debug)]
#[must_use = "the source counts until this is dropped"]
pub struct KeepAlive(());

/// Counts a source that may wake something.
pub fn keep_alive() -> KeepAlive {
    runtime::with(|runtime| runtime.kept_alive.set(runtime.kept_alive.get() + 1));
    KeepAlive(())
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        runtime::with(|runtime| runtime.kept_alive.set(runtime.kept_alive.get() - 1));
    }
}

/// Number of [`keep_alive`] guards that exist.
pub fn kept_alive() -> usize {
    runtime::with(|runtime| runtime.kept_alive.get())
}

/// What there is on this OS thread; the balance checks of tests compare two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Pending promises, threads, callbacks and registrations of waiters: all cells that are not freed.
    pub cells: usize,
    /// Entries of the run queue.
    pub queued: usize,
    /// Paused promises and threads.
    pub paused: usize,
    /// Threads with wakers in foreign hands.
    pub foreign_wakers: usize,
    /// Guards that keep a loop alive.
    pub kept_alive: usize,
}

/// Counts what there is on this OS thread.
///
/// # Examples
///
/// ```
/// use lwt_core::{scheduler::counters, wait};
///
/// let before = counters();
/// let (promise, resolver) = wait::<()>();
/// assert_eq!(counters().cells, before.cells + 1);
/// drop((promise, resolver));
/// assert_eq!(counters(), before);
/// ```
pub fn counters() -> Counters {
    runtime::with(|runtime| Counters {
        cells: memory::live(),
        queued: runtime.queue.with(|queue| queue.len()),
        paused: runtime.paused.with(|paused| paused.len()),
        foreign_wakers: foreign_wakers(),
        kept_alive: runtime.kept_alive.get(),
    })
}

/// A number from the loop's own generator, which decides ties.
pub fn random() -> u64 {
    runtime::random()
}

/// Seeds the loop's generator, for reproducible runs.
pub fn seed_random(seed: u64) {
    runtime::with(|runtime| runtime.random.set(seed));
}

/// A wait that something outside the core ends: an engine, a job, a signal.
///
/// The promise is cancelable, withdrawn when its last handle is dropped ([`Resolver::on_abandon`]), and fails with
/// [`NoLoop`](crate::NoLoop), naming `operation`, when a foreign executor awaits it where no loop runs.
pub fn leaf<T: 'static>(operation: &'static str) -> (Promise<T>, Resolver<T>) {
    loop_leaf(operation)
}

/// One line of [`sleeping_tree`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sleeping {
    /// How many threads hang on this one, on the way from the root.
    pub depth: usize,
    /// What it is, in words.
    pub what: String,
}

/// What a promise hangs on: a line for each thread and promise, those that it waits for below it. At most a thousand
/// lines.
///
/// # Examples
///
/// ```
/// use lwt_core::{forever, scheduler::sleeping_tree, spawn};
///
/// let thread = spawn(async { forever::<()>().await });
/// let tree = sleeping_tree(&thread);
/// assert_eq!(tree.len(), 2);
/// assert!(tree[0].what.starts_with("thread"));
/// ```
pub fn sleeping_tree<T: 'static>(promise: &Promise<T>) -> Vec<Sleeping> {
    let mut lines = Vec::new();
    let Some(handle) = promise.handle().filter(|_| promise.is_sleeping()) else {
        return lines;
    };
    let mut stack = vec![(handle.cell.root(), 0)];
    let mut seen: Vec<CellRef> = Vec::new();
    while let Some((cell, depth)) = stack.pop() {
        if lines.len() == 1_000 {
            lines.push(Sleeping {
                depth: 0,
                what: "… and more".to_owned(),
            });
            break;
        }
        let again = seen.contains(&cell);
        lines.push(Sleeping {
            depth,
            what: describe(cell, again),
        });
        if !again {
            seen.push(cell);
            let from = stack.len();
            cancel::children(cell, &mut |child| stack.push((child, depth + 1)));
            stack[from..].reverse();
        }
    }
    lines
}

fn describe(cell: CellRef, again: bool) -> String {
    let name = (cell.table().name)();
    let operation = cell.with_extras(|extras| extras.operation).flatten();
    let lonely = if cell.owners() == 0 && !again {
        ", which nobody can wake"
    } else {
        ""
    };
    let what = match cell.table().kind {
        Kind::Thread => match cell.thread().run.get() {
            Run::Idle => format!("thread {name}"),
            state => format!("thread {name} ({state:?})"),
        },
        Kind::LoopWait => operation.unwrap_or("pause").to_owned(),
        Kind::HomingWait => format!("wait for a {name} of a library primitive"),
        Kind::Wait => format!("wait for a {name}"),
        Kind::Node => format!("promise made by {name}"),
        Kind::Callback | Kind::Registration => name.to_owned(),
    };
    if again {
        format!("{what} (see above)")
    } else {
        format!("{what}{lonely}")
    }
}
