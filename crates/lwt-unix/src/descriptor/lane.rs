//! One direction of a descriptor: the queue of its operations, and its link to the engine.
//!
//! # Entries
//!
//! * An *operation* carries everything it needs (an owned buffer, a resolver). Serving the queue tries it in place.
//! * A *turn* belongs to an `async fn` with a borrowed buffer, which only that function can fill. Serving the queue
//!   *offers* it the turn: its thread wakes, tries, and either is done or gives the turn back, keeping its place. The
//!   queue waits meanwhile. While a turn is offered the engine does not watch, so a thread that sits on its turn (a
//!   future that nobody polls) delays those behind it, but never makes the loop spin.
//! * *Observers* (`wait_read`, `wait_write`) are beside the queue: all are woken when the descriptor is ready.
//!
//! # The link to the engine
//!
//! At most one registration per direction. It is made when something begins to wait and, to spare the engine the
//! back and forth of a busy connection, kept when the queue becomes empty until the loop is about to wait ([`sweep`]):
//! a thread that reads in a loop re-queues before that. Closing, aborting, and dropping the last handle end it at once.
//!
//! The registration holds the descriptor: something that waits keeps it open. An operation that is cancelled or whose
//! promise is dropped leaves the queue at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use lwt_core::{Error, Promise, Resolver, Result, scheduler};

use super::inner::{Attempt, Inner};
use crate::engine::{self, Action, Direction, Event, Watcher};

/// How many operations in a row complete at once before one has to wait for the next turn of the loop.
const STREAK_LIMIT: u32 = 128;

pub(super) struct Lane {
    queue: RefCell<VecDeque<Entry>>,
    observers: RefCell<VecDeque<(u64, Resolver<()>)>>,
    registration: RefCell<Option<Event>>,
    /// While it runs the lane rests: neither watched nor served.
    rest: RefCell<Option<Event>>,
    next_ticket: Cell<u64>,
    /// The turn of the loop in which `streak` operations have completed at once.
    streak_turn: Cell<u64>,
    streak: Cell<u32>,
    /// Whether the sweep has this lane on its list.
    listed: Cell<bool>,
}

struct Entry {
    ticket: u64,
    work: Work,
}

enum Work {
    /// `None` while the turn is offered.
    Turn(Option<Resolver<()>>),
    Operation(Box<dyn Operation>),
}

/// An operation that can be carried out wherever the queue is served.
trait Operation {
    /// Tries it; `true` when it is over (done, failed, or no longer wanted).
    fn attempt(&mut self, descriptor: &Rc<Inner>) -> bool;
    /// The descriptor was closed or aborted.
    fn fail(self: Box<Self>, descriptor: &Inner, reason: Option<&Error>);
}

struct Pending<T, F> {
    operation: &'static str,
    call: F,
    resolver: Option<Resolver<T>>,
}

impl<T: 'static, F: FnMut(&Rc<Inner>) -> io::Result<T>> Operation for Pending<T, F> {
    fn attempt(&mut self, descriptor: &Rc<Inner>) -> bool {
        if !self.resolver.as_ref().is_some_and(is_wanted) {
            return true;
        }
        match descriptor.attempt(self.operation, &mut self.call) {
            Attempt::Later => false,
            Attempt::Done(result) => {
                if let Some(resolver) = self.resolver.take() {
                    settle(resolver, result);
                }
                true
            }
        }
    }

    fn fail(self: Box<Self>, descriptor: &Inner, reason: Option<&Error>) {
        let error = reason
            .cloned()
            .unwrap_or_else(|| descriptor.closed_error(self.operation));
        if let Some(resolver) = self.resolver {
            resolver.reject(error);
        }
    }
}

fn settle<T: 'static>(resolver: Resolver<T>, result: Result<T>) {
    match result {
        Ok(value) => resolver.resolve(value),
        Err(error) => resolver.reject(error),
    }
}

impl Lane {
    pub(super) const fn new() -> Lane {
        Lane {
            queue: RefCell::new(VecDeque::new()),
            observers: RefCell::new(VecDeque::new()),
            registration: RefCell::new(None),
            rest: RefCell::new(None),
            next_ticket: Cell::new(0),
            streak_turn: Cell::new(0),
            streak: Cell::new(0),
            listed: Cell::new(false),
        }
    }

    /// Whether nothing waits in this direction.
    fn is_quiet(&self) -> bool {
        self.queue.borrow().is_empty() && self.observers.borrow().is_empty()
    }

    /// Whether the engine has to watch: somebody waits, and not only one whose turn is offered.
    fn wants_watching(&self) -> bool {
        let offered = matches!(
            self.queue.borrow().front(),
            Some(Entry {
                work: Work::Turn(None),
                ..
            })
        );
        !self.observers.borrow().is_empty() || (!offered && !self.queue.borrow().is_empty())
    }

