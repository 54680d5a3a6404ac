//! The registrations of one OS thread: who wants to hear of which descriptor, and which timers run.
//!
//! # Shape
//!
//! * `slots`: every registration, watcher or timer, in a slab. A [`Key`] is the place and its generation; when a
//!   registration ends the generation moves on, so a stale key, whoever still holds it, leads nowhere and is harmless.
//! * `descriptors`: indexed by descriptor number (the kernel gives the smallest free number, so the table is dense),
//!   the keys of the watchers of each direction, in the order of registration.
//! * `timers`: the queue of due times, see [`super::timers`].
//!
//! # Who may run what
//!
//! Nothing in this file runs or drops code of the program. Whatever holds such code (an [`Action`]) is *returned*,
//! and the caller runs or drops it after the table is no longer borrowed; so a callback may register, stop and
//! replace anything, itself included.

use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use lwt_core::Resolver;

use super::moment::Moment;
use super::timers::Timers;
use super::{Direction, Interest};

/// The place of a registration and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

/// A registration of a callback with the loop: a readable or writable watcher, or a timer.
///
/// The handle is a plain number pair. It may be cloned, kept for ever, and stopped from inside any callback; a handle
/// whose registration has ended does nothing. **Dropping it does not stop anything**: call [`Event::stop`]. It keeps
/// working when the engine is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Lwt_engine.event")]
pub struct Event {
    pub(super) key: Key,
    /// Registrations belong to one OS thread.
    local: PhantomData<*const ()>,
}

impl Event {
    pub(super) const fn new(key: Key) -> Event {
        Event {
            key,
            local: PhantomData,
        }
    }

    /// A handle that leads nowhere.
    #[doc(alias = "Lwt_engine.fake_event")]
    pub const fn dead() -> Event {
        Event::new(Key {
            index: u32::MAX,
            generation: 0,
        })
    }
}

/// What reacts to a descriptor or a repeating timer.
pub(crate) trait Watcher {
    /// `event` is the registration that fired, `direction` the side of the descriptor (`None` for timers).
    fn fired(self: Rc<Self>, event: &Event, direction: Option<Direction>);
}

/// What a registration does when its time has come.
pub(crate) enum Action {
    /// Calls back, every time.
    Call(Rc<dyn Watcher>),
    /// Wakes a sleeper; the registration ends.
    Wake(Resolver<()>),
    /// Runs a function; the registration ends.
    Once(Box<dyn FnOnce()>),
}

enum Kind {
    Descriptor(RawFd, Direction),
    Timer { repeat: Option<Duration> },
}

struct Registration {
    kind: Kind,
    keeps_alive: bool,
    action: Action,
}

struct Slot {
    generation: u32,
    registration: Option<Registration>,
}

#[derive(Default)]
struct Watchers {
    read: Vec<Key>,
    write: Vec<Key>,
}

