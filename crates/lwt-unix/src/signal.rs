//! Signals as ordinary wake-ups.
//!
//! The handler that runs in signal context does two things: it counts the delivery for each listener of the signal, and
//! it rings the bells of their loops. Everything else happens in the loop, where a listener that waits is woken like
//! anybody else. Bursts: every delivery by the kernel is counted, but the kernel itself may merge signals of one number
//! that are pending together.
//!
//! The handler is installed (through `signal-hook-registry`, beside the handlers of other libraries) when the first
//! listener of a signal appears, and stays. While *nobody* listens it gives the signal its default effect: Ctrl-C ends
//! the program again as soon as the last [`interrupted`] is over.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use lwt_core::scheduler::{self, KeepAlive};
use lwt_core::{Canceler, Error, Promise, Resolver, Result};
use signal_hook_registry::SigId;

use crate::main_loop::bell;
use crate::{failure, sys};

/// Signal numbers up to here can be listened to (Linux has 64).
const NUMBERS: usize = 65;

/// How many listeners each signal has, in all OS threads.
static LISTENERS: [AtomicUsize; NUMBERS] = [const { AtomicUsize::new(0) }; NUMBERS];

/// Which signals had their default disposition when this library first looked: those get their default effect
/// while nobody listens.
static WAS_DEFAULT: [AtomicBool; NUMBERS] = [const { AtomicBool::new(false) }; NUMBERS];

/// One signal on one OS thread: what the handler writes and the loop reads.
#[derive(Default)]
struct Deliveries {
    count: AtomicU32,
    wanted: AtomicBool,
}

struct Listener {
    number: u64,
    /// Deliveries that came while it did not wait.
    unseen: u32,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    resolver: Resolver<()>,
    /// `None` for waits that do not keep the loop alive.
    _alive: Option<KeepAlive>,
}

struct Installed {
    signal: i32,
    handler: SigId,
    deliveries: Arc<Deliveries>,
    listeners: Vec<Listener>,
}

#[derive(Default)]
struct Table {
    installed: Vec<Installed>,
    next: u64,
}

impl Table {
    fn listener(&mut self, signal: i32, number: u64) -> Option<&mut Listener> {
        let installed = self
            .installed
            .iter_mut()
            .find(|installed| installed.signal == signal)?;
        installed
            .listeners
            .iter_mut()
            .find(|listener| listener.number == number)
    }

    fn fresh_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for installed in &self.installed {
            signal_hook_registry::unregister(installed.handler);
            if let Some(count) = listeners_of(installed.signal) {
                count.fetch_sub(installed.listeners.len(), Ordering::AcqRel);
            }
        }
    }
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table::default());
}

fn with<R>(body: impl FnOnce(&mut Table) -> R) -> Option<R> {
    TABLE.try_with(|table| body(&mut table.borrow_mut())).ok()
}

fn listeners_of(signal: i32) -> Option<&'static AtomicUsize> {
    usize::try_from(signal)
        .ok()
        .and_then(|index| LISTENERS.get(index))
}

/// A listener for one signal: while it lives the signal does not have its default effect, and no delivery is lost
/// between two waits.
///
/// # Examples
/// ```
/// use lwt_unix::{Signals, run};
///
/// let hangups = Signals::listen(libc::SIGUSR1)?;
/// // SAFETY: raising a signal that has a handler.
/// unsafe { libc::raise(libc::SIGUSR1) };
/// run(hangups.next())?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_unix.on_signal")]
#[doc(alias = "Lwt_unix.signal_handler_id")]
pub struct Signals {
    signal: i32,
    number: u64,
    /// A listener belongs to the loop of its OS thread.
    local: PhantomData<*const ()>,
}