    fn ticket(&self) -> u64 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        ticket
    }

    /// Whether an operation may be tried at once: nobody is before it, and it is not the next of a long streak.
    fn may_try_now(&self) -> bool {
        if !self.queue.borrow().is_empty() || self.rest.borrow().is_some() {
            return false;
        }
        let turn = current_turn();
        if self.streak_turn.replace(turn) != turn {
            self.streak.set(0);
        }
        let streak = self.streak.get();
        self.streak.set(streak.saturating_add(1));
        streak < STREAK_LIMIT
    }

    fn stop_watching(&self) {
        let registration = self.registration.take();
        if let Some(event) = registration {
            event.stop();
        }
    }

    fn registrations(&self) -> usize {
        usize::from(self.registration.borrow().is_some())
    }
}

impl Inner {
    /// Starts an operation that owns all it needs: tries it, and queues it if the kernel says "not now".
    pub(crate) fn start<T: 'static>(
        self: &Rc<Inner>,
        direction: Direction,
        operation: &'static str,
        mut call: impl FnMut(&Rc<Inner>) -> io::Result<T> + 'static,
    ) -> Promise<T> {
        let lane = self.lane(direction);
        if lane.may_try_now() {
            if let Attempt::Done(result) = self.attempt(operation, &mut call) {
                return lwt_core::of_result(result);
            }
        } else if let Err(error) = self.with_open(operation, |_| ()) {
            return lwt_core::fail(error);
        }
        let (promise, resolver) = scheduler::leaf(operation);
        let ticket = lane.ticket();
        let pending = Pending {
            operation,
            call,
            resolver: Some(resolver.clone()),
        };
        lane.queue.borrow_mut().push_back(Entry {
            ticket,
            work: Work::Operation(Box::new(pending)),
        });
        let descriptor = Rc::downgrade(self);
        resolver.on_withdrawn(move || {
            if let Some(descriptor) = descriptor.upgrade() {
                descriptor.leave_queue(direction, ticket);
            }
        });
        self.watch(direction);
        promise
    }

    /// Carries out an operation on borrowed memory: tries it, else takes a place in the queue until its turn comes.
    pub(crate) async fn lend<T>(
        self: &Rc<Inner>,
        direction: Direction,
        operation: &'static str,
        mut call: impl FnMut(&Rc<Inner>) -> io::Result<T>,
    ) -> Result<T> {
        if self.lane(direction).may_try_now() {
            if let Attempt::Done(result) = self.attempt(operation, &mut call) {
                return result;
            }
        } else {
            self.with_open(operation, |_| ())?;
        }
        let mut place = Place::take(self, direction, operation);
        loop {
            place
                .turn()
                .await
                .map_err(|error| self.turn_error(operation, error))?;
            if let Attempt::Done(result) = self.attempt(operation, &mut call) {
                return result;
            }
            place.give_back();
        }
    }

    /// Errors of a turn name the operation that waited for it.
    fn turn_error(&self, operation: &'static str, error: Error) -> Error {
        if error.is::<TurnClosed>() {
            self.closed_error(operation)
        } else {
            error
        }
    }

    /// A promise that is resolved when the descriptor is ready; nothing is consumed.
    pub(super) fn observe(
        self: &Rc<Inner>,
        direction: Direction,
        operation: &'static str,
    ) -> Promise<()> {
        if let Err(error) = self.with_open(operation, |_| ()) {
            return lwt_core::fail(error);
        }
        match self.is_ready(direction, operation) {
            Ok(false) => {}
            Ok(true) => return lwt_core::return_unit(),
            Err(error) => return lwt_core::fail(error),
        }
        let (promise, resolver) = scheduler::leaf(operation);
        let lane = self.lane(direction);
        let ticket = lane.ticket();
        lane.observers
            .borrow_mut()
            .push_back((ticket, resolver.clone()));
        let descriptor = Rc::downgrade(self);
        resolver.on_withdrawn(move || {
            if let Some(descriptor) = descriptor.upgrade() {
                descriptor.leave_observers(direction, ticket);
            }
        });
        self.watch(direction);
        promise
    }

    /// Has the engine watch this direction, if something waits for the engine.
    fn watch(self: &Rc<Inner>, direction: Direction) {
        let lane = self.lane(direction);
        if lane.registration.borrow().is_some()
            || lane.rest.borrow().is_some()
            || self.job_runs(direction)
        {
            return;
        }
        let event =
            engine::watch_descriptor(self.raw, direction, Rc::clone(self) as Rc<dyn Watcher>);
        lane.registration.replace(Some(event));
    }

    /// Serves the queue: tries operations from the front until one has to wait.
    pub(super) fn serve(self: &Rc<Inner>, direction: Direction) {
        let lane = self.lane(direction);
        while lane.rest.borrow().is_none() && !self.job_runs(direction) {
            let Some(Entry { ticket, work }) = lane.queue.borrow_mut().pop_front() else {
                break;
            };
            match work {
                Work::Operation(mut operation) => {
                    if !operation.attempt(self) {
                        lane.queue.borrow_mut().push_front(Entry {
                            ticket,
                            work: Work::Operation(operation),
                        });
                        break;
                    }
                }
                Work::Turn(Some(resolver)) if !is_wanted(&resolver) => {}
                Work::Turn(offer) => {
                    lane.queue.borrow_mut().push_front(Entry {
                        ticket,
                        work: Work::Turn(None),
                    });
                    if let Some(resolver) = offer {
                        resolver.resolve(());
                    }
                    break;
                }
            }
        }
        self.settle_watching(direction);
    }

    /// After the queue has changed: watch if somebody waits for the engine, else leave it to the next sweep.
    fn settle_watching(self: &Rc<Inner>, direction: Direction) {
        let lane = self.lane(direction);
        if lane.wants_watching() && !self.job_runs(direction) {
            self.watch(direction);
        } else if lane.registration.borrow().is_some() && !lane.listed.replace(true) {
            list_for_sweep(Rc::downgrade(self), direction);
        }
    }

    fn leave_queue(self: &Rc<Inner>, direction: Direction, ticket: u64) {
        let lane = self.lane(direction);
        let mut queue = lane.queue.borrow_mut();
        let place = queue.iter().position(|entry| entry.ticket == ticket);
        let left = place.and_then(|place| queue.remove(place));
        drop(queue);
        drop(left);
        self.end_if_quiet(direction);
    }

    fn leave_observers(self: &Rc<Inner>, direction: Direction, ticket: u64) {
        let lane = self.lane(direction);
        let mut observers = lane.observers.borrow_mut();
        let place = observers.iter().position(|(other, _)| *other == ticket);
        let left = place.and_then(|place| observers.remove(place));
        drop(observers);
        drop(left);
        self.end_if_quiet(direction);
    }

    /// Somebody gave up: if nobody is left, the engine is told at once.
    fn end_if_quiet(self: &Rc<Inner>, direction: Direction) {
        let lane = self.lane(direction);
        if lane.is_quiet() {
            lane.stop_watching();
            let rest = lane.rest.take();
            if let Some(rest) = rest {
                rest.stop();
            }
        }
    }

    /// Neither watches nor serves this direction for a while, then serves it.
    pub(crate) fn rest(self: &Rc<Inner>, direction: Direction, duration: Duration) {
        let lane = self.lane(direction);
        let descriptor = Rc::downgrade(self);
        let wake = Action::Once(Box::new(move || {
            if let Some(descriptor) = descriptor.upgrade() {
                descriptor.lane(direction).rest.take();
                descriptor.serve(direction);
            }
        }));
        let former = lane.rest.replace(Some(engine::timer(duration, None, wake)));
        if let Some(former) = former {
            former.stop();
        }
        lane.stop_watching();
    }

    /// Fails everything that waits, in both directions: with `reason`, or as closed; and ends the registrations.
    pub(super) fn fail_waiting(self: &Rc<Inner>, reason: Option<&Error>) {
        for direction in [Direction::Read, Direction::Write] {
            let lane = self.lane(direction);
            lane.stop_watching();
            let rest = lane.rest.take();
            if let Some(rest) = rest {
                rest.stop();
            }
            for entry in lane.queue.take() {
                match entry.work {
                    Work::Operation(operation) => operation.fail(self, reason),
                    Work::Turn(Some(resolver)) => {
                        resolver.reject(reason.cloned().unwrap_or_else(|| TurnClosed.into()))
                    }
                    Work::Turn(None) => {}
                }
            }
            let wait = if direction == Direction::Read {
                "wait_read"
            } else {
                "wait_write"
            };
            for (_, resolver) in lane.observers.take() {
                resolver.reject(reason.cloned().unwrap_or_else(|| self.closed_error(wait)));
            }
        }
    }

    /// For the last handle: ends registrations that nobody waits behind, so that dropping it closes the descriptor now.
    pub(super) fn release_if_unused(self: &Rc<Inner>) {
        let held_by_engine = self.read.registrations() + self.write.registrations();
        if held_by_engine > 0
            && Rc::strong_count(self) == 1 + held_by_engine
            && self.read.is_quiet()
            && self.write.is_quiet()
        {
            self.read.stop_watching();
            self.write.stop_watching();
        }
    }
}

