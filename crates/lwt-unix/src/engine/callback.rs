//! Plain functions as watchers: the interface for code that brings its own descriptors and timers.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::Direction;
use super::control;
use super::events::{Action, Event, Watcher};
use crate::failure;

/// Calls `callback` whenever the descriptor is readable, until the event is stopped.
///
/// Level-triggered: as long as nothing is read the callback is called in every turn of the loop. End of file, errors
/// and a descriptor that is not open count as readable, so that the owner finds out by trying. The callback gets its
/// own event. Several watchers of one descriptor are called in the order of their registration.
///
/// The event counts as something that may wake the main thread (see [`Event::unref`]). Stop it **before** the
/// descriptor is closed.
///
/// # Panics
/// Not this function; a panic of `callback` goes to the asynchronous exception hook and the event stays registered.
#[doc(alias = "Lwt_engine.on_readable")]
pub fn on_readable(descriptor: RawFd, callback: impl FnMut(&Event) + 'static) -> Event {
    control::watch_descriptor(descriptor, Direction::Read, watcher(callback))
}

/// Calls `callback` whenever the descriptor is writable, until the event is stopped. See [`on_readable`].
#[doc(alias = "Lwt_engine.on_writable")]
pub fn on_writable(descriptor: RawFd, callback: impl FnMut(&Event) + 'static) -> Event {
    control::watch_descriptor(descriptor, Direction::Write, watcher(callback))
}

/// Calls `callback` once after `delay`, or, with `repeat`, again every `delay`, until the event is stopped.
///
/// The delay counts from the real current time of the engine's clock. Timers never fire early; those of one turn fire
/// in the order of their due times, equal ones in the order of creation, and before the watchers of descriptors. A
/// timer that is made while timers fire waits for the next turn, even with no delay. The next time of a repeating
/// timer counts from the moment of firing.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use lwt_unix::{Builder, engine, sleep};
///
/// let ticks = Rc::new(Cell::new(0));
/// let seen = Rc::clone(&ticks);
/// Builder::new().virtual_time(1).run(|| {
///     engine::on_timer(Duration::from_secs(1), true, move |event| {
///         seen.set(seen.get() + 1);
///         if seen.get() == 3 {
///             event.stop();
///         }
///     });
///     sleep(Duration::from_secs(60))
/// })?;
/// assert_eq!(ticks.get(), 3);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_engine.on_timer")]
pub fn on_timer(delay: Duration, repeat: bool, callback: impl FnMut(&Event) + 'static) -> Event {
    let action = Action::Call(watcher(callback));
    control::timer(delay, repeat.then_some(delay), action)
}

fn watcher(callback: impl FnMut(&Event) + 'static) -> Rc<dyn Watcher> {
    Rc::new(Callback(RefCell::new(callback)))
}

struct Callback<F>(RefCell<F>);

impl<F: FnMut(&Event)> Watcher for Callback<F> {
    fn fired(self: Rc<Self>, event: &Event, _direction: Option<Direction>) {
        // A callback that makes its own descriptor fire again (`fake_io`) is not called inside itself.
        if let Ok(mut callback) = self.0.try_borrow_mut() {
            failure::guard(|| callback(event));
        }
    }
}