impl Signals {
    /// Starts to listen to the signal with this number (`libc::SIGHUP` …).
    ///
    /// # Errors
    /// An invalid-argument error for numbers that are no signals, or that no handler may be installed for
    /// (`SIGKILL`, `SIGSTOP`, and the faults `SIGSEGV`, `SIGILL`, `SIGFPE`); the system's error otherwise.
    pub fn listen(signal: i32) -> Result<Signals> {
        let count = listeners_of(signal)
            .filter(|_| signal > 0 && !signal_hook_registry::FORBIDDEN.contains(&signal));
        let Some(count) = count else {
            return Err(Error::invalid_argument(format!(
                "signal {signal} cannot be listened to"
            )));
        };
        install(signal)?;
        count.fetch_add(1, Ordering::AcqRel);
        let number = with(|table| {
            let number = table.fresh_number();
            if let Some(installed) = table
                .installed
                .iter_mut()
                .find(|installed| installed.signal == signal)
            {
                installed.deliveries.wanted.store(true, Ordering::Release);
                installed.listeners.push(Listener {
                    number,
                    unseen: 0,
                    waiting: VecDeque::new(),
                });
            }
            number
        });
        number
            .map(|number| Signals {
                signal,
                number,
                local: PhantomData,
            })
            .ok_or_else(|| Error::message("this OS thread is ending"))
    }

    /// Waits for the next delivery; at once if one has come since the last wait.
    ///
    /// It keeps the loop alive: somebody outside may send the signal at any time.
    ///
    /// # Cancellation
    /// Takes no delivery.
    pub fn next(&self) -> Promise<()> {
        self.wait(true)
    }

    fn wait(&self, keeps_alive: bool) -> Promise<()> {
        let (signal, owner) = (self.signal, self.number);
        let seen = with(|table| {
            table.listener(signal, owner).is_some_and(|listener| {
                let seen = listener.unseen > 0;
                listener.unseen = listener.unseen.saturating_sub(1);
                seen
            })
        });
        if seen == Some(true) {
            return lwt_core::return_unit();
        }
        let (promise, resolver) = scheduler::leaf("signal");
        let waiting = with(|table| {
            let number = table.fresh_number();
            let alive = keeps_alive.then(scheduler::keep_alive);
            let listener = table.listener(signal, owner)?;
            listener.waiting.push_back(Waiting {
                number,
                resolver: resolver.clone(),
                _alive: alive,
            });
            Some(number)
        });
        if let Some(number) = waiting.flatten() {
            resolver.on_withdrawn(move || {
                let removed = with(|table| {
                    let waiting = &mut table.listener(signal, owner)?.waiting;
                    let place = waiting
                        .iter()
                        .position(|waiting| waiting.number == number)?;
                    waiting.remove(place)
                });
                drop(removed);
            });
        }
        promise
    }
}

impl Drop for Signals {
    /// Stops listening; whoever still waits sleeps on.
    fn drop(&mut self) {
        let removed = with(|table| {
            let installed = table
                .installed
                .iter_mut()
                .find(|installed| installed.signal == self.signal)?;
            let place = installed
                .listeners
                .iter()
                .position(|listener| listener.number == self.number)?;
            let listener = installed.listeners.remove(place);
            installed
                .deliveries
                .wanted
                .store(!installed.listeners.is_empty(), Ordering::Release);
            Some(listener)
        });
        if let (Some(Some(_)), Some(count)) = (&removed, listeners_of(self.signal)) {
            count.fetch_sub(1, Ordering::AcqRel);
        }
        drop(removed);
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Signals")
            .field("signal", &self.signal)
            .finish_non_exhaustive()
    }
}

/// Installs the handler of this OS thread for a signal, once.
#[allow(
    unsafe_code,
    reason = "what the handler does is here, and that is what the safety rests on"
)]
fn install(signal: i32) -> Result<()> {
    if with(|table| {
        table
            .installed
            .iter()
            .any(|installed| installed.signal == signal)
    }) == Some(true)
    {
        return Ok(());
    }
    let bell = bell::installed()?;
    let deliveries = Arc::new(Deliveries::default());
    let seen = Arc::clone(&deliveries);
    let replaces_default = was_default(signal);
    let handler = move || {
        if seen.wanted.load(Ordering::Acquire) {
            seen.count.fetch_add(1, Ordering::AcqRel);
            bell.ring();
        } else if replaces_default
            && listeners_of(signal).is_none_or(|count| count.load(Ordering::Acquire) == 0)
        {
            sys::signals::take_default_effect(signal);
        }
    };
    // SAFETY: the handler only reads and adds to atomics that it owns a share of, writes to a descriptor that it keeps
    // open, and calls `signal` and `raise`; all of that is async-signal-safe. It allocates, locks and frees nothing.
    let registered = unsafe { signal_hook_registry::register(signal, handler) };
    let handler = registered.map_err(|error: io::Error| {
        failure::system("sigaction", format!("signal {signal}"), error)
    })?;
    with(|table| {
        table.installed.push(Installed {
            signal,
            handler,
            deliveries,
            listeners: Vec::new(),
        })
    });
    Ok(())
}