impl Watcher for Inner {
    fn fired(self: Rc<Self>, _event: &Event, direction: Option<Direction>) {
        let Some(direction) = direction else {
            return;
        };
        for (_, resolver) in self.lane(direction).observers.take() {
            resolver.resolve(());
        }
        self.serve(direction);
    }
}

/// The descriptor was closed while a turn was awaited; replaced by an error that names the operation.
#[derive(Debug)]
struct TurnClosed;

impl std::fmt::Display for TurnClosed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the descriptor has been closed")
    }
}

impl std::error::Error for TurnClosed {}

/// Whether somebody still waits for this resolver.
fn is_wanted<T: 'static>(resolver: &Resolver<T>) -> bool {
    resolver.is_pending() && !resolver.is_abandoned()
}

/// A place in the queue that is given up when it is dropped, wherever the `async fn` that holds it ends.
struct Place<'a> {
    descriptor: &'a Rc<Inner>,
    direction: Direction,
    operation: &'static str,
    ticket: u64,
    turn: Option<Promise<()>>,
}

impl<'a> Place<'a> {
    fn take(descriptor: &'a Rc<Inner>, direction: Direction, operation: &'static str) -> Place<'a> {
        let lane = descriptor.lane(direction);
        let (turn, resolver) = scheduler::leaf(operation);
        let ticket = lane.ticket();
        lane.queue.borrow_mut().push_back(Entry {
            ticket,
            work: Work::Turn(Some(resolver)),
        });
        descriptor.watch(direction);
        Place {
            descriptor,
            direction,
            operation,
            ticket,
            turn: Some(turn),
        }
    }

    /// Waits until the turn is offered.
    async fn turn(&mut self) -> Result<()> {
        match self.turn.take() {
            Some(turn) => turn.await,
            None => Ok(()),
        }
    }

    /// The offered turn was of no use: keeps the place and waits again.
    fn give_back(&mut self) {
        let (turn, resolver) = scheduler::leaf(self.operation);
        let lane = self.descriptor.lane(self.direction);
        if let Some(entry) = lane
            .queue
            .borrow_mut()
            .iter_mut()
            .find(|entry| entry.ticket == self.ticket)
        {
            entry.work = Work::Turn(Some(resolver));
        }
        self.turn = Some(turn);
        self.descriptor.settle_watching(self.direction);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let lane = self.descriptor.lane(self.direction);
        let mut queue = lane.queue.borrow_mut();
        let place = queue.iter().position(|entry| entry.ticket == self.ticket);
        let was_offered = matches!(queue.front(), Some(Entry { ticket, work: Work::Turn(None) }) if *ticket == self.ticket);
        let left = place.and_then(|place| queue.remove(place));
        let others_wait = !queue.is_empty();
        drop(queue);
        drop(left);
        match (was_offered, others_wait) {
            // The descriptor may still be ready: the next in line gets its chance now.
            (true, true) => self.descriptor.serve(self.direction),
            // The usual end: perhaps the same thread reads on, so the engine is told at the next sweep.
            (true, false) => self.descriptor.settle_watching(self.direction),
            (false, _) => self.descriptor.end_if_quiet(self.direction),
        }
    }
}

