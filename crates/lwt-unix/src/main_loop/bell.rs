//! The bell: how other OS threads, and signal handlers, wake a loop that waits in its engine.
//!
//! It is a descriptor that the engine watches: an `eventfd` on Linux, a pipe elsewhere. Ringing writes to it and never
//! blocks (a bell that is full is ringing already). It makes no statement about *what* happened: whoever rings has put
//! that somewhere before, in the inbox of the core or in the counters of the signals, and the loop looks at both.
//!
//! Ringing allocates nothing, locks nothing and calls only `write`, so a signal handler may do it. The bell is
//! reference-counted and outlives the loop for as long as somebody may still ring it; the watcher does not count as
//! something that keeps the loop alive.

use std::cell::OnceCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use lwt_core::{Result, scheduler};

use crate::engine::{self, Direction, Event, Watcher};
use crate::{failure, signal};

/// The two ends; one and the same descriptor where there is an `eventfd`.
#[derive(Debug)]
pub(crate) struct Bell {
    ear: OwnedFd,
    hammer: Option<OwnedFd>,
}

impl Bell {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn new() -> rustix::io::Result<Bell> {
        use rustix::event::{EventfdFlags, eventfd};
        let ear = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Bell { ear, hammer: None })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn new() -> rustix::io::Result<Bell> {
        let (ear, hammer) = crate::descriptor::raw_pipe(true, true)?;
        Ok(Bell {
            ear,
            hammer: Some(hammer),
        })
    }

    /// Wakes the loop. Safe to call from any OS thread and from a signal handler.
    pub(crate) fn ring(&self) {
        let hammer: BorrowedFd<'_> = self.hammer.as_ref().unwrap_or(&self.ear).as_fd();
        // EAGAIN says that it rings already; there is no other failure that anyone could act on.
        while rustix::io::write(hammer, &1_u64.to_ne_bytes()) == Err(rustix::io::Errno::INTR) {}
    }

    fn silence(&self) {
        let mut buffer = [0_u8; 64];
        loop {
            match rustix::io::read(&self.ear, &mut buffer) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(count) if count == buffer.len() => {}
                _ => return,
            }
        }
    }
}

/// What the engine calls when the bell rings.
struct Listener(Arc<Bell>);

impl Watcher for Listener {
    fn fired(self: Rc<Self>, _event: &Event, _direction: Option<Direction>) {
        // Silence first: what is posted from here on rings again.
        self.0.silence();
        signal::deliver();
        scheduler::drain_inbox();
    }
}

/// The bell of one OS thread; it is taken down at the thread's end, and late wakes become harmless.
struct Installed {
    bell: Arc<Bell>,
    inbox: scheduler::Inbox,
    event: Event,
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.inbox.set_bell(None);
        self.event.stop();
    }
}

thread_local! {
    static BELL: OnceCell<Installed> = const { OnceCell::new() };
}

/// The bell of this OS thread; made, and hung up in the inbox, on first use.
pub(crate) fn installed() -> Result<Arc<Bell>> {
    let bell = BELL.try_with(|place| match place.get() {
        Some(installed) => Ok(Arc::clone(&installed.bell)),
        None => {
            let installed = install()?;
            let bell = Arc::clone(&installed.bell);
            // The place is empty: nothing between the look and here runs code that could fill it.
            let _ = place.set(installed);
            Ok(bell)
        }
    });
    bell.unwrap_or_else(|_| Err(lwt_core::Error::message("this OS thread is ending")))
}

fn install() -> Result<Installed> {
    let bell = Bell::new()
        .map_err(|errno| failure::system("eventfd", "the bell of the main loop", errno))?;
    let bell = Arc::new(bell);
    let event = engine::watch_descriptor(
        bell.ear.as_raw_fd(),
        Direction::Read,
        Rc::new(Listener(Arc::clone(&bell))),
    );
    event.unref();
    let inbox = scheduler::inbox();
    let hung_up = Arc::clone(&bell);
    inbox.set_bell(Some(Box::new(move || hung_up.ring())));
    Ok(Installed { bell, inbox, event })
}
