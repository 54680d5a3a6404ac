//! The inbox: how other OS threads reach the loop's thread.
//!
//! A queue behind a lock, a flag that tells without the lock whether anything is in it, and a *bell* that the
//! loop puts on it: rung once when the queue goes from empty to non-empty, so that many messages before a turn
//! cost one wake-up system call. The inbox outlives the loop; once closed it refuses messages, so late ones are
//! harmless.
//!
//! The only part of the core that is shared between OS threads beside the wakers' records; its interleavings are
//! explored with loom (`cargo xtask loom`).

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

/// What is rung when the first message arrives. Called on the OS thread that posts.
pub(crate) type Bell = std::sync::Arc<dyn Fn() + Send + Sync>;

struct State<M> {
    messages: Vec<M>,
    closed: bool,
    bell: Option<Bell>,
}

/// A many-to-one queue between OS threads.
pub(crate) struct Inbox<M> {
    state: Mutex<State<M>>,
    /// Whether there are messages; a hint that is exact whenever the lock is held.
    pending: AtomicBool,
}

impl<M> std::fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

impl<M> Inbox<M> {
    pub(crate) fn new() -> Inbox<M> {
        Inbox {
            state: Mutex::new(State {
                messages: Vec::new(),
                closed: false,
                bell: None,
            }),
            pending: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// Adds a message, and rings the bell if it is the first. Gives it back when the inbox is closed.
    pub(crate) fn post(&self, message: M) -> Result<(), M> {
        let mut state = self.lock();
        if state.closed {
            return Err(message);
        }
        let first = state.messages.is_empty();
        state.messages.push(message);
        self.pending.store(true, Ordering::Release);
        let bell = if first { state.bell.clone() } else { None };
        drop(state);
        if let Some(bell) = bell {
            bell();
        }
        Ok(())
    }

    /// Takes all messages, oldest first.
    pub(crate) fn take(&self) -> Vec<M> {
        if !self.pending.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut state = self.lock();
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut state.messages)
    }

    /// Whether there is nothing to take.
    pub(crate) fn is_empty(&self) -> bool {
        !self.pending.load(Ordering::Acquire)
    }

    /// Puts a bell on the inbox (or takes it off); rings it at once if messages are there already.
    pub(crate) fn set_bell(&self, bell: Option<Bell>) {
        let mut state = self.lock();
        let ring = if state.messages.is_empty() {
            None
        } else {
            bell.clone()
        };
        state.bell = bell;
        drop(state);
        if let Some(bell) = ring {
            bell();
        }
    }

    /// Runs `f` if the inbox is empty, while nobody can post: the check for a deadlock (M13).
    pub(crate) fn if_empty<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let state = self.lock();
        state.messages.is_empty().then(f)
    }

    /// Refuses messages from now on; gives those that are there.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut state = self.lock();
        state.closed = true;
        state.bell = None;
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut state.messages)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    /// Two OS threads post while the owner takes: nothing is lost or doubled, and when the owner finds nothing
    /// although something comes later, the bell has rung for it.
    #[test]
    fn nothing_is_lost_and_the_bell_rings_for_what_is_left() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new());
            let rings = Arc::new(AtomicUsize::new(0));
            let bell = rings.clone();
            inbox.set_bell(Some(std::sync::Arc::new(move || {
                bell.fetch_add(1, Ordering::SeqCst);
            })));
            let posters: Vec<_> = (0..2)
                .map(|name| {
                    let inbox = inbox.clone();
                    thread::spawn(move || inbox.post(name))
                })
                .collect();
            let mut got = inbox.take();
            let rings_before = rings.load(Ordering::SeqCst);
            let had = got.len();
            for poster in posters {
                assert_eq!(poster.join().ok(), Some(Ok(())));
            }
            let late = inbox.take();
            if !late.is_empty() {
                assert!(rings.load(Ordering::SeqCst) > 0);
                assert!(had > 0 || rings.load(Ordering::SeqCst) >= rings_before);
            }
            got.extend(late);
            got.sort_unstable();
            assert_eq!(got, [0, 1]);
            assert!(inbox.is_empty());
        });
    }

    /// The loop goes while somebody posts: the message is taken, or given back, never both, never neither.
    #[test]
    fn a_message_races_with_the_end_of_the_loop() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new());
            let poster = {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.post(7))
            };
            let left = inbox.close();
            let posted = poster.join();
            match posted {
                Ok(Ok(())) => assert_eq!(left, [7]),
                Ok(Err(7)) => assert!(left.is_empty()),
                other => panic!("{other:?}"),
            }
            assert_eq!(inbox.post(8), Err(8));
        });
    }

    /// The deadlock check excludes a message that is being posted.
    #[test]
    fn the_deadlock_check_sees_a_message_or_precedes_it() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new());
            let rings = Arc::new(AtomicUsize::new(0));
            let bell = rings.clone();
            inbox.set_bell(Some(std::sync::Arc::new(move || {
                bell.fetch_add(1, Ordering::SeqCst);
            })));
            let poster = {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.post(1))
            };
            let dead = inbox.if_empty(|| ()).is_some();
            assert!(poster.join().is_ok());
            // If the check found nothing, the bell rings for the message that came afterwards.
            assert!(!dead || rings.load(Ordering::SeqCst) == 1);
            assert_eq!(inbox.take(), [1]);
        });
    }
}
