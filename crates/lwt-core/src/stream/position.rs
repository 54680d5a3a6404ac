//! A position in a stream: what a [`Stream`](super::Stream) and the traversals launched from it hold.

use std::cell::RefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::bounded;
use super::error::{Empty, SourceDropped};
use super::hub::{Element, End, Hub, Shared, give_back_all};
use super::source::{Asked, ask};
use super::waiter::{Back, BackOptional, Reader};
use crate::compose::{fail, return_};
use crate::error::{Error, Result};
use crate::kernel::node::Home;
use crate::promise::Promise;
use crate::resolver::{Resolver, homing_leaf, task};

/// The capacity that a queue keeps when it is empty.
const KEPT: usize = 256;

/// See the head of this module. Several may share one cursor.
pub(super) struct Position<T: 'static> {
    pub(super) shared: Shared<T>,
    pub(super) slot: u32,
}

/// What a look at the stream came to.
enum Look<T> {
    Element(T),
    Over(End),
    Failed(Error),
    Nothing,
}

impl<T> Position<T> {
    /// The position of a new stream.
    pub(super) fn first(shared: Shared<T>) -> Position<T> {
        Position { shared, slot: 0 }
    }

    /// Takes the next element, or waits for it.
    #[inline]
    pub(super) fn get(&self) -> Promise<Option<T>> {
        match self.take_plain() {
            Some(value) => return_(Some(value)),
            None => self.get_slowly(),
        }
    }

    /// The same, failing at the end.
    #[inline]
    pub(super) fn next(&self) -> Promise<T> {
        match self.take_plain() {
            Some(value) => return_(value),
            None => self.next_slowly(),
        }
    }

    #[inline(always)]
    fn take_plain(&self) -> Option<T> {
        let mut hub = self.shared.borrow_mut();
        if hub.plain { hub.queue.pop() } else { None }
    }

    #[inline(never)]
    fn get_slowly(&self) -> Promise<Option<T>> {
        let mut hub = self.shared.borrow_mut();
        if !hub.is_silent() {
            drop(hub);
            match self.look() {
                Look::Element(value) => return return_(Some(value)),
                Look::Over(End::Dropped) => return fail(SourceDropped),
                Look::Over(_) => return return_(None),
                Look::Failed(error) => return fail(error),
                Look::Nothing => {}
            }
            hub = self.shared.borrow_mut();
        }
        self.enqueue(hub, BackOptional, Reader::Get)
    }

    #[inline(never)]
    fn next_slowly(&self) -> Promise<T> {
        let mut hub = self.shared.borrow_mut();
        if !hub.is_silent() {
            drop(hub);
            match self.look() {
                Look::Element(value) => return return_(value),
                Look::Over(End::Dropped) => return fail(SourceDropped),
                Look::Over(_) => return fail(Empty),
                Look::Failed(error) => return fail(error),
                Look::Nothing => {}
            }
            hub = self.shared.borrow_mut();
        }
        self.enqueue(hub, |back| back, Reader::Next)
    }