fn was_default(signal: i32) -> bool {
    let Some(place) = usize::try_from(signal)
        .ok()
        .and_then(|index| WAS_DEFAULT.get(index))
    else {
        return false;
    };
    if sys::signals::has_default_disposition(signal) {
        place.store(true, Ordering::Release);
    }
    place.load(Ordering::Acquire)
}

/// Called by the loop when its bell has rung: hands the counted deliveries to the listeners.
pub(crate) fn deliver() {
    let mut woken = Vec::new();
    with(|table| {
        for installed in &mut table.installed {
            let count = installed.deliveries.count.swap(0, Ordering::AcqRel);
            if count == 0 {
                continue;
            }
            for listener in &mut installed.listeners {
                let taken = listener.waiting.len().min(count as usize);
                woken.extend(listener.waiting.drain(..taken));
                let rest = count - u32::try_from(taken).unwrap_or(count);
                listener.unseen = listener.unseen.saturating_add(rest);
            }
        }
    });
    for waiting in woken {
        waiting.resolver.resolve(());
    }
}

/// The next delivery of a signal; while this is awaited the signal does not have its default effect.
///
/// Use [`Signals`] to take one delivery after another without losing those in between.
///
/// # Errors
/// As [`Signals::listen`], as the failure of the promise.
///
/// # Cancellation
/// Stops listening.
pub fn signal(number: i32) -> Promise<()> {
    match Signals::listen(number) {
        Ok(signals) => {
            let next = signals.next();
            // The listener lives as long as its wait: until the delivery, or until nobody wants it any more.
            keep_until_settled(&next, signals);
            next
        }
        Err(error) => lwt_core::fail(error),
    }
}

fn keep_until_settled(promise: &Promise<()>, signals: Signals) {
    promise.on_termination(move || drop(signals));
}

/// The next Ctrl-C (`SIGINT`): an ordinary wake-up.
///
/// While it is awaited Ctrl-C does not end the program; afterwards it does again, so the second Ctrl-C of an impatient
/// user kills a program that takes too long to clean up. It keeps the loop alive.
///
/// # Cancellation
/// Ctrl-C ends the program again.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use lwt_unix::{Builder, interrupted, sleep};
///
/// // Up to a minute, which is over at once on this clock.
/// let minute = || lwt_core::pick([interrupted(), sleep(Duration::from_secs(60))]);
/// Builder::new().virtual_time(0).run(minute)?;
/// # Ok::<(), lwt_core::Error>(())
/// ```
pub fn interrupted() -> Promise<()> {
    signal(libc::SIGINT)
}

/// Cancels a thread at the first Ctrl-C, until it is dropped; not a reason to keep the loop alive.
pub(crate) struct CancelOnInterrupt {
    listening: Promise<()>,
}

impl CancelOnInterrupt {
    pub(crate) fn start(main: Canceler) -> Result<CancelOnInterrupt> {
        let signals = Signals::listen(libc::SIGINT)?;
        let listening = signals.wait(false).map(move |()| {
            drop(signals);
            main.cancel_later();
        });
        Ok(CancelOnInterrupt { listening })
    }
}

impl Drop for CancelOnInterrupt {
    fn drop(&mut self) {
        // A thread goes on when its promise is dropped; this one is to end, and its listener with it.
        self.listening.cancel();
    }
}