#[derive(Default)]
struct Sweeper {
    turn: Cell<u64>,
    listed: RefCell<Vec<(Weak<Inner>, Direction)>>,
    spare: Cell<Vec<(Weak<Inner>, Direction)>>,
}

thread_local! {
    static SWEEPER: Sweeper = Sweeper::default();
}

/// The number of the loop's turn; only its changes matter.
fn current_turn() -> u64 {
    SWEEPER.try_with(|sweeper| sweeper.turn.get()).unwrap_or(0)
}

fn list_for_sweep(descriptor: Weak<Inner>, direction: Direction) {
    let _ = SWEEPER.try_with(|sweeper| sweeper.listed.borrow_mut().push((descriptor, direction)));
}

/// Called by the loop just before the engine waits: ends the registrations that nobody waits behind any more.
pub(crate) fn sweep() {
    let _ = SWEEPER.try_with(|sweeper| {
        sweeper.turn.set(sweeper.turn.get() + 1);
        let mut listed = sweeper.listed.replace(sweeper.spare.take());
        for (descriptor, direction) in listed.drain(..) {
            if let Some(descriptor) = descriptor.upgrade() {
                let lane = descriptor.lane(direction);
                lane.listed.set(false);
                if !lane.wants_watching() || descriptor.job_runs(direction) {
                    lane.stop_watching();
                }
            }
        }
        sweeper.spare.set(listed);
    });
}