impl Watchers {
    fn interest(&self) -> Interest {
        Interest {
            read: !self.read.is_empty(),
            write: !self.write.is_empty(),
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Vec<Key> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

/// A change of what a descriptor is watched for, to be told to the engine.
pub(super) type Change = Option<(RawFd, Interest)>;

/// The table. See the head of this file.
pub(crate) struct Events {
    slots: Vec<Slot>,
    free: Vec<u32>,
    descriptors: Vec<Watchers>,
    timers: Timers<Key>,
    readable: usize,
    writable: usize,
    keeping_alive: usize,
}

impl Events {
    pub(super) const fn new() -> Events {
        Events {
            slots: Vec::new(),
            free: Vec::new(),
            descriptors: Vec::new(),
            timers: Timers::new(),
            readable: 0,
            writable: 0,
            keeping_alive: 0,
        }
    }

    pub(super) fn readable_count(&self) -> usize {
        self.readable
    }

    pub(super) fn writable_count(&self) -> usize {
        self.writable
    }

    pub(super) fn timer_count(&self) -> usize {
        self.timers.live()
    }

    /// Registrations that can wake something and whose owner wants the loop to wait for them.
    pub(super) fn keeping_alive(&self) -> usize {
        self.keeping_alive
    }

    /// Registers a watcher. A negative descriptor is not watched by any engine; its owner learns of it by trying.
    pub(super) fn watch(
        &mut self,
        descriptor: RawFd,
        direction: Direction,
        action: Action,
    ) -> (Key, Change) {
        let key = self.add(Kind::Descriptor(descriptor, direction), action);
        match direction {
            Direction::Read => self.readable += 1,
            Direction::Write => self.writable += 1,
        }
        let Ok(index) = usize::try_from(descriptor) else {
            return (key, None);
        };
        if index >= self.descriptors.len() {
            self.descriptors.resize_with(index + 1, Watchers::default);
        }
        let change =
            self.change_watchers(descriptor, |watchers| watchers.side(direction).push(key));
        (key, change)
    }

    /// Registers a timer.
    pub(super) fn start_timer(
        &mut self,
        due: Moment,
        repeat: Option<Duration>,
        action: Action,
    ) -> Key {
        let key = self.add(Kind::Timer { repeat }, action);
        self.timers.insert(due, key);
        key
    }

    /// Ends a registration; nothing happens if it has ended before.
    pub(super) fn stop(&mut self, key: Key) -> (Option<Action>, Change) {
        let Some(registration) = self.remove(key) else {
            return (None, None);
        };
        let change = match registration.kind {
            Kind::Descriptor(descriptor, direction) => {
                match direction {
                    Direction::Read => self.readable -= 1,
                    Direction::Write => self.writable -= 1,
                }
                self.change_watchers(descriptor, |watchers| {
                    watchers.side(direction).retain(|other| *other != key)
                })
            }
            Kind::Timer { .. } => {
                let slots = &self.slots;
                self.timers.stopped_one(|key| is_live(slots, key));
                None
            }
        };
        (Some(registration.action), change)
    }

    pub(super) fn is_active(&self, key: Key) -> bool {
        is_live(&self.slots, key)
    }

    /// From now on the registration does not count as something that may wake the main thread.
    pub(super) fn unreference(&mut self, key: Key) {
        if let Some(registration) = registration_mut(&mut self.slots, key)
            && std::mem::replace(&mut registration.keeps_alive, false)
        {
            self.keeping_alive -= 1;
        }
    }

    /// When the first timer is due.
    pub(super) fn first_due(&mut self) -> Option<Moment> {
        let slots = &self.slots;
        self.timers.first_due(|key| is_live(slots, key))
    }

    /// The limit for [`Events::take_due_timer`]: timers made from here on wait for the next turn.
    pub(super) fn turn_limit(&self) -> u64 {
        self.timers.next_sequence()
    }

    /// Takes the next timer that is due, in order of time and creation. A repeating timer is due again one period
    /// after `now`, the moment of firing; the registration of any other ends here.
    pub(super) fn take_due_timer(&mut self, now: Moment, limit: u64) -> Option<(Key, Action)> {
        let slots = &self.slots;
        let key = self
            .timers
            .take_due(now, limit, |key| is_live(slots, key))?;
        let registration = registration_mut(&mut self.slots, key)?;
        if let (
            Kind::Timer {
                repeat: Some(period),
            },
            Action::Call(watcher),
        ) = (&registration.kind, &registration.action)
        {
            let (next, action) = (now + *period, Action::Call(Rc::clone(watcher)));
            self.timers.insert(next, key);
            return Some((key, action));
        }
        self.remove(key)
            .map(|registration| (key, registration.action))
    }

    /// Appends the keys of the watchers of `descriptor` in the directions of `interest`: readers, then writers.
    pub(super) fn watchers(&self, descriptor: RawFd, interest: Interest, keys: &mut Vec<Key>) {
        let Some(watchers) = usize::try_from(descriptor)
            .ok()
            .and_then(|index| self.descriptors.get(index))
        else {
            return;
        };
        if interest.read {
            keys.extend_from_slice(&watchers.read);
        }
        if interest.write {
            keys.extend_from_slice(&watchers.write);
        }
    }

    /// The watcher behind a key, if it is still registered.
    pub(super) fn watcher(&self, key: Key) -> Option<(Rc<dyn Watcher>, Direction)> {
        let slot = self.slots.get(key.index as usize)?;
        let registration = slot
            .registration
            .as_ref()
            .filter(|_| slot.generation == key.generation)?;
        match (&registration.kind, &registration.action) {
            (Kind::Descriptor(_, direction), Action::Call(watcher)) => {
                Some((Rc::clone(watcher), *direction))
            }
            _ => None,
        }
    }

    /// Every watched descriptor with what is wanted of it: what a new engine has to be told.
    pub(super) fn watched(&self) -> impl Iterator<Item = (RawFd, Interest)> {
        let watched = self.descriptors.iter().zip(0..);
        watched
            .map(|(watchers, number)| (number, watchers.interest()))
            .filter(|(_, interest)| !interest.is_empty())
    }

    /// Moves the timers to another clock; each keeps its remaining time.
    pub(super) fn move_clock(&mut self, from: Moment, to: Moment) {
        self.timers.move_clock(from, to);
    }

    fn add(&mut self, kind: Kind, action: Action) -> Key {
        self.keeping_alive += 1;
        let registration = Some(Registration {
            kind,
            keeps_alive: true,
            action,
        });
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.registration = registration;
            return Key {
                index,
                generation: slot.generation,
            };
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        assert!(
            index < u32::MAX,
            "fewer than four thousand million registrations"
        );
        self.slots.push(Slot {
            generation: 0,
            registration,
        });
        Key {
            index,
            generation: 0,
        }
    }

    fn remove(&mut self, key: Key) -> Option<Registration> {
        let slot = self
            .slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?;
        let registration = slot.registration.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        if registration.keeps_alive {
            self.keeping_alive -= 1;
        }
        Some(registration)
    }

    fn change_watchers(&mut self, descriptor: RawFd, change: impl FnOnce(&mut Watchers)) -> Change {
        let watchers = usize::try_from(descriptor)
            .ok()
            .and_then(|index| self.descriptors.get_mut(index))?;
        let before = watchers.interest();
        change(watchers);
        let after = watchers.interest();
        (before != after).then_some((descriptor, after))
    }
}

fn is_live(slots: &[Slot], key: Key) -> bool {
    slots
        .get(key.index as usize)
        .is_some_and(|slot| slot.generation == key.generation && slot.registration.is_some())
}

fn registration_mut(slots: &mut [Slot], key: Key) -> Option<&mut Registration> {
    let slot = slots
        .get_mut(key.index as usize)
        .filter(|slot| slot.generation == key.generation)?;
    slot.registration.as_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once() -> Action {
        Action::Once(Box::new(|| ()))
    }

    struct Nobody;

    impl Watcher for Nobody {
        fn fired(self: Rc<Self>, _: &Event, _: Option<Direction>) {}
    }

    fn call() -> Action {
        Action::Call(Rc::new(Nobody))
    }

    #[test]
    fn the_engine_is_told_of_the_first_and_of_the_last_watcher_only() {
        let mut events = Events::new();
        let (first, change) = events.watch(7, Direction::Read, call());
        assert_eq!(change, Some((7, Interest::READ)));
        let (second, change) = events.watch(7, Direction::Read, call());
        assert_eq!(change, None);
        let (third, change) = events.watch(7, Direction::Write, call());
        assert_eq!(change, Some((7, Interest::BOTH)));
        assert_eq!((events.readable_count(), events.writable_count()), (2, 1));
        assert_eq!(events.stop(first).1, None);
        assert_eq!(events.stop(second).1, Some((7, Interest::WRITE)));
        assert_eq!(events.stop(third).1, Some((7, Interest::NONE)));
        assert_eq!(events.keeping_alive(), 0);
    }

    #[test]
    fn a_stale_key_leads_nowhere_even_when_its_place_is_taken_again() {
        let mut events = Events::new();
        let old = events.start_timer(Moment::from_nanoseconds(5), None, once());
        assert!(events.stop(old).0.is_some());
        let new = events.start_timer(Moment::from_nanoseconds(6), None, once());
        assert_eq!(old.index, new.index);
        assert!(events.stop(old).0.is_none());
        assert!(events.is_active(new) && !events.is_active(old));
        assert_eq!(
            events.first_due(),
            Some(Moment::from_nanoseconds(6)),
            "the stale entry is skipped"
        );
        assert_eq!(events.timer_count(), 1);
    }

    #[test]
    fn unreferenced_registrations_do_not_count_and_are_counted_once() {
        let mut events = Events::new();
        let timer = events.start_timer(Moment::END, None, once());
        let (watcher, _) = events.watch(3, Direction::Read, call());
        assert_eq!(events.keeping_alive(), 2);
        events.unreference(watcher);
        events.unreference(watcher);
        assert_eq!(events.keeping_alive(), 1);
        events.stop(watcher);
        events.stop(timer);
        assert_eq!(events.keeping_alive(), 0);
    }

    #[test]
    fn a_repeating_timer_is_due_again_one_period_after_it_fired() {
        let mut events = Events::new();
        let key = events.start_timer(
            Moment::from_nanoseconds(10),
            Some(Duration::from_nanos(10)),
            call(),
        );
        let late = Moment::from_nanoseconds(17);
        let limit = events.turn_limit();
        assert_eq!(
            events.take_due_timer(late, limit).map(|(key, _)| key),
            Some(key)
        );
        assert!(events.take_due_timer(late, limit).is_none());
        assert_eq!(events.first_due(), Some(Moment::from_nanoseconds(27)));
        assert_eq!(events.timer_count(), 1);
    }
}