    /// Waits for an element. There is none, and nobody to be asked.
    #[inline(always)]
    fn enqueue<R: 'static, H: Home<R>>(
        &self,
        mut hub: RefMut<'_, Hub<T>>,
        home: impl FnOnce(Back<T>) -> H,
        reader: impl FnOnce(Resolver<R>) -> Reader<T>,
    ) -> Promise<R> {
        let (promise, resolver) = homing_leaf(home(self.way_back(&mut hub)));
        hub.direct = false;
        if hub.log.is_none() {
            hub.queue.shrink(KEPT);
        }
        let swept = hub.cursor(self.slot).readers.push(reader(resolver));
        drop(hub);
        drop(swept);
        promise
    }

    /// Takes the next element, asking the source if there is none.
    fn look(&self) -> Look<T> {
        loop {
            match self.take() {
                Some(Ok(value)) => return Look::Element(value),
                Some(Err(error)) => return Look::Failed(error),
                None => {}
            }
            let end = self.shared.borrow().end;
            if end != End::Open {
                return Look::Over(end);
            }
            match ask(&self.shared) {
                Asked::Answered => {}
                Asked::Failed(error) => return Look::Failed(error),
                Asked::Outstanding => {
                    let hub = self.shared.borrow();
                    if hub.end == End::Open && !hub.is_available(self.slot) {
                        return Look::Nothing;
                    }
                }
            }
        }
    }

    /// Takes the next element that is there. Fails if cloning it panics.
    fn take(&self) -> Option<Result<T>> {
        let mut hub = self.shared.borrow_mut();
        let element = hub.take(self.slot)?;
        hub.choose_ways();
        drop(hub);
        bounded::admit(&self.shared);
        Some(match element {
            Element::Own(value) => Ok(value),
            lent => catch_unwind(AssertUnwindSafe(|| lent.into_value())).map_err(Error::from_panic),
        })
    }

    #[inline(always)]
    fn way_back(&self, hub: &mut Hub<T>) -> Back<T> {
        let cursor = hub.cursor(self.slot);
        let arrival = cursor.arrival;
        cursor.arrival += 1;
        Back {
            hub: Rc::downgrade(&self.shared),
            slot: self.slot,
            generation: cursor.generation,
            arrival,
        }
    }

    /// Whether there is a next element, which stays where it is.
    pub(super) fn is_more(&self) -> Promise<bool> {
        loop {
            let hub = self.shared.borrow();
            if hub.is_available(self.slot) {
                return return_(true);
            }
            let end = hub.end;
            drop(hub);
            match end {
                End::Open => {}
                End::Closed => return return_(false),
                End::Dropped => return fail(SourceDropped),
            }
            match ask(&self.shared) {
                Asked::Answered => {}
                Asked::Failed(error) => return fail(error),
                Asked::Outstanding => {
                    let hub = self.shared.borrow();
                    if hub.end == End::Open && !hub.is_available(self.slot) {
                        drop(hub);
                        return self.observe();
                    }
                }
            }
        }
    }

    /// Waits until there may be an element, then looks again: another reader may have been faster.
    fn observe(&self) -> Promise<bool> {
        let (promise, observer) = task();
        let mut hub = self.shared.borrow_mut();
        hub.direct = false;
        let swept = hub.cursor(self.slot).observers.push(observer);
        drop(hub);
        drop(swept);
        let position = self.clone();
        promise.bind(move |()| position.is_more())
    }

    /// The next element, cloned.
    pub(super) fn peek(&self) -> Promise<Option<T>>
    where
        T: Clone,
    {
        let position = self.clone();
        self.is_more().bind(move |more| {
            if !more {
                return return_(None);
            }
            let front = position.shared.borrow_mut().front(position.slot, T::clone);
            match front {
                Some(value) => return_(Some(T::clone(&value))),
                None => position.peek(),
            }
        })
    }

    /// All that is there, or that the source gives without delay.
    pub(super) fn get_available(&self) -> Result<Vec<T>> {
        let mut taken = Taken::new(self);
        loop {
            match self.take() {
                Some(Ok(value)) => {
                    taken.elements.push(value);
                    continue;
                }
                Some(Err(error)) => return Err(error),
                None => {}
            }
            match ask(&self.shared) {
                Asked::Answered if self.shared.borrow().end == End::Open => {}
                Asked::Failed(error) => return Err(error),
                _ if self.shared.borrow().is_available(self.slot) => {}
                _ => return Ok(taken.keep()),
            }
        }
    }
}

/// Elements taken from a stream, which go back to its front unless they are [kept](Taken::keep).
pub(super) struct Taken<T: 'static> {
    position: Position<T>,
    pub(super) elements: Vec<T>,
}

impl<T> Taken<T> {
    pub(super) fn new(position: &Position<T>) -> Taken<T> {
        Taken {
            position: position.clone(),
            elements: Vec::new(),
        }
    }

    pub(super) fn keep(mut self) -> Vec<T> {
        std::mem::take(&mut self.elements)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        let elements = std::mem::take(&mut self.elements);
        give_back_all(&self.position.shared, self.position.slot, elements);
    }
}

impl<T> Clone for Position<T> {
    /// Another holder of the same cursor.
    fn clone(&self) -> Position<T> {
        self.shared.borrow_mut().cursor(self.slot).handles += 1;
        Position {
            shared: self.shared.clone(),
            slot: self.slot,
        }
    }
}

impl<T> Drop for Position<T> {
    fn drop(&mut self) {
        let mut hub = self.shared.borrow_mut();
        let cursor = hub.cursor(self.slot);
        cursor.handles -= 1;
        if cursor.handles == 0 && !cursor.readers.has_live() && !cursor.observers.has_live() {
            let leavings = hub.remove(self.slot);
            drop(hub);
            leavings.discard();
        }
    }
}
